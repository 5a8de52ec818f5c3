"""What the tests of requests and grants look at: a request's record, and the events of a call."""

from __future__ import annotations

from typing import Any

from contracts import registry
from contracts.data_sharing.sharing import RequestRecord


def record_of(office: Any, request: bytes) -> RequestRecord:
    """Return the record of a request on a bench's ledger."""
    found: RequestRecord = office.view("sharing", "data_request", request=request)
    return found


def events(result: Any) -> list[str]:
    """Return the names of the events of a call, in their order."""
    return [registry.decode_log(log).event for log in result.logs]
