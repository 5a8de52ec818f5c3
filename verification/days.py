"""Days and times of China as milliseconds, and in words."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

CHINA_TIME: Final = timezone(timedelta(hours=8), "UTC+8")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=CHINA_TIME) + timedelta(hours=8)


@lru_cache(maxsize=4_096)
def day_start_ms(text: str) -> int:
    """Return the first millisecond, China time, of the day `YYYY-MM-DD`; raise ValueError otherwise."""
    day = date.fromisoformat(text)
    if text != day.isoformat():
        raise ValueError(f"expected a date as YYYY-MM-DD, found {text[:40]!r}")
    return int(datetime(day.year, day.month, day.day, tzinfo=CHINA_TIME).timestamp()) * 1_000


def day_end_ms(text: str) -> int:
    """Return the last millisecond, China time, of the day `YYYY-MM-DD`; raise ValueError otherwise."""
    return day_start_ms(text) + 24 * 3_600_000 - 1


def show_moment(time_ms: int) -> str:
    """Return a time in ms since 1970 UTC as YYYY-MM-DD HH:MM:SS in China time, where the reader knows that it is.

    One that no calendar has is said in ms, so that what shows a record does not fail on what stands in it.
    """
    # Adding to the epoch takes times before 1970 too, which some platforms' own conversion refuses.
    try:
        return (_EPOCH + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%d %H:%M:%S")
    except OverflowError:
        return f"{time_ms} ms"


def show_time(time_ms: int) -> str:
    """Return a time as people in China read it, to the second, with its zone."""
    return f"{show_moment(time_ms)} (UTC+8)"


def show_day(time_ms: int) -> str:
    """Return a time in ms since 1970 UTC as the day YYYY-MM-DD in China time."""
    return show_moment(time_ms).partition(" ")[0]


def show_age(age_ms: int) -> tuple[str, str]:
    """Return a span of time in its largest unit, seconds, minutes, hours or days, in Chinese and English."""
    for size_s, zh, en in ((86_400, "天", "d"), (3_600, "小时", "h"), (60, "分钟", "min")):
        if age_ms >= 2 * size_s * 1000:
            count = age_ms // (size_s * 1000)
            return f" {count} {zh}", f"{count} {en}"
    return f" {age_ms // 1000} 秒", f"{age_ms // 1000} s"
