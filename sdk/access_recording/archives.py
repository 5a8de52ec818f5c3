"""Archives of a store: older reads that the ledger has are moved to files of their own, so that no file grows for ever.

An archive is a file of the same form. Its reads are compared with the ledger's roots before they leave the store, and are found in
it from then on as they were before.
"""

from __future__ import annotations

import contextlib
import glob
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from contracts.data_sharing.access import BatchRecord
from sdk.access_recording.read_store import lock_beside, make_tables, sync_folder
from sdk.access_recording.stored_reads import BUSY_TIMEOUT_S, ArchivedSpan, StoredReads
from sdk.secret_files import SECRET_MODE
from verification.access.sealed_batches import check_bodies
from verification.errors import InputError

MAX_DROPPED: Final = 200
"""Reads that leave the store in one transaction: some 5 ms, for which whoever records waits."""
PAUSE_S: Final = 0.02
"""Between two of them, in which it records."""
MAX_GIVEN_BACK: Final = 100
"""Pages of 4 KiB that leave the file in one transaction: some 5 ms as well."""
ARCHIVE_MODE: Final = 0o400
NAMED_DIGITS: Final = 8
"""The last of the recorder's address, in the name of an archive: stores of several recorders may have one name, and one folder."""
_UNFINISHED: Final = ".new"

_LAST: Final = """
SELECT max(batch_number) FROM batches WHERE to_ms < ?1 AND batch_number < (
    SELECT coalesce((SELECT min(batch_number) FROM batches WHERE height = 0), max(batch_number) + 1) - 1 FROM batches)
AND (?2 = 0 OR batch_number < (
    SELECT coalesce((SELECT min(batch_number) FROM batches WHERE is_copied = 0), max(batch_number) + 1) FROM batches))
"""
"""The last batch that ends before a time, is on the ledger with another one behind it, and, where that is asked for, is copied."""
_SPAN: Final = (
    "SELECT min(batch_number), max(batch_number), min(first_number), max(first_number + count - 1), min(from_ms), max(to_ms) "
    "FROM batches WHERE batch_number BETWEEN ? AND ?"
)


def archive_reads(
    path: Path,
    before_ms: int,
    folder: Path,
    find_batches: Callable[[Iterable[int]], Iterable[BatchRecord]],
    *,
    is_copied: bool,
    on_batch: Callable[[int], object] | None = None,
) -> ArchivedSpan | None:
    """Move the batches that end before a time (ms) to a new file in `folder`; return what was moved, None where nothing was.

    Whoever records goes on meanwhile. The newest batch on the ledger stays, and so do, with `is_copied`, those that are not in the
    second place. `find_batches` returns the ledger's batches of these numbers, in order; nothing is moved where reads are not
    those of their roots: InputError BODIES_DIFFER. Raises InputError ARCHIVE_UNWRITABLE, or STORE_BUSY where another one
    archives too. What a run that was cut off has left to do is done by the next one.
    """
    try:
        with (
            _only_run(path),
            contextlib.closing(StoredReads(path)) as store,
            contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as database,
        ):
            database.execute("PRAGMA synchronous=FULL")
            _drop_archived(database)
            named = folder.absolute() / f"{path.stem}-{store.recorder.hex()[-NAMED_DIGITS:]}{path.suffix}"
            _clear_unfinished(named)
            span = _next_span(database, before_ms, named, is_copied=is_copied)
            if span is None:
                return None
            _write_archive(store, span, find_batches, on_batch)
            _note_archive(database, span)
            _drop_archived(database)
            return span
    except (OSError, sqlite3.Error) as error:
        raise InputError(
            "ARCHIVE_UNWRITABLE",
            f"归档未完成：{error}。请检查 {folder} 与记录库所在的磁盘，再执行一次",
            f"not archived: {error}. Check {folder} and the store's disk, and run it again",
        ) from None


@contextlib.contextmanager
def _only_run(path: Path) -> Iterator[None]:
    """Keep other runs for the same store out; raise InputError STORE_BUSY."""
    busy = InputError("STORE_BUSY", f"{path} 的另一归档任务正在进行", f"another run archives {path}")
    locked = lock_beside(path, ".archive.lock", busy)
    try:
        yield
    finally:
        os.close(locked)


def _clear_unfinished(named: Path) -> None:
    """Take away what a run that was killed had of an archive: a copy of reads that no store knows of."""
    for left in named.parent.glob(f"{glob.escape(named.stem)}-*{glob.escape(named.suffix + _UNFINISHED)}*"):
        left.unlink()


