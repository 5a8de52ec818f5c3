"""The steps of a node's process that touch the outside: files and a ledger that tell of each, where the process may end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.driver.last_signed import LastSigned, SignedRecord
from node.driver.write_ahead_log import LogRecord, WriteAheadLog
from node.ledger.ledger import CommittedBlock, Ledger


class Killed(BaseException):
    """The process ended here."""


class WatchedLog(WriteAheadLog):
    """Knows how much of it is synced, and may end the process after each step."""

    def __init__(self, path: Path, point: Callable[[str], None]) -> None:
        super().__init__(path)
        self._point = point
        self.synced_bytes = self._position

    @property
    def written_bytes(self) -> int:
        return self._position

    def begin(self, height: int, is_voting: bool) -> None:
        super().begin(height, is_voting)
        self.synced_bytes = 0

    def append(self, record: LogRecord) -> None:
        super().append(record)
        self._point(f"appended {type(record).__name__}")

    def sync(self) -> None:
        super().sync()
        self.synced_bytes = self._position
        self._point("synced")


class WatchedRecord(LastSigned):
    """May end the process around each write of a slot."""

    def __init__(self, path: Path, point: Callable[[str], None]) -> None:
        super().__init__(path)
        self._point = point

    def save(self, record: SignedRecord) -> None:
        self._point("before the last-signed record")
        super().save(record)
        self._point("after the last-signed record")


class WatchedLedger:
    """A ledger that may end the process around each commit."""

    def __init__(self, ledger: Ledger, point: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._point = point

    def commit(self, *arguments: Any) -> CommittedBlock:
        self._point("before the commit")
        block = self._ledger.commit(*arguments)
        self._point("after the commit")
        return block

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)
