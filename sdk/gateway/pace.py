"""How many denied reads a department may have in a minute: each is recorded, and a loop gone wrong would fill the stores of both sides."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from sdk.gateway.denials import Denied

WINDOW_S: Final = 60.0


class DeniedPace:
    """Counts denials by department over the last minute; for one thread. Departments are bounded by those that the ledger has."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take how many a department may have."""
        self._per_minute, self._clock = per_minute, clock
        self._denied: dict[str, deque[float]] = {}

    def check(self, department: str) -> None:
        """Return if another read of a department may be looked at; raise Denied TOO_MANY_DENIED."""
        times = self._denied.get(department)
        if times is None:
            return
        now_s = self._clock()
        while times and times[0] < now_s - WINDOW_S:
            times.popleft()
        if len(times) >= self._per_minute:
            raise Denied("TOO_MANY_DENIED")

    def count(self, department: str) -> None:
        """Note a denial."""
        self._denied.setdefault(department, deque(maxlen=self._per_minute)).append(self._clock())
