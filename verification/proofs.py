"""Proofs for people without an account or a node: verified offline, one named step after the other."""

from __future__ import annotations

import msgspec

from node.chain.proof import ProofError, verify_record_proof
from node.http.proof_file import (
    ProofFile,
    ProofFileError,
    decode_proof_file,
    is_same_json,
    record_fields,
    record_kind,
    record_of,
)
from verification.proof_verdicts import (
    BATCH_PROOF_FORMAT,
    STEPS,
    GivenDocument,
    ProvedRecord,
    Step,
    Verdict,
    conclude,
)
from verification.refused_files import refuse_malformed, refuse_proof
from verification.trust import TrustFile

__all__ = ["STEPS", "GivenDocument", "Step", "Verdict", "verify_proof"]


class _Format(msgspec.Struct):
    format: str = ""


def verify_proof(
    raw: bytes, document: GivenDocument | None, trust: TrustFile, now_ms: int, day: str | None = None
) -> Verdict:
    """Return the verdict on the bytes of a proof file of either kind, with the document that it speaks of or without one.

    With a day `YYYY-MM-DD`, China time, it is about what the certificate was on that day; ValueError on another form.
    """
    if _is_batch_proof(raw):
        # Imported only now: a proof of one record needs nothing of batches.
        from verification.batch_proof import verify_batch_proof

        return verify_batch_proof(raw, document, trust, now_ms, day)
    try:
        file = decode_proof_file(raw)
    except ProofFileError as error:
        return refuse_malformed(STEPS, raw, error)
    try:
        _check_words(file)
        verified = verify_record_proof(file.proof, trust.anchor)
    except (ProofError, ProofFileError) as error:
        return refuse_proof(STEPS, error, trust)
    is_present = verified.value is not None
    record = None if verified.value is None else record_of(verified.key, verified.value)
    proved = ProvedRecord(STEPS, file.kind, is_present, record, file.fields, verified.height, verified.time_ms)
    return conclude(proved, document, trust, now_ms, day)


def _is_batch_proof(raw: bytes) -> bool:
    """Return whether the bytes say that they are a proof of a certificate of a batch; nothing else is checked."""
    try:
        return msgspec.json.decode(raw, type=_Format).format == BATCH_PROOF_FORMAT
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def _check_words(file: ProofFile) -> None:
    """Return if what the file says in words is what the proven bytes say; raise ProofFileError otherwise."""
    proof = file.proof
    if file.kind != record_kind(proof.key) or not is_same_json(file.fields, record_fields(proof.key, proof.value)):
        raise ProofFileError("record", "the fields in words are not those of the record")
