"""The web page that offers status lists for download, and says what they are for."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from contracts.certificate_types import load_type
from explorer.pages import render
from explorer.problems import Text
from explorer.services import Services, services_of
from explorer.status_lists import PublishedList
from verification.days import show_age, show_moment
from verification.status_list import parse_scope

ROUTER = APIRouter(include_in_schema=False)


@ROUTER.get("/status-lists")
async def status_lists(request: Request) -> Response:
    """Show the lists that this node keeps, in the order of scopes."""
    services = services_of(request)
    kept = await services.status_lists.published()
    return render(
        request,
        "status_lists.html",
        Text("状态清单", "Status lists"),
        lists=[_show(services, one) for one in kept],
    )


def _show(services: Services, kept: PublishedList) -> dict[str, Any]:
    scope = parse_scope(kept.scope)
    kind = load_type(services.state(), scope.type_code)
    # What counts for a verifier is how far a list lags behind the ledger, not what clock this machine has.
    lag_ms = max(0, services.view.ledger.head_time_ms - kept.time_ms)
    return {
        "scope": kept.scope,
        "is_batch": scope.is_batch,
        "type_name": scope.type_code if kind is None else kind.name,
        "issuer_name": services.department_name(scope.issuer),
        "height": kept.height,
        "time": show_moment(kept.time_ms),
        "lag": Text(*show_age(lag_ms)),
        "size_bytes": kept.size_bytes,
    }
