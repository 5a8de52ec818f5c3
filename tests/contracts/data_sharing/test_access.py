"""Streams and batches of access records: numbers, digests and times go on without a gap, and nothing recorded is rewritten."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from contracts import registry
from contracts.data_sharing import access
from sm_crypto.merkle import EMPTY_ROOT
from sm_crypto.sm3 import sm3

POLICY: dict[str, Any] = {
    "heartbeat_s": 60,
    "max_batch_records": 10_000,
    "on_outage": access.GO_ON,
    "stop_after_s": 0,
    "bodies_at": "https://land.example/gov/records",
    "second_place": "https://archive.example",
}


@pytest.fixture
def office(bench: Any) -> Any:
    """The ledger with a declared stream of the tax bureau's recorder."""
    bench.accept(bench.recorder, "access", "declare_stream", **POLICY)
    return bench


def stream_of(office: Any, account: Any | None = None) -> access.StreamRecord:
    account = account or office.recorder
    found = access.load_stream(office.state, account.department, account.address)
    assert found is not None
    return found


def next_batch(office: Any, count: int = 3, account: Any | None = None, **changes: Any) -> dict[str, Any]:
    """Return the arguments of the batch that comes next in a stream."""
    stream = stream_of(office, account)
    arguments = {
        "batch_number": stream.batch_number + 1,
        "first_number": stream.number + 1,
        "count": count,
        "previous_digest": stream.digest,
        "last_digest": sm3(b"last%d" % (stream.number + count)) if count else stream.digest,
        "root": sm3(b"root%d" % stream.number) if count else EMPTY_ROOT,
        "from_ms": stream.covered_ms if stream.batch_number else office.time_ms - 5_000,
        "to_ms": office.time_ms,
        "served": count,
        "denied": 0,
        "irregular": 0,
        "rows": count * 2,
    }
    return arguments | changes


def test_batches_continue_a_stream(office: Any) -> None:
    first = next_batch(office)
    result = office.accept(office.recorder, "access", "record_batch", **first)
    fields = registry.decode_log(result.logs[0]).fields
    assert (fields["batch_number"], fields["first_number"], fields["count"], fields["root"]) == (1, 1, 3, first["root"])
    second = next_batch(office, 2, served=1, denied=1)
    office.accept(office.recorder, "access", "record_batch", **second)
    stream = office.view("access", "stream", department=office.recorder.department, recorder=office.recorder.address)
    assert (stream.number, stream.batch_number, stream.digest) == (5, 2, second["last_digest"])
    assert (stream.covered_ms, stream.recorded_ms) == (second["to_ms"], office.time_ms)
    kept = office.view(
        "access", "batch", department=office.recorder.department, recorder=office.recorder.address, batch_number=2
    )
    assert (kept.first_number, kept.served, kept.denied, kept.rows) == (4, 1, 1, 4)
    assert (kept.due_ms, kept.recorded_ms) == (first["to_ms"] + 60_000, office.time_ms)


def test_a_heartbeat_says_that_there_was_no_read(office: Any) -> None:
    office.accept(office.recorder, "access", "record_batch", **next_batch(office))
    office.accept(office.recorder, "access", "record_batch", **next_batch(office, 0))
    stream = stream_of(office)
    assert (stream.number, stream.batch_number) == (3, 2)
    for changes in ({"root": sm3(b"x")}, {"last_digest": sm3(b"x")}, {"rows": 1}):
        office.refuse(
            "HEARTBEAT_NOT_EMPTY", office.recorder, "access", "record_batch", **next_batch(office, 0, **changes)
        )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"batch_number": 3}, "BATCH_GAP"),
        ({"batch_number": 0}, "BATCH_GAP"),
        ({"first_number": 5}, "NUMBER_GAP"),
        ({"first_number": 3}, "NUMBER_GAP"),
        ({"previous_digest": sm3(b"fork")}, "PREVIOUS_DIGEST_MISMATCH"),
        ({"from_ms": 1}, "COVERAGE_GAP"),
        ({"to_ms": 2**62}, "DATE_OUT_OF_RANGE"),
        ({"to_ms": 1}, "DATES_REVERSED"),
        ({"served": 2}, "BATCH_OUTCOMES"),
        ({"irregular": 1}, "BATCH_OUTCOMES"),
        ({"count": 10_001, "served": 10_001}, "NUMBER_OUT_OF_RANGE"),
        ({"root": EMPTY_ROOT}, "BATCH_WITHOUT_READS"),
        ({"root": bytes(32)}, "DIGEST_ZERO"),
        ({"last_digest": bytes(32)}, "DIGEST_ZERO"),
    ],
)
def test_what_does_not_continue_the_stream_is_refused(office: Any, changes: dict[str, Any], code: str) -> None:
    office.accept(office.recorder, "access", "record_batch", **next_batch(office))
    office.time_ms += 1_000
    office.refuse(code, office.recorder, "access", "record_batch", **next_batch(office, **changes))


