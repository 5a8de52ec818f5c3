"""Execution: which transactions may stand in a block, and what each of them does to the state."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from contracts.call import Call, CallResult, Log
from contracts.calls import execute_call, runs_evm_code
from contracts.evm_state import HEAVY_WORK, MAX_BLOCK_WORK, EvmBlock
from contracts.parameters import ChainParameters
from contracts.recent_blocks import load_block_id
from node.chain.block import Receipt
from node.chain.codec import encode
from node.chain.faults import LocalFault
from node.chain.transaction import VerifiedTransaction
from node.chain.world_state import WorldState, account_state_key, encode_account, load_account_count

INTERNAL_ERROR = "INTERNAL_ERROR"
MAX_BLOCK_RECEIPT_BYTES: Final = 8_000_000
"""Bytes of receipts after which a block takes no more transactions: a log costs little gas, and a receipt is kept for ever."""
MAX_EVM_OUTPUT_BYTES: Final = 4_096
"""What a receipt keeps of the output of EVM code; nobody pays for its length."""


class Unfit(enum.Enum):
    """Why a transaction may not stand in a block; BLOCK_FULL and WORK_FULL leave it good for a later one."""

    WRONG_CHAIN = "the transaction is for another chain id"
    EXPIRED = "block time is past the transaction's valid_until_ms"
    TOO_FAR_AHEAD = "the transaction's valid_until_ms lies further ahead than the chain's window"
    REPEATED = "the transaction is already in the chain"
    TOO_MUCH_GAS = "the transaction's gas limit is above the chain's"
    BLOCK_FULL = "the block has no room left for the transaction"
    WORK_FULL = "the block's EVM code has taken all the work that a block may"


class ContractFault(msgspec.Struct, frozen=True):
    """A contract failed in a way it does not declare: the transaction's place in the block and the exception, for the operator."""

    index: int
    error: str


class BlockExecution:
    """One block's transactions run one after the other over a WorldState."""

    def __init__(
        self,
        state: WorldState,
        parameters: ChainParameters,
        chain_id: int,
        height: int,
        time_ms: int,
        is_repeated: Callable[[bytes], bool],
    ) -> None:
        """Begin a block; `is_repeated` tells whether earlier blocks hold a transaction id."""
        self._state = state
        self._parameters = parameters
        self._chain_id = chain_id
        self._height = height
        self._time_ms = time_ms
        self._is_repeated = is_repeated
        self._ids: set[bytes] = set()
        self._counts: dict[bytes, int] = {}
        self._bytes = 0
        self._work = 0
        self._receipt_bytes = 0
        self._block = EvmBlock(
            height,
            time_ms,
            chain_id,
            parameters.max_block_gas,
            self._count,
            lambda number: load_block_id(state, number),
        )
        self.gas_used = 0
        self.transactions: list[VerifiedTransaction] = []
        self.receipts: list[Receipt] = []
        self.encoded_receipts: list[bytes] = []
        self.faults: list[ContractFault] = []

    def unfit(self, transaction: VerifiedTransaction) -> Unfit | None:
        """Return why the transaction may not be the block's next one, or None when it may."""
        body, parameters = transaction.body, self._parameters
        if body.chain_id != self._chain_id:
            return Unfit.WRONG_CHAIN
        ahead_ms = body.valid_until_ms - self._time_ms
        if ahead_ms < 0:
            return Unfit.EXPIRED
        if ahead_ms > parameters.transaction_window_ms:
            return Unfit.TOO_FAR_AHEAD
        if body.gas_limit > parameters.max_transaction_gas:
            return Unfit.TOO_MUCH_GAS
        if transaction.id in self._ids or self._is_repeated(transaction.id):
            return Unfit.REPEATED
        if (
            len(self.transactions) >= parameters.max_block_transactions
            or self._bytes + len(transaction.raw) > parameters.max_block_bytes
            or self.gas_used + body.gas_limit > parameters.max_block_gas
            or self._receipt_bytes >= MAX_BLOCK_RECEIPT_BYTES
        ):
            return Unfit.BLOCK_FULL
        if self._work >= MAX_BLOCK_WORK and runs_evm_code(self._state, body.to):
            return Unfit.WORK_FULL
        return None

    def run(self, transaction: VerifiedTransaction) -> None:
        """Execute a fit transaction: its writes stay unless it is refused, its receipt and its sender's count always."""
        body, state, sender = transaction.body, self._state, transaction.sender
        call = Call(sender, body.to, body.data, body.gas_limit, self._height, self._time_ms, transaction.id)
        mark = state.mark()
        try:
            result = execute_call(state, call, self._block)
        except LocalFault:
            raise
        except (MemoryError, OSError, ImportError) as error:
            # A matter of this machine, not of the transaction: others may well execute it. No contract opens a file, but what runs
            # EVM code is loaded when it is first needed, and where no file can be opened any more that fails.
            raise LocalFault(f"{type(error).__name__} in transaction {transaction.id.hex()}: {error}") from error
        except Exception as error:  # noqa: BLE001 - whatever a contract raises must end as the same receipt on every node
            self.faults.append(ContractFault(len(self.transactions), f"{type(error).__name__}: {error}"))
            # No text of the exception: it may differ between versions. All gas, as for any exceptional halt.
            work = MAX_BLOCK_WORK if runs_evm_code(state, body.to) else 0
            result = CallResult(INTERNAL_ERROR, body.gas_limit, b"", (), work)
        if result.refusal is not None:
            state.undo(mark)
        logs: tuple[Log, ...] = result.logs if result.refusal is None else ()
        nonce = self._count(sender)
        output = result.output[:MAX_EVM_OUTPUT_BYTES] if result.work else result.output
        receipt = Receipt(result.refusal, result.gas_used, output, logs, nonce)
        encoded = encode(receipt)
        self._ids.add(transaction.id)
        self._counts[sender] = nonce + 1
        self._bytes += len(transaction.raw)
        self.gas_used += result.gas_used
        self._work += result.work
        self._receipt_bytes += len(encoded)
        self.transactions.append(transaction)
        self.receipts.append(receipt)
        self.encoded_receipts.append(encoded)

    def finish(self) -> None:
        """Write the senders' counts; the state then holds all that the block changes."""
        state = self._state
        for sender, count in self._counts.items():
            state.set(account_state_key(sender), encode_account(count))

    def _count(self, address: bytes) -> int:
        """Return how many transactions of an address the chain holds up to here, this block's included."""
        count = self._counts.get(address)
        return load_account_count(self._state.get, address) if count is None else count

    def run_fitting(self, transactions: Sequence[VerifiedTransaction]) -> tuple[tuple[VerifiedTransaction, Unfit], ...]:
        """Run the fit ones in order until the block is full; return those that are unfit for any block from now on.

        Where EVM code has taken the block's work the other transactions still come in, and a sender has one heavy call in a
        block: one whose code loops holds up nobody for longer than that takes.
        """
        unfit_ones: list[tuple[VerifiedTransaction, Unfit]] = []
        heavy: set[bytes] = set()
        for transaction in transactions:
            unfit = self.unfit(transaction)
            if unfit is None:
                if transaction.sender in heavy and runs_evm_code(self._state, transaction.body.to):
                    continue
                before = self._work
                self.run(transaction)
                if self._work - before >= HEAVY_WORK:
                    heavy.add(transaction.sender)
            elif unfit is Unfit.BLOCK_FULL:
                break
            elif unfit is not Unfit.WORK_FULL:
                unfit_ones.append((transaction, unfit))
        return tuple(unfit_ones)
