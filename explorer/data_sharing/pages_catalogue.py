"""The web pages of the data catalogue: search, one resource with its versions, what waits for approval, directories, open data."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from contracts.accounts import ROLES
from contracts.data_sharing.catalogue import ResourceRecord, load_proposal
from contracts.data_sharing.datasets import STATES
from contracts.data_sharing.resources import (
    BASE_LIBRARIES,
    DATA_CLASSES,
    NOT_SHARED,
    SHARING_TYPES,
    SOURCE_LEVELS,
    THEME_LIBRARIES,
    UNCONDITIONAL,
)
from contracts.data_sharing.sharing import load_request
from explorer.data_sharing.api_catalogue import (
    MAX_CODE_LENGTH,
    WAITING_VERSION,
    find_resource,
    list_proposals,
    list_resources,
    list_reviews,
    list_versions,
    show_changes,
    show_proposal,
    show_resource,
)
from explorer.data_sharing.api_directories import (
    find_dataset,
    list_datasets,
    list_entries,
    show_dataset,
    show_duty_in_full,
    show_system_in_full,
)
from explorer.data_sharing.api_returns import list_arrivals, list_returned
from explorer.data_sharing.api_sharing import show_request
from explorer.data_sharing.catalogue_queries import find_linked
from explorer.data_sharing.catalogue_tables import DUTY, RELATED, SYSTEM
from explorer.index_queries import find_requests, read_counters
from explorer.pages import list_departments, render
from explorer.paging import decode_number_cursor
from explorer.problems import Problem, Text
from explorer.services import Services, services_of
from verification.days import show_day, show_moment

RESOURCES_A_PAGE: Final = 20
ENTRIES_A_PAGE: Final = 50
MAX_SHOWN: Final = 20
"""Versions, reviews and requests each that a resource's page shows, the newest."""

ROUTER = APIRouter(include_in_schema=False)

PageCursor = Annotated[str | None, Query(max_length=400)]
Filter = Annotated[str, Query(max_length=32)]
Words = Annotated[str, Query(max_length=100)]
Code = Annotated[str, Query(max_length=MAX_CODE_LENGTH)]


@ROUTER.get("/catalogue")
async def catalogue(
    request: Request,
    q: Words = "",
    department: Annotated[str, Query(max_length=18)] = "",
    sharing: Filter = "",
    data_class: Filter = "",
    library: Filter = "",
    source: Filter = "",
    cursor: PageCursor = None,
) -> Response:
    """Show the published resources, found by words and filters."""
    services = services_of(request)
    chosen = {"q": q, "department": department, "sharing": sharing, "data_class": data_class}
    chosen |= {"library": library, "source": source}
    problem = None
    page: dict[str, Any] = {"items": [], "next_cursor": None}
    try:
        page = await list_resources(
            services,
            decode_number_cursor(cursor),
            RESOURCES_A_PAGE,
            text=q or None,
            department=department or None,
            sharing_type=_chosen_number("sharing", sharing, SHARING_TYPES),
            data_class=_chosen_number("data_class", data_class, DATA_CLASSES),
            library=library or None,
            source_level=source or None,
        )
    except Problem as error:
        problem = error.text()
    counters = await services.query(read_counters)
    return render(
        request,
        "catalogue.html",
        Text("数据目录", "Data catalogue"),
        chosen=chosen,
        filters=_filters(),
        departments=list_departments(services),
        problem=problem,
        resources=[_show_listed(shown) for shown in page["items"]],
        total=counters.get("resources", 0),
        next_url=_next_url("/catalogue", chosen, page["next_cursor"]),
    )


@ROUTER.get("/catalogue/resource")
async def resource(request: Request, code: Code) -> Response:
    """Show one resource: what it is, its versions and what changed, approvals, reviews, links, requests and grants."""
    services = services_of(request)
    record = find_resource(services, code)
    waiting = load_proposal(services.state(), code)
    versions = list_versions(services, record, None, MAX_SHOWN)["items"]
    reviews = await list_reviews(services, None, MAX_SHOWN, resource=code, department=None, provider=None)
    flow = await list_returned(services, None, 1, is_overdue=False, resource=code)
    return render(
        request,
        "resource.html",
        Text(record.name, record.name),
        one=_show_listed(show_resource(services, record)),
        waiting=None if waiting is None else show_proposal(services, waiting),
        waiting_changes=[] if waiting is None else show_changes(services, code, record.version, WAITING_VERSION),
        roles={role: Text(*words) for role, words in ROLES.items()},
        versions=[_show_version(services, shown) for shown in versions],
        reviews=[shown | {"time": show_moment(shown["reviewed_ms"])} for shown in reviews["items"]],
        score=_average_score(record),
        flow=[_show_returned(shown) for shown in flow["items"]],
        arrivals=[_show_arrival(shown) for shown in list_arrivals(services, code, None, MAX_SHOWN)["items"]],
        related=await _related(services, record),
        requests=await _requests(services, code),
    )


