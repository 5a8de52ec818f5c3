"""govnode contract: deploy EVM contracts, call any contract by its ABI, and follow its events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, check_hex, key_options, open_client, open_signer, url_option
from sdk.cli.output import fields, json_option, say, show, show_json, table
from verification.shown_text import shown_line

if TYPE_CHECKING:
    from sdk.client import FinalReceipt
    from sdk.contract_abi import ContractAbi
    from sdk.contract_calls import ShownEvent
    from sdk.event_stream import EventBatch

_ADDRESS_BYTES: Final = 20
_LEAST_GAS: Final = 21_000
MAX_HEIGHT: Final = 2**53 - 1
DEFAULT_EVENTS: Final = 1_000
MAX_EVENTS: Final = 100_000
MAX_LISTED: Final = 10_000

F = TypeVar("F", bound=Any)


@click.group(cls=Group)
def contract() -> None:
    """EVM 合约 / EVM contracts."""


def _abi_options(command: F) -> F:
    """Add --abi and --contract: the ABI that arguments and answers are read by."""
    command = click.option(
        "--contract",
        "contract_name",
        metavar="NAME",
        help="文件中有多个合约时的名称 / Which one, where the file holds several contracts.",
    )(command)
    option: F = click.option(
        "--abi",
        type=FILE,
        help="ABI 或编译产物的 JSON 文件；系统合约不需要 / JSON with the ABI; not needed for system contracts.",
    )(command)
    return option


def _gas_option(command: F) -> F:
    option: F = click.option(
        "--gas",
        type=click.IntRange(_LEAST_GAS, 2**50),
        help="燃料上限；不给则由节点估算 / Gas limit; the node estimates it when absent.",
    )(command)
    return option


@contract.command("deploy")
@click.argument("artefact_file", metavar="ARTEFACT", type=FILE)
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1)
@click.option(
    "--contract",
    "contract_name",
    metavar="NAME",
    help="文件中有多个合约时的名称 / Which one, where the file holds several contracts.",
)
@_gas_option
@url_option
@key_options
@json_option
def deploy(
    artefact_file: Path,
    arguments: tuple[str, ...],
    contract_name: str | None,
    gas: int | None,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """部署 ARTEFACT 中的合约，ARGUMENT 为构造参数（部署角色）/ Deploy a compiled contract; for an account with the role deployer.

    ARTEFACT 为 solc、vyper、Foundry 或 Hardhat 的 JSON / ARTEFACT is JSON of solc, vyper (-f combined_json), Foundry or Hardhat.
    列表与结构写作 JSON / Lists and structs are JSON: '[1,2]'.
    以 - 开头的参数写在 -- 之后 / An argument that begins with - stands behind --.
    """
    from sdk.contract_artefact import load_artefact
    from sdk.contract_calls import deploy as submit

    artefact = load_artefact(artefact_file, contract_name)
    with open_client(url, key, password_file) as client:
        made = submit(client, artefact, arguments, gas)
    address = "0x" + made.address.hex()
    result = {
        "address": address,
        "contract": artefact.name,
        "artefact": str(artefact_file),
        **_receipt(made.receipt),
    }
    lines: list[tuple[str, object]] = [("地址 / address", address), ("合约 / contract", artefact.name)]
    show(result, as_json, fields(lines + _receipt_lines(made.receipt)))


@contract.command("call")
@click.argument("address")
@click.argument("method")
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1)
@_abi_options
@click.option(
    "--block",
    "height",
    type=click.IntRange(0, MAX_HEIGHT),
    help="以此高度的状态与时间作答；不给则为最新状态与当前时间 / On state and time of this height; else on the latest state, now.",
)
@click.option("--from", "sender", metavar="ADDRESS", help="以此账户的名义 / In the name of this account.")
@url_option
@json_option
def call(
    address: str,
    method: str,
    arguments: tuple[str, ...],
    abi: Path | None,
    contract_name: str | None,
    height: int | None,
    sender: str | None,
    url: str,
    as_json: bool,
) -> None:
    """查询合约 ADDRESS 的 METHOD，不发交易 / Ask a method of a contract; nothing is sent.

    ADDRESS 为地址或系统合约名 / ADDRESS is an address, or a system contract's name such as certificates.
    """
    from sdk.contract_calls import call as ask

    raw, found = _open(address, abi, contract_name)
    asker = None if sender is None else check_hex("--from", sender, _ADDRESS_BYTES)
    with open_client(url) as client:
        entry, values = ask(client, raw, found, method, arguments, sender=asker, height=height)
    names = [each.name or str(index) for index, each in enumerate(entry.outputs)]
    result = {
        "method": entry.signature,
        "outputs": [{"name": n, "value": v} for n, v in zip(names, values, strict=True)],
    }
    text = _text(values[0]) if len(values) == 1 else fields([(n, _text(v)) for n, v in zip(names, values, strict=True)])
    show(result, as_json, text or "无返回值 / no value")


@contract.command("send")
@click.argument("address")
@click.argument("method")
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1)
@_abi_options
@_gas_option
@url_option
@key_options
@json_option
def send(
    address: str,
    method: str,
    arguments: tuple[str, ...],
    abi: Path | None,
    contract_name: str | None,
    gas: int | None,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """以交易调用合约 ADDRESS 的 METHOD，显示结果与事件 / Call a method in a transaction; shows receipt and events.

    以 - 开头的参数写在 -- 之后 / An argument that begins with - stands behind --.
    """
    from sdk.contract_calls import send as submit

    raw, found = _open(address, abi, contract_name)
    with open_client(url, key, password_file) as client:
        receipt, events = submit(client, raw, found, method, arguments, gas)
    result = {"address": "0x" + raw.hex(), **_receipt(receipt), "events": [_event(each) for each in events]}
    lines = [("事件 / event", _event_text(each)) for each in events]
    show(result, as_json, fields([*_receipt_lines(receipt), *lines]))


@contract.command("sign")
@click.argument("address")
@click.argument("method")
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1)
@_abi_options
@click.option("--chain-id", type=click.IntRange(0, 2**63 - 1), required=True, help="链号 / The network's chain id.")
@click.option("--gas", type=click.IntRange(_LEAST_GAS, 2**50), required=True, help="燃料上限 / Gas limit.")
@click.option(
    "--validity-ms",
    type=click.IntRange(1_000, 3_600_000),
    default=120_000,
    show_default=True,
    help="自现在起的有效时间 / How long from now it is good.",
)
@key_options
@json_option
def sign(
    address: str,
    method: str,
    arguments: tuple[str, ...],
    abi: Path | None,
    contract_name: str | None,
    chain_id: int,
    gas: int,
    validity_ms: int,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """不连节点，签署对 METHOD 的调用 / Sign a call without any node.

    所得 raw 可用 eth_sendRawTransaction 由任何工具发送，仅一次有效 / Any tool sends raw as eth_sendRawTransaction; good once.
    """
    import time

    from sdk.evm_account import Sm2Account

    raw, found = _open(address, abi, contract_name)
    data = found.function(method, len(arguments)).encode_call(arguments)
    signed = Sm2Account(open_signer(key, password_file)).sign_transaction(
        {"to": raw, "data": data, "gas": gas, "chainId": chain_id},
        valid_until_ms=time.time_ns() // 1_000_000 + validity_ms,
    )
    result = {
        "raw": signed.raw_transaction.to_0x_hex(),
        "hash": signed.hash.to_0x_hex(),
        "valid_until_ms": signed.valid_until_ms,
    }
    show(result, as_json, fields(list(result.items())))


@contract.command("events")
@click.argument("address")
@_abi_options
@click.option("--event", "event_name", metavar="NAME", help="只要此事件 / Only this event.")
@click.option(
    "--after",
    type=click.IntRange(0, MAX_HEIGHT),
    default=0,
    show_default=True,
    metavar="HEIGHT",
    help="从此高度之后开始，用于继续 / Begin behind this height; resumes an earlier reading.",
)
@click.option(
    "--until", type=click.IntRange(0, MAX_HEIGHT), metavar="HEIGHT", help="到此高度为止 / End with this height."
)
@click.option("--follow", is_flag=True, help="持续等待新事件，直到 Ctrl-C / Go on with new events until Ctrl-C.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_EVENTS),
    default=DEFAULT_EVENTS,
    show_default=True,
    help="到此数目所在的区块为止 / End with the blocks in which so many are reached.",
)
@url_option
@json_option
def events(
    address: str,
    abi: Path | None,
    contract_name: str | None,
    event_name: str | None,
    after: int,
    until: int | None,
    follow: bool,
    limit: int,
    url: str,
    as_json: bool,
) -> None:
    """列出合约 ADDRESS 的事件；继续时以 --after 给出上次的高度 / List a contract's events; --after goes on where a reading ended.

    --follow 与 --json 同用时每批一行 / With --follow and --json each batch is one line.
    """
    from sdk.event_stream import follow_logs, height_ahead

    raw, found = _open(address, abi, contract_name)
    wanted: dict[str, Any] = {"address": "0x" + raw.hex()}
    if event_name is not None:
        wanted["topics"] = ["0x" + found.event(event_name).hex()]
    with open_client(url) as client:
        if not follow:
            head = int(client.status()["height"])
            if after > head:
                raise height_ahead(after, head)
            until = head if until is None else until
        batches = follow_logs(client, wanted, after_height=after, until_height=until, on_lost=_tell_lost)
        if follow:
            _follow(batches, found, as_json)
            return
        shown: list[dict[str, Any]] = []
        through = after
        for batch in batches:
            shown += _batch(batch, found)
            through = batch.through_height
            if len(shown) >= limit:
                break
    headings = ("高度 / height", "交易 / transaction", "事件 / event", "内容 / fields")
    rows = [(str(each["height"]), each["transaction"], str(each["event"]), _fields_text(each)) for each in shown]
    end = fields([("读至高度 / read up to height", through)])
    show({"events": shown, "through_height": through}, as_json, f"{table(headings, rows)}\n{end}" if rows else end)


@contract.command("list")
@click.option("--department", help="只要此部门部署的 / Only those that this department deployed.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="最多几个 / At most so many."
)
@url_option
@json_option
def list_contracts(department: str | None, limit: int, url: str, as_json: bool) -> None:
    """列出已部署的合约，新的在前 / List the deployed contracts, newest first."""
    with open_client(url) as client:
        items = client.get_all("/contracts", limit=limit, department=department)
    rows = [
        (
            each["address"],
            _text(each["department_name"] or each["department"]),
            _text(each["deployer_name"] or each["deployer"]),
            str(each["height"]),
            _state_text(each["is_frozen"]),
        )
        for each in items
    ]
    headings = ("地址 / address", "部门 / department", "部署账户 / deployer", "区块 / block", "状态 / state")
    show({"items": items}, as_json, table(headings, rows))


@contract.command("show")
@click.argument("address")
@url_option
@json_option
def show_contract(address: str, url: str, as_json: bool) -> None:
    """显示合约 ADDRESS 由谁在何时部署、是否冻结 / Show who deployed a contract, when, and whether it is frozen."""
    from verification.days import show_time

    raw = _deployed_address(address)
    with open_client(url) as client:
        found = client.view("deployments", "deployment", contract=raw)
        deployer = client.view("members", "account", account=found["deployer"])["name"]
        department = client.view("members", "department", code=found["department"])["name"]
    frozen_ms = int(found["frozen_ms"])
    lines: list[tuple[str, object]] = [
        ("地址 / address", found["address"]),
        ("部署账户 / deployer", f"{_text(deployer)} {found['deployer']}"),
        ("部门 / department", f"{_text(department)} {found['department']}"),
        ("时间 / time", show_time(int(found["deployed_ms"]))),
        ("区块 / block", found["height"]),
        ("代码哈希 / code hash", found["code_hash"]),
        ("状态 / state", _state_text(frozen_ms > 0)),
        ("冻结时间 / frozen since", show_time(frozen_ms) if frozen_ms else None),
        ("原因 / reason", _text(found["reason"]) or None),
    ]
    names = {"deployer_name": deployer, "department_name": department}
    show(found | names | {"is_frozen": frozen_ms > 0}, as_json, fields(lines))


@contract.command("freeze")
@click.argument("address")
@click.option("--reason", required=True, help="原因，记入账本 / Why; it goes on the ledger.")
@url_option
@key_options
@json_option
def freeze(address: str, reason: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """冻结合约 ADDRESS，此后调用均被拒绝（治理角色）/ Freeze a contract: every call is refused; for a governor."""
    raw = _deployed_address(address)
    with open_client(url, key, password_file) as client:
        receipt = client.call("deployments", "freeze", contract=raw, reason=reason)
    _show_change(raw, receipt, as_json, "已冻结 / frozen")


@contract.command("unfreeze")
@click.argument("address")
@click.option("--reason", required=True, help="原因，记入账本 / Why; it goes on the ledger.")
@url_option
@key_options
@json_option
def unfreeze(address: str, reason: str, url: str, key: Path, password_file: Path | None, as_json: bool) -> None:
    """解冻合约 ADDRESS（治理角色）/ Let a frozen contract run again; for a governor."""
    raw = _deployed_address(address)
    with open_client(url, key, password_file) as client:
        receipt = client.call("deployments", "unfreeze", contract=raw, reason=reason)
    _show_change(raw, receipt, as_json, "已解冻 / in use again")


def _show_change(address: bytes, receipt: FinalReceipt, as_json: bool, done: str) -> None:
    shown = "0x" + address.hex()
    show({"address": shown, **_receipt(receipt)}, as_json, fields([(done, shown), ("区块 / block", receipt.height)]))


def _state_text(is_frozen: bool) -> str:
    return "已冻结 / frozen" if is_frozen else "可用 / in use"


def _open(address: str, abi: Path | None, contract_name: str | None) -> tuple[bytes, ContractAbi]:
    """Return the address and ABI meant: of a system contract by its name or address, of another by its address and a file."""
    from contracts import registry
    from sdk.contract_abi import ContractAbi
    from sdk.contract_artefact import load_artefact
    from verification.errors import InputError

    system = registry.CONTRACTS.get(address)
    raw = _address(address) if system is None else system.address
    system = system or registry.BY_ADDRESS.get(raw)
    if abi is not None:
        return raw, load_artefact(abi, contract_name).abi
    if system is None:
        raise InputError(
            "ABI_MISSING", "请用 --abi 指明合约的 ABI 文件", "name the file with the contract's ABI with --abi"
        )
    return raw, ContractAbi(registry.abi(system.name))


def _address(text: str) -> bytes:
    """Return the 20 bytes of an address; raise InputError that names the system contracts beside it."""
    from contracts import registry
    from verification.errors import InputError

    try:
        return check_hex("ADDRESS", text, _ADDRESS_BYTES)
    except InputError as error:
        names = ", ".join(registry.CONTRACTS)
        zh, en = f"{error.zh}；系统合约可用名称：{names}", f"{error.en}; system contracts have names: {names}"
        raise InputError(error.code, zh, en) from None


def _deployed_address(text: str) -> bytes:
    """Return the address of a contract that somebody deployed; raise InputError for a system contract."""
    from contracts import registry
    from verification.errors import InputError

    system = registry.CONTRACTS.get(text)
    raw = check_hex("ADDRESS", text, _ADDRESS_BYTES) if system is None else system.address
    system = system or registry.BY_ADDRESS.get(raw)
    if system is not None:
        raise InputError(
            "SYSTEM_CONTRACT",
            f"{system.name} 是系统合约，属于链本身，不由任何人部署，也不能冻结",
            f"{system.name} is a system contract, part of the chain itself: nobody deployed it, and it cannot be frozen",
        )
    return raw


def _receipt(receipt: FinalReceipt) -> dict[str, Any]:
    return {
        "transaction": "0x" + receipt.transaction_id.hex(),
        "height": receipt.height,
        "gas_used": receipt.gas_used,
    }


def _receipt_lines(receipt: FinalReceipt) -> list[tuple[str, object]]:
    return [
        ("交易 / transaction", "0x" + receipt.transaction_id.hex()),
        ("区块 / block", receipt.height),
        ("所用燃料 / gas used", receipt.gas_used),
    ]


def _event(event: ShownEvent) -> dict[str, Any]:
    """Return an event for programs; one that the ABI does not have with its raw topics and data."""
    if event.event is None:
        return {"address": event.address, "event": None, "topics": event.topics, "data": event.data}
    return {"address": event.address, "event": event.event, "arguments": event.arguments}


def _event_text(event: ShownEvent) -> str:
    return f"{event.event or event.address} {_fields_text(_event(event))}"


def _fields_text(event: dict[str, Any]) -> str:
    found = event.get("arguments") or {"topics": event.get("topics"), "data": event.get("data")}
    return ", ".join(f"{name}={_text(value)}" for name, value in found.items() if value is not None)


def _batch(batch: EventBatch, abi: ContractAbi) -> list[dict[str, Any]]:
    from sdk.contract_calls import show_log

    return [
        {
            "height": int(log["blockNumber"], 16),
            "transaction": log["transactionHash"],
            "index": int(log["logIndex"], 16),
            **_event(show_log(abi, log)),
        }
        for log in batch.events
    ]


def _follow(batches: Iterator[EventBatch], abi: ContractAbi, as_json: bool) -> None:
    """Print events as they come, until the stream or its reader ends."""
    try:
        for batch in batches:
            shown = _batch(batch, abi)
            if as_json:
                line = {"events": shown, "through_height": batch.through_height}
                show_json(line)
                continue
            for each in shown:
                say(shown_line(f"{each['height']}  {each['transaction']}  {each['event']}  {_fields_text(each)}"))
    except KeyboardInterrupt:
        return


def _tell_lost(error: Exception) -> None:
    say(f"节点没有应答，正在重试 / the node does not answer, trying again: {error}", err=True)


def _text(value: Any) -> str:
    """Return a value as people read it: text as it is, lists and structs as JSON; what would steer a terminal is replaced."""
    import json

    return shown_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
