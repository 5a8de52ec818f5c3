"""Access records: what departments put on the ledger of every read of shared data, in gapless hash-chained streams of batches.

A stream belongs to one recording account of one department. A batch has consecutive reads of it under one root, or none: a heartbeat.
Its number, first read, previous digest and beginning are where the batch before ended, so that a read left out, changed or put in later
shows. The reads themselves are not on the ledger (docs/spec/access-records.md).
"""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import ADMINISTRATOR, GOVERNOR, RECORDER, load_department
from contracts.fields import (
    Address,
    Bytes32,
    TimeMs,
    Uint8,
    Uint64,
    check_choice,
    check_digest,
    check_optional_text,
    check_time,
)
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused
from sm_crypto.merkle import EMPTY_ROOT

MAX_CLOCK_AHEAD_MS: Final = 60_000
"""How far a recorder's clock may run ahead of block time."""

MAX_BATCH_RECORDS: Final = 100_000
MIN_HEARTBEAT_S: Final = 1
MAX_HEARTBEAT_S: Final = 86_400
MAX_STOP_AFTER_S: Final = 30 * 86_400
MAX_PLACE_LENGTH: Final = 200

FIRST_PREVIOUS_DIGEST: Final = bytes(32)

GO_ON: Final = 1
STOP: Final = 2
OUTAGE_POLICIES: Final = {
    GO_ON: ("继续提供，恢复后补锚", "goes on and catches up"),
    STOP: ("超过时限即停止提供", "stops after a set time"),
}
"""What a recorder does while it cannot reach the chain."""

SERVED: Final = 1
DENIED: Final = 2
IRREGULAR: Final = 3
OUTCOMES: Final = {
    SERVED: ("已提供", "served"),
    DENIED: ("已拒绝", "denied"),
    IRREGULAR: ("授权之外的读取", "served outside the grant"),
}
"""What became of a read. A read outside its grant did happen all the same: it is recorded as such, never as served."""


class StreamRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a stream stands, and what its recorder has declared of how it records; `number` and `batch_number` are 0 at first."""

    department: str
    recorder: Address
    number: Uint64
    """Of the last read in the last batch."""
    digest: Bytes32
    """Of that read."""
    batch_number: Uint64
    covered_ms: TimeMs
    """Until when the last batch holds every read of the stream; 0 before the first."""
    recorded_ms: TimeMs
    """Block time of the last batch; 0 before the first."""
    heartbeat_s: Uint64
    """At most so long after the time covered, the next batch covers more, if only to say that there was no read."""
    max_batch_records: Uint64
    on_outage: Uint8
    stop_after_s: Uint64
    """For how long reads go on without the chain, for STOP."""
    bodies_at: str
    """Where auditors and parties ask for the reads themselves, or empty."""
    second_place: str
    """Where the reads lie a second time, sealed, or empty."""
    declared_ms: TimeMs
    """Block time of the last declaration."""
    first_declared_ms: TimeMs
    """Block time of the first: from there on the stream's batches cover every moment."""
    due_ms: TimeMs
    """By when the next batch was promised, when the time that it covers began: no later declaration puts it off."""
    ended_ms: TimeMs
    """Time since which no batches follow, 0 while they do; what was read after `covered_ms` is missing.

    Of the block that ended it, or since when its department had been suspended.
    """


class BatchRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Consecutive reads of a stream under one root; none at all in a heartbeat."""

    department: str
    recorder: Address
    batch_number: Uint64
    first_number: Uint64
    count: Uint64
    previous_digest: Bytes32
    """Of the read before the first."""
    last_digest: Bytes32
    root: Bytes32
    """Of the tree over the reads' digests (RFC 6962, 2.1); EMPTY_ROOT for none."""
    from_ms: TimeMs
    to_ms: TimeMs
    """From the end of the batch before to here, the stream has these reads and no others."""
    served: Uint64
    denied: Uint64
    irregular: Uint64
    rows: Uint64
    due_ms: TimeMs
    """By when it was promised, by what was declared when the time that it covers began."""
    recorded_ms: TimeMs


