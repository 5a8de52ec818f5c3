"""How many persons each department has asked for: the limits against trying numbers out, and a book of counts without any number."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Final

import msgspec

from sdk.errors import RequestRefused
from sdk.secret_files import SECRET_MODE
from verification.days import show_day
from verification.errors import InputError

APPLICATION_ID: Final = 0x676F7670
"""What the file's header has where SQLite keeps the application's number: `govp`."""
BUSY_TIMEOUT_S: Final = 5.0
MINUTE_MS: Final = 60_000
_TABLE: Final = (
    "CREATE TABLE asked (day TEXT NOT NULL, department TEXT NOT NULL, account BLOB NOT NULL, requests INTEGER NOT NULL, "
    "persons INTEGER NOT NULL, refused INTEGER NOT NULL, PRIMARY KEY (day, department, account)) WITHOUT ROWID"
)
_ADD: Final = (
    "INSERT INTO asked VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT (day, department, account) DO UPDATE SET "
    "requests = requests + 1, persons = persons + excluded.persons, refused = refused + excluded.refused"
)


class PersonLimits(msgspec.Struct, frozen=True):
    """How many persons one department may ask for in a minute, and in a day (UTC+8)."""

    per_minute: int = 6_000
    per_day: int = 1_000_000


class DayCount(msgspec.Struct, frozen=True):
    """What one account asked for on one day: requests, persons answered, and persons refused for a limit."""

    day: str
    department: str
    account: str
    requests: int
    persons: int
    refused: int


class CountBook:
    """The book of counts, on disk before an answer leaves; its methods may be called from any thread."""

    def __init__(self, path: Path, limits: PersonLimits) -> None:
        """Open the file, making it where there is none; raise InputError COUNTS_INVALID on another file."""
        self._lock = threading.Lock()
        self._limits = limits
        self._minute = 0
        self._in_minute: dict[str, int] = {}
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, SECRET_MODE))
        self._database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise InputError(
                "COUNTS_INVALID",
                f"{path} 不是人员承诺服务的计数文件（{error}），请另选文件名",
                f"{path} is not a book of counts of this service ({error}): choose another name",
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def take(self, department: str, account: bytes, persons: int, time_ms: int) -> None:
        """Count persons that are about to be answered; raise RequestRefused TOO_MANY_PERSONS past a limit, which is counted too."""
        day = show_day(time_ms)
        with self._lock:
            if (minute := time_ms // MINUTE_MS) != self._minute:
                self._minute, self._in_minute = minute, {}
            recent = self._in_minute.get(department, 0) + persons
            query = "SELECT COALESCE(SUM(persons), 0) FROM asked WHERE day = ? AND department = ?"
            today = int(self._database.execute(query, (day, department)).fetchone()[0]) + persons
            is_over = recent > self._limits.per_minute or today > self._limits.per_day
            taken = (0, persons) if is_over else (persons, 0)
            self._database.execute(_ADD, (day, department, account, *taken))
            if not is_over:
                self._in_minute[department] = recent
        if is_over:
            limits = self._limits
            raise RequestRefused(
                "TOO_MANY_PERSONS",
                f"每个部门每分钟至多查询 {limits.per_minute} 人、每日至多 {limits.per_day} 人，请稍后重试",
                f"a department asks for at most {limits.per_minute} persons a minute and {limits.per_day} a day: try again later",
            )

    def days(self) -> list[DayCount]:
        """Return all counts, the newest day first."""
        with self._lock:
            rows = self._database.execute("SELECT * FROM asked ORDER BY day DESC, department, account").fetchall()
        return [DayCount(day, department, "0x" + account.hex(), *counts) for day, department, account, *counts in rows]

    def _open(self) -> None:
        (found,) = self._database.execute("PRAGMA application_id").fetchone()
        (tables,) = self._database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if found == APPLICATION_ID:
            return
        if tables:
            raise sqlite3.DatabaseError("another application's database")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._database.execute(_TABLE)
