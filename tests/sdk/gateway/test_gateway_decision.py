"""Whether a read may be answered: every condition of a grant, each with its own code, and quotas by the day."""

from ipaddress import ip_network
from typing import Any

import pytest

from contracts.data_sharing.conditions import MASK, Conditions, Mask
from contracts.data_sharing.sharing import GRANTED, RECALLED, STOPPED, RequestRecord
from contracts.data_sharing.working_days import DAY_MS, day_end_ms, day_of
from sdk.gateway.decision import AskedRead, Permission, QuotaPart, Usage, check_rows, decide
from sdk.gateway.denials import Denied
from sdk.gateway.quotas import Quotas
from tests.sdk.gateway.grant_records import CONSUMER, NOW_MS, PROVIDER, RESOURCE, grant_record, interval

READ = AskedRead(RESOURCE, PROVIDER, CONSUMER, "办理抵押登记", "", "2026-1", "10.1.2.3")
NAME = b"\1" * 32
PLACES = {"大厅": (ip_network("10.1.0.0/16"), ip_network("2001:db8::/32"))}


def code_of(record: RequestRecord, read: AskedRead = READ, now_ms: int = NOW_MS) -> str:
    try:
        decide(record, read, now_ms, PLACES)
    except Denied as denied:
        return denied.code
    return ""


@pytest.mark.parametrize(
    ("grant", "read", "code"),
    [
        ({}, {}, ""),
        ({"consumer": PROVIDER}, {}, "NOT_THE_CONSUMER"),
        ({}, {"provider": CONSUMER}, "NOT_THE_CONSUMER"),
        ({}, {"resource": "307013301/000002"}, "OTHER_RESOURCE"),
        ({}, {"purpose": "办理抵押登记 "}, "PURPOSE_DIFFERS"),
        ({}, {"case_number": ""}, "CASE_MISSING"),
        ({"case_types": ("抵押",)}, {}, "CASE_TYPE_OUTSIDE"),
        ({"case_types": ("抵押",)}, {"case_type": "抵押"}, ""),
        ({"from_ms": NOW_MS + 1}, {}, "GRANT_NOT_BEGUN"),
        ({"from_ms": NOW_MS}, {}, ""),
        ({"to_ms": NOW_MS - 1}, {}, "GRANT_EXPIRED"),
        ({"to_ms": NOW_MS}, {}, ""),
        ({"history": (interval("waiting", 1),)}, {}, "GRANT_NOT_IN_FORCE"),
        ({"history": (interval(GRANTED, 1), interval(STOPPED, NOW_MS))}, {}, "GRANT_NOT_IN_FORCE"),
        ({"history": (interval(GRANTED, 1), interval(RECALLED, NOW_MS))}, {}, "GRANT_NOT_IN_FORCE"),
        ({"conditions": Conditions(place="大厅")}, {}, ""),
        ({"conditions": Conditions(place="大厅")}, {"client_host": "::ffff:10.1.9.9"}, ""),
        ({"conditions": Conditions(place="大厅")}, {"client_host": "10.2.0.1"}, "PLACE_OUTSIDE"),
        ({"conditions": Conditions(place="大厅")}, {"client_host": "unix"}, "PLACE_OUTSIDE"),
        ({"conditions": Conditions(place="机房")}, {}, "PLACE_NOT_CONFIGURED"),
    ],
)
def test_each_condition_has_its_code(grant: dict[str, Any], read: dict[str, Any], code: str) -> None:
    assert code_of(grant_record(**grant), READ._replace(**read)) == code


def test_the_cut_is_the_conditions_columns_else_the_items_asked_for() -> None:
    masks = (Mask("姓名", MASK, 0, 1),)
    assert decide(grant_record(), READ, NOW_MS, {}).cut.is_whole
    asked = decide(grant_record(items=("姓名", "坐落")), READ, NOW_MS, {})
    assert asked.cut.columns == frozenset({"姓名", "坐落"})
    granted = decide(grant_record(items=("姓名", "坐落"), conditions=Conditions(("姓名",), masks)), READ, NOW_MS, {})
    assert (granted.cut.columns, granted.cut.masks, granted.needs_rows) == (frozenset({"姓名"}), masks, True)


