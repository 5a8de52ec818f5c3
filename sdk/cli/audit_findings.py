"""govnode audit findings, explain, confirm, dismiss, close: what the rules find in a trace, and what becomes of it on the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.audit_finding import check_step
from sdk.cli.audit_trace import exit_status, trust_option
from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, FOLDER, key_options, open_client, open_signer, url_option
from sdk.cli.output import EXIT_REFUSED, fields, json_option, show, table
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.client import Client
    from verification.access.rules import Finding

MAX_LISTED: Final = 10_000
MAX_LETTER_BYTES: Final = 64 * 1024 * 1024


@click.command("findings", cls=Command)
@click.argument("trace", type=FILE, required=False)
@click.option(
    "--rules", type=FILE, help="规则参数（TOML），缺省用内置表 / Figures of the rules (TOML); the built-in table."
)
@click.option("--raise", "is_raised", is_flag=True, help="将尚未提出的发现上链 / Raise what has not been raised yet.")
@click.option(
    "--evidence", type=FOLDER, help="证据文件写入的文件夹，--raise 时必给 / Folder for evidence; --raise needs it."
)
@click.option("--reference", default="", help="文号 / Number of the letter.")
@click.option("--state", help="只列此状态 / Only of this state: raised, explained, confirmed, dismissed, closed.")
@trust_option
@url_option
@key_options
@json_option
def findings(
    trace: Path | None,
    rules: Path | None,
    is_raised: bool,
    evidence: Path | None,
    reference: str,
    state: str | None,
    trust: Path,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> int:
    """以规则检查追溯文件 TRACE；不给文件则列出账本上的审计发现 / Judge a trace by the rules; without one list the findings on the ledger.

    证据文件每项发现一份，其 SM3 上链 / Each finding's evidence is a file of its own, whose SM3 is on the ledger.
    """
    if is_raised and (trace is None or evidence is None):
        raise click.UsageError("--raise 须给出 TRACE 与 --evidence / --raise needs TRACE and --evidence")
    signer = open_signer(key, password_file)
    from sdk.client import Client

    with Client(url, signer) as client:
        if trace is None:
            _list(client, state, as_json)
            return 0
        from sdk.access_audit.findings import judge_trace, raise_findings

        judged = judge_trace(client, trace, trust, rules)
        raised = raise_findings(client, judged, evidence, reference) if is_raised and evidence is not None else {}
    rows = [_cells(finding, raised.get(index)) for index, finding in enumerate(judged.judgement.findings)]
    headings = (
        "规则 / rule",
        "部门 / department",
        "对方 / other",
        "序号 / reads",
        "条 / count",
        "说明 / why",
        "编号 / no.",
    )
    shown = {
        "findings": [finding_json(finding) for finding in judged.judgement.findings],
        "raised": {str(index): number for index, number in raised.items()},
        "agreed": judged.judgement.reconciliation.agreed,
        "not_comparable": judged.judgement.reconciliation.not_comparable,
        "unanswered": judged.judgement.reconciliation.unanswered,
        "is_complete": judged.verdict.is_complete,
        "figures": judged.figures,
    }
    text = table(headings, rows) if rows else "没有发现 / no findings"
    text += f"\n参数 / figures: {judged.figures}"
    show(shown, as_json, text)
    return EXIT_REFUSED if exit_status(judged.verdict) == EXIT_REFUSED else 0


def _list(client: Client, state: str | None, as_json: bool) -> None:
    from verification.days import show_time

    items = client.get_all("/audits/findings", limit=MAX_LISTED, signed=True, state=state)
    rows = [
        (
            str(item["number"]),
            item["subject"]["rule"],
            item["subject"]["department"],
            f"{item['state_text']['zh']} / {item['state_text']['en']}",
            item["raised_by"],
            show_time(item["history"][-1]["from_ms"]),
        )
        for item in items
    ]
    headings = ("编号 / no.", "规则 / rule", "部门 / department", "状态 / state", "提出方 / raised by", "时间 / since")
    text = table(headings, rows)
    if rows:
        text += "\n\n一项的全部内容 / one of them whole: govnode audit finding NUMBER"
    show({"items": items}, as_json, text)


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return a finding in JSON's types, with the rule's name in words."""
    from node.http.proof_file import to_words
    from verification.access.rule_table import RULES

    zh, en = RULES[finding.subject.rule]
    return {**to_words(finding), "zh": zh, "en": en}


