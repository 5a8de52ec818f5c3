"""What an audit comes to, as a report for people and tables for programs: findings, reads, charts; the same content, the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from contracts.data_sharing.access import DENIED, IRREGULAR, OUTCOMES
from verification.access.reads import NO_DIGEST, SIDES, Read, ReadName
from verification.access.rule_table import RULES
from verification.access.rules import AuditFacts, Finding, Judgement
from verification.access.trace_filter import TraceFilter
from verification.access.trace_verdict import TraceVerdict, withheld_runs
from verification.days import show_day, show_moment
from verification.report import Bar, Chart, Column, Count, Mood, Report, Row, encode_csv

MAX_BARS: Final = 12
"""Of one chart; what is beyond is one bar of its own."""
MAX_NOTES: Final = 12
"""On batches kept back, streams left open and those not due, each; what is beyond is counted."""

_SERIOUS: Final = frozenset(
    {
        "READ_WITHOUT_GRANT",
        "IRREGULAR_READ",
        "SIDES_DISAGREE",
        "ONE_SIDED",
        "RECORDED_FOR_OTHERS",
        "BACK_DATED",
        "STORE_ALTERED",
        "BODY_WITHHELD",
    }
)
_COLUMNS: Final = (
    Column("规则", "rule", 14),
    Column("部门", "department", 14),
    Column("对方", "other side", 14),
    Column("记录账户", "recorder", 11, is_code=True),
    Column("序号", "reads", 12, is_code=True),
    Column("条数", "count", 6, is_code=True),
    Column("起", "from", 12),
    Column("授权的资源", "granted resource", 14),
    Column("说明", "why", 17),
)
FINDING_NAMES: Final = (
    "规则 / rule",
    "规则名 / rule in words",
    "部门 / department",
    "部门名 / its name",
    "对方 / other",
    "对方名 / its name too",
    "记录流 / stream",
    "记录账户 / recorder",
    "首个序号 / first number",
    "末个序号 / last number",
    "条数 / count",
    "授权 / grant",
    "授权的资源 / granted resource",
    "资源名 / resource in words",
    "起 / from",
    "止 / to",
    "起（毫秒）/ from_ms",
    "止（毫秒）/ to_ms",
    "说明 / why",
)
READ_NAMES: Final = (
    "登记时间（毫秒）/ read_ms",
    "登记时间 / time",
    "一方 / side",
    "记录部门 / department",
    "记录账户 / recorder",
    "序号 / number",
    "结果 / outcome",
    "资源 / resource",
    "资源名 / resource in words",
    "提供方 / provider",
    "使用方 / consumer",
    "授权 / grant",
    "系统 / system",
    "用途 / purpose",
    "事项 / case type",
    "办件 / case",
    "人员承诺 / person",
    "密封的人员号码 / sealed person",
    "所查的人 / person asked for",
    "操作 / operation",
    "数据项 / columns",
    "行数 / rows",
    "读取标识 / read id",
    "查询摘要 / query digest",
    "结果摘要 / result digest",
    "拒绝代码 / refusal",
)


class Origin(NamedTuple):
    """Who made a report and when (ms), and by which mandate: as the ledger has the audit query, empty where there is none."""

    department: str
    account: bytes
    made_ms: int
    basis: str


def make_audit_report(
    facts: AuditFacts,
    verdict: TraceVerdict,
    judgement: Judgement,
    trace_digest: bytes,
    figures: str,
    names: Mapping[str, str],
    origin: Origin,
) -> Report:
    """Return the report on a verified trace (32-byte SM3 of its file) and what the rules found in it.

    `figures` says by which figures the rules decided, `names` are those of departments and resources by their codes.
    """
    wanted = verdict.filter
    assert wanted is not None, "a verified trace has a filter"
    rows = [_row(finding, facts, names) for finding in judgement.findings]
    # What may be anybody's is in no count of the reads of a person.
    decided = [read for read in facts.reads if not wanted.is_undecided(read.subject)]
    charts = _charts(msgspec.structs.replace(facts, reads=decided), names)
    by_rule = Counter(finding.subject.rule for finding in judgement.findings)
    counts = tuple(Count(_mood(rule), rule, *RULES[rule], by_rule[rule]) for rule in RULES if by_rule[rule])
    return Report(
        "数据共享审计报告",
        "Audit of data sharing",
        (
            ("出具部门", "made by", _named(origin.department, names).replace("\n", "  ")),
            ("签名账户", "signed by", f"0x{origin.account.hex()}"),
            ("出具时间", "made at", f"{show_moment(origin.made_ms)} (UTC+8)"),
            ("审计依据", "mandate", origin.basis or "–"),
            *_facts(verdict, wanted, judgement, trace_digest, names),
            # One bar says no more than its line.
            *((chart.zh, chart.en, f"{bar.label}: {bar.count:,}") for chart in charts for bar in _only_bar(chart)),
            ("规则参数", "figures", figures),
        ),
        counts,
        _COLUMNS,
        rows,
        tuple(_notes(facts, verdict, judgement)),
        tuple(chart for chart in (*charts, _findings_chart(judgement)) if len(chart.bars) > 1),
    )


def findings_csv(facts: AuditFacts, findings: Sequence[Finding], names: Mapping[str, str]) -> bytes:
    """Return the findings as CSV, one a line, with the names of departments and resources by their codes."""
    rows = []
    for finding in findings:
        subject = finding.subject
        resource = _resource(finding, facts)
        rows.append(
            (
                subject.rule,
                " / ".join(RULES[subject.rule]),
                subject.department,
                names.get(subject.department, ""),
                subject.other,
                names.get(subject.other, ""),
                subject.stream,
                subject.recorder.hex(),
                subject.first_number,
                subject.last_number,
                finding.count,
                "" if subject.grant == NO_DIGEST else subject.grant.hex(),
                resource,
                names.get(resource, ""),
                show_moment(subject.from_ms),
                show_moment(subject.to_ms),
                subject.from_ms,
                subject.to_ms,
                finding.why,
            )
        )
    return encode_csv(FINDING_NAMES, rows)


def reads_csv(reads: Sequence[Read], names: Mapping[str, str], wanted: TraceFilter) -> bytes:
    """Return the reads of a trace as CSV, one a line, with the names of resources by their codes, those that are undecided last."""
    ordered = sorted(reads, key=lambda read: wanted.is_undecided(read.subject))
    return encode_csv(READ_NAMES, [_read_cells(read, names, wanted) for read in ordered])


def _read_cells(read: Read, names: Mapping[str, str], wanted: TraceFilter) -> tuple[object, ...]:
    sharing, case, details = read.sharing, read.case, read.details
    person = "" if read.subject.person == NO_DIGEST else read.subject.person.hex()
    is_sought = "" if wanted.person == NO_DIGEST else "是 / yes"
    return (
        read.read_ms,
        show_moment(read.read_ms),
        " / ".join(SIDES[read.side]),
        read.department,
        read.recorder.hex(),
        read.number,
        " / ".join(OUTCOMES[read.outcome]),
        sharing.resource,
        names.get(sharing.resource, ""),
        sharing.provider,
        sharing.consumer,
        "" if sharing.grant == NO_DIGEST else sharing.grant.hex(),
        sharing.system,
        case.purpose,
        case.case_type,
        case.case_number,
        person,
        read.subject.sealed_person.hex(),
        "未定 / undecided" if wanted.is_undecided(read.subject) else is_sought,
        details.operation,
        " ".join(details.columns),
        details.rows,
        details.read_id.hex(),
        details.query_digest.hex(),
        "" if details.result_digest == NO_DIGEST else details.result_digest.hex(),
        details.refusal,
    )


def _mood(rule: str) -> Mood:
    return "bad" if rule in _SERIOUS else "warn"


def _named(code: str, names: Mapping[str, str]) -> str:
    """Return the name of a department or resource over its code."""
    return f"{names[code]}\n{code}" if code in names else code


def _resource(finding: Finding, facts: AuditFacts) -> str:
    """Return the code of the resource whose grant a finding is about, empty where it is about none that the ledger has."""
    record = facts.grants.get(finding.subject.grant)
    return "" if record is None else record.resource


def _row(finding: Finding, facts: AuditFacts, names: Mapping[str, str]) -> Row:
    subject = finding.subject
    zh, en = RULES[subject.rule]
    numbers = f"{subject.first_number}" + (
        f"-{subject.last_number}" if subject.last_number != subject.first_number else ""
    )
    cells = (
        f"{zh}\n{en}",
        _named(subject.department, names),
        _named(subject.other, names),
        subject.recorder.hex()[:14] + "…",
        numbers,
        str(finding.count),
        show_moment(subject.from_ms),
        _named(_resource(finding, facts), names),
        finding.why,
    )
    return Row(_mood(subject.rule), cells)


def _facts(
    verdict: TraceVerdict, wanted: TraceFilter, judgement: Judgement, trace_digest: bytes, names: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    reconciled = judgement.reconciliation
    asked = [
        ("资源", "resource", _named(wanted.resource, names).replace("\n", "  ")),
        ("部门", "department", _named(wanted.department, names).replace("\n", "  ")),
        ("授权", "grant", "" if wanted.grant == NO_DIGEST else wanted.grant.hex()),
        ("办件", "case", wanted.case_number),
        ("人员承诺", "person", "" if wanted.person == NO_DIGEST else wanted.person.hex()),
        ("记录方", "recorded by", " ".join(wanted.recorded_by)),
    ]
    complete = "完整 / complete" if verdict.is_complete else "不完整 / not complete"
    if verdict.is_complete and verdict.pending_count:
        until = show_moment(verdict.covered_until_ms)
        complete = f"完整至 {until}，其后尚未到期 / complete until {until}, what follows is not due yet"
    if not verdict.is_sound:
        complete = f"无效：{verdict.fault_count} 处错误 / not sound: {verdict.fault_count} faults"
    undecided = f", {verdict.sealed_persons:,} 人员密封未定 / undecided" if verdict.sealed_persons else ""
    return [
        ("时段", "period", f"{show_moment(wanted.from_ms)} – {show_moment(wanted.to_ms)} (UTC+8)"),
        *(fact for fact in asked if fact[2]),
        ("区块", "block", f"{verdict.height}  {show_moment(verdict.time_ms)}"),
        ("追溯文件 SM3", "SM3 of the trace", trace_digest.hex()),
        ("审计查询", "audit query", str(verdict.query) if verdict.query else "–"),
        ("完整性", "completeness", complete),
        ("记录流与批次", "streams, batches", f"{verdict.streams_looked_at} / {verdict.streams}, {verdict.batches:,}"),
        ("读取", "reads", f"{verdict.reads:,}, {verdict.matches:,} 符合条件 / asked for{undecided}"),
        ("双方对账", "reconciled", f"{reconciled.agreed:,} 一致 / agree, {len(reconciled.differences):,} 不一致 / differ, "
         f"{reconciled.not_comparable:,} 无从比对 / not comparable, {reconciled.unanswered:,} 未收到应答 / answer not received"),
    ]  # fmt: skip


def _notes(facts: AuditFacts, verdict: TraceVerdict, judgement: Judgement) -> list[tuple[str, str]]:
    notes = []
    runs = withheld_runs(verdict.withheld)
    for run in runs[:MAX_NOTES]:
        first, last = run[0], run[-1]
        numbers = f"{first.batch_number}" if first is last else f"{first.batch_number}-{last.batch_number}"
        count = sum(batch.count for batch in run)
        zh = f"BODY_WITHHELD：{first.department}/{first.recorder.hex()} 批次 {numbers}，序号 {first.first_number} 起 {count} 条"
        notes.append((zh, f"batch {numbers}, {count} reads from {first.first_number} on: {first.reason}"))
    notes += _more(len(runs))
    for stream in verdict.open_streams[:MAX_NOTES]:
        until = show_moment(stream.covered_ms)
        zh, en = ("已结束，此前未登记完", "ended without its last reads") if stream.is_ended else ("逾期", "late")
        zh = f"{stream.department}/{stream.recorder.hex()} {zh}，仅记录至 {until}"
        notes.append((zh, f"{en}, recorded until {until} only"))
    notes += _more(verdict.open_count)
    for stream in verdict.pending_streams[:MAX_NOTES]:
        until, due = show_moment(stream.covered_ms), show_moment(stream.due_ms)
        zh = f"{stream.department}/{stream.recorder.hex()} 记录至 {until}，其后最迟 {due} 到期"
        notes.append((zh, f"recorded until {until}, what follows is due by {due}"))
    notes += _more(verdict.pending_count)
    if verdict.sealed_persons:
        zh, en = verdict.undecided_texts
        notes.append((f"{zh}。对账与审计发现含这些读取", f"{en}. Reconciliation and findings include them"))
    if facts.is_full:
        notes.append(("读取过多，规则只看了一部分", "too many reads: the rules saw a part of them"))
    if not judgement.findings:
        notes.append(("没有审计发现", "no findings"))
    notes.append(
        (
            "记录方在账本之外不留记录的读取，不在本报告之内；同一读取须双方都不记录才无痕迹",
            "what both sides of a read leave unrecorded is not in here; what one side leaves out shows against the other's record",
        )
    )
    return notes


def _more(count: int) -> list[tuple[str, str]]:
    """Return the note on those of a list that are not shown."""
    left = count - MAX_NOTES
    return [(f"另有 {left} 项", f"and {left} more")] if left > 0 else []


def _charts(facts: AuditFacts, names: Mapping[str, str]) -> list[Chart]:
    """Return reads by day, consumer, resource, outcome and side; those that both sides recorded count once but for the last."""
    own = [read for read in facts.reads if read.is_of_party]
    seen: dict[ReadName, Read] = {}
    for read in own:
        seen.setdefault(read.name, read)
    reads = list(seen.values())
    days = Counter(show_day(read.read_ms) for read in reads)
    consumers = Counter(names.get(read.sharing.consumer, read.sharing.consumer) for read in reads)
    codes = Counter(read.sharing.resource for read in reads)
    # The code first: a name that is too long is cut.
    resources = {code: f"{code} {names.get(code, '')}".strip() or "未识别 / unknown" for code in codes}
    outcomes = Counter(read.outcome for read in reads)
    return [
        Chart("每日读取", "reads by day", _newest(days)),
        Chart("使用方", "reads by consumer", _largest(consumers)),
        Chart("资源", "reads by resource", _largest(Counter({resources[code]: codes[code] for code in codes}))),
        Chart(
            "结果",
            "outcomes",
            tuple(
                Bar("/".join(OUTCOMES[outcome]), outcomes[outcome], _OUTCOME_MOODS.get(outcome, "good"))
                for outcome in OUTCOMES
                if outcomes[outcome]
            ),
        ),
        Chart("记录方", "records by side", _largest(Counter("/".join(SIDES[read.side]) for read in own))),
    ]


def _findings_chart(judgement: Judgement) -> Chart:
    """Return findings by rule."""
    rules = Counter(finding.subject.rule for finding in judgement.findings)
    bars = tuple(Bar("/".join(RULES[rule]), count, _mood(rule)) for rule, count in rules.most_common(MAX_BARS))
    return Chart("审计发现", "findings by rule", bars)


def _only_bar(chart: Chart) -> tuple[Bar, ...]:
    """Return the bar of a chart that has one, nothing of another."""
    return chart.bars if len(chart.bars) == 1 else ()


_OUTCOME_MOODS: Final[dict[int, Mood]] = {DENIED: "warn", IRREGULAR: "bad"}


def _newest(days: Counter[str]) -> tuple[Bar, ...]:
    """Return the last days, and those before them in one bar."""
    names = sorted(days)
    earlier, shown = names[:-MAX_BARS], names[-MAX_BARS:]
    bars = [Bar(name, days[name], "good") for name in shown]
    if earlier:
        bars.insert(0, Bar(f"≤ {earlier[-1]}", sum(days[name] for name in earlier), "good"))
    return tuple(bars)


def _largest(counts: Counter[str]) -> tuple[Bar, ...]:
    """Return the most frequent, and the others in one bar."""
    common = counts.most_common(MAX_BARS)
    bars = [Bar(name, count, "good") for name, count in common]
    rest = sum(counts.values()) - sum(count for _, count in common)
    return (*bars, Bar("其他 / others", rest, "good")) if rest else tuple(bars)
