"""Reads with parts kept back: how much of a read a trace shows, and its digest all the same."""

from __future__ import annotations

from verification.access.reads import (
    CasePart,
    Details,
    Read,
    ReadPlace,
    SharingPart,
    Subject,
    part_digest,
    part_digests,
    place_of,
    placed_digest,
)
from verification.access.trace_filter import OpenedRead, TraceFilter


def open_read(read: Read, wanted: TraceFilter) -> OpenedRead:
    """Return a read as a trace shows it: whole where it is asked for, else with the one part that tells that it is not."""
    place = place_of(read)
    subject, sharing, case, details = part_digests(read)
    head = (read.read_ms, read.side, read.outcome)
    if not wanted.has_time(place):
        return OpenedRead(*head, subject, sharing, case, details)
    if wanted.excludes_sharing(read.sharing, read.department):
        return OpenedRead(*head, subject, read.sharing, case, details)
    if wanted.excludes_case(read.case):
        return OpenedRead(*head, subject, sharing, read.case, details)
    if wanted.excludes_subject(read.subject):
        return OpenedRead(*head, read.subject, sharing, case, details)
    return OpenedRead(*head, read.subject, read.sharing, read.case, read.details)


def place_in_batch(
    department: str, recorder: bytes, number: int, previous_digest: bytes, opened: OpenedRead
) -> ReadPlace:
    """Return where an opened read stands, by its number and the digest of the read before it."""
    return ReadPlace(department, recorder, number, previous_digest, opened.read_ms, opened.side, opened.outcome)


def opened_digest(place: ReadPlace, opened: OpenedRead) -> bytes:
    """Return the 32-byte digest of a read from what is shown of it: the same whatever is kept back."""
    subject, sharing, case, details = (
        part if isinstance(part, bytes) else part_digest(part)
        for part in (opened.subject, opened.sharing, opened.case, opened.details)
    )
    return placed_digest(place, (subject, sharing, case, details))


def whole_read(place: ReadPlace, opened: OpenedRead) -> Read | None:
    """Return the read where all of it is shown, else None."""
    subject, sharing, case, details = opened.subject, opened.sharing, opened.case, opened.details
    if not (
        isinstance(subject, Subject)
        and isinstance(sharing, SharingPart)
        and isinstance(case, CasePart)
        and isinstance(details, Details)
    ):
        return None
    return Read(
        place.department,
        place.recorder,
        place.number,
        place.previous_digest,
        place.read_ms,
        place.side,
        place.outcome,
        subject,
        sharing,
        case,
        details,
    )
