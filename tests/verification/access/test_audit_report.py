"""Reports of audits: names beside codes, charts where there is something to compare, and nothing that a spreadsheet computes."""

from __future__ import annotations

import csv
import io
from typing import Any

import pypdfium2
import pytest
from msgspec.structs import replace

from contracts.data_sharing.working_days import Calendar
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT
from tests.verification.access.audit_world import PERSON, RESOURCE, AuditWorld, draft_read
from verification.access.audit_report import (
    FINDING_NAMES,
    READ_NAMES,
    Origin,
    findings_csv,
    make_audit_report,
    reads_csv,
)
from verification.access.reads import NO_DIGEST
from verification.access.rule_figures import RuleFigures
from verification.access.rule_table import RuleTable
from verification.access.rules import AuditFacts, Judgement, judge
from verification.access.trace_verdict import TraceVerdict
from verification.days import show_moment
from verification.report import Bar, Chart, encode_pdf


@pytest.fixture(scope="module")
def audited() -> tuple[AuditFacts, TraceVerdict, Judgement]:
    world = AuditWorld()
    elsewhere = draft_read(3, resource="307013301/000002", consumer="11990100MB0000009X")
    world.provider.record([draft_read(1), draft_read(2, purpose="=1+1", sealed_person=b"\x01\x02"), elsewhere])
    world.close_period()
    facts = AuditFacts()
    verdict = world.verify(world.trace()[0], facts.listener())
    table = RuleTable(day_from_minute=0, day_to_minute=1_440, only_working_days=False)
    return facts, verdict, judge(facts, verdict, RuleFigures(table), Calendar())


NAMES = {DEPARTMENT: "示范局", CONSUMER: "使用局", RESOURCE: "不动产登记信息"}
ORIGIN = Origin(CONSUMER, b"\x05" * 20, 1_780_000_000_000, "审通〔2026〕7号")


