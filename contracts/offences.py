"""Offences of validators: what committed evidence has shown, each once, kept for everybody to see."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from contracts.fields import Address, TimeMs, Uint8, Uint64
from contracts.records import Reader, Table, Writer
from contracts.validator_sets import ValidatorRecord

MAX_KEPT_OFFENCES: Final = 256
"""Of one validator: a key in wrong hands can sign any number, and the first ones say all there is to say."""
MAX_LISTED_OFFENCES: Final = 64
OFFENCE_KINDS: Final = ("proposal", "prevote", "precommit")
"""What was signed twice, by the number of its kind."""


class OffenceRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A validator signed two values of one kind at one height and round; nil is the empty value.

    Two proposals of one value differ in their proof-of-lock rounds. `included` is the block that carries the evidence.
    """

    address: Address
    name: str
    department: str
    height: Uint64
    round: Uint64
    kind: Uint8
    """Index into OFFENCE_KINDS."""
    first_value: bytes
    second_value: bytes
    included_height: Uint64
    included_ms: TimeMs
    number: Uint64
    """1 for the validator's first recorded offence, and so on."""
    previous: bytes
    """The key of the offence recorded before it, empty for the first."""


class LatestOffence(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Which offence of a validator was recorded last, by its key."""

    name: bytes


OFFENCES: Final = Table("members", 5, OffenceRecord)
LATEST_OFFENCES: Final = Table("members", 6, LatestOffence)


def offence_key(address: bytes, height: int, round_: int, kind: int) -> bytes:
    """Return the key in state of an offence."""
    return OFFENCES.key(_name(address, height, round_, kind))


def is_recorded(state: Reader, address: bytes, height: int, round_: int, kind: int) -> bool:
    """Return whether this offence stands in state."""
    return OFFENCES.has(state, _name(address, height, round_, kind))


def count_offences(state: Reader, address: bytes) -> int:
    """Return how many offences of a validator stand in state."""
    latest = _load_latest(state, address)
    return 0 if latest is None else latest.number


def walk_offences(state: Reader, address: bytes) -> Iterator[OffenceRecord]:
    """Yield the offences of a validator, latest recorded first: at most MAX_KEPT_OFFENCES."""
    record = _load_latest(state, address)
    while record is not None:
        yield record
        record = OFFENCES.load(state, record.previous) if record.previous else None


def list_offences(state: Reader, address: bytes) -> tuple[OffenceRecord, ...]:
    """Return the offences of a validator, latest recorded first, at most MAX_LISTED_OFFENCES."""
    return tuple(islice(walk_offences(state, address), MAX_LISTED_OFFENCES))


def save_offence(
    state: Writer,
    validator: ValidatorRecord,
    offence: tuple[int, int, int],
    values: tuple[bytes, bytes],
    included: tuple[int, int],
) -> None:
    """Record an offence (height, round, kind) of a validator that signed both `values`; `included` is (height, time in ms)."""
    address = validator.address
    name = _name(address, *offence)
    latest = LATEST_OFFENCES.load(state, address)
    number = count_offences(state, address) + 1
    previous = b"" if latest is None else latest.name
    record = OffenceRecord(
        address, validator.name, validator.department, *offence, *values, *included, number, previous
    )
    OFFENCES.save(state, name, record)
    LATEST_OFFENCES.save(state, address, LatestOffence(name))


def _load_latest(state: Reader, address: bytes) -> OffenceRecord | None:
    latest = LATEST_OFFENCES.load(state, address)
    return None if latest is None else OFFENCES.load(state, latest.name)


def _name(address: bytes, height: int, round_: int, kind: int) -> bytes:
    return address + height.to_bytes(8) + round_.to_bytes(8) + bytes((kind,))
