"""Proofs for people without an account or a node: fetched from a node, and verified from files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson

from node.chain.codec import CodecError
from node.chain.proof import RecordProof, decode_record_proof
from node.http.proof_file import MAX_PROOF_FILE_BYTES, ProofFileError, encode_proof_file, record_fields
from sdk.documents import MAX_DOCUMENT_BYTES, read_limited
from sdk.trust import load_trust
from verification.errors import InputError
from verification.proof_verdicts import limit_age
from verification.proofs import GivenDocument, Verdict, verify_proof

if TYPE_CHECKING:
    from sdk.client import Client
    from verification.batch_proof import BatchMember


def export_proof(client: Client, key: bytes, height: int | None = None) -> bytes:
    """Return a proof file of what the node's ledger holds at a key in state, at a height or the latest; what the node says is unchecked."""
    return encode_proof_file(_fetch_proof(client, key, height))


def export_certificate_proof(client: Client, identifier: str, height: int | None = None) -> bytes:
    """Return a proof file of a certificate's own record, or that there is none, at a height or the latest.

    One of a batch without a record is proved by a node that holds the batch's manifest. Raises InputError IN_BATCH where the node
    holds none: absence of the record alone would tell the opposite.
    """
    from contracts.certificate_records import certificate_key

    proof = _fetch_proof(client, certificate_key(identifier), height)
    if proof.value is None:
        from sdk.system_contracts.batches import Batches

        batch = Batches(client).batch_of(identifier)
        if batch:
            listed = export_listed_proof(client, identifier, height)
            if listed is not None:
                return listed
            raise InputError(
                "IN_BATCH",
                f"{identifier} 的流水号属于批次 {batch}，没有单独的记录，所问节点没有该批次的清单（或正在读取）："
                "请加 --archive（批次档案）、以 --document 给出证照文件，或改问有清单的节点",
                f"the serial of {identifier} is of the batch {batch}, it has no record of its own, and the node has no manifest of the "
                "batch, or is reading it: add --archive (of the batch), give the document with --document, or ask a node that has the "
                "manifest",
            )
    return encode_proof_file(proof)


def export_listed_proof(client: Client, identifier: str, height: int | None = None) -> bytes | None:
    """Return the proof file that a node makes from a batch's manifest, None where it holds none or this is not in it."""
    from sdk.errors import RequestRefused

    try:
        return orjson.dumps(client.get(f"/proofs/members/{quote(identifier, safe='')}", height=height))
    except RequestRefused as refused:
        if refused.code != "NOT_FOUND":
            raise
        return None


def export_member_proof(client: Client, batch: str, member: BatchMember, height: int | None = None) -> bytes:
    """Return a proof file of a certificate of the batch of this name, at a height or the latest; what the node says is unchecked.

    Raises InputError BATCH_UNKNOWN where the node's ledger has no such batch.
    """
    from contracts.batches import batch_key
    from contracts.certificate_records import certificate_key
    from verification.batch_proof import encode_batch_proof, join_proofs

    of_batch = _fetch_proof(client, batch_key(batch), height)
    own = _fetch_proof(client, certificate_key(member.content.identifier), of_batch.header.height)
    return encode_batch_proof(join_proofs(member, of_batch, own))


def export_document_proof(client: Client, document: Path, height: int | None = None) -> tuple[str, bytes]:
    """Return the identifier and a proof file of the certificate that the file of a document, presentation or annotated copy is of."""
    return fetch_document_proof(client, read_limited(document, MAX_DOCUMENT_BYTES), height)


def fetch_document_proof(client: Client, raw: bytes, height: int | None = None) -> tuple[str, bytes]:
    """Return the identifier and a proof file of the certificate that the bytes of a document, presentation or annotated copy are of.

    The file is of either kind, as the seal says. Raises InputError DOCUMENT_MALFORMED on any other bytes.
    """
    from contracts.certificate_records import certificate_key
    from verification.batch_proof import sealed_member
    from verification.certificate_files.file_verification import decode_origin
    from verification.certificate_files.seals import BatchSeal

    core, seal = decode_origin(raw)
    if isinstance(seal, BatchSeal):
        return core.identifier, export_member_proof(client, seal.batch, sealed_member(core, seal), height)
    return core.identifier, export_proof(client, certificate_key(core.identifier), height)


def proof_file_of(raw: bytes) -> bytes:
    """Return the proof file of an encoded record proof; raise InputError when the bytes are none."""
    return encode_proof_file(_decode(raw))


