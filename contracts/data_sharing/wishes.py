"""What a request asks for: what may be asked for of a catalogue entry, and what a grant that no approver gives makes of it."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.data_sharing import catalogue, resources
from contracts.data_sharing.conditions import Conditions
from contracts.fields import check_list, check_period, check_text
from contracts.frame import Context
from contracts.refusals import Refused

MAX_PURPOSE_LENGTH: Final = 200
"""useCause of the certificate sharing interface (GB/T 36906, as implemented) has the same limit."""
MAX_BASIS_LENGTH: Final = 500
MAX_CASE_TYPES: Final = 64
MAX_CASE_TYPE_LENGTH: Final = 64
MAX_ROWS_PER_DAY: Final = 10**12


class Wish(msgspec.Struct, frozen=True):
    """What a consumer asks for, as its call says it."""

    purpose: str
    legal_basis: str
    items: tuple[str, ...]
    case_types: tuple[str, ...]
    rows_per_day: int
    from_ms: int
    to_ms: int


def load_shared(ctx: Context, code: str) -> catalogue.ResourceRecord:
    """Return a catalogue entry that is in force and shared; refuse others."""
    offered = catalogue.load_offered(ctx, code)
    if offered.sharing_type == resources.NOT_SHARED:
        raise Refused("NOT_SHARED", found=code)
    return offered


def check_wish(ctx: Context, offered: catalogue.ResourceRecord, wish: Wish) -> None:
    """Return if all that is asked for is in form, lies ahead, and is of the entry; refuse it otherwise."""
    check_text("purpose", wish.purpose, MAX_PURPOSE_LENGTH)
    check_text("legal_basis", wish.legal_basis, MAX_BASIS_LENGTH)
    check_period("from_ms", wish.from_ms, "to_ms", wish.to_ms)
    if wish.to_ms <= ctx.time_ms:
        raise Refused("PERIOD_OVER", found=wish.to_ms)
    check_list("items", wish.items, resources.MAX_ITEMS)
    known = {item.name for item in offered.items}
    for item in wish.items:
        if item not in known:
            raise Refused("ITEM_UNKNOWN", found=item)
    check_list("case_types", wish.case_types, MAX_CASE_TYPES)
    for case_type in wish.case_types:
        check_text("case type", case_type, MAX_CASE_TYPE_LENGTH)
    if wish.rows_per_day > MAX_ROWS_PER_DAY:
        raise Refused("VOLUME_EXCEEDED", found=wish.rows_per_day, limit=MAX_ROWS_PER_DAY)


def offered_items(offered: catalogue.ResourceRecord, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the items asked for, all when none is named, that the entry has; refuse when it has none of them any more."""
    offered_now = tuple(item.name for item in offered.items)
    found = tuple(name for name in asked if name in offered_now) if asked else offered_now
    if asked and not found:
        raise Refused("ITEM_UNKNOWN", found=asked[0])
    return found


def conditions_at_once(offered: catalogue.ResourceRecord, wish: Wish, before: Conditions) -> Conditions:
    """Return the conditions of a grant that no approver gives: the volume and items asked for, and what a renewed grant had `before`."""
    items = offered_items(offered, wish.items)
    columns = offered_items(offered, before.columns) if before.columns else () if items == wish.items else items
    # Consent to passing on is the provider's to give, for each grant.
    return msgspec.structs.replace(
        before,
        columns=columns,
        masks=tuple(mask for mask in before.masks if mask.item in (columns or items)),
        max_rows_per_day=before.max_rows_per_day or wish.rows_per_day,
        passing_on_to=(),
    )
