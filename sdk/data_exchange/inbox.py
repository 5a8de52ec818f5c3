"""The folder of a consumer's inbox: the sealed files that the ledger names for this department, put together piece by piece.

A file is kept when it has the digest that the ledger has. Pieces let a sender go on where a connection broke; what no sender goes on
with is removed. Each provider has a folder, and a share of the disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from contracts.data_sharing.deliveries import UNANSWERED, DeliveryRecord
from sdk.client import Client
from sdk.documents import PRIVATE_MODE
from sdk.secret_files import SECRET_FOLDER_MODE
from sdk.system_contracts.deliveries import Deliveries
from verification.errors import GovnodeError, InputError

MAX_STATES: Final = 256
"""Files in the making whose digest so far is in memory; that of any other is made again from the disk."""
FREE_BYTES: Final = 256 * 1024 * 1024
"""Left free on the disk."""
GIB: Final = 1024**3
LEFTOVER_S: Final = 7 * 24 * 3600
"""A file that nobody has added to for so long is given up."""
SWEEP_S: Final = 3600
"""How often is looked for files that are given up."""
READ_BYTES: Final = 1024 * 1024
SUFFIX: Final = ".govx"
_ID: Final = re.compile(r"[0-9a-f]{64}")
NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_PART: Final = re.compile(r"\.([0-9a-f]{64})-([1-9][0-9]{0,17})\.govx\.part")


class Inbox:
    """The folder of a department's inbox, and the ledger that says what belongs in it; its methods may be called from any thread."""

    def __init__(self, client: Client, department: str, folder: Path, share_bytes: int) -> None:
        """Take a client of the own node, the department that files are for, a folder that exists, and each provider's share of it.

        A provider's share is of its files that are there, those in the making among them.
        """
        self._client, self._department, self._folder, self._share_bytes = client, department, folder, share_bytes
        self._swept_s = 0.0
        self._states: dict[Path, tuple[int, Any]] = {}
        self._lock = threading.Lock()
        self._busy: set[Path] = set()

    def expected(self, department: str, grant: str, number: str) -> DeliveryRecord:
        """Return the delivery that a department's file is of; raise GovnodeError where no such file is waited for."""
        if _ID.fullmatch(grant) is None or NUMBER.fullmatch(number) is None:
            raise _unknown(self._department)
        delivery = Deliveries(self._client).delivery(grant=bytes.fromhex(grant), number=int(number))
        if (delivery.provider, delivery.consumer) != (department, self._department):
            raise _unknown(self._department)
        return delivery

    def size_of(self, delivery: DeliveryRecord) -> int:
        """Return how many bytes of a delivery's file are here, in a row from its beginning; raise InputError INBOX_BUSY."""
        with self._alone(self._part(delivery)) as part:
            return self._settled_size(delivery, part)

    def path(self, delivery: DeliveryRecord) -> Path:
        """Return where a delivery's file lies once it is whole."""
        return self._folder / delivery.provider / f"{delivery.grant.hex()}-{delivery.number}{SUFFIX}"

    def take(self, delivery: DeliveryRecord, offset: int, piece: bytes) -> int:
        """Add a piece to a delivery's file and return its size; once it is whole it is on disk, synced, and as the ledger has it.

        Raises InputError ANSWERED_ALREADY, INBOX_BUSY, INBOX_FULL, SHARE_USED_UP, OFFSET_DIFFERS where the file has another size so far,
        and FILE_DIFFERS where it is whole and is not the recorded one: then it begins anew.
        """
        if time.monotonic() - self._swept_s > SWEEP_S:
            self.remove_leftovers()
        if delivery.answer != UNANSWERED:
            raise InputError(
                "ANSWERED_ALREADY", "这次交付已经答复", "this delivery has been answered for: no file is waited for"
            )
        with self._alone(self._part(delivery)) as part:
            return self._add(delivery, part, offset, piece)

    def remove_leftovers(self) -> None:
        """Remove what nobody goes on with: files in the making that nothing came of for LEFTOVER_S, or whose delivery is answered for."""
        self._swept_s = time.monotonic()
        for part in self._folder.glob("*/.*.part"):
            found = _PART.fullmatch(part.name)
            if found is None:
                continue
            with suppress(FileNotFoundError, GovnodeError):
                is_old = time.time() - part.stat().st_mtime > LEFTOVER_S
                grant, number = bytes.fromhex(found[1]), int(found[2])
                if is_old or Deliveries(self._client).delivery(grant=grant, number=number).answer != UNANSWERED:
                    with self._alone(part):
                        part.unlink()
                        with self._lock:
                            self._states.pop(part, None)

    def _part(self, delivery: DeliveryRecord) -> Path:
        """Return where a delivery's file is in the making."""
        path = self.path(delivery)
        return path.with_name(f".{path.name}.part")

    @contextmanager
    def _alone(self, part: Path) -> Iterator[Path]:
        """Yield a file in the making, with nobody else at it; raise InputError INBOX_BUSY."""
        with self._lock:
            if part in self._busy:
                raise inbox_busy()
            self._busy.add(part)
        try:
            yield part
        finally:
            with self._lock:
                self._busy.discard(part)

    def _settled_size(self, delivery: DeliveryRecord, part: Path) -> int:
        """Return how many bytes are here, once what a killed process left whole is in its place, or gone where it is another file."""
        if self.path(delivery).exists():
            return delivery.parcel.sealed_size
        if not part.exists():
            return 0
        size = part.stat().st_size
        if size < delivery.parcel.sealed_size:
            return size
        return size if self._finish(delivery, part, size, self._state(part, size)) else 0

    def _add(self, delivery: DeliveryRecord, part: Path, offset: int, piece: bytes) -> int:
        size, expected = self._settled_size(delivery, part), delivery.parcel.sealed_size
        if size == expected:
            return size
        if offset != size:
            raise InputError(
                "OFFSET_DIFFERS",
                f"已收到 {size} 字节，应从该处继续，实际从 {offset} 起",
                f"{size} bytes are here: go on from there, found a piece from {offset}",
            )
        self._check_room(part.parent, expected - size)
        state = self._state(part, size)
        with open(part, "ab", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, PRIVATE_MODE)) as file:
            file.write(piece)
        size += len(piece)
        state.update(piece)
        if size < expected:
            self._keep(part, size, state)
        elif not self._finish(delivery, part, size, state):
            raise InputError(
                "FILE_DIFFERS",
                f"收到的文件不是账本登记的那份（应为 {expected} 字节，收到 {size} 字节），请从头重发登记过的文件",
                f"what came is not the file on the ledger (expected {expected} bytes, found {size}): send the recorded file from its "
                "beginning",
            )
        return size

    def _check_room(self, folder: Path, wanted: int) -> None:
        """Return if there is room for so many more bytes of a provider; raise InputError INBOX_FULL or SHARE_USED_UP."""
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < wanted + FREE_BYTES:
            raise InputError("INBOX_FULL", "收件磁盘空间不足，请稍后重试", "the inbox's disk is full: try again later")
        folder.mkdir(mode=SECRET_FOLDER_MODE, exist_ok=True)
        used, share = _used_bytes(folder), self._share_bytes
        if used + wanted > share:
            raise InputError(
                "SHARE_USED_UP",
                f"贵部门的文件在此收件服务至多 {share} 字节，已有 {used}，尚需 {wanted}：请使用方先取走文件，或放宽限额",
                f"an inbox keeps {share} bytes of one department, {used} are there and {wanted} are still to come: the consumer has to "
                "take files out, or to allow more",
            )

    def _finish(self, delivery: DeliveryRecord, part: Path, size: int, state: Any) -> bool:
        """Put a whole file in its place, synced, and return whether it is the recorded one; another is removed."""
        with self._lock:
            self._states.pop(part, None)
        if size != delivery.parcel.sealed_size or state.digest() != delivery.parcel.sealed:
            part.unlink()
            return False
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(self.path(delivery))
        return True

    def _state(self, part: Path, size: int) -> Any:
        """Return the digest of what is here of a file, so far."""
        kept = self._states.get(part)
        if kept is not None and kept[0] == size:
            return kept[1]
        state: Any = hashlib.new("sm3")
        if size:
            with part.open("rb") as file:
                while raw := file.read(READ_BYTES):
                    state.update(raw)
        return state

    def _keep(self, part: Path, size: int, state: Any) -> None:
        with self._lock:
            self._states.pop(part, None)
            if len(self._states) >= MAX_STATES:
                # The provider with the most files loses one: nobody's many small files make those of others slow.
                ((crowded, _),) = Counter(kept.parent for kept in self._states).most_common(1)
                del self._states[next(kept for kept in self._states if kept.parent == crowded)]
            self._states[part] = (size, state)


def _used_bytes(folder: Path) -> int:
    """Return what the files in a folder come to; those that another thread moves, or the consumer takes out meanwhile, may be left out."""
    used = 0
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            used += entry.stat().st_size
    return used


def inbox_busy() -> InputError:
    """Return the error that tells a sender to come back."""
    return InputError("INBOX_BUSY", "正在接收的文件过多，请稍后重试", "too much is coming in: try again in a moment")


def _unknown(department: str) -> InputError:
    return InputError(
        "NOT_FOR_US",
        f"这是部门 {department} 的收件服务，账本上没有贵部门给它的这次交付：给其他部门的，请送其收件服务；给它的，请先登记交付",
        f"this is the inbox of department {department}, and the ledger has no such delivery from yours to it: what is for another "
        "department goes to that one's inbox; what is for this one is recorded first",
    )
