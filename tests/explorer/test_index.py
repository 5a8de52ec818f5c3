"""The index: follows, resumes, is made anew when it is of another chain, and goes on after a failure."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from explorer.index import Index
from explorer.index_queries import find_blocks, find_identifiers, find_transactions, read_counters
from node.stages import StageClock
from sm_crypto.sm3 import sm3


def open_index(world: Any, path: Path) -> Index:
    view: Any = world.view
    return Index(view, path, StageClock())


def heights(index: Index) -> list[int]:
    return [row.height for row in find_blocks(index.engine, None, 1_000)]


def test_the_index_follows_and_counts(make_world: Callable[[], Any], fill: Any, tmp_path: Path) -> None:
    world = make_world()
    index = open_index(world, tmp_path / "index.sqlite")
    index.start()
    fill(world)
    assert index.wait_for(world.ledger.height, 60.0)
    counters = read_counters(index.engine)
    assert counters == {
        "transactions": world.ledger.height,
        "certificates": 2,
        "resources": 3,
        "requests": 1,
        "grants": 1,
        "access_records": 1,
    }
    world.issue("2025000050")
    assert index.wait_for(world.ledger.height, 60.0)
    assert heights(index) == list(range(world.ledger.height, 0, -1))
    index.stop()


def test_the_index_resumes_where_it_stopped(make_world: Callable[[], Any], fill: Any, tmp_path: Path) -> None:
    world, path = make_world(), tmp_path / "index.sqlite"
    fill(world)
    first = open_index(world, path)
    first.catch_up()
    first.stop()
    world.issue("2025000060")
    again = open_index(world, path)
    assert again.height == world.ledger.height - 1
    again.catch_up()
    assert heights(again) == list(range(world.ledger.height, 0, -1))
    assert read_counters(again.engine)["certificates"] == 3
    again.stop()


def test_an_index_of_another_chain_is_made_anew(make_world: Callable[[], Any], fill: Any, tmp_path: Path) -> None:
    path, longer, shorter = tmp_path / "index.sqlite", make_world(), make_world()
    fill(longer)
    index = open_index(longer, path)
    index.catch_up()
    index.stop()
    shorter.make_block([])
    index = open_index(shorter, path)
    assert index.height == 0
    index.catch_up()
    assert heights(index) == [1]
    assert read_counters(index.engine) == {}
    index.stop()


def test_a_damaged_index_is_kept_aside_and_made_anew(make_world: Callable[[], Any], fill: Any, tmp_path: Path) -> None:
    world, path = make_world(), tmp_path / "index.sqlite"
    fill(world)
    path.write_bytes(b"no database " * 1_000)
    index = open_index(world, path)
    index.catch_up()
    assert heights(index) == list(range(world.ledger.height, 0, -1))
    assert (tmp_path / "index.sqlite.damaged").read_bytes().startswith(b"no database")
    index.stop()


def test_a_block_is_indexed_whole_or_not_at_all(
    make_world: Callable[[], Any], fill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure between two tables of one batch leaves nothing behind; the next attempt puts all of it in once."""
    world = make_world()
    fill(world)
    path = tmp_path / "index.sqlite"
    index = open_index(world, path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON requests BEGIN SELECT RAISE(FAIL, 'full'); END")
    connection.close()
    with pytest.raises(Exception, match="full"):
        index.catch_up()
    assert index.height == 0
    assert heights(index) == []
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER full")
    connection.close()
    index.catch_up()
    assert heights(index) == list(range(world.ledger.height, 0, -1))
    assert read_counters(index.engine)["transactions"] == world.ledger.height
    index.stop()


def test_many_blocks_in_one_batch_and_refusals(make_world: Callable[[], Any], fill: Any, tmp_path: Path) -> None:
    world = make_world()
    fill(world)
    raws = [world.sign("land", "anchors", "anchor", digest=sm3(b"same"), label="一") for _ in range(5)]
    world.make_block(raws)
    for _ in range(300):
        world.make_block([])
    index = open_index(world, tmp_path / "index.sqlite")
    index.catch_up()
    assert index.height == world.ledger.height
    assert read_counters(index.engine)["refused"] == 4
    rows = find_transactions(index.engine, None, 50, department=world.land, contract="anchors")
    assert len(rows) == 5
    assert find_identifiers(index.engine, sm3("一份合成的不动产权证书\n".encode())) == [world.certificate]
    index.stop()
