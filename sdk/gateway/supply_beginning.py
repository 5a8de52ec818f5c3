"""Tells the ledger that data is supplied under a grant once a first read under it was answered: the statutory clock asks for it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Final

from contracts.data_sharing.sharing import RequestRecord
from sdk.errors import CallRefused

LOG: Final = logging.getLogger("govnode.gateway")
MAX_NOTED: Final = 10_000
"""Grants that are not looked at again; beyond it all are, and what the ledger has already is not said twice."""
RETRY_S: Final = 5.0
MAX_RETRY_S: Final = 60.0
"""To which waits grow while nothing but failures comes."""


class SupplyBeginning:
    """One thread that says it, as often as it takes; `note` is for the event loop and waits for nothing."""

    def __init__(self, tell: Callable[[bytes], object], retry_s: float = RETRY_S) -> None:
        """Take what states on the ledger that a grant (32 bytes) is supplied under, and after how long what failed is tried again."""
        self._tell, self._retry_s = tell, retry_s
        self._noted: set[bytes] = set()
        self._unsaid: set[bytes] = set()
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supply-beginning", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is not told yet is told after the next read of the next start."""
        self._is_ended.set()
        self._waiting.put(None)
        self._thread.join()

    @property
    def unsaid(self) -> int:
        """Grants under which data was given and of which the ledger does not have it yet."""
        return len(self._unsaid)

    def note(self, grant: bytes, record: RequestRecord | None) -> None:
        """Note that a read was answered under a grant, with its record where that is known."""
        if grant in self._noted or grant in self._unsaid or record is None:
            return
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        self._noted.add(grant)
        if not record.supplied_ms:
            self._unsaid.add(grant)
            self._waiting.put(grant)

    def _run(self) -> None:
        wait_s = self._retry_s
        while (grant := self._waiting.get()) is not None and not self._is_ended.is_set():
            try:
                self._tell(grant)
            except CallRefused as error:
                # A grant that has ended meanwhile, most likely: nobody waits for its supply.
                LOG.warning("supply_not_recorded: [%s] %s", error.code, error)
            except Exception as error:  # noqa: BLE001 - whatever it is may pass, and the clock runs against the department
                LOG.warning("supply_not_recorded_yet: %s: %s", type(error).__name__, error)
                self._waiting.put(grant)
                self._is_ended.wait(wait_s)
                wait_s = min(2 * wait_s, MAX_RETRY_S)
                continue
            self._unsaid.discard(grant)
            wait_s = self._retry_s
