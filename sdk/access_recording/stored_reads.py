"""Reading a recorder's store: its reads and batches, those in its archives too, also while another process writes them."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from contracts.data_sharing.access import DENIED, FIRST_PREVIOUS_DIGEST
from sdk.access_recording.batch_plan import BatchPlan, ReadLine
from sm_crypto.sm3 import sm3
from verification.access.reads import Read, decode_read
from verification.errors import InputError

APPLICATION_ID: Final = 0x676F7672
"""What the file's header has where SQLite keeps the application's number: `govr`."""
STORE_VERSION: Final = 2
BUSY_TIMEOUT_S: Final = 30.0
MAX_FOUND: Final = 10_000
"""Reads that one look-up returns."""
MAX_IDLE_READERS: Final = 4
"""Connections that are kept open for the next look-up: each holds two file descriptors."""
PLAN_COLUMNS: Final = (
    "batch_number, first_number, count, previous_digest, last_digest, root, from_ms, to_ms, "
    "served, denied, irregular, row_count"
)

_FIRST_SINCE: Final = "SELECT number FROM reads WHERE read_ms >= ? ORDER BY read_ms, number LIMIT 1"
_USAGE: Final = (
    "SELECT count(*), coalesce(sum(row_count), 0) FROM reads WHERE grant_key = ? AND is_provider = 1 AND outcome != ? "
    "AND number >= (SELECT number FROM reads WHERE read_ms >= ? ORDER BY read_ms, number LIMIT 1)"
)
_ARCHIVES: Final = (
    "SELECT first_batch, last_batch, first_number, last_number, from_ms, to_ms, file FROM archives ORDER BY first_batch"
)
_LAST_UNTIL: Final = "SELECT number FROM reads WHERE read_ms <= ? ORDER BY read_ms DESC, number DESC LIMIT 1"


class Tip(NamedTuple):
    """Where the reads of a store end: number 0 and a zero digest where there are none."""

    number: int
    digest: bytes
    read_ms: int


class ArchivedSpan(NamedTuple):
    """Which batches and reads were moved to a file; their times (ms) lie between the ends."""

    first_batch: int
    last_batch: int
    first_number: int
    last_number: int
    from_ms: int
    to_ms: int
    file: str


class Usage(NamedTuple):
    """What was given out under a grant."""

    reads: int
    rows: int


class StoredReads:
    """The reads and batches of one stream, to read from any thread: those of the file, and of archives that it names.

    An archive is such a file itself, of older batches. One that cannot be read where it was put, nor beside the store, is
    InputError ARCHIVE_MISSING where something of it is asked for.
    """

    def __init__(self, path: Path) -> None:
        """Open the store at a path; raise InputError STORE_INVALID where there is none."""
        self.path = path
        self._held = threading.local()
        self._idle: list[sqlite3.Connection] = []
        self._idle_lock = threading.Lock()
        self._is_closed = False
        try:
            if not path.is_file():
                raise sqlite3.DatabaseError("no such file")
            with self._reading() as reader:
                self.department, self.recorder, self.begun_ms = read_marks(reader)
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise invalid_store(path, str(error)) from None

    def close(self) -> None:
        """Close the file; a look-up that goes on closes it for itself when it is done."""
        with self._idle_lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def tip(self) -> Tip:
        """Return where the reads end."""
        found = self._one("SELECT number, digest, read_ms FROM reads ORDER BY number DESC LIMIT 1")
        if found is not None:
            return Tip(*found)
        # All reads may be in archives, and heartbeats have gone on since.
        last = self.last_batch()
        if last is not None:
            return Tip(last.last_number, last.last_digest, last.to_ms)
        return Tip(0, FIRST_PREVIOUS_DIGEST, self.begun_ms)

    def first_number(self) -> int:
        """Return the number of the first read that is in this file, not in an archive, or would be."""
        spans = self.archives()
        if spans:
            return spans[-1].last_number + 1
        found = self._one("SELECT first_number FROM batches ORDER BY batch_number LIMIT 1")
        return 1 if found is None else int(found[0])

    def archives(self) -> list[ArchivedSpan]:
        """Return what was moved to archives, the oldest first."""
        with self._reading() as reader:
            return [ArchivedSpan(*found) for found in reader.execute(_ARCHIVES)]

    def last_batch(self) -> BatchPlan | None:
        """Return the last batch that was planned, or None."""
        return self._plan("ORDER BY batch_number DESC LIMIT 1")

    def batch_to_record(self) -> BatchPlan | None:
        """Return the first batch that is not on the ledger as far as is known here, or None."""
        return self._plan("WHERE height = 0 ORDER BY batch_number LIMIT 1")

    def largest_to_record(self) -> int:
        """Return how many reads the largest batch has that is not on the ledger as far as is known here, 0 for none."""
        found = self._one("SELECT coalesce(max(count), 0) FROM batches WHERE height = 0")
        return 0 if found is None else int(found[0])

    def batch_to_copy(self) -> BatchPlan | None:
        """Return the first batch that is on the ledger and not in the second place, or None."""
        found = self._plan("WHERE is_copied = 0 ORDER BY batch_number LIMIT 1")
        return None if found is None or not self.height_of(found.batch_number) else found

    def batch(self, batch_number: int) -> BatchPlan | None:
        """Return a batch by its number, or None."""
        found = self._plan("WHERE batch_number = ?", (batch_number,))
        span = None if found is not None else self._span_of(batch_number)
        if span is None:
            return found
        with self._archive(span) as archive:
            return archive.batch(batch_number)

    def height_of(self, batch_number: int) -> int:
        """Return the height of the block that has a batch, 0 where none is known."""
        found = self._one("SELECT height FROM batches WHERE batch_number = ?", (batch_number,))
        if found is not None:
            return int(found[0])
        span = self._span_of(batch_number)
        if span is None:
            return 0
        with self._archive(span) as archive:
            return archive.height_of(batch_number)

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
        with self._reading() as reader:
            return [ReadLine(*found) for found in reader.execute(query, (first, last))]

    def encoded_reads(self, first: int, last: int) -> list[bytes]:
        """Return the reads from one number to another as encode_read has them; raise InputError ARCHIVE_MISSING."""
        query = "SELECT body FROM reads WHERE number BETWEEN ? AND ? ORDER BY number"
        found: list[bytes] = []
        with self._snapshot() as reader:
            spans = self.archives()
            for span in spans:
                if first <= span.last_number and span.first_number <= last:
                    with self._archive(span) as archive:
                        found += archive.encoded_reads(first, min(last, span.last_number))
            here = max(first, spans[-1].last_number + 1) if spans else first
            found += [one[0] for one in reader.execute(query, (here, last))]
        return found

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
        """Return the encoded reads, in the order of numbers, that all of these hold for; at most `limit`, from number `first` on.

        Raises InputError ARCHIVE_MISSING; from `first_number()` on no archive is looked at.
        """
        named: dict[str, Any] = {"grant": grant, "person": person, "case_number": case_number, "read_id": read_id}
        bounds: dict[str, Any] = {"last": last, "from_ms": from_ms, "to_ms": to_ms}
        most = min(limit, MAX_FOUND)
        found: list[bytes] = []
        with self._snapshot() as reader:
            spans = self.archives()
            for span in spans:
                is_near = first <= span.last_number and (last is None or span.first_number <= last)
                is_then = (from_ms is None or from_ms <= span.to_ms) and (to_ms is None or span.from_ms <= to_ms)
                if is_near and is_then and len(found) < most:
                    with self._archive(span) as archive:
                        found += archive.find_reads(first=first, **bounds, **named, limit=most - len(found))
            here = max(first, spans[-1].last_number + 1) if spans else first
            return found + _find_here(reader, here, bounds, named, most - len(found))

    def numbers_within(self, from_ms: int, to_ms: int, first: int = 1, last: int | None = None) -> tuple[int, int]:
        """Return the numbers, of those from `first` to `last`, of all batches that touch a time (ms), and of what is in none yet.

        A time before the first batch is touched by that one: it shows that there was nothing before. The first of the two is greater
        where there are none. Raises InputError ARCHIVE_MISSING where the time begins or ends in an archive that has such numbers.
        """
        with self._snapshot():
            newest = self.last_batch()
            found = self._one(_LAST_UNTIL, (to_ms,))
            least, most = 1, 0 if found is None else int(found[0])
            if newest is not None and newest.to_ms < from_ms:
                least = newest.last_number + 1
            elif newest is not None:
                ends = [self._ending(newest, at_ms, first, last) for at_ms in (from_ms, to_ms + 1)]
                least, most = ends[0].first_number, max(most, *(end.last_number for end in ends))
        return max(first, least), most if last is None else min(last, most)

    def _ending(self, newest: BatchPlan, at_ms: int, first: int, last: int | None) -> BatchPlan | ArchivedSpan:
        """Return the first batch that ends at a time (ms) or later, the newest where none does.

        No archive but its own is opened, and that one not where it has none of the numbers from `first` to `last`: its whole span
        will do then.
        """
        spans = self.archives()
        for span in spans:
            if span.to_ms >= at_ms:
                if span.last_number < first or (last is not None and last < span.first_number):
                    return span
                with self._archive(span) as archive:
                    end = archive.last_batch()
                    assert end is not None, "an archive has the batches of its span"
                    return archive._ending(end, at_ms, first, last)
        oldest = self._one("SELECT min(batch_number) FROM batches")
        assert oldest is not None, "an aggregate has a row"
        low, high, found = (spans[-1].last_batch + 1 if spans else int(oldest[0])), newest.batch_number, newest
        while low < high:
            middle = (low + high) // 2
            batch = self.batch(middle)
            if batch is not None and batch.to_ms >= at_ms:
                high, found = middle, batch
            else:
                low = middle + 1
        return found

    def usage(self, grant: bytes, from_ms: int) -> Usage:
        """Return what this department gave out under a grant (32 bytes) since a time in ms: reads and rows, denied ones left out.

        Archives are not looked at: they have nothing of today and yesterday.
        """
        found = self._one(_USAGE, (first_key(grant), DENIED, from_ms))
        assert found is not None, "an aggregate has a row"
        return Usage(*found)

    def _span_of(self, batch_number: int) -> ArchivedSpan | None:
        spans = (span for span in self.archives() if span.first_batch <= batch_number <= span.last_batch)
        return next(spans, None)

    @contextlib.contextmanager
    def _archive(self, span: ArchivedSpan) -> Iterator[StoredReads]:
        """Have an archive open for a look-up: where it was put, or beside the store; raise InputError ARCHIVE_MISSING.

        None stays open: a store of years has many, and whoever runs it may move one, or take its disk away, at any time.
        """
        try:
            with contextlib.closing(self._find_archive(span)) as archive:
                yield archive
        except sqlite3.Error:
            raise _archive_missing(span) from None

    def _find_archive(self, span: ArchivedSpan) -> StoredReads:
        written = Path(span.file)
        for path in (written, self.path.with_name(written.name)):
            try:
                archive = StoredReads(path)
                last = archive.last_batch()
            except (InputError, sqlite3.Error):
                continue
            is_ours = (archive.department, archive.recorder) == (self.department, self.recorder)
            if is_ours and last is not None and last.batch_number == span.last_batch:
                return archive
            archive.close()
        raise _archive_missing(span)

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """See the file as it is now, so that what is moved meanwhile is seen in one place, and once."""
        with self._reading() as reader:
            reader.execute("BEGIN")
            yield reader
            reader.execute("COMMIT")

    def _plan(self, condition: str, values: tuple[object, ...] = ()) -> BatchPlan | None:
        found = self._one(f"SELECT {PLAN_COLUMNS} FROM batches {condition}", values)  # noqa: S608
        return None if found is None else BatchPlan(*found)

    def _one(self, query: str, values: tuple[object, ...] = ()) -> tuple[Any, ...] | None:
        with self._reading() as reader:
            found: tuple[Any, ...] | None = reader.execute(query, values).fetchone()
        return found

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Have this thread's connection, the same one in all that is done with it: a reader never waits for the writer.

        Threads come and go, so that the connection is not the thread's for good.
        """
        held: sqlite3.Connection | None = getattr(self._held, "connection", None)
        if held is not None:
            yield held
            return
        with self._idle_lock:
            connection = self._idle.pop() if self._idle else None
        connection = self._held.connection = connection or self._connect()
        is_whole = False
        try:
            yield connection
            is_whole = True
        finally:
            self._held.connection = None
            with self._idle_lock:
                # After a failure a statement may be left open in it, which would show the next look-up what was then.
                is_kept = is_whole and not self._is_closed and len(self._idle) < MAX_IDLE_READERS
                if is_kept:
                    self._idle.append(connection)
            if not is_kept:
                connection.close()

    def _connect(self) -> sqlite3.Connection:
        """Return a new connection to the file; one that is gone is not made again, empty."""
        place = f"{self.path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(place, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _find_here(
    reader: sqlite3.Connection, first: int, bounds: dict[str, Any], named: dict[str, Any], limit: int
) -> list[bytes]:
    """Return what find_reads finds in the file itself."""
    grant, person, case_number, read_id = named.values()
    wanted = [
        ("grant_key", None if grant is None else first_key(grant)),
        ("person_key", None if person is None else first_key(person)),
        ("case_key", None if case_number is None else text_key(case_number)),
        ("id_key", None if read_id is None else first_key(read_id)),
    ]
    conditions = ["number >= ?", *(f"{column} = ?" for column, key in wanted if key is not None)]
    values: list[object] = [first, *(key for _, key in wanted if key is not None)]
    # Times never decrease with the numbers: a span of time is a span of numbers.
    limits = {
        "last": "number <= ?",
        "from_ms": f"number >= ({_FIRST_SINCE})",
        "to_ms": f"number <= ({_LAST_UNTIL})",
    }
    for bound, value in zip(limits.values(), bounds.values(), strict=True):
        if value is not None:
            conditions.append(bound)
            values.append(value)
    query = f"SELECT body FROM reads WHERE {' AND '.join(conditions)} ORDER BY number"  # noqa: S608
    found: list[bytes] = []
    for (encoded,) in reader.execute(query, values):
        if len(found) >= limit:
            break
        if _matches(decode_read(encoded), grant, person, case_number, read_id):
            found.append(encoded)
    return found


