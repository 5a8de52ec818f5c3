"""Copies of issuers' manifests that a node holds: with one, certificates of its batch are verified by their identifiers alone."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from contracts.batches import BatchRecord, verify_member
from contracts.refusals import Refused
from explorer.problems import Problem, Text
from node.logs import Log
from verification.batch_proof import BatchMember
from verification.errors import InputError
from verification.manifest import ManifestIndex, read_manifest

MAX_MANIFEST_BYTES: Final = 4 * 1024**3
"""Of one batch: 16,777,216 certificates of the usual size, and some more."""
MAX_MANIFESTS: Final = 4_096
"""Of which the index is in memory: as many as a type and issuer may have batches."""
MANIFEST_ENDING: Final = ".manifest"

_NAME: Final = re.compile(r"[0-9A-Z.]{1,128}")
_READ_BYTES: Final = 1024 * 1024
_LOG = Log("manifests")


class _Known(NamedTuple):
    """A file as it was when it was read; `content` is None where it is not the batch's manifest."""

    mark: tuple[int, int, int]
    content: ManifestIndex | None


class Listing(NamedTuple):
    """What a batch's manifest says of an identifier: its certificate, None where the batch has none."""

    member: BatchMember | None


class Manifests:
    """The manifests in a folder, `<batch name>.manifest` each; read in a thread at start, and when one that is new is first asked for."""

    def __init__(self, folder: Path | None) -> None:
        """Hold those of a folder, which need not be there; None holds none."""
        self._folder = folder
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()
        self._reading: threading.Thread | None = None

    def start(self, load_batch: Callable[[str], BatchRecord | None]) -> None:
        """Begin to read those that are there already; `load_batch` returns a batch of the ledger by its name."""
        names = [] if self._folder is None else sorted(path.stem for path in self._folder.glob(f"*{MANIFEST_ENDING}"))
        known = filter(_NAME.fullmatch, names[:MAX_MANIFESTS])
        batches = [found for found in map(load_batch, known) if found is not None]
        if batches:
            self._begin(batches)

    def find(self, batch: BatchRecord, identifier: str) -> Listing | None:
        """Return what the manifest of a batch says of an identifier, root included; None without one, or while it is read."""
        index = self._index(batch)
        if index is None:
            return None
        try:
            with self._path(batch.name).open("rb") as file:
                member = index.find(identifier, lambda start, size: os.pread(file.fileno(), size, start))
            if member is not None:
                verify_member(batch, member.position, member.content, list(member.path))
        except Refused:
            # A leaf whose content the contract would never admit is no certificate.
            return Listing(None)
        except (OSError, InputError):
            # Replaced or cut since it was read: as if it were not there, until it is read again.
            return None
        return Listing(member)

    def find_for_list(self, batch: BatchRecord, identifier: str) -> Listing | None:
        """Return the same for one of a list; raise Problem NOT_READY while the manifest is read: a list has no two kinds of answers."""
        mark = None if self._folder is None else _mark(self._path(batch.name))
        known = self._known.get(batch.name)
        # Begins to read it where nothing does.
        found = self.find(batch, identifier)
        if mark is not None and (known is None or known.mark != mark):
            reason = Text(
                f"正在读取批次 {batch.name} 的清单，稍后即可核验",
                f"the manifest of the batch {batch.name} is being read, and lists can be verified in a moment",
            )
            raise Problem("NOT_READY", reason=reason)
        return found

    def _index(self, batch: BatchRecord) -> ManifestIndex | None:
        if self._folder is None:
            return None
        mark = _mark(self._path(batch.name))
        known = self._known.get(batch.name)
        if mark is None or (known is not None and known.mark == mark):
            return None if known is None or mark is None else known.content
        self._begin([batch])
        return None

    def _begin(self, batches: list[BatchRecord]) -> None:
        """Read the manifests of batches in a thread, unless one is reading: who asks again begins anew."""
        with self._lock:
            if self._reading is None:
                self._reading = threading.Thread(target=self._run, args=(batches,), name="manifests", daemon=True)
                self._reading.start()

    def _run(self, batches: list[BatchRecord]) -> None:
        for batch in batches:
            mark = _mark(self._path(batch.name))
            if mark is not None:
                self._read(batch, mark)
        self._reading = None

    def _read(self, batch: BatchRecord, mark: tuple[int, int, int]) -> None:
        index = None
        try:
            index = read_manifest(_chunks(self._path(batch.name)), batch)
            _LOG.info("manifest_read", batch=batch.name, count=batch.count)
        except (OSError, InputError) as error:
            _LOG.warning("manifest_refused", batch=batch.name, error=error)
        finally:
            if len(self._known) >= MAX_MANIFESTS:
                self._known.clear()
            self._known[batch.name] = _Known(mark, index)

    def _path(self, name: str) -> Path:
        # The name is from the ledger, which has digits, capitals and dots in it.
        assert self._folder is not None, "asked for only where there is a folder"
        return self._folder / f"{name}{MANIFEST_ENDING}"


def _mark(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with a file's content, None where there is no file to be read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if found.st_size <= MAX_MANIFEST_BYTES else None


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            yield chunk
