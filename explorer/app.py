"""The REST side of a node: REST at /api/v1, its description at /docs, pages at /, metrics and health."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from explorer import (
    api_authorisations,
    api_batches,
    api_certificates,
    api_chain,
    api_codes,
    api_consensus,
    api_contracts,
    api_deposits,
    api_lists,
    api_members,
    api_proofs,
    api_status_lists,
    api_types,
    api_verification,
    offline_page,
    pages,
    pages_authorisations,
    pages_batches,
    pages_consensus,
    pages_contracts,
    pages_deposits,
    pages_status_lists,
    pages_types,
    pages_verification,
    schemas,
)
from explorer.data_sharing import (
    api_access,
    api_audits,
    api_catalogue,
    api_deliveries,
    api_directories,
    api_due,
    api_products,
    api_returns,
    api_sharing,
    pages_access,
    pages_audits,
    pages_catalogue,
    pages_products,
    pages_requests,
)
from explorer.metrics import CONTENT_TYPE, Metrics
from explorer.problems import PROBLEM_MEDIA_TYPE, Problem, Text
from explorer.responses import ResponseCache
from explorer.services import Services
from explorer.settings import ExplorerSettings
from node.ledger.ledger import HistoryNotHeld

if TYPE_CHECKING:
    from node.view import NodeView


class RestSide(NamedTuple):
    """The application, and what its endpoints work with: started and stopped by whoever serves it."""

    app: ASGIApp
    services: Services


def make_rest(view: NodeView, settings: ExplorerSettings, start_ms: int) -> RestSide:
    """Return the application over a node's read side; its index follows the ledger while the services run.

    `start_ms` is when the process began to take requests: those signed before are refused.
    """
    services = Services(view, settings, start_ms)
    app = _rest_app(services)
    return RestSide(ResponseCache(app, lambda: services.version), services)


class _RestApp(FastAPI):
    """Describes problems by the media type that they are sent with."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, made once."""
        is_new = self.openapi_schema is None
        document = super().openapi()
        if is_new:
            for operations in document["paths"].values():
                for operation in operations.values():
                    content = operation["responses"]["default"]["content"]
                    content[PROBLEM_MEDIA_TYPE] = content.pop("application/json")
        return document


def _rest_app(services: Services) -> FastAPI:
    app = _RestApp(
        title="govnode",
        version="1",
        summary="国密许可链节点的 REST 接口 / REST interface of a node of a national-cryptography permissioned chain",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        # One address for one thing; a redirect would also repeat whatever host the client claims to ask.
        redirect_slashes=False,
        responses={"default": {"model": schemas.Problem, "description": "出错 / an error"}},
    )
    app.state.services = services
    for api in (
        api_chain,
        api_consensus,
        api_contracts,
        api_members,
        api_types,
        api_certificates,
        api_verification,
        api_batches,
        api_codes,
        api_deposits,
        api_lists,
        api_catalogue,
        api_directories,
        api_returns,
        api_sharing,
        api_deliveries,
        api_due,
        api_products,
        api_authorisations,
        api_access,
        api_audits,
        api_proofs,
        api_status_lists,
    ):
        app.include_router(api.ROUTER)
    _add_operations(app, services)
    if services.is_served:
        app.include_router(pages.ROUTER)
        app.include_router(pages_authorisations.ROUTER)
        app.include_router(pages_products.ROUTER)
        app.include_router(pages_requests.ROUTER)
        app.include_router(pages_audits.ROUTER)
        app.include_router(pages_consensus.ROUTER)
        app.include_router(pages_contracts.ROUTER)
        app.include_router(pages_deposits.ROUTER)
        app.include_router(pages_status_lists.ROUTER)
        app.include_router(pages_verification.ROUTER)
        app.include_router(pages_batches.ROUTER)
        app.include_router(pages_types.ROUTER)
        app.include_router(pages_catalogue.ROUTER)
        app.include_router(pages_access.ROUTER)
        app.include_router(api_codes.PAGES)
        app.include_router(api_lists.PAGES)
        app.include_router(offline_page.ROUTER)
        app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HistoryNotHeld, _on_history_not_held)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_exception)
    return app


def _add_operations(app: FastAPI, services: Services) -> None:
    """Add what an operator's tools ask for."""
    metrics = Metrics(services)

    @app.get("/metrics", include_in_schema=False)
    async def show_metrics() -> Response:
        await metrics.gather()
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    @app.get("/healthz", include_in_schema=False)
    async def show_health() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def show_readiness() -> Response:
        reason = services.view.not_ready_reason()
        if reason:
            return PlainTextResponse(f"{reason}\n", status_code=HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("ready\n")


def _answer(request: Request, problem: Problem) -> Response:
    """Return a problem as a page where a browser asks for one, as a problem document elsewhere."""
    services: Services = request.app.state.services
    wants_page = "text/html" in request.headers.get("accept", "") and services.is_served
    if wants_page and not request.url.path.startswith("/api/"):
        return pages.error_page(request, problem)
    return problem.response()


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem), "registered for Problem alone"
    return _answer(request, error)


async def _on_history_not_held(request: Request, error: Exception) -> Response:
    assert isinstance(error, HistoryNotHeld), "registered for it alone"
    return _answer(request, Problem("HISTORY_NOT_HELD", reason=Text(error.zh, error.en), found=request.url.path))


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for it alone"
    first: dict[str, Any] = error.errors()[0]
    place = first.get("loc", ())
    expected = Text(f" {first['msg']}", first["msg"])
    return _answer(
        request,
        Problem(
            "PARAMETER_INVALID",
            field=str(place[-1]) if place else None,
            expected=expected,
            found=str(first.get("input", "")),
        ),
    )


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for it alone"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # Clients of JSON-RPC are often given a node's address alone.
        is_rpc = request.method == "POST" and request.url.path == "/"
        reason = Text("JSON-RPC 的地址是 /rpc", "JSON-RPC is at /rpc") if is_rpc else None
        response = _answer(request, Problem("METHOD_NOT_ALLOWED", found=request.method, reason=reason))
        response.headers.update(error.headers or {})
        return response
    return _answer(request, Problem("PATH_UNKNOWN", found=request.url.path))


async def _on_exception(request: Request, error: Exception) -> Response:
    # The framework logs the traceback after this answer has gone out.
    return _answer(request, Problem("INTERNAL_ERROR"))
