"""A ledger from a snapshot takes the place of the empty one: whole, or not at all, at whatever moment the process ends."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from node.config import NodeConfig
from node.joining import clear_leftovers, is_join_due, take_place
from node.ledger.ledger import Ledger
from node.ledger.snapshot import SnapshotBuilder, make_snapshot

if TYPE_CHECKING:
    from tests.node.ledger.conftest import Network

HEIGHT = 3
CONFIG = NodeConfig("node5", "127.0.0.1:1", "127.0.0.1:2", join="snapshot")


class Ended(BaseException):
    """The process ended here."""


@pytest.fixture
def make_builder(network: Network, tmp_path: Path) -> Callable[[], SnapshotBuilder]:
    """Return a function that fetches a whole snapshot beside an empty ledger, which is closed."""
    chain = network.open(tmp_path / "chain")
    for height in range(HEIGHT):
        network.commit(chain, network.anchors(height, 3))
    offer = make_snapshot(chain.snapshot_source(), tmp_path / "snapshot")
    blocks = [chain.sealed_block_bytes(height) for height in range(1, HEIGHT + 1)]
    chain.close()

    def make() -> SnapshotBuilder:
        network.open(tmp_path / "ledger").close()
        builder = SnapshotBuilder(tmp_path / "ledger", network.genesis, offer)
        for index in builder.missing_chunks:
            builder.add_chunk(index, (tmp_path / "snapshot" / str(index)).read_bytes())
        builder.add_blocks(blocks)
        return builder

    return make


def opened(network: Network, folder: Path) -> Ledger:
    """Open the ledger as a start does."""
    clear_leftovers(folder / "ledger")
    assert sorted(path.name for path in folder.glob("ledger*")) in ([], ["ledger"])
    return network.open(folder / "ledger")


def test_the_new_ledger_takes_the_place_of_the_empty_one(
    network: Network, tmp_path: Path, make_builder: Callable[[], SnapshotBuilder]
) -> None:
    take_place(tmp_path / "ledger", make_builder())
    ledger = opened(network, tmp_path)
    assert (ledger.height, ledger.base_height) == (HEIGHT, HEIGHT)
    assert not is_join_due(CONFIG, ledger)
    ledger.close()


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_process_that_ends_meanwhile_leaves_the_new_ledger_or_none_with_blocks(
    network: Network,
    tmp_path: Path,
    make_builder: Callable[[], SnapshotBuilder],
    renames: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    builder = make_builder()
    left = renames
    rename = Path.rename

    def end_before(path: Path, target: Path) -> Path:
        nonlocal left
        if not left:
            raise Ended
        left -= 1
        return rename(path, target)

    def end_at_once(path: Path, **_: object) -> None:
        if left == 0 and renames == 2 and path.exists():
            raise Ended

    monkeypatch.setattr(Path, "rename", end_before)
    monkeypatch.setattr(shutil, "rmtree", end_at_once)
    with pytest.raises(Ended):
        take_place(tmp_path / "ledger", builder)
    monkeypatch.undo()
    builder._storage.close()
    ledger = opened(network, tmp_path)
    assert ledger.height == (HEIGHT if renames == 2 else 0)
    assert is_join_due(CONFIG, ledger) == (renames < 2)
    ledger.close()


def test_the_log_says_where_the_setting_has_no_effect(
    network: Network, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = network.open(tmp_path / "ledger")
    assert is_join_due(CONFIG, ledger)
    assert not is_join_due(msgspec.structs.replace(CONFIG, join="blocks"), ledger)
    network.commit(ledger, network.anchors(1, 1))
    with caplog.at_level(logging.INFO):
        assert not is_join_due(CONFIG, ledger)
    assert "join_ignored" in caplog.text
    ledger.close()
