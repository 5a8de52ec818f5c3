"""govnode directory: a department's duties and information systems, one at a time; tables go through catalogue import."""

from __future__ import annotations

import click

from sdk.cli.bilingual import Group
from sdk.cli.calls import Access, call_options, submit
from sdk.cli.options import open_client, url_option
from sdk.cli.output import fields, json_option, show, table

MAX_LISTED = 10_000
_NETWORKS = {"extranet": 1, "internet": 2, "sector": 3, "intranet": 4, "other": 5}


@click.group(cls=Group)
def directory() -> None:
    """职责目录与系统目录 / Directories of duties and of systems."""


@directory.command("enter-duty")
@click.argument("code")
@click.option("--name", required=True, help="职责名称 / What the duty is called.")
@click.option("--basis", required=True, help="依据 / The rule that gives it.")
@click.option("--unit", default="", help="责任处室 / The unit that has it.")
@click.option("--task", "tasks", multiple=True, help="职责事项，可多次 / A task of it; may be repeated.")
@call_options
def enter_duty(code: str, name: str, basis: str, unit: str, tasks: tuple[str, ...], access: Access) -> None:
    """登记或变更本部门的一项职责 / Enter a duty of one's own department, or state it anew."""
    from contracts.data_sharing.directories import Duty

    arguments = {"duties": [Duty(code, name, basis, unit, tasks)]}
    submit(access, "directories", "enter_duties", arguments, ("已登记 / entered", code))


@directory.command("enter-system")
@click.argument("code")
@click.option("--name", required=True, help="系统名称 / What the system is called.")
@click.option("--summary", required=True, help="系统简介 / What it is for.")
@click.option("--network", type=click.Choice(list(_NETWORKS)), required=True, help="所在网络 / Where it runs.")
@click.option(
    "--duty", "duties", multiple=True, help="所支撑的职责代码，可多次 / Code of a duty that it serves; may be repeated."
)
@call_options
def enter_system(code: str, name: str, summary: str, network: str, duties: tuple[str, ...], access: Access) -> None:
    """登记或变更本部门的一个信息系统 / Enter a system of one's own department, or state it anew."""
    from contracts.data_sharing.directories import System

    arguments = {"systems": [System(code, name, summary, _NETWORKS[network], duties)]}
    submit(access, "directories", "enter_systems", arguments, ("已登记 / entered", code))


@directory.command("end-duty")
@click.argument("code")
@click.option("--reason", required=True, help="原因 / The reason.")
@call_options
def end_duty(code: str, reason: str, access: Access) -> None:
    """注销本部门的一项职责 / State that one's own department no longer has a duty."""
    arguments = {"code": code, "reason": reason}
    submit(access, "directories", "end_duty", arguments, ("已注销 / ended", code))


@directory.command("end-system")
@click.argument("code")
@click.option("--reason", required=True, help="原因 / The reason.")
@call_options
def end_system(code: str, reason: str, access: Access) -> None:
    """注销本部门的一个信息系统 / State that a system of one's own department is out of use."""
    arguments = {"code": code, "reason": reason}
    submit(access, "directories", "end_system", arguments, ("已注销 / ended", code))


@directory.command("show")
@click.argument("kind", type=click.Choice(["duty", "system"]))
@click.argument("department")
@click.argument("code")
@url_option
@json_option
def show_entry(kind: str, department: str, code: str, url: str, as_json: bool) -> None:
    """查看部门 DEPARTMENT 的一项职责或系统 / Show a duty or system of a department."""
    from node.http.json_form import to_json
    from sdk.data_catalogue.kinds import DUTIES, SYSTEMS
    from sdk.system_contracts.directories import Directories
    from verification.days import show_time

    with open_client(url) as client:
        contract = Directories(client)
        record = (
            contract.duty(department=department, code=code)
            if kind == "duty"
            else contract.system(department=department, code=code)
        )
    shape = DUTIES if kind == "duty" else SYSTEMS
    stated = getattr(record, kind)
    rows: list[tuple[str, object]] = [
        ("部门 / department", record.department),
        ("版本 / version", record.version),
        ("登记 / entered", show_time(record.entered_ms)),
        ("注销 / ended", f"{show_time(record.ended_ms)} {record.reason}" if record.ended_ms else None),
    ]
    cells = ((column, column.form.encode(getattr(stated, column.field))) for column in shape.fields)
    rows += [(f"{column.zh} / {column.field}", cell) for column, cell in cells if cell]
    show(to_json(record), as_json, fields(rows))


@directory.command("list")
@click.argument("kind", type=click.Choice(["duties", "systems"]))
@click.option("--search", help="名称或代码的一部分 / Part of the name or code.")
@click.option("--department", help="部门代码 / Code of the department.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="最多几项 / At most so many."
)
@url_option
@json_option
def list_entries(kind: str, search: str | None, department: str | None, limit: int, url: str, as_json: bool) -> None:
    """列出职责或系统，新的在前 / List duties or systems, newest first."""
    with open_client(url) as client:
        items = client.get_all(f"/{kind}", limit=limit, q=search, department=department)
    rows = [
        (one["code"], one["name"] + ("（已注销 / ended）" if one["ended_ms"] else ""), one["department_name"])
        for one in items
    ]
    show({"items": items}, as_json, table(("代码 / code", "名称 / name", "部门 / department"), rows))
