"""REST: what is due and overdue under requests, for auditors, governors and parties; the calendar and the terms, for anyone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from contracts.accounts import GOVERNOR
from contracts.data_sharing.deadlines import KINDS, load_terms, load_year
from contracts.data_sharing.due import MAX_LISTED_DEADLINES, load_deadlines, load_sources
from contracts.data_sharing.sharing import RequestRecord
from explorer.auth import Caller
from explorer.data_sharing import due_schemas
from explorer.data_sharing.due_list import DueList, find_due, show_deadline, show_item
from explorer.data_sharing.parameters import DepartmentCode, RequestId, find_request
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_text_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.services import Services, is_auditor, services_of
from node.http.json_form import to_json

KindName = Literal[
    "reply_unconditional", "reply_conditional", "compliance_check", "supply", "correction", "dispute", "recall"
]
Kind = Annotated[KindName | None, Query(description="事项 / kind of item")]

ROUTER = APIRouter(prefix="/api/v1", tags=["办理期限 Deadlines"])


@ROUTER.get("/overdue", summary="超期事项（须签名） / Overdue items (signed)", response_model=due_schemas.DuePage)
async def overdue(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    department: DepartmentCode = None,
    kind: Kind = None,
) -> Response:
    """审计与治理账户可见全部，部门可见本部门为当事方的；最早到期的在前。 / Auditors and governors see all, parties their own."""
    return await _answer(request, cursor, limit, department, kind, only_overdue=True)


@ROUTER.get("/due", summary="待办事项（须签名） / Open items (signed)", response_model=due_schemas.DuePage)
async def due(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    department: DepartmentCode = None,
    kind: Kind = None,
) -> Response:
    """未办结的事项及到期时间，含超期的；department 为应办部门。 / What is not done yet; department is who has to act."""
    return await _answer(request, cursor, limit, department, kind, only_overdue=False)


@ROUTER.get(
    "/requests/{request_id}/deadlines",
    summary="一项申请的办理期限 / Deadlines of a request",
    response_model=due_schemas.Deadlines,
)
async def request_deadlines(request: Request, request_id: RequestId) -> Response:
    """按开始先后，含已办结的，至多最新的 64 项。 / In the order in which they began, those done included, the newest 64 at most."""
    services = services_of(request)
    record = find_request(services, request_id)
    now_ms = services.view.ledger.head_time_ms
    items = show_clocks(services, record)[-MAX_LISTED_DEADLINES:]
    return json_response(request, {"items": items, "as_of_ms": now_ms}, cacheable=True)


@ROUTER.get("/calendars/{year}", summary="一年的日历 / Calendar of a year", response_model=due_schemas.Calendar)
async def calendar(request: Request, year: Annotated[int, Path(ge=1900, le=9999)]) -> Response:
    """节假日与调休上班日；其余按周一至周五为工作日。 / Holidays and make-up days; else Monday to Friday are working days."""
    found = load_year(services_of(request).state(), year)
    if found is None:
        raise Problem("NOT_FOUND", found=str(year))
    shown: dict[str, Any] = to_json(found)
    return json_response(request, shown, cacheable=True)


@ROUTER.get("/terms", summary="一个地区的办理期限 / Terms of a region", response_model=due_schemas.RegionTerms)
async def terms(
    request: Request,
    region: Annotated[str, Query(pattern="^[0-9]{0,12}$", description="行政区划代码 / region code")] = "",
) -> Response:
    """现行期限（工作日），取最长的区划前缀；不给地区为全国。 / What holds now, of the longest prefix; everywhere without a region."""
    services = services_of(request)
    return json_response(request, show_terms(services, region), cacheable=True)


def show_terms(services: Services, region: str) -> dict[str, Any]:
    """Return the terms that hold in a region at the latest block."""
    found = load_terms(services.state(), region, services.view.ledger.head_time_ms)
    return {
        "region": region,
        "source": found.source,
        "from_ms": found.from_ms,
        "terms": [
            {"kind": kind, "kind_text": Text(*words)._asdict(), "working_days": found.working_days(kind) or None}
            for kind, words in KINDS.items()
        ],
    }


def show_clocks(services: Services, record: RequestRecord) -> list[dict[str, Any]]:
    """Return the deadlines of a request in the order in which they began, each with the rule that its term comes from."""
    state, now_ms = services.state(), services.view.ledger.head_time_ms
    found = zip(load_deadlines(state, record), load_sources(state, record), strict=True)
    return [show_deadline(services, one, now_ms) | {"source": source} for one, source in found]


async def list_due(services: Services, *, only_overdue: bool, **wanted: str | None) -> DueList:
    """Return the open items by deadline; `wanted` is what find_open_items() takes."""
    now_ms = services.view.ledger.head_time_ms
    found: DueList = await services.query(find_due, services.state(), now_ms, **wanted)
    items = [item for item in found.items if not only_overdue or item.deadline.due_ms < now_ms]
    return DueList(items, found.is_cut)


async def _answer(
    request: Request, cursor: str | None, limit: int, department: str | None, kind: str | None, *, only_overdue: bool
) -> Response:
    services = services_of(request)
    caller = services.identify(request)
    scope = None if _sees_all(caller) else caller.department
    after = decode_text_cursor(cursor) or ""
    listed = await list_due(services, only_overdue=only_overdue, party=scope, department=department, kind=kind)
    found = [item for item in listed.items if item.place > after]
    now_ms = services.view.ledger.head_time_ms
    items = [show_item(services, item, now_ms) for item in found[:limit]]
    following = encode_cursor(found[limit - 1].place) if len(found) > limit else None
    content = {"items": items, "next_cursor": following, "scope": scope or "all", "is_cut": listed.is_cut}
    return json_response(request, content | {"as_of_ms": now_ms})


def _sees_all(caller: Caller) -> bool:
    return is_auditor(caller) or GOVERNOR in caller.roles
