"""Evidence: two messages of one validator that no correct validator signs both of, checkable by anyone who knows its height's set."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from consensus.certificate import VerifyBatch
from consensus.messages import Proposal, Vote, VoteKind, proposal_sign_digest, vote_sign_digest
from consensus.validators import ValidatorSet

MAX_EVIDENCE_BYTES: Final = 1_024
PROPOSAL_KIND: Final = 0
"""The kind of an offence with proposals; votes have their VoteKind."""

Offence: TypeAlias = tuple[int, int, int, int]
"""(height, round, kind, validator index): what one piece of evidence stands for, however it is signed."""


class InvalidEvidence(Exception):
    """Two messages do not show that one validator equivocated."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DoubleVote(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=1):
    """Two votes of one validator, kind, height and round for different values; the lesser value first, nil least."""

    first: Vote
    second: Vote

    @property
    def offence(self) -> Offence:
        """What it proves; SM2 signatures vary, so one offence has many pieces of evidence, and counts once."""
        return _offence(self.first)


class DoubleProposal(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True, tag=2):
    """Two proposals of one proposer, height and round that differ in block id or pol_round; the lesser (id, pol_round) first."""

    first: Proposal
    second: Proposal

    @property
    def offence(self) -> Offence:
        """What it proves; counts once, like that of a double vote."""
        return _offence(self.first)


Evidence: TypeAlias = DoubleVote | DoubleProposal

_DECODER: Final[msgspec.msgpack.Decoder[Evidence]] = msgspec.msgpack.Decoder(Evidence)


def double_vote(one: Vote, other: Vote) -> DoubleVote:
    """Return the evidence that two conflicting votes make, in its one canonical order."""
    return DoubleVote(*sorted((one, other), key=_value_order))


def double_proposal(one: Proposal, other: Proposal) -> DoubleProposal:
    """Return the evidence that two conflicting proposals make, in its one canonical order."""
    return DoubleProposal(*sorted((one, other), key=_value_order))


def is_double_proposal(one: Proposal, other: Proposal) -> bool:
    """Return whether two proposals for one place differ in what they propose, so that no correct proposer signs both."""
    return _offence(one) == _offence(other) and _value_order(one) != _value_order(other)


def encode_evidence(evidence: Evidence) -> bytes:
    """Return the canonical bytes of a piece of evidence, at most MAX_EVIDENCE_BYTES."""
    return msgspec.msgpack.encode(evidence)


def decode_evidence(raw: bytes) -> Evidence:
    """Return the piece that `raw` canonically encodes, every number in its range; raise InvalidEvidence otherwise.

    What it claims is not checked: that is verify_evidence, which needs the set of its height.
    """
    if len(raw) > MAX_EVIDENCE_BYTES:
        raise InvalidEvidence(f"expected evidence of at most {MAX_EVIDENCE_BYTES} bytes, found {len(raw)}")
    try:
        evidence = _DECODER.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError) as error:
        raise InvalidEvidence(f"expected evidence: {error}") from None
    if encode_evidence(evidence) != raw:
        raise InvalidEvidence("expected the canonical encoding of evidence, found another encoding of the same one")
    return evidence


def verify_evidence(
    evidence: Evidence, validators: ValidatorSet, genesis_hash: bytes, verify_batch: VerifyBatch
) -> None:
    """Return if one member of `validators`, the set of the messages' height, signed both; raise InvalidEvidence otherwise.

    Proposals accuse only the proposer of their round: by anyone else they are no proposals, and no rule reads them.
    """
    first, second = evidence.first, evidence.second
    if _offence(first) != _offence(second):
        raise InvalidEvidence(
            f"expected one height, round, kind and validator, found {_offence(first)} and {_offence(second)}"
        )
    if not _value_order(first) < _value_order(second):
        raise InvalidEvidence("expected messages for two different values, the lesser first")
    index = first.validator_index
    if not 0 <= index < len(validators):
        raise InvalidEvidence(f"expected a validator below {len(validators)}, found {index}")
    if isinstance(evidence, DoubleProposal):
        proposer_index = validators.proposer_index(first.height, first.round)
        if index != proposer_index:
            raise InvalidEvidence(f"expected proposals of validator {proposer_index}, found those of {index}")
    public_key = validators.members[index].public_key
    verdicts = verify_batch(
        [(public_key, _sign_digest(genesis_hash, message), message.signature) for message in (first, second)]
    )
    if not all(verdicts):
        raise InvalidEvidence(f"expected two signatures of validator {index}, found a wrong one")


def _offence(message: Vote | Proposal) -> Offence:
    kind = int(VoteKind(message.kind)) if isinstance(message, Vote) else PROPOSAL_KIND
    return message.height, message.round, kind, message.validator_index


def _value_order(message: Vote | Proposal) -> tuple[bytes, int]:
    """Order messages by value: nil is the empty string, before every block id; a vote has no pol_round."""
    return message.block_id or b"", 0 if isinstance(message, Vote) else message.pol_round


def _sign_digest(genesis_hash: bytes, message: Vote | Proposal) -> bytes:
    if isinstance(message, Vote):
        return vote_sign_digest(genesis_hash, message.kind, message.height, message.round, message.block_id)
    return proposal_sign_digest(
        genesis_hash, message.height, message.round, message.block_id, message.pol_round, message.validator_index
    )
