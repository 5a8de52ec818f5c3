"""Electronic certificates: their types, and each certificate's life with every status it had and since when.

Only commitments to the document and the holder are kept: nothing personal is on the ledger.
"""

from __future__ import annotations

from typing import Final

import msgspec

from contracts import code_tables
from contracts.accounts import GOVERNOR, ISSUER, load_department
from contracts.certificate_records import (
    CERTIFICATES,
    HISTORY_PAGES,
    CertificateContent,
    CertificateRecord,
    HistoryPage,
    StatusAt,
    StatusInterval,
    add_interval,
    check_content,
    history_page_name,
    load_status,
    new_record,
    status_at,
)
from contracts.certificate_types import (
    CLASSES,
    HOLDER_CATEGORIES,
    PERMISSIONS,
    TYPES,
    CertificateType,
    IssuerPermission,
    load_right_to_issue,
    load_type_table,
    permission_name,
)
from contracts.code_tables import CODE_TABLES, CodeTable, OperationCode, StatusCode, load_code_table
from contracts.fields import (
    Bytes32,
    TimeMs,
    Uint64,
    check_choice,
    check_list,
    check_optional_text,
    check_text,
)
from contracts.frame import Context, SystemContract
from contracts.identifiers import FIRST_VERSION, CertificateIdentifier, parse_identifier, verify_type_code
from contracts.members import LEVELS
from contracts.refusals import Refused
from contracts.serial_ranges import find_range, has_ranges

MAX_NAME_LENGTH: Final = 128
MAX_REASON_LENGTH: Final = 200
MAX_TYPE_ISSUERS_AT_ONCE: Final = 256

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
TRANSFER_OFFERED: Final = CONTRACT.event("CertificateTransferOffered", identifier="string", recipient="string")


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
    if PERMISSIONS.has(ctx, permission_name(type_code, department)):
        raise Refused("ISSUER_ALREADY_AUTHORISED", found=type_code, issuer=department)
    _allow(ctx, type_code, department)


@CONTRACT.write(GOVERNOR)
def withdraw_issuer(ctx: Context, type_code: str, department: str) -> None:
    """Take a department's right to issue a type; what it issued stays, and it still suspends and revokes it."""
    name = permission_name(type_code, department)
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
    content = CertificateContent(identifier, document_digest, holder_commitment, valid_from_ms, valid_to_ms)
    parsed = _check_new(ctx, content)
    table = load_type_table(ctx, parsed.type_code)
    _create(ctx, content, parsed, table, table.operation(code_tables.NEW))


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
    content = CertificateContent(identifier, document_digest, holder_commitment, valid_from_ms, valid_to_ms)
    _issue_successor(ctx, code_tables.RENEW, load_own(ctx, predecessor), content, reason)


@CONTRACT.write(ISSUER)
def change(
    ctx: Context,
    predecessor: str,
    identifier: str,
    document_digest: Bytes32,
    holder_commitment: Bytes32,
    valid_from_ms: TimeMs,
    valid_to_ms: TimeMs,
    reason: str,
) -> None:
    """Change what a certificate says: a new one takes its place, as in a renewal."""
    content = CertificateContent(identifier, document_digest, holder_commitment, valid_from_ms, valid_to_ms)
    _issue_successor(ctx, code_tables.CHANGE, load_own(ctx, predecessor), content, reason)


@CONTRACT.write(ISSUER)
def suspend(ctx: Context, identifier: str, reason: str) -> None:
    """Suspend a certificate until it is resumed or ended."""
    _change_own(ctx, identifier, code_tables.SUSPEND, reason)


@CONTRACT.write(ISSUER)
def resume(ctx: Context, identifier: str, reason: str) -> None:
    """Bring a suspended certificate back into force."""
    _change_own(ctx, identifier, code_tables.RESUME, reason)


@CONTRACT.write(ISSUER)
def revoke(ctx: Context, identifier: str, status: str, reason: str) -> None:
    """End a certificate with one of the statuses that its table allows for it (03 撤销, 04 注销, 07 吊销 in the default table)."""
    record = load_own(ctx, identifier)
    table = load_type_table(ctx, record.type_code)
    if status in table.transfer_statuses():
        # Without a recipient nobody could take it in.
        raise Refused("STATUS_NOT_REACHABLE", operation=table.operation(code_tables.END).code, found=status)
    _change_status(ctx, record, table, code_tables.END, status, reason)


@CONTRACT.write(ISSUER)
def expire(ctx: Context, identifier: str, reason: str) -> None:
    """Record that a certificate has lapsed, once its validity has ended; it is not in force from that end on without this."""
    record = load_own(ctx, identifier)
    if ctx.time_ms <= record.valid_to_ms:
        raise Refused("NOT_EXPIRED", found=ctx.time_ms, limit=record.valid_to_ms)
    table = load_type_table(ctx, record.type_code)
    _change_status(ctx, record, table, code_tables.EXPIRE, "", reason)


