"""Who vouches for a document: the issuer's SM2 signature with its X.509 chain, for one document or for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from contracts.certificate_records import CertificateContent
from contracts.fields import MAX_TIME_MS
from contracts.identifiers import FIRST_VERSION, parse_identifier
from sm_crypto.errors import InvalidSignature
from sm_crypto.keystore import Signer
from sm_crypto.merkle import MAX_PATH_LENGTH, MerkleError, verify_merkle_path
from sm_crypto.sm2 import verify
from sm_crypto.sm3 import TaggedHash
from sm_crypto.x509 import (
    MAX_CERTIFICATE_BYTES,
    MAX_CHAIN_LENGTH,
    Certificate,
    CertificateError,
    load_certificates,
    parse_certificate,
    verify_chain,
)
from verification.errors import InputError
from verification.reasons import decoding_reason, found_kind

MAX_BATCH_NAME: Final = 128
MIN_CHAIN_LENGTH: Final = 2
"""The certificate of whoever signs, and the department's above it; the network's root may follow."""

Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", min_length=64, max_length=64)]
Signature = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}$", min_length=128, max_length=128)]
TimeMs = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
CertificateHex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2})+$(?!\n)", max_length=2 * MAX_CERTIFICATE_BYTES)]
Chain = Annotated[tuple[CertificateHex, ...], msgspec.Meta(min_length=MIN_CHAIN_LENGTH, max_length=MAX_CHAIN_LENGTH)]

_DOCUMENT_SEAL: Final = TaggedHash("govnode/certificate-seal/1")
_BATCH_SEAL: Final = TaggedHash("govnode/batch-seal/1")
_ENCODER: Final = msgspec.msgpack.Encoder()


class IssuerSeal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="issuer"):
    """The issuer's signature over one document's digest and the time of signing; the chain in DER, signer first."""

    signed_ms: TimeMs
    signature: Signature
    chain: Chain


class BatchSeal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="batch"):
    """The issuer's one signature over a batch, and the way from the document to the batch's root."""

    batch: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_BATCH_NAME)]
    """What the ledger calls the batch: type code, issuer and first serial, with dots between."""
    count: Annotated[int, msgspec.Meta(ge=1, le=2**32)]
    root: Hex32
    manifest_digest: Hex32
    position: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
    path: Annotated[tuple[Hex32, ...], msgspec.Meta(max_length=MAX_PATH_LENGTH)]
    """The siblings from the leaf up."""
    signed_ms: TimeMs
    signature: Signature
    chain: Chain


class BatchSignature(msgspec.Struct, frozen=True):
    """The issuer's signature over a batch, from which the seal of each of its documents is made."""

    batch: str
    count: int
    root: bytes
    manifest_digest: bytes
    signed_ms: int
    signature: bytes
    chain: tuple[bytes, ...]

    def seal(self, position: int, path: Sequence[bytes]) -> BatchSeal:
        """Return the seal of the document at a position, with its siblings from the leaf up."""
        return BatchSeal(
            self.batch,
            self.count,
            self.root.hex(),
            self.manifest_digest.hex(),
            position,
            tuple(sibling.hex() for sibling in path),
            self.signed_ms,
            self.signature.hex(),
            tuple(der.hex() for der in self.chain),
        )


def decode_certificates(raw: bytes, source: str) -> tuple[Certificate, ...]:
    """Return the certificates in PEM text; raise InputError CERTIFICATES_INVALID, which names the source, on anything else."""
    try:
        return tuple(load_certificates(raw))
    except CertificateError as error:
        raise InputError(
            "CERTIFICATES_INVALID",
            f"{source} 应为 PEM 证书，实为{found_kind(raw)[0]}：{decoding_reason(error)[0]}",
            f"{source} holds no certificates in PEM: {error}",
        ) from None


def check_signer(signer: Signer, chain: Sequence[Certificate]) -> None:
    """Return if a chain begins with the signer's certificate; raise InputError CHAIN_INVALID otherwise: nothing so signed would verify."""
    if not MIN_CHAIN_LENGTH <= len(chain) <= MAX_CHAIN_LENGTH or chain[0].public_key != signer.public_key:
        raise InputError(
            "CHAIN_INVALID",
            "证书链应以签名人的证书开头，其后是部门的证书",
            "expected a chain that begins with the signer's certificate, the department's after it",
        )


def sign_document(digest: bytes, signer: Signer, chain: Sequence[Certificate], signed_ms: int) -> IssuerSeal:
    """Return the seal of a document by its 32-byte digest; `chain` begins with the signer's certificate."""
    check_signer(signer, chain)
    signature = signer.sign(_document_message(digest, signed_ms))
    return IssuerSeal(signed_ms, signature.hex(), tuple(one.der.hex() for one in chain))


