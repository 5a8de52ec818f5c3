"""`/gov/records` alone, an ASGI application: for a store whose reads are recorded by commands."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from explorer.problems import Problem
from sdk.department_services.accounts import SignedCallers
from sdk.department_services.answers import make_service
from sdk.department_services.audit_queries import RECORDS_PATH
from sdk.gateway.denials import DENIALS
from sdk.gateway.shown_records import ShownRecords

MAX_IN_HAND: Final = 32
"""Requests that are being answered; what comes beyond is told to come back."""


def make_records_service(shown: ShownRecords, callers: SignedCallers) -> Starlette:
    """Return the application, whose callers sign their requests."""
    endpoint = _Endpoint(shown, callers)
    statuses = {code: HTTPStatus(kind.status) for code, kind in DENIALS.items()}
    return make_service([Route(RECORDS_PATH, endpoint.show, methods=["GET"])], statuses)


class _Endpoint:
    def __init__(self, shown: ShownRecords, callers: SignedCallers) -> None:
        self._shown, self._callers = shown, callers
        self._in_hand = 0

    async def show(self, request: Request) -> Response:
        """Show reads to auditors, and to parties those that they took part in."""
        if self._in_hand >= MAX_IN_HAND:
            raise Problem("NOT_READY")
        self._in_hand += 1
        try:
            answer = await run_in_threadpool(self._show, request)
        finally:
            self._in_hand -= 1
        return Response(orjson.dumps(answer), headers={"cache-control": "no-store"}, media_type="application/json")

    def _show(self, request: Request) -> dict[str, Any]:
        caller = self._callers.identify(request, b"")
        return self._shown.answer(caller, request.query_params, request.headers)
