"""Applies the rules of an audit to what a verified trace has: what breaks one becomes a finding, gathered by stream, grant and day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from statistics import median_low
from typing import Final

import msgspec

from contracts.data_sharing.access import DENIED, IRREGULAR, StreamRecord
from contracts.data_sharing.audits import FindingSubject
from contracts.data_sharing.sharing import RequestRecord, is_in_force
from contracts.data_sharing.working_days import BEIJING_OFFSET_MS, DAY_MS, Calendar, day_of
from verification.access.reads import NO_DIGEST, PROVIDER_SIDE, Read, ReadName
from verification.access.reconciliation import COMPARED, Difference, Reconciliation, reconcile
from verification.access.rule_figures import RuleFigures
from verification.access.rule_table import DEFAULT_TABLE, RuleTable
from verification.access.trace_verdict import BatchFact, TraceVerdict, withheld_runs
from verification.access.trace_verification import TraceFacts
from verification.days import show_moment

MAX_JUDGED_READS: Final = 2_000_000
"""Whole reads that the rules take at once; a longer period is judged in pieces."""
MAX_NAMED_READS: Final = 50
"""Numbers that one finding lists; the others are counted."""

_NO_RECORDER: Final = bytes(20)
_NO_GRANT: Final = bytes(32)
_MINUTE_MS: Final = 60_000
_MAKERS_WORD: Final = "（追溯制作方所述）/ as the trace's maker says"
"""Behind what no proof in a trace shows."""


class Finding(msgspec.Struct):
    """Reads or batches that break one rule in the same way: what the ledger is told of it, how many, which, and why."""

    subject: FindingSubject
    count: int
    numbers: list[int]
    why: str
    """In Chinese and English."""


class AuditFacts(msgspec.Struct):
    """What a verified trace has, gathered for the rules."""

    reads: list[Read] = []
    batches: list[BatchFact] = []
    streams: list[StreamRecord] = []
    grants: dict[bytes, RequestRecord | None] = {}
    is_full: bool = False
    """Whether reads were left out past MAX_JUDGED_READS."""

    def listener(self) -> TraceFacts:
        """Return what to hand to verify_trace, so that its facts are gathered here."""
        return TraceFacts(self._take_read, self.batches.append, self.streams.append, self.grants.__setitem__)

    def _take_read(self, read: Read, _batch: BatchFact) -> None:
        if len(self.reads) < MAX_JUDGED_READS:
            self.reads.append(read)
        else:
            self.is_full = True


class Judgement(msgspec.Struct, frozen=True):
    """What the rules found, and how the two sides' records compare."""

    findings: tuple[Finding, ...]
    reconciliation: Reconciliation


def compare_sides(facts: AuditFacts, verdict: TraceVerdict, table: RuleTable = DEFAULT_TABLE) -> Reconciliation:
    """Return how the two sides' records of what a verified trace has compare."""
    assert verdict.filter is not None, "a trace without a filter has shown nothing"
    return reconcile(
        facts.reads,
        facts.batches,
        verdict.filter,
        table.edge_ms,
        streams=facts.streams,
        time_ms=verdict.time_ms,
        is_whole=not verdict.hole_count and not facts.is_full,
    )


def judge(facts: AuditFacts, verdict: TraceVerdict, figures: RuleFigures, calendar: Calendar) -> Judgement:
    """Return what breaks the rules in what a trace has shown, in the order of the rules' names and of time."""
    table = figures.base
    # Of reads past the most that are judged at once it is not known whether the other side has them.
    is_whole = not verdict.hole_count and not facts.is_full
    reconciliation = compare_sides(facts, verdict, table)
    gathered = _Gathered()
    own = [read for read in facts.reads if read.is_of_party]
    provided = {read.name for read in own if read.side == PROVIDER_SIDE}
    # What both sides recorded is judged once, by the provider's record; what a third one states of them is its own to explain.
    judged = [read for read in own if read.side == PROVIDER_SIDE or read.name not in provided]
    for read in judged:
        for rule, why, is_providers in _broken_by_read(read, facts.grants, figures, calendar):
            gathered.add_read(rule, why, read, is_providers=is_providers)
    for read in facts.reads:
        if not read.is_of_party:
            why = "本部门不是所述的一方 / its department is not the side that it states"
            gathered.add("RECORDED_FOR_OTHERS", why, read, read.department, "")
        if not _tells_its_time(read, table):
            gathered.add(
                "BACK_DATED",
                "所述时间与登记时间不符 / the times told are not those of the record",
                read,
                read.department,
                "",
            )
    consumed = {read.name for read in own if read.side != PROVIDER_SIDE}
    _judge_amounts(judged, consumed, facts.grants, figures, gathered)
    if is_whole:
        _judge_volumes(judged, figures, gathered)
    for difference in reconciliation.differences:
        _add_difference(difference, gathered)
    gathered.add_all(_broken_by_streams(facts, verdict, table))
    found = [finding for finding in gathered.findings() if finding.subject.rule not in table.without]
    return Judgement(tuple(found), reconciliation)


