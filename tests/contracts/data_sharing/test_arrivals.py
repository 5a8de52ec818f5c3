"""Return flow (回流): arrivals have gapless numbers, wrong records end and stay, and when the next is due follows the calendar."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import registry
from contracts.abi import decode_error
from contracts.data_sharing.arrival_records import Arrival, load_arrival, load_return_head, next_due_ms, return_state
from contracts.data_sharing.arrivals import MAX_ARRIVED_ROWS, MAX_BATCH_LENGTH, MAX_REASON_LENGTH
from contracts.data_sharing.resources import UPDATE_CYCLES
from contracts.data_sharing.working_days import DAY_MS, day_end_ms, format_time, parse_day
from contracts.parameters import LEAST_GAS
from sm_crypto.sm3 import sm3

RETURNED: dict[str, Any] = {"source_level": "province", "source_body": "省自然资源厅", "source_code": "SJ-1"}
WIDE = "\U00020000"


def came(bench: Any, **changes: Any) -> Arrival:
    """Return a month's data that came now."""
    now_ms = bench.time_ms
    fields: dict[str, Any] = {
        "version": 1,
        "from_ms": now_ms - 30 * DAY_MS,
        "to_ms": now_ms - DAY_MS,
        "rows": 120,
        "digest": sm3(b"salted"),
        "batch": "SJ-2026-11",
        "arrived_ms": now_ms - 5_000,
    }
    return Arrival(**(fields | changes))


@pytest.fixture
def code(bench: Any) -> str:
    published: str = bench.publish(**RETURNED)
    return published


def test_an_arrival_is_recorded_once_with_the_next_number(bench: Any, code: str) -> None:
    arrival = came(bench)
    said = {"code": code, "number": 1, "arrival": arrival}
    assert load_return_head(bench.state, code).since_ms == bench.view("catalogue", "resource", code=code).published_ms  # type: ignore[union-attr]
    bench.refuse("ROLE_MISSING", bench.publisher, "catalogue", "record_arrival", **said)
    bench.refuse("OTHER_DEPARTMENT", bench.recorder, "catalogue", "record_arrival", **said)
    bench.refuse("ARRIVAL_GAP", bench.provider_recorder, "catalogue", "record_arrival", **said | {"number": 2})
    bench.refuse("ARRIVAL_GAP", bench.provider_recorder, "catalogue", "record_arrival", **said | {"number": 0})
    bench.accept(bench.provider_recorder, "catalogue", "record_arrival", **said)
    kept = bench.view("catalogue", "arrival", code=code, number=1)
    assert (kept.arrival, kept.recorder, kept.provider) == (arrival, bench.provider_recorder.address, bench.land_bureau)
    assert (kept.recorded_ms, kept.ended_ms, kept.corrects, kept.corrected_by) == (bench.time_ms, 0, 0, 0)
    # Whoever does not know whether it went through sends it again.
    bench.accept(bench.provider_recorder, "catalogue", "record_arrival", **said)
    assert bench.view("catalogue", "arrival", code=code, number=1) == kept
    other = said | {"arrival": came(bench, rows=121)}
    bench.refuse("ARRIVAL_REWRITTEN", bench.provider_recorder, "catalogue", "record_arrival", **other)
    assert bench.view("catalogue", "return_head", code=code).count == 1


