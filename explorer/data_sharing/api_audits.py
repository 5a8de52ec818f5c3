"""REST: the auditing authority for everybody; auditors' queries for auditors; findings for auditors and the departments concerned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from contracts.data_sharing.audit_figures import FIGURES, FiguresRecord, load_figure_table
from contracts.data_sharing.audits import (
    CONFIRMED,
    EXPLAINED,
    FINDING_STATES,
    QUERY_KINDS,
    RAISED,
    FindingRecord,
    QueryRecord,
    count_figure_tables,
    count_findings,
    count_in_state,
    count_queries,
    load_authorities,
    load_finding,
    load_query,
)
from contracts.records import Reader
from explorer.auth import Caller
from explorer.data_sharing import audit_schemas
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.schemas import Page
from explorer.services import Services, is_auditor, services_of
from node.http.json_form import to_json
from verification.access.rule_table import RULES

OPEN_STATES: Final = frozenset({RAISED, EXPLAINED, CONFIRMED})
"""Of a finding about which somebody still has to do something."""
MAX_LOOKED_AT: Final = 5_000
"""Records that one page looks through for those that are asked for; the next page goes on behind them."""

Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
R = TypeVar("R")

ROUTER = APIRouter(prefix="/api/v1/audits", tags=["审计 Audits"])


@ROUTER.get("/authority", summary="审计机关 / The auditing authority", response_model=audit_schemas.Authority)
async def authority(request: Request) -> Response:
    """由治理账户确定；无须签名。 / Named by a governor; no signature."""
    return json_response(request, show_authority(services_of(request)), cacheable=True)


@ROUTER.get(
    "/figures",
    summary="审计规则的参数表 / Published figures of the audit's rules",
    response_model=Page[audit_schemas.FigureTable],
)
async def figures(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    department: Annotated[str | None, Query(max_length=18, description="部门代码 / code of a department")] = None,
) -> Response:
    """工作时间与读取量的参数，按部门公布，新的在前；无须签名。 / Working hours and volumes by department, newest first; no signature."""

    def is_wanted(record: FiguresRecord) -> bool:
        return department in (None, record.department)

    page = await _page(request, _FIGURE_TABLES, cursor, limit, is_wanted)
    return json_response(request, page, cacheable=True)


@ROUTER.get(
    "/queries",
    summary="审计查询（审计方签名） / Auditors' queries (signed)",
    response_model=Page[audit_schemas.AuditQuery],
)
async def queries(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    department: Annotated[str | None, Query(max_length=18, description="查询方部门 / who asked")] = None,
) -> Response:
    """审计方在查阅之前登记的查询，新的在前；各审计方互相可见。 / What auditors recorded before they were answered, newest first."""
    if not is_auditor(services_of(request).identify(request)):
        raise Problem("ROLE_REQUIRED")

    def is_wanted(record: QueryRecord) -> bool:
        return department in (None, record.department)

    return json_response(request, await _page(request, _QUERIES, cursor, limit, is_wanted))


@ROUTER.get(
    "/findings",
    summary="审计发现（须签名） / Findings (signed)",
    response_model=Page[audit_schemas.Finding],
)
async def findings(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    state: Annotated[str | None, Query(max_length=16, description="/".join(FINDING_STATES))] = None,
    rule: Annotated[str | None, Query(max_length=32, description="规则代码 / code of the rule")] = None,
    department: Annotated[str | None, Query(max_length=18, description="须作说明的部门 / who has to explain")] = None,
) -> Response:
    """审计方可见全部，部门可见须由其说明的；新的在前。 / Auditors see all, departments what they have to explain; newest first."""
    caller = services_of(request).identify(request)
    if state is not None and state not in FINDING_STATES:
        expected = "/".join(FINDING_STATES)
        raise Problem("PARAMETER_INVALID", field="state", expected=Text(expected, expected), found=state)

    def is_wanted(record: FindingRecord) -> bool:
        return (
            may_see(caller, record)
            and state in (None, record.state)
            and rule in (None, record.subject.rule)
            and department in (None, record.subject.department)
        )

    return json_response(request, await _page(request, _FINDINGS, cursor, limit, is_wanted))


@ROUTER.get(
    "/findings/{number}", summary="一项审计发现（须签名） / One finding (signed)", response_model=audit_schemas.Finding
)
async def finding(request: Request, number: Number) -> Response:
    """审计方与须作说明的部门可见。 / For auditors and the department that has to explain it."""
    services = services_of(request)
    caller = services.identify(request)
    record = load_finding(services.state(), number)
    if record is None or not may_see(caller, record):
        # Whether there is one is not for others either.
        raise Problem("NOT_FOUND", found=str(number)) if is_auditor(caller) else Problem("ROLE_REQUIRED")
    return json_response(request, show_finding(services, record))


def may_see(caller: Caller, record: FindingRecord) -> bool:
    """Return whether a caller is an auditor, or of the department that has to explain a finding."""
    return is_auditor(caller) or caller.department == record.subject.department


def show_authority(services: Services) -> dict[str, Any]:
    """Return the auditing authority, those before it, and how much there is of audits on the ledger."""
    state = services.state()
    history = load_authorities(state)
    department = history[-1].department if history else ""
    return {
        "department": department,
        "department_name": services.department_name(department) if department else "",
        "history": [
            {**to_json(interval), "department_name": services.department_name(interval.department)}
            for interval in history
        ],
        "queries": count_queries(state),
        "findings": count_findings(state),
    }


def count_by_rule(state: Reader) -> dict[tuple[str, str], int]:
    """Return how many findings there are now by each rule of this release in each state."""
    return {(rule, one): count_in_state(state, rule, one) for rule in RULES for one in FINDING_STATES}


def show_query(services: Services, record: QueryRecord) -> dict[str, Any]:
    """Return an auditor's query with the names behind its codes."""
    return {
        **to_json(record),
        "department_name": services.department_name(record.department),
        "kind_text": Text(*QUERY_KINDS[record.kind])._asdict(),
    }