def _add_difference(difference: Difference, gathered: _Gathered) -> None:
    """Add a read that the two sides do not state alike, or that one of them has twice."""
    read, sharing = difference.read, difference.read.sharing
    other = sharing.provider if read.department == sharing.consumer else sharing.consumer
    if difference.missing:
        why = "对方在该时段有记录流而无此读取 / the other side keeps records of that time and has none of it"
        if difference.is_streamless:
            why = "提供方在该时刻没有任何记录流 / the provider keeps no stream at that time"
        gathered.add(difference.code, why, read, difference.missing, read.department)
    elif difference.first is None:
        zh = "、".join(COMPARED[name] for name in difference.fields)
        gathered.add(difference.code, f"{zh} / {', '.join(difference.fields)}", read, read.department, other)
    elif difference.is_same_again:
        gathered.add(difference.code, "同一读取重复登记 / one read entered twice", read, read.department, other)
    else:
        # A gateway takes no id twice, and binds each to its own token: the consumer is asked where it says itself that it read twice.
        is_consumers = difference.is_twice_at_consumers
        zh, en = ("使用方", "the consumer") if is_consumers else ("记录方", "its recorder")
        why = f"{zh}以同一编号登记两次读取 / {en} entered two reads under one id"
        departments = (sharing.consumer, sharing.provider) if is_consumers else (read.department, other)
        for one in (difference.first, read):
            gathered.add(difference.code, why, one, *departments, at_ms=read.read_ms)


