"""Access records: streams without gaps, reads against their grant, and the properties that an auditor relies on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from contracts import registry
from contracts.data_sharing import access
from contracts.data_sharing.access import DENIED, FIRST_PREVIOUS_DIGEST, IRREGULAR, SERVED
from sm_crypto.sm3 import sm3


@pytest.fixture
def office(bench: Any) -> Any:
    """The ledger with one grant in force, in `granted`."""
    bench.publish()
    bench.granted = bench.grant()
    return bench


def read_arguments(
    office: Any, number: int = 1, previous: bytes = FIRST_PREVIOUS_DIGEST, **changes: Any
) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "number": number,
        "previous_digest": previous,
        "grant": office.granted,
        "person": sm3(b"keyed person"),
        "system": "存量房计税系统",
        "case_number": "2025-000001",
        "query_digest": sm3(b"query"),
        "result_digest": sm3(b"result"),
        "rows": 1,
        "outcome": SERVED,
        "read_ms": office.time_ms,
    }
    return arguments | changes


def record(office: Any, account: Any, **arguments: Any) -> bytes:
    output: bytes = office.accept(account, "access", "record", **arguments).output
    return output


def head_of(office: Any, account: Any) -> access.StreamHead:
    head: access.StreamHead = office.view(
        "access", "stream_head", department=account.department, recorder=account.address
    )
    return head


def test_a_read_is_recorded_against_its_grant(office: Any) -> None:
    result = office.accept(office.recorder, "access", "record", **read_arguments(office))
    kept = office.view(
        "access", "access_record", department=office.tax_bureau, recorder=office.recorder.address, number=1
    )
    assert (kept.resource, kept.provider, kept.consumer) == ("307013301/000001", office.land_bureau, office.tax_bureau)
    assert (kept.digest, kept.recorded_ms) == (result.output, office.time_ms)
    assert access.record_digest(kept.body) == result.output
    fields = registry.decode_log(result.logs[0]).fields
    assert (fields["grant"], fields["number"], fields["digest"]) == (office.granted, 1, result.output)


def test_numbers_go_on_without_a_gap(office: Any) -> None:
    first = record(office, office.recorder, **read_arguments(office))
    office.refuse("NUMBER_GAP", office.recorder, "access", "record", **read_arguments(office, 3, first))
    second = record(office, office.recorder, **read_arguments(office, 2, first))
    assert head_of(office, office.recorder) == access.StreamHead(2, second)
    office.refuse("NUMBER_GAP", office.recorder, "access", "record", **read_arguments(office, 0, second))
    office.refuse("NUMBER_GAP", office.recorder, "access", "record", **read_arguments(office, 2**64 - 1, second))


def test_a_record_names_the_one_before(office: Any) -> None:
    wrong = read_arguments(office, 1, sm3(b"another"))
    office.refuse("PREVIOUS_DIGEST_MISMATCH", office.recorder, "access", "record", **wrong)
    first = record(office, office.recorder, **read_arguments(office))
    wrong = read_arguments(office, 2, FIRST_PREVIOUS_DIGEST)
    text = office.refuse("PREVIOUS_DIGEST_MISMATCH", office.recorder, "access", "record", **wrong)
    assert first.hex() in text


def test_the_same_record_again_changes_nothing(office: Any) -> None:
    first, second = read_arguments(office), {}
    digest = record(office, office.recorder, **first)
    second = read_arguments(office, 2, digest)
    record(office, office.recorder, **second)
    before = dict(office.state)
    for again, expected in ((first, digest), (second, head_of(office, office.recorder).digest)):
        result = office.accept(office.recorder, "access", "record", **again)
        assert (result.output, result.logs) == (expected, ())
    assert office.state == before


def test_the_same_number_with_other_content_is_refused(office: Any) -> None:
    record(office, office.recorder, **read_arguments(office))
    for change in (
        {"rows": 2},
        {"person": sm3(b"x")},
        {"case_number": "other"},
        {"read_ms": office.time_ms - 1},
        {"outcome": DENIED},
    ):
        office.refuse("RECORD_REWRITTEN", office.recorder, "access", "record", **read_arguments(office) | change)


def test_provider_and_consumer_record_in_streams_of_their_own(office: Any) -> None:
    one = record(office, office.recorder, **read_arguments(office))
    other = record(office, office.provider_recorder, **read_arguments(office))
    assert one != other
    assert head_of(office, office.recorder).number == head_of(office, office.provider_recorder).number == 1


def test_only_recorders_of_a_party_record(office: Any) -> None:
    office.refuse("ROLE_MISSING", office.requester, "access", "record", **read_arguments(office))
    office.accept(office.governor, "members", "set_roles", account=office.auditor.address, roles=["recorder"])
    office.refuse("NOT_A_PARTY", office.auditor, "access", "record", **read_arguments(office))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grant": sm3(b"no grant")}, "REQUEST_UNKNOWN"),
        ({"person": bytes(32)}, "DIGEST_ZERO"),
        ({"query_digest": bytes(32)}, "DIGEST_ZERO"),
        ({"result_digest": bytes(32)}, "DIGEST_ZERO"),
        ({"system": ""}, "TEXT_EMPTY"),
        ({"case_number": ""}, "TEXT_EMPTY"),
        ({"case_number": "9" * 65}, "TEXT_TOO_LONG"),
        ({"outcome": 0}, "VALUE_UNKNOWN"),
        ({"outcome": 4}, "VALUE_UNKNOWN"),
        ({"read_ms": 2**62}, "DATE_OUT_OF_RANGE"),
    ],
)
def test_faulty_records_are_refused(office: Any, changes: dict[str, Any], code: str) -> None:
    office.refuse(code, office.recorder, "access", "record", **read_arguments(office, **changes))


def test_a_read_does_not_lie_in_the_future_beyond_the_clocks_tolerance(office: Any) -> None:
    latest = office.time_ms + access.MAX_CLOCK_AHEAD_MS
    office.refuse("READ_IN_FUTURE", office.recorder, "access", "record", **read_arguments(office, read_ms=latest + 1))
    office.refuse(
        "DIGEST_ZERO", office.recorder, "access", "record", **read_arguments(office, read_ms=latest, person=bytes(32))
    )
    record(office, office.recorder, **read_arguments(office, read_ms=latest))


def test_reads_before_a_stop_count_and_later_ones_cannot_pass_as_served(office: Any) -> None:
    read_ms = office.time_ms
    office.accept(office.approver, "sharing", "stop", request=office.granted, reason="到期")
    stopped_ms = office.time_ms
    first = record(office, office.recorder, **read_arguments(office, read_ms=read_ms))
    late = read_arguments(office, 2, first, read_ms=stopped_ms)
    office.refuse("GRANT_NOT_IN_FORCE", office.recorder, "access", "record", **late)
    # What happened all the same is recorded as what it was, and what was turned away as that.
    second = record(office, office.recorder, **late | {"outcome": IRREGULAR})
    denied = read_arguments(office, 3, second, read_ms=stopped_ms, outcome=DENIED, result_digest=bytes(32), rows=0)
    record(office, office.recorder, **denied)


def test_a_request_that_waits_is_no_grant(office: Any) -> None:
    office.granted = office.request(purpose="另一事由")
    office.refuse("GRANT_NOT_IN_FORCE", office.recorder, "access", "record", **read_arguments(office))


def test_readers_of_a_stream(office: Any) -> None:
    department, recorder = office.recorder.department, office.recorder.address
    assert access.load_stream_head(office.state, department, recorder) == access.EMPTY_STREAM
    digest = record(office, office.recorder, **read_arguments(office))
    kept = access.load_access_record(office.state, department, recorder, 1)
    assert kept is not None
    assert kept.digest == digest
    assert access.RECORDS.decode(office.state[access.record_key(department, recorder, 1)]) == kept
    assert access.HEADS.decode(office.state[access.head_key(department, recorder)]).number == 1
    assert access.load_access_record(office.state, department, recorder, 2) is None


class Streams(RuleBasedStateMachine):
    """Two recorders send right, repeated, skipped, forked and changed records in any order; a model keeps what must stand."""

    bench_class: Any = None

    @initialize()
    def begin(self) -> None:
        self.office = self.bench_class()
        self.office.publish()
        self.office.granted = self.office.grant()
        self.recorders = (self.office.recorder, self.office.provider_recorder)
        self.sent: tuple[list[dict[str, Any]], ...] = ([], [])
        self.digests: tuple[list[bytes], ...] = ([FIRST_PREVIOUS_DIGEST], [FIRST_PREVIOUS_DIGEST])

    def send(self, which: int, arguments: dict[str, Any]) -> Any:
        self.office.time_ms += 10
        return self.office.call(self.recorders[which], "access", "record", **arguments)

    @rule(which=st.integers(0, 1), rows=st.integers(0, 9))
    def send_next(self, which: int, rows: int) -> None:
        arguments = read_arguments(self.office, len(self.sent[which]) + 1, self.digests[which][-1], rows=rows)
        result = self.send(which, arguments)
        assert result.refusal is None
        self.sent[which].append(arguments)
        self.digests[which].append(result.output)

    @rule(which=st.integers(0, 1), data=st.data())
    def send_again(self, which: int, data: st.DataObject) -> None:
        if self.sent[which]:
            index = data.draw(st.integers(0, len(self.sent[which]) - 1))
            before = dict(self.office.state)
            result = self.send(which, self.sent[which][index])
            assert (result.refusal, result.output, result.logs) == (None, self.digests[which][index + 1], ())
            assert self.office.state == before

    @rule(which=st.integers(0, 1), data=st.data())
    def send_changed(self, which: int, data: st.DataObject) -> None:
        if self.sent[which]:
            index = data.draw(st.integers(0, len(self.sent[which]) - 1))
            changed = self.sent[which][index] | {"case_number": "changed"}
            assert self.send(which, changed).refusal == "RECORD_REWRITTEN"

    @rule(which=st.integers(0, 1), ahead=st.integers(2, 5))
    def send_ahead(self, which: int, ahead: int) -> None:
        number = len(self.sent[which]) + ahead
        assert self.send(which, read_arguments(self.office, number, self.digests[which][-1])).refusal == "NUMBER_GAP"

    @rule(which=st.integers(0, 1), data=st.data())
    def send_fork(self, which: int, data: st.DataObject) -> None:
        wrong = data.draw(st.sampled_from([sm3(b"fork"), *self.digests[which][:-1]]))
        fork = read_arguments(self.office, len(self.sent[which]) + 1, wrong)
        assert self.send(which, fork).refusal == "PREVIOUS_DIGEST_MISMATCH"

    @invariant()
    def the_ledger_holds_exactly_what_was_accepted(self) -> None:
        for account, digests in zip(self.recorders, self.digests, strict=True):
            assert head_of(self.office, account) == access.StreamHead(len(digests) - 1, digests[-1])
            previous = FIRST_PREVIOUS_DIGEST
            for number, digest in enumerate(digests[1:], 1):
                kept = access.load_access_record(self.office.state, account.department, account.address, number)
                assert kept is not None
                assert (kept.digest, kept.body.previous_digest) == (digest, previous)
                assert (
                    access.record_digest(
                        msgspec.msgpack.decode(msgspec.msgpack.encode(kept.body), type=access.AccessBody)
                    )
                    == digest
                )
                previous = digest
        stored = [key for key in self.office.state if key.startswith(access.RECORDS.prefix)]
        assert len(stored) == sum(len(digests) - 1 for digests in self.digests)


def test_streams_keep_what_was_accepted_whatever_is_sent(make_bench: Any) -> None:
    machine: Any = type("BoundStreams", (Streams,), {"bench_class": make_bench})
    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=20, deadline=None))
