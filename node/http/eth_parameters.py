"""Parameters of the eth_* methods: blocks by number, tag or hash, calls, and which logs are asked for."""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

import msgspec

from node.chain.transaction import MAX_CALL_DATA_BYTES
from node.http.eth_form import LogFilter
from node.http.log_filters import parse_log_filter
from node.http.rpc_fault import INVALID_PARAMS, RpcFault, parse_bytes, wrong_parameter

EARLIEST: Final = "earliest"
LATEST: Final = "latest"
PENDING: Final = "pending"
TAGS: Final = (LATEST, EARLIEST, PENDING, "safe", "finalized")
"""Every block is final: pending, safe and finalized are all the latest."""

BlockTag: TypeAlias = int | str
"""A height, one of TAGS, or a block id as 64 hex digits."""

_QUANTITY: Final = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]{0,15})")
_SLOT: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")


class EthCall(msgspec.Struct, array_like=True, frozen=True):
    """A call that is run and then undone: by whom (the zero address for nobody), of what (None creates a contract)."""

    sender: bytes
    to: bytes | None
    data: bytes
    gas: int | None
    """The caller's limit; None for the chain's own."""


class LogQuery(msgspec.Struct, array_like=True, frozen=True):
    """Which logs of which blocks, both ends included; one block's where both are its id."""

    first: BlockTag
    last: BlockTag
    wanted: LogFilter


def parse_block(value: Any, field: str = "block") -> BlockTag:
    """Return the block that a number, a tag, or an object with blockNumber or blockHash (EIP-1898) stands for; raise RpcFault."""
    if value is None:
        return LATEST
    if isinstance(value, str) and value in TAGS:
        return value
    if isinstance(value, dict) and len({"blockNumber", "blockHash"} & value.keys()) == 1:
        if "blockHash" in value:
            return parse_block_hash(value["blockHash"], f"{field}.blockHash")
        return parse_quantity(value["blockNumber"], f"{field}.blockNumber")
    try:
        return parse_quantity(value, field)
    except RpcFault:
        tags = ", ".join(TAGS)
        zh, en = f"0x 数、{tags} 或 EIP-1898 对象", f"a 0x quantity, one of {tags}, or an EIP-1898 object"
        raise wrong_parameter(field, zh, en, value) from None


def parse_quantity(value: Any, field: str) -> int:
    """Return a number of up to 64 bits given as a 0x quantity or as JSON's; raise RpcFault."""
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**64:
        raise wrong_parameter(field, "0x 数", "a 0x quantity of up to 64 bits", value)
    return value


def parse_block_hash(value: Any, field: str) -> BlockTag:
    """Return the block that its hash stands for; raise RpcFault."""
    return parse_hash(value, field).hex()


def parse_hash(value: Any, field: str) -> bytes:
    """Return 32 bytes given in hex; raise RpcFault."""
    return _exactly(value, field, 32)


def parse_address(value: Any, field: str) -> bytes:
    """Return a 20-byte address given in hex; raise RpcFault."""
    return _exactly(value, field, 20)


def parse_slot(value: Any, field: str) -> int:
    """Return the number of a storage slot, given as a quantity or as 32 bytes; raise RpcFault."""
    if isinstance(value, str) and _SLOT.fullmatch(value):
        return int(value, 16)
    raise wrong_parameter(field, "0x 开头至多 64 位十六进制", "0x and at most 64 hex digits", value)


def parse_flag(value: Any, field: str) -> bool:
    """Return true or false; raise RpcFault on anything else."""
    if not isinstance(value, bool):
        raise wrong_parameter(field, "true 或 false", "true or false", value)
    return value


def parse_call(value: Any) -> EthCall:
    """Return the call that a transaction object describes; raise RpcFault where this chain cannot run it.

    Fees, nonce, type, chain id and access list are taken and mean nothing: they change no result here.
    """
    if not isinstance(value, dict):
        raise wrong_parameter("transaction", "含 to 与 data 的对象", "an object with to and data", value)
    if value.get("value") not in (None, "0x", 0) and parse_quantity(value["value"], "transaction.value"):
        raise RpcFault(
            INVALID_PARAMS,
            "本链没有币，value 只能为 0",
            "this chain has no coin: value can only be 0",
            {"field": "value"},
        )
    sender, to, gas = (value.get(name) for name in ("from", "to", "gas"))
    return EthCall(
        bytes(20) if sender is None else parse_address(sender, "transaction.from"),
        None if to is None else parse_address(to, "transaction.to"),
        _parse_data(value),
        None if gas is None else parse_quantity(gas, "transaction.gas"),
    )


def parse_log_query(value: Any) -> LogQuery:
    """Return which logs a filter object asks for; raise RpcFault."""
    if not isinstance(value, dict):
        zh, en = "含 address、topics 的对象", "an object with address, topics, fromBlock, toBlock or blockHash"
        raise wrong_parameter("filter", zh, en, value)
    wanted = parse_log_filter(value)
    if value.get("blockHash") is not None:
        if value.get("fromBlock") is not None or value.get("toBlock") is not None:
            zh, en = "blockHash 不能与 fromBlock、toBlock 并用", "blockHash goes with neither fromBlock nor toBlock"
            raise RpcFault(INVALID_PARAMS, zh, en, {"code": "PARAMETER_INVALID", "field": "filter.blockHash"})
        block = parse_block_hash(value["blockHash"], "filter.blockHash")
        return LogQuery(block, block, wanted)
    first = parse_block(value.get("fromBlock"), "filter.fromBlock")
    return LogQuery(first, parse_block(value.get("toBlock"), "filter.toBlock"), wanted)


def _parse_data(value: dict[str, Any]) -> bytes:
    data, given = value.get("data"), value.get("input")
    if data is not None and given is not None and data != given:
        zh, en = "data 与 input 不一致", "data and input differ: give one of them"
        raise RpcFault(INVALID_PARAMS, zh, en, {"code": "PARAMETER_INVALID", "field": "transaction.input"})
    found = given if data is None else data
    return b"" if found is None else parse_bytes(found, "transaction.data", MAX_CALL_DATA_BYTES)


def _exactly(value: Any, field: str, length: int) -> bytes:
    raw = parse_bytes(value, field, length)
    if len(raw) != length:
        raise wrong_parameter(field, f"{length} 字节的十六进制", f"{length} bytes in hex", value)
    return raw
