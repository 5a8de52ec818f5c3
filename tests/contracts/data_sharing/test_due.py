"""Deadlines of a request: which clock runs, whose it is, by which region's terms, and what ends it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from contracts import registry
from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.deadlines import ORDER_809
from contracts.data_sharing.due import DATA_AUTHORITY, Deadline, load_deadlines, load_obligations
from contracts.data_sharing.sharing import NO_REQUEST, RequestInterval, RequestRecord
from contracts.data_sharing.working_days import DAY_MS, day_of, format_day
from contracts.refusals import Refused

GOLDEN_WEEK = sorted(
    [[f"2025-10-{day:02d}", False, "国庆节、中秋节"] for day in range(1, 9)]
    + [["2025-09-28", True, "国庆节调休"], ["2025-10-11", True, "国庆节调休"]]
)


def at(text: str) -> int:
    """Return a time of Beijing, MM-DD HH:MM of 2025, as ms."""
    moment = datetime.fromisoformat(f"2025-{text}").replace(tzinfo=timezone(timedelta(hours=8)))
    return int(moment.timestamp()) * 1_000


def requested(bench: Any, states: Sequence[tuple[str, str]], **changes: Any) -> RequestRecord:
    """Return a request that was in these states, each since a time."""
    history = tuple(RequestInterval(state, at(since), "", bytes(20), bench.tax_bureau, "") for state, since in states)
    record = RequestRecord(
        id=bytes(31) + b"\1",
        resource="307013301/000001",
        provider=bench.land_bureau,
        consumer=bench.tax_bureau,
        purpose="核验",
        legal_basis="税收征收管理法第六条",
        items=(),
        case_types=(),
        rows_per_day=0,
        from_ms=at("01-01 00:00"),
        to_ms=at("12-31 23:59"),
        conditions=Conditions(),
        previous=NO_REQUEST,
        renewal=NO_REQUEST,
        supplied_ms=0,
        corrections=0,
        disputes=0,
        recalls=0,
        history=history,
    )
    return msgspec.structs.replace(record, **changes)


def checked_at(record: RequestRecord, time: str, number: int = 0) -> RequestRecord:
    """Return the request with the compliance check passed at a time, while it was in its state of that number."""
    history = list(record.history)
    history[number] = msgspec.structs.replace(history[number], checked_ms=at(time))
    return msgspec.structs.replace(record, history=tuple(history))


def shown(deadlines: Sequence[Deadline]) -> list[tuple[str, str, bool]]:
    """Return kind, day due and whether it is done."""
    return [(one.kind, format_day(day_of(one.due_ms)), bool(one.done_ms)) for one in deadlines]


@pytest.fixture
def office(bench: Any) -> Any:
    """The ledger in August 2025 with that year's calendar."""
    bench.time_ms = at("08-01 08:00")
    bench.accept(
        bench.governor, "deadlines", "set_calendar", year=2025, source="国办发明电〔2024〕12号", days=GOLDEN_WEEK
    )
    return bench


def set_terms(bench: Any, region: str, **changes: int) -> None:
    terms = [[one.kind, changes.get(one.kind, one.working_days)] for one in ORDER_809.terms]
    bench.accept(
        bench.governor,
        "deadlines",
        "set_terms",
        region=region,
        name="示范",
        source="示范办法",
        from_ms=bench.time_ms + 1_000,
        terms=terms,
    )


def test_a_waiting_request_is_answered_in_ten_working_days(office: Any) -> None:
    record = requested(office, [("waiting", "09-19 16:00")])
    (reply,) = load_deadlines(office.state, record)
    # From Friday 19 September: 22 to 26, the Sunday 28 to 30, then, 1 to 8 October off, 9 and 10 October.
    assert shown([reply]) == [("reply_conditional", "2025-10-10", False)]
    assert (reply.department, reply.start_ms, reply.working_days) == (office.land_bureau, at("09-19 16:00"), 10)
    assert reply.due_ms == at("10-11 00:00") - 1
    assert not reply.is_provisional


def test_what_runs_into_a_year_without_a_calendar_is_provisional(office: Any) -> None:
    (reply,) = load_deadlines(office.state, requested(office, [("waiting", "12-25 09:00")]))
    assert (format_day(day_of(reply.due_ms)), reply.is_provisional) == ("2026-01-08", True)


