"""Working days: weekends, holidays, make-up days, the edges of a day in Beijing, and a model that walks day by day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.data_sharing.working_days import (
    DAY_MS,
    MAX_TERM_DAYS,
    Calendar,
    add_working_days,
    count_working_days,
    day_end_ms,
    day_of,
    format_day,
    parse_day,
    year_of,
)

BEIJING = timezone(timedelta(hours=8))
# National Day and Mid-autumn 2025 as the State Council's notice has them (国办发明电〔2024〕12号): 1 to 8 October off, 28 September and
# 11 October worked.
OCTOBER_2025 = Calendar(
    [(parse_day(f"2025-10-{day:02d}"), False) for day in range(1, 9)]
    + [(parse_day("2025-09-28"), True), (parse_day("2025-10-11"), True)],
    [2025],
)


def at(text: str) -> int:
    """Return a time of Beijing, YYYY-MM-DD HH:MM, as ms."""
    return int(datetime.fromisoformat(text).replace(tzinfo=BEIJING).timestamp()) * 1_000


def due_day(calendar: Calendar, start: str, days: int) -> str:
    return format_day(day_of(add_working_days(calendar, at(start), days)))


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        # 2025-08-01 was a Friday.
        ("2025-08-01 09:00", 1, "2025-08-04"),
        ("2025-08-02 09:00", 1, "2025-08-04"),
        ("2025-08-03 23:59", 1, "2025-08-04"),
        ("2025-08-04 00:00", 1, "2025-08-05"),
        ("2025-08-01 09:00", 10, "2025-08-15"),
        ("2025-08-01 09:00", 20, "2025-08-29"),
    ],
)
def test_a_term_leaves_out_its_first_day_and_weekends(start: str, days: int, due: str) -> None:
    assert due_day(Calendar(), start, days) == due


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        # The Sunday 28 September is worked, 1 to 8 October are not, nor is 12 October, a Sunday; Saturday 11 October is worked.
        ("2025-09-26 10:00", 1, "2025-09-28"),
        ("2025-09-26 10:00", 3, "2025-09-30"),
        ("2025-09-26 10:00", 4, "2025-10-09"),
        ("2025-09-30 10:00", 1, "2025-10-09"),
        ("2025-09-30 10:00", 3, "2025-10-11"),
        ("2025-09-30 10:00", 4, "2025-10-13"),
        ("2025-10-01 10:00", 10, "2025-10-21"),
    ],
)
def test_holidays_do_not_count_and_make_up_days_do(start: str, days: int, due: str) -> None:
    assert due_day(OCTOBER_2025, start, days) == due


def test_a_term_ends_with_the_last_millisecond_of_its_day_in_beijing() -> None:
    due_ms = add_working_days(Calendar(), at("2025-08-04 15:00"), 1)
    assert datetime.fromtimestamp((due_ms + 1) / 1_000, BEIJING) == datetime(2025, 8, 6, tzinfo=BEIJING)
    # 15:59:59.999 UTC: a machine's own zone plays no part.
    assert datetime.fromtimestamp(due_ms // 1_000, UTC) == datetime(2025, 8, 5, 15, 59, 59, tzinfo=UTC)


def test_the_day_changes_at_midnight_in_beijing() -> None:
    midnight = at("2025-08-05 00:00")
    assert format_day(day_of(midnight - 1)) == "2025-08-04"
    assert format_day(day_of(midnight)) == "2025-08-05"
    assert add_working_days(Calendar(), midnight, 1) - add_working_days(Calendar(), midnight - 1, 1) == DAY_MS


def test_how_late_something_is_counts_working_days_only() -> None:
    due_ms = add_working_days(OCTOBER_2025, at("2025-09-26 10:00"), 3)
    assert count_working_days(OCTOBER_2025, due_ms, due_ms) == 0
    assert count_working_days(OCTOBER_2025, due_ms, at("2025-10-08 23:59")) == 0
    assert count_working_days(OCTOBER_2025, due_ms, at("2025-10-11 08:00")) == 3
    assert count_working_days(OCTOBER_2025, due_ms, due_ms - 9 * DAY_MS) == 0


def test_a_year_that_is_not_recorded_is_known_as_such() -> None:
    assert OCTOBER_2025.is_recorded(parse_day("2025-12-31"))
    assert not OCTOBER_2025.is_recorded(parse_day("2026-01-01"))


@pytest.mark.parametrize("days", [0, -1, MAX_TERM_DAYS + 1])
def test_a_term_outside_the_limits_is_an_error(days: int) -> None:
    with pytest.raises(ValueError, match="working days"):
        add_working_days(Calendar(), at("2025-08-01 09:00"), days)


@pytest.mark.parametrize("text", ["2025-2-1", "20250201", "2025-02-30", "2025-W05-1", "", "2025-02-01T00:00"])
def test_a_day_has_one_writing(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|Invalid|day|month"):
        parse_day(text)


DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@given(
    start=st.datetimes(datetime(2000, 1, 1), datetime(2090, 12, 31)),  # noqa: DTZ001 - a time of Beijing
    named=st.dictionaries(st.integers(-5, 60), st.booleans(), max_size=30),
    term=st.integers(1, 40),
)
def test_terms_are_those_of_a_model_that_walks_dates(start: datetime, named: dict[int, bool], term: int) -> None:
    by_date = {start.date() + timedelta(days=offset): works for offset, works in named.items()}
    calendar = Calendar([(parse_day(day.isoformat()), works) for day, works in by_date.items()])
    walked, left, passed = start.date(), term, 0
    while left:
        walked += timedelta(days=1)
        if by_date.get(walked, walked.isoweekday() <= 5):
            left -= 1
            passed += 1
    start_ms = int(start.replace(tzinfo=BEIJING).timestamp() * 1_000)
    due_ms = add_working_days(calendar, start_ms, term)
    after = datetime.combine(walked + timedelta(days=1), datetime.min.time(), BEIJING)
    assert due_ms == int(after.timestamp()) * 1_000 - 1
    assert count_working_days(calendar, start_ms, due_ms) == passed == term


@given(DAYS)
def test_a_day_and_its_text_lead_back_to_each_other(day: date) -> None:
    number = parse_day(day.isoformat())
    assert (format_day(number), year_of(number)) == (day.isoformat(), day.year)
    assert day_of(day_end_ms(number)) == number
    assert day_of(day_end_ms(number) + 1) == number + 1
