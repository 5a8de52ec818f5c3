"""Completeness: whatever is removed, inserted, reordered, edited, dated back, dropped or hidden is found, and named with its place.

Somebody may tamper in three places, and each has its table below: in a recorder's store (what it gives an auditor), in the batches that it
puts on the ledger, and in the trace that an auditor hands on. The provider's stream has reads 1 to 3 in batch 1, 4 to 6 in batch 2 and an
empty batch 3; the consumer's the same.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import registry
from contracts.data_sharing import access
from contracts.data_sharing.working_days import Calendar
from node.chain.transaction import address_of
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT
from tests.verification.access.audit_world import AuditWorld, draft_read, reads_of
from verification.access.reads import batch_root, decode_read, draft_of, encode_read, number_read, read_digest
from verification.access.rule_figures import RuleFigures
from verification.access.rule_table import RuleTable
from verification.access.rules import AuditFacts, judge
from verification.access.store_inspection import inspect_reads
from verification.access.trace_file import (
    FIRST_LINE,
    BatchFrame,
    EndFrame,
    Frame,
    GrantFrame,
    GrantsFrame,
    HeadFrame,
    ReadsFrame,
    StreamFrame,
    encode_frame,
    read_frames,
)
from verification.access.trace_writing import GivenReads

BATCH = 2
"""The batch that is tampered with: reads 4 to 6."""


# 1. A recorder's store: the ledger's batch says what should be there, so that each change is named with the number of the read.


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


def dated_back(raws: list[bytes]) -> list[bytes]:
    """Return reads of which the second says that it took place a day earlier."""
    return [raws[0], edited(raws[1], read_ms=decode_read(raws[1]).read_ms - 86_400_000), raws[2]]


STORE_TAMPERING: dict[str, tuple[Callable[[list[bytes]], list[bytes]], set[tuple[str, int]]]] = {
    "remove": (lambda raws: [raws[0], raws[2]], {("READ_REMOVED", 5)}),
    "remove, links made again": (lambda raws: relinked([raws[0], raws[2]]), {("READ_REMOVED", 6)}),
    "insert one": (lambda raws: [*raws, edited(raws[2], number=7)], {("READ_INSERTED", 7)}),
    "insert one twice": (lambda raws: [raws[0], *raws], {("READ_INSERTED", 4)}),
    "reorder": (lambda raws: [raws[1], raws[0], raws[2]], {("READS_REORDERED", 4)}),
    "edit": (lambda raws: [raws[0], edited(raws[1], rows=500), raws[2]], {("READ_EDITED", 5)}),
    "edit, links made again": (
        lambda raws: relinked([raws[0], edited(raws[1], rows=500), raws[2]]),
        {("READS_CHANGED", 6)},
    ),
    "edit the last": (lambda raws: [*raws[:2], edited(raws[2], rows=500)], {("READS_CHANGED", 6)}),
    "edit the first link": (lambda raws: [edited(raws[0], previous_digest=bytes(32)), *raws[1:]], {("READ_EDITED", 4)}),
    "date back": (dated_back, {("READ_EDITED", 5), ("BACK_DATED", 5)}),
    "date back, links made again": (
        lambda raws: relinked(dated_back(raws)),
        {("READS_CHANGED", 6), ("BACK_DATED", 5)},
    ),
    "spoil": (lambda raws: [raws[0], raws[1][:-1], raws[2]], {("READ_MALFORMED", 5), ("READ_REMOVED", 5)}),
    "drop all": (lambda raws: [], {("READ_REMOVED", 4), ("READ_REMOVED", 5), ("READ_REMOVED", 6)}),
}


@pytest.mark.parametrize("name", STORE_TAMPERING)
def test_what_becomes_of_a_store_is_named_with_its_place(world: AuditWorld, name: str) -> None:
    tamper, expected = STORE_TAMPERING[name]
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
    world.provider.store[BATCH] = [untouched[0], edited(untouched[1], rows=500), untouched[2]]
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


def test_a_store_without_any_batch_of_a_stream_is_named(world: AuditWorld) -> None:
    world.provider.store.clear()
    verdict = world.verify(world.trace()[0])
    assert [(one.department, one.batch_number, one.first_number, one.count) for one in verdict.withheld] == [
        (DEPARTMENT, 1, 1, 3),
        (DEPARTMENT, 2, 4, 3),
    ]


# 2. The batches of a stream: what does not continue the stream is refused by the ledger, which names what it expected.

GOING_ON = {"batch_number": 4, "first_number": 7}
"""What the provider's next batch has to say."""

