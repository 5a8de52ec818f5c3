"""The pool: verified transactions that wait for a block, bounded, first come first served, with a fair share for every sender."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from contracts.parameters import ChainParameters
from node.chain.transaction import VerifiedTransaction

MAX_POOL_TRANSACTIONS: Final = 60_000
MAX_POOL_BYTES: Final = 64 * 1024 * 1024
MAX_KNOWN_SENDERS: Final = 10_000
EXPIRY_BUCKET_MS: Final = 10_000


class RejectionCode(enum.StrEnum):
    """Why a node does not take a transaction."""

    MALFORMED = "MALFORMED"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    WRONG_CHAIN = "WRONG_CHAIN"
    EXPIRED = "EXPIRED"
    TOO_FAR_AHEAD = "TOO_FAR_AHEAD"
    GAS_LIMIT_TOO_HIGH = "GAS_LIMIT_TOO_HIGH"
    REPEATED = "REPEATED"
    UNKNOWN_SENDER = "UNKNOWN_SENDER"
    POOL_FULL = "POOL_FULL"
    SENDER_SHARE_FULL = "SENDER_SHARE_FULL"
    BUSY = "BUSY"


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """One transaction that was not taken: a code for programs, a text in Chinese and English for people."""

    code: RejectionCode
    message: str


class PoolLimits(msgspec.Struct, frozen=True):
    """What the pool holds at most, and what the chain allows a transaction."""

    chain_id: int
    window_ms: int
    max_transaction_gas: int
    max_transactions: int = MAX_POOL_TRANSACTIONS
    max_bytes: int = MAX_POOL_BYTES
    clock_precision_ms: int = 0
    """By how much the clock of whoever proposes the next block may be behind ours."""

    @classmethod
    def of_chain(cls, chain_id: int, parameters: ChainParameters) -> PoolLimits:
        """Return the limits that go with the chain's parameters: what no block can hold never waits for one."""
        max_gas = min(parameters.max_transaction_gas, parameters.max_block_gas)
        precision_ms = parameters.clock_precision_ms
        return cls(chain_id, parameters.transaction_window_ms, max_gas, clock_precision_ms=precision_ms)


class _Queue:
    """One sender's waiting transactions by hash, oldest first, and their bytes."""

    __slots__ = ("size_bytes", "transactions")

    def __init__(self) -> None:
        self.transactions: dict[bytes, VerifiedTransaction] = {}
        self.size_bytes = 0


