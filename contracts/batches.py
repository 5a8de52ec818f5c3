"""Certificates in batches: one Merkle root over thousands of them, and a record of its own for each whose status changes.

A certificate of a batch is what its leaf says, in force since the batch was issued, as long as no record stands under its identifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from contracts import code_tables
from contracts.accounts import ISSUER
from contracts.certificate_records import (
    CERTIFICATES,
    CertificateContent,
    CertificateRecord,
    StatusAt,
    StatusInterval,
    check_content,
    load_certificate,
    load_status,
    new_record,
)
from contracts.certificate_types import PERMISSIONS, load_right_to_issue, load_type_table, permission_name
from contracts.certificates import load_own, succeed
from contracts.fields import Bytes32, TimeMs, Uint64, check_digest
from contracts.frame import Context, SystemContract
from contracts.identifiers import FIRST_VERSION, CertificateIdentifier, parse_identifier
from contracts.records import Reader, Table
from contracts.refusals import Refused
from contracts.serial_ranges import SerialRange, add_range, find_range
from sm_crypto.merkle import MerkleError, verify_merkle_path
from sm_crypto.sm3 import TaggedHash

MAX_BATCH_COUNT: Final = 1 << 24
LEAF_GAS: Final = 300
"""The leaf, and each sibling of its path."""

_LEAF_HASH: Final = TaggedHash("govnode/batch-leaf/1")
_ENCODER: Final = msgspec.msgpack.Encoder()


class BatchRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A batch: its serials, the root over its certificates, and the status that each of them begins with.

    The root has the shape of RFC 6962 section 2.1; a leaf is the tagged SM3 of a certificate's content, in the order of identifiers.
    """

    name: str
    type_code: str
    issuer: str
    first: str
    last: str
    count: Uint64
    root: Bytes32
    manifest_digest: Bytes32
    issued: StatusInterval


