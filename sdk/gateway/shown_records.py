"""The records of a store as auditors and parties may see them: what `/gov/records` answers, at a gateway or another recorder."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from contracts.accounts import AUDITOR
from contracts.data_sharing.audits import MAX_QUERY_AGE_MS
from explorer.auth import Caller
from sdk.access_recording.stored_reads import StoredReads
from sdk.gateway.denials import Denied
from sdk.gateway.receipts import state_read
from verification.access.reads import MAX_NUMBER, decode_read

QUERY_HEADER: Final = "Gov-Audit-Query"
MAX_RECORDS: Final = 1_000
"""Of one answer; records are read in their order, so the next one begins behind the last."""
MAX_SCANNED: Final = 5_000
"""Reads that are looked at for one answer."""
MAX_RECORDS_BYTES: Final = 8 * 1024 * 1024
MAX_DIGITS: Final = 19


class RecordFilter(NamedTuple):
    """Which reads are asked for."""

    first: int
    last: int | None
    grant: bytes | None
    person: bytes | None
    case_number: str | None
    from_ms: int | None
    to_ms: int | None
    limit: int


def show_records(store: StoredReads, caller: Caller, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the reads of a store that a query string asks for and a caller may see; raise Denied PARAMETER_INVALID.

    Auditors see all, the recording department too; another party sees those in which it is the other side, as receipts have them.
    """
    wanted = parse_record_filter(given)
    sees_all = AUDITOR in caller.roles or caller.department == store.department
    found = store.find_reads(
        first=wanted.first,
        last=wanted.last,
        grant=wanted.grant,
        person=wanted.person,
        case_number=wanted.case_number,
        from_ms=wanted.from_ms,
        to_ms=wanted.to_ms,
        limit=MAX_SCANNED,
    )
    shown: list[str] = []
    size, following = 0, None
    for raw in found:
        read = decode_read(raw)
        if len(shown) >= wanted.limit or size > MAX_RECORDS_BYTES:
            following = read.number
            break
        if sees_all or caller.department in (read.sharing.consumer, read.sharing.provider):
            given_out = raw if sees_all else msgspec.msgpack.encode(state_read(read))
            shown.append(base64.b64encode(given_out).decode("ascii"))
            size += len(given_out)
    else:
        if len(found) == MAX_SCANNED:
            following = decode_read(found[-1]).number + 1
    return {
        "department": store.department,
        "recorder": "0x" + store.recorder.hex(),
        "last_number": store.tip().number,
        "reads": shown,
        "next": following,
    }


def check_audit_query(text: str, caller: Caller, query_recorded_ms: Callable[[int, bytes], int], now_ms: int) -> None:
    """Return if an auditor's account has recorded the query of this number lately; raise Denied QUERY_NOT_RECORDED.

    `query_recorded_ms` returns when the ledger has a query of a number by an account, 0 where it has none.
    """
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS or int(text) > MAX_NUMBER:
        raise Denied("QUERY_NOT_RECORDED")
    recorded_ms = query_recorded_ms(int(text), caller.address)
    if not recorded_ms or now_ms - recorded_ms > MAX_QUERY_AGE_MS:
        raise Denied("QUERY_NOT_RECORDED")


def parse_record_filter(given: Mapping[str, str]) -> RecordFilter:
    """Return which reads a query string asks for; raise Denied PARAMETER_INVALID."""
    known = {"first", "last", "grant", "person", "case", "from_ms", "to_ms", "limit"}
    for name in given:
        if name not in known:
            raise Denied("PARAMETER_INVALID", name[:40])
    limit = _number(given, "limit")
    return RecordFilter(
        _number(given, "first") or 1,
        _number(given, "last"),
        _digest(given, "grant"),
        _digest(given, "person"),
        given.get("case"),
        _number(given, "from_ms"),
        _number(given, "to_ms"),
        MAX_RECORDS if limit is None else min(limit, MAX_RECORDS),
    )


def _number(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS or int(text) > MAX_NUMBER:
        raise Denied("PARAMETER_INVALID", name)
    return int(text)


def _digest(given: Mapping[str, str], name: str) -> bytes | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise Denied("PARAMETER_INVALID", name)
    return found
