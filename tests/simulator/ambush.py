"""Ambushes: what the worst network would lose or hold back at one height, to hunt for faults in locks, proofs of lock and quorums."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from consensus.messages import Proposal, Vote, VoteKind

if TYPE_CHECKING:
    from consensus.validators import ValidatorSet
    from node.wire.frames import Frame
    from tests.simulator.validator import SimValidator

MIN_LENGTH_MS: Final = 1_000
MAX_LENGTH_MS: Final = 2_800
MAX_HOLD_MS: Final = 1_500


class Ambush:
    """Says of every frame how much later it comes; nothing is held back for longer than the ambush lasts."""

    name = ""
    least_ms = MIN_LENGTH_MS

    def __init__(self, chance: random.Random, height: int, validators: ValidatorSet, now_ms: int) -> None:
        """Lie in wait for a height that has not begun."""
        self.height = height
        self.end_ms = now_ms + chance.randint(self.least_ms, MAX_LENGTH_MS)
        count = len(validators)
        self._addresses = [member.address for member in validators]
        self._proposer, self._next_proposer = height % count, (height + 1) % count
        self._draw(chance, count, validators.quorum)

    def _draw(self, chance: random.Random, count: int, quorum: int) -> None:
        raise NotImplementedError

    def delay_ms(self, source: SimValidator, target: SimValidator, frame: Frame) -> int | None:
        """Return the additional delay of a frame, None where it is lost."""
        raise NotImplementedError

    def _index(self, node: SimValidator) -> int | None:
        address = node.signer.address
        return self._addresses.index(address) if address in self._addresses else None

    def _votes(self, frame: Frame, kind: VoteKind, round_: int = 0) -> list[Vote]:
        """The votes of a kind and round of this height that a frame brings."""
        votes: list[Vote] = getattr(frame, "votes", [])
        return [vote for vote in votes if (vote.kind, vote.height, vote.round) == (kind, self.height, round_)]

    def _proposal(self, frame: Frame, round_: int = 0) -> Proposal | None:
        proposal = getattr(frame, "proposal", None)
        if isinstance(proposal, Proposal) and (proposal.height, proposal.round) == (self.height, round_):
            return proposal
        return None


class HiddenDecision(Ambush):
    """One validator decides in round 0 and nobody hears of it; the next proposer knows of no lock and offers another block.

    As many as a quorum needs get the proposal, prevote and lock it. Their precommits meet only at one of them, whose own
    reaches nobody. The others, the next proposer among them, see one prevote too few and precommit nil.
    """

    name = "hidden decision"

    def _draw(self, chance: random.Random, count: int, quorum: int) -> None:
        others = [index for index in range(count) if index not in (self._proposer, self._next_proposer)]
        chance.shuffle(others)
        self._blind = {self._next_proposer, *others[: count - quorum - 1]}
        lockers = [index for index in range(count) if index not in self._blind]
        self._hider, self._unheard = chance.choice(lockers), chance.choice(lockers)

    def delay_ms(self, source: SimValidator, target: SimValidator, frame: Frame) -> int | None:
        is_vote_of_two = self._votes(frame, VoteKind.PREVOTE) or self._proposal(frame)
        if self._index(source) == self._hider and (not is_vote_of_two or self._votes(frame, VoteKind.PRECOMMIT)):
            return None
        if self._index(target) not in self._blind:
            return 0
        if self._proposal(frame):
            return None
        prevotes = self._votes(frame, VoteKind.PREVOTE)
        return None if any(vote.validator_index == self._unheard for vote in prevotes) else 0


class SecondLock(Ambush):
    """One validator locks a block in round 0 that nobody else knows to be locked, the others lock another one in round 1.

    Some of the others decide in round 1 and are not heard of; the rest needs the first one's vote, which the proof of the
    second lock has to free: it comes to that one when round 1 is over.
    """

    name = "second lock"
    least_ms = 2_000

    def _draw(self, chance: random.Random, count: int, quorum: int) -> None:
        third_proposer = (self.height + 2) % count
        self._hold_ms = chance.randint(500, 1_000)
        self._lone = chance.choice(
            [index for index in range(count) if index not in (self._next_proposer, third_proposer)]
        )
        others = [index for index in range(count) if index not in (self._lone, self._proposer)]
        self._blind = set(chance.sample(others, count - quorum))
        others = [index for index in range(count) if index not in (self._lone, third_proposer)]
        self._hiders = set(chance.sample(others, count - quorum))

    def delay_ms(self, source: SimValidator, target: SimValidator, frame: Frame) -> int | None:
        first = self._votes(frame, VoteKind.PREVOTE)
        second = self._votes(frame, VoteKind.PREVOTE, 1)
        is_known = first or second or self._votes(frame, VoteKind.PRECOMMIT) or getattr(frame, "proposal", None)
        if self._index(source) in self._hiders and (not is_known or self._votes(frame, VoteKind.PRECOMMIT, 1)):
            return None
        if any(vote.validator_index == self._lone for vote in first):
            return None
        if self._index(target) in self._blind and self._proposal(frame):
            return None
        is_held = self._index(target) == self._lone and any(vote.validator_index in self._hiders for vote in second)
        return self._hold_ms if is_held else 0


class LatePrecommits(Ambush):
    """The precommits of the first rounds come when the round is over."""

    name = "late precommits"

    def _draw(self, chance: random.Random, count: int, quorum: int) -> None:
        self._hold_ms = chance.randint(200, MAX_HOLD_MS)
        self._late = set(chance.sample(range(count), count - quorum + 1))

    def delay_ms(self, source: SimValidator, target: SimValidator, frame: Frame) -> int | None:
        late = [vote for round_ in (0, 1) for vote in self._votes(frame, VoteKind.PRECOMMIT, round_)]
        return self._hold_ms if any(vote.validator_index in self._late and vote.block_id for vote in late) else 0


class LateProof(Ambush):
    """Some validators get the prevotes that prove a lock when the round is over."""

    name = "late proof of lock"

    def _draw(self, chance: random.Random, count: int, quorum: int) -> None:
        self._hold_ms = chance.randint(200, MAX_HOLD_MS)
        self._blind = set(chance.sample(range(count), chance.randint(1, count - 1)))
        self._late = set(chance.sample(range(count), count - quorum + 1))

    def delay_ms(self, source: SimValidator, target: SimValidator, frame: Frame) -> int | None:
        if self._index(target) not in self._blind:
            return 0
        late = [vote for round_ in (0, 1) for vote in self._votes(frame, VoteKind.PREVOTE, round_)]
        return self._hold_ms if any(vote.validator_index in self._late for vote in late) else 0


class HalfProposal(Ambush):
    """A proposal reaches one half of the network at once and the other half after its timeout."""

    name = "proposal to one half"

    def _draw(self, chance: random.Random, count: int, quorum: int) -> None:
        self._hold_ms = chance.randint(200, MAX_HOLD_MS)
        self._blind = set(chance.sample(range(count), chance.choice((count // 2, count - quorum, count - quorum + 1))))

    def delay_ms(self, source: SimValidator, target: SimValidator, frame: Frame) -> int | None:
        is_held = self._index(target) in self._blind and (self._proposal(frame) or self._proposal(frame, 1))
        return self._hold_ms if is_held else 0


class Halves(Ambush):
    """Two halves, as equal as can be, hear nothing of each other."""

    name = "halves"

    def _draw(self, chance: random.Random, count: int, quorum: int) -> None:
        self._half = set(chance.sample(range(count), count // 2))

    def delay_ms(self, source: SimValidator, target: SimValidator, frame: Frame) -> int | None:
        return 0 if (self._index(source) in self._half) == (self._index(target) in self._half) else None


AMBUSHES: Final[tuple[type[Ambush], ...]] = (
    HiddenDecision,
    HiddenDecision,
    LatePrecommits,
    LateProof,
    HalfProposal,
    Halves,
)
