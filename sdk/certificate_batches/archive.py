"""The archive of a batch: one SQLite file, readable by its owner only, from which every document and its path are made again.

docs/spec/batch-archive.md tells of every table. Each step of preparing and issuing a batch ends in one transaction here.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec

from contracts.batches import batch_name
from contracts.certificate_records import CertificateContent
from sdk.certificate_batches.rows import BatchHead, BatchRow
from sdk.closing import Closing
from sdk.secret_files import SECRET_MODE
from sdk.tables.lines import RowFault
from sm_crypto.sm3 import DIGEST_SIZE
from verification.certificate_files.seals import BatchSignature
from verification.errors import InputError

APPLICATION_ID: Final = 0x676F7662
"""What the file's header has where SQLite keeps the application's number: `govb`."""
ARCHIVE_VERSION: Final = 1
BLOCK_HASHES: Final = 1_024
"""Hashes of one level of the tree that are kept together."""
CACHE_KIB: Final = 64 * 1_024

_TABLES: Final = (
    "CREATE TABLE fact (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE source_row (identifier TEXT PRIMARY KEY, serial TEXT NOT NULL, line INTEGER NOT NULL, "
    "content BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE fault (number INTEGER PRIMARY KEY, line INTEGER NOT NULL, content BLOB NOT NULL)",
    "CREATE TABLE certificate (position INTEGER PRIMARY KEY, identifier TEXT NOT NULL, content BLOB NOT NULL)",
    "CREATE TABLE tree_block (level INTEGER NOT NULL, number INTEGER NOT NULL, hashes BLOB NOT NULL, "
    "PRIMARY KEY (level, number)) WITHOUT ROWID",
)
_CONTENT_ENCODER: Final = msgspec.msgpack.Encoder()
_CONTENT_DECODER: Final = msgspec.msgpack.Decoder(CertificateContent)
_ROW_DECODER: Final = msgspec.msgpack.Decoder(BatchRow)

T = TypeVar("T")


class Stage(IntEnum):
    """How far a batch has come; each is reached in one transaction, with everything that it promises."""

    LOADING = 1
    LOADED = 2
    """Every row of the source is kept, and none has a fault."""
    DRAFTED = 3
    """Every certificate has its position, document digest and holder commitment."""
    ROOTED = 4
    """The tree, its root and the manifest's digest are kept."""
    SIGNED = 5
    ISSUED = 6
    """The ledger has the batch."""


class Source(msgspec.Struct, frozen=True):
    """The file that a batch is made from: SM3 of its bytes, and what its own fields are called."""

    sm3: bytes
    field_names: tuple[str, ...]


class BatchTree(msgspec.Struct, frozen=True):
    """What the ledger is told of a batch: its name there, first and last serial, number of certificates, root and manifest digest."""

    name: str
    first: str
    last: str
    count: int
    root: bytes
    manifest_digest: bytes


class IssuedBatch(msgspec.Struct, frozen=True):
    """That the ledger has the batch, since when in ms; transaction id (32 bytes) and height are empty and 0 where the receipt was lost."""

    time_ms: int
    transaction_id: bytes = b""
    height: int = 0


