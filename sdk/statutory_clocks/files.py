"""The CSV files of calendars and terms: every fault names file, line and column before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from contracts.data_sharing.deadlines import KINDS, CalendarDay, Term
from contracts.data_sharing.working_days import MAX_CALENDAR_DAYS, MAX_TERM_DAYS, parse_day, year_of
from sdk.csv_table import CsvRow, read_csv
from verification.errors import InputError

CALENDAR_COLUMNS: Final = ("day", "kind", "name")
HOLIDAY: Final = "holiday"
WORKING: Final = "working"
DAY_KINDS: Final[dict[str, bool]] = {HOLIDAY: False, "放假": False, WORKING: True, "上班": True}
"""What a day may be in a file, and whether it is a working day."""
TERM_COLUMNS: Final = ("region", "name", "source", "from", *KINDS)


class CalendarFile(msgspec.Struct, frozen=True):
    """The days of one year in a calendar's file."""

    year: int
    days: tuple[CalendarDay, ...]


class RegionTerms(msgspec.Struct, frozen=True):
    """One line of a file of terms: a region, the rule, and from the first moment of which day it holds; `from_ms` 0 for at once."""

    region: str
    name: str
    source: str
    from_ms: int
    terms: tuple[Term, ...]


def load_calendars(path: Path) -> list[CalendarFile]:
    """Return the years in a file with the columns of CALENDAR_COLUMNS, each with its days in order; raise InputError."""
    years: dict[int, dict[str, CalendarDay]] = {}
    for row in read_csv(path, CALENDAR_COLUMNS, ()):
        day = row.text("day")
        try:
            number = parse_day(day)
        except ValueError:
            raise row.fault("day", "日期 YYYY-MM-DD", "a date as YYYY-MM-DD") from None
        is_working = DAY_KINDS.get(row.text("kind"))
        if is_working is None:
            raise row.fault("kind", f"其中之一：{'、'.join(DAY_KINDS)}", f"one of {', '.join(DAY_KINDS)}")
        days = years.setdefault(year_of(number), {})
        if day in days:
            raise row.fault("day", "每个日期只出现一次", "each date once")
        days[day] = CalendarDay(day, is_working, row.text("name"))
    for year, days in years.items():
        if len(days) > MAX_CALENDAR_DAYS:
            raise InputError(
                "CALENDAR_TOO_LONG",
                f"{path} 中 {year} 年有 {len(days)} 天，至多 {MAX_CALENDAR_DAYS} 天；普通的周末与工作日不必列出",
                f"{path} names {len(days)} days of {year}, at most {MAX_CALENDAR_DAYS}; ordinary weekends and weekdays are left out",
            )
    return [CalendarFile(year, tuple(days[day] for day in sorted(days))) for year, days in sorted(years.items())]


def load_terms_file(path: Path) -> list[RegionTerms]:
    """Return the lines of a file with the columns of TERM_COLUMNS; an empty term stands for no limit; raise InputError."""
    return [
        RegionTerms(
            row.optional("region"),
            row.text("name"),
            row.text("source"),
            row.day_start_ms("from") if row.optional("from") else 0,
            tuple(Term(kind, _working_days(row, kind)) for kind in KINDS),
        )
        for row in read_csv(path, TERM_COLUMNS, ())
    ]


def _working_days(row: CsvRow, kind: str) -> int:
    text = row.optional(kind)
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= MAX_TERM_DAYS):
        raise row.fault(kind, f"工作日数 0 至 {MAX_TERM_DAYS}", f"working days, 0 to {MAX_TERM_DAYS}")
    return int(text or 0)
