"""govnode audit figures, set-figures: the working hours and volumes by which reads are judged, published before they apply."""

from __future__ import annotations

from typing import Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.calls import Access, call_options, submit
from sdk.cli.options import day_start, open_client, url_option
from sdk.cli.output import json_option, show, table
from verification.errors import InputError

MAX_DIGITS: Final = 10
EVERY_DEPARTMENT: Final = "各部门 / every department"


@click.command("figures", cls=Command)
@click.option("--department", help="只列此部门的 / Only this department's.")
@url_option
@json_option
def figures(department: str | None, url: str, as_json: bool) -> None:
    """列出公布的规则参数，新的在前；未公布的为内置值 / List the published figures of the rules, newest first; others are built in."""
    from contracts.data_sharing.audit_figures import FIGURES, MAX_FIGURE_TABLES
    from verification.days import show_time

    with open_client(url) as client:
        items = client.get_all("/audits/figures", limit=MAX_FIGURE_TABLES, department=department)
    rows = [
        (
            str(item["number"]),
            f"{item['department_name']} {item['department']}".strip() or EVERY_DEPARTMENT,
            show_time(item["from_ms"]),
            " ".join(f"{row['figure']}={row['value']}" for row in item["rows"]) or "–",
            item["basis"],
        )
        for item in items
    ]
    presets = [(name, f"{figure.zh} / {figure.en}", str(figure.preset)) for name, figure in FIGURES.items()]
    text = table(("参数 / figure", "含义 / what", "内置 / built in"), presets)
    if rows:
        headings = ("编号 / no.", "部门 / department", "自 / from", "参数 / figures", "依据 / basis")
        text = f"{table(headings, rows)}\n\n{text}"
    built_in = {name: figure.preset for name, figure in FIGURES.items()}
    show({"items": items, "built_in": built_in}, as_json, text)


@click.command("set-figures", cls=Command)
@click.argument("figures", nargs=-1, metavar="[NAME=VALUE]...")
@click.option(
    "--department", default="", help="部门代码；不给则为各部门 / Code of a department; every department without."
)
@click.option("--basis", required=True, help="依据的文件 / By which rule.")
@click.option(
    "--from", "first", required=True, metavar="YYYY-MM-DD", help="自何日起，须晚于今日 / From which coming day."
)
@call_options
def set_figures(figures: tuple[str, ...], department: str, basis: str, first: str, access: Access) -> None:
    """由治理账户或审计机关公布规则参数 / Publish figures of the rules, as a governor or the auditing authority.

    例 / for example: day_to_minute=1320 only_working_days=0

    部门不给任何参数，则重新适用各部门的 / A department without any is judged by those of every department again.
    """
    from contracts.data_sharing.audit_figures import FigureRow

    rows = [FigureRow(*_figure(text)) for text in figures]
    arguments = {"department": department, "rows": rows, "basis": basis, "from_ms": day_start("--from", first)}
    done = ("已公布 / published", department or EVERY_DEPARTMENT)
    submit(access, "audits", "set_figures", arguments, done)


def _figure(text: str) -> tuple[str, int]:
    """Return name and value of a figure; raise InputError FIGURE_INVALID, which says what is wrong."""
    from contracts.data_sharing.audit_figures import FIGURES

    name, _, value = text.partition("=")
    figure = FIGURES.get(name)
    if figure is None:
        known = ", ".join(FIGURES)
        raise InputError(
            "FIGURE_INVALID", f"没有参数 {name!r}；可用：{known}", f"no figure {name!r}; there are {known}"
        )
    is_number = value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS
    if not is_number or not figure.least <= int(value) <= figure.most:
        raise InputError(
            "FIGURE_INVALID",
            f"{name} 应为 {figure.least} 至 {figure.most} 的整数，实为 {value!r}",
            f"{name} is a whole number from {figure.least} to {figure.most}, found {value!r}",
        )
    return name, int(value)
