"""govnode share: ask for data, grant or refuse, stop."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import check_hex, day_end, day_start, key_options, open_client, url_option
from sdk.cli.output import fields, json_option, show, table

if TYPE_CHECKING:
    from contracts.data_sharing.conditions import Mask

MAX_LISTED = 10_000
_COUNT = re.compile(r"[0-9]{1,9}")


@click.group(cls=Group)
def share() -> None:
    """数据共享申请与授权 / Requests and grants for data."""


@share.command("request")
@click.argument("resource")
@click.option("--purpose", required=True, help="用途，至多 200 字 / What it is for, up to 200 characters.")
@click.option("--legal-basis", required=True, help="依据 / The legal basis.")
@click.option(
    "--item",
    "items",
    multiple=True,
    help="所需数据项，可多次；不给为全部 / An item asked for; may be repeated; all when absent.",
)
@click.option(
    "--case-type",
    "case_types",
    multiple=True,
    help="办件类型，可多次；不给为不限 / A kind of case; may be repeated; any when absent.",
)
@click.option(
    "--rows-per-day",
    type=click.IntRange(0),
    default=0,
    help="每日数据量（行），0 为不说明 / Volume in rows a day, 0: not said.",
)
@click.option("--from", "first_day", required=True, help="使用期起 YYYY-MM-DD / First day of use.")
@click.option("--to", "last_day", required=True, help="使用期止 YYYY-MM-DD / Last day of use.")
@url_option
@key_options
@json_option
def request(
    resource: str,
    purpose: str,
    legal_basis: str,
    items: tuple[str, ...],
    case_types: tuple[str, ...],
    rows_per_day: int,
    first_day: str,
    last_day: str,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """申请使用另一部门的资源 RESOURCE / Ask for another department's resource; prints the request's id."""
    arguments = {
        "resource": resource,
        "purpose": purpose,
        "legal_basis": legal_basis,
        "items": list(items),
        "case_types": list(case_types),
        "rows_per_day": rows_per_day,
        "from_ms": day_start("--from", first_day),
        "to_ms": day_end("--to", last_day),
    }
    _run(url, key, password_file, as_json, "request", None, arguments)


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
    help="脱敏 数据项:mask|truncate:起始:长度，可多次 / What is masked, ITEM:mask|truncate:START:LENGTH; may be repeated.",
)
@click.option(
    "--reads-per-day", type=click.IntRange(0), default=0, help="每日次数上限，0 为不限 / Reads a day, 0: any."
)
@click.option(
    "--rows-per-day", type=click.IntRange(0), default=0, help="每日行数上限，0 为所申请的 / Rows a day, 0: as asked."
)
@click.option(
    "--rows-per-read", type=click.IntRange(0), default=0, help="每次行数上限，0 为不限 / Rows a read, 0: any."
)
@click.option("--place", default="", help="使用地点或系统 / Where it may be used.")
@click.option("--note", default="", help="其他条件，至多 500 字 / Further conditions, up to 500 characters.")
@click.option(
    "--pass-on-to",
    "passing_on_to",
    multiple=True,
    help="同意转供的部门代码，可多次 / Code of a department it may be passed on to.",
)
@url_option
@key_options
@json_option
def grant(
    request_id: str,
    last_day: str,
    columns: tuple[str, ...],
    masks: tuple[str, ...],
    reads_per_day: int,
    rows_per_day: int,
    rows_per_read: int,
    place: str,
    note: str,
    passing_on_to: tuple[str, ...],
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """同意申请 REQUEST_ID，可附条件 / Grant a waiting request, under conditions."""
    from contracts.data_sharing.conditions import Conditions

    conditions = Conditions(
        columns,
        tuple(_parse_mask(mask) for mask in masks),
        reads_per_day,
        rows_per_day,
        rows_per_read,
        place,
        note,
        passing_on_to,
    )
    arguments = {"conditions": conditions, "to_ms": day_end("--to", last_day)}
    _run(url, key, password_file, as_json, "grant", request_id, arguments)


@share.command("refuse")
@click.argument("request_id")
@click.option("--code", required=True, help="理由表中的代码，见 share reasons / Code of a reason, see share reasons.")
@click.option("--reason", default="", help="说明 / More words.")
@url_option
@key_options
@json_option
def refuse(
    request_id: str, code: str, reason: str, url: str, key: Path, password_file: Path | None, as_json: bool
) -> None:
    """按理由表拒绝申请 REQUEST_ID / Refuse a waiting request for a reason of the table."""
    _run(url, key, password_file, as_json, "refuse", request_id, {"reason_code": code, "reason": reason})


@share.command("reasons")
@url_option
@json_option
def reasons(url: str, as_json: bool) -> None:
    """列出拒绝理由表 / List the table of reasons for refusal."""
    with open_client(url) as client:
        found = client.view("sharing", "refusal_reasons")
    rows = [(one["code"], one["text"], one["english"]) for one in found["reasons"]]
    show(found, as_json, table(("代码 / code", "理由 / reason", "English"), rows))


@share.command("stop")
@click.argument("request_id")
@click.option("--reason", required=True, help="原因 / The reason.")
@url_option
@key_options
@json_option
def stop(request_id: str, reason: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """停止授权，或撤回待答复的申请 / Stop a grant, or take a waiting request back."""
    _run(url, key, password_file, as_json, "stop", request_id, {"reason": reason})


@share.command("list")
@click.option("--resource", help="资源代码 / Code of a resource.")
@click.option("--department", help="提供方或使用方的代码 / Code of either party.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="最多几项 / At most so many."
)
@url_option
@json_option
def list_requests(resource: str | None, department: str | None, limit: int, url: str, as_json: bool) -> None:
    """列出申请与授权，新的在前 / List requests and grants, newest first."""
    with open_client(url) as client:
        requests = client.get_all("/requests", limit=limit, resource=resource, department=department)
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


def _parse_mask(text: str) -> Mask:
    from contracts.data_sharing.conditions import MASK_KINDS, Mask

    item, *parts = text.rsplit(":", 3)
    if len(parts) != 3 or not item or parts[0] not in MASK_KINDS or not all(map(_COUNT.fullmatch, parts[1:])):
        raise click.BadParameter(
            f"应为 数据项:mask|truncate:起始:长度 / expected ITEM:mask|truncate:START:LENGTH, found {text[:60]!r}",
            param_hint="--mask",
        )
    return Mask(item, parts[0], int(parts[1]), int(parts[2]))


def _run(
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
    method: str,
    request_id: str | None,
    arguments: dict[str, Any],
) -> None:
    """Submit a call of the sharing contract and print the request that it is about."""
    if request_id is not None:
        arguments = {"request": check_hex("REQUEST_ID", request_id, 32)} | arguments
    with open_client(url, key, password_file) as client:
        receipt = client.call("sharing", method, **arguments)
        # A request is named by the transaction that made it.
        named = receipt.transaction_id if request_id is None else arguments["request"]
        state = client.view("sharing", "data_request", request=named)["history"][-1]["state"]
    result = {"request": "0x" + named.hex(), "state": state, "height": receipt.height}
    show(
        result,
        as_json,
        fields([("申请 / request", named.hex()), ("状态 / state", state), ("区块 / block", receipt.height)]),
    )
