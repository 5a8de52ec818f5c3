"""What a node that joined by a snapshot shows: every record of the state, true totals, the blocks that it holds, and where they begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sql

from contracts.certificate_records import certificate_key
from explorer.data_sharing.catalogue_queries import find_resources
from explorer.data_sharing.catalogue_tables import DATASETS, ENTRIES, LINKS, RESOURCE_TEXTS, RESOURCES, REVIEWS, WAITING
from explorer.data_sharing.score_matters import ASKED, RECEIVED
from explorer.index import Index
from explorer.index_queries import (
    find_blocks,
    find_identifiers,
    find_requests,
    find_transactions,
    read_counters,
)
from explorer.index_tables import DOCUMENTS, REQUESTS
from node.chain.transaction import decode_transaction, transaction_id
from node.driver.signature_verifier import verify_transactions
from node.ledger import snapshot
from node.ledger.ledger import Ledger
from node.stages import StageClock
from sm_crypto.sm3 import sm3

RECORD_TABLES = (DOCUMENTS, REQUESTS, ASKED, RECEIVED)
CATALOGUE_TABLES = (RESOURCES, RESOURCE_TEXTS, LINKS, ENTRIES, WAITING, REVIEWS, DATASETS)


def open_index(world: Any, path: Path) -> Index:
    view: Any = world.view
    return Index(view, path, StageClock())


def records(index: Index) -> dict[str, set[tuple[Any, ...]]]:
    """Return what the lists of records hold, without the order."""
    found = {}
    with index.engine.connect() as connection:
        for table in (*RECORD_TABLES, *CATALOGUE_TABLES):
            columns = [column for column in table.columns if column.name != "sequence"]
            found[table.name] = {tuple(row) for row in connection.execute(sql.select(*columns))}
    return found


def resource_codes(index: Index) -> list[str]:
    return [row.code for row in find_resources(index.engine, None, 50)]


class JoinedWorld:
    """A world whose ledger began from a snapshot of another's, which it follows."""

    def __init__(self, whole: Any, folder: Path, join: Callable[[Ledger, Path], None]) -> None:
        join(whole.ledger, folder / "data")
        self.whole = whole
        # Its genesis is that of every world of this session, its ledger the one that is in the folder already.
        self.world = type(whole)(folder)
        self.ledger: Ledger = self.world.ledger
        self.view = self.world.view
        self.waiting: set[bytes] = set()
        self.view.is_waiting = self.waiting.__contains__

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
    asked = {"request": world.grant, "item": "权利人", "claim": "姓名有误", "evidence": bytes(32)}
    for _ in range(2):
        assert world.call("housing", "sharing", "ask_correction", **asked)[1] is None
    return world


def test_a_joined_nodes_index_holds_all_records_and_true_totals_but_only_its_own_blocks(
    whole: Any, join_world: Callable[[Any], JoinedWorld], tmp_path: Path
) -> None:
    joined = join_world(whole)
    base = joined.ledger.base_height
    indices = [open_index(world, tmp_path / name) for world, name in ((whole, "whole"), (joined, "joined"))]
    indices[1].start()
    assert indices[1].wait_for(base, 60.0)
    for number in range(3):
        raw = whole.sign("land", "anchors", "anchor", digest=sm3(b"%d" % number), label="一")
        whole.make_block([raw])
        joined.follow()
    answer = {"request": whole.grant, "number": 1, "outcome": 1, "answer": "已更正"}
    assert whole.call("land", "sharing", "answer_correction", **answer)[1] is None
    issued = whole.issue("2025000090", document=b"after the join")
    joined.follow()
    assert indices[1].wait_for(joined.ledger.height, 60.0)
    indices[0].catch_up()
    assert records(indices[1]) == records(indices[0])
    assert len(records(indices[1])[ASKED.name]) == 2
    assert resource_codes(indices[1]) == resource_codes(indices[0])
    totals = [read_counters(index.engine) for index in indices]
    assert totals[1] == totals[0]
    assert find_identifiers(indices[1].engine, sm3(b"after the join")) == [issued]
    listed = [row.height for row in find_blocks(indices[1].engine, None, 100)]
    assert listed == list(range(joined.ledger.height, base, -1))
    assert len(find_transactions(indices[1].engine, None, 100, department=None, contract=None)) == 5
    for index in indices:
        index.stop()


