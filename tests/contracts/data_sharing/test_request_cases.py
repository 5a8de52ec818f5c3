"""What follows a grant or a refusal: corrections, disputes and recalls, by whom, and what they do to the request."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.data_sharing import corrections, disputes, recalls, sharing
from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.working_days import DAY_MS
from contracts.refusals import Refused
from sm_crypto.sm3 import sm3
from tests.contracts.data_sharing.request_records import events, record_of
from verification.days import day_end_ms, show_day

NOTHING = bytes(32)
STATEMENT = sm3(b"destroyed")


def refuse_request(office: Any, **changes: Any) -> bytes:
    request: bytes = office.request(**changes)
    said = {"reason_code": "not-needed", "reason": ""}
    office.accept(office.approver, "sharing", "refuse", request=request, **said)
    return request


def ask_correction(office: Any, granted: bytes) -> dict[str, Any]:
    said = {"item": "面积", "claim": "与不动产权证书记载不一致", "evidence": sm3(b"scan")}
    office.accept(office.requester, "sharing", "ask_correction", request=granted, **said)
    return said


def test_a_correction_is_asked_for_and_answered(office: Any) -> None:
    granted = office.grant()
    said = ask_correction(office, granted)
    asked_ms = office.time_ms
    found = office.view("sharing", "correction", request=granted, number=1)
    assert (found.item, found.claim, found.evidence) == (said["item"], said["claim"], said["evidence"])
    assert (found.asked_ms, found.outcome, found.answered_ms) == (asked_ms, corrections.OPEN, 0)
    assert record_of(office, granted).corrections == 1

    answer = {"request": granted, "number": 1, "outcome": corrections.CORRECTED, "answer": "已更正"}
    office.refuse("OTHER_DEPARTMENT", office.other_approver, "sharing", "answer_correction", **answer)
    office.refuse("VALUE_UNKNOWN", office.approver, "sharing", "answer_correction", **answer | {"outcome": 0})
    office.refuse("CASE_UNKNOWN", office.approver, "sharing", "answer_correction", **answer | {"number": 2})
    result = office.accept(office.publisher, "sharing", "answer_correction", **answer)
    assert events(result) == ["CorrectionAnswered"]
    loaded = corrections.load_correction(office.state, granted, 1)
    assert loaded is not None
    assert (loaded.outcome, loaded.answered_ms, loaded.answered_by) == (
        corrections.CORRECTED,
        office.time_ms,
        office.publisher.address,
    )
    assert corrections.CORRECTIONS.decode(office.state[corrections.correction_key(granted, 1)]) == loaded
    office.refuse("ANSWERED_ALREADY", office.approver, "sharing", "answer_correction", **answer)


def test_only_what_was_granted_to_a_department_is_corrected_by_it(office: Any) -> None:
    waiting = office.request()
    said = {"item": "", "claim": "有误", "evidence": NOTHING}
    office.refuse("REQUEST_STATE", office.requester, "sharing", "ask_correction", request=waiting, **said)
    granted = office.grant()
    for item in ("坐落", "产权人"):
        # One that the entry does not have, and one that it has and that was not granted.
        other = said | {"item": item}
        office.refuse("COLUMN_NOT_GRANTED", office.requester, "sharing", "ask_correction", request=granted, **other)
    office.refuse("TEXT_EMPTY", office.requester, "sharing", "ask_correction", request=granted, **said | {"claim": ""})
    other = office.provider_recorder
    office.refuse("OTHER_DEPARTMENT", other, "sharing", "ask_correction", request=granted, **said)
    supplied = office.grant()
    office.accept(office.approver, "sharing", "start_supply", request=supplied)
    for ended in (granted, supplied):
        office.accept(office.requester, "sharing", "stop", request=ended, reason="到期")
    # Data that was supplied before the grant ended may still be wrong, within a year.
    office.refuse("GRANT_NOT_IN_FORCE", office.recorder, "sharing", "ask_correction", request=granted, **said)
    office.accept(office.recorder, "sharing", "ask_correction", request=supplied, **said)
    assert record_of(office, supplied).corrections == 1
    office.time_ms += corrections.MAX_CORRECTION_AGE_MS
    office.refuse("GRANT_NOT_IN_FORCE", office.recorder, "sharing", "ask_correction", request=supplied, **said)


def ask_until_full(office: Any) -> bytes:
    """Return a grant under which two corrections are asked for, and no third is taken."""
    granted: bytes = office.grant()
    for _ in range(2):
        ask_correction(office, granted)
    said = {"item": "", "claim": "有误", "evidence": NOTHING}
    office.refuse("CASES_FULL", office.requester, "sharing", "ask_correction", request=granted, **said)
    return granted


def test_corrections_that_nobody_answers_do_not_pile_up(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "MAX_OPEN_CORRECTIONS", 2)
    granted = ask_until_full(office)
    answer = {"request": granted, "number": 1, "outcome": corrections.CONFIRMED, "answer": ""}
    office.accept(office.approver, "sharing", "answer_correction", **answer)
    ask_correction(office, granted)


def test_corrections_have_a_limit(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "MAX_CORRECTIONS", 2)
    granted = ask_until_full(office)
    answer = {"request": granted, "number": 1, "outcome": corrections.CONFIRMED, "answer": ""}
    office.accept(office.approver, "sharing", "answer_correction", **answer)
    said = {"item": "", "claim": "有误", "evidence": NOTHING}
    office.refuse("CASES_FULL", office.requester, "sharing", "ask_correction", request=granted, **said)


def raise_dispute(office: Any, request: bytes, kind: str = "refusal") -> dict[str, Any]:
    said = {"kind": kind, "claim": "履职确需使用", "evidence": NOTHING}
    office.accept(office.requester, "sharing", "raise_dispute", request=request, **said)
    return {"request": request, "number": record_of(office, request).disputes}


def test_a_reopened_renewal_takes_nothing_from_the_one_asked_for_since(office: Any) -> None:
    granted = office.grant()
    until = {"to_ms": record_of(office, granted).to_ms + DAY_MS}
    first = office.accept(office.requester, "sharing", "renew", request=granted, **until).output
    said = {"reason_code": "not-needed", "reason": ""}
    office.accept(office.approver, "sharing", "refuse", request=first, **said)
    second = office.accept(office.requester, "sharing", "renew", request=granted, **until).output
    case = raise_dispute(office, first)
    office.accept(office.governor, "sharing", "take_dispute", **case)
    decision = {"outcome": disputes.UPHELD, "order": disputes.REOPEN, "decision": "应予共享"}
    office.accept(office.governor, "sharing", "decide_dispute", **case, **decision)
    office.accept(office.approver, "sharing", "return_request", request=first, reason="请补正")
    wish = msgspec.structs.asdict(record_of(office, first))
    said = {name: wish[name] for name in ("purpose", "legal_basis", "rows_per_day", "from_ms", "to_ms")}
    office.accept(office.requester, "sharing", "amend", request=first, items=[], case_types=[], **said)
    assert record_of(office, granted).renewal == second


def test_an_upheld_dispute_lets_a_refused_request_be_answered_again(office: Any) -> None:
    refused = refuse_request(office)
    case = raise_dispute(office, refused)
    raised_ms = office.time_ms
    office.accept(office.approver, "sharing", "answer_dispute", **case, answer="已说明理由")
    answered_ms = office.time_ms
    office.accept(office.governor, "sharing", "take_dispute", **case)
    taken_ms = office.time_ms
    decision = {"outcome": disputes.UPHELD, "order": disputes.REOPEN, "decision": "应予共享"}
    result = office.accept(office.governor, "sharing", "decide_dispute", **case, **decision)
    assert events(result) == ["RequestReopened", "DisputeEnded"]
    found = disputes.load_dispute(office.state, refused, 1)
    assert found is not None
    assert (found.raised_ms, found.answered_ms, found.taken_ms, found.ended_ms) == (
        raised_ms,
        answered_ms,
        taken_ms,
        office.time_ms,
    )
    assert (found.raiser, found.handler, found.outcome) == (office.tax_bureau, office.data_bureau, disputes.UPHELD)
    assert disputes.DISPUTES.decode(office.state[disputes.dispute_key(refused, 1)]) == found
    record = record_of(office, refused)
    assert (record.state, record.waiting_since_ms, record.replied_ms) == ("waiting", office.time_ms, 0)
    answer = {"request": refused, "conditions": Conditions(), "to_ms": record.to_ms}
    office.accept(office.approver, "sharing", "grant", **answer)


def test_an_upheld_dispute_stops_a_grant_that_was_abused(office: Any) -> None:
    granted = office.grant()
    said = {"kind": "use", "claim": "超出约定用途", "evidence": sm3(b"audit")}
    office.refuse("VALUE_UNKNOWN", office.requester, "sharing", "raise_dispute", request=granted, **said)
    office.accept(office.approver, "sharing", "raise_dispute", request=granted, **said)
    case = {"request": granted, "number": 1}
    office.accept(office.governor, "sharing", "take_dispute", **case)
    decision = {"outcome": disputes.UPHELD, "order": disputes.STOP, "decision": "停止授权"}
    result = office.accept(office.governor, "sharing", "decide_dispute", **case, **decision)
    assert events(result) == ["DataStopped", "DisputeEnded"]
    assert record_of(office, granted).state == "stopped"


def test_a_dispute_is_decided_by_who_took_it_up_and_is_no_party(office: Any) -> None:
    refused = refuse_request(office)
    case = raise_dispute(office, refused)
    decision = {"outcome": disputes.DISMISSED, "order": disputes.NO_ORDER, "decision": "理由成立"}
    office.refuse("NOT_TAKEN", office.governor, "sharing", "decide_dispute", **case, **decision)
    office.refuse("ROLE_MISSING", office.auditor, "sharing", "take_dispute", **case)
    own_governor = {"account": office.administrator.address, "roles": ["governor"]}
    office.accept(office.governor, "members", "set_roles", **own_governor)
    office.refuse("OWN_CASE", office.administrator, "sharing", "take_dispute", **case)
    office.accept(office.governor, "sharing", "take_dispute", **case)
    office.refuse("TAKEN_ALREADY", office.governor, "sharing", "take_dispute", **case)
    office.refuse("OWN_CASE", office.administrator, "sharing", "decide_dispute", **case, **decision)
    dismissed = decision | {"order": disputes.REOPEN}
    office.refuse("VALUE_UNKNOWN", office.governor, "sharing", "decide_dispute", **case, **dismissed)
    stopped = decision | {"outcome": disputes.UPHELD, "order": disputes.STOP}
    office.refuse("REQUEST_STATE", office.governor, "sharing", "decide_dispute", **case, **stopped)
    office.accept(office.governor, "sharing", "decide_dispute", **case, **decision)
    assert record_of(office, refused).state == "refused"
    for account, method, extra in (
        (office.governor, "decide_dispute", decision),
        (office.governor, "take_dispute", {}),
        (office.approver, "answer_dispute", {"answer": "x"}),
        (office.requester, "end_dispute", {"outcome": disputes.WITHDRAWN, "decision": "x"}),
    ):
        office.refuse("DISPUTE_ENDED", account, "sharing", method, **case, **extra)


def test_a_dispute_may_be_taken_over_once_who_took_it_up_governs_no_more(office: Any) -> None:
    case = raise_dispute(office, refuse_request(office))
    office.accept(office.governor, "sharing", "take_dispute", **case)
    successor = office.governor_requester()
    governor = {"account": successor.address, "roles": ["governor"]}
    office.accept(office.governor, "members", "set_roles", **governor)
    office.refuse("TAKEN_ALREADY", successor, "sharing", "take_dispute", **case)
    auditor = {"account": office.governor.address, "roles": ["auditor"]}
    office.accept(successor, "members", "set_roles", **auditor)
    office.accept(successor, "sharing", "take_dispute", **case)
    decision = {"outcome": disputes.DISMISSED, "order": disputes.NO_ORDER, "decision": "理由成立"}
    office.accept(successor, "sharing", "decide_dispute", **case, **decision)
    assert office.view("sharing", "dispute", **case).taken_by == successor.address


@pytest.mark.parametrize("outcome", [disputes.SETTLED, disputes.WITHDRAWN])
def test_who_raised_a_dispute_ends_it(office: Any, outcome: int) -> None:
    case = raise_dispute(office, refuse_request(office))
    end = {"outcome": outcome, "decision": "双方已协商"}
    office.refuse("OTHER_DEPARTMENT", office.approver, "sharing", "end_dispute", **case, **end)
    office.refuse("VALUE_UNKNOWN", office.requester, "sharing", "end_dispute", **case, **end | {"outcome": 1})
    office.refuse("OWN_DISPUTE", office.requester, "sharing", "answer_dispute", **case, answer="x")
    office.accept(office.approver, "sharing", "answer_dispute", **case, answer="同意提供")
    office.refuse("ANSWERED_ALREADY", office.approver, "sharing", "answer_dispute", **case, answer="x")
    office.accept(office.requester, "sharing", "end_dispute", **case, **end)
    assert office.view("sharing", "dispute", **case).outcome == outcome


def test_a_dispute_is_about_what_has_happened(office: Any) -> None:
    waiting = office.request()
    said = {"claim": "x", "evidence": NOTHING}
    for kind in ("refusal", "conditions", "quality"):
        office.refuse("REQUEST_STATE", office.requester, "sharing", "raise_dispute", request=waiting, kind=kind, **said)
    office.refuse("ROLE_MISSING", office.recorder, "sharing", "raise_dispute", request=waiting, kind="delay", **said)
    office.accept(office.requester, "sharing", "raise_dispute", request=waiting, kind="delay", **said)
    with pytest.raises(Refused):
        office.view("sharing", "dispute", request=waiting, number=2)


def test_neither_party_uses_up_the_disputes_of_the_other(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disputes, "MAX_RAISED", 2)
    granted = office.grant()
    said = {"request": granted, "kind": "other", "claim": "x", "evidence": NOTHING}
    for _ in range(2):
        office.accept(office.requester, "sharing", "raise_dispute", **said)
    office.refuse("CASES_FULL", office.requester, "sharing", "raise_dispute", **said)
    office.accept(office.approver, "sharing", "raise_dispute", **said)
    assert record_of(office, granted).disputes == 3


def test_a_request_is_not_reopened_for_ever(office: Any) -> None:
    refused = refuse_request(office)
    decision = {"outcome": disputes.UPHELD, "order": disputes.REOPEN, "decision": "重新答复"}
    while len(record_of(office, refused).history) <= sharing.LAST_REOPENING:
        case = raise_dispute(office, refused)
        office.accept(office.governor, "sharing", "take_dispute", **case)
        office.accept(office.governor, "sharing", "decide_dispute", **case, **decision)
        answer = {"reason_code": "not-needed", "reason": ""}
        office.accept(office.approver, "sharing", "refuse", request=refused, **answer)
    case = raise_dispute(office, refused)
    office.accept(office.governor, "sharing", "take_dispute", **case)
    office.refuse("CASES_FULL", office.governor, "sharing", "decide_dispute", **case, **decision)


def end_grant(office: Any, granted: bytes, by: str) -> None:
    """End a grant by its provider, one of the two ways there are."""
    if by == "stop":
        office.accept(office.approver, "sharing", "stop", request=granted, reason="不再提供")
        return
    period = {"from_ms": office.time_ms - 1_000, "to_ms": 0}
    office.accept(office.approver, "sharing", "recall", request=granted, ends_grant=True, reason="有误", **period)


@pytest.mark.parametrize("by", ["stop", "recall"])
def test_a_grant_that_its_provider_ended_may_be_restored(office: Any, by: str) -> None:
    granted = office.grant()
    before = record_of(office, granted)
    restore = {"outcome": disputes.UPHELD, "order": disputes.RESTORE, "decision": "应予恢复"}
    said = {"request": granted, "kind": "stop", "claim": "答复后即停", "evidence": NOTHING}
    office.refuse("REQUEST_STATE", office.requester, "sharing", "raise_dispute", **said)
    end_grant(office, granted, by)
    case = raise_dispute(office, granted, "stop")
    office.accept(office.governor, "sharing", "take_dispute", **case)
    reopen = restore | {"order": disputes.REOPEN}
    office.refuse("REQUEST_STATE", office.governor, "sharing", "decide_dispute", **case, **reopen)
    result = office.accept(office.governor, "sharing", "decide_dispute", **case, **restore)
    assert events(result) == ["DataGranted", "DisputeEnded"]
    after = record_of(office, granted)
    assert after.history[:-2] == before.history
    assert (after.conditions, after.to_ms, after.state) == (before.conditions, before.to_ms, "granted")
    ended_ms = after.history[-2].from_ms
    in_force = [sharing.is_in_force(after, time_ms) for time_ms in (ended_ms - 1, ended_ms, office.time_ms)]
    assert in_force == [True, False, True]


def test_only_what_the_provider_ended_and_still_runs_is_restored(office: Any) -> None:
    restore = {"outcome": disputes.UPHELD, "order": disputes.RESTORE, "decision": "应予恢复"}
    own = office.grant()
    office.accept(office.requester, "sharing", "stop", request=own, reason="不再需要")
    said = {"request": own, "kind": "stop", "claim": "x", "evidence": NOTHING}
    office.refuse("REQUEST_STATE", office.requester, "sharing", "raise_dispute", **said)
    for request, kind in ((own, "other"), (refuse_request(office), "refusal")):
        case = raise_dispute(office, request, kind)
        office.accept(office.governor, "sharing", "take_dispute", **case)
        office.refuse("REQUEST_STATE", office.governor, "sharing", "decide_dispute", **case, **restore)
    lapsed = office.grant()
    end_grant(office, lapsed, "stop")
    case = raise_dispute(office, lapsed, "stop")
    office.accept(office.governor, "sharing", "take_dispute", **case)
    office.time_ms = record_of(office, lapsed).to_ms
    office.refuse("PERIOD_OVER", office.governor, "sharing", "decide_dispute", **case, **restore)


def test_what_is_withdrawn_is_not_restored(office: Any) -> None:
    granted = office.grant()
    end_grant(office, granted, "stop")
    case = raise_dispute(office, granted, "stop")
    office.accept(office.governor, "sharing", "take_dispute", **case)
    office.accept(office.publisher, "catalogue", "withdraw", code=record_of(office, granted).resource, reason="涉密")
    restore = {"outcome": disputes.UPHELD, "order": disputes.RESTORE, "decision": "应予恢复"}
    office.refuse("RESOURCE_WITHDRAWN", office.governor, "sharing", "decide_dispute", **case, **restore)


@pytest.mark.parametrize("by", ["provider", "consumer"])
def test_who_ended_a_grant_is_who_it_was_then(office: Any, by: str) -> None:
    granted = office.grant()
    account = office.approver if by == "provider" else office.requester
    office.accept(account, "sharing", "stop", request=granted, reason="不再提供")
    other = office.tax_bureau if by == "provider" else office.land_bureau
    office.accept(office.governor, "members", "remove_account", account=account.address, reason="调任")
    moved = office.account_arguments(account, other, "调任", ["recorder"])
    office.accept(office.governor, "members", "add_account", **moved)
    record = record_of(office, granted)
    assert record.history[-1].department == (record.provider if by == "provider" else record.consumer)
    assert sharing.was_ended_by_provider(record) is (by == "provider")


def test_a_recall_ends_the_grant_and_is_confirmed_by_the_consumer(office: Any) -> None:
    granted = office.grant()
    granted_ms = office.time_ms
    said = {"request": granted, "from_ms": granted_ms - 500, "to_ms": granted_ms, "reason": "批次数据有误"}
    office.refuse("OTHER_DEPARTMENT", office.other_approver, "sharing", "recall", **said, ends_grant=True)
    result = office.accept(office.approver, "sharing", "recall", **said, ends_grant=True)
    assert events(result) == ["RecallBegun"]
    begun_ms = office.time_ms
    record = record_of(office, granted)
    assert (record.state, record.recalls) == ("recalled", 1)
    assert not sharing.is_in_force(record, begun_ms)
    assert sharing.is_in_force(record, begun_ms - 1)

    confirm = {"request": granted, "number": 1, "statement": STATEMENT, "note": "已全部删除"}
    office.refuse("DIGEST_ZERO", office.requester, "sharing", "confirm_recall", **confirm | {"statement": NOTHING})
    office.refuse("CASE_UNKNOWN", office.requester, "sharing", "confirm_recall", **confirm | {"number": 2})
    office.refuse("ROLE_MISSING", office.recorder, "sharing", "confirm_recall", **confirm)
    office.accept(office.requester, "sharing", "confirm_recall", **confirm)
    found = recalls.load_recall(office.state, granted, 1)
    assert found is not None
    assert (found.begun_ms, found.confirmed_ms, found.statement) == (begun_ms, office.time_ms, STATEMENT)
    assert recalls.RECALLS.decode(office.state[recalls.recall_key(granted, 1)]) == found
    assert office.view("sharing", "data_recall", request=granted, number=1) == found
    office.refuse("ANSWERED_ALREADY", office.requester, "sharing", "confirm_recall", **confirm)


def test_a_part_is_recalled_while_the_grant_goes_on(office: Any) -> None:
    granted = office.grant()
    said = {"request": granted, "from_ms": office.time_ms - 1, "to_ms": office.time_ms, "reason": "单日数据有误"}
    office.accept(office.approver, "sharing", "recall", **said, ends_grant=False)
    assert sharing.is_in_force(record_of(office, granted), office.time_ms)
    office.accept(office.approver, "sharing", "stop", request=granted, reason="到期")
    office.accept(office.approver, "sharing", "recall", **said, ends_grant=True)
    office.accept(office.approver, "sharing", "recall", **said, ends_grant=False)
    office.refuse("REQUEST_STATE", office.approver, "sharing", "recall", **said, ends_grant=True)
    assert (record_of(office, granted).state, record_of(office, granted).recalls) == ("recalled", 3)


def test_only_what_was_supplied_is_recalled(office: Any) -> None:
    said = {"reason": "x", "ends_grant": True, "from_ms": office.time_ms - 10, "to_ms": office.time_ms}
    office.refuse("REQUEST_STATE", office.approver, "sharing", "recall", request=office.request(), **said)
    granted = office.grant()
    later = said | {"to_ms": office.time_ms + 86_400_000}
    office.refuse("RECALL_IN_FUTURE", office.approver, "sharing", "recall", request=granted, **later)
    reversed_times = said | {"to_ms": said["from_ms"]}
    office.refuse("DATES_REVERSED", office.approver, "sharing", "recall", request=granted, **reversed_times)


def test_the_whole_of_today_is_what_there_is_of_it(office: Any) -> None:
    granted = office.grant()
    ends_ms = day_end_ms(show_day(office.time_ms))
    said = {"request": granted, "from_ms": office.time_ms - 10, "reason": "x", "ends_grant": False}
    office.refuse("RECALL_IN_FUTURE", office.approver, "sharing", "recall", **said, to_ms=ends_ms + 1)
    office.accept(office.approver, "sharing", "recall", **said, to_ms=ends_ms)
    assert office.view("sharing", "data_recall", request=granted, number=1).to_ms == office.time_ms
    earlier = said | {"from_ms": office.time_ms - 2_000, "to_ms": office.time_ms - 1_000}
    office.accept(office.approver, "sharing", "recall", **earlier)
    assert office.view("sharing", "data_recall", request=granted, number=2).to_ms == earlier["to_ms"]