def pages_of(raw: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(raw)
    return [page.get_textpage().get_text_range() for page in document]


def test_a_report_has_its_findings_and_charts(audited: Any) -> None:
    facts, verdict, judgement = audited
    raw = encode_pdf(make_audit_report(facts, verdict, judgement, sm3(b"trace"), "内置 / built in", NAMES, ORIGIN))
    assert raw == encode_pdf(
        make_audit_report(facts, verdict, judgement, sm3(b"trace"), "内置 / built in", NAMES, ORIGIN)
    )
    pages = pages_of(raw)
    assert len(pages) == 1
    assert sm3(b"trace").hex() in pages[0]
    who = ("审通〔2026〕7号", f"使用局 {CONSUMER}", "0x" + "05" * 20, "2026-05-29 04:26:40")
    for expected in ("OUTSIDE_PURPOSE", *who, "内置 / built in"):
        assert expected in pages[0]
    assert f"不动产登记信息\r\n{RESOURCE}" in pages[0], "what a finding's grant is about"
    for chart in ("reads by consumer", "reads by resource", "findings by rule"):
        assert chart in pages[0]
    assert f"{RESOURCE} 不动产登记信息" in pages[0]
    assert "page 1 of 1" in pages[0]


def test_one_bar_is_a_line_of_text(audited: Any) -> None:
    facts, verdict, judgement = audited
    report = make_audit_report(facts, verdict, judgement, sm3(b"trace"), "内置 / built in", NAMES, ORIGIN)
    assert {chart.en for chart in report.charts} == {"reads by consumer", "reads by resource", "findings by rule"}
    lines = {(en, value) for _, en, value in report.facts}
    day = show_moment(facts.reads[0].read_ms)[:10]
    assert lines >= {
        ("reads by day", f"{day}: 3"),
        ("outcomes", "已提供/served: 3"),
        ("records by side", "提供方/provider: 3"),
    }


def test_reads_of_a_sealed_person_are_in_no_count_of_the_person() -> None:
    world = AuditWorld()
    sealed = draft_read(1, person=NO_DIGEST, sealed_person=b"sealed", consumer="11990100MB0000009X")
    world.provider.record([sealed, draft_read(2)])
    world.close_period()
    facts = AuditFacts()
    verdict = world.verify(world.trace(person=PERSON)[0], facts.listener())
    judgement = judge(facts, verdict, RuleFigures(), Calendar())
    report = make_audit_report(facts, verdict, judgement, bytes(32), "x", NAMES, ORIGIN)
    lines = {(en, value) for _, en, value in report.facts}
    assert ("reads", "2, 1 符合条件 / asked for, 1 人员密封未定 / undecided") in lines
    assert ("outcomes", "已提供/served: 1") in lines
    assert any("person sealed, undecided: 1 reads" in en for _, en in report.notes)
    assert verdict.filter is not None
    rows = list(csv.DictReader(io.StringIO(reads_csv(facts.reads, NAMES, verdict.filter).decode("utf-8-sig"))))
    shown = [(row["序号 / number"], row["所查的人 / person asked for"]) for row in rows]
    assert shown == [("2", "是 / yes"), ("1", "未定 / undecided")]


def test_what_is_kept_back_is_one_note_a_run_and_the_rest_is_counted(world: AuditWorld) -> None:
    for number in (1, 2):
        del world.provider.store[number]
    facts = AuditFacts()
    verdict = world.verify(world.trace()[0], facts.listener())
    judgement = judge(facts, verdict, RuleFigures(), Calendar())
    withheld = verdict.withheld
    notes = make_audit_report(facts, verdict, judgement, bytes(32), "x", NAMES, ORIGIN).notes
    assert sum("BODY_WITHHELD" in zh for zh, _ in notes) == 1
    verdict.withheld = [replace(withheld[0], first_number=100 * number) for number in range(1, 16)]
    notes = make_audit_report(facts, verdict, judgement, bytes(32), "x", NAMES, ORIGIN).notes
    assert (sum("BODY_WITHHELD" in zh for zh, _ in notes), ("另有 3 项", "and 3 more") in notes) == (12, True)


def test_a_chart_without_bars_takes_no_page(audited: Any) -> None:
    facts, verdict, judgement = audited
    report = replace(
        make_audit_report(facts, verdict, judgement, sm3(b"trace"), "内置 / built in", NAMES, ORIGIN),
        charts=(Chart("空", "empty", ()),),
    )
    assert len(pages_of(encode_pdf(report))) == 1


def test_charts_stand_beside_each_other_and_go_on_behind_the_text(audited: Any) -> None:
    facts, verdict, judgement = audited
    report = make_audit_report(facts, verdict, judgement, sm3(b"trace"), "内置 / built in", NAMES, ORIGIN)
    bars = tuple(Bar("很长的标签" * 20, number, "warn") for number in range(12))
    many = tuple(Chart("图", f"chart {number}", bars) for number in range(5))
    pages = pages_of(encode_pdf(replace(report, charts=many)))
    assert [[n for n in range(5) if f"chart {n}" in page] for page in pages] == [[], [0, 1, 2, 3], [4]]
    # However many bars there are, a chart stays on its page.
    tall = (Chart("图", "tall", bars * 20),)
    assert len(pages_of(encode_pdf(replace(report, charts=tall)))) == 2


def test_tables_for_programs_have_every_read_and_no_formula(audited: Any) -> None:
    facts, verdict, judgement = audited
    reads = list(csv.DictReader(io.StringIO(reads_csv(facts.reads, NAMES, verdict.filter).decode("utf-8-sig"))))
    assert tuple(reads[0]) == READ_NAMES
    assert [row["用途 / purpose"] for row in reads][:2] == ["存量房交易计税核验", "'=1+1"]
    assert [row["资源名 / resource in words"] for row in reads] == ["不动产登记信息", "不动产登记信息", ""]
    assert [row["密封的人员号码 / sealed person"] for row in reads] == ["", "0102", ""]
    found = list(csv.DictReader(io.StringIO(findings_csv(facts, judgement.findings, NAMES).decode("utf-8-sig"))))
    assert tuple(found[0]) == FINDING_NAMES
    row = found[0]
    assert (row["授权的资源 / granted resource"], row["资源名 / resource in words"]) == (RESOURCE, "不动产登记信息")
    assert (row["规则 / rule"], row["部门名 / its name"], row["对方名 / its name too"]) == (
        "OUTSIDE_PURPOSE",
        "使用局",
        "示范局",
    )
    assert row["起 / from"] == show_moment(int(row["起（毫秒）/ from_ms"]))
