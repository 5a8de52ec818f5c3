"""REST: the data catalogue: resources, their versions, what waits for approval, and quality reviews."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from contracts.data_sharing.catalogue import (
    ProposalRecord,
    ResourceRecord,
    load_proposal,
    load_resource,
    load_version,
)
from contracts.data_sharing.quality_reviews import load_review
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
from explorer.data_sharing import catalogue_schemas as schemas
from explorer.data_sharing.catalogue_queries import count_resources, find_resources, find_reviews, find_waiting
from explorer.data_sharing.parameters import DepartmentCode
from explorer.data_sharing.resource_changes import changes_between
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.schemas import Page
from explorer.services import Services, services_of
from node.http.json_form import to_json

ROUTER = APIRouter(prefix="/api/v1", tags=["数据目录 Data catalogue"])

MAX_CODE_LENGTH: Final = 64
WAITING_VERSION: Final = 0
"""Stands for the version that waits for approval."""

ResourceCode = Annotated[str, Query(max_length=MAX_CODE_LENGTH, description="资源代码 / code of a resource")]
OptionalResourceCode = Annotated[
    str | None, Query(max_length=MAX_CODE_LENGTH, description="资源代码 / code of a resource")
]
SearchText = Annotated[
    str | None,
    Query(max_length=100, description="名称、代码、摘要、数据项中的字词 / words of name, code, summary or items"),
]
_FLAGS: Final = {1: ("向社会开放", "open to the public"), 0: ("不开放", "not open")}


@ROUTER.get("/catalogue", summary="数据目录 / Catalogue", response_model=Page[schemas.Resource])
async def catalogue(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    q: SearchText = None,
    department: DepartmentCode = None,
    sharing_type: Annotated[int | None, Query(ge=1, le=3, description="1 无条件 2 有条件 3 不予共享")] = None,
    data_class: Annotated[int | None, Query(ge=1, le=3, description="1 核心 2 重要 3 一般")] = None,
    is_open: Annotated[bool | None, Query(description="向社会开放 / open to the public")] = None,
    is_withdrawn: Annotated[bool | None, Query(description="已撤回 / withdrawn")] = None,
    library: Annotated[str | None, Query(max_length=32, description=f"基础库、主题库 / {', '.join(LIBRARIES)}")] = None,
    source_level: Annotated[str | None, Query(max_length=16, description="回流：national、province")] = None,
    code_prefix: Annotated[
        str | None, Query(pattern="^[0-9]{1,24}$", description="类、项、目的数字 / first digits of the class")
    ] = None,
    duty: Annotated[str | None, Query(max_length=64, description="本部门职责代码 / duty of the department")] = None,
    system: Annotated[str | None, Query(max_length=64, description="本部门系统代码 / system of the department")] = None,
) -> Response:
    """发布的资源，新的在前；按字词查找时，名称或代码中有的在前。 / Newest first; with words, those that have them in name or code first."""
    services = services_of(request)
    filters = {
        "department": department,
        "sharing_type": sharing_type,
        "data_class": data_class,
        "is_open": None if is_open is None else int(is_open),
        "is_withdrawn": None if is_withdrawn is None else int(is_withdrawn),
        "library": library,
        "source_level": source_level,
        "code_prefix": code_prefix,
        "duty": duty,
        "system": system,
    }
    page = await list_resources(services, decode_number_cursor(cursor), limit, text=q, **filters)
    return json_response(request, page, cacheable=True)


@ROUTER.get("/catalogue-summary", summary="目录概况 / Catalogue in figures", response_model=schemas.CatalogueSummary)
async def summary(request: Request) -> Response:
    """未撤回的资源数，按部门、共享类型、分级、开放、所属库、回流。 / Resources that are not withdrawn, counted."""
    return json_response(request, await summarise(services_of(request)), cacheable=True)


@ROUTER.get("/catalogue/{code:path}", summary="一项资源 / One resource", response_model=schemas.Resource)
async def resource(request: Request, code: str) -> Response:
    """按资源代码（分类码/顺序码）查找。 / By resource code (class digits, slash, number)."""
    services = services_of(request)
    return json_response(request, show_resource(services, find_resource(services, code)), cacheable=True)


@ROUTER.get("/resource-versions", summary="资源的版本 / Versions of a resource", response_model=Page[schemas.Resource])
async def versions(
    request: Request, resource: ResourceCode, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """曾生效的各版本，新的在前。 / Every version that is or was in force, newest first."""
    services = services_of(request)
    page = list_versions(services, find_resource(services, resource), decode_number_cursor(cursor), limit)
    return json_response(request, page, cacheable=True)


@ROUTER.get(
    "/resource-changes", summary="两个版本的差异 / Between two versions", response_model=schemas.ResourceChanges
)
async def changes(
    request: Request,
    resource: ResourceCode,
    from_version: Annotated[int, Query(ge=1, le=2**53, description="较早的版本 / the earlier version")],
    to_version: Annotated[
        int, Query(ge=0, le=2**53, description="较晚的版本，0 为待审批的 / the later; 0: what waits")
    ],
) -> Response:
    """逐字段列出差异；列表字段列出减少和增加的。 / Field by field; of a list, what was taken out and what was added."""
    services = services_of(request)
    shown = show_changes(services, resource, from_version, to_version)
    return json_response(request, shown, cacheable=True)


@ROUTER.get("/resource-proposals", summary="待审批的版本 / Waiting versions", response_model=Page[schemas.Proposal])
async def proposals(
    request: Request, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT, department: DepartmentCode = None
) -> Response:
    """核心数据须审批员与治理方、重要数据须审批员同意后才生效。 / Versions that wait for who must approve them, newest first."""
    services = services_of(request)
    page = await list_proposals(services, decode_number_cursor(cursor), limit, department=department)
    return json_response(request, page, cacheable=True)


@ROUTER.get("/resource-reviews", summary="质量评价 / Quality reviews", response_model=Page[schemas.Review])
async def reviews(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    resource: OptionalResourceCode = None,
    department: DepartmentCode = None,
    provider: DepartmentCode = None,
) -> Response:
    """评分、意见与答复，新的在前；department 为评价部门。 / Scores, findings and replies; department is the reviewer's."""
    filters = {"resource": resource, "department": department, "provider": provider}
    page = await list_reviews(services_of(request), decode_number_cursor(cursor), limit, **filters)
    return json_response(request, page, cacheable=True)