def sign_batch(
    batch: str,
    count: int,
    root: bytes,
    manifest_digest: bytes,
    signer: Signer,
    chain: Sequence[Certificate],
    signed_ms: int,
) -> BatchSignature:
    """Return the one signature of a batch, by its name on the ledger, the number of its documents, root and manifest."""
    check_signer(signer, chain)
    signature = signer.sign(_batch_message(batch, count, root, manifest_digest, signed_ms))
    ders = tuple(one.der for one in chain)
    return BatchSignature(batch, count, root, manifest_digest, signed_ms, signature, ders)


def verify_membership(seal: BatchSeal, content: CertificateContent) -> None:
    """Return if the path leads from the document's leaf to the root of the batch; raise InputError NOT_IN_BATCH otherwise."""
    from contracts.batches import leaf_hash

    parsed = parse_identifier(content.identifier)
    prefix, _, first = seal.batch.rpartition(".")
    path = [bytes.fromhex(sibling) for sibling in seal.path]
    try:
        if prefix != f"{parsed.type_code}.{parsed.issuer_code}" or parsed.serial < first:
            raise MerkleError("the batch is one of another type, issuer or later serials")
        if parsed.version != FIRST_VERSION:
            raise MerkleError(f"no certificate of a batch has the version {parsed.version}")
        verify_merkle_path(leaf_hash(content), seal.position, seal.count, path, bytes.fromhex(seal.root))
    except MerkleError as error:
        raise InputError(
            "NOT_IN_BATCH",
            f"文件不在批次 {seal.batch} 的第 {seal.position} 位：内容、位置或路径被改动",
            f"the document is not at position {seal.position} of the batch {seal.batch}: {error}",
        ) from None


def verify_seal(seal: IssuerSeal | BatchSeal, digest: bytes) -> Certificate:
    """Return the certificate whose key made a seal's signature; raise InputError SIGNATURE_INVALID where it did not."""
    if isinstance(seal, BatchSeal):
        message = _batch_message(
            seal.batch, seal.count, bytes.fromhex(seal.root), bytes.fromhex(seal.manifest_digest), seal.signed_ms
        )
    else:
        message = _document_message(digest, seal.signed_ms)
    return verify_signature(message, seal.signature, seal.chain, "SIGNATURE_INVALID")


def verify_signature(message: bytes, signature: str, chain: Chain, code: str) -> Certificate:
    """Return the first certificate of a chain if its key signed the message; raise InputError with this code otherwise."""
    try:
        signer = parse_certificate(bytes.fromhex(chain[0]))
        verify(signer.public_key, message, bytes.fromhex(signature))
    except (CertificateError, InvalidSignature) as error:
        raise InputError(
            code,
            f"签名不成立：签名后内容被改动，或不是证书所有者所签（{error}）",
            f"the signature does not hold: changed after signing, or not made by the certificate's owner ({error})",
        ) from None
    return signer


def verify_signer(chain: Chain, department: str, roots: Sequence[Certificate] | None, at_ms: int) -> Certificate:
    """Return the certificate of the department that a chain's signer belongs to, if that is the one with this code.

    Raises InputError SIGNER_NOT_OF_DEPARTMENT where it is another, or no person's certificate, and SIGNER_NOT_TRUSTED
    where the chain did not lead to a root at `at_ms`. Without roots (None) the chain itself is not judged.
    """
    try:
        certificates = [parse_certificate(bytes.fromhex(der)) for der in chain]
        if roots is not None:
            verify_chain(certificates, roots, at_ms=at_ms)
    except CertificateError as error:
        raise InputError(
            "SIGNER_NOT_TRUSTED",
            f"签名证书链不通向所信任的根，或签名时不在有效期：{error}",
            f"the signer's chain leads to no trusted root, or did not hold when it signed: {error}",
        ) from None
    signer, above = certificates[0], certificates[1]
    if signer.is_server or above.organization_identifier != department:
        raise InputError(
            "SIGNER_NOT_OF_DEPARTMENT",
            f"签名证书 {signer.common_name} 不是部门 {department} 的签名人证书",
            f"the certificate of {signer.common_name} is not one of a person who signs for the department {department}",
        )
    return above


def _document_message(digest: bytes, signed_ms: int) -> bytes:
    return _DOCUMENT_SEAL(_ENCODER.encode((digest, signed_ms)))


def _batch_message(batch: str, count: int, root: bytes, manifest_digest: bytes, signed_ms: int) -> bytes:
    return _BATCH_SEAL(_ENCODER.encode((batch, count, root, manifest_digest, signed_ms)))
