"""Record proofs: what the state holds at a key, shown to somebody who trusts no node (docs/spec/proof.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from consensus.certificate import InvalidCertificate, InvalidCommitSeal, verify_certificate
from consensus.messages import CommitCertificate, Digest
from consensus.validators import MAX_VALIDATORS, Validator, ValidatorSet
from node.chain.block import Header, block_id
from node.chain.codec import CodecError, decode
from node.chain.state_proof import StateProof, StateProofError, verify_state_proof
from node.chain.world_state import MAX_STATE_KEY_BYTES, MAX_STATE_VALUE_BYTES
from sm_crypto.sm2 import verify_batch

PROOF_VERSION: Final = 1
MAX_PROOF_BYTES: Final = 4_000_000
MAX_PROOF_WALK: Final = 1_024

ProofPart: TypeAlias = Literal["record", "header", "path", "validator-set", "certificate", "signatures", "trust"]
"""The steps of verification, by the names that errors use."""

Members: TypeAlias = Annotated[tuple[Validator, ...], msgspec.Meta(min_length=1, max_length=MAX_VALIDATORS)]


class SetChange(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A final block whose header names another set for the next height, certified by `validators`, the set before."""

    header: Header
    certificate: CommitCertificate
    validators: Members


class RecordProof(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """That the state after the block of `header` holds `value` at `key` (None: nothing), final by `certificate`.

    `walk` leads from the trust anchor's validator set to `validators`: every change of the set between them, in order.
    """

    version: Annotated[int, msgspec.Meta(ge=PROOF_VERSION, le=PROOF_VERSION)]
    key: Annotated[bytes, msgspec.Meta(max_length=MAX_STATE_KEY_BYTES)]
    value: Annotated[bytes, msgspec.Meta(max_length=MAX_STATE_VALUE_BYTES)] | None
    state: StateProof
    header: Header
    certificate: CommitCertificate
    validators: Members
    walk: Annotated[tuple[SetChange, ...], msgspec.Meta(max_length=MAX_PROOF_WALK)]


class TrustAnchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a verifier knows beforehand: the chain, and the hash of the validator set of height + 1 (height 0: genesis)."""

    genesis_hash: Digest
    height: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    next_validators_hash: Digest


class VerifiedRecord(msgspec.Struct, frozen=True):
    """What a proof has shown: `value` at `key` as of a final block, whose time is in ms since 1970 (UTC)."""

    key: bytes
    value: bytes | None
    height: int
    time_ms: int
    block_id: bytes


class ProofError(Exception):
    """A record proof does not hold: `step` names the first step that broke, `reason` says how."""

    def __init__(self, step: ProofPart, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step: ProofPart = step
        self.reason = reason


class UntrustedValidatorsError(ProofError):
    """Not even the first set of validators that the proof names is the anchor's: it is of another network, or made up."""


def decode_record_proof(raw: bytes) -> RecordProof:
    """Return the proof that `raw` canonically encodes; raise CodecError when it is too long or anything else."""
    if len(raw) > MAX_PROOF_BYTES:
        raise CodecError(f"expected a record proof of at most {MAX_PROOF_BYTES} bytes, found {len(raw)}")
    return decode(raw, RecordProof)


def verify_record_proof(proof: RecordProof, trust: TrustAnchor) -> VerifiedRecord:
    """Return what the proof shows to whoever trusts the anchor; raise ProofError naming the step that breaks."""
    header = proof.header
    state_error: StateProofError | None = None
    try:
        verify_state_proof(proof.state, proof.key, proof.value, header.state_root)
    except StateProofError as error:
        state_error = error
    if state_error is not None and state_error.part == "record":
        raise ProofError("record", state_error.reason)
    # A changed header would break the path too; what names the header comes first.
    identifier = block_id(header)
    if identifier != proof.certificate.block_id:
        raise ProofError("header", "the header is not of the block that the certificate names")
    if state_error is not None:
        raise ProofError("path", state_error.reason)
    verify_final_header(header, proof.certificate, proof.validators, proof.walk, trust)
    return VerifiedRecord(proof.key, proof.value, header.height, header.time_ms, identifier)


def verify_final_header(
    header: Header, certificate: CommitCertificate, members: Members, walk: Sequence[SetChange], trust: TrustAnchor
) -> None:
    """Return if `header` is final to whoever trusts the anchor: `members`, its set, descend from the anchor's by `walk`.

    Raises ProofError naming the step that breaks.
    """
    validators = _validator_set(members, "validator-set")
    if validators.hash != header.validators_hash:
        raise ProofError("validator-set", "the validators are not the set that the header names")
    _verify_walk(header, walk, trust)
    _verify_certificate(header, certificate, validators, trust)


def _verify_walk(proved: Header, walk: Sequence[SetChange], trust: TrustAnchor) -> None:
    """Return if the set changes lead from the anchor's validators to the header's; raise ProofError("trust") otherwise."""
    height, validators_hash = trust.height, trust.next_validators_hash
    if proved.height <= height:
        raise ProofError(
            "trust", f"the proof is as of height {proved.height}, the trusted checkpoint {height} is later"
        )
    for change in walk:
        header = change.header
        where = f"change of validators at height {header.height}"
        if not height < header.height < proved.height:
            raise ProofError("trust", f"{where}: expected a height above {height} and below {proved.height}")
        validators = _validator_set(change.validators, "trust")
        if not validators.hash == header.validators_hash == validators_hash:
            is_own_set = validators.hash == header.validators_hash
            kind = UntrustedValidatorsError if is_own_set and change is walk[0] else ProofError
            raise kind("trust", f"{where}: certified by another set than the one trusted until there")
        try:
            _verify_certificate(header, change.certificate, validators, trust)
        except ProofError as error:
            raise ProofError("trust", f"{where}: {error.reason}") from None
        height, validators_hash = header.height, header.next_validators_hash
    if proved.validators_hash != validators_hash:
        kind = ProofError if walk else UntrustedValidatorsError
        raise kind("trust", "the validators do not descend from the trusted set of this chain")


def _verify_certificate(
    header: Header, certificate: CommitCertificate, validators: ValidatorSet, trust: TrustAnchor
) -> None:
    if certificate.height != header.height:
        raise ProofError(
            "certificate", f"expected a certificate of height {header.height}, found one of {certificate.height}"
        )
    try:
        verify_certificate(certificate, block_id(header), validators, trust.genesis_hash, verify_batch)
    except InvalidCommitSeal as error:
        raise ProofError("signatures", error.reason) from None
    except InvalidCertificate as error:
        raise ProofError("certificate", error.reason) from None


def _validator_set(members: tuple[Validator, ...], step: ProofPart) -> ValidatorSet:
    try:
        validators = ValidatorSet(members)
    except ValueError as error:
        raise ProofError(step, str(error)) from None
    if validators.members != members:
        raise ProofError(step, "the validators do not stand in the order of their addresses")
    return validators
