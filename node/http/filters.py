"""Filters that clients poll: each is a place in the chain from which they want to know more. Nothing is gathered for them meanwhile."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec

from node.http.eth_parameters import LogQuery

MAX_FILTERS: Final = 1_000
FILTER_TIMEOUT_S: Final = 300.0
"""Without a poll: then a filter is forgotten."""


class FiltersFull(Exception):
    """There are as many filters as there may be."""


class Filter(msgspec.Struct):
    """What one client polls for."""

    query: LogQuery | None
    """None for the ids of blocks."""
    next_height: int
    """The first block that it has not been told of."""
    polled_s: float


class Filters:
    """The filters of all clients by their id, which is random: nobody polls another's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Have no filter; `clock` tells seconds."""
        self._clock = clock
        self._filters: dict[str, Filter] = {}
        """Those polled least lately first."""

    def add(self, query: LogQuery | None, next_height: int) -> str:
        """Return the id of a new filter; raise FiltersFull."""
        self._forget_old()
        if len(self._filters) >= MAX_FILTERS:
            raise FiltersFull
        filter_id = hex(secrets.randbits(128))
        self._filters[filter_id] = Filter(query, next_height, self._clock())
        return filter_id

    def poll(self, filter_id: str) -> Filter | None:
        """Return a filter, which lives on from now; None when there is none of this id, or none any more."""
        self._forget_old()
        found = self._filters.pop(filter_id, None)
        if found is not None:
            found.polled_s = self._clock()
            self._filters[filter_id] = found
        return found

    def remove(self, filter_id: str) -> bool:
        """Forget a filter; return whether there was one of this id."""
        self._forget_old()
        return self._filters.pop(filter_id, None) is not None

    def _forget_old(self) -> None:
        oldest_s = self._clock() - FILTER_TIMEOUT_S
        while self._filters:
            filter_id, found = next(iter(self._filters.items()))
            if found.polled_s > oldest_s:
                return
            del self._filters[filter_id]
