"""The history of validator sets in state: whoever holds the state knows which set decided each height."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.validator_sets import (
    ValidatorRecord,
    load_validator_set,
    load_validators,
    load_validators_at,
    save_validators,
)


class Counted(dict[bytes, bytes]):
    """State as a dict that counts its reads."""

    reads = 0

    def get(self, key: bytes, default: Any = None) -> Any:
        self.reads += 1
        return super().get(key, default)

    def set(self, key: bytes, value: bytes) -> None:
        self[key] = value

    def delete(self, key: bytes) -> None:
        self.pop(key, None)


def member(number: int) -> ValidatorRecord:
    return ValidatorRecord(number.to_bytes(20), number.to_bytes(64), f"n{number}", "x")


@given(st.lists(st.integers(1, 40), max_size=20), st.integers(0, 900))
def test_the_set_of_any_height_is_found_in_few_reads(steps: list[int], height: int) -> None:
    state = Counted()
    first_height, firsts = 1, []
    for number, step in enumerate([0, *steps]):
        first_height += step
        firsts.append(first_height)
        save_validators(state, [member(number)], first_height)
    state.reads = 0
    found = load_validators_at(state, height)
    number = sum(first <= height for first in firsts) - 1
    assert found == ((member(number),) if number >= 0 else ())
    assert state.reads <= 6
    assert load_validators(state) == (member(len(steps)),)


def test_members_stand_in_the_order_of_addresses_and_a_set_that_never_decided_is_not_kept() -> None:
    state = Counted()
    save_validators(state, [member(2), member(1)], 1)
    assert [record.name for record in load_validators(state)] == ["n1", "n2"]
    save_validators(state, [member(3)], 5)
    save_validators(state, [member(4)], 5)
    assert load_validator_set(state).number == 1
    assert load_validators_at(state, 4) == (member(1), member(2))
    assert load_validators_at(state, 5) == (member(4),)
    assert load_validators_at(Counted(), 5) == ()


def test_genesis_writes_the_first_set(bench: Any) -> None:
    assert bench.view("members", "validators_at", height=0) == ()
    assert bench.view("members", "validators_at", height=1) == bench.view("members", "validators")
    assert bench.view("members", "offences", address=bytes(20)) == ()
