"""Validator sets in state: every set that ever decided, so that old certificates and evidence are judged with the set of their height."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from contracts.fields import Address, Uint64
from contracts.records import Reader, Table, Writer
from contracts.refusals import Refused

MAX_VALIDATORS: Final = 128
"""As many as consensus takes."""
MAX_CANDIDATES: Final = 16
SAFE_VALIDATORS: Final = 4
"""The least number with which one may fail; a network founded with so many keeps them."""
MAX_VALIDATOR_NAME_LENGTH: Final = 64

_NAME_FORM: Final = re.compile(r"[A-Za-z0-9._-]+")
_NEXT_KEY: Final = b"set"
_CANDIDATES_KEY: Final = b"candidates"
_NUMBER_BYTES: Final = 8


class ValidatorRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One validator: the address and key it votes with, its name, and the department that runs it."""

    address: Address
    public_key: bytes
    name: str
    department: str


class ValidatorsRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One set: its members in the order of their addresses, the first height it decides, and its number, 0 at genesis."""

    validators: tuple[ValidatorRecord, ...]
    first_height: Uint64
    number: Uint64


class CandidateRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A validator to be: it joins when its own node shows, signed with this key, that it has followed the chain so far."""

    address: Address
    public_key: bytes
    name: str
    department: str
    added_height: Uint64


M = TypeVar("M", ValidatorRecord, CandidateRecord)


class CandidatesRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """All candidates, in the order in which they were added."""

    candidates: tuple[CandidateRecord, ...]


VALIDATORS: Final = Table("members", 3, ValidatorsRecord)
PAST_VALIDATORS: Final = Table("members", 4, ValidatorsRecord)
CANDIDATES: Final = Table("members", 7, CandidatesRecord)


def validators_key() -> bytes:
    """Return the key in state of the validators of the next height."""
    return VALIDATORS.key(_NEXT_KEY)


def load_validator_set(state: Reader) -> ValidatorsRecord:
    """Return the set of the next height; an empty one in a state that was begun without."""
    return VALIDATORS.load(state, _NEXT_KEY) or ValidatorsRecord((), 0, 0)


def load_validators(state: Reader) -> tuple[ValidatorRecord, ...]:
    """Return the validators of the next height, in the order of their addresses."""
    return load_validator_set(state).validators


def load_numbered_set(state: Reader, number: int) -> ValidatorsRecord | None:
    """Return the set of a number, 0 the founding one; None past the last."""
    last = load_validator_set(state)
    if number == last.number:
        return last
    return PAST_VALIDATORS.load(state, number.to_bytes(_NUMBER_BYTES)) if 0 <= number < last.number else None


def load_validators_at(state: Reader, height: int) -> tuple[ValidatorRecord, ...]:
    """Return the validators that decide a height up to the next one, in the order of their addresses; none below height 1."""
    found = load_validator_set(state)
    if found.first_height <= height:
        return found.validators
    # Sets are numbered without a gap and their first heights ascend: a read for each halving, however many there were.
    sought: ValidatorsRecord | None = None
    least, above = 0, found.number
    while least < above:
        middle = (least + above) // 2
        record = PAST_VALIDATORS.load(state, middle.to_bytes(_NUMBER_BYTES))
        assert record is not None, "every set before the last stands in state"
        if record.first_height <= height:
            sought, least = record, middle + 1
        else:
            above = middle
    return () if sought is None else sought.validators


def least_validators(state: Reader) -> int:
    """Return how many validators must remain: SAFE_VALIDATORS, or 1 in a network that was founded with fewer."""
    # By its number, which is one read however many sets came after it.
    founding = PAST_VALIDATORS.load(state, (0).to_bytes(_NUMBER_BYTES)) or load_validator_set(state)
    return SAFE_VALIDATORS if len(founding.validators) >= SAFE_VALIDATORS else 1


def check_validator_name(name: str) -> None:
    """Return if a validator can have this name; refuse one that no node's certificate could have: peers go by that name."""
    if len(name) > MAX_VALIDATOR_NAME_LENGTH or _NAME_FORM.fullmatch(name) is None:
        raise Refused("VALIDATOR_NAME_MALFORMED", limit=MAX_VALIDATOR_NAME_LENGTH, found=name)


def load_candidates(state: Reader) -> tuple[CandidateRecord, ...]:
    """Return the candidates in the order in which they were added."""
    record = CANDIDATES.load(state, _CANDIDATES_KEY)
    return () if record is None else record.candidates


def save_candidates(state: Writer, candidates: Sequence[CandidateRecord]) -> None:
    """Put the candidates in place of those that were there."""
    CANDIDATES.save(state, _CANDIDATES_KEY, CandidatesRecord(tuple(candidates)))


def find_by_address(records: Iterable[M], address: bytes) -> M | None:
    """Return the validator or candidate with this address, or None."""
    return next((record for record in records if record.address == address), None)


def save_validators(state: Writer, validators: Sequence[ValidatorRecord], first_height: int) -> None:
    """Put the set that decides from `first_height` on; the one before it is kept, but where it never decided a height."""
    before = VALIDATORS.load(state, _NEXT_KEY)
    ordered = tuple(sorted(validators, key=lambda validator: validator.address))
    number = 0 if before is None else before.number + (before.first_height < first_height)
    if before is not None and number > before.number:
        PAST_VALIDATORS.save(state, before.number.to_bytes(_NUMBER_BYTES), before)
    VALIDATORS.save(state, _NEXT_KEY, ValidatorsRecord(ordered, first_height, number))
