"""Electronic certificates: their types, and each certificate's life with every status it had and since when.

Only commitments to the document and the holder are kept: nothing personal is on the ledger.
"""

from __future__ import annotations

from typing import Final

import msgspec

from contracts import code_tables
from contracts.accounts import GOVERNOR, ISSUER, load_department
from contracts.code_tables import CODE_TABLES, CodeTable, OperationCode, StatusCode, load_code_table
from contracts.fields import (
    MAX_TIME_MS,
    Address,
    Bytes32,
    TimeMs,
    Uint8,
    check_choice,
    check_digest,
    check_list,
    check_optional_text,
    check_period,
    check_text,
)
from contracts.frame import Context, SystemContract
from contracts.identifiers import CertificateIdentifier, parse_identifier, verify_type_code
from contracts.members import LEVELS
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_NAME_LENGTH: Final = 128
MAX_REASON_LENGTH: Final = 200
MAX_TYPE_ISSUERS_AT_ONCE: Final = 256
MAX_STATUS_INTERVALS: Final = 256

HOLDER_CATEGORIES: Final = ("person", "organisation", "other")
"""持证者类别: 自然人 / 法人和其他组织 / 其他 (GB/T 36902, as implemented)."""
CLASSES: Final = ("certificate", "approval", "proof", "material", "card")
"""证照 / 批文 / 证明 / 材料 / 证件."""


