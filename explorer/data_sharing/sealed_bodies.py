"""Sealed batches of access records that recorders of the network leave at this node, one file each; only auditors fetch them.

What is kept cannot be read here: it is sealed to the auditing authority (docs/spec/access-records.md).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path
from typing import Final, NamedTuple

from starlette.concurrency import run_in_threadpool

from explorer.data_sharing.sealed_files import sealed_path, write_sealed
from explorer.problems import Problem, Text
from explorer.settings import KeepingRules
from node.logs import Log
from sm_crypto.sm3 import sm3
from verification.access.sealed_batches import MAX_SEALED_BODIES_BYTES

FOLDER_NAME: Final = "sealed-bodies"
MIN_FREE_BYTES: Final = 2 * 1024 * 1024 * 1024
"""What stays free on the node's disk, for its own ledger."""
MAX_BYTES_OF_A_READ: Final = 4_096
"""Of a sealed batch for each of its reads: reads of many columns, and room to spare."""
ENVELOPE_BYTES: Final = 4_096
_LOG: Final = Log("sealed_bodies")


class KeptBodies(NamedTuple):
    """A sealed batch that is kept here; `is_new` is False where one was kept before, which stays."""

    digest: bytes
    size_bytes: int
    is_new: bool


class KeptSum(NamedTuple):
    """How much is kept of one recorder, by its department and its address in hex."""

    department: str
    recorder: str
    size_bytes: int


class _Sum(NamedTuple):
    """What lay in a recorder's folder, and when the folder was changed last before it was counted."""

    size_bytes: int
    changed_ns: int


class SealedBodies:
    """Keeps sealed batches in a folder, off the event loop, one at a time."""

    def __init__(self, folder: Path | None, rules: KeepingRules, min_free_bytes: int = MIN_FREE_BYTES) -> None:
        """Keep them below `folder`, made when it is first needed, as the rules say; None keeps none."""
        self._folder, self._rules, self._min_free_bytes = folder, rules, min_free_bytes
        self._lock = threading.Lock()
        self._sums: dict[Path, _Sum] = {}

    async def keep(self, department: str, recorder: bytes, batch_number: int, count: int, sealed: bytes) -> KeptBodies:
        """Keep the sealed reads of an anchored batch of `count`; the first that came stays. Raises Problem where it is not taken."""
        return await run_in_threadpool(self._keep, department, recorder, batch_number, count, sealed)

    @property
    def recorder_limit_bytes(self) -> int:
        """How many bytes of one recorder are kept at most, 0 where nobody's are."""
        return self._rules.recorder_bytes if self._rules.departments else 0

    def fullest(self, most: int) -> list[KeptSum]:
        """Return what is kept of recorders of departments that are kept for, of at most so many, the fullest first.

        A recorder's files are counted on disk once, and when they were removed or changed since. Raises OSError.
        """
        found = []
        for department in sorted(self._rules.departments):
            folder = None if self._folder is None else self._folder / department
            if folder is None or not folder.is_dir():
                continue
            for recorder in filter(Path.is_dir, folder.iterdir()):
                with self._lock:
                    found.append(KeptSum(department, recorder.name, self._kept_bytes(recorder)))
        return sorted(found, key=lambda kept: -kept.size_bytes)[:most]

    async def find(self, department: str, recorder: bytes, batch_number: int) -> bytes:
        """Return a sealed batch; raise Problem NOT_FOUND."""
        return await run_in_threadpool(self._find, department, recorder, batch_number)

    def _keep(self, department: str, recorder: bytes, batch_number: int, count: int, sealed: bytes) -> KeptBodies:
        if department not in self._rules.departments:
            raise Problem("NOT_KEPT_FOR", found=department)
        limit = min(MAX_SEALED_BODIES_BYTES, ENVELOPE_BYTES + count * MAX_BYTES_OF_A_READ)
        if not 0 < len(sealed) <= limit:
            expected = Text(f" 1 至 {limit} 字节", f"1 to {limit} bytes")
            raise Problem("BODY_INVALID", field="sealed", expected=expected, found=str(len(sealed)))
        path = self._path(department, recorder, batch_number)
        try:
            with self._lock:
                if path.exists():
                    kept = path.read_bytes()
                    return KeptBodies(sm3(kept), len(kept), is_new=False)
                path.parent.mkdir(parents=True, exist_ok=True)
                kept_bytes = self._kept_bytes(path.parent)
                if kept_bytes + len(sealed) > self._rules.recorder_bytes:
                    # A file that was removed right after the last write leaves the folder's time as it was.
                    kept_bytes = self._count(path.parent)
                if kept_bytes + len(sealed) > self._rules.recorder_bytes:
                    expected = Text(
                        f"至多 {self._rules.recorder_bytes} 字节", f"{self._rules.recorder_bytes} bytes at most"
                    )
                    raise Problem("COPIES_TOO_LARGE", expected=expected, found=str(kept_bytes + len(sealed)))
                if shutil.disk_usage(path.parent).free < self._min_free_bytes + len(sealed):
                    raise Problem("NOT_READY", reason=Text("本节点磁盘空间不足", "this node's disk is nearly full"))
                write_sealed(path, sealed)
                self._sums[path.parent] = _Sum(kept_bytes + len(sealed), path.parent.stat().st_mtime_ns)
        except OSError as error:
            _LOG.warning("sealed_bodies_unavailable", path=str(path), reason=str(error))
            reason = Text("密封副本的存储出错，请联系运维人员", "sealed copies cannot be written; tell its operator")
            raise Problem("NOT_READY", reason=reason) from None
        return KeptBodies(sm3(sealed), len(sealed), is_new=True)

    def _kept_bytes(self, folder: Path) -> int:
        """Return how many bytes of one recorder lie here; counted where its operator has removed some since."""
        known = self._sums.get(folder)
        if known is not None and known.changed_ns == folder.stat().st_mtime_ns:
            return known.size_bytes
        return self._count(folder)

    def _count(self, folder: Path) -> int:
        changed_ns, size = folder.stat().st_mtime_ns, 0
        with os.scandir(folder) as entries:
            for entry in entries:
                # Its operator may be removing files.
                with contextlib.suppress(FileNotFoundError):
                    size += entry.stat().st_size
        self._sums[folder] = _Sum(size, changed_ns)
        return size

    def _find(self, department: str, recorder: bytes, batch_number: int) -> bytes:
        try:
            return self._path(department, recorder, batch_number).read_bytes()
        except FileNotFoundError:
            raise Problem("NOT_FOUND", found=f"{department}/0x{recorder.hex()}/{batch_number}") from None

    def _path(self, department: str, recorder: bytes, batch_number: int) -> Path:
        if self._folder is None:
            raise Problem("NOT_SERVED")
        return sealed_path(self._folder, department, recorder, batch_number)
