"""Proofs for people without an account or a node: fetched from a node, and verified from files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from node.chain.codec import CodecError
from node.chain.proof import decode_record_proof
from node.http.proof_file import MAX_PROOF_FILE_BYTES, ProofFileError, encode_proof_file
from sdk.documents import MAX_DOCUMENT_BYTES, read_limited
from sdk.trust import load_trust
from verification.errors import InputError
from verification.proofs import GivenDocument, Verdict, verify_proof

if TYPE_CHECKING:
    from sdk.client import Client


def export_proof(client: Client, key: bytes, height: int | None = None) -> bytes:
    """Return a proof file of what the node's ledger holds at a key in state, at a height or the latest; what the node says is unchecked."""
    answer = client.rpc("gov_getProof", key="0x" + key.hex(), height="latest" if height is None else height)
    return proof_file_of(bytes.fromhex(str(answer).removeprefix("0x")))


def proof_file_of(raw: bytes) -> bytes:
    """Return the proof file of an encoded record proof; raise InputError when the bytes are none."""
    try:
        return encode_proof_file(decode_record_proof(raw))
    except (CodecError, ProofFileError) as error:
        raise InputError(
            "PROOF_MALFORMED", f"节点给出的证明无法解读：{error}", f"the node's proof cannot be read: {error}"
        ) from None


def verify_proof_file(
    proof: Path,
    document: Path | None,
    trust: Path,
    *,
    now_ms: int | None = None,
    root: Path | None = None,
    recipient: str | None = None,
    attachments: Sequence[Path] = (),
) -> Verdict:
    """Return the verdict on a proof file, with or without the document it speaks of, for whoever trusts the trust file.

    `root` (certificates in PEM), `recipient` and `attachments` are as in GivenDocument. Raise InputError when a file cannot be
    read or is not what it should be; everything about the proof itself and the document is a verdict.
    """
    anchor = load_trust(trust)
    raw = read_limited(proof, MAX_PROOF_FILE_BYTES)
    given = None if document is None else _load_document(document, root, recipient, attachments)
    return verify_proof(raw, given, anchor, time.time_ns() // 1_000_000 if now_ms is None else now_ms)


def _load_document(
    document: Path, root: Path | None, recipient: str | None, attachments: Sequence[Path]
) -> GivenDocument:
    content = read_limited(document, MAX_DOCUMENT_BYTES)
    if root is None and not attachments:
        return GivenDocument(content, None, recipient)
    from sm_crypto.x509 import MAX_PEM_BYTES
    from verification.certificate_files.document import file_digest
    from verification.certificate_files.seals import decode_certificates

    roots = None if root is None else decode_certificates(read_limited(root, MAX_PEM_BYTES), str(root))
    digests = {path.name: file_digest(read_limited(path, MAX_DOCUMENT_BYTES)) for path in attachments}
    return GivenDocument(content, roots, recipient, digests)
