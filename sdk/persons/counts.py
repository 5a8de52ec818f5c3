"""How many persons each department has asked for: the limits against trying numbers out, and a book of counts without any number."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
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
MINUTE_S: Final = 60
_TABLE: Final = (
    "CREATE TABLE asked (day TEXT NOT NULL, department TEXT NOT NULL, account BLOB NOT NULL, requests INTEGER NOT NULL, "
    "persons INTEGER NOT NULL, refused INTEGER NOT NULL, PRIMARY KEY (day, department, account)) WITHOUT ROWID"
)
_ADD: Final = (
    "INSERT INTO asked VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT (day, department, account) DO UPDATE SET "
    "requests = requests + 1, persons = persons + excluded.persons, refused = refused + excluded.refused"
)
_RECENT: Final = (
    "CREATE TABLE IF NOT EXISTS recent (department TEXT NOT NULL, second INTEGER NOT NULL, persons INTEGER NOT NULL, "
    "PRIMARY KEY (department, second)) WITHOUT ROWID"
)
_ADD_RECENT: Final = (
    "INSERT INTO recent VALUES (?, ?, ?) "
    "ON CONFLICT (department, second) DO UPDATE SET persons = persons + excluded.persons"
)


class PersonLimits(msgspec.Struct, frozen=True):
    """How many persons one department may ask for within any minute, and in a day (UTC+8)."""

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

    def __init__(self, path: Path, limits: PersonLimits, elapsed_s: Callable[[], float] = time.monotonic) -> None:
        """Open the file, making it where there is none; raise InputError COUNTS_INVALID on another file.

        `elapsed_s` only ever goes on: a clock that is set anew while the book is open lifts no limit.
        """
        self._lock = threading.Lock()
        self._limits, self._elapsed_s = limits, elapsed_s
        self._recent: dict[str, dict[int, int]] = {}
        """By department: persons of the last minute, by the second of `elapsed_s`."""
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
            second = int(self._elapsed_s())
            recent = self._last_minute(department, second, time_ms // 1000)
            query = "SELECT COALESCE(SUM(persons), 0) FROM asked WHERE day = ? AND department = ?"
            today = int(self._database.execute(query, (day, department)).fetchone()[0]) + persons
            is_over = sum(recent.values()) + persons > self._limits.per_minute or today > self._limits.per_day
            self._write(department, account, (0, persons) if is_over else (persons, 0), time_ms)
            if not is_over:
                recent[second] = recent.get(second, 0) + persons
        if is_over:
            limits = self._limits
            raise RequestRefused(
                "TOO_MANY_PERSONS",
                f"每个部门任意一分钟内至多查询 {limits.per_minute} 人、每日至多 {limits.per_day} 人，请稍后重试",
                f"a department asks for at most {limits.per_minute} persons within a minute and {limits.per_day} a day: try again later",
            )

    def days(self) -> list[DayCount]:
        """Return all counts, the newest day first."""
        with self._lock:
            rows = self._database.execute("SELECT * FROM asked ORDER BY day DESC, department, account").fetchall()
        return [DayCount(day, department, "0x" + account.hex(), *counts) for day, department, account, *counts in rows]

    def _last_minute(self, department: str, second: int, time_s: int) -> dict[int, int]:
        """Return what a department asked for within the last minute, by second; what an earlier process counted is on disk."""
        recent = self._recent.get(department)
        if recent is None:
            query = "SELECT second, persons FROM recent WHERE department = ?"
            recent = {}
            for stored_s, persons in self._database.execute(query, (department,)):
                # One of a clock that was ahead is as if of now: it does not count for longer than a minute.
                counted = second - max(0, time_s - stored_s)
                recent[counted] = recent.get(counted, 0) + persons
        recent = {counted: persons for counted, persons in recent.items() if counted >= second - MINUTE_S}
        self._recent[department] = recent
        return recent

    def _write(self, department: str, account: bytes, taken: tuple[int, int], time_ms: int) -> None:
        """Have what was asked for on disk: answered and refused persons of an account's day, and those of the last minute."""
        database, time_s = self._database, time_ms // 1000
        with database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(_ADD, (show_day(time_ms), department, account, *taken))
            old = "DELETE FROM recent WHERE department = ? AND NOT second BETWEEN ? AND ?"
            database.execute(old, (department, time_s - MINUTE_S, time_s + MINUTE_S))
            if taken[0]:
                database.execute(_ADD_RECENT, (department, time_s, taken[0]))

    def _open(self) -> None:
        (found,) = self._database.execute("PRAGMA application_id").fetchone()
        (tables,) = self._database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if found == APPLICATION_ID:
            self._database.execute(_RECENT)
            return
        if tables:
            raise sqlite3.DatabaseError("another application's database")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._database.execute(_TABLE)
        self._database.execute(_RECENT)
