"""What a correct validator may sign and must decide, reckoned a second time from what its core is told and what it signed.

The node's own counting is not asked, and neither is its quorum formula: a fault there must not vouch for itself.
"""

from __future__ import annotations

from collections import defaultdict

from consensus.events import (
    Action,
    Decide,
    Diverged,
    HeightStarted,
    Input,
    ProposalReceived,
    SignProposal,
    SignVote,
    VoteReceived,
)
from consensus.messages import NO_ROUND, Proposal, Vote, VoteKind
from consensus.validators import ValidatorSet
from consensus.votes import FUTURE_ROUNDS_KEPT
from tests.simulator.checkers import Violation


class Promises:
    """The blocks that one validator has precommitted, by height and round; they bind it in all of its lives."""

    def __init__(self) -> None:
        self._by_height: dict[int, dict[int, bytes]] = defaultdict(dict)

    def note(self, vote: Vote) -> None:
        if vote.kind is VoteKind.PRECOMMIT and vote.block_id is not None:
            self._by_height[vote.height].setdefault(vote.round, vote.block_id)

    def last_before(self, height: int, round_: int) -> tuple[int, bytes] | None:
        """Return (round, block id) of the last precommit of a block in a round before this one."""
        return max((item for item in self._by_height[height].items() if item[0] < round_), default=None)


class RuleChecker:
    """Follows one core through one life."""

    def __init__(self, name: str, promises: Promises) -> None:
        self._name = name
        self._promises = promises
        self._height = 0

    def before(self, event: Input, round_: int) -> None:
        """Take note of an input to a core that stands in `round_`."""
        match event:
            case HeightStarted(height=height, validators=validators, own_index=own_index):
                self._begin(height, validators, own_index)
            case VoteReceived(vote=vote) if vote.height == self._height:
                self._hear_vote(vote, round_)
            case ProposalReceived(proposal=proposal, is_valid=is_valid) if proposal.height == self._height:
                self._hear_proposal(proposal, round_, is_valid=is_valid)

    def after(self, actions: list[Action]) -> None:
        """Judge what the core wants to sign, and whether it decided where it had to."""
        for action in actions:
            if isinstance(action, SignVote):
                self._judge_vote(action)
            elif isinstance(action, SignProposal):
                self._judge_lock(action.round, action.block_id, "propose")
            elif isinstance(action, Decide | Diverged):
                self._is_over = True
        if not self._height or self._is_over:
            return
        for round_, block_id in sorted(self._decisive):
            if block_id in self._proposed:
                raise self._violation(
                    f"holds a decision for {block_id.hex()} in round {round_} and does not decide (R8)"
                )

    def _begin(self, height: int, validators: ValidatorSet, own_index: int | None) -> None:
        self._height, self._validators, self._own_index = height, validators, own_index
        self._valid: set[bytes] = set()
        self._proposed: dict[bytes, bool] = {}
        """Blocks whose proposal R11 makes the core keep."""
        self._rounds_proposed: set[int] = set()
        self._prevoters: dict[tuple[int, bytes], set[int]] = defaultdict(set)
        self._precommitters: dict[tuple[int, bytes], set[int]] = defaultdict(set)
        self._first_prevoters: dict[tuple[int, bytes], set[int]] = defaultdict(set)
        self._heard: set[tuple[VoteKind, int, int]] = set()
        self._offers: dict[int, Proposal] = {}
        """Proposals with a proof of lock, by their round."""
        self._decisive: set[tuple[int, bytes]] = set()
        self._is_over = False

    def _is_most(self, signers: set[int]) -> bool:
        return 3 * len(signers) > 2 * len(self._validators)

    def _hear_vote(self, vote: Vote, round_: int) -> None:
        signer = vote.validator_index
        if signer == self._own_index:
            self._promises.note(vote)
        is_first = (vote.kind, vote.round, signer) not in self._heard
        self._heard.add((vote.kind, vote.round, signer))
        if vote.block_id is None:
            return
        place = (vote.round, vote.block_id)
        if vote.kind is VoteKind.PREVOTE:
            # Every vote counts for what the core may believe, a signer's first near the own round for what it must believe.
            self._prevoters[place].add(signer)
        if not is_first or vote.round > round_ + FUTURE_ROUNDS_KEPT:
            return
        if vote.kind is VoteKind.PREVOTE:
            self._first_prevoters[place].add(signer)
        else:
            self._precommitters[place].add(signer)
            if self._is_most(self._precommitters[place]):
                self._decisive.add(place)

    def _hear_proposal(self, proposal: Proposal, round_: int, *, is_valid: bool) -> None:
        if is_valid:
            self._valid.add(proposal.block_id)
        if (
            proposal.round not in self._rounds_proposed
            and proposal.round <= round_ + FUTURE_ROUNDS_KEPT
            and NO_ROUND <= proposal.pol_round < proposal.round
            and proposal.validator_index == (proposal.height + proposal.round) % len(self._validators)
        ):
            self._rounds_proposed.add(proposal.round)
            self._proposed.setdefault(proposal.block_id, is_valid)
            if proposal.pol_round != NO_ROUND:
                self._offers[proposal.round] = proposal

    def _judge_vote(self, request: SignVote) -> None:
        if request.block_id is None:
            if request.kind is VoteKind.PREVOTE:
                self._judge_nil(request)
            return
        if request.block_id not in self._valid:
            raise self._violation(
                f"votes in round {request.round} for a block that it was not told to be valid (R2, R3, R5)"
            )
        if request.kind is VoteKind.PREVOTE:
            self._judge_lock(request.round, request.block_id, "prevote")
        elif not self._is_most(self._prevoters[request.round, request.block_id]):
            raise self._violation(f"precommits in round {request.round} without the prevotes of a quorum (R5)")

    def _judge_nil(self, request: SignVote) -> None:
        """R3: a valid block with a proof of lock that is no older than the own lock gets the vote, whatever was locked before."""
        offer = self._offers.get(request.round)
        if offer is None or offer.block_id not in self._valid:
            return
        is_free = request.lock.locked_round <= offer.pol_round or request.lock.locked_block_id == offer.block_id
        if is_free and self._is_most(self._first_prevoters[offer.pol_round, offer.block_id]):
            raise self._violation(
                f"holds the proof of lock for the block of round {request.round} and prevotes nil (R3)"
            )

    def _judge_lock(self, round_: int, block_id: bytes, what: str) -> None:
        promise = self._promises.last_before(self._height, round_)
        if promise is None or promise[1] == block_id:
            return
        if not any(self._is_most(self._prevoters[later, block_id]) for later in range(promise[0], round_)):
            raise self._violation(
                f"has precommitted another block in round {promise[0]} and would {what} {block_id.hex()} in round {round_} "
                "without a later proof of lock (R2, R3, R5)"
            )

    def _violation(self, text: str) -> Violation:
        return Violation(f"rules: {self._name} at height {self._height} {text}")
