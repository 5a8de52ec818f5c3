"""What is recorded of a request, and of what left in answer to it."""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

from contracts.data_sharing.access import DENIED, SERVED
from sdk.gateway.read_headers import ReadHeaders, query_digest, result_digest
from sdk.gateway.tokens import TokenClaims
from sdk.persons.numbers import NO_PERSON, PersonReference
from verification.access.reads import (
    NO_DIGEST,
    PROVIDER_SIDE,
    SALT_BYTES,
    CasePart,
    Details,
    ReadDraft,
    SharingPart,
    Subject,
)

NOBODY: Final = PersonReference(NO_PERSON)
READS_DRAWN_FOR: Final = 256
"""Reads whose salts are drawn at once: each call of the system lets another thread have the interpreter first."""


class ReadRequest(NamedTuple):
    """A request of a known account: its headers, what it claims, the id of its read, and what it asks for as it came."""

    headers: ReadHeaders
    claims: TokenClaims
    read_id: bytes
    method: str
    target: bytes
    body: bytes
    asked_ms: int


class Outcome(NamedTuple):
    """What leaves: an HTTP status, headers and body; and what is recorded of it."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    operation: str
    resource: str
    person: PersonReference
    rows: int = 0
    columns: tuple[str, ...] = ()
    refusal: str = ""


class Salts:
    """Random bytes, drawn from the system many at a time and given out once each; for one thread."""

    def __init__(self) -> None:
        """Draw the first."""
        self._drawn = memoryview(b"")

    def next(self) -> bytes:
        """Return the salts of one read."""
        if not self._drawn:
            self._drawn = memoryview(secrets.token_bytes(READS_DRAWN_FOR * 4 * SALT_BYTES))
        found, self._drawn = self._drawn[: 4 * SALT_BYTES], self._drawn[4 * SALT_BYTES :]
        return bytes(found)


def make_draft(provider: str, now_ms: int, asked: ReadRequest, outcome: Outcome, salts: bytes) -> ReadDraft:
    """Return what a provider's gateway records of a request and its answer, with four fresh salts of SALT_BYTES."""
    claims, headers, person = asked.claims, asked.headers, outcome.person
    is_denied = bool(outcome.refusal)
    details = Details(
        asked.read_id,
        outcome.operation,
        outcome.columns,
        outcome.rows,
        query_digest(headers.nonce, asked.method, asked.target, asked.body),
        NO_DIGEST if is_denied else result_digest(headers.nonce, outcome.status, outcome.body),
        len(asked.body),
        0 if is_denied else len(outcome.body),
        asked.asked_ms,
        now_ms,
        outcome.refusal,
        salts[:16],
    )
    return ReadDraft(
        PROVIDER_SIDE,
        DENIED if is_denied else SERVED,
        Subject(person.commitment, person.sealed, salts[16:32]),
        SharingPart(
            claims.grant, outcome.resource, provider, claims.department, claims.account, claims.system, salts[32:48]
        ),
        CasePart(claims.purpose, headers.case_type, headers.case_number, headers.operator, salts[48:]),
        details,
    )