def show_figure_table(services: Services, record: FiguresRecord) -> dict[str, Any]:
    """Return a published table of figures, each in words; the department's name is empty for the general one."""
    rows = [
        {
            "figure": row.figure,
            "text": Text(FIGURES[row.figure].zh, FIGURES[row.figure].en)._asdict(),
            "value": row.value,
        }
        for row in record.rows
    ]
    name = services.department_name(record.department) if record.department else ""
    return {**to_json(record), "department_name": name, "rows": rows}


def show_finding(services: Services, record: FindingRecord) -> dict[str, Any]:
    """Return a finding with its rule and state in words."""
    rule, other = record.subject.rule, record.subject.other
    return {
        **to_json(record),
        "raised_by_name": services.department_name(record.raised_by),
        "other_name": services.department_name(other) if other else "",
        "department_name": services.department_name(record.subject.department),
        # The contract takes rules that this release does not know.
        "rule_text": Text(*RULES.get(rule, (rule, rule)))._asdict(),
        "state": record.state,
        "state_text": Text(*FINDING_STATES[record.state])._asdict(),
    }


class _Listed(NamedTuple, Generic[R]):
    """Records with numbers from 1: how many there are, one by its number, and how it is shown."""

    count: Callable[[Reader], int]
    load: Callable[[Reader, int], R | None]
    show: Callable[[Services, R], dict[str, Any]]


_FIGURE_TABLES: Final = _Listed(count_figure_tables, load_figure_table, show_figure_table)
_QUERIES: Final = _Listed(count_queries, load_query, show_query)
_FINDINGS: Final = _Listed(count_findings, load_finding, show_finding)


async def _page(
    request: Request, listed: _Listed[R], cursor: str | None, limit: int, is_wanted: Callable[[R], bool]
) -> dict[str, Any]:
    """Return a page of the wanted records, newest first, behind a cursor."""
    services = services_of(request)
    state, before = services.state(), decode_number_cursor(cursor)
    count = listed.count(state)
    newest = count if before is None else min(before - 1, count)
    found, following = await run_in_threadpool(_find, state, listed.load, newest, limit, is_wanted)
    return {"items": [listed.show(services, record) for record in found], "next_cursor": following}


def _find(
    state: Reader,
    load: Callable[[Reader, int], R | None],
    newest: int,
    limit: int,
    is_wanted: Callable[[R], bool],
) -> tuple[list[R], str | None]:
    """Return the wanted records from a number downwards, and the cursor of what comes behind them."""
    found: list[R] = []
    oldest = max(1, newest - MAX_LOOKED_AT + 1)
    for number in range(newest, oldest - 1, -1):
        record = load(state, number)
        if record is not None and is_wanted(record):
            found.append(record)
            if len(found) == limit and number > 1:
                return found, encode_cursor(number)
    return found, encode_cursor(oldest) if oldest > 1 else None
