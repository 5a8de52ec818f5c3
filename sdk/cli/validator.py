"""govnode validator: who votes, who is to vote, and who votes no longer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import check_hex, key_options, open_client, url_option
from sdk.cli.output import fields, json_option, show, table

if TYPE_CHECKING:
    from sdk.client import Client

_PUBLIC_KEY_BYTES: Final = 64


@click.group(cls=Group)
def validator() -> None:
    """共识节点 / The validators."""


@validator.command("list")
@url_option
@json_option
def list_validators(url: str, as_json: bool) -> None:
    """列出共识节点与候选节点 / List the validators of the next height, and the candidates."""
    with open_client(url) as client:
        validators, candidates = client.view("members", "validators"), client.view("members", "candidates")
    rows = [
        (member["name"], member["department"], member["address"], text)
        for members, text in ((validators, "共识 / validator"), (candidates, "候选 / candidate"))
        for member in members
    ]
    headings = ("节点 / node", "部门 / department", "地址 / address", "状态 / state")
    show({"validators": validators, "candidates": candidates}, as_json, table(headings, rows))


@validator.command("add")
@click.argument("name")
@click.option("--department", required=True, help="所属部门的统一社会信用代码 / Code of the department that runs it.")
@click.option(
    "--public-key",
    required=True,
    help="共识公钥，128 位十六进制，network add-node 已显示 / Its validator key in hex, as network add-node printed it.",
)
@url_option
@key_options
@json_option
def add(
    name: str, department: str, public_key: str, url: str, key: Path, password_file: Path | None, as_json: bool
) -> None:
    """把节点 NAME 列为候选（治理角色）/ Make a node a candidate; for a governor.

    以其共识密钥签名的确认上链后，自下一高度起投票 / It votes from the height after its confirmation, signed with its validator key.
    """
    raw = check_hex("--public-key", public_key, _PUBLIC_KEY_BYTES)
    with open_client(url, key, password_file) as client:
        receipt = client.call("members", "add_validator", department=department, name=name, public_key=raw)
    result = {"name": name, "transaction": "0x" + receipt.transaction_id.hex(), "height": receipt.height}
    show(result, as_json, fields([("候选 / candidate", name), ("区块 / block", receipt.height)]))


@validator.command("remove")
@click.argument("name")
@click.option("--reason", required=True, help="原因，记入账本 / Why; it goes on the ledger.")
@url_option
@key_options
@json_option
def remove(name: str, reason: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """移除共识节点，NAME 为名称或地址（治理角色）/ Remove a validator by name or address; for a governor."""
    with open_client(url, key, password_file) as client:
        member = _find(client, "validators", name)
        address = check_hex("NAME", member["address"], 20)
        receipt = client.call("members", "remove_validator", address=address, reason=reason)
    result = {
        "name": member["name"],
        "address": member["address"],
        "transaction": "0x" + receipt.transaction_id.hex(),
        "height": receipt.height,
        "first_height": receipt.height + 1,
    }
    lines: list[tuple[str, object]] = [("已移除 / removed", member["name"])]
    show(result, as_json, fields([*lines, ("自高度起不再投票 / votes no longer from height", receipt.height + 1)]))


@validator.command("withdraw")
@click.argument("name")
@click.option("--reason", required=True, help="原因，记入账本 / Why; it goes on the ledger.")
@url_option
@key_options
@json_option
def withdraw(name: str, reason: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """撤回尚未加入的候选，NAME 为名称或地址（治理角色）/ Take back a candidate that has not joined; for a governor."""
    with open_client(url, key, password_file) as client:
        member = _find(client, "candidates", name)
        address = check_hex("NAME", member["address"], 20)
        receipt = client.call("members", "withdraw_candidate", address=address, reason=reason)
    result = {
        "name": member["name"],
        "address": member["address"],
        "transaction": "0x" + receipt.transaction_id.hex(),
        "height": receipt.height,
    }
    show(result, as_json, fields([("已撤回 / withdrawn", member["name"]), ("区块 / block", receipt.height)]))


def _find(client: Client, view: str, name: str) -> dict[str, Any]:
    """Return the member of a view that has this name or address; raise InputError that lists who there is."""
    from verification.errors import InputError

    members: list[dict[str, Any]] = client.view("members", view)
    for member in members:
        if name == member["name"] or name.lower().removeprefix("0x") == member["address"].removeprefix("0x"):
            return member
    known = ", ".join(member["name"] for member in members) or "-"
    what = {"validators": ("共识节点", "validator"), "candidates": ("候选节点", "candidate")}[view]
    raise InputError(
        "VALIDATOR_UNKNOWN",
        f"没有{what[0]} {name[:80]!r}，现有：{known}",
        f"there is no {what[1]} {name[:80]!r}; there are: {known}",
    )
