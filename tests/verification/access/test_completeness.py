"""Completeness: whatever is removed, inserted, reordered, edited, dated back or dropped, in a store or in a trace, is found and named."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.data_sharing import access
from tests.hand_made_chain import DEPARTMENT, START_MS
from tests.verification.access.audit_world import (
    OTHER_PERSON,
    PERSON,
    AuditWorld,
    draft_read,
    reads_of,
)
from verification.access.reads import NO_DIGEST, decode_read, draft_of, encode_read, number_read, read_digest
from verification.access.store_inspection import inspect_reads
from verification.access.trace_file import (
    FIRST_LINE,
    BatchFrame,
    EndFrame,
    Frame,
    GrantFrame,
    HeadFrame,
    ReadsFrame,
    StreamFrame,
    encode_frame,
    read_frames,
)
from verification.access.trace_filter import TraceFilter
from verification.access.trace_writing import GivenReads

BATCH = 2
"""The batch whose store is tampered with: reads 4 to 6."""


def edited(raw: bytes, **changes: Any) -> bytes:
    """Return an encoded read with other rows or another time."""
    read = decode_read(raw)
    if "rows" in changes:
        read = msgspec.structs.replace(read, details=msgspec.structs.replace(read.details, rows=changes.pop("rows")))
    return encode_read(msgspec.structs.replace(read, **changes))


def relinked(raws: list[bytes]) -> list[bytes]:
    """Return reads with their numbers and links made again from the first on, as somebody would who edits a store with care."""
    first = decode_read(raws[0])
    number, previous = first.number, first.previous_digest
    made = []
    for raw in raws:
        read = decode_read(raw)
        again = number_read(draft_of(read), read.department, read.recorder, number, previous, read.read_ms)
        number, previous = number + 1, read_digest(again)
        made.append(encode_read(again))
    return made


def remove(raws: list[bytes]) -> list[bytes]:
    return [raws[0], raws[2]]


def remove_and_relink(raws: list[bytes]) -> list[bytes]:
    return relinked([raws[0], raws[2]])


def insert(raws: list[bytes]) -> list[bytes]:
    return [*raws, edited(raws[2], number=7)]


def insert_twice(raws: list[bytes]) -> list[bytes]:
    return [raws[0], raws[0], raws[1], raws[2]]


def reorder(raws: list[bytes]) -> list[bytes]:
    return [raws[1], raws[0], raws[2]]


def edit(raws: list[bytes]) -> list[bytes]:
    return [raws[0], edited(raws[1], rows=500), raws[2]]


def edit_and_relink(raws: list[bytes]) -> list[bytes]:
    return relinked([raws[0], edited(raws[1], rows=500), raws[2]])


def edit_the_last(raws: list[bytes]) -> list[bytes]:
    return [*raws[:2], edited(raws[2], rows=500)]


def edit_the_first_link(raws: list[bytes]) -> list[bytes]:
    return [edited(raws[0], previous_digest=bytes(32)), *raws[1:]]


def date_back(raws: list[bytes]) -> list[bytes]:
    return [raws[0], edited(raws[1], read_ms=decode_read(raws[1]).read_ms - 86_400_000), raws[2]]


def date_back_and_relink(raws: list[bytes]) -> list[bytes]:
    return relinked(date_back(raws))


def spoil(raws: list[bytes]) -> list[bytes]:
    return [raws[0], raws[1][:-1], raws[2]]


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (remove, {("READ_REMOVED", 5)}),
        (remove_and_relink, {("READ_REMOVED", 6)}),
        (insert, {("READ_INSERTED", 7)}),
        (insert_twice, {("READ_INSERTED", 4)}),
        (reorder, {("READS_REORDERED", 4)}),
        (edit, {("READ_EDITED", 5)}),
        (edit_and_relink, {("READS_CHANGED", 6)}),
        (edit_the_last, {("READS_CHANGED", 6)}),
        (edit_the_first_link, {("READ_EDITED", 4)}),
        (date_back, {("READ_EDITED", 5), ("BACK_DATED", 5)}),
        (date_back_and_relink, {("READS_CHANGED", 6), ("BACK_DATED", 5)}),
        (spoil, {("READ_MALFORMED", 5), ("READ_REMOVED", 5)}),
    ],
)
def test_what_becomes_of_a_store_is_named_with_its_place(
    world: AuditWorld, tamper: Callable[[list[bytes]], list[bytes]], expected: set[tuple[str, int]]
) -> None:
    world.provider.store[BATCH] = tamper(world.provider.store[BATCH])
    raw, made = world.trace()
    ((place, faults),) = [(one.place, one.faults) for one in made.altered]
    assert place == "store"
    assert {(fault.code, fault.number) for fault in faults} == expected
    assert {(fault.department, fault.recorder, fault.batch_number) for fault in faults} == {
        (world.provider.department, world.provider.address, BATCH)
    }
    # The trace stands without these reads, and says so: whoever gets it sees that three are kept back, and why.
    verdict = world.verify(raw)
    assert (verdict.is_sound, verdict.is_complete, verdict.matches) == (True, False, 9)
    (withheld,) = verdict.withheld
    assert (withheld.batch_number, withheld.first_number, withheld.count, withheld.served) == (BATCH, 4, 3, 3)
    assert any(code in withheld.reason for code, _ in expected)
    assert [(one.place, one.batch_number) for one in verdict.altered] == [("store", BATCH)]


@settings(max_examples=60, deadline=None)
@given(order=st.lists(st.integers(0, 2), max_size=5))
def test_any_other_choice_or_order_of_the_recorded_reads_is_found_out(honest: Any, order: list[int]) -> None:
    batch, raws = honest
    _, faults = inspect_reads(batch, [raws[index] for index in order])
    assert (faults == []) == (order == [0, 1, 2])


@settings(max_examples=60, deadline=None)
@given(index=st.integers(0, 2), position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_changed_bit_of_a_store_goes_unnoticed(honest: Any, index: int, position: int, bit: int) -> None:
    batch, raws = honest
    changed = bytearray(raws[index])
    changed[position % len(changed)] ^= 1 << bit
    _, faults = inspect_reads(batch, [*raws[:index], bytes(changed), *raws[index + 1 :]])
    assert faults


@pytest.fixture(scope="module")
def honest() -> Any:
    """A batch of three reads as the ledger and an untouched store have it."""
    world = AuditWorld()
    world.provider.record([draft_read(number) for number in (1, 2, 3)])
    recorder = world.provider
    return access.load_batch(world.chain.state, recorder.department, recorder.address, 1), recorder.store[1]


def test_another_places_copy_stands_in_for_a_changed_store(world: AuditWorld) -> None:
    untouched = list(world.provider.store[BATCH])
    world.provider.store[BATCH] = edit(untouched)
    fetch = world.fetch
    copy = GivenReads("archive", untouched)
    world.fetch = lambda stream, batch: [*fetch(stream, batch), copy]  # type: ignore[method-assign]
    raw, made = world.trace()
    assert [one.place for one in made.altered] == ["store"]
    verdict = world.verify(raw)
    assert verdict.is_complete
    assert [(one.place, one.code, one.number) for one in verdict.altered] == [("store", "READ_EDITED", 5)]


def test_a_store_without_a_whole_batch_is_named(world: AuditWorld) -> None:
    del world.provider.store[BATCH]
    verdict = world.verify(world.trace()[0])
    assert [(one.batch_number, one.count, one.reason) for one in verdict.withheld] == [(BATCH, 3, "no answer")]
    assert not verdict.is_complete


# The trace itself.


def frames_of(raw: bytes) -> list[Frame]:
    return list(read_frames(io.BytesIO(raw).read))


def file_of(frames: list[Frame]) -> bytes:
    return FIRST_LINE + b"".join(map(encode_frame, frames))


def index_of(frames: list[Frame], kind: type[Frame], number: int = 0) -> int:
    return [index for index, frame in enumerate(frames) if isinstance(frame, kind)][number]


def changed_reads(raw: bytes, change: Callable[[list[Any]], list[Any]], number: int = 1) -> bytes:
    """Return the trace with the reads of its batch of this number (from 0) changed."""
    frames = frames_of(raw)
    index = index_of(frames, ReadsFrame, number)
    frame = frames[index]
    assert isinstance(frame, ReadsFrame)
    frames[index] = ReadsFrame(tuple(change(list(frame.reads))))
    return file_of(frames)


def with_rows(opened: Any, rows: int) -> Any:
    return msgspec.structs.replace(opened, details=msgspec.structs.replace(opened.details, rows=rows))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda reads: reads[:2], "READ_REMOVED"),
        (lambda reads: reads[1:], "READ_REMOVED"),
        (lambda reads: [*reads, reads[0]], "READ_INSERTED"),
        (lambda reads: [reads[1], reads[0], reads[2]], "READS_CHANGED"),
        (lambda reads: [reads[0], with_rows(reads[1], 500), reads[2]], "READS_CHANGED"),
        (lambda reads: [reads[0], msgspec.structs.replace(reads[1], read_ms=1), reads[2]], "READS_CHANGED"),
        (lambda reads: [reads[0], msgspec.structs.replace(reads[1], outcome=2), reads[2]], "READS_CHANGED"),
        (lambda reads: [reads[0], msgspec.structs.replace(reads[1], side="consumer"), reads[2]], "READS_CHANGED"),
    ],
)
def test_what_becomes_of_the_reads_of_a_trace_is_named(
    world: AuditWorld, change: Callable[[list[Any]], list[Any]], code: str
) -> None:
    raw = changed_reads(world.trace()[0], change)
    verdict = world.verify(raw)
    assert not verdict.is_sound
    assert verdict.faults[0].code == code
    assert verdict.faults[0].batch_number == BATCH
    # What is wrong with one batch hides nothing of the others, and none of its reads is taken for one that was recorded.
    assert [read.number for read in reads_of(world, raw)] == [1, 2, 3, 1, 2, 3, 4, 5, 6]


def test_a_batch_dropped_from_a_trace_is_named(world: AuditWorld) -> None:
    frames = frames_of(world.trace()[0])
    start = index_of(frames, BatchFrame, 1)
    for span in ((start, start + 2), (index_of(frames, BatchFrame, 2), index_of(frames, BatchFrame, 2) + 1)):
        verdict = world.verify(file_of(frames[: span[0]] + frames[span[1] :]))
        assert verdict.faults[0].code in {"BATCH_MISSING", "RECORD_UNPROVED"}
        assert not verdict.is_sound


@pytest.mark.parametrize(("first", "last"), [(0, 0), (1, 1), (1, 2), (2, 3), (3, 3)])
def test_a_stream_that_names_too_few_batches_is_found_out(world: AuditWorld, first: int, last: int) -> None:
    frames = frames_of(world.trace(to_ms=world.chain.time_ms)[0])
    index = index_of(frames, StreamFrame)
    stream = frames[index]
    assert isinstance(stream, StreamFrame)
    assert (stream.first_batch, stream.last_batch) == (1, 3)
    batches = [frames[index_of(frames, BatchFrame, number)] for number in range(3)]
    reads = [frames[index_of(frames, ReadsFrame, number)] for number in range(2)]
    kept: list[Frame] = [msgspec.structs.replace(stream, first_batch=first, last_batch=last)]
    for number in range(first, last + 1) if first else ():
        kept += [batches[number - 1], *reads[number - 1 : number]]
    end = index_of(frames, StreamFrame, 1)
    verdict = world.verify(file_of(frames[:index] + kept + frames[end:]))
    assert "BATCH_MISSING" in {fault.code for fault in verdict.faults}


def test_a_stream_left_out_of_a_trace_is_named(world: AuditWorld) -> None:
    frames = frames_of(world.trace()[0])
    first, second = index_of(frames, StreamFrame), index_of(frames, StreamFrame, 1)
    without_last = frames[:second] + frames[index_of(frames, GrantFrame) :]
    assert world.verify(file_of(without_last)).faults[0].code == "STREAM_MISSING"
    without_first = frames[:first] + frames[second:]
    assert world.verify(file_of(without_first)).faults[0].code == "RECORD_UNPROVED"
    twice = frames[:second] + frames[first:second] + frames[second:]
    assert not world.verify(file_of(twice)).is_sound
    hidden = list(frames)
    hidden[first] = msgspec.structs.replace(frames[first], stream=None)
    assert world.verify(file_of(hidden)).faults[0].code == "STREAM_MISSING"


def test_a_trace_that_is_cut_short_or_goes_on_is_found_out(world: AuditWorld) -> None:
    raw = world.trace()[0]
    frames = frames_of(raw)
    assert [fault.code for fault in world.verify(file_of(frames[:-1])).faults] == ["TRACE_CUT"]
    assert [fault.code for fault in world.verify(raw[:-3]).faults] == ["TRACE_MALFORMED"]
    assert [fault.code for fault in world.verify(file_of([*frames, frames[-1]])).faults] == ["TRACE_MALFORMED"]
    assert [fault.code for fault in world.verify(b"").faults] == ["TRACE_MALFORMED"]
    wrong = [*frames[:-1], EndFrame(5)]
    assert [fault.code for fault in world.verify(file_of(wrong)).faults] == ["COUNT_WRONG"]


def test_grants_that_reads_name_cannot_be_left_out_or_changed(world: AuditWorld) -> None:
    frames = frames_of(world.trace()[0])
    index = index_of(frames, GrantFrame)
    without = frames[:index] + frames[index + 1 :]
    assert [fault.code for fault in world.verify(file_of(without)).faults] == ["GRANT_MISSING"]
    grant = frames[index]
    assert isinstance(grant, GrantFrame)
    frames[index] = msgspec.structs.replace(grant, request=msgspec.structs.replace(grant.request, value=None))
    assert [fault.code for fault in world.verify(file_of(frames)).faults] == ["RECORD_UNPROVED"]


def test_a_trace_of_another_network_or_an_older_block_is_refused(world: AuditWorld) -> None:
    frames = frames_of(world.trace()[0])
    head = frames[0]
    assert isinstance(head, HeadFrame)
    later = msgspec.structs.replace(head.header, height=head.header.height + 1)
    frames[0] = msgspec.structs.replace(head, header=later)
    assert [fault.code for fault in world.verify(file_of(frames)).faults] == ["NOT_FINAL"]


def test_a_read_that_is_kept_back_without_cause_is_named(world: AuditWorld) -> None:
    """A trace for everything, with the parts of one read replaced by their digests: root and links still hold."""
    other = frames_of(world.trace(resource="another")[0])
    shown = frames_of(world.trace()[0])
    index = index_of(shown, ReadsFrame)
    assert isinstance(shown[index], ReadsFrame)
    shown[index] = other[index_of(other, ReadsFrame)]
    verdict = world.verify(file_of(shown))
    assert {fault.code for fault in verdict.faults} >= {"READ_HIDDEN"}
    assert {fault.number for fault in verdict.faults if fault.code == "READ_HIDDEN"} == {1, 2, 3}


# What is asked for.


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


def test_a_sealed_number_may_be_anybodys() -> None:
    world = AuditWorld()
    world.both([draft_read(1), draft_read(2, person=NO_DIGEST, sealed_person=b"sealed")])
    world.close_period()
    verdict = world.verify(world.trace(person=PERSON)[0])
    assert (verdict.matches, verdict.sealed_persons) == (4, 2)


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


def test_a_period_that_no_batch_covers_yet_is_open(world: AuditWorld) -> None:
    wanted = world.wanted(to_ms=world.chain.time_ms + 1)
    verdict = world.verify(world.trace(wanted)[0])
    assert (verdict.is_sound, verdict.is_complete) == (True, False)
    assert {(one.department, one.covered_ms) for one in verdict.open_streams} == {
        (recorder.department, recorder.covered_ms) for recorder in (world.provider, world.consumer)
    }


def test_an_ended_stream_is_not_waited_for(world: AuditWorld) -> None:
    for recorder in (world.provider, world.consumer):
        world.chain.call(recorder.key, "access", "end_stream", recorder=recorder.address)
    world.chain.time_ms += 10_000_000
    wanted = world.wanted(to_ms=world.chain.time_ms)
    assert world.verify(world.trace(wanted)[0]).is_complete
    assert world.verify(world.trace(TraceFilter(world.chain.time_ms - 1, world.chain.time_ms))[0]).is_complete


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