def test_rows_of_one_read() -> None:
    permission = decide(grant_record(conditions=Conditions(max_rows_per_read=3)), READ, NOW_MS, {})
    check_rows(permission, 3)
    with pytest.raises(Denied, match="4 > 3"):
        check_rows(permission, 4)


def test_quotas_count_by_the_day_in_beijing_and_go_on_after_a_restart() -> None:
    permission = decide(grant_record(conditions=Conditions(max_reads_per_day=3, max_rows_per_day=10)), READ, NOW_MS, {})
    asked: list[tuple[bytes, int]] = []

    def usage_since(grant: bytes, since_ms: int) -> Usage:
        asked.append((grant, since_ms))
        return Usage(1, 4) if len(asked) == 1 else Usage(0, 0)

    quotas, grant, end_ms = Quotas(usage_since), bytes(32), day_end_ms(day_of(NOW_MS))
    quotas.check(grant, permission, end_ms)
    with pytest.raises(Denied) as denied:
        quotas.take(NAME, grant, permission, 7, end_ms)
    assert denied.value.code == "ROWS_USED_UP"
    quotas.take(NAME, grant, permission, 6, end_ms)
    quotas.settle(NAME)
    with pytest.raises(Denied, match="rows of this day"):
        quotas.check(grant, permission, end_ms)
    quotas.check(grant, permission, end_ms + 1)
    for _ in range(3):
        quotas.take(NAME, grant, permission, 0, end_ms + 1)
    with pytest.raises(Denied) as denied:
        quotas.take(NAME, grant, permission, 0, end_ms + 1)
    assert denied.value.code == "READS_USED_UP"
    assert asked == [(grant, end_ms + 1 - DAY_MS), (grant, end_ms + 1)]


@pytest.mark.parametrize("conditions", [Conditions(max_reads_per_day=2), Conditions(max_rows_per_day=2)])
def test_what_leaves_before_midnight_and_is_recorded_after_it_counts_on_both_days(conditions: Conditions) -> None:
    permission = decide(grant_record(conditions=conditions), READ, NOW_MS, {})
    grant, midnight_ms = bytes(32), day_end_ms(day_of(NOW_MS)) + 1
    quotas = Quotas(lambda grant, since_ms: Usage(0, 0))
    for name in (b"recorded", b"under way"):
        quotas.take(name, grant, permission, 1, midnight_ms - 1)
    quotas.settle(b"recorded")
    quotas.take(b"next", grant, permission, 1, midnight_ms)
    with pytest.raises(Denied, match="s of this day"):
        quotas.check(grant, permission, midnight_ms)


def given_out(conditions: Conditions, part: QuotaPart) -> int:
    """How many answers of one row a gateway lets out in a day."""
    permission = decide(grant_record(conditions=conditions), READ, NOW_MS, {})
    quotas, name = Quotas(lambda grant, since_ms: Usage(0, 0), part), 0
    try:
        while True:
            quotas.take(bytes([name]), bytes(32), permission, 1, NOW_MS)
            name += 1
    except Denied:
        return name


@pytest.mark.parametrize("limit", [1, 5, 7])
def test_gateways_of_one_department_give_out_a_quota_once(limit: int) -> None:
    for conditions in (Conditions(max_reads_per_day=limit), Conditions(max_rows_per_day=limit)):
        assert sum(given_out(conditions, QuotaPart(number, 3)) for number in (1, 2, 3)) == limit
        assert given_out(conditions, QuotaPart(1, 1)) == limit


def test_without_a_quota_nothing_is_counted() -> None:
    def never(grant: bytes, since_ms: int) -> Usage:
        raise AssertionError("not asked")

    permission: Permission = decide(grant_record(), READ, NOW_MS, {})
    Quotas(never).take(NAME, bytes(32), permission, 10**9, NOW_MS)
