"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from node.ledger.ledger import Ledger
from node.ledger.snapshot import SnapshotBuilder, make_snapshot


@pytest.fixture(scope="session")
def join_by_snapshot() -> Callable[[Ledger, Path], None]:
    """Return a function that makes a folder the ledger of a node that joins by a snapshot of another's present state."""

    def join(original: Ledger, path: Path) -> None:
        chunks = path.with_name(path.name + ".chunks")
        offer = make_snapshot(original.snapshot_source(), chunks)
        builder = SnapshotBuilder(path, original.genesis, offer)
        for index in builder.missing_chunks:
            builder.add_chunk(index, (chunks / str(index)).read_bytes())
        while builder.next_height:
            builder.add_blocks([original.sealed_block_bytes(builder.next_height)])
        builder.finish()

    return join
