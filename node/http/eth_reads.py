"""Reads in Ethereum's form that take time: blocks, logs over ranges, past states, and calls that are run and then undone.

They are run in the reading process (node/http/read_process.py), over the ledger as it was when the read was asked for.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, TypeAlias

import msgspec

from contracts import registry
from contracts.abi import decode_error
from contracts.call import Call, CallResult
from contracts.calls import execute_call
from contracts.evm_state import (
    NATIVE_CODE,
    ContractAccount,
    EvmBlock,
    code_key,
    contract_key,
    has_contract,
    storage_key,
)
from contracts.governance import load_parameters
from contracts.recent_blocks import load_block_id, save_block_id
from node.chain.block import block_id
from node.chain.codec import encode
from node.chain.world_state import WorldState, load_account_count
from node.http.eth_form import (
    FinalBlock,
    LogFilter,
    hex_data,
    quantity,
    show_block,
    show_genesis,
    show_logs,
    show_receipt,
    show_receipts,
    show_transaction,
    stored_block,
)
from node.http.eth_parameters import EARLIEST, TAGS, BlockTag, EthCall, LogQuery
from node.http.presentation import RESTRICTED_ADDRESSES, FinalTransactions
from node.http.rpc_fault import (
    CALL_REFUSED,
    LIMIT_EXCEEDED,
    UNKNOWN_HEIGHT,
    RpcFault,
    restricted_fault,
)
from node.ledger.ledger_reads import PinnedLedger, StateReader, UnknownHeight

MAX_LOGS: Final = 10_000
"""In one answer, unless a single block has more."""
MAX_LOG_RANGE: Final = 10_000
"""Blocks in the range of a query that names no address: each of them has to be read."""
MAX_LOG_WORK: Final = 300_000
"""Receipts and logs looked at for one query, unless a single block has more: about a second."""
BLOCK_WORK: Final = 20
"""What reading a block's receipts takes beside looking at each."""
MAX_ESTIMATE_WORK: Final = 6_000_000
"""Units of EVM work for one estimate (MAX_TRANSACTION_WORK is for one run); past it the best limit found so far is the answer."""
ESTIMATE_TOLERANCE: Final = 64
"""An estimate may be above the least limit by one part in so many."""
MAX_REFUND_SHARE: Final = 4
"""A refund is at most a fifth of the gas used, so a quarter of what is left of it (EIP-3529)."""
STIPEND_GAS: Final = 2_300
EXECUTION_FAILED: Final = -32000
GAS_LEFT_BEHIND: Final = 63
"""A call keeps one part in 64 of its gas back from what it calls (EIP-150)."""

decode_contract: Final = msgspec.msgpack.Decoder(ContractAccount).decode
_ZERO_ADDRESS: Final = bytes(20)
# Refusals that say how a run ended, not what a contract answered.
_HALTS: Final = ("OUT_OF_GAS", "OUT_OF_WORK", "EVM_HALTED")


class ChainFacts(msgspec.Struct, array_like=True, frozen=True):
    """What of the genesis is needed to answer."""

    chain_id: int
    hash: bytes
    """The genesis hash."""
    time_ms: int


class BlockRead(msgspec.Struct, tag=True, frozen=True):
    """Asks for a block: with its transactions as objects where `is_full`; None where there is no such block."""

    block: BlockTag
    is_full: bool


class ReceiptsRead(msgspec.Struct, tag=True, frozen=True):
    """Asks for the receipts of a block; None where there is no such block."""

    block: BlockTag


class PlaceRead(msgspec.Struct, tag=True, frozen=True):
    """Asks for the transaction at a place in a block, or with `is_receipt` for its receipt; None where there is none."""

    block: BlockTag
    index: int
    is_receipt: bool = False


class OutcomeRead(msgspec.Struct, tag=True, frozen=True):
    """Asks for what became of a final transaction as gov_getReceipt shows it, or with `is_whole` as gov_getTransaction does."""

    height: int
    index: int
    is_whole: bool


