"""Records of returned data (回流): since when a resource is returned to the city, and each arrival of its data."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.data_sharing.resources import UPDATE_CYCLES
from contracts.data_sharing.working_days import add_months, day_end_ms, day_of
from contracts.fields import Address, Bytes32, TimeMs, Uint64
from contracts.frame import Context
from contracts.records import Reader, Table


class Arrival(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What came: for which version of the entry, of which period, how many rows, the salted SM3 of it, and when it came."""

    version: Uint64
    from_ms: TimeMs
    to_ms: TimeMs
    """The period of the data ends before this."""
    rows: Uint64
    digest: Bytes32
    batch: str
    """The number that the body which returns the data gave this batch or hand-over."""
    arrived_ms: TimeMs


class ArrivalRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An arrival of a returned resource; one that was recorded wrongly stays, with who ended it, why, and what stands in its place."""

    resource: str
    number: Uint64
    provider: str
    arrival: Arrival
    recorder: Address
    recorded_ms: TimeMs
    corrects: Uint64
    """The number of the record in whose place this one stands, 0 for none."""
    ended_ms: TimeMs
    """0 while it stands."""
    ended_by: Address
    reason: str
    """Why it does not stand; empty while it does."""
    corrected_by: Uint64
    """The number of the record that stands in its place, 0 for none."""


class ReturnHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Since when a resource's entry says that it is returned data, and how many arrivals were recorded, corrected ones included."""

    resource: str
    since_ms: TimeMs
    count: Uint64


ARRIVALS: Final = Table("catalogue", 5, ArrivalRecord)
RETURN_HEADS: Final = Table("catalogue", 6, ReturnHead)

_CYCLE_DAYS: Final = {2: 1, 3: 7}
_CYCLE_MONTHS: Final = {4: 1, 5: 3, 6: 12}
assert {*_CYCLE_DAYS, *_CYCLE_MONTHS} == {*UPDATE_CYCLES} - {1}, "every cycle but real time has a length"

NO_TERM: Final = "none"
NOT_DUE: Final = "waiting"
DUE: Final = "due"
OVERDUE: Final = "overdue"
RETURN_STATES: Final[dict[str, tuple[str, str]]] = {
    NO_TERM: ("无固定周期", "no set time"),
    NOT_DUE: ("未到期", "not due yet"),
    DUE: ("今日到期", "due today"),
    OVERDUE: ("已逾期", "overdue"),
}
"""Whether the next arrival is due, in Chinese and English."""


def begin_return(ctx: Context, resource: str) -> None:
    """Note that from now on a resource's entry says that it is returned data; its arrivals stay numbered as they were."""
    known = load_return_head(ctx, resource)
    count = 0 if known is None else known.count
    RETURN_HEADS.save(ctx, resource.encode(), ReturnHead(resource, ctx.time_ms, count))


def load_return_head(state: Reader, resource: str) -> ReturnHead | None:
    """Return since when a resource is returned data and how many arrivals it had, or None."""
    return RETURN_HEADS.load(state, resource.encode())


def load_arrival(state: Reader, resource: str, number: int) -> ArrivalRecord | None:
    """Return one arrival of a resource, or None."""
    return ARRIVALS.load(state, arrival_name(resource, number))


def arrival_name(resource: str, number: int) -> bytes:
    """Return what an arrival is called in its table."""
    return resource.encode() + number.to_bytes(8, "big")


def next_due_ms(cycle: int, last_ms: int) -> int:
    """Return the last ms of the day in Beijing by which data of an update cycle comes again after a time; 0 for real time."""
    day = day_of(last_ms)
    if cycle in _CYCLE_DAYS:
        return day_end_ms(day + _CYCLE_DAYS[cycle])
    return day_end_ms(add_months(day, _CYCLE_MONTHS[cycle])) if cycle in _CYCLE_MONTHS else 0


def return_state(due_ms: int, now_ms: int) -> str:
    """Return which of RETURN_STATES holds at a time for data that is due by `due_ms`, 0 for never."""
    if not due_ms:
        return NO_TERM
    if due_ms < now_ms:
        return OVERDUE
    return DUE if day_of(due_ms) == day_of(now_ms) else NOT_DUE
