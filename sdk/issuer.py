"""Issuing from a department's own system: one call drafts a certificate's document, signs it, records it and fetches its proof."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from contracts.certificate_records import CertificateContent, certificate_key
from contracts.identifiers import FIRST_VERSION, make_identifier, parse_identifier
from contracts.refusals import Refused
from node.config import ConfigError, read_password_file
from sdk.certificate_batches.issuing import load_head
from sdk.client import Client
from sdk.documents import read_limited, write_private
from sdk.errors import CallRefused, RequestRefused
from sdk.proofs import export_proof
from sdk.secret_files import load_holder_secret
from sdk.system_contracts.certificates import Certificates
from sm_crypto.keystore import KeyFileError, Signer, load_key
from sm_crypto.x509 import MAX_PEM_BYTES, Certificate
from verification.certificate_files.document import (
    WITHOUT_END,
    Attachment,
    document_secret,
    draft_document,
    encode_file,
    seal_document,
)
from verification.certificate_files.seals import check_signer, decode_certificates, sign_document
from verification.days import day_start_ms, show_day
from verification.errors import InputError
from verification.holders import Holder

NOBODY: Final = Holder("", "", "")


class IssuedCertificate(msgspec.Struct, frozen=True):
    """A certificate on the ledger: the holder's document and the proof of its record, each as the bytes of a file."""

    identifier: str
    document: bytes
    proof: bytes

    def save(self, document: Path, proof: Path) -> None:
        """Write both files, readable by their owner only, for the document has personal data in it; raise InputError FILE_UNWRITABLE."""
        write_private(document, self.document)
        write_private(proof, self.proof)


class Issuer:
    """A department's person who signs, at one node. Use it in a `with` block."""

    def __init__(self, url: str, signer: Signer, chain: Sequence[Certificate], secret: bytes) -> None:
        """Take the node's address, the account's key, its certificate with the department's, and the department's secret of 32 bytes.

        Raises InputError CHAIN_INVALID where the certificates are not the signer's.
        """
        check_signer(signer, chain)
        self.client = Client(url, signer)
        """For whatever else the account does: `Certificates(issuer.client).revoke(...)`."""
        self._signer = signer
        self._chain = tuple(chain)
        self._secret = secret

    @classmethod
    def from_files(cls, url: str, *, key: Path, password_file: Path, chain: Path, holder_secret: Path) -> Self:
        """Take all that from the files that the commands take; raise InputError where one is not what it should be."""
        try:
            signer = load_key(key, read_password_file(password_file))
        except (KeyFileError, ConfigError, OSError) as error:
            raise InputError(
                "KEY_UNUSABLE",
                f"密钥 {key} 打不开，请核对文件、口令与权限：{error}",
                f"the key {key} cannot be opened, check file, password and permissions: {error}",
            ) from None
        certificates = decode_certificates(read_limited(chain, MAX_PEM_BYTES), str(chain))
        return cls(url, signer, certificates, load_holder_secret(holder_secret))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    def issue(
        self,
        type_code: str,
        serial: str,
        *,
        valid_from: str,
        valid_to: str = WITHOUT_END,
        number: str = "",
        holder: Holder = NOBODY,
        fields: Mapping[str, str] | None = None,
        attachments: Sequence[Attachment] = (),
        holder_key: bytes = b"",
        version: str = FIRST_VERSION,
        issued_on: str | None = None,
        predecessor: str = "",
        reason: str = "",
    ) -> IssuedCertificate:
        """Issue a certificate, or with `predecessor` renew that one for a reason, and return it once it is final.

        Days are YYYY-MM-DD, China time; `issued_on` is today when absent. The names of type and department are the ledger's. Asked again
        for the same certificate, with the same `issued_on`, it gives it again and issues nothing. Raises InputError on what a document
        must not say and where the department has no right to the type, CallRefused with the contract's reason (CERTIFICATE_EXISTS
        where the identifier is another certificate's).
        """
        for name, text in (("valid_from", valid_from), ("valid_to", valid_to), ("issued_on", issued_on)):
            _check_day(name, text)
        now_ms = time.time_ns() // 1_000_000
        head = load_head(self.client, type_code, issued_on or show_day(now_ms))
        try:
            identifier = make_identifier(type_code, head.issuer_code, serial, version)
            before = parse_identifier(predecessor).text if predecessor else ""
        except Refused as refused:
            raise InputError(refused.code, *refused.texts) from None
        metadata = {
            "ZZBS": identifier,
            "ZZMC": head.type_name,
            "ZZBFJG": head.issuer_name,
            "ZZBFRQ": head.issued_on,
            "ZZYXQQSRQ": valid_from,
            "ZZYXQJZRQ": valid_to,
            "associatedZzeCertID": before,
            "ZZBH": number,
            "CZZT": holder.name,
            "CZZTDM": holder.code,
            "CZZTDMLXDM": holder.code_type,
        }
        secret = document_secret(self._secret, identifier)
        draft = draft_document(metadata, list((fields or {}).items()), attachments, secret, holder_key=holder_key)
        document = seal_document(draft, sign_document(draft.digest, self._signer, self._chain, now_ms))
        height = self._record(draft.content, before, reason)
        proof = export_proof(self.client, certificate_key(identifier), height)
        return IssuedCertificate(identifier, encode_file(document), proof)

    def _record(self, content: CertificateContent, predecessor: str, reason: str) -> int | None:
        """Record a certificate and return the height; None where the ledger has this very one already."""
        certificates = Certificates(self.client)
        fields = msgspec.structs.asdict(content)
        try:
            if predecessor:
                return certificates.renew(predecessor=predecessor, reason=reason, **fields).height
            return certificates.issue(**fields).height
        except CallRefused as refused:
            try:
                record = certificates.certificate(content.identifier)
            except RequestRefused:
                raise refused from None
            if any(getattr(record, name) != value for name, value in fields.items()):
                raise
            return None


def _check_day(name: str, text: str | None) -> None:
    """Return if the text is a day or absent; raise InputError DATE_MALFORMED that names where it was given."""
    try:
        if text is not None:
            day_start_ms(text)
    except (ValueError, OverflowError):
        raise InputError(
            "DATE_MALFORMED",
            f"{name} 应为日历上有的日期 YYYY-MM-DD，实为 {text!r:.40}",
            f"{name}: expected a day of the calendar as YYYY-MM-DD, found {text!r:.40}",
        ) from None