class CountRead(msgspec.Struct, tag=True, frozen=True):
    """Asks for the number of transactions in a block; None where there is no such block."""

    block: BlockTag


class LogsRead(msgspec.Struct, tag=True, frozen=True):
    """Asks for logs."""

    query: LogQuery


class AccountRead(msgspec.Struct, tag=True, frozen=True):
    """Asks for the code, the nonce ("count") or, with `slot`, the storage of an address as of a block."""

    what: str
    address: bytes
    block: BlockTag
    slot: bytes = bytes(32)


class CallRead(msgspec.Struct, tag=True, frozen=True):
    """Asks for what a call answers, or with `is_estimate` for the gas limit that it needs, as of a block.

    With `next_ms`, the time in ms that the next block would have by the node's clock, it is as in that next block.
    """

    call: EthCall
    block: BlockTag
    is_estimate: bool
    next_ms: int | None = None


class ProofRead(msgspec.Struct, tag=True, frozen=True):
    """Asks for record proofs of an EVM contract's account and of storage slots (32 bytes each) as of a block."""

    address: bytes
    slots: list[bytes]
    block: BlockTag


Read: TypeAlias = (
    BlockRead | ReceiptsRead | PlaceRead | OutcomeRead | CountRead | LogsRead | AccountRead | CallRead | ProofRead
)


