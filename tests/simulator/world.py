"""The simulated network: validators, the links between them, and time: one virtual clock and one seeded heap of events."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from contracts import registry
from contracts.identifiers import uscc_check_character
from contracts.parameters import ChainParameters
from node.chain.codec import CodecError, encode
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.chain.transaction import Transaction, TransactionBody, VerifiedTransaction, transaction_id
from node.driver.signature_verifier import verify_transactions
from node.ledger.ledger import CommittedBlock
from node.wire.frames import Frame, decode_frame, encode_frame
from sm_crypto.sm3 import sm3
from tests.simulator.ambush import Ambush
from tests.simulator.checkers import (
    Agreement,
    Certified,
    OneSignature,
    Validity,
    Violation,
    check_sets,
    check_state_root,
)
from tests.simulator.signatures import StandInSigner, public_key_of
from tests.simulator.steps import Killed
from tests.simulator.validator import SimValidator

GENESIS_MS = 1_750_000_000_000
CHAIN_ID = 77
USCC_BODY = "11330100002500287"
DEPARTMENT = USCC_BODY + uscc_check_character(USCC_BODY)
REDIAL_MS = 200
PARAMETERS = {
    "block_interval_ms": 10,
    "empty_block_interval_ms": 200,
    "timeout_propose_ms": 300,
    "timeout_prevote_ms": 150,
    "timeout_precommit_ms": 150,
    "timeout_step_ms": 100,
    "timeout_limit_ms": 2_000,
}

_EVENT = struct.Struct(">QQ")


class World:
    """N validators and everything between them; the same seed and calls give the same run, byte for byte."""

    def __init__(self, folder: Path, seed: int, count: int = 4, *, spares: int = 0, **parameters: int) -> None:
        """Begin with `count` validators, and as many nodes more as `spares` says, which only follow until they join."""
        self.random = random.Random(seed)
        self.least_validators = count
        """The smallest set that the run may come to."""
        self.now_ms = 1_000
        self.step = 0
        self.loss = 0.0
        self.duplication = 0.0
        self.is_ordered = True
        self.delay_ms = (1, 3)
        self.parted: set[frozenset[str]] = set()
        """Pairs between which no connection stands or is made."""
        self.mute: set[tuple[str, str]] = set()
        """(source, target) of links that swallow what is sent that way."""
        self.links: set[frozenset[str]] = set()
        self.counts: Counter[str] = Counter()
        self.notes: list[str] = []
        self.plot: dict[bytes, bytes] = {}
        """Which block Byzantine proposers show the other half of the network instead of one."""
        self.trace = hashlib.blake2b(digest_size=16)
        self._events: list[tuple[int, int, SimValidator | None, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._last_arrival: dict[tuple[str, str], int] = {}
        keys = sorted((public_key_of(f"validator {n}") for n in range(count)), key=lambda key: sm3(key)[-20:])
        spare_keys = [public_key_of(f"spare {n}") for n in range(spares)]
        self.clerk = StandInSigner(public_key_of("clerk"))
        self.governor = StandInSigner(public_key_of("governor"))
        self.genesis = Genesis(
            CHAIN_ID,
            "模拟网络",
            GENESIS_MS,
            ChainParameters(**{**PARAMETERS, **parameters}),
            tuple(GenesisValidator(f"node{n}", DEPARTMENT, key) for n, key in enumerate(keys)),
            (
                GenesisDepartment(
                    DEPARTMENT,
                    "数据局",
                    "330100",
                    "city",
                    "",
                    (
                        GenesisAccount(self.clerk.public_key, ("recorder",), "clerk"),
                        GenesisAccount(self.governor.public_key, ("governor",), "governor"),
                    ),
                ),
            ),
            b"",
        )
        self.agreement = Agreement()
        self.certified = Certified()
        self.one_signature = OneSignature()
        self.validity = Validity(folder / "reference", self.genesis)
        self.ambush: Ambush | None = None
        self.at_height: Callable[[], None] = lambda: None
        """Called when the first node has made a block final."""
        self.at_boundary: Callable[[], None] = lambda: None
        """Called once the first node has made a block final that changes the set."""
        # Until the set changes, node n is validator n: proposer of height h and round r is node (h + r) % count.
        self.nodes = [
            SimValidator(self, f"node{n}", folder / f"node{n}", key) for n, key in enumerate([*keys, *spare_keys])
        ]
        self.by_name = {node.name: node for node in self.nodes}
        self._serial = 0

    @property
    def faulty_limit(self) -> int:
        """How many nodes may be faulty in every set that the run may come to."""
        return (self.least_validators - 1) // 3

    @property
    def correct(self) -> list[SimValidator]:
        return [node for node in self.nodes if node.is_correct]

    @property
    def top_height(self) -> int:
        """The greatest height that is final at a correct validator which is up."""
        return max((node.ledger.height for node in self.correct if node.is_up), default=0)

    @property
    def digest(self) -> str:
        """Of everything that happened so far, in its order."""
        return self.trace.hexdigest()

    def note(self, text: str) -> None:
        """Write a line into the story of the run."""
        self.trace.update(text.encode())
        self.notes.append(f"{self.now_ms} {text}")

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def close(self) -> None:
        """End every process and close the files."""
        for node in self.nodes:
            node.kill()
        self.validity.close()

    # Events

    def later(self, delay_ms: int, node: SimValidator | None, work: Callable[[], object]) -> None:
        """Do work after a while in a node's present life, or with None in the world around them."""
        life = 0 if node is None else node.life
        if node is not None and node.busy_until_ms > self.now_ms:
            delay_ms += node.busy_until_ms - self.now_ms
        heapq.heappush(self._events, (self.now_ms + delay_ms, next(self._numbers), node, life, work))

    def run_in(self, node: SimValidator, work: Callable[[], object]) -> None:
        """Do work in a node's process, which may be killed in the middle of it."""
        try:
            work()
        except Killed:
            self.note(f"{node.name} is killed")
            node.kill()
            return
        if node.stop_reason is not None:
            self.note(f"{node.name} stops: {node.stop_reason}")
            node.kill()
            if node.is_correct:
                raise Violation(f"health: the correct {node.name} stopped itself: {node.stop_reason}")

    def run(self, duration_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; return whether `until` came true in it."""
        end_ms = self.now_ms + duration_ms
        while self._events and self._events[0][0] <= end_ms:
            if until():
                return True
            self.now_ms, number, node, life, work = heapq.heappop(self._events)
            self.step += 1
            self.trace.update(_EVENT.pack(self.now_ms, number))
            if node is None:
                work()
            elif node.is_up and node.life == life:
                if node.busy_until_ms > self.now_ms:
                    self.later(0, node, work)
                else:
                    self.run_in(node, work)
        if not until():
            self.now_ms = end_ms
            return until()
        return True

    # Messages

    def carry(self, source: SimValidator, targets: Sequence[SimValidator], frame: Frame) -> None:
        """Take a frame on its way; what a Byzantine source makes of it differs from target to target."""
        if source.behaviour is not None:
            for target in targets:
                for raw in source.behaviour.outgoing(source, target, frame):
                    self.carry_raw(source, target, raw, _decoded(raw))
            return
        self.one_signature.on_frame(source, frame)
        raw = encode_frame(frame)
        arriving = decode_frame(raw)
        for target in targets:
            self.carry_raw(source, target, raw, arriving)

    def carry_raw(self, source: SimValidator, target: SimValidator, raw: bytes, frame: Frame | None) -> None:
        """Lose, repeat or deliver bytes; bytes that are no frame (None) cost the sender its connection, as on a real link."""
        link = frozenset((source.name, target.name))
        if link not in self.links:
            return
        self.trace.update(f"{source.name} {target.name} ".encode() + raw)
        self.counts["messages"] += 1
        if (source.name, target.name) in self.mute or (self.loss and self.random.random() < self.loss):
            self.counts["lost"] += 1
            return
        held_ms = 0 if self.ambush is None or frame is None else self.ambush.delay_ms(source, target, frame)
        if held_ms is None:
            self.counts["lost"] += 1
            return
        copies = 1
        if self.duplication and self.random.random() < self.duplication:
            self.counts["duplicated"] += 1
            copies = 2
        life = target.life

        def deliver() -> None:
            if link not in self.links or target.life != life:
                return
            if target.behaviour is not None:
                target.behaviour.heard(raw)
            if frame is None:
                target.drop_peer(source.name, "sent bytes that are no frame")
            else:
                target.driver.on_frame(source.name, frame)

        for _ in range(copies):
            arrival = max(self.now_ms, source.busy_until_ms) + held_ms + self.random.randint(*self.delay_ms)
            if self.is_ordered and not held_ms:
                arrival = max(arrival, self._last_arrival.get((source.name, target.name), 0))
                self._last_arrival[(source.name, target.name)] = arrival
            self.later(arrival - self.now_ms, target, deliver)

    def connect(self, one: SimValidator, other: SimValidator) -> None:
        """Make a connection where both are up and not parted; both sides greet."""
        link = frozenset((one.name, other.name))
        if not (one.is_up and other.is_up) or link in self.links or link in self.parted:
            return
        self.links.add(link)
        for node, peer in ((one, other), (other, one)):
            hello = peer.hello()
            self.later(0, node, lambda node=node, peer=peer, hello=hello: node.driver.on_peer(peer.name, hello))  # type: ignore[misc]

    def disconnect(self, one: SimValidator, other: SimValidator) -> None:
        """Break a connection; both sides dial again after REDIAL_MS."""
        link = frozenset((one.name, other.name))
        if link not in self.links:
            return
        self.links.discard(link)
        for node, peer in ((one, other), (other, one)):
            if node.is_up:
                self.run_in(node, lambda node=node, peer=peer: node.driver.on_peer_lost(peer.name))  # type: ignore[misc]
        self.later(REDIAL_MS, None, lambda: self.connect(one, other))

    def part(self, groups: Sequence[Sequence[SimValidator]]) -> None:
        """Let connections stand only within each group."""
        group_of = {node.name: number for number, group in enumerate(groups) for node in group}
        for one, other in itertools.combinations(self.nodes, 2):
            if group_of[one.name] != group_of[other.name]:
                self.parted.add(frozenset((one.name, other.name)))
                self.disconnect(one, other)

    def join(self) -> None:
        """End every partition and every one-way link."""
        self.parted.clear()
        self.mute.clear()
        for one, other in itertools.combinations(self.nodes, 2):
            self.connect(one, other)

    # Transactions

    def transaction(self, contract: str = "", function: str = "", **arguments: object) -> bytes:
        """Return a signed transaction: an anchor by the clerk, or the call that is named, by the governor."""
        self._serial += 1
        signer = self.governor if contract else self.clerk
        if not contract:
            contract, function = "anchors", "anchor"
            arguments = {"digest": sm3(b"%d" % self._serial), "label": "件"}
        to, data = registry.encode_call(contract, function, **arguments)
        valid_until_ms = GENESIS_MS + self.now_ms + 300_000
        body = TransactionBody(
            1, CHAIN_ID, self._serial.to_bytes(16, "big"), valid_until_ms, signer.public_key, to, 1_000_000, data
        )
        return encode(Transaction(body, signer.sign(transaction_id(body))))

    def submit(self, node: SimValidator, raw: bytes) -> bytes:
        """Give a node that is up a client's transaction; return its id."""
        verified = [one for one in verify_transactions([raw]) if isinstance(one, VerifiedTransaction)]
        if len(verified) != 1:
            raise Violation("the simulator made a transaction that does not verify")
        self.run_in(node, lambda: node.driver.on_verified(verified, None))
        return verified[0].id

    # What nodes tell

    def on_commit(self, node: SimValidator, block: CommittedBlock) -> None:
        self.counts["commits"] += 1
        if not node.is_correct:
            return
        self.note(f"{node.name} commits {block.header.height}")
        self.agreement.on_commit(node.name, block)
        self.certified.on_commit(node.name, block, node.ledger)
        check_state_root(node.name, block, node.ledger)
        if self.validity.ledger.height < block.header.height:
            self.validity.on_commit(block)
            self.counts["evidence_in_blocks"] += len(block.evidence)
            if check_sets(block, node.ledger):
                self.counts["set_changes"] += 1
                self.note(f"the set changes after {block.header.height}")
                self.later(0, None, self.at_boundary)
            self.at_height()

    def on_kill(self, node: SimValidator) -> None:
        self.counts["kills"] += 1
        for peer in self.nodes:
            if peer is not node:
                self.disconnect(node, peer)


def _decoded(raw: bytes) -> Frame | None:
    try:
        return decode_frame(raw)
    except CodecError:
        return None