def find_resource(services: Services, code: str) -> ResourceRecord:
    """Return the newest version of a resource; raise Problem."""
    record = load_resource(services.state(), code) if len(code) <= MAX_CODE_LENGTH else None
    if record is None:
        raise Problem("NOT_FOUND", found=code)
    return record


async def list_resources(services: Services, before: int | None, limit: int, **filters: Any) -> dict[str, Any]:
    """Return a page of resources; the filters are those of find_resources."""
    rows = await services.query(find_resources, before, limit, **filters)
    state = services.state()
    records = [load_resource(state, row.code) for row in rows]
    items = [show_resource(services, record) for record in records if record is not None]
    return {"items": items, "next_cursor": encode_cursor(rows[-1].position) if len(rows) == limit else None}


async def list_proposals(services: Services, before: int | None, limit: int, **filters: Any) -> dict[str, Any]:
    """Return a page of versions that wait for approval; the filters are those of find_waiting."""
    rows = await services.query(find_waiting, before, limit, **filters)
    state = services.state()
    records = [load_proposal(state, row.code) for row in rows]
    items = [show_proposal(services, record) for record in records if record is not None]
    return {"items": items, "next_cursor": encode_cursor(rows[-1].sequence) if len(rows) == limit else None}


async def list_reviews(services: Services, before: int | None, limit: int, **filters: Any) -> dict[str, Any]:
    """Return a page of quality reviews; the filters are those of find_reviews."""
    rows = await services.query(find_reviews, before, limit, **filters)
    state = services.state()
    found = [load_review(state, row.resource, row.version, row.department) for row in rows]
    items = [
        to_json(record) | {"department_name": services.department_name(record.department)}
        for record in found
        if record is not None
    ]
    return {"items": items, "next_cursor": encode_cursor(rows[-1].sequence) if len(rows) == limit else None}


