"""The web page about a holder's authorisation: who may fetch until when, and what was fetched."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from explorer.api_authorisations import find_authorisation, list_fetches, show_authorisation
from explorer.pages import render
from explorer.paging import decode_number_cursor
from explorer.problems import Text
from explorer.services import services_of
from verification.days import show_moment

FETCHES_A_PAGE: Final = 20

ROUTER = APIRouter(include_in_schema=False)


@ROUTER.get("/authorisations")
async def authorisations(
    request: Request,
    issuer: Annotated[str, Query(max_length=40)] = "",
    id: Annotated[str, Query(max_length=80)] = "",  # noqa: A002 - the name in the page's address
    cursor: Annotated[str | None, Query(max_length=400)] = None,
) -> Response:
    """Ask for an authorisation, and show it with its fetches."""
    services = services_of(request)
    found, items, next_url = None, [], None
    if issuer.strip() and id.strip():
        record = find_authorisation(services, issuer.strip(), id.strip())
        shown, following = list_fetches(services, record, decode_number_cursor(cursor), FETCHES_A_PAGE)
        found = show_authorisation(services, record)
        found |= {name: show_moment(found[f"{name}_ms"]) for name in ("from", "to", "authorised", "withdrawn")}
        items = [{**one, "time": show_moment(one["fetched_ms"])} for one in shown]
        if following is not None:
            next_url = f"/authorisations?issuer={record.issuer}&id={record.id.hex()}&cursor={following}"
    return render(
        request,
        "authorisations.html",
        Text("持证人授权", "Authorisations of holders"),
        issuer=issuer.strip(),
        id=id.strip(),
        authorisation=found,
        fetches=items,
        next_url=next_url,
    )
