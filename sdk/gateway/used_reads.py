"""Which reads were asked for lately, so that one that comes again is not taken for another."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sdk.gateway.denials import Denied

MAX_USED: Final = 1_000_000
"""Ids in memory, some 100 MB: as many reads as one gateway answers in two lives of a token. Beyond it new reads wait."""


class UsedReads:
    """Ids of reads for as long as a token of this process can repeat them; for one thread.

    A token is good for no other process and for `token_s`, and the id has the token's digest in it: what is older cannot come again,
    nor can what another process was asked.
    """

    def __init__(self, token_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Take how long a token lives."""
        self._token_s, self._clock = token_s, clock
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()
        self._since_s = clock()

    def take(self, name: bytes) -> bool:
        """Return whether a read of this id was not asked for before, and note it; raise Denied TOO_MANY_READS where there is no room."""
        now_s = self._clock()
        if now_s - self._since_s > self._token_s:
            self._young, self._old, self._since_s = set(), self._young, now_s
        if name in self._young or name in self._old:
            return False
        if len(self._young) + len(self._old) >= MAX_USED:
            raise Denied("TOO_MANY_READS")
        self._young.add(name)
        return True
