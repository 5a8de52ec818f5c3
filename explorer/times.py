"""Times as people read them: China time, which the departments keep."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

CHINA_TIME: Final = timezone(timedelta(hours=8), "UTC+8")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=CHINA_TIME) + timedelta(hours=8)


def show_time(time_ms: int) -> str:
    """Return a time in ms since 1970 UTC as YYYY-MM-DD HH:MM:SS in China time."""
    # Adding to the epoch takes times before 1970 too, which some platforms' own conversion refuses.
    return (_EPOCH + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%d %H:%M:%S")


def show_day(time_ms: int) -> str:
    """Return a time in ms since 1970 UTC as the day YYYY-MM-DD in China time."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%d")
