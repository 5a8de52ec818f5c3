"""Turns: work that takes processor time is done one piece after the other, and only so much of it waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from explorer.problems import Problem


class Turns:
    """One piece of work at a time, in the order of asking; beyond `max_waiting` who asks is refused."""

    def __init__(self, max_waiting: int) -> None:
        """Begin with nobody waiting."""
        self._max_waiting = max_waiting
        self._waiting = 0
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it; raise Problem when too many wait."""
        if self._waiting >= self._max_waiting:
            raise Problem("VERIFICATIONS_TOO_MANY")
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()