def test_a_joined_node_lists_all_contracts_and_counts_transactions_of_those_whose_history_it_has(
    whole: Any, fill_contracts: Any, join_world: Callable[[Any], JoinedWorld], serve: Callable[..., Any]
) -> None:
    made = fill_contracts(whole)
    joined = join_world(whole)
    site = serve(joined.world)
    made.register("housing", 2)
    newer = made.deploy(b"\0")
    joined.follow()
    newest, oldest = site.get("/api/v1/contracts").json()["items"]
    assert [newest["address"], oldest["address"]] == ["0x" + newer.hex(), "0x" + made.registry.hex()]
    assert (newest["transaction_count"], oldest["transaction_count"]) == (1, None)
    assert (oldest["deployer_name"], oldest["code_size"]) == ("deployer", made.code_size)
    listed = site.get("/api/v1/transactions", params={"contract": oldest["address"]}).json()["items"]
    assert len(listed) == 1
    page = site.get(f"/contracts/{oldest['address']}").text
    missing = joined.ledger.missing_history
    assert missing is not None
    assert missing.zh in page
    assert missing.zh not in site.get(f"/contracts/{newest['address']}").text


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
    assert resource_codes(index)[0] == "330000001/000099"
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
    assert read_counters(index.engine)["access_records"] == 1
    index.stop()


class Served(NamedTuple):
    """A joined node that is served, three blocks above its snapshot, and the node that holds all."""

    joined: JoinedWorld
    site: Any
    whole: Any


@pytest.fixture
def served(whole: Any, join_world: Callable[[Any], JoinedWorld], serve: Callable[..., Any]) -> Served:
    joined = join_world(whole)
    for serial in ("2025000081", "2025000082", "2025000083"):
        whole.issue(serial, document=serial.encode())
    joined.follow()
    return Served(joined, serve(joined.world), whole)


def transaction_ids(ledger: Ledger, height: int) -> list[str]:
    return [
        "0x" + transaction_id(decode_transaction(raw).body).hex()
        for raw in ledger.sealed_block(height).body.transactions
    ]


def told(found: Any, base: int, first: int) -> None:
    """Hold an error's words to naming in both languages from where on this node holds history."""
    assert f"高度 {base} 的快照" in found["zh"]
    assert f"区块自高度 {first} 起" in found["zh"]
    assert f"自高度 {base + 1} 起" in found["zh"]
    assert f"from a snapshot of height {base}" in found["en"]
    assert f"blocks from {first} on" in found["en"]
    assert f"from {base + 1} on" in found["en"]


