"""govnode share: ask for data, answer a request, follow a grant to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

import click

from sdk.cli.bilingual import Group
from sdk.cli.calls import Access, call_options
from sdk.cli.grant_conditions import Stated, conditions_of
from sdk.cli.options import FILE, check_hex, day_end, day_start, open_client, url_option
from sdk.cli.output import fields, json_option, say, show, table
from sdk.cli.share_cases import correction, dispute, recall
from sdk.cli.share_due import clocks, due
from sdk.cli.sharing_calls import request_text, run_call

F = TypeVar("F", bound=Callable[..., Any])
MAX_LISTED = 10_000
_STATES = ("waiting", "returned", "granted", "refused", "stopped", "recalled")
_ANSWERS = {"是": True, "yes": True, "否": False, "no": False}


class _Wish(TypedDict):
    """What the options of a request say."""

    purpose: str
    legal_basis: str
    items: tuple[str, ...]
    case_types: tuple[str, ...]
    rows_per_day: int
    first_day: str
    last_day: str


@click.group(cls=Group)
def share() -> None:
    """数据共享申请与授权 / Requests and grants for data."""


def _wish_options(command: F) -> F:
    """Add the options that say what a request asks for."""
    for option in (
        click.option("--to", "last_day", required=True, help="使用期止 YYYY-MM-DD / Last day of use."),
        click.option("--from", "first_day", required=True, help="使用期起 YYYY-MM-DD / First day of use."),
        click.option(
            "--rows-per-day",
            type=click.IntRange(0),
            default=0,
            help="每日数据量（行），0 为不说明 / Volume in rows a day, 0: not said.",
        ),
        click.option(
            "--case-type",
            "case_types",
            multiple=True,
            help="办件类型，可多次；不给为不限 / A kind of case; may be repeated; any when absent.",
        ),
        click.option(
            "--item",
            "items",
            multiple=True,
            help="所需数据项，可多次；不给为全部 / An item asked for; may be repeated; all when absent.",
        ),
        click.option("--legal-basis", required=True, help="依据 / The legal basis."),
        click.option("--purpose", required=True, help="用途，至多 200 字 / What it is for, up to 200 characters."),
    ):
        command = option(command)
    return command


share.add_command(due)
share.add_command(clocks)


@share.command("request")
@click.argument("resource")
@_wish_options
@call_options
def request(resource: str, access: Access, **wish: Unpack[_Wish]) -> None:
    """申请使用另一部门的资源 RESOURCE / Ask for another department's resource; prints the request's id.

    RESOURCE 为目录中的代码，由 catalogue list --search 查得；不能申请的由账本拒绝，不改变任何记录 / RESOURCE is its code in the catalogue:
    catalogue list --search finds it. What cannot be asked for is refused by the ledger, and changes nothing there.
    """
    run_call(access, "request", None, {"resource": resource} | _wish_arguments(wish))


@share.command("amend")
@click.argument("request_id")
@_wish_options
@call_options
def amend(request_id: str, access: Access, **wish: Unpack[_Wish]) -> None:
    """补正被退回的申请 REQUEST_ID，须重述全部内容 / Complete a returned request: all that it asks for is said anew."""
    run_call(access, "amend", request_id, _wish_arguments(wish))


@share.command("renew")
@click.argument("request_id")
@click.option("--to", "last_day", required=True, help="续至 YYYY-MM-DD / Last day of the renewal.")
@call_options
def renew(request_id: str, last_day: str, access: Access) -> None:
    """为授权 REQUEST_ID 申请续期 / Ask for the time after a grant; prints the new request's id."""
    run_call(access, "renew", request_id, {"to_ms": day_end("--to", last_day)})


@share.command("check")
@click.argument("request_id")
@click.option("--failed", is_flag=True, help="未通过，申请随即被拒绝 / Not passed: the request is refused.")
@click.option("--note", default="", help="说明；未通过时必填 / In words; required with --failed.")
@call_options
def check(request_id: str, failed: bool, note: str, access: Access) -> None:
    """登记合规性检查结果（治理或提供方） / Record the compliance check, as a governor or the provider's approver."""
    run_call(access, "check", request_id, {"passed": not failed, "note": note})