def test_an_answer_stops_the_clock_and_a_grant_begins_that_of_supply(office: Any) -> None:
    record = requested(office, [("waiting", "08-04 09:00"), ("granted", "08-20 10:00")])
    reply, supply = load_deadlines(office.state, record)
    assert shown([reply, supply]) == [
        ("reply_conditional", "2025-08-18", True),
        ("supply", "2025-09-17", False),
    ]
    assert reply.done_ms > reply.due_ms, "answered late"
    supplied = msgspec.structs.replace(record, supplied_ms=at("08-21 09:00"))
    assert load_deadlines(office.state, supplied)[1].done_ms == at("08-21 09:00")


def test_supply_is_owed_while_the_grant_lasts(office: Any) -> None:
    stopped = requested(office, [("waiting", "08-04 09:00"), ("granted", "08-05 10:00"), ("stopped", "08-06 10:00")])
    assert load_deadlines(office.state, stopped)[-1].done_ms == at("08-06 10:00")
    granted = requested(office, [("waiting", "08-04 09:00"), ("granted", "08-05 10:00")], to_ms=at("09-30 23:59"))
    supply = load_obligations(office.state, granted)[-1]
    assert supply.is_open(at("09-30 23:59"))
    assert not supply.is_open(at("10-01 00:00"))


def test_a_grant_for_later_is_supplied_when_it_begins(office: Any) -> None:
    states = [("waiting", "08-04 09:00"), ("granted", "08-05 10:00")]
    supply = load_deadlines(office.state, requested(office, states, from_ms=at("09-01 00:00")))[-1]
    assert (supply.start_ms, format_day(day_of(supply.due_ms))) == (at("09-01 00:00"), "2025-09-28")
    far = requested(office, states, from_ms=253_370_736_000_000, to_ms=253_402_271_999_999)
    assert load_deadlines(office.state, far)[-1].start_ms == at("08-05 10:00") + 365 * 86_400_000


def test_a_grant_for_later_is_supplied_by_the_terms_under_which_it_was_given(office: Any) -> None:
    states = [("waiting", "08-04 09:00"), ("granted", "08-05 10:00")]
    record = requested(office, states, from_ms=at("09-01 00:00"))
    before = load_deadlines(office.state, record)[-1]
    shorter = [[one.kind, 3 if one.kind == "supply" else one.working_days] for one in ORDER_809.terms]
    said = {"region": "", "name": "示范", "source": "示范办法", "from_ms": at("08-20 00:00"), "terms": shorter}
    office.time_ms = at("08-06 09:00")
    office.accept(office.governor, "deadlines", "set_terms", **said)
    assert load_deadlines(office.state, record)[-1] == before


def test_what_goes_on_from_a_supplied_grant_owes_no_supply_anew(office: Any) -> None:
    states = [("waiting", "08-04 09:00"), ("granted", "08-05 10:00")]
    record = requested(office, states, previous=b"\1" * 32, supplied_ms=at("03-04 09:00"))
    assert [one.kind for one in load_deadlines(office.state, record)] == ["reply_conditional"]
    unsupplied = msgspec.structs.replace(record, supplied_ms=0)
    assert [one.kind for one in load_deadlines(office.state, unsupplied)] == ["reply_conditional", "supply"]


def test_what_was_granted_at_once_was_answered_in_time(office: Any) -> None:
    record = requested(office, [("waiting", "08-04 09:00"), ("granted", "08-04 09:00")])
    reply, supply = load_deadlines(office.state, record)
    assert (reply.kind, reply.working_days, reply.done_ms) == ("reply_unconditional", 1, at("08-04 09:00"))
    assert supply.kind == "supply"


def test_a_returned_request_is_answered_anew_once_it_is_completed(office: Any) -> None:
    states = [("waiting", "08-04 09:00"), ("returned", "08-06 09:00"), ("waiting", "08-20 09:00")]
    found = load_deadlines(office.state, requested(office, states))
    assert shown(found) == [("reply_conditional", "2025-08-18", True), ("reply_conditional", "2025-09-03", False)]
    returned = load_deadlines(office.state, requested(office, states[:2]))
    assert [bool(one.done_ms) for one in returned] == [True]


