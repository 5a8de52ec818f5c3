"""What a trace asks for is in it, what it does not ask for is not shown, and what no batch covers yet is said to be open."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.data_sharing import access
from contracts.data_sharing.working_days import Calendar
from tests.hand_made_chain import CONSUMER, DEPARTMENT, START_MS
from tests.verification.access.audit_world import (
    HEARTBEAT_S,
    OTHER_PERSON,
    PERSON,
    AuditWorld,
    draft_read,
    reads_of,
)
from verification.access.reads import NO_DIGEST
from verification.access.rule_figures import RuleFigures
from verification.access.rule_table import RuleTable
from verification.access.rules import AuditFacts, judge
from verification.access.trace_filter import TraceFilter
from verification.access.trace_verdict import MAX_UNTIL_NOW_MS


def test_a_person_is_traced_across_departments_and_others_are_not_shown() -> None:
    world = AuditWorld()
    world.both([draft_read(1), draft_read(2, person=OTHER_PERSON), draft_read(3, person=NO_DIGEST)])
    world.close_period()
    raw = world.trace(person=PERSON)[0]
    verdict = world.verify(raw)
    assert (verdict.reads, verdict.matches, verdict.is_complete) == (6, 2, True)
    assert {(read.side, read.number) for read in reads_of(world, raw)} == {("provider", 1), ("consumer", 1)}
    assert raw.count(OTHER_PERSON) == 2, "once on each side, as what shows that the read is another person's"
    assert b"2026-000002" not in raw, "the case of the other person's read stays hidden"


def test_a_sealed_number_is_neither_the_persons_nor_not() -> None:
    world = AuditWorld()
    world.both([draft_read(1), draft_read(2, person=NO_DIGEST, sealed_person=b"sealed")])
    world.close_period()
    verdict = world.verify(world.trace(person=PERSON)[0])
    assert (verdict.is_complete, verdict.matches, verdict.sealed_persons) == (True, 2, 2)
    assert world.verify(world.trace(person=OTHER_PERSON)[0]).matches == 0
    assert world.verify(world.trace()[0]).undecided_texts == ("", ""), "where nobody is asked for, nothing is undecided"


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        ({"resource": "307013301/000002"}, [3]),
        ({"department": "91330100MA27XXXX0P"}, []),
        ({"grant": b"\x05" * 32}, [2]),
        ({"case_number": "2026-000001"}, [1]),
        ({"case_number": "2026-000001", "person": OTHER_PERSON}, []),
    ],
)
def test_each_field_of_a_filter_selects(changes: dict[str, Any], numbers: list[int]) -> None:
    world = AuditWorld()
    world.provider.record(
        [draft_read(1), draft_read(2, grant=b"\x05" * 32), draft_read(3, resource="307013301/000002")]
    )
    world.close_period()
    raw = world.trace(**changes)[0]
    verdict = world.verify(raw)
    assert (verdict.is_complete, verdict.reads) == (True, 3)
    assert [read.number for read in reads_of(world, raw)] == numbers


def test_times_select_reads_and_batches(world: AuditWorld) -> None:
    first, second = (world.provider.reads[index].read_ms for index in (1, 3))
    raw = world.trace(TraceFilter(first, second, recorded_by=(world.provider.department,)))[0]
    verdict = world.verify(raw)
    assert [read.number for read in reads_of(world, raw)] == [2, 3, 4]
    assert (verdict.streams, verdict.streams_looked_at, verdict.batches) == (2, 1, 2)
    before = world.verify(world.trace(TraceFilter(0, 1))[0])
    assert (before.is_complete, before.matches) == (True, 0)


def test_a_period_that_ends_before_it_begins_is_no_trace(world: AuditWorld) -> None:
    verdict = world.verify(world.trace(TraceFilter(START_MS + 2, START_MS + 1))[0])
    assert ([fault.code for fault in verdict.faults], verdict.is_complete) == (["TRACE_MALFORMED"], False)


def test_what_is_not_due_yet_is_named_and_no_gap() -> None:
    """An auditor who asks for everything until now has a complete answer, which says until when it is one."""
    world = AuditWorld()
    world.both([draft_read(1)])
    covered = {recorder.department: recorder.covered_ms for recorder in (world.provider, world.consumer)}
    world.chain.time_ms += HEARTBEAT_S * 1_000 // 2
    verdict = world.verify(world.trace(world.wanted(to_ms=world.chain.time_ms, is_until_now=True))[0])
    assert (verdict.is_complete, verdict.open_streams, verdict.matches) == (True, [], 2)
    assert {one.department: one.covered_ms for one in verdict.pending_streams} == covered
    due = {one.department: one.due_ms for one in verdict.pending_streams}
    assert due == {department: covered_ms + HEARTBEAT_S * 1_000 for department, covered_ms in covered.items()}
    assert (verdict.covered_until_ms, verdict.pending_count) == (min(covered.values()), 2)
    first_due_ms = min(due.values())
    assert [verdict.is_due_by(now_ms) for now_ms in (first_due_ms, first_due_ms + 1)] == [False, True]


def test_a_period_that_is_over_is_complete_once_it_is_covered_whole() -> None:
    """Whoever asks for yesterday's reads is not told that none is missing while they are not on the ledger."""
    world = AuditWorld()
    world.both([draft_read(1)])
    for recorder in (world.provider, world.consumer):
        recorder.declare(heartbeat_s=access.MAX_HEARTBEAT_S)
        recorder.record([])
    hour = TraceFilter(world.chain.time_ms + 3_600_000, world.chain.time_ms + 7_200_000)
    world.chain.time_ms += 7_200_000 + MAX_UNTIL_NOW_MS + 1
    verdict = world.verify(world.trace(hour)[0])
    assert (verdict.is_sound, verdict.is_complete, verdict.pending_count, verdict.open_count) == (True, False, 2, 0)
    assert verdict.covered_until_ms < hour.from_ms
    # Who says that it was asked for until now is not believed where the block came later, though a part is covered.
    claimed = msgspec.structs.replace(hour, from_ms=hour.from_ms - 7_200_000, is_until_now=True)
    assert not world.verify(world.trace(claimed)[0]).is_complete
    # A period until now of which nothing is covered is no answer either.
    world.chain.time_ms += 1_000
    now = TraceFilter(hour.from_ms, world.chain.time_ms, is_until_now=True)
    assert not world.verify(world.trace(now)[0]).is_complete
    earlier = msgspec.structs.replace(now, from_ms=hour.from_ms - 7_200_000)
    assert world.verify(world.trace(earlier)[0]).is_complete
    # Nor is a day that has just ended a period until now.
    day = msgspec.structs.replace(earlier, is_until_now=False)
    assert not world.verify(world.trace(day)[0]).is_complete
    for recorder in (world.provider, world.consumer):
        recorder.record([])
    assert world.verify(world.trace(hour)[0]).is_complete


