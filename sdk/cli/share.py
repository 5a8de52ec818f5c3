"""govnode share: ask for data, grant or refuse, stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import check_hex, day_end, day_start, key_options, open_client, url_option
from sdk.cli.output import fields, json_option, show, table

MAX_LISTED = 10_000


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
        "from_ms": day_start("--from", first_day),
        "to_ms": day_end("--to", last_day),
    }
    _run(url, key, password_file, as_json, "request", None, arguments)


@share.command("grant")
@click.argument("request_id")
@click.option("--to", "last_day", required=True, help="授权期止 YYYY-MM-DD / Last day of the grant.")
@click.option("--conditions", default="", help="条件 / Conditions.")
@url_option
@key_options
@json_option
def grant(
    request_id: str, last_day: str, conditions: str, url: str, key: Path, password_file: Path | None, as_json: bool
) -> None:
    """同意申请 REQUEST_ID / Grant a waiting request."""
    arguments = {"conditions": conditions, "to_ms": day_end("--to", last_day)}
    _run(url, key, password_file, as_json, "grant", request_id, arguments)


@share.command("refuse")
@click.argument("request_id")
@click.option("--reason", required=True, help="原因 / The reason.")
@url_option
@key_options
@json_option
def refuse(request_id: str, reason: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """拒绝申请 REQUEST_ID / Refuse a waiting request."""
    _run(url, key, password_file, as_json, "refuse", request_id, {"reason": reason})


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
