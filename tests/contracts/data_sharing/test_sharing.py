"""Requests and grants: who asks, who answers, when a grant is in force, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.data_sharing import sharing
from contracts.data_sharing.conditions import Conditions, Mask
from contracts.data_sharing.sharing import is_in_force
from contracts.refusals import Refused
from tests.contracts.data_sharing.request_records import events, record_of

DAY_MS = 86_400_000


def test_a_conditional_request_waits_for_its_provider(office: Any) -> None:
    result = office.accept(office.requester, "sharing", "request", **office.request_arguments())
    request = result.output
    record = record_of(office, request)
    assert events(result) == ["DataRequested"]
    assert (record.state, record.provider, record.consumer) == ("waiting", office.land_bureau, office.tax_bureau)
    assert (record.id, record.items, record.requested_ms) == (request, ("面积",), office.time_ms)
    assert not is_in_force(record, office.time_ms)


def test_an_unconditional_request_is_granted_at_once(office: Any) -> None:
    office.publish(code="307013301/000002", sharing_type=1, sharing_basis="")
    result = office.accept(
        office.requester, "sharing", "request", **office.request_arguments(resource="307013301/000002", items=[])
    )
    assert events(result) == ["DataRequested", "DataGranted"]
    assert record_of(office, result.output).state == "granted"
    assert office.view("sharing", "is_grant_in_force", request=result.output, time_ms=office.time_ms)


def test_a_grant_is_in_force_from_its_answer_to_its_end(office: Any) -> None:
    asked = office.request()
    asked_ms = office.time_ms
    end = record_of(office, asked).to_ms - DAY_MS
    allowed = Conditions(masks=(Mask("面积", "mask", 0, 2),), note="脱敏")
    office.accept(office.approver, "sharing", "grant", request=asked, conditions=allowed, to_ms=end)
    granted_ms = office.time_ms
    record = record_of(office, asked)
    assert (record.state, record.conditions, record.to_ms) == ("granted", allowed, end)
    for time_ms, expected in (
        (asked_ms, False),
        (granted_ms - 1, False),
        (granted_ms, True),
        (end, True),
        (end + 1, False),
    ):
        assert is_in_force(record, time_ms) is expected


def test_a_grant_does_not_begin_before_its_period(office: Any) -> None:
    start = office.time_ms + DAY_MS
    record = record_of(office, office.grant(from_ms=start))
    assert not is_in_force(record, start - 1)
    assert is_in_force(record, start)


def test_a_refusal_keeps_its_reason_and_ends_the_request(office: Any) -> None:
    asked = office.request()
    office.accept(office.approver, "sharing", "refuse", request=asked, reason_code="purpose-unclear", reason="目的不明")
    record = record_of(office, asked)
    newest = record.history[-1]
    assert (record.state, newest.reason_code, newest.reason) == ("refused", "purpose-unclear", "目的不明")
    for method, extra in (
        ("grant", {"conditions": Conditions(), "to_ms": record.to_ms}),
        ("refuse", {"reason_code": "other", "reason": "x"}),
        ("stop", {"reason": "x"}),
    ):
        office.refuse("REQUEST_STATE", office.approver, "sharing", method, request=asked, **extra)


@pytest.mark.parametrize("party", ["approver", "requester"])
def test_either_party_stops_a_grant(office: Any, party: str) -> None:
    granted = office.grant()
    office.accept(getattr(office, party), "sharing", "stop", request=granted, reason="不再需要")
    record = record_of(office, granted)
    assert (record.state, record.history[-1].operator) == ("stopped", getattr(office, party).address)
    assert not is_in_force(record, office.time_ms)
    assert is_in_force(record, office.time_ms - 1)


def test_only_the_consumer_takes_a_waiting_request_back(office: Any) -> None:
    asked = office.request()
    office.refuse("REQUEST_STATE", office.approver, "sharing", "stop", request=asked, reason="x")
    office.accept(office.requester, "sharing", "stop", request=asked, reason="申请有误")
    assert record_of(office, asked).state == "stopped"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"resource": "307013301/9"}, "RESOURCE_UNKNOWN"),
        ({"resource": "长" * 3_000}, "RESOURCE_UNKNOWN"),
        ({"purpose": ""}, "TEXT_EMPTY"),
        ({"purpose": "长" * 201}, "TEXT_TOO_LONG"),
        ({"legal_basis": ""}, "TEXT_EMPTY"),
        ({"items": ["坐落"]}, "ITEM_UNKNOWN"),
        ({"items": ["面积", "面积"]}, "LIST_REPEATS"),
        ({"to_ms": 0}, "DATES_REVERSED"),
        ({"from_ms": 1_000, "to_ms": 2_000}, "PERIOD_OVER"),
        ({"to_ms": 2**62}, "DATE_OUT_OF_RANGE"),
    ],
)
def test_faulty_requests_are_refused(office: Any, changes: dict[str, Any], code: str) -> None:
    office.refuse(code, office.requester, "sharing", "request", **office.request_arguments(**changes))


def test_what_is_not_shared_cannot_be_asked_for(office: Any) -> None:
    office.publish(code="307013301/000003", sharing_type=3, sharing_basis="涉及国家秘密")
    secret = office.request_arguments(resource="307013301/000003")
    office.refuse("NOT_SHARED", office.requester, "sharing", "request", **secret)


def test_what_was_withdrawn_since_it_was_asked_for_is_not_granted(office: Any) -> None:
    asked, granted = office.request(), office.grant()
    office.accept(office.publisher, "catalogue", "withdraw", code="307013301/000001", reason="停用")
    office.refuse("RESOURCE_WITHDRAWN", office.approver, "sharing", "grant", **grant_arguments(office, asked))
    later_ms = record_of(office, granted).to_ms + DAY_MS
    office.refuse("RESOURCE_WITHDRAWN", office.requester, "sharing", "renew", request=granted, to_ms=later_ms)
    assert is_in_force(record_of(office, granted), office.time_ms)


def test_a_department_does_not_ask_itself(office: Any) -> None:
    office.accept(office.governor, "members", "set_roles", account=office.issuer.address, roles=["requester"])
    office.refuse("OWN_RESOURCE", office.issuer, "sharing", "request", **office.request_arguments())


def test_only_the_provider_answers_and_only_by_its_approver(office: Any) -> None:
    asked = office.request()
    answer = {"request": asked, "conditions": Conditions(), "to_ms": record_of(office, asked).to_ms}
    office.refuse("OTHER_DEPARTMENT", office.other_approver, "sharing", "grant", **answer)
    office.refuse("ROLE_MISSING", office.publisher, "sharing", "grant", **answer)
    office.refuse(
        "OTHER_DEPARTMENT", office.other_approver, "sharing", "refuse", request=asked, reason_code="other", reason="x"
    )
    office.refuse("REQUEST_UNKNOWN", office.approver, "sharing", "grant", **answer | {"request": b"\1" * 32})


def test_a_grant_stays_within_what_was_asked_for(office: Any) -> None:
    asked = office.request()
    end = record_of(office, asked).to_ms
    answer = {"request": asked, "conditions": Conditions()}
    office.refuse("PERIOD_EXCEEDED", office.approver, "sharing", "grant", **answer, to_ms=end + 1)
    office.refuse("DATES_REVERSED", office.approver, "sharing", "grant", **answer, to_ms=0)
    office.time_ms = end
    office.refuse("PERIOD_OVER", office.approver, "sharing", "grant", **answer, to_ms=end)


def test_strangers_to_a_grant_and_wrong_roles_do_not_stop_it(office: Any) -> None:
    granted = office.grant()
    stop = {"request": granted, "reason": "x"}
    office.accept(office.governor, "members", "set_roles", account=office.auditor.address, roles=["approver"])
    office.refuse("NOT_A_PARTY", office.auditor, "sharing", "stop", **stop)
    office.refuse("ROLE_MISSING", office.other_approver, "sharing", "stop", **stop)
    office.refuse("ROLE_MISSING", office.recorder, "sharing", "stop", **stop)
    office.accept(office.requester, "sharing", "stop", **stop)
    office.refuse("REQUEST_STATE", office.requester, "sharing", "stop", **stop)


def test_readers_of_one_request(office: Any) -> None:
    asked = office.request()
    assert sharing.load_request(office.state, asked) == record_of(office, asked)
    assert sharing.REQUESTS.decode(office.state[sharing.request_key(asked)]) == record_of(office, asked)
    assert sharing.load_request(office.state, bytes(32)) is None


def test_a_contract_asks_whether_a_consumer_may_have_a_resource_now(office: Any) -> None:
    request = office.grant()
    right = {"request": request, "consumer": office.tax_bureau, "resource": "307013301/000001"}

    def is_granted(**changes: Any) -> bool:
        found: bool = office.view("sharing", "is_granted", **right | changes)
        return found

    assert is_granted()
    assert not is_granted(consumer=office.land_bureau)
    assert not is_granted(resource="307013301/000002")
    assert not is_granted(request=bytes(32))
    office.accept(office.approver, "sharing", "stop", request=request, reason="到期前停止")
    assert not is_granted()
    again = office.grant()
    assert is_granted(request=again)
    office.time_ms = record_of(office, again).to_ms
    assert is_granted(request=again)
    office.time_ms += 1
    assert not is_granted(request=again)


def grant_arguments(office: Any, asked: bytes, **conditions: Any) -> dict[str, Any]:
    return {"request": asked, "conditions": Conditions(**conditions), "to_ms": record_of(office, asked).to_ms}


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ({"columns": ("产权人",)}, "COLUMN_NOT_ASKED"),
        ({"columns": ("面积", "面积")}, "LIST_REPEATS"),
        ({"masks": (Mask("产权人", "mask", 0, 1),)}, "COLUMN_NOT_ASKED"),
        ({"masks": (Mask("面积", "blur", 0, 1),)}, "VALUE_UNKNOWN"),
        ({"masks": (Mask("面积", "mask", 0, 0),)}, "MASK_RANGE"),
        ({"masks": (Mask("面积", "truncate", 10_001, 1),)}, "MASK_RANGE"),
        ({"masks": (Mask("面积", "mask", 0, 1), Mask("面积", "truncate", 0, 1))}, "LIST_REPEATS"),
        ({"max_rows_per_day": 101}, "VOLUME_EXCEEDED"),
        ({"place": "长" * 129}, "TEXT_TOO_LONG"),
        ({"note": "长" * 501}, "TEXT_TOO_LONG"),
        ({"passing_on_to": ("nobody",)}, "PASSING_ON_TO"),
    ],
)
def test_conditions_do_not_grant_more_than_was_asked_for(office: Any, conditions: dict[str, Any], code: str) -> None:
    asked = office.request(rows_per_day=100)
    office.refuse(code, office.approver, "sharing", "grant", **grant_arguments(office, asked, **conditions))


def test_a_volume_asked_for_is_the_limit_where_the_conditions_name_none(office: Any) -> None:
    asked = office.request(rows_per_day=100, case_types=["抵押登记"])
    office.accept(office.approver, "sharing", "grant", **grant_arguments(office, asked))
    record = record_of(office, asked)
    assert (record.conditions.max_rows_per_day, record.case_types) == (100, ("抵押登记",))


def test_passing_on_needs_the_providers_word_and_a_third_department(office: Any) -> None:
    asked = office.request()
    for party in (office.land_bureau, office.tax_bureau):
        arguments = grant_arguments(office, asked, passing_on_to=(party,))
        office.refuse("PASSING_ON_TO", office.approver, "sharing", "grant", **arguments)
    arguments = grant_arguments(office, asked, passing_on_to=(office.data_bureau,))
    office.accept(office.approver, "sharing", "grant", **arguments)
    assert record_of(office, asked).conditions.passing_on_to == (office.data_bureau,)

    anew = {"request": asked, "departments": []}
    office.refuse("OTHER_DEPARTMENT", office.other_approver, "sharing", "set_passing_on", **anew)
    own = anew | {"departments": [office.tax_bureau]}
    office.refuse("PASSING_ON_TO", office.approver, "sharing", "set_passing_on", **own)
    office.accept(office.approver, "sharing", "set_passing_on", **anew)
    assert record_of(office, asked).conditions == Conditions()
    office.accept(office.approver, "sharing", "stop", request=asked, reason="到期")
    office.refuse("REQUEST_STATE", office.approver, "sharing", "set_passing_on", **anew)


def test_a_request_is_returned_once_and_waits_anew_when_completed(office: Any) -> None:
    asked = office.request(items=["面积"])
    first_ms = office.time_ms
    office.accept(office.approver, "sharing", "return_request", request=asked, reason="请补充办件类型")
    returned = record_of(office, asked)
    assert (returned.state, returned.replied_ms, returned.waiting_since_ms) == ("returned", office.time_ms, first_ms)
    office.refuse("REQUEST_STATE", office.approver, "sharing", "grant", **grant_arguments(office, asked))

    said = office.request_arguments(case_types=["抵押登记"], items=["产权人"])
    del said["resource"]
    office.refuse("OTHER_DEPARTMENT", office.governor_requester(), "sharing", "amend", request=asked, **said)
    office.accept(office.requester, "sharing", "amend", request=asked, **said)
    record = record_of(office, asked)
    assert (record.state, record.case_types, record.items) == ("waiting", ("抵押登记",), ("产权人",))
    assert (record.requested_ms, record.waiting_since_ms, record.replied_ms) == (first_ms, office.time_ms, 0)
    office.refuse("RETURNED_ALREADY", office.approver, "sharing", "return_request", request=asked, reason="再补")
    office.refuse("REQUEST_STATE", office.requester, "sharing", "amend", request=asked, **said)


def test_a_returned_request_may_be_taken_back(office: Any) -> None:
    asked = office.request()
    office.accept(office.approver, "sharing", "return_request", request=asked, reason="请补正")
    office.accept(office.requester, "sharing", "stop", request=asked, reason="不再需要")
    assert record_of(office, asked).state == "stopped"


@pytest.mark.parametrize("checker", ["governor", "approver"])
def test_the_compliance_check_is_passed_once(office: Any, checker: str) -> None:
    asked = office.request()
    by = getattr(office, checker)
    office.accept(by, "sharing", "check", request=asked, passed=True, note="")
    assert record_of(office, asked).checked_ms == office.time_ms
    office.refuse("CHECKED_ALREADY", by, "sharing", "check", request=asked, passed=True, note="")


def test_a_failed_compliance_check_refuses_the_request(office: Any) -> None:
    asked = office.request()
    office.refuse("OWN_CASE", office.other_approver, "sharing", "check", request=asked, passed=False, note="x")
    office.refuse("TEXT_EMPTY", office.governor, "sharing", "check", request=asked, passed=False, note="")
    office.accept(office.governor, "sharing", "check", request=asked, passed=False, note="用途超出职责")
    record = record_of(office, asked)
    assert (record.state, record.history[-1].reason_code) == ("refused", "not-compliant")
    office.refuse("REQUEST_STATE", office.approver, "sharing", "grant", **grant_arguments(office, asked))


def test_a_refusal_names_a_reason_of_the_table(office: Any) -> None:
    asked = office.request()
    refusal = {"request": asked, "reason": ""}
    office.refuse("REASON_UNKNOWN", office.approver, "sharing", "refuse", **refusal, reason_code="busy")
    office.refuse("TEXT_EMPTY", office.approver, "sharing", "refuse", **refusal, reason_code="other")
    rows = [["busy", "暂无力提供", "no capacity at present", False]]
    office.refuse("ROLE_MISSING", office.approver, "sharing", "set_refusal_reasons", reasons=rows)
    office.refuse("LIST_EMPTY", office.governor, "sharing", "set_refusal_reasons", reasons=[])
    office.refuse("LIST_REPEATS", office.governor, "sharing", "set_refusal_reasons", reasons=rows * 2)
    office.accept(office.governor, "sharing", "set_refusal_reasons", reasons=rows)
    table = office.view("sharing", "refusal_reasons")
    assert ([one.code for one in table.reasons], table.set_ms) == (["busy"], office.time_ms)
    office.refuse("REASON_UNKNOWN", office.approver, "sharing", "refuse", **refusal, reason_code="no-basis")
    office.accept(office.approver, "sharing", "refuse", **refusal, reason_code="busy")
    assert record_of(office, asked).history[-1].reason_code == "busy"


def test_supply_begins_once_and_only_under_a_grant(office: Any) -> None:
    asked = office.request()
    office.refuse("REQUEST_STATE", office.provider_recorder, "sharing", "start_supply", request=asked)
    granted = office.grant()
    office.refuse("OTHER_DEPARTMENT", office.recorder, "sharing", "start_supply", request=granted)
    office.accept(office.provider_recorder, "sharing", "start_supply", request=granted)
    begun_ms = office.time_ms
    assert events(office.accept(office.approver, "sharing", "start_supply", request=granted)) == []
    assert record_of(office, granted).supplied_ms == begun_ms


def test_supply_begins_within_the_period_of_a_grant_only(office: Any) -> None:
    begins_ms = office.time_ms + DAY_MS
    granted = office.grant(from_ms=begins_ms, to_ms=begins_ms + DAY_MS)
    office.refuse("GRANT_NOT_IN_FORCE", office.approver, "sharing", "start_supply", request=granted)
    office.time_ms = begins_ms + DAY_MS + 1
    office.refuse("GRANT_NOT_IN_FORCE", office.approver, "sharing", "start_supply", request=granted)
    office.time_ms = begins_ms
    office.accept(office.approver, "sharing", "start_supply", request=granted)


def test_a_renewal_goes_on_with_the_supply_of_its_grant(office: Any) -> None:
    unsupplied, supplied = office.grant(), office.grant()
    office.accept(office.approver, "sharing", "start_supply", request=supplied)
    begun_ms = office.time_ms
    for granted, kept_ms in ((unsupplied, 0), (supplied, begun_ms)):
        until = {"to_ms": record_of(office, granted).to_ms + DAY_MS}
        renewal = office.accept(office.requester, "sharing", "renew", request=granted, **until).output
        office.accept(office.approver, "sharing", "grant", **grant_arguments(office, renewal))
        assert record_of(office, renewal).supplied_ms == kept_ms
    # What its provider has ended meanwhile is supplied no more: there is nothing to go on with.
    refusal = {"request": renewal, "reason": "另行申请"}
    office.accept(office.requester, "sharing", "stop", **refusal)
    renewal = office.accept(office.requester, "sharing", "renew", request=supplied, **until).output
    office.accept(office.approver, "sharing", "stop", request=supplied, reason="不再提供")
    office.accept(office.approver, "sharing", "grant", **grant_arguments(office, renewal))
    assert record_of(office, renewal).supplied_ms == 0


@pytest.mark.parametrize(
    ("changes", "is_renewal"),
    [
        ({}, True),
        ({"purpose": "另一用途"}, True),
        ({"items": []}, False),
        ({"items": ["产权人"]}, False),
        ({"from_ms": "later"}, False),
    ],
)
def test_a_renewal_that_asks_for_something_else_keeps_no_more_than_the_name_of_its_grant(
    office: Any, changes: dict[str, Any], is_renewal: bool
) -> None:
    granted = office.grant()
    office.accept(office.approver, "sharing", "start_supply", request=granted)
    old = record_of(office, granted)
    until = {"to_ms": old.to_ms + DAY_MS}
    renewal = office.accept(office.requester, "sharing", "renew", request=granted, **until).output
    office.accept(office.approver, "sharing", "return_request", request=renewal, reason="请说明")
    said: dict[str, Any] = {"purpose": old.purpose, "legal_basis": old.legal_basis, "items": list(old.items)}
    said |= {"case_types": [], "rows_per_day": 0, "from_ms": old.to_ms + 1, **until} | changes
    if "from_ms" in changes:
        said["from_ms"] = old.to_ms + 2
    office.accept(office.requester, "sharing", "amend", request=renewal, **said)
    # The name stays, as its approver goes by the conditions of that grant.
    current = renewal if is_renewal else bytes(32)
    assert (record_of(office, renewal).previous, record_of(office, granted).renewal) == (granted, current)
    office.accept(office.approver, "sharing", "grant", **grant_arguments(office, renewal))
    begun_ms = record_of(office, granted).supplied_ms
    assert begun_ms
    assert record_of(office, renewal).supplied_ms == (begun_ms if is_renewal else 0)


def test_a_renewal_is_a_request_of_its_own_for_the_time_after(office: Any) -> None:
    granted = office.grant(case_types=["抵押登记"])
    old = record_of(office, granted)
    later_ms = old.to_ms + 30 * DAY_MS
    office.refuse("OTHER_DEPARTMENT", office.governor_requester(), "sharing", "renew", request=granted, to_ms=later_ms)
    office.refuse("DATES_REVERSED", office.requester, "sharing", "renew", request=granted, to_ms=old.to_ms)
    result = office.accept(office.requester, "sharing", "renew", request=granted, to_ms=later_ms)
    assert events(result) == ["DataRequested", "RenewalRequested"]
    renewal = record_of(office, result.output)
    assert (renewal.state, renewal.previous, renewal.from_ms, renewal.to_ms) == (
        "waiting",
        granted,
        old.to_ms + 1,
        later_ms,
    )
    assert (renewal.case_types, renewal.items) == (old.case_types, old.items)
    assert record_of(office, granted).renewal == renewal.id
    office.refuse("RENEWAL_EXISTS", office.requester, "sharing", "renew", request=granted, to_ms=later_ms)
    refusal = {"request": renewal.id, "reason_code": "not-needed", "reason": ""}
    office.accept(office.approver, "sharing", "refuse", **refusal)
    again = office.accept(office.requester, "sharing", "renew", request=granted, to_ms=later_ms).output
    office.accept(office.approver, "sharing", "grant", **grant_arguments(office, again))
    new = record_of(office, again)
    assert not is_in_force(new, old.to_ms)
    assert is_in_force(new, old.to_ms + 1)
    assert is_in_force(record_of(office, granted), old.to_ms)


def test_what_has_ended_is_not_renewed(office: Any) -> None:
    granted = office.grant()
    to_ms = record_of(office, granted).to_ms
    office.time_ms = to_ms
    office.refuse("PERIOD_OVER", office.requester, "sharing", "renew", request=granted, to_ms=to_ms + DAY_MS)
    stopped = office.request(to_ms=to_ms + DAY_MS)
    office.refuse("REQUEST_STATE", office.requester, "sharing", "renew", request=stopped, to_ms=to_ms + 2 * DAY_MS)


def test_every_request_of_a_resource_is_in_its_gapless_list(office: Any) -> None:
    resource = "307013301/000001"
    names = [office.request() for _ in range(3)]
    assert office.view("sharing", "request_count", resource=resource) == 3
    assert [office.view("sharing", "request_of", resource=resource, index=n) for n in range(3)] == names
    assert sharing.RESOURCE_REQUESTS.decode(office.state[sharing.resource_request_key(resource, 1)]).request == names[1]
    assert sharing.RESOURCE_COUNTS.decode(office.state[sharing.request_count_key(resource)]).count == 3
    assert office.view("sharing", "request_count", resource="307013301/9") == 0
    with pytest.raises(Refused):
        office.view("sharing", "request_of", resource=resource, index=3)
