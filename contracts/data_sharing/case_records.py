"""What a request's corrections, disputes and recalls have in common: a record each, numbered from 1 under the request."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from contracts.frame import Context
from contracts.records import Table
from contracts.refusals import Refused

MAX_CLAIM_LENGTH: Final = 500
MAX_ANSWER_LENGTH: Final = 500

R = TypeVar("R", bound=msgspec.Struct)


def case_name(request_id: bytes, number: int) -> bytes:
    """Return the key in its table of a request's correction, dispute or recall."""
    return request_id + number.to_bytes(8, "big")


def require_case(ctx: Context, table: Table[R], request_id: bytes, number: int) -> R:
    """Return a record by its number; refuse CASE_UNKNOWN when there is none."""
    return ctx.require(table, case_name(request_id, number), "CASE_UNKNOWN", number)


def next_number(count: int, limit: int, field: str) -> int:
    """Return the number after `count`; refuse CASES_FULL when a request may have no more."""
    if count >= limit:
        raise Refused("CASES_FULL", field=field, limit=limit)
    return count + 1
