"""How a node's HTTP side is set up."""

from __future__ import annotations

from pathlib import Path

import msgspec


class ExplorerSettings(msgspec.Struct, frozen=True):
    """How the HTTP side is set up: where the index lies (None: no lists and pages), and the names signed requests may use for it.

    `link_base` is where the codes that it draws lead, empty for the address that a request came in on.
    """

    index_path: Path | None
    http_names: frozenset[str] = frozenset()
    link_base: str = ""
