"""Votes on their way to the core: each checked against its validator's key once, floods and repetitions stopped before that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from consensus.messages import NO_ROUND, Proposal, Vote, VoteKind, proposal_sign_digest, vote_sign_digest
from consensus.validators import ValidatorSet
from consensus.votes import FUTURE_ROUNDS_KEPT
from node.wire.frames import ProposalFrame
from sm_crypto.sm2 import verify_batch

MAX_HELD_VOTES: Final = 1_024
MAX_FREE_VALUES: Final = 2


class InvalidVotes(Exception):
    """A peer sent votes or a proposal that no correct node passes on."""


class ClonedKey(Exception):
    """Somebody else signs with this node's validator key."""


class VoteIntake:
    """What has been let through to the core at one height."""

    def __init__(
        self,
        height: int,
        validators: ValidatorSet,
        genesis_hash: bytes,
        own_index: int | None,
        is_ours: Callable[[bytes], bool],
    ) -> None:
        """Start empty; `is_ours` knows the signatures that this node made at this height as validator `own_index`."""
        self._height = height
        self._own_index = own_index
        self._is_ours = is_ours
        self._validators = validators
        self._genesis_hash = genesis_hash
        self._values: dict[tuple[int, VoteKind], dict[int, set[bytes | None]]] = {}
        self._highest_rounds = [NO_ROUND] * len(validators)

    def check(self, votes: Sequence[Vote], current_round: int) -> tuple[list[Vote], str | None]:
        """Return the votes of this height that are new and properly signed, and what was wrong with another one, if any.

        Raises ClonedKey on a properly signed vote of our own key that we did not sign.
        """
        fresh: list[Vote] = []
        complaint: str | None = None
        for vote in votes:
            if vote.height != self._height:
                continue
            if vote.validator_index >= len(self._validators):
                complaint = f"expected a validator index below {len(self._validators)}, found {vote.validator_index}"
            elif self._is_foreign(vote) or self._is_wanted(vote, current_round):
                fresh.append(vote)
        if not fresh:
            return [], complaint
        members = self._validators.members
        items = [
            (
                members[vote.validator_index].public_key,
                vote_sign_digest(self._genesis_hash, vote.kind, vote.height, vote.round, vote.block_id),
                vote.signature,
            )
            for vote in fresh
        ]
        good: list[Vote] = []
        for vote, is_signed in zip(fresh, verify_batch(items), strict=True):
            if not is_signed:
                complaint = f"a vote carries a signature that is not validator {vote.validator_index}'s"
            elif self._is_foreign(vote):
                raise ClonedKey(_cloned("vote", vote.height, vote.round))
            elif self._is_wanted(vote, current_round):
                self.note(vote, current_round)
                good.append(vote)
        return good, complaint

    def check_proposal(self, proposal: Proposal) -> None:
        """Return if the proposer of its round signed the proposal; raise InvalidVotes otherwise, ClonedKey as `check` does."""
        expected = self._validators.proposer_index(proposal.height, proposal.round)
        if proposal.validator_index != expected:
            raise InvalidVotes(
                f"expected a proposal of validator {expected} in round {proposal.round}, found one of {proposal.validator_index}"
            )
        digest = proposal_sign_digest(
            self._genesis_hash,
            proposal.height,
            proposal.round,
            proposal.block_id,
            proposal.pol_round,
            proposal.validator_index,
        )
        if verify_batch([(self._validators.members[expected].public_key, digest, proposal.signature)]) != [True]:
            raise InvalidVotes(f"a proposal carries a signature that is not validator {expected}'s")
        if self._is_foreign(proposal):
            raise ClonedKey(_cloned("proposal", proposal.height, proposal.round))

    def note(self, vote: Vote, current_round: int) -> None:
        """Remember that the core has this vote."""
        if vote.round <= current_round + FUTURE_ROUNDS_KEPT:
            voters = self._values.setdefault((vote.round, vote.kind), {})
            voters.setdefault(vote.validator_index, set()).add(vote.block_id)
        else:
            self._highest_rounds[vote.validator_index] = vote.round

    def _is_foreign(self, message: Vote | Proposal) -> bool:
        """Return whether a message claims to be ours and is none that we know."""
        return message.validator_index == self._own_index and not self._is_ours(message.signature)

    def _is_wanted(self, vote: Vote, current_round: int) -> bool:
        """Return whether the core can learn anything from this vote; a validator's second signature over one vote is nothing new."""
        if vote.round > current_round + FUTURE_ROUNDS_KEPT:
            # Far ahead, one newest vote a validator is all that is kept (R11).
            return vote.round > self._highest_rounds[vote.validator_index]
        voters = self._values.get((vote.round, vote.kind), {})
        values = voters.get(vote.validator_index, ())
        if vote.block_id in values:
            return False
        # An equivocator may cast two values freely, more only where somebody else stands behind the value (R12).
        return len(values) < MAX_FREE_VALUES or any(vote.block_id in others for others in voters.values())


class NextHeight:
    """What peers that are one height ahead sent early, unchecked: bounded for each peer, looked at once the height begins."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._votes: dict[str, list[Vote]] = {}
        self._proposals: dict[str, ProposalFrame] = {}

    def hold_votes(self, peer: str, votes: Sequence[Vote]) -> None:
        """Keep votes of the next height, as many as there is room for."""
        held = self._votes.setdefault(peer, [])
        held.extend(votes[: MAX_HELD_VOTES - len(held)])

    def hold_proposal(self, peer: str, frame: ProposalFrame) -> None:
        """Keep this peer's newest proposal of the next height."""
        self._proposals[peer] = frame

    def forget(self, peer: str) -> None:
        """Drop what a peer sent."""
        self._votes.pop(peer, None)
        self._proposals.pop(peer, None)

    def release(self) -> tuple[list[tuple[str, ProposalFrame]], list[tuple[str, list[Vote]]]]:
        """Return all that is held, by peer in the order of arrival, and hold nothing any more."""
        proposals, votes = list(self._proposals.items()), list(self._votes.items())
        self._proposals, self._votes = {}, {}
        return proposals, votes


def _cloned(kind: str, height: int, round_: int) -> str:
    return (
        f"a {kind} of height {height} round {round_} on the network is signed with this node's validator key, "
        "and this node did not sign it: the key is in use elsewhere. Stop the other node, or get this one a new key"
    )