def fetch_proofs(client: Client, keys: Sequence[bytes], height: int | None) -> list[RecordProof]:
    """Return the node's proofs of what its ledger holds at keys, at a height or the latest; what they prove is unchecked.

    Raises RequestRefused UNKNOWN_HEIGHT where the node does not keep the state of that height.
    """
    wanted = "latest" if height is None else height
    answers = client.rpc_many("gov_getProof", [{"key": "0x" + key.hex(), "height": wanted} for key in keys])
    return [_proof_of(key, answer) for key, answer in zip(keys, answers, strict=True)]


def _fetch_proof(client: Client, key: bytes, height: int | None) -> RecordProof:
    return fetch_proofs(client, [key], height)[0]


def _proof_of(key: bytes, answer: object) -> RecordProof:
    try:
        proof = _decode(bytes.fromhex(str(answer).removeprefix("0x")))
    except ValueError:
        raise InputError("PROOF_MALFORMED", "节点的应答不是证明", "the node's answer is no proof") from None
    if proof.key != key:
        raise InputError(
            "PROOF_MALFORMED",
            "节点给出的是另一条记录的证明，请换一个节点",
            "the node gave a proof of another record: ask another node",
        )
    return proof


def _decode(raw: bytes) -> RecordProof:
    try:
        proof = decode_record_proof(raw)
        record_fields(proof.key, proof.value)
    except (CodecError, ProofFileError) as error:
        raise InputError(
            "PROOF_MALFORMED", f"节点给出的证明无法解读：{error}", f"the node's proof cannot be read: {error}"
        ) from None
    return proof


def verify_proof_file(
    proof: Path,
    document: Path | None,
    trust: Path,
    *,
    now_ms: int | None = None,
    root: Path | None = None,
    recipient: str | None = None,
    attachments: Sequence[Path] = (),
    status_list: Path | None = None,
    list_departments: Sequence[str] = (),
    max_age_ms: int | None = None,
    day: str | None = None,
) -> Verdict:
    """Return the verdict on a proof file, with or without the document it speaks of, for whoever trusts the trust file.

    `root` (certificates in PEM), `recipient` and `attachments` are as in GivenDocument. A status list says what became of the
    certificate since; the issuer's is taken, or one of `list_departments`. What speaks of more than `max_age_ms` ago is refused.
    With a day `YYYY-MM-DD` the verdict is about what the certificate was on it.
    Raise InputError when a file cannot be read or is not what it should be; everything about the proof itself and the document
    is a verdict.
    """
    anchor = load_trust(trust)
    raw = read_limited(proof, MAX_PROOF_FILE_BYTES)
    given = None
    if document is not None:
        given = given_document(read_limited(document, MAX_DOCUMENT_BYTES), root, recipient, attachments)
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    verdict = verify_proof(raw, given, anchor, now_ms, day)
    if status_list is not None:
        # Imported only now: without a list, none of it is needed.
        from sdk.trusted_lists import list_trust
        from verification.freshness import with_status_list
        from verification.status_list import MAX_STATUS_LIST_FILE_BYTES

        known = list_trust(trust, root, list_departments, now_ms)
        verdict = with_status_list(verdict, read_limited(status_list, MAX_STATUS_LIST_FILE_BYTES), known)
    return verdict if max_age_ms is None else limit_age(verdict, max_age_ms)


def given_document(
    content: bytes, root: Path | None, recipient: str | None, attachments: Sequence[Path]
) -> GivenDocument:
    """Return a document with what its verifier knows; raise InputError where root certificates or attached files cannot be read."""
    if root is None and not attachments:
        return GivenDocument(content, None, recipient)
    from sm_crypto.x509 import MAX_PEM_BYTES
    from verification.certificate_files.document import file_digest
    from verification.certificate_files.seals import decode_certificates

    roots = None if root is None else decode_certificates(read_limited(root, MAX_PEM_BYTES), str(root))
    named = [_attached(path) for path in attachments]
    digests = {name: file_digest(read_limited(path, MAX_DOCUMENT_BYTES)) for name, path in named}
    return GivenDocument(content, roots, recipient, digests)


def _attached(given: Path) -> tuple[str, Path]:
    """Return what a file at hand is called in the document, and the file: its own name, or NAME of `NAME=FILE`."""
    name, separator, path = str(given).partition("=")
    return (name, Path(path)) if separator and not given.exists() else (given.name, given)
