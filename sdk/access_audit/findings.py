"""Judges traces by the rules, raises what they find with its evidence, and writes signed reports."""

from __future__ import annotations

import secrets
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from contracts.data_sharing.audit_figures import MAX_FIGURE_TABLES, FigureRow, FiguresRecord
from contracts.data_sharing.audits import CONFIRMED, EXPLAINED, RAISED
from contracts.data_sharing.working_days import Calendar, day_of, parse_day, year_of
from node.http.proof_file import to_words
from sdk.access_audit.finding_evidence import FORMAT as EVIDENCE_FORMAT
from sdk.access_audit.report_signing import SIGNATURE_SUFFIX, sign_report
from sdk.access_audit.traces import now_ms, numbered_output, verify_trace_file
from sdk.client import Client
from sdk.documents import file_sm3, read_limited, write_new, write_private
from sdk.errors import RequestRefused
from sdk.request_signing import RequestSigner
from sdk.system_contracts.answer import ask_many
from sdk.system_contracts.audits import Audits
from sdk.trust import load_trust
from sm_crypto.sm3 import sm3
from verification.access.audit_report import Origin, findings_csv, make_audit_report, reads_csv
from verification.access.reads import Read
from verification.access.report_signature import encode_signature
from verification.access.rule_figures import RuleFigures
from verification.access.rule_table import RULES, RuleTable
from verification.access.rules import AuditFacts, Finding, Judgement, judge
from verification.access.trace_verdict import OF_RECORDERS, TraceVerdict
from verification.errors import InputError
from verification.report import encode_pdf

MAX_RULES_BYTES: Final = 64 * 1024
MAX_KNOWN_FINDINGS: Final = 100_000
MAX_NEWEST_QUERIES: Final = 10_000
"""Among which that of a trace is looked for."""
MAX_DEPARTMENTS: Final = 10_000
"""Whose names a report has."""
MAX_NAMED_RESOURCES: Final = 1_000
"""Whose names a report has: those that are read most."""
_GOES_ON: Final = frozenset({"STREAM_SILENT", "BODY_WITHHELD"})
"""Rules that a later trace finds broken for longer: while a finding about it is open it is not raised once more."""
_EXTENT: Final = frozenset({"first_number", "last_number", "from_ms", "to_ms"})
_OPEN: Final = frozenset({RAISED, EXPLAINED, CONFIRMED})


class JudgedTrace(NamedTuple):
    """A verified trace with what the rules found in it; `digest` is the SM3 of its file, `figures` says by which figures."""

    verdict: TraceVerdict
    facts: AuditFacts
    judgement: Judgement
    digest: bytes
    figures: str
    names: dict[str, str]
    """Of departments and resources, by their codes."""


def judge_trace(client: Client, trace: Path, trust: Path, rules: Path | None) -> JudgedTrace:
    """Return what the rules find in a trace file, by the node's calendar of working days; raise InputError where it proves nothing.

    The figures are those that the ledger publishes, or an auditor's own in a file.
    """
    figures = RuleFigures(published=fetch_figures(client)) if rules is None else RuleFigures(load_rules(rules))
    facts = AuditFacts()
    verdict = verify_trace_file(trace, trust, facts)
    if verdict.filter is None or not verdict.height:
        zh, en = verdict.faults[0].texts if verdict.faults else ("空文件", "an empty file")
        raise InputError("TRACE_UNPROVED", f"追溯文件未能证明：{zh}", f"the trace proves nothing: {en}")
    judgement = judge(facts, verdict, figures, fetch_calendar(client, facts.reads))
    departments = client.get_all("/departments", limit=MAX_DEPARTMENTS)
    names = {department["code"]: department["name"] for department in departments}
    names |= fetch_resource_names(client, facts)
    return JudgedTrace(verdict, facts, judgement, file_sm3(trace), _shown_figures(figures, rules), names)


