"""The round machine: round, step, lock and valid value of one validator in one height, and what each rule makes of them.

It counts no votes and knows no peers: the core says that a rule's condition holds, the machine moves and says what to do.
Line numbers are those of Algorithm 1 of "The latest gossip on BFT consensus" (arXiv 1807.04938).
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from consensus.events import (
    Action,
    BuildBlock,
    LockState,
    RoundEntered,
    ScheduleTimeout,
    SignProposal,
    SignVote,
)
from consensus.messages import NO_ROUND, VoteKind
from consensus.timeouts import TimeoutKind, TimeoutSchedule
from consensus.validators import ValidatorSet

NO_LOCK: Final = LockState(NO_ROUND, None, NO_ROUND, None)


class Step(enum.IntEnum):
    """Where a height stands: waiting for the block interval, in one of a round's three steps, decided, or stopped."""

    NEW_HEIGHT = 0
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3
    DECIDED = 4
    DIVERGED = 5


class RoundMachine:
    """One validator in one height; an observer (own_index None) makes the same moves and signs nothing."""

    __slots__ = (
        "_timeouts",
        "_timers",
        "_unanswered",
        "actions",
        "height",
        "lock",
        "own_index",
        "proof_of_lock_seen",
        "round",
        "step",
        "validators",
    )

    def __init__(self, height: int, validators: ValidatorSet, own_index: int | None, timeouts: TimeoutSchedule) -> None:
        """Wait in step NEW_HEIGHT, unlocked."""
        self.height = height
        self.validators = validators
        self.own_index = own_index
        self.round = 0
        self.step = Step.NEW_HEIGHT
        self.lock = NO_LOCK
        self.proof_of_lock_seen = False
        """Whether R5 has fired in this round."""
        self.actions: list[Action] = []
        """What the moves since the last reading ask for, in order; the core takes it away."""
        self._timeouts = timeouts
        self._timers: dict[TimeoutKind, ScheduleTimeout] = {}
        self._unanswered: list[BuildBlock | SignProposal | SignVote] = []

    @property
    def in_round(self) -> bool:
        """Whether a round is running: neither waiting for round 0 nor done."""
        return Step.PROPOSE <= self.step <= Step.PRECOMMIT

    @property
    def last_round(self) -> int:
        """The round that R9 compares with: NO_ROUND while round 0 has not started."""
        return NO_ROUND if self.step is Step.NEW_HEIGHT else self.round

    @property
    def proposer_index(self) -> int:
        """The index of this round's proposer."""
        return self.validators.proposer_index(self.height, self.round)

    def start_round(self, round_: int, *, holds_valid_block: bool) -> None:
        """R1 [11-21]: enter the round; its proposer offers the valid value again if it holds that block, else a new one."""
        self._enter(round_, Step.PROPOSE)
        # The paper's proposer sets no timer. Ours does: a block that takes too long to build must not leave it without a vote.
        self._schedule(TimeoutKind.PROPOSE)
        if self.own_index != self.proposer_index:
            return
        if self.lock.valid_block_id is not None and holds_valid_block:
            self._ask(
                SignProposal(self.height, round_, self.lock.valid_block_id, self.lock.valid_round, self.lock),
            )
        else:
            self._ask(BuildBlock(self.height, round_))

    def propose_built(self, round_: int, block_id: bytes) -> None:
        """R1 [17-19]: propose the new block if the round that it was built for still waits for it."""
        request = BuildBlock(self.height, round_)
        if self.step is Step.PROPOSE and request in self._unanswered:
            self._unanswered.remove(request)
            self._ask(SignProposal(self.height, round_, block_id, NO_ROUND, self.lock))

    def prevote_new(self, block_id: bytes, *, is_valid: bool, is_timely: bool) -> None:
        """R2 [22-27]: prevote a new block if valid, timely and not against the lock; otherwise nil."""
        is_free = self.lock.locked_round == NO_ROUND or self.lock.locked_block_id == block_id
        self._prevote(block_id if is_valid and is_timely and is_free else None)

    def prevote_again(self, block_id: bytes, pol_round: int, *, is_valid: bool) -> None:
        """R3 [28-33]: prevote a block with a proof of lock if valid and our lock is not newer than that proof; otherwise nil."""
        is_free = self.lock.locked_round <= pol_round or self.lock.locked_block_id == block_id
        self._prevote(block_id if is_valid and is_free else None)

    def wait_for_prevotes(self) -> None:
        """R4 [34-35]: once a round, give the prevotes that are still on their way some time."""
        if TimeoutKind.PREVOTE not in self._timers:
            self._schedule(TimeoutKind.PREVOTE)

    def take_proof_of_lock(self, block_id: bytes) -> None:
        """R5 [36-43]: once a round; in step prevote lock the block and precommit it; always make it the valid value."""
        self.proof_of_lock_seen = True
        # The comparisons matter only after restore_lock: what was signed in a later round is never taken back.
        if self.round > self.lock.valid_round:
            self.lock = msgspec.structs.replace(self.lock, valid_round=self.round, valid_block_id=block_id)
        if self.step is Step.PREVOTE and self.round >= self.lock.locked_round:
            self.lock = msgspec.structs.replace(self.lock, locked_round=self.round, locked_block_id=block_id)
            self._precommit(block_id)

    def precommit_nil(self) -> None:
        """R6 [44-46] and R10 [61-64]: precommit nil; a lock stays."""
        self._precommit(None)

    def wait_for_precommits(self) -> None:
        """R7 [47-48]: once a round and in any step, give the precommits that are still on their way some time."""
        if TimeoutKind.PRECOMMIT not in self._timers:
            self._schedule(TimeoutKind.PRECOMMIT)

    def prevote_nil(self) -> None:
        """R10 [57-60]: no proposal that could be prevoted came in time."""
        self._prevote(None)

    def finish(self, step: Step) -> None:
        """R8 [49-54]: the height is over."""
        self.step = step
        self._timers.clear()
        self._unanswered.clear()

    def note_own_proposal(self, round_: int) -> None:
        """Take up where our own signed proposal says that we were: it is the answer to a request, or comes from before a restart."""
        if round_ > self.last_round:
            self._enter(round_, Step.PROPOSE)
            self._schedule(TimeoutKind.PROPOSE)
        if round_ == self.round:
            self._unanswered = [request for request in self._unanswered if isinstance(request, SignVote)]

    def note_own_vote(self, kind: VoteKind, round_: int) -> None:
        """Take up where our own signed vote says that we were: never back, and never to a second vote of this kind and round."""
        if round_ < self.last_round:
            return
        step = Step.PREVOTE if kind is VoteKind.PREVOTE else Step.PRECOMMIT
        is_answer = round_ == self.last_round and step <= self.step
        if round_ > self.last_round:
            # Not by R1: after a restart, a round in which we have voted has no place for another proposal of ours.
            self._enter(round_, step)
        self._unanswered = [
            request for request in self._unanswered if isinstance(request, SignVote) and request.kind > kind
        ]
        if is_answer:
            return
        self.step = step
        # The votes that had brought us here may be gone for good; a wait, always safe to end, keeps us from resting on them.
        if step is Step.PREVOTE:
            self.wait_for_prevotes()
        else:
            self.wait_for_precommits()

    def restore_lock(self, lock: LockState) -> None:
        """Join a lock state from before a restart with what is known; raise ValueError when both name different blocks in one round."""
        known = self.lock
        if (lock.locked_round == known.locked_round and lock.locked_block_id != known.locked_block_id) or (
            lock.valid_round == known.valid_round and lock.valid_block_id != known.valid_block_id
        ):
            raise ValueError("the lock state on disk and the replayed one name different blocks in one round")
        if lock.locked_round > known.locked_round:
            known = msgspec.structs.replace(known, locked_round=lock.locked_round, locked_block_id=lock.locked_block_id)
        if lock.valid_round > known.valid_round:
            known = msgspec.structs.replace(known, valid_round=lock.valid_round, valid_block_id=lock.valid_block_id)
        self.lock = known

    def pending(self) -> list[Action]:
        """Return what this round still waits for: requests without an answer, and waits whose end still means something."""
        waits = [
            wait
            for wait in self._timers.values()
            if (wait.kind is TimeoutKind.PRECOMMIT)
            or (wait.kind is TimeoutKind.PREVOTE and self.step is Step.PREVOTE)
            or (wait.kind is TimeoutKind.PROPOSE and self.step is Step.PROPOSE)
        ]
        return [*self._unanswered, *waits]

    def _enter(self, round_: int, step: Step) -> None:
        self.round = round_
        self.step = step
        self.proof_of_lock_seen = False
        self._timers.clear()
        self._unanswered.clear()
        self.actions.append(RoundEntered(self.height, round_, self.proposer_index))

    def _schedule(self, kind: TimeoutKind) -> None:
        wait = ScheduleTimeout(kind, self.height, self.round, self._timeouts.duration_ms(kind, self.round))
        self._timers[kind] = wait
        self.actions.append(wait)

    def _ask(self, request: BuildBlock | SignProposal | SignVote) -> None:
        self._unanswered.append(request)
        self.actions.append(request)

    def _prevote(self, block_id: bytes | None) -> None:
        self.step = Step.PREVOTE
        # A block still being built for this round comes too late now.
        self._unanswered = [request for request in self._unanswered if not isinstance(request, BuildBlock)]
        if self.own_index is not None:
            self._ask(SignVote(VoteKind.PREVOTE, self.height, self.round, block_id, self.lock))

    def _precommit(self, block_id: bytes | None) -> None:
        self.step = Step.PRECOMMIT
        if self.own_index is not None:
            self._ask(SignVote(VoteKind.PRECOMMIT, self.height, self.round, block_id, self.lock))
