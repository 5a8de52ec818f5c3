"""REST: the directories of duties and of systems, and open data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from contracts.data_sharing.catalogue import load_resource
from contracts.data_sharing.datasets import STATES, DatasetRecord, load_dataset
from contracts.data_sharing.directories import NETWORKS, DutyRecord, SystemRecord, load_duty, load_system
from contracts.data_sharing.open_data import load_release, load_report
from explorer.data_sharing import catalogue_schemas as schemas
from explorer.data_sharing.api_catalogue import MAX_CODE_LENGTH, ResourceCode, SearchText
from explorer.data_sharing.catalogue_queries import find_datasets, find_entries, find_linked
from explorer.data_sharing.catalogue_tables import DUTY, RESOURCE_DUTY, RESOURCE_SYSTEM, SYSTEM, SYSTEM_DUTY
from explorer.data_sharing.parameters import MAX_DEPARTMENT_LENGTH, DepartmentCode
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.schemas import Page
from explorer.services import Services, services_of
from node.http.json_form import to_json

ROUTER = APIRouter(prefix="/api/v1", tags=["数据目录 Data catalogue"])


DatasetState = Annotated[
    Literal["proposed", "cleared", "declined", "published", "stopped"] | None, Query(description="现状 / state")
]


def _entries_asked(
    cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT, q: SearchText = None, department: DepartmentCode = None
) -> tuple[str | None, int, str | None, str | None]:
    """Return what a list of duties or systems is asked for, as list_entries takes it."""
    return cursor, limit, department, q


EntriesAsked = Annotated[tuple[str | None, int, str | None, str | None], Depends(_entries_asked)]


@ROUTER.get("/duties", summary="职责目录 / Duties", response_model=Page[schemas.Duty])
async def duties(request: Request, asked: EntriesAsked) -> Response:
    """各部门的职责，新的在前；按名称或代码查找。 / Duties of the departments, newest first; found by name or code."""
    return json_response(request, await list_entries(services_of(request), DUTY, *asked), cacheable=True)


@ROUTER.get("/duties/{department}/{code}", summary="一项职责 / One duty", response_model=schemas.DutyInFull)
async def duty(request: Request, department: str, code: str) -> Response:
    """含由其产生的系统与数据资源。 / With the systems and resources that name it."""
    return json_response(request, await show_duty_in_full(services_of(request), department, code), cacheable=True)


@ROUTER.get("/systems", summary="系统目录 / Systems", response_model=Page[schemas.InformationSystem])
async def systems(request: Request, asked: EntriesAsked) -> Response:
    """各部门的信息系统，新的在前；按名称或代码查找。 / Systems of the departments, newest first; found by name or code."""
    return json_response(request, await list_entries(services_of(request), SYSTEM, *asked), cacheable=True)


@ROUTER.get(
    "/systems/{department}/{code}", summary="一个信息系统 / One system", response_model=schemas.InformationSystemInFull
)
async def system(request: Request, department: str, code: str) -> Response:
    """含其中的数据资源。 / With the resources that name it."""
    return json_response(request, await show_system_in_full(services_of(request), department, code), cacheable=True)


@ROUTER.get("/open-data", summary="开放数据 / Open data", response_model=Page[schemas.Dataset])
async def datasets(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    department: DepartmentCode = None,
    state: DatasetState = None,
) -> Response:
    """申报、审核与发布的开放数据集，新的在前。 / Datasets that are or were proposed to be open, newest first."""
    page = await list_datasets(services_of(request), cursor, limit, department=department, state=state)
    return json_response(request, page, cacheable=True)


@ROUTER.get("/open-data/{code:path}", summary="一个开放数据集 / One dataset", response_model=schemas.Dataset)
async def dataset(request: Request, code: str) -> Response:
    """以其资源代码命名。 / A dataset is named by its resource's code."""
    services = services_of(request)
    return json_response(request, show_dataset(services, find_dataset(services, code)), cacheable=True)