class BatchArchive(Closing):
    """One batch in its file; use it in a `with` block. Only one process has it open at a time."""

    def __init__(self, path: Path) -> None:
        """Open an archive; raise InputError where there is none, another file, or another process has it open."""
        self.path = path
        if not path.is_file():
            raise _fault("ARCHIVE_MISSING", path, "没有这个批次档案", "there is no such archive of a batch")
        try:
            self._open()
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            self._database.execute("PRAGMA synchronous=FULL")
            # Takes the lock, and sees at once whether this is a database.
            self._database.execute("BEGIN EXCLUSIVE")
            marks = [
                self._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
            ]
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self.close()
            raise _fault(
                "ARCHIVE_BUSY",
                path,
                f"打不开，或另一进程正在使用（{error}）",
                f"cannot be opened, or is in use ({error})",
            ) from None
        except sqlite3.DatabaseError as error:
            self.close()
            raise _no_archive(path, str(error)) from None
        if marks != [APPLICATION_ID, ARCHIVE_VERSION]:
            self.close()
            raise _no_archive(path, f"marks {marks}")

    @classmethod
    def create(cls, path: Path, head: BatchHead, source: Source, secret_check: bytes) -> Self:
        """Make a new archive that only its owner can read, and open it; raise InputError where a file stands there."""
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, SECRET_MODE))
        database = sqlite3.connect(fresh, isolation_level=None)
        try:
            database.execute(f"PRAGMA application_id={APPLICATION_ID}")
            database.execute(f"PRAGMA user_version={ARCHIVE_VERSION}")
            database.execute("BEGIN")
            for statement in _TABLES:
                database.execute(statement)
            facts = {"head": head, "source": source, "secret_check": secret_check, "stage": int(Stage.LOADING)}
            for name, value in facts.items():
                database.execute("INSERT INTO fact VALUES (?, ?)", (name, _CONTENT_ENCODER.encode(value)))
            database.execute("COMMIT")
        finally:
            database.close()
        try:
            os.link(fresh, path)
        except FileExistsError:
            raise _fault("ARCHIVE_EXISTS", path, "已有同名文件", "a file of this name stands there") from None
        finally:
            fresh.unlink()
        return cls(path)

    def close(self) -> None:
        """Close the file; what was not committed is undone."""
        self._database.close()

    def remove(self) -> None:
        """Close and delete the file, with the personal data in it."""
        self.close()
        self.path.unlink()

    @property
    def stage(self) -> Stage:
        """How far the batch has come."""
        return Stage(self._fact("stage", int))

    @property
    def head(self) -> BatchHead:
        """What all certificates share."""
        return self._fact("head", BatchHead)

    @property
    def source(self) -> Source:
        """What the batch is made from."""
        return self._fact("source", Source)

    @property
    def secret_check(self) -> bytes:
        """What tells the department's secret that the documents need from another."""
        return self._fact("secret_check", bytes)

    @property
    def tree(self) -> BatchTree:
        """Root, range and manifest; from ROOTED on."""
        return self._fact("tree", BatchTree)

    @property
    def signature(self) -> BatchSignature:
        """The issuer's signature over the batch; from SIGNED on."""
        return self._fact("signature", BatchSignature)

    @property
    def issued(self) -> IssuedBatch:
        """Since when the ledger has the batch; from ISSUED on."""
        return self._fact("issued", IssuedBatch)

    @property
    def count(self) -> int:
        """How many rows are kept so far."""
        return self._number("SELECT count(*) FROM source_row")

    @property
    def drafted_count(self) -> int:
        """How many certificates have their position so far."""
        return self._number("SELECT count(*) FROM certificate")

    @property
    def fault_count(self) -> int:
        """How many faults were found in the rows."""
        return self._number("SELECT count(*) FROM fault")

    def add_rows(self, rows: Iterable[BatchRow | list[RowFault]]) -> None:
        """Keep rows and faults in one transaction; of rows with one identifier, the later ones become faults."""
        with self._transaction():
            for row in rows:
                if isinstance(row, list):
                    self._add_faults(row)
                    continue
                values = (row.identifier, row.serial, row.line, _CONTENT_ENCODER.encode(row))
                if not self._database.execute("INSERT OR IGNORE INTO source_row VALUES (?, ?, ?, ?)", values).rowcount:
                    query = "SELECT line FROM source_row WHERE identifier = ?"
                    self._add_faults([_twice(row, self._number(query, row.identifier))])

    def add_faults(self, faults: Iterable[RowFault]) -> None:
        """Keep more faults in one transaction."""
        with self._transaction():
            self._add_faults(faults)

    def end_loading(self) -> None:
        """Reach LOADED; every row is there and has no fault."""
        with self._transaction():
            self._put("stage", int(Stage.LOADED))

    def faults(self) -> Iterator[RowFault]:
        """Yield the faults in the order of lines."""
        for (content,) in self._database.execute("SELECT content FROM fault ORDER BY line, number"):
            yield msgspec.msgpack.decode(content, type=RowFault)

    def rows(self, start: int, count: int) -> list[BatchRow]:
        """Return up to `count` rows in the order of identifiers, from the place `start`, which must be the number drafted."""
        last = self._database.execute("SELECT identifier FROM certificate WHERE position = ?", (start - 1,)).fetchone()
        query = "SELECT content FROM source_row WHERE identifier > ? ORDER BY identifier LIMIT ?"
        found = self._database.execute(query, (last[0] if last else "", count))
        return [_ROW_DECODER.decode(content) for (content,) in found]

    def every_row(self) -> Iterator[BatchRow]:
        """Yield all rows in the order of identifiers."""
        for (content,) in self._database.execute("SELECT content FROM source_row ORDER BY identifier"):
            yield _ROW_DECODER.decode(content)

    def serials(self) -> Iterator[tuple[str, str, int]]:
        """Yield every row's serial, identifier and line, in the order of identifiers."""
        yield from self._database.execute("SELECT serial, identifier, line FROM source_row ORDER BY identifier")

    def serial_range(self) -> tuple[str, str]:
        """Return the first and the last serial of the rows, in the order of identifiers; there is at least one row."""
        query = "SELECT serial FROM source_row ORDER BY identifier {} LIMIT 1"
        first, last = (self._database.execute(query.format(order)).fetchone()[0] for order in ("ASC", "DESC"))
        return first, last

    def identifiers(self) -> Iterator[str]:
        """Yield the identifiers of all rows in their order."""
        for (identifier,) in self._database.execute("SELECT identifier FROM source_row ORDER BY identifier"):
            yield identifier

    def row(self, identifier: str) -> BatchRow:
        """Return the row of a certificate called by its identifier, root included; raise InputError NOT_IN_ARCHIVE."""
        found = self._database.execute("SELECT content FROM source_row WHERE identifier = ?", (identifier,)).fetchone()
        if found is None:
            raise _fault("NOT_IN_ARCHIVE", self.path, f"档案中没有 {identifier}", f"there is no {identifier} in it")
        return _ROW_DECODER.decode(found[0])

    def position(self, identifier: str) -> int:
        """Return where a certificate stands among those of the batch, from 0; raise InputError NOT_IN_ARCHIVE."""
        self.row(identifier)
        # Positions are in the order of identifiers, which spares an index as large as the table.
        low, high = 0, self.tree.count - 1
        while low < high:
            middle = (low + high) // 2
            query = "SELECT identifier FROM certificate WHERE position = ?"
            if self._database.execute(query, (middle,)).fetchone()[0] < identifier:
                low = middle + 1
            else:
                high = middle
        return low

    def content(self, position: int) -> CertificateContent:
        """Return what the leaf at a position says."""
        query = "SELECT content FROM certificate WHERE position = ?"
        return _CONTENT_DECODER.decode(self._database.execute(query, (position,)).fetchone()[0])

    def add_certificates(self, start: int, contents: Sequence[CertificateContent], stage: Stage) -> None:
        """Keep certificates at the positions from `start` on, and the stage that is reached with them, in one transaction."""
        with self._transaction():
            self._database.executemany(
                "INSERT INTO certificate VALUES (?, ?, ?)",
                [
                    (start + place, content.identifier, _CONTENT_ENCODER.encode(content))
                    for place, content in enumerate(contents)
                ],
            )
            self._put("stage", int(stage))

    def encoded_contents(self) -> Iterator[bytes]:
        """Yield the MessagePack of every leaf's content, in the order of positions."""
        for (content,) in self._database.execute("SELECT content FROM certificate ORDER BY position"):
            yield content

    def save_tree(self, blocks: Iterable[tuple[int, int, bytes]], finish: Iterator[BatchTree]) -> BatchTree:
        """Keep the levels of the tree (level, number of the block, hashes), then what `finish` yields, in one transaction."""
        with self._transaction():
            self._database.execute("DELETE FROM tree_block")
            for block in blocks:
                self._database.execute("INSERT INTO tree_block VALUES (?, ?, ?)", block)
            tree = next(finish)
            self._put("tree", tree)
            self._put("stage", int(Stage.ROOTED))
        return tree

    def block(self, level: int, number: int) -> bytes:
        """Return up to BLOCK_HASHES hashes of a level of the tree, leaves at 0; empty past its end."""
        query = "SELECT hashes FROM tree_block WHERE level = ? AND number = ?"
        found = self._database.execute(query, (level, number)).fetchone()
        return b"" if found is None else bytes(found[0])

    def path_of(self, position: int) -> list[bytes]:
        """Return the siblings of a leaf from the lowest up."""
        path, count, level = [], self.tree.count, 0
        while count > 1:
            sibling = position ^ 1
            if sibling < count:
                start = sibling % BLOCK_HASHES * DIGEST_SIZE
                path.append(self.block(level, sibling // BLOCK_HASHES)[start : start + DIGEST_SIZE])
            position, count, level = position >> 1, (count + 1) >> 1, level + 1
        return path

    def save_signature(self, signature: BatchSignature) -> None:
        """Keep the issuer's signature over the batch."""
        with self._transaction():
            self._put("signature", signature)
            self._put("stage", int(Stage.SIGNED))

    def save_issued(self, issued: IssuedBatch) -> None:
        """Keep that the ledger has the batch."""
        with self._transaction():
            self._put("issued", issued)
            self._put("stage", int(Stage.ISSUED))

    def name(self, first: str) -> str:
        """Return what the ledger calls the batch if its first serial is `first`."""
        return batch_name(self.head.type_code, self.head.issuer_code, first)

    def _open(self) -> None:
        self._database = sqlite3.connect(self.path, timeout=0, isolation_level=None)

    def _transaction(self) -> _Transaction:
        return _Transaction(self._database)

    def _add_faults(self, faults: Iterable[RowFault]) -> None:
        values = ((fault.line, _CONTENT_ENCODER.encode(fault)) for fault in faults)
        self._database.executemany("INSERT INTO fault (line, content) VALUES (?, ?)", values)

    def _put(self, name: str, value: object) -> None:
        self._database.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, _CONTENT_ENCODER.encode(value)))

    def _fact(self, name: str, kind: type[T]) -> T:
        found = self._database.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        if found is None:
            raise _fault(
                "BATCH_NOT_READY",
                self.path,
                "批次尚未准备到这一步，请再次运行 govnode cert batch",
                "the batch has not come so far; run govnode cert batch again",
            )
        return msgspec.msgpack.decode(found[0], type=kind)

    def _number(self, query: str, *values: str) -> int:
        return int(self._database.execute(query, values).fetchone()[0])


class _Transaction:
    """All or nothing of what is written in a `with` block."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")


def _twice(row: BatchRow, line: int) -> RowFault:
    return RowFault(
        row.line,
        "identifier",
        "IDENTIFIER_TWICE",
        row.identifier,
        f"与第 {line} 行的证照标识相同",
        f"the same identifier as in line {line}",
    )


def _fault(code: str, path: Path, zh: str, en: str) -> InputError:
    return InputError(code, f"{path}：{zh}", f"{path}: {en}")


def _no_archive(path: Path, reason: str) -> InputError:
    return _fault(
        "ARCHIVE_INVALID",
        path,
        f"不是本版本的批次档案（{reason}）",
        f"not an archive of a batch of this version ({reason})",
    )
