"""Certificates in bulk: rows of CSV files checked and turned into calls, submitted together, each with its outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts.fields import MAX_TIME_MS
from sdk.client import Client, FinalReceipt
from sdk.csv_table import CsvRow, read_csv
from sdk.documents import document_digest, metadata_document
from sm_crypto.sm3 import sm3
from verification.errors import GovnodeError
from verification.holders import Holder, holder_commitment, holder_salt

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
    """A certificate to issue, or with `predecessor` to renew: times in ms, `valid_to_ms` MAX_TIME_MS without an end."""

    identifier: str
    digest: bytes
    """SM3 of the document, or of the metadata that stand in for it; 32 bytes."""
    valid_from_ms: int
    valid_to_ms: int = MAX_TIME_MS
    holder: Holder = NO_HOLDER
    document: Path | None = None
    predecessor: str = ""
    reason: str = ""
    issuer_code: str = ""
    """The department that the row names, empty where it names none; the identifier is what counts."""


class StatusChange(msgspec.Struct, frozen=True):
    """A change of a certificate's status; `status` is empty where the operation leads to one only."""

    identifier: str
    reason: str
    status: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one call about one certificate: its receipt, or why there is none."""

    identifier: str
    receipt: FinalReceipt | None
    error: GovnodeError | None


def load_new_certificates(path: Path) -> list[NewCertificate]:
    """Return the certificates to issue that a CSV lists; needed columns: identifier, valid_from."""
    return [_new_certificate(row) for row in read_csv(path, ("identifier", "valid_from"), _CERTIFICATE_COLUMNS)]


def load_renewals(path: Path) -> list[NewCertificate]:
    """Return the renewals that a CSV lists; needed columns: predecessor, reason, identifier, valid_from."""
    rows = read_csv(path, ("predecessor", "reason", "identifier", "valid_from"), _CERTIFICATE_COLUMNS)
    return [
        msgspec.structs.replace(_new_certificate(row), predecessor=row.text("predecessor"), reason=row.text("reason"))
        for row in rows
    ]


def load_status_changes(path: Path) -> list[StatusChange]:
    """Return the changes that a CSV lists; needed columns: identifier, reason; status where there is a choice."""
    rows = read_csv(path, ("identifier", "reason"), ("status",))
    return [StatusChange(row.text("identifier"), row.text("reason"), row.optional("status")) for row in rows]


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
) -> list[Outcome]:
    """Issue certificates, or renew those with a predecessor, and return what became of each, in order, once all are final."""

    def sign(new: NewCertificate) -> tuple[str, dict[str, Any]]:
        arguments: dict[str, Any] = {
            "identifier": new.identifier,
            "document_digest": new.digest,
            "holder_commitment": holder_commitment(holder_salt(holder_secret, new.identifier), new.holder),
            "valid_from_ms": new.valid_from_ms,
            "valid_to_ms": new.valid_to_ms,
        }
        if new.predecessor:
            return "renew", arguments | {"predecessor": new.predecessor, "reason": new.reason}
        return "issue", arguments

    return _submit(client, [(new.identifier, *sign(new)) for new in certificates], progress)


def change_status(
    client: Client,
    method: str,
    changes: Sequence[StatusChange],
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Suspend, resume or revoke certificates (`method`) and return what became of each, in order, once all are final."""
    calls = []
    for change in changes:
        arguments: dict[str, Any] = {"identifier": change.identifier, "reason": change.reason}
        if method == "revoke":
            arguments["status"] = change.status
        calls.append((change.identifier, method, arguments))
    return _submit(client, calls, progress)


def register_types(client: Client, types: Sequence[dict[str, Any]]) -> list[Outcome]:
    """Register types of certificates and return what became of each; the account must be a governor's."""
    return _submit(client, [(arguments["code"], "register_type", arguments) for arguments in types], None)


def _submit(
    client: Client, calls: Sequence[tuple[str, str, dict[str, Any]]], progress: Callable[[Outcome], None] | None
) -> list[Outcome]:
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