@share.command("return")
@click.argument("request_id")
@click.option("--reason", required=True, help="一次性告知须补正的全部内容 / All that the request lacks.")
@call_options
def return_request(request_id: str, reason: str, access: Access) -> None:
    """退回申请 REQUEST_ID 补正，只可一次 / Give a request back to be completed, which is done once."""
    run_call(access, "return_request", request_id, {"reason": reason})


@share.command("grant")
@click.argument("request_id")
@click.option("--to", "last_day", required=True, help="授权期止 YYYY-MM-DD / Last day of the grant.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    help="允许的数据项，可多次；不给为所申请的 / A column allowed; may be repeated.",
)
@click.option(
    "--mask",
    "masks",
    multiple=True,
    help="脱敏 数据项:mask|truncate:起始:长度，起始由 0 数起，可多次 / What is masked, ITEM:mask|truncate:START:LENGTH, counted from 0; "
    "may be repeated.",
)
@click.option("--reads-per-day", type=click.IntRange(0), help="每日次数上限，0 为不限 / Reads a day, 0: any.")
@click.option("--rows-per-day", type=click.IntRange(0), help="每日行数上限，0 为所申请的 / Rows a day, 0: as asked.")
@click.option("--rows-per-read", type=click.IntRange(0), help="每次行数上限，0 为不限 / Rows a read, 0: any.")
@click.option("--place", help="使用地点或系统 / Where it may be used.")
@click.option("--note", help="其他条件，至多 500 字 / Further conditions, up to 500 characters.")
@click.option(
    "--pass-on-to",
    "passing_on_to",
    multiple=True,
    help="同意转供的部门代码，可多次 / Code of a department it may be passed on to.",
)
@click.option(
    "--conditions-anew",
    is_flag=True,
    help="续期不沿用所续授权的条件，只用这里给出的 / For a renewal: only what is said here, nothing of the grant that it renews.",
)
@call_options
def grant(
    request_id: str,
    last_day: str,
    conditions_anew: bool,
    access: Access,
    **stated: Unpack[Stated],
) -> None:
    """同意申请 REQUEST_ID，可附条件；续期未另给的条件沿用所续授权的 / Grant a waiting request, under conditions.

    A renewal keeps those of the grant that it renews where the options say nothing else, and masks each item as where it was last
    granted; what it is given is printed.
    """
    decided = conditions_of(access, request_id, stated, are_anew=conditions_anew)
    for line in decided.words:
        say(line, err=True)
    run_call(access, "grant", request_id, {"conditions": decided.conditions, "to_ms": day_end("--to", last_day)})


@share.command("refuse")
@click.argument("request_id")
@click.option("--code", required=True, help="理由表中的代码，见 share reasons / Code of a reason, see share reasons.")
@click.option("--reason", default="", help="说明 / More words.")
@call_options
def refuse(request_id: str, code: str, reason: str, access: Access) -> None:
    """按理由表拒绝申请 REQUEST_ID / Refuse a waiting request for a reason of the table."""
    run_call(access, "refuse", request_id, {"reason_code": code, "reason": reason})


@share.command("reasons")
@url_option
@json_option
def reasons(url: str, as_json: bool) -> None:
    """列出拒绝理由表 / List the table of reasons for refusal."""
    with open_client(url) as client:
        found = client.view("sharing", "refusal_reasons")
    rows = [(one["code"], one["text"], one["english"]) for one in found["reasons"]]
    show(found, as_json, table(("代码 / code", "理由 / reason", "English"), rows))


@share.command("set-reasons")
@click.argument("file", type=FILE)
@call_options
def set_reasons(file: Path, access: Access) -> None:
    """以 CSV 文件替换拒绝理由表（治理） / Replace the table of reasons, as a governor.

    列 code、text、english、needs_text（是或否） / Columns code, text, english, needs_text (yes or no).
    """
    from contracts.data_sharing.refusal_reasons import RefusalReason
    from sdk.csv_table import read_csv

    reasons = []
    for row in read_csv(file, ("code", "text", "english", "needs_text"), ()):
        answer = _ANSWERS.get(row.text("needs_text"))
        if answer is None:
            raise row.fault("needs_text", "是或否", "yes or no")
        reasons.append(RefusalReason(row.text("code"), row.text("text"), row.text("english"), answer))
    with open_client(access.url, access.key, access.password_file) as client:
        receipt = client.call("sharing", "set_refusal_reasons", reasons=reasons)
    result = {"reasons": len(reasons), "height": receipt.height}
    show(result, access.as_json, fields([("理由 / reasons", len(reasons)), ("区块 / block", receipt.height)]))


