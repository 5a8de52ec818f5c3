"""Whatever governors record, a deadline that has passed in a recorded year stays where it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.data_sharing.deadlines import ORDER_809, load_calendar, load_terms
from contracts.data_sharing.due import Obligation, deadline_of
from contracts.data_sharing.working_days import DAY_MS, day_of, format_day, year_of

CHANGES = st.lists(
    st.tuples(
        st.integers(0, 40),  # days that pass before the change
        st.booleans(),  # of the calendar, else of the terms
        st.dictionaries(
            st.integers(-30, 90), st.booleans(), max_size=6
        ),  # days around today, and whether they are worked
        st.integers(1, 15),  # working days of the new terms
    ),
    min_size=1,
    max_size=6,
)


def set_calendars(bench: Any, named: dict[int, bool]) -> None:
    """Try to record, for each year that is touched, the days that are recorded there with these ones in their place."""
    today = day_of(bench.time_ms)
    years = sorted({year_of(today), year_of(today + 90)})
    for year in years:
        recorded = bench.view("deadlines", "calendar", year=year).days if (year,) in bench.recorded else ()
        days = {one.day: [one.day, one.is_working, one.name] for one in recorded}
        for offset, works in named.items():
            if year_of(today + offset) == year:
                days[format_day(today + offset)] = [format_day(today + offset), works, "变更"]
        result = bench.call(
            bench.governor,
            "deadlines",
            "set_calendar",
            year=year,
            source="通告",
            days=[days[day] for day in sorted(days)],
        )
        assert result.refusal in (None, "CALENDAR_DAY_PAST")
        if result.refusal is None:
            bench.recorded.add((year,))


def reply_due(bench: Any, start_ms: int) -> tuple[int, bool]:
    days = load_terms(bench.state, "330100", start_ms).working_days("reply_conditional")
    found = deadline_of(Obligation("reply_conditional", 0, "", start_ms, days), load_calendar(bench.state, start_ms))
    return found.due_ms, found.is_provisional


@given(CHANGES)
@settings(max_examples=40, deadline=None)
def test_what_is_past_due_stays_past_due(
    make_bench: Any, changes: list[tuple[int, bool, dict[int, bool], int]]
) -> None:
    bench = make_bench()
    bench.recorded = set()
    starts: list[int] = []
    passed: dict[int, int] = {}
    for wait, is_calendar, named, term in changes:
        bench.time_ms += wait * DAY_MS + 1_000
        starts.append(bench.time_ms)
        for start_ms in starts:
            due_ms, is_provisional = reply_due(bench, start_ms)
            if due_ms < bench.time_ms and not is_provisional:
                passed.setdefault(start_ms, due_ms)
        if is_calendar:
            set_calendars(bench, named)
        else:
            terms = [[one.kind, term] for one in ORDER_809.terms]
            bench.accept(
                bench.governor,
                "deadlines",
                "set_terms",
                region="3301",
                name="示范",
                source="办法",
                from_ms=0,
                terms=terms,
            )
        assert {start_ms: reply_due(bench, start_ms)[0] for start_ms in passed} == passed


def test_a_first_calendar_may_move_what_was_provisional(bench: Any) -> None:
    start_ms = bench.time_ms
    before, is_provisional = reply_due(bench, start_ms)
    assert is_provisional
    bench.time_ms = before + DAY_MS
    year = year_of(day_of(start_ms))
    holiday = [[format_day(day_of(start_ms) + 1), False, "假"], [format_day(day_of(start_ms) + 2), False, "假"]]
    bench.accept(bench.governor, "deadlines", "set_calendar", year=year, source="通告", days=holiday)
    after, is_provisional = reply_due(bench, start_ms)
    assert (after > before, is_provisional) == (True, False)
    with pytest.raises(AssertionError):
        bench.accept(bench.governor, "deadlines", "set_calendar", year=year, source="通告", days=[])