BATCH_TAMPERING: dict[str, tuple[dict[str, Any], str]] = {
    "drop a batch": ({"batch_number": 5}, "BATCH_GAP"),
    "drop reads": ({"first_number": 8}, "NUMBER_GAP"),
    "insert reads under numbers taken": ({"first_number": 6}, "NUMBER_GAP"),
    "fork": (
        {"previous_digest": sm3(b"another past"), "last_digest": sm3(b"another past")},
        "PREVIOUS_DIGEST_MISMATCH",
    ),
    "rewrite": ({"batch_number": 2, "first_number": 4}, "BATCH_REWRITTEN"),
    "date back": ({"from_ms": -86_400_000}, "COVERAGE_GAP"),
    "leave time out": ({"from_ms": 1}, "COVERAGE_GAP"),
    "end before the begin": ({"to_ms": -86_400_000}, "DATES_REVERSED"),
    "date ahead": ({"to_ms": 86_400_000}, "BATCH_IN_FUTURE"),
    "count reads away": ({"served": 1}, "BATCH_OUTCOMES"),
}


@pytest.mark.parametrize("name", BATCH_TAMPERING)
def test_a_batch_that_does_not_continue_its_stream_is_refused_by_name(world: AuditWorld, name: str) -> None:
    changes, code = BATCH_TAMPERING[name]
    recorder, state = world.provider, dict(world.chain.state)
    digest, covered_ms = read_digest(recorder.reads[-1]), recorder.covered_ms
    stated: dict[str, Any] = {**GOING_ON, "count": 0, "root": batch_root([]), "from_ms": covered_ms}
    stated |= {
        "to_ms": covered_ms + 500,
        "previous_digest": digest,
        "last_digest": digest,
        "served": 0,
        "denied": 0,
        "irregular": 0,
        "rows": 0,
    }
    changed = {key: covered_ms + value if key in ("from_ms", "to_ms") else value for key, value in changes.items()}
    sender = address_of(recorder.key.public_key)
    to, data = registry.encode_call("access", "record_batch", **stated | changed)
    refused = world.chain.execute(sender, to, data, bytes(32))
    assert (refused.refusal, dict(world.chain.state)) == (code, state)
    to, data = registry.encode_call("access", "record_batch", **stated)
    assert world.chain.execute(sender, to, data, bytes(32)).refusal is None


# 3. A trace in the hands of others.


def frames_of(raw: bytes) -> list[Frame]:
    return list(read_frames(io.BytesIO(raw).read))


def file_of(frames: list[Frame]) -> bytes:
    return FIRST_LINE + b"".join(map(encode_frame, frames))


def index_of(frames: list[Frame], kind: type[Frame], number: int = 0) -> int:
    return [index for index, frame in enumerate(frames) if isinstance(frame, kind)][number]


def with_rows(opened: Any, rows: int) -> Any:
    return msgspec.structs.replace(opened, details=msgspec.structs.replace(opened.details, rows=rows))


def changed(position: int, **changes: Any) -> Callable[[list[Any]], list[Any]]:
    """Return what replaces fields of the read at a position (from 0) of the batch."""

    def change(reads: list[Any]) -> list[Any]:
        reads[position] = msgspec.structs.replace(reads[position], **changes)
        return reads

    return change


