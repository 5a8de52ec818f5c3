"""The node's read side: what JSON-RPC, the explorer and benches see of a running node, and where clients hand in transactions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from contracts.validator_sets import load_validators
from node.driver.driver import Driver, DriverStatus
from node.driver.peer_progress import PeerProgress
from node.driver.signature_verifier import SignatureVerifier, Verdict
from node.driver.snapshot_join import SnapshotJoin
from node.driver.txpool import Rejection, RejectionCode
from node.ledger.ledger import CommittedBlock, Ledger
from node.logs import Log
from node.stages import StageClock

if TYPE_CHECKING:
    from node.wire.peers import Peers, PeerState

MAX_WAITERS: Final = 20_000
BEHIND_HEIGHTS: Final = 3

_LOG = Log("view")
_STOPPED: Final = Rejection(RejectionCode.BUSY, "节点正在停止 / this node is stopping; submit to another one")


class SubmitResult(msgspec.Struct, frozen=True):
    """What became of one transaction that a client handed in: its 32-byte id (None when it has none), and why it was not taken."""

    id: bytes | None
    rejection: Rejection | None


class NodeView:
    """One running node as its HTTP side sees it; for the thread of the event loop, the ledger's thread-safe reads apart."""

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        driver: Driver | SnapshotJoin,
        peers: Peers,
        verifier: SignatureVerifier,
        stages: StageClock,
        stop: Callable[[str], None],
    ) -> None:
        """Stand before the parts of a node; committed() has to be told of every final block."""
        self.name = name
        self.ledger = ledger
        self.stages = stages
        self.stop = stop
        """Ends the node because its HTTP side cannot go on, for the reason given."""
        self.stop_reason = ""
        """Why the node is stopping, or empty while it runs."""
        self._driver = driver
        self._peers = peers
        self._verifier = verifier
        self._listeners: list[Callable[[CommittedBlock], None]] = []
        self._waiters: dict[bytes, list[asyncio.Future[None]]] = {}
        self._waiter_count = 0

    def status(self) -> DriverStatus:
        """Return where the node stands in consensus."""
        return self._driver.status()

    def peers(self) -> list[PeerState]:
        """Return what is known of every configured peer."""
        return self._peers.states()

    def peer_progress(self) -> dict[str, PeerProgress]:
        """Return where each connected peer stands by its own word, by name."""
        return self._driver.peers()

    def not_ready_reason(self) -> str:
        """Return why clients should ask another node, in Chinese and English, or an empty text."""
        if self.stop_reason:
            return f"节点正在停止 / stopping: {self.stop_reason}"
        status = self._driver.status()
        if status.join is not None:
            return f"正在以快照加入网络 / joining by snapshot: {status.join.percent} %"
        if status.target_height > status.height + BEHIND_HEIGHTS:
            return f"正在追赶区块 / catching up: height {status.height} of {status.target_height}"
        # Other nodes that are connected do not make up for a validator that is not.
        names = {validator.name for validator in load_validators(self.ledger.state())}
        connected = 1 + sum(peer.is_connected and peer.name in names for peer in self._peers.states())
        quorum = self.ledger.validators().quorum
        if status.is_validator and connected < quorum:
            return f"连接的共识节点不足法定数 / too few validators connected: {connected} of {quorum}"
        return ""

    def subscribe(self, callback: Callable[[CommittedBlock], None]) -> Callable[[], None]:
        """Call back on the loop's thread with every block that becomes final; the returned function ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    async def submit(self, raws: Sequence[bytes]) -> list[SubmitResult]:
        """Verify transactions, admit them to the pool and send them on; return one result for each, in order."""
        answered: asyncio.Future[list[Verdict]] = asyncio.get_running_loop().create_future()

        def answer(verdicts: list[Verdict]) -> None:
            # The client may have gone away meanwhile; its transactions were handed in all the same.
            if not answered.cancelled():
                answered.set_result(verdicts)

        self._verifier.submit(raws, answer)
        verdicts = await answered
        good = [verdict for verdict in verdicts if not isinstance(verdict, Rejection)]
        answers = iter(self._driver.on_verified(good, None) if good else ())
        return [
            SubmitResult(None, verdict)
            if isinstance(verdict, Rejection)
            else SubmitResult(verdict.id, next(answers, _STOPPED))
            for verdict in verdicts
        ]

    def is_waiting(self, transaction_id: bytes) -> bool:
        """Return whether a transaction with this 32-byte id waits for a block here."""
        return self._driver.is_waiting(transaction_id)

    async def wait_receipt(self, transaction_id: bytes, timeout_ms: int) -> None:
        """Return when the transaction is final or after `timeout_ms`; at once where too many wait already."""
        if self._waiter_count >= MAX_WAITERS:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiters.setdefault(transaction_id, [])
        waiting.append(future)
        self._waiter_count += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_ms / 1_000):
                    await future
        finally:
            self._waiter_count -= 1
            waiting.remove(future)
            if not waiting:
                self._waiters.pop(transaction_id, None)

    def committed(self, block: CommittedBlock) -> None:
        """Tell whoever waits for one of the block's transactions, and every subscriber."""
        if self._waiters:
            for transaction in block.transactions:
                for future in self._waiters.get(transaction.id, ()):
                    if not future.done():
                        future.set_result(None)
        for listener in self._listeners:
            try:
                listener(block)
            except Exception:  # noqa: BLE001 - a reader's fault is not consensus's
                _LOG.exception("subscriber_failed", height=block.header.height)
