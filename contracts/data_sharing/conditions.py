"""Under what conditions a grant was given: which columns, what is masked, how much may be read, where, and who may be passed it on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from contracts.accounts import is_active_department
from contracts.data_sharing import resources
from contracts.fields import Uint64, check_choice, check_list, check_optional_text
from contracts.records import Reader
from contracts.refusals import Refused

MAX_MASK_CHARACTERS: Final = 10_000
MAX_PLACE_LENGTH: Final = 128
MAX_NOTE_LENGTH: Final = 500
MAX_PASSING_ON: Final = 64

MASK: Final = "mask"
TRUNCATE: Final = "truncate"
MASK_KINDS: Final[dict[str, tuple[str, str]]] = {
    MASK: ("遮蔽：自起始位起若干字符以 * 代替", "characters from start on become *, as many as length says"),
    TRUNCATE: ("截取：仅保留自起始位起若干字符", "only the characters from start on are kept, as many as length says"),
}
"""How a column may be masked, in Chinese and English."""


def mask_words(kind: str, start: int, length: int) -> tuple[str, str]:
    """Return what a mask does, in Chinese and English; in words, characters are counted from 1."""
    first, last = start + 1, start + length
    zh, en = (f"{first}–{last}", f"characters {first} to {last}") if length > 1 else (f"{first}", f"character {first}")
    if kind == TRUNCATE:
        return f"只留第 {zh} 位", f"{en} alone"
    return f"第 {zh} 位以 * 代替", f"* for {en}"


class Mask(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is hidden of one item: `kind` is one of MASK_KINDS, `start` and `length` count characters from 0."""

    item: str
    kind: str
    start: Uint64
    length: Uint64


class Conditions(msgspec.Struct, array_like=True, frozen=True):
    """What a grant allows; the empty one allows all that was asked for."""

    columns: tuple[str, ...] = ()
    """Names of the items that may be read; none stands for those asked for."""
    masks: tuple[Mask, ...] = ()
    max_reads_per_day: Uint64 = 0
    """0 stands for no limit; so in the next two."""
    max_rows_per_day: Uint64 = 0
    max_rows_per_read: Uint64 = 0
    place: str = ""
    """Where the data may be used; empty for no restriction."""
    note: str = ""
    passing_on_to: tuple[str, ...] = ()
    """Codes of the departments that the consumer may pass the data on to; none: to nobody."""


def checked_conditions(
    state: Reader, conditions: Conditions, asked: Collection[str], rows_per_day: int, parties: Collection[str]
) -> Conditions:
    """Return the conditions of a grant as they are kept; refuse what grants more than was asked for, or cannot be followed.

    `asked` are the names of the items asked for, `rows_per_day` the volume asked for (0: not said), `parties` the codes of provider
    and consumer. A volume asked for is the limit where the conditions name none.
    """
    columns = tuple(conditions.columns)
    check_list("columns", columns, resources.MAX_ITEMS)
    for name in columns:
        if name not in asked:
            raise Refused("COLUMN_NOT_ASKED", found=name)
    readable = columns or asked
    masks = tuple(conditions.masks)
    check_list("masks", [mask.item for mask in masks], resources.MAX_ITEMS)
    for mask in masks:
        _check_mask(mask, readable)
    rows = conditions.max_rows_per_day or rows_per_day
    if rows_per_day and rows > rows_per_day:
        raise Refused("VOLUME_EXCEEDED", found=rows, limit=rows_per_day)
    check_optional_text("place", conditions.place, MAX_PLACE_LENGTH)
    check_optional_text("note", conditions.note, MAX_NOTE_LENGTH)
    others = checked_recipients(state, conditions.passing_on_to, parties)
    return msgspec.structs.replace(
        conditions, columns=columns, masks=masks, max_rows_per_day=rows, passing_on_to=others
    )


def checked_recipients(state: Reader, departments: Iterable[str], parties: Collection[str]) -> tuple[str, ...]:
    """Return the departments that data may be passed on to as they are kept; refuse one that is a party, or not active."""
    found = tuple(departments)
    check_list("passing_on_to", found, MAX_PASSING_ON)
    for code in found:
        if code in parties or not is_active_department(state, code):
            raise Refused("PASSING_ON_TO", found=code)
    return found


def _check_mask(mask: Mask, readable: Collection[str]) -> None:
    if mask.item not in readable:
        raise Refused("COLUMN_NOT_ASKED", found=mask.item)
    check_choice("mask kind", mask.kind, tuple(MASK_KINDS))
    if not 0 < mask.length <= MAX_MASK_CHARACTERS or mask.start > MAX_MASK_CHARACTERS:
        raise Refused("MASK_RANGE", found=f"{mask.start}+{mask.length}", limit=MAX_MASK_CHARACTERS)
