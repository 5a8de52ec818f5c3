"""Evidence: two votes of one validator that no correct validator casts, checkable by anyone who knows its height's set."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from consensus.certificate import VerifyBatch
from consensus.messages import Vote, VoteKind, vote_sign_digest
from consensus.validators import ValidatorSet

Offence: TypeAlias = tuple[int, int, int, int]
"""(height, round, kind, validator index): what one piece of evidence stands for, however it is signed."""


class InvalidEvidence(Exception):
    """Two votes do not show that one validator equivocated."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DoubleVote(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """Two votes of one validator, kind, height and round for different values; the lesser value first, nil least."""

    first: Vote
    second: Vote

    @property
    def offence(self) -> Offence:
        """What it proves; SM2 signatures vary, so one offence has many pieces of evidence, and counts once."""
        return _offence(self.first)


def double_vote(one: Vote, other: Vote) -> DoubleVote:
    """Return the evidence that two conflicting votes make, in its one canonical order."""
    return DoubleVote(*sorted((one, other), key=_value_order))


def verify_double_vote(
    evidence: DoubleVote, validators: ValidatorSet, genesis_hash: bytes, verify_batch: VerifyBatch
) -> None:
    """Return if one member of `validators`, the set of the votes' height, signed both; raise InvalidEvidence otherwise."""
    first, second = evidence.first, evidence.second
    if _offence(first) != _offence(second):
        raise InvalidEvidence(
            f"expected one height, round, kind and validator, found {_offence(first)} and {_offence(second)}"
        )
    if not _value_order(first) < _value_order(second):
        raise InvalidEvidence("expected votes for two different values, the lesser first")
    if not 0 <= first.validator_index < len(validators):
        raise InvalidEvidence(f"expected a validator below {len(validators)}, found {first.validator_index}")
    public_key = validators.members[first.validator_index].public_key
    verdicts = verify_batch(
        [
            (
                public_key,
                vote_sign_digest(genesis_hash, vote.kind, vote.height, vote.round, vote.block_id),
                vote.signature,
            )
            for vote in (first, second)
        ]
    )
    if not all(verdicts):
        raise InvalidEvidence(f"expected two signatures of validator {first.validator_index}, found a wrong one")


def _offence(vote: Vote) -> Offence:
    return vote.height, vote.round, int(VoteKind(vote.kind)), vote.validator_index


def _value_order(vote: Vote) -> bytes:
    """Order votes by value: nil is the empty string, before every block id."""
    return vote.block_id or b""
