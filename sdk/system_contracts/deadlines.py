"""What statutory clocks run by: the calendar of working days, and the terms of each region.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.data_sharing.deadlines import CalendarDay, CalendarYear, DeadlineTable, Term, TermVersion
from contracts.data_sharing.due import Deadline
from sdk.client import Client, FinalReceipt
from sdk.system_contracts.answer import ask


class Deadlines:
    """The system contract `deadlines` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`; what writes needs its signer."""
        self._client = client

    def set_calendar(self, *, year: int, source: str, days: Sequence[CalendarDay]) -> FinalReceipt:
        """Record a year's holidays and make-up working days, whole; once a year is recorded, only days after today may change.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call("deadlines", "set_calendar", year=year, source=source, days=list(days))

    def set_terms(self, *, region: str, name: str, source: str, from_ms: int, terms: Sequence[Term]) -> FinalReceipt:
        """Record the terms of a region (first digits of its code, 2, 4, 6, 9 or 12; none for everywhere) from a time on, 0 for at once.

        For: governor. Returns the receipt once the call is final; raises CallRefused with the contract's reason.
        """
        return self._client.call(
            "deadlines",
            "set_terms",
            region=region,
            name=name,
            source=source,
            from_ms=from_ms,
            terms=list(terms),
        )

    def calendar(self, year: int) -> CalendarYear:
        """Return the calendar of a year."""
        found: CalendarYear = ask(self._client, "deadlines", "calendar", year=year)
        return found

    def terms(self, region: str) -> DeadlineTable:
        """Return what is recorded for just this region, its newest versions; what is built in for everywhere where nothing was."""
        found: DeadlineTable = ask(self._client, "deadlines", "terms", region=region)
        return found

    def terms_at(self, *, region: str, time_ms: int) -> TermVersion:
        """Return the terms that hold in a region (whole code) for what begins at a time: of the longest prefix that has any."""
        found: TermVersion = ask(self._client, "deadlines", "terms_at", region=region, time_ms=time_ms)
        return found

    def deadlines_of(self, request: bytes) -> tuple[Deadline, ...]:
        """Return the newest deadlines of a request, at most 64, in the order in which they began, those met and missed included."""
        found: tuple[Deadline, ...] = ask(self._client, "deadlines", "deadlines_of", request=request)
        return found