class EthReads:
    """Answers reads from a ledger of one moment."""

    def __init__(self, ledger: PinnedLedger, facts: ChainFacts) -> None:
        """Answer from `ledger`."""
        self._ledger = ledger
        self._facts = facts

    def answer(self, read: Read) -> Any:
        """Return what is asked for, in JSON's types; raise RpcFault, HistoryNotHeld, StorageError."""
        match read:
            case BlockRead():
                return self._show_block(read)
            case ReceiptsRead():
                block = self._find_block(read.block)
                return block if block is None else [] if isinstance(block, int) else show_receipts(block)
            case PlaceRead():
                return self._show_place(read)
            case OutcomeRead():
                found = FinalTransactions(self._ledger)
                show = found.show_transaction if read.is_whole else found.show_receipt
                return show(read.height, read.index, may_see_restricted=False)
            case CountRead():
                block = self._find_block(read.block)
                return None if block is None else quantity(0 if isinstance(block, int) else len(block.transactions))
            case LogsRead():
                return self._find_logs(read.query)
            case AccountRead():
                return show_account(self._state(self._state_height(read.block)), read)
            case ProofRead():
                return self._prove_contract(read)
            case CallRead():
                height = self._state_height(read.block)
                run = _Runs(self._ledger, self._facts, height, self._state(height), read.next_ms)
                return run.estimate(read.call) if read.is_estimate else run.call(read.call)

    # Blocks.

    def _find_height(self, tag: BlockTag) -> int | None:
        """Return the height that a tag stands for, None where no block has this hash."""
        if isinstance(tag, int):
            return tag
        if tag in TAGS:
            return 0 if tag == EARLIEST else self._ledger.height
        identifier = bytes.fromhex(tag)
        return 0 if identifier == self._facts.hash else self._ledger.find_block(identifier)

    def _find_block(self, tag: BlockTag) -> FinalBlock | int | None:
        """Return the block of a tag, 0 for the genesis, None where there is none; raise HistoryNotHeld."""
        height = self._find_height(tag)
        if height is None and self._ledger.missing_history is not None:
            raise self._ledger.missing_history
        if height is None or height > self._ledger.height:
            return None
        return self._load(height) if height else 0

    def _load(self, height: int) -> FinalBlock:
        # Receipts first: a block that a snapshot brought has none.
        receipts = self._ledger.receipts(height)
        return stored_block(self._ledger.sealed_block(height), receipts)

    def _show_block(self, read: BlockRead) -> dict[str, Any] | None:
        block = self._find_block(read.block)
        if block is None:
            return None
        gas_limit = load_parameters(self._ledger.state()).max_block_gas
        if isinstance(block, int):
            return show_genesis(self._facts.hash, self._facts.time_ms, gas_limit)
        return show_block(block, gas_limit, is_full=read.is_full)

    def _show_place(self, read: PlaceRead) -> dict[str, Any] | None:
        block = self._find_block(read.block)
        if block is None or isinstance(block, int) or read.index >= len(block.transactions):
            return None
        return (show_receipt if read.is_receipt else show_transaction)(block, read.index)

    # Logs.

    def _find_logs(self, query: LogQuery) -> list[dict[str, Any]]:
        first, last = self._find_height(query.first), self._find_height(query.last)
        if first is None or last is None:
            if self._ledger.missing_history is not None:
                raise self._ledger.missing_history
            raise RpcFault(UNKNOWN_HEIGHT, "没有该区块", "block not found", {"code": "UNKNOWN_BLOCK"})
        if first > last:
            zh, en = (
                f"fromBlock {first} 大于 toBlock {last}",
                f"expected fromBlock up to toBlock, found {first} and {last}",
            )
            raise RpcFault(EXECUTION_FAILED, zh, en, {"code": "RANGE_INVALID"})
        first, last = max(first, 1), min(last, self._ledger.height)
        missing = self._ledger.missing_history
        if missing is not None and first <= min(last, missing.base_height):
            raise missing
        return self._scan(query.wanted, first, last)

    def _scan(self, wanted: LogFilter, first: int, last: int) -> list[dict[str, Any]]:
        """Return the logs of the blocks from `first` to `last`; raise RpcFault saying how to page where that is too much."""
        if wanted.addresses is None and last - first >= MAX_LOG_RANGE:
            raise _too_much("RANGE_TOO_WIDE", first, first + MAX_LOG_RANGE - 1)
        found: list[dict[str, Any]] = []
        work = 0
        begun = first
        for height in self._heights(wanted, first, last):
            receipts = self._ledger.receipts(height)
            work += BLOCK_WORK + sum(1 + len(receipt.logs) for receipt in receipts)
            if work > MAX_LOG_WORK and height > begun:
                raise _too_much("TOO_MANY_LOGS", first, height - 1)
            if any(wanted.matches(log) for receipt in receipts for log in receipt.logs):
                logs = show_logs(stored_block(self._ledger.sealed_block(height), receipts), wanted)
                if found and len(found) + len(logs) > MAX_LOGS:
                    raise _too_much("TOO_MANY_LOGS", first, height - 1)
                found += logs
        return found

    def _heights(self, wanted: LogFilter, first: int, last: int) -> Iterable[int]:
        """Return the heights to look into: all of them, or those in which one of the addresses has logged."""
        if wanted.addresses is None:
            return range(first, last + 1)
        by_address = (self._until(address, first, last) for address in sorted(wanted.addresses))
        return (height for height, _ in groupby(heapq.merge(*by_address)))

    def _until(self, address: bytes, first: int, last: int) -> Iterator[int]:
        for height in self._ledger.log_heights(address, first):
            if height > last:
                return
            yield height

    # States.

    def _prove_contract(self, read: ProofRead) -> dict[str, Any]:
        height = self._state_height(read.block)
        self._state(height)
        account = self._prove(contract_key(read.address), height)
        stored = None if account["value"] is None else decode_contract(bytes.fromhex(account["value"][2:]))
        return {
            "address": hex_data(read.address),
            "height": height,
            "account": account,
            "codeHash": None if stored is None else hex_data(stored.code_hash),
            "codeKey": None if stored is None else hex_data(code_key(stored.code_hash)),
            "storage": [
                {"slot": hex_data(slot), **self._prove(storage_key(read.address, int.from_bytes(slot)), height)}
                for slot in read.slots
            ],
        }

    def _prove(self, key: bytes, height: int) -> dict[str, Any]:
        if not height:
            zh, en = "高度 0 没有可证明的区块", "there is no block of height 0 to prove by"
            raise RpcFault(UNKNOWN_HEIGHT, zh, en, {"code": "UNKNOWN_HEIGHT"})
        proof = self._ledger.record_proof(key, height)
        value = None if proof.value is None else hex_data(proof.value)
        return {"key": hex_data(key), "value": value, "proof": hex_data(encode(proof))}

    def _state_height(self, tag: BlockTag) -> int:
        """Return the height of a tag, of which there has to be a block; raise RpcFault, HistoryNotHeld."""
        height = self._find_height(tag)
        if height is None:
            if self._ledger.missing_history is not None:
                raise self._ledger.missing_history
            raise RpcFault(UNKNOWN_HEIGHT, "没有该区块", "block not found", {"code": "UNKNOWN_BLOCK"})
        if height > self._ledger.height:
            zh = f"还没有高度 {height} 的区块，最新的是 {self._ledger.height}"
            en = f"block not found: there is none of height {height} yet, the latest is {self._ledger.height}"
            raise RpcFault(UNKNOWN_HEIGHT, zh, en, {"code": "UNKNOWN_BLOCK"})
        return height

    def _state(self, height: int) -> StateReader:
        try:
            return self._ledger.state(height)
        except UnknownHeight:
            if self._ledger.missing_history is not None and height < self._ledger.base_height:
                raise
            oldest, latest = self._ledger.oldest_height, self._ledger.height
            zh = f"高度 {height} 的状态已不保存：可读的最早高度是 {oldest}，最新是 {latest}"
            en = f"the state of height {height} is kept no more: the oldest that can be read is {oldest}, the latest {latest}"
            data = {"code": "STATE_NOT_KEPT", "oldest_height": quantity(oldest)}
            raise RpcFault(UNKNOWN_HEIGHT, zh, en, data) from None


