"""The web pages about batches of certificates."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from contracts.batches import batch_key
from explorer.api_batches import find_batch, list_batches, list_members, show_batch
from explorer.pages import render
from explorer.paging import decode_number_cursor, decode_text_cursor
from explorer.problems import Text
from explorer.services import services_of
from explorer.statements import VERDICTS
from verification.days import show_moment

BATCHES_A_PAGE: Final = 20
MEMBERS_A_PAGE: Final = 50

ROUTER = APIRouter(include_in_schema=False)

PageCursor = Annotated[str | None, Query(max_length=400)]


@ROUTER.get("/batches")
async def batches(request: Request, cursor: PageCursor = None) -> Response:
    """Show the batches, in the order of type, issuer and first serial."""
    page = list_batches(services_of(request), decode_text_cursor(cursor), BATCHES_A_PAGE)
    following = page["next_cursor"]
    return render(
        request,
        "batches.html",
        Text("证照批次", "Batches of certificates"),
        batches=[_with_time(shown, "issued_ms") for shown in page["items"]],
        next_url=None if following is None else f"/batches?cursor={following}",
    )


@ROUTER.get("/batches/{name}")
async def batch(request: Request, name: str, cursor: PageCursor = None) -> Response:
    """Show one batch, and those of its certificates that have records of their own."""
    services = services_of(request)
    record = find_batch(services, name)
    page = list_members(services, record, decode_number_cursor(cursor), MEMBERS_A_PAGE)
    following = page["next_cursor"]
    return render(
        request,
        "batch.html",
        Text("证照批次", "Batch of certificates"),
        batch=_with_time(show_batch(services, record), "issued_ms"),
        key=batch_key(record.name).hex(),
        members=[{**_with_time(shown, "since_ms"), "text": VERDICTS[shown["verdict"]][1]} for shown in page["items"]],
        is_first=cursor is None,
        next_url=None if following is None else f"/batches/{record.name}?cursor={following}",
    )


def _with_time(shown: dict[str, Any], name: str) -> dict[str, Any]:
    return {**shown, "time": show_moment(shown[name])}
