"""Vote keeping: who voted for what in each round of one height, in memory that peers cannot grow at will.

Everything is counted in distinct signers, never in signatures: SM2 is randomised, so that one validator can mint any number
of valid signatures over one vote. A signer counts once for "any vote of this round" (rules R4, R7, R9) and at most once for
each value (R3, R5, R6, R8): that is the paper's reading of messages as a set, and with at most f faulty signers it lets no
two values of one round and kind reach a quorum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from consensus.messages import NO_ROUND, CommitCertificate, Vote, VoteKind
from consensus.validators import ValidatorSet

FUTURE_ROUNDS_KEPT: Final = 2
"""R11: votes and proposals are kept in full up to this many rounds above the own one."""
MAX_PAST_ROUNDS: Final = 64
"""R11: of the rounds below the last one, at most so many are kept, and of those only the votes for blocks."""


class Tally:
    """The votes of one kind in one round.

    An equivocator's second value is counted only once some other signer's first vote names that value (R12: a bundle that
    completes a quorum is accepted over "first vote wins", or nodes wedge on different first votes); until then the first such
    vote of a signer is set aside. So a tally of n signers holds at most n * (n + 1) votes, whatever is sent.
    """

    __slots__ = ("_aside", "_first", "_quorum", "_reported", "_signers", "quorum_values")

    def __init__(self, quorum: int) -> None:
        """Start empty; `quorum` is the number of distinct signers that decides."""
        self._quorum = quorum
        self._first: dict[int, Vote] = {}
        self._signers: dict[bytes | None, dict[int, Vote]] = {}
        self._aside: dict[int, Vote] = {}
        self._reported: set[int] = set()
        self.quorum_values: list[bytes | None] = []
        """Values that a quorum of distinct signers voted for: one at most while at most f are faulty."""

    def add(self, vote: Vote) -> Vote | None:
        """Count the vote; return its signer's first vote when this is the first one that conflicts with it, else None."""
        signer = vote.validator_index
        first = self._first.get(signer)
        if first is None:
            self._first[signer] = vote
            self._count_first(vote)
            return None
        if first.block_id == vote.block_id:
            return None
        if vote.block_id in self._signers:
            self._count(vote)
        else:
            self._aside.setdefault(signer, vote)
        if signer in self._reported:
            return None
        self._reported.add(signer)
        return first

    def wants(self, vote: Vote) -> bool:
        """Return whether `add` would keep the vote: not another signature over a known one, nor the next of many free values."""
        signer = vote.validator_index
        first = self._first.get(signer)
        if first is None:
            return True
        if first.block_id == vote.block_id:
            return False
        signers = self._signers.get(vote.block_id)
        return signer not in self._aside if signers is None else signer not in signers

    def _count_first(self, vote: Vote) -> None:
        if vote.block_id not in self._signers:
            self._signers[vote.block_id] = {}
            for other in [other for other in self._aside.values() if other.block_id == vote.block_id]:
                del self._aside[other.validator_index]
                self._count(other)
        self._count(vote)

    def _count(self, vote: Vote) -> None:
        signers = self._signers[vote.block_id]
        if vote.validator_index not in signers:
            signers[vote.validator_index] = vote
            if len(signers) == self._quorum:
                self.quorum_values.append(vote.block_id)

    def has_quorum(self, value: bytes | None) -> bool:
        """Return whether a quorum of distinct signers voted for `value` (None is nil)."""
        return value in self.quorum_values

    def has_quorum_of_any(self) -> bool:
        """Return whether a quorum of distinct signers voted at all, each counted once."""
        return len(self._first) >= self._quorum

    def signers(self) -> tuple[int, ...]:
        """Return the indices of those who voted, ascending."""
        return tuple(sorted(self._first))

    def votes_for(self, value: bytes | None) -> list[Vote]:
        """Return the votes for `value` in the order of their signers, one each."""
        return [vote for _, vote in sorted(self._signers.get(value, {}).items())]

    def votes(self) -> Iterator[Vote]:
        """Yield each signer's first vote, then what else the votes that carried a quorum need."""
        yield from self._first.values()
        for value in self.quorum_values:
            yield from (vote for vote in self.votes_for(value) if self._first.get(vote.validator_index) is not vote)

    def forget_nil(self) -> None:
        """Drop the votes for nil: of a round that is over, no rule reads them."""
        self._signers.pop(None, None)
        self._first = {signer: vote for signer, vote in self._first.items() if vote.block_id is not None}
        self._aside = {signer: vote for signer, vote in self._aside.items() if vote.block_id is not None}
        self.quorum_values = [value for value in self.quorum_values if value is not None]

    def is_empty(self) -> bool:
        """Return whether no vote is held."""
        return not self._first and not self._signers


