"""The web page of audits: who the auditing authority is, how much has been asked and found, by which rules, and how a trace is checked."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from contracts.data_sharing.audits import FINDING_STATES, QUERY_KINDS, count_findings, load_finding
from explorer.data_sharing.api_audits import show_authority
from explorer.pages import render
from explorer.problems import Text
from explorer.services import Services, services_of
from verification.access.rule_table import RULES
from verification.days import show_moment

MAX_COUNTED: Final = 5_000
"""Of the newest findings, by rule and state."""

ROUTER = APIRouter(include_in_schema=False)


@ROUTER.get("/audits")
async def audits(request: Request) -> Response:
    """Show what everybody may see of audits: counts, never which department or which read."""
    services = services_of(request)
    shown = show_authority(services)
    history = [{**interval, "since": show_moment(interval["from_ms"])} for interval in shown["history"]]
    return render(
        request,
        "audits.html",
        Text("数据共享审计", "Audits of data sharing"),
        authority=shown | {"history": history},
        rows=_count(services),
        states=[Text(*words) for words in FINDING_STATES.values()],
        kinds=[Text(*words) for words in QUERY_KINDS.values()],
    )


def _count(services: Services) -> list[dict[str, Any]]:
    """Return for each rule how many findings are in each state."""
    state = services.state()
    newest = count_findings(state)
    counted: Counter[tuple[str, str]] = Counter()
    for number in range(newest, max(0, newest - MAX_COUNTED), -1):
        record = load_finding(state, number)
        if record is not None:
            counted[record.subject.rule, record.state] += 1
    rules = sorted({rule for rule, _ in counted})
    return [
        {
            "rule": rule,
            "text": Text(*RULES.get(rule, (rule, rule))),
            "counts": [counted[rule, one] for one in FINDING_STATES],
        }
        for rule in rules
    ]
