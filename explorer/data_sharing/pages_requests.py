"""The web pages for clerks: requests and grants, one with its course and clocks, and what is due and overdue."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from contracts.data_sharing.catalogue import load_resource
from contracts.data_sharing.conditions import Conditions, mask_words
from contracts.data_sharing.corrections import OUTCOMES as CORRECTION_OUTCOMES
from contracts.data_sharing.corrections import load_correction
from contracts.data_sharing.deadlines import KINDS
from contracts.data_sharing.disputes import KINDS as DISPUTE_KINDS
from contracts.data_sharing.disputes import OUTCOMES as DISPUTE_OUTCOMES
from contracts.data_sharing.disputes import load_dispute
from contracts.data_sharing.due import DATA_AUTHORITY, load_asking_source
from contracts.data_sharing.recalls import OUTCOMES as RECALL_OUTCOMES
from contracts.data_sharing.recalls import load_recall
from contracts.data_sharing.refusal_reasons import load_reasons
from contracts.data_sharing.sharing import RETURNED, STATES, WAITING, RequestRecord, load_request
from explorer.data_sharing.api_deliveries import list_deliveries
from explorer.data_sharing.api_due import list_due, show_clocks
from explorer.data_sharing.api_sharing import show_request
from explorer.data_sharing.due_list import AUTHORITY_NAME, show_item
from explorer.data_sharing.open_items import MAX_OPEN_ITEMS
from explorer.data_sharing.parameters import DepartmentFilter, find_request
from explorer.index_queries import find_requests
from explorer.pages import list_departments, render
from explorer.paging import decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.services import Services, services_of
from verification.days import show_day, show_moment

REQUESTS_A_PAGE: Final = 50
ITEMS_A_PAGE: Final = 100
MAX_SHOWN_CASES: Final = 50
"""Corrections, disputes and recalls each that a page shows of a request, the newest."""
MAX_SHOWN_DELIVERIES: Final = 20
"""Of a grant, the newest; REST has all."""
AUTHORITY: Final = "authority"
"""In a page's address, in place of a department's code: the data authority."""

ROUTER = APIRouter(include_in_schema=False)


@ROUTER.get("/requests")
async def requests(
    request: Request,
    department: DepartmentFilter = "",
    state: Annotated[str, Query(max_length=18)] = "",
    resource: Annotated[str, Query(max_length=64)] = "",
    cursor: Annotated[str | None, Query(max_length=400)] = None,
) -> Response:
    """Show requests and grants, newest first."""
    services = services_of(request)
    if state and state not in STATES:
        raise Problem("PARAMETER_INVALID", field="state", expected=_one_of(STATES), found=state)
    filters = {"resource": resource.strip() or None, "department": department.strip() or None, "state": state or None}
    before = decode_number_cursor(cursor)
    rows = await services.query(find_requests, before, REQUESTS_A_PAGE, **filters, only_granted=False)
    current = services.state()
    records = [load_request(current, row.id) for row in rows]
    next_url = None
    if len(rows) == REQUESTS_A_PAGE:
        query = {"department": department, "state": state, "resource": resource}
        next_url = "/requests?" + urlencode(
            {name: value for name, value in query.items() if value} | {"cursor": encode_cursor(rows[-1].sequence)}
        )
    return render(
        request,
        "requests.html",
        Text("数据申请与授权", "Requests and grants"),
        requests=[_show_listed(services, record) for record in records if record is not None],
        departments=list_departments(services),
        department_code=department,
        states=_words(STATES),
        state=state,
        resource=resource,
        next_url=next_url,
    )


@ROUTER.get("/requests/{request_id}")
async def data_request(request: Request, request_id: str) -> Response:
    """Show one request: what is asked, what was granted, every step and every clock."""
    services = services_of(request)
    record = find_request(services, request_id)
    resource = load_resource(services.state(), record.resource)
    clocks = [_show_clock(one) for one in show_clocks(services, record)]
    # Tables recorded since say nothing of what had begun.
    sources = dict.fromkeys(one["source"] for one in clocks) or [load_asking_source(services.state(), record)]
    return render(
        request,
        "request.html",
        Text("数据申请", "A request for data"),
        asked=_show_listed(services, record),
        mask_words=mask_words,
        resource_name="" if resource is None else resource.name,
        period=(show_day(record.from_ms), show_day(record.to_ms)),
        linked=[
            (text, name.hex())
            for text, name in (
                (Text("所续的授权", "Renews"), record.previous),
                (Text("由此续期", "Renewed by"), record.renewal),
            )
            if any(name)
        ],
        renewed=_renewed_conditions(services, record),
        steps=_steps(services, record),
        clocks=clocks,
        authority_name=AUTHORITY_NAME,
        cases=_cases(services, record),
        deliveries=[
            one | {"time": show_moment(one["delivered_ms"])}
            for one in list_deliveries(services, record.id, None, MAX_SHOWN_DELIVERIES)
        ],
        sources=list(sources),
    )


@ROUTER.get("/due")
async def due(
    request: Request,
    department: DepartmentFilter = "",
    kind: Annotated[str, Query(max_length=32)] = "",
    only: Annotated[str, Query(max_length=8)] = "",
) -> Response:
    """Show what is not done yet under requests, first what was due first."""
    services = services_of(request)
    if kind and kind not in KINDS:
        raise Problem("PARAMETER_INVALID", field="kind", expected=_one_of(KINDS), found=kind)
    chosen = {"": None, AUTHORITY: DATA_AUTHORITY}.get(department, department)
    listed = await list_due(services, only_overdue=only == "overdue", department=chosen, kind=kind or None)
    found = listed.items
    now_ms = services.view.ledger.head_time_ms
    return render(
        request,
        "due.html",
        Text("待办与超期", "Due and overdue"),
        items=[_show_clock(show_item(services, item, now_ms)) for item in found[:ITEMS_A_PAGE]],
        total=len(found),
        cut_at=MAX_OPEN_ITEMS if listed.is_cut else None,
        overdue=sum(item.deadline.due_ms < now_ms for item in found),
        departments=list_departments(services),
        department_code=department,
        authority=AUTHORITY,
        authority_name=AUTHORITY_NAME,
        kinds=_words(KINDS),
        kind=kind,
        only=only,
        as_of=show_moment(now_ms),
    )


def _show_listed(services: Services, record: RequestRecord) -> dict[str, Any]:
    shown = show_request(services, record)
    return shown | {"hex": record.id.hex(), "requested": show_moment(record.requested_ms)}


def _show_clock(shown: dict[str, Any]) -> dict[str, Any]:
    """Return a deadline with its times in words."""
    done_ms = shown["done_ms"]
    return shown | {
        "start": show_moment(shown["start_ms"]),
        "due_day": show_day(shown["due_ms"]),
        "done": None if done_ms is None else show_moment(done_ms),
        "is_late": shown["is_overdue"] or (done_ms is not None and done_ms > shown["due_ms"]),
        "hex": shown.get("request", "0x")[2:],
    }


def _renewed_conditions(services: Services, record: RequestRecord) -> Conditions | None:
    """Return the conditions of the grant that a request renews while nobody has granted it yet: what its approver goes by."""
    renewed = load_request(services.state(), record.previous)
    is_open = record.state in (WAITING, RETURNED)
    return renewed.conditions if renewed is not None and is_open and renewed.conditions != Conditions() else None


def _steps(services: Services, record: RequestRecord) -> list[dict[str, Any]]:
    """Return the course of a request: its states, the check and the beginning of supply, in their order."""
    reasons = {reason.code: (reason.text, reason.english) for reason in load_reasons(services.state()).reasons}
    steps: list[dict[str, Any]] = [
        {
            "time_ms": interval.from_ms,
            "text": Text(*STATES[interval.state]),
            "reason": Text(*reasons.get(interval.reason_code, ("", ""))) if interval.reason_code else None,
            "note": interval.reason,
            "operator": "0x" + interval.operator.hex(),
        }
        for interval in record.history
    ]
    checked = Text("通过合规性检查", "compliance check passed")
    began_ms, supply = record.supplied_ms, Text("开始提供数据", "supply began")
    if 0 < began_ms < record.requested_ms:
        since = show_moment(began_ms)
        zh, en = "沿用所续授权的提供，始于 ", "supply goes on from the grant it renews, begun "
        began_ms, supply = record.granted_ms, Text(zh + since, en + since)
    for time_ms, text in (*((interval.checked_ms, checked) for interval in record.history), (began_ms, supply)):
        if time_ms:
            steps.append({"time_ms": time_ms, "text": text, "reason": None, "note": "", "operator": ""})
    steps.sort(key=lambda step: step["time_ms"])
    return [step | {"time": show_moment(step["time_ms"])} for step in steps]


def _cases(services: Services, record: RequestRecord) -> list[dict[str, Any]]:
    """Return the newest corrections, disputes and recalls of a request, each kind in its order."""
    state = services.state()
    found: list[dict[str, Any]] = []
    for number in _newest(record.corrections):
        if (one := load_correction(state, record.id, number)) is not None:
            found.append(_case("correction", number, one.asked_ms, one.claim, one.answer, one.answered_ms))
            found[-1] |= {"about": Text(one.item, one.item), "outcome": Text(*CORRECTION_OUTCOMES[one.outcome])}
    for number in _newest(record.disputes):
        if (raised := load_dispute(state, record.id, number)) is not None:
            found.append(_case("dispute", number, raised.raised_ms, raised.claim, raised.decision, raised.ended_ms))
            found[-1] |= {
                "about": Text(*DISPUTE_KINDS[raised.kind]),
                "outcome": Text(*DISPUTE_OUTCOMES[raised.outcome]),
            }
    for number in _newest(record.recalls):
        if (recall := load_recall(state, record.id, number)) is not None:
            found.append(_case("recall", number, recall.begun_ms, recall.reason, recall.note, recall.confirmed_ms))
            found[-1] |= {
                "about": Text(*(f"{show_day(recall.from_ms)} – {show_day(recall.to_ms)}",) * 2),
                "outcome": Text(*RECALL_OUTCOMES[bool(recall.confirmed_ms)]),
            }
    return found


def _case(kind: str, number: int, begun_ms: int, claim: str, answer: str, done_ms: int) -> dict[str, Any]:
    return {
        "kind": Text(*KINDS[kind]),
        "number": number,
        "begun": show_moment(begun_ms),
        "claim": claim,
        "answer": answer,
        "done": show_moment(done_ms) if done_ms else None,
    }


def _newest(count: int) -> range:
    return range(max(1, count - MAX_SHOWN_CASES + 1), count + 1)


def _words(table: dict[str, tuple[str, str]]) -> dict[str, Text]:
    return {name: Text(*words) for name, words in table.items()}


def _one_of(table: dict[str, tuple[str, str]]) -> Text:
    names = ", ".join(table)
    return Text(f"其中之一：{names}", f"one of {names}")
