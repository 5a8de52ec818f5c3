"""The note of who was shown reads of a store: one line a day for each account and audit query, in a file beside the store."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from contracts.data_sharing.working_days import day_of
from sdk.access_recording.read_store import RecordingFailed
from sdk.access_recording.stored_reads import BUSY_TIMEOUT_S, invalid_store
from sdk.secret_files import SECRET_MODE

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS shown (day INTEGER NOT NULL, account BLOB NOT NULL, query INTEGER NOT NULL, "
    "department TEXT NOT NULL, first_number INTEGER NOT NULL, last_number INTEGER NOT NULL, reads INTEGER NOT NULL, "
    "answers INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, "
    "PRIMARY KEY (day, account, query)) STRICT, WITHOUT ROWID"
)
_NOTE: Final = (
    "INSERT INTO shown VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET "
    "first_number = min(first_number, excluded.first_number), last_number = max(last_number, excluded.last_number), "
    "reads = reads + excluded.reads, answers = answers + 1, last_ms = excluded.last_ms"
)
_LIST: Final = (
    "SELECT account, department, query, first_number, last_number, reads, answers, first_ms, last_ms FROM shown "
    "ORDER BY first_ms DESC LIMIT ?"
)


class Shown(NamedTuple):
    """Reads in one answer: to which account of which department, under which audit query (0 for a party), which and how many."""

    account: bytes
    department: str
    query: int
    first_number: int
    last_number: int
    reads: int


class ShownOfDay(NamedTuple):
    """What an account was shown under one query on one day: in how many answers, from when to when (ms)."""

    account: bytes
    department: str
    query: int
    first_number: int
    last_number: int
    reads: int
    answers: int
    first_ms: int
    last_ms: int


class ShownBook:
    """The notes of one store; may be used from any thread and process."""

    def __init__(self, store: Path) -> None:
        """Take the path of the store; the file beside it is made with the first note."""
        self.path = store.with_name(store.name + ".shown")

    def note(self, shown: Shown, now_ms: int) -> None:
        """Return once it is on disk that reads were shown; raise RecordingFailed where it cannot be."""
        place = (day_of(now_ms), shown.account, shown.query, shown.department)
        amounts = (shown.first_number, shown.last_number, shown.reads, now_ms, now_ms)
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, SECRET_MODE))
            with contextlib.closing(sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S)) as database, database:
                database.execute("PRAGMA synchronous=FULL")
                database.execute(_TABLE)
                database.execute(_NOTE, (*place, *amounts))
        except (OSError, sqlite3.Error) as error:
            raise RecordingFailed(
                "RECORDING_FAILED",
                f"查阅登记 {self.path} 无法写入（{error}），请检查磁盘",
                f"the note of who was shown reads {self.path} cannot be written ({error}): check the disk",
            ) from None

    def newest(self, limit: int) -> list[ShownOfDay]:
        """Return what was shown, the newest first, at most so many; raise InputError STORE_INVALID on a file of something else."""
        if not self.path.exists():
            return []
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S)) as database:
                return [ShownOfDay(*found) for found in database.execute(_LIST, (limit,))]
        except sqlite3.Error as error:
            raise invalid_store(self.path, str(error)) from None
