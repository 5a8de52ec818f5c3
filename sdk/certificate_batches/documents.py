"""Single certificates out of a batch's archive: the document with its seal, made on demand."""

from __future__ import annotations

from contracts.identifiers import parse_identifier
from contracts.refusals import Refused
from sdk.certificate_batches.archive import BatchArchive
from sdk.certificate_batches.preparation import secret_check, secret_differs
from sdk.certificate_batches.rows import draft_row
from verification.batch_proof import BatchMember
from verification.certificate_files.document import CertificateDocument, seal_document
from verification.certificate_files.seals import verify_membership
from verification.errors import InputError


def document_of(archive: BatchArchive, identifier: str, department_secret: bytes) -> CertificateDocument:
    """Return the document of one certificate of a signed batch, named with or without its root.

    It is the one that was issued: raises InputError ARCHIVE_DAMAGED where what the archive says gives another, SECRET_DIFFERS for
    another secret, NOT_IN_ARCHIVE where the batch has no such certificate, BATCH_NOT_READY where it is not signed yet.
    """
    if archive.secret_check != secret_check(department_secret):
        raise secret_differs()
    name = _canonical(identifier)
    signature = archive.signature
    position = archive.position(name)
    draft = draft_row(archive.head, archive.source.field_names, archive.row(name), department_secret)
    seal = signature.seal(position, archive.path_of(position))
    try:
        verify_membership(seal, draft.content)
    except InputError as error:
        raise InputError(
            "ARCHIVE_DAMAGED",
            f"{archive.path}：{name} 的内容与已签名的根不符，请用备份（{error.zh}）",
            f"{archive.path}: what it says of {name} does not lead to the signed root; use a backup ({error.en})",
        ) from None
    return seal_document(draft, seal)


def member_of(archive: BatchArchive, identifier: str) -> BatchMember:
    """Return the place of one certificate, named with or without its root, in the batch of an archive; no secret is needed.

    Raises InputError NOT_IN_ARCHIVE where the batch has no such certificate, BATCH_NOT_READY where its tree is not made yet.
    """
    position = archive.position(_canonical(identifier))
    return BatchMember(archive.content(position), position, tuple(archive.path_of(position)))


def _canonical(identifier: str) -> str:
    try:
        return parse_identifier(identifier).text
    except Refused as refused:
        raise InputError(refused.code, *refused.texts) from None
