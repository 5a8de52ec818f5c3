"""Where a node's CPU time goes: seconds of the running thread, added up by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

STAGES: Final = ("verify", "pool", "propose", "execute", "commit", "network", "http", "index")


class StageClock:
    """CPU seconds by stage since start; stages do not nest, and each is measured in one thread."""

    def __init__(self) -> None:
        """Start with zero in every stage."""
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the CPU time that this thread spends inside the block to `stage`."""
        start = time.thread_time()
        try:
            yield
        finally:
            self.seconds[stage] += time.thread_time() - start