READ_TAMPERING: dict[str, tuple[Callable[[list[Any]], list[Any]], str]] = {
    "remove the last": (lambda reads: reads[:2], "READ_REMOVED"),
    "remove the first": (lambda reads: reads[1:], "READ_REMOVED"),
    "insert": (lambda reads: [*reads, reads[0]], "READ_INSERTED"),
    "reorder": (lambda reads: [reads[1], reads[0], reads[2]], "READS_CHANGED"),
    "edit": (lambda reads: [reads[0], with_rows(reads[1], 500), reads[2]], "READS_CHANGED"),
    "date back": (changed(1, read_ms=1), "READS_CHANGED"),
    "change the outcome": (changed(1, outcome=access.DENIED), "READS_CHANGED"),
    "change the side": (changed(1, side="consumer"), "READS_CHANGED"),
}


@pytest.mark.parametrize("name", READ_TAMPERING)
def test_what_becomes_of_the_reads_of_a_trace_is_named_with_batch_and_numbers(world: AuditWorld, name: str) -> None:
    change, code = READ_TAMPERING[name]
    frames = frames_of(world.trace()[0])
    index = index_of(frames, ReadsFrame, 1)
    frame = frames[index]
    assert isinstance(frame, ReadsFrame)
    frames[index] = ReadsFrame(tuple(change(list(frame.reads))))
    raw = file_of(frames)
    fault = world.verify(raw).faults[0]
    assert (fault.code, fault.department, fault.batch_number) == (code, DEPARTMENT, BATCH)
    assert (fault.number, fault.last_number) == (4, 6)
    assert f"{world.provider.address.hex()}, batch 2, reads 4-6" in fault.texts[1]
    # What is wrong with one batch hides nothing of the others, and none of its reads is taken for one that was recorded.
    assert [read.number for read in reads_of(world, raw)] == [1, 2, 3, 1, 2, 3, 4, 5, 6]


def batches_of(frames: list[Frame]) -> list[list[Frame]]:
    """Return each batch of the first stream of a trace, with its reads."""
    end = index_of(frames, StreamFrame, 1)
    found: list[list[Frame]] = []
    for frame in frames[index_of(frames, StreamFrame) + 1 : end]:
        if isinstance(frame, BatchFrame):
            found.append([])
        found[-1].append(frame)
    return found


def with_end(batch: list[Frame], to_ms: int) -> list[Frame]:
    """Return a batch that says that it ends at another time."""
    frame = batch[0]
    assert isinstance(frame, BatchFrame)
    assert frame.batch.value is not None
    record = msgspec.structs.replace(access.BATCHES.decode(frame.batch.value), to_ms=to_ms)
    proved = msgspec.structs.replace(frame.batch, value=msgspec.msgpack.encode(record))
    return [msgspec.structs.replace(frame, batch=proved), *batch[1:]]


TRACE_TAMPERING: dict[str, tuple[Callable[[Any, Any, Any], list[list[Frame]]], list[tuple[str, int]]]] = {
    "drop the first": (lambda one, two, three: [two, three], [("BATCH_MISSING", 1)]),
    "drop one": (lambda one, two, three: [one, three], [("BATCH_MISSING", 2)]),
    "drop the last": (lambda one, two, three: [one, two], [("BATCH_MISSING", 3)]),
    "drop two": (lambda one, two, three: [three], [("BATCH_MISSING", 1), ("BATCH_MISSING", 2)]),
    "drop all": (lambda one, two, three: [], [("BATCH_MISSING", 1), ("BATCH_MISSING", 2), ("BATCH_MISSING", 3)]),
    "insert one again": (lambda one, two, three: [one, one, two, three], [("BATCH_ADDED", 1)]),
    "reorder": (lambda one, two, three: [one, three, two], [("BATCH_MISSING", 2), ("BATCH_ADDED", 2)]),
    "date back": (lambda one, two, three: [one, with_end(two, 1), three], [("BATCH_CHANGED", 2)]),
}


