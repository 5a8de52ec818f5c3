"""The contract of calendar and terms: who records them, what may change, and which table holds where and when."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from contracts import registry
from contracts.data_sharing.deadlines import (
    KINDS,
    MAX_LISTED_VERSIONS,
    ORDER_809,
    TERM_VERSIONS,
    load_calendar,
    load_terms,
)
from contracts.data_sharing.numbered_versions import MAX_COMING
from contracts.data_sharing.working_days import MAX_CALENDAR_DAYS, add_working_days, day_of, format_day, parse_day
from contracts.refusals import Refused

DAY_MS = 86_400_000
SOURCE = "国办发明电〔2024〕12号"
OCTOBER = [[f"2025-10-{day:02d}", False, "国庆节、中秋节"] for day in range(1, 9)]
MAKE_UP = [["2025-09-28", True, "国庆节调休"], ["2025-10-11", True, "国庆节调休"]]
DAYS_2025 = sorted(OCTOBER + MAKE_UP)


def beijing(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone(timedelta(hours=8))).timestamp()) * 1_000


def terms(**changes: int) -> list[list[Any]]:
    """Return the terms of order 809 with some changed."""
    return [[one.kind, changes.get(one.kind, one.working_days)] for one in ORDER_809.terms]


def table(region: str, from_ms: int, **changes: int) -> dict[str, Any]:
    return {"region": region, "name": "示范", "source": "示范市办法", "from_ms": from_ms, "terms": terms(**changes)}


def due(bench: Any, start: str, days: int) -> str:
    start_ms = beijing(start)
    return format_day(day_of(add_working_days(load_calendar(bench.state, start_ms), start_ms, days)))


def test_a_governor_records_the_calendar_of_a_year(bench: Any) -> None:
    assert due(bench, "2025-09-30 10:00", 3) == "2025-10-03"
    result = bench.accept(bench.governor, "deadlines", "set_calendar", year=2025, source=SOURCE, days=DAYS_2025)
    record = bench.view("deadlines", "calendar", year=2025)
    assert (record.year, record.source, record.version, len(record.days)) == (2025, SOURCE, 1, 10)
    assert [registry.decode_log(log).event for log in result.logs] == ["CalendarSet"]
    assert due(bench, "2025-09-30 10:00", 3) == "2025-10-11"
    bench.refuse("ROLE_MISSING", bench.approver, "deadlines", "set_calendar", year=2026, source=SOURCE, days=[])


def test_a_calendar_reaches_into_the_next_year(bench: Any) -> None:
    new_year = [["2026-01-01", False, "元旦"], ["2026-01-02", False, "元旦"], ["2026-01-04", True, "元旦调休"]]
    bench.accept(bench.governor, "deadlines", "set_calendar", year=2026, source="国办发明电〔2025〕7号", days=new_year)
    assert due(bench, "2025-12-31 10:00", 1) == "2026-01-04"
    assert due(bench, "2025-12-31 10:00", 2) == "2026-01-05"


def test_days_after_today_may_change_and_move_what_is_not_yet_due(bench: Any) -> None:
    bench.accept(bench.governor, "deadlines", "set_calendar", year=2025, source=SOURCE, days=DAYS_2025)
    bench.time_ms = beijing("2025-10-09 09:00")
    before = due(bench, "2025-10-09 09:00", 2)
    changed = [*DAYS_2025[:-1], ["2025-10-10", False, "台风停工"], ["2025-10-11", True, "国庆节调休"]]
    bench.accept(bench.governor, "deadlines", "set_calendar", year=2025, source=SOURCE, days=changed)
    assert (before, due(bench, "2025-10-09 09:00", 2)) == ("2025-10-11", "2025-10-13")
    assert bench.view("deadlines", "calendar", year=2025).version == 2


@pytest.mark.parametrize(
    ("changed", "day"),
    [
        (DAYS_2025[1:], "2025-09-28"),
        ([["2025-09-01", False, "补记"], *DAYS_2025], "2025-09-01"),
        ([["2025-09-28", False, "国庆节调休"], *DAYS_2025[1:]], "2025-09-28"),
        ([*DAYS_2025[:8], *DAYS_2025[9:]], "2025-10-08"),
        ([*DAYS_2025[:9], ["2025-10-09", False, "今天"], *DAYS_2025[9:]], "2025-10-09"),
    ],
)
def test_what_has_been_due_stays_due(bench: Any, changed: list[Any], day: str) -> None:
    bench.accept(bench.governor, "deadlines", "set_calendar", year=2025, source=SOURCE, days=DAYS_2025)
    bench.time_ms = beijing("2025-10-09 09:00")
    text = bench.refuse(
        "CALENDAR_DAY_PAST", bench.governor, "deadlines", "set_calendar", year=2025, source=SOURCE, days=changed
    )
    assert day in text


@pytest.mark.parametrize(
    "days",
    [
        [["2026-10-01", False, "另一年"]],
        [["2025-13-01", False, "没有此月"]],
        [["2025-10-1", False, "写法"]],
        [["2025-10-02", False, "后"], ["2025-10-01", False, "前"]],
        [["2025-10-01", False, "两次"], ["2025-10-01", False, "两次"]],
        [["2025-10-01", False, "矛盾"], ["2025-10-01", True, "矛盾"]],
    ],
)
def test_a_calendar_has_days_of_its_year_in_order(bench: Any, days: list[Any]) -> None:
    bench.refuse("CALENDAR_DAY", bench.governor, "deadlines", "set_calendar", year=2025, source=SOURCE, days=days)


def test_a_calendar_has_limits(bench: Any) -> None:
    for year in (2023, 2028):
        bench.refuse("CALENDAR_YEAR", bench.governor, "deadlines", "set_calendar", year=year, source=SOURCE, days=[])
    first = parse_day("2025-01-01")
    days = [[format_day(first + number), False, "假"] for number in range(MAX_CALENDAR_DAYS + 1)]
    bench.refuse("LIST_TOO_LONG", bench.governor, "deadlines", "set_calendar", year=2025, source=SOURCE, days=days)
    with pytest.raises(Refused, match="CALENDAR_UNKNOWN"):
        bench.view("deadlines", "calendar", year=2031)


def test_the_longest_prefix_of_a_region_decides(bench: Any) -> None:
    assert load_terms(bench.state, "330106", bench.time_ms) == ORDER_809
    start = bench.time_ms + DAY_MS
    bench.accept(bench.governor, "deadlines", "set_terms", **table("33", start, reply_conditional=8))
    bench.accept(
        bench.governor, "deadlines", "set_terms", **table("3301", start, compliance_check=2, reply_conditional=5)
    )
    found = {
        region: [
            load_terms(bench.state, region, start).working_days(kind)
            for kind in ("compliance_check", "reply_conditional")
        ]
        for region in ("330106", "330106001", "330200", "320100", "33")
    }
    assert found == {"330106": [2, 5], "330106001": [2, 5], "330200": [0, 8], "320100": [0, 10], "33": [0, 8]}


def test_a_table_holds_for_what_begins_under_it(bench: Any) -> None:
    first, second = bench.time_ms + DAY_MS, bench.time_ms + 40 * DAY_MS
    bench.accept(bench.governor, "deadlines", "set_terms", **table("3301", first, reply_conditional=5))
    bench.time_ms += 20 * DAY_MS
    bench.accept(bench.governor, "deadlines", "set_terms", **table("3301", second, reply_conditional=3))
    found = [
        load_terms(bench.state, "330106", time_ms).working_days("reply_conditional")
        for time_ms in (first - 1, first, second - 1, second)
    ]
    assert found == [10, 5, 5, 3]
    # One that has not begun yet is replaced by one that begins before it.
    bench.accept(bench.governor, "deadlines", "set_terms", **table("3301", second - DAY_MS, reply_conditional=4))
    assert load_terms(bench.state, "330106", second).working_days("reply_conditional") == 4
    assert len(bench.view("deadlines", "terms", region="3301").versions) == 2


def test_terms_may_hold_at_once(bench: Any) -> None:
    bench.accept(bench.governor, "deadlines", "set_terms", **table("33", 0, supply=7))
    assert load_terms(bench.state, "330106", bench.time_ms).working_days("supply") == 7
    assert load_terms(bench.state, "330106", bench.time_ms - 1).working_days("supply") == 20


def test_terms_for_everywhere_take_the_place_of_those_built_in(bench: Any) -> None:
    assert bench.view("deadlines", "terms", region="").versions == (ORDER_809,)
    start = bench.time_ms + DAY_MS
    bench.accept(bench.governor, "deadlines", "set_terms", **table("", start, supply=15))
    assert load_terms(bench.state, "330106", start - 1).working_days("supply") == 20
    assert bench.view("deadlines", "terms_at", region="330106", time_ms=start).working_days("supply") == 15
    with pytest.raises(Refused, match="TERMS_UNKNOWN"):
        bench.view("deadlines", "terms", region="44")


def test_terms_that_make_no_sense_are_refused(bench: Any) -> None:
    now = bench.time_ms + DAY_MS
    governor = bench.governor
    bench.refuse("TERMS_BEGIN_PAST", governor, "deadlines", "set_terms", **table("33", bench.time_ms - 1))
    for region in ("3", "330", "33010", "省", "33 ", "3301061"):
        bench.refuse("REGION_PREFIX_MALFORMED", governor, "deadlines", "set_terms", **table(region, now))
    bench.refuse("TERM_TOO_LONG", governor, "deadlines", "set_terms", **table("33", now, supply=121))
    # A request that waits for its check has both terms, one after the other.
    both = table("33", now, compliance_check=61, reply_conditional=60)
    bench.refuse("TERM_TOO_LONG", governor, "deadlines", "set_terms", **both)
    lacking = table("33", now) | {"terms": terms()[1:]}
    bench.refuse("LENGTHS_DIFFER", governor, "deadlines", "set_terms", **lacking)
    twice = table("33", now) | {"terms": [*terms()[1:], terms()[1]]}
    bench.refuse("LIST_REPEATS", governor, "deadlines", "set_terms", **twice)
    unknown = table("33", now) | {"terms": [*terms()[1:], ["appeal", 3]]}
    bench.refuse("VALUE_UNKNOWN", governor, "deadlines", "set_terms", **unknown)
    bench.refuse("ROLE_MISSING", bench.administrator, "deadlines", "set_terms", **table("33", now))


def test_terms_may_change_for_as_long_as_there_is_a_ledger(bench: Any) -> None:
    begins = []
    for number in range(MAX_LISTED_VERSIONS + 5):
        bench.accept(bench.governor, "deadlines", "set_terms", **table("33", 0, supply=number + 1))
        begins.append(bench.time_ms)
    found = [load_terms(bench.state, "330106", time_ms).working_days("supply") for time_ms in begins]
    assert found == list(range(1, MAX_LISTED_VERSIONS + 6))
    listed = bench.view("deadlines", "terms", region="33").versions
    assert [one.from_ms for one in listed] == begins[-MAX_LISTED_VERSIONS:]


def test_no_more_versions_wait_to_begin_than_one_call_may_replace(bench: Any) -> None:
    start = bench.time_ms + DAY_MS
    bench.accept(bench.governor, "deadlines", "set_terms", **table("33", 0, supply=1))
    for days in range(MAX_COMING):
        bench.accept(bench.governor, "deadlines", "set_terms", **table("33", start + days * DAY_MS))
    one_more = table("33", start + MAX_COMING * DAY_MS)
    bench.refuse("LIST_TOO_LONG", bench.governor, "deadlines", "set_terms", **one_more)
    bench.time_ms = start
    bench.accept(bench.governor, "deadlines", "set_terms", **one_more)
    # Before all of them, at once: what has begun stays.
    bench.accept(bench.governor, "deadlines", "set_terms", **table("33", 0, supply=2))
    assert [one.working_days("supply") for one in bench.view("deadlines", "terms", region="33").versions] == [1, 20, 2]


def test_what_has_not_begun_is_replaced_and_nothing_of_it_stays(bench: Any) -> None:
    start = bench.time_ms + DAY_MS
    bench.accept(bench.governor, "deadlines", "set_terms", **table("33", 0, supply=1))
    for days in range(1, 5):
        bench.accept(bench.governor, "deadlines", "set_terms", **table("33", start + days * DAY_MS, supply=10 + days))
    bench.accept(bench.governor, "deadlines", "set_terms", **table("33", start + 2 * DAY_MS, supply=7))
    listed = bench.view("deadlines", "terms", region="33").versions
    assert [one.working_days("supply") for one in listed] == [1, 11, 7]
    assert [one for one in bench.state if TERM_VERSIONS.prefix == one[: len(TERM_VERSIONS.prefix)]][3:] == []
    found = [load_terms(bench.state, "33", start + days * DAY_MS).working_days("supply") for days in (0, 1, 2, 99)]
    assert found == [1, 11, 7, 7]


def test_every_kind_of_term_has_a_default_and_two_names() -> None:
    assert [one.kind for one in ORDER_809.terms] == list(KINDS)
    assert all(zh and en for zh, en in KINDS.values())
