"""Join status: how far a node has come that joins by snapshot, as its status and metrics show it."""

from __future__ import annotations

import msgspec


class JoinStatus(msgspec.Struct, frozen=True):
    """How far a node has come that joins by snapshot."""

    phase: str
    """asking, chunks, blocks or whole"""
    height: int
    """Of the snapshot, 0 while none was chosen."""
    chunks_done: int
    chunks_total: int
    blocks_done: int
    percent: int
    sources: tuple[str, ...]
    """The peers that chunks are fetched from."""
    dropped: tuple[str, ...]
    """Peers that sent something bad, each with what it was."""
    trouble: str
    """Why it does not go on, in Chinese and English, or empty."""
