"""Writing a recorder's store: one SQLite file that only its owner can read, on disk before anybody is told."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sdk.access_recording.batch_plan import BatchPlan
from sdk.access_recording.stored_reads import (
    APPLICATION_ID,
    PLAN_COLUMNS,
    STORE_VERSION,
    StoredReads,
    first_key,
    invalid_store,
    text_key,
)
from sdk.secret_files import SECRET_MODE
from verification.access.reads import NO_DIGEST, PROVIDER_SIDE, Read
from verification.errors import GovnodeError, InputError

CHECKPOINT_PAGES: Final = 8_000
"""Of the write-ahead log, before it is written into the file: 32 MB."""

_TABLES: Final = (
    "CREATE TABLE stream (department TEXT NOT NULL, recorder BLOB NOT NULL, begun_ms INTEGER NOT NULL) STRICT",
    # The keys are 8 bytes of a digest: a look-up reads the few rows that share one, and compares the whole value.
    "CREATE TABLE reads (number INTEGER PRIMARY KEY, digest BLOB NOT NULL, read_ms INTEGER NOT NULL, "
    "outcome INTEGER NOT NULL, is_provider INTEGER NOT NULL, row_count INTEGER NOT NULL, grant_key INTEGER, "
    "person_key INTEGER, case_key INTEGER, id_key INTEGER NOT NULL, body BLOB NOT NULL) STRICT",
    "CREATE INDEX reads_by_time ON reads (read_ms)",
    "CREATE INDEX reads_by_grant ON reads (grant_key) WHERE grant_key IS NOT NULL",
    "CREATE INDEX reads_by_person ON reads (person_key) WHERE person_key IS NOT NULL",
    "CREATE INDEX reads_by_case ON reads (case_key) WHERE case_key IS NOT NULL",
    "CREATE INDEX reads_by_id ON reads (id_key)",
    "CREATE TABLE batches (batch_number INTEGER PRIMARY KEY, first_number INTEGER NOT NULL, count INTEGER NOT NULL, "
    "previous_digest BLOB NOT NULL, last_digest BLOB NOT NULL, root BLOB NOT NULL, from_ms INTEGER NOT NULL, "
    "to_ms INTEGER NOT NULL, served INTEGER NOT NULL, denied INTEGER NOT NULL, irregular INTEGER NOT NULL, "
    "row_count INTEGER NOT NULL, height INTEGER NOT NULL, is_copied INTEGER NOT NULL) STRICT",
    "CREATE TABLE archives (first_batch INTEGER PRIMARY KEY, last_batch INTEGER NOT NULL, first_number INTEGER NOT NULL, "
    "last_number INTEGER NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, file TEXT NOT NULL) STRICT",
    "CREATE INDEX batches_to_record ON batches (batch_number) WHERE height = 0",
    "CREATE INDEX batches_to_copy ON batches (batch_number) WHERE is_copied = 0",
)
_INSERT_READ: Final = "INSERT INTO reads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class RecordingFailed(GovnodeError):
    """The store cannot take reads: no read may be answered until it can."""


def unexpected_failure(error: Exception) -> GovnodeError:
    """Return an error as one that status and logs can show: itself, or RECORDING_FAILED for one that nobody foresaw."""
    if isinstance(error, GovnodeError):
        return error
    said = f"{type(error).__name__}: {error}"
    return RecordingFailed("RECORDING_FAILED", f"意外错误，将重试（{said}）", f"unexpected, tried again ({said})")


class KeptRead(NamedTuple):
    """A read with its digest and its encoding, as it goes into the store."""

    read: Read
    digest: bytes
    encoded: bytes


class ReadStore(StoredReads):
    """The store of one stream, which one process at a time writes; every method may be called from any thread."""

    def __init__(self, path: Path, department: str, recorder: bytes, now_ms: int) -> None:
        """Open the file of a stream, making it where there is none; raise InputError on a file of something else, or one in use."""
        self._lock = threading.Lock()
        in_use = InputError(
            "STORE_IN_USE",
            f"{path} 正由另一进程写入；每个记录账户只能有一个进程",
            f"another process writes {path}; a recorder's account serves one process",
        )
        # Two writers would fork the stream.
        self._lock_file = lock_beside(path, ".lock", in_use)
        try:
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, SECRET_MODE))
                sync_folder(path.parent)
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
                database.execute("PRAGMA synchronous=FULL")
                make_tables(database, department, recorder, now_ms)
                database.execute("PRAGMA journal_mode=WAL")
            super().__init__(path)
            if (self.department, self.recorder) != (department, recorder):
                self._refuse_another()
            self._database = self._connect()
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        except (OSError, sqlite3.Error) as error:
            os.close(self._lock_file)
            raise invalid_store(path, str(error)) from None
        except InputError:
            os.close(self._lock_file)
            raise

    def close(self) -> None:
        """Close the file and let another process write it."""
        super().close()
        self._database.close()
        os.close(self._lock_file)

    def keep_reads(self, kept: Sequence[KeptRead]) -> None:
        """Return once these reads, the next ones of the stream, are on disk: all of them, or none and RecordingFailed."""
        with self._writing() as database:
            database.executemany(_INSERT_READ, [_row(one) for one in kept])

    def keep_batch(self, plan: BatchPlan) -> None:
        """Return once a batch is on disk, to be sent as it is however often."""
        values = tuple(getattr(plan, name) for name in plan.__struct_fields__)
        with self._writing() as database:
            database.execute(
                f"INSERT INTO batches ({PLAN_COLUMNS}, height, is_copied) VALUES ({', '.join('?' * 12)}, 0, 0)",  # noqa: S608
                values,
            )

    def mark_recorded(self, batch_number: int, height: int) -> None:
        """Note that the ledger has a batch, in the block of this height."""
        with self._writing() as database:
            database.execute("UPDATE batches SET height = ? WHERE batch_number = ?", (height, batch_number))

    def mark_unrecorded(self, after: int) -> bool:
        """Note that the ledger has no batch after this one, and return whether any was taken to be there."""
        with self._writing() as database:
            query = "UPDATE batches SET height = 0 WHERE batch_number > ? AND height != 0"
            return database.execute(query, (after,)).rowcount > 0

    def mark_copied(self, batch_number: int) -> None:
        """Note that a batch lies in the second place."""
        with self._writing() as database:
            database.execute("UPDATE batches SET is_copied = 1 WHERE batch_number = ?", (batch_number,))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                self._database.execute("BEGIN IMMEDIATE")
                with self._database:
                    yield self._database
        except sqlite3.Error as error:
            raise RecordingFailed(
                "RECORDING_FAILED",
                f"访问记录库 {self.path} 无法写入（{error}），请检查磁盘",
                f"the store of access records {self.path} cannot be written ({error}): check the disk",
            ) from None

    def _refuse_another(self) -> None:
        super().close()
        raise InputError(
            "STORE_OF_ANOTHER",
            f"{self.path} 是部门 {self.department} 账户 0x{self.recorder.hex()} 的访问记录库",
            f"{self.path} is the store of department {self.department}, account 0x{self.recorder.hex()}",
        )


def make_tables(database: sqlite3.Connection, department: str, recorder: bytes, now_ms: int) -> None:
    """Make a file that is empty a store of this stream, since a time in ms; leave any other as it is."""
    if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return
    # Before the first table, or never: what an archive takes out is given back to the disk a little at a time.
    database.execute("PRAGMA auto_vacuum=INCREMENTAL")
    database.execute("BEGIN IMMEDIATE")
    database.execute(f"PRAGMA application_id={APPLICATION_ID}")
    database.execute(f"PRAGMA user_version={STORE_VERSION}")
    for statement in _TABLES:
        database.execute(statement)
    database.execute("INSERT INTO stream VALUES (?, ?, ?)", (department, recorder, now_ms))
    database.execute("COMMIT")


def _row(kept: KeptRead) -> tuple[object, ...]:
    read = kept.read
    grant, person, case_number = read.sharing.grant, read.subject.person, read.case.case_number
    return (
        read.number,
        kept.digest,
        read.read_ms,
        read.outcome,
        int(read.side == PROVIDER_SIDE),
        read.details.rows,
        None if grant == NO_DIGEST else first_key(grant),
        None if person == NO_DIGEST else first_key(person),
        text_key(case_number) if case_number else None,
        first_key(read.details.read_id),
        kept.encoded,
    )


def lock_beside(path: Path, suffix: str, refusal: InputError) -> int:
    """Return the open lock file of a store that this process has now; raise `refusal` where another process has it."""
    try:
        opened = os.open(path.with_name(path.name + suffix), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, SECRET_MODE)
    except OSError as error:
        raise invalid_store(path, str(error)) from None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        raise refusal from None
    return opened


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder are on disk; raise OSError."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