class TxPool:
    """Waiting transactions, found by hash, taken in turn from every sender.

    A sender may hold as much as is still free: one alone fills half of the pool, the next half of the rest, so that
    there is always room for somebody new.
    """

    def __init__(
        self, limits: PoolLimits, is_member: Callable[[bytes], bool], is_repeated: Callable[[bytes], bool]
    ) -> None:
        """Start empty; `is_member` knows 20-byte addresses of active accounts, `is_repeated` ids of executed transactions."""
        self._limits = limits
        self._is_member = is_member
        self._is_repeated = is_repeated
        self._by_hash: dict[bytes, VerifiedTransaction] = {}
        self._hash_by_id: dict[bytes, bytes] = {}
        self._queues: dict[bytes, _Queue] = {}
        self._expiring: dict[int, dict[bytes, None]] = {}
        self._known_senders: set[bytes] = set()
        self._head_time_ms = 0
        self.size_bytes = 0

    def follow(self, parameters: ChainParameters) -> None:
        """Hold new and waiting transactions to the parameters of the next block."""
        before = self._limits
        limits = PoolLimits.of_chain(before.chain_id, parameters)
        self._limits = msgspec.structs.replace(
            limits, max_transactions=before.max_transactions, max_bytes=before.max_bytes
        )
        if limits.max_transaction_gas < before.max_transaction_gas:
            self.remove([one.hash for one in self._by_hash.values() if one.body.gas_limit > limits.max_transaction_gas])

    def __len__(self) -> int:
        return len(self._by_hash)

    def __contains__(self, transaction_hash: object) -> bool:
        return transaction_hash in self._by_hash

    def is_waiting(self, transaction_id: bytes) -> bool:
        """Return whether a transaction with this 32-byte id waits here."""
        return transaction_id in self._hash_by_id

    def get(self, transaction_hash: bytes) -> VerifiedTransaction | None:
        """Return the waiting transaction with this hash of its full bytes, or None."""
        return self._by_hash.get(transaction_hash)

    def add(self, transaction: VerifiedTransaction, now_ms: int) -> Rejection | None:
        """Take the transaction in and return None, or say why not; `now_ms` is wall time."""
        rejection = self._check(transaction, now_ms)
        if rejection is not None:
            return rejection
        size = len(transaction.raw)
        queue = self._queues.get(transaction.sender)
        if queue is None:
            queue = self._queues[transaction.sender] = _Queue()
        queue.transactions[transaction.hash] = transaction
        queue.size_bytes += size
        self.size_bytes += size
        self._by_hash[transaction.hash] = transaction
        self._hash_by_id[transaction.id] = transaction.hash
        bucket = transaction.body.valid_until_ms // EXPIRY_BUCKET_MS
        expiring = self._expiring.get(bucket)
        if expiring is None:
            expiring = self._expiring[bucket] = {}
        expiring[transaction.hash] = None
        return None

    def _check(self, transaction: VerifiedTransaction, now_ms: int) -> Rejection | None:
        body, limits = transaction.body, self._limits
        if body.chain_id != limits.chain_id:
            return _reject_chain(limits.chain_id, body.chain_id)
        # On an idle network the last block is old: what counts is the time of the next one, whose proposer goes by its clock.
        next_ms = max(self._head_time_ms, now_ms - limits.clock_precision_ms)
        if body.valid_until_ms < next_ms:
            return _reject_expired(next_ms, body.valid_until_ms)
        if body.valid_until_ms > max(now_ms, self._head_time_ms) + limits.window_ms:
            return _reject_too_far(limits.window_ms)
        if body.gas_limit > limits.max_transaction_gas:
            return _reject_gas(limits.max_transaction_gas, body.gas_limit)
        if transaction.id in self._hash_by_id or self._is_repeated(transaction.id):
            return _REPEATED
        if transaction.sender not in self._known_senders and not self._look_up(transaction.sender):
            return _UNKNOWN_SENDER
        size = len(transaction.raw)
        free_bytes = limits.max_bytes - self.size_bytes - size
        free_count = limits.max_transactions - len(self._by_hash) - 1
        if free_count < 0 or free_bytes < 0:
            return _POOL_FULL
        queue = self._queues.get(transaction.sender)
        if queue is not None and (len(queue.transactions) > free_count or queue.size_bytes > free_bytes):
            return _SENDER_SHARE_FULL
        return None

    def _look_up(self, sender: bytes) -> bool:
        if not self._is_member(sender):
            return False
        if len(self._known_senders) >= MAX_KNOWN_SENDERS:
            self._known_senders.clear()
        self._known_senders.add(sender)
        return True

    def take(self, max_count: int, max_bytes: int) -> list[VerifiedTransaction]:
        """Return what a block of these limits may hold, in turn from every sender, oldest first; they stay in the pool."""
        chosen: list[VerifiedTransaction] = []
        for transaction in self._in_turn():
            max_bytes -= len(transaction.raw)
            if len(chosen) >= max_count or max_bytes < 0:
                break
            chosen.append(transaction)
        return chosen

    def _in_turn(self) -> Iterator[VerifiedTransaction]:
        """Yield one transaction of each sender after the other, first of those that have waited longest for a block."""
        if len(self._queues) == 1:
            yield from next(iter(self._queues.values())).transactions.values()
            return
        turns = [iter(queue.transactions.values()) for queue in self._queues.values()]
        while turns:
            still: list[Iterator[VerifiedTransaction]] = []
            for turn in turns:
                transaction = next(turn, None)
                if transaction is not None:
                    yield transaction
                    still.append(turn)
            turns = still

    def oldest(self, count: int, max_bytes: int) -> list[VerifiedTransaction]:
        """Return up to `count` waiting transactions of together at most `max_bytes`, in the order in which they came."""
        found: list[VerifiedTransaction] = []
        for transaction in islice(self._by_hash.values(), count):
            max_bytes -= len(transaction.raw)
            if max_bytes < 0:
                break
            found.append(transaction)
        return found

    def remove(self, hashes: Iterable[bytes]) -> None:
        """Drop the transactions with these hashes that are here."""
        for transaction_hash in hashes:
            transaction = self._by_hash.pop(transaction_hash, None)
            if transaction is None:
                continue
            del self._hash_by_id[transaction.id]
            del self._expiring[transaction.body.valid_until_ms // EXPIRY_BUCKET_MS][transaction_hash]
            size = len(transaction.raw)
            self.size_bytes -= size
            queue = self._queues[transaction.sender]
            del queue.transactions[transaction_hash]
            queue.size_bytes -= size
            if not queue.transactions:
                del self._queues[transaction.sender]

    def on_final(self, transactions: Sequence[VerifiedTransaction], time_ms: int) -> None:
        """Drop what a final block of this time holds, by id, and what can be in no later block."""
        hash_by_id = self._hash_by_id
        self.remove(
            [waiting for waiting in (hash_by_id.get(final.id) for final in transactions) if waiting is not None]
        )
        # Who had a turn goes to the end: else one sender's heavy calls, first every time, could fill every block's work.
        for sender in {final.sender: None for final in transactions}:
            queue = self._queues.pop(sender, None)
            if queue is not None:
                self._queues[sender] = queue
        self._head_time_ms = time_ms
        # A block may have changed who is a member.
        self._known_senders.clear()
        for bucket in [bucket for bucket in self._expiring if (bucket + 1) * EXPIRY_BUCKET_MS <= time_ms]:
            self.remove(list(self._expiring[bucket]))
            del self._expiring[bucket]


_REPEATED: Final = Rejection(
    RejectionCode.REPEATED, "该交易已提交或已执行 / this transaction waits already or was executed"
)
_UNKNOWN_SENDER: Final = Rejection(
    RejectionCode.UNKNOWN_SENDER,
    "发送方不是有效账户：未登记、已注销，或其部门已被暂停 / the sender is not an active account: not registered, removed, "
    "or of a suspended department; ask your department",
)
_POOL_FULL: Final = Rejection(
    RejectionCode.POOL_FULL, "交易池已满，请稍后重试 / the pool is full; submit again in a moment"
)
_SENDER_SHARE_FULL: Final = Rejection(
    RejectionCode.SENDER_SHARE_FULL,
    "该发送方在交易池中的份额已满，请稍后重试 / this sender's share of the pool is full; submit again in a moment",
)


def _reject_chain(expected: int, found: int) -> Rejection:
    return Rejection(
        RejectionCode.WRONG_CHAIN,
        f"链标识不符：应为 {expected}，实为 {found} / expected chain id {expected}, found {found}; sign for this chain",
    )


def _reject_expired(next_ms: int, found_ms: int) -> Rejection:
    return Rejection(
        RejectionCode.EXPIRED,
        f"交易已过期：下一区块的时间不早于 {next_ms}，有效至 {found_ms}；请以更晚的有效期重新签名 / "
        f"expired: the next block's time is {next_ms} ms or later, valid until {found_ms} ms; sign it again with a later time",
    )


def _reject_too_far(window_ms: int) -> Rejection:
    return Rejection(
        RejectionCode.TOO_FAR_AHEAD,
        f"有效期过长：最多 {window_ms} 毫秒 / valid too far ahead: at most {window_ms} ms from now; sign it again with an earlier time",
    )


def _reject_gas(limit: int, found: int) -> Rejection:
    return Rejection(
        RejectionCode.GAS_LIMIT_TOO_HIGH,
        f"燃料上限过高：最多 {limit}，实为 {found} / expected a gas limit of at most {limit}, found {found}",
    )
