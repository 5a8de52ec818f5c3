"""Streams whose reads come from commands: what was declared stays, heartbeats go on, and reads lie where they are asked for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.access import load_batch, load_stream
from sdk.access_audit.gathering import BodySources
from sdk.access_recording.keeping import keep_stream, open_recorder, policy_of_stream
from sdk.access_recording.stored_reads import StoredReads
from sdk.cli.main import main
from sdk.client import Client
from sm_crypto.keystore import save_key
from tests.made_reads import made_draft
from verification.access.trace_writing import GivenReads

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
