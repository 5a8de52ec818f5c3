"""govnode cert: types, issue, changes of status, batches, and what the ledger says of a certificate."""

from __future__ import annotations

import time

import click

from sdk.cli.batch import archive_group, batch
from sdk.cli.bilingual import Group
from sdk.cli.certificate_file import annotate, present_document
from sdk.cli.certificate_history import history
from sdk.cli.certificate_issue import issue, succession_commands
from sdk.cli.certificate_status import admit, status_commands
from sdk.cli.certificate_type import register_type, type_group
from sdk.cli.options import day_start, open_client, url_option
from sdk.cli.output import EXIT_REFUSED, fields, json_option, show


@click.group(cls=Group)
def cert() -> None:
    """电子证照 / Certificates."""


for command in (
    register_type,
    type_group,
    issue,
    *succession_commands(),
    *status_commands(),
    admit,
    batch,
    archive_group,
    present_document,
    annotate,
    history,
):
    cert.add_command(command)


@cert.command("show")
@click.argument("identifier")
@click.option(
    "--at", "day", help="该日 0 时的状态 YYYY-MM-DD；不给为现在 / What it was at the start of a day; now when absent."
)
@url_option
@json_option
def show_certificate(identifier: str, day: str | None, url: str, as_json: bool) -> None:
    """显示账本上的证照与其状态 / Show a certificate on the ledger and its status."""
    from urllib.parse import quote

    from contracts.certificate_records import VERDICTS
    from contracts.fields import MAX_TIME_MS
    from verification.days import show_time

    at_ms = day_start("--at", day) if day else time.time_ns() // 1_000_000
    with open_client(url) as client:
        record = client.get(f"/certificates/{quote(identifier, safe='')}")
        status = client.view("certificates", "certificate_status", identifier=identifier, time_ms=at_ms)
    zh, en = VERDICTS[status["verdict"]]
    names = {interval["status"]: interval["status_text"] for interval in record["history"]}
    if status["status"]:
        code, name = status["status"], names[status["status"]]
        zh, en = f"{zh}（{code} {name['zh']}）", f"{en} ({code} {name['en']})"
    end = "长期 / without end" if record["valid_to_ms"] >= MAX_TIME_MS else show_time(record["valid_to_ms"])
    text = fields(
        [
            ("证照标识 / identifier", record["identifier"]),
            ("类型 / type", f"{record['type_name'] or ''} {record['type_code']}"),
            ("颁发机构 / issuer", f"{record['issuer_name']} {record['issuer']}"),
            ("文件 SM3 / document SM3", record["document_digest"].removeprefix("0x")),
            ("有效期 / validity", f"{show_time(record['valid_from_ms'])} ~ {end}"),
            ("接替 / predecessor", record["predecessor"] or None),
            ("后继 / successor", record["successor"] or None),
            ("查询时间 / as of", show_time(at_ms)),
            ("状态 / status", f"{zh} / {en}"),
            ("原因 / reason", status["reason"] or None),
        ]
    )
    show({"record": record, "at_ms": at_ms, "status": status}, as_json, text)


@cert.command("check")
@click.argument("identifier")
@json_option
def check(identifier: str, as_json: bool) -> int:
    """拆解并检查证照标识，不需要节点 / Take an identifier apart and check it; no node is needed.

    有错误时退出状态为 1，仅有提示时为 0 / Exit status 1 when an error is found, 0 when there are warnings only.
    """
    import msgspec

    from verification.identifier_check import check_identifier

    report = check_identifier(identifier)
    parts = report.parts
    severities = {"error": "✗", "warning": "!"}
    rows: list[tuple[str, object]] = [("证照标识 / identifier", report.text)]
    if parts is not None:
        check_character = parts.check
        if parts.check != parts.expected_check:
            check_character += f"（应为 / expected {parts.expected_check}）"
        rows += [
            ("类型代码 / type", parts.type_code),
            ("颁发机构代码 / issuer", parts.issuer_code),
            ("流水号 / serial", parts.serial),
            ("版本号 / version", parts.version),
            ("校验位 / check character", check_character),
        ]
    lines = [f"{severities[one.severity]} [{one.code}] {one.zh} / {one.en}" for one in report.findings]
    show(
        {
            "identifier": report.text,
            "is_usable": report.is_usable,
            "parts": None if parts is None else msgspec.to_builtins(parts),
            "findings": msgspec.to_builtins(report.findings),
        },
        as_json,
        "\n".join([fields(rows), *(lines or ["✓ 未发现问题 / nothing found"])]),
    )
    return 0 if report.is_usable else EXIT_REFUSED
