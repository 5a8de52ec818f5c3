"""Around a join by snapshot: whether a node is to join so, and how the new ledger takes the place of the empty one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from node.config import JOIN_BY_SNAPSHOT, NodeConfig
from node.ledger.ledger import Ledger
from node.ledger.snapshot import JOINING_SUFFIX, SnapshotBuilder
from node.logs import Log

EMPTY_SUFFIX: Final = ".empty"

_LOG = Log("joining")


def is_join_due(config: NodeConfig, ledger: Ledger) -> bool:
    """Return whether the node is to join by snapshot; the log says so where the setting has no effect any more."""
    if config.join != JOIN_BY_SNAPSHOT:
        return False
    if ledger.height:
        _LOG.info(
            "join_ignored",
            reason="the ledger has blocks already: it goes on from them",
            height=ledger.height,
            base_height=ledger.base_height,
        )
        return False
    return True


def clear_leftovers(ledger: Path) -> None:
    """Delete what a join that ended in the middle left beside the folder `ledger`; nothing of it is in use."""
    for suffix in (EMPTY_SUFFIX, JOINING_SUFFIX):
        shutil.rmtree(ledger.with_name(ledger.name + suffix), ignore_errors=True)


def take_place(ledger: Path, builder: SnapshotBuilder) -> None:
    """Let the new ledger stand where the empty one stood, which is closed. Ended at any moment, it leaves one of them or none.

    Raises BadSnapshot, StorageError or OSError: then there is none, and the next start begins from genesis.
    """
    empty = ledger.with_name(ledger.name + EMPTY_SUFFIX)
    shutil.rmtree(empty, ignore_errors=True)
    ledger.rename(empty)
    builder.finish()
    shutil.rmtree(empty, ignore_errors=True)
