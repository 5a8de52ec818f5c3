"""How often a department has something done in a minute: what every department shares is not one of them's to use up."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 60.0


class MinutePace:
    """Counts by department over the last minute; for one thread. Departments are bounded by those that the ledger has."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take how often a department may."""
        self._per_minute, self._clock = per_minute, clock
        self._times: dict[str, deque[float]] = {}

    def is_used_up(self, department: str) -> bool:
        """Return whether a department has to wait."""
        times = self._times.get(department)
        if times is None:
            return False
        now_s = self._clock()
        while times and times[0] < now_s - WINDOW_S:
            times.popleft()
        return len(times) >= self._per_minute

    def count(self, department: str) -> None:
        """Note one more time."""
        self._times.setdefault(department, deque(maxlen=self._per_minute)).append(self._clock())
