"""govnode audit: who read what, when, under which grant, for which case."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
import msgspec

from sdk.cli.audit_persons import person, person_counts, person_key, person_service
from sdk.cli.bilingual import Group
from sdk.cli.options import (
    FILE,
    HOLDER_SECRET_VARIABLE,
    check_hex,
    key_options,
    open_client,
    read_holder_secret,
    url_option,
)
from sdk.cli.output import EXIT_REFUSED, json_option, show, table

MAX_LISTED: Final = 100_000
MAX_PERSON_FILE_BYTES: Final = 1_024


@click.group(cls=Group)
def audit() -> None:
    """审计 / Audit."""


@audit.command("trace")
@click.option("--resource", help="资源代码 / Code of a resource.")
@click.option("--department", help="记录方、提供方或使用方的代码 / Code of a department that took part.")
@click.option("--grant", help="授权标识 / Id of a grant.")
@click.option(
    "--person-file",
    type=FILE,
    help="文件，内为被查询人的标识：只列其数据的读取，须有 --holder-secret / File with a person's code: only reads of that "
    "person's data; needs --holder-secret.",
)
@click.option(
    "--holder-secret",
    type=FILE,
    envvar=HOLDER_SECRET_VARIABLE,
    show_envvar=True,
    help="本部门计算承诺的密钥文件 / File with the department's secret for commitments.",
)
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=1_000, show_default=True, help="最多几条 / At most so many."
)
@url_option
@key_options
@json_option
def trace(
    resource: str | None,
    department: str | None,
    grant: str | None,
    person_file: Path | None,
    holder_secret: Path | None,
    limit: int,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> int:
    """列出读取记录并验算摘要与衔接；审计方看全部，当事部门看自己的 / List reads, check digests and links.

    请求由审计方或当事部门的账户签名 / The request is signed by an account of an auditor or a party.

    有不符之处则退出状态为 1 / Exit status 1 when something does not fit.

    记录部门以 --person-file 找出某人的记录；--json 的 person_key 可交审计方验算该条承诺 / A recording department finds a person's records
    by --person-file; person_key in --json lets an auditor compute the commitment of that record, and of no other.
    """
    from sdk.access import check_records, find_reads
    from sdk.documents import read_limited
    from verification.days import show_time
    from verification.shown_text import shown_line

    if person_file is not None and holder_secret is None:
        raise click.UsageError("--person-file 须与 --holder-secret 同用 / --person-file needs --holder-secret")
    if grant is not None:
        grant = check_hex("--grant", grant, 32).hex()
    with open_client(url, key, password_file) as client:
        records = client.get_all(
            "/access-records", limit=limit, signed=True, resource=resource, department=department, grant=grant
        )
    findings = check_records(records)
    checked = len(records)
    if person_file is not None and holder_secret is not None:
        person = read_limited(person_file, MAX_PERSON_FILE_BYTES).decode("utf-8", "replace").strip()
        records = find_reads(records, read_holder_secret(holder_secret), person)
    headings = (
        "时间 / time",
        "使用方 / consumer",
        "资源 / resource",
        "系统 / system",
        "办件 / case",
        "结果 / outcome",
        "授权 / grant",
        "序号 / no.",
    )
    rows = [
        (
            show_time(record["read_ms"]),
            record["consumer_name"],
            record["resource"],
            record["system"],
            record["case_number"],
            f"{record['outcome_text']['zh']} / {record['outcome_text']['en']}",
            record["grant"].removeprefix("0x")[:12],
            str(record["number"]),
        )
        for record in records
    ]
    lines = [table(headings, rows), ""]
    lines += [shown_line(f"✗ {f.department} {f.recorder} #{f.number}: {f.zh} / {f.en}") for f in findings]
    if not findings:
        lines.append(f"✓ {checked} 条记录的摘要与衔接均相符 / digests and links of {checked} records hold")
    show({"items": records, "findings": msgspec.to_builtins(findings)}, as_json, "\n".join(lines))
    return EXIT_REFUSED if findings else 0


for command in (person_key, person_service, person, person_counts):
    audit.add_command(command)
