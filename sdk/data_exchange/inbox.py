"""A consumer's inbox over HTTP, an ASGI application: takes the sealed files that the ledger names for this department, and no others.

No sender is asked who it is: a file is taken when a delivery on the ledger has its digest, which nobody can meet with another file. What
is open at a time, how long a file may take, and how large it is are bounded; what does not fit is removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.data_sharing.deliveries import UNANSWERED, DeliveryRecord
from explorer.problems import PROBLEM_MEDIA_TYPE, Problem
from sdk.client import Client
from sdk.documents import PRIVATE_MODE
from sdk.errors import NodeUnreachable
from sdk.system_contracts.deliveries import Deliveries
from verification.errors import GovnodeError, InputError

MAX_OPEN_FILES: Final = 8
"""Files that are being taken at a time; what comes beyond is told to come back."""
MAX_IDLE_S: Final = 30.0
"""How long a sender may be silent in the midst of a file."""
WRITE_BYTES: Final = 1024 * 1024
SUFFIX: Final = ".govx"
_ID: Final = re.compile(r"[0-9a-f]{64}")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")

_STATUSES: Final = {
    "DELIVERY_UNKNOWN": HTTPStatus.NOT_FOUND,
    "NOT_FOR_US": HTTPStatus.NOT_FOUND,
    "ANSWERED_ALREADY": HTTPStatus.CONFLICT,
    "FILE_DIFFERS": HTTPStatus.UNPROCESSABLE_ENTITY,
    "INBOX_BUSY": HTTPStatus.SERVICE_UNAVAILABLE,
    "SENDER_SILENT": HTTPStatus.REQUEST_TIMEOUT,
}


class Inbox:
    """The folder of a department's inbox, and the ledger that says what belongs in it."""

    def __init__(self, client: Client, department: str, folder: Path) -> None:
        """Take a client of the own node, the department that files are for, and a folder that exists."""
        self._client, self._department, self._folder = client, department, folder
        self._open = 0

    def expected(self, grant: str, number: str) -> DeliveryRecord:
        """Return the delivery that a file is of; raise GovnodeError where this department waits for no such file."""
        if _ID.fullmatch(grant) is None or _NUMBER.fullmatch(number) is None:
            raise _unknown()
        delivery = Deliveries(self._client).delivery(grant=bytes.fromhex(grant), number=int(number))
        if delivery.consumer != self._department:
            raise _unknown()
        if delivery.answer != UNANSWERED:
            raise InputError(
                "ANSWERED_ALREADY", "这次交付已经答复", "this delivery has been answered for: no file is waited for"
            )
        return delivery

    def path(self, delivery: DeliveryRecord) -> Path:
        """Return where a delivery's file lies."""
        return self._folder / f"{delivery.grant.hex()}-{delivery.number}{SUFFIX}"

    async def take(self, request: Request) -> Response:
        """Take one file: on disk, whole and as recorded, before it is answered."""
        if self._open >= MAX_OPEN_FILES:
            raise InputError(
                "INBOX_BUSY", "正在接收的文件过多，请稍后重试", "too many files are coming in: try again in a moment"
            )
        self._open += 1
        try:
            parameters = request.path_params
            delivery = await run_in_threadpool(self.expected, parameters["grant"], parameters["number"])
            if not self.path(delivery).exists():
                async with self._fresh(delivery) as file:
                    await _write(request, file, delivery)
        finally:
            self._open -= 1
        body = orjson.dumps({"grant": delivery.grant.hex(), "number": delivery.number})
        return Response(body, HTTPStatus.CREATED, headers={"cache-control": "no-store"}, media_type="application/json")

    @asynccontextmanager
    async def _fresh(self, delivery: DeliveryRecord) -> AsyncIterator[BinaryIO]:
        """Yield a new file that takes its place, synced, when the block ends well, and is removed otherwise."""
        path = self.path(delivery)
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
        try:
            with open(fresh, "xb", opener=lambda name, flags: os.open(name, flags, PRIVATE_MODE)) as file:
                yield file
                file.flush()
                await run_in_threadpool(os.fsync, file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)


def make_inbox(inbox: Inbox) -> Starlette:
    """Return the application."""
    app = Starlette(
        routes=[Route("/exchange/{grant}/{number}", inbox.take, methods=["PUT"])],
        exception_handlers={
            GovnodeError: _on_refusal,
            HTTPException: _on_http_exception,
            Exception: _on_fault,
        },
    )
    app.router.redirect_slashes = False
    return app


async def _write(request: Request, file: BinaryIO, delivery: DeliveryRecord) -> None:
    """Write a request's body as it comes; raise InputError where it is not the file that the ledger has the digest of."""
    state: Any = hashlib.new("sm3")
    size, waiting, expected = 0, bytearray(), delivery.parcel.sealed_size
    stream = request.stream()
    while True:
        try:
            part = await asyncio.wait_for(anext(stream, None), MAX_IDLE_S)
        except TimeoutError:
            raise InputError(
                "SENDER_SILENT",
                f"{MAX_IDLE_S:.0f} 秒没有收到数据，请重发",
                f"nothing came for {MAX_IDLE_S:.0f} s: send it again",
            ) from None
        except ClientDisconnect:
            part = None
        if part is not None:
            waiting += part
            size += len(part)
        if size > expected:
            break
        if part is None or len(waiting) >= WRITE_BYTES:
            await run_in_threadpool(_pass, bytes(waiting), file, state)
            waiting.clear()
        if part is None:
            break
    if size != expected or state.digest() != delivery.parcel.sealed:
        raise InputError(
            "FILE_DIFFERS",
            f"收到的文件不是账本登记的那份（应为 {expected} 字节，收到 {size} 字节），请重发登记过的文件",
            f"what came is not the file on the ledger (expected {expected} bytes, found {size}): send the recorded file again",
        )


def _pass(raw: bytes, file: BinaryIO, state: Any) -> None:
    file.write(raw)
    state.update(raw)


def _unknown() -> InputError:
    return InputError(
        "NOT_FOR_US",
        "账本上没有这次交付，或不是给本部门的；请先登记交付",
        "the ledger has no such delivery, or it is not for this department: record it first",
    )


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, GovnodeError), "registered for it alone"
    unreachable = HTTPStatus.SERVICE_UNAVAILABLE if isinstance(error, NodeUnreachable) else HTTPStatus.FORBIDDEN
    status = _STATUSES.get(error.code, unreachable)
    members = {
        "type": f"urn:govnode:problem:{error.code}",
        "title": error.code,
        "status": int(status),
        "detail": str(error),
        "code": error.code,
        "zh": error.zh,
        "en": error.en,
    }
    return Response(orjson.dumps(members), status, headers={"cache-control": "no-store"}, media_type=PROBLEM_MEDIA_TYPE)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for it alone"
    is_method = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    return Problem("METHOD_NOT_ALLOWED" if is_method else "PATH_UNKNOWN", found=request.url.path).response()


async def _on_fault(request: Request, error: Exception) -> Response:
    return Problem("INTERNAL_ERROR").response()
