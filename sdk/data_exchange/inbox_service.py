"""A consumer's inbox over HTTP, an ASGI application: what it takes is signed by the file's provider, piece by piece.

Whoever wants to send a piece has a ticket from an earlier signed request: a body is read for nobody else, so that strangers take up
no place, and no provider takes up those of the others.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.accounts import RECORDER
from contracts.data_sharing.deliveries import DeliveryRecord
from explorer.problems import Problem
from explorer.responses import read_body
from sdk.data_exchange.inbox import NUMBER, Inbox, inbox_busy
from sdk.department_services.accounts import SignedCallers
from sdk.department_services.answers import make_service
from sm_crypto.sm3 import hmac_sm3
from verification.errors import InputError

PIECE_BYTES: Final = 4 * 1024 * 1024
"""Of one request: small enough to be sent within its time over 2 Mbit/s, and held in memory."""
MAX_OPEN_PIECES: Final = 16
"""Pieces in hand at a time; what comes beyond is told to come back."""
MAX_OPEN_PIECES_OF_ONE: Final = 4
"""Those of one provider."""
TICKET_HEADER: Final = "Gov-Ticket"
TICKET_S: Final = 600
"""How long a ticket is good; each answer has a new one."""

_STATUSES: Final = {
    "DELIVERY_UNKNOWN": HTTPStatus.NOT_FOUND,
    "NOT_FOR_US": HTTPStatus.NOT_FOUND,
    "ANSWERED_ALREADY": HTTPStatus.CONFLICT,
    "OFFSET_DIFFERS": HTTPStatus.CONFLICT,
    "FILE_DIFFERS": HTTPStatus.UNPROCESSABLE_ENTITY,
    "INBOX_BUSY": HTTPStatus.SERVICE_UNAVAILABLE,
    "INBOX_FULL": HTTPStatus.INSUFFICIENT_STORAGE,
    "SHARE_USED_UP": HTTPStatus.INSUFFICIENT_STORAGE,
}
"""Of what is refused, unless it is FORBIDDEN."""


class _Tickets:
    """What lets a known sender's next body be read: for one provider and file, for a while, under a key of this process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(self, provider: str, file: str) -> str:
        """Return a ticket for a provider's file."""
        stated = f"{provider}.{int(time.monotonic()) + TICKET_S}"
        return f"{stated}.{self._seal(stated, file)}"

    def provider(self, ticket: str, file: str) -> str:
        """Return the provider that a ticket for a file was issued to; raise InputError TICKET_REQUIRED where it is none, or is over."""
        stated, _, seal = ticket.rpartition(".")
        provider, _, until_s = stated.partition(".")
        is_own = secrets.compare_digest(seal.encode(), self._seal(stated, file).encode())
        if not is_own or int(until_s) < time.monotonic():
            raise InputError(
                "TICKET_REQUIRED",
                f"发送前须先以签名请求查询（GET {file}），并在 {TICKET_HEADER} 中带上所得的票据",
                f"ask first by a signed request (GET {file}), and send the ticket that it answers in {TICKET_HEADER}",
            )
        return provider

    def _seal(self, stated: str, file: str) -> str:
        return hmac_sm3(self._key, f"{stated} {file}".encode()).hex()


class _Endpoint:
    """The endpoints, with a bound on how many pieces are in hand, in all and of one provider."""

    def __init__(self, inbox: Inbox, callers: SignedCallers) -> None:
        self._inbox, self._callers = inbox, callers
        self._tickets = _Tickets()
        self._in_hand: Counter[str] = Counter()

    async def show(self, request: Request) -> Response:
        """Tell a file's provider how many bytes of it are here."""
        return await run_in_threadpool(self._show, request)

    async def take(self, request: Request) -> Response:
        """Take one piece of a file, signed by its provider, who has a ticket."""
        provider = self._tickets.provider(request.headers.get(TICKET_HEADER, ""), request.url.path)
        with self._place(provider):
            async with read_body(request, PIECE_BYTES) as piece:
                return await run_in_threadpool(self._take, request, piece)

    @contextmanager
    def _place(self, provider: str) -> Iterator[None]:
        """Have a place for one piece; raise InputError INBOX_BUSY."""
        if self._in_hand.total() >= MAX_OPEN_PIECES or self._in_hand[provider] >= MAX_OPEN_PIECES_OF_ONE:
            raise inbox_busy()
        self._in_hand[provider] += 1
        try:
            yield
        finally:
            self._in_hand[provider] -= 1
            if not self._in_hand[provider]:
                del self._in_hand[provider]

    def _show(self, request: Request) -> Response:
        delivery = self._delivery(request, b"")
        return self._answer(request, delivery, self._inbox.size_of(delivery))

    def _take(self, request: Request, piece: bytes) -> Response:
        offset = request.query_params.get("offset", "")
        delivery = self._delivery(request, piece)
        if NUMBER.fullmatch(offset) is None:
            raise Problem("PARAMETER_INVALID", field="offset", found=offset)
        return self._answer(request, delivery, self._inbox.take(delivery, int(offset), piece))

    def _delivery(self, request: Request, body: bytes) -> DeliveryRecord:
        caller = self._callers.identify(request, body)
        if RECORDER not in caller.roles:
            raise Problem("ROLE_REQUIRED")
        named = request.path_params
        return self._inbox.expected(caller.department, named["grant"], named["number"])

    def _answer(self, request: Request, delivery: DeliveryRecord, size: int) -> Response:
        shown = {"size": size, "ticket": self._tickets.issue(delivery.provider, request.url.path)}
        return Response(orjson.dumps(shown), headers={"cache-control": "no-store"}, media_type="application/json")


def make_inbox(inbox: Inbox, callers: SignedCallers) -> Starlette:
    """Return the application, whose callers sign their requests."""
    endpoint, path = _Endpoint(inbox, callers), "/exchange/{grant}/{number}"
    routes = [Route(path, endpoint.show, methods=["GET"]), Route(path, endpoint.take, methods=["PUT"])]
    return make_service(routes, _STATUSES)
