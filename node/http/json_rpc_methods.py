"""The methods of the JSON-RPC interface, by name: each takes the node's read side and its declared parameters."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from contracts import registry
from contracts.abi import AbiError
from contracts.offences import OFFENCE_KINDS, OFFENCES
from contracts.refusals import Refused
from contracts.validator_sets import load_validators
from node.chain.codec import encode
from node.chain.transaction import MAX_TRANSACTION_BYTES
from node.http.eth_methods import ETH_METHODS
from node.http.eth_reads import OutcomeRead
from node.http.event_methods import EVENT_METHODS
from node.http.json_form import from_json, to_json
from node.http.method_reads import MAX_LOGS_HERE, Method, Reads
from node.http.presentation import (
    find_final,
    is_restricted_key,
    show_block,
    show_status,
    show_submitted,
)
from node.http.rpc_description import describe
from node.http.rpc_fault import (
    CALL_REFUSED,
    INVALID_PARAMS,
    TRANSACTION_REJECTED,
    UNKNOWN_HEIGHT,
    RpcFault,
    parse_bytes,
    restricted_fault,
    wrong_parameter,
)
from node.ledger.ledger import HistoryNotHeld, UnknownHeight

if TYPE_CHECKING:
    pass

MAX_SENT_TRANSACTIONS: Final = 2_000
MAX_WAIT_MS: Final = 60_000
DEFAULT_WAIT_MS: Final = 10_000
MAX_SHOWN_OFFENCES: Final = 1_000
MAX_KEY_BYTES: Final = 320

_QUANTITY = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]{0,15})")


async def _status(reads: Reads) -> Any:
    """Return where the node stands."""
    return show_status(reads.view)


async def _send_transaction(reads: Reads, transaction: Any) -> Any:
    """Take one raw transaction; return its id, or fail with the reason for which it was not taken."""
    result = (await _submit(reads, [transaction]))[0]
    rejection = result["rejection"]
    if rejection is not None:
        raise RpcFault(TRANSACTION_REJECTED, rejection["zh"], rejection["en"], {"code": rejection["code"]})
    return result["id"]


async def _send_transactions(reads: Reads, transactions: Any) -> Any:
    """Take many raw transactions; return for each its id, and the rejection where it was not taken."""
    if not isinstance(transactions, list) or not 1 <= len(transactions) <= MAX_SENT_TRANSACTIONS:
        found = f"{len(transactions)}" if isinstance(transactions, list) else type(transactions).__name__
        expected = f"a list of 1 to {MAX_SENT_TRANSACTIONS}"
        raise wrong_parameter("transactions", f"1 至 {MAX_SENT_TRANSACTIONS} 笔交易的列表", expected, found)
    return await _submit(reads, transactions)


async def _submit(reads: Reads, transactions: list[Any]) -> list[dict[str, Any]]:
    with reads.view.stages.measure("http"):
        raws = [parse_bytes(raw, "transactions", MAX_TRANSACTION_BYTES) for raw in transactions]
    results = await reads.view.submit(raws)
    with reads.view.stages.measure("http"):
        return [show_submitted(result) for result in results]


async def _get_receipt(reads: Reads, transaction_id: Any) -> Any:
    """Return the receipt of a final transaction, None when the ledger has none of this id."""
    return await _show_final(reads, find_final(reads.view, _digest(transaction_id, "transaction_id")), is_whole=False)


async def _show_final(reads: Reads, place: tuple[int, int] | None, *, is_whole: bool) -> Any:
    """Return a final transaction, or with `is_whole` False its receipt alone; one with many events is read elsewhere."""
    if place is None:
        return None
    if reads.transactions.count_logs(*place) > MAX_LOGS_HERE:
        return await reads.read(OutcomeRead(*place, is_whole))
    show = reads.transactions.show_transaction if is_whole else reads.transactions.show_receipt
    return show(*place, may_see_restricted=False)


async def _wait_receipt(reads: Reads, transaction_id: Any, timeout_ms: Any = DEFAULT_WAIT_MS) -> Any:
    """Return the receipt of a transaction as soon as it is final, None when `timeout_ms` pass first."""
    identifier = _digest(transaction_id, "transaction_id")
    if isinstance(timeout_ms, bool) or not isinstance(timeout_ms, int) or not 0 <= timeout_ms <= MAX_WAIT_MS:
        raise wrong_parameter(
            "timeout_ms", f"0 至 {MAX_WAIT_MS} 的整数", f"an integer from 0 to {MAX_WAIT_MS}", timeout_ms
        )
    if reads.ledger.find_transaction(identifier) is None:
        await reads.view.wait_receipt(identifier, timeout_ms)
    return await _show_final(reads, reads.ledger.find_transaction(identifier), is_whole=False)


async def _get_transaction(reads: Reads, transaction_id: Any) -> Any:
    """Return a final transaction with its call decoded, None when the ledger has none of this id."""
    return await _show_final(reads, find_final(reads.view, _digest(transaction_id, "transaction_id")), is_whole=True)


async def _get_block(reads: Reads, height: Any = "latest") -> Any:
    """Return a final block, None when there is none of this height."""
    number = _height(reads, height)
    return show_block(reads.ledger.sealed_block(number)) if 1 <= number <= reads.ledger.height else None


async def _call(reads: Reads, contract: Any, method: Any, arguments: Any = None) -> Any:
    """Return what a view method answers on the latest state."""
    found = registry.CONTRACTS.get(contract) if isinstance(contract, str) else None
    if found is None:
        raise wrong_parameter("contract", "系统合约名", f"one of {', '.join(registry.CONTRACTS)}", contract)
    views = {name: declared for name, declared in found.methods.items() if declared.is_view}
    declared = views.get(method) if isinstance(method, str) else None
    if declared is None:
        raise wrong_parameter("method", "该合约的只读方法", f"one of {', '.join(views)}", method)
    if not declared.is_public:
        raise restricted_fault()
    try:
        values = from_json(declared.inputs, {} if arguments is None else arguments, "arguments")
        stated = dict(zip(declared.inputs.names, values, strict=True))
        answer = registry.view(reads.ledger.state(), contract, method, reads.ledger.head_time_ms, **stated)
    except AbiError as error:
        raise RpcFault(INVALID_PARAMS, f"参数不符：{error}", f"unfit arguments: {error}") from None
    except Refused as refused:
        raise RpcFault(CALL_REFUSED, *refused.texts, {"code": refused.code}) from None
    return to_json(answer)


async def _get_proof(reads: Reads, key: Any, height: Any = "latest") -> Any:
    """Return the proof of what the state holds at a key, as one record that verifies without any node."""
    raw_key = parse_bytes(key, "key", MAX_KEY_BYTES)
    if is_restricted_key(raw_key):
        raise restricted_fault()
    try:
        proof = reads.ledger.record_proof(raw_key, _height(reads, height))
    except HistoryNotHeld:
        raise
    except UnknownHeight as error:
        raise RpcFault(UNKNOWN_HEIGHT, f"该高度不可用：{error}", str(error), {"code": "UNKNOWN_HEIGHT"}) from None
    return to_json(encode(proof))


async def _get_evidence(reads: Reads) -> Any:
    """Return the offences that stand on the chain, by validator, height and round, at most MAX_SHOWN_OFFENCES."""
    state = reads.ledger.state()
    shown = []
    for key, _ in islice(state.iterate(OFFENCES.prefix), MAX_SHOWN_OFFENCES):
        record = OFFENCES.load(state, key[len(OFFENCES.prefix) :])
        assert record is not None, "offences are never deleted"
        shown.append({**to_json(record), "kind": OFFENCE_KINDS[record.kind]})
    return shown


async def _get_parameters(reads: Reads) -> Any:
    """Return the chain parameters of the next height."""
    return to_json(reads.ledger.parameters())


async def _get_validators(reads: Reads) -> Any:
    """Return the validators of the next height in voting order."""
    return to_json(load_validators(reads.ledger.state()))


def _height(reads: Reads, height: Any) -> int:
    """Return a height given as a number, a quantity in hex, or "latest"; one beyond the head is returned as it is."""
    if height == "latest":
        return reads.ledger.height
    if isinstance(height, str) and _QUANTITY.fullmatch(height):
        return int(height, 16)
    if isinstance(height, bool) or not isinstance(height, int) or not 0 <= height <= 2**62:
        raise wrong_parameter("height", "高度、0x 数或 latest", "a height, a 0x quantity or latest", height)
    return height


def _digest(value: Any, field: str) -> bytes:
    raw = parse_bytes(value, field, 32)
    if len(raw) != 32:
        raise wrong_parameter(field, "32 字节的十六进制", "32 bytes in hex", value)
    return raw


async def _discover(reads: Reads) -> Any:
    """Return the OpenRPC description of all methods."""
    return describe(METHODS)


METHODS: Final[dict[str, Method]] = {
    "gov_status": _status,
    "gov_sendTransaction": _send_transaction,
    "gov_sendTransactions": _send_transactions,
    "gov_getReceipt": _get_receipt,
    "gov_waitReceipt": _wait_receipt,
    "gov_getTransaction": _get_transaction,
    "gov_getBlock": _get_block,
    "gov_call": _call,
    "gov_getProof": _get_proof,
    "gov_getEvidence": _get_evidence,
    "gov_getParameters": _get_parameters,
    "gov_getValidators": _get_validators,
    **ETH_METHODS,
    **EVENT_METHODS,
    "rpc.discover": _discover,
}
"""Every method by its name; its parameters are those of the function, by position or by name."""
