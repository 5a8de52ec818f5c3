"""Checks transactions that arrive: decoded, hashed and verified in batches on one worker thread, off the event loop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from node.chain.codec import CodecError
from node.chain.transaction import (
    Transaction,
    VerifiedTransaction,
    address_of,
    decode_transaction,
    transaction_hash,
    transaction_id,
)
from node.driver.txpool import Rejection, RejectionCode
from node.stages import StageClock
from sm_crypto.sm2 import verify_batch

MAX_BATCH_TRANSACTIONS: Final = 512
MAX_WAITING_TRANSACTIONS: Final = 100_000
MAX_WAITING_BYTES: Final = 128 * 1024 * 1024
MAX_CACHED_ADDRESSES: Final = 10_000

Verdict: TypeAlias = VerifiedTransaction | Rejection
VerdictCallback: TypeAlias = Callable[[list[Verdict]], None]

_BUSY: Final = Rejection(
    RejectionCode.BUSY,
    "待验签交易过多，请稍后重试 / too many transactions wait for verification; submit again in a moment",
)
_BAD_SIGNATURE: Final = Rejection(
    RejectionCode.BAD_SIGNATURE, "交易签名无效 / the signature is not the sender's over this transaction"
)
_REPEATED: Final = Rejection(RejectionCode.REPEATED, "该交易已在交易池中 / this transaction waits already")

_address_by_key: dict[bytes, bytes] = {}


class SignatureVerifier:
    """One worker thread; what waits while it works goes together into its next batch."""

    def __init__(
        self,
        run_on_loop: Callable[[Callable[[], None]], object],
        is_known: Callable[[bytes], bool],
        stages: StageClock,
    ) -> None:
        """Start the worker. `run_on_loop` is thread-safe and runs a callback later on the owner's thread.

        `is_known` says of a transaction hash that the node holds it, verified; it is called from the worker.
        """
        self._run_on_loop = run_on_loop
        self._is_known = is_known
        self._stages = stages
        self._waiting: deque[tuple[Sequence[bytes], VerdictCallback]] = deque()
        self._waiting_count = 0
        self._waiting_bytes = 0
        self._condition = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="signature-verifier", daemon=True)
        self._thread.start()

    def submit(self, raws: Sequence[bytes], callback: VerdictCallback) -> None:
        """Verify `raws` and hand one verdict for each to `callback` on the loop; all BUSY where too many wait already."""
        size = sum(map(len, raws))
        with self._condition:
            is_full = (
                self._is_closed
                or self._waiting_count + len(raws) > MAX_WAITING_TRANSACTIONS
                or self._waiting_bytes + size > MAX_WAITING_BYTES
            )
            if not is_full:
                self._waiting.append((raws, callback))
                self._waiting_count += len(raws)
                self._waiting_bytes += size
                self._condition.notify()
        if is_full:
            self._run_on_loop(lambda: callback([_BUSY] * len(raws)))

    def close(self) -> None:
        """Return when the worker has ended; what still waits is dropped."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._condition:
                while not self._waiting and not self._is_closed:
                    self._condition.wait()
                if self._is_closed:
                    return
                requests = [self._waiting.popleft()]
                count = len(requests[0][0])
                while self._waiting and count + len(self._waiting[0][0]) <= MAX_BATCH_TRANSACTIONS:
                    requests.append(self._waiting.popleft())
                    count += len(requests[-1][0])
            with self._stages.measure("verify"):
                self._serve(requests)
            with self._condition:
                self._waiting_count -= count
                self._waiting_bytes -= sum(len(raw) for raws, _ in requests for raw in raws)

    def _serve(self, requests: list[tuple[Sequence[bytes], VerdictCallback]]) -> None:
        raws = [raw for request, _ in requests for raw in request]
        verdicts: list[Verdict] = []
        for start in range(0, len(raws), MAX_BATCH_TRANSACTIONS):
            verdicts += verify_transactions(raws[start : start + MAX_BATCH_TRANSACTIONS], self._is_known)
        start = 0
        for request, callback in requests:
            mine = verdicts[start : start + len(request)]
            start += len(request)
            self._run_on_loop(lambda callback=callback, mine=mine: callback(mine))  # type: ignore[misc]


def verify_transactions(raws: Sequence[bytes], is_known: Callable[[bytes], bool] = lambda _: False) -> list[Verdict]:
    """Return for each of `raws` the verified transaction, or why it is none; what `is_known` names by hash is REPEATED."""
    verdicts: list[Verdict] = []
    candidates: list[int] = []
    items: list[tuple[bytes, bytes, bytes]] = []
    for raw in raws:
        raw_hash = transaction_hash(raw)
        if is_known(raw_hash):
            verdicts.append(_REPEATED)
            continue
        try:
            transaction = decode_transaction(raw)
        except CodecError as error:
            verdicts.append(Rejection(RejectionCode.MALFORMED, f"交易格式错误 / malformed transaction: {error}"))
            continue
        verified = _describe(raw, raw_hash, transaction)
        candidates.append(len(verdicts))
        items.append((verified.body.sender_key, verified.id, transaction.signature))
        verdicts.append(verified)
    for index, is_valid in zip(candidates, verify_batch(items) if items else (), strict=True):
        if not is_valid:
            verdicts[index] = _BAD_SIGNATURE
    return verdicts


def certified_transaction(raw: bytes) -> VerifiedTransaction:
    """Return the transaction in bytes that a quorum or this node's own log vouches for; raise CodecError where it does not decode."""
    return _describe(raw, transaction_hash(raw), decode_transaction(raw))


def _describe(raw: bytes, raw_hash: bytes, transaction: Transaction) -> VerifiedTransaction:
    body = transaction.body
    sender = _address_by_key.get(body.sender_key)
    if sender is None:
        if len(_address_by_key) >= MAX_CACHED_ADDRESSES:
            _address_by_key.clear()
        sender = _address_by_key[body.sender_key] = address_of(body.sender_key)
    return VerifiedTransaction(raw, raw_hash, transaction_id(body), sender, body)
