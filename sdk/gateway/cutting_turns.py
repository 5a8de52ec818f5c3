"""One thread for answers that take long to be cut, which departments have in turn: a queue of one's answers keeps nobody else's waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class CuttingTurns:
    """Gives the thread to the departments that wait, one piece of work of each after the other; for one event loop."""

    def __init__(self) -> None:
        """Begin with the thread free."""
        self._thread = ThreadPoolExecutor(1, "gateway cut")
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By department, the one whose turn is next first."""
        self._is_taken = False

    async def run(self, department: str, work: Callable[[], T]) -> T:
        """Return what the work returns, once the department has had its turn; raise what it raises."""
        await self._wait(department)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._pass_on()

    async def _wait(self, department: str) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(department, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            # Its turn may have come in the same moment.
            if not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give the thread to the first of the next department, which then waits behind all others."""
        while self._waiting:
            department, turns = next(iter(self._waiting.items()))
            del self._waiting[department]
            turn = turns.popleft()
            if turns:
                self._waiting[department] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._is_taken = False
