"""The statutory clocks on a ledger with the State Council's calendars of 2025 and 2026: due days as counted by hand on a wall calendar.

Order 809 has 1 working day for the reply to a request for unconditional data, 10 for conditional data, and 20 for supply after approval.
Two local tables put a check of 2 days before the reply, and have 5 or 10 days for that. The other terms are those of the tables.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.deadlines import KINDS, ORDER_809
from contracts.data_sharing.due import Deadline
from contracts.data_sharing.working_days import DAY_MS, day_of, format_day
from sdk.statutory_clocks.files import load_calendars

SAMPLES = Path(__file__).parents[3] / "samples" / "clocks"
OPEN = "307013301/000002"
# Reply unconditional, reply conditional, check, supply, correction, dispute, recall.
TABLES = {"809": (1, 10, 0, 20, 10, 30, 5), "A": (1, 5, 2, 20, 5, 20, 3), "B": (1, 10, 2, 15, 10, 30, 5)}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone(timedelta(hours=8))).timestamp()) * 1_000


class Counter:
    """A ledger whose provider's region has one of the tables, and the ids of its requests."""

    def __init__(self, bench: Any, table: str) -> None:
        self.bench = bench
        bench.time_ms = at("2025-08-01 08:00")
        for year in (2025, 2026):
            (found,) = load_calendars(SAMPLES / f"calendar-{year}.csv")
            self.calendar = {one.day: [one.day, one.is_working, one.name] for one in found.days}
            days = list(self.calendar.values())
            bench.accept(bench.governor, "deadlines", "set_calendar", year=year, source="国办发明电", days=days)
        if table != "809":
            terms = [[kind, days] for kind, days in zip(KINDS, TABLES[table], strict=True)]
            said = {"region": "3301", "name": "示范", "source": "示范办法", "from_ms": 0, "terms": terms}
            bench.accept(bench.governor, "deadlines", "set_terms", **said)
        assert tuple(one.working_days for one in ORDER_809.terms) == TABLES["809"]
        bench.publish()
        bench.publish(code=OPEN, sharing_type=1, sharing_basis="")

    def take(self, time: str, account: Any, method: str, **arguments: Any) -> bytes:
        """Take a step of sharing at a time, and return what it returns."""
        self.bench.time_ms = at(time) - 1_000
        output: bytes = self.bench.accept(account, "sharing", method, **arguments).output
        return output

    def request(self, time: str, **changes: Any) -> bytes:
        arguments = self.bench.request_arguments(to_ms=at("2027-12-31 23:59"), **changes)
        return self.take(time, self.bench.requester, "request", **arguments)

    def grant(self, time: str, request: bytes) -> None:
        granted = {"request": request, "conditions": Conditions(), "to_ms": at("2027-12-31 23:59")}
        self.take(time, self.bench.approver, "grant", **granted)

    def check(self, time: str, request: bytes) -> None:
        self.take(time, self.bench.governor, "check", request=request, passed=True, note="")

    def due(self, request: bytes) -> dict[str, str]:
        """Return the day on which the newest of each kind is due; no calendar may be missing."""
        found: tuple[Deadline, ...] = self.bench.view("deadlines", "deadlines_of", request=request)
        assert not any(one.is_provisional for one in found)
        assert all((one.due_ms + 1 + 8 * 3_600_000) % DAY_MS == 0 for one in found), "a day ends at midnight in Beijing"
        return {one.kind: format_day(day_of(one.due_ms)) for one in found}

    def close(self, day: str) -> None:
        """Make a day of 2026 one on which nobody works."""
        days = sorted((self.calendar | {day: [day, False, "台风停工"]}).values())
        said = {"year": 2026, "source": "市政府通告", "days": days}
        self.bench.accept(self.bench.governor, "deadlines", "set_calendar", **said)


@pytest.fixture
def counter(make_bench: Callable[[], Any]) -> Callable[[str], Counter]:
    return lambda table: Counter(make_bench(), table)


# Spring Festival 2026: Saturday 14 February is worked, 15 to 23 are off, Saturday 28 is worked; 4 to 6 April are off.
SPRING = "2026-02-13 16:59"
# Sunday 20 September 2026 is worked, 25 to 27 September and 1 to 7 October are off, Saturday 10 October is worked.
NATIONAL = "2026-09-18 09:00"
# New Year's Day to Saturday 3 January 2026 are off, Sunday 4 is worked.
YEAR_END = "2025-12-31 23:59"
# A Saturday in an ordinary July.
WEEKEND = "2026-07-04 10:00"


