"""What must hold in every run, one checker each; each raises Violation with what it saw."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consensus.certificate import InvalidCertificate, verify_certificate
from consensus.core import Core
from consensus.events import HeightStarted
from consensus.messages import Proposal, Vote
from consensus.round import Step
from node.chain.genesis import Genesis
from node.chain.state_proof import StateProofError, verify_state_proof
from node.driver.agreement import timeout_schedule
from node.driver.proposals import Candidate
from node.driver.recovery import read_log
from node.driver.write_ahead_log import OwnProposalLogged, OwnVoteLogged, WriteAheadLog
from node.ledger.ledger import CommittedBlock, InvalidBlock, Ledger
from node.wire.frames import Frame
from sm_crypto.sm3 import sm3
from tests.simulator.signatures import verify_batch

if TYPE_CHECKING:
    from tests.simulator.validator import SimValidator


class Violation(BaseException):
    """An invariant does not hold; the text says which, and where. No handler of the node must take it for a fault of its own."""


class Agreement:
    """No two correct nodes make different blocks final at one height, in whichever of their lives."""

    def __init__(self) -> None:
        self._chain: dict[int, tuple[str, bytes]] = {}

    def on_commit(self, name: str, block: CommittedBlock) -> None:
        height = block.header.height
        first, block_id = self._chain.setdefault(height, (name, block.block_id))
        if block_id != block.block_id:
            raise Violation(
                f"agreement: at height {height} {first} has {block_id.hex()}, {name} {block.block_id.hex()}"
            )


class Validity:
    """Every decided block is valid: a ledger beside the nodes executes it again and comes to the same roots."""

    def __init__(self, folder: Path, genesis: Genesis) -> None:
        self.ledger = Ledger.open(folder, genesis, state_cache_nodes=1_000)
        self._waiting: dict[int, CommittedBlock] = {}

    def on_commit(self, block: CommittedBlock) -> None:
        self._waiting.setdefault(block.header.height, block)
        while (block_next := self._waiting.pop(self.ledger.height + 1, None)) is not None:
            if block_next.header.parent_id != self.ledger.head_id:
                raise Violation(f"validity: block {block_next.header.height} does not follow the final block before it")
            try:
                executed = self.ledger.execute_block(
                    block_next.header, block_next.transactions, list(block_next.evidence)
                )
            except InvalidBlock as error:
                raise Violation(
                    f"validity: block {block_next.header.height} was decided and is invalid: {error}"
                ) from None
            self.ledger.commit(executed, block_next.certificate)
        self._waiting = {height: waiting for height, waiting in self._waiting.items() if height > self.ledger.height}

    def close(self) -> None:
        self.ledger.close()


class Certified:
    """A quorum of the height's own validators signed every decision."""

    def on_commit(self, name: str, block: CommittedBlock, ledger: Ledger) -> None:
        height = block.header.height
        signers, count = len(set(block.certificate.signers)), len(ledger.validators_at(height))
        # Reckoned here once more: the node's own formula must not vouch for itself.
        if 3 * signers <= 2 * count:
            raise Violation(f"certificate: {name} decided height {height} with {signers} of {count} signatures")
        try:
            verify_certificate(
                block.certificate, block.block_id, ledger.validators_at(height), ledger.genesis.hash, verify_batch
            )
        except InvalidCertificate as error:
            raise Violation(f"certificate: {name} decided height {height} without a certificate: {error}") from None


class OneSignature:
    """No correct validator shows two messages for one (height, round, step), nor two signatures over one message."""

    def __init__(self) -> None:
        self._shown: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._seen: set[bytes] = set()

    def on_frame(self, node: SimValidator, frame: Frame) -> None:
        for message in _messages(frame):
            if message.signature in self._seen or message.signature not in node.signer.made:
                continue
            self._seen.add(message.signature)
            kind = f"vote {int(message.kind)}" if isinstance(message, Vote) else "proposal"
            pol_round = None if isinstance(message, Vote) else message.pol_round
            place = (node.name, message.height, message.round, kind)
            content = (message.block_id, pol_round, message.signature)
            first = self._shown.setdefault(place, content)
            if first != content:
                what = "two messages" if first[:2] != content[:2] else "two signatures over one message"
                raise Violation(f"one signature: {what} of {place}")


