"""What a node that joined by a snapshot shows: every record of the state, true totals, the blocks that it holds, and where they begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from explorer.index import Index
from explorer.index_queries import (
    find_access_records,
    find_blocks,
    find_identifiers,
    find_requests,
    find_resources,
    find_transactions,
    read_counters,
)
from explorer.index_tables import ACCESS_RECORDS, DOCUMENTS, REQUESTS, RESOURCES
from node.driver.signature_verifier import verify_transactions
from node.ledger.ledger import Ledger
from node.stages import StageClock
from sm_crypto.sm3 import sm3

RECORD_TABLES = (DOCUMENTS, RESOURCES, REQUESTS, ACCESS_RECORDS)


def open_index(world: Any, path: Path) -> Index:
    view: Any = world.view
    return Index(view, path, StageClock())


def records(index: Index) -> dict[str, set[tuple[Any, ...]]]:
    """Return what the lists of records hold, without the order."""
    found = {}
    with index.engine.connect() as connection:
        for table in RECORD_TABLES:
            columns = [column for column in table.columns if column.name != "sequence"]
            found[table.name] = {tuple(row) for row in connection.execute(sql.select(*columns))}
    return found


def resource_names(index: Index) -> list[str]:
    rows = find_resources(index.engine, None, 50, text=None, department=None, sharing_type=None)
    return [row.name for row in rows]


class JoinedWorld:
    """A world whose ledger began from a snapshot of another's, which it follows."""

    def __init__(self, whole: Any, folder: Path, join: Callable[[Ledger, Path], None]) -> None:
        join(whole.ledger, folder / "data")
        self.whole = whole
        # Its genesis is that of every world of this session, its ledger the one that is in the folder already.
        self.world = type(whole)(folder)
        self.ledger: Ledger = self.world.ledger
        self.view = self.world.view

    def follow(self) -> None:
        """Take over every block that the other has and this does not."""
        while self.ledger.height < self.whole.ledger.height:
            sealed = self.whole.ledger.sealed_block(self.ledger.height + 1)
            transactions = verify_transactions(sealed.body.transactions)
            executed = self.ledger.execute_block(sealed.header, transactions, sealed.body.evidence)  # type: ignore[arg-type]
            self.view.tell(self.ledger.commit(executed, sealed.certificate))


@pytest.fixture
def join_world(
    tmp_path: Path, join_by_snapshot: Callable[[Ledger, Path], None]
) -> Iterator[Callable[[Any], JoinedWorld]]:
    joined: list[JoinedWorld] = []

    def join(whole: Any) -> JoinedWorld:
        joined.append(JoinedWorld(whole, tmp_path / f"joined {len(joined)}", join_by_snapshot))
        return joined[-1]

    yield join
    for world in joined:
        world.ledger.close()


@pytest.fixture
def whole(make_world: Callable[[], Any], fill: Callable[[Any], None]) -> Any:
    world = make_world()
    fill(world)
    return world


def test_a_joined_nodes_index_holds_all_records_and_true_totals_but_only_its_own_blocks(
    whole: Any, join_world: Callable[[Any], JoinedWorld], tmp_path: Path
) -> None:
    joined = join_world(whole)
    base = joined.ledger.base_height
    indices = [open_index(world, tmp_path / name) for world, name in ((whole, "whole"), (joined, "joined"))]
    indices[1].start()
    assert indices[1].wait_for(base, 10.0)
    for number in range(3):
        raw = whole.sign("land", "anchors", "anchor", digest=sm3(b"%d" % number), label="一")
        whole.make_block([raw])
        joined.follow()
    issued = whole.issue("2025000090", document=b"after the join")
    joined.follow()
    assert indices[1].wait_for(joined.ledger.height, 10.0)
    indices[0].catch_up()
    assert records(indices[1]) == records(indices[0])
    assert resource_names(indices[1]) == resource_names(indices[0])
    totals = [read_counters(index.engine) for index in indices]
    assert totals[1] == totals[0]
    assert find_identifiers(indices[1].engine, sm3(b"after the join")) == [issued]
    listed = [row.height for row in find_blocks(indices[1].engine, None, 100)]
    assert listed == list(range(joined.ledger.height, base, -1))
    assert len(find_transactions(indices[1].engine, None, 100, department=None, contract=None)) == 4
    for index in indices:
        index.stop()


def test_an_index_made_later_counts_nothing_twice_and_resumes(
    whole: Any, join_world: Callable[[Any], JoinedWorld], tmp_path: Path
) -> None:
    joined = join_world(whole)
    base = joined.ledger.base_height
    for serial in ("2025000091", "2025000092"):
        whole.issue(serial, document=serial.encode())
        joined.follow()
    whole.publish("330000001/000099", "迟到的资源")
    joined.follow()
    reference = open_index(whole, tmp_path / "whole")
    reference.catch_up()
    index = open_index(joined, tmp_path / "joined")
    index.catch_up()
    assert index.height == joined.ledger.height
    assert records(index) == records(reference)
    assert read_counters(index.engine) == read_counters(reference.engine)
    assert resource_names(index)[0] == "迟到的资源"
    assert [row.height for row in find_blocks(index.engine, None, 100)] == [base + 3, base + 2, base + 1]
    index.stop()
    whole.issue("2025000093", document=b"later")
    joined.follow()
    again = open_index(joined, tmp_path / "joined")
    assert again.height == base + 3
    again.catch_up()
    reference.catch_up()
    assert records(again) == records(reference)
    assert read_counters(again.engine) == read_counters(reference.engine)
    again.stop()
    reference.stop()


def test_an_index_of_a_ledger_that_began_elsewhere_is_made_anew(
    whole: Any, join_world: Callable[[Any], JoinedWorld], tmp_path: Path
) -> None:
    path = tmp_path / "index"
    index = open_index(whole, path)
    index.catch_up()
    index.stop()
    joined = join_world(whole)
    index = open_index(joined, path)
    assert index.height == 0
    index.catch_up()
    assert find_blocks(index.engine, None, 100) == []
    index.stop()
    index = open_index(whole, path)
    assert index.height == 0
    index.catch_up()
    assert len(find_blocks(index.engine, None, 100)) == whole.ledger.height
    index.stop()


def test_a_seed_that_is_stopped_leaves_nothing_and_begins_anew(
    whole: Any, join_world: Callable[[Any], JoinedWorld], tmp_path: Path
) -> None:
    joined = join_world(whole)
    index = open_index(joined, tmp_path / "index")
    index._is_stopping = True
    index.catch_up()
    assert index.height == 0
    assert not any(records(index).values())
    index._is_stopping = False
    index.catch_up()
    assert index.height == joined.ledger.height
    assert find_requests(index.engine, None, 10, resource=None, department=None, state="granted", only_granted=True)
    assert find_access_records(
        index.engine, None, 10, resource=None, department=None, grant_id=None, person=None, party=None
    )
    index.stop()