def list_versions(services: Services, newest: ResourceRecord, before: int | None, limit: int) -> dict[str, Any]:
    """Return a page of the versions of a resource below number `before`, newest first."""
    state = services.state()
    top = newest.version if before is None else min(newest.version, before - 1)
    numbers = range(top, max(top - limit, 0), -1)
    records = [load_version(state, newest.code, number) for number in numbers]
    items = [show_resource(services, record) for record in records if record is not None]
    return {"items": items, "next_cursor": encode_cursor(numbers[-1]) if numbers and numbers[-1] > 1 else None}


async def summarise(services: Services) -> dict[str, Any]:
    """Return how many resources there are, by each way to look through them, with what the values stand for."""
    counted = await services.query(count_resources)
    words: dict[str, Mapping[Any, tuple[str, str]]] = {
        "sharing_type": SHARING_TYPES,
        "data_class": DATA_CLASSES,
        "is_open": _FLAGS,
        "library": LIBRARIES,
        "source_level": SOURCE_LEVELS,
    }
    shown: dict[str, Any] = {"total": sum(counted["department"].values())}
    for name, counts in counted.items():
        texts = words.get(name) or {value: (services.department_name(value),) * 2 for value in counts}
        shown[name] = [
            {"value": str(value), "text": Text(*texts[value])._asdict(), "count": count}
            for value, count in counts.items()
            if value in texts
        ]
    return shown


def show_resource(services: Services, record: ResourceRecord) -> dict[str, Any]:
    """Return a version of a resource with the names behind its codes."""
    shown: dict[str, Any] = to_json(record)
    described: dict[str, Any] = shown.pop("description")
    named = {
        "provider_name": services.department_name(record.provider),
        "is_withdrawn": bool(record.withdrawn_ms),
    }
    return described | shown | named | _texts(record.description)


def show_proposal(services: Services, record: ProposalRecord) -> dict[str, Any]:
    """Return a version that waits for approval with the names behind its codes."""
    shown: dict[str, Any] = to_json(record)
    described: dict[str, Any] = shown.pop("description")
    return described | shown | {"provider_name": services.department_name(record.provider)} | _texts(record.description)


def show_changes(services: Services, code: str, from_version: int, to_version: int) -> dict[str, Any]:
    """Return what differs between two versions of a resource, WAITING_VERSION for the one that waits; raise Problem."""
    state = services.state()
    find_resource(services, code)
    earlier = load_version(state, code, from_version)
    later = load_proposal(state, code) if to_version == WAITING_VERSION else load_version(state, code, to_version)
    for number, record in ((from_version, earlier), (to_version, later)):
        if record is None:
            raise Problem("NOT_FOUND", found=f"{code} {number}")
    assert earlier is not None
    assert later is not None
    changed = changes_between(earlier.description, later.description)
    return {"resource": code, "from_version": from_version, "to_version": to_version, "changes": changed}


def _texts(described: ResourceDescription) -> dict[str, Any]:
    """Return what the codes of a description stand for, in words; None where the field is empty."""

    def words(table: Mapping[Any, tuple[str, str]], value: Any) -> dict[str, str] | None:
        return Text(*table[value])._asdict() if value in table else None

    return {
        "sharing_text": words(SHARING_TYPES, described.sharing_type),
        "cycle_text": words(UPDATE_CYCLES, described.update_cycle),
        "class_text": words(DATA_CLASSES, described.data_class),
        "category_text": words(CODE_CLASSES, described.code[0]),
        "library_text": words(LIBRARIES, described.library),
        "source_text": words(SOURCE_LEVELS, described.source_level),
        "level_text": words(LEVELS, described.level),
    }
