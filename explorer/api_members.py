"""REST: departments."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from contracts.accounts import DEPARTMENTS, DepartmentRecord, load_department
from contracts.members import LEVELS
from explorer import schemas
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_text_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.services import services_of
from node.http.json_form import to_json

ROUTER = APIRouter(prefix="/api/v1", tags=["部门与证照类型 Departments and types"])


@ROUTER.get("/departments", summary="部门列表 / Departments", response_model=schemas.Page[schemas.Department])
async def departments(request: Request, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """按统一社会信用代码排序。 / In the order of their unified social credit codes."""
    return json_response(request, list_records(request, DEPARTMENTS, show_department, cursor, limit), cacheable=True)


@ROUTER.get("/departments/{code}", summary="一个部门 / One department", response_model=schemas.Department)
async def department(request: Request, code: str) -> Response:
    """按统一社会信用代码查找。 / By unified social credit code."""
    record = load_department(services_of(request).state(), code) if len(code) <= 18 else None
    if record is None:
        raise Problem("NOT_FOUND", found=code)
    return json_response(request, show_department(record), cacheable=True)


def show_department(record: DepartmentRecord) -> dict[str, Any]:
    """Return a department with its level in words and whether it is active."""
    level = Text(*LEVELS.get(record.level, (record.level, record.level)))
    return {**to_json(record), "is_active": not record.suspended_ms, "level_text": level._asdict()}


def list_records(request: Request, table: Any, show: Any, cursor: str | None, limit: int) -> dict[str, Any]:
    """Return a page of a table of records in the order of their keys."""
    after = decode_text_cursor(cursor)
    last = b"" if after is None else table.prefix + after.encode()
    items: list[Any] = []
    following = None
    for key, value in services_of(request).state().iterate(table.prefix):
        if key <= last:
            continue
        if len(items) == limit:
            following = encode_cursor(items[-1]["code"])
            break
        items.append(show(table.decode(value)))
    return {"items": items, "next_cursor": following}
