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
from sdk.access_recording.stored_reads import StoredReads
from sdk.cli.main import main
from sdk.client import Client
from sm_crypto.keystore import save_key
from tests.hand_made_chain import run
from tests.made_reads import made_draft
from verification.access.trace_writing import GivenReads

__all__ = ["run"]

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
    monkeypatch.setattr(time, "time_ns", lambda: now_ns + 3 * 86_400_000_000_000)
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
