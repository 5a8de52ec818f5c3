"""A consumer's inbox over HTTP, an ASGI application: takes the sealed files that the ledger names for this department, piece by piece.

The provider signs each piece, so that nobody else adds to its file; a file is kept when it has the digest that the ledger has. Pieces
let a sender go on where a connection broke.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.accounts import RECORDER
from contracts.data_sharing.deliveries import UNANSWERED, DeliveryRecord
from explorer.problems import Problem
from explorer.responses import read_body
from sdk.client import Client
from sdk.department_services.accounts import SignedCallers
from sdk.department_services.answers import make_service
from sdk.documents import PRIVATE_MODE
from sdk.system_contracts.deliveries import Deliveries
from verification.errors import InputError

PIECE_BYTES: Final = 4 * 1024 * 1024
"""Of one request: small enough to be sent within its time over 2 Mbit/s, and held in memory."""
MAX_OPEN_PIECES: Final = 16
"""Pieces in hand at a time; what comes beyond is told to come back."""
MAX_STATES: Final = 256
"""Files in the making whose digest so far is in memory; that of any other is made again from the disk."""
FREE_BYTES: Final = 256 * 1024 * 1024
"""Left free on the disk."""
READ_BYTES: Final = 1024 * 1024
SUFFIX: Final = ".govx"
_ID: Final = re.compile(r"[0-9a-f]{64}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")

_STATUSES: Final = {
    "DELIVERY_UNKNOWN": HTTPStatus.NOT_FOUND,
    "NOT_FOR_US": HTTPStatus.NOT_FOUND,
    "ANSWERED_ALREADY": HTTPStatus.CONFLICT,
    "OFFSET_DIFFERS": HTTPStatus.CONFLICT,
    "FILE_DIFFERS": HTTPStatus.UNPROCESSABLE_ENTITY,
    "INBOX_BUSY": HTTPStatus.SERVICE_UNAVAILABLE,
    "INBOX_FULL": HTTPStatus.INSUFFICIENT_STORAGE,
}
"""Of what is refused, unless it is FORBIDDEN."""


class Inbox:
    """The folder of a department's inbox, and the ledger that says what belongs in it; its methods may be called from any thread."""

    def __init__(self, client: Client, department: str, folder: Path) -> None:
        """Take a client of the own node, the department that files are for, and a folder that exists."""
        self._client, self._department, self._folder = client, department, folder
        self._states: dict[Path, tuple[int, Any]] = {}
        self._lock = threading.Lock()
        self._busy: set[Path] = set()

    def expected(self, department: str, grant: str, number: str) -> DeliveryRecord:
        """Return the delivery that a department's file is of; raise GovnodeError where no such file is waited for."""
        if _ID.fullmatch(grant) is None or _NUMBER.fullmatch(number) is None:
            raise _unknown()
        delivery = Deliveries(self._client).delivery(grant=bytes.fromhex(grant), number=int(number))
        if (delivery.provider, delivery.consumer) != (department, self._department):
            raise _unknown()
        return delivery

    def size_of(self, delivery: DeliveryRecord) -> int:
        """Return how many bytes of a delivery's file are here, in a row from its beginning; raise InputError INBOX_BUSY."""
        with self._alone(delivery) as part:
            return self._settled_size(delivery, part)

    def path(self, delivery: DeliveryRecord) -> Path:
        """Return where a delivery's file lies once it is whole."""
        return self._folder / f"{delivery.grant.hex()}-{delivery.number}{SUFFIX}"

    def take(self, delivery: DeliveryRecord, offset: int, piece: bytes) -> int:
        """Add a piece to a delivery's file and return its size; once it is whole it is on disk, synced, and as the ledger has it.

        Raises InputError ANSWERED_ALREADY, INBOX_BUSY, INBOX_FULL, OFFSET_DIFFERS where the file has another size so far, and
        FILE_DIFFERS where it is whole and is not the recorded one: then it begins anew.
        """
        if delivery.answer != UNANSWERED:
            raise InputError(
                "ANSWERED_ALREADY", "这次交付已经答复", "this delivery has been answered for: no file is waited for"
            )
        with self._alone(delivery) as part:
            return self._add(delivery, part, offset, piece)

    @contextmanager
    def _alone(self, delivery: DeliveryRecord) -> Iterator[Path]:
        """Yield where a delivery's file is in the making, with nobody else at it; raise InputError INBOX_BUSY."""
        path = self.path(delivery)
        part = path.with_name(f".{path.name}.part")
        with self._lock:
            if part in self._busy:
                raise _busy()
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
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < expected - size + FREE_BYTES:
            raise InputError("INBOX_FULL", "收件磁盘空间不足，请稍后重试", "the inbox's disk is full: try again later")
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
            if len(self._states) >= MAX_STATES:
                self._states.clear()
            self._states[part] = (size, state)


class _Endpoint:
    """The endpoints, with a bound on how many pieces are in hand."""

    def __init__(self, inbox: Inbox, callers: SignedCallers) -> None:
        self._inbox, self._callers = inbox, callers
        self._in_hand = 0

    async def show(self, request: Request) -> Response:
        """Tell a file's provider how many bytes of it are here."""
        return _answer(await run_in_threadpool(self._show, request))

    async def take(self, request: Request) -> Response:
        """Take one piece of a file, signed by its provider."""
        if self._in_hand >= MAX_OPEN_PIECES:
            raise _busy()
        self._in_hand += 1
        try:
            async with read_body(request, PIECE_BYTES) as piece:
                size = await run_in_threadpool(self._take, request, piece)
        finally:
            self._in_hand -= 1
        return _answer(size)

    def _show(self, request: Request) -> int:
        return self._inbox.size_of(self._delivery(request, b""))

    def _take(self, request: Request, piece: bytes) -> int:
        offset = request.query_params.get("offset", "")
        delivery = self._delivery(request, piece)
        if _NUMBER.fullmatch(offset) is None:
            raise Problem("PARAMETER_INVALID", field="offset", found=offset)
        return self._inbox.take(delivery, int(offset), piece)

    def _delivery(self, request: Request, body: bytes) -> DeliveryRecord:
        caller = self._callers.identify(request, body)
        if RECORDER not in caller.roles:
            raise Problem("ROLE_REQUIRED")
        named = request.path_params
        return self._inbox.expected(caller.department, named["grant"], named["number"])


def make_inbox(inbox: Inbox, callers: SignedCallers) -> Starlette:
    """Return the application, whose callers sign their requests."""
    endpoint, path = _Endpoint(inbox, callers), "/exchange/{grant}/{number}"
    routes = [Route(path, endpoint.show, methods=["GET"]), Route(path, endpoint.take, methods=["PUT"])]
    return make_service(routes, _STATUSES)


def _answer(size: int) -> Response:
    return Response(orjson.dumps({"size": size}), headers={"cache-control": "no-store"}, media_type="application/json")


def _busy() -> InputError:
    return InputError("INBOX_BUSY", "正在接收的文件过多，请稍后重试", "too much is coming in: try again in a moment")


def _unknown() -> InputError:
    return InputError(
        "NOT_FOR_US",
        "账本上没有贵部门给本部门的这次交付，请先登记交付",
        "the ledger has no such delivery from your department to this one: record it first",
    )
