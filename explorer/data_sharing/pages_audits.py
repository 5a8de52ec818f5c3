"""The web page of audits: who the auditing authority is, how much has been asked and found, by which rules, and how a trace is checked."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from contracts.data_sharing.audit_figures import FIGURES, FiguresRecord, load_figure_table, table_in_force
from contracts.data_sharing.audits import FINDING_STATES, QUERY_KINDS, count_figure_tables
from explorer.data_sharing.api_audits import count_by_rule, show_authority
from explorer.pages import render
from explorer.problems import Text
from explorer.services import Services, services_of
from verification.access.rule_table import RULES
from verification.days import show_moment

MAX_COMING: Final = 50
"""Tables of figures that begin later, of which the page shows the next ones."""

ROUTER = APIRouter(include_in_schema=False)


@ROUTER.get("/audits")
async def audits(request: Request) -> Response:
    """Show what everybody may see of audits: counts, never which department or which read."""
    services = services_of(request)
    shown = show_authority(services)
    rows, figures = await run_in_threadpool(lambda: (_count(services), _show_figures(services)))
    history = [{**interval, "since": show_moment(interval["from_ms"])} for interval in shown["history"]]
    return render(
        request,
        "audits.html",
        Text("数据共享审计", "Audits of data sharing"),
        authority=shown | {"history": history},
        rows=rows,
        figures=figures,
        states=[Text(*words) for words in FINDING_STATES.values()],
        kinds=[Text(*words) for words in QUERY_KINDS.values()],
    )


def _count(services: Services) -> list[dict[str, Any]]:
    """Return for each rule of this release how many findings are in each state."""
    counted = count_by_rule(services.state())
    rules = [rule for rule in RULES if any(counted[rule, one] for one in FINDING_STATES)]
    return [
        {"rule": rule, "text": Text(*RULES[rule]), "counts": [counted[rule, one] for one in FINDING_STATES]}
        for rule in rules
    ]


def _show_figures(services: Services) -> list[dict[str, Any]]:
    """Return the figures in force now, the general ones first, then those that departments have of their own; and those to come."""
    state, now_ms = services.state(), services.view.ledger.head_time_ms
    tables = [
        table
        for number in range(1, count_figure_tables(state) + 1)
        if (table := load_figure_table(state, number)) is not None
    ]
    shown = []
    for department in ("", *sorted({table.department for table in tables if table.department})):
        table = table_in_force(tables, department, now_ms)
        own = {} if table is None else _values(table)
        values = own if department else {name: figure.preset for name, figure in FIGURES.items()} | own
        if values:
            shown.append(_shown(services, department, values, table.basis if table else ""))
    coming = sorted((table for table in tables if table.from_ms > now_ms), key=lambda table: table.from_ms)
    for table in coming[:MAX_COMING]:
        since = show_moment(table.from_ms)
        shown.append(_shown(services, table.department, _values(table), table.basis, since))
    return shown


def _values(table: FiguresRecord) -> dict[str, int]:
    return {row.figure: row.value for row in table.rows}


def _shown(services: Services, department: str, values: dict[str, int], basis: str, since: str = "") -> dict[str, Any]:
    """Return figures in words; `since` is when they begin, where that is to come."""
    name = Text(*(services.department_name(department),) * 2) if department else Text("各部门", "Every department")
    figures = [(Text(FIGURES[one].zh, FIGURES[one].en), f"{value:,}") for one, value in values.items()]
    taken_back = [(Text("不再另行规定", "none of its own any more"), "–")]
    return {"name": name, "code": department, "figures": figures or taken_back, "basis": basis, "since": since}
