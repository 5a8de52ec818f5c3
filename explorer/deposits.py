"""Deposits at a node: sealed presentations that departments leave here for a time, in a database beside the index (docs/spec/codes.md).

What is kept cannot be read here: the keys stand in the links, which the node does not see.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool

from explorer.problems import Problem, Text
from node.logs import Log
from verification.deposits import DEPOSIT_ID_BYTES, MAX_DEPOSIT_BYTES, MAX_LIFE_DAYS, MAX_LIFE_MS, encode_id

MAX_DEPOSITS: Final = 100_000
MAX_DEPOSITS_BYTES: Final = 1024 * 1024 * 1024
MAX_DEPARTMENT_DEPOSITS: Final = 10_000
MAX_DEPARTMENT_BYTES: Final = 256 * 1024 * 1024
MAX_ENDED: Final = 100_000
"""Ids of deposits that have ended, so that whoever comes late is told what became of one; nothing else of them is kept."""
SWEEP_S: Final = 60.0
"""How often what has expired is deleted; it is given to nobody from its end on."""
DATABASE_NAME: Final = "deposits.sqlite"

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS deposits (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, department TEXT NOT NULL,
    made_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, size INTEGER NOT NULL, sealed BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS deposits_by_department ON deposits (department, size);
CREATE INDEX IF NOT EXISTS deposits_by_end ON deposits (expires_ms);
CREATE TABLE IF NOT EXISTS ended (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, is_withdrawn INTEGER NOT NULL);
"""
_LOG: Final = Log("deposits")


class Deposit(msgspec.Struct, frozen=True):
    """A deposit that is kept here: whose, from when to when in ms, and the bytes that were left; `number` orders them."""

    number: int
    id: str
    department: str
    made_ms: int
    expires_ms: int
    size_bytes: int


class SealedDeposit(msgspec.Struct, frozen=True):
    """What whoever has the link is given: the sealed bytes, and until when."""

    id: str
    expires_ms: int
    sealed: bytes


