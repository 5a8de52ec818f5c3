"""Shared by the tests of the core: one core driven by one-line inputs, and a small network of cores on a virtual clock."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from consensus.certificate import verify_certificate
from consensus.core import Core
from consensus.events import (
    Action,
    BlockBuilt,
    BuildBlock,
    CertificateReceived,
    Decide,
    Diverged,
    HeightStarted,
    Input,
    LockState,
    ProposalReceived,
    RecordEvidence,
    RoundEntered,
    ScheduleTimeout,
    SignProposal,
    SignVote,
    TimeoutElapsed,
    VoteReceived,
)
from consensus.evidence import Evidence, verify_evidence
from consensus.messages import (
    CommitCertificate,
    Proposal,
    Vote,
    VoteKind,
    proposal_sign_digest,
    vote_sign_digest,
)
from consensus.timeouts import TimeoutKind, TimeoutSchedule
from consensus.validators import Validator, ValidatorSet
from sm_crypto.sm3 import sm3

GENESIS_HASH = sm3(b"genesis of the tests")
TIMEOUTS = TimeoutSchedule(propose_ms=1_000, prevote_ms=500, precommit_ms=500, step_ms=250, limit_ms=2_000)
NETWORK_TIMEOUTS = TimeoutSchedule(propose_ms=100, prevote_ms=50, precommit_ms=50, step_ms=50, limit_ms=600)


def make_validators(count: int) -> ValidatorSet:
    """Return a set whose member i has address and key made of the byte i + 1, so that its index is i."""
    return ValidatorSet([Validator(bytes([index + 1]) * 20, bytes([index + 1]) * 64) for index in range(count)])


def sign(public_key: bytes, digest: bytes, salt: bytes = bytes(32)) -> bytes:
    """Return a stand-in for an SM2 signature: it binds key and digest, and its second half varies like a nonce."""
    return sm3(public_key + digest) + salt


def verify_batch(items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Judge the stand-in signatures of `sign`."""
    return [signature[:32] == sm3(public_key + digest) for public_key, digest, signature in items]


def block_id(name: str) -> bytes:
    """Return the 32-byte id of the block that a test calls `name`."""
    return name.encode().ljust(32, b"\0")


def _named(value: bytes | None) -> str:
    return "nil" if value is None else value.rstrip(b"\0").decode()


class Probe:
    """One core under test: takes inputs as lines, gives actions as lines; the lines are explained in scenarios/README.md."""

    def __init__(self, *, n: int = 4, own: int | None = 0, height: int = 4) -> None:
        self.validators = make_validators(n)
        self.own = own
        self.height = height
        self.core = Core()
        self.core.step(HeightStarted(height, self.validators, own, TIMEOUTS))

    def __call__(self, *lines: str) -> list[str]:
        """Feed the lines and return all the actions that they cause."""
        return [describe(action) for line in lines for action in self._feed(line.split())]

    def _feed(self, words: list[str]) -> list[Action]:
        if words[0] == "height":
            self.height = int(words[1])
            if "n" in words:
                self.validators = make_validators(int(words[words.index("n") + 1]))
            if "own" in words:
                self.own = None if words[-1] == "observer" else int(words[-1])
            return self.core.step(HeightStarted(self.height, self.validators, self.own, TIMEOUTS))
        if words[0] == "restore":
            self.core.restore_lock(_lock(words[1:]))
            return []
        if words[0] == "resume":
            return self.core.resume()
        return [action for event in self._events(words) for action in self.core.step(event)]

    def _events(self, words: list[str]) -> list[Input]:
        height = int(words[words.index("height") + 1]) if "height" in words else self.height
        signature = bytes(64)
        if words[0] == "elapsed":
            kind = TimeoutKind[words[1].replace("-", "_").upper()]
            return [TimeoutElapsed(kind, height, int(words[2][1:]) if len(words) > 2 else 0)]
        round_, name = int(words[1][1:]), words[2]
        value = None if name == "nil" else block_id(name)
        signers = (
            [int(word) for word in itertools.takewhile(str.isdigit, words[words.index("by") + 1 :])]
            if "by" in words
            else []
        )
        if words[0] == "built":
            assert value is not None
            return [BlockBuilt(height, round_, value)]
        if words[0] == "proposal":
            assert value is not None
            pol_round = int(words[words.index("pol") + 1][1:]) if "pol" in words else -1
            proposer = signers[0] if signers else self.validators.proposer_index(height, round_)
            proposal = Proposal(height, round_, value, pol_round, proposer, signature)
            return [ProposalReceived(proposal, "invalid" not in words, "untimely" not in words)]
        if words[0] == "certificate":
            assert value is not None
            return [CertificateReceived(CommitCertificate(height, round_, value, signers, [signature] * len(signers)))]
        kind_of_vote = VoteKind[words[0].upper()]
        return [VoteReceived(Vote(kind_of_vote, height, round_, value, signer, signature)) for signer in signers]


