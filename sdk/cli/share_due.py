"""govnode share due, clocks: what is owed under requests, and until when."""

from __future__ import annotations

from typing import Any, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.calls import Access, call_options
from sdk.cli.options import check_hex, open_client, url_option
from sdk.cli.output import json_option, show, table

KIND_NAMES: Final = (
    "reply_unconditional",
    "reply_conditional",
    "compliance_check",
    "supply",
    "correction",
    "dispute",
    "recall",
)
"""The kinds of contracts.data_sharing.deadlines, which the command line does not load to show its help."""
MAX_LISTED: Final = 10_000
EXIT_OVERDUE: Final = 3
_HEADINGS: Final = (
    "到期 / due",
    "事项 / what",
    "由谁办理 / who has to act",
    "工作日 / working days",
    "现状 / how it stands",
)


@click.command("due", cls=Command)
@click.option("--overdue", is_flag=True, help="只列超期的 / Only what is overdue.")
@click.option("--mine", is_flag=True, help="只列应由本部门办理的 / Only what the own department has to act on.")
@click.option("--kind", type=click.Choice(KIND_NAMES), help="只列这一类事项 / Only this kind of item.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="最多几项 / At most so many."
)
@call_options
def due(overdue: bool, mine: bool, kind: str | None, limit: int, access: Access) -> int:
    """列出待办事项，先到期的在前；有超期的以 3 退出 / List open items, first what is due first; exits with 3 where one is overdue.

    未能列全时也以 3 退出：未列入的可能超期 / So it does where the list is cut: what it leaves out may be overdue.

    审计与治理账户列出全部，其他账户列出本部门为当事方的 / Auditors and governors see all, others what their department is a party of.
    """
    with open_client(access.url, access.key, access.password_file) as client:
        department = client.own_department() if mine else None
        path = "/overdue" if overdue else "/due"
        pages = list(client.pages(path, signed=True, limit=limit, department=department, kind=kind))
    items = [item for page in pages for item in page["items"]]
    rows = [(*_row(one), one["request"].removeprefix("0x"), one["resource"]) for one in items]
    headings = (*_HEADINGS, "申请 / request", "资源 / resource")
    late = sum(one["is_overdue"] for one in items)
    nothing = "列入的没有超期 / nothing listed is overdue" if overdue else "没有待办 / nothing is due"
    text = "\n".join((table(headings, rows) if items else nothing, *_cuts(pages[-1], len(items))))
    more = {"has_more": bool(pages[-1]["next_cursor"]), "is_cut": pages[-1]["is_cut"]}
    show({"items": items, "overdue": late, **more}, access.as_json, text)
    return EXIT_OVERDUE if late or more["is_cut"] else 0


@click.command("clocks", cls=Command)
@click.argument("request_id")
@url_option
@json_option
def clocks(request_id: str, url: str, as_json: bool) -> None:
    """显示申请 REQUEST_ID 的全部办理期限 / Show every clock of a request, those met and missed included."""
    from verification.days import show_time

    name = check_hex("REQUEST_ID", request_id, 32).hex()
    with open_client(url) as client:
        found = client.get(f"/requests/{name}/deadlines")
    items = found["items"]
    # What was returned and completed is answered twice: since when tells the two apart.
    rows = [(show_time(one["start_ms"]), *_row(one)) for one in items]
    rules = dict.fromkeys(one["source"] for one in items)
    if len(rules) > 1:
        rows = [(*row, one["source"]) for row, one in zip(rows, items, strict=True)]
    headings = ("起算 / since", *_HEADINGS, *(["依据 / by which rule"] if len(rules) > 1 else []))
    text = table(headings, rows) if items else "没有适用的期限 / no term applies"
    if len(rules) == 1:
        text += f"\n\n期限依据（起算时所行）/ terms, as in force when each began: {next(iter(rules))}"
    show(found, as_json, text)


def _cuts(page: dict[str, Any], listed: int) -> list[str]:
    """Return the lines that say what the list leaves out."""
    lines = []
    if page["next_cursor"]:
        lines.append(f"只列出最先到期的 {listed} 项，--limit 可多列 / the {listed} due first only: --limit lists more")
    if page["is_cut"]:
        lines.append(
            "未办结的太多，节点轮流取各使用方最早开始的，其余未列入，其中可能有超期的；请用 --mine 或 --kind 缩小范围 / too much is open: "
            "the node takes what began first, of each consumer in turn; the rest, overdue or not, is left out: narrow it by --mine, --kind"
        )
    return lines


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    from verification.days import show_day

    number = f" {one['number']}" if one["number"] else ""
    day = show_day(one["due_ms"]) + (" (暂计 / provisional)" if one["is_provisional"] else "")
    what = f"{one['kind_text']['zh']} / {one['kind_text']['en']}{number}"
    return (day, what, one["department_name"], str(one["working_days"]), _standing(one))


def _standing(one: dict[str, Any]) -> str:
    if one["is_overdue"]:
        # Due on a Friday and looked at on the Saturday.
        late = one["days_late"]
        return f"超期 {late} 个工作日 / overdue by {late}" if late else "已超期 / overdue"
    if one["is_open"] and not one["days_left"]:
        return "今天到期 / due today"
    if one["is_open"]:
        return f"剩 {one['days_left']} 个工作日 / {one['days_left']} left"
    if one["done_ms"] is None:
        return "随授权期满终止 / ended with the grant"
    if one["fell_away"]:
        late = one["days_late"]
        return (
            f"未办理，逾期 {late} 个工作日后终止 / not done, ended {late} late"
            if late
            else "未办理，已终止 / not done, ended"
        )
    if one["done_ms"] > one["due_ms"]:
        return f"逾期 {one['days_late']} 个工作日办结 / done {one['days_late']} late"
    return "按期办结 / done in time"