def test_what_is_late_as_of_the_block_is_missing() -> None:
    world = AuditWorld()
    world.both([draft_read(1)])
    world.consumer.declare(heartbeat_s=10 * HEARTBEAT_S)
    world.consumer.record([])
    since_ms = world.provider.covered_ms
    world.chain.time_ms += HEARTBEAT_S * 1_000 + 60_000
    verdict = world.verify(world.trace(world.wanted(to_ms=world.chain.time_ms))[0])
    assert (verdict.is_sound, verdict.reaches_end, verdict.is_complete) == (True, True, False)
    assert [(one.department, one.covered_ms) for one in verdict.open_streams] == [(DEPARTMENT, since_ms)]
    assert [one.department for one in verdict.pending_streams] == [CONSUMER]
    assert verdict.covered_until_ms == since_ms


def test_a_stream_declared_just_now_is_not_due_from_its_declaration_on() -> None:
    world = AuditWorld()
    world.provider.declare()
    start = world.chain.time_ms
    world.chain.time_ms += 1_000
    verdict = world.verify(world.trace(TraceFilter(start - 1_000, world.chain.time_ms, is_until_now=True))[0])
    assert (verdict.is_complete, verdict.open_count) == (True, 0)
    assert [one.covered_ms for one in verdict.pending_streams] == [verdict.covered_until_ms]
    assert start - 1_000 < verdict.covered_until_ms <= start


def test_an_ended_stream_is_not_waited_for(world: AuditWorld) -> None:
    for recorder in (world.provider, world.consumer):
        world.chain.call(recorder.key, "access", "end_stream", recorder=recorder.address)
    world.chain.time_ms += 10_000_000
    wanted = world.wanted(to_ms=world.chain.time_ms)
    assert world.verify(world.trace(wanted)[0]).is_complete
    assert world.verify(world.trace(TraceFilter(world.chain.time_ms - 1, world.chain.time_ms))[0]).is_complete


def test_a_department_suspended_in_good_order_is_missing_in_no_later_trace(world: AuditWorld) -> None:
    chain, consumer = world.chain, world.consumer
    chain.call(chain.governor, "members", "suspend_department", code=CONSUMER, reason="撤并")
    chain.time_ms += 3 * 86_400_000
    named = {"department": CONSUMER, "recorder": consumer.address}
    chain.call(chain.governor, "access", "end_suspended_stream", **named)
    world.provider.record([])
    for from_ms in (world.wanted().from_ms, chain.time_ms - 3_600_000):
        facts = AuditFacts()
        wanted = TraceFilter(from_ms, world.provider.covered_ms)
        verdict = world.verify(world.trace(wanted)[0], facts.listener())
        assert (verdict.is_complete, verdict.open_count) == (True, 0)
        figures = RuleFigures(RuleTable(day_from_minute=0, day_to_minute=1_440))
        found = judge(facts, verdict, figures, Calendar()).findings
        assert CONSUMER not in {finding.subject.department for finding in found}, found