@pytest.fixture(params=["all blocks", "two blocks"])
def tail(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer takes every block, or the last two only."""
    if request.param == "two blocks":
        monkeypatch.setattr(snapshot, "TAIL_HEIGHTS", 2)
        monkeypatch.setattr(snapshot, "MAX_TRANSACTION_WINDOW_MS", 0)


@pytest.mark.usefixtures("tail")
def test_every_read_below_the_snapshot_says_from_where_on_this_node_holds_history(
    whole: Any, join_world: Callable[[Any], JoinedWorld], serve: Callable[..., Any]
) -> None:
    joined = join_world(whole)
    base, first = joined.ledger.base_height, joined.ledger.first_block
    whole.issue("2025000081", document=b"1")
    joined.follow()
    site = serve(joined.world)
    key = "0x" + certificate_key(whole.certificate).hex()
    for height in sorted({1, max(first - 1, 1), first, base - 1, base, base + 1}):
        answer, block = site.get(f"/api/v1/blocks/{height}"), site.rpc("gov_getBlock", height)
        if height >= first:
            assert answer.status_code == 200
            assert block["result"] == answer.json()
        else:
            assert (answer.status_code, answer.json()["code"]) == (410, "HISTORY_NOT_HELD")
            told(answer.json(), base, first)
            assert block["error"]["code"] == -32001
            assert block["error"]["data"]["code"] == "HISTORY_NOT_HELD"
            assert (block["error"]["data"]["base_height"], block["error"]["data"]["first_block"]) == (base, first)
            told(block["error"]["data"], base, first)
        page = site.get(f"/blocks/{height}", headers={"accept": "text/html"})
        assert page.status_code == (200 if height >= first else 410)
        assert (f"自高度 {base} 的快照开始" in page.text) == (height <= base)
        for identifier in transaction_ids(whole.ledger, height):
            answer = site.get(f"/api/v1/transactions/{identifier}")
            calls = [site.rpc(method, identifier) for method in ("gov_getReceipt", "gov_getTransaction")]
            if height > base:
                assert answer.json()["height"] == height
                assert [call["result"]["height"] for call in calls] == [height, height]
                continue
            assert (answer.status_code, answer.json()["code"]) == (410, "HISTORY_NOT_HELD")
            told(answer.json(), base, first)
            signed = site.get_signed("auditor", f"/api/v1/transactions/{identifier}")
            assert (signed.status_code, signed.json()["code"]) == (410, "HISTORY_NOT_HELD")
            for call in calls:
                assert (call["error"]["code"], call["error"]["data"]["code"]) == (-32001, "HISTORY_NOT_HELD")
                told(call["error"]["data"], base, first)
        targets = (
            f"/api/v1/proofs/state/{key}?height={height}",
            f"/api/v1/proofs/certificates/{whole.certificate}?height={height}",
        )
        for target in targets:
            answer = site.get(target)
            proof = site.rpc("gov_getProof", key, height)
            if height >= base:
                assert answer.status_code == 200
                assert "result" in proof
            else:
                assert (answer.status_code, answer.json()["code"]) == (410, "HISTORY_NOT_HELD")
                told(answer.json(), base, first)
                assert proof["error"]["data"]["code"] == "HISTORY_NOT_HELD"


def test_an_unknown_transaction_may_be_older_than_the_node_and_a_waiting_one_is_just_not_final(served: Served) -> None:
    site, joined = served.site, served.joined
    unknown = "0x" + "5a" * 32
    answer = site.get(f"/api/v1/transactions/{unknown}")
    assert (answer.status_code, answer.json()["code"], answer.json()["found"]) == (
        410,
        "HISTORY_NOT_HELD",
        f"/api/v1/transactions/{unknown}",
    )
    assert site.rpc("gov_getReceipt", unknown)["error"]["data"]["code"] == "HISTORY_NOT_HELD"
    assert site.rpc("gov_waitReceipt", unknown, 0)["result"] is None
    joined.waiting.add(bytes.fromhex(unknown[2:]))
    answer = site.get(f"/api/v1/transactions/{unknown}")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert site.rpc("gov_getReceipt", unknown)["result"] is None
    assert site.rpc("gov_getTransaction", unknown)["result"] is None


def test_lists_status_metrics_and_pages_say_where_history_begins_and_totals_are_true(served: Served) -> None:
    joined, site, whole = served
    base, first = joined.ledger.base_height, joined.ledger.first_block
    for name in ("blocks", "transactions"):
        page = site.get(f"/api/v1/{name}").json()
        assert [item["height"] for item in page["items"]] == [base + 3, base + 2, base + 1]
        assert page["from_height"] == base + 1
        told(page["notice"], base, first)
    status = site.get("/api/v1/status").json()
    assert (status["base_height"], status["first_block"]) == (base, first)
    assert site.rpc("gov_status")["result"]["base_height"] == base
    assert f"govnode_base_height {float(base)}" in site.get("/metrics").text
    overview = site.get("/", headers={"accept": "text/html"})
    assert overview.status_code == 200
    assert f"自高度 {base} 的快照开始" in overview.text
    assert f"from a snapshot of height {base}" in overview.text
    assert f"<b>{whole.ledger.height:,}</b>" in overview.text, "as many transactions as blocks, all of them counted"
    found = site.get(f"/api/v1/certificates/{whole.certificate}")
    assert found.status_code == 200
    by_document = site.get("/api/v1/verification", params={"document_digest": sm3(b"another document").hex()})
    assert whole.revoked in by_document.text


def test_a_node_that_has_just_joined_shows_its_pages(
    whole: Any, join_world: Callable[[Any], JoinedWorld], serve: Callable[..., Any]
) -> None:
    joined = join_world(whole)
    site = serve(joined.world)
    overview = site.get("/", headers={"accept": "text/html"})
    assert overview.status_code == 200
    assert f"高度 {joined.ledger.base_height} 之后还没有区块" in overview.text
    assert site.get("/catalogue", headers={"accept": "text/html"}).status_code == 200
    missing = site.get("/verify", params={"identifier": whole.certificate}, headers={"accept": "text/html"})
    assert missing.status_code == 200
    assert site.get("/api/v1/blocks").json()["items"] == []


def test_a_node_with_the_whole_history_says_so(whole: Any, serve: Callable[..., Any]) -> None:
    site = serve(whole)
    page = site.get("/api/v1/blocks").json()
    assert (page["from_height"], page["notice"]) == (1, None)
    status = site.get("/api/v1/status").json()
    assert (status["base_height"], status["first_block"]) == (0, 1)
    assert site.get("/api/v1/transactions/" + "5a" * 32).json()["code"] == "NOT_FOUND"
    assert "的快照" not in site.get("/", headers={"accept": "text/html"}).text
