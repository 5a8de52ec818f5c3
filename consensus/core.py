"""The core: inputs in, actions out. It joins vote keeping and round machine into the rules of Tendermint.

Pure: no clock, no socket, no file, no randomness; the same inputs give the same actions, so that a log of inputs replays.
Rules R1 to R12 are those of docs/spec/consensus.md; numbers in brackets are lines of Algorithm 1 of arXiv 1807.04938.
"""

from __future__ import annotations

import msgspec

from consensus.events import (
    Action,
    BlockBuilt,
    CertificateReceived,
    Decide,
    Diverged,
    HeightStarted,
    Input,
    LockState,
    ProposalReceived,
    RecordEvidence,
    TimeoutElapsed,
    VoteReceived,
)
from consensus.evidence import double_proposal, double_vote, is_double_proposal
from consensus.messages import MAX_ROUND, NO_ROUND, CommitCertificate, Proposal, Vote, VoteKind
from consensus.round import NO_LOCK, RoundMachine, Step
from consensus.timeouts import TimeoutKind
from consensus.votes import FUTURE_ROUNDS_KEPT, MAX_PAST_ROUNDS, VoteKeeper


class CoreStatus(msgspec.Struct, frozen=True):
    """Where the core stands, for status, metrics and for saying why a chain does not move."""

    height: int
    round: int
    step: Step
    proposer_index: int
    lock: LockState
    prevoters: tuple[int, ...]
    """Indices of the validators whose prevote of this round is here."""
    precommitters: tuple[int, ...]
    highest_rounds: tuple[int, ...]
    """The highest round that each validator has voted in at this height, NO_ROUND for none."""
    missing_block_id: bytes | None
    """A block that a quorum voted for and that the core has not been told of, the one that matters most: ask peers for it."""


