"""The ids of recent blocks in state, so that contracts can tell who has followed the chain; the ledger writes them (as EIP-2935 does)."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.fields import Bytes32, Uint64
from contracts.records import Reader, Table, Writer

RECENT_BLOCK_IDS: Final = 8_191
"""A ring: each height takes the place of the one so many before it."""

_GENESIS_KEY: Final = b"genesis"


class BlockIdRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The id of the block of one height; that of height 0 is the genesis hash, and stays."""

    height: Uint64
    block_id: Bytes32


BLOCK_IDS: Final = Table("members", 8, BlockIdRecord)


def save_block_id(state: Writer, height: int, block_id: bytes) -> None:
    """Put the id of a final block."""
    BLOCK_IDS.save(state, _slot(height), BlockIdRecord(height, block_id))


def load_block_id(state: Reader, height: int) -> bytes | None:
    """Return the id of the block of a recent height, None when it is no recent one."""
    record = BLOCK_IDS.load(state, _slot(height))
    return None if record is None or record.height != height else record.block_id


def _slot(height: int) -> bytes:
    # What is signed for one chain names it by its genesis, however long ago that was.
    return (height % RECENT_BLOCK_IDS).to_bytes(2) if height else _GENESIS_KEY