def test_a_region_with_a_compliance_check_counts_the_reply_from_it(office: Any) -> None:
    set_terms(office, "3301", compliance_check=2, reply_conditional=5)
    waiting = requested(office, [("waiting", "09-26 10:00")])
    check, reply = load_deadlines(office.state, waiting)
    # The Sunday 28 and Monday 29 September; then, 1 to 8 October off, 30 September, 9, 10, the Saturday 11 and 13 October.
    assert shown([check, reply]) == [
        ("compliance_check", "2025-09-29", False),
        ("reply_conditional", "2025-10-13", False),
    ]
    assert (check.department, reply.department) == (DATA_AUTHORITY, office.land_bureau)
    checked = checked_at(waiting, "09-26 17:00")
    check, reply = load_deadlines(office.state, checked)
    assert (check.done_ms, reply.start_ms) == (at("09-26 17:00"), at("09-26 17:00"))
    assert shown([reply]) == [("reply_conditional", "2025-10-10", False)]


def test_a_late_check_does_not_begin_the_reply_anew(office: Any) -> None:
    set_terms(office, "3301", compliance_check=2, reply_conditional=5)
    waiting = requested(office, [("waiting", "08-04 09:00")])
    overdue = load_deadlines(office.state, waiting)
    checked = checked_at(waiting, "10-20 09:00")
    assert [one.due_ms for one in load_deadlines(office.state, checked)] == [one.due_ms for one in overdue]
    # On the last day it is in time, and both terms end together.
    last = load_deadlines(office.state, checked_at(waiting, "08-06 23:00"))
    assert shown(last) == [("compliance_check", "2025-08-06", True), ("reply_conditional", "2025-08-13", False)]
    assert shown(overdue)[1] == ("reply_conditional", "2025-08-13", False)


def test_what_was_late_stays_late_when_the_request_waits_again(office: Any) -> None:
    set_terms(office, "3301", compliance_check=10, reply_conditional=5)
    states = [("waiting", "08-04 09:00"), ("returned", "08-18 09:00")]
    returned = checked_at(requested(office, states), "08-04 10:00")
    before = load_deadlines(office.state, returned)
    assert before[1].done_ms > before[1].due_ms
    again = checked_at(requested(office, [*states, ("waiting", "08-20 09:00")]), "08-04 10:00")
    assert load_deadlines(office.state, again)[:2] == before
    assert again.checked_ms == 0, "it waits to be checked again"


def test_an_answer_in_the_requests_own_block_is_no_grant_without_conditions(office: Any) -> None:
    record = requested(office, [("waiting", "08-04 09:00"), ("granted", "08-04 09:00")])
    by_provider = msgspec.structs.replace(record.history[1], department=office.land_bureau)
    granted = msgspec.structs.replace(record, history=(record.history[0], by_provider))
    refused = requested(office, [("waiting", "08-04 09:00"), ("refused", "08-04 09:00")])
    for answered in (granted, refused):
        assert load_deadlines(office.state, answered)[0].kind == "reply_conditional"


def test_where_there_is_a_check_nothing_is_granted_unchecked(office: Any) -> None:
    office.publish()
    before = office.request(to_ms=at("12-31 23:59"))
    set_terms(office, "3301", compliance_check=2, reply_conditional=5)
    office.time_ms += 2_000
    after = office.request(to_ms=at("12-31 23:59"))
    granted = {"conditions": Conditions(), "to_ms": at("12-31 23:59")}
    office.refuse("CHECK_MISSING", office.approver, "sharing", "grant", request=after, **granted)
    # What began under terms without a check needs none.
    office.accept(office.approver, "sharing", "grant", request=before, **granted)
    office.accept(office.governor, "sharing", "check", request=after, passed=True, note="")
    office.accept(office.approver, "sharing", "grant", request=after, **granted)
    found = office.view("deadlines", "deadlines_of", request=after)
    assert [(one.kind, bool(one.done_ms), one.fell_away) for one in found] == [
        ("compliance_check", True, False),
        ("reply_conditional", True, False),
        ("supply", False, False),
    ]


