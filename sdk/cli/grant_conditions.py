"""The conditions that a grant is given under: what the options say, and for a renewal what the grants before it had."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

import click

from sdk.cli.calls import Access
from sdk.cli.options import check_hex, open_client
from sdk.cli.sharing_calls import condition_texts
from verification.errors import InputError

if TYPE_CHECKING:
    from contracts.data_sharing.conditions import Conditions, Mask
    from contracts.data_sharing.sharing import RequestRecord
    from sdk.system_contracts.sharing import Sharing

MAX_RENEWALS: Final = 200
"""Grants one after another, each renewing the one before, that are searched for the masks of items given out again."""

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


class ToGrant(NamedTuple):
    """The conditions to grant a request under, and what the approver is told of those that come from the grants before it."""

    conditions: Conditions
    words: tuple[str, ...] = ()
    """In Chinese and English; none for a request that renews nothing."""


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


def conditions_of(access: Access, request_id: str, stated: Stated, *, are_anew: bool) -> ToGrant:
    """Return the conditions to grant a request under.

    What the options leave out of a renewal stays as the grant before it had it, unless `are_anew`, and an item is masked as where it
    was last granted: nothing that was withheld or hidden is given out because nobody thought of it, and what falls away is named.
    Consent to passing on is given for each grant, or not.
    """
    from contracts.data_sharing.conditions import Conditions
    from sdk.system_contracts.sharing import Sharing

    masks = tuple(map(_parse_mask, stated["masks"]))
    options: dict[str, Any] = {**stated}
    values = {field: options[name] for name, field in _FIELDS.items() if options[name] not in (None, ())}
    if are_anew:
        return ToGrant(Conditions(**values, masks=masks))
    with open_client(access.url) as client:
        ledger = Sharing(client)
        record = ledger.data_request(request=check_hex("REQUEST_ID", request_id, 32))
        if not any(record.previous):
            return ToGrant(Conditions(**values, masks=masks))
        return _renewed(ledger, record, values, masks)


def _renewed(ledger: Sharing, record: RequestRecord, values: dict[str, Any], masks: tuple[Mask, ...]) -> ToGrant:
    import msgspec

    renewed = ledger.data_request(request=record.previous)
    before = renewed.conditions
    # Completed to ask for less, it is given what is left; where nothing is, the contract says so.
    asked = tuple(name for name in before.columns if not record.items or name in record.items)
    kept = msgspec.structs.replace(before, **{"columns": asked or before.columns, "passing_on_to": (), **values})
    readable = kept.columns or record.items
    stated = {mask.item for mask in masks}
    former = _masks_before(ledger, renewed, readable, stated)
    granted = msgspec.structs.replace(kept, masks=(*former, *masks))
    words = [
        "续期：未另给的条件沿用所续授权的 / a renewal: what the options do not say stays as in the grant that it renews",
        *(f"  {zh} / {en}: {text}" for zh, en, text in condition_texts(_as_shown(granted, readable)) if text),
    ]
    fallen = [mask.item for mask in before.masks if readable and mask.item not in readable]
    if fallen:
        names = "、".join(fallen)
        words.append(f"不再提供的数据项，其脱敏不沿用：{names} / masks that fall away with their items: {names}")
    return ToGrant(granted, tuple(words))


def _masks_before(
    ledger: Sharing, grant: RequestRecord, readable: Collection[str], stated: Collection[str]
) -> list[Mask]:
    """Return the masks of items in `readable` (none: all), but for those `stated` anew: of each by the newest grant that gave it.

    Raises InputError RENEWALS_TOO_MANY where more grants than MAX_RENEWALS would have to be asked for.
    """
    settled, found = set(stated), []
    for _ in range(MAX_RENEWALS):
        given = set(grant.conditions.columns or grant.items)
        for mask in grant.conditions.masks:
            if mask.item not in settled and (not readable or mask.item in readable):
                found.append(mask)
        settled |= given
        if not any(grant.previous) or (readable and settled.issuperset(readable)):
            return found
        grant = ledger.data_request(request=grant.previous)
    raise InputError(
        "RENEWALS_TOO_MANY",
        f"续期超过 {MAX_RENEWALS} 次，未能查明各数据项原有的脱敏：请以 --conditions-anew 写明全部条件",
        f"more than {MAX_RENEWALS} renewals one after another: what was masked is not searched further; state all conditions with "
        "--conditions-anew",
    )


def _as_shown(conditions: Conditions, readable: tuple[str, ...]) -> dict[str, Any]:
    """Return conditions in the form of REST, with the items that they let be read as columns."""
    import msgspec

    masks = [msgspec.structs.asdict(mask) for mask in conditions.masks]
    return msgspec.structs.asdict(conditions) | {"columns": readable or ("全部 / all",), "masks": masks}


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
