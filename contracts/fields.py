"""Checks of the fields that calls carry: text, times, digests and lists, each refused by name and field."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Final, TypeAlias

from contracts.characters import has_control_character, has_space_at_end
from contracts.refusals import Refused

MIN_TIME_MS: Final = -2_209_017_600_000
"""1900-01-01T00:00:00+08:00."""
MAX_TIME_MS: Final = 253_402_271_999_999
"""9999-12-31T23:59:59.999+08:00; as an end it means without end (长期)."""

Uint8: TypeAlias = Annotated[int, "uint8"]
Uint64: TypeAlias = Annotated[int, "uint64"]
TimeMs: TypeAlias = Annotated[int, "int64"]
"""Milliseconds since 1970-01-01T00:00Z; negative before: records of old events exist."""
Bytes32: TypeAlias = Annotated[bytes, "bytes32"]
Address: TypeAlias = Annotated[bytes, "address"]

_ZERO_DIGEST: Final = bytes(32)


def check_text(field: str, text: str, max_length: int) -> None:
    """Return if `text` has 1 to `max_length` characters, none of them invisible, and no white space at its ends; refuse it otherwise."""
    if not text:
        raise Refused("TEXT_EMPTY", field=field)
    check_optional_text(field, text, max_length)


def check_optional_text(field: str, text: str, max_length: int) -> None:
    """Return if `text` is empty or passes check_text; refuse it otherwise."""
    if len(text) > max_length:
        raise Refused("TEXT_TOO_LONG", field=field, limit=max_length, found=len(text))
    if text and (has_space_at_end(text) or has_control_character(text)):
        raise Refused("TEXT_CONTROL_CHARACTER", field=field)


def check_time(field: str, time_ms: int) -> None:
    """Return if a time lies within the years 1900 to 9999; refuse DATE_OUT_OF_RANGE otherwise."""
    if not MIN_TIME_MS <= time_ms <= MAX_TIME_MS:
        raise Refused("DATE_OUT_OF_RANGE", field=field, found=time_ms)


def check_period(start_field: str, start_ms: int, end_field: str, end_ms: int) -> None:
    """Return if both times are in range and the end is after the start; refuse it otherwise."""
    if MIN_TIME_MS <= start_ms < end_ms <= MAX_TIME_MS:
        return
    check_time(start_field, start_ms)
    check_time(end_field, end_ms)
    raise Refused("DATES_REVERSED", start=start_ms, end=end_ms)


def check_digest(field: str, digest: bytes) -> None:
    """Return if a 32-byte digest is not all zeros, which stands for a forgotten one; refuse DIGEST_ZERO otherwise."""
    if digest == _ZERO_DIGEST:
        raise Refused("DIGEST_ZERO", field=field)


def check_choice(field: str, value: object, choices: Collection[object]) -> None:
    """Return if `value` is one of `choices`; refuse VALUE_UNKNOWN otherwise."""
    if value not in choices:
        raise Refused("VALUE_UNKNOWN", field=field, expected=", ".join(map(str, choices)), found=value)


def check_list(field: str, items: Sequence[object], max_count: int) -> None:
    """Return if a list has at most `max_count` items and none twice; refuse it otherwise."""
    if len(items) > max_count:
        raise Refused("LIST_TOO_LONG", field=field, limit=max_count, found=len(items))
    seen = set()
    for item in items:
        if item in seen:
            raise Refused("LIST_REPEATS", field=field, found=item)
        seen.add(item)
