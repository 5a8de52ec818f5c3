"""The proof of a certificate of a batch in one file: its place in the batch, and what the ledger held under its identifier.

docs/spec/batch-proof.md describes the file. Both records stand under one header, so that they speak of one moment.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from contracts.batches import MAX_BATCH_COUNT, BatchRecord, batch_key, member_record, verify_member, verify_own_record
from contracts.certificate_records import CertificateContent, CertificateRecord, certificate_key
from contracts.identifiers import parse_identifier
from contracts.refusals import Refused
from node.chain.proof import PROOF_VERSION, ProofError, RecordProof, VerifiedRecord, verify_record_proof
from node.chain.state_proof import StateProofError, verify_state_proof
from node.http.proof_file import (
    FINALITY_SHAPES,
    STATE_SHAPE,
    ProofFileError,
    check_names,
    hex_bytes,
    is_same_json,
    part_of,
    read_json,
    record_fields,
    record_kind,
    record_of,
    struct_values,
    to_words,
)
from sm_crypto.merkle import MAX_PATH_LENGTH
from verification.certificate_files.document import DocumentCore, content_of
from verification.certificate_files.seals import BatchSeal
from verification.errors import InputError
from verification.proof_verdicts import (
    BATCH_CERTIFICATE,
    BATCH_PROOF_FORMAT,
    BATCH_STEPS,
    GivenDocument,
    ProvedRecord,
    Verdict,
    broken,
    conclude,
)
from verification.refused_files import refuse_malformed, refuse_proof
from verification.trust import TrustFile

_NAMES: Final = ("format", "version", "member", "batch_record", "own_record", *FINALITY_SHAPES)
_MEMBER_NAMES: Final = ("content", "position", "path")
_RECORD_NAMES: Final = ("key", "value", "fields", "state")
_DIGEST_SIZE: Final = 32
_MAX_JSON_INTEGER: Final = 2**53 - 1
"""What every reader of JSON takes exactly."""


class BatchMember(msgspec.Struct, frozen=True):
    """A certificate of a batch: what its leaf says, where it stands among `count` of them, and the siblings from the leaf up."""

    content: CertificateContent
    position: int
    path: tuple[bytes, ...]


class BatchProof(msgspec.Struct, frozen=True):
    """A certificate of a batch with the proofs of the batch's record and of what stands under its own identifier (None: nothing)."""

    member: BatchMember
    batch: RecordProof
    own: RecordProof


class BatchProofFile(msgspec.Struct, frozen=True):
    """A proof as the file has it, with what the file says of the two records in words."""

    proof: BatchProof
    batch_fields: Any
    own_fields: Any


def sealed_member(core: DocumentCore, seal: BatchSeal) -> BatchMember:
    """Return the place in its batch that the seal of a document, presentation or copy names; whether it is there is unchecked."""
    return BatchMember(content_of(core), seal.position, tuple(bytes.fromhex(sibling) for sibling in seal.path))


def join_proofs(member: BatchMember, batch: RecordProof, own: RecordProof) -> BatchProof:
    """Return the proof of a certificate of a batch from a node's two; raise InputError where they cannot be of one moment, or of it."""
    if batch.value is None:
        raise InputError("BATCH_UNKNOWN", "账本上没有这个批次", "the ledger holds no such batch: was it issued?")
    if batch.header != own.header:
        raise InputError(
            "PROOF_MALFORMED",
            f"两份记录的证明须截至同一区块，实为 {batch.header.height} 与 {own.header.height}",
            f"expected both records as of one block, found {batch.header.height} and {own.header.height}",
        )
    shared = {name: getattr(batch, name) for name in FINALITY_SHAPES}
    proof = BatchProof(member, batch, msgspec.structs.replace(own, **shared))
    try:
        _member_status(proof)
    except (ProofFileError, msgspec.DecodeError, ValueError) as error:
        raise InputError(
            "PROOF_MALFORMED", f"节点给出的证明无法解读：{error}", f"the node's proof cannot be read: {error}"
        ) from None
    return proof