def _next_span(database: sqlite3.Connection, before_ms: int, named: Path, *, is_copied: bool) -> ArchivedSpan | None:
    (last,) = database.execute(_LAST, (before_ms, int(is_copied))).fetchone()
    if last is None:
        return None
    found = database.execute(_SPAN, (0, last)).fetchone()
    file = named.with_name(f"{named.stem}-{found[0]:012}-{found[1]:012}{named.suffix}")
    return ArchivedSpan._make((*found, str(file)))


def _write_archive(
    store: StoredReads,
    span: ArchivedSpan,
    find_batches: Callable[[Iterable[int]], Iterable[BatchRecord]],
    on_batch: Callable[[int], object] | None,
) -> None:
    """Have the span's file on disk, with reads that are those of the ledger; a file that an earlier run left there is replaced."""
    written = Path(span.file)
    written.parent.mkdir(parents=True, exist_ok=True)
    made = written.with_name(written.name + _UNFINISHED)
    os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, SECRET_MODE))
    try:
        with contextlib.closing(sqlite3.connect(made, isolation_level=None)) as database:
            make_tables(database, store.department, store.recorder, store.begun_ms)
            database.execute("ATTACH DATABASE ? AS store", (str(store.path),))
            database.execute("BEGIN")
            for table, column, first, last in (
                ("reads", "number", span.first_number, span.last_number),
                ("batches", "batch_number", span.first_batch, span.last_batch),
            ):
                moved = f"SELECT * FROM store.{table} WHERE {column} BETWEEN ? AND ? ORDER BY {column}"  # noqa: S608
                database.execute(f"INSERT INTO main.{table} {moved}", (first, last))
            database.execute("COMMIT")
        _check_archive(made, span, find_batches, on_batch)
        made.chmod(ARCHIVE_MODE)
        made.replace(written)
        sync_folder(written.parent)
    finally:
        made.unlink(missing_ok=True)


def _check_archive(
    path: Path,
    span: ArchivedSpan,
    find_batches: Callable[[Iterable[int]], Iterable[BatchRecord]],
    on_batch: Callable[[int], object] | None,
) -> None:
    """Return if a file has every batch of a span, each with the reads of the ledger's root; raise InputError otherwise."""
    with contextlib.closing(StoredReads(path)) as archive:
        plans = ((number, archive.batch(number)) for number in range(span.first_batch, span.last_batch + 1))
        # A heartbeat has no reads to be compared.
        numbers = (number for number, plan in plans if plan is None or plan.count)
        for batch in find_batches(numbers):
            last = batch.first_number + batch.count - 1
            check_bodies(batch, archive.encoded_reads(batch.first_number, last))
            if on_batch is not None:
                on_batch(batch.batch_number)


def _note_archive(database: sqlite3.Connection, span: ArchivedSpan) -> None:
    """Have the store find the span in its file from now on."""
    database.execute("INSERT INTO archives VALUES (?, ?, ?, ?, ?, ?, ?)", span)


def _drop_archived(database: sqlite3.Connection) -> None:
    """Take from the store what its archives have, and give its room back: a little at a time, so that whoever records goes on."""
    number, batch_number = database.execute("SELECT max(last_number), max(last_batch) FROM archives").fetchone()
    if number is None:
        return
    some = "SELECT number FROM reads WHERE number <= ? ORDER BY number LIMIT ?"
    while database.execute(f"DELETE FROM reads WHERE number IN ({some})", (number, MAX_DROPPED)).rowcount:  # noqa: S608
        time.sleep(PAUSE_S)
    some = "SELECT batch_number FROM batches WHERE batch_number <= ? ORDER BY batch_number LIMIT ?"
    dropped = f"DELETE FROM batches WHERE batch_number IN ({some})"  # noqa: S608
    while database.execute(dropped, (batch_number, MAX_DROPPED)).rowcount:
        time.sleep(PAUSE_S)
    _give_back(database)


def _give_back(database: sqlite3.Connection) -> None:
    """Move what is left to the front of the file and cut off its end, as far as whoever reads it lets the log be written into it."""
    (free,) = database.execute("PRAGMA freelist_count").fetchone()
    # Whoever records frees and takes pages too: what was free at first is given back, and nobody runs after the rest.
    for _ in range(0, free, MAX_GIVEN_BACK):
        # The statement moves one page a step and has no columns: as a script alone it is taken to its end.
        database.executescript(f"PRAGMA incremental_vacuum({MAX_GIVEN_BACK})")
        time.sleep(PAUSE_S)
    if free:
        # The file shrinks where the log is written into it; one that is being read is cut by the recorder's next.
        database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