@pytest.mark.parametrize("name", TRACE_TAMPERING)
def test_what_becomes_of_the_batches_of_a_trace_is_named_with_its_number(world: AuditWorld, name: str) -> None:
    change, expected = TRACE_TAMPERING[name]
    frames = frames_of(world.trace(to_ms=world.chain.time_ms)[0])
    begin, end = index_of(frames, StreamFrame) + 1, index_of(frames, StreamFrame, 1)
    batches = batches_of(frames)
    assert len(batches) == 3
    kept = [frame for batch in change(*batches) for frame in batch]
    raw = file_of(frames[:begin] + kept + frames[end:])
    faults = world.verify(raw).faults
    assert [(fault.code, fault.batch_number) for fault in faults if fault.batch_number] == expected
    assert {fault.department for fault in faults if fault.batch_number} == {DEPARTMENT}
    assert faults[0].texts[1].endswith(f"batch {expected[0][1]})") or expected[0][0] != "BATCH_MISSING"


@pytest.mark.parametrize(("first", "last"), [(0, 0), (1, 1), (1, 2), (2, 3), (3, 3)])
def test_a_stream_that_names_too_few_batches_is_found_out(world: AuditWorld, first: int, last: int) -> None:
    frames = frames_of(world.trace(to_ms=world.chain.time_ms)[0])
    index, end = index_of(frames, StreamFrame), index_of(frames, StreamFrame, 1)
    kept = [msgspec.structs.replace(frames[index], first_batch=first, last_batch=last)]
    for number in range(first, last + 1) if first else ():
        kept += batches_of(frames)[number - 1]
    verdict = world.verify(file_of(frames[:index] + kept + frames[end:]))
    assert [(fault.code, fault.department) for fault in verdict.faults[:1]] == [("BATCH_MISSING", DEPARTMENT)]
    # The one next to those that are named.
    assert verdict.faults[0].batch_number == (first - 1 if first > 1 else last + 1)


def test_a_period_that_meets_a_batchs_edge_needs_the_batches_on_both_sides_of_it(world: AuditWorld) -> None:
    # A read may share its millisecond with the end of the batch before.
    batch = access.load_batch(world.chain.state, DEPARTMENT, world.provider.address, 1)
    assert batch is not None
    for period, first, last, missing in (
        (world.wanted(to_ms=batch.to_ms), 1, 1, 2),
        (world.wanted(from_ms=batch.to_ms), 2, 3, 1),
    ):
        frames = frames_of(world.trace(period)[0])
        assert world.verify(file_of(frames)).faults == []
        index, end = index_of(frames, StreamFrame), index_of(frames, StreamFrame, 1)
        kept = [msgspec.structs.replace(frames[index], first_batch=first, last_batch=last)]
        for number in range(first, last + 1):
            kept += batches_of(frames)[number - 1]
        faults = world.verify(file_of(frames[:index] + kept + frames[end:])).faults
        assert [(fault.code, fault.batch_number) for fault in faults[:1]] == [("BATCH_MISSING", missing)]


def test_a_stream_hidden_from_a_trace_is_named(world: AuditWorld) -> None:
    frames = frames_of(world.trace()[0])
    first, second = index_of(frames, StreamFrame), index_of(frames, StreamFrame, 1)
    behind = index_of(frames, GrantsFrame)
    for kept, missing in (
        (frames[:second] + frames[behind:], "2/2"),
        (frames[:first] + frames[second:], "1/2"),
    ):
        assert [(fault.code, fault.detail) for fault in world.verify(file_of(kept)).faults[:1]] == [
            ("STREAM_MISSING", missing)
        ]
    none = frames[:first] + frames[behind:]
    found = [(fault.code, fault.detail) for fault in world.verify(file_of(none)).faults]
    assert found[:2] == [("STREAM_MISSING", "1/2"), ("STREAM_MISSING", "2/2")]
    hidden = list(frames)
    hidden[first] = msgspec.structs.replace(frames[first], stream=None)
    fault = world.verify(file_of(hidden)).faults[0]
    assert (fault.code, fault.department, fault.recorder) == ("STREAM_MISSING", DEPARTMENT, world.provider.address)