class VoteKeeper:
    """The votes of one height (R11): in full near the own round, one newest vote a validator beyond, a bounded past."""

    __slots__ = (
        "_least_worth",
        "_needed_rounds",
        "_newest",
        "_no_votes",
        "_quorum",
        "_round",
        "_rounds",
        "_skip_count",
        "committed",
        "highest_rounds",
        "supported",
    )

    def __init__(self, validators: ValidatorSet) -> None:
        """Start empty in round 0."""
        self._quorum = validators.quorum
        self._skip_count = validators.faulty_limit + 1
        self._round = 0
        self._rounds: dict[int, tuple[Tally, Tally]] = {}
        self._no_votes = Tally(self._quorum)
        """What readers get of a round without votes; nothing is ever added to it."""
        self._newest: dict[int, Vote] = {}
        self._least_worth: tuple[bool, bool, bool, int] | None = None
        """That of the past round that would go first, None where it has to be found anew."""
        self.highest_rounds = [NO_ROUND] * len(validators)
        """The highest round that each validator has voted in, NO_ROUND for none."""
        self.committed: dict[bytes, int] = {}
        """Block ids with a quorum of precommits, and the round of it."""
        self.supported: dict[bytes, int] = {}
        """Block ids with a quorum of prevotes or precommits, and the highest round of one."""
        self._needed_rounds: frozenset[int] = frozenset()

    def add(self, vote: Vote) -> tuple[Vote, Vote] | None:
        """Keep the vote as R11 allows; return (first, second) when its signer is seen to equivocate in this tally for the first time."""
        signer = vote.validator_index
        if not 0 <= signer < len(self.highest_rounds):
            return None
        self.highest_rounds[signer] = max(self.highest_rounds[signer], vote.round)
        if vote.round > self._round + FUTURE_ROUNDS_KEPT:
            if self._is_newest(vote):
                self._newest[signer] = vote
            return None
        if vote.block_id is None and vote.round < self._round - 1:
            return None
        if vote.round not in self._rounds:
            if not self._has_room_for(vote.round):
                return None
            self._rounds[vote.round] = (Tally(self._quorum), Tally(self._quorum))
            self._let_go_of_past()
        tally = self._tally(vote.round, vote.kind)
        first = tally.add(vote)
        if vote.block_id is not None and tally.has_quorum(vote.block_id):
            self._least_worth = None
            self.supported[vote.block_id] = max(vote.round, self.supported.get(vote.block_id, NO_ROUND))
            if vote.kind is VoteKind.PRECOMMIT:
                self.committed.setdefault(vote.block_id, vote.round)
        return None if first is None else (first, vote)

    def wants(self, vote: Vote) -> bool:
        """Return whether `add` would keep the vote; what it would not keep need not be checked, logged or handed in."""
        if not 0 <= vote.validator_index < len(self.highest_rounds):
            return False
        if vote.round > self._round + FUTURE_ROUNDS_KEPT:
            return self._is_newest(vote)
        if vote.block_id is None and vote.round < self._round - 1:
            return False
        if vote.round not in self._rounds:
            return self._has_room_for(vote.round)
        return self._tally(vote.round, vote.kind).wants(vote)

    def need(self, rounds: Iterable[int]) -> None:
        """Take note of the past rounds whose votes for blocks a rule may read next: they are the last that are let go of."""
        self._needed_rounds = frozenset(rounds)
        self._least_worth = None

    def _is_newest(self, vote: Vote) -> bool:
        newest = self._newest.get(vote.validator_index)
        return newest is None or (vote.round, vote.kind) > (newest.round, newest.kind)

    def _tally(self, round_: int, kind: VoteKind) -> Tally:
        tallies = self._rounds.get(round_)
        if tallies is None:
            return self._no_votes
        return tallies[0] if kind is VoteKind.PREVOTE else tallies[1]

    def _past_rounds(self) -> list[int]:
        return [round_ for round_ in self._rounds if round_ < self._round - 1]

    def _worth(self, round_: int) -> tuple[bool, bool, bool, int]:
        """Order past rounds by what would be lost with them, least first; what peers serve again comes back where it is needed."""
        has_quorum = any(tally.quorum_values for tally in self._rounds.get(round_, ()))
        return round_ in self._needed_rounds, round_ in self.committed.values(), has_quorum, round_

    def _has_room_for(self, round_: int) -> bool:
        if round_ >= self._round - 1 or len(self._rounds) < MAX_PAST_ROUNDS:
            return True
        if self._least_worth is None:
            past = self._past_rounds()
            if len(past) < MAX_PAST_ROUNDS:
                return True
            self._least_worth = min(self._worth(kept) for kept in past)
        return self._worth(round_) > self._least_worth

    def _let_go_of_past(self) -> None:
        """Drop the past rounds of least worth beyond MAX_PAST_ROUNDS, and what `supported` and `committed` say because of them."""
        self._least_worth = None
        past = self._past_rounds()
        for round_ in sorted(past, key=self._worth)[: max(len(past) - MAX_PAST_ROUNDS, 0)]:
            lost = {value for tally in self._rounds.pop(round_) for value in tally.quorum_values if value is not None}
            for block_id in lost:
                rounds = [kept for kept in self._rounds if self.precommits(kept).has_quorum(block_id)]
                if self.committed.pop(block_id, NO_ROUND) != NO_ROUND and rounds:
                    self.committed[block_id] = min(rounds)
                rounds += [kept for kept in self._rounds if self.prevotes(kept).has_quorum(block_id)]
                del self.supported[block_id]
                if rounds:
                    self.supported[block_id] = max(rounds)

    def enter_round(self, round_: int) -> None:
        """Move the window of full keeping to `round_`; of rounds before the last, votes for nil are forgotten."""
        self._round = round_
        # The last round stays whole: peers still in it need its precommits, nil ones too, to come after us.
        for past in self._past_rounds():
            for tally in self._rounds[past]:
                tally.forget_nil()
            if all(tally.is_empty() for tally in self._rounds[past]):
                del self._rounds[past]
        self._let_go_of_past()
        for signer, vote in sorted(self._newest.items()):
            if vote.round <= round_ + FUTURE_ROUNDS_KEPT:
                del self._newest[signer]
                self.add(vote)

    def skip_round(self) -> int:
        """Return the highest round that f + 1 distinct validators have voted in or above: one of them is correct (R9)."""
        return sorted(self.highest_rounds, reverse=True)[self._skip_count - 1]

    def prevotes(self, round_: int) -> Tally:
        """Return the prevotes of a round."""
        return self._tally(round_, VoteKind.PREVOTE)

    def precommits(self, round_: int) -> Tally:
        """Return the precommits of a round."""
        return self._tally(round_, VoteKind.PRECOMMIT)

    def certificate(self, height: int, block_id: bytes) -> CommitCertificate:
        """Return the certificate of a block id in `committed`: its precommits in ascending order of signers."""
        round_ = self.committed[block_id]
        seals = self.precommits(round_).votes_for(block_id)
        return CommitCertificate(
            height, round_, block_id, [vote.validator_index for vote in seals], [vote.signature for vote in seals]
        )

    def votes(self, round_: int) -> list[Vote]:
        """Return the kept votes of a round, prevotes first."""
        return [vote for tally in self._rounds.get(round_, ()) for vote in tally.votes()]
