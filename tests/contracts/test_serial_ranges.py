"""Serial ranges of batches against a plain list: what may be added, and which range a serial lies in."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import serial_ranges
from contracts.frame import READ_BYTE_GAS, READ_GAS, WRITE_BYTE_GAS, WRITE_GAS
from contracts.parameters import LEAST_GAS
from contracts.refusals import Refused
from contracts.serial_ranges import INDEXES, MAX_PAGE_RANGES, MAX_RANGES, PAGES, SerialRange, add_range, find_range

TYPE, ISSUER = "11100000MB03271699001", "11330100MB1234567X"
ALL_SERIALS = sorted({"".join(s) for n in (1, 2, 3) for s in product("019AZ", repeat=n)})


class DictState(dict[bytes, bytes]):
    def set(self, key: bytes, value: bytes) -> None:
        self[key] = value

    def delete(self, key: bytes) -> None:
        self.pop(key, None)


def added(state: DictState, first: str, last: str, issuer: str = ISSUER) -> str | None:
    """Add a range and return why it was refused, None when it was not; a refusal writes nothing."""
    before = dict(state)
    try:
        add_range(state, TYPE, issuer, SerialRange(first, last))
    except Refused as refused:
        assert state == before
        return refused.code
    return None


# Mostly narrow, so that many of them fit beside each other.
RANGES = st.builds(
    lambda at, width: (ALL_SERIALS[at], ALL_SERIALS[min(at + width, len(ALL_SERIALS) - 1)]),
    st.integers(0, len(ALL_SERIALS) - 1),
    st.sampled_from([0, 0, 1, 2, 3, 5, 20]),
)


@given(st.lists(RANGES, max_size=60))
@settings(max_examples=60, deadline=None)
def test_ranges_are_disjoint_and_found_as_in_a_plain_list(pairs: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Small pages, so that a few ranges make many of them.
        patch.setattr(serial_ranges, "MAX_PAGE_RANGES", 3)
        state = DictState()
        model: list[SerialRange] = []
        for first, last in pairs:
            meets = any(first <= one.last and one.first <= last for one in model)
            assert added(state, first, last) == ("SERIALS_TAKEN" if meets else None)
            if not meets:
                model.append(SerialRange(first, last))
        for serial in ALL_SERIALS:
            expected = next((one for one in model if one.first <= serial <= one.last), None)
            assert find_range(state, TYPE, ISSUER, serial) == expected
        index = INDEXES.load(state, serial_ranges.index_name(TYPE, ISSUER))
        assert (0 if index is None else index.count) == len(model)
        assert serial_ranges.has_ranges(state, TYPE, ISSUER) is bool(model)


def test_a_range_may_not_reach_into_the_next_page() -> None:
    state = DictState()
    for number in range(3 * MAX_PAGE_RANGES):
        assert added(state, f"{number:06d}", f"{number:06d}") is None
    index = INDEXES.load(state, serial_ranges.index_name(TYPE, ISSUER))
    assert index is not None
    assert len(index.firsts) == 3
    for first in index.firsts[1:]:
        before = f"{int(first) - 1:06d}A"
        assert find_range(state, TYPE, ISSUER, before) is None
        assert added(state, before, first) == "SERIALS_TAKEN"
        assert added(state, before, before) is None


def test_another_issuer_or_type_has_serials_of_its_own() -> None:
    state = DictState()
    assert added(state, "1", "5") is None
    assert added(state, "1", "5", "11330100MB7654321X") is None
    assert find_range(state, TYPE[:-1] + "2", ISSUER, "3") is None


@pytest.mark.parametrize(
    ("first", "last", "code"),
    [
        ("", "1", "SERIAL_MALFORMED"),
        ("1", "", "SERIAL_MALFORMED"),
        ("a", "b", "SERIAL_MALFORMED"),
        ("1", "2.001", "SERIAL_MALFORMED"),
        ("1", "2\n", "SERIAL_MALFORMED"),
        ("1" * 65, "2", "SERIAL_MALFORMED"),
        ("2", "1", "SERIALS_REVERSED"),
        ("2", "10", "SERIALS_REVERSED"),
    ],
)
def test_what_is_no_range_is_refused(first: str, last: str, code: str) -> None:
    assert added(DictState(), first, last) == code


def test_one_serial_is_a_range() -> None:
    state = DictState()
    assert added(state, "Z" * 64, "Z" * 64) is None
    assert find_range(state, TYPE, ISSUER, "Z" * 64) is not None
    assert find_range(state, TYPE, ISSUER, "Z" * 63) is None


def full_state(count: int) -> DictState:
    """Return a state with `count` ranges of the longest serials, added in an order that halves pages again and again."""
    state = DictState()
    order = sorted(range(count), key=lambda number: int(f"{number:012b}"[::-1], 2))
    for number in order:
        serial = f"{number:06d}".rjust(64, "0")
        assert added(state, serial, serial) is None
    return state


def test_as_many_ranges_as_there_can_be_stay_cheap_to_read_and_extend() -> None:
    state = full_state(MAX_RANGES)
    assert added(state, "Z", "Z") == "TOO_MANY_BATCHES"
    sizes = {key: len(value) for key, value in state.items()}
    index = sizes[INDEXES.key(serial_ranges.index_name(TYPE, ISSUER))]
    pages = [size for key, size in sizes.items() if key.startswith(PAGES.prefix)]
    assert len(pages) <= 2 * MAX_RANGES // MAX_PAGE_RANGES
    reads = 2 * READ_GAS + READ_BYTE_GAS * (index + max(pages))
    writes = 3 * WRITE_GAS + WRITE_BYTE_GAS * (index + 200 + max(pages) + 400)
    assert reads < LEAST_GAS // 20
    assert reads + writes < LEAST_GAS // 10


def test_serials_that_ascend_fill_their_pages() -> None:
    state = DictState()
    for number in range(3 * MAX_PAGE_RANGES):
        assert added(state, f"{number:06d}", f"{number:06d}") is None
    assert sum(key.startswith(PAGES.prefix) for key in state) == 3