class Deposits:
    """Keeps deposits until they expire or are withdrawn; all of it off the event loop, one operation at a time."""

    def __init__(self, path: Path | None, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        """Keep them in a database at `path`, opened when it is first needed; None keeps none."""
        self._path = path
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._is_stopping = threading.Event()
        self._sweeper = threading.Thread(target=self._run, name="deposits", daemon=True)

    def start(self) -> None:
        """Begin to delete what expires."""
        if self._path is not None:
            self._sweeper.start()

    def stop(self) -> None:
        """End the thread and close the database."""
        self._is_stopping.set()
        if self._sweeper.is_alive():
            self._sweeper.join()
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    async def keep(self, department: str, sealed: bytes, expires_ms: int) -> Deposit:
        """Keep sealed bytes for a department until a time in ms, under a fresh random id; raise Problem where they are not taken."""
        return await run_in_threadpool(self._keep, department, sealed, expires_ms)

    async def find(self, deposit_id: str) -> SealedDeposit:
        """Return a deposit; raise Problem DEPOSIT_UNKNOWN, DEPOSIT_EXPIRED or DEPOSIT_WITHDRAWN."""
        return await run_in_threadpool(self._find, deposit_id)

    async def withdraw(self, deposit_id: str, department: str) -> None:
        """Delete a deposit of a department before its end; raise Problem as find does, and DEPOSIT_OF_ANOTHER."""
        await run_in_threadpool(self._withdraw, deposit_id, department)

    async def of_department(self, department: str, before: int | None, limit: int) -> list[Deposit]:
        """Return what is kept for a department, numbered below `before`, the latest first."""
        return await run_in_threadpool(self._of_department, department, before, limit)

    def sweep(self) -> None:
        """Delete what has expired; only the ids stay."""
        with self._open() as database:
            now_ms = self._now_ms()
            database.execute(
                "INSERT OR IGNORE INTO ended (id, is_withdrawn) SELECT id, 0 FROM deposits WHERE expires_ms <= ?",
                (now_ms,),
            )
            database.execute("DELETE FROM deposits WHERE expires_ms <= ?", (now_ms,))
            database.execute("DELETE FROM ended WHERE number <= (SELECT max(number) FROM ended) - ?", (MAX_ENDED,))

    def _keep(self, department: str, sealed: bytes, expires_ms: int) -> Deposit:
        now_ms = self._now_ms()
        if not 0 < len(sealed) <= MAX_DEPOSIT_BYTES:
            expected = Text(f" 1 至 {MAX_DEPOSIT_BYTES} 字节", f"1 to {MAX_DEPOSIT_BYTES} bytes")
            raise Problem("BODY_INVALID", field="sealed", expected=expected, found=str(len(sealed)))
        if not now_ms < expires_ms <= now_ms + MAX_LIFE_MS:
            expected = Text(f"现在之后、{MAX_LIFE_DAYS} 天之内的毫秒数", f"ms within {MAX_LIFE_DAYS} days from now")
            raise Problem("BODY_INVALID", field="expires_ms", expected=expected, found=str(expires_ms))
        self.sweep()
        with self._open() as database:
            _check_room(database, department, len(sealed))
            deposit_id = encode_id(secrets.token_bytes(DEPOSIT_ID_BYTES))
            row = (deposit_id, department, now_ms, expires_ms, len(sealed))
            added = database.execute(
                "INSERT INTO deposits (id, department, made_ms, expires_ms, size, sealed) VALUES (?, ?, ?, ?, ?, ?)",
                (*row, sealed),
            )
            return Deposit(added.lastrowid or 0, *row)

    def _find(self, deposit_id: str) -> SealedDeposit:
        with self._open() as database:
            found = database.execute("SELECT expires_ms, sealed FROM deposits WHERE id = ?", (deposit_id,)).fetchone()
            if found is not None and found[0] > self._now_ms():
                return SealedDeposit(deposit_id, *found)
            raise _missing(database, deposit_id, is_expired=found is not None)

    def _withdraw(self, deposit_id: str, department: str) -> None:
        with self._open() as database:
            found = database.execute("SELECT department FROM deposits WHERE id = ?", (deposit_id,)).fetchone()
            if found is None:
                raise _missing(database, deposit_id, is_expired=False)
            if found[0] != department:
                raise Problem("DEPOSIT_OF_ANOTHER", reason=deposit_name(deposit_id))
            database.execute("DELETE FROM deposits WHERE id = ?", (deposit_id,))
            database.execute("INSERT OR IGNORE INTO ended (id, is_withdrawn) VALUES (?, 1)", (deposit_id,))

    def _of_department(self, department: str, before: int | None, limit: int) -> list[Deposit]:
        with self._open() as database:
            rows = database.execute(
                "SELECT number, id, department, made_ms, expires_ms, size FROM deposits "
                "WHERE department = ? AND number < ? AND expires_ms > ? ORDER BY number DESC LIMIT ?",
                (department, 2**63 - 1 if before is None else before, self._now_ms(), limit),
            )
            return [Deposit(*row) for row in rows]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Give the database for one transaction; raise Problem NOT_SERVED without one, NOT_READY where the disk fails."""
        if self._path is None:
            raise Problem("NOT_SERVED")
        try:
            with self._lock:
                if self._database is None:
                    self._database = _connect(self._path)
                with self._database:
                    yield self._database
        except sqlite3.Error as error:
            _LOG.warning("deposits_unavailable", path=str(self._path), reason=str(error))
            reason = Text("寄存件的存储出错，请联系运维人员", "deposits cannot be read or written; tell its operator")
            raise Problem("NOT_READY", reason=reason) from None

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            # What cannot be deleted now is tried again; the log says why.
            with contextlib.suppress(Problem):
                self.sweep()
            self._is_stopping.wait(SWEEP_S)


def _connect(path: Path) -> sqlite3.Connection:
    """Return the database at a path; one that is damaged is put aside, since whoever deposited can do so again."""
    try:
        return _prepared(path)
    except sqlite3.OperationalError:
        # Locked, or no room: the file itself is sound.
        raise
    except sqlite3.DatabaseError as error:
        _LOG.warning("deposits_damaged", path=str(path), reason=str(error))
        path.replace(path.with_suffix(".damaged"))
        return _prepared(path)


def _prepared(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    try:
        # What is deleted is gone from the file, and the file becomes smaller by it.
        database.execute("PRAGMA auto_vacuum = FULL")
        database.execute("PRAGMA secure_delete = ON")
        database.executescript(_TABLES)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _check_room(database: sqlite3.Connection, department: str, size_bytes: int) -> None:
    count, held_bytes = database.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM deposits WHERE department = ?", (department,)
    ).fetchone()
    if count >= MAX_DEPARTMENT_DEPOSITS or held_bytes + size_bytes > MAX_DEPARTMENT_BYTES:
        limit = f"{MAX_DEPARTMENT_DEPOSITS:,}", f"{MAX_DEPARTMENT_BYTES // 1024**2} MiB"
        raise Problem(
            "DEPOSITS_FULL",
            reason=Text(
                f"每个部门至多 {limit[0]} 份、{limit[1]}，请撤回不再需要的",
                f"a department has at most {limit[0]} and {limit[1]}: withdraw what is no longer needed",
            ),
        )
    count, held_bytes = database.execute("SELECT count(*), coalesce(sum(size), 0) FROM deposits").fetchone()
    if count >= MAX_DEPOSITS or held_bytes + size_bytes > MAX_DEPOSITS_BYTES:
        limit = f"{MAX_DEPOSITS:,}", f"{MAX_DEPOSITS_BYTES // 1024**2} MiB"
        raise Problem(
            "DEPOSITS_FULL",
            reason=Text(f"本节点至多 {limit[0]} 份、{limit[1]}", f"this node keeps at most {limit[0]} and {limit[1]}"),
        )


def _missing(database: sqlite3.Connection, deposit_id: str, *, is_expired: bool) -> Problem:
    """Return the Problem that says why there is no such deposit."""
    ended = database.execute("SELECT is_withdrawn FROM ended WHERE id = ?", (deposit_id,)).fetchone()
    if ended is None and not is_expired:
        return Problem("DEPOSIT_UNKNOWN", reason=deposit_name(deposit_id))
    code = "DEPOSIT_WITHDRAWN" if ended is not None and ended[0] else "DEPOSIT_EXPIRED"
    return Problem(code, reason=deposit_name(deposit_id))


def deposit_name(deposit_id: str) -> Text:
    """Return how a deposit is called in what users read."""
    return Text(f"寄存编号 {deposit_id}", f"deposit {deposit_id}")
