"""The conditions that a grant is given under: what the options say, and for a renewal what the grant before it had."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypedDict

import click

from sdk.cli.calls import Access
from sdk.cli.options import check_hex, open_client

if TYPE_CHECKING:
    from contracts.data_sharing.conditions import Conditions, Mask

_COUNT: Final = re.compile(r"[0-9]{1,9}")


class Stated(TypedDict):
    """What the options say; None or nothing where an option was not given."""

    columns: tuple[str, ...]
    masks: tuple[str, ...]
    reads_per_day: int | None
    rows_per_day: int | None
    rows_per_read: int | None
    place: str | None
    note: str | None
    passing_on_to: tuple[str, ...]


_FIELDS: Final = {
    "columns": "columns",
    "reads_per_day": "max_reads_per_day",
    "rows_per_day": "max_rows_per_day",
    "rows_per_read": "max_rows_per_read",
    "place": "place",
    "note": "note",
    "passing_on_to": "passing_on_to",
}
"""The conditions' fields by the options' names, but for masks."""


def conditions_of(access: Access, request_id: str, stated: Stated, *, are_anew: bool) -> tuple[Conditions, bool]:
    """Return the conditions to grant a request under, and whether some of them are those of the grant that it renews.

    What the options leave out of a renewal stays as the grant before it had it, each mask too, unless `are_anew`: nothing that was
    withheld or hidden is given out because nobody thought of it. Consent to passing on is given for each grant, or not.
    """
    import msgspec

    from contracts.data_sharing.conditions import Conditions
    from sdk.system_contracts.sharing import Sharing

    masks = tuple(map(_parse_mask, stated["masks"]))
    options: dict[str, Any] = {**stated}
    values = {field: options[name] for name, field in _FIELDS.items() if options[name] not in (None, ())}
    said = Conditions(**values, masks=masks)
    if are_anew:
        return said, False
    with open_client(access.url) as client:
        ledger = Sharing(client)
        record = ledger.data_request(request=check_hex("REQUEST_ID", request_id, 32))
        if not any(record.previous):
            return said, False
        before = ledger.data_request(request=record.previous).conditions
    kept = msgspec.structs.replace(before, **{"passing_on_to": (), **values})
    readable = kept.columns or record.items
    masked = {mask.item: mask for mask in before.masks if not readable or mask.item in readable}
    return msgspec.structs.replace(kept, masks=tuple((masked | {mask.item: mask for mask in masks}).values())), True


def _parse_mask(text: str) -> Mask:
    from contracts.data_sharing.conditions import MASK_KINDS, MAX_MASK_CHARACTERS, Mask

    item, *parts = text.rsplit(":", 3)
    if len(parts) != 3 or not item or parts[0] not in MASK_KINDS or not all(map(_COUNT.fullmatch, parts[1:])):
        raise click.BadParameter(
            f"应为 数据项:mask|truncate:起始:长度 / expected ITEM:mask|truncate:START:LENGTH, found {text[:60]!r}",
            param_hint="--mask",
        )
    start, length = map(int, parts[1:])
    if not 0 < length <= MAX_MASK_CHARACTERS or start > MAX_MASK_CHARACTERS:
        raise click.BadParameter(
            f"起始由 0 数起，长度至少为 1，至多均为 {MAX_MASK_CHARACTERS:,} / START counts from 0, LENGTH is 1 or more, both are at most "
            f"{MAX_MASK_CHARACTERS:,}; found {start}:{length}",
            param_hint="--mask",
        )
    return Mask(item, parts[0], start, length)
