"""Deploying, calling and watching EVM contracts, and any contract by its ABI, through a node; what `govnode contract` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from sdk.client import DEFAULT_GAS_LIMIT, Client, FinalReceipt, add_gas_margin, is_estimated
from sdk.contract_abi import ContractAbi, Entry, show_outputs
from sdk.contract_artefact import Artefact
from sdk.errors import CallRefused, CallReverted
from verification.errors import InputError

_IN_WORDS: Final = ("0x08c379a0", "0x4e487b71")
"""Error(string) and Panic(uint256), which the node's message tells already."""


class Deployed(msgspec.Struct, frozen=True):
    """A contract that was deployed: its 20-byte address and the receipt of the transaction."""

    address: bytes
    receipt: FinalReceipt


class ShownEvent(msgspec.Struct, frozen=True):
    """A log in words: `event` is None where the ABI has no such event, and then the log is shown as it is."""

    address: str
    event: str | None
    arguments: dict[str, Any]
    topics: tuple[str, ...]
    data: str


def deploy(client: Client, artefact: Artefact, arguments: Sequence[str], gas: int | None = None) -> Deployed:
    """Deploy a contract with constructor arguments given as text, and return it once that is final.

    Without `gas` the node is asked for an estimate first. Raise InputError on wrong arguments, CallReverted or CallRefused
    with the contract's own reason.
    """
    if artefact.bytecode is None:
        raise InputError(
            "BYTECODE_MISSING",
            f"{artefact.name} 没有字节码，请用编译器的完整输出",
            f"there is no bytecode of {artefact.name}: use the compiler's whole output",
        )
    data = artefact.bytecode + artefact.abi.constructor.encode_inputs(arguments)
    receipt = _submit(client, None, data, artefact.abi, gas)
    return Deployed(bytes.fromhex(receipt.output.removeprefix("0x")), receipt)


def send(
    client: Client, address: bytes, abi: ContractAbi, method: str, arguments: Sequence[str], gas: int | None = None
) -> tuple[FinalReceipt, list[ShownEvent]]:
    """Call a contract's method in a transaction; return its receipt and its events once it is final. Raises as deploy does."""
    entry = abi.function(method, len(arguments))
    if entry.is_view:
        raise InputError(
            "METHOD_READS_ONLY",
            f"{entry.signature} 只读取，不需要交易，请用 govnode contract call",
            f"{entry.signature} only reads and needs no transaction: use govnode contract call",
        )
    receipt = _submit(client, address, entry.encode_call(arguments), abi, gas)
    shown = client.rpc("gov_getReceipt", transaction_id="0x" + receipt.transaction_id.hex())
    return receipt, [show_log(abi, log) for log in shown["events"] or []]


def call(
    client: Client,
    address: bytes,
    abi: ContractAbi,
    method: str,
    arguments: Sequence[str],
    *,
    sender: bytes | None = None,
    height: int | None = None,
) -> tuple[Entry, list[Any]]:
    """Return a method and what it answers, in JSON's types; nothing is sent.

    It is asked on the latest state at the present time, as a transaction sent now would find it, or on the state of a height.
    """
    entry = abi.function(method, len(arguments))
    request, block = (
        _request(address, entry.encode_call(arguments), sender),
        "pending" if height is None else hex(height),
    )
    with _explained(abi):
        output = client.rpc("eth_call", request, block)
    if output == "0x" and client.rpc("eth_getCode", "0x" + address.hex(), block) == "0x":
        shown = "0x" + address.hex()
        raise InputError("NO_CONTRACT", f"地址 {shown} 上没有合约", f"there is no contract at address {shown}")
    return entry, show_outputs(entry, bytes.fromhex(output.removeprefix("0x")))


def show_log(abi: ContractAbi, log: dict[str, Any]) -> ShownEvent:
    """Return a log, as the node shows it, in the ABI's words."""
    topics = tuple(log["topics"])
    raw = [bytes.fromhex(topic.removeprefix("0x")) for topic in topics]
    name, arguments = abi.show_log(raw, bytes.fromhex(log["data"].removeprefix("0x")))
    return ShownEvent(log["address"].lower(), name, arguments, topics, log["data"])


def _submit(client: Client, address: bytes | None, data: bytes, abi: ContractAbi, gas: int | None) -> FinalReceipt:
    with _explained(abi):
        if gas is None and not is_estimated(address):
            gas = DEFAULT_GAS_LIMIT
        elif gas is None:
            estimate = int(client.rpc("eth_estimateGas", _request(address, data, client.address)), 16)
            limit = int(client.view("governance", "parameters")["max_transaction_gas"])
            gas = add_gas_margin(estimate, limit)
        return client.submit([client.sign_data(address, data, gas_limit=gas)])[0]


def _request(address: bytes | None, data: bytes, sender: bytes | None) -> dict[str, str]:
    """Return a call in Ethereum's form."""
    parts = {"to": address, "from": sender, "data": data}
    return {name: "0x" + value.hex() for name, value in parts.items() if value is not None}


@contextmanager
def _explained(abi: ContractAbi) -> Iterator[None]:
    """Put an error that the contract's ABI declares in its words; one with a text of its own says it already."""
    try:
        yield
    except (CallReverted, CallRefused) as error:
        is_told = error.output.startswith(_IN_WORDS)
        reason = None if is_told else abi.show_refusal(bytes.fromhex(error.output.removeprefix("0x")))
        if reason is None:
            raise
        zh, en = f"合约拒绝了调用：{reason}", f"the contract refused the call: {reason}"
        name = reason.partition("(")[0] if "(" in reason else None
        if isinstance(error, CallRefused):
            raise CallRefused(error.code, zh, en, error.transaction_id, error.height, error.output, name) from error
        raise CallReverted(error.code, zh, en, error.output, name) from error