def test_a_wrong_record_ends_and_stays_to_be_seen(bench: Any, code: str) -> None:
    recorder, first = bench.provider_recorder, came(bench)
    bench.accept(recorder, "catalogue", "record_arrival", code=code, number=1, arrival=first)
    right = {"code": code, "number": 2, "corrects": 1, "arrival": came(bench, rows=12), "reason": "行数误填"}
    bench.refuse("OTHER_DEPARTMENT", bench.recorder, "catalogue", "correct_arrival", **right)
    bench.refuse("TEXT_EMPTY", recorder, "catalogue", "correct_arrival", **right | {"reason": ""})
    bench.refuse("ARRIVAL_UNKNOWN", recorder, "catalogue", "correct_arrival", **right | {"corrects": 3})
    # A record is not put in its own place.
    for place in ({"number": 2, "corrects": 2}, {"number": 1, "corrects": 1}, {"number": 1, "corrects": 0}):
        bench.refuse("ARRIVAL_UNKNOWN", recorder, "catalogue", "correct_arrival", **right | place)
    bench.accept(recorder, "catalogue", "correct_arrival", **right)
    bench.accept(recorder, "catalogue", "correct_arrival", **right)
    wrong, standing = (load_arrival(bench.state, code, number) for number in (1, 2))
    assert wrong is not None
    assert standing is not None
    assert (wrong.arrival, wrong.corrected_by, wrong.reason) == (first, 2, "行数误填")
    assert (wrong.ended_by, standing.corrects, standing.ended_ms) == (recorder.address, 1, 0)
    bench.refuse("ARRIVAL_ENDED", recorder, "catalogue", "correct_arrival", **right | {"number": 3})
    bench.refuse("ARRIVAL_ENDED", recorder, "catalogue", "void_arrival", code=code, number=1, reason="误")
    assert bench.view("catalogue", "return_head", code=code).count == 2
    never = {"code": code, "number": 2, "reason": "数据并未到达"}
    bench.refuse("OTHER_DEPARTMENT", bench.recorder, "catalogue", "void_arrival", **never)
    bench.accept(recorder, "catalogue", "void_arrival", **never)
    void = bench.view("catalogue", "arrival", code=code, number=2)
    assert (void.ended_ms, void.corrected_by, void.reason) == (bench.time_ms, 0, "数据并未到达")


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"version": 2}, "VERSION_UNKNOWN"),
        ({"digest": bytes(32)}, "DIGEST_ZERO"),
        ({"batch": ""}, "TEXT_EMPTY"),
        ({"batch": "批" * (MAX_BATCH_LENGTH + 1)}, "TEXT_TOO_LONG"),
        ({"rows": MAX_ARRIVED_ROWS + 1}, "COUNT_TOO_LARGE"),
        ({"from_ms": 2_000, "to_ms": 2_000}, "DATES_REVERSED"),
    ],
)
def test_what_cannot_have_come_is_refused(bench: Any, code: str, changes: dict[str, Any], refusal: str) -> None:
    said = {"code": code, "number": 1, "arrival": came(bench, **changes)}
    bench.refuse(refusal, bench.provider_recorder, "catalogue", "record_arrival", **said)


def test_nothing_arrives_in_the_future_and_no_period_ends_after_its_day(bench: Any, code: str) -> None:
    def refuse(**changes: Any) -> None:
        arrival = came(bench, **changes)
        said = {"code": code, "number": 1, "arrival": arrival}
        text = bench.refuse("ARRIVAL_TIME", bench.provider_recorder, "catalogue", "record_arrival", **said)
        assert format_time(arrival.arrived_ms) in text

    refuse(arrived_ms=bench.time_ms + 10**6)
    arrived_ms = bench.time_ms - 5_000
    end_ms = day_end_ms(parse_day(format_time(arrived_ms)[:10])) + 1
    refuse(arrived_ms=arrived_ms, to_ms=end_ms + 1)
    said = {"code": code, "number": 1, "arrival": came(bench, arrived_ms=arrived_ms, to_ms=end_ms, rows=0)}
    bench.accept(bench.provider_recorder, "catalogue", "record_arrival", **said)


def test_only_returned_data_arrives_and_its_numbers_go_on(bench: Any) -> None:
    code, recorder = bench.publish(), bench.provider_recorder
    said = {"code": code, "number": 1, "arrival": came(bench)}
    bench.refuse("RESOURCE_NOT_RETURNED", recorder, "catalogue", "record_arrival", **said)
    bench.refuse("RESOURCE_UNKNOWN", recorder, "catalogue", "record_arrival", **said | {"code": "307013301/999"})
    returned, own = bench.resource_description(**RETURNED), bench.resource_description()
    bench.accept(bench.publisher, "catalogue", "publish", resource=returned, replaces=1)
    since_ms = bench.view("catalogue", "return_head", code=code).since_ms
    assert since_ms == bench.time_ms
    bench.refuse("RESOURCE_NOT_RETURNED", recorder, "catalogue", "record_arrival", **said)
    said["arrival"] = came(bench, version=2)
    bench.accept(recorder, "catalogue", "record_arrival", **said)
    # A later version that is returned too does not begin anew; one after another that was not does, and the numbers go on.
    again = msgspec.structs.replace(returned, summary="说明已改")
    for version, described in enumerate((again, own, returned), start=2):
        bench.accept(bench.publisher, "catalogue", "publish", resource=described, replaces=version)
        head = bench.view("catalogue", "return_head", code=code)
        assert (head.since_ms, head.count) == (since_ms if version < 4 else bench.time_ms, 1)
    bench.accept(bench.publisher, "catalogue", "withdraw", code=code, reason="不再回流")
    late = {"code": code, "number": 2, "arrival": came(bench, version=5)}
    bench.refuse("RESOURCE_WITHDRAWN", recorder, "catalogue", "record_arrival", **late)
    bench.accept(recorder, "catalogue", "correct_arrival", **late, corrects=1, reason="批次误填")


