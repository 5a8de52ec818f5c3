"""Provider's and consumer's records side by side: one read has one id on both sides, and what only one has shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from contracts.data_sharing.access import DENIED
from verification.access.reads import PROVIDER_SIDE, Read
from verification.access.trace_filter import TraceFilter
from verification.access.trace_verdict import BatchFact

COMPARED: Final = ("grant", "resource", "provider", "consumer", "outcome", "rows", "query_digest", "result_digest")
"""What both sides state of a read."""


class Difference(msgspec.Struct, frozen=True):
    """A read that the two sides do not state alike, by a code of the rules; `fields` are those that differ."""

    code: str
    read: Read
    missing: str
    """The department that has no record of it, for ONE_SIDED; else empty."""
    fields: tuple[str, ...] = ()


class Reconciliation(msgspec.Struct, frozen=True):
    """How many reads both sides state alike, how many cannot be compared because a side keeps no stream, and the differences."""

    agreed: int
    not_comparable: int
    differences: tuple[Difference, ...]


def reconcile(reads: Iterable[Read], batches: Sequence[BatchFact], wanted: TraceFilter, edge_ms: int) -> Reconciliation:
    """Return how the two sides' records of the same period compare; what lies within `edge_ms` of its ends may be one-sided."""
    spans = _spans(batches)
    sides: tuple[dict[bytes, Read], dict[bytes, Read]] = ({}, {})
    differences: list[Difference] = []
    for read in reads:
        side = sides[read.side != PROVIDER_SIDE]
        if read.details.read_id in side:
            differences.append(Difference("READ_TWICE", read, ""))
        else:
            side[read.details.read_id] = read
    provided, consumed = sides
    agreed = not_comparable = 0
    for name, read in provided.items():
        other = consumed.get(name)
        if other is not None:
            fields = differing_fields(read, other)
            agreed += not fields
            if fields:
                differences.append(Difference("SIDES_DISAGREE", read, "", fields))
        # Whom a provider turned away need not have kept a record.
        elif read.outcome != DENIED:
            not_comparable += _one_sided(read, read.sharing.consumer, spans, wanted, edge_ms, differences)
    for name, read in consumed.items():
        if name not in provided and read.outcome != DENIED:
            not_comparable += _one_sided(read, read.sharing.provider, spans, wanted, edge_ms, differences)
    return Reconciliation(agreed, not_comparable, tuple(differences))


def differing_fields(one: Read, other: Read) -> tuple[str, ...]:
    """Return which of COMPARED two records of one read do not state alike."""
    return tuple(name for name in COMPARED if _value(one, name) != _value(other, name))


def _value(read: Read, name: str) -> object:
    if name == "outcome":
        return read.outcome
    part = read.sharing if name in read.sharing.__struct_fields__ else read.details
    return getattr(part, name)


def _spans(batches: Iterable[BatchFact]) -> dict[str, dict[bytes, tuple[int, int]]]:
    """Return for each department, by recorder, from when until when its streams cover the period."""
    spans: dict[str, dict[bytes, tuple[int, int]]] = {}
    for batch in batches:
        of = spans.setdefault(batch.department, {})
        from_ms, to_ms = of.get(batch.recorder, (batch.from_ms, batch.to_ms))
        of[batch.recorder] = (min(from_ms, batch.from_ms), max(to_ms, batch.to_ms))
    return spans


def _one_sided(
    read: Read,
    missing: str,
    spans: dict[str, dict[bytes, tuple[int, int]]],
    wanted: TraceFilter,
    edge_ms: int,
    differences: list[Difference],
) -> bool:
    """Add a read that only one side has, where the other keeps records of that time; return whether it does not."""
    if not wanted.from_ms + edge_ms <= read.read_ms <= wanted.to_ms - edge_ms:
        return True
    covered = spans.get(missing, {}).values()
    keeps = any(from_ms + edge_ms <= read.read_ms <= to_ms - edge_ms for from_ms, to_ms in covered)
    if keeps:
        differences.append(Difference("ONE_SIDED", read, missing))
    return not keeps
