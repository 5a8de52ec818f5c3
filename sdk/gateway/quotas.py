"""What was answered under each grant today, counted as it leaves and found again in the store of reads after a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sdk.gateway.decision import Permission, Usage, check_quota, count_use, day_start_ms

MAX_GRANTS: Final = 10_000
"""Of those whose usage is in memory; the others are counted again from the store."""


class Quotas:
    """Counts by grant and day; for one thread."""

    def __init__(self, usage_since: Callable[[bytes, int], Usage]) -> None:
        """Take what counts the answered reads of a grant since a time in ms."""
        self._usage_since = usage_since
        self._day_ms = 0
        self._used: dict[bytes, Usage] = {}

    def check(self, grant: bytes, permission: Permission, now_ms: int) -> None:
        """Return if a grant has something left today; raise Denied."""
        if permission.has_quota:
            check_quota(permission, self._find(grant, now_ms))

    def take(self, grant: bytes, permission: Permission, rows: int, now_ms: int) -> None:
        """Count an answer of so many rows; raise Denied where the grant does not cover it any more."""
        if permission.has_quota:
            self._used[grant] = count_use(permission, rows, self._find(grant, now_ms))

    def _find(self, grant: bytes, now_ms: int) -> Usage:
        day_ms = day_start_ms(now_ms)
        if day_ms != self._day_ms:
            self._day_ms, self._used = day_ms, {}
        found = self._used.get(grant)
        if found is None:
            if len(self._used) >= MAX_GRANTS:
                del self._used[next(iter(self._used))]
            found = self._used[grant] = self._usage_since(grant, day_ms)
        return found
