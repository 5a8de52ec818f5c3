"""Records calendars on the ledger: a year that is there already is changed only from tomorrow on, and only where it differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from contracts.data_sharing.deadlines import CalendarDay, CalendarYear
from contracts.data_sharing.working_days import day_of, format_day
from sdk.errors import RequestRefused
from sdk.statutory_clocks.files import CalendarFile
from sdk.system_contracts.deadlines import Deadlines

if TYPE_CHECKING:
    from sdk.client import Client


class RecordedYear(msgspec.Struct, frozen=True):
    """What became of a year: its version on the ledger, whether this call changed it, and the past days it could not change."""

    year: int
    version: int
    days: int
    is_changed: bool
    past_days: tuple[str, ...]


def record_calendar(client: Client, wanted: CalendarFile, source: str) -> RecordedYear:
    """Record the days of a year, published in `source`; days up to today stay as they are recorded; raise CallRefused."""
    contract = Deadlines(client)
    recorded = find_calendar(client, wanted.year)
    if recorded is None:
        contract.set_calendar(year=wanted.year, source=source, days=wanted.days)
        return RecordedYear(wanted.year, 1, len(wanted.days), True, ())
    today = format_day(day_of(client.status()["head_time_ms"]))
    past = {one for one in recorded.days if one.day <= today}
    days = tuple(sorted(past | {one for one in wanted.days if one.day > today}, key=_day))
    refused = tuple(sorted({one.day for one in {*recorded.days} ^ {*wanted.days} if one.day <= today}))
    if days == recorded.days:
        return RecordedYear(wanted.year, recorded.version, len(days), False, refused)
    contract.set_calendar(year=wanted.year, source=source, days=days)
    return RecordedYear(wanted.year, recorded.version + 1, len(days), True, refused)


def find_calendar(client: Client, year: int) -> CalendarYear | None:
    """Return the calendar of a year as the ledger has it, None when none is recorded."""
    try:
        return Deadlines(client).calendar(year)
    except RequestRefused as refused:
        if refused.code != "CALENDAR_UNKNOWN":
            raise
        return None


def _day(one: CalendarDay) -> str:
    return one.day
