"""Where a recorder keeps its reads and batches: one SQLite file that only its owner can read, on disk before anybody is told."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from contracts.data_sharing.access import DENIED, FIRST_PREVIOUS_DIGEST
from sdk.access_recording.batch_plan import BatchPlan, ReadLine
from sdk.secret_files import SECRET_MODE
from sm_crypto.sm3 import sm3
from verification.access.reads import NO_DIGEST, PROVIDER_SIDE, Read, decode_read
from verification.errors import GovnodeError, InputError

APPLICATION_ID: Final = 0x676F7672
"""What the file's header has where SQLite keeps the application's number: `govr`."""
STORE_VERSION: Final = 1
BUSY_TIMEOUT_S: Final = 30.0
CHECKPOINT_PAGES: Final = 8_000
"""Of the write-ahead log, before it is written into the file: 32 MB."""
MAX_FOUND: Final = 10_000
"""Reads that one look-up returns."""

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
    "CREATE INDEX batches_to_record ON batches (batch_number) WHERE height = 0",
    "CREATE INDEX batches_to_copy ON batches (batch_number) WHERE is_copied = 0",
)
_PLAN_COLUMNS: Final = (
    "batch_number, first_number, count, previous_digest, last_digest, root, from_ms, to_ms, "
    "served, denied, irregular, row_count"
)
_INSERT_READ: Final = "INSERT INTO reads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class RecordingFailed(GovnodeError):
    """The store cannot take reads: no read may be answered until it can."""


class Tip(NamedTuple):
    """Where the reads of a store end: number 0 and a zero digest where there are none."""

    number: int
    digest: bytes
    read_ms: int


class KeptRead(NamedTuple):
    """A read with its digest and its encoding, as it goes into the store."""

    read: Read
    digest: bytes
    encoded: bytes


class Usage(NamedTuple):
    """What was given out under a grant."""

    reads: int
    rows: int


class ReadStore:
    """Reads and batches of one stream. Every method may be called from any thread; one process at a time writes."""

    def __init__(self, path: Path, department: str, recorder: bytes, now_ms: int) -> None:
        """Open the file of a stream, making it where there is none; raise InputError on a file of something else, or one in use."""
        self.path, self.department, self.recorder = path, department, recorder
        self._lock = threading.Lock()
        self._readers = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock_file = _lock_store(path)
        try:
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, SECRET_MODE))
                _sync_folder(path.parent)
            self._database = self._connect()
            self.begun_ms = self._open(now_ms)
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise _invalid(path, str(error)) from None
        except InputError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file and let another process have it."""
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        os.close(self._lock_file)

    def tip(self) -> Tip:
        """Return where the reads end."""
        found = self._one("SELECT number, digest, read_ms FROM reads ORDER BY number DESC LIMIT 1")
        return Tip(0, FIRST_PREVIOUS_DIGEST, self.begun_ms) if found is None else Tip(*found)

    def keep_reads(self, kept: Sequence[KeptRead]) -> None:
        """Return once these reads, the next ones of the stream, are on disk: all of them, or none and RecordingFailed."""
        with self._writing() as database:
            database.executemany(_INSERT_READ, [_row(one) for one in kept])

    def keep_batch(self, plan: BatchPlan) -> None:
        """Return once a batch is on disk, to be sent as it is however often."""
        values = tuple(getattr(plan, name) for name in plan.__struct_fields__)
        with self._writing() as database:
            database.execute(
                f"INSERT INTO batches ({_PLAN_COLUMNS}, height, is_copied) VALUES ({', '.join('?' * 12)}, 0, 0)",  # noqa: S608
                values,
            )

    def mark_recorded(self, batch_number: int, height: int) -> None:
        """Note that the ledger has a batch, in the block of this height."""
        with self._writing() as database:
            database.execute("UPDATE batches SET height = ? WHERE batch_number = ?", (height, batch_number))

    def mark_copied(self, batch_number: int) -> None:
        """Note that a batch lies in the second place."""
        with self._writing() as database:
            database.execute("UPDATE batches SET is_copied = 1 WHERE batch_number = ?", (batch_number,))

    def last_batch(self) -> BatchPlan | None:
        """Return the last batch that was planned, or None."""
        return self._plan("ORDER BY batch_number DESC LIMIT 1")

    def batch_to_record(self) -> BatchPlan | None:
        """Return the first batch that is not on the ledger as far as is known here, or None."""
        return self._plan("WHERE height = 0 ORDER BY batch_number LIMIT 1")

    def batch_to_copy(self) -> BatchPlan | None:
        """Return the first batch that is on the ledger and not in the second place, or None."""
        found = self._plan("WHERE is_copied = 0 ORDER BY batch_number LIMIT 1")
        return None if found is None or not self.height_of(found.batch_number) else found

    def batch(self, batch_number: int) -> BatchPlan | None:
        """Return a batch by its number, or None."""
        return self._plan("WHERE batch_number = ?", (batch_number,))

    def height_of(self, batch_number: int) -> int:
        """Return the height of the block that has a batch, 0 where none is known."""
        found = self._one("SELECT height FROM batches WHERE batch_number = ?", (batch_number,))
        return 0 if found is None else int(found[0])

    def last_recorded(self) -> BatchPlan | None:
        """Return the last batch that is on the ledger, or None."""
        waiting = self.batch_to_record()
        return self.last_batch() if waiting is None else self.batch(waiting.batch_number - 1)

    def read_ms_of(self, number: int) -> int:
        """Return when a read took its place; raise KeyError where there is none."""
        found = self._one("SELECT read_ms FROM reads WHERE number = ?", (number,))
        if found is None:
            raise KeyError(number)
        return int(found[0])

    def lines(self, first: int, last: int) -> list[ReadLine]:
        """Return what a batch needs of the reads from one number to another."""
        query = "SELECT digest, outcome, row_count FROM reads WHERE number BETWEEN ? AND ? ORDER BY number"
        return [ReadLine(*found) for found in self._reader().execute(query, (first, last))]

    def encoded_reads(self, first: int, last: int) -> list[bytes]:
        """Return the reads from one number to another as encode_read has them."""
        query = "SELECT body FROM reads WHERE number BETWEEN ? AND ? ORDER BY number"
        return [found[0] for found in self._reader().execute(query, (first, last))]

    def find_reads(
        self,
        *,
        first: int = 1,
        last: int | None = None,
        grant: bytes | None = None,
        person: bytes | None = None,
        case_number: str | None = None,
        read_id: bytes | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = MAX_FOUND,
    ) -> list[bytes]:
        """Return the encoded reads, in the order of numbers, that all of these hold for; at most `limit`, from number `first` on."""
        wanted = [
            ("grant_key", None if grant is None else _key(grant)),
            ("person_key", None if person is None else _key(person)),
            ("case_key", None if case_number is None else _text_key(case_number)),
            ("id_key", None if read_id is None else _key(read_id)),
        ]
        conditions = ["number >= ?", *(f"{column} = ?" for column, key in wanted if key is not None)]
        values: list[object] = [first, *(key for _, key in wanted if key is not None)]
        for condition, value in (("number <= ?", last), ("read_ms >= ?", from_ms), ("read_ms <= ?", to_ms)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        query = f"SELECT body FROM reads WHERE {' AND '.join(conditions)} ORDER BY number"  # noqa: S608
        found: list[bytes] = []
        for (encoded,) in self._reader().execute(query, values):
            if len(found) >= min(limit, MAX_FOUND):
                break
            if _matches(decode_read(encoded), grant, person, case_number, read_id):
                found.append(encoded)
        return found

    def usage(self, grant: bytes, from_ms: int) -> Usage:
        """Return what this department gave out under a grant (32 bytes) since a time in ms: reads and rows, denied ones left out."""
        query = (
            "SELECT count(*), coalesce(sum(row_count), 0) FROM reads WHERE grant_key = ? AND is_provider = 1 "
            "AND outcome != ? AND number >= coalesce((SELECT min(number) FROM reads WHERE read_ms >= ?), 9223372036854775807)"
        )
        found = self._reader().execute(query, (_key(grant), DENIED, from_ms)).fetchone()
        return Usage(*found)

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

    def _plan(self, condition: str, values: tuple[object, ...] = ()) -> BatchPlan | None:
        found = self._one(f"SELECT {_PLAN_COLUMNS} FROM batches {condition}", values)  # noqa: S608
        return None if found is None else BatchPlan(*found)

    def _one(self, query: str, values: tuple[object, ...] = ()) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._reader().execute(query, values).fetchone()
        return found

    def _reader(self) -> sqlite3.Connection:
        """Return this thread's own connection: a reader never waits for the writer."""
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._readers.connection = self._connect()
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        self._opened.append(connection)
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _open(self, now_ms: int) -> int:
        """Make or check the file; return when the stream began."""
        database = self._database
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
        if not names:
            database.execute("PRAGMA journal_mode=WAL")
            with self._writing():
                database.execute(f"PRAGMA application_id={APPLICATION_ID}")
                database.execute(f"PRAGMA user_version={STORE_VERSION}")
                for statement in _TABLES:
                    database.execute(statement)
                database.execute("INSERT INTO stream VALUES (?, ?, ?)", (self.department, self.recorder, now_ms))
        marks = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if marks != [APPLICATION_ID, STORE_VERSION]:
            raise sqlite3.DatabaseError(f"marks {marks}")
        database.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        department, recorder, begun_ms = database.execute(
            "SELECT department, recorder, begun_ms FROM stream"
        ).fetchone()
        if (department, recorder) != (self.department, self.recorder):
            raise InputError(
                "STORE_OF_ANOTHER",
                f"{self.path} 是部门 {department} 账户 0x{recorder.hex()} 的访问记录库",
                f"{self.path} is the store of department {department}, account 0x{recorder.hex()}",
            )
        return int(begun_ms)


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
        None if grant == NO_DIGEST else _key(grant),
        None if person == NO_DIGEST else _key(person),
        _text_key(case_number) if case_number else None,
        _key(read.details.read_id),
        kept.encoded,
    )


def _matches(
    read: Read, grant: bytes | None, person: bytes | None, case_number: str | None, read_id: bytes | None
) -> bool:
    return (
        grant in (None, read.sharing.grant)
        and person in (None, read.subject.person)
        and case_number in (None, read.case.case_number)
        and read_id in (None, read.details.read_id)
    )


def _key(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big", signed=True)


def _text_key(text: str) -> int:
    return _key(sm3(text.encode()))


def _lock_store(path: Path) -> int:
    """Return the open lock file of a store; raise InputError where another process has it: two writers would fork the stream."""
    try:
        opened = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, SECRET_MODE)
    except OSError as error:
        raise _invalid(path, str(error)) from None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        raise InputError(
            "STORE_IN_USE",
            f"{path} 正由另一进程写入；每个记录账户只能有一个进程",
            f"another process writes {path}; a recorder's account serves one process",
        ) from None
    return opened


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _invalid(path: Path, reason: str) -> InputError:
    return InputError(
        "STORE_INVALID",
        f"{path} 不是本版本的访问记录库，或打不开（{reason}）",
        f"{path} is not a store of access records of this version, or cannot be opened ({reason})",
    )