@ROUTER.get("/catalogue/returned")
async def returned(
    request: Request,
    department: Annotated[str, Query(max_length=18)] = "",
    source: Filter = "",
    overdue: Filter = "",
    cursor: PageCursor = None,
) -> Response:
    """Show returned data: whose it is, when it last came, and when it is due."""
    services = services_of(request)
    if source and source not in SOURCE_LEVELS:
        raise Problem("PARAMETER_INVALID", field="source", expected=_one_of(SOURCE_LEVELS), found=source)
    if overdue not in {"", "true"}:
        raise Problem(
            "PARAMETER_INVALID", field="overdue", expected=Text("true 或不给", "true or nothing"), found=overdue
        )
    filters = {"department": department or None, "source_level": source or None}
    page = await list_returned(services, cursor, ENTRIES_A_PAGE, is_overdue=bool(overdue), **filters)
    chosen = {"department": department, "source": source, "overdue": overdue}
    return render(
        request,
        "returned_data.html",
        Text("回流数据", "Returned data"),
        resources=[_show_returned(shown) for shown in page["items"]],
        departments=list_departments(services),
        levels={level: Text(*words) for level, words in SOURCE_LEVELS.items()},
        as_of=show_moment(page["as_of_ms"]),
        chosen=chosen,
        next_url=_next_url("/catalogue/returned", chosen, page["next_cursor"]),
    )


@ROUTER.get("/catalogue/waiting")
async def waiting(
    request: Request, department: Annotated[str, Query(max_length=18)] = "", cursor: PageCursor = None
) -> Response:
    """Show the versions that wait for approval."""
    services = services_of(request)
    before = decode_number_cursor(cursor)
    page = await list_proposals(services, before, ENTRIES_A_PAGE, department=department or None)
    return render(
        request,
        "catalogue_waiting.html",
        Text("待审批的数据资源", "Resources that wait for approval"),
        proposals=[shown | {"time": show_moment(shown["proposed_ms"])} for shown in page["items"]],
        roles={role: Text(*words) for role, words in ROLES.items()},
        departments=list_departments(services),
        chosen={"department": department},
        next_url=_next_url("/catalogue/waiting", {"department": department}, page["next_cursor"]),
    )


@ROUTER.get("/catalogue/duties")
async def duties(
    request: Request, q: Words = "", department: Annotated[str, Query(max_length=18)] = "", cursor: PageCursor = None
) -> Response:
    """Show the directory of duties."""
    return await _directory(request, DUTY, Text("职责目录", "Duties"), q, department, cursor)


@ROUTER.get("/catalogue/systems")
async def systems(
    request: Request, q: Words = "", department: Annotated[str, Query(max_length=18)] = "", cursor: PageCursor = None
) -> Response:
    """Show the directory of information systems."""
    return await _directory(request, SYSTEM, Text("系统目录", "Information systems"), q, department, cursor)


@ROUTER.get("/catalogue/duties/{department}/{code}")
async def duty(request: Request, department: str, code: str) -> Response:
    """Show a duty, with the systems and resources that come from it."""
    shown = await show_duty_in_full(services_of(request), department, code)
    return render(
        request, "directory_entry.html", Text(shown["name"], shown["name"]), one=_with_times(shown), kind=DUTY
    )


@ROUTER.get("/catalogue/systems/{department}/{code}")
async def system(request: Request, department: str, code: str) -> Response:
    """Show a system, with its duties and resources."""
    shown = await show_system_in_full(services_of(request), department, code)
    title = Text(shown["name"], shown["name"])
    return render(request, "directory_entry.html", title, one=_with_times(shown), kind=SYSTEM)


@ROUTER.get("/catalogue/open-data")
async def open_data(
    request: Request,
    department: Annotated[str, Query(max_length=18)] = "",
    state: Filter = "",
    cursor: PageCursor = None,
) -> Response:
    """Show open data: what is proposed, published and stopped."""
    services = services_of(request)
    if state and state not in STATES:
        raise Problem("PARAMETER_INVALID", field="state", expected=_one_of(STATES), found=state)
    page = await list_datasets(services, cursor, ENTRIES_A_PAGE, department=department or None, state=state or None)
    chosen = {"department": department, "state": state}
    return render(
        request,
        "open_data.html",
        Text("开放数据", "Open data"),
        datasets=[_show_dataset(shown) for shown in page["items"]],
        departments=list_departments(services),
        states={name: Text(*words) for name, words in STATES.items()},
        chosen=chosen,
        next_url=_next_url("/catalogue/open-data", chosen, page["next_cursor"]),
    )


@ROUTER.get("/catalogue/dataset")
async def dataset(request: Request, code: Code) -> Response:
    """Show one dataset: what is open under which terms, its release, every state it had, its downloads."""
    services = services_of(request)
    shown = show_dataset(services, find_dataset(services, code))
    return render(request, "dataset.html", Text("开放数据集", "An open dataset"), one=_show_dataset(shown))


async def _directory(request: Request, kind: str, title: Text, q: str, department: str, cursor: str | None) -> Response:
    services = services_of(request)
    path = f"/catalogue/{'duties' if kind == DUTY else 'systems'}"
    chosen = {"q": q, "department": department}
    page = await list_entries(services, kind, cursor, ENTRIES_A_PAGE, department=department or None, text=q or None)
    return render(
        request,
        "directory.html",
        title,
        kind=kind,
        path=path,
        heading=title,
        entries=page["items"],
        departments=list_departments(services),
        chosen=chosen,
        next_url=_next_url(path, chosen, page["next_cursor"]),
    )


