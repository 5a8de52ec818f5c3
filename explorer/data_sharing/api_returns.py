"""REST: returned data (回流): which resources are returned, whether their data comes in time, and each recorded arrival."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from contracts.data_sharing.arrival_records import RETURN_STATES, load_arrival, load_return_head, return_state
from contracts.data_sharing.catalogue import load_resource
from contracts.data_sharing.resources import SOURCE_LEVELS, UPDATE_CYCLES
from explorer.data_sharing import return_schemas as schemas
from explorer.data_sharing.api_catalogue import ResourceCode, find_resource
from explorer.data_sharing.parameters import DepartmentCode
from explorer.data_sharing.return_index import NEVER_MS, find_returned
from explorer.paging import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    cursor_problem,
    decode_number_cursor,
    decode_text_cursor,
    encode_cursor,
)
from explorer.problems import Text
from explorer.responses import json_response
from explorer.schemas import Page
from explorer.services import Services, services_of
from node.http.json_form import to_json

ROUTER = APIRouter(prefix="/api/v1", tags=["数据目录 Data catalogue"])

_PLACE_DIGITS: Final = len(str(NEVER_MS))
LevelName = Literal["national", "province"]


@ROUTER.get("/returned-resources", summary="回流数据 / Returned data", response_model=schemas.ReturnedPage)
async def returned_resources(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    department: DepartmentCode = None,
    source_level: Annotated[LevelName | None, Query(description="来源层级 / whose data it is")] = None,
    resource: Annotated[str | None, Query(max_length=64, description="资源代码 / code of a resource")] = None,
    is_overdue: Annotated[bool, Query(description="只列已逾期的 / only what is overdue")] = False,
) -> Response:
    """未撤回的回流资源、最近一次到达及下次应到时间，最早到期的在前。 / Their newest arrival and when the next is due, first due first."""
    filters = {"department": department, "source_level": source_level, "resource": resource}
    page = await list_returned(services_of(request), cursor, limit, is_overdue=is_overdue, **filters)
    return json_response(request, page, cacheable=True)


@ROUTER.get(
    "/resource-arrivals", summary="回流到达记录 / Arrivals of returned data", response_model=Page[schemas.Arrival]
)
async def arrivals(
    request: Request, resource: ResourceCode, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """每次到达，含已更正、已作废的，新的在前。 / Every recorded arrival, those corrected or void included, newest first."""
    services = services_of(request)
    find_resource(services, resource)
    page = list_arrivals(services, resource, decode_number_cursor(cursor), limit)
    return json_response(request, page, cacheable=True)


async def list_returned(
    services: Services, cursor: str | None, limit: int, *, is_overdue: bool, **filters: str | None
) -> dict[str, Any]:
    """Return a page of returned resources, first those that are due first; `filters` are columns of RETURNED."""
    now_ms = services.view.ledger.head_time_ms
    due_before_ms = now_ms if is_overdue else None
    rows = await services.query(find_returned, _decode_place(cursor), limit, due_before_ms=due_before_ms, **filters)
    items = [_show_returned(services, row, now_ms) for row in rows]
    place = f"{rows[-1].due_ms:0{_PLACE_DIGITS}d}/{rows[-1].resource}" if len(rows) == limit else None
    return {"items": items, "next_cursor": None if place is None else encode_cursor(place), "as_of_ms": now_ms}


def list_arrivals(services: Services, resource: str, before: int | None, limit: int) -> dict[str, Any]:
    """Return a page of the arrivals of a resource below number `before`, newest first."""
    state = services.state()
    head = load_return_head(state, resource)
    count = 0 if head is None else head.count
    top = count if before is None else min(count, before - 1)
    numbers = range(top, max(top - limit, 0), -1)
    found = [load_arrival(state, resource, number) for number in numbers]
    items = [_show_arrival(record) for record in found if record is not None]
    return {"items": items, "next_cursor": encode_cursor(numbers[-1]) if numbers and numbers[-1] > 1 else None}


def _show_arrival(record: Any) -> dict[str, Any]:
    shown: dict[str, Any] = to_json(record)
    arrival: dict[str, Any] = shown.pop("arrival")
    return shown | arrival


def _show_returned(services: Services, row: Any, now_ms: int) -> dict[str, Any]:
    """Return a row of RETURNED with the names behind its codes, its newest arrival and whether the next is due."""
    state = services.state()
    record, last = load_resource(state, row.resource), load_arrival(state, row.resource, row.last_number)
    due_ms = 0 if row.due_ms == NEVER_MS else row.due_ms
    word = return_state(due_ms, now_ms)
    return {
        "resource": row.resource,
        "resource_name": "" if record is None else record.name,
        "provider": row.department,
        "provider_name": services.department_name(row.department),
        "source_level": row.source_level,
        "source_text": Text(*SOURCE_LEVELS[row.source_level])._asdict(),
        "source_body": "" if record is None else record.description.source_body,
        "update_cycle": row.update_cycle,
        "cycle_text": Text(*UPDATE_CYCLES[row.update_cycle])._asdict(),
        "since_ms": row.since_ms,
        "last_arrival": None if last is None else _show_arrival(last),
        "due_ms": due_ms or None,
        "state": word,
        "state_text": Text(*RETURN_STATES[word])._asdict(),
    }


def _decode_place(cursor: str | None) -> tuple[int, str] | None:
    place = decode_text_cursor(cursor)
    if place is None:
        return None
    due, separator, resource = place.partition("/")
    if not separator or len(due) != _PLACE_DIGITS or not (due.isascii() and due.isdigit()) or int(due) > NEVER_MS:
        raise cursor_problem(cursor)
    return int(due), resource
