"""A newcomer that joins by snapshot, the nodes that serve it, the links between them, and virtual time."""

from __future__ import annotations

import heapq
import itertools
import queue
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consensus.messages import CommitCertificate, VoteKind, vote_sign_digest
from node.chain.transaction import VerifiedTransaction
from node.driver.block_sync import serve_blocks
from node.driver.driver import DriverStatus
from node.driver.handshake import own_hello
from node.driver.join_status import JoinStatus
from node.driver.signature_verifier import verify_transactions
from node.driver.snapshot_join import SnapshotJoin
from node.driver.snapshot_service import SnapshotService
from node.ledger.ledger import Ledger
from node.ledger.snapshot import SnapshotBuilder
from node.ledger.snapshot_shelf import SnapshotShelf
from node.wire.frames import BlockRequest, ChunkRequest, Frame, SnapshotRequest, decode_frame, encode_frame

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net

START_MS = 1_760_000_000_000
DELAY_MS = 2
NEWCOMER = "newcomer"
MAKING_S = 90
"""Within which a thread makes a small snapshot on any machine."""


class Server:
    """A running node as far as it serves those who join."""

    def __init__(self, world: World, name: str, ledger: Ledger) -> None:
        self.world = world
        self.name = name
        self.ledger = ledger
        self.folder = world.folder / name
        self.folder.mkdir()
        self.shelf = SnapshotShelf(self.folder / "snapshot", lambda *call: world.calls.put(call))
        self.service = SnapshotService(ledger, self.shelf, self)
        self.sent: list[tuple[str, Frame]] = []
        self.dropped: list[tuple[str, str]] = []
        self.tamper: Callable[[Frame], Frame | None] = lambda frame: frame

    def now_ms(self) -> int:
        return self.world.now_ms

    def send(self, peer: str, frame: Frame) -> None:
        given = self.tamper(frame)
        if given is not None:
            self.sent.append((peer, given))
            self.world.carry(self.name, peer, given)

    def drop_peer(self, peer: str, reason: str) -> None:
        self.dropped.append((peer, reason))

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> object:
        self.world.later(delay_ms, callback)
        return None

    def on_frame(self, peer: str, frame: Frame) -> None:
        if isinstance(frame, SnapshotRequest | ChunkRequest):
            self.service.on_frame(peer, frame)
        elif isinstance(frame, BlockRequest):
            self.send(peer, serve_blocks(self.ledger, frame))

    def sent_of(self, kind: type[Frame]) -> list[Any]:
        return [frame for _, frame in self.sent if isinstance(frame, kind)]


