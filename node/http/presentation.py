"""Blocks, transactions and receipts as the HTTP interfaces show them: decoded, and without what only auditors and parties may see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from consensus.messages import CommitCertificate
from consensus.round import Step
from contracts import registry
from contracts.abi import AbiError, decode_error, selector
from contracts.accounts import load_account
from contracts.call import Log
from contracts.characters import replace_control_characters
from contracts.data_sharing.audits import FINDING_NUMBERS, FINDINGS, QUERIES
from contracts.records import ADDRESSES
from contracts.validator_sets import load_validators
from node.chain.block import Header, Receipt, SealedBlock, block_id
from node.chain.transaction import address_of, decode_transaction, transaction_hash, transaction_id
from node.driver.peer_progress import PeerProgress
from node.http.json_form import to_json
from node.ledger.ledger_reads import LedgerReads
from node.release import SOFTWARE_VERSION
from node.view import BEHIND_HEIGHTS

if TYPE_CHECKING:
    from node.driver.driver import DriverStatus
    from node.view import NodeView, SubmitResult

RESTRICTED_ADDRESSES: Final = frozenset({ADDRESSES["audits"]})
"""The contracts whose calls, logs and restricted records auditors and parties alone may read."""
WAITING_STEP: Final = Step.NEW_HEIGHT.name.lower()
"""The step of a node for which no height is under way: it waits for transactions or the next heartbeat."""
REVERTED: Final = "REVERTED"
ERROR_SELECTOR: Final = selector("Error(string)")
# Selector, offset and length come before the text.
_TEXT_AT: Final = 68
PANIC_SELECTOR: Final = selector("Panic(uint256)")
PANICS: Final = {
    0x01: ("断言不成立", "an assertion does not hold"),
    0x11: ("算术溢出", "arithmetic overflow"),
    0x12: ("除以零", "division by zero"),
    0x21: ("枚举值越界", "a value outside its enumeration"),
    0x22: ("存储的字节串编码错误", "wrongly encoded bytes in storage"),
    0x31: ("从空数组取出", "pop of an empty array"),
    0x32: ("数组下标越界", "an index out of bounds"),
    0x41: ("内存过大", "too much memory"),
    0x51: ("调用未初始化的函数", "call of a function that was not set"),
}
"""What Solidity's compiled code reports by Panic(uint256), in Chinese and English."""
MAX_MESSAGE_LENGTH: Final = 1_000
CONTRACT_NAMES: Final = {address: name for name, address in ADDRESSES.items()}
"""Names of the system contracts by their 20-byte address."""


def is_restricted_key(key: bytes) -> bool:
    """Return whether a key in state is that of an audit query or a finding, for auditors and parties alone."""
    return key.startswith((QUERIES.prefix, FINDINGS.prefix, FINDING_NUMBERS.prefix))


def show_status(view: NodeView) -> dict[str, Any]:
    """Return where the node and its chain stand."""
    ledger, status = view.ledger, view.status()
    progress = view.peer_progress()
    return {
        "node_name": view.name,
        "software_version": SOFTWARE_VERSION,
        "network_name": ledger.genesis.network_name,
        "chain_id": ledger.genesis.chain_id,
        "genesis_hash": to_json(ledger.genesis.hash),
        "height": ledger.height,
        "base_height": ledger.base_height,
        "first_block": ledger.first_block,
        "head_id": to_json(ledger.head_id),
        "head_time_ms": ledger.head_time_ms,
        "validator_count": len(ledger.validators()),
        "away_validators": away_validators(view),
        "awaited_validators": awaited_validators(view, status),
        "peers": [{**to_json(peer), **_show_progress(progress.get(peer.name))} for peer in view.peers()],
        **to_json(status),
        "sync_percent": sync_percent(status),
        "cpu_seconds_by_stage": dict(view.stages.seconds),
    }


def away_validators(view: NodeView) -> list[str]:
    """Return the names of the validators that are neither this node nor connected to it, in voting order."""
    here = {view.name, *(peer.name for peer in view.peers() if peer.is_connected)}
    return [validator.name for validator in load_validators(view.ledger.state()) if validator.name not in here]


def awaited_validators(view: NodeView, status: DriverStatus) -> list[str]:
    """Return the names of the validators whose votes of this round are not here, none while no height is under way."""
    if status.step == WAITING_STEP:
        return []
    silent = set(status.silent_validators)
    return [validator.name for index, validator in enumerate(load_validators(view.ledger.state())) if index in silent]


