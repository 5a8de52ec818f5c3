"""LevelDB behind four verbs: get, iterate, write one atomic synced batch, close."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import plyvel

from node.chain.faults import LocalFault

WRITE_BUFFER_BYTES: Final = 32 * 1024 * 1024
BLOCK_CACHE_BYTES: Final = 64 * 1024 * 1024
TABLE_FILE_BYTES: Final = 8 * 1024 * 1024
TABLE_BLOCK_BYTES: Final = 16 * 1024
"""LevelDB writes to its files block by block: four times its default saves a third of compaction's CPU time."""
MAX_OPEN_FILES: Final = 512
BLOOM_BITS_PER_KEY: Final = 10
CURRENT_FILE: Final = "CURRENT"
DATABASE_SUFFIXES: Final = (".ldb", ".sst", ".log")
"""Of files that LevelDB makes only once CURRENT is there."""


class StorageError(LocalFault):
    """The data folder cannot be read or written; the message says what was found and what to do."""


class DamagedDatabase(StorageError):
    """The database's own files are damaged: nothing that they hold can be relied on."""


class AnotherNetwork(StorageError):
    """The data is whole, but it was begun with another genesis."""


class DatabaseInUse(StorageError):
    """Another process has the database open."""


class KeyReader(Protocol):
    """A map of bytes to bytes, to read: the database as it goes on, or as it was at one moment."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value at `key`, or None; raise StorageError when it cannot be read."""

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) in the order of keys: those that begin with `prefix`, from prefix + start on."""


class _Readable:
    """The two verbs that read, over the database or one of its snapshots."""

    def __init__(self, path: Path, source: Any) -> None:
        self._path = path
        self._source = source

    def get(self, key: bytes) -> bytes | None:
        """Return the value at `key`, or None; raise StorageError when it cannot be read."""
        try:
            value: bytes | None = self._source.get(key)
        except (plyvel.Error, RuntimeError) as error:
            raise self._error("cannot be read", error) from None
        return value

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) in the order of keys: those that begin with `prefix`, from prefix + start on."""
        try:
            with self._source.iterator(start=prefix + start) as iterator:
                for key, value in iterator:
                    if not key.startswith(prefix):
                        return
                    yield key, value
        except (plyvel.Error, RuntimeError) as error:
            raise self._error("cannot be read", error) from None

    def _error(self, what: str, error: Exception) -> StorageError:
        kind = DamagedDatabase if isinstance(error, plyvel.CorruptionError) else StorageError
        return kind(f"{self._path}: the database {what}: {error}")


class PinnedStorage(_Readable):
    """The database as it was at one moment, whatever is written later; any thread may read it, and closes it before the database."""

    def close(self) -> None:
        """Let go of it: until then nothing that it shows leaves the disk."""
        self._source.close()


class Storage(_Readable):
    """A map of bytes to bytes on disk. A batch is there whole or not at all, whatever happens to the process."""

    def __init__(self, path: Path) -> None:
        """Open or create the database in the folder `path`; raise StorageError when it is in use, damaged or unwritable."""
        self._failed = False
        super().__init__(path, None)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._refuse_headless(path)
            self._db = plyvel.DB(
                str(path),
                create_if_missing=True,
                # Every batch is synced, so damage anywhere but in the unfinished tail is damage to final blocks: refuse it.
                paranoid_checks=True,
                write_buffer_size=WRITE_BUFFER_BYTES,
                max_open_files=MAX_OPEN_FILES,
                lru_cache_size=BLOCK_CACHE_BYTES,
                bloom_filter_bits=BLOOM_BITS_PER_KEY,
                max_file_size=TABLE_FILE_BYTES,
                block_size=TABLE_BLOCK_BYTES,
                # Digests, keys and signatures do not compress.
                compression=None,
            )
        except (plyvel.Error, OSError) as error:
            raise self._open_error(error) from None
        self._source = self._db

    def _refuse_headless(self, path: Path) -> None:
        """Raise DamagedDatabase where the file that names the database's parts is gone: LevelDB would begin anew over what is left."""
        if (path / CURRENT_FILE).exists():
            return
        left = sorted(entry.name for entry in path.iterdir() if entry.suffix in DATABASE_SUFFIXES)
        if left:
            raise DamagedDatabase(
                f"{path}：数据库缺少 {CURRENT_FILE} 文件，但仍有 {left[0]} 等 {len(left)} 个文件；请只移走这个文件夹后重新启动，"
                "节点会从其他节点取回全部区块 / "
                f"{path}: the database lacks its {CURRENT_FILE} file, yet {left[0]} is there ({len(left)} such files); "
                "move this folder alone away and start again: the node fetches every block from its peers"
            )

    def pin(self) -> PinnedStorage:
        """Return the database as it is now, to read by several keys of one moment; raise StorageError."""
        try:
            return PinnedStorage(self._path, self._db.snapshot())
        except (plyvel.Error, RuntimeError) as error:
            raise self._error("cannot be read", error) from None

    def pinned(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Return an iterator over (key, value) of the keys with this prefix as they are now, whatever is written later.

        It holds what it has not yet yielded on disk until it is used up or dropped.
        """
        try:
            # LevelDB's iterator sees the database as it was when the iterator was made.
            iterator = self._db.iterator(prefix=prefix)
        except (plyvel.Error, RuntimeError) as error:
            raise self._error("cannot be read", error) from None
        return self._read_pinned(iterator)

    def _read_pinned(self, iterator: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from iterator
        except (plyvel.Error, RuntimeError) as error:
            raise self._error("cannot be read", error) from None

    def write(
        self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = (), *, is_synced: bool = True
    ) -> None:
        """Put and delete in one atomic batch that is on disk when this returns; raise StorageError otherwise.

        Unsynced, it may be lost with the machine, though not with the process: for a database that is not in use yet.

        After a failed write nothing more is written: whether that batch is on disk shows when the folder is opened again.
        """
        if self._failed:
            raise StorageError(f"{self._path}: an earlier write failed; free some space and start the node again")
        try:
            batch = self._db.write_batch(sync=is_synced)
            put, delete = batch.put, batch.delete
            for key, value in puts:
                put(key, value)
            for key in deletes:
                delete(key)
            batch.write()
        except (plyvel.Error, RuntimeError) as error:
            self._failed = True
            raise self._error("cannot be written (is the disk full?)", error) from None

    def close(self) -> None:
        """Close the database; later use raises StorageError."""
        self._db.close()

    def _open_error(self, error: Exception) -> StorageError:
        found = error.args[0] if error.args else ""
        text = found.decode("utf-8", "replace") if isinstance(found, bytes) else str(error)
        if "lock" in text.lower():
            return DatabaseInUse(
                f"{self._path}：另一个进程正在使用该数据文件夹，请先停止它（{text}） / "
                f"{self._path}: another process uses this data folder; stop it first ({text})"
            )
        if isinstance(error, plyvel.CorruptionError) or "corrupt" in text.lower():
            return DamagedDatabase(
                f"{self._path}：数据库已损坏（{text}）；请只移走这个文件夹后重新启动，节点会从其他节点取回全部区块 / "
                f"{self._path}: the database is damaged ({text}); move this folder alone away and start again: "
                "the node fetches every block from its peers"
            )
        return self._error("cannot be opened", error)
