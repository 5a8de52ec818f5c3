"""Types of certificates and the departments that may issue them, as records."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from contracts.code_tables import CodeTable, load_code_table
from contracts.fields import TimeMs
from contracts.frame import Context
from contracts.records import Reader, Table
from contracts.refusals import Refused

HOLDER_CATEGORIES: Final[dict[str, tuple[str, str]]] = {
    "person": ("自然人", "person"),
    "organisation": ("法人和其他组织", "organisation"),
    "other": ("其他", "other"),
}
"""持证者类别 (GB/T 36902, as implemented), each in Chinese and English."""
CLASSES: Final[dict[str, tuple[str, str]]] = {
    "certificate": ("证照", "certificate"),
    "approval": ("批文", "approval"),
    "proof": ("证明", "proof"),
    "material": ("材料", "material"),
    "card": ("证件", "card"),
}
"""Classes of certificates (GB/T 36902, as implemented), each in Chinese and English."""


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


class IssuerPermission(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A department's right to issue certificates of one type; its absence can be proved.

    `has_batches` spares an issue the look at serial ranges: most departments have none.
    """

    type_code: str
    department: str
    granted_ms: TimeMs
    has_batches: bool


TYPES: Final = Table("certificates", 1, CertificateType)
PERMISSIONS: Final = Table("certificates", 2, IssuerPermission)


def type_key(code: str) -> bytes:
    """Return the key in state of a certificate type."""
    return TYPES.key(code.encode())


def permission_key(type_code: str, department: str) -> bytes:
    """Return the key in state of a department's right to issue a type."""
    return PERMISSIONS.key(permission_name(type_code, department))


def permission_name(type_code: str, department: str) -> bytes:
    """Return what a right is called in its table: a slash stands in neither code, so that no two pairs share a name."""
    return f"{type_code}/{department}".encode()


def load_type(state: Reader, code: str) -> CertificateType | None:
    """Return a type of certificate, or None."""
    return TYPES.load(state, code.encode())


def load_type_table(ctx: Context, type_code: str) -> CodeTable:
    """Return the code table that a type uses; refuse TYPE_NOT_REGISTERED."""
    raw = ctx.get(type_key(type_code))
    if raw is None:
        raise Refused("TYPE_NOT_REGISTERED", found=type_code)
    return load_code_table(ctx, _decode_type(raw).code_table)


def load_right_to_issue(state: Reader, type_code: str, department: str) -> IssuerPermission:
    """Return a department's right to issue a type; refuse ISSUER_NOT_AUTHORISED, or TYPE_NOT_REGISTERED."""
    raw = state.get(permission_key(type_code, department))
    if raw is None:
        if not TYPES.has(state, type_code.encode()):
            raise Refused("TYPE_NOT_REGISTERED", found=type_code)
        raise Refused("ISSUER_NOT_AUTHORISED", found=type_code, issuer=department)
    return _decode_permission(raw)


@lru_cache(maxsize=256)
def _decode_type(raw: bytes) -> CertificateType:
    """Return the type in these bytes; every issue reads one."""
    return TYPES.decode(raw)


@lru_cache(maxsize=1024)
def _decode_permission(raw: bytes) -> IssuerPermission:
    """Return the right in these bytes; every issue reads one."""
    return PERMISSIONS.decode(raw)
