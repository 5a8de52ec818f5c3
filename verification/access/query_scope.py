"""What a recorder is told of an auditor's query: whose streams and which times, and the salted digest of what is looked for there."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final

import msgspec

from contracts.data_sharing.access import BatchRecord
from contracts.fields import MAX_TIME_MS
from sm_crypto.sm3 import TaggedHash
from verification.access.reads import Department, Digest

MAX_SCOPE: Final = 64
"""Departments whose streams one query looks at, where it does not look at all."""
MAX_SCOPE_TEXT: Final = 4_096

_QUERY_HASH: Final = TaggedHash("govnode/audit-query/1")


class QueryScope(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The part of a query that is shown to recorders; times in ms, both ends included.

    `recorded_by` names the departments whose streams are looked at, empty for every one; `sought` is the digest of grant, person, case,
    resource, department and whether until now, with a salt: nobody who is asked learns what for.
    """

    from_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
    to_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
    recorded_by: Annotated[tuple[Department, ...], msgspec.Meta(max_length=MAX_SCOPE)]
    sought: Digest

    def digest(self) -> bytes:
        """Return the digest by which the whole query is on the ledger before it is answered."""
        return _QUERY_HASH(msgspec.msgpack.encode(self))

    def has_stream(self, department: str) -> bool:
        """Return whether the streams of this department are looked at."""
        return not self.recorded_by or department in self.recorded_by

    def has_batch(self, batch: BatchRecord) -> bool:
        """Return whether a batch is part of the answer: it touches the times, or is the first one and shows that nothing was before."""
        return self.from_ms <= batch.to_ms and (batch.from_ms <= self.to_ms or batch.batch_number == 1)


def scope_text(scope: QueryScope) -> str:
    """Return a scope as a header or a parameter has it."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(scope)).decode("ascii")


def parse_scope(text: str) -> QueryScope | None:
    """Return the scope that scope_text() made a text of, or None."""
    if len(text) > MAX_SCOPE_TEXT or not text.isascii():
        return None
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
        scope = msgspec.msgpack.decode(raw, type=QueryScope)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None
    return scope if scope_text(scope) == text else None
