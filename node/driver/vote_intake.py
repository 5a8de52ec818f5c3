"""Votes on their way to the core: each checked against its validator's key once, floods and repetitions stopped before that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from consensus.messages import Proposal, Vote, VoteKind, proposal_sign_digest, vote_sign_digest
from consensus.validators import ValidatorSet
from node.wire.frames import ProposalFrame
from sm_crypto.sm2 import verify_batch

MAX_HELD_VOTES: Final = 1_024
MAX_FREE_VALUES: Final = 2
"""How many values of one validator, kind and round go to the core at a time: an equivocator has two at no cost (R12)."""


class InvalidVotes(Exception):
    """A peer sent votes or a proposal that no correct node passes on."""


class ClonedKey(Exception):
    """Somebody else signs with this node's validator key."""


class VoteIntake:
    """The way of one height's votes to the core, which says itself what it would keep; nothing else is remembered here for long."""

    def __init__(
        self,
        height: int,
        validators: ValidatorSet,
        genesis_hash: bytes,
        own_index: int | None,
        is_ours: Callable[[bytes], bool],
        wants: Callable[[Vote], bool],
    ) -> None:
        """Start empty; `is_ours` knows the signatures that this node made at this height as validator `own_index`."""
        self._height = height
        self._own_index = own_index
        self._is_ours = is_ours
        self._wants = wants
        self._validators = validators
        self._genesis_hash = genesis_hash
        self._on_the_way: dict[tuple[VoteKind, int, int], set[bytes | None]] = {}

    def check(self, votes: Sequence[Vote]) -> tuple[list[Vote], str | None]:
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
            elif self._is_foreign(vote) or self._is_new(vote):
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
            elif self._is_new(vote):
                place = (vote.kind, vote.round, vote.validator_index)
                self._on_the_way.setdefault(place, set()).add(vote.block_id)
                good.append(vote)
        return good, complaint

    def settle(self) -> None:
        """Take note that the core has consumed every vote that was let through."""
        self._on_the_way.clear()

    def check_proposal(self, proposal: Proposal) -> None:
        """Return if the proposer of its round signed the proposal; raise InvalidVotes otherwise, ClonedKey as `check` does."""
        expected = self._validators.proposer_index(proposal.height, proposal.round)
        if proposal.pol_round >= proposal.round:
            raise InvalidVotes(
                f"expected a proof of lock before round {proposal.round}, found round {proposal.pol_round}"
            )
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

    def _is_foreign(self, message: Vote | Proposal) -> bool:
        """Return whether a message claims to be ours and is none that we know."""
        return message.validator_index == self._own_index and not self._is_ours(message.signature)

    def _is_new(self, vote: Vote) -> bool:
        """Return whether the core would keep the vote, and it is not, nor are too many of its signer's values, on the way there."""
        waiting = self._on_the_way.get((vote.kind, vote.round, vote.validator_index), ())
        return vote.block_id not in waiting and len(waiting) < MAX_FREE_VALUES and self._wants(vote)


class NextHeight:
    """What peers that are one height ahead sent early, unchecked: bounded for each peer, looked at once the height begins."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._votes: dict[str, list[Vote]] = {}
        self._proposals: dict[str, tuple[ProposalFrame, int]] = {}

    def hold_votes(self, peer: str, votes: Sequence[Vote]) -> None:
        """Keep votes of the next height, as many as there is room for."""
        held = self._votes.setdefault(peer, [])
        held.extend(votes[: MAX_HELD_VOTES - len(held)])

    def hold_proposal(self, peer: str, frame: ProposalFrame, received_ms: int) -> None:
        """Keep this peer's newest proposal of the next height and when it came: it is judged by that, however long it waits here."""
        self._proposals[peer] = frame, received_ms

    def forget(self, peer: str) -> None:
        """Drop what a peer sent."""
        self._votes.pop(peer, None)
        self._proposals.pop(peer, None)

    def release(self) -> tuple[list[tuple[str, ProposalFrame, int]], list[tuple[str, list[Vote]]]]:
        """Return all that is held, by peer in the order of arrival, and hold nothing any more."""
        proposals = [(peer, frame, received_ms) for peer, (frame, received_ms) in self._proposals.items()]
        votes = list(self._votes.items())
        self._proposals, self._votes = {}, {}
        return proposals, votes


def _cloned(kind: str, height: int, round_: int) -> str:
    return (
        f"a {kind} of height {height} round {round_} on the network is signed with this node's validator key, "
        "and this node did not sign it: the key is in use elsewhere. Stop the other node, or get this one a new key"
    )