def _lock(words: list[str]) -> LockState:
    """Read "locked r0 X valid r1 Y", either half of which may be left out."""
    fields: dict[str, tuple[int, bytes | None]] = {"locked": (-1, None), "valid": (-1, None)}
    for position in range(0, len(words), 3):
        fields[words[position]] = (int(words[position + 1][1:]), block_id(words[position + 2]))
    return LockState(*fields["locked"], *fields["valid"])


def _described_lock(lock: LockState) -> str:
    text = ""
    if lock.locked_round >= 0:
        text += f" locked r{lock.locked_round} {_named(lock.locked_block_id)}"
    if lock.valid_round >= 0:
        text += f" valid r{lock.valid_round} {_named(lock.valid_block_id)}"
    return text


def describe(action: Action) -> str:
    """Return the line that stands for an action in tests and scenario files."""
    match action:
        case BuildBlock():
            return f"build r{action.round}"
        case SignProposal():
            pol = f" pol r{action.pol_round}" if action.pol_round >= 0 else ""
            return f"sign proposal r{action.round} {_named(action.block_id)}{pol}{_described_lock(action.lock)}"
        case SignVote():
            kind = action.kind.name.lower()
            return f"sign {kind} r{action.round} {_named(action.block_id)}{_described_lock(action.lock)}"
        case ScheduleTimeout():
            return f"wait {action.kind.name.lower()} r{action.round} {action.duration_ms} ms"
        case RoundEntered():
            return f"enter r{action.round} proposer {action.proposer_index}"
        case Decide(certificate=certificate) | Diverged(certificate=certificate):
            word = "decide" if isinstance(action, Decide) else "diverged"
            signers = " ".join(map(str, certificate.signers))
            return f"{word} r{certificate.round} {_named(certificate.block_id)} by {signers}"
        case RecordEvidence(evidence=evidence):
            first, second = evidence.first, evidence.second
            kind = first.kind.name.lower() if isinstance(first, Vote) else "proposal"
            values = f"{_named(first.block_id)} {_named(second.block_id)}"
            return f"evidence {kind} r{first.round} by {first.validator_index} {values}"


class Violation(AssertionError):
    """A property that must hold on every schedule does not."""


class Signed(msgspec.Struct):
    """The last-signed record of a node: what it must never contradict, and the lock that went with it."""

    slot: tuple[int, int, int]
    message: Proposal | Vote
    lock: LockState