class _Gathered:
    """Findings by rule, stream, grant, departments and day, so that one breach repeated is one finding."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[object, ...], Finding] = {}
        self._numbers: dict[tuple[object, ...], set[int]] = {}

    def add_read(self, rule: str, why: str, read: Read, *, is_providers: bool) -> None:
        """Add a read; the provider has to explain it, or else the consumer."""
        sharing = read.sharing
        departments = (sharing.provider, sharing.consumer)
        self.add(rule, why, read, *(departments if is_providers else reversed(departments)))

    def add(self, rule: str, why: str, read: Read, department: str, other: str, at_ms: int | None = None) -> None:
        """Add a read to the finding that it belongs to: that of its own day, or of the day of `at_ms`."""
        day = day_of(read.read_ms if at_ms is None else at_ms)
        name = (rule, department, other, read.department, read.recorder, read.sharing.grant, day, why)
        found = self._by_name.get(name)
        if found is None:
            subject = FindingSubject(
                rule,
                department,
                other,
                read.department,
                read.recorder,
                read.number,
                read.number,
                read.sharing.grant,
                read.read_ms,
                read.read_ms + 1,
            )
            self._by_name[name] = Finding(subject, 1, [read.number], why)
            self._numbers[name] = {read.number}
            return
        if read.number in self._numbers[name]:
            return
        self._numbers[name].add(read.number)
        subject = found.subject
        found.subject = msgspec.structs.replace(
            subject,
            first_number=min(subject.first_number, read.number),
            last_number=max(subject.last_number, read.number),
            from_ms=min(subject.from_ms, read.read_ms),
            to_ms=max(subject.to_ms, read.read_ms + 1),
        )
        found.count += 1
        if len(found.numbers) < MAX_NAMED_READS:
            found.numbers.append(read.number)

    def add_all(self, findings: Iterable[Finding]) -> None:
        """Add findings that are not about single reads."""
        for finding in findings:
            self._by_name[finding.subject, finding.why] = finding

    def findings(self) -> list[Finding]:
        """Return them in the order of rule and time."""
        return sorted(
            self._by_name.values(), key=lambda f: (f.subject.rule, f.subject.from_ms, f.subject.first_number, f.why)
        )


def _broken_by_read(
    read: Read, grants: dict[bytes, RequestRecord | None], figures: RuleFigures, calendar: Calendar
) -> Iterator[tuple[str, str, bool]]:
    """Yield rule, why, and whether the provider has to explain it, for each rule that one read breaks by itself."""
    if read.outcome == DENIED:
        return
    if read.outcome == IRREGULAR:
        yield "IRREGULAR_READ", read.details.refusal, True
    elif read.sharing.grant != NO_DIGEST and read.sharing.grant not in grants:
        # The file lacks what the ledger has of it (GRANT_MISSING): neither a grant nor that there is none.
        pass
    elif problem := _grant_problem(read, grants.get(read.sharing.grant), figures.base):
        yield "READ_WITHOUT_GRANT", problem, True
    record = grants.get(read.sharing.grant)
    if record is not None:
        if problem := _purpose_problem(read, record):
            yield "OUTSIDE_PURPOSE", problem, False
        allowed = record.conditions.columns or record.items
        if allowed and not set(read.details.columns) <= set(allowed):
            yield "OUTSIDE_COLUMNS", "授权之外的数据项 / items that the grant does not name", True
        if 0 < record.conditions.max_rows_per_read < read.details.rows:
            yield "OVER_QUOTA", "每次行数 / rows of a read", True
    if problem := _hours_problem(read.read_ms, figures.at(read.sharing.consumer, read.read_ms), calendar):
        yield "OUTSIDE_HOURS", problem, False


def _grant_problem(read: Read, record: RequestRecord | None, table: RuleTable) -> str:
    if record is None:
        return "账本上没有该授权 / no such grant on the ledger"
    sharing = read.sharing
    if (record.resource, record.provider, record.consumer) != (sharing.resource, sharing.provider, sharing.consumer):
        return "授权属于其他各方或资源 / another grant's parties or resource"
    tolerance_ms = table.clock_tolerance_ms
    moments = (read.read_ms, read.read_ms - tolerance_ms, read.read_ms + tolerance_ms)
    return (
        ""
        if any(is_in_force(record, moment) for moment in moments)
        else "授权不在有效期内 / the grant was not in force"
    )


def _purpose_problem(read: Read, record: RequestRecord) -> str:
    if read.case.purpose != record.purpose:
        return "用途与授权不符 / another purpose than the grant's"
    if record.case_types and read.case.case_type not in record.case_types:
        return "授权之外的事项 / a kind of case that the grant does not name"
    return ""


def _hours_problem(time_ms: int, table: RuleTable, calendar: Calendar) -> str:
    if table.only_working_days and not calendar.is_working_day(day_of(time_ms)):
        return "非工作日 / not a working day"
    minute = (time_ms + BEIJING_OFFSET_MS) % DAY_MS // _MINUTE_MS
    begin, end = table.day_from_minute, table.day_to_minute
    is_within = begin <= minute < end if begin <= end else minute >= begin or minute < end
    return "" if is_within else "工作时间以外 / outside the hours"


def _tells_its_time(read: Read, table: RuleTable) -> bool:
    """Return whether the times that a read tells fit when it took its place in the stream."""
    details = read.details
    earliest, latest = read.read_ms - table.dated_back_ms, read.read_ms + table.dated_back_ms
    return earliest <= details.asked_ms <= details.answered_ms <= latest


def _judge_amounts(
    judged: Iterable[Read],
    consumed: Set[ReadName],
    grants: dict[bytes, RequestRecord | None],
    figures: RuleFigures,
    gathered: _Gathered,
) -> None:
    """Find days with more reads or rows than a grant allows, or with many denied reads; `consumed` are those in consumers' records."""
    usage: dict[tuple[bytes, int], tuple[int, int]] = {}
    denied: dict[tuple[str, str, int], int] = {}
    for read in sorted(judged, key=lambda read: (read.read_ms, read.number)):
        day, sharing = day_of(read.read_ms), read.sharing
        if read.outcome == DENIED:
            if read.side != PROVIDER_SIDE:
                # A gateway that is away, or does not know the token after a new start, has turned nobody away.
                continue
            name = (sharing.consumer, sharing.resource, day)
            denied[name] = denied.get(name, 0) + 1
            if denied[name] > figures.at(sharing.consumer, read.read_ms).denied_per_day:
                why = f"资源 / resource {sharing.resource or '–'}"
                if read.name not in consumed:
                    # Who tries in secret keeps no record, and who never tried has none either: the auditor has to know.
                    why += "；使用方没有这些记录 / the consumer has no record of them"
                gathered.add_read("DENIED_OFTEN", why, read, is_providers=False)
            continue
        record = grants.get(sharing.grant)
        if record is None:
            continue
        reads, rows = usage.get((sharing.grant, day), (0, 0))
        reads, rows = reads + 1, rows + read.details.rows
        usage[sharing.grant, day] = (reads, rows)
        if 0 < record.conditions.max_reads_per_day < reads:
            gathered.add_read("OVER_QUOTA", "每日次数 / reads of a day", read, is_providers=True)
        if 0 < record.conditions.max_rows_per_day < rows:
            gathered.add_read("OVER_QUOTA", "每日行数 / rows of a day", read, is_providers=True)