@CONTRACT.write(ISSUER)
def record_other(ctx: Context, identifier: str, description: str) -> None:
    """Give a certificate the status for what no other operation covers (99 其他 in the default table), and describe it."""
    check_text("description", description, MAX_REASON_LENGTH)
    _change_own(ctx, identifier, code_tables.OTHER, description)


@CONTRACT.write(ISSUER)
def transfer_out(ctx: Context, identifier: str, recipient: str, reason: str) -> None:
    """Offer a certificate to another department, which alone can transfer it in; until then it is not in force."""
    record = load_own(ctx, identifier)
    if recipient == record.issuer:
        raise Refused("TRANSFER_TO_ITSELF", found=recipient)
    if load_department(ctx, recipient) is None:
        raise Refused("DEPARTMENT_UNKNOWN", found=recipient)
    table = load_type_table(ctx, record.type_code)
    statuses = table.transfer_statuses()
    if not statuses:
        raise Refused("OPERATION_NOT_IN_TABLE", found=code_tables.TRANSFER_IN)
    offered = msgspec.structs.replace(record, recipient=recipient)
    _change_status(ctx, offered, table, code_tables.END, statuses[0], reason)
    ctx.emit(TRANSFER_OFFERED, record.identifier, recipient)


@CONTRACT.write(ISSUER)
def cancel_transfer(ctx: Context, identifier: str, reason: str) -> None:
    """Take back the offer of a certificate that has not been transferred in; it is again what it was before, suspended where it was."""
    record = load_own(ctx, identifier)
    table = load_type_table(ctx, record.type_code)
    leaving = table.transfer_statuses()
    before = ""
    if record.status in leaving:
        before = next((one.status for one in reversed(record.history) if one.status not in leaving), record.status)
    _change_status(ctx, record, table, code_tables.CANCEL_TRANSFER, before, reason)


@CONTRACT.write(ISSUER)
def transfer_in(
    ctx: Context,
    predecessor: str,
    identifier: str,
    document_digest: Bytes32,
    holder_commitment: Bytes32,
    valid_from_ms: TimeMs,
    valid_to_ms: TimeMs,
    reason: str,
) -> None:
    """Take over a certificate that another department has offered: a new one of the caller's department takes its place."""
    offered = _load(ctx, predecessor)
    if offered.recipient != ctx.account.department:
        raise Refused("NOT_OFFERED", found=offered.identifier, department=ctx.account.department)
    content = CertificateContent(identifier, document_digest, holder_commitment, valid_from_ms, valid_to_ms)
    _issue_successor(ctx, code_tables.TRANSFER_IN, offered, content, reason)


@CONTRACT.view()
def certificate(ctx: Context, identifier: str) -> CertificateRecord:
    """Return the record of a certificate."""
    return _load(ctx, identifier)


@CONTRACT.view()
def certificate_status(ctx: Context, identifier: str, time_ms: TimeMs) -> StatusAt:
    """Return what a certificate was at a time."""
    return load_status(ctx, _load(ctx, identifier), time_ms)


@CONTRACT.view()
def history_page(ctx: Context, identifier: str, number: Uint64) -> HistoryPage:
    """Return a page of a certificate's history: statuses that its record no longer holds; it counts its pages."""
    name = history_page_name(parse_identifier(identifier).text, number)
    return ctx.require(HISTORY_PAGES, name, "HISTORY_PAGE_UNKNOWN", number)


@CONTRACT.view()
def is_in_force(ctx: Context, identifier: str) -> bool:
    """Return whether a certificate is in force at the time of the block; one that is not on the ledger, or no identifier, is not."""
    try:
        name = parse_identifier(identifier).text
    except Refused:
        return False
    record = CERTIFICATES.load(ctx, name.encode())
    return record is not None and status_at(record, ctx.time_ms).is_valid


@CONTRACT.view()
def certificate_type(ctx: Context, code: str) -> CertificateType:
    """Return the record of a type of certificate."""
    return ctx.require(TYPES, code.encode(), "TYPE_NOT_REGISTERED", code)


@CONTRACT.view()
def is_issuer(ctx: Context, type_code: str, department: str) -> bool:
    """Return whether a department may issue a type."""
    return PERMISSIONS.has(ctx, permission_name(type_code, department))


@CONTRACT.view()
def code_table(ctx: Context, name: str) -> CodeTable:
    """Return a table of status and operation codes."""
    return load_code_table(ctx, name)