class StreamName(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Whose a stream is, under its place in the list of all streams."""

    department: str
    recorder: Address


class StreamCount(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How many streams there are: with it a proof shows that none was left out."""

    count: Uint64


STREAMS: Final = Table("access", 1, StreamRecord)
BATCHES: Final = Table("access", 2, BatchRecord)
STREAM_NAMES: Final = Table("access", 3, StreamName)
STREAM_COUNT: Final = Table("access", 4, StreamCount)
CONTRACT: Final = SystemContract("access")
STREAM_DECLARED: Final = CONTRACT.event(
    "StreamDeclared",
    ["recorder"],
    recorder="address",
    department="string",
    heartbeat_s="uint64",
    max_batch_records="uint64",
    on_outage="uint8",
    stop_after_s="uint64",
    bodies_at="string",
    second_place="string",
)
STREAM_ENDED: Final = CONTRACT.event("StreamEnded", ["recorder"], recorder="address", department="string")
BATCH_RECORDED: Final = CONTRACT.event(
    "BatchRecorded",
    ["recorder"],
    recorder="address",
    department="string",
    batch_number="uint64",
    first_number="uint64",
    count="uint64",
    root="bytes32",
)


@CONTRACT.write(RECORDER)
def declare_stream(
    ctx: Context,
    heartbeat_s: Uint64,
    max_batch_records: Uint64,
    on_outage: Uint8,
    stop_after_s: Uint64,
    bodies_at: str,
    second_place: str,
) -> None:
    """Begin the caller's stream, go on with an ended one, or change what its recorder declares of how it records."""
    _check_range("heartbeat_s", heartbeat_s, MIN_HEARTBEAT_S, MAX_HEARTBEAT_S)
    _check_range("max_batch_records", max_batch_records, 1, MAX_BATCH_RECORDS)
    check_choice("on_outage", on_outage, tuple(OUTAGE_POLICIES))
    # Going on has no end, and stopping needs one.
    _check_range("stop_after_s", stop_after_s, *((1, MAX_STOP_AFTER_S) if on_outage == STOP else (0, 0)))
    check_optional_text("bodies_at", bodies_at, MAX_PLACE_LENGTH)
    check_optional_text("second_place", second_place, MAX_PLACE_LENGTH)
    department = ctx.account.department
    name = stream_name(department, ctx.sender)
    stream = STREAMS.load(ctx, name)
    if stream is None:
        count = load_stream_count(ctx)
        STREAM_NAMES.save(ctx, count.to_bytes(8, "big"), StreamName(department, ctx.sender))
        STREAM_COUNT.save(ctx, b"", StreamCount(count + 1))
        stream = StreamRecord(
            department, ctx.sender, 0, FIRST_PREVIOUS_DIGEST, 0, 0, 0, 0, 0, GO_ON, 0, "", "", 0, ctx.time_ms, 0, 0
        )
    promised_ms = ctx.time_ms + heartbeat_s * 1_000
    declared = msgspec.structs.replace(
        stream,
        heartbeat_s=heartbeat_s,
        max_batch_records=max_batch_records,
        on_outage=on_outage,
        stop_after_s=stop_after_s,
        bodies_at=bodies_at,
        second_place=second_place,
        declared_ms=ctx.time_ms,
        # What was promised before stands: whoever is late cannot declare it away, nor end the stream and go on.
        due_ms=min(stream.due_ms or promised_ms, promised_ms),
        ended_ms=0,
    )
    STREAMS.save(ctx, name, declared)
    policy = (heartbeat_s, max_batch_records, on_outage, stop_after_s, bodies_at, second_place)
    ctx.emit(STREAM_DECLARED, ctx.sender, department, *policy)


@CONTRACT.write(RECORDER, ADMINISTRATOR)
def end_stream(ctx: Context, recorder: Address) -> None:
    """Say that no batches follow in a stream: the caller's own, or by an administrator one of its department.

    A stream that is late may be ended, as its recorder may be lost; that it was late stays in its record.
    """
    if recorder != ctx.sender and ADMINISTRATOR not in ctx.account.roles:
        raise Refused("ROLE_MISSING", expected=ADMINISTRATOR, found=", ".join(ctx.account.roles))
    department = ctx.account.department
    name = stream_name(department, recorder)
    stream = _load_going_on(ctx, name)
    STREAMS.save(ctx, name, msgspec.structs.replace(stream, ended_ms=ctx.time_ms))
    ctx.emit(STREAM_ENDED, recorder, department)


@CONTRACT.write(GOVERNOR)
def end_suspended_stream(ctx: Context, department: str, recorder: Address) -> None:
    """Say for a suspended department, whose accounts cannot, that no batches follow in a stream: since its suspension."""
    found = load_department(ctx, department)
    if found is None:
        raise Refused("DEPARTMENT_UNKNOWN", found=department)
    if not found.suspended_ms:
        raise Refused("DEPARTMENT_NOT_SUSPENDED", found=department)
    name = stream_name(department, recorder)
    stream = _load_going_on(ctx, name)
    # Its recorder could send nothing from then on: it is late by what it had promised before, and by nothing since.
    STREAMS.save(ctx, name, msgspec.structs.replace(stream, ended_ms=found.suspended_ms))
    ctx.emit(STREAM_ENDED, recorder, department)


@CONTRACT.write(RECORDER)
def record_batch(
    ctx: Context,
    batch_number: Uint64,
    first_number: Uint64,
    count: Uint64,
    previous_digest: Bytes32,
    last_digest: Bytes32,
    root: Bytes32,
    from_ms: TimeMs,
    to_ms: TimeMs,
    served: Uint64,
    denied: Uint64,
    irregular: Uint64,
    rows: Uint64,
) -> None:
    """Record the next batch of the caller's stream; the same batch again changes nothing."""
    department = ctx.account.department
    name = stream_name(department, ctx.sender)
    stream = ctx.require(STREAMS, name, "STREAM_UNKNOWN", ctx.sender)
    batch = BatchRecord(
        department,
        ctx.sender,
        batch_number,
        first_number,
        count,
        previous_digest,
        last_digest,
        root,
        from_ms,
        to_ms,
        served,
        denied,
        irregular,
        rows,
        # A first batch may reach back before its stream was declared, and is then the later for it.
        stream.due_ms if stream.batch_number else min(stream.due_ms, from_ms + stream.heartbeat_s * 1_000),
        ctx.time_ms,
    )
    if 0 < batch_number <= stream.batch_number:
        kept = ctx.require(BATCHES, _batch_name(name, batch_number), "BATCH_NUMBER_UNKNOWN", batch_number)
        if stated_of_batch(kept) != stated_of_batch(batch):
            raise Refused("BATCH_REWRITTEN", found=batch_number)
        return
    if stream.ended_ms:
        raise Refused("STREAM_ENDED", found=ctx.sender, since=stream.ended_ms)
    _check_batch(batch, stream, ctx.time_ms)
    BATCHES.save(ctx, _batch_name(name, batch_number), batch)
    number = stream.number + count
    head = msgspec.structs.replace(
        stream,
        number=number,
        digest=last_digest,
        batch_number=batch_number,
        covered_ms=to_ms,
        recorded_ms=ctx.time_ms,
        due_ms=to_ms + stream.heartbeat_s * 1_000,
    )
    STREAMS.save(ctx, name, head)
    ctx.emit(BATCH_RECORDED, ctx.sender, department, batch_number, first_number, count, root)


@CONTRACT.view()
def stream(ctx: Context, department: str, recorder: Address) -> StreamRecord:
    """Return where a stream stands and what its recorder has declared."""
    return ctx.require(STREAMS, stream_name(department, recorder), "STREAM_UNKNOWN", recorder)


@CONTRACT.view()
def batch(ctx: Context, department: str, recorder: Address, batch_number: Uint64) -> BatchRecord:
    """Return one batch of a stream."""
    name = _batch_name(stream_name(department, recorder), batch_number)
    return ctx.require(BATCHES, name, "BATCH_NUMBER_UNKNOWN", batch_number)


def stated_of_batch(batch: BatchRecord) -> BatchRecord:
    """Return what the recorder stated, without what the ledger adds: two batches that are equal so are the same."""
    return msgspec.structs.replace(batch, due_ms=0, recorded_ms=0)


def is_late(stream: StreamRecord, now_ms: int) -> bool:
    """Return whether a stream that goes on is silent for longer than its recorder promised, at a time in ms."""
    return stream.ended_ms == 0 and now_ms > stream.due_ms


def stream_key(department: str, recorder: bytes) -> bytes:
    """Return the key in state of a stream."""
    return STREAMS.key(stream_name(department, recorder))


def batch_key(department: str, recorder: bytes, batch_number: int) -> bytes:
    """Return the key in state of one batch of a stream."""
    return BATCHES.key(_batch_name(stream_name(department, recorder), batch_number))


def stream_count_key() -> bytes:
    """Return the key in state of the count of streams."""
    return STREAM_COUNT.key(b"")


def stream_name_key(index: int) -> bytes:
    """Return the key in state of the name of a stream by its place in the list of all, from 0."""
    return STREAM_NAMES.key(index.to_bytes(8, "big"))


def load_stream(state: Reader, department: str, recorder: bytes) -> StreamRecord | None:
    """Return a stream, or None."""
    return STREAMS.load(state, stream_name(department, recorder))


def load_batch(state: Reader, department: str, recorder: bytes, batch_number: int) -> BatchRecord | None:
    """Return one batch of a stream, or None."""
    return BATCHES.load(state, _batch_name(stream_name(department, recorder), batch_number))


def load_stream_count(state: Reader) -> int:
    """Return how many streams there are."""
    kept = STREAM_COUNT.load(state, b"")
    return 0 if kept is None else kept.count


def load_stream_name(state: Reader, index: int) -> StreamName | None:
    """Return whose the stream at a place in the list of all is, from 0, or None."""
    return STREAM_NAMES.load(state, index.to_bytes(8, "big"))


def stream_name(department: str, recorder: bytes) -> bytes:
    """Return the name of a stream: the recorder's 20-byte address, then the department's code."""
    return recorder + department.encode()


def _batch_name(stream: bytes, batch_number: int) -> bytes:
    return stream + batch_number.to_bytes(8, "big")


def _load_going_on(ctx: Context, name: bytes) -> StreamRecord:
    stream = ctx.require(STREAMS, name, "STREAM_UNKNOWN", name[:20])
    if stream.ended_ms:
        raise Refused("STREAM_ENDED", found=name[:20], since=stream.ended_ms)
    return stream


def _check_range(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise Refused("NUMBER_OUT_OF_RANGE", field=field, least=least, limit=most, found=value)


def _check_batch(batch: BatchRecord, stream: StreamRecord, now_ms: int) -> None:
    """Refuse a batch that does not continue its stream without a gap, or contradicts itself."""
    if batch.batch_number != stream.batch_number + 1:
        raise Refused("BATCH_GAP", expected=stream.batch_number + 1, found=batch.batch_number)
    if batch.first_number != stream.number + 1:
        raise Refused("NUMBER_GAP", expected=stream.number + 1, found=batch.first_number)
    if batch.previous_digest != stream.digest:
        raise Refused("PREVIOUS_DIGEST_MISMATCH", expected=stream.digest, found=batch.previous_digest)
    if stream.batch_number and batch.from_ms != stream.covered_ms:
        raise Refused("COVERAGE_GAP", expected=stream.covered_ms, found=batch.from_ms)
    if not stream.batch_number and batch.from_ms > stream.first_declared_ms:
        raise Refused("COVERAGE_GAP", expected=stream.first_declared_ms, found=batch.from_ms)
    check_time("from_ms", batch.from_ms)
    check_time("to_ms", batch.to_ms)
    latest = now_ms + MAX_CLOCK_AHEAD_MS
    if batch.to_ms > latest:
        raise Refused("BATCH_IN_FUTURE", found=batch.to_ms, limit=latest)
    # Reads may share a millisecond with the batch before; a heartbeat that covers no time says nothing.
    if batch.to_ms < batch.from_ms or (batch.to_ms == batch.from_ms and not batch.count):
        raise Refused("DATES_REVERSED", start=batch.from_ms, end=batch.to_ms)
    _check_range("count", batch.count, 0, stream.max_batch_records)
    stated = batch.served + batch.denied + batch.irregular
    if stated != batch.count:
        raise Refused("BATCH_OUTCOMES", expected=batch.count, found=stated)
    if not batch.count:
        if (batch.root, batch.last_digest, batch.rows) != (EMPTY_ROOT, batch.previous_digest, 0):
            raise Refused("HEARTBEAT_NOT_EMPTY", found=batch.batch_number)
        return
    check_digest("root", batch.root)
    check_digest("last_digest", batch.last_digest)
    if batch.root == EMPTY_ROOT or batch.last_digest == batch.previous_digest:
        raise Refused("BATCH_WITHOUT_READS", found=batch.batch_number)
