"""govnode cert type: the catalogue of certificate types, who may issue them, and their tables of codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.bilingual import Command, Group
from sdk.cli.options import FILE, key_options, open_client, url_option
from sdk.cli.outcomes import show_outcomes
from sdk.cli.output import fields, json_option, show, table

if TYPE_CHECKING:
    from contracts.code_tables import CodeTable

MAX_TABLE_FILE_BYTES: Final = 1 << 20
MAX_LISTED_TYPES: Final = 10_000
EFFECTS: Final = ("in-force", "held", "ended")
"""What a status means for force, in the words of a table's file: 1, 2 and 3 on the ledger."""
_EFFECT_NAMES: Final = ("有效", "暂时无效", "终止")


@click.command("register-type", cls=Command)
@click.option(
    "--csv", "csv_file", type=FILE, required=True, help="证照类型表 / CSV file of types: code, name, ..., issuers."
)
@url_option
@key_options
@json_option
def register_type(csv_file: Path, url: str, key: Path, password_file: Path | None, as_json: bool) -> int:
    """登记证照类型及其颁发部门（治理账户）/ Register types and who may issue them; for a governor's account."""
    from sdk.certificates import load_types, register_types

    types = load_types(csv_file)
    with open_client(url, key, password_file) as client:
        return show_outcomes(register_types(client, types), as_json)


@click.group("type", cls=Group)
def type_group() -> None:
    """证照类型目录与代码表 / Certificate types and their tables of codes."""


@type_group.command("show")
@click.argument("code")
@url_option
@json_option
def show_type(code: str, url: str, as_json: bool) -> None:
    """显示一个证照类型的目录项 / Show a type of certificate as the catalogue has it."""
    import msgspec

    from contracts.certificate_types import CLASSES, HOLDER_CATEGORIES
    from contracts.members import LEVELS
    from sdk.system_contracts.certificates import Certificates
    from verification.days import show_time

    with open_client(url) as client:
        found = Certificates(client).certificate_type(code)
    rows: list[tuple[str, object]] = [
        ("代码 / code", found.code),
        ("名称 / name", found.name),
        ("定义机构 / defining body", f"{found.defining_body} {code[:18]}"),
        ("定义机构级别 / its level", _named(LEVELS, found.defining_level)),
        ("持证者类别 / holders", _named(HOLDER_CATEGORIES, found.holder_category)),
        ("有效期限范围 / validity", found.validity_range or "-"),
        ("颁发机构级别 / issuing level", _named(LEVELS, found.issuing_level)),
        ("类别 / class", _named(CLASSES, found.certificate_class)),
        ("代码表 / code table", found.code_table),
        ("登记时间 / registered", show_time(found.registered_ms)),
    ]
    show(msgspec.structs.asdict(found), as_json, fields(rows))


@type_group.command("list")
@url_option
@json_option
def list_types(url: str, as_json: bool) -> None:
    """列出登记的证照类型 / List the registered types."""
    with open_client(url) as client:
        found = client.get_all("/certificate-types", limit=MAX_LISTED_TYPES)
    rows = [
        (
            one["code"],
            one["name"],
            one["certificate_class_text"]["zh"],
            one["holder_category_text"]["zh"],
            one["validity_range"] or "-",
            one["code_table"],
        )
        for one in found
    ]
    headings = ("代码 / code", "名称 / name", "类别 / class", "持证者 / holders", "有效期 / validity", "代码表 / codes")
    show({"items": found}, as_json, table(headings, rows))


@type_group.command("issuers")
@click.argument("code")
@url_option
@json_option
def list_issuers(code: str, url: str, as_json: bool) -> None:
    """列出可以颁发类型 CODE 的部门 / List the departments that may issue a type."""
    from verification.days import show_time

    with open_client(url) as client:
        found = client.get_all(f"/certificate-types/{code}/issuers", limit=MAX_LISTED_TYPES)
    rows = [(one["department"], one["department_name"], show_time(one["granted_ms"])) for one in found]
    show({"items": found}, as_json, table(("部门 / department", "名称 / name", "自 / since"), rows))


