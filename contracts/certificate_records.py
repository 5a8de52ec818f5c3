"""Certificates as records: every status one had and since when, older ones in pages, and what it was at a time."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts import code_tables
from contracts.fields import MAX_TIME_MS, Address, Bytes32, TimeMs, Uint8, Uint64, check_digest, check_period
from contracts.identifiers import CertificateIdentifier, parse_identifier
from contracts.records import Reader, Table, Writer
from contracts.refusals import Refused

MAX_RECORD_INTERVALS: Final = 64
"""Statuses in a certificate's own record; the oldest move to a page when another comes."""
PAGE_INTERVALS: Final = 32


class StatusInterval(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """From when a certificate had a status, by which operation and operator, and why.

    `effect` is kept beside the code, so that the record speaks for itself and a later change of the table rewrites nothing.
    """

    status: str
    effect: Uint8
    from_ms: TimeMs
    operation: str
    reason: str
    operator: Address


class CertificateContent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is certified: the identifier, SM3 of the document, a commitment to the holder, the validity (to 9999 means without end)."""

    identifier: str
    document_digest: Bytes32
    holder_commitment: Bytes32
    valid_from_ms: TimeMs
    valid_to_ms: TimeMs


class CertificateRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One certificate; links are identifiers or empty, `history` has the latest statuses, oldest first.

    Statuses before those are in pages 0 to `page_count` - 1.
    """

    identifier: str
    type_code: str
    issuer: str
    document_digest: Bytes32
    holder_commitment: Bytes32
    valid_from_ms: TimeMs
    valid_to_ms: TimeMs
    predecessor: str
    successor: str
    recipient: str
    """The department that it is being transferred to; empty when it is not."""
    issued_ms: TimeMs
    page_count: Uint64
    history: tuple[StatusInterval, ...]

    @property
    def status(self) -> str:
        """The newest status code, whatever the validity period says."""
        return self.history[-1].status


class HistoryPage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Statuses that no longer fit a certificate's record, oldest first; it speaks for the time until `until_ms`."""

    identifier: str
    number: Uint64
    until_ms: TimeMs
    intervals: tuple[StatusInterval, ...]

    def covers(self, time_ms: int) -> bool:
        """Return whether the status at a time in ms is among those of this page."""
        return self.intervals[0].from_ms <= time_ms < self.until_ms


class StatusAt(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a certificate was at a time: `verdict` is one of VERDICTS, `since_ms` when that began, `reason` as recorded."""

    verdict: str
    is_valid: bool
    status: str
    since_ms: TimeMs
    reason: str
    successor: str


VERDICTS: Final[dict[str, tuple[str, str]]] = {
    "IN_FORCE": ("有效", "in force"),
    "NOT_YET_ISSUED": ("当时尚未颁发", "not issued at that time"),
    "NOT_YET_VALID": ("未到有效期起始日", "its validity has not begun"),
    "EXPIRED": ("已过有效期", "its validity has ended"),
    "SUSPENDED": ("已暂停使用", "suspended"),
    "SUPERSEDED": ("已由新证照接替", "succeeded by another certificate"),
    "ENDED": ("已终止", "ended"),
}
"""What status_at finds, in Chinese and English."""

CERTIFICATES: Final = Table("certificates", 4, CertificateRecord)
HISTORY_PAGES: Final = Table("certificates", 5, HistoryPage)


class HistoryPageNeeded(Exception):
    """The time asked for lies before the statuses in the record: the page of the history that covers it is needed."""


def check_content(content: CertificateContent) -> CertificateIdentifier:
    """Return the parts of a certificate's identifier; refuse a fault in anything of the content."""
    check_digest("document_digest", content.document_digest)
    check_digest("holder_commitment", content.holder_commitment)
    check_period("valid_from_ms", content.valid_from_ms, "valid_to_ms", content.valid_to_ms)
    parsed = parse_identifier(content.identifier)
    if parsed.check != parsed.expected_check:
        raise Refused("CHECK_CHARACTER_MISMATCH", found=parsed.text, expected=parsed.expected_check)
    return parsed


def new_record(
    content: CertificateContent, parsed: CertificateIdentifier, first: StatusInterval, predecessor: str = ""
) -> CertificateRecord:
    """Return the record of a certificate that has had one status; `predecessor` is an identifier or empty."""
    return CertificateRecord(
        parsed.text,
        parsed.type_code,
        parsed.issuer_code,
        content.document_digest,
        content.holder_commitment,
        content.valid_from_ms,
        content.valid_to_ms,
        predecessor,
        "",
        "",
        first.from_ms,
        0,
        (first,),
    )


def certificate_key(identifier: str) -> bytes:
    """Return the key in state of a certificate, named with or without its root; refuse IDENTIFIER_MALFORMED."""
    return CERTIFICATES.key(parse_identifier(identifier).text.encode())


def history_page_key(identifier: str, number: int) -> bytes:
    """Return the key in state of a page of a certificate's history; refuse IDENTIFIER_MALFORMED."""
    return HISTORY_PAGES.key(history_page_name(parse_identifier(identifier).text, number))


def history_page_name(identifier: str, number: int) -> bytes:
    """Return what a page of the history of the certificate called `identifier`, root included, is called in its table."""
    return identifier.encode() + number.to_bytes(8, "big")


def load_certificate(state: Reader, identifier: str) -> CertificateRecord | None:
    """Return a certificate, named with or without its root, or None; refuse IDENTIFIER_MALFORMED."""
    return CERTIFICATES.load(state, parse_identifier(identifier).text.encode())


def load_history_page(state: Reader, record: CertificateRecord, time_ms: int) -> HistoryPage | None:
    """Return the page of a certificate's history that covers a time in ms, or None where the record itself does."""
    if not record.issued_ms <= time_ms < record.history[0].from_ms:
        return None
    low, high = 0, record.page_count - 1
    while True:
        middle = (low + high) // 2
        page = HISTORY_PAGES.load(state, history_page_name(record.identifier, middle))
        assert page is not None, "a record counts the pages that were saved"
        if page.covers(time_ms):
            return page
        if time_ms >= page.until_ms:
            low = middle + 1
        else:
            high = middle - 1


def load_status(state: Reader, record: CertificateRecord, time_ms: int) -> StatusAt:
    """Return what a certificate was at any time in ms, from its record and, where need be, a page of its history."""
    return status_at(record, time_ms, load_history_page(state, record, time_ms))


def status_at(record: CertificateRecord, time_ms: int, page: HistoryPage | None = None) -> StatusAt:
    """Return what a certificate was at a time in ms, from the intervals in its record, or in the page of it that covers the time.

    Raises HistoryPageNeeded when neither covers it.
    """
    if time_ms < record.issued_ms:
        return StatusAt("NOT_YET_ISSUED", False, "", record.issued_ms, "", "")
    intervals = record.history
    if time_ms < intervals[0].from_ms:
        if page is None or page.identifier != record.identifier or not page.covers(time_ms):
            raise HistoryPageNeeded(f"{record.identifier} at {time_ms}")
        intervals = page.intervals
    current = next(interval for interval in reversed(intervals) if interval.from_ms <= time_ms)
    superseded = record.successor if current is record.history[-1] else ""
    if current.effect == code_tables.ENDED:
        verdict, since_ms = "SUPERSEDED" if superseded else "ENDED", current.from_ms
    elif current.effect != code_tables.IN_FORCE:
        verdict, since_ms = "SUSPENDED", current.from_ms
    elif time_ms < record.valid_from_ms:
        verdict, since_ms = "NOT_YET_VALID", current.from_ms
    elif record.valid_to_ms < time_ms and record.valid_to_ms < MAX_TIME_MS:
        verdict, since_ms = "EXPIRED", record.valid_to_ms
    else:
        verdict, since_ms = "IN_FORCE", max(current.from_ms, record.valid_from_ms)
    return StatusAt(verdict, verdict == "IN_FORCE", current.status, since_ms, current.reason, superseded)


def add_interval(state: Writer, record: CertificateRecord, interval: StatusInterval) -> CertificateRecord:
    """Return the record with one more status, not saved; where it is full, its oldest statuses are saved as a page."""
    history, page_count = record.history, record.page_count
    if len(history) >= MAX_RECORD_INTERVALS:
        moved, history = history[:PAGE_INTERVALS], history[PAGE_INTERVALS:]
        page = HistoryPage(record.identifier, page_count, history[0].from_ms, moved)
        HISTORY_PAGES.save(state, history_page_name(record.identifier, page_count), page)
        page_count += 1
    return msgspec.structs.replace(record, page_count=page_count, history=(*history, interval))
