"""The page that a link to a deposit opens: the deposit is opened with the key of the link, verified and shown."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from explorer.pages import render
from explorer.pages_verification import show_results
from explorer.problems import Problem, Text
from explorer.responses import read_body
from explorer.services import services_of
from explorer.turns import client_of
from explorer.uploaded_files import FileVerification, verify_deposit
from verification.days import show_moment
from verification.deposits import KEY_MARK, decode_key, is_deposit_id
from verification.errors import InputError

MAX_KEY_BODY_BYTES: Final = 1_024
TITLE: Final = Text("寄存的出示件", "A deposited presentation")

ROUTER = APIRouter(include_in_schema=False)


@ROUTER.get("/P/{deposit_id}")
async def deposit(request: Request, deposit_id: str) -> Response:
    """Show that a deposit is here; the page's script sends the key, which no browser sends with the address."""
    return await _page(request, deposit_id, None)


@ROUTER.post("/P/{deposit_id}")
async def open_with_key(request: Request, deposit_id: str) -> Response:
    """Show what a deposit holds, and what the ledger says of its certificate; the body is the key, and is forgotten with the answer."""
    async with read_body(request, MAX_KEY_BODY_BYTES) as raw:
        # A form without scripts sends key=KEY; some will paste the whole link.
        text = raw.decode("ascii", "replace").strip().removeprefix("key=")
    return await _page(request, deposit_id, text.rpartition(KEY_MARK)[2])


async def _page(request: Request, deposit_id: str, key: str | None) -> Response:
    services = services_of(request)
    found: FileVerification | None = None
    problem: Problem | None = None
    expires = None
    try:
        if not is_deposit_id(deposit_id):
            raise Problem("DEPOSIT_UNKNOWN", found=deposit_id)
        expires = show_moment((await services.deposits.find(deposit_id)).expires_ms)
        if key is not None:
            found = await verify_deposit(services, client_of(request), deposit_id, decode_key(key))
    except InputError:
        problem = Problem("KEY_MALFORMED")
    except Problem as error:
        problem = error
    return render(
        request,
        "deposit.html",
        TITLE,
        200 if problem is None else problem.status,
        deposit_id=deposit_id,
        expires=expires,
        is_verified=found is not None,
        **show_results(
            services,
            [] if found is None else list(found.certificates),
            found,
            None if problem is None else problem.text(),
            "" if problem is None else problem.code,
        ),
    )