@type_group.command("allow")
@click.argument("code")
@click.argument("department")
@url_option
@key_options
@json_option
def allow(code: str, department: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """治理账户：准许部门 DEPARTMENT 颁发类型 CODE / A governor: let a department issue a type."""
    _change("allow_issuer", code, department, url, key, password_file, as_json)


@type_group.command("withdraw")
@click.argument("code")
@click.argument("department")
@url_option
@key_options
@json_option
def withdraw(code: str, department: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """治理账户：收回部门颁发类型 CODE 的权限，已颁发的仍由其管理 / A governor: take that right; what was issued stays."""
    _change("withdraw_issuer", code, department, url, key, password_file, as_json)


@type_group.command("codes")
@click.argument("name", default="default")
@url_option
@json_option
def show_codes(name: str, url: str, as_json: bool) -> None:
    """显示状态与操作代码表 NAME；--json 的输出可供 set-codes 使用 / Show a table of codes; set-codes takes its --json form."""
    from sdk.system_contracts.certificates import Certificates

    with open_client(url) as client:
        found = Certificates(client).code_table(name)
    statuses = table(
        ("状态 / status", "名称", "name", "效力 / force"),
        [
            (one.code, one.name, one.english, f"{_EFFECT_NAMES[one.effect - 1]} / {EFFECTS[one.effect - 1]}")
            for one in found.statuses
        ],
    )
    operations = table(
        ("操作 / operation", "名称", "name", "作用 / action", "从 / from", "到 / to", "前证 / predecessor"),
        [
            (
                one.code,
                one.name,
                one.english,
                one.action,
                ",".join(one.from_statuses) or "-",
                ",".join(one.to_statuses),
                one.predecessor_status or "-",
            )
            for one in found.operations
        ],
    )
    show(_written(found), as_json, f"{statuses}\n\n{operations}")


@type_group.command("set-codes")
@click.argument("name")
@click.argument("file", type=FILE)
@url_option
@key_options
@json_option
def set_codes(name: str, file: Path, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """治理账户：按 JSON 文件写入代码表 NAME；已有状态及其效力不可更改 / A governor: write a table of codes from a JSON file.

    先以 codes --json 取得一份作为底稿 / Take one printed by codes --json to start from.
    """
    statuses, operations = _load_codes(file)
    with open_client(url, key, password_file) as client:
        receipt = client.call("certificates", "set_code_table", name=name, statuses=statuses, operations=operations)
    result = {"name": name, "transaction": "0x" + receipt.transaction_id.hex(), "height": receipt.height}
    show(result, as_json, fields([("代码表 / code table", name), ("区块 / block", receipt.height)]))


def _change(
    method: str, code: str, department: str, url: str, key: Path, password_file: Path | None, as_json: bool
) -> None:
    with open_client(url, key, password_file) as client:
        receipt = client.call("certificates", method, type_code=code, department=department)
    result = {
        "code": code,
        "department": department,
        "transaction": "0x" + receipt.transaction_id.hex(),
        "height": receipt.height,
    }
    rows: list[tuple[str, object]] = [("类型 / type", code), ("部门 / department", department)]
    show(result, as_json, fields([*rows, ("区块 / block", receipt.height)]))


def _named(names: dict[str, tuple[str, str]], value: str) -> str:
    return " / ".join(names.get(value, (value, value)))


def _written(found: CodeTable) -> dict[str, Any]:
    """Return a table as its file has it: effects as words."""
    import msgspec

    written: dict[str, Any] = {
        "statuses": [{**msgspec.structs.asdict(one), "effect": EFFECTS[one.effect - 1]} for one in found.statuses],
        "operations": [msgspec.structs.asdict(one) for one in found.operations],
    }
    return written


def _load_codes(path: Path) -> tuple[list[Any], list[Any]]:
    """Return the statuses and operations in a table's file; raise InputError CODES_INVALID."""
    import msgspec

    from contracts.code_tables import OperationCode, StatusCode
    from sdk.documents import read_limited
    from verification.errors import InputError

    try:
        found = msgspec.json.decode(read_limited(path, MAX_TABLE_FILE_BYTES))
        if not isinstance(found, dict) or set(found) != {"statuses", "operations"}:
            raise ValueError("statuses, operations")
        statuses = [
            StatusCode(one["code"], one["name"], one["english"], EFFECTS.index(one["effect"]) + 1)
            for one in found["statuses"]
        ]
        names = [field.name for field in msgspec.structs.fields(OperationCode)]
        rows = [[one[name] for name in names] for one in found["operations"]]
        return statuses, msgspec.convert(rows, list[OperationCode])
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError, RecursionError) as error:
        from verification.reasons import decoding_reason

        raise InputError(
            "CODES_INVALID",
            f"{path} 不是代码表（{decoding_reason(error)[0]}）；可用 govnode cert type codes --json 取得底稿",
            f"{path} is no table of codes ({decoding_reason(error)[1]}); print one with govnode cert type codes --json to start from",
        ) from None
