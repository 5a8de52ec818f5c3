"""govnode account: a new account in two steps, its holder's request and an administrator's word; and its removal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, check_hex, key_options, open_client, open_signer, url_option
from sdk.cli.output import fields, json_option, show

if TYPE_CHECKING:
    from sdk.joining import AccountRequest

_ADDRESS_BYTES: Final = 20


@click.group(cls=Group)
def account() -> None:
    """账户 / Accounts."""


@account.command("request")
@click.argument("request_file", type=FILE)
@click.option("--department", required=True, help="所属部门的统一社会信用代码 / Code of the department it acts for.")
@click.option("--name", required=True, help="账户名称 / What the account is called.")
@click.option("--role", "roles", multiple=True, required=True, help="角色，可多次给出 / A role; may be given again.")
@click.option(
    "--trust",
    type=FILE,
    required=True,
    help="本网络的 trust.json：签名只对此网络有效 / The network's trust.json: the signature counts there only.",
)
@key_options
@json_option
def request(
    request_file: Path,
    department: str,
    name: str,
    roles: tuple[str, ...],
    trust: Path,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """持有人：以新密钥签名申请登记，写入 REQUEST_FILE / The holder: sign a request for a new key.

    文件不含私钥，交给本部门管理账户或治理账户 / The file holds no private key; hand it to an administrator or a governor.
    """
    from contracts.accounts import ROLES
    from sdk.joining import make_account_request, save_request
    from sdk.trust import load_trust

    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise click.BadParameter(
            f"没有角色 / there is no role {unknown[0][:40]!r}; {', '.join(ROLES)}", param_hint="--role"
        )
    genesis_hash = bytes.fromhex(load_trust(trust).genesis_hash)
    made = make_account_request(open_signer(key, password_file), genesis_hash, department, name, roles)
    save_request(request_file, made)
    _show_request(made, as_json, [("申请文件 / request", request_file)])


@account.command("add")
@click.argument("request_file", type=FILE)
@url_option
@key_options
@json_option
def add(request_file: Path, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """管理或治理账户：核对并登记 REQUEST_FILE 所申请的账户 / An administrator or governor: register what was requested."""
    from sdk.joining import AccountRequest, load_request, register_account

    found = load_request(request_file, AccountRequest)
    with open_client(url, key, password_file) as client:
        receipt = register_account(client, found)
    extra = {"transaction": "0x" + receipt.transaction_id.hex(), "height": receipt.height}
    _show_request(found, as_json, [("区块 / block", receipt.height)], **extra)


@account.command("remove")
@click.argument("address")
@click.option("--reason", required=True, help="原因，记入账本 / Why; it goes on the ledger.")
@url_option
@key_options
@json_option
def remove(address: str, reason: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """注销账户 ADDRESS，其签名不再有效 / Remove an account: its signature counts no longer."""
    raw = check_hex("ADDRESS", address, _ADDRESS_BYTES)
    with open_client(url, key, password_file) as client:
        receipt = client.call("members", "remove_account", account=raw, reason=reason)
    shown = "0x" + raw.hex()
    result = {"address": shown, "transaction": "0x" + receipt.transaction_id.hex(), "height": receipt.height}
    show(result, as_json, fields([("已注销 / removed", shown), ("区块 / block", receipt.height)]))


@account.command("show")
@click.argument("address")
@url_option
@json_option
def show_account(address: str, url: str, as_json: bool) -> None:
    """显示账户 ADDRESS 的登记 / Show what the ledger says of an account."""
    raw = check_hex("ADDRESS", address, _ADDRESS_BYTES)
    with open_client(url) as client:
        found = client.view("members", "account", account=raw)
    text = fields(
        [
            ("地址 / address", found["address"]),
            ("部门 / department", found["department"]),
            ("名称 / name", found["name"]),
            ("角色 / roles", ", ".join(found["roles"])),
            ("状态 / state", "已注销 / removed" if int(found["removed_ms"]) else "有效 / active"),
        ]
    )
    show(found, as_json, text)


def _show_request(found: AccountRequest, as_json: bool, more: list[tuple[str, object]], **extra: object) -> None:
    address = "0x" + found.address.hex()
    result = {
        "address": address,
        "department": found.department,
        "name": found.name,
        "roles": found.roles,
        "public_key": found.public_key,
        **extra,
    }
    lines: list[tuple[str, object]] = [
        ("地址 / address", address),
        ("部门 / department", found.department),
        ("名称 / name", found.name),
        ("角色 / roles", ", ".join(found.roles)),
    ]
    show(result, as_json, fields(lines + more))
