"""Days and times of China as milliseconds, and in words."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Final

CHINA_TIME: Final = timezone(timedelta(hours=8), "UTC+8")


def day_start_ms(text: str) -> int:
    """Return the first millisecond, China time, of the day `YYYY-MM-DD`; raise ValueError otherwise."""
    day = date.fromisoformat(text)
    if text != day.isoformat():
        raise ValueError(f"expected a date as YYYY-MM-DD, found {text[:40]!r}")
    return int(datetime(day.year, day.month, day.day, tzinfo=CHINA_TIME).timestamp()) * 1_000


def day_end_ms(text: str) -> int:
    """Return the last millisecond, China time, of the day `YYYY-MM-DD`; raise ValueError otherwise."""
    return day_start_ms(text) + 24 * 3_600_000 - 1


def show_time(time_ms: int) -> str:
    """Return a time as people in China read it, to the second."""
    return f"{datetime.fromtimestamp(time_ms / 1_000, CHINA_TIME):%Y-%m-%d %H:%M:%S} (UTC+8)"