def sync_percent(status: DriverStatus) -> float:
    """Return how much this node has of what it lacked when it fell behind or began to join: 100 only where nothing is missing."""
    if status.join is not None:
        return status.join.percent
    missing = status.target_height - status.height
    if missing <= 0:
        return 100.0
    if missing <= BEHIND_HEIGHTS:
        # The newest blocks are on their way: that is no falling behind.
        return 99.9
    done = max(status.height - status.sync_from_height, 0)
    return min(round(100 * done / (done + missing), 1), 99.9)


def _show_progress(progress: PeerProgress | None) -> dict[str, Any]:
    """Return where a peer stands by its own word, every member null where it is away."""
    if progress is None:
        return dict.fromkeys(PeerProgress.__struct_fields__)
    shown: dict[str, Any] = to_json(progress)
    return shown


def find_final(view: NodeView, transaction_id: bytes) -> tuple[int, int] | None:
    """Return (height, index in the block) of the final transaction with this 32-byte id, None where there is none so far.

    Raises HistoryNotHeld where it is not here but may stand in a block from before this node's ledger began.
    """
    place, missing = view.ledger.find_transaction(transaction_id), view.ledger.missing_history
    if place is None and missing is not None and not view.is_waiting(transaction_id):
        raise missing
    return place


def show_submitted(result: SubmitResult) -> dict[str, Any]:
    """Return the id of a transaction that was handed in (None when it does not decode), and the rejection if it was not taken."""
    rejection = result.rejection
    if rejection is None:
        return {"id": to_json(result.id), "rejection": None}
    zh, _, en = rejection.message.partition(" / ")
    return {"id": to_json(result.id), "rejection": {"code": rejection.code.value, "zh": zh, "en": en or zh}}


def show_header(header: Header, certificate: CommitCertificate) -> dict[str, Any]:
    """Return a final block's header, with the round and signers of its certificate."""
    return {
        "id": to_json(block_id(header)),
        **to_json(header),
        "round": certificate.round,
        "signers": list(certificate.signers),
    }


def show_block(sealed: SealedBlock) -> dict[str, Any]:
    """Return a final block: its header's fields, its certificate, and the ids of its transactions."""
    return {
        **show_header(sealed.header, sealed.certificate),
        "transaction_count": len(sealed.body.transactions),
        "signatures": to_json(sealed.certificate.signatures),
        "transactions": [to_json(transaction_id(decode_transaction(raw).body)) for raw in sealed.body.transactions],
        "evidence_count": len(sealed.body.evidence),
    }


class FinalTransactions:
    """Final transactions by height and index, each block decoded once for neighbours in a list."""

    def __init__(self, ledger: LedgerReads) -> None:
        """Read from `ledger`."""
        self._ledger = ledger
        self._height = 0
        self._sealed: SealedBlock | None = None
        self._receipts: Sequence[Receipt] = ()

    def count_logs(self, height: int, index: int) -> int:
        """Return how many events one final transaction has: showing them takes time by each."""
        return len(self._load(height, index)[2].logs)

    def show_receipt(
        self, height: int, index: int, *, may_see_restricted: bool, has_events: bool = True
    ) -> dict[str, Any]:
        """Return what became of one final transaction: place, outcome, and its decoded events, null without `has_events`."""
        sealed, raw, receipt = self._load(height, index)
        body = decode_transaction(raw).body
        shown = {
            "id": to_json(transaction_id(body)),
            "height": height,
            "index": index,
            "time_ms": sealed.header.time_ms,
            "block_id": to_json(block_id(sealed.header)),
            "gas_used": receipt.gas_used,
            "evm_contract": to_json(evm_contract_of(body.to, receipt)),
            **show_outcome(receipt),
        }
        if body.to in RESTRICTED_ADDRESSES and not may_see_restricted:
            # The text of a refusal tells of what auditors recorded, such as which findings there are.
            return shown | {"is_restricted": True, "message": None, "output": None, "events": None}
        events = [show_log(log) for log in receipt.logs] if has_events else None
        return shown | {"is_restricted": False, "output": to_json(receipt.output), "events": events}

    def show_transaction(
        self, height: int, index: int, *, may_see_restricted: bool, has_events: bool = True
    ) -> dict[str, Any]:
        """Return one final transaction with its call decoded, and its receipt."""
        _, raw, _ = self._load(height, index)
        body = decode_transaction(raw).body
        sender = address_of(body.sender_key)
        account = load_account(self._ledger.state(), sender)
        contract, method, arguments = decode_call(body.to, body.data)
        shown = {
            "signed_hash": to_json(transaction_hash(raw)),
            "sender": to_json(sender),
            "sender_name": None if account is None else account.name,
            "department": None if account is None else account.department,
            "to": to_json(body.to),
            "valid_until_ms": body.valid_until_ms,
            "gas_limit": body.gas_limit,
            "contract": contract,
            "method": method,
            "selector": to_json(body.data[:4]) if _is_of_unknown_abi(body.to, body.data) else None,
            **self.show_receipt(height, index, may_see_restricted=may_see_restricted, has_events=has_events),
        }
        if shown["is_restricted"]:
            return shown | {"arguments": None, "raw": None}
        return shown | {"arguments": arguments, "raw": to_json(raw)}

    def _load(self, height: int, index: int) -> tuple[SealedBlock, bytes, Receipt]:
        if self._sealed is None or height != self._height:
            # Receipts first: a block that a snapshot brought has none, and then nothing of it is kept here.
            receipts, sealed = self._ledger.receipts(height), self._ledger.sealed_block(height)
            self._height, self._sealed, self._receipts = height, sealed, receipts
        return self._sealed, self._sealed.body.transactions[index], self._receipts[index]