@given(steps=st.lists(st.tuples(st.sampled_from(["record", "correct", "void"]), st.integers(0, 6)), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
def test_numbers_have_no_gap_whatever_is_corrected(make_bench: Any, steps: list[tuple[str, int]]) -> None:
    bench = make_bench()
    code, recorder = bench.publish(**RETURNED), bench.provider_recorder
    standing: list[bool] = []
    for step, chosen in steps:
        following, stands = len(standing) + 1, 0 < chosen <= len(standing) and standing[chosen - 1]
        named = {"code": code, "number": following, "arrival": came(bench, rows=following)}
        if step == "record":
            bench.accept(recorder, "catalogue", "record_arrival", **named)
            standing.append(True)
            continue
        refusal = "ARRIVAL_ENDED" if 0 < chosen <= len(standing) else "ARRIVAL_UNKNOWN"
        called = {"code": code, "number": chosen, "reason": "误"}
        if step == "correct":
            called = named | {"corrects": chosen, "reason": "误"}
        if stands:
            bench.accept(recorder, "catalogue", f"{step}_arrival", **called)
            standing[chosen - 1] = False
            standing += [True] * (step == "correct")
        else:
            bench.refuse(refusal, recorder, "catalogue", f"{step}_arrival", **called)
    assert bench.view("catalogue", "return_head", code=code).count == len(standing)
    records = [load_arrival(bench.state, code, number) for number in range(1, len(standing) + 1)]
    assert [record is not None and not record.ended_ms for record in records] == standing
    assert load_arrival(bench.state, code, len(standing) + 1) is None


def test_the_largest_calls_fit_under_the_least_limit_of_gas(bench: Any) -> None:
    code, recorder = bench.publish(**RETURNED), bench.provider_recorder
    long = came(bench, batch=WIDE * MAX_BATCH_LENGTH, rows=MAX_ARRIVED_ROWS)
    named = {"code": code, "arrival": long}
    reason = WIDE * MAX_REASON_LENGTH
    for method, arguments in (
        ("record_arrival", named | {"number": 1}),
        ("correct_arrival", named | {"number": 2, "corrects": 1, "reason": reason}),
        ("void_arrival", {"code": code, "number": 2, "reason": reason}),
    ):
        to, data = registry.encode_call("catalogue", method, **arguments)
        result = bench.execute(recorder.address, to, data, LEAST_GAS)
        assert result.refusal is None, decode_error(result.output)


@pytest.mark.parametrize(
    ("cycle", "last", "due"),
    [
        (2, "2026-11-22", "2026-11-23"),
        (3, "2026-12-29", "2027-01-05"),
        (4, "2026-11-22", "2026-12-22"),
        (4, "2027-01-31", "2027-02-28"),
        (5, "2026-11-30", "2027-02-28"),
        (6, "2028-02-29", "2029-02-28"),
        (6, "2026-11-22", "2027-11-22"),
    ],
)
def test_data_is_due_by_the_end_of_the_day_one_cycle_later(cycle: int, last: str, due: str) -> None:
    last_day, due_day = parse_day(last), parse_day(due)
    due_ms = day_end_ms(due_day)
    for moment_ms in (day_end_ms(last_day - 1) + 1, day_end_ms(last_day)):
        assert next_due_ms(cycle, moment_ms) == due_ms
    assert return_state(due_ms, day_end_ms(due_day - 1)) == "waiting"
    assert return_state(due_ms, day_end_ms(due_day - 1) + 1) == return_state(due_ms, due_ms) == "due"
    assert return_state(due_ms, due_ms + 1) == "overdue"


def test_real_time_data_is_never_overdue() -> None:
    assert next_due_ms(1, 10**12) == 0
    assert return_state(0, 2**53) == "none"


@given(
    day=st.dates(date(1970, 1, 1), date(9000, 1, 1)),
    cycle=st.sampled_from([code for code in UPDATE_CYCLES if code > 1]),
)
def test_the_next_day_is_never_further_than_a_cycle_is_long(day: date, cycle: int) -> None:
    least, most = {2: (1, 1), 3: (7, 7), 4: (28, 31), 5: (89, 92), 6: (365, 366)}[cycle]
    due_ms = next_due_ms(cycle, day_end_ms(parse_day(day.isoformat())))
    due = date.fromisoformat(format_time(due_ms)[:10])
    assert timedelta(days=least) <= due - day <= timedelta(days=most)
    if cycle > 3:
        assert due.day == day.day or (due + timedelta(days=1)).day == 1
