"""What statutory clocks run by: the calendar of working days, and the terms of each region.

Governors record both. No deadline is kept anywhere: whoever asks computes it from the records (contracts.data_sharing.due), so that
nothing has to be corrected after a change; and the changes that are allowed here never move a deadline that has passed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Final

import msgspec

from contracts.accounts import GOVERNOR
from contracts.data_sharing.numbered_versions import find_begun, number_for
from contracts.data_sharing.working_days import (
    MAX_CALENDAR_DAYS,
    MAX_TERM_DAYS,
    Calendar,
    day_of,
    parse_day,
    year_of,
)
from contracts.fields import Address, TimeMs, Uint64, check_choice, check_list, check_text, check_time
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_SOURCE_LENGTH: Final = 200
MAX_DAY_NAME_LENGTH: Final = 32
MAX_REGION_NAME_LENGTH: Final = 64
MAX_LISTED_VERSIONS: Final = 32
YEARS_BEFORE: Final = 1
YEARS_AHEAD: Final = 2
"""Calendars are recorded from the year before the block's to two years after it."""

REPLY_UNCONDITIONAL: Final = "reply_unconditional"
REPLY_CONDITIONAL: Final = "reply_conditional"
COMPLIANCE_CHECK: Final = "compliance_check"
SUPPLY: Final = "supply"
CORRECTION: Final = "correction"
DISPUTE: Final = "dispute"
RECALL: Final = "recall"
KINDS: Final[dict[str, tuple[str, str]]] = {
    REPLY_UNCONDITIONAL: ("答复（无条件共享）", "reply, unconditional sharing"),
    REPLY_CONDITIONAL: ("答复（有条件共享）", "reply, conditional sharing"),
    COMPLIANCE_CHECK: ("合规性检查", "compliance check before the reply"),
    SUPPLY: ("提供数据", "supply after approval"),
    CORRECTION: ("校核纠错", "correction"),
    DISPUTE: ("争议处理", "dispute"),
    RECALL: ("召回后销毁确认", "destruction confirmed after a recall"),
}
"""Every kind of term, in Chinese and English."""

# Two digits name a province, four a city, six a county; nine and twelve a township and a village. None stands for everywhere.
_REGION_FORM: Final = re.compile(r"(?:[0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12})?")
_PREFIX_LENGTHS: Final = (12, 9, 6, 4, 2, 0)