def test_a_stream_that_stands_twice_or_in_anothers_place_is_found_out(world: AuditWorld) -> None:
    frames = frames_of(world.trace()[0])
    first, second = index_of(frames, StreamFrame), index_of(frames, StreamFrame, 1)
    behind = index_of(frames, GrantsFrame)
    twice = frames[:second] + frames[first:]
    assert world.verify(file_of(twice)).faults[0].code == "RECORD_UNPROVED"
    swapped = frames[:first] + frames[second:behind] + frames[first:second] + frames[behind:]
    found = [(fault.code, fault.detail) for fault in world.verify(file_of(swapped)).faults]
    assert found == [("STREAM_MISSING", "1/2"), ("STREAM_ADDED", "2")]


def test_what_a_dishonest_trace_leaves_out_of_one_stream_shows_nothing_less_of_the_other(world: AuditWorld) -> None:
    frames = frames_of(world.trace()[0])
    begin, end = index_of(frames, StreamFrame) + 1, index_of(frames, StreamFrame, 1)
    raw = file_of(frames[:begin] + frames[end:])
    assert [(read.department, read.number) for read in reads_of(world, raw)] == [
        (CONSUMER, number) for number in range(1, 7)
    ]


def test_a_trace_that_is_cut_short_or_goes_on_is_found_out(world: AuditWorld) -> None:
    raw = world.trace()[0]
    frames = frames_of(raw)
    assert [fault.code for fault in world.verify(file_of(frames[:-1])).faults] == ["TRACE_CUT"]
    assert [fault.code for fault in world.verify(raw[:-3]).faults] == ["TRACE_MALFORMED"]
    assert [fault.code for fault in world.verify(file_of([*frames, frames[-1]])).faults] == ["TRACE_MALFORMED"]
    assert [fault.code for fault in world.verify(b"").faults] == ["TRACE_MALFORMED"]
    wrong = [*frames[:-1], EndFrame(5)]
    assert [fault.code for fault in world.verify(file_of(wrong)).faults] == ["COUNT_WRONG"]
    for length in range(1, len(frames) - 1):
        assert not world.verify(file_of(frames[:length])).is_sound


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


ANY_TIME = RuleFigures(RuleTable(day_from_minute=0, day_to_minute=1_440, only_working_days=False))


def test_what_is_taken_out_of_a_trace_accuses_nobody() -> None:
    """Whoever hands a trace on may take reads of either side out of it: then the other side's have no counterpart in the file."""
    world = AuditWorld()
    for recorder in (world.provider, world.consumer):
        recorder.declare()
    for first in (1, 5, 9):
        times = [world.chain.time_ms + 300_000 + 1_000 * number for number in range(4)]
        drafts = [draft_read(number) for number in range(first, first + 4)]
        world.provider.record(drafts, times=times)
        world.consumer.record([msgspec.structs.replace(draft, side="consumer") for draft in drafts], times=times)
    world.close_period()
    frames = frames_of(world.trace()[0])
    other = frames_of(world.trace(resource="another")[0])
    seen = index_of(frames, ReadsFrame, 1), index_of(frames, ReadsFrame, 4), index_of(frames, GrantFrame)
    without = [frames[: index - 1] + frames[index + 1 :] for index in seen[:2]]
    reads = [frame.reads if isinstance(frame, ReadsFrame) else () for frame in frames]
    fewer = [[*frames[:index], ReadsFrame(reads[index][:2]), *frames[index + 1 :]] for index in seen[:2]]
    hidden = [[*frames[:index], other[index], *frames[index + 1 :]] for index in seen[:2]]
    cut = [frames[: seen[1]], frames[: index_of(frames, StreamFrame, 1)], frames[: seen[2]] + frames[seen[2] + 1 :]]
    for tampered in (frames, *without, *fewer, *hidden, *cut):
        facts = AuditFacts()
        verdict = world.verify(file_of(tampered), facts.listener())
        assert verdict.hole_count == verdict.fault_count
        assert verdict.is_sound == (tampered is frames)
        judgement = judge(facts, verdict, ANY_TIME, Calendar())
        assert judgement.findings == (), verdict.faults
