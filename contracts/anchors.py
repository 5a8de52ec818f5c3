"""Anchors: any 32-byte digest with a label, or a Merkle root over many, recorded with who and when."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import ISSUER, PUBLISHER, RECORDER
from contracts.fields import Address, Bytes32, TimeMs, Uint64, check_digest, check_text
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_LABEL_LENGTH: Final = 128


class AnchorRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A digest that a department anchored; `count` is 0 for a single digest, else how many leaves lie under the root.

    The root's shape is that of RFC 6962 section 2.1 with SM3: leaf 0x00 || data, node 0x01 || left || right.
    """

    digest: Bytes32
    department: str
    account: Address
    label: str
    count: Uint64
    anchored_ms: TimeMs


ANCHORS: Final = Table("anchors", 1, AnchorRecord)
CONTRACT: Final = SystemContract("anchors")
ANCHORED: Final = CONTRACT.event(
    "Anchored", ["digest"], digest="bytes32", department="string", label="string", count="uint64"
)


@CONTRACT.write(ISSUER, PUBLISHER, RECORDER)
def anchor(ctx: Context, digest: Bytes32, label: str) -> None:
    """Anchor one digest under a label, once for each department."""
    _save(ctx, digest, label, 0)


@CONTRACT.write(ISSUER, PUBLISHER, RECORDER)
def anchor_root(ctx: Context, root: Bytes32, label: str, count: Uint64) -> None:
    """Anchor a Merkle root over `count` leaves under a label, once for each department."""
    if count == 0:
        raise Refused("COUNT_ZERO")
    _save(ctx, root, label, count)


@CONTRACT.view()
def anchored(ctx: Context, digest: Bytes32, department: str) -> AnchorRecord:
    """Return the anchor of a digest by a department."""
    return ctx.require(ANCHORS, _name(digest, department), "ANCHOR_UNKNOWN", digest)


def anchor_key(digest: bytes, department: str) -> bytes:
    """Return the key in state of an anchor."""
    return ANCHORS.key(_name(digest, department))


def load_anchor(state: Reader, digest: bytes, department: str) -> AnchorRecord | None:
    """Return the anchor of a digest by a department, or None."""
    return ANCHORS.load(state, _name(digest, department))


def _name(digest: bytes, department: str) -> bytes:
    # The department is part of the name: nobody can anchor a digest first to keep another from doing so.
    return digest + department.encode()


def _save(ctx: Context, digest: bytes, label: str, count: int) -> None:
    check_digest("digest", digest)
    check_text("label", label, MAX_LABEL_LENGTH)
    department = ctx.account.department
    if ANCHORS.has(ctx, _name(digest, department)):
        raise Refused("ANCHOR_EXISTS", found=digest)
    ANCHORS.save(
        ctx, _name(digest, department), AnchorRecord(digest, department, ctx.sender, label, count, ctx.time_ms)
    )
    ctx.emit(ANCHORED, digest, department, label, count)