def _messages(frame: Frame) -> Iterator[Vote | Proposal]:
    yield from getattr(frame, "votes", ())
    proposal = getattr(frame, "proposal", None)
    if isinstance(proposal, Proposal):
        yield proposal


def check_state_root(name: str, block: CommittedBlock, ledger: Ledger) -> None:
    """Each node's own state has the root that the final header states."""
    if ledger.head_id != block.block_id:
        raise Violation(f"state root: {name} committed height {block.header.height} and stands elsewhere")
    try:
        verify_state_proof(ledger.prove(block.block_id), block.block_id, None, block.header.state_root)
    except StateProofError as error:
        raise Violation(
            f"state root: {name} has another state than block {block.header.height} says: {error}"
        ) from None


def check_sets(block: CommittedBlock, ledger: Ledger) -> bool:
    """Each block's set is the one that its parent named, and changes by one member at most; return whether it does.

    One that joins has asked for it in that very block with its own key.
    """
    height = block.header.height
    before, after = ledger.validators_at(height), ledger.validators_at(height + 1)
    if (before.hash, after.hash) != (block.header.validators_hash, block.header.next_validators_hash):
        raise Violation(f"sets: the header of height {height} names other sets than the ledger keeps")
    if height > 1 and ledger.header(height - 1).next_validators_hash != before.hash:
        raise Violation(f"sets: height {height} is decided by another set than the block before it named")
    joined = set(after.members) - set(before.members)
    left = set(before.members) - set(after.members)
    if len(joined) + len(left) > 1 or len(after) < min(4, len(ledger.validators_at(1))):
        raise Violation(f"sets: {len(joined)} joined and {len(left)} left with block {height}, {len(after)} remain")
    senders = {transaction.sender for transaction in block.transactions}
    if not {member.address for member in joined} <= senders:
        raise Violation(f"sets: a validator joined with block {height} and its node did not ask for it")
    return bool(joined or left)


def state_digest(ledger: Ledger) -> bytes:
    """The SM3 digest over every key and value of the latest state."""
    return sm3(b"".join(len(part).to_bytes(4, "big") + part for pair in ledger.state().iterate(b"") for part in pair))


def check_equal_states(reference: Ledger, nodes: list[SimValidator]) -> None:
    """All that stand at one height hold the same state, byte for byte."""
    expected = state_digest(reference)
    for node in nodes:
        if node.is_up and node.ledger.height == reference.height and state_digest(node.ledger) != expected:
            raise Violation(f"state: {node.name} holds another state at height {reference.height} than a re-execution")


def _read_log(node: SimValidator) -> WriteAheadLog:
    """Return what a restart would read, without touching the file: opening a log cuts its torn tail off."""
    copy = node.folder / "log-copy"
    shutil.copyfile(node.folder / "log", copy)
    log = WriteAheadLog(copy)
    log.close()
    copy.unlink()
    return log


def count_own_records(node: SimValidator) -> int:
    """Return how many messages that it signed a node's log holds."""
    return sum(isinstance(record, OwnProposalLogged | OwnVoteLogged) for record in _read_log(node).records)


def check_replay(node: SimValidator) -> bool:
    """The log replayed into a fresh core gives the state of the running one; return whether there was something to compare."""
    live = node.core.snapshot()
    status = node.driver.status()
    if not status.is_voting or live.height != node.ledger.height + 1 or live.step >= Step.DECIDED:
        return False
    core = Core()
    validators = node.ledger.validators()
    own_index = validators.index_of(node.signer.address)
    core.step(HeightStarted(live.height, validators, own_index, timeout_schedule(node.ledger.parameters())))
    for step in read_log(_read_log(node).records).steps:
        if not isinstance(step, Candidate | OwnProposalLogged | OwnVoteLogged):
            core.step(step)
    if core.snapshot() != live:
        raise Violation(
            f"replay: {node.name} at height {live.height}: the log gives {core.snapshot()}, running is {live}"
        )
    return True
