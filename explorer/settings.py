"""How a node's HTTP side is set up."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from node.config import SealedCopiesSection

MEGABYTE: Final = 1_000_000


class KeepingRules(msgspec.Struct, frozen=True):
    """Whose sealed batches of access records a node keeps, by department, and how much of one recorder's.

    Nobody's by default: a disk is the department's that runs the node.
    """

    departments: frozenset[str] = frozenset()
    recorder_bytes: int = 0


class ExplorerSettings(msgspec.Struct, frozen=True):
    """How the HTTP side is set up: where the index lies (None: no lists and pages), and the names signed requests may use for it.

    `link_base` is where the codes that it draws lead, empty for the address that a request came in on; `keeping` says for whom it
    keeps sealed batches.
    """

    index_path: Path | None
    http_names: frozenset[str] = frozenset()
    link_base: str = ""
    keeping: KeepingRules = KeepingRules()


def keeping_rules(section: SealedCopiesSection) -> KeepingRules:
    """Return the rules that node.toml has under [sealed_copies]."""
    return KeepingRules(frozenset(section.departments), section.recorder_mb * MEGABYTE)