def ends(office: Any, states: list[tuple[str, str]], **changes: Any) -> dict[str, bool]:
    """Return of each kind of deadline of a request whether it fell away."""
    found = load_deadlines(office.state, requested(office, states, **changes))
    assert all(one.done_ms for one in found)
    return {one.kind: one.fell_away for one in found}


def test_what_nobody_did_falls_away_and_is_not_called_done(office: Any) -> None:
    set_terms(office, "3301", compliance_check=2, reply_conditional=5)
    waiting = ("waiting", "08-04 09:00")
    # Refused unchecked; taken back; refused by the check.
    assert ends(office, [waiting, ("refused", "08-05 09:00")]) == {"compliance_check": True, "reply_conditional": False}
    assert ends(office, [waiting, ("stopped", "08-05 09:00")]) == {"compliance_check": True, "reply_conditional": True}
    record = requested(office, [waiting, ("refused", "08-05 09:00")])
    failed = msgspec.structs.replace(record.history[1], reason_code="not-compliant")
    record = msgspec.structs.replace(record, history=(record.history[0], failed))
    assert [one.fell_away for one in load_deadlines(office.state, record)] == [False, False]
    # A grant that ended before it was supplied; and one that was supplied before.
    ended = [("waiting", "07-01 09:00"), ("granted", "07-02 09:00"), ("stopped", "07-03 09:00")]
    assert ends(office, ended)["supply"]
    assert not ends(office, ended, supplied_ms=at("07-02 10:00"))["supply"]


def test_a_restored_grant_is_owed_supply_anew_unless_that_had_begun(office: Any) -> None:
    spells = ["waiting 07-01 09:00", "granted 07-02 09:00", "stopped 09-01 09:00", "granted 09-08 09:00"]
    states = [(state, time) for state, time in (one.split(" ", 1) for one in spells)]
    first, second = load_deadlines(office.state, requested(office, states))[1:]
    # The first was overdue when the grant was stopped: it stays so.
    assert (first.fell_away, first.done_ms > first.due_ms, second.done_ms) == (True, True, 0)
    # From Monday 8 September: 9 to 12, 15 to 19, 22 to 26, the Sunday 28 to 30; then 9, 10 and the Saturday 11 October.
    assert format_day(day_of(second.due_ms)) == "2025-10-11"
    supplied = load_deadlines(office.state, requested(office, states, supplied_ms=at("07-02 10:00")))
    assert [one.kind for one in supplied] == ["reply_conditional", "supply"]


def test_both_regions_count_one_request_by_their_own_terms(office: Any) -> None:
    days = {}
    for region, check, reply in (("3301", 2, 5), ("330100", 2, 10)):
        set_terms(office, region, compliance_check=check, reply_conditional=reply)
        office.time_ms += 2_000
        found = load_deadlines(office.state, requested(office, [("waiting", "09-19 16:00")]))
        days[region] = [day for _, day, _ in shown(found)]
    # The department's region is 330100: of the two tables the longer prefix holds once it is there.
    assert days == {"3301": ["2025-09-23", "2025-09-29"], "330100": ["2025-09-23", "2025-10-13"]}


def test_what_began_under_old_terms_keeps_them(office: Any) -> None:
    record = requested(office, [("waiting", "08-04 09:00")])
    before = load_deadlines(office.state, record)
    office.time_ms = at("08-11 08:00")
    set_terms(office, "33", reply_conditional=3)
    assert load_deadlines(office.state, record) == before
    later = requested(office, [("waiting", "08-12 09:00")])
    assert shown(load_deadlines(office.state, later)) == [("reply_conditional", "2025-08-15", False)]


def test_a_changed_calendar_moves_what_is_not_yet_due(office: Any) -> None:
    record = requested(office, [("waiting", "09-19 16:00")])
    office.time_ms = at("09-29 09:00")
    changed = sorted([*GOLDEN_WEEK, ["2025-10-09", False, "台风停工"]])
    office.accept(office.governor, "deadlines", "set_calendar", year=2025, source="市政府通告", days=changed)
    # The Saturday 11 October makes up for one of the holidays.
    assert shown(load_deadlines(office.state, record)) == [("reply_conditional", "2025-10-11", False)]


