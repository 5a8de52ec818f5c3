"""REST: what holders have allowed and what was fetched under it, for whoever knows an authorisation's id."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response

from contracts.authorisations import AuthorisationRecord, FetchRecord, load_authorisation, load_fetch
from explorer import authorisation_schemas as shapes
from explorer import schemas
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.services import Services, hex_parameter, hex_schema, services_of
from node.http.json_form import to_json

MAX_CODE_LENGTH: Final = 18

STATES: Final[dict[str, Text]] = {
    "open": Text("可领取", "open"),
    "not-begun": Text("尚未开始", "not begun"),
    "withdrawn": Text("已由持证人撤回", "withdrawn by the holder"),
    "expired": Text("已到期", "expired"),
    "used-up": Text("次数已用完", "used up"),
}
"""What an authorisation is at a time, in Chinese and English."""

ROUTER = APIRouter(prefix="/api/v1", tags=["持证人授权 Authorisations of holders"])

Issuer = Annotated[str, Path(max_length=MAX_CODE_LENGTH, description="颁发机构代码 / code of the issuer")]
AuthorisationId = Annotated[
    str, Path(max_length=66, description="授权编号 / id of the authorisation", json_schema_extra=hex_schema(32))
]


@ROUTER.get(
    "/authorisations/{department}/{authorisation}",
    summary="一项持证人授权 / One authorisation of a holder",
    response_model=shapes.Authorisation,
)
async def authorisation(request: Request, department: Issuer, authorisation: AuthorisationId) -> Response:
    """账本上只有承诺值：看不出证照、持证人与用途。 / Commitments only: neither certificate nor holder nor purpose shows."""
    services = services_of(request)
    record = find_authorisation(services, department, authorisation)
    return json_response(request, show_authorisation(services, record), cacheable=True)


@ROUTER.get(
    "/authorisations/{department}/{authorisation}/fetches",
    summary="一项授权下的领取 / Fetches under an authorisation",
    response_model=schemas.Page[shapes.Fetch],
)
async def fetches(
    request: Request,
    department: Issuer,
    authorisation: AuthorisationId,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """新的在前；result 为所领文件的 SM3。 / Newest first; result is the SM3 of the file that was fetched."""
    services = services_of(request)
    record = find_authorisation(services, department, authorisation)
    before = decode_number_cursor(cursor)
    items, following = list_fetches(services, record, before, limit)
    return json_response(request, {"items": items, "next_cursor": following}, cacheable=True)


def find_authorisation(services: Services, issuer: str, authorisation: str) -> AuthorisationRecord:
    """Return an authorisation by its issuer's code and its id in hex digits; raise Problem where there is none."""
    name = hex_parameter("authorisation", authorisation, 32)
    record = load_authorisation(services.state(), issuer, name) if len(issuer) <= MAX_CODE_LENGTH else None
    if record is None:
        raise Problem("NOT_FOUND", found=f"{issuer}/{authorisation}")
    return record


def show_authorisation(services: Services, record: AuthorisationRecord) -> dict[str, Any]:
    """Return an authorisation with the names behind its codes, and what it is at the latest block."""
    state = _state_of(record, services.view.ledger.head_time_ms)
    return {
        **to_json(record),
        "issuer_name": services.department_name(record.issuer),
        "recipient_name": services.department_name(record.recipient),
        "state": state,
        "state_text": STATES[state]._asdict(),
    }


def list_fetches(
    services: Services, record: AuthorisationRecord, before: int | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return fetches numbered below `before`, newest first, and the cursor of the next page or None."""
    state = services.state()
    last = record.fetch_count if before is None else min(before - 1, record.fetch_count)
    numbers = range(last, max(last - limit, 0), -1)
    found = [load_fetch(state, record.issuer, record.id, number) for number in numbers]
    items = [_show_fetch(one) for one in found if one is not None]
    return items, encode_cursor(numbers[-1]) if numbers and numbers[-1] > 1 else None


def _show_fetch(fetch: FetchRecord) -> dict[str, Any]:
    shown: dict[str, Any] = to_json(fetch)
    return shown


def _state_of(record: AuthorisationRecord, time_ms: int) -> str:
    if record.withdrawn_ms:
        return "withdrawn"
    if time_ms > record.to_ms:
        return "expired"
    if record.fetch_count >= record.max_fetches:
        return "used-up"
    return "not-begun" if time_ms < record.from_ms else "open"