def show_account(state: StateReader, read: AccountRead) -> str:
    """Return the code, nonce or storage of an address in a state; a system contract shows one byte of code and no storage."""
    address = read.address
    is_system = address in registry.BY_ADDRESS
    if read.what == "storage":
        # What a system contract keeps are records, not slots, and some of them are not for everybody.
        raw = None if is_system else state.get(storage_key(address, int.from_bytes(read.slot)))
        return hex_data((raw or b"").rjust(32, b"\0"))
    if read.what == "code" and is_system:
        return hex_data(NATIVE_CODE)
    stored = None if is_system else state.get(contract_key(address))
    account = None if stored is None else decode_contract(stored)
    if read.what == "code":
        return hex_data(b"" if account is None else state.get(code_key(account.code_hash)) or b"")
    return quantity(load_account_count(state.get, address) if account is None else account.nonce)


class _Runs:
    """Runs of one call over the state after one block, in that block or with `next_ms` in the next; each run is undone."""

    def __init__(
        self, ledger: PinnedLedger, facts: ChainFacts, height: int, state: StateReader, next_ms: int | None
    ) -> None:
        self._state = WorldState(state.get)
        self._parameters = load_parameters(state)
        self._height = height
        self._time_ms = ledger.header(height).time_ms if height else facts.time_ms
        if next_ms is not None:
            # An idle network makes a block every half a minute, but one with a transaction at once.
            save_block_id(self._state, height, block_id(ledger.header(height)) if height else facts.hash)
            self._height, self._time_ms = height + 1, max(self._time_ms + 1, next_ms)
        self._block = EvmBlock(
            self._height,
            self._time_ms,
            facts.chain_id,
            self._parameters.max_block_gas,
            lambda address: load_account_count(state.get, address),
            lambda number: load_block_id(self._state, number),
        )

    def call(self, call: EthCall) -> str:
        """Return what the call answers; raise RpcFault where it is refused."""
        result = self._run(call, self._limit(call), is_sent=False)
        if result.refusal is not None:
            raise _refused(result)
        return hex_data(result.output)

    def estimate(self, call: EthCall) -> str:
        """Return a gas limit with which the call succeeds, at most one part in ESTIMATE_TOLERANCE above the least one.

        A call that names its sender is judged as that sender's transaction would be. Raises RpcFault where it is refused.
        """
        most = self._limit(call)
        result = self._run(call, most, is_sent=True)
        if result.refusal is not None:
            raise _refused(result, call.sender)
        used, work = result.gas_used, result.work
        if self._run(call, used, is_sent=True).refusal is None:
            return quantity(used)
        # What refunds gave back and calls keep behind has to be there in between.
        likely = used + used // MAX_REFUND_SHARE
        guess = likely + likely // GAS_LEFT_BEHIND + STIPEND_GAS
        low, high = used, most
        while high - low > high // ESTIMATE_TOLERANCE and work < MAX_ESTIMATE_WORK:
            tried = self._run(call, guess, is_sent=True) if low < guess < high else None
            if tried is not None:
                work += tried.work
                low, high = (guess, high) if tried.refusal is not None else (low, guess)
            guess = (low + high) // 2
        return quantity(high)

    def _limit(self, call: EthCall) -> int:
        most = self._parameters.max_transaction_gas
        return most if call.gas is None else min(call.gas, most)

    def _run(self, call: EthCall, gas: int, *, is_sent: bool) -> CallResult:
        """Run the call with a gas limit; with `is_sent` as the transaction of its sender, where it names one."""
        system = None if call.to is None else registry.BY_ADDRESS.get(call.to)
        method = None if system is None else system.by_selector.get(call.data[:4])
        # Whether a call would be taken tells which findings there are, to whoever gives another's address.
        is_hidden = method is not None and not method.is_view and call.to in RESTRICTED_ADDRESSES
        if method is not None and (is_hidden or not method.is_public):
            raise restricted_fault()
        run = Call(call.sender, call.to, call.data, gas, self._height, self._time_ms, bytes(32))
        state = self._state
        mark = state.mark()
        try:
            is_judged = is_sent and (
                call.sender != _ZERO_ADDRESS or (call.to is not None and not has_contract(state, call.to))
            )
            if system is not None or is_judged:
                return execute_call(state, run, self._block)
            # py-evm takes a second to load.
            from contracts.evm_call import simulate_evm_call

            return simulate_evm_call(state, run, self._block, registry.BY_ADDRESS)
        finally:
            state.undo(mark)