class Core:
    """One validator's (or observer's) part in agreement, one height after the other."""

    __slots__ = ("_blocks", "_double_proposals", "_machine", "_proposals", "_votes")

    def __init__(self) -> None:
        """Wait for the first HeightStarted."""
        self._machine: RoundMachine | None = None
        self._votes: VoteKeeper
        self._proposals: dict[int, ProposalReceived]
        self._blocks: dict[bytes, bool]
        self._double_proposals: set[int]

    def step(self, event: Input) -> list[Action]:
        """Take one input and return the actions that it causes, to be carried out in order; input for another height causes none.

        Raises ValueError only where the driver breaks its side: a height that does not rise, or an own index outside the set.
        """
        if isinstance(event, HeightStarted):
            self._start_height(event)
            return []
        machine = self._machine
        if machine is None or machine.step >= Step.DECIDED:
            return []
        match event:
            case VoteReceived(vote=vote):
                self._take_vote(machine, vote)
            case ProposalReceived(proposal=proposal):
                self._take_proposal(machine, proposal, event)
            case TimeoutElapsed():
                self._take_timeout(machine, event)
            case BlockBuilt(height=height, round=round_, block_id=block_id):
                if height == machine.height:
                    machine.propose_built(round_, block_id)
            case CertificateReceived(certificate=certificate):
                if certificate.height == machine.height:
                    self._finish(machine, certificate)
        while machine.step < Step.DECIDED and self._apply_rule(machine):
            pass
        actions, machine.actions = machine.actions, []
        return actions

    def restore_lock(self, lock: LockState) -> None:
        """Join the lock state of the last-signed record, after HeightStarted of its height; raise ValueError on a contradiction."""
        if self._machine is None:
            raise ValueError("a lock belongs to a height: start the height before restoring it")
        self._machine.restore_lock(lock)
        self._note_needed_rounds(self._machine)

    def resume(self) -> list[Action]:
        """Return what a replay with muted outputs left open: unanswered requests to build or sign, and waits that still run."""
        return [] if self._machine is None else self._machine.pending()

    def wants(self, vote: Vote) -> bool:
        """Return whether the core would learn from a vote now; one that it would not need not be checked or logged (R11, R12)."""
        machine = self._machine
        return (
            machine is not None
            and machine.step < Step.DECIDED
            and vote.height == machine.height
            and 0 <= vote.round <= MAX_ROUND
            and self._votes.wants(vote)
        )

    def block_quorums(self, round_: int) -> frozenset[tuple[VoteKind, bytes]]:
        """Return which votes of a round of this height carry a quorum for a block: kind and block id."""
        if self._machine is None:
            return frozenset()
        tallies = (
            (VoteKind.PREVOTE, self._votes.prevotes(round_)),
            (VoteKind.PRECOMMIT, self._votes.precommits(round_)),
        )
        return frozenset((kind, value) for kind, tally in tallies for value in tally.quorum_values if value is not None)

    def votes_for_peer(self, peer_round: int) -> list[Vote]:
        """Return the votes that bring a peer at this height and in `peer_round` forward (R12), a quorum of each kind where we have one.

        The votes of our last and our own round, from the peer's round on, and the prevotes that prove our valid value.
        """
        machine = self._machine
        if machine is None:
            return []
        first = max(peer_round, machine.round - 1)
        votes = [vote for round_ in range(first, machine.round + 1) for vote in self._votes.votes(round_)]
        lock = machine.lock
        if NO_ROUND < lock.valid_round < first:
            votes += self._votes.prevotes(lock.valid_round).votes_for(lock.valid_block_id)
        return votes

    @property
    def place(self) -> tuple[int, Step]:
        """The round and step of this height, without the cost of a snapshot."""
        machine = self._machine
        return (0, Step.NEW_HEIGHT) if machine is None else (machine.round, machine.step)

    def snapshot(self) -> CoreStatus:
        """Return where the core stands; height 0 before the first HeightStarted."""
        machine = self._machine
        if machine is None:
            return CoreStatus(0, 0, Step.NEW_HEIGHT, 0, NO_LOCK, (), (), (), None)
        votes = self._votes
        return CoreStatus(
            machine.height,
            machine.round,
            machine.step,
            machine.proposer_index,
            machine.lock,
            votes.prevotes(machine.round).signers(),
            votes.precommits(machine.round).signers(),
            tuple(votes.highest_rounds),
            max(
                (block_id for block_id in votes.supported if block_id not in self._blocks),
                key=lambda block_id: (block_id in votes.committed, votes.supported[block_id], block_id),
                default=None,
            ),
        )

    def _start_height(self, event: HeightStarted) -> None:
        if self._machine is not None and event.height <= self._machine.height:
            raise ValueError(f"expected a height above {self._machine.height}, found {event.height}")
        if event.own_index is not None and not 0 <= event.own_index < len(event.validators):
            raise ValueError(f"expected an own index below {len(event.validators)}, found {event.own_index}")
        self._machine = RoundMachine(event.height, event.validators, event.own_index, event.timeouts)
        self._votes = VoteKeeper(event.validators)
        self._proposals = {}
        self._blocks = {}
        self._double_proposals = set()

    def _take_vote(self, machine: RoundMachine, vote: Vote) -> None:
        if vote.height != machine.height or not 0 <= vote.round <= MAX_ROUND:
            return
        if vote.validator_index == machine.own_index:
            machine.note_own_vote(vote.kind, vote.round)
            self._follow_round(machine)
        conflict = self._votes.add(vote)
        if conflict is not None:
            machine.actions.append(RecordEvidence(double_vote(*conflict)))

    def _take_proposal(self, machine: RoundMachine, proposal: Proposal, event: ProposalReceived) -> None:
        round_ = proposal.round
        is_own = proposal.validator_index == machine.own_index
        if (
            proposal.height != machine.height
            or not 0 <= round_ <= MAX_ROUND
            or not NO_ROUND <= proposal.pol_round < round_
            or proposal.validator_index != machine.validators.proposer_index(proposal.height, round_)
            or (round_ > machine.round + FUTURE_ROUNDS_KEPT and not is_own)  # R11
        ):
            return
        if is_own:
            machine.note_own_proposal(round_)
            self._follow_round(machine)
        # The first proposal of a round is the one that R2 and R3 judge. Another one, by an equivocating proposer, only tells us
        # of its block, and only where a quorum voted for that block: R5 and R8 need the block, whichever proposal brought it.
        first = self._proposals.get(round_)
        if first is None and round_ >= machine.round - MAX_PAST_ROUNDS:
            first = self._proposals[round_] = event
            self._note_needed_rounds(machine)
        if first is event or proposal.block_id in self._votes.supported:
            self._blocks.setdefault(proposal.block_id, event.is_valid)
        if first is not None and round_ not in self._double_proposals and is_double_proposal(first.proposal, proposal):
            self._double_proposals.add(round_)
            machine.actions.append(RecordEvidence(double_proposal(first.proposal, proposal)))
        if machine.step is Step.NEW_HEIGHT and round_ == 0:
            self._start_round(machine, 0)

    def _take_timeout(self, machine: RoundMachine, event: TimeoutElapsed) -> None:
        """R10 [57-67]: the first two kinds count only in their step, the last in any."""
        if event.height != machine.height or event.round != machine.round:
            return
        if event.kind is TimeoutKind.NEW_HEIGHT:
            if machine.step is Step.NEW_HEIGHT:
                self._start_round(machine, 0)
        elif event.kind is TimeoutKind.PROPOSE:
            if machine.step is Step.PROPOSE:
                machine.prevote_nil()
        elif event.kind is TimeoutKind.PREVOTE:
            if machine.step is Step.PREVOTE:
                machine.precommit_nil()
        elif machine.in_round:
            self._start_round(machine, event.round + 1)

    def _start_round(self, machine: RoundMachine, round_: int) -> None:
        valid_block_id = machine.lock.valid_block_id
        machine.start_round(
            round_, holds_valid_block=valid_block_id is not None and self._blocks.get(valid_block_id, False)
        )
        self._follow_round(machine)

    def _follow_round(self, machine: RoundMachine) -> None:
        """Move what is kept to the machine's round (R11): of past rounds MAX_PAST_ROUNDS, and blocks while something refers to them."""
        oldest_round = machine.round - MAX_PAST_ROUNDS
        self._proposals = {round_: kept for round_, kept in self._proposals.items() if round_ >= oldest_round}
        self._double_proposals.intersection_update(self._proposals)
        self._note_needed_rounds(machine)
        self._votes.enter_round(machine.round)
        lock = machine.lock
        named = {kept.proposal.block_id for kept in self._proposals.values()}
        named.update(self._votes.supported, filter(None, (lock.locked_block_id, lock.valid_block_id)))
        self._blocks = {block_id: is_valid for block_id, is_valid in self._blocks.items() if block_id in named}

    def _note_needed_rounds(self, machine: RoundMachine) -> None:
        """Hold on to the proofs of our lock and valid value, and to those that proposals of this round and the next refer to."""
        pol_rounds = [kept.proposal.pol_round for round_, kept in self._proposals.items() if round_ >= machine.round]
        self._votes.need([machine.lock.locked_round, machine.lock.valid_round, *pol_rounds])

    def _finish(self, machine: RoundMachine, certificate: CommitCertificate) -> None:
        machine.finish(Step.DECIDED)
        machine.actions.append(Decide(certificate))

    def _apply_rule(self, machine: RoundMachine) -> bool:
        """Apply the first rule whose condition holds; return whether one moved the machine, so that others may hold now."""
        if self._decide(machine):
            return True
        skip_round = self._votes.skip_round()
        if skip_round > machine.last_round:  # R9 [55-56]
            self._start_round(machine, skip_round)
            return True
        if not machine.in_round:
            return False
        if machine.step is Step.PROPOSE and self._prevote(machine):
            return True
        return self._read_prevotes(machine) or self._read_precommits(machine)

    def _decide(self, machine: RoundMachine) -> bool:
        """R8 [49-54]: a quorum of precommits for one block at any round of the height, and that block."""
        for block_id in self._votes.committed:
            is_valid = self._blocks.get(block_id)
            if is_valid is None:
                continue
            certificate = self._votes.certificate(machine.height, block_id)
            if is_valid:
                self._finish(machine, certificate)
            else:
                machine.finish(Step.DIVERGED)
                machine.actions.append(Diverged(certificate))
            return True
        return False

    def _prevote(self, machine: RoundMachine) -> bool:
        """R2 [22-27] and R3 [28-33]: judge this round's proposal; without the prevotes that it refers to, wait."""
        received = self._proposals.get(machine.round)
        if received is None:
            return False
        proposal = received.proposal
        if proposal.pol_round == NO_ROUND:
            machine.prevote_new(proposal.block_id, is_valid=received.is_valid, is_timely=received.is_timely)
        elif self._votes.prevotes(proposal.pol_round).has_quorum(proposal.block_id):
            machine.prevote_again(proposal.block_id, proposal.pol_round, is_valid=received.is_valid)
        else:
            return False
        return True

    def _read_prevotes(self, machine: RoundMachine) -> bool:
        """R5 [36-43], R6 [44-46], R4 [34-35], in this order: no wait where the vote can be cast at once."""
        if machine.step < Step.PREVOTE:
            return False
        prevotes = self._votes.prevotes(machine.round)
        for value in prevotes.quorum_values:
            if value is None:
                if machine.step is Step.PREVOTE:
                    machine.precommit_nil()
                    return True
            elif not machine.proof_of_lock_seen and self._blocks.get(value, False):
                machine.take_proof_of_lock(value)
                self._note_needed_rounds(machine)
                return True
        if machine.step is Step.PREVOTE and prevotes.has_quorum_of_any():
            machine.wait_for_prevotes()
        return False

    def _read_precommits(self, machine: RoundMachine) -> bool:
        """R7 [47-48]: in any step of the round."""
        if self._votes.precommits(machine.round).has_quorum_of_any():
            machine.wait_for_precommits()
        return False
