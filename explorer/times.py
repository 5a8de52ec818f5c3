"""Times as people read them: China time, which the departments keep."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

from explorer.problems import Text

CHINA_TIME: Final = timezone(timedelta(hours=8), "UTC+8")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=CHINA_TIME) + timedelta(hours=8)


def show_time(time_ms: int) -> str:
    """Return a time in ms since 1970 UTC as YYYY-MM-DD HH:MM:SS in China time."""
    # Adding to the epoch takes times before 1970 too, which some platforms' own conversion refuses.
    return (_EPOCH + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%d %H:%M:%S")


def show_day(time_ms: int) -> str:
    """Return a time in ms since 1970 UTC as the day YYYY-MM-DD in China time."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%d")


def show_age(age_ms: int) -> Text:
    """Return a span of time in its largest unit: seconds, minutes, hours or days."""
    for size_s, zh, en in ((86_400, "天", "d"), (3_600, "小时", "h"), (60, "分钟", "min")):
        if age_ms >= 2 * size_s * 1000:
            count = age_ms // (size_s * 1000)
            return Text(f" {count} {zh}", f"{count} {en}")
    return Text(f" {age_ms // 1000} 秒", f"{age_ms // 1000} s")