def _refused(result: CallResult, sender: bytes | None = None) -> RpcFault:
    """Return the fault of a call that was refused, as clients know it from geth: code 3 with the contract's own data.

    Where `sender` itself is unknown, it says what an account is: Ethereum's wallets ask here first.
    """
    message = decode_error(result.output)
    if message and result.refusal == "UNKNOWN_ACCOUNT" and sender is not None and hex_data(sender) in message:
        zh, _, en = message.partition(" / ")
        message = (
            f"{zh}；以太坊钱包不能为本链的账户签名 / {en}; Ethereum's wallets cannot sign for accounts of this chain"
        )
    if result.refusal in _HALTS:
        zh, _, en = (message or str(result.refusal)).partition(" / ")
        return RpcFault(EXECUTION_FAILED, zh, en or zh, {"code": result.refusal})
    return RpcFault(
        CALL_REFUSED, "", "execution reverted" + (f": {message}" if message else ""), hex_data(result.output)
    )


def _too_much(code: str, first: int, last: int) -> RpcFault:
    """Return the fault of a query that takes too much, with the range that it can be asked for."""
    zh = f"一次查询过大：请先查区块 {first} 至 {last}，再从 {last + 1} 起查，或指明 address"
    en = f"too much for one query: ask for blocks {first} to {last}, then from {last + 1} on, or name an address"
    return RpcFault(LIMIT_EXCEEDED, zh, en, {"code": code, "fromBlock": quantity(first), "toBlock": quantity(last)})
