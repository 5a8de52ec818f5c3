"""govnode department: bring a department in after the network was founded, suspend and resume one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, FOLDER, key_options, open_client, url_option
from sdk.cli.output import fields, json_option, show

if TYPE_CHECKING:
    from sdk.joining import DepartmentRequest

_folder_option = click.option(
    "--network", "folder", type=FOLDER, required=True, help="网络文件夹，含 genesis.json / Folder with genesis.json."
)


@click.group(cls=Group)
def department() -> None:
    """部门 / Departments."""


@department.command("request")
@click.argument("request_file", type=FILE)
@_folder_option
@click.option("--code", required=True, help="统一社会信用代码 / Unified social credit code.")
@click.option("--name", required=True, help="名称 / Name.")
@click.option("--region", required=True, help="行政区划代码，6、9 或 12 位 / Region code, 6, 9 or 12 digits.")
@click.option("--level", required=True, help="层级 / Level: national, province, city, county, township, other.")
@click.option("--parent", default="", help="上级部门代码，没有则不给 / Code of its superior, if any.")
@json_option
def request(
    request_file: Path, folder: Path, code: str, name: str, region: str, level: str, parent: str, as_json: bool
) -> None:
    """新部门：生成证书机构密钥与申请 REQUEST_FILE / The new department: make its authority's key, and a request.

    密钥留在本机的网络文件夹；申请不含秘密 / The key stays in the folder on this machine; the request holds nothing secret.
    """
    from sdk.authority import request_authority
    from sdk.joining import save_request

    made = request_authority(folder, code, name, region, level, parent)
    save_request(request_file, made)
    _show(made, as_json, [("申请文件 / request", str(request_file))])


@department.command("certify")
@click.argument("request_file", type=FILE)
@click.argument("certificate_file", type=FILE)
@_folder_option
@json_option
def certify(request_file: Path, certificate_file: Path, folder: Path, as_json: bool) -> None:
    """根密钥保管方：为申请签发证书，写入 CERTIFICATE_FILE / The keeper of the root: issue the certificate asked for.

    先与申请方核对指纹 / Compare the fingerprint with the department first.
    """
    from sdk.authority import certify_authority
    from sdk.joining import DepartmentRequest, load_request
    from verification.errors import InputError

    found = load_request(request_file, DepartmentRequest)
    certificate = certify_authority(folder, found, time.time_ns() // 1_000_000)
    try:
        with certificate_file.open("x", encoding="ascii") as file:
            file.write(certificate.pem)
    except FileExistsError:
        raise InputError(
            "FILE_EXISTS",
            f"{certificate_file} 已存在，请另选文件名",
            f"{certificate_file} exists already; choose another name",
        ) from None
    _show(found, as_json, [("证书 / certificate", str(certificate_file))])


@department.command("accept")
@click.argument("certificate_file", type=FILE)
@_folder_option
@json_option
def accept(certificate_file: Path, folder: Path, as_json: bool) -> None:
    """新部门：核对并保存签发的证书，之后可 network add-node / The new department: check and keep its certificate."""
    from sdk.authority import accept_certificate

    found = accept_certificate(folder, certificate_file, time.time_ns() // 1_000_000)
    result = {"code": found.organization_identifier, "name": found.common_name, "not_after_ms": found.not_after_ms}
    lines: list[tuple[str, object]] = [("部门 / department", f"{found.common_name} {found.organization_identifier}")]
    show(result, as_json, fields([*lines, ("下一步 / next", "govnode network add-node")]))


@department.command("person")
@click.argument("key_file", type=FILE)
@click.argument("chain_file", type=FILE)
@_folder_option
@click.option("--department", "code", required=True, help="统一社会信用代码 / Unified social credit code.")
@click.option(
    "--name", required=True, help="签名人姓名或岗位，出现在证照的签名中 / Who signs; it shows in what is signed."
)
@json_option
def person(key_file: Path, chain_file: Path, folder: Path, code: str, name: str, as_json: bool) -> None:
    """为本部门签名人的密钥 KEY_FILE 签发证书，写入 CHAIN_FILE / Certify the key of a person who signs for the department.

    CHAIN_FILE 含签名人与部门的证书，供颁证命令的 --chain 使用；不需要密钥的口令 / CHAIN_FILE holds the person's and the department's
    certificates, for --chain of the commands that sign. The key's password is not needed.
    """
    from sdk.authority import certify_person
    from verification.days import show_time
    from verification.errors import InputError

    chain = certify_person(folder, code, name, key_file, time.time_ns() // 1_000_000)
    try:
        with chain_file.open("x", encoding="ascii") as file:
            file.write("".join(one.pem for one in chain))
    except FileExistsError:
        raise InputError(
            "FILE_EXISTS", f"{chain_file} 已存在，请另选文件名", f"{chain_file} exists already; choose another name"
        ) from None
    made = chain[0]
    result = {
        "name": made.common_name,
        "department": code,
        "chain": str(chain_file),
        "public_key": made.public_key.hex(),
        "not_after_ms": made.not_after_ms,
    }
    text = fields(
        [
            ("签名人 / signs", made.common_name),
            ("部门 / department", f"{chain[1].common_name} {code}"),
            ("有效至 / valid until", show_time(made.not_after_ms)),
            ("证书链 / chain", chain_file),
        ]
    )
    show(result, as_json, text)


@department.command("add")
@click.argument("request_file", type=FILE)
@url_option
@key_options
@json_option
def add(request_file: Path, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """治理账户：按申请把部门登记到账本 / A governor: enter the department on the ledger as it asked."""
    from sdk.joining import DepartmentRequest, load_request, register_department

    found = load_request(request_file, DepartmentRequest)
    with open_client(url, key, password_file) as client:
        receipt = register_department(client, found)
    _show(found, as_json, [("区块 / block", receipt.height)], "0x" + receipt.transaction_id.hex())


@department.command("show")
@click.argument("code")
@url_option
@json_option
def show_department(code: str, url: str, as_json: bool) -> None:
    """显示部门 CODE 的登记 / Show what the ledger says of a department."""
    with open_client(url) as client:
        found = client.view("members", "department", code=code)
    text = fields(
        [
            ("代码 / code", found["code"]),
            ("名称 / name", found["name"]),
            ("区划 / region", found["region"]),
            ("层级 / level", found["level"]),
            ("上级 / superior", found["parent"] or "-"),
            ("状态 / state", "已暂停 / suspended" if int(found["suspended_ms"]) else "有效 / active"),
        ]
    )
    show(found, as_json, text)


@department.command("suspend")
@click.argument("code")
@click.option("--reason", required=True, help="原因，记入账本 / Why; it goes on the ledger.")
@url_option
@key_options
@json_option
def suspend(code: str, reason: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """治理账户：暂停部门 CODE，其账户与观察节点随即停用 / A governor: suspend a department, its accounts and observers."""
    _change("suspend_department", code, reason, url, key, password_file, as_json)


@department.command("resume")
@click.argument("code")
@click.option("--reason", required=True, help="原因，记入账本 / Why; it goes on the ledger.")
@url_option
@key_options
@json_option
def resume(code: str, reason: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """治理账户：恢复部门 CODE / A governor: end a department's suspension."""
    _change("resume_department", code, reason, url, key, password_file, as_json)


def _change(
    method: str, code: str, reason: str, url: str, key: Path, password_file: Path | None, as_json: bool
) -> None:
    with open_client(url, key, password_file) as client:
        receipt = client.call("members", method, code=code, reason=reason)
    result = {"code": code, "transaction": "0x" + receipt.transaction_id.hex(), "height": receipt.height}
    show(result, as_json, fields([("部门 / department", code), ("区块 / block", receipt.height)]))


def _show(found: DepartmentRequest, as_json: bool, more: list[tuple[str, object]], transaction: str = "") -> None:
    result = {
        "code": found.code,
        "name": found.name,
        "region": found.region,
        "level": found.level,
        "parent": found.parent,
        "fingerprint": found.fingerprint,
        **{title.rpartition(" ")[2]: value for title, value in more},
    }
    if transaction:
        result["transaction"] = transaction
    lines: list[tuple[str, object]] = [
        ("部门 / department", f"{found.name} {found.code}"),
        ("区划、层级、上级 / region, level, superior", f"{found.region} {found.level} {found.parent or '-'}"),
        ("公钥指纹 / fingerprint", found.fingerprint),
    ]
    show(result, as_json, fields(lines + more))