def test_a_batch_ends_at_most_as_far_ahead_as_clocks_may_run(office: Any) -> None:
    latest = office.time_ms + access.MAX_CLOCK_AHEAD_MS
    office.refuse("BATCH_IN_FUTURE", office.recorder, "access", "record_batch", **next_batch(office, to_ms=latest + 1))
    office.time_ms -= 1_000
    office.accept(office.recorder, "access", "record_batch", **next_batch(office, to_ms=latest))


def test_reads_may_share_the_millisecond_of_the_batch_before_and_heartbeats_not(office: Any) -> None:
    office.accept(office.recorder, "access", "record_batch", **next_batch(office))
    covered = stream_of(office).covered_ms
    office.refuse("DATES_REVERSED", office.recorder, "access", "record_batch", **next_batch(office, 0, to_ms=covered))
    office.accept(office.recorder, "access", "record_batch", **next_batch(office, to_ms=covered))


def test_the_same_batch_again_changes_nothing_and_another_in_its_place_is_refused(office: Any) -> None:
    first = next_batch(office)
    office.accept(office.recorder, "access", "record_batch", **first)
    office.accept(office.recorder, "access", "record_batch", **next_batch(office))
    # The policy may have changed since: it is the ledger's word in the record, not the recorder's.
    office.accept(office.recorder, "access", "declare_stream", **POLICY | {"heartbeat_s": 5})
    before = dict(office.state)
    result = office.accept(office.recorder, "access", "record_batch", **first)
    assert (result.logs, office.state) == ((), before)
    for change in ({"rows": 1}, {"root": sm3(b"x")}, {"to_ms": first["to_ms"] - 1}, {"served": 2, "denied": 1}):
        office.refuse("BATCH_REWRITTEN", office.recorder, "access", "record_batch", **first | change)


def test_only_recorders_declare_and_only_declared_streams_take_batches(office: Any) -> None:
    office.refuse("ROLE_MISSING", office.requester, "access", "declare_stream", **POLICY)
    batch = next_batch(office)
    office.refuse("ROLE_MISSING", office.requester, "access", "record_batch", **batch)
    office.refuse("STREAM_UNKNOWN", office.provider_recorder, "access", "record_batch", **batch)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"heartbeat_s": 0}, "NUMBER_OUT_OF_RANGE"),
        ({"heartbeat_s": 86_401}, "NUMBER_OUT_OF_RANGE"),
        ({"max_batch_records": 0}, "NUMBER_OUT_OF_RANGE"),
        ({"max_batch_records": 100_001}, "NUMBER_OUT_OF_RANGE"),
        ({"on_outage": 3}, "VALUE_UNKNOWN"),
        ({"stop_after_s": 1}, "NUMBER_OUT_OF_RANGE"),
        ({"on_outage": access.STOP}, "NUMBER_OUT_OF_RANGE"),
        ({"bodies_at": "x" * 201}, "TEXT_TOO_LONG"),
        ({"second_place": "a\nb"}, "TEXT_CONTROL_CHARACTER"),
    ],
)
def test_faulty_declarations_are_refused(office: Any, changes: dict[str, Any], code: str) -> None:
    office.refuse(code, office.recorder, "access", "declare_stream", **POLICY | changes)


def test_a_changed_policy_keeps_the_streams_place(office: Any) -> None:
    office.accept(office.recorder, "access", "record_batch", **next_batch(office))
    changed = {"heartbeat_s": 10, "on_outage": access.STOP, "stop_after_s": 300, "bodies_at": "", "second_place": ""}
    office.accept(office.recorder, "access", "declare_stream", **POLICY | changed)
    stream = stream_of(office)
    assert (stream.number, stream.batch_number) == (3, 1)
    assert (stream.heartbeat_s, stream.on_outage, stream.stop_after_s) == (10, access.STOP, 300)
    assert access.load_stream_count(office.state) == 1


def test_every_stream_there_is_stands_in_one_list(office: Any) -> None:
    office.accept(office.provider_recorder, "access", "declare_stream", **POLICY)
    assert access.load_stream_count(office.state) == 2
    names = [access.load_stream_name(office.state, index) for index in range(3)]
    assert names[0] == access.StreamName(office.recorder.department, office.recorder.address)
    assert names[1] == access.StreamName(office.provider_recorder.department, office.provider_recorder.address)
    assert names[2] is None


