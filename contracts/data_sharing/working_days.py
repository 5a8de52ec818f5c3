"""Working days of Beijing time: weekends are off unless the calendar says otherwise, and a term ends with its last working day."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final

DAY_MS: Final = 86_400_000
BEIJING_OFFSET_MS: Final = 8 * 3_600_000
"""China has one time zone, UTC+8, without summer time since 1991."""
MAX_TERM_DAYS: Final = 120
"""The longest term in working days. It ends in the year after it began at the latest: a year has more than that many
working days whatever a calendar of at most MAX_CALENDAR_DAYS days says."""
MAX_CALENDAR_DAYS: Final = 100
"""How many days of one year a calendar may name; a year of China's State Council has about forty."""

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_DAYS_A_WEEK: Final = 7
_MONTHS_A_YEAR: Final = 12
_FIRST_WEEKEND_DAY: Final = 5
"""With Monday as 0."""
_EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday."""


class Calendar:
    """What a calendar says about days that are not simply weekdays and weekends, and for which years it was recorded.

    A day is its number since 1970-01-01 by the clocks of Beijing.
    """

    __slots__ = ("_is_working", "years")

    def __init__(self, days: Iterable[tuple[int, bool]] = (), years: Iterable[int] = ()) -> None:
        """Take the named days, each with whether it is a working day, and the years that are recorded."""
        self._is_working = dict(days)
        self.years = frozenset(years)

    def is_working_day(self, day: int) -> bool:
        """Return whether a day is a working day: as the calendar names it, else from Monday to Friday."""
        named = self._is_working.get(day)
        return (day + _EPOCH_WEEKDAY) % _DAYS_A_WEEK < _FIRST_WEEKEND_DAY if named is None else named

    def is_recorded(self, day: int) -> bool:
        """Return whether the calendar of a day's year was recorded: else its holidays are not known."""
        return year_of(day) in self.years


def day_of(time_ms: int) -> int:
    """Return the day in Beijing at a time in ms since 1970 UTC."""
    return (time_ms + BEIJING_OFFSET_MS) // DAY_MS


def day_end_ms(day: int) -> int:
    """Return the last millisecond of a day, in ms since 1970 UTC."""
    return (day + 1) * DAY_MS - BEIJING_OFFSET_MS - 1


def year_of(day: int) -> int:
    """Return the year that a day is in."""
    return date.fromordinal(day + _EPOCH_ORDINAL).year


def add_months(day: int, months: int) -> int:
    """Return the same day so many months later; the last of that month where it has no such day."""
    start = date.fromordinal(day + _EPOCH_ORDINAL)
    year, month = divmod(start.year * _MONTHS_A_YEAR + start.month - 1 + months, _MONTHS_A_YEAR)
    last = monthrange(year, month + 1)[1]
    return date(year, month + 1, min(start.day, last)).toordinal() - _EPOCH_ORDINAL


def parse_day(text: str) -> int:
    """Return the day that YYYY-MM-DD names; raise ValueError on any other writing."""
    found = date.fromisoformat(text)
    if found.isoformat() != text:
        raise ValueError(f"expected YYYY-MM-DD, found {text[:40]!r}")
    return found.toordinal() - _EPOCH_ORDINAL


def format_day(day: int) -> str:
    """Return a day as YYYY-MM-DD."""
    return date.fromordinal(day + _EPOCH_ORDINAL).isoformat()


def format_time(time_ms: int) -> str:
    """Return a time in ms since 1970 UTC, of the years 1900 to 9999, as YYYY-MM-DD HH:MM:SS by the clocks of Beijing."""
    return (datetime(1970, 1, 1) + timedelta(milliseconds=time_ms + BEIJING_OFFSET_MS)).isoformat(" ")  # noqa: DTZ001


def add_working_days(calendar: Calendar, start_ms: int, days: int) -> int:
    """Return the last ms of the working day that is `days` (1 to MAX_TERM_DAYS) after the day of `start_ms`, which does not count.

    That the first day does not count is how terms in days run in Chinese law (Civil Code, article 201).
    """
    if not 1 <= days <= MAX_TERM_DAYS:
        raise ValueError(f"expected 1 to {MAX_TERM_DAYS} working days, found {days}")
    day = day_of(start_ms)
    while days:
        day += 1
        days -= calendar.is_working_day(day)
    return day_end_ms(day)


def count_working_days(calendar: Calendar, start_ms: int, end_ms: int) -> int:
    """Return how many working days lie after the day of `start_ms` up to and with that of `end_ms`; 0 when it is not later."""
    return sum(map(calendar.is_working_day, range(day_of(start_ms) + 1, day_of(end_ms) + 1)))