@share.command("supply")
@click.argument("request_id")
@call_options
def supply(request_id: str, access: Access) -> None:
    """登记已开始按授权 REQUEST_ID 提供数据 / Record that supply under a grant has begun."""
    run_call(access, "start_supply", request_id, {})


@share.command("pass-on")
@click.argument("request_id")
@click.option(
    "--to",
    "departments",
    multiple=True,
    help="同意转供的部门代码，可多次；不给为不同意 / Code of a department; none: nobody.",
)
@call_options
def pass_on(request_id: str, departments: tuple[str, ...], access: Access) -> None:
    """重新设定授权 REQUEST_ID 可转供的部门 / Say anew to whom the data of a grant may be passed on."""
    arguments = {"departments": list(departments)}
    run_call(access, "set_passing_on", request_id, arguments)


@share.command("stop")
@click.argument("request_id")
@click.option("--reason", required=True, help="原因 / The reason.")
@call_options
def stop(request_id: str, reason: str, access: Access) -> None:
    """停止授权，或撤回待答复的申请 / Stop a grant, or take a waiting request back."""
    run_call(access, "stop", request_id, {"reason": reason})


@share.command("show")
@click.argument("request_id")
@url_option
@json_option
def show_one(request_id: str, url: str, as_json: bool) -> None:
    """显示一项申请的内容、经过与后续事项 / Show a request, what became of it, and its cases."""
    name = check_hex("REQUEST_ID", request_id, 32).hex()
    with open_client(url) as client:
        found = client.get(f"/requests/{name}")
        cases = client.get(f"/requests/{name}/cases")
        table_of_reasons = client.view("sharing", "refusal_reasons")["reasons"]
        is_renewal = any(bytes.fromhex(found["previous"].removeprefix("0x")))
        renewed = client.get(f"/requests/{found['previous']}") if is_renewal else None
    reasons = {one["code"]: f"{one['text']} / {one['english']}" for one in table_of_reasons}
    show(found | cases, as_json, request_text(found, cases, reasons, renewed))


@share.command("list")
@click.option("--resource", help="资源代码 / Code of a resource.")
@click.option("--department", help="提供方或使用方的代码 / Code of either party.")
@click.option("--state", type=click.Choice(_STATES), help="现状 / Its state.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="最多几项 / At most so many."
)
@url_option
@json_option
def list_requests(
    resource: str | None, department: str | None, state: str | None, limit: int, url: str, as_json: bool
) -> None:
    """列出申请与授权，新的在前 / List requests and grants, newest first."""
    with open_client(url) as client:
        requests = client.get_all("/requests", limit=limit, resource=resource, department=department, state=state)
    rows = [
        (
            r["id"].removeprefix("0x"),
            r["resource"],
            r["provider_name"],
            r["consumer_name"],
            f"{r['state_text']['zh']} / {r['state_text']['en']}",
        )
        for r in requests
    ]
    headings = ("申请 / request", "资源 / resource", "提供方 / provider", "使用方 / consumer", "状态 / state")
    show({"items": requests}, as_json, table(headings, rows))


def _wish_arguments(wish: _Wish) -> dict[str, Any]:
    return {
        "purpose": wish["purpose"],
        "legal_basis": wish["legal_basis"],
        "items": list(wish["items"]),
        "case_types": list(wish["case_types"]),
        "rows_per_day": wish["rows_per_day"],
        "from_ms": day_start("--from", wish["first_day"]),
        "to_ms": day_end("--to", wish["last_day"]),
    }


share.add_command(correction)
share.add_command(dispute)
share.add_command(recall)
