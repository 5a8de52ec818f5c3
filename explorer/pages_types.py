"""The web pages about types of certificate and their tables of codes."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from contracts.certificate_types import TYPES
from explorer.api_members import list_records
from explorer.api_types import find_codes, find_type, list_issuers, show_codes, show_type
from explorer.pages import render
from explorer.paging import decode_text_cursor
from explorer.problems import Text
from explorer.services import services_of
from verification.days import show_moment

TYPES_A_PAGE: Final = 50
ISSUERS_A_PAGE: Final = 100

ROUTER = APIRouter(include_in_schema=False)

PageCursor = Annotated[str | None, Query(max_length=400)]


@ROUTER.get("/types")
async def types(request: Request, cursor: PageCursor = None) -> Response:
    """Show the catalogue of types, in the order of their codes."""
    page = list_records(request, TYPES, show_type, cursor, TYPES_A_PAGE)
    following = page["next_cursor"]
    return render(
        request,
        "types.html",
        Text("证照类型目录", "Types of certificate"),
        types=page["items"],
        next_url=None if following is None else f"/types?cursor={following}",
    )


@ROUTER.get("/types/{type_code}")
async def certificate_type(request: Request, type_code: str, cursor: PageCursor = None) -> Response:
    """Show one type: its entry in the catalogue, who may issue it, and its codes."""
    services = services_of(request)
    found = find_type(services, type_code)
    page = list_issuers(services, found.code, decode_text_cursor(cursor), ISSUERS_A_PAGE)
    following = page["next_cursor"]
    return render(
        request,
        "type.html",
        Text("证照类型", "Type of certificate"),
        kind={**show_type(found), "time": show_moment(found.registered_ms)},
        issuers=[_with_time(one) for one in page["items"]],
        codes=show_codes(found.code_table, find_codes(services, found.code_table)),
        next_url=None if following is None else f"/types/{found.code}?cursor={following}",
    )


def _with_time(shown: dict[str, Any]) -> dict[str, Any]:
    return {**shown, "time": show_moment(shown["granted_ms"])}