class CalendarDay(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A day that the calendar names, YYYY-MM-DD in Beijing: a holiday, or a working day that makes up for one."""

    day: str
    is_working: bool
    name: str


class CalendarYear(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The calendar of one year, days in their order, and where it was published; `version` counts its changes from 1."""

    year: Uint64
    source: str
    days: tuple[CalendarDay, ...]
    version: Uint64
    recorded_ms: TimeMs
    operator: Address


class Term(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How many working days something of a kind, one of KINDS, may take; 0 where no limit applies."""

    kind: str
    working_days: Uint64


class TermVersion(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The terms that hold for what begins from a time on, and the rule that they come from."""

    from_ms: TimeMs
    source: str
    terms: tuple[Term, ...]
    recorded_ms: TimeMs
    operator: Address

    def working_days(self, kind: str) -> int:
        """Return the term of a kind in working days, 0 where no limit applies."""
        return next((term.working_days for term in self.terms if term.kind == kind), 0)


class RegionRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A region that has terms, and how many versions of them there are: numbers 1 to this one, in the order in which they begin."""

    region: str
    name: str
    count: Uint64


class DeadlineTable(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The terms of a region and all below it: the newest versions, in the order in which they begin."""

    region: str
    name: str
    versions: tuple[TermVersion, ...]


ORDER_809: Final = TermVersion(
    0,
    "政务数据共享条例（国务院令第 809 号，2025-08-01 起施行）",
    # Reply and supply are the regulation's limits. Correction, dispute and recall are ours until a governor records the rule that applies.
    (
        Term(REPLY_UNCONDITIONAL, 1),
        Term(REPLY_CONDITIONAL, 10),
        Term(COMPLIANCE_CHECK, 0),
        Term(SUPPLY, 20),
        Term(CORRECTION, 10),
        Term(DISPUTE, 30),
        Term(RECALL, 5),
    ),
    0,
    bytes(20),
)
DEFAULT_TABLE: Final = DeadlineTable("", "全国 / everywhere", (ORDER_809,))
"""The terms where no table of a region applies and none for everywhere was recorded."""

CALENDARS: Final = Table("deadlines", 1, CalendarYear)
REGIONS: Final = Table("deadlines", 2, RegionRecord)
TERM_VERSIONS: Final = Table("deadlines", 3, TermVersion)
CONTRACT: Final = SystemContract("deadlines")
CALENDAR_SET: Final = CONTRACT.event("CalendarSet", year="uint64", version="uint64", days="uint64", source="string")
TERMS_SET: Final = CONTRACT.event("TermsSet", region="string", from_ms="int64", source="string")


@CONTRACT.write(GOVERNOR)
def set_calendar(ctx: Context, year: Uint64, source: str, days: list[CalendarDay]) -> None:
    """Record a year's holidays and make-up working days, whole; once a year is recorded, only days after today may change."""
    check_text("source", source, MAX_SOURCE_LENGTH)
    today = day_of(ctx.time_ms)
    this_year = year_of(today)
    if not this_year - YEARS_BEFORE <= year <= this_year + YEARS_AHEAD:
        raise Refused("CALENDAR_YEAR", least=this_year - YEARS_BEFORE, limit=this_year + YEARS_AHEAD, found=year)
    _check_days(year, days)
    recorded = CALENDARS.load(ctx, _year_name(year))
    if recorded is not None:
        # What has been due stays due: the days up to today count as they did.
        changed = [one.day for one in {*recorded.days} ^ {*days} if parse_day(one.day) <= today]
        if changed:
            raise Refused("CALENDAR_DAY_PAST", found=min(changed))
    version = 1 if recorded is None else recorded.version + 1
    record = CalendarYear(year, source, tuple(days), version, ctx.time_ms, ctx.sender)
    CALENDARS.save(ctx, _year_name(year), record)
    ctx.emit(CALENDAR_SET, year, version, len(days), source)


@CONTRACT.write(GOVERNOR)
def set_terms(ctx: Context, region: str, name: str, source: str, from_ms: TimeMs, terms: list[Term]) -> None:
    """Record the terms of a region (first digits of its code, 2, 4, 6, 9 or 12; none for everywhere) from a time on, 0 for at once."""
    if _REGION_FORM.fullmatch(region) is None:
        raise Refused("REGION_PREFIX_MALFORMED", found=region)
    check_text("name", name, MAX_REGION_NAME_LENGTH)
    check_text("source", source, MAX_SOURCE_LENGTH)
    from_ms = from_ms or ctx.time_ms
    check_time("from_ms", from_ms)
    if from_ms < ctx.time_ms:
        raise Refused("TERMS_BEGIN_PAST", found=from_ms, limit=ctx.time_ms)
    _check_terms(terms)
    # A version that was to begin at this time or later is replaced; one that holds stays for what began under it.
    recorded = REGIONS.load(ctx, region.encode())
    count = 0 if recorded is None else recorded.count
    number = number_for(partial(_load_version, ctx, region), count, from_ms, ctx.time_ms)
    for replaced in range(number + 1, count + 1):
        TERM_VERSIONS.remove(ctx, _version_name(region, replaced))
    version = TermVersion(from_ms, source, tuple(terms), ctx.time_ms, ctx.sender)
    TERM_VERSIONS.save(ctx, _version_name(region, number), version)
    REGIONS.save(ctx, region.encode(), RegionRecord(region, name, number))
    ctx.emit(TERMS_SET, region, from_ms, source)


@CONTRACT.view()
def calendar(ctx: Context, year: Uint64) -> CalendarYear:
    """Return the calendar of a year."""
    return ctx.require(CALENDARS, _year_name(year), "CALENDAR_UNKNOWN", year)


@CONTRACT.view()
def terms(ctx: Context, region: str) -> DeadlineTable:
    """Return what is recorded for just this region, its newest versions; what is built in for everywhere where nothing was."""
    if not region and not REGIONS.has(ctx, b""):
        return DEFAULT_TABLE
    recorded = ctx.require(REGIONS, region.encode(), "TERMS_UNKNOWN", region)
    numbers = range(max(1, recorded.count - MAX_LISTED_VERSIONS + 1), recorded.count + 1)
    versions = [_load_version(ctx, region, number) for number in numbers]
    return DeadlineTable(region, recorded.name, tuple(one for one in versions if one is not None))


@CONTRACT.view()
def terms_at(ctx: Context, region: str, time_ms: TimeMs) -> TermVersion:
    """Return the terms that hold in a region (whole code) for what begins at a time: of the longest prefix that has any."""
    return load_terms(ctx, region, time_ms)


def load_year(state: Reader, year: int) -> CalendarYear | None:
    """Return the calendar of a year as it is recorded, or None."""
    return CALENDARS.load(state, _year_name(year))


def load_calendar(state: Reader, from_ms: int, to_ms: int = 0) -> Calendar:
    """Return the calendar for terms that begin at `from_ms`, or up to `to_ms`: their years and the one after."""
    first, last = year_of(day_of(from_ms)), year_of(day_of(max(from_ms, to_ms))) + 1
    found: list[bytes] = []
    for year in range(first, last + 1):
        raw = state.get(CALENDARS.key(_year_name(year)))
        if raw is not None:
            found.append(raw)
    return _make_calendar(tuple(found))


def load_terms(state: Reader, region: str, time_ms: int) -> TermVersion:
    """Return the terms that hold in a region for what begins at a time: of the longest prefix that has any, else ORDER_809."""
    return RegionTerms(state, region).at(time_ms)


class RegionTerms:
    """The terms of a region (whole code) at one state: asked for many times, no version of them is read twice."""

    def __init__(self, state: Reader, region: str) -> None:
        """Take the state and the region; what applies to it is read when it is asked for."""
        self._state = state
        self._prefixes = [region[:length] for length in _PREFIX_LENGTHS if length <= len(region)]
        self._counts: dict[str, int] = {}
        self._versions: dict[tuple[str, int], TermVersion | None] = {}

    def at(self, time_ms: int) -> TermVersion:
        """Return the terms that hold for what begins at a time: of the longest prefix that has any, else ORDER_809."""
        for prefix in self._prefixes:
            if prefix not in self._counts:
                recorded = REGIONS.load(self._state, prefix.encode())
                self._counts[prefix] = 0 if recorded is None else recorded.count
            _, found = find_begun(partial(self._load, prefix), self._counts[prefix], time_ms)
            if found is not None:
                return found
        return ORDER_809

    def _load(self, prefix: str, number: int) -> TermVersion | None:
        place = (prefix, number)
        if place not in self._versions:
            self._versions[place] = _load_version(self._state, prefix, number)
        return self._versions[place]


def _load_version(state: Reader, region: str, number: int) -> TermVersion | None:
    return TERM_VERSIONS.load(state, _version_name(region, number))


def _version_name(region: str, number: int) -> bytes:
    return region.encode() + b"#" + number.to_bytes(8, "big")


def _year_name(year: int) -> bytes:
    return str(year).encode()


def _check_days(year: int, days: Sequence[CalendarDay]) -> None:
    if len(days) > MAX_CALENDAR_DAYS:
        raise Refused("LIST_TOO_LONG", field="days", limit=MAX_CALENDAR_DAYS, found=len(days))
    before = ""
    for one in days:
        try:
            is_right = year_of(parse_day(one.day)) == year
        except ValueError:
            is_right = False
        if not is_right or one.day <= before:
            raise Refused("CALENDAR_DAY", expected=year, found=one.day)
        before = one.day
        check_text("name", one.name, MAX_DAY_NAME_LENGTH)


def _check_terms(terms: Sequence[Term]) -> None:
    check_list("terms", [one.kind for one in terms], len(KINDS))
    if len(terms) != len(KINDS):
        raise Refused("LENGTHS_DIFFER", field="terms", expected=len(KINDS), found=len(terms))
    for one in terms:
        check_choice("kind", one.kind, KINDS)
        if one.working_days > MAX_TERM_DAYS:
            raise Refused("TERM_TOO_LONG", field=one.kind, limit=MAX_TERM_DAYS, found=one.working_days)
    # What is not checked yet is answered within both terms, one after the other: contracts.data_sharing.due adds them up.
    both = sum(one.working_days for one in terms if one.kind in (COMPLIANCE_CHECK, REPLY_CONDITIONAL))
    if both > MAX_TERM_DAYS:
        raise Refused(
            "TERM_TOO_LONG", field=f"{COMPLIANCE_CHECK} + {REPLY_CONDITIONAL}", limit=MAX_TERM_DAYS, found=both
        )


@lru_cache(maxsize=64)
def _make_calendar(years: tuple[bytes, ...]) -> Calendar:
    """Return the calendar of recorded years, as their values in state have them; made once, for it is asked for with every item."""
    records = [CALENDARS.decode(raw) for raw in years]
    days = [(parse_day(one.day), one.is_working) for record in records for one in record.days]
    return Calendar(days, [record.year for record in records])