class Node:
    """A correct validator: the driver's duties around a core, as small as they can be and still live."""

    def __init__(self, network: Network, index: int) -> None:
        self.network = network
        self.index = index
        self.height = 0
        self.incarnation = 0
        self.is_up = True
        self.certificates: dict[int, CommitCertificate] = {}
        self.proposals: dict[int, Proposal] = {}
        self.last_signed: Signed | None = None
        self.log: list[Input] = []
        self.synced_log_length = 0
        self.rounds_above_zero = self.locks = self.evidence = 0
        self.core = Core()
        self._start_height(1)

    def _start_height(self, height: int) -> None:
        self.height = height
        self.proposals = {}
        self.log = []
        self.synced_log_length = 0
        self.core.step(HeightStarted(height, self.network.validators, self.index, NETWORK_TIMEOUTS))
        self.network.after(10, self, TimeoutElapsed(TimeoutKind.NEW_HEIGHT, height, 0))

    def take(self, event: Input) -> None:
        """Log an input, step the core, and carry out its actions in order."""
        self.log.append(event)
        self._carry_out(self.core.step(event))

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case BuildBlock():
                    new_id = self.network.new_block(action.height, self.index)
                    self.take(BlockBuilt(action.height, action.round, new_id))
                case SignProposal() | SignVote():
                    self._sign(action)
                case ScheduleTimeout():
                    self.network.after(
                        action.duration_ms, self, TimeoutElapsed(action.kind, action.height, action.round)
                    )
                case Decide(certificate=certificate):
                    self.network.check_decision(self, certificate)
                    self.certificates[certificate.height] = certificate
                    self._start_height(certificate.height + 1)
                case Diverged():
                    raise Violation(f"validator {self.index} found a decided block invalid")
                case RecordEvidence(evidence=evidence):
                    self.evidence += 1
                    self.network.check_evidence(evidence)
                case RoundEntered():
                    self.rounds_above_zero += action.round > 0

    def _sign(self, action: SignProposal | SignVote) -> None:
        """Sign once per (height, round, step), as the last-signed record does; the core must not even ask for more."""
        step = 0 if isinstance(action, SignProposal) else int(action.kind)
        slot = (action.height, action.round, step)
        last = self.last_signed
        if last is not None and slot < last.slot:
            raise Violation(f"validator {self.index} would sign {slot} after {last.slot}")
        if last is not None and slot == last.slot:
            if last.message.block_id != action.block_id:
                raise Violation(f"validator {self.index} would sign two values at {slot}")
            message = last.message
        elif isinstance(action, SignProposal):
            digest = proposal_sign_digest(
                GENESIS_HASH, action.height, action.round, action.block_id, action.pol_round, self.index
            )
            message = Proposal(
                action.height,
                action.round,
                action.block_id,
                action.pol_round,
                self.index,
                self.network.sign(self.index, digest),
            )
        else:
            message = self.network.vote(self.index, action.kind, action.height, action.round, action.block_id)
        self.locks += action.lock.locked_round >= 0
        self.last_signed = Signed(slot, message, action.lock)
        self.network.broadcast(self.index, message)
        self.take(self._own_input(message))
        self.synced_log_length = len(self.log)

    def _own_input(self, message: Proposal | Vote) -> Input:
        return self._proposal_input(message) if isinstance(message, Proposal) else VoteReceived(message)

    def _proposal_input(self, proposal: Proposal) -> ProposalReceived:
        self.proposals.setdefault(proposal.round, proposal)
        return ProposalReceived(proposal, self.network.blocks[proposal.block_id], is_timely=True)

    def receive(self, sender: int, message: Any) -> None:
        """Take what came over the network: proposal, vote, certificate, or a peer's (height, round)."""
        if isinstance(message, tuple):
            self._help(sender, *message)
        elif message.height != self.height:
            return
        elif isinstance(message, Vote):
            self.take(VoteReceived(message))
        elif isinstance(message, Proposal):
            self.take(self._proposal_input(message))
        else:
            verify_certificate(message, message.block_id, self.network.validators, GENESIS_HASH, verify_batch)
            self.take(CertificateReceived(message))

    def status(self) -> tuple[int, int]:
        """Return the height and round that this node tells its peers every so often."""
        return self.height, self.core.snapshot().round

    def _help(self, peer: int, height: int, round_: int) -> None:
        if height < self.height:
            self.network.send(self.index, peer, self.certificates[height])
        elif height == self.height:
            for vote in self.core.votes_for_peer(round_):
                self.network.send(self.index, peer, vote)
            for proposal_round in sorted({round_, self.core.snapshot().round} & self.proposals.keys()):
                self.network.send(self.index, peer, self.proposals[proposal_round])

    def crash(self) -> None:
        """Stop; all that is not on disk is gone, and of the log everything after a random byte behind the last sync."""
        self.is_up = False
        self.incarnation += 1
        self.log = self.log[: self.network.random.randint(self.synced_log_length, len(self.log))]

    def restart(self, *, has_log: bool) -> None:
        """Start again from the log and the last-signed record, or (a log that is lost as a whole) from that record alone."""
        self.is_up = True
        self.core = Core()
        log = self.log if has_log else []
        self._start_height(self.height)
        for event in log:
            self.log.append(event)
            self.core.step(event)
            if isinstance(event, ProposalReceived):
                self.proposals.setdefault(event.proposal.round, event.proposal)
        last = self.last_signed
        if last is not None and last.slot[0] == self.height:
            self.core.restore_lock(last.lock)
            self._carry_out(self.core.step(self._own_input(last.message)))
        self._carry_out(self.core.resume())
        self.synced_log_length = len(self.log)