def evm_contract_of(to: bytes | None, receipt: Receipt) -> bytes | None:
    """Return the address of the EVM contract that a transaction called or created, None where it is none."""
    if to is None:
        return receipt.output if receipt.refusal is None else None
    return None if to in CONTRACT_NAMES or receipt.refusal == "NO_CONTRACT" else to


def _is_of_unknown_abi(to: bytes | None, data: bytes) -> bool:
    """Return whether call data begins with the selector of a method that no system contract declares."""
    return to is not None and to not in CONTRACT_NAMES and len(data) >= 4


def show_outcome(receipt: Receipt) -> dict[str, Any]:
    """Return the refusal's name and its text, both None on success; of a contract's own text the beginning."""
    if receipt.refusal is None:
        return {"refusal": None, "message": None}
    message = decode_error(receipt.output)
    if receipt.refusal == REVERTED:
        message = _show_foreign(explain_revert(receipt.output) if message is None else message)
    return {"refusal": receipt.refusal, "message": message}


def _show_foreign(text: str) -> str:
    """Return a contract's own text at a bounded length, without control characters."""
    text = replace_control_characters(text[: MAX_MESSAGE_LENGTH + 1])
    return text if len(text) <= MAX_MESSAGE_LENGTH else text[: MAX_MESSAGE_LENGTH - 1] + "…"


def explain_revert(output: bytes) -> str:
    """Return what a contract gave when it reverted, where it was not a text."""
    if not output:
        return f"{REVERTED}: 合约拒绝了调用，未说明原因 / the contract refused the call and gave no reason"
    if output[:4] == PANIC_SELECTOR and len(output) == 36:
        number = int.from_bytes(output[4:], "big")
        zh, en = PANICS.get(number, ("未列明", "not listed"))
        return f"{REVERTED}: 合约内部错误 0x{number:02x}：{zh} / panic 0x{number:02x} in the contract: {en}"
    if output[:4] == ERROR_SELECTOR and len(output) > _TEXT_AT:
        # Longer than what a receipt keeps: its beginning.
        return output[_TEXT_AT:].rstrip(b"\0").decode(errors="ignore") + "…"
    shown = output[:4].hex()
    return (
        f"{REVERTED}: 合约以自定义错误 0x{shown} 拒绝（共 {len(output)} 字节，见 output） / "
        f"the contract refused with its own error 0x{shown} ({len(output)} bytes, see output)"
    )


def decode_call(to: bytes | None, data: bytes) -> tuple[str | None, str | None, Any]:
    """Return contract, method and arguments of a call in JSON's types; None for what cannot be told."""
    if to is None:
        return None, None, None
    try:
        call = registry.decode_call(to, data)
    except AbiError:
        return CONTRACT_NAMES.get(to), None, None
    return call.contract, call.method, to_json(call.args)


def show_log(log: Log) -> dict[str, Any]:
    """Return one event with its fields by name, or its raw topics and data when no system contract declared it."""
    shown: dict[str, Any] = {"address": to_json(log.address), "topics": to_json(log.topics), "data": to_json(log.data)}
    try:
        decoded = registry.decode_log(log)
    except AbiError:
        return shown | {"contract": CONTRACT_NAMES.get(log.address), "event": None, "fields": None}
    return shown | {"contract": decoded.contract, "event": decoded.event, "fields": to_json(decoded.fields)}
