"""govnode cert: types, issue, changes of status, batches, and what the ledger says of a certificate."""

from __future__ import annotations

import click

from sdk.cli.archive_search import find_certificates, list_certificates
from sdk.cli.batch import archive_group, batch
from sdk.cli.bilingual import Group
from sdk.cli.certificate_authorisation import authorisations, authorise, fetch, one_time_code, withdraw
from sdk.cli.certificate_code import make_code, make_slip
from sdk.cli.certificate_deposit import list_own_deposits, make_deposit
from sdk.cli.certificate_deposit import withdraw as withdraw_deposit
from sdk.cli.certificate_document import make_document
from sdk.cli.certificate_file import annotate, present_document
from sdk.cli.certificate_history import history
from sdk.cli.certificate_issue import issue, succession_commands
from sdk.cli.certificate_serve import serve
from sdk.cli.certificate_show import show_certificate
from sdk.cli.certificate_status import admit, status_commands
from sdk.cli.certificate_type import register_type, type_group
from sdk.cli.output import EXIT_REFUSED, fields, json_option, show
from sdk.cli.status_list import status_list_group
from verification.shown_text import shown_line


@click.group(cls=Group)
def cert() -> None:
    """电子证照 / Certificates."""


for command in (
    register_type,
    type_group,
    make_document,
    issue,
    *succession_commands(),
    *status_commands(),
    admit,
    batch,
    archive_group,
    present_document,
    annotate,
    make_code,
    make_slip,
    make_deposit,
    list_own_deposits,
    withdraw_deposit,
    authorise,
    one_time_code,
    withdraw,
    authorisations,
    serve,
    fetch,
    status_list_group,
    show_certificate,
    history,
):
    cert.add_command(command)
for search in (find_certificates, list_certificates):
    archive_group.add_command(search)


@cert.command("check")
@click.argument("identifier")
@json_option
def check(identifier: str, as_json: bool) -> int:
    """拆解并检查证照标识，不需要节点；没有校验位的补上 / Take an identifier apart and check it; no node is needed.

    只给前四段（类型.机构.流水号.版本）即算出校验位；有错误时退出状态为 1，仅有提示时为 0 / Of the four parts before it (type.issuer.
    serial.version) the check character is worked out. Exit status 1 when an error is found, 0 when there are warnings only.
    """
    import msgspec

    from verification.identifier_check import check_identifier

    completed = _with_check_character(identifier)
    report = check_identifier(completed or identifier)
    parts = report.parts
    severities = {"error": "✗", "warning": "!"}
    rows: list[tuple[str, object]] = [("证照标识 / identifier", report.text)]
    if parts is not None:
        check_character = parts.check
        if parts.check != parts.expected_check:
            check_character += f"（应为 / expected {parts.expected_check}）"
        elif completed:
            check_character += "（已补上 / worked out）"
        rows += [
            ("类型代码 / type", parts.type_code),
            ("颁发机构代码 / issuer", parts.issuer_code),
            ("流水号 / serial", parts.serial),
            ("版本号 / version", parts.version),
            ("校验位 / check character", check_character),
        ]
    lines = [shown_line(f"{severities[one.severity]} [{one.code}] {one.zh} / {one.en}") for one in report.findings]
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


def _with_check_character(text: str) -> str:
    """Return the identifier that begins with these four parts, empty where the text is not of four parts."""
    from contracts.identifiers import ROOT_OID, make_identifier
    from contracts.refusals import Refused

    parts = text.strip().removeprefix(ROOT_OID).split(".")
    try:
        return make_identifier(*parts) if len(parts) == 4 else ""
    except Refused:
        return ""