def read_marks(database: sqlite3.Connection) -> tuple[str, bytes, int]:
    """Return whose store this is (department, 20-byte account) and since when (ms); raise sqlite3.Error where it is none of ours."""
    marks = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    if marks != [APPLICATION_ID, STORE_VERSION]:
        raise sqlite3.DatabaseError(f"marks {marks}")
    department, recorder, begun_ms = database.execute("SELECT department, recorder, begun_ms FROM stream").fetchone()
    return str(department), bytes(recorder), int(begun_ms)


def first_key(digest: bytes) -> int:
    """Return what finds the rows of a digest: its first 8 bytes as a signed integer."""
    return int.from_bytes(digest[:8], "big", signed=True)


def text_key(text: str) -> int:
    """Return what finds the rows of a text."""
    return first_key(sm3(text.encode()))


def invalid_store(path: Path, reason: str) -> InputError:
    """Return the error of a file that is no store of this version, or cannot be opened."""
    return InputError(
        "STORE_INVALID",
        f"{path} 不是本版本的访问记录库，或打不开（{reason}）",
        f"{path} is not a store of access records of this version, or cannot be opened ({reason})",
    )


def _archive_missing(span: ArchivedSpan) -> InputError:
    return InputError(
        "ARCHIVE_MISSING",
        f"第 {span.first_number} 至 {span.last_number} 条读取在归档文件 {span.file} 中，该处没有此文件或读不出："
        "请放回原处或记录库所在的文件夹",
        f"reads {span.first_number} to {span.last_number} are in the archive {span.file}, which is not there or cannot be read: "
        "put it back, or beside the store",
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
