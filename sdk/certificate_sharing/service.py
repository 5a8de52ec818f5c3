"""The desk over HTTP, an ASGI application: statements of holders, and signed requests of departments."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from explorer.problems import Problem
from explorer.responses import read_body
from sdk.certificate_sharing.desk import Desk
from sdk.certificate_sharing.exchange import MAX_REQUEST_BYTES
from sdk.department_services import answers
from sdk.department_services.accounts import SignedCallers
from sdk.department_services.audit_queries import RECORDS_PATH
from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES

AUTHORISATIONS_PATH: Final = "/certificate-authorisations"
WITHDRAWALS_PATH: Final = "/certificate-authorisations/withdrawals"
FETCH_PATH: Final = "/certificates/fetch"
MAX_IN_HAND: Final = 32
"""Requests that wait for the ledger; what comes beyond is told to come back."""

_STATUSES: Final = {
    "AUTHORISATION_MALFORMED": HTTPStatus.BAD_REQUEST,
    "REQUEST_MALFORMED": HTTPStatus.BAD_REQUEST,
    "AUTHORISATION_UNKNOWN": HTTPStatus.NOT_FOUND,
    "CERTIFICATE_NOT_HELD": HTTPStatus.NOT_FOUND,
    "FILE_NOT_HELD": HTTPStatus.NOT_FOUND,
    "TOO_MANY_REFUSED": HTTPStatus.TOO_MANY_REQUESTS,
    "TOO_MANY_AUTHORISATIONS": HTTPStatus.TOO_MANY_REQUESTS,
    "ARCHIVE_BUSY": HTTPStatus.SERVICE_UNAVAILABLE,
    "NOT_FINAL": HTTPStatus.SERVICE_UNAVAILABLE,
    "RECORDING_STOPPED": HTTPStatus.SERVICE_UNAVAILABLE,
    "SIGNING_CERTIFICATE_EXPIRED": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Of what is refused, unless it is FORBIDDEN."""


def make_service(desk: Desk, callers: SignedCallers) -> Starlette:
    """Return the application, whose departments sign their requests."""
    waiting = _Waiting(desk, callers)
    routes = [
        Route(AUTHORISATIONS_PATH, waiting.take_authorisation, methods=["POST"]),
        Route(WITHDRAWALS_PATH, waiting.take_withdrawal, methods=["POST"]),
        Route(FETCH_PATH, waiting.fetch, methods=["POST"]),
        Route(RECORDS_PATH, waiting.show_records, methods=["GET"]),
    ]
    return answers.make_service(routes, _STATUSES)


class _Waiting:
    """The endpoints, with a bound on how many requests are in hand."""

    def __init__(self, desk: Desk, callers: SignedCallers) -> None:
        self._desk, self._callers = desk, callers
        self._in_hand = 0

    async def take_authorisation(self, request: Request) -> Response:
        """Take a holder's statement: its signature says who sends it."""
        async with read_body(request, MAX_DOCUMENT_FILE_BYTES) as body:
            statement = await self._run(self._desk.statements.authorise, body)
        return _json({"id": statement.id, "issuer": self._desk.department}, HTTPStatus.CREATED)

    async def take_withdrawal(self, request: Request) -> Response:
        """Take a holder's withdrawal."""
        async with read_body(request, MAX_REQUEST_BYTES) as body:
            name = await self._run(self._desk.statements.withdraw, body)
        return _json({"id": name.hex(), "issuer": self._desk.department}, HTTPStatus.OK)

    async def fetch(self, request: Request) -> Response:
        """Answer a department's signed request."""
        async with read_body(request, MAX_REQUEST_BYTES) as body:
            answer = await self._run(self._fetch, request, body)
        return _json(answer, HTTPStatus.OK)

    async def show_records(self, request: Request) -> Response:
        """Show the records of fetches to auditors and parties."""
        return _json(await self._run(self._show_records, request), HTTPStatus.OK)

    def _show_records(self, request: Request) -> Any:
        caller = self._callers.identify(request, b"")
        return self._desk.show_records(caller, request.query_params, request.headers)

    def _fetch(self, request: Request, body: bytes) -> Any:
        return msgspec.to_builtins(self._desk.fetch(self._callers.identify(request, body), body))

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if self._in_hand >= MAX_IN_HAND:
            raise Problem("NOT_READY")
        self._in_hand += 1
        try:
            return await run_in_threadpool(work, *arguments)
        finally:
            self._in_hand -= 1


def _json(content: Any, status: HTTPStatus) -> Response:
    return Response(orjson.dumps(content), status, headers={"cache-control": "no-store"}, media_type="application/json")