def encode_batch_proof(proof: BatchProof) -> bytes:
    """Return the proof as indented JSON in UTF-8."""
    content = {
        "format": BATCH_PROOF_FORMAT,
        "version": PROOF_VERSION,
        "member": to_words(proof.member),
        "batch_record": _record_words(proof.batch),
        "own_record": _record_words(proof.own),
        **{name: to_words(getattr(proof.batch, name)) for name in FINALITY_SHAPES},
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def decode_batch_proof(raw: bytes) -> BatchProofFile:
    """Return what the file holds; raise ProofFileError, which names the part, on anything but a proof of a batch's certificate."""
    content = read_json(raw)
    check_names("file", content, _NAMES)
    if content["format"] != BATCH_PROOF_FORMAT:
        raise ProofFileError("file", f"expected the format {BATCH_PROOF_FORMAT}, found {str(content['format'])[:40]!r}")
    finality = [struct_values(part, shape, content[part]) for part, shape in FINALITY_SHAPES.items()]
    batch, own = (_record_proof(content["version"], content[name], finality) for name in ("batch_record", "own_record"))
    if batch.value is None:
        raise ProofFileError("record", "expected the record of a batch, found none")
    proof = BatchProof(_member(content["member"]), batch, own)
    return BatchProofFile(proof, content["batch_record"]["fields"], content["own_record"]["fields"])


def verify_batch_proof(
    raw: bytes, document: GivenDocument | None, trust: TrustFile, now_ms: int, day: str | None = None
) -> Verdict:
    """Return the verdict on the bytes of a proof of a batch's certificate, with the document that it speaks of or without one.

    A document must be the one whose digest stands in the leaf; a certificate file's seal must lead to the batch's root too.
    A day is as in verify_proof.
    """
    try:
        file = decode_batch_proof(raw)
    except ProofFileError as error:
        return refuse_malformed(BATCH_STEPS, raw, error)
    proof = file.proof
    try:
        _check_words(file)
        verified = verify_record_proof(proof.batch, trust.anchor)
        verify_state_proof(proof.own.state, proof.own.key, proof.own.value, proof.batch.header.state_root)
    except (ProofError, StateProofError, ProofFileError) as error:
        return refuse_proof(BATCH_STEPS, error, trust)
    return _judge(proof, verified, document, trust, now_ms, day)


def status_record(
    batch: BatchRecord, member: BatchMember, own: CertificateRecord | None
) -> tuple[CertificateRecord, tuple[str, str, str] | None]:
    """Return the record that speaks for a certificate of a batch, and a code with texts where it is about another certificate.

    `own` is what the ledger holds under its identifier. Raises Refused (OUTSIDE_BATCH, NOT_IN_BATCH or a fault in the content)
    where the batch has no such certificate.
    """
    parsed = verify_member(batch, member.position, member.content, list(member.path))
    if own is None:
        return member_record(batch, member.content, parsed), None
    try:
        verify_own_record(own, member.content)
    except Refused as refused:
        return own, (refused.code, *refused.texts)
    return own, None


def _judge(
    proof: BatchProof,
    verified: VerifiedRecord,
    document: GivenDocument | None,
    trust: TrustFile,
    now_ms: int,
    day: str | None,
) -> Verdict:
    """Return the verdict on a proof whose two records hold: whether the certificate is in the batch, and what became of it."""
    batch, own = _member_status(proof)
    member = proof.member
    try:
        record, fault = status_record(batch, member, own)
    except Refused as refused:
        return broken(BATCH_STEPS, "member", *refused.texts, refused.code)
    told = {
        "name": batch.name,
        "position": member.position,
        "count": batch.count,
        "issued_ms": batch.issued.from_ms,
        "has_own_record": own is not None,
    }
    height, time_ms = verified.height, verified.time_ms
    proved = ProvedRecord(
        BATCH_STEPS, BATCH_CERTIFICATE, True, record, to_words(record), height, time_ms, batch.root, told, fault
    )
    return conclude(proved, document, trust, now_ms, day)


def _check_words(file: BatchProofFile) -> None:
    """Return if the keys are those of the batch and of the certificate, and the words those of the records; else raise ProofFileError."""
    proof = file.proof
    batch, _ = _member_status(proof)
    if proof.batch.key != batch_key(batch.name):
        raise ProofFileError("record", "the batch's record does not stand at the key of its name")
    if proof.own.key != certificate_key(proof.member.content.identifier):
        raise ProofFileError("record", "the own record is looked for at another key than the certificate's identifier")
    for record, fields in ((proof.batch, file.batch_fields), (proof.own, file.own_fields)):
        if not is_same_json(fields, record_fields(record.key, record.value)):
            raise ProofFileError("record", "the fields in words are not those of the record")


def _member_status(proof: BatchProof) -> tuple[BatchRecord, CertificateRecord | None]:
    """Return the batch's record, and the certificate's own or None; raise ProofFileError where the proofs are of other kinds."""
    for record, kind in ((proof.batch, "batch"), (proof.own, "certificate")):
        if record_kind(record.key) != kind:
            raise ProofFileError("record", f"expected the record of a {kind}, found {record_kind(record.key)}")
    batch = None if proof.batch.value is None else record_of(proof.batch.key, proof.batch.value)
    own = None if proof.own.value is None else record_of(proof.own.key, proof.own.value)
    assert isinstance(batch, BatchRecord), "a proof without the batch's record is not decoded"
    assert own is None or isinstance(own, CertificateRecord)
    return batch, own


def _record_words(proof: RecordProof) -> dict[str, Any]:
    return {
        "key": proof.key.hex(),
        "value": None if proof.value is None else proof.value.hex(),
        "fields": record_fields(proof.key, proof.value),
        "state": to_words(proof.state),
    }


def _record_proof(version: Any, record: Any, finality: list[Any]) -> RecordProof:
    check_names("record", record, _RECORD_NAMES)
    values = [
        version,
        hex_bytes("record", record["key"]),
        None if record["value"] is None else hex_bytes("record", record["value"]),
        struct_values("state", STATE_SHAPE, record["state"]),
        *finality,
    ]
    try:
        return msgspec.convert(values, RecordProof, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise ProofFileError(part_of(str(error), RecordProof.__struct_fields__), str(error)) from None


def _member(member: Any) -> BatchMember:
    """Return a member as the file has it; raise ProofFileError on anything that a leaf or a path cannot be."""
    check_names("member", member, _MEMBER_NAMES)
    content, path = member["content"], member["path"]
    check_names("member", content, CertificateContent.__struct_fields__)
    try:
        parsed = parse_identifier(content["identifier"] if isinstance(content["identifier"], str) else "")
    except Refused as refused:
        raise ProofFileError("member", refused.texts[1]) from None
    if parsed.text != content["identifier"]:
        raise ProofFileError("member", "expected the identifier with its root")
    if not isinstance(path, list) or len(path) > MAX_PATH_LENGTH:
        raise ProofFileError("member", f"expected a path of at most {MAX_PATH_LENGTH} siblings")
    times = [
        _integer(content[name], -_MAX_JSON_INTEGER, _MAX_JSON_INTEGER) for name in ("valid_from_ms", "valid_to_ms")
    ]
    return BatchMember(
        CertificateContent(
            parsed.text, _digest(content["document_digest"]), _digest(content["holder_commitment"]), *times
        ),
        _integer(member["position"], 0, MAX_BATCH_COUNT - 1),
        tuple(map(_digest, path)),
    )


def _digest(text: Any) -> bytes:
    digest = hex_bytes("member", text)
    if len(digest) != _DIGEST_SIZE:
        raise ProofFileError("member", f"expected {_DIGEST_SIZE} bytes, found {len(digest)}")
    return digest


def _integer(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ProofFileError("member", f"expected an integer from {least} to {most}, found {str(value)[:40]!r}")
    return value