def fetch_figures(client: Client) -> list[FiguresRecord]:
    """Return every table of figures that the ledger publishes, as the node gives it."""
    items = client.get_all("/audits/figures", limit=MAX_FIGURE_TABLES)
    return [
        FiguresRecord(
            item["number"],
            item["department"],
            tuple(FigureRow(row["figure"], row["value"]) for row in item["rows"]),
            item["basis"],
            item["from_ms"],
            item["set_ms"],
            bytes.fromhex(item["set_by"].removeprefix("0x")),
        )
        for item in items
    ]


def load_rules(path: Path) -> RuleTable:
    """Return the figures of the rules in a TOML file; raise InputError RULES_INVALID, which says what is wrong."""
    try:
        content = tomllib.loads(read_limited(path, MAX_RULES_BYTES).decode("utf-8"))
        table = msgspec.convert(content, RuleTable)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise _rules_invalid(path, str(error)) from None
    for name in table.without:
        if name not in RULES:
            raise _rules_invalid(path, f"without: {name[:40]!r}")
    return table


def fetch_resource_names(client: Client, facts: AuditFacts) -> dict[str, str]:
    """Return the names of the resources that are read most, by their codes; what the node does not know has none."""
    granted = (record.resource for record in facts.grants.values() if record is not None)
    counted = Counter([*granted, *(read.sharing.resource for read in facts.reads)])
    # Who was denied may have asked for anything.
    codes = [code for code, _ in counted.most_common(MAX_NAMED_RESOURCES) if code]
    answers = ask_many(client, "catalogue", "resource", [{"code": code} for code in codes])
    found = zip(codes, answers, strict=True)
    return {code: answer.description.name for code, answer in found if not isinstance(answer, RequestRefused)}


def fetch_calendar(client: Client, reads: Iterable[Read]) -> Calendar:
    """Return the calendar of working days as the node has it on the ledger, of the years in which there are reads."""
    years = sorted({year_of(day) for day in {day_of(read.read_ms) for read in reads}})
    answers = ask_many(client, "deadlines", "calendar", [{"year": year} for year in years])
    recorded = [answer for answer in answers if not isinstance(answer, RequestRefused)]
    days = [(parse_day(day.day), day.is_working) for year in recorded for day in year.days]
    return Calendar(days, [year.year for year in recorded])


def raise_findings(client: Client, judged: JudgedTrace, evidence: Path, reference: str) -> dict[int, int]:
    """Raise what has not been raised yet, and return the number of each on the ledger by its place in the judgement.

    The evidence of each is written first: what is on the ledger is the SM3 of a file that exists. Findings that the own
    department has raised about the same subject are left as they are, whatever became of them, and while they are open those that go
    on; what others raised or what only lies between the same numbers keeps nothing from being raised. Raises InputError TRACE_NOT_WHOLE.
    """
    if judged.verdict.hole_count:
        faults = judged.verdict.faults
        zh, en = next((fault for fault in faults if fault.code not in OF_RECORDERS), faults[0]).texts
        raise InputError(
            "TRACE_NOT_WHOLE",
            f"追溯文件不完整（{zh}），不得据以提出审计发现：请用 govnode audit trace 重新制作",
            f"something was taken out of the trace ({en}): nobody is accused by it; make it again by govnode audit trace",
        )
    own = client.own_department()
    listed = client.get_all("/audits/findings", limit=MAX_KNOWN_FINDINGS, signed=True)
    known = [item for item in listed if item["raised_by"] == own]
    evidence.mkdir(parents=True, exist_ok=True)
    raised: dict[int, int] = {}
    for index, finding in enumerate(judged.judgement.findings):
        number = _raised_number(finding, known)
        if not number:
            content = evidence_of(finding, judged)
            digest = sm3(content)
            write_new(evidence / f"{finding.subject.rule}-{digest.hex()[:16]}.json", content)
            number = _raise(client, finding, reference, digest)
            # One read may break a rule in two ways: the ledger has it once.
            known = [{"number": number, "state": RAISED, "subject": to_words(finding.subject)}, *known]
        raised[index] = number
    return raised


