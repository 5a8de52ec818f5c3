"""What a trace asks for, and why a read is or is not in it: decided from those parts of a read that are shown."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from contracts.fields import MAX_TIME_MS
from sm_crypto.sm3 import TaggedHash
from verification.access.query_scope import MAX_SCOPE, QueryScope
from verification.access.reads import (
    MAX_CASE_LENGTH,
    MAX_RESOURCE_LENGTH,
    NO_DIGEST,
    CasePart,
    Department,
    Details,
    Digest,
    ReadPlace,
    SharingPart,
    Subject,
)

QUERY_SALT_BYTES: Final = 16

_SOUGHT_HASH: Final = TaggedHash("govnode/audit-sought/1")


class TraceFilter(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Which reads a trace asks for: all fields that are not empty have to fit; times in ms, both ends included.

    `recorded_by` names the departments whose streams are looked at, empty for every stream on the ledger.
    """

    from_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
    to_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
    resource: Annotated[str, msgspec.Meta(max_length=MAX_RESOURCE_LENGTH)] = ""
    department: Department = ""
    """Provider, consumer or recorder of the read."""
    grant: Digest = NO_DIGEST
    case_number: Annotated[str, msgspec.Meta(max_length=MAX_CASE_LENGTH)] = ""
    person: Digest = NO_DIGEST
    recorded_by: Annotated[tuple[Department, ...], msgspec.Meta(max_length=MAX_SCOPE)] = ()
    is_until_now: bool = False
    """Whether the period ends where the ledger did when it was asked for, and so has a part that is not due yet."""

    def has_stream(self, department: str) -> bool:
        """Return whether the streams of this department are looked at."""
        return not self.recorded_by or department in self.recorded_by

    def touches(self, from_ms: int, to_ms: int) -> bool:
        """Return whether a batch of these times may have reads of the times asked for."""
        return from_ms <= self.to_ms and to_ms >= self.from_ms

    def has_time(self, place: ReadPlace) -> bool:
        """Return whether a read at this place lies within the times asked for."""
        return self.from_ms <= place.read_ms <= self.to_ms

    def excludes_subject(self, part: Subject) -> bool:
        """Return whether the data that was read is surely not of the person asked for; a sealed number may be anybody's."""
        return self.person != NO_DIGEST and part.person != self.person and not part.sealed_person

    def is_undecided(self, part: Subject) -> bool:
        """Return whether the person asked for may be the one whose number is sealed: neither asked for nor not, until it is opened."""
        return self.person not in (NO_DIGEST, part.person) and not self.excludes_subject(part)

    def excludes_sharing(self, part: SharingPart, recorder: str) -> bool:
        """Return whether grant, resource or department are others than those asked for."""
        return (
            (self.resource != "" and part.resource != self.resource)
            or (self.grant != NO_DIGEST and part.grant != self.grant)
            or (self.department != "" and self.department not in (part.provider, part.consumer, recorder))
        )

    def excludes_case(self, part: CasePart) -> bool:
        """Return whether the case is another than the one asked for."""
        return self.case_number != "" and part.case_number != self.case_number


def query_digest(wanted: TraceFilter, salt: bytes) -> bytes:
    """Return the digest by which an auditor's query is on the ledger before it is answered; the salt keeps it from being tried out."""
    return scope_of(wanted, salt).digest()


def scope_of(wanted: TraceFilter, salt: bytes) -> QueryScope:
    """Return what recorders are told of a query; the salt keeps what is looked for from being tried out."""
    looked_for = (wanted.resource, wanted.department, wanted.grant, wanted.case_number, wanted.person)
    # Until now or until a moment of the past: what is complete is not the same, so the ledger has which one was asked.
    sought = (*looked_for, wanted.is_until_now, salt)
    return QueryScope(wanted.from_ms, wanted.to_ms, wanted.recorded_by, _SOUGHT_HASH(msgspec.msgpack.encode(sought)))


class OpenedRead(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """A read as a trace has it: number and link follow from where it stands, and a part is shown or is its 32-byte digest."""

    read_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
    side: Annotated[str, msgspec.Meta(max_length=8)]
    outcome: Annotated[int, msgspec.Meta(ge=1, le=3)]
    subject: Subject | Digest
    sharing: SharingPart | Digest
    case: CasePart | Digest
    details: Details | Digest

    def is_excluded(self, wanted: TraceFilter, place: ReadPlace) -> bool:
        """Return whether what is shown tells that the read is not asked for."""
        if not wanted.has_time(place):
            return True
        return (
            (isinstance(self.subject, Subject) and wanted.excludes_subject(self.subject))
            or (isinstance(self.sharing, SharingPart) and wanted.excludes_sharing(self.sharing, place.department))
            or (isinstance(self.case, CasePart) and wanted.excludes_case(self.case))
        )