@ROUTER.get("/open-data-releases", summary="开放数据的各次发布 / Releases", response_model=Page[schemas.Release])
async def releases(
    request: Request, resource: ResourceCode, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """新的在前；digest 为文件的 SM3 摘要。 / Newest first; digest is the SM3 digest of the file."""
    services = services_of(request)
    state, known = services.state(), find_dataset(services, resource)
    numbers = _numbers_below(cursor, known.release.number, limit)
    items = [to_json(load_release(state, known.resource, number)) for number in numbers]
    return json_response(request, _numbered_page(items, numbers), cacheable=True)


@ROUTER.get("/open-data-reports", summary="下载量报告 / Downloads", response_model=Page[schemas.DownloadReport])
async def reports(
    request: Request, resource: ResourceCode, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """序号与期间均无间断，新的在前。 / Numbers and periods have no gap; newest first."""
    services = services_of(request)
    state, known = services.state(), find_dataset(services, resource)
    numbers = _numbers_below(cursor, known.report_count, limit)
    items = [to_json(load_report(state, known.resource, number)) for number in numbers]
    return json_response(request, _numbered_page(items, numbers), cacheable=True)


async def list_entries(
    services: Services, kind: str, cursor: str | None, limit: int, department: str | None, text: str | None
) -> dict[str, Any]:
    """Return a page of duties or systems; raise Problem on a cursor that is none."""
    before = decode_number_cursor(cursor)
    rows = await services.query(find_entries, before, limit, kind=kind, department=department, text=text)
    state = services.state()
    items: list[dict[str, Any]] = []
    for row in rows:
        load = load_duty if kind == DUTY else load_system
        record = load(state, row.department, row.code)
        assert record is not None, "what the index lists stays in state"
        items.append(show_entry(services, record))
    return {"items": items, "next_cursor": encode_cursor(rows[-1].sequence) if len(rows) == limit else None}


async def show_duty_in_full(services: Services, department: str, code: str) -> dict[str, Any]:
    """Return a duty with what names it; raise Problem when there is none."""
    record = _find_entry(services, load_duty, department, code)
    return show_entry(services, record) | {
        "of_systems": await _sources(services, SYSTEM_DUTY, department, code),
        "of_resources": await _sources(services, RESOURCE_DUTY, department, code),
    }


async def show_system_in_full(services: Services, department: str, code: str) -> dict[str, Any]:
    """Return a system with what names it; raise Problem when there is none."""
    record = _find_entry(services, load_system, department, code)
    named = {"of_resources": await _sources(services, RESOURCE_SYSTEM, department, code)}
    return show_entry(services, record) | named


def show_entry(services: Services, record: DutyRecord | SystemRecord) -> dict[str, Any]:
    """Return a duty or system with the names behind its codes."""
    shown: dict[str, Any] = to_json(record)
    shown["department_name"] = services.department_name(record.department)
    if isinstance(record, DutyRecord):
        return {**shown.pop("duty"), **shown}
    texts = {"network_text": Text(*NETWORKS[record.system.network])._asdict()}
    return {**shown.pop("system"), **shown, **texts}


async def list_datasets(services: Services, cursor: str | None, limit: int, **filters: Any) -> dict[str, Any]:
    """Return a page of open data; the filters are those of find_datasets."""
    rows = await services.query(find_datasets, decode_number_cursor(cursor), limit, **filters)
    items = [show_dataset(services, find_dataset(services, row.resource)) for row in rows]
    return {"items": items, "next_cursor": encode_cursor(rows[-1].sequence) if len(rows) == limit else None}


def find_dataset(services: Services, code: str) -> DatasetRecord:
    """Return the dataset of a resource; raise Problem when there is none."""
    known = load_dataset(services.state(), code) if len(code) <= MAX_CODE_LENGTH else None
    if known is None:
        raise Problem("NOT_FOUND", found=code)
    return known


def show_dataset(services: Services, record: DatasetRecord) -> dict[str, Any]:
    """Return a dataset with its states in words."""
    shown: dict[str, Any] = to_json(record)
    offered = load_resource(services.state(), record.resource)
    for step in shown["history"]:
        step["state_text"] = Text(*STATES[step["state"]])._asdict()
    return shown | {
        "resource_name": "" if offered is None else offered.name,
        "provider_name": services.department_name(record.provider),
        "state": record.state,
        "state_text": Text(*STATES[record.state])._asdict(),
    }


def _find_entry(services: Services, load: Any, department: str, code: str) -> Any:
    is_named = len(department) <= MAX_DEPARTMENT_LENGTH and len(code) <= MAX_CODE_LENGTH
    record = load(services.state(), department, code) if is_named else None
    if record is None:
        raise Problem("NOT_FOUND", found=f"{department}/{code}")
    return record


async def _sources(services: Services, kind: str, department: str, code: str) -> list[str]:
    return [row.source for row in await services.query(find_linked, kind, department, code)]


def _numbers_below(cursor: str | None, newest: int, limit: int) -> range:
    before = decode_number_cursor(cursor)
    top = newest if before is None else min(newest, before - 1)
    return range(top, max(top - limit, 0), -1)


def _numbered_page(items: list[Any], numbers: range) -> dict[str, Any]:
    return {"items": items, "next_cursor": encode_cursor(numbers[-1]) if numbers and numbers[-1] > 1 else None}