class AdmittedPosition(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """That the certificate at a position of a batch has a record of its own, under this identifier."""

    identifier: str


BATCHES: Final = Table("batches", 1, BatchRecord)
POSITIONS: Final = Table("batches", 4, AdmittedPosition)
CONTRACT: Final = SystemContract("batches")
BATCH_ISSUED: Final = CONTRACT.event("BatchIssued", ["root"], root="bytes32", batch="string", count="uint64")
ADMITTED: Final = CONTRACT.event(
    "CertificateAdmitted",
    ["document_digest"],
    document_digest="bytes32",
    identifier="string",
    batch="string",
    position="uint64",
)


@CONTRACT.write(ISSUER)
def issue_batch(
    ctx: Context, type_code: str, first: str, last: str, count: Uint64, root: Bytes32, manifest_digest: Bytes32
) -> None:
    """Issue `count` certificates with serials from `first` to `last` at once, by the Merkle root over them."""
    check_digest("root", root)
    check_digest("manifest_digest", manifest_digest)
    if not 1 <= count <= MAX_BATCH_COUNT:
        raise Refused("BATCH_COUNT", limit=MAX_BATCH_COUNT, found=count)
    department = ctx.account.department
    right = load_right_to_issue(ctx, type_code, department)
    add_range(ctx, type_code, department, SerialRange(first, last))
    if not right.has_batches:
        # Only now does a single issue have to look at the ranges.
        right = msgspec.structs.replace(right, has_batches=True)
        PERMISSIONS.save(ctx, permission_name(type_code, department), right)
    table = load_type_table(ctx, type_code)
    operation = table.operation(code_tables.NEW)
    status = operation.to_statuses[0]
    issued = StatusInterval(status, table.effect(status), ctx.time_ms, operation.code, "", ctx.sender)
    name = batch_name(type_code, department, first)
    record = BatchRecord(name, type_code, department, first, last, count, root, manifest_digest, issued)
    BATCHES.save(ctx, name.encode(), record)
    ctx.emit(BATCH_ISSUED, root, name, count)


@CONTRACT.write(ISSUER)
def admit(ctx: Context, batch: str, position: Uint64, content: CertificateContent, path: list[Bytes32]) -> None:
    """Give a certificate of a batch a record of its own, as issued; from then on it is suspended, renewed or ended like any other."""
    _admit(ctx, load_own_batch(ctx, batch), position, content, path, "")


@CONTRACT.write(ISSUER)
def renew(
    ctx: Context,
    predecessor: str,
    batch: str,
    position: Uint64,
    content: CertificateContent,
    path: list[Bytes32],
    reason: str,
) -> None:
    """Renew a certificate by one of a batch, which gets a record of its own; each names the other."""
    old = load_own(ctx, predecessor)
    parsed = _admit(ctx, load_own_batch(ctx, batch), position, content, path, old.identifier)
    table = load_type_table(ctx, old.type_code)
    succeed(ctx, old, parsed, table, table.operation(code_tables.RENEW), reason)


@CONTRACT.view()
def batch(ctx: Context, name: str) -> BatchRecord:
    """Return the record of a batch: its name is type code, issuer and first serial, with dots between."""
    return _load_batch(ctx, name)


@CONTRACT.view()
def batch_of(ctx: Context, identifier: str) -> str:
    """Return the name of the batch whose serials an identifier's is among, empty when there is none."""
    return find_batch_name(ctx, identifier)


@CONTRACT.view()
def admitted(ctx: Context, batch: str, position: Uint64) -> str:
    """Return the identifier under which the certificate at a position has a record of its own, empty while it has none."""
    found = POSITIONS.load(ctx, _position_name(batch, position))
    return "" if found is None else found.identifier


@CONTRACT.view()
def status(
    ctx: Context, batch: str, position: Uint64, content: CertificateContent, path: list[Bytes32], time_ms: TimeMs
) -> StatusAt:
    """Return what the certificate with this content, at a position of a batch, was at a time."""
    return load_status(ctx, _load_member(ctx, _load_batch(ctx, batch), position, content, path), time_ms)


@CONTRACT.view()
def is_in_force(ctx: Context, batch: str, position: Uint64, content: CertificateContent, path: list[Bytes32]) -> bool:
    """Return whether the certificate with this content, at a position of a batch, is in force at the time of the block."""
    found = BATCHES.load(ctx, batch.encode())
    if found is None:
        return False
    try:
        member = _load_member(ctx, found, position, content, path)
    except Refused as refused:
        if refused.code == "OUT_OF_GAS":
            raise
        return False
    return load_status(ctx, member, ctx.time_ms).is_valid


def batch_name(type_code: str, issuer: str, first: str) -> str:
    """Return what the batch is called that begins at a serial: known before it is issued, and given to one batch only."""
    return f"{type_code}.{issuer}.{first}"


def batch_key(name: str) -> bytes:
    """Return the key in state of a batch."""
    return BATCHES.key(name.encode())


def load_batch(state: Reader, name: str) -> BatchRecord | None:
    """Return the batch of this name, or None."""
    return BATCHES.load(state, name.encode())


def position_prefix(name: str) -> bytes:
    """Return what the keys of a batch's admitted positions begin with; the position follows in 8 bytes, big-endian."""
    return POSITIONS.prefix + name.encode() + b"/"


def find_batch_name(state: Reader, identifier: str) -> str:
    """Return the name of the batch whose serials an identifier's is among, or an empty text; refuse IDENTIFIER_MALFORMED."""
    parsed = parse_identifier(identifier)
    found = find_range(state, parsed.type_code, parsed.issuer_code, parsed.serial)
    return "" if found is None else batch_name(parsed.type_code, parsed.issuer_code, found.first)


def leaf_hash(content: CertificateContent) -> bytes:
    """Return the 32-byte leaf of a certificate, its identifier with root: tagged SM3 of the MessagePack array of its content."""
    return _LEAF_HASH(_ENCODER.encode(content))


def leaf_hashes(encoded: Sequence[bytes]) -> list[bytes]:
    """Return the leaf of each certificate whose content is given as its MessagePack array: leaf_hash of many, in lanes."""
    return _LEAF_HASH.many(encoded)


def verify_member(
    batch: BatchRecord, position: int, content: CertificateContent, path: list[bytes]
) -> CertificateIdentifier:
    """Return the parts of the identifier if a certificate is at a position of a batch; refuse it otherwise, and faulty contents."""
    parsed = check_content(content)
    # Later versions are for single successors under the serial of a certificate of the batch, which so never meet a leaf.
    if (parsed.type_code, parsed.issuer_code, parsed.version) != (batch.type_code, batch.issuer, FIRST_VERSION) or not (
        batch.first <= parsed.serial <= batch.last
    ):
        raise Refused("OUTSIDE_BATCH", found=parsed.text, batch=batch.name)
    leaf = leaf_hash(msgspec.structs.replace(content, identifier=parsed.text))
    try:
        verify_merkle_path(leaf, position, batch.count, path, batch.root)
    except MerkleError:
        raise Refused("NOT_IN_BATCH", found=parsed.text, position=position, batch=batch.name) from None
    return parsed


def member_record(
    batch: BatchRecord, content: CertificateContent, parsed: CertificateIdentifier, predecessor: str = ""
) -> CertificateRecord:
    """Return what the record of a batch's certificate is as long as none is on the ledger."""
    return new_record(content, parsed, batch.issued, predecessor)


def verify_own_record(record: CertificateRecord, content: CertificateContent) -> None:
    """Return if the record under the identifier of a batch's certificate is about that certificate; refuse ANOTHER_CERTIFICATE."""
    if (
        record.document_digest != content.document_digest
        or record.holder_commitment != content.holder_commitment
        or record.valid_from_ms != content.valid_from_ms
        or record.valid_to_ms != content.valid_to_ms
    ):
        raise Refused("ANOTHER_CERTIFICATE", found=record.identifier)


def load_own_batch(ctx: Context, name: str) -> BatchRecord:
    """Return a batch that the caller's department issued; refuse OTHER_DEPARTMENT."""
    found = _load_batch(ctx, name)
    if found.issuer != ctx.account.department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=found.issuer)
    return found


