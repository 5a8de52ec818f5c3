"""Certificates one by one or by rows of CSV files: checked, turned into calls, submitted together, each with its outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from contracts.fields import MAX_TIME_MS
from contracts.identifiers import parse_identifier
from contracts.refusals import Refused
from sdk.client import Client, FinalReceipt
from sdk.csv_table import CsvRow, read_csv
from sdk.documents import MAX_DOCUMENT_BYTES, document_digest, metadata_document, read_limited
from sdk.identity_numbers import check_free_texts
from sm_crypto.sm3 import sm3
from verification.certificate_files.document import content_of, decode_document
from verification.certificate_files.file_verification import Expectations, certificate_file_kind, verify_document
from verification.certificate_files.seals import BatchSeal
from verification.errors import GovnodeError, InputError
from verification.holders import Holder, holder_commitment, holder_salt

Succession: TypeAlias = Literal["renew", "change", "transfer_in"]
"""How a new certificate takes the place of an earlier one."""

SUBMITTED_AT_ONCE: Final = 50
NO_HOLDER: Final = Holder("", "", "")
"""A certificate for nobody in particular: its commitment tells no more than any other's."""

_CERTIFICATE_COLUMNS: Final = (
    "type_code",
    "type_name",
    "issuer_code",
    "issuer_name",
    "holder_name",
    "holder_code_type",
    "holder_code",
    "valid_to",
    "document",
)
_TYPE_COLUMNS: Final = (
    "code",
    "name",
    "defining_body",
    "defining_level",
    "holder_category",
    "validity_range",
    "issuing_level",
    "certificate_class",
    "code_table",
    "issuers",
)


class NewCertificate(msgspec.Struct, frozen=True):
    """A certificate to issue, or with `predecessor` to put in its place: times in ms, `valid_to_ms` MAX_TIME_MS without an end."""

    identifier: str
    digest: bytes
    """The certificate document's own digest, the SM3 of another file, or of the metadata that stand in for it; 32 bytes."""
    valid_from_ms: int
    valid_to_ms: int = MAX_TIME_MS
    holder: Holder = NO_HOLDER
    document: Path | None = None
    predecessor: str = ""
    reason: str = ""
    issuer_code: str = ""
    """The department that the row names, empty where it names none; the identifier is what counts."""
    commitment: bytes = b""
    """The commitment to the holder where the certificate document has one; empty where it is made from `holder`."""


class StatusChange(msgspec.Struct, frozen=True):
    """A change of a certificate's status; `status` is empty where the operation leads to one only, `recipient` but in a transfer."""

    identifier: str
    reason: str
    status: str = ""
    recipient: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one call about one certificate: its receipt, or why there is none; neither where nothing was to be done."""

    identifier: str
    receipt: FinalReceipt | None
    error: GovnodeError | None


def load_new_certificates(path: Path) -> list[NewCertificate]:
    """Return the certificates to issue that a CSV lists; needed columns: identifier, valid_from."""
    found = [_new_certificate(row) for row in read_csv(path, ("identifier", "valid_from"), _CERTIFICATE_COLUMNS)]
    for new in found:
        check_succession(new, "")
    return found


def load_renewals(path: Path) -> list[NewCertificate]:
    """Return the successors that a CSV lists; needed columns: predecessor, reason, identifier, valid_from."""
    successors = []
    for row in read_csv(path, ("predecessor", "reason", "identifier", "valid_from"), _CERTIFICATE_COLUMNS):
        new, predecessor = _new_certificate(row), row.text("predecessor")
        check_succession(new, predecessor)
        successors.append(msgspec.structs.replace(new, predecessor=predecessor, reason=row.text("reason")))
    return successors


def check_succession(new: NewCertificate, predecessor: str) -> None:
    """Return if a certificate's document names no predecessor, or this one (empty for none); raise InputError PREDECESSOR_DIFFERS."""
    if new.predecessor and (not predecessor or _canonical(predecessor) != new.predecessor):
        raise InputError(
            "PREDECESSOR_DIFFERS",
            f"证照文件 {new.document} 接替 {new.predecessor}，请用 renew、change 或 transfer-in 并给出同一前证",
            f"the document {new.document} takes the place of {new.predecessor}: use renew, change or transfer-in, and name "
            "that one",
        )


def load_status_changes(path: Path) -> list[StatusChange]:
    """Return the changes that a CSV lists; needed columns: identifier, reason; status where there is a choice; recipient in transfers."""
    return [
        StatusChange(row.text("identifier"), row.text("reason"), row.optional("status"), row.optional("recipient"))
        for row in read_csv(path, ("identifier", "reason"), ("status", "recipient"))
    ]


def certificate_of_document(path: Path) -> NewCertificate | None:
    """Return what the ledger is to record of a certificate document, None where the file is another kind of file.

    Raises InputError with the code of what is broken in it, DOCUMENT_OF_BATCH where it was issued with its batch, and
    NOT_A_DOCUMENT where it is a presentation or a copy.
    """
    raw = read_limited(path, MAX_DOCUMENT_BYTES)
    kind = certificate_file_kind(raw)
    if kind is None:
        return None
    if kind != "document":
        raise InputError(
            "NOT_A_DOCUMENT",
            f"{path} 是出示件或加注件，请给出证照文件本身",
            f"{path} is a presentation or an annotated copy: give the certificate document itself",
        )
    document = decode_document(raw)
    if isinstance(document.seal, BatchSeal):
        raise InputError(
            "DOCUMENT_OF_BATCH",
            f"{path} 是批次 {document.seal.batch} 的证照，已随批次颁发",
            f"{path} is of the batch {document.seal.batch}, and was issued with it",
        )
    verdict = verify_document(raw, Expectations(document.seal.signed_ms, ledger=content_of(document.core)))
    if not verdict.is_accepted:
        raise InputError(verdict.code, f"{path}：{verdict.zh}", f"{path}: {verdict.en}")
    content = content_of(document.core)
    return NewCertificate(
        content.identifier,
        content.document_digest,
        content.valid_from_ms,
        content.valid_to_ms,
        document=path,
        predecessor=document.core.predecessor,
        commitment=content.holder_commitment,
    )


