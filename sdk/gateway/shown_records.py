"""The records of a store as auditors and parties may see them: what `/gov/records` answers, and the note of who was shown what."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from contracts.accounts import AUDITOR
from explorer.auth import Caller
from sdk.access_recording.read_store import RecordingFailed
from sdk.access_recording.shown_book import Shown, ShownBook
from sdk.access_recording.stored_reads import StoredReads
from sdk.department_services.audit_queries import MAX_DIGITS, QueryTimes, check_scope
from sdk.gateway.denials import Denied
from sdk.gateway.receipts import state_read
from verification.access.reads import MAX_NUMBER, Read, decode_read

MAX_RECORDS: Final = 1_000
"""Of one answer; records are read in their order, so the next one begins behind the last."""
MAX_SCANNED: Final = 5_000
"""Reads that are looked at for one answer."""
MAX_RECORDS_BYTES: Final = 8 * 1024 * 1024


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


class ShownRecords:
    """Shows the reads of one store, and notes who was shown which; may be asked from any thread."""

    def __init__(self, store: StoredReads, recorded_ms: QueryTimes, now_ms: Callable[[], int]) -> None:
        """Take the store, what finds auditors' queries on the ledger, and the clock (ms)."""
        self._store, self._recorded_ms, self._now_ms = store, recorded_ms, now_ms
        self._book = ShownBook(store.path)

    def answer(self, caller: Caller, given: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the reads that a query string asks for and a caller may see, once it is on disk that they were shown.

        An auditor sees those of the times that the query covers which the headers name; the recording department sees all, and another
        party those in which it is the other side, as receipts have them. Raises Denied PARAMETER_INVALID, QUERY_NOT_RECORDED, and
        RECORDING_STOPPED where the note cannot be written; InputError ARCHIVE_MISSING.
        """
        wanted, query = parse_record_filter(given), 0
        if AUDITOR in caller.roles:
            query, scope = check_scope(headers, self._store.department, caller, self._recorded_ms, self._now_ms())
            wanted = self._in_batches(wanted, scope.from_ms, scope.to_ms)
        elif caller.department != self._store.department and (wanted.from_ms, wanted.to_ms) != (None, None):
            # Where whole batches begin and end the ledger tells everybody; when a read of others was, nobody else is told.
            until_ms = MAX_NUMBER if wanted.to_ms is None else wanted.to_ms
            wanted = self._in_batches(wanted, wanted.from_ms or 0, until_ms)
        answer, numbers = _show(self._store, caller, wanted)
        if numbers:
            self.note(caller, query, numbers)
        return answer

    def note(self, caller: Caller, query: int, numbers: Sequence[int]) -> None:
        """Return once it is on disk that a caller was shown reads under a query (0 for a party); raise Denied RECORDING_STOPPED."""
        shown = Shown(caller.address, caller.department, query, numbers[0], numbers[-1], len(numbers))
        try:
            self._book.note(shown, self._now_ms())
        except RecordingFailed as error:
            raise Denied("RECORDING_STOPPED", error.code) from None

    def _in_batches(self, wanted: RecordFilter, from_ms: int, to_ms: int) -> RecordFilter:
        """Return a filter narrowed to the batches that touch a time."""
        first, last = self._store.numbers_within(from_ms, to_ms, wanted.first, wanted.last)
        return wanted._replace(first=first, last=last)


def _show(store: StoredReads, caller: Caller, wanted: RecordFilter) -> tuple[dict[str, Any], list[int]]:
    """Return the answer, and the numbers of the reads in it."""
    sees_all = AUDITOR in caller.roles or caller.department == store.department
    narrowing: dict[str, Any] = {
        "grant": wanted.grant,
        "person": wanted.person,
        "case_number": wanted.case_number,
        "from_ms": wanted.from_ms,
        "to_ms": wanted.to_ms,
    }
    # A party's wishes are compared with its own reads alone: where an answer ends tells nothing of others' cases, persons and times.
    found = store.find_reads(first=wanted.first, last=wanted.last, limit=MAX_SCANNED, **(narrowing if sees_all else {}))
    shown: list[str] = []
    numbers: list[int] = []
    size, following = 0, None
    for raw in found:
        read = decode_read(raw)
        if not sees_all and not _is_partys(read, caller.department, wanted):
            continue
        if len(shown) >= wanted.limit or size > MAX_RECORDS_BYTES:
            following = read.number
            break
        given_out = raw if sees_all else msgspec.msgpack.encode(state_read(read))
        shown.append(base64.b64encode(given_out).decode("ascii"))
        numbers.append(read.number)
        size += len(given_out)
    else:
        if len(found) == MAX_SCANNED:
            following = decode_read(found[-1]).number + 1
    answer = {
        "department": store.department,
        "recorder": "0x" + store.recorder.hex(),
        "last_number": store.tip().number,
        "reads": shown,
        "next": following,
    }
    return answer, numbers


def _is_partys(read: Read, department: str, wanted: RecordFilter) -> bool:
    """Return whether a department took part in a read, and asks for it."""
    return (
        department in (read.sharing.consumer, read.sharing.provider)
        and wanted.grant in (None, read.sharing.grant)
        and wanted.person in (None, read.subject.person)
        and wanted.case_number in (None, read.case.case_number)
        and (wanted.from_ms is None or wanted.from_ms <= read.read_ms)
        and (wanted.to_ms is None or read.read_ms <= wanted.to_ms)
    )


def parse_record_filter(given: Mapping[str, str]) -> RecordFilter:
    """Return which reads a query string asks for; raise Denied PARAMETER_INVALID."""
    known = {"first", "last", "grant", "person", "case", "from_ms", "to_ms", "limit"}
    for name in given:
        if name not in known:
            raise Denied("PARAMETER_INVALID", name[:40])
    limit = _number(given, "limit")
    if limit == 0:
        raise Denied("PARAMETER_INVALID", "limit")
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
