"""The desk over HTTP, an ASGI application: statements of holders, and signed requests of departments."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from explorer.auth import Authenticator, Caller
from explorer.problems import PROBLEM_MEDIA_TYPE, Problem
from explorer.responses import read_body
from sdk.certificate_sharing.desk import Desk
from sdk.certificate_sharing.exchange import MAX_REQUEST_BYTES
from sdk.errors import NodeUnreachable
from sdk.gateway.denials import Denied, problem_body
from sdk.gateway.shown_records import QUERY_HEADER
from verification.certificate_files.document import MAX_DOCUMENT_FILE_BYTES
from verification.errors import GovnodeError

AUTHORISATIONS_PATH: Final = "/certificate-authorisations"
WITHDRAWALS_PATH: Final = "/certificate-authorisations/withdrawals"
FETCH_PATH: Final = "/certificates/fetch"
RECORDS_PATH: Final = "/gov/records"
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
    "RECORDER_BUSY": HTTPStatus.SERVICE_UNAVAILABLE,
    "RECORDING_FAILED": HTTPStatus.SERVICE_UNAVAILABLE,
    "RECORDING_STOPPED": HTTPStatus.SERVICE_UNAVAILABLE,
    "SIGNING_CERTIFICATE_EXPIRED": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Of what is refused, unless it is FORBIDDEN."""


def make_service(desk: Desk, chain_id: int, http_names: frozenset[str]) -> Starlette:
    """Return the application; it answers to its address and `http_names`, and to requests signed from now on."""
    authenticator = Authenticator(chain_id, desk.find_caller, http_names, time.time_ns() // 1_000_000)
    waiting = _Waiting(desk, authenticator)
    app = Starlette(
        routes=[
            Route(AUTHORISATIONS_PATH, waiting.take_authorisation, methods=["POST"]),
            Route(WITHDRAWALS_PATH, waiting.take_withdrawal, methods=["POST"]),
            Route(FETCH_PATH, waiting.fetch, methods=["POST"]),
            Route(RECORDS_PATH, waiting.show_records, methods=["GET"]),
        ],
        exception_handlers={
            Problem: _on_problem,
            Denied: _on_denied,
            GovnodeError: _on_refusal,
            HTTPException: _on_http_exception,
            Exception: _on_fault,
        },
    )
    app.router.redirect_slashes = False
    return app


class _Waiting:
    """The endpoints, with a bound on how many requests are in hand."""

    def __init__(self, desk: Desk, authenticator: Authenticator) -> None:
        self._desk, self._authenticator = desk, authenticator
        self._identify_lock = threading.Lock()
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
        caller = self._identify(request, b"")
        return self._desk.show_records(caller, dict(request.query_params), request.headers.get(QUERY_HEADER, ""))

    def _fetch(self, request: Request, body: bytes) -> Any:
        return msgspec.to_builtins(self._desk.fetch(self._identify(request, body), body))

    def _identify(self, request: Request, body: bytes) -> Caller:
        # The authenticator's memory of nonces is for one thread at a time.
        with self._identify_lock:
            return self._authenticator.identify(request, body)

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


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem), "registered for Problem alone"
    return error.response()


async def _on_denied(request: Request, error: Exception) -> Response:
    assert isinstance(error, Denied), "registered for it alone"
    headers = {"cache-control": "no-store"}
    return Response(
        problem_body(error.code, error.status, error.zh, error.en),
        error.status,
        headers=headers,
        media_type=PROBLEM_MEDIA_TYPE,
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
    problem = Problem("METHOD_NOT_ALLOWED" if is_method else "PATH_UNKNOWN", found=request.url.path)
    return problem.response()


async def _on_fault(request: Request, error: Exception) -> Response:
    return Problem("INTERNAL_ERROR").response()