def load_types(path: Path) -> list[dict[str, Any]]:
    """Return the arguments of certificates.register_type for each row of a CSV; `issuers` are separated by spaces."""
    types = []
    for row in read_csv(path, _TYPE_COLUMNS[:2], _TYPE_COLUMNS[2:]):
        arguments: dict[str, Any] = {column: row.optional(column) for column in _TYPE_COLUMNS}
        types.append(arguments | {"issuers": row.optional("issuers").split()})
    return types


def issue(
    client: Client,
    certificates: Sequence[NewCertificate],
    holder_secret: bytes,
    progress: Callable[[Outcome], None] | None = None,
    *,
    succession: Succession = "renew",
) -> list[Outcome]:
    """Issue certificates and return what became of each, in order, once all are final.

    Those with a predecessor take its place by `succession`. `holder_secret` counts where no document has the commitment.
    """

    def arguments_of(new: NewCertificate) -> tuple[str, dict[str, Any]]:
        arguments: dict[str, Any] = {
            "identifier": new.identifier,
            "document_digest": new.digest,
            "holder_commitment": new.commitment
            or holder_commitment(holder_salt(holder_secret, new.identifier), new.holder),
            "valid_from_ms": new.valid_from_ms,
            "valid_to_ms": new.valid_to_ms,
        }
        if new.predecessor:
            return succession, arguments | {"predecessor": new.predecessor, "reason": new.reason}
        return "issue", arguments

    return _submit(client, [(new.identifier, *arguments_of(new)) for new in certificates], progress)


def change_status(
    client: Client,
    method: str,
    changes: Sequence[StatusChange],
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Change statuses by a method of `certificates` and return what became of each, in order, once all are final."""
    calls = []
    for change in changes:
        said = "description" if method == "record_other" else "reason"
        arguments: dict[str, Any] = {"identifier": change.identifier, said: change.reason}
        if method == "revoke":
            arguments["status"] = change.status
        elif method == "transfer_out":
            arguments["recipient"] = change.recipient
        calls.append((change.identifier, method, arguments))
    return _submit(client, calls, progress)


def register_types(client: Client, types: Sequence[dict[str, Any]]) -> list[Outcome]:
    """Register types of certificates and return what became of each; the account must be a governor's."""
    return _submit(client, [(arguments["code"], "register_type", arguments) for arguments in types], None)


def _submit(
    client: Client, calls: Sequence[tuple[str, str, dict[str, Any]]], progress: Callable[[Outcome], None] | None
) -> list[Outcome]:
    for _, _, arguments in calls:
        # Of many, all are looked at before the first is sent.
        check_free_texts(arguments)
    outcomes: list[Outcome] = []
    for start in range(0, len(calls), SUBMITTED_AT_ONCE):
        batch = calls[start : start + SUBMITTED_AT_ONCE]
        signed = [client.sign_call("certificates", method, **arguments) for _, method, arguments in batch]
        for (name, _, _), result in zip(batch, client.outcomes(signed), strict=True):
            outcome = Outcome(name, None, result) if isinstance(result, GovnodeError) else Outcome(name, result, None)
            outcomes.append(outcome)
            if progress is not None:
                progress(outcome)
    return outcomes


def _new_certificate(row: CsvRow) -> NewCertificate:
    document = row.path.parent / row.optional("document") if row.optional("document") else None
    recorded = None if document is None else certificate_of_document(document)
    if recorded is not None:
        return _same_as_row(recorded, row)
    holder = Holder(row.optional("holder_code_type"), row.optional("holder_code"), row.optional("holder_name"))
    return NewCertificate(
        identifier=row.text("identifier"),
        digest=document_digest(document) if document else sm3(metadata_document(row.values)),
        valid_from_ms=row.day_start_ms("valid_from"),
        valid_to_ms=row.day_end_ms("valid_to") if row.optional("valid_to") else MAX_TIME_MS,
        holder=holder,
        document=document,
        issuer_code=row.optional("issuer_code"),
    )


def _same_as_row(recorded: NewCertificate, row: CsvRow) -> NewCertificate:
    """Return the certificate of a row's document; raise InputError where the row says something else than the document."""
    end_ms = row.day_end_ms("valid_to") if row.optional("valid_to") else MAX_TIME_MS
    for column, is_same in (
        ("identifier", _canonical(row.text("identifier")) == recorded.identifier),
        ("valid_from", row.day_start_ms("valid_from") == recorded.valid_from_ms),
        ("valid_to", end_ms == recorded.valid_to_ms),
    ):
        if not is_same:
            raise row.fault(column, "与证照文件一致的内容", "what the certificate document says")
    return msgspec.structs.replace(recorded, issuer_code=row.optional("issuer_code"))


def _canonical(identifier: str) -> str:
    try:
        return parse_identifier(identifier).text
    except Refused as refused:
        raise InputError(refused.code, *refused.texts) from None