def test_where_no_term_applies_there_is_no_deadline(office: Any) -> None:
    set_terms(office, "33", reply_conditional=0, compliance_check=2)
    found = load_deadlines(office.state, requested(office, [("waiting", "09-19 16:00")]))
    assert [one.kind for one in found] == ["compliance_check"]


def test_anyone_may_ask_the_ledger_for_the_deadlines_of_a_request(office: Any) -> None:
    office.publish()
    asked = office.request(to_ms=at("12-31 23:59"))
    (reply,) = office.view("deadlines", "deadlines_of", request=asked)
    assert (reply.kind, reply.start_ms, reply.done_ms) == ("reply_conditional", office.time_ms, 0)
    with pytest.raises(Refused, match="REQUEST_UNKNOWN"):
        office.view("deadlines", "deadlines_of", request=bytes(32))


def test_rules_that_wait_to_begin_do_not_put_deadlines_out_of_reach(office: Any) -> None:
    office.publish()
    asked = office.grant(to_ms=at("12-31 23:59"))
    said = {"request": asked, "item": "面积", "claim": "x", "evidence": bytes(32)}
    for _ in range(24):
        office.accept(office.requester, "sharing", "ask_correction", **said)

    def gas_of_deadlines() -> int:
        to, data = registry.encode_call("deadlines", "deadlines_of", request=asked)
        used: int = office.execute(office.requester.address, to, data).gas_used
        return used

    before = gas_of_deadlines()
    # One that has begun and eight that have not, in the region itself.
    for days in range(9):
        from_ms = days * DAY_MS and office.time_ms + days * DAY_MS
        rules = {"region": "330100", "name": "杭州市", "source": "示范", "from_ms": from_ms}
        terms = [[term.kind, term.working_days] for term in ORDER_809.terms]
        office.accept(office.governor, "deadlines", "set_terms", **rules, terms=terms)
    office.accept(office.requester, "sharing", "ask_correction", **said)

    # One correction more, and each version that is looked at read once, not once for each of 27 clocks.
    assert gas_of_deadlines() < 1.1 * before


def test_corrections_disputes_and_recalls_each_have_a_clock(office: Any) -> None:
    office.publish()
    asked = office.grant(to_ms=at("12-31 23:59"))
    office.accept(office.approver, "sharing", "start_supply", request=asked)
    said = {"request": asked, "claim": "面积有误", "evidence": bytes(32)}
    office.time_ms = at("09-26 09:00")
    office.accept(office.requester, "sharing", "ask_correction", **said, item="面积")
    office.accept(office.requester, "sharing", "raise_dispute", **said, kind="quality")
    period = {"from_ms": office.time_ms - 1_000, "to_ms": office.time_ms}
    office.accept(office.approver, "sharing", "recall", request=asked, ends_grant=False, reason="有误", **period)
    found = office.view("deadlines", "deadlines_of", request=asked)[-3:]
    assert [(one.kind, one.number, one.department, one.working_days) for one in found] == [
        ("correction", 1, office.land_bureau, 10),
        ("dispute", 1, DATA_AUTHORITY, 30),
        ("recall", 1, office.tax_bureau, 5),
    ]
    # The Sunday 28 to 30 September, then 9 and 10 October.
    assert shown(found[2:]) == [("recall", "2025-10-10", False)]
    office.accept(office.approver, "sharing", "answer_correction", request=asked, number=1, outcome=1, answer="已更正")
    office.accept(office.governor, "sharing", "take_dispute", request=asked, number=1)
    statement = {"statement": bytes(31) + b"\1", "note": ""}
    office.accept(office.requester, "sharing", "confirm_recall", request=asked, number=1, **statement)
    found = office.view("deadlines", "deadlines_of", request=asked)[-3:]
    assert [bool(one.done_ms) for one in found] == [True, False, True]
    assert found[1].department == office.data_bureau, "whoever took the dispute up has to decide it"
    settled = {"outcome": 3, "decision": "双方已协商"}
    office.accept(office.requester, "sharing", "end_dispute", request=asked, number=1, **settled)
    found = office.view("deadlines", "deadlines_of", request=asked)[-3:]
    assert [one.fell_away for one in found] == [False, True, False], "nobody had to decide it any more"
