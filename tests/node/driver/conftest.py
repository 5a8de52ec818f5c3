"""Four real drivers with real cores, ledgers, logs and keys on one virtual clock and one seeded heap of events."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from consensus.core import Core
from consensus.messages import Proposal, Vote
from contracts import registry
from contracts.identifiers import uscc_check_character
from contracts.members import may_send
from contracts.parameters import ChainParameters
from node.chain.codec import decode, encode
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.chain.transaction import Transaction, TransactionBody, VerifiedTransaction, transaction_id
from node.driver.driver import Driver
from node.driver.effects import Timer
from node.driver.handshake import own_hello
from node.driver.last_signed import create_last_signed
from node.driver.signature_verifier import VerdictCallback, verify_transactions
from node.driver.txpool import PoolLimits, Rejection, TxPool
from node.identity import NodeIdentity
from node.ledger.ledger import CommittedBlock, Ledger
from node.stages import StageClock
from node.wire.frames import Frame, Hello, ProposalFrame, VotesFrame, decode_frame, encode_frame
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.simulator.steps import Killed, WatchedLedger, WatchedLog, WatchedRecord

GENESIS_MS = 1_750_000_000_000
CHAIN_ID = 77
USCC_BODY = "11330100002500287"
DEPARTMENT = USCC_BODY + uscc_check_character(USCC_BODY)
VERIFY_MS = 1
PARAMETERS = {
    "block_interval_ms": 10,
    "empty_block_interval_ms": 5_000,
    "timeout_propose_ms": 300,
    "timeout_prevote_ms": 150,
    "timeout_precommit_ms": 150,
    "timeout_step_ms": 100,
    "timeout_limit_ms": 2_000,
}


def key_of(name: str) -> PrivateKey:
    return PrivateKey.from_bytes(b"\0" + sm3(name.encode())[1:])


class Node:
    """One validator: its files live as long as the test, the rest as long as the process."""

    def __init__(self, net: Net, index: int, folder: Path, key: PrivateKey) -> None:
        self.net = net
        self.name = f"node{index}"
        self.folder = folder
        self.signer = Signer(key)
        self.clock_offset_ms = 0
        self.is_up = False
        self.life = 0
        self.stop_reason: str | None = None
        self.dropped: list[tuple[str, str]] = []
        self.points = 0
        self.kill_at: int | None = None
        self.kill_on = ""
        self.last_point = ""
        self.blocks: dict[int, bytes] = {}
        folder.mkdir()
        create_last_signed(folder / "last_signed")

    # What the driver sees

    def now_ms(self) -> int:
        return GENESIS_MS + self.net.now_ms + self.clock_offset_ms

    def send(self, peer: str, frame: Frame) -> None:
        self.point(f"send {type(frame).__name__}")
        self.net.carry(self, self.net.by_name[peer], encode_frame(frame))

    def broadcast(self, frame: Frame) -> None:
        self.point(f"broadcast {type(frame).__name__}")
        raw = encode_frame(frame)
        for peer in self.net.nodes:
            if peer is not self:
                self.net.carry(self, peer, raw)
        self.point(f"after broadcast {type(frame).__name__}")

    def schedule(self, delay_ms: int, token: Timer) -> None:
        self.net.later(delay_ms, self, lambda: self.driver.on_timer(token))

    def verify_transactions(self, raws: Sequence[bytes], callback: VerdictCallback) -> None:
        self.net.later(VERIFY_MS, self, lambda: callback(verify_transactions(raws, self.pool.__contains__)))

    def drop_peer(self, peer: str, reason: str) -> None:
        self.dropped.append((peer, reason))
        self.net.later(0, self, lambda: self.net.disconnect(self, self.net.by_name[peer]))

    def committed(self, block: CommittedBlock) -> None:
        self.blocks[block.header.height] = block.block_id

    def stop(self, reason: str) -> None:
        self.stop_reason = reason

    # What the test does to it

    def point(self, name: str) -> None:
        self.points += 1
        self.last_point = name
        if name == self.kill_on or (self.kill_at is not None and self.points >= self.kill_at):
            raise Killed

    def start(self) -> None:
        self.life += 1
        self.is_up = True
        self.stop_reason = None
        self.ledger = Ledger.open(self.folder / "ledger", self.net.genesis, state_cache_nodes=1_000)
        self.wal = WatchedLog(self.folder / "log", self.point)
        self.last_signed = WatchedRecord(self.folder / "last_signed", self.point)
        parameters = self.net.genesis.parameters
        self.pool = TxPool(
            PoolLimits.of_chain(CHAIN_ID, parameters),
            lambda address: may_send(self.ledger.state(), address),
            self.ledger.is_repeated,
        )
        self.core = Core()
        self.driver = Driver(
            cast(Ledger, WatchedLedger(self.ledger, self.point)),
            self.core,
            self.pool,
            self.signer,
            self.wal,
            self.last_signed,
            self,
            StageClock(),
            NodeIdentity(self.name, self.net.genesis.departments[0].code),
        )
        self.net.run_in(self, self.driver.start)
        for peer in self.net.nodes:
            if self.is_up and peer is not self and peer.is_up:
                self.net.connect(self, peer)

    def kill(self) -> None:
        """End the process; what it wrote to its files stays there, synced or not."""
        if not self.is_up:
            return
        self.is_up = False
        self.kill_at = None
        self.kill_on = ""
        self.ledger_height_at_kill = self.ledger.height
        self.wal.close()
        self.last_signed.close()
        self.ledger.close()
        for peer in self.net.nodes:
            if peer is not self:
                self.net.disconnect(self, peer)

    def hello(self) -> Hello:
        return own_hello(self.ledger, self.name, "test", self.now_ms())

    def submit(self, *raws: bytes) -> list[Rejection | None]:
        verdicts = verify_transactions(raws)
        good = [verdict for verdict in verdicts if isinstance(verdict, VerifiedTransaction)]
        assert len(good) == len(raws)
        answers: list[Rejection | None] = []
        self.net.run_in(self, lambda: answers.extend(self.driver.on_verified(good, None)))
        return answers


class Net:
    """The nodes, the links between them, and time."""

    def __init__(self, folder: Path, seed: int = 0, count: int = 4, **parameters: int) -> None:
        self.random = random.Random(seed)
        self.now_ms = 1_000
        self.loss = 0.0
        self.delay_ms = (1, 3)
        self.cut: set[frozenset[str]] = set()
        self.links: set[frozenset[str]] = set()
        self.filter: Callable[[Node, Node, Frame], bool] = lambda source, target, frame: True
        self.frames: list[tuple[int, str, str, Frame]] = []
        self.signed: dict[tuple[Any, ...], dict[bytes | None, set[bytes]]] = {}
        self._events: list[tuple[int, int, Node, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._last_arrival: dict[tuple[str, str], int] = {}
        keys = sorted((key_of(f"validator {n}") for n in range(count)), key=lambda key: Signer(key).address)
        self.clerk = key_of("clerk")
        account = GenesisAccount(self.clerk.public_key, ("recorder",), "clerk")
        governor = GenesisAccount(key_of("governor").public_key, ("governor",), "governor")
        self.genesis = Genesis(
            CHAIN_ID,
            "测试网络",
            GENESIS_MS,
            ChainParameters(**{**PARAMETERS, **parameters}),
            tuple(GenesisValidator(f"node{n}", DEPARTMENT, key.public_key) for n, key in enumerate(keys)),
            (GenesisDepartment(DEPARTMENT, "数据局", "330100", "city", "", (account, governor)),),
            b"",
        )
        # Node n is validator n: proposer of height h and round r is node (h + r) % count.
        self.nodes = [Node(self, n, folder / f"node{n}", key) for n, key in enumerate(keys)]
        self.by_name = {node.name: node for node in self.nodes}
        self._serial = 0

    def transaction(self, **changes: Any) -> bytes:
        self._serial += 1
        digest = sm3(b"%d" % self._serial)
        to, data = registry.encode_call("anchors", "anchor", digest=digest, label="件")
        fields = {"valid_until_ms": GENESIS_MS + self.now_ms + 300_000, "gas_limit": 1_000_000, **changes}
        body = TransactionBody(
            1,
            fields.get("chain_id", CHAIN_ID),
            self._serial.to_bytes(16, "big"),
            fields["valid_until_ms"],
            self.clerk.public_key,
            to,
            fields["gas_limit"],
            data,
        )
        return encode(Transaction(body, self.clerk.sign(transaction_id(body))))

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def later(self, delay_ms: int, node: Node, work: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_ms + delay_ms, next(self._numbers), node, node.life, work))

    def run_in(self, node: Node, work: Callable[[], object]) -> None:
        """Do work in a node's process, which may be killed in the middle of it."""
        try:
            work()
        except Killed:
            node.kill()
            return
        if node.stop_reason is not None:
            node.kill()

    def carry(self, source: Node, target: Node, raw: bytes) -> None:
        frame = decode_frame(raw)
        self._check_signatures(source, frame)
        link = frozenset((source.name, target.name))
        if link not in self.links or link in self.cut:
            return
        if not self.filter(source, target, frame) or self.random.random() < self.loss:
            return
        self.frames.append((self.now_ms, source.name, target.name, frame))
        # As over one connection: never out of order.
        arrival = self.now_ms + self.random.randint(*self.delay_ms)
        arrival = max(arrival, self._last_arrival.get((source.name, target.name), 0))
        self._last_arrival[(source.name, target.name)] = arrival
        life = target.life

        def deliver() -> None:
            if link in self.links and target.life == life:
                target.driver.on_frame(source.name, frame)

        self.later(arrival - self.now_ms, target, deliver)

    def _check_signatures(self, source: Node, frame: Frame) -> None:
        """No validator ever shows two different messages for one place, nor two signatures for one message."""
        messages: list[Vote | Proposal] = []
        if isinstance(frame, VotesFrame):
            messages += frame.votes
        elif isinstance(frame, ProposalFrame):
            messages.append(frame.proposal)
        for message in messages:
            kind = message.kind if isinstance(message, Vote) else "proposal"
            seen = self.signed.setdefault((message.height, message.round, kind, message.validator_index), {})
            seen.setdefault(message.block_id, set()).add(message.signature)

    def connect(self, one: Node, other: Node) -> None:
        link = frozenset((one.name, other.name))
        if not (one.is_up and other.is_up) or link in self.links or link in self.cut:
            return
        self.links.add(link)
        for node, peer in ((one, other), (other, one)):
            hello = peer.hello()
            self.later(0, node, lambda node=node, peer=peer, hello=hello: node.driver.on_peer(peer.name, hello))  # type: ignore[misc]

    def disconnect(self, one: Node, other: Node) -> None:
        link = frozenset((one.name, other.name))
        if link not in self.links:
            return
        self.links.discard(link)
        for node, peer in ((one, other), (other, one)):
            if node.is_up:
                node.driver.on_peer_lost(peer.name)
        # Peers keep dialling.
        for node in (one, other):
            if node.is_up:
                self.later(200, node, lambda: self.connect(one, other))

    def part(self, *names: str) -> None:
        """Cut these nodes off from the others."""
        for one, other in itertools.product(self.nodes, self.nodes):
            if (one.name in names) != (other.name in names):
                self.cut.add(frozenset((one.name, other.name)))
                self.disconnect(one, other)

    def heal(self) -> None:
        self.cut.clear()
        for one, other in itertools.combinations(self.nodes, 2):
            self.connect(one, other)

    def run(self, duration_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; return whether `until` came true in it."""
        end_ms = self.now_ms + duration_ms
        while self._events and self._events[0][0] <= end_ms:
            if until():
                return True
            self.now_ms, _, node, life, work = heapq.heappop(self._events)
            if node.is_up and node.life == life:
                self.run_in(node, work)
        if not until():
            self.now_ms = end_ms
            return until()
        return True

    def reach(self, height: int, duration_ms: int, nodes: Sequence[Node] | None = None) -> None:
        """Let time pass until these nodes (all that are up) have made `height` final."""

        def arrived() -> bool:
            waited = nodes if nodes is not None else [node for node in self.nodes if node.is_up]
            return all(node.ledger.height >= height for node in waited if node.is_up)

        assert self.run(duration_ms, arrived), [
            (node.name, node.is_up, node.stop_reason, node.is_up and node.driver.status()) for node in self.nodes
        ]

    def settle(self, raws: Sequence[bytes], duration_ms: int) -> None:
        """Let time pass until these transactions are final on all nodes that are up."""
        ids = [transaction_id(decode(raw, Transaction).body) for raw in raws]

        def settled() -> bool:
            return all(node.ledger.is_repeated(one) for node in self.nodes if node.is_up for one in ids)

        assert self.run(duration_ms, settled), [node.driver.status() for node in self.nodes if node.is_up]

    def check(self) -> None:
        """One chain, and no second signature anywhere."""
        chain: dict[int, bytes] = {}
        for node in self.nodes:
            for height, block_id in node.blocks.items():
                assert chain.setdefault(height, block_id) == block_id, f"fork at {height}"
        for place, seen in self.signed.items():
            assert len(seen) == 1, f"two messages for {place}"
            assert all(len(signatures) == 1 for signatures in seen.values()), f"two signatures for {place}"

    def heights_holding(self, raws: Sequence[bytes], node: Node) -> list[int]:
        """Where each transaction is final."""
        wanted = dict.fromkeys(raws, -1)
        for height in range(1, node.ledger.height + 1):
            for raw in node.ledger.sealed_block(height).body.transactions:
                if raw in wanted:
                    assert wanted[raw] == -1, "a transaction is final twice"
                    wanted[raw] = height
        return list(wanted.values())


@pytest.fixture
def make_net(tmp_path: Path) -> Iterator[Callable[..., Net]]:
    """Make networks whose nodes are ended with the test."""
    made: list[Net] = []

    def make(**options: Any) -> Net:
        folder = tmp_path / f"net{len(made)}"
        folder.mkdir()
        made.append(Net(folder, **options))
        return made[-1]

    yield make
    for net in made:
        for node in net.nodes:
            node.kill()


@pytest.fixture(scope="session")
def net_type() -> type[Net]:
    """What a module makes one network of for all its tests."""
    return Net


@pytest.fixture
def net(make_net: Callable[..., Net]) -> Net:
    """Four validators that are up and connected."""
    net = make_net()
    net.start()
    net.run(50)
    return net