def _next_url(path: str, chosen: dict[str, str], cursor: str | None) -> str | None:
    query = {name: value for name, value in chosen.items() if value}
    return None if cursor is None else f"{path}?{urlencode(query | {'cursor': cursor})}"


def _filters() -> list[dict[str, Any]]:
    """Return the filters of the catalogue as the page offers them."""
    libraries = BASE_LIBRARIES | THEME_LIBRARIES
    return [
        {"name": name, "text": text, "choices": {str(code): Text(*words) for code, words in table.items()}}
        for name, text, table in (
            ("sharing", Text("共享类型", "Sharing"), SHARING_TYPES),
            ("data_class", Text("数据分级", "Data class"), DATA_CLASSES),
            ("library", Text("基础库、主题库", "Library"), libraries),
            ("source", Text("回流", "Returned data"), SOURCE_LEVELS),
        )
    ]


def _chosen_number(field: str, value: str, table: dict[int, tuple[str, str]]) -> int | None:
    if not value:
        return None
    if value not in {str(code) for code in table}:
        raise Problem("PARAMETER_INVALID", field=field, expected=_one_of(table), found=value)
    return int(value)


def _one_of(table: dict[Any, Any]) -> Text:
    known = ", ".join(map(str, table))
    return Text(f"{known} 之一", f"one of {known}")


def _show_listed(shown: dict[str, Any]) -> dict[str, Any]:
    mood = {UNCONDITIONAL: "good", NOT_SHARED: "bad"}.get(shown["sharing_type"], "warn")
    items = [item["name"] for item in shown["items"]]
    return {
        **shown,
        "mood": mood,
        "time": show_moment(shown["published_ms"]),
        "withdrawn_time": show_moment(shown["withdrawn_ms"]) if shown["withdrawn_ms"] else "",
        "item_names": items[:8] + (["…"] if len(items) > 8 else []),
        "page": "/catalogue/resource?" + urlencode({"code": shown["code"]}),
    }


def _show_version(services: Services, shown: dict[str, Any]) -> dict[str, Any]:
    """Return a version with its time, and what it changed of the one before."""
    number = shown["version"]
    changed = show_changes(services, shown["code"], number - 1, number)["changes"] if number > 1 else []
    return shown | {"time": show_moment(shown["published_ms"]), "changes": changed}


def _show_returned(shown: dict[str, Any]) -> dict[str, Any]:
    last = shown["last_arrival"]
    return shown | {
        "due": show_moment(shown["due_ms"]) if shown["due_ms"] else "",
        "last": None if last is None else _show_arrival(last),
        "page": "/catalogue/resource?" + urlencode({"code": shown["resource"]}),
    }


def _show_arrival(shown: dict[str, Any]) -> dict[str, Any]:
    days = {"first_day": show_day(shown["from_ms"]), "last_day": show_day(shown["to_ms"] - 1)}
    names = ("arrived_ms", "recorded_ms", "ended_ms")
    return shown | days | {name.removesuffix("_ms"): show_moment(shown[name]) for name in names}


def _average_score(record: ResourceRecord) -> str:
    return f"{record.score_total / record.review_count:.1f}" if record.review_count else ""


async def _related(services: Services, record: ResourceRecord) -> list[str]:
    """Return the codes of resources that it is related to, by its own word or theirs."""
    rows = await services.query(find_linked, RELATED, None, record.code)
    return sorted({*record.description.related, *(row.source for row in rows)})


async def _requests(services: Services, code: str) -> list[dict[str, Any]]:
    """Return the newest requests for a resource."""
    filters = {"resource": code, "department": None, "state": None, "only_granted": False}
    rows = await services.query(find_requests, None, MAX_SHOWN, **filters)
    state = services.state()
    records = [load_request(state, row.id) for row in rows]
    return [
        show_request(services, record) | {"hex": record.id.hex(), "time": show_moment(record.requested_ms)}
        for record in records
        if record is not None
    ]


def _with_times(shown: dict[str, Any]) -> dict[str, Any]:
    ended = show_moment(shown["ended_ms"]) if shown["ended_ms"] else ""
    return shown | {"entered": show_moment(shown["entered_ms"]), "ended": ended}


def _show_dataset(shown: dict[str, Any]) -> dict[str, Any]:
    # Numbers past 2^53 are texts in their JSON form.
    released_ms, reported_ms = int(shown["release"]["released_ms"]), int(shown["reported_to_ms"])
    return shown | {
        "released": show_moment(released_ms) if released_ms else "",
        "reported_to": show_moment(reported_ms) if reported_ms else "",
        "steps": [step | {"time": show_moment(step["from_ms"])} for step in shown["history"]],
        "page": "/catalogue/dataset?" + urlencode({"code": shown["resource"]}),
        "resource_page": "/catalogue/resource?" + urlencode({"code": shown["resource"]}),
    }
