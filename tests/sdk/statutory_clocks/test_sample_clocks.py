"""The sample calendars and both sample tables, counted out by hand on a wall calendar of 2026."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.data_sharing.working_days import Calendar, add_working_days, day_of, format_day, parse_day
from sdk.statutory_clocks.files import TERM_COLUMNS, load_calendars, load_terms_file
from verification.errors import InputError

SAMPLES = Path(__file__).parents[3] / "samples" / "clocks"


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    files = [*load_calendars(SAMPLES / "calendar-2025.csv"), *load_calendars(SAMPLES / "calendar-2026.csv")]
    days = [(parse_day(one.day), one.is_working) for file in files for one in file.days]
    return Calendar(days, [file.year for file in files])


@pytest.mark.parametrize(
    ("start", "region", "check", "reply"),
    [
        # Spring Festival: Saturday 14 February is worked, 15 to 23 are off, Saturday 28 is worked.
        ("2026-02-13 16:59", "9901", "2026-02-24", "2026-03-02"),
        ("2026-02-13 16:59", "9902", "2026-02-24", "2026-03-09"),
        # Mid-autumn and National Day: Sunday 20 September is worked, 25 to 27 September and 1 to 7 October are off, Saturday 10 is worked.
        ("2026-09-18 09:00", "9901", "2026-09-21", "2026-09-29"),
        ("2026-09-18 09:00", "9902", "2026-09-21", "2026-10-12"),
        # Across the end of a year: New Year 2026 is off, 2 and 3 January as well, Sunday 4 is worked.
        ("2025-12-31 23:59", "9901", "2026-01-05", "2026-01-12"),
        # An ordinary week.
        ("2026-07-06 00:00", "9901", "2026-07-08", "2026-07-15"),
        ("2026-07-06 00:00", "9902", "2026-07-08", "2026-07-22"),
    ],
)
def test_check_and_reply_fall_due_as_counted_by_hand(
    calendar: Calendar, start: str, region: str, check: str, reply: str
) -> None:
    (table,) = (one for one in load_terms_file(SAMPLES / "terms.csv") if one.region == region)
    days = {term.kind: term.working_days for term in table.terms}
    start_ms = int(datetime.fromisoformat(start).replace(tzinfo=timezone(timedelta(hours=8))).timestamp()) * 1_000
    check_ms = add_working_days(calendar, start_ms, days["compliance_check"])
    reply_ms = add_working_days(calendar, start_ms, days["compliance_check"] + days["reply_conditional"])
    assert (format_day(day_of(check_ms)), format_day(day_of(reply_ms))) == (check, reply)


@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda text: (",".join(TERM_COLUMNS) + "\n" + text).encode()))
def test_any_file_is_a_table_of_terms_or_a_named_fault(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any-terms.csv"
    file.write_bytes(raw)
    with contextlib.suppress(InputError):
        load_terms_file(file)
