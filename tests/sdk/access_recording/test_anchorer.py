"""The anchorer: every read on the ledger once, whatever is lost between the store and the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.data_sharing.access import GO_ON, BatchRecord, StreamRecord, load_batch, load_stream
from sdk.access_recording.anchorer import Anchorer
from sdk.access_recording.policy import RecordingPolicy
from sdk.access_recording.read_store import RecordingFailed
from sdk.access_recording.recorder import Recorder
from sdk.client import Client
from sdk.errors import CallRefused, NodeUnreachable
from tests.made_reads import made_draft
from verification.access.reads import ReadDraft, batch_root
from verification.errors import InputError

CONSUMER = "11990100MB00000031"
POLICY = RecordingPolicy(heartbeat_s=60, max_batch_records=10, anchor_after_s=5)


def drafts(count: int) -> list[ReadDraft]:
    return [made_draft(str(n)) for n in range(count)]


class LossyClient(Client):
    """Loses what the test says: a call before it reaches the ledger, or the answer to one that did."""

    losses: list[str]

    def call(self, contract: str, method: str, /, **arguments: Any) -> Any:
        loss = self.losses.pop(0) if self.losses and method == "record_batch" else ""
        if loss == "call":
            raise NodeUnreachable("NODE_UNREACHABLE", "没有应答", "no answer")
        receipt = super().call(contract, method, **arguments)
        if loss == "answer":
            raise NodeUnreachable("NODE_UNREACHABLE", "没有应答", "no answer")
        return receipt


class Office:
    """A recorder of the hand-made chain's consumer, whose clock is the chain's."""

    def __init__(self, node: Any, folder: Path, policy: RecordingPolicy = POLICY) -> None:
        self.chain = node.chain
        self.client = LossyClient(node.url, self.chain.consumer)
        self.client.losses = []
        self.policy, self.path = policy, folder / "reads.db"
        self.open()

    def open(self) -> None:
        self.ahead_ms = 0
        self.recorder = Recorder(
            self.path,
            CONSUMER,
            self.client.address,
            self.policy,
            now_ms=lambda: self.chain.time_ms + self.ahead_ms,
            steady_ms=lambda: self.chain.time_ms,
        )
        self.anchorer = Anchorer(self.recorder, self.client)

    def close(self) -> None:
        self.anchorer.stop()
        self.recorder.close()

    def stream(self) -> StreamRecord:
        found = load_stream(self.chain.state, CONSUMER, self.client.address)
        assert found is not None
        return found

    def batches(self) -> list[BatchRecord]:
        found = [
            load_batch(self.chain.state, CONSUMER, self.client.address, number)
            for number in range(1, self.stream().batch_number + 1)
        ]
        return [batch for batch in found if batch is not None]


@pytest.fixture
def office(node: Any, tmp_path: Path) -> Iterator[Office]:
    made = Office(node, tmp_path)
    yield made
    made.close()
    made.client.close()


def test_reads_are_on_the_ledger_when_their_time_or_number_is_full(office: Office) -> None:
    places = office.recorder.record_many(drafts(3))
    assert not office.anchorer.step()
    office.chain.time_ms += 5_000
    assert office.anchorer.step()
    assert not office.anchorer.step()
    (batch,) = office.batches()
    assert (batch.count, batch.served, batch.rows) == (3, 3, 6)
    assert batch.root == batch_root([place.digest for place in places])
    assert office.stream().digest == places[-1].digest
    office.recorder.record_many(drafts(25))
    assert [office.anchorer.step() for _ in range(3)] == [True, True, False]
    assert [batch.count for batch in office.batches()] == [3, 10, 10]
    status = office.anchorer.status()
    assert (status.number, status.unplanned, status.anchored_number, status.failure) == (28, 5, 23, None)
    office.anchorer.anchor_all()
    assert office.stream().number == 28


def test_a_quiet_stream_has_a_heartbeat_before_it_is_due(office: Office) -> None:
    office.anchorer.step()
    office.chain.time_ms += 28_000
    assert not office.anchorer.step()
    office.chain.time_ms += 1_000
    assert office.anchorer.step()
    (batch,) = office.batches()
    assert (batch.count, office.stream().number) == (0, 0)


@pytest.mark.parametrize("loss", ["call", "answer"])
def test_a_batch_whose_answer_is_lost_is_recorded_once(office: Office, loss: str) -> None:
    office.recorder.record_many(drafts(3))
    office.client.losses = [loss, loss]
    for _ in range(2):
        with pytest.raises(NodeUnreachable):
            office.anchorer.anchor_all()
        # What comes in between goes into the next batch: the one that may be on the ledger stays as it is.
        office.recorder.record_many(drafts(1))
        office.close()
        office.open()
    office.anchorer.anchor_all()
    assert [batch.count for batch in office.batches()] == [3, 2]
    assert office.stream().number == office.recorder.number == 5


def test_the_thread_catches_up_after_an_outage(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    office.recorder.record_many(drafts(10))
    office.client.losses = ["call"]
    reached: list[Any] = []
    office.anchorer._after_batch = reached.append
    office.anchorer.start()
    while not reached:
        assert office.anchorer._thread.is_alive()
        office.anchorer._stopping.wait(0.01)
    office.anchorer.stop()
    assert office.stream().number == 10
    # An operator reads why it took a while, once.
    assert [record.getMessage()[:38] for record in caplog.records] == ["batch_not_recorded: [NODE_UNREACHABLE]"]
    assert reached[0].count == 10


@pytest.mark.parametrize("reads", [1, 2])
def test_a_store_that_was_put_back_is_named_and_answers_nothing(office: Office, reads: int) -> None:
    """Also one that has come as far as the ledger again, with a batch of the same numbers: other reads stand in it."""
    office.recorder.record_many(drafts(2))
    office.anchorer.anchor_all()
    office.close()
    for file in office.path.parent.glob("reads.db*"):
        file.unlink()
    office.open()
    office.recorder.record_many(drafts(reads))
    assert office.recorder.plan_next().last_number == reads
    with pytest.raises(InputError) as fault:
        office.anchorer.step()
    assert fault.value.code == "STORE_FORKED"
    assert not office.recorder.is_open_for_reads()
    status = office.anchorer.status()
    assert (status.is_open, status.failure) == (False, "STORE_FORKED")
    # Nothing was sent that would change the evidence.
    assert office.stream().number == 2


def test_a_changed_read_in_the_store_cannot_be_recorded(office: Office) -> None:
    office.recorder.record_many(drafts(2))
    office.anchorer.anchor_all()
    plan = office.recorder.store.last_batch()
    assert plan is not None
    with pytest.raises(CallRefused) as refused:
        office.anchorer._send(msgspec.structs.replace(plan, rows=1))
    assert refused.value.code == "BATCH_REWRITTEN"
    assert not office.recorder.is_open_for_reads()


def test_a_changed_policy_is_declared(office: Office) -> None:
    office.anchorer.step()
    office.close()
    office.policy = msgspec.structs.replace(POLICY, heartbeat_s=20, bodies_at="https://gateway.example/gov/records")
    office.open()
    office.anchorer.step()
    assert (office.stream().heartbeat_s, office.stream().bodies_at) == (20, "https://gateway.example/gov/records")
    height = office.chain.height
    office.close()
    office.open()
    office.anchorer.step()
    assert office.chain.height == height


def test_an_ended_stream_is_declared_again(office: Office) -> None:
    office.recorder.record_many(drafts(1))
    office.anchorer.anchor_all()
    office.client.call("access", "end_stream", recorder=office.client.address)
    office.recorder.record_many(drafts(1))
    with pytest.raises(CallRefused):
        office.anchorer.anchor_all()
    office.anchorer.anchor_all()
    assert (office.stream().number, office.stream().ended_ms) == (2, 0)


def test_the_first_batch_covers_the_time_since_the_stream_was_declared(office: Office) -> None:
    """A stream that was declared before its store was made: nothing was read since, and the ledger is told so."""
    office.close()
    declared = {"max_batch_records": 10, "on_outage": GO_ON, "stop_after_s": 0, "bodies_at": "", "second_place": ""}
    office.client.call("access", "declare_stream", heartbeat_s=60, **declared)
    for file in office.path.parent.glob("reads.db*"):
        file.unlink()
    office.chain.time_ms += 3_600_000
    office.open()
    office.recorder.record_many(drafts(1))
    office.anchorer.anchor_all()
    (batch,) = office.batches()
    assert (batch.from_ms, batch.count) == (office.stream().first_declared_ms, 1)


def test_a_batch_that_waits_is_sent_under_a_policy_of_smaller_ones(office: Office) -> None:
    """Planned and on disk before the recorder was set to smaller batches: the ledger takes none above what is declared."""
    office.recorder.record_many(drafts(9))
    office.recorder.plan_next()
    office.close()
    office.policy = msgspec.structs.replace(office.policy, max_batch_records=4)
    office.open()
    office.recorder.record_many(drafts(5))
    office.anchorer.anchor_all()
    assert [batch.count for batch in office.batches()] == [9, 4, 1]
    office.close()
    office.open()
    office.recorder.record_many(drafts(1))
    office.anchorer.anchor_all()
    assert office.stream().max_batch_records == 4


@pytest.mark.parametrize("error", [sqlite3.OperationalError("unable to open database file"), KeyError("refusal")])
def test_the_thread_goes_on_after_what_nobody_foresaw(
    office: Office, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.recorder.record_many(drafts(10))
    store = office.recorder.store
    find, errors = store.batch_to_record, [error]

    def fail_once() -> Any:
        if errors:
            raise errors.pop()
        return find()

    monkeypatch.setattr(store, "batch_to_record", fail_once)
    monkeypatch.setattr("sdk.access_recording.anchorer.FIRST_RETRY_S", 0.01)
    office.anchorer._retry_s = 0.01
    reached: list[Any] = []
    office.anchorer._after_batch = reached.append
    office.anchorer.start()
    while not reached and office.anchorer._thread.is_alive():
        office.anchorer._stopping.wait(0.01)
    office.anchorer.stop()
    assert office.stream().number == 10


def test_a_batch_that_a_node_only_said_to_be_final_is_sent_again(office: Office) -> None:
    office.recorder.record_many(drafts(3))
    office.anchorer.anchor_all()
    office.recorder.record_many(drafts(2))
    office.recorder.mark_recorded(office.recorder.plan_next(), 9)
    office.recorder.record_many(drafts(1))
    with pytest.raises(CallRefused):
        office.anchorer.anchor_all()
    assert office.recorder.is_open_for_reads()
    office.anchorer.anchor_all()
    assert [batch.count for batch in office.batches()] == [3, 2, 1]


def test_a_store_that_was_put_back_answers_no_read_once_started(office: Office) -> None:
    office.recorder.record_many(drafts(2))
    office.anchorer.anchor_all()
    office.close()
    for file in office.path.parent.glob("reads.db*"):
        file.unlink()
    office.open()
    office.anchorer.start()
    assert not office.recorder.is_open_for_reads()


def test_a_clock_that_leaps_ahead_gives_no_read_its_time(office: Office) -> None:
    office.recorder.record_many(drafts(1))
    office.anchorer.anchor_all()
    office.ahead_ms = 10 * 365 * 86_400_000
    assert (office.recorder.is_open_for_reads(), office.anchorer.status().failure) == (False, "CLOCK_AHEAD")
    with pytest.raises(RecordingFailed) as refused:
        office.recorder.record_many(drafts(1))
    assert refused.value.code == "CLOCK_AHEAD"
    # Heartbeats go on, with the ledger's time.
    office.chain.time_ms += 60_000
    assert office.anchorer.step()
    office.ahead_ms = 0
    office.recorder.record_many(drafts(2))
    office.chain.time_ms += 60_000
    office.anchorer.anchor_all()
    assert [batch.count for batch in office.batches()] == [1, 0, 2]


def test_a_clock_that_was_behind_and_is_set_right_records_on(office: Office) -> None:
    office.ahead_ms = -3_600_000
    office.close()
    office.recorder = Recorder(
        office.path,
        CONSUMER,
        office.client.address,
        POLICY,
        now_ms=lambda: office.chain.time_ms + office.ahead_ms,
        steady_ms=lambda: 0,
    )
    office.anchorer = Anchorer(office.recorder, office.client)
    office.ahead_ms = 0
    assert not office.recorder.is_open_for_reads()
    office.anchorer.step()
    assert office.recorder.is_open_for_reads()


def test_another_accounts_key_anchors_nothing(office: Office) -> None:
    with Client(office.client.url, office.chain.clerk) as client, pytest.raises(InputError) as refused:
        Anchorer(office.recorder, client)
    assert refused.value.code == "SIGNER_NOT_RECORDER"
