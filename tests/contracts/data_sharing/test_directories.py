"""Directories of duties and systems, and the links from systems and resources into them."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.data_sharing.directories import Duty, System, load_duty, load_system

DUTY = Duty("ZZ-001", "不动产登记", "不动产登记暂行条例第六条", "登记处", ("首次登记", "转移登记"))
SYSTEM = System("XT-001", "不动产登记系统", "受理、审核与登簿", 1, ("ZZ-001",))


def enter(bench: Any, *entries: Duty | System) -> Any:
    what = "duties" if isinstance(entries[0], Duty) else "systems"
    return bench.accept(bench.publisher, "directories", f"enter_{what}", **{what: list(entries)})


def test_duties_and_systems_are_entered_and_linked(bench: Any) -> None:
    enter(bench, DUTY)
    enter(bench, SYSTEM)
    code = bench.publish(duties=("ZZ-001",), systems=("XT-001",))
    assert bench.view("catalogue", "resource", code=code).description.systems == ("XT-001",)
    duty = bench.view("directories", "duty", department=bench.land_bureau, code="ZZ-001")
    assert (duty.duty, duty.version, duty.department) == (DUTY, 1, bench.land_bureau)
    assert bench.view("directories", "system", department=bench.land_bureau, code="XT-001").system == SYSTEM
    assert load_duty(bench.state, bench.tax_bureau, "ZZ-001") is None
    assert load_system(bench.state, bench.land_bureau, "XT-002") is None


def test_an_entry_is_stated_anew_in_versions_and_the_same_changes_nothing(bench: Any) -> None:
    enter(bench, DUTY)
    assert enter(bench, DUTY).logs == ()
    changed = Duty("ZZ-001", "不动产统一登记", DUTY.basis)
    enter(bench, changed)
    found = bench.view("directories", "duty", department=bench.land_bureau, code="ZZ-001")
    assert (found.duty, found.version) == (changed, 2)
    assert len(enter(bench, SYSTEM).logs) == 1
    assert enter(bench, SYSTEM).logs == ()


def test_what_ended_takes_no_new_links_until_it_is_entered_again(bench: Any) -> None:
    enter(bench, DUTY)
    enter(bench, SYSTEM)
    ended = {"code": "ZZ-001", "reason": "机构改革"}
    bench.accept(bench.publisher, "directories", "end_duty", **ended)
    bench.refuse("ENTRY_ENDED", bench.publisher, "directories", "end_duty", **ended)
    bench.refuse("ENTRY_ENDED", bench.publisher, "directories", "enter_systems", systems=[SYSTEM])
    described = bench.resource_description(duties=("ZZ-001",))
    bench.refuse("ENTRY_ENDED", bench.publisher, "catalogue", "publish", resource=described, replaces=0)
    bench.accept(bench.publisher, "directories", "end_system", code="XT-001", reason="停用")
    described = bench.resource_description(systems=("XT-001",))
    bench.refuse("ENTRY_ENDED", bench.publisher, "catalogue", "publish", resource=described, replaces=0)
    enter(bench, DUTY)
    found = bench.view("directories", "duty", department=bench.land_bureau, code="ZZ-001")
    assert (found.ended_ms, found.version) == (0, 2)


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "LIST_EMPTY"),
        ([DUTY, DUTY], "LIST_REPEATS"),
        ([Duty(f"D{n}", "职责", "依据") for n in range(257)], "LIST_TOO_LONG"),
        ([Duty("", "职责", "依据")], "ENTRY_CODE_MALFORMED"),
        ([Duty("a/b", "职责", "依据")], "ENTRY_CODE_MALFORMED"),
        ([Duty("x" * 65, "职责", "依据")], "ENTRY_CODE_MALFORMED"),
        ([Duty("D1", "", "依据")], "TEXT_EMPTY"),
        ([Duty("D1", "职责", "")], "TEXT_EMPTY"),
        ([Duty("D1", "职责", "依据", "", ("一", "一"))], "LIST_REPEATS"),
        ([Duty("D1", "职责", "依据", "", ("",))], "TEXT_EMPTY"),
    ],
)
def test_faulty_duties_are_refused(bench: Any, entries: list[Duty], code: str) -> None:
    bench.refuse(code, bench.publisher, "directories", "enter_duties", duties=entries)


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (System("系统", "名", "述", 1), "ENTRY_CODE_MALFORMED"),
        (System("S1", "名", "", 1), "TEXT_EMPTY"),
        (System("S1", "名", "述", 9), "VALUE_UNKNOWN"),
        (System("S1", "名", "述", 1, ("D9",)), "DUTY_UNKNOWN"),
    ],
)
def test_faulty_systems_are_refused(bench: Any, entry: System, code: str) -> None:
    bench.refuse(code, bench.publisher, "directories", "enter_systems", systems=[entry])


def test_only_a_departments_publisher_keeps_its_directories(bench: Any) -> None:
    bench.refuse("ROLE_MISSING", bench.approver, "directories", "enter_duties", duties=[DUTY])
    bench.refuse("DUTY_UNKNOWN", bench.publisher, "directories", "end_duty", code="ZZ-001", reason="无")
    bench.refuse("SYSTEM_UNKNOWN", bench.publisher, "directories", "end_system", code="XT-001", reason="无")