class Newcomer:
    """An empty node that joins by snapshot."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dropped: list[tuple[str, str]] = []
        self.ends = 0
        self.stop_reason = ""
        self.path = world.folder / "joined"
        self.genesis_ledger = Ledger.open(world.folder / f"empty {next(world.numbers)}", world.net.genesis)
        self.join = SnapshotJoin(
            self.genesis_ledger,
            bytes(20),
            lambda offer: SnapshotBuilder(self.path, world.net.genesis, offer),
            self,
            self.count_end,
        )

    def count_end(self) -> None:
        self.ends += 1

    def now_ms(self) -> int:
        return self.world.now_ms

    def send(self, peer: str, frame: Frame) -> None:
        self.world.carry(NEWCOMER, peer, frame)

    def broadcast(self, frame: Frame) -> None:
        for peer in list(self.world.links):
            self.send(peer, frame)

    def schedule(self, delay_ms: int, token: Any) -> None:
        def ring() -> None:
            if self is self.world.newcomer:
                self.join.on_timer(token)

        self.world.later(delay_ms, ring)

    def verify_transactions(self, raws: Any, callback: Any) -> None:
        raise AssertionError("a joining node verifies no transactions")

    def committed(self, block: Any) -> None:
        raise AssertionError("a joining node commits nothing")

    def drop_peer(self, peer: str, reason: str) -> None:
        self.dropped.append((peer, reason))
        self.world.later(0, lambda: self.world.disconnect(peer))

    def stop(self, reason: str) -> None:
        self.stop_reason = reason

    @property
    def status(self) -> JoinStatus:
        found = self.join.status()
        assert isinstance(found, DriverStatus)
        assert found.join is not None
        return found.join

    def open(self) -> Ledger:
        """End the join as the process does, and open what it made."""
        assert self.ends == 1
        assert self.join.builder is not None
        self.join.builder.finish()
        return Ledger.open(self.path, self.world.net.genesis)


class World:
    """One newcomer, nodes that serve, the links between them, virtual time, and the real threads that make snapshots."""

    def __init__(self, net: Net, folder: Path) -> None:
        self.net = net
        self.folder = folder
        self.now_ms = START_MS
        self.calls: queue.Queue[Any] = queue.Queue()
        self.links: set[str] = set()
        self.servers: dict[str, Server] = {}
        self.ledgers: list[Ledger] = []
        self.numbers = itertools.count()
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self.newcomer = Newcomer(self)

    def serve(self, name: str, ledger: Ledger) -> Server:
        self.servers[name] = Server(self, name, ledger)
        return self.servers[name]

    def connect(self, *names: str) -> None:
        for name in names:
            self.links.add(name)
            hello = own_hello(self.servers[name].ledger, name, "test", self.now_ms)
            self.newcomer.join.on_peer(name, hello)

    def disconnect(self, name: str) -> None:
        if name in self.links:
            self.links.remove(name)
            self.newcomer.join.on_peer_lost(name)
            self.servers[name].service.on_peer_lost(NEWCOMER)

    def later(self, delay_ms: int, work: Callable[[], object]) -> None:
        heapq.heappush(self._events, (self.now_ms + delay_ms, next(self.numbers), work))

    def carry(self, source: str, target: str, frame: Frame) -> None:
        raw = encode_frame(frame)
        name = target if source == NEWCOMER else source
        newcomer = self.newcomer

        def deliver() -> None:
            if name not in self.links or newcomer is not self.newcomer:
                return
            receiver = newcomer.join if target == NEWCOMER else self.servers[target]
            receiver.on_frame(source, decode_frame(raw))

        self.later(DELAY_MS, deliver)

    def run(self, duration_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        end_ms = self.now_ms + duration_ms
        while not until():
            if any(server.service._is_making for server in self.servers.values()):
                # Time stands still for the real thread.
                work, *arguments = self.calls.get(timeout=MAKING_S)
                work(*arguments)
            elif self._events and self._events[0][0] <= end_ms:
                self.now_ms, _, event = heapq.heappop(self._events)
                event()
            else:
                self.now_ms = end_ms
                return until()
        return True

    def finish(self, duration_ms: int = 120_000) -> None:
        assert self.run(duration_ms, lambda: bool(self.newcomer.ends)), self.newcomer.join.status()

    def restart(self) -> None:
        """The newcomer's process is killed and started again: only its files are left."""
        builder = self.newcomer.join.builder
        if builder is not None:
            builder._storage.close()
        self.newcomer.genesis_ledger.close()
        names, self.links = self.links, set()
        self.newcomer = Newcomer(self)
        self.newcomer.join.start()
        for name in names:
            self.servers[name].service.on_peer_lost(NEWCOMER)
        self.connect(*names)


def grow(net: Net, chain: Ledger, count: int, transactions: int = 15) -> None:
    """Commit blocks that the network's validators certified."""
    signers = [net.nodes[index].signer for index in range(3)]
    for _ in range(count):
        verified = [
            one
            for one in verify_transactions([net.transaction() for _ in range(transactions)])
            if isinstance(one, VerifiedTransaction)
        ]
        built = chain.build_block(verified, chain.head_time_ms + 10, signers[0].address)
        height = built.header.height
        digest = vote_sign_digest(net.genesis.hash, VoteKind.PRECOMMIT, height, 0, built.block_id)
        seals = [signer.sign(digest) for signer in signers]
        chain.commit(built, CommitCertificate(height, 0, built.block_id, [0, 1, 2], seals))