class CertificateType(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A type of certificate (GB/T 36902, as implemented); its first 18 characters are the defining body's code."""

    code: str
    name: str
    defining_body: str
    defining_level: str
    holder_category: str
    validity_range: str
    issuing_level: str
    certificate_class: str
    code_table: str
    registered_ms: TimeMs


class StatusInterval(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """From when a certificate had a status, by which operation and operator, and why.

    `effect` is kept beside the code, so that the record speaks for itself and a later change of the table rewrites nothing.
    """

    status: str
    effect: Uint8
    from_ms: TimeMs
    operation: str
    reason: str
    operator: Address


class CertificateRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One certificate; `predecessor` and `successor` are identifiers or empty, `history` has the oldest status first."""

    identifier: str
    type_code: str
    issuer: str
    document_digest: Bytes32
    holder_commitment: Bytes32
    valid_from_ms: TimeMs
    valid_to_ms: TimeMs
    predecessor: str
    successor: str
    history: tuple[StatusInterval, ...]

    @property
    def issued_ms(self) -> int:
        """Block time of issue."""
        return self.history[0].from_ms

    @property
    def status(self) -> str:
        """The newest status code, whatever the validity period says."""
        return self.history[-1].status


class IssuerPermission(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A department's right to issue certificates of one type; its absence can be proved."""

    type_code: str
    department: str
    granted_ms: TimeMs


class StatusAt(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a certificate was at a time: `verdict` is one of VERDICTS, `since_ms` when that began, `reason` as recorded."""

    verdict: str
    is_valid: bool
    status: str
    since_ms: TimeMs
    reason: str
    successor: str


VERDICTS: Final[dict[str, tuple[str, str]]] = {
    "IN_FORCE": ("有效", "in force"),
    "NOT_YET_ISSUED": ("当时尚未颁发", "not issued at that time"),
    "NOT_YET_VALID": ("未到有效期起始日", "its validity has not begun"),
    "EXPIRED": ("已过有效期", "its validity has ended"),
    "SUSPENDED": ("已暂停使用", "suspended"),
    "SUPERSEDED": ("已由新证照接替", "succeeded by another certificate"),
    "ENDED": ("已终止", "ended"),
}
"""What status_at finds, in Chinese and English."""

TYPES: Final = Table("certificates", 1, CertificateType)
PERMISSIONS: Final = Table("certificates", 2, IssuerPermission)
CERTIFICATES: Final = Table("certificates", 4, CertificateRecord)
CONTRACT: Final = SystemContract("certificates")
TYPE_REGISTERED: Final = CONTRACT.event("TypeRegistered", code="string", name="string")
ISSUER_ALLOWED: Final = CONTRACT.event("IssuerAllowed", type_code="string", department="string")
ISSUER_WITHDRAWN: Final = CONTRACT.event("IssuerWithdrawn", type_code="string", department="string")
CODE_TABLE_SET: Final = CONTRACT.event("CodeTableSet", name="string")
ISSUED: Final = CONTRACT.event("CertificateIssued", ["document_digest"], document_digest="bytes32", identifier="string")
SUCCEEDED: Final = CONTRACT.event("CertificateSucceeded", predecessor="string", successor="string", operation="string")
STATUS_CHANGED: Final = CONTRACT.event(
    "CertificateStatusChanged", identifier="string", status="string", operation="string", reason="string"
)


@CONTRACT.write(GOVERNOR)
def register_type(
    ctx: Context,
    code: str,
    name: str,
    defining_body: str,
    defining_level: str,
    holder_category: str,
    validity_range: str,
    issuing_level: str,
    certificate_class: str,
    code_table: str,
    issuers: list[str],
) -> None:
    """Register a type of certificate, the code table it uses, and the departments that may issue it."""
    verify_type_code(code)
    check_text("name", name, MAX_NAME_LENGTH)
    check_text("defining_body", defining_body, MAX_NAME_LENGTH)
    check_choice("defining_level", defining_level, LEVELS)
    check_choice("holder_category", holder_category, HOLDER_CATEGORIES)
    check_optional_text("validity_range", validity_range, MAX_NAME_LENGTH)
    check_choice("issuing_level", issuing_level, LEVELS)
    check_choice("certificate_class", certificate_class, CLASSES)
    check_list("issuers", issuers, MAX_TYPE_ISSUERS_AT_ONCE)
    if TYPES.has(ctx, code.encode()):
        raise Refused("TYPE_EXISTS", found=code)
    load_code_table(ctx, code_table)
    record = CertificateType(
        code,
        name,
        defining_body,
        defining_level,
        holder_category,
        validity_range,
        issuing_level,
        certificate_class,
        code_table,
        ctx.time_ms,
    )
    TYPES.save(ctx, code.encode(), record)
    ctx.emit(TYPE_REGISTERED, code, name)
    for issuer in issuers:
        _allow(ctx, code, issuer)


@CONTRACT.write(GOVERNOR)
def allow_issuer(ctx: Context, type_code: str, department: str) -> None:
    """Let a department issue certificates of a type."""
    ctx.require(TYPES, type_code.encode(), "TYPE_NOT_REGISTERED", type_code)
    if PERMISSIONS.has(ctx, _permission_name(type_code, department)):
        raise Refused("ISSUER_ALREADY_AUTHORISED", found=type_code, issuer=department)
    _allow(ctx, type_code, department)


@CONTRACT.write(GOVERNOR)
def withdraw_issuer(ctx: Context, type_code: str, department: str) -> None:
    """Take a department's right to issue a type; what it issued stays, and it still suspends and revokes it."""
    name = _permission_name(type_code, department)
    if not PERMISSIONS.has(ctx, name):
        raise Refused("ISSUER_NOT_AUTHORISED", found=type_code, issuer=department)
    PERMISSIONS.remove(ctx, name)
    ctx.emit(ISSUER_WITHDRAWN, type_code, department)


@CONTRACT.write(GOVERNOR)
def set_code_table(ctx: Context, name: str, statuses: list[StatusCode], operations: list[OperationCode]) -> None:
    """Write a table of status and operation codes; one that exists keeps every status and what it means for force."""
    check_text("name", name, code_tables.MAX_TABLE_NAME_LENGTH)
    operations = [
        msgspec.structs.replace(one, from_statuses=tuple(one.from_statuses), to_statuses=tuple(one.to_statuses))
        for one in operations
    ]
    table = CodeTable(tuple(statuses), tuple(operations))
    code_tables.verify_code_table(table, CODE_TABLES.load(ctx, name.encode()))
    CODE_TABLES.save(ctx, name.encode(), table)
    ctx.emit(CODE_TABLE_SET, name)


@CONTRACT.write(ISSUER)
def issue(
    ctx: Context,
    identifier: str,
    document_digest: Bytes32,
    holder_commitment: Bytes32,
    valid_from_ms: TimeMs,
    valid_to_ms: TimeMs,
) -> None:
    """Issue a new certificate: SM3 of its document, a commitment to its holder, its validity in ms (to 9999 means without end)."""
    parsed = _check_new(ctx, identifier, document_digest, holder_commitment, valid_from_ms, valid_to_ms)
    table = _load_table(ctx, parsed.type_code)
    operation = table.operation(code_tables.NEW)
    _create(ctx, parsed, document_digest, holder_commitment, valid_from_ms, valid_to_ms, "", table, operation, "")


@CONTRACT.write(ISSUER)
def renew(
    ctx: Context,
    predecessor: str,
    identifier: str,
    document_digest: Bytes32,
    holder_commitment: Bytes32,
    valid_from_ms: TimeMs,
    valid_to_ms: TimeMs,
    reason: str,
) -> None:
    """Renew a certificate: a new one takes its place, each names the other, the earlier one is no longer in force."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    old = _load_own(ctx, predecessor)
    parsed = _check_new(ctx, identifier, document_digest, holder_commitment, valid_from_ms, valid_to_ms)
    if parsed.type_code != old.type_code:
        raise Refused("TYPE_DIFFERS", found=parsed.text, expected=old.identifier)
    if old.successor:
        raise Refused("ALREADY_SUCCEEDED", found=old.successor)
    table = _load_table(ctx, parsed.type_code)
    operation = table.operation(code_tables.RENEW)
    changed = _with_status(ctx, old, table, operation, operation.predecessor_status, reason)
    changed = msgspec.structs.replace(changed, successor=parsed.text)
    CERTIFICATES.save(ctx, old.identifier.encode(), changed)
    _create(
        ctx,
        parsed,
        document_digest,
        holder_commitment,
        valid_from_ms,
        valid_to_ms,
        old.identifier,
        table,
        operation,
        reason,
    )
    ctx.emit(SUCCEEDED, old.identifier, parsed.text, operation.code)


@CONTRACT.write(ISSUER)
def suspend(ctx: Context, identifier: str, reason: str) -> None:
    """Suspend a certificate until it is resumed or ended."""
    _change_status(ctx, identifier, code_tables.SUSPEND, "", reason)


@CONTRACT.write(ISSUER)
def resume(ctx: Context, identifier: str, reason: str) -> None:
    """Bring a suspended certificate back into force."""
    _change_status(ctx, identifier, code_tables.RESUME, "", reason)


@CONTRACT.write(ISSUER)
def revoke(ctx: Context, identifier: str, status: str, reason: str) -> None:
    """End a certificate with one of the statuses that its table allows for it (03 撤销, 04 注销, 07 吊销 in the default table)."""
    _change_status(ctx, identifier, code_tables.END, status, reason)


@CONTRACT.view()
def certificate(ctx: Context, identifier: str) -> CertificateRecord:
    """Return the record of a certificate."""
    return _load(ctx, identifier)


@CONTRACT.view()
def certificate_status(ctx: Context, identifier: str, time_ms: TimeMs) -> StatusAt:
    """Return what a certificate was at a time."""
    return status_at(_load(ctx, identifier), time_ms)


@CONTRACT.view()
def is_in_force(ctx: Context, identifier: str) -> bool:
    """Return whether a certificate is in force at the time of the block; one that is not on the ledger is not."""
    record = load_certificate(ctx, identifier)
    return record is not None and status_at(record, ctx.time_ms).is_valid


@CONTRACT.view()
def certificate_type(ctx: Context, code: str) -> CertificateType:
    """Return the record of a type of certificate."""
    return ctx.require(TYPES, code.encode(), "TYPE_NOT_REGISTERED", code)


@CONTRACT.view()
def is_issuer(ctx: Context, type_code: str, department: str) -> bool:
    """Return whether a department may issue a type."""
    return PERMISSIONS.has(ctx, _permission_name(type_code, department))


@CONTRACT.view()
def code_table(ctx: Context, name: str) -> CodeTable:
    """Return a table of status and operation codes."""
    return load_code_table(ctx, name)


def status_at(record: CertificateRecord, time_ms: int) -> StatusAt:
    """Return what a certificate was at a time in ms, from the intervals in its record alone."""
    current = None
    for interval in record.history:
        if interval.from_ms > time_ms:
            break
        current = interval
    if current is None:
        return StatusAt("NOT_YET_ISSUED", False, "", record.issued_ms, "", "")
    superseded = record.successor if current is record.history[-1] else ""
    if current.effect == code_tables.ENDED:
        verdict, since_ms = "SUPERSEDED" if superseded else "ENDED", current.from_ms
    elif current.effect != code_tables.IN_FORCE:
        verdict, since_ms = "SUSPENDED", current.from_ms
    elif time_ms < record.valid_from_ms:
        verdict, since_ms = "NOT_YET_VALID", current.from_ms
    elif record.valid_to_ms < time_ms and record.valid_to_ms < MAX_TIME_MS:
        verdict, since_ms = "EXPIRED", record.valid_to_ms
    else:
        verdict, since_ms = "IN_FORCE", max(current.from_ms, record.valid_from_ms)
    return StatusAt(verdict, verdict == "IN_FORCE", current.status, since_ms, current.reason, superseded)


def certificate_key(identifier: str) -> bytes:
    """Return the key in state of a certificate, named with or without its root; refuse IDENTIFIER_MALFORMED."""
    return CERTIFICATES.key(parse_identifier(identifier).text.encode())


def type_key(code: str) -> bytes:
    """Return the key in state of a certificate type."""
    return TYPES.key(code.encode())


def permission_key(type_code: str, department: str) -> bytes:
    """Return the key in state of a department's right to issue a type."""
    return PERMISSIONS.key(_permission_name(type_code, department))


def load_certificate(state: Reader, identifier: str) -> CertificateRecord | None:
    """Return a certificate, named with or without its root, or None; refuse IDENTIFIER_MALFORMED."""
    return CERTIFICATES.load(state, parse_identifier(identifier).text.encode())


def load_type(state: Reader, code: str) -> CertificateType | None:
    """Return a type of certificate, or None."""
    return TYPES.load(state, code.encode())


def _permission_name(type_code: str, department: str) -> bytes:
    # A slash stands in neither code, so that no two pairs share a name.
    return f"{type_code}/{department}".encode()


def _allow(ctx: Context, type_code: str, department: str) -> None:
    if load_department(ctx, department) is None:
        raise Refused("DEPARTMENT_UNKNOWN", found=department)
    PERMISSIONS.save(ctx, _permission_name(type_code, department), IssuerPermission(type_code, department, ctx.time_ms))
    ctx.emit(ISSUER_ALLOWED, type_code, department)


def _load(ctx: Context, identifier: str) -> CertificateRecord:
    parsed = parse_identifier(identifier)
    return ctx.require(CERTIFICATES, parsed.text.encode(), "CERTIFICATE_UNKNOWN", parsed.text)


def _load_own(ctx: Context, identifier: str) -> CertificateRecord:
    """Return a certificate that the caller's department issued; refuse OTHER_DEPARTMENT."""
    record = _load(ctx, identifier)
    if record.issuer != ctx.account.department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=record.issuer)
    return record


def _load_table(ctx: Context, type_code: str) -> CodeTable:
    kind = ctx.require(TYPES, type_code.encode(), "TYPE_NOT_REGISTERED", type_code)
    return load_code_table(ctx, kind.code_table)


def _check_new(
    ctx: Context,
    identifier: str,
    document_digest: bytes,
    holder_commitment: bytes,
    valid_from_ms: int,
    valid_to_ms: int,
) -> CertificateIdentifier:
    """Return the parts of an identifier under which the caller's department may make a certificate now."""
    check_digest("document_digest", document_digest)
    check_digest("holder_commitment", holder_commitment)
    check_period("valid_from_ms", valid_from_ms, "valid_to_ms", valid_to_ms)
    parsed = parse_identifier(identifier)
    if parsed.check != parsed.expected_check:
        raise Refused("CHECK_CHARACTER_MISMATCH", found=parsed.text, expected=parsed.expected_check)
    department = ctx.account.department
    if parsed.issuer_code != department:
        raise Refused("ISSUER_MISMATCH", found=parsed.issuer_code, expected=department)
    if not PERMISSIONS.has(ctx, _permission_name(parsed.type_code, department)):
        if not TYPES.has(ctx, parsed.type_code.encode()):
            raise Refused("TYPE_NOT_REGISTERED", found=parsed.type_code)
        raise Refused("ISSUER_NOT_AUTHORISED", found=parsed.type_code, issuer=department)
    if CERTIFICATES.has(ctx, parsed.text.encode()):
        raise Refused("CERTIFICATE_EXISTS", found=parsed.text)
    return parsed


def _create(
    ctx: Context,
    parsed: CertificateIdentifier,
    document_digest: bytes,
    holder_commitment: bytes,
    valid_from_ms: int,
    valid_to_ms: int,
    predecessor: str,
    table: CodeTable,
    operation: OperationCode,
    reason: str,
) -> None:
    status = operation.to_statuses[0]
    first = StatusInterval(status, table.effect(status), ctx.time_ms, operation.code, reason, ctx.sender)
    record = CertificateRecord(
        parsed.text,
        parsed.type_code,
        parsed.issuer_code,
        document_digest,
        holder_commitment,
        valid_from_ms,
        valid_to_ms,
        predecessor,
        "",
        (first,),
    )
    CERTIFICATES.save(ctx, parsed.text.encode(), record)
    ctx.emit(ISSUED, document_digest, parsed.text)


def _change_status(ctx: Context, identifier: str, action: str, status: str, reason: str) -> None:
    """Give a certificate the status that an action leads to; `status` is empty where the action leads to one only."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = _load_own(ctx, identifier)
    table = _load_table(ctx, record.type_code)
    operation = table.operation(action)
    status = status or operation.to_statuses[0]
    if status not in operation.to_statuses:
        raise Refused("STATUS_NOT_REACHABLE", operation=operation.code, found=status)
    changed = _with_status(ctx, record, table, operation, status, reason)
    CERTIFICATES.save(ctx, record.identifier.encode(), changed)
    ctx.emit(STATUS_CHANGED, record.identifier, status, operation.code, reason)


def _with_status(
    ctx: Context, record: CertificateRecord, table: CodeTable, operation: OperationCode, status: str, reason: str
) -> CertificateRecord:
    if record.status not in operation.from_statuses:
        raise Refused("STATUS_FORBIDS", found=record.status, operation=operation.code)
    if len(record.history) >= MAX_STATUS_INTERVALS:
        raise Refused("HISTORY_FULL", limit=MAX_STATUS_INTERVALS)
    interval = StatusInterval(status, table.effect(status), ctx.time_ms, operation.code, reason, ctx.sender)
    return msgspec.structs.replace(record, history=(*record.history, interval))
