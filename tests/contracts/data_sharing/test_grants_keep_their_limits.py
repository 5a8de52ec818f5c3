"""Grants give what was asked for when they were given, and nobody is without a way on: recalls, disputes and formulas."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.data_sharing import disputes, recalls, sharing
from contracts.data_sharing.case_records import case_name
from contracts.data_sharing.conditions import Conditions, Mask
from contracts.data_sharing.refusal_reasons import NOT_COMPLIANT
from tests.contracts.data_sharing.request_records import record_of

RESOURCE = "307013301/000001"
NOTHING = bytes(32)


def publish_again(office: Any, replaces: int, **changes: Any) -> None:
    described = office.resource_description(**changes)
    office.accept(office.publisher, "catalogue", "publish", resource=described, replaces=replaces)


def item_names(office: Any) -> tuple[str, ...]:
    return tuple(item.name for item in office.resource_description().items)


@pytest.mark.parametrize("is_unconditional", [False, True])
def test_a_grant_of_all_items_is_of_those_there_were(office: Any, is_unconditional: bool) -> None:
    if is_unconditional:
        publish_again(office, 1, sharing_type=1, sharing_basis="")
        granted = office.request(items=[])
    else:
        granted = office.grant(items=[])
    assert record_of(office, granted).conditions.columns == item_names(office)


def test_an_item_that_is_gone_is_not_granted(office: Any) -> None:
    first, *others = office.resource_description().items
    asked = office.request(items=[first.name, others[0].name])
    gone = office.request(items=[first.name])
    publish_again(office, 1, items=tuple(others))
    to_ms = record_of(office, asked).to_ms
    granting = {"conditions": Conditions(), "to_ms": to_ms}
    office.accept(office.approver, "sharing", "grant", request=asked, **granting)
    assert record_of(office, asked).conditions.columns == (others[0].name,)
    office.refuse("ITEM_UNKNOWN", office.approver, "sharing", "grant", request=gone, **granting)


def test_a_volume_asked_for_is_the_limit_without_an_approver_too(office: Any) -> None:
    publish_again(office, 1, sharing_type=1, sharing_basis="")
    assert record_of(office, office.request(rows_per_day=10)).conditions == Conditions(max_rows_per_day=10)


def test_a_renewal_granted_at_once_keeps_the_conditions(office: Any) -> None:
    asked = office.request(items=[])
    name = item_names(office)[0]
    record = record_of(office, asked)
    conditions = Conditions((name,), (Mask(name, "mask", 0, 4),), 5, 20, 3, note="仅限本案", passing_on_to=())
    office.accept(office.approver, "sharing", "grant", request=asked, conditions=conditions, to_ms=record.to_ms)
    # Consent to passing on is given for each grant, by the provider.
    passing_on = {"request": asked, "departments": [office.data_bureau]}
    office.accept(office.approver, "sharing", "set_passing_on", **passing_on)
    publish_again(office, 1, sharing_type=1, sharing_basis="")
    until = {"to_ms": record.to_ms + 86_400_000}
    renewed = office.accept(office.requester, "sharing", "renew", request=asked, **until).output
    assert record_of(office, renewed).conditions == conditions
    assert record_of(office, renewed).state == sharing.GRANTED


def test_a_failed_check_refuses_only_for_a_reason_of_the_table(office: Any) -> None:
    asked = office.request()
    kept = [one for one in office.view("sharing", "refusal_reasons").reasons if one.code != NOT_COMPLIANT]
    office.accept(office.governor, "sharing", "set_refusal_reasons", reasons=kept)
    failing = {"request": asked, "passed": False, "note": "不合规"}
    office.refuse("REASON_UNKNOWN", office.approver, "sharing", "check", **failing)
    assert record_of(office, asked).state == sharing.WAITING


def test_there_is_always_room_for_the_recall_that_ends_a_grant(office: Any) -> None:
    granted = office.grant()
    full = msgspec.structs.replace(record_of(office, granted), recalls=recalls.MAX_RECALLS)
    sharing.REQUESTS.save(office.state, granted, full)
    recalling = {"request": granted, "from_ms": 0, "to_ms": 0, "reason": "有误"}
    office.refuse("CASES_FULL", office.approver, "sharing", "recall", **recalling, ends_grant=False)
    office.accept(office.approver, "sharing", "recall", **recalling, ends_grant=True)
    assert record_of(office, granted).state == sharing.RECALLED


def test_a_dispute_of_a_suspended_department_is_taken_over(office: Any) -> None:
    granted = office.grant()
    raised = {"kind": "other", "claim": "x", "evidence": NOTHING}
    office.accept(office.requester, "sharing", "raise_dispute", request=granted, **raised)
    taken = {"request": granted, "number": 1}
    office.accept(office.governor, "sharing", "take_dispute", **taken)
    office.refuse("TAKEN_ALREADY", office.governor, "sharing", "take_dispute", **taken)
    found = disputes.load_dispute(office.state, granted, 1)
    assert found is not None
    # As if a department had taken it that is not active any more.
    disputes.DISPUTES.save(
        office.state,
        case_name(granted, 1),
        msgspec.structs.replace(found, handler="11990100MB0000009X"),
    )
    office.accept(office.governor, "sharing", "take_dispute", **taken)
    again = disputes.load_dispute(office.state, granted, 1)
    assert again is not None
    assert again.handler == office.data_bureau