def _load_batch(ctx: Context, name: str) -> BatchRecord:
    return ctx.require(BATCHES, name.encode(), "BATCH_UNKNOWN", name)


def _load_member(
    ctx: Context, batch: BatchRecord, position: int, content: CertificateContent, path: list[bytes]
) -> CertificateRecord:
    """Return the record of a certificate of a batch: its own, or else what its leaf stands for."""
    ctx.spend(LEAF_GAS * (1 + len(path)))
    parsed = verify_member(batch, position, content, path)
    record = load_certificate(ctx, parsed.text)
    if record is None:
        return member_record(batch, content, parsed)
    verify_own_record(record, content)
    return record


def _admit(
    ctx: Context,
    batch: BatchRecord,
    position: int,
    content: CertificateContent,
    path: list[bytes],
    predecessor: str,
) -> CertificateIdentifier:
    ctx.spend(LEAF_GAS * (1 + len(path)))
    parsed = verify_member(batch, position, content, path)
    if CERTIFICATES.has(ctx, parsed.text.encode()):
        raise Refused("CERTIFICATE_EXISTS", found=parsed.text)
    CERTIFICATES.save(ctx, parsed.text.encode(), member_record(batch, content, parsed, predecessor))
    POSITIONS.save(ctx, _position_name(batch.name, position), AdmittedPosition(parsed.text))
    ctx.emit(ADMITTED, content.document_digest, parsed.text, batch.name, position)
    return parsed


def _position_name(batch: str, position: int) -> bytes:
    # A slash stands in no name of a batch, so that the positions of one batch have a prefix to themselves.
    return batch.encode() + b"/" + position.to_bytes(8, "big")
