"""Streams whose reads come from commands: what was declared stays, heartbeats go on, and reads lie where they are asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.data_sharing.access import load_batch, load_stream
from sdk.access_audit.gathering import BodySources
from sdk.access_recording.keeping import keep_stream, open_recorder, policy_of_stream
from sdk.access_recording.second_place import RecordedQuery
from sdk.access_recording.shown_book import ShownBook
from sdk.access_recording.stored_reads import StoredReads
from sdk.cli.main import main
from sdk.client import Client
from sdk.department_services.accounts import SignedCallers
from sdk.department_services.audit_queries import query_times
from sdk.gateway.records_service import make_records_service
from sdk.gateway.shown_records import ShownRecords
from sm_crypto.keystore import Signer, save_key
from tests.clocks import set_clock
from tests.hand_made_chain import DEPARTMENT, run
from tests.made_reads import made_draft
from tests.sdk.persons.conftest import add_account
from tests.served import serve
from verification.access.query_scope import QueryScope
from verification.access.trace_writing import GivenReads

__all__ = ["run", "serve"]

CONSUMER = "11990100MB00000031"


@pytest.fixture
def client(node: Any) -> Any:
    node.chain.time_ms = time.time_ns() // 1_000_000 + 5_000
    with Client(node.url, node.chain.consumer) as made:
        yield made


def test_a_command_that_records_leaves_what_was_declared(node: Any, client: Any, tmp_path: Path) -> None:
    path = tmp_path / "reads.sqlite"
    stated = {"bodies_at": "https://data.house.example", "second_place": "市档案馆", "heartbeat_s": 3_600}
    keep_stream(path, client, CONSUMER, policy_of_stream(client, CONSUMER, **stated))
    policy = policy_of_stream(client, CONSUMER)
    with open_recorder(path, client, CONSUMER, policy) as recorder:
        recorder.record(made_draft("1"))
    stream = load_stream(node.chain.state, CONSUMER, client.address)
    assert stream is not None
    assert {name: getattr(stream, name) for name in stated} == stated
    assert {name: getattr(policy, name) for name in stated} == stated


def test_reads_of_a_store_at_hand_need_no_service(node: Any, client: Any, tmp_path: Path) -> None:
    path = tmp_path / "reads.sqlite"
    policy = policy_of_stream(client, CONSUMER, anchor_after_s=0)
    with open_recorder(path, client, CONSUMER, policy) as recorder:
        recorder.record_many([made_draft("1"), made_draft("2")])
    assert keep_stream(path, client, CONSUMER, policy).batch_number >= 1
    stream = load_stream(node.chain.state, CONSUMER, client.address)
    batch = load_batch(node.chain.state, CONSUMER, client.address, 1)
    assert stream is not None
    assert batch is not None
    store = StoredReads(path)
    for stores, is_there in (([store], True), ([], False)):
        sources = BodySources(client.chain_id, node.chain.consumer, stores=stores)
        given = next(iter(sources.fetch(stream, batch)))
        sources.close()
        assert isinstance(given, GivenReads) == is_there
        if isinstance(given, GivenReads):
            assert list(given.reads) == store.encoded_reads(1, 2)
        else:
            assert given.split(" / ") == ["记录方未声明查阅地址", "the recorder names no service for its reads"]
    # An older copy of the store, from before this batch, gives nothing: it is not told to have been altered.
    later = msgspec.structs.replace(batch, batch_number=9)
    sources = BodySources(client.chain_id, node.chain.consumer, stores=[store])
    assert next(iter(sources.fetch(stream, later))) == "reads.sqlite: 没有此批 / no such batch"
    sources.close()
    store.close()


def test_a_store_and_its_archive_are_traced_and_checked(
    node: Any, client: Any, tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = tmp_path / "reads.sqlite", tmp_path / "archives"
    policy = policy_of_stream(client, CONSUMER, anchor_after_s=0, second_place="")
    for name in ("1", "2"):
        with open_recorder(path, client, CONSUMER, policy) as recorder:
            recorder.record(made_draft(name))
        keep_stream(path, client, CONSUMER, policy)
    words = ["access", "archive", path, "--into", folder, "--url", node.url, "--json"]
    status, shown, err = run(*words, "--before", "2199-01-01")
    assert (status, json.loads(err)["error"]["code"]) == (1, "DAY_TOO_LATE")
    # Three days on, by the clock of the machine.
    now_ns = time.time_ns()
    set_clock(monkeypatch, "sdk.cli.access_archive", time_ns=lambda: now_ns + 3 * 86_400_000_000_000)
    day = time.strftime("%Y-%m-%d", time.gmtime(now_ns // 10**9 + 2 * 86_400))
    status, shown, err = run(*words, "--before", day)
    assert (status, shown["first_number"], shown["reads"]) == (0, 1, 1), (shown, err)
    status, again, _ = run(*words, "--before", day)
    assert (status, again["file"]) == (0, None)
    status, checked, _ = run("access", "check", path, "--url", node.url, "--json")
    assert (status, checked["findings"]) == (0, [])
    stream = load_stream(node.chain.state, CONSUMER, client.address)
    batch = load_batch(node.chain.state, CONSUMER, client.address, 1)
    assert stream is not None
    assert batch is not None
    for given_path in (path, Path(shown["file"])):
        store = StoredReads(given_path)
        sources = BodySources(client.chain_id, node.chain.consumer, stores=[store])
        given = next(iter(sources.fetch(stream, batch)))
        sources.close()
        assert isinstance(given, GivenReads)
        assert len(list(given.reads)) == 1
        store.close()


def test_a_store_of_commands_answers_who_may_see_its_reads(
    node: Any, client: Any, tmp_path: Path, serve: Callable[..., str]
) -> None:
    path = tmp_path / "reads.sqlite"
    policy = policy_of_stream(client, CONSUMER, anchor_after_s=0)
    with open_recorder(path, client, CONSUMER, policy) as recorder:
        recorder.record_many([made_draft("1"), made_draft("2")])
    keep_stream(path, client, CONSUMER, policy)
    store = StoredReads(path)
    shown = ShownRecords(store, query_times(client), lambda: node.chain.time_ms)
    url = serve(make_records_service(shown, SignedCallers(client, frozenset())))
    stream = load_stream(node.chain.state, CONSUMER, client.address)
    batch = load_batch(node.chain.state, CONSUMER, client.address, 1)
    assert stream is not None
    assert batch is not None
    # As a trace asks: the department itself, and an auditor only with the query that it has recorded.
    auditor = add_account(node.chain, DEPARTMENT, "审计", "auditor")
    scope = QueryScope(0, 4_000_000_000_000, (), bytes(32))
    stated = {"kind": "trace", "digest": scope.digest(), "basis": "审2026-1"}
    with Client(node.url, Signer(auditor)) as asking:
        asking.call("audits", "record_query", **stated)
    queries = [None, RecordedQuery(1, scope), RecordedQuery(1, msgspec.structs.replace(scope, from_ms=1))]
    callers = [(node.chain.consumer, None), *((auditor, query) for query in queries)]
    given = []
    for key, query in callers:
        sources = BodySources(client.chain_id, Signer(key), query)
        given.append(next(iter(sources.fetch(msgspec.structs.replace(stream, bodies_at=url), batch))))
        sources.close()
    store.close()
    whole, refused = store_reads(path), f"{url}: QUERY_NOT_RECORDED"
    assert [list(one.reads) if isinstance(one, GivenReads) else one for one in given] == [
        whole,
        refused,
        whole,
        refused,
    ]
    assert {(one.department, one.query, one.reads) for one in ShownBook(path).newest(9)} == {
        (CONSUMER, 0, 2),
        (DEPARTMENT, 1, 2),
    }


def store_reads(path: Path) -> list[bytes]:
    store = StoredReads(path)
    found = store.encoded_reads(1, 2)
    store.close()
    return found


def test_a_stream_of_commands_has_a_day_for_its_heartbeat_and_a_turn_keeps_it(
    node: Any, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reads.sqlite"
    policy = policy_of_stream(client, CONSUMER)
    assert policy.heartbeat_s == 86_400
    first = keep_stream(path, client, CONSUMER, policy)
    assert first.batch_number == 0
    # A timer that comes every eight hours, by both clocks.
    now_ns = time.time_ns()
    for turn in (1, 2, 3):
        elapsed_ms = turn * 28_800_000
        set_clock(monkeypatch, "sdk.access_recording.recorder", time_ns=lambda ms=elapsed_ms: now_ns + ms * 1_000_000)
        node.chain.time_ms += 28_800_000
        found = keep_stream(path, client, CONSUMER, policy)
        assert found.batch_number == turn
        assert found.due_ms == found.covered_ms + 86_400_000


def test_the_command_declares_where_reads_are_asked_for(node: Any, client: Any, tmp_path: Path) -> None:
    key, password = tmp_path / "house.key", tmp_path / "password"
    password.write_bytes(b"a password of a key")
    password.chmod(0o600)
    save_key(key, node.chain.consumer, password.read_bytes(), iterations=1_000)
    options = ["--url", node.url, "--key", str(key), "--password-file", str(password), "--json"]
    named = ["--records-url", "https://data.house.example", "--once"]
    with pytest.raises(SystemExit) as ended:
        main(["access", "keep", str(tmp_path / "reads.sqlite"), *named, *options])
    assert not ended.value.code
    stream = load_stream(node.chain.state, CONSUMER, client.address)
    assert stream is not None
    assert stream.bodies_at == "https://data.house.example"
