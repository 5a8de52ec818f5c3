"""What of a JSON answer goes out: rows counted, columns left out, values masked; what is kept keeps its bytes.

A value is never decoded and written again unless it is masked: numbers, escapes and the order of keys leave as the service wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from contracts.characters import has_control_character
from contracts.data_sharing.conditions import TRUNCATE, Mask
from sdk.gateway.denials import Denied
from sdk.identity_numbers import has_resident_number
from verification.access.reads import MAX_COLUMN_LENGTH, MAX_COLUMNS

MASK_CHARACTER: Final = "*"
MAX_OBJECTS: Final = 1_000_000
"""In an answer that is taken apart, some 250 bytes of memory each."""
_NULL: Final = b"null"
HIDDEN_COLUMN: Final = "-"
"""Recorded in place of keys with a number in them: in a map by person they are no names of items, but persons' numbers."""
_NUMBER: Final = re.compile(r"\d{6}")

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_ROWS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_STRING = msgspec.json.Decoder(str)
_encode = msgspec.json.encode


class BodyShape(NamedTuple):
    """Where the rows of an answer are: keys from the outermost object inwards, none where the body is the list or row itself.

    `envelope` names the members around the rows that leave also where a grant limits columns; `fields` has the catalogue's name of
    an item by its key in a row, where they differ.
    """

    rows: tuple[str, ...] = ()
    envelope: frozenset[str] = frozenset()
    fields: Mapping[str, str] = {}


class Cut(NamedTuple):
    """Which items may leave (None for all), what is done to their values, and whether rows count against a limit."""

    columns: frozenset[str] | None
    masks: tuple[Mask, ...]
    is_counted: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether every item leaves as it is."""
        return self.columns is None and not self.masks


class Answer(NamedTuple):
    """A body as it leaves, the number of its rows, and the items that are in them, by the catalogue's names."""

    body: bytes
    rows: int
    columns: tuple[str, ...]