@pytest.mark.parametrize(
    ("start", "table", "reply", "check", "correction", "dispute", "recall"),
    [
        (SPRING, "809", "2026-03-05", None, "2026-03-05", "2026-04-02", "2026-02-27"),
        (SPRING, "A", "2026-03-02", "2026-02-24", "2026-02-27", "2026-03-19", "2026-02-25"),
        (SPRING, "B", "2026-03-09", "2026-02-24", "2026-03-05", "2026-04-02", "2026-02-27"),
        (NATIONAL, "809", "2026-10-09", None, "2026-10-09", "2026-11-05", "2026-09-24"),
        (NATIONAL, "A", "2026-09-29", "2026-09-21", "2026-09-24", "2026-10-22", "2026-09-22"),
        (NATIONAL, "B", "2026-10-12", "2026-09-21", "2026-10-09", "2026-11-05", "2026-09-24"),
        (YEAR_END, "809", "2026-01-15", None, "2026-01-15", "2026-02-12", "2026-01-08"),
        (YEAR_END, "A", "2026-01-12", "2026-01-05", "2026-01-08", "2026-01-29", "2026-01-06"),
        (YEAR_END, "B", "2026-01-19", "2026-01-05", "2026-01-15", "2026-02-12", "2026-01-08"),
        (WEEKEND, "809", "2026-07-17", None, "2026-07-17", "2026-08-14", "2026-07-10"),
        (WEEKEND, "A", "2026-07-14", "2026-07-07", "2026-07-10", "2026-07-31", "2026-07-08"),
        (WEEKEND, "B", "2026-07-21", "2026-07-07", "2026-07-17", "2026-08-14", "2026-07-10"),
    ],
)
def test_what_begins_in_one_minute_is_due_as_counted_by_hand(
    counter: Callable[[str], Counter],
    start: str,
    table: str,
    reply: str,
    check: str | None,
    correction: str,
    dispute: str,
    recall: str,
) -> None:
    ledger = counter(table)
    supplied = ledger.request("2025-09-01 09:00")
    if check is not None:
        ledger.check("2025-09-01 10:00", supplied)
    ledger.grant("2025-09-02 09:00", supplied)
    bench, said = ledger.bench, {"request": supplied, "claim": "面积有误", "evidence": bytes(32)}
    ledger.take(start, bench.requester, "ask_correction", item="面积", **said)
    ledger.take(start, bench.requester, "raise_dispute", kind="quality", **said)
    recalled = {"request": supplied, "from_ms": at("2025-09-02 09:00"), "to_ms": 0, "ends_grant": False}
    ledger.take(start, bench.approver, "recall", reason="有误", **recalled)
    cases = ledger.due(supplied)
    expected = {"correction": correction, "dispute": dispute, "recall": recall}
    assert {kind: cases[kind] for kind in expected} == expected
    waiting = ledger.due(ledger.request(start))
    assert waiting == {"reply_conditional": reply} | ({} if check is None else {"compliance_check": check})


@pytest.mark.parametrize(
    ("start", "reply", "supply"),
    [
        # 14 February is a Saturday, 20 September and 4 January are Sundays: all three are worked.
        (SPRING, "2026-02-14", "2026-03-19"),
        (NATIONAL, "2026-09-20", "2026-10-22"),
        (YEAR_END, "2026-01-04", "2026-01-29"),
        (WEEKEND, "2026-07-06", "2026-07-31"),
        # The last second of a Sunday, and the first of the Monday after it.
        ("2026-07-05 23:59:59", "2026-07-06", "2026-07-31"),
        ("2026-07-06 00:00:00", "2026-07-07", "2026-08-03"),
    ],
)
def test_unconditional_data_is_granted_in_time_and_supplied_in_twenty_days(
    counter: Callable[[str], Counter], start: str, reply: str, supply: str
) -> None:
    ledger = counter("809")
    request = ledger.request(start, resource=OPEN)
    assert ledger.due(request) == {"reply_unconditional": reply, "supply": supply}
    answered = ledger.bench.view("deadlines", "deadlines_of", request=request)[0]
    assert answered.done_ms == at(start) <= answered.due_ms


@pytest.mark.parametrize(
    ("table", "start", "checked", "reply", "granted", "supply"),
    [
        ("A", SPRING, "2026-02-14 10:00", "2026-02-28", "2026-02-24 10:00", "2026-03-23"),
        ("B", SPRING, "2026-02-14 10:00", "2026-03-06", "2026-02-24 10:00", "2026-03-16"),
        # Checked in the last hour of its term.
        ("A", NATIONAL, "2026-09-21 23:00", "2026-09-29", "2026-09-29 10:00", "2026-11-02"),
        ("B", NATIONAL, "2026-09-21 23:00", "2026-10-12", "2026-09-29 10:00", "2026-10-26"),
        # Checked a day late: the reply stays due when both terms have run out.
        ("A", NATIONAL, "2026-09-22 00:00", "2026-09-29", "2026-09-29 10:00", "2026-11-02"),
    ],
)
def test_reply_runs_from_the_check_and_supply_from_the_grant(
    counter: Callable[[str], Counter], table: str, start: str, checked: str, reply: str, granted: str, supply: str
) -> None:
    ledger = counter(table)
    request = ledger.request(start)
    ledger.check(checked, request)
    assert ledger.due(request)["reply_conditional"] == reply
    ledger.grant(granted, request)
    assert ledger.due(request)["supply"] == supply


@pytest.mark.parametrize(
    ("table", "before", "after"),
    [
        ("809", ("2026-10-09", None), ("2026-10-10", None)),
        ("A", ("2026-09-29", "2026-11-02"), ("2026-09-29", "2026-11-03")),
        ("B", ("2026-10-12", "2026-10-26"), ("2026-10-13", "2026-10-27")),
    ],
)
def test_a_day_that_the_calendar_loses_moves_what_is_due_after_it(
    counter: Callable[[str], Counter], table: str, before: tuple[str, str | None], after: tuple[str, str | None]
) -> None:
    ledger = counter(table)
    waiting = ledger.request(NATIONAL)
    granted = None
    if table != "809":
        granted = ledger.request(NATIONAL)
        ledger.check("2026-09-21 10:00", granted)
        ledger.grant("2026-09-29 10:00", granted)

    def days() -> tuple[str, str | None]:
        return ledger.due(waiting)["reply_conditional"], None if granted is None else ledger.due(granted)["supply"]

    assert days() == before
    ledger.bench.time_ms = at("2026-09-29 12:00")
    # Friday 9 October: Saturday 10 is worked.
    ledger.close("2026-10-09")
    assert days() == after