def test_a_stream_is_late_when_its_heartbeat_fails_to_come(office: Any) -> None:
    declared = stream_of(office)
    assert declared.due_ms == declared.first_declared_ms + 60_000
    office.accept(office.recorder, "access", "record_batch", **next_batch(office))
    stream = stream_of(office)
    assert not access.is_late(stream, stream.covered_ms + 60_000)
    assert access.is_late(stream, stream.covered_ms + 60_001)


def test_no_later_declaration_puts_off_what_was_promised(office: Any) -> None:
    promised = stream_of(office).due_ms
    office.accept(office.recorder, "access", "declare_stream", **POLICY | {"heartbeat_s": 86_400})
    assert stream_of(office).due_ms == promised
    office.time_ms = promised + 1
    assert access.is_late(stream_of(office), office.time_ms)
    office.accept(office.recorder, "access", "record_batch", **next_batch(office, from_ms=promised - 60_000))
    account = office.recorder
    kept = access.load_batch(office.state, account.department, account.address, 1)
    assert kept is not None
    assert kept.due_ms == promised < kept.recorded_ms
    # From the next batch on the new promise holds; a shorter one holds at once.
    assert stream_of(office).due_ms == kept.to_ms + 86_400_000
    office.accept(office.recorder, "access", "declare_stream", **POLICY | {"heartbeat_s": 10})
    assert stream_of(office).due_ms == office.time_ms + 10_000


def test_ending_a_stream_and_going_on_forgives_nothing(office: Any) -> None:
    promised = stream_of(office).due_ms
    office.time_ms = promised + 1
    office.accept(office.recorder, "access", "end_stream", recorder=office.recorder.address)
    assert stream_of(office).ended_ms > stream_of(office).due_ms
    office.accept(office.recorder, "access", "declare_stream", **POLICY)
    assert (stream_of(office).due_ms, access.is_late(stream_of(office), office.time_ms)) == (promised, True)


def test_a_stream_is_covered_from_its_first_declaration_on(office: Any) -> None:
    declared = stream_of(office).first_declared_ms
    office.time_ms += 3_600_000
    office.accept(office.recorder, "access", "declare_stream", **POLICY)
    assert stream_of(office).first_declared_ms == declared < stream_of(office).declared_ms
    later = next_batch(office, from_ms=declared + 1)
    office.refuse("COVERAGE_GAP", office.recorder, "access", "record_batch", **later)
    office.accept(office.recorder, "access", "record_batch", **next_batch(office, from_ms=declared))


def test_a_first_batch_that_reaches_back_is_the_later_for_it(office: Any) -> None:
    declared = stream_of(office).first_declared_ms
    office.accept(office.recorder, "access", "record_batch", **next_batch(office, from_ms=declared - 3_600_000))
    account = office.recorder
    kept = access.load_batch(office.state, account.department, account.address, 1)
    assert kept is not None
    assert kept.due_ms == declared - 3_540_000


def test_a_stream_ends_by_its_recorder_or_the_departments_administrator(office: Any) -> None:
    end = {"recorder": office.recorder.address}
    office.refuse("STREAM_UNKNOWN", office.administrator, "access", "end_stream", **end)
    office.accept(office.provider_recorder, "access", "declare_stream", **POLICY)
    theirs = {"recorder": office.provider_recorder.address}
    office.refuse("ROLE_MISSING", office.recorder, "access", "end_stream", **theirs)
    office.accept(office.administrator, "access", "end_stream", **theirs)
    assert not access.is_late(stream_of(office, office.provider_recorder), office.time_ms + 10**9)
    batch = next_batch(office, account=office.provider_recorder)
    office.refuse("STREAM_ENDED", office.provider_recorder, "access", "record_batch", **batch)
    office.refuse("STREAM_ENDED", office.administrator, "access", "end_stream", **theirs)
    office.accept(office.provider_recorder, "access", "declare_stream", **POLICY)
    office.accept(office.provider_recorder, "access", "record_batch", **batch)
    office.accept(office.recorder, "access", "end_stream", **end)