def evidence_of(finding: Finding, judged: JudgedTrace) -> bytes:
    """Return the evidence of a finding as JSON: what it is, from which trace, with a nonce that keeps its SM3 from being tried out."""
    zh, en = RULES[finding.subject.rule]
    content = {
        "format": EVIDENCE_FORMAT,
        "rule": {"zh": zh, "en": en},
        **to_words(finding),
        "trace_sm3": judged.digest.hex(),
        "query": judged.verdict.query,
        "height": judged.verdict.height,
        "figures": judged.figures,
        "nonce": secrets.token_hex(16),
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def write_reports(
    client: Client, signer: RequestSigner, trust: Path, judged: JudgedTrace, files: Mapping[str, Path]
) -> list[Path]:
    """Write reports ("pdf", "csv", "reads-csv") on a judged trace, each with its signature beside it, and return what was written."""
    written = []
    for kind, path in files.items():
        content = _content(kind, judged, client)
        signature = sign_report(client, signer, load_trust(trust), sm3(content), judged.digest, judged.verdict.query)
        beside = path.with_name(path.name + SIGNATURE_SUFFIX)
        write_private(path, content)
        write_private(beside, encode_signature(signature))
        written += [path, beside]
    return written


def _basis(client: Client, verdict: TraceVerdict) -> str:
    """Return under which mandate a trace was asked for, as the ledger has its query; empty where it has none."""
    if not verdict.query:
        return ""
    for item in client.get_all("/audits/queries", limit=MAX_NEWEST_QUERIES, signed=True):
        if item["number"] == verdict.query and item["digest"] == "0x" + verdict.query_digest.hex():
            return str(item["basis"])
    return "账本新近的查询中没有此项 / not among the ledger's newest queries"


def _content(kind: str, judged: JudgedTrace, client: Client) -> bytes:
    if kind == "csv":
        return findings_csv(judged.facts, judged.judgement.findings, judged.names)
    if kind == "reads-csv":
        assert judged.verdict.filter is not None, "a verified trace has a filter"
        return reads_csv(judged.facts.reads, judged.names, judged.verdict.filter)
    origin = Origin(client.own_department(), client.address, now_ms(), _basis(client, judged.verdict))
    found = judged.facts, judged.verdict, judged.judgement, judged.digest
    return encode_pdf(make_audit_report(*found, judged.figures, judged.names, origin))


def _raise(client: Client, finding: Finding, reference: str, digest: bytes) -> int:
    """Raise a finding and return its number."""
    return numbered_output(
        client, Audits(client).raise_finding(subject=finding.subject, reference=reference, digest=digest)
    )


def _raised_number(finding: Finding, known: list[dict[str, Any]]) -> int:
    """Return the number of the finding that the own department has raised about the same, 0 where there is none."""
    subject = to_words(finding.subject)
    for item in known:
        other = item["subject"]
        differing = {name for name in subject if str(other[name]).removeprefix("0x") != str(subject[name])}
        goes_on = finding.subject.rule in _GOES_ON and item["state"] in _OPEN
        if not differing or (goes_on and differing <= _EXTENT and _overlaps(other, subject)):
            return int(item["number"])
    return 0


def _overlaps(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two findings have batches and time in common; silences have numbers 0."""
    return bool(
        one["first_number"] <= other["last_number"]
        and other["first_number"] <= one["last_number"]
        and one["from_ms"] < other["to_ms"]
        and other["from_ms"] < one["to_ms"]
    )


def _shown_figures(figures: RuleFigures, rules: Path | None) -> str:
    """Return in words by which figures a trace was judged."""
    if rules is not None:
        return f"{rules.name}，SM3 {file_sm3(rules).hex()} / an auditor's own"
    if not figures.used:
        return "内置 / built in"
    return f"公布的第 {'、'.join(map(str, sorted(figures.used)))} 号 / as published"


def _rules_invalid(path: Path, reason: str) -> InputError:
    return InputError(
        "RULES_INVALID", f"规则文件 {path} 无效：{reason}", f"the table of rules {path} is not valid: {reason}"
    )