def load_own(ctx: Context, identifier: str) -> CertificateRecord:
    """Return a certificate that the caller's department issued; refuse OTHER_DEPARTMENT."""
    record = _load(ctx, identifier)
    if record.issuer != ctx.account.department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=record.issuer)
    return record


def succeed(
    ctx: Context,
    old: CertificateRecord,
    successor: CertificateIdentifier,
    table: CodeTable,
    operation: OperationCode,
    reason: str,
) -> None:
    """Put `successor` in the place of a certificate by a succeeding operation; refuse where status or type forbids it."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    if successor.type_code != old.type_code:
        raise Refused("TYPE_DIFFERS", found=successor.text, expected=old.identifier)
    if old.successor:
        raise Refused("ALREADY_SUCCEEDED", found=old.successor)
    changed = _with_status(ctx, old, table, operation, operation.predecessor_status, reason)
    changed = msgspec.structs.replace(changed, successor=successor.text)
    CERTIFICATES.save(ctx, old.identifier.encode(), changed)
    ctx.emit(SUCCEEDED, old.identifier, successor.text, operation.code)


def _allow(ctx: Context, type_code: str, department: str) -> None:
    if load_department(ctx, department) is None:
        raise Refused("DEPARTMENT_UNKNOWN", found=department)
    granted = IssuerPermission(type_code, department, ctx.time_ms, has_ranges(ctx, type_code, department))
    PERMISSIONS.save(ctx, permission_name(type_code, department), granted)
    ctx.emit(ISSUER_ALLOWED, type_code, department)


def _load(ctx: Context, identifier: str) -> CertificateRecord:
    parsed = parse_identifier(identifier)
    return ctx.require(CERTIFICATES, parsed.text.encode(), "CERTIFICATE_UNKNOWN", parsed.text)


def _check_new(ctx: Context, content: CertificateContent, kept_serial: str | None = None) -> CertificateIdentifier:
    """Return the parts of an identifier under which the caller's department may make a certificate of its own now.

    `kept_serial` is the one serial that it may share with a certificate of a batch: its predecessor's, in a version that no leaf has.
    """
    parsed = check_content(content)
    department = ctx.account.department
    if parsed.issuer_code != department:
        raise Refused("ISSUER_MISMATCH", found=parsed.issuer_code, expected=department)
    right = load_right_to_issue(ctx, parsed.type_code, department)
    if CERTIFICATES.has(ctx, parsed.text.encode()):
        raise Refused("CERTIFICATE_EXISTS", found=parsed.text)
    if right.has_batches and (parsed.serial != kept_serial or parsed.version == FIRST_VERSION):
        taken = find_range(ctx, parsed.type_code, department, parsed.serial)
        if taken is not None:
            raise Refused("SERIAL_IN_BATCH", found=parsed.serial, first=taken.first, last=taken.last)
    return parsed


def _issue_successor(
    ctx: Context, action: str, old: CertificateRecord, content: CertificateContent, reason: str
) -> None:
    kept_serial = parse_identifier(old.identifier).serial if old.issuer == ctx.account.department else None
    parsed = _check_new(ctx, content, kept_serial)
    table = load_type_table(ctx, parsed.type_code)
    operation = table.operation(action)
    succeed(ctx, old, parsed, table, operation, reason)
    _create(ctx, content, parsed, table, operation, old.identifier, reason)


def _create(
    ctx: Context,
    content: CertificateContent,
    parsed: CertificateIdentifier,
    table: CodeTable,
    operation: OperationCode,
    predecessor: str = "",
    reason: str = "",
) -> None:
    status = operation.to_statuses[0]
    first = StatusInterval(status, table.effect(status), ctx.time_ms, operation.code, reason, ctx.sender)
    CERTIFICATES.save(ctx, parsed.text.encode(), new_record(content, parsed, first, predecessor))
    ctx.emit(ISSUED, content.document_digest, parsed.text)


def _change_own(ctx: Context, identifier: str, action: str, reason: str) -> None:
    """Give a certificate of the caller's department the one status that an action leads to."""
    record = load_own(ctx, identifier)
    _change_status(ctx, record, load_type_table(ctx, record.type_code), action, "", reason)


def _change_status(
    ctx: Context, record: CertificateRecord, table: CodeTable, action: str, status: str, reason: str
) -> None:
    """Give a certificate the status that an action leads to; `status` is empty where the action leads to one only."""
    check_text("reason", reason, MAX_REASON_LENGTH)
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
    if record.recipient and status not in table.transfer_statuses():
        record = msgspec.structs.replace(record, recipient="")
    interval = StatusInterval(status, table.effect(status), ctx.time_ms, operation.code, reason, ctx.sender)
    return add_interval(ctx, record, interval)
