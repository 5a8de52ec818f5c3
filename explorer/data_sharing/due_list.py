"""What is owed under requests and until when: the rows of the index, with the calendar of the moment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sql

from contracts.data_sharing.deadlines import KINDS, load_calendar
from contracts.data_sharing.due import DATA_AUTHORITY, Deadline, Obligation, deadline_of
from contracts.data_sharing.working_days import count_working_days, day_of
from contracts.records import Reader
from explorer.data_sharing.open_items import count_open_items, find_open_items
from explorer.problems import Text
from explorer.services import Services

AUTHORITY_NAME = Text("数据主管部门（治理账户）", "the data authority (governors)")


class DueItem(NamedTuple):
    """An open item with its deadline, and the request that it is under."""

    request: bytes
    resource: str
    provider: str
    consumer: str
    deadline: Deadline

    @property
    def place(self) -> str:
        """Where the item stands in a list by deadlines: what ends first comes first."""
        one = self.deadline
        return f"{one.due_ms:016d}/{self.request.hex()}/{one.kind}/{one.number}"


class DueList(NamedTuple):
    """Open items by deadline, and whether more are open than the list looks at."""

    items: list[DueItem]
    is_cut: bool


def find_due(engine: sql.Engine, state: Reader, now_ms: int, **wanted: str | None) -> DueList:
    """Return what is owed at a time by the index, by deadline; `wanted` is what find_open_items() takes."""
    found = find_open_items(engine, now_ms, **wanted)
    return DueList(due_items(state, found.rows, now_ms), found.is_cut)


def due_items(state: Reader, rows: Iterable[Any], now_ms: int) -> list[DueItem]:
    """Return the items of the index's rows that are owed at a time, by deadline."""
    found: list[DueItem] = []
    terms = _Terms(state)
    for row in rows:
        owed = Obligation(row.kind, row.number, row.department, row.start_ms, row.working_days, lapses_ms=row.lapses_ms)
        if not owed.is_open(now_ms):
            continue
        ended = terms.deadline_of(owed)
        deadline = Deadline(
            owed.kind,
            owed.number,
            owed.department,
            owed.start_ms,
            owed.working_days,
            ended.due_ms,
            0,
            owed.lapses_ms,
            owed.fell_away,
            ended.is_provisional,
        )
        found.append(DueItem(row.request, row.resource, row.provider, row.consumer, deadline))
    return sorted(found, key=lambda item: item.place)


class _Terms:
    """When terms end at one state: those of one length that begin on one day end together, whatever calendar holds."""

    def __init__(self, state: Reader) -> None:
        self._state = state
        self._known: dict[tuple[int, int], Deadline] = {}

    def deadline_of(self, owed: Obligation) -> Deadline:
        """Return a deadline with the same end."""
        key = (day_of(owed.start_ms), owed.working_days)
        if key not in self._known:
            self._known[key] = deadline_of(owed, load_calendar(self._state, owed.start_ms))
        return self._known[key]


def count_overdue(engine: sql.Engine, state: Reader, now_ms: int) -> dict[tuple[str, str], int]:
    """Return how many items are overdue at a time, by kind and by the department that has to act: every item is counted."""
    counts: dict[tuple[str, str], int] = {}
    terms = _Terms(state)
    for row in count_open_items(engine, now_ms):
        owed = Obligation(row.kind, 0, row.department, row.start_ms, row.working_days)
        if terms.deadline_of(owed).due_ms < now_ms:
            key = (row.kind, row.department)
            counts[key] = counts.get(key, 0) + row.items
    return counts


def show_deadline(services: Services, deadline: Deadline, now_ms: int) -> dict[str, Any]:
    """Return a deadline with its words, and how many working days are left or gone beyond it at a time."""
    state = services.state()
    calendar = load_calendar(state, min(deadline.due_ms, now_ms), max(deadline.due_ms, now_ms))
    is_open = Obligation(
        deadline.kind, deadline.number, "", deadline.start_ms, 1, deadline.done_ms, deadline.lapses_ms
    ).is_open(now_ms)
    end_ms = deadline.done_ms or (now_ms if is_open else deadline.lapses_ms)
    return {
        "kind": deadline.kind,
        "kind_text": Text(*KINDS[deadline.kind])._asdict(),
        "number": deadline.number,
        "department": deadline.department,
        "department_name": department_name(services, deadline.department),
        "start_ms": deadline.start_ms,
        "working_days": deadline.working_days,
        "due_ms": deadline.due_ms,
        "done_ms": deadline.done_ms or None,
        "fell_away": deadline.fell_away,
        "is_open": is_open,
        "is_overdue": is_open and deadline.due_ms < now_ms,
        "days_left": count_working_days(calendar, now_ms, deadline.due_ms) if is_open else 0,
        "days_late": count_working_days(calendar, deadline.due_ms, end_ms),
        "is_provisional": deadline.is_provisional,
    }


def show_item(services: Services, item: DueItem, now_ms: int) -> dict[str, Any]:
    """Return an open item with its deadline, and the names behind its codes."""
    return {
        "request": "0x" + item.request.hex(),
        "resource": item.resource,
        "provider": item.provider,
        "provider_name": services.department_name(item.provider),
        "consumer": item.consumer,
        "consumer_name": services.department_name(item.consumer),
        **show_deadline(services, item.deadline, now_ms),
    }


def department_name(services: Services, code: str) -> str:
    """Return the name of who has to act."""
    return f"{AUTHORITY_NAME.zh} / {AUTHORITY_NAME.en}" if code == DATA_AUTHORITY else services.department_name(code)