def cut_answer(body: bytes, shape: BodyShape, cut: Cut) -> Answer:
    """Return the answer as a grant lets it leave; raise Denied ANSWER_NOT_JSON or ANSWER_TOO_LARGE where it cannot be taken apart.

    Where nothing is to be cut and rows are not limited, the body is the same bytes. Where they are, rows have to be where the route
    says, and members around them leave once each.
    """
    if len(body) > 2 * MAX_OBJECTS and body.count(b"{") > MAX_OBJECTS:
        raise Denied("ANSWER_TOO_LARGE", f"> {MAX_OBJECTS} objects")
    try:
        return _cut(body, shape, cut)
    except UnicodeDecodeError:
        raise Denied("ANSWER_NOT_JSON", "no UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Denied("ANSWER_NOT_JSON", str(error)[:200]) from None


def _cut(body: bytes, shape: BodyShape, cut: Cut) -> Answer:
    envelopes, inner = _unwrap(body, shape.rows)
    is_list, rows = _rows(inner)
    columns = _columns(rows, shape.fields, cut.columns)
    if cut.is_whole:
        if cut.is_counted and envelopes:
            if inner is None:
                raise Denied("ANSWER_NOT_JSON", f"no {'.'.join(shape.rows)}")
            body = _wrap(envelopes, inner, shape.rows, None)
        return Answer(body, len(rows), columns)
    masks: dict[str, list[Mask]] = {}
    for mask in cut.masks:
        masks.setdefault(mask.item, []).append(mask)
    kept = [_cut_row(row, shape.fields, cut.columns, masks) for row in rows]
    if inner is None:
        made = None
    elif is_list:
        made = b"[" + b",".join(kept) + b"]"
    else:
        made = kept[0] if kept else _NULL
    return Answer(_wrap(envelopes, made, shape.rows, shape.envelope), len(rows), columns)


def _unwrap(body: bytes, path: Sequence[str]) -> tuple[list[dict[str, msgspec.Raw]], bytes | None]:
    """Return the objects on the way to the rows, and the rows' bytes: None where an object on the way does not have them."""
    envelopes: list[dict[str, msgspec.Raw]] = []
    inner: bytes | None = body
    for key in path:
        assert inner is not None, "the loop ends where there is no more"
        envelopes.append(_OBJECT.decode(inner))
        found = envelopes[-1].get(key)
        inner = None if found is None else bytes(found)
        if inner is None or inner == _NULL:
            break
    return envelopes, inner


def _rows(inner: bytes | None) -> tuple[bool, list[dict[str, msgspec.Raw]]]:
    """Return whether the rows are a list, and each as an object."""
    if inner is None or inner.strip() == _NULL:
        return False, []
    if inner.lstrip()[:1] == b"[":
        return True, _ROWS.decode(inner)
    return False, [_OBJECT.decode(inner)]


def _wrap(
    envelopes: list[dict[str, msgspec.Raw]], made: bytes | None, path: Sequence[str], kept: frozenset[str] | None
) -> bytes:
    """Return the rows within the members around them that may leave, None for all."""
    if not envelopes:
        return made if made is not None else _NULL
    for depth in range(len(envelopes) - 1, -1, -1):
        members = []
        for key, value in envelopes[depth].items():
            if key == path[depth]:
                if made is not None:
                    members.append(_encode(key) + b":" + made)
            elif kept is None or key in kept:
                members.append(_encode(key) + b":" + bytes(value))
        made = b"{" + b",".join(members) + b"}"
    assert made is not None, "there was an object"
    return made


def _cut_row(
    row: Mapping[str, msgspec.Raw],
    fields: Mapping[str, str],
    columns: frozenset[str] | None,
    masks: Mapping[str, Sequence[Mask]],
) -> bytes:
    members = []
    for key, value in row.items():
        item = fields.get(key, key)
        if columns is not None and item not in columns:
            continue
        found = masks.get(item)
        members.append(_encode(key) + b":" + (bytes(value) if found is None else _mask_value(bytes(value), found)))
    return b"{" + b",".join(members) + b"}"


def _mask_value(raw: bytes, masks: Sequence[Mask]) -> bytes:
    """Return a value masked: strings and numbers as strings; what has no characters to mask leaves as null."""
    first = raw[:1]
    if first == b'"':
        text = _STRING.decode(raw)
    elif first in b"-0123456789":
        text = raw.decode("ascii")
    else:
        return _NULL
    for mask in masks:
        text = mask_text(text, mask)
    return _encode(text)


def mask_text(text: str, mask: Mask) -> str:
    """Return a text with its characters from `start` on, `length` of them, starred, or with only those kept; counted from 0."""
    end = mask.start + mask.length
    if mask.kind == TRUNCATE:
        return text[mask.start : end]
    return text[: mask.start] + MASK_CHARACTER * len(text[mask.start : end]) + text[end:]


def _columns(
    rows: Sequence[Mapping[str, msgspec.Raw]], fields: Mapping[str, str], granted: frozenset[str] | None
) -> tuple[str, ...]:
    """Return the items that leave, of all rows, in the order they come first.

    Where a grant names none, those that no catalogue could name are left out or hidden.
    """
    keys: dict[str, None] = {}
    last: object = None
    for row in rows:
        # Most answers have the same keys in every row.
        if (found := row.keys()) != last:
            keys |= dict.fromkeys(found)
            last = found
    if granted is not None:
        named = dict.fromkeys(fields.get(key, key) for key in keys)
        return tuple([name for name in named if name in granted][:MAX_COLUMNS])
    names = dict.fromkeys(fields.get(key) or _item_name(key) for key in keys)
    fit = [name for name in names if 0 < len(name) <= MAX_COLUMN_LENGTH and not has_control_character(name)]
    return tuple(fit[:MAX_COLUMNS])


def _item_name(key: str) -> str:
    return HIDDEN_COLUMN if _NUMBER.search(key) or has_resident_number(key) else key
