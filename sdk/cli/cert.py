"""govnode cert: register types, issue, show, suspend, resume, revoke and renew certificates."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sdk.cli.batch import archive_group, batch
from sdk.cli.bilingual import Group
from sdk.cli.certificate_file import annotate, present_document
from sdk.cli.options import (
    FILE,
    HOLDER_SECRET_VARIABLE,
    check_hex,
    day_end,
    day_start,
    key_options,
    open_client,
    read_holder_secret,
    url_option,
)
from sdk.cli.output import EXIT_REFUSED, fields, json_option, show
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.certificates import NewCertificate, Outcome

F = TypeVar("F", bound=Callable[..., Any])
_csv_option = click.option("--csv", "csv_file", type=FILE, help="列出多份的 CSV 文件 / CSV file that lists many.")
_reason_option = click.option("--reason", default="", help="原因 / The reason.")


def _content_options(command: F) -> F:
    """Add what a new certificate is made of."""
    options = (
        click.option("--document", type=FILE, help="证照文件，登记其 SM3 / The document; its SM3 is recorded."),
        click.option("--digest", help="证照文件的 SM3（64 位十六进制）/ SM3 of the document, 64 hex digits."),
        click.option("--valid-from", help="有效期起 YYYY-MM-DD / First day of validity."),
        click.option(
            "--valid-to", help="有效期止 YYYY-MM-DD；不给为长期 / Last day of validity; without end when absent."
        ),
        click.option(
            "--holder-code-type", default="", help="持证主体代码类型，如 001、111 / Kind of the holder's code."
        ),
        click.option(
            "--holder-code",
            default="",
            help="持证主体代码（只登记其密钥承诺）/ The holder's code; a keyed commitment is recorded.",
        ),
        click.option("--holder-name", default="", help="持证主体名称（同上）/ The holder's name; likewise."),
        click.option(
            "--holder-secret",
            type=FILE,
            envvar=HOLDER_SECRET_VARIABLE,
            show_envvar=True,
            required=True,
            help="本部门计算承诺的密钥文件 / File with the department's secret for commitments.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=Group)
def cert() -> None:
    """电子证照 / Certificates."""


cert.add_command(present_document)
cert.add_command(annotate)


cert.add_command(batch)
cert.add_command(archive_group)


@cert.command("register-type")
@click.option(
    "--csv", "csv_file", type=FILE, required=True, help="证照类型表 / CSV file of types: code, name, ..., issuers."
)
@url_option
@key_options
@json_option
def register_type(csv_file: Path, url: str, key: Path, password_file: Path | None, as_json: bool) -> int:
    """登记证照类型及其颁发部门（治理账户）/ Register types and who may issue them; for a governor's account."""
    from sdk.certificates import load_types, register_types

    types = load_types(csv_file)
    with open_client(url, key, password_file) as client:
        return _report(register_types(client, types), as_json)


@cert.command("issue")
@click.argument("identifier", required=False)
@_content_options
@_csv_option
@click.option(
    "--own", is_flag=True, help="只取 CSV 中本部门的行 / Of the CSV, only rows of the account's own department."
)
@url_option
@key_options
@json_option
def issue(
    identifier: str | None,
    csv_file: Path | None,
    own: bool,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
    **content: Any,
) -> int:
    """颁发一份证照，或 CSV 中的多份 / Issue one certificate, or those of a CSV file.

    CSV 至少有 identifier、valid_from 两列，见 samples/certificates.csv / The CSV has at least the columns identifier and
    valid_from; samples/certificates.csv is one.
    """
    from sdk.certificates import issue as issue_all
    from sdk.certificates import load_new_certificates

    secret = read_holder_secret(content["holder_secret"])
    certificates = load_new_certificates(csv_file) if csv_file else [_single(identifier, content)]
    _one_source(identifier, csv_file)
    with open_client(url, key, password_file) as client:
        if own:
            department = client.own_department()
            certificates = [new for new in certificates if new.issuer_code == department]
        return _report(issue_all(client, certificates, secret), as_json)


@cert.command("renew")
@click.argument("predecessor", required=False)
@click.argument("identifier", required=False)
@_content_options
@_reason_option
@_csv_option
@url_option
@key_options
@json_option
def renew(
    predecessor: str | None,
    identifier: str | None,
    reason: str,
    csv_file: Path | None,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
    **content: Any,
) -> int:
    """延续：以新证照 IDENTIFIER 接替 PREDECESSOR / Renew: IDENTIFIER takes the place of PREDECESSOR."""
    import msgspec

    from sdk.certificates import issue as issue_all
    from sdk.certificates import load_renewals

    secret = read_holder_secret(content["holder_secret"])
    _one_source(identifier, csv_file)
    if csv_file:
        renewals = load_renewals(csv_file)
    else:
        renewals = [msgspec.structs.replace(_single(identifier, content), predecessor=predecessor or "", reason=reason)]
    with open_client(url, key, password_file) as client:
        return _report(issue_all(client, renewals, secret), as_json)