def _cells(finding: Finding, number: int | None) -> tuple[str, ...]:
    subject = finding.subject
    span = str(subject.first_number)
    if subject.last_number != subject.first_number:
        span += f"-{subject.last_number}"
    return (
        subject.rule,
        subject.department,
        subject.other or "–",
        span,
        str(finding.count),
        finding.why,
        "–" if number is None else str(number),
    )


def _step_command(name: str, zh: str, en: str) -> click.Command:
    """Return the command of one step in a finding's life: they differ in their name only."""

    def run(
        number: int,
        letter: Path,
        reference: str,
        url: str,
        key: Path,
        password_file: Path | None,
        as_json: bool,
    ) -> None:
        from sdk.documents import read_limited
        from sm_crypto.sm3 import sm3

        digest = sm3(read_limited(letter, MAX_LETTER_BYTES))
        with open_client(url, key, password_file) as client:
            check_step(client, name, number)
            receipt = client.call("audits", name, number=number, reference=reference, digest=digest)
        shown = {"number": number, "digest": "0x" + digest.hex(), "height": receipt.height}
        pairs = [("编号 / no.", number), ("SM3", digest.hex()), ("区块 / block", receipt.height)]
        show(shown, as_json, fields(list(pairs)))

    run.__doc__ = f"{zh} / {en}"
    decorated = json_option(key_options(url_option(run)))
    decorated = click.option("--reference", default="", help="文号，至多 64 字 / Number of the letter.")(decorated)
    decorated = click.option(
        "--letter",
        type=FILE,
        required=True,
        help="说明或决定的文件，只登记其 SM3 / The letter that explains or decides; its SM3 is recorded.",
    )(decorated)
    decorated = click.argument("number", type=click.IntRange(1))(decorated)
    return click.command(name, cls=Command)(decorated)


STEP_COMMANDS: Final = (
    _step_command("explain", "当事部门说明一项审计发现", "Explain a finding, as the department concerned"),
    _step_command("confirm", "认定一项审计发现", "Confirm a finding"),
    _step_command("dismiss", "一项审计发现不成立", "Dismiss a finding"),
    _step_command("close", "办结一项已认定的审计发现", "Close a confirmed finding"),
)
"""What becomes of a finding, step by step."""


@click.command("report", cls=Command)
@click.argument("trace", type=FILE)
@click.option("--rules", type=FILE, help="规则参数（TOML）/ Figures of the rules (TOML).")
@click.option("--pdf", type=FILE, help="写入 PDF 报告 / Write a PDF.")
@click.option("--csv", type=FILE, help="写入审计发现的 CSV / Write the findings as CSV.")
@click.option("--reads-csv", type=FILE, help="写入全部读取的 CSV / Write every read asked for as CSV.")
@trust_option
@url_option
@key_options
@json_option
def report(
    trace: Path,
    rules: Path | None,
    pdf: Path | None,
    csv: Path | None,
    reads_csv: Path | None,
    trust: Path,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> int:
    """由追溯文件 TRACE 出具审计报告并签名（FILE.sig.json）/ Report on a trace, each file signed (FILE.sig.json)."""
    from sdk.access_audit.findings import judge_trace, write_reports
    from sdk.client import Client

    wanted = {name: path for name, path in (("pdf", pdf), ("csv", csv), ("reads-csv", reads_csv)) if path is not None}
    if not wanted:
        raise InputError("NOTHING_TO_WRITE", "请给出 --pdf、--csv 或 --reads-csv", "give --pdf, --csv or --reads-csv")
    signer = open_signer(key, password_file)
    with Client(url, signer) as client:
        judged = judge_trace(client, trace, trust, rules)
        written = write_reports(client, signer, trust, judged, wanted)
    shown = {"files": [str(path) for path in written], "findings": len(judged.judgement.findings)}
    pairs: list[tuple[str, object]] = [("文件 / file", path) for path in written]
    pairs.append(("审计发现 / findings", len(judged.judgement.findings)))
    show(shown, as_json, fields(pairs))
    return EXIT_REFUSED if not judged.verdict.is_sound else 0
