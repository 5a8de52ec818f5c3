"""How such a service answers what it refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from explorer.problems import PROBLEM_MEDIA_TYPE, Problem
from sdk.access_recording.read_store import RecordingFailed
from sdk.errors import NodeUnreachable
from sdk.gateway.denials import Denied, problem_body
from verification.errors import GovnodeError


def make_service(routes: Sequence[BaseRoute], statuses: Mapping[str, HTTPStatus]) -> Starlette:
    """Return an application whose refusals are answered in both languages; `statuses` are those of codes that are not FORBIDDEN."""

    async def on_refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, GovnodeError), "registered for it alone"
        return _refused(_for_callers(error), statuses)

    app = Starlette(
        routes=routes,
        exception_handlers={
            Problem: _on_problem,
            GovnodeError: on_refusal,
            HTTPException: _on_http_exception,
            Exception: _on_fault,
        },
    )
    app.router.redirect_slashes = False
    return app


def _for_callers(error: GovnodeError) -> GovnodeError:
    """Return what a caller is told of an error: a store's own words are for whoever runs it, and name places on the disk."""
    if isinstance(error, RecordingFailed):
        return Denied("RECORDING_STOPPED", error.code)
    return Denied(error.code) if error.code == "ARCHIVE_MISSING" else error


def _refused(error: GovnodeError, statuses: Mapping[str, HTTPStatus]) -> Response:
    unreachable = HTTPStatus.SERVICE_UNAVAILABLE if isinstance(error, NodeUnreachable) else HTTPStatus.FORBIDDEN
    status = error.status if isinstance(error, Denied) else int(statuses.get(error.code, unreachable))
    body = problem_body(error.code, status, error.zh, error.en)
    return Response(body, status, headers={"cache-control": "no-store"}, media_type=PROBLEM_MEDIA_TYPE)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem), "registered for Problem alone"
    return error.response()


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for it alone"
    is_method = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    return Problem("METHOD_NOT_ALLOWED" if is_method else "PATH_UNKNOWN", found=request.url.path).response()


async def _on_fault(request: Request, error: Exception) -> Response:
    return Problem("INTERNAL_ERROR").response()
