"""Serial numbers that batches have taken, for each type and issuer: disjoint ranges in order, an index over pages of them.

Serials compare as bytes, as identifiers do in a batch's manifest. Nothing is ever removed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final

import msgspec

from contracts.fields import Uint64
from contracts.identifiers import MAX_SERIAL_LENGTH
from contracts.records import Reader, Table, Writer
from contracts.refusals import Refused

MAX_PAGE_RANGES: Final = 64
MAX_RANGES: Final = 4_096
"""Of one type and issuer."""

_SERIAL_FORM: Final = re.compile(f"[0-9A-Z]{{1,{MAX_SERIAL_LENGTH}}}")


class SerialRange(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The serials from `first` to `last`, both included."""

    first: str
    last: str


class RangePage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Ranges in order."""

    ranges: tuple[SerialRange, ...]


class RangeIndex(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The pages of one type and issuer in order of their serials: the first serial of each, and each one's number."""

    firsts: tuple[str, ...]
    numbers: tuple[Uint64, ...]
    count: Uint64
    """How many ranges the pages have together."""


INDEXES: Final = Table("batches", 2, RangeIndex)
PAGES: Final = Table("batches", 3, RangePage)


def has_ranges(state: Reader, type_code: str, issuer: str) -> bool:
    """Return whether an issuer has batches of a type."""
    return INDEXES.has(state, index_name(type_code, issuer))


def find_range(state: Reader, type_code: str, issuer: str, serial: str) -> SerialRange | None:
    """Return the range that a serial lies in, or None."""
    index = INDEXES.load(state, index_name(type_code, issuer))
    if index is None or serial < index.firsts[0]:
        return None
    page = _load_page(state, type_code, issuer, index.numbers[bisect_right(index.firsts, serial) - 1])
    found = page[bisect_right(page, serial, key=_first) - 1]
    return found if serial <= found.last else None


def add_range(state: Writer, type_code: str, issuer: str, added: SerialRange) -> None:
    """Take a range of serials; refuse it where it is none, where it meets another, and past MAX_RANGES."""
    for serial in (added.first, added.last):
        if _SERIAL_FORM.fullmatch(serial) is None:
            raise Refused("SERIAL_MALFORMED", limit=MAX_SERIAL_LENGTH, found=serial)
    if added.last < added.first:
        raise Refused("SERIALS_REVERSED", first=added.first, last=added.last)
    name = index_name(type_code, issuer)
    index = INDEXES.load(state, name)
    if index is None:
        PAGES.save(state, page_name(type_code, issuer, 0), RangePage((added,)))
        INDEXES.save(state, name, RangeIndex((added.first,), (0,), 1))
        return
    if index.count >= MAX_RANGES:
        raise Refused("TOO_MANY_BATCHES", limit=MAX_RANGES)
    at = max(bisect_right(index.firsts, added.first) - 1, 0)
    ranges = _load_page(state, type_code, issuer, index.numbers[at])
    place = bisect_right(ranges, added.first, key=_first)
    before = ranges[place - 1 : place] if place else ()
    after = tuple(one.first for one in ranges[place : place + 1]) or index.firsts[at + 1 : at + 2]
    taken = [one.first for one in before if added.first <= one.last] + [one for one in after if one <= added.last]
    if taken:
        raise Refused("SERIALS_TAKEN", first=added.first, last=added.last, found=taken[0])
    is_at_end = place == len(ranges) and at == len(index.numbers) - 1
    pages = _split((*ranges[:place], added, *ranges[place:]), is_at_end)
    numbers = (index.numbers[at], len(index.numbers))[: len(pages)]
    for number, page in zip(numbers, pages, strict=True):
        PAGES.save(state, page_name(type_code, issuer, number), RangePage(page))
    firsts = (*index.firsts[:at], *(page[0].first for page in pages), *index.firsts[at + 1 :])
    INDEXES.save(
        state, name, RangeIndex(firsts, (*index.numbers[:at], *numbers, *index.numbers[at + 1 :]), index.count + 1)
    )


def index_name(type_code: str, issuer: str) -> bytes:
    """Return what the index of a type and issuer is called in its table: a slash stands in neither code."""
    return f"{type_code}/{issuer}".encode()


def page_name(type_code: str, issuer: str, number: int) -> bytes:
    """Return what a page of a type and issuer is called in its table."""
    return index_name(type_code, issuer) + b"/" + number.to_bytes(2, "big")


def _split(ranges: tuple[SerialRange, ...], is_at_end: bool) -> tuple[tuple[SerialRange, ...], ...]:
    """Return the ranges as one page, or as two where they are too many."""
    if len(ranges) <= MAX_PAGE_RANGES:
        return (ranges,)
    # Serials mostly ascend: the last page stays full when it grows at its end, others are halved.
    half = MAX_PAGE_RANGES if is_at_end else len(ranges) // 2
    return ranges[:half], ranges[half:]


def _load_page(state: Reader, type_code: str, issuer: str, number: int) -> tuple[SerialRange, ...]:
    page = PAGES.load(state, page_name(type_code, issuer, number))
    assert page is not None, "an index names the pages that were saved"
    return page.ranges


def _first(one: SerialRange) -> str:
    return one.first
