"""Rules that are published for a time to come: versions numbered from 1 without a gap, each of which holds until the next begins.

What has begun stays for ever, for what began under it; what has not begun is replaced by what is published to begin before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from contracts.refusals import Refused


class Version(Protocol):
    """A rule with the time from which it holds."""

    @property
    def from_ms(self) -> int:
        """Block time from which it holds."""


V = TypeVar("V", bound=Version)
MAX_COMING: Final = 64
"""Versions that have not begun, of one rule: one that begins before all of them takes their place in one call."""


def find_begun(load: Callable[[int], V | None], count: int, time_ms: int) -> tuple[int, V | None]:
    """Return the number of the last of `count` versions that has begun at a time, and that version; 0 and None for none.

    `load` returns a version by its number. Some 2 log2(count) are read: a table of rules may grow for as long as the ledger does.
    """
    low, high = 0, count
    found: V | None = None
    while low < high:
        middle = (low + high + 1) // 2
        version = load(middle)
        assert version is not None, "versions are numbered without a gap"
        if version.from_ms <= time_ms:
            low, found = middle, version
        else:
            high = middle - 1
    return low, found


def number_for(load: Callable[[int], V | None], count: int, from_ms: int, now_ms: int) -> int:
    """Return the number that a version takes which begins at a time, now or later: those that begin before it stay, the others go.

    Refuses LIST_TOO_LONG past MAX_COMING that have not begun.
    """
    begun, _ = find_begun(load, count, now_ms)
    kept, _ = find_begun(load, count, from_ms - 1)
    if kept - begun >= MAX_COMING:
        raise Refused("LIST_TOO_LONG", field="versions", limit=MAX_COMING, found=kept - begun + 1)
    return kept + 1
