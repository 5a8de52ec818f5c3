"""The data catalogue: what departments publish for others to ask for (GB/T 21063 and its guide, as implemented)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from contracts.accounts import PUBLISHER
from contracts.fields import TimeMs, Uint8, Uint64, check_choice, check_list, check_optional_text, check_text
from contracts.frame import Context, SystemContract
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_NAME_LENGTH: Final = 128
MAX_SUMMARY_LENGTH: Final = 1_000
MAX_BASIS_LENGTH: Final = 500
MAX_REASON_LENGTH: Final = 200
MAX_FORMAT_LENGTH: Final = 64
MAX_ITEMS: Final = 256

UNCONDITIONAL: Final = 1
CONDITIONAL: Final = 2
NOT_SHARED: Final = 3
SHARING_TYPES: Final = {
    1: ("无条件共享", "unconditional"),
    2: ("有条件共享", "conditional"),
    3: ("不予共享", "not shared"),
}
UPDATE_CYCLES: Final = {
    1: ("实时", "real time"),
    2: ("每日", "daily"),
    3: ("每周", "weekly"),
    4: ("每月", "monthly"),
    5: ("每季", "quarterly"),
    6: ("每年", "yearly"),
}
DATA_CLASSES: Final = {1: ("核心", "core"), 2: ("重要", "important"), 3: ("一般", "general")}
"""GB/T 43697."""
ITEM_TYPES: Final = ("C", "N", "Y", "D", "T", "L", "M", "G", "B", "I", "F")
"""Types of a data item, as implemented: characters, number, currency, date, time, logical, memo, general, binary, integer, float."""

# Class digits (类 1, 项 2, 目 3, 细目 variable), a slash, a running number.
_CODE_FORM: Final = re.compile(r"[0-9]{6,24}/[0-9]{1,12}")


class ResourceItem(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One data item of a resource: its name and its type, one of ITEM_TYPES."""

    name: str
    type: str


class ResourceRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A published resource; `sharing_basis` is the condition or the reason for not sharing."""

    code: str
    name: str
    provider: str
    summary: str
    format: str
    items: tuple[ResourceItem, ...]
    sharing_type: Uint8
    sharing_basis: str
    sharing_method: str
    is_open: bool
    update_cycle: Uint8
    data_class: Uint8
    version: Uint64
    published_ms: TimeMs
    withdrawn_ms: TimeMs
    """Block time since which the resource is withdrawn, 0 when it is not."""


RESOURCES: Final = Table("catalogue", 1, ResourceRecord)
CONTRACT: Final = SystemContract("catalogue")
PUBLISHED: Final = CONTRACT.event(
    "ResourcePublished", code="string", name="string", provider="string", sharing_type="uint8"
)
WITHDRAWN: Final = CONTRACT.event("ResourceWithdrawn", code="string", reason="string")


@CONTRACT.write(PUBLISHER)
def publish(
    ctx: Context,
    code: str,
    name: str,
    summary: str,
    format: str,  # noqa: A002 - the field's name in the catalogue
    items: list[ResourceItem],
    sharing_type: Uint8,
    sharing_basis: str,
    sharing_method: str,
    is_open: bool,
    update_cycle: Uint8,
    data_class: Uint8,
) -> None:
    """Publish a resource of the caller's department under its catalogue code (class digits, slash, number)."""
    if _CODE_FORM.fullmatch(code) is None:
        raise Refused("RESOURCE_CODE_MALFORMED", found=code)
    check_text("name", name, MAX_NAME_LENGTH)
    check_text("summary", summary, MAX_SUMMARY_LENGTH)
    check_text("format", format, MAX_FORMAT_LENGTH)
    check_choice("sharing_type", sharing_type, tuple(SHARING_TYPES))
    check_optional_text("sharing_basis", sharing_basis, MAX_BASIS_LENGTH)
    if sharing_type != UNCONDITIONAL and not sharing_basis:
        raise Refused("BASIS_MISSING")
    check_text("sharing_method", sharing_method, MAX_NAME_LENGTH)
    check_choice("update_cycle", update_cycle, tuple(UPDATE_CYCLES))
    check_choice("data_class", data_class, tuple(DATA_CLASSES))
    _check_items(items)
    if RESOURCES.has(ctx, code.encode()):
        raise Refused("RESOURCE_EXISTS", found=code)
    provider = ctx.account.department
    record = ResourceRecord(
        code,
        name,
        provider,
        summary,
        format,
        tuple(items),
        sharing_type,
        sharing_basis,
        sharing_method,
        is_open,
        update_cycle,
        data_class,
        1,
        ctx.time_ms,
        0,
    )
    RESOURCES.save(ctx, code.encode(), record)
    ctx.emit(PUBLISHED, code, name, provider, sharing_type)


@CONTRACT.write(PUBLISHER)
def withdraw(ctx: Context, code: str, reason: str) -> None:
    """Withdraw a resource of the caller's department: it takes no more requests; grants that stand run on until stopped."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = load_offered(ctx, code)
    if record.provider != ctx.account.department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=record.provider)
    RESOURCES.save(ctx, code.encode(), msgspec.structs.replace(record, withdrawn_ms=ctx.time_ms))
    ctx.emit(WITHDRAWN, code, reason)


@CONTRACT.view()
def resource(ctx: Context, code: str) -> ResourceRecord:
    """Return the record of a resource, withdrawn ones included."""
    return ctx.require(RESOURCES, code.encode(), "RESOURCE_UNKNOWN", code)


def load_offered(ctx: Context, code: str) -> ResourceRecord:
    """Return a resource that is not withdrawn; refuse RESOURCE_UNKNOWN or RESOURCE_WITHDRAWN."""
    record = ctx.require(RESOURCES, code.encode(), "RESOURCE_UNKNOWN", code)
    if record.withdrawn_ms:
        raise Refused("RESOURCE_WITHDRAWN", found=code)
    return record


def resource_key(code: str) -> bytes:
    """Return the key in state of a resource."""
    return RESOURCES.key(code.encode())


def load_resource(state: Reader, code: str) -> ResourceRecord | None:
    """Return a resource, withdrawn ones included, or None."""
    return RESOURCES.load(state, code.encode())


def _check_items(items: list[ResourceItem]) -> None:
    if not items:
        raise Refused("LIST_EMPTY", field="items")
    check_list("items", [item.name for item in items], MAX_ITEMS)
    for item in items:
        check_text("item name", item.name, MAX_NAME_LENGTH)
        check_choice("item type", item.type, ITEM_TYPES)