def test_a_governor_ends_the_streams_of_a_suspended_department_as_of_its_suspension(office: Any) -> None:
    account = office.recorder
    name = {"department": account.department, "recorder": account.address}
    suspension = {"code": account.department, "reason": "撤并"}
    office.refuse("DEPARTMENT_NOT_SUSPENDED", office.governor, "access", "end_suspended_stream", **name)
    office.accept(office.governor, "members", "suspend_department", **suspension)
    suspended_ms = office.time_ms
    office.refuse("DEPARTMENT_SUSPENDED", account, "access", "end_stream", recorder=account.address)
    office.time_ms += 7 * 86_400_000
    office.refuse("ROLE_MISSING", office.approver, "access", "end_suspended_stream", **name)
    nowhere = name | {"department": "11990100MB00000090"}
    office.refuse("DEPARTMENT_UNKNOWN", office.governor, "access", "end_suspended_stream", **nowhere)
    office.accept(office.governor, "access", "end_suspended_stream", **name)
    assert stream_of(office).ended_ms == suspended_ms
    assert not access.is_late(stream_of(office), office.time_ms)
    office.refuse("STREAM_ENDED", office.governor, "access", "end_suspended_stream", **name)
    # Resumed it goes on as after any end: its next batch covers the suspension too.
    office.accept(office.governor, "members", "resume_department", **suspension)
    office.accept(account, "access", "declare_stream", **POLICY)
    since_ms = stream_of(office).first_declared_ms
    office.accept(account, "access", "record_batch", **next_batch(office, from_ms=since_ms))


class Batches(RuleBasedStateMachine):
    """Right, repeated, skipped, forked and changed batches in any order; a model keeps what must stand."""

    bench_class: Any = None

    @initialize()
    def begin(self) -> None:
        self.office = self.bench_class()
        self.recorders = (self.office.recorder, self.office.provider_recorder)
        for account in self.recorders:
            self.office.accept(account, "access", "declare_stream", **POLICY)
        self.sent: tuple[list[dict[str, Any]], ...] = ([], [])

    def send(self, which: int, arguments: dict[str, Any]) -> Any:
        self.office.time_ms += 10
        return self.office.call(self.recorders[which], "access", "record_batch", **arguments)

    @rule(which=st.integers(0, 1), count=st.sampled_from([0, 1, 7, 10_000]))
    def send_next(self, which: int, count: int) -> None:
        arguments = next_batch(self.office, count, self.recorders[which])
        assert self.send(which, arguments).refusal is None
        self.sent[which].append(arguments)

    @rule(which=st.integers(0, 1), data=st.data())
    def send_again(self, which: int, data: st.DataObject) -> None:
        if self.sent[which]:
            before = dict(self.office.state)
            result = self.send(which, data.draw(st.sampled_from(self.sent[which])))
            assert (result.refusal, result.logs, self.office.state) == (None, (), before)

    @rule(which=st.integers(0, 1), data=st.data(), field=st.sampled_from(["rows", "count", "first_number", "to_ms"]))
    def send_changed(self, which: int, data: st.DataObject, field: str) -> None:
        if self.sent[which]:
            chosen = data.draw(st.sampled_from(self.sent[which]))
            assert self.send(which, chosen | {field: chosen[field] + 1}).refusal == "BATCH_REWRITTEN"

    @rule(which=st.integers(0, 1), ahead=st.integers(1, 5))
    def send_ahead(self, which: int, ahead: int) -> None:
        arguments = next_batch(self.office, 1, self.recorders[which])
        skipped = arguments | {"batch_number": arguments["batch_number"] + ahead}
        assert self.send(which, skipped).refusal == "BATCH_GAP"
        skipped = arguments | {"first_number": arguments["first_number"] + ahead}
        assert self.send(which, skipped).refusal == "NUMBER_GAP"

    @rule(which=st.integers(0, 1))
    def send_fork(self, which: int) -> None:
        fork = next_batch(self.office, 1, self.recorders[which], previous_digest=sm3(b"fork"))
        assert self.send(which, fork).refusal == "PREVIOUS_DIGEST_MISMATCH"

    @invariant()
    def the_ledger_holds_exactly_what_was_accepted(self) -> None:
        for account, sent in zip(self.recorders, self.sent, strict=True):
            number, covered, digest = 0, None, access.FIRST_PREVIOUS_DIGEST
            for batch_number, arguments in enumerate(sent, 1):
                kept = access.load_batch(self.office.state, account.department, account.address, batch_number)
                assert kept is not None
                assert {name: getattr(kept, name) for name in arguments} == arguments
                assert (kept.first_number, kept.previous_digest) == (number + 1, digest)
                assert covered in (None, kept.from_ms)
                number, covered, digest = number + kept.count, kept.to_ms, kept.last_digest
            stream = stream_of(self.office, account)
            assert (stream.number, stream.digest, stream.batch_number) == (number, digest, len(sent))
            decoded = msgspec.msgpack.decode(msgspec.msgpack.encode(stream), type=access.StreamRecord)
            assert decoded == stream


def test_streams_keep_the_batches_that_were_accepted_whatever_is_sent(make_bench: Any) -> None:
    machine: Any = type("BoundBatches", (Batches,), {"bench_class": make_bench})
    run_state_machine_as_test(machine, settings=settings(max_examples=15, stateful_step_count=15, deadline=None))
