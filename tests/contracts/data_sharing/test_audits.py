"""Audits: the authority, queries recorded before they are answered, and findings with their life."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts import registry
from contracts.data_sharing import audits
from contracts.data_sharing.access import GO_ON
from contracts.data_sharing.audit_figures import FigureRow, FiguresRecord, figures_in_force, load_figure_table
from contracts.data_sharing.audits import CLOSED, CONFIRMED, DISMISSED, EXPLAINED, RAISED, FindingSubject
from sm_crypto.sm3 import sm3

EVIDENCE = sm3(b"evidence")
LETTER = {"reference": "审函〔2026〕1号", "digest": sm3(b"letter")}


def subject_of(bench: Any, **changes: Any) -> FindingSubject:
    subject = FindingSubject(
        rule="READ_WITHOUT_GRANT",
        department=bench.land_bureau,
        other=bench.tax_bureau,
        stream=bench.land_bureau,
        recorder=bench.provider_recorder.address,
        first_number=3,
        last_number=5,
        grant=bytes(32),
        from_ms=bench.time_ms - 5_000,
        to_ms=bench.time_ms,
    )
    return msgspec.structs.replace(subject, **changes)


def raise_finding(bench: Any, account: Any = None, **changes: Any) -> int:
    subject = subject_of(bench, **changes)
    output = bench.accept(
        account or bench.auditor, "audits", "raise_finding", subject=subject, reference="", digest=EVIDENCE
    ).output
    return int.from_bytes(output, "big")


def kept_time(bench: Any, number: int) -> int:
    record = audits.load_query(bench.state, number)
    assert record is not None
    return record.recorded_ms


def state_of(bench: Any, number: int) -> str:
    found: audits.FindingRecord = bench.view("audits", "finding", number=number)
    return found.state


@pytest.fixture
def office(bench: Any) -> Any:
    """The ledger with the data bureau as auditing authority, an auditor in the tax bureau beside its own, and nine reads in a stream."""
    policy = {"heartbeat_s": 60, "max_batch_records": 100, "on_outage": GO_ON, "stop_after_s": 0}
    bench.accept(bench.provider_recorder, "access", "declare_stream", **policy, bodies_at="", second_place="")
    place = {"batch_number": 1, "first_number": 1, "count": 9, "from_ms": 0, "to_ms": bench.time_ms}
    digests = {"previous_digest": bytes(32), "last_digest": sm3(b"last"), "root": sm3(b"root")}
    counts = {"served": 9, "denied": 0, "irregular": 0, "rows": 0}
    bench.accept(bench.provider_recorder, "access", "record_batch", **place, **digests, **counts)
    bench.accept(bench.governor, "audits", "name_authority", department=bench.data_bureau)
    bench.accept(bench.governor, "members", "set_roles", account=bench.other_approver.address, roles=["auditor"])
    bench.other_auditor = bench.other_approver
    return bench


def test_a_governor_names_the_authority_and_each_one_is_kept(bench: Any) -> None:
    assert bench.view("audits", "authority") == ""
    bench.refuse("ROLE_MISSING", bench.auditor, "audits", "name_authority", department=bench.data_bureau)
    bench.refuse("DEPARTMENT_UNKNOWN", bench.governor, "audits", "name_authority", department="nobody")
    for department in (bench.data_bureau, bench.data_bureau, bench.tax_bureau):
        bench.accept(bench.governor, "audits", "name_authority", department=department)
    assert bench.view("audits", "authority") == bench.tax_bureau
    named = audits.load_authorities(bench.state)
    assert [interval.department for interval in named] == [bench.data_bureau, bench.tax_bureau]
    bench.accept(bench.governor, "members", "suspend_department", code=bench.land_bureau, reason="x")
    bench.refuse("DEPARTMENT_SUSPENDED", bench.governor, "audits", "name_authority", department=bench.land_bureau)


def test_queries_are_numbered_without_a_gap_and_say_who_asked(office: Any) -> None:
    for expected, account in ((1, office.auditor), (2, office.other_auditor), (3, office.auditor)):
        arguments = {"kind": "trace", "digest": sm3(b"query"), "basis": "审通〔2026〕7号"}
        result = office.accept(account, "audits", "record_query", **arguments)
        assert int.from_bytes(result.output, "big") == expected
        kept = audits.load_query(office.state, expected)
        assert kept is not None
        assert (kept.account, kept.department, kept.recorded_ms) == (
            account.address,
            account.department,
            office.time_ms,
        )
    assert audits.count_queries(office.state) == 3
    asked = {"number": 2, "account": office.other_auditor.address, "digest": sm3(b"query")}
    assert office.view("audits", "query_recorded_ms", **asked) == kept_time(office, 2)
    assert office.view("audits", "query_recorded_ms", **asked | {"number": 3}) == 0
    assert office.view("audits", "query_recorded_ms", **asked | {"number": 4}) == 0
    assert office.view("audits", "query_recorded_ms", **asked | {"digest": sm3(b"another")}) == 0
    assert audits.load_query(office.state, 4) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "gossip"}, "VALUE_UNKNOWN"),
        ({"digest": bytes(32)}, "DIGEST_ZERO"),
        ({"basis": ""}, "TEXT_EMPTY"),
        ({"basis": "号" * 65}, "TEXT_TOO_LONG"),
    ],
)
def test_a_faulty_query_is_refused(office: Any, changes: dict[str, Any], code: str) -> None:
    arguments = {"kind": "trace", "digest": sm3(b"query"), "basis": "号"} | changes
    office.refuse(code, office.auditor, "audits", "record_query", **arguments)
    office.refuse("ROLE_MISSING", office.recorder, "audits", "record_query", **arguments)


def test_a_finding_is_raised_explained_confirmed_and_closed(office: Any) -> None:
    number = raise_finding(office)
    assert (number, state_of(office, number)) == (1, RAISED)
    office.accept(office.approver, "audits", "explain", number=number, **LETTER)
    office.accept(office.approver, "audits", "explain", number=number, **LETTER)
    assert state_of(office, number) == EXPLAINED
    office.accept(office.auditor, "audits", "confirm", number=number, **LETTER)
    assert state_of(office, number) == CONFIRMED
    office.refuse("FINDING_STATE", office.auditor, "audits", "dismiss", number=number, **LETTER)
    office.refuse("FINDING_STATE", office.approver, "audits", "explain", number=number, **LETTER)
    office.accept(office.auditor, "audits", "close", number=number, **LETTER)
    record = office.view("audits", "finding", number=number)
    assert [step.state for step in record.history] == [RAISED, EXPLAINED, EXPLAINED, CONFIRMED, CLOSED]
    assert [step.operator for step in record.history[:2]] == [office.auditor.address, office.approver.address]
    office.refuse("FINDING_STATE", office.auditor, "audits", "close", number=number, **LETTER)


def test_a_dismissed_finding_is_not_closed_again(office: Any) -> None:
    number = raise_finding(office)
    office.accept(office.auditor, "audits", "dismiss", number=number, **LETTER)
    assert state_of(office, number) == DISMISSED
    office.refuse("FINDING_STATE", office.auditor, "audits", "close", number=number, **LETTER)


def test_the_same_subject_is_raised_once_by_a_department(office: Any) -> None:
    subject = subject_of(office)
    arguments = {"subject": subject, "reference": "", "digest": EVIDENCE}
    office.accept(office.auditor, "audits", "raise_finding", **arguments)
    office.refuse("FINDING_EXISTS", office.auditor, "audits", "raise_finding", **arguments)
    office.accept(office.other_auditor, "audits", "raise_finding", **arguments)
    assert audits.count_findings(office.state) == 2
    found = audits.find_finding(office.state, audits.finding_id(office.tax_bureau, subject))
    assert found == 2
    assert audits.find_finding(office.state, sm3(b"none")) == 0


def test_nobody_decides_about_itself_but_the_authority(office: Any) -> None:
    own = raise_finding(office, office.other_auditor, department=office.tax_bureau)
    office.refuse("NOT_THE_AUTHORITY", office.other_auditor, "audits", "dismiss", number=own, **LETTER)
    office.accept(office.auditor, "audits", "dismiss", number=own, **LETTER)
    others = raise_finding(office, office.other_auditor)
    office.accept(office.other_auditor, "audits", "confirm", number=others, **LETTER)
    of_authority = raise_finding(office)
    office.refuse("NOT_THE_AUTHORITY", office.other_auditor, "audits", "confirm", number=of_authority, **LETTER)


def test_only_the_department_concerned_explains(office: Any) -> None:
    number = raise_finding(office)
    office.refuse("OTHER_DEPARTMENT", office.recorder, "audits", "explain", number=number, **LETTER)
    office.refuse("ROLE_MISSING", office.publisher, "audits", "explain", number=number, **LETTER)
    office.refuse("FINDING_UNKNOWN", office.approver, "audits", "explain", number=2, **LETTER)
    office.refuse("DIGEST_ZERO", office.approver, "audits", "explain", number=number, **LETTER | {"digest": bytes(32)})


def test_explanations_without_end_leave_room_for_a_decision(office: Any) -> None:
    number = raise_finding(office)
    for _ in range(audits.MAX_STEPS - 3):
        office.accept(office.approver, "audits", "explain", number=number, **LETTER)
    office.refuse("LIST_TOO_LONG", office.approver, "audits", "explain", number=number, **LETTER)
    office.accept(office.auditor, "audits", "confirm", number=number, **LETTER)
    office.accept(office.auditor, "audits", "close", number=number, **LETTER)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"rule": "odd rule"}, "RULE_MALFORMED"),
        ({"rule": ""}, "RULE_MALFORMED"),
        ({"department": ""}, "DEPARTMENT_UNKNOWN"),
        ({"other": "nobody"}, "DEPARTMENT_UNKNOWN"),
        ({"first_number": 6}, "NUMBERS_REVERSED"),
        ({"to_ms": 0}, "DATES_REVERSED"),
        # Nine reads are recorded, and a heartbeat after them would stand at the tenth place.
        ({"last_number": 11}, "NUMBERS_BEYOND_STREAM"),
        ({"last_number": 2**64 - 1}, "NUMBERS_BEYOND_STREAM"),
        ({"recorder": bytes(20)}, "STREAM_UNKNOWN"),
        ({"stream": "", "recorder": bytes(20)}, "STREAM_UNKNOWN"),
    ],
)
def test_a_faulty_finding_is_refused(office: Any, changes: dict[str, Any], code: str) -> None:
    arguments = {"subject": subject_of(office, **changes), "reference": "", "digest": EVIDENCE}
    office.refuse(code, office.auditor, "audits", "raise_finding", **arguments)


def test_a_finding_is_as_wide_as_what_the_ledger_has_at_most(office: Any) -> None:
    assert raise_finding(office, first_number=1, last_number=10, from_ms=0) == 1
    nothing = {"stream": "", "recorder": bytes(20), "first_number": 0, "last_number": 0}
    assert raise_finding(office, rule="CONDUCT", **nothing) == 2


def test_what_was_asked_and_found_is_not_for_everybody(office: Any) -> None:
    methods = registry.CONTRACTS["audits"].methods
    assert {name for name, method in methods.items() if method.is_view and method.is_public} == {
        "authority",
        "query_recorded_ms",
    }


def open_counts(bench: Any, rule: str = "READ_WITHOUT_GRANT") -> dict[str, int]:
    counts = {state: audits.count_in_state(bench.state, rule, state) for state in audits.FINDING_STATES}
    return {state: count for state, count in counts.items() if count}


def test_how_many_findings_are_in_each_state_is_counted_by_rule(office: Any) -> None:
    first = raise_finding(office)
    raise_finding(office, first_number=7, last_number=9)
    raise_finding(office, rule="OVER_QUOTA")
    assert (open_counts(office), open_counts(office, "OVER_QUOTA")) == ({RAISED: 2}, {RAISED: 1})
    office.accept(office.provider_recorder, "audits", "explain", number=first, **LETTER)
    assert open_counts(office) == {RAISED: 1, EXPLAINED: 1}
    for method in ("confirm", "close"):
        office.accept(office.auditor, "audits", method, number=first, **LETTER)
    assert open_counts(office) == {RAISED: 1, CLOSED: 1}


FIGURES = {"department": "", "rows": [FigureRow("day_to_minute", 1_320)], "basis": "审规〔2026〕1号"}


def test_figures_are_published_ahead_by_a_governor_or_the_authority(
    office: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead_ms = office.time_ms + 1_000_000
    for account in (office.governor, office.auditor):
        office.accept(account, "audits", "set_figures", **FIGURES, from_ms=ahead_ms)
    assert audits.count_figure_tables(office.state) == 2
    table = load_figure_table(office.state, 2)
    assert table is not None
    assert (table.number, table.rows, table.from_ms, table.set_by) == (
        2,
        (FigureRow("day_to_minute", 1_320),),
        ahead_ms,
        office.auditor.address,
    )
    office.refuse("NOT_THE_AUTHORITY", office.other_auditor, "audits", "set_figures", **FIGURES, from_ms=ahead_ms)
    office.refuse("ROLE_MISSING", office.provider_recorder, "audits", "set_figures", **FIGURES, from_ms=ahead_ms)
    office.refuse("FIGURES_NOT_AHEAD", office.governor, "audits", "set_figures", **FIGURES, from_ms=office.time_ms)
    # Nobody says by what its own department is judged, but the authority; and no governor ends publishing for it.
    office.accept(office.governor, "audits", "name_authority", department=office.tax_bureau)
    own = FIGURES | {"department": office.data_bureau}
    office.refuse("NOT_THE_AUTHORITY", office.governor, "audits", "set_figures", **own, from_ms=ahead_ms)
    own = FIGURES | {"department": office.tax_bureau}
    office.accept(office.other_auditor, "audits", "set_figures", **own, from_ms=ahead_ms)
    monkeypatch.setattr(audits, "MAX_GOVERNORS_TABLES", 3)
    office.refuse("LIST_TOO_LONG", office.governor, "audits", "set_figures", **FIGURES, from_ms=ahead_ms)
    office.accept(office.other_auditor, "audits", "set_figures", **FIGURES, from_ms=ahead_ms)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"rows": []}, "LIST_EMPTY"),
        ({"rows": [FigureRow("late_s", 1)]}, "VALUE_UNKNOWN"),
        ({"rows": [FigureRow("day_to_minute", 1_441)]}, "NUMBER_OUT_OF_RANGE"),
        ({"rows": [FigureRow("volume_percent", 0)]}, "NUMBER_OUT_OF_RANGE"),
        ({"rows": [FigureRow("volume_percent", 200)] * 2}, "LIST_REPEATS"),
        ({"department": "nobody"}, "DEPARTMENT_UNKNOWN"),
        ({"basis": ""}, "TEXT_EMPTY"),
    ],
)
def test_a_faulty_table_of_figures_is_refused(office: Any, changes: dict[str, Any], code: str) -> None:
    stated = FIGURES | {"from_ms": office.time_ms + 1_000_000} | changes
    office.refuse(code, office.governor, "audits", "set_figures", **stated)
    assert audits.count_figure_tables(office.state) == 0


def test_a_departments_own_figures_go_before_the_general_ones_and_a_later_word_before_an_earlier() -> None:
    def table(number: int, department: str, from_ms: int, **values: int) -> FiguresRecord:
        rows = tuple(FigureRow(name, value) for name, value in values.items())
        return FiguresRecord(number, department, rows, "x", from_ms, 0, bytes(20))

    tables = [
        table(1, "", 100, day_from_minute=400, day_to_minute=1_300),
        table(2, "a", 200, day_to_minute=1_440),
        table(3, "a", 500, day_to_minute=1),
        table(4, "a", 400, day_to_minute=1_410),
        table(5, "a", 600),
    ]
    general = {"day_from_minute": 400, "day_to_minute": 1_300}
    assert figures_in_force(tables, "a", 99) == {}
    assert figures_in_force(tables, "a", 100) == figures_in_force(tables, "b", 1_000) == general
    assert figures_in_force(tables, "a", 200) == general | {"day_to_minute": 1_440}
    # What was to begin at 500 had not begun when another word came for 400.
    assert figures_in_force(tables, "a", 599) == general | {"day_to_minute": 1_410}
    assert figures_in_force(tables, "a", 600) == general, "an empty table of its own: the general one again"


def test_one_ledger_names_so_many_authorities_at_most(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "MAX_AUTHORITIES", 2)
    office.accept(office.governor, "audits", "name_authority", department=office.tax_bureau)
    office.refuse("LIST_TOO_LONG", office.governor, "audits", "name_authority", department=office.data_bureau)
