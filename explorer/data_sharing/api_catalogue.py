"""REST: the data catalogue."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from contracts.data_sharing.catalogue import ResourceRecord, load_resource
from contracts.data_sharing.resources import (
    CODE_CLASSES,
    DATA_CLASSES,
    LIBRARIES,
    SHARING_TYPES,
    SOURCE_LEVELS,
    UPDATE_CYCLES,
    ResourceDescription,
)
from contracts.members import LEVELS
from explorer.data_sharing.catalogue_schemas import Resource
from explorer.index_queries import find_resources
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.schemas import Page
from explorer.services import Services, services_of
from node.http.json_form import to_json

ROUTER = APIRouter(prefix="/api/v1", tags=["数据目录 Data catalogue"])

DepartmentCode = Annotated[str | None, Query(max_length=18, description="部门代码 / code of a department")]


@ROUTER.get("/catalogue", summary="数据目录 / Catalogue", response_model=Page[Resource])
async def catalogue(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    q: Annotated[str | None, Query(max_length=100, description="名称或代码的一部分 / part of name or code")] = None,
    department: DepartmentCode = None,
    sharing_type: Annotated[int | None, Query(ge=1, le=3, description="1 无条件 2 有条件 3 不予共享")] = None,
) -> Response:
    """发布的资源，新的在前。 / Published resources, newest first."""
    services = services_of(request)
    before = decode_number_cursor(cursor)
    page = await list_resources(services, before, limit, text=q, department=department, sharing_type=sharing_type)
    return json_response(request, page, cacheable=True)


@ROUTER.get("/catalogue/{code:path}", summary="一项资源 / One resource", response_model=Resource)
async def resource(request: Request, code: str) -> Response:
    """按资源代码（分类码/顺序码）查找。 / By resource code (class digits, slash, number)."""
    services = services_of(request)
    record = load_resource(services.state(), code) if len(code) <= 64 else None
    if record is None:
        raise Problem("NOT_FOUND", found=code)
    return json_response(request, show_resource(services, record), cacheable=True)


async def list_resources(services: Services, before: int | None, limit: int, **filters: Any) -> dict[str, Any]:
    """Return a page of resources; the filters are those of find_resources."""
    rows = await services.query(find_resources, before, limit, **filters)
    state = services.state()
    records = [load_resource(state, row.code) for row in rows]
    items = [show_resource(services, record) for record in records if record is not None]
    return {"items": items, "next_cursor": encode_cursor(rows[-1].sequence) if len(rows) == limit else None}


def show_resource(services: Services, record: ResourceRecord) -> dict[str, Any]:
    """Return a resource with the names behind its codes."""
    shown: dict[str, Any] = to_json(record)
    described: dict[str, Any] = shown.pop("description")
    return (
        described
        | shown
        | {
            "provider_name": services.department_name(record.provider),
            **_texts(record.description),
            "is_withdrawn": bool(record.withdrawn_ms),
        }
    )


def _texts(described: ResourceDescription) -> dict[str, Any]:
    """Return what the codes of a description stand for, in words; null where the field is empty."""
    code_class = CODE_CLASSES.get(described.code[0])
    library, source = LIBRARIES.get(described.library), SOURCE_LEVELS.get(described.source_level)
    level = LEVELS.get(described.level)
    return {
        "sharing_text": Text(*SHARING_TYPES[described.sharing_type])._asdict(),
        "cycle_text": Text(*UPDATE_CYCLES[described.update_cycle])._asdict(),
        "class_text": Text(*DATA_CLASSES[described.data_class])._asdict(),
        "category_text": None if code_class is None else Text(*code_class)._asdict(),
        "library_text": None if library is None else Text(*library)._asdict(),
        "source_text": None if source is None else Text(*source)._asdict(),
        "level_text": None if level is None else Text(*level)._asdict(),
    }