def _status_command(name: str, help_text: str) -> None:
    """Add one of the commands that change a certificate's status."""

    @cert.command(name, help=help_text)
    @click.argument("identifier", required=False)
    @_reason_option
    @_csv_option
    @url_option
    @key_options
    @json_option
    @click.pass_context
    def change(
        ctx: click.Context,
        identifier: str | None,
        reason: str,
        csv_file: Path | None,
        url: str,
        key: Path,
        password_file: Path | None,
        as_json: bool,
        status: str = "",
    ) -> int:
        from sdk.certificates import StatusChange, change_status, load_status_changes

        _one_source(identifier, csv_file)
        changes = load_status_changes(csv_file) if csv_file else [StatusChange(identifier or "", reason, status)]
        with open_client(url, key, password_file) as client:
            return _report(change_status(client, name, changes), as_json)

    if name == "revoke":
        change.params.append(
            click.Option(
                ["--status"],
                default="",
                help="终止后的状态：03 撤销（默认）、04 注销、07 吊销、06 转出 / "
                "The status it ends in: 03 revoked (default), 04 cancelled, 07 withdrawn, 06 transferred out.",
            )
        )


_status_command("suspend", "暂扣证照 / Suspend a certificate.")
_status_command("resume", "恢复暂扣的证照 / Resume a suspended certificate.")
_status_command("revoke", "撤销、注销或吊销证照 / Revoke, cancel or withdraw a certificate.")


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


def _one_source(identifier: str | None, csv_file: Path | None) -> None:
    if (identifier is None) == (csv_file is None):
        raise click.UsageError("给出证照标识，或 --csv，二者选一 / give the identifier, or --csv, one of the two")


def _single(identifier: str | None, content: dict[str, Any]) -> NewCertificate:
    """Return the certificate that the options describe."""
    from contracts.fields import MAX_TIME_MS
    from sdk.certificates import NewCertificate
    from sdk.documents import document_digest
    from verification.holders import Holder

    if identifier is None:
        raise click.UsageError("缺少证照标识 / the identifier is missing")
    if (content["document"] is None) == (content["digest"] is None):
        raise click.UsageError("给出 --document 或 --digest，二者选一 / give --document or --digest, one of the two")
    if not content["valid_from"]:
        raise click.UsageError("缺少 --valid-from / --valid-from is missing")
    digest = (
        document_digest(content["document"]) if content["document"] else check_hex("--digest", content["digest"], 32)
    )
    return NewCertificate(
        identifier=identifier,
        digest=digest,
        valid_from_ms=day_start("--valid-from", content["valid_from"]),
        valid_to_ms=day_end("--valid-to", content["valid_to"]) if content["valid_to"] else MAX_TIME_MS,
        holder=Holder(content["holder_code_type"], content["holder_code"], content["holder_name"]),
        document=content["document"],
    )


def _report(outcomes: list[Outcome], as_json: bool) -> int:
    """Print what became of each; return the exit status: 0 only when all are done."""
    if not outcomes:
        raise InputError("NOTHING_TO_DO", "没有可处理的行", "there is nothing to do: no row is left")
    results = []
    lines = []
    for outcome in outcomes:
        if outcome.receipt is not None:
            receipt = outcome.receipt
            results.append(
                {
                    "identifier": outcome.identifier,
                    "transaction": "0x" + receipt.transaction_id.hex(),
                    "height": receipt.height,
                    "time_ms": receipt.time_ms,
                    "error": None,
                }
            )
            lines.append(f"✓ {outcome.identifier}  区块 / block {receipt.height}  {receipt.transaction_id.hex()}")
        elif outcome.error is not None:
            error = outcome.error
            results.append(
                {"identifier": outcome.identifier, "error": {"code": error.code, "zh": error.zh, "en": error.en}}
            )
            lines.append(f"✗ {outcome.identifier}  [{error.code}] {error}")
    done = sum(outcome.error is None for outcome in outcomes)
    lines.append(f"完成 / done {done}, 未完成 / not done {len(outcomes) - done}")
    show({"done": done, "failed": len(outcomes) - done, "results": results}, as_json, "\n".join(lines))
    return 0 if done == len(outcomes) else EXIT_REFUSED