def test_a_stream_that_ended_while_it_was_late_stays_open(world: AuditWorld) -> None:
    world.chain.time_ms += 43_200_000
    world.consumer.record([])
    world.provider.declare(heartbeat_s=access.MAX_HEARTBEAT_S)
    world.chain.call(world.provider.key, "access", "end_stream", recorder=world.provider.address)
    ended_ms = world.chain.time_ms
    verdict = world.verify(world.trace(world.wanted(to_ms=ended_ms - 3_600_000))[0])
    (stream,) = verdict.open_streams
    assert (verdict.is_complete, stream.department, stream.is_ended) == (False, DEPARTMENT, True)
    world.chain.time_ms += 10_000_000
    world.consumer.record([])
    later = TraceFilter(ended_ms, world.consumer.covered_ms)
    assert world.verify(world.trace(later)[0]).is_complete


def test_a_stream_that_ended_without_its_last_reads_stays_open_though_it_was_not_late() -> None:
    """Hours of a long heartbeat that nobody ever covers are missing, and what the other side has of them is one-sided."""
    world = AuditWorld()
    world.provider.declare(heartbeat_s=access.MAX_HEARTBEAT_S)
    world.both([draft_read(1)])
    since_ms = world.provider.covered_ms
    world.chain.time_ms += 3_600_000
    world.consumer.record([msgspec.structs.replace(draft_read(2), side="consumer")], times=[world.chain.time_ms])
    world.chain.time_ms += 3_600_000
    world.chain.call(world.provider.key, "access", "end_stream", recorder=world.provider.address)
    world.consumer.record([])
    facts = AuditFacts()
    verdict = world.verify(world.trace(world.wanted(to_ms=world.consumer.covered_ms))[0], facts.listener())
    (stream,) = verdict.open_streams
    assert (stream.department, stream.covered_ms, stream.is_ended) == (DEPARTMENT, since_ms, True)
    assert (verdict.is_complete, verdict.covered_until_ms) == (False, since_ms)
    found = judge(facts, verdict, RuleFigures(RuleTable(day_from_minute=0, day_to_minute=1_440)), Calendar()).findings
    accused = {(finding.subject.rule, finding.subject.department) for finding in found}
    # It was not late, and what it lacks may be nothing: it answers for the read that its other side has.
    assert ("ONE_SIDED", DEPARTMENT) in accused
    assert ("STREAM_SILENT", DEPARTMENT) not in accused


def test_a_stream_that_began_after_the_period_has_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first batch shows that there was nothing before; its reads are of other days, and nobody fetches them."""
    world = AuditWorld()
    world.chain.time_ms += 86_400_000
    world.both([draft_read(1)])
    world.close_period()
    monkeypatch.setattr(world, "fetch", None)
    verdict = world.verify(world.trace(TraceFilter(START_MS, START_MS + 3_600_000))[0])
    assert (verdict.is_complete, verdict.batches, verdict.reads, verdict.withheld) == (True, 0, 0, [])


def test_a_stream_without_batches_is_open_from_its_first_declaration_on() -> None:
    world = AuditWorld()
    world.provider.declare()
    start = world.chain.time_ms
    world.chain.time_ms += 43_200_000
    world.provider.declare()
    verdict = world.verify(world.trace(TraceFilter(start, start + 3_600_000))[0])
    assert [stream.department for stream in verdict.open_streams] == [DEPARTMENT]


def test_a_block_before_the_end_of_the_period_shows_no_complete_answer() -> None:
    world = AuditWorld()
    world.chain.call(world.chain.governor, "audits", "name_authority", department=world.provider.department)
    wanted = TraceFilter(START_MS, START_MS + 3_600_000)
    raw = world.trace(wanted)[0]
    world.both([draft_read(1)])
    verdict = world.verify(raw)
    assert (verdict.is_sound, verdict.reaches_end, verdict.is_complete) == (True, False, False)


def test_a_recorder_whose_clock_went_back_is_named() -> None:
    """What the recorder itself anchored, links and root as they should be: the times alone give it away."""
    world = AuditWorld()
    start = world.chain.time_ms
    world.provider.record(
        [draft_read(1), draft_read(2), draft_read(3)], times=[start + 2_000, start + 1_000, start + 2_500]
    )
    world.close_period()
    raw, made = world.trace()
    assert (made.altered, made.withheld) == ([], 0)
    verdict = world.verify(raw)
    assert {(fault.code, fault.number) for fault in verdict.faults} == {("BACK_DATED", 2)}
    assert [read.number for read in reads_of(world, raw)] == [1, 2, 3]


def test_an_empty_ledger_proves_that_there_is_nothing() -> None:
    world = AuditWorld()
    world.chain.call(world.chain.governor, "audits", "name_authority", department=world.provider.department)
    verdict = world.verify(world.trace(TraceFilter(0, 1))[0])
    assert (verdict.is_complete, verdict.streams) == (True, 0)
