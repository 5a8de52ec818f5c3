"""Access records: every read of shared data against its grant, in gapless hash-chained streams.

A stream belongs to one recording account of one department. A record's number is the last plus one, and it names the digest of the
one before: a record left out, changed or put in later shows. Sending the same record again changes nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import RECORDER
from contracts.data_sharing import sharing
from contracts.fields import Address, Bytes32, TimeMs, Uint8, Uint64, check_choice, check_digest, check_text, check_time
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused
from sm_crypto.sm3 import TaggedHash

MAX_SYSTEM_LENGTH: Final = 64
MAX_CASE_LENGTH: Final = 64
MAX_CLOCK_AHEAD_MS: Final = 60_000
"""How far a recorder's clock may run ahead of block time."""

FIRST_PREVIOUS_DIGEST: Final = bytes(32)

SERVED: Final = 1
DENIED: Final = 2
IRREGULAR: Final = 3
OUTCOMES: Final = {
    SERVED: ("已提供", "served"),
    DENIED: ("已拒绝", "denied"),
    IRREGULAR: ("授权之外的读取", "served outside the grant"),
}
"""What became of a read. A read outside its grant did happen all the same: it is recorded as such, never as served."""

_RECORD_HASH = TaggedHash("govnode/access-record/1")


class AccessBody(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a recorder states about one read; its digest links the stream.

    The person is a 32-byte keyed commitment, query and result are 32-byte digests: nothing personal is on the ledger.
    """

    department: str
    recorder: Address
    number: Uint64
    previous_digest: Bytes32
    grant: Bytes32
    person: Bytes32
    system: str
    case_number: str
    query_digest: Bytes32
    result_digest: Bytes32
    rows: Uint64
    outcome: Uint8
    read_ms: TimeMs


class AccessRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A read as the ledger keeps it: what was stated, whose data it was, and when it was recorded."""

    body: AccessBody
    digest: Bytes32
    resource: str
    provider: str
    consumer: str
    recorded_ms: TimeMs


class StreamHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a stream stands: its last number (0 for none yet) and that record's digest."""

    number: Uint64
    digest: Bytes32


EMPTY_STREAM: Final = StreamHead(0, FIRST_PREVIOUS_DIGEST)

RECORDS: Final = Table("access", 1, AccessRecord)
STREAMS: Final = Table("access", 2, StreamHead)
CONTRACT: Final = SystemContract("access")
RECORDED: Final = CONTRACT.event(
    "AccessRecorded",
    ["grant", "person", "recorder"],
    grant="bytes32",
    person="bytes32",
    recorder="address",
    department="string",
    number="uint64",
    digest="bytes32",
)


@CONTRACT.write(RECORDER)
def record(
    ctx: Context,
    number: Uint64,
    previous_digest: Bytes32,
    grant: Bytes32,
    person: Bytes32,
    system: str,
    case_number: str,
    query_digest: Bytes32,
    result_digest: Bytes32,
    rows: Uint64,
    outcome: Uint8,
    read_ms: TimeMs,
) -> Bytes32:
    """Record one read in the caller's stream and return its digest; the same record again changes nothing."""
    body = AccessBody(
        ctx.account.department,
        ctx.sender,
        number,
        previous_digest,
        grant,
        person,
        system,
        case_number,
        query_digest,
        result_digest,
        rows,
        outcome,
        read_ms,
    )
    digest = record_digest(body)
    stream = stream_name(body.department, body.recorder)
    head = STREAMS.load(ctx, stream) or EMPTY_STREAM
    if 0 < number <= head.number:
        if ctx.require(RECORDS, _record_name(stream, number), "RECORD_UNKNOWN", number).digest != digest:
            raise Refused("RECORD_REWRITTEN", found=number)
        return digest
    if number != head.number + 1:
        raise Refused("NUMBER_GAP", expected=head.number + 1, found=number)
    if previous_digest != head.digest:
        raise Refused("PREVIOUS_DIGEST_MISMATCH", expected=head.digest, found=previous_digest)
    granted = _check_read(ctx, body)
    kept = AccessRecord(body, digest, granted.resource, granted.provider, granted.consumer, ctx.time_ms)
    RECORDS.save(ctx, _record_name(stream, number), kept)
    STREAMS.save(ctx, stream, StreamHead(number, digest))
    ctx.emit(RECORDED, grant, person, ctx.sender, body.department, number, digest)
    return digest


@CONTRACT.view(is_public=False)
def access_record(ctx: Context, department: str, recorder: Address, number: Uint64) -> AccessRecord:
    """Return one record of a stream."""
    return ctx.require(RECORDS, _record_name(stream_name(department, recorder), number), "RECORD_UNKNOWN", number)


@CONTRACT.view()
def stream_head(ctx: Context, department: str, recorder: Address) -> StreamHead:
    """Return where a stream stands: number 0 and a zero digest before its first record."""
    return load_stream_head(ctx, department, recorder)


def record_digest(body: AccessBody) -> bytes:
    """Return the 32-byte digest that the next record of the stream names this one by."""
    return _RECORD_HASH(msgspec.msgpack.encode(body))


def record_key(department: str, recorder: bytes, number: int) -> bytes:
    """Return the key in state of one record of a stream."""
    return RECORDS.key(_record_name(stream_name(department, recorder), number))


def stream_key(department: str, recorder: bytes) -> bytes:
    """Return the key in state of a stream's head."""
    return STREAMS.key(stream_name(department, recorder))


def load_access_record(state: Reader, department: str, recorder: bytes, number: int) -> AccessRecord | None:
    """Return one record of a stream, or None."""
    return RECORDS.load(state, _record_name(stream_name(department, recorder), number))


def load_stream_head(state: Reader, department: str, recorder: bytes) -> StreamHead:
    """Return where a stream stands; EMPTY_STREAM before its first record."""
    return STREAMS.load(state, stream_name(department, recorder)) or EMPTY_STREAM


def stream_name(department: str, recorder: bytes) -> bytes:
    """Return the name of a stream: the recorder's 20-byte address, then the department's code."""
    return recorder + department.encode()


def _record_name(stream: bytes, number: int) -> bytes:
    return stream + number.to_bytes(8, "big")


def _check_read(ctx: Context, body: AccessBody) -> sharing.RequestRecord:
    """Return the grant that a read names; refuse a read that is not the caller's to record, or not as what it claims to be."""
    check_text("system", body.system, MAX_SYSTEM_LENGTH)
    check_text("case_number", body.case_number, MAX_CASE_LENGTH)
    check_digest("person", body.person)
    check_digest("query_digest", body.query_digest)
    check_choice("outcome", body.outcome, tuple(OUTCOMES))
    if body.outcome != DENIED:
        check_digest("result_digest", body.result_digest)
    check_time("read_ms", body.read_ms)
    latest = ctx.time_ms + MAX_CLOCK_AHEAD_MS
    if body.read_ms > latest:
        raise Refused("READ_IN_FUTURE", found=body.read_ms, limit=latest)
    granted = ctx.require(sharing.REQUESTS, body.grant, "REQUEST_UNKNOWN", body.grant)
    if body.department not in (granted.provider, granted.consumer):
        raise Refused("NOT_A_PARTY", found=body.department)
    # At the time of the read, not of this call: a grant that was stopped since still covers the reads before that.
    if body.outcome == SERVED and not sharing.is_in_force(granted, body.read_ms):
        raise Refused("GRANT_NOT_IN_FORCE", found=body.grant)
    return granted
