"""How a node's HTTP side is set up."""

from __future__ import annotations

from pathlib import Path

import msgspec


class ExplorerSettings(msgspec.Struct, frozen=True):
    """How the HTTP side is set up: where the index lies (None: no lists and pages), and the names signed requests may use for it."""

    index_path: Path | None
    http_names: frozenset[str] = frozenset()
