"""What was answered under each grant today, counted as it leaves and found again in the store of reads after a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contracts.data_sharing.working_days import day_end_ms, day_of
from sdk.gateway.decision import WHOLE, Permission, QuotaPart, Usage, check_quota, count_use

MAX_GRANTS: Final = 10_000
"""Of those whose usage is in memory; the others are counted again from the store."""


class Quotas:
    """Counts by grant and day; for one thread.

    The day is the one that the recorder would put the next read in. What has left the count and not reached the store at midnight is
    on both days: an audit counts it by the time at which it was recorded.
    """

    def __init__(self, usage_since: Callable[[bytes, int], Usage], part: QuotaPart = WHOLE) -> None:
        """Take what counts the answered reads of a grant since a time in ms, and which part of each quota is this gateway's."""
        self._usage_since, self._part = usage_since, part
        self._day = 0
        self._used: dict[bytes, Usage] = {}
        self._under_way: dict[bytes, tuple[bytes, int]] = {}

    def check(self, grant: bytes, permission: Permission, now_ms: int) -> None:
        """Return if a grant has something left today; raise Denied."""
        if permission.has_quota:
            check_quota(permission, self._find(grant, now_ms), self._part)

    def take(self, name: bytes, grant: bytes, permission: Permission, rows: int, now_ms: int) -> None:
        """Count the answer of so many rows to the read of a name; raise Denied where the grant does not cover it any more."""
        if permission.has_quota:
            self._used[grant] = count_use(permission, rows, self._find(grant, now_ms), self._part)
            self._under_way[name] = (grant, rows)

    def settle(self, name: bytes) -> None:
        """Note that a read is in the store, or will not be."""
        self._under_way.pop(name, None)

    def _find(self, grant: bytes, now_ms: int) -> Usage:
        if (day := day_of(now_ms)) != self._day:
            self._day, self._used = day, {}
        found = self._used.get(grant)
        if found is None:
            if len(self._used) >= MAX_GRANTS:
                del self._used[next(iter(self._used))]
            stored = self._usage_since(grant, day_end_ms(day - 1) + 1)
            waiting = [rows for other, rows in self._under_way.values() if other == grant]
            found = self._used[grant] = Usage(stored.reads + len(waiting), stored.rows + sum(waiting))
        return found
