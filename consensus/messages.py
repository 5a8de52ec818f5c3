"""What validators sign and send: proposals, votes, and the certificate that a quorum of precommits makes."""

from __future__ import annotations

import enum
from typing import Annotated, Final

import msgspec

from sm_crypto.sm3 import TaggedHash

MAX_HEIGHT: Final = 2**62
MAX_ROUND: Final = 2**31 - 1
NO_ROUND: Final = -1

_SIGN_HASH = TaggedHash("govnode/consensus-message/1")

Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Height = Annotated[int, msgspec.Meta(ge=1, le=MAX_HEIGHT)]
Round = Annotated[int, msgspec.Meta(ge=0, le=MAX_ROUND)]
PolRound = Annotated[int, msgspec.Meta(ge=NO_ROUND, le=MAX_ROUND)]
ValidatorIndex = Annotated[int, msgspec.Meta(ge=0, le=1023)]


class VoteKind(enum.IntEnum):
    """The two votes of a round."""

    PREVOTE = 1
    PRECOMMIT = 2


class Proposal(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """The proposer's word that `block_id` is the block of this height and round; pol_round is -1 for a new block."""

    height: Height
    round: Round
    block_id: Digest
    pol_round: PolRound
    validator_index: ValidatorIndex
    signature: Signature


class Vote(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """One validator's prevote or precommit for a block id, or for nil (None)."""

    kind: VoteKind
    height: Height
    round: Round
    block_id: Digest | None
    validator_index: ValidatorIndex
    signature: Signature


class CommitCertificate(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """A quorum of precommit signatures for one block in one round: index i of `signers` signed signatures[i]."""

    height: Height
    round: Round
    block_id: Digest
    signers: list[ValidatorIndex]
    signatures: list[Signature]


def proposal_sign_digest(
    genesis_hash: bytes, height: int, round_: int, block_id: bytes, pol_round: int, validator_index: int
) -> bytes:
    """Return the 32 bytes that a proposal's signature covers: chain, type and every field."""
    return _SIGN_HASH(msgspec.msgpack.encode((genesis_hash, 0, height, round_, block_id, pol_round, validator_index)))


def vote_sign_digest(genesis_hash: bytes, kind: VoteKind, height: int, round_: int, block_id: bytes | None) -> bytes:
    """Return the 32 bytes that a vote's signature covers; the same for every validator, so that a certificate needs no indices in it."""
    return _SIGN_HASH(msgspec.msgpack.encode((genesis_hash, int(kind), height, round_, block_id)))