def _judge_volumes(judged: Iterable[Read], figures: RuleFigures, gathered: _Gathered) -> None:
    """Find days with far more reads of a resource than the days before."""
    volume: dict[tuple[str, str], dict[int, list[Read]]] = {}
    for read in sorted(judged, key=lambda read: (read.read_ms, read.number)):
        if read.outcome != DENIED:
            name = (read.sharing.consumer, read.sharing.resource)
            volume.setdefault(name, {}).setdefault(day_of(read.read_ms), []).append(read)
    for (consumer, _), days in volume.items():
        tables = {day: figures.at(consumer, reads[0].read_ms) for day, reads in days.items()}
        for day in unusual_days({day: len(reads) for day, reads in days.items()}, tables.__getitem__):
            for read in days[day]:
                gathered.add_read("UNUSUAL_VOLUME", "每日读取量 / reads of a day", read, is_providers=False)


def unusual_days(counts: dict[int, int], table_of: Callable[[int], RuleTable]) -> list[int]:
    """Return the days whose reads are far more than the median of the days before them; days without reads count as such."""
    if not counts:
        return []
    begin = min(counts)
    found = []
    for day, count in sorted(counts.items()):
        table = table_of(day)
        history = range(max(begin, day - table.volume_history_days), day)
        if len(history) < table.volume_least_days or count < table.volume_least_reads:
            continue
        usual = median_low([counts.get(earlier, 0) for earlier in history])
        if count * 100 > table.volume_percent * usual:
            found.append(day)
    return found


def _broken_by_streams(facts: AuditFacts, verdict: TraceVerdict, table: RuleTable) -> Iterator[Finding]:
    """Yield what streams and batches break: late batches, silent streams, and reads that nobody gave out."""
    slack_ms = table.late_s * 1_000
    wanted = verdict.filter
    assert wanted is not None, "a trace without a filter has shown nothing"
    for batch in facts.batches:
        late_ms = batch.recorded_ms - batch.due_ms
        if late_ms > slack_ms:
            yield _of_batches("ANCHORED_LATE", [batch], f"迟 / late by {late_ms // 1_000} s")
    for of in facts.streams:
        since_ms, until_ms = of.covered_ms or of.first_declared_ms, of.ended_ms or verdict.time_ms
        # One that ended while it was late is silent for ever: a finding wherever the period touches that time.
        is_concerned = not of.ended_ms or (since_ms < wanted.to_ms and until_ms > wanted.from_ms)
        if until_ms - of.due_ms > slack_ms and is_concerned:
            yield _stream_finding("STREAM_SILENT", of.department, of.recorder, since_ms, until_ms)
    batches = {(batch.department, batch.recorder, batch.batch_number): batch for batch in facts.batches}
    yield from _withheld(verdict, batches)
    for changed in verdict.altered:
        batch = batches[changed.department, changed.recorder, changed.batch_number]
        yield _of_batches("STORE_ALTERED", [batch], f"{changed.place}: {changed.code} {changed.number}{_MAKERS_WORD}")


def _withheld(verdict: TraceVerdict, batches: Mapping[tuple[str, bytes, int], BatchFact]) -> Iterator[Finding]:
    """Yield one finding for batches one behind the other of one stream that nobody gave for one reason."""
    for run in withheld_runs(verdict.withheld):
        found = [batches[one.department, one.recorder, one.batch_number] for one in run]
        yield _of_batches("BODY_WITHHELD", found, run[0].reason or "未说明原因 / no reason given")


def _of_batches(rule: str, batches: Sequence[BatchFact], why: str) -> Finding:
    """Return what is found of batches of one stream that follow one another."""
    first, last = batches[0], batches[-1]
    numbers = f"{first.batch_number}" if first is last else f"{first.batch_number}-{last.batch_number}"
    subject = FindingSubject(
        rule,
        first.department,
        "",
        first.department,
        first.recorder,
        first.first_number,
        last.first_number + max(last.count, 1) - 1,
        _NO_GRANT,
        first.from_ms,
        max(last.to_ms, first.from_ms + 1),
    )
    return Finding(subject, sum(batch.count for batch in batches), [], f"批次 / batch {numbers}: {why}")


def _stream_finding(rule: str, department: str, recorder: bytes, from_ms: int, to_ms: int) -> Finding:
    subject = FindingSubject(rule, department, "", department, recorder, 0, 0, _NO_GRANT, from_ms, to_ms)
    return Finding(subject, 0, [], f"仅记录至 / recorded until {show_moment(from_ms)}")
