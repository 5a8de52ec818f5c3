"""govnode audit: who read what, when, under which grant, for which case; what the rules find in it, and what becomes of that."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from sdk.cli.audit_figures import figures, set_figures
from sdk.cli.audit_finding import finding
from sdk.cli.audit_findings import STEP_COMMANDS, findings, report
from sdk.cli.audit_persons import person, person_counts, person_key, person_open, person_service
from sdk.cli.audit_trace import trace, verify
from sdk.cli.bilingual import Group
from sdk.cli.options import key_options, open_client, open_signer, url_option
from sdk.cli.output import fields, json_option, show, table

MAX_LISTED: Final = 10_000


@click.group(cls=Group)
def audit() -> None:
    """审计 / Audit."""


@audit.command("authority")
@click.argument("department", required=False)
@url_option
@click.option(
    "--key", type=click.Path(dir_okay=False, path_type=Path), help="治理账户的密钥文件 / A governor's key file."
)
@click.option(
    "--password-file", type=click.Path(dir_okay=False, path_type=Path), help="口令文件 / File with the password."
)
@json_option
def authority(department: str | None, url: str, key: Path | None, password_file: Path | None, as_json: bool) -> None:
    """查看审计机关；给出 DEPARTMENT 与 --key 则由治理账户确定 / Show the auditing authority, or name it as a governor."""
    if (department is None) != (key is None):
        raise click.UsageError(
            "确定审计机关须同时给出 DEPARTMENT 与 --key / name it with DEPARTMENT and --key together"
        )
    with open_client(url, key, password_file) as client:
        if department is not None:
            client.call("audits", "name_authority", department=department)
        found = client.get("/audits/authority")
    pairs = [
        ("审计机关 / authority", f"{found['department_name']} {found['department']}".strip() or "–"),
        ("登记的查询 / queries", found["queries"]),
        ("审计发现 / findings", found["findings"]),
    ]
    show(found, as_json, fields(list(pairs)))


@audit.command("queries")
@click.option("--department", help="只列此部门的查询 / Only this department's queries.")
@url_option
@key_options
@json_option
def queries(department: str | None, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """列出审计方登记的查询 / List what auditors have asked, as they recorded it before the answer."""
    from sdk.client import Client
    from verification.days import show_time

    with Client(url, open_signer(key, password_file)) as client:
        items = client.get_all("/audits/queries", limit=MAX_LISTED, signed=True, department=department)
    rows = [
        (
            str(item["number"]),
            show_time(item["recorded_ms"]),
            item["department"],
            f"{item['kind_text']['zh']} / {item['kind_text']['en']}",
            item["basis"],
            item["digest"].removeprefix("0x")[:16],
        )
        for item in items
    ]
    headings = ("编号 / no.", "时间 / at", "部门 / department", "类别 / kind", "依据 / mandate", "摘要 / digest")
    show({"items": items}, as_json, table(headings, rows))


for _command in (
    trace,
    verify,
    findings,
    finding,
    *STEP_COMMANDS,
    report,
    figures,
    set_figures,
    person_key,
    person_service,
    person,
    person_open,
    person_counts,
):
    audit.add_command(_command)