class Network:
    """Cores of n validators on a virtual clock and one seeded heap of events; some validators may be Byzantine."""

    def __init__(
        self, seed: int, n: int, *, byzantine: int = 0, loss: float = 0.0, duplication: float = 0.0, delay_ms: int = 20
    ) -> None:
        self.random = random.Random(seed)
        self.validators = make_validators(n)
        self.now_ms = 0
        self.loss, self.duplication, self.delay_ms = loss, duplication, delay_ms
        self.groups: list[set[int]] = [set(range(n))]
        self.blocks: dict[bytes, bool] = {}
        self.decided: dict[int, bytes] = {}
        self.restarts = 0
        self.byzantine = set(self.random.sample(range(n), byzantine))
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._acted: set[tuple[int, int, int]] = set()
        self.nodes = {index: Node(self, index) for index in range(n) if index not in self.byzantine}
        for index in self.nodes:
            self.at(self.random.randint(0, 100), lambda index=index: self._tick(index))  # type: ignore[misc]

    def at(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Run `act` after a delay of virtual time."""
        heapq.heappush(self._events, (self.now_ms + delay_ms, next(self._order), act))

    def after(self, delay_ms: int, node: Node, event: Input) -> None:
        """Feed an input to this incarnation of a node after a delay."""
        incarnation = node.incarnation

        def act() -> None:
            if node.is_up and node.incarnation == incarnation:
                node.take(event)

        self.at(delay_ms, act)

    def run(self, until: Callable[[], bool], limit_ms: int) -> bool:
        """Run until the condition holds or the virtual time is over; return whether it holds."""
        while not until():
            if self.now_ms > limit_ms:
                return False
            self.now_ms, _, act = heapq.heappop(self._events)
            act()
        return True

    def lowest_height(self) -> int:
        """Return the height of the node that is furthest behind."""
        return min(node.height for node in self.nodes.values())

    def highest_height(self) -> int:
        """Return the height of the node that is furthest ahead."""
        return max(node.height for node in self.nodes.values())

    def heal(self) -> None:
        """End all faults but the Byzantine validators': links are up, nothing is lost, every node is started."""
        self.loss = self.duplication = 0.0
        self.delay_ms = 20
        self.groups = [set(range(len(self.validators)))]
        for node in self.nodes.values():
            if not node.is_up:
                node.restart(has_log=True)

    def crash_and_restart(self, index: int, down_ms: int, *, has_log: bool) -> None:
        """Kill one node now and start it again after a while."""
        node = self.nodes[index]
        if node.is_up:
            self.restarts += 1
            node.crash()
            self.at(down_ms, lambda: None if node.is_up else node.restart(has_log=has_log))

    def new_block(self, height: int, proposer: int, *, is_valid: bool = True) -> bytes:
        """Return the id of a block that nobody has seen."""
        new_id = sm3(b"%d %d %d" % (height, proposer, len(self.blocks)))
        self.blocks[new_id] = is_valid
        return new_id

    def sign(self, index: int, digest: bytes) -> bytes:
        """Sign for validator `index`, with a fresh random half."""
        return sign(self.validators.members[index].public_key, digest, self.random.randbytes(32))

    def vote(self, index: int, kind: VoteKind, height: int, round_: int, value: bytes | None) -> Vote:
        """Return a signed vote of validator `index`."""
        digest = vote_sign_digest(GENESIS_HASH, kind, height, round_, value)
        return Vote(kind, height, round_, value, index, self.sign(index, digest))

    def broadcast(self, sender: int, message: Any) -> None:
        """Send to every other validator."""
        for peer in range(len(self.validators)):
            if peer != sender:
                self.send(sender, peer, message)

    def send(self, sender: int, peer: int, message: Any) -> None:
        """Deliver after a random delay, unless lost or cut off; perhaps twice."""
        if peer in self.byzantine:
            self._provoke(peer, message)
            return
        if not any({sender, peer} <= group for group in self.groups):
            return
        for _ in range(1 + (self.random.random() < self.duplication)):
            if self.random.random() >= self.loss:
                self.at(self.random.randint(1, self.delay_ms), lambda: self._deliver(sender, peer, message))

    def _deliver(self, sender: int, peer: int, message: Any) -> None:
        node = self.nodes[peer]
        if node.is_up:
            node.receive(sender, message)

    def _tick(self, index: int) -> None:
        node = self.nodes[index]
        if node.is_up:
            self.broadcast(index, node.status())
        self.at(100, lambda: self._tick(index))

    def _provoke(self, index: int, message: Any) -> None:
        """A Byzantine validator has learnt of a height and round: once for each, it lies to every peer on its own."""
        if isinstance(message, tuple):
            height, round_ = message
        else:
            height, round_ = message.height, message.round
        if isinstance(message, CommitCertificate) or (index, height, round_) in self._acted:
            return
        self._acted.add((index, height, round_))
        values: list[bytes | None] = [None, message.block_id if isinstance(message, Vote | Proposal) else None]
        values += [self.new_block(height, index), self.new_block(height, index, is_valid=False)]
        for peer in self.nodes:
            lies: list[Proposal | Vote] = []
            for lie_round in (round_, round_, round_ + 1, round_ + self.random.choice([0, 2, 7, 2**30])):
                kind = self.random.choice(list(VoteKind))
                lies += [self.vote(index, kind, height, lie_round, self.random.choice(values)) for _ in range(2)]
            for lie_round in (round_, round_ + 1):
                value = self.random.choice([value for value in values if value is not None])
                if self.validators.proposer_index(height, lie_round) == index:
                    pol_round = self.random.randint(-1, lie_round)
                    digest = proposal_sign_digest(GENESIS_HASH, height, lie_round, value, pol_round, index)
                    lies.append(Proposal(height, lie_round, value, pol_round, index, self.sign(index, digest)))
            for lie in lies:
                self.at(self.random.randint(1, 200), lambda peer=peer, lie=lie: self._deliver(index, peer, lie))  # type: ignore[misc]

    def check_decision(self, node: Node, certificate: CommitCertificate) -> None:
        """Agreement, validity, and a certificate on every decision."""
        verify_certificate(certificate, certificate.block_id, self.validators, GENESIS_HASH, verify_batch)
        if self.decided.setdefault(certificate.height, certificate.block_id) != certificate.block_id:
            raise Violation(f"two blocks are decided at height {certificate.height}")
        if not self.blocks[certificate.block_id] or certificate.height != node.height:
            raise Violation(f"validator {node.index} decided an invalid block, or at another height than its own")

    def check_evidence(self, evidence: Evidence) -> None:
        """Evidence is right, and never against a correct validator."""
        verify_evidence(evidence, self.validators, GENESIS_HASH, verify_batch)
        if evidence.first.validator_index not in self.byzantine:
            raise Violation(f"evidence against validator {evidence.first.validator_index}, which is correct")


@pytest.fixture
def probe() -> Callable[..., Probe]:
    """Return the maker of single cores driven by lines."""
    return Probe


@pytest.fixture
def network() -> Callable[..., Network]:
    """Return the maker of networks."""
    return Network


@pytest.fixture
def validator_set() -> Callable[[int], ValidatorSet]:
    """Return the maker of validator sets of a given size."""
    return make_validators


class Seals:
    """Signatures, certificates and their check, with stand-in signatures in the place of SM2."""

    genesis_hash = GENESIS_HASH
    verify_batch = staticmethod(verify_batch)

    @staticmethod
    def vote(
        index: int, kind: VoteKind, height: int, round_: int, value: bytes | None, genesis_hash: bytes = GENESIS_HASH
    ) -> Vote:
        """Return a vote that validator `index` signed on the given chain."""
        digest = vote_sign_digest(genesis_hash, kind, height, round_, value)
        return Vote(kind, height, round_, value, index, sign(bytes([index + 1]) * 64, digest))

    @staticmethod
    def proposal(
        index: int, height: int, round_: int, value: bytes, pol_round: int = -1, genesis_hash: bytes = GENESIS_HASH
    ) -> Proposal:
        """Return a proposal that validator `index` signed on the given chain."""
        digest = proposal_sign_digest(genesis_hash, height, round_, value, pol_round, index)
        return Proposal(height, round_, value, pol_round, index, sign(bytes([index + 1]) * 64, digest))

    @classmethod
    def certificate(
        cls, height: int, round_: int, value: bytes, signers: list[int], /, **signed: Any
    ) -> CommitCertificate:
        """Return the certificate that `signers` made; `signed` replaces what their signatures cover."""
        fields: dict[str, Any] = {"kind": VoteKind.PRECOMMIT, "height": height, "round_": round_, "value": value}
        seals = [cls.vote(signer, **(fields | signed)).signature for signer in signers]
        return CommitCertificate(height, round_, value, signers, seals)


@pytest.fixture
def seals() -> Seals:
    """Return the makers of signed votes and certificates."""
    return Seals()
