"""Return flow (回流): the department that keeps the entry of a returned resource records each arrival of its data, by gapless numbers.

Only digests and figures are on the ledger. A wrong record is never changed: it ends, with a reason, and another may stand in its place.
"""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import RECORDER
from contracts.data_sharing.arrival_records import (
    ARRIVALS,
    RETURN_HEADS,
    Arrival,
    ArrivalRecord,
    ReturnHead,
    arrival_name,
    load_arrival,
)
from contracts.data_sharing.catalogue import (
    CONTRACT,
    RESOURCES,
    ResourceRecord,
    check_provider,
    load_offered,
    load_version,
)
from contracts.data_sharing.working_days import day_end_ms, day_of, format_time
from contracts.fields import Uint64, check_digest, check_period, check_text, check_time
from contracts.frame import Context
from contracts.refusals import Refused

MAX_BATCH_LENGTH: Final = 64
MAX_REASON_LENGTH: Final = 200
MAX_ARRIVED_ROWS: Final = 10**12

ARRIVED: Final = CONTRACT.event("ArrivalRecorded", code="string", number="uint64", rows="uint64", corrects="uint64")
ENDED: Final = CONTRACT.event("ArrivalEnded", code="string", number="uint64", corrected_by="uint64", reason="string")


@CONTRACT.write(RECORDER)
def record_arrival(ctx: Context, code: str, number: Uint64, arrival: Arrival) -> None:
    """Record that data of a returned resource of the caller's department came, with the number after the last; again changes nothing."""
    _record(ctx, load_offered(ctx, code), number, arrival, 0)


@CONTRACT.write(RECORDER)
def correct_arrival(ctx: Context, code: str, number: Uint64, corrects: Uint64, arrival: Arrival, reason: str) -> None:
    """Put a record with the number after the last in the place of one that was wrong, which stays to be seen; again changes nothing."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = ctx.require(RESOURCES, code.encode(), "RESOURCE_UNKNOWN", code)
    if not 0 < corrects < number:
        # Nor in its own place.
        raise Refused("ARRIVAL_UNKNOWN", found=corrects)
    if _record(ctx, record, number, arrival, corrects):
        _end(ctx, code, corrects, number, reason)


@CONTRACT.write(RECORDER)
def void_arrival(ctx: Context, code: str, number: Uint64, reason: str) -> None:
    """State that an arrival that was recorded never was; the record stays to be seen."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    check_provider(ctx, ctx.require(RESOURCES, code.encode(), "RESOURCE_UNKNOWN", code).provider)
    _end(ctx, code, number, 0, reason)


@CONTRACT.view()
def arrival(ctx: Context, code: str, number: Uint64) -> ArrivalRecord:
    """Return one recorded arrival of a resource, those that no longer stand included."""
    return ctx.require(ARRIVALS, arrival_name(code, number), "ARRIVAL_UNKNOWN", number)


@CONTRACT.view()
def return_head(ctx: Context, code: str) -> ReturnHead:
    """Return since when a resource is returned data, and how many arrivals were recorded."""
    return ctx.require(RETURN_HEADS, code.encode(), "RESOURCE_NOT_RETURNED", code)


def _record(ctx: Context, entry: ResourceRecord, number: int, came: Arrival, corrects: int) -> bool:
    """Save an arrival and return True; False where it was recorded just so before."""
    code = entry.code
    check_provider(ctx, entry.provider)
    head = ctx.require(RETURN_HEADS, code.encode(), "RESOURCE_NOT_RETURNED", code)
    if 0 < number <= head.count:
        kept = load_arrival(ctx, code, number)
        if kept is None or (kept.arrival, kept.corrects) != (came, corrects):
            raise Refused("ARRIVAL_REWRITTEN", found=number)
        return False
    if number != head.count + 1:
        raise Refused("ARRIVAL_GAP", expected=head.count + 1, found=number)
    _check_arrival(ctx, code, came)
    record = ArrivalRecord(code, number, entry.provider, came, ctx.sender, ctx.time_ms, corrects, 0, bytes(20), "", 0)
    ARRIVALS.save(ctx, arrival_name(code, number), record)
    RETURN_HEADS.save(ctx, code.encode(), msgspec.structs.replace(head, count=number))
    ctx.emit(ARRIVED, code, number, came.rows, corrects)
    return True


def _check_arrival(ctx: Context, code: str, came: Arrival) -> None:
    described = load_version(ctx, code, came.version)
    if described is None:
        raise Refused("VERSION_UNKNOWN", found=came.version)
    if not described.description.source_level:
        raise Refused("RESOURCE_NOT_RETURNED", found=code)
    check_period("from_ms", came.from_ms, "to_ms", came.to_ms)
    check_time("arrived_ms", came.arrived_ms)
    # The data of a whole day may come within it: people name days.
    if came.arrived_ms > ctx.time_ms or came.to_ms > day_end_ms(day_of(came.arrived_ms)) + 1:
        raise Refused(
            "ARRIVAL_TIME",
            found=format_time(came.arrived_ms),
            end=format_time(came.to_ms),
            limit=format_time(ctx.time_ms),
        )
    if came.rows > MAX_ARRIVED_ROWS:
        raise Refused("COUNT_TOO_LARGE", found=came.rows)
    check_digest("digest", came.digest)
    check_text("batch", came.batch, MAX_BATCH_LENGTH)


def _end(ctx: Context, code: str, number: int, corrected_by: int, reason: str) -> None:
    known = ctx.require(ARRIVALS, arrival_name(code, number), "ARRIVAL_UNKNOWN", number)
    if known.ended_ms:
        raise Refused("ARRIVAL_ENDED", found=number)
    ended = msgspec.structs.replace(
        known, ended_ms=ctx.time_ms, ended_by=ctx.sender, reason=reason, corrected_by=corrected_by
    )
    ARRIVALS.save(ctx, arrival_name(code, number), ended)
    ctx.emit(ENDED, code, number, corrected_by, reason)
