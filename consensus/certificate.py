"""Commit certificates: a quorum of precommits for one block, checked by anyone who knows the validators of its height."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias

from consensus.messages import CommitCertificate, VoteKind, vote_sign_digest
from consensus.validators import ValidatorSet

VerifyBatch: TypeAlias = Callable[[Sequence[tuple[bytes, bytes, bytes]]], list[bool]]
"""(public key 64 B, message of exactly 32 B, signature 64 B) each in, one verdict each out: sm_crypto.sm2.verify_batch."""


class InvalidCertificate(Exception):
    """A commit certificate does not show that a quorum of its height's validators precommitted the block."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidCommitSeal(InvalidCertificate):
    """The certificate is well formed, but a signature in it is not that validator's over this precommit."""


def commit_seals(
    certificate: CommitCertificate, block_id: bytes, validators: ValidatorSet, genesis_hash: bytes
) -> list[tuple[bytes, bytes, bytes]]:
    """Return what is to be verified, as VerifyBatch takes it, for a certificate of the right form: nothing is proven before.

    The form: for `block_id`, ascending member indices of `validators`, the set of the certificate's height, a quorum of them.
    Raises InvalidCertificate. For checking the signatures of many certificates in one batch.
    """
    if certificate.block_id != block_id:
        raise InvalidCertificate(
            f"expected a certificate for block {block_id.hex()}, found one for block {certificate.block_id.hex()}"
        )
    signers, signatures = certificate.signers, certificate.signatures
    if len(signers) != len(signatures):
        raise InvalidCertificate(f"expected one signature a signer, found {len(signers)} and {len(signatures)}")
    # Counted in distinct members: one validator can make any number of valid signatures over one vote.
    if any(later <= earlier for earlier, later in pairwise(signers)):
        raise InvalidCertificate(f"expected signers in ascending order, each once, found {signers[:8]}")
    if signers and not 0 <= signers[0] <= signers[-1] < len(validators):
        raise InvalidCertificate(f"expected signers below {len(validators)}, found {signers[-1]}")
    if len(signers) < validators.quorum:
        raise InvalidCertificate(
            f"expected the signatures of at least {validators.quorum} of {len(validators)} validators, found {len(signers)}"
        )
    digest = vote_sign_digest(genesis_hash, VoteKind.PRECOMMIT, certificate.height, certificate.round, block_id)
    members = validators.members
    return [
        (members[signer].public_key, digest, signature) for signer, signature in zip(signers, signatures, strict=True)
    ]


def verify_certificate(
    certificate: CommitCertificate,
    block_id: bytes,
    validators: ValidatorSet,
    genesis_hash: bytes,
    verify_batch: VerifyBatch,
) -> None:
    """Return if the certificate proves `block_id` final: ascending member indices, a quorum of them, every signature right.

    `validators` is the set of the certificate's height; that this height is the block header's is for the caller to compare.
    Raises InvalidCertificate, or its InvalidCommitSeal when only a signature is wrong. Reference: rule R8 [49-54].
    """
    verdicts = verify_batch(commit_seals(certificate, block_id, validators, genesis_hash))
    wrong = [signer for signer, verdict in zip(certificate.signers, verdicts, strict=True) if not verdict]
    if wrong:
        raise InvalidCommitSeal(
            f"expected precommit signatures of this chain, height and round, found wrong ones by validators {wrong}"
        )
