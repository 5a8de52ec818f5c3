"""An auditor's query, before it is answered: it is on the ledger, lately, by who asks, and it is what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from contracts.data_sharing.audits import MAX_QUERY_AGE_MS
from explorer.auth import Caller
from sdk.client import Client
from sdk.gateway.denials import Denied
from sdk.system_contracts.audits import Audits
from verification.access.query_scope import QueryScope, parse_scope
from verification.access.reads import MAX_NUMBER

QUERY_HEADER: Final = "Gov-Audit-Query"
"""The number of the query that an auditor has recorded on the ledger before."""
SCOPE_HEADER: Final = "Gov-Audit-Scope"
"""What it says of that query: with the rest's digest it is the one that was recorded."""
RECORDS_PATH: Final = "/gov/records"
MAX_DIGITS: Final = 19


class QueryTimes(Protocol):
    """Finds when the ledger has recorded a query."""

    def __call__(self, number: int, account: bytes, digest: bytes, /) -> int:
        """Return the block time (ms) of the query of this number, account and digest, 0 where there is none."""


def query_times(client: Client) -> QueryTimes:
    """Return what finds queries at the own node, which raises GovnodeError where the node does not say."""
    audits = Audits(client)
    return lambda number, account, digest: audits.query_recorded_ms(number=number, account=account, digest=digest)


def check_query(text: str, digest: bytes, caller: Caller, recorded_ms: QueryTimes, now_ms: int) -> int:
    """Return the number of a query of this digest that the caller has recorded lately; raise Denied QUERY_NOT_RECORDED."""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS or int(text) > MAX_NUMBER:
        raise Denied("QUERY_NOT_RECORDED")
    found_ms = recorded_ms(int(text), caller.address, digest)
    if not found_ms or now_ms - found_ms > MAX_QUERY_AGE_MS:
        raise Denied("QUERY_NOT_RECORDED")
    return int(text)


def check_scope(
    headers: Mapping[str, str], department: str, caller: Caller, recorded_ms: QueryTimes, now_ms: int
) -> tuple[int, QueryScope]:
    """Return number and scope of the query that a request's headers name, which looks at this department's streams.

    Raises Denied QUERY_NOT_RECORDED.
    """
    scope = parse_scope(headers.get(SCOPE_HEADER, ""))
    if scope is None or not scope.has_stream(department):
        raise Denied("QUERY_NOT_RECORDED")
    return check_query(headers.get(QUERY_HEADER, ""), scope.digest(), caller, recorded_ms, now_ms), scope
