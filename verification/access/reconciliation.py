"""Provider's and consumer's records side by side: one read has one id on both sides, and what only one has shows.

Only reads in streams of the party whose side they state are compared: a third department stands in for nobody.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from contracts.data_sharing.access import DENIED, SERVED, StreamRecord
from contracts.fields import MAX_TIME_MS
from verification.access.reads import NO_DIGEST, PROVIDER_SIDE, Read, ReadName
from verification.access.trace_filter import TraceFilter
from verification.access.trace_verdict import BatchFact

COMPARED: Final[dict[str, str]] = {
    "grant": "授权",
    "resource": "资源",
    "account": "账户",
    "outcome": "结果",
    "purpose": "用途",
    "case_type": "事项",
    "case_number": "办件",
    "operator": "经办人",
    "columns": "数据项",
    "rows": "行数",
    "query_digest": "查询摘要",
    "result_digest": "结果摘要",
    "person": "人员",
}
"""What both sides state of a read, with the Chinese name of each."""
NO_ANSWER: Final = frozenset({"GATEWAY_UNREACHABLE", "ANSWER_TOO_SLOW", "NOT_A_GATEWAY"})
"""Why a consumer has a read as denied that its provider answered perhaps: nothing came, or nothing that could be taken."""
_OF_ANSWERS: Final = frozenset({"outcome", "columns", "rows", "result_digest"})


class Difference(msgspec.Struct, frozen=True):
    """A read that the two sides do not state alike, by a code of the rules; `fields` are those that differ."""

    code: str
    read: Read
    missing: str
    """The department that has no record of it, for ONE_SIDED; else empty."""
    fields: tuple[str, ...] = ()
    first: Read | None = None
    """The read that had the same id before, for READ_TWICE."""
    is_streamless: bool = False
    """For ONE_SIDED, whether the department that has no record of it keeps no stream at all at that time."""
    is_twice_at_consumers: bool = False
    """For READ_TWICE, whether the consumer's own records have two reads under the id."""

    @property
    def is_same_again(self) -> bool:
        """Whether a read that stands twice is one that was entered twice: what was asked and answered, and when, is the same."""
        first = self.first
        return first is not None and all(
            getattr(first.details, name) == getattr(self.read.details, name)
            for name in ("asked_ms", "answered_ms", "query_digest", "result_digest")
        )


class Reconciliation(msgspec.Struct, frozen=True):
    """How many reads both sides state alike, how many have no other side to compare, and the differences.

    Not comparable are reads of a consumer that keeps no stream, at the ends of the period or of a stream, of a time whose batches are
    kept back or not on the ledger yet, and of departments whose streams are not looked at.
    """

    agreed: int
    not_comparable: int
    differences: tuple[Difference, ...]
    unanswered: int = 0
    """Reads that the provider has as served, and the consumer as asked, in the same way, without an answer (NO_ANSWER)."""


def reconcile(
    reads: Iterable[Read],
    batches: Sequence[BatchFact],
    wanted: TraceFilter,
    edge_ms: int,
    *,
    streams: Iterable[StreamRecord] = (),
    time_ms: int = 0,
    is_whole: bool = True,
) -> Reconciliation:
    """Return how the two sides' records of the same period compare; what lies within `edge_ms` of its ends may be one-sided.

    `streams` are those looked at as of a block of `time_ms`. One that has ended says that until its end it has no reads but those of
    its batches. A provider has to keep a stream wherever it gives data; a consumer does as it likes. Where the trace is not whole
    nobody lacks a read: it may be what is missing from the file.
    """
    streams = list(streams)
    spans = _spans(batches, streams) if is_whole else {}
    yet_to_come = _yet_to_come(streams, time_ms)
    kept_back = _kept_back(batches, edge_ms)
    sides: tuple[dict[ReadName, Read], dict[ReadName, Read]] = ({}, {})
    differences: list[Difference] = []
    for read in reads:
        if not read.is_of_party:
            continue
        side = sides[read.side != PROVIDER_SIDE]
        first = side.get(read.name)
        if first is None or first.outcome == DENIED:
            # Who was turned away may ask again under the same id.
            side[read.name] = read
        elif read.outcome != DENIED:
            differences.append(Difference("READ_TWICE", read, "", first=first))
    used_again = {one.read.name for one in differences if one.read.side != PROVIDER_SIDE and not one.is_same_again}
    differences = [
        msgspec.structs.replace(one, is_twice_at_consumers=one.read.name in used_again) for one in differences
    ]
    provided, consumed = sides
    agreed = not_comparable = unanswered = 0
    for name, read in provided.items():
        other = consumed.get(name)
        if other is not None:
            fields = differing_fields(read, other)
            is_lost = _is_lost(read, other)
            agreed += not fields and not is_lost
            unanswered += not fields and is_lost
            if fields:
                differences.append(Difference("SIDES_DISAGREE", read, "", fields))
        # Whom a provider turned away need not have kept a record.
        elif read.outcome != DENIED:
            not_comparable += _one_sided(read, read.sharing.consumer, spans, kept_back, wanted, edge_ms, differences)
    for name, read in consumed.items():
        if name in provided or read.outcome == DENIED:
            continue
        missing = read.sharing.provider
        times = [*spans.get(missing, {}).values(), *yet_to_come.get(missing, ())]
        is_streamless = is_whole and wanted.has_stream(missing) and not _touches(times, read.read_ms, edge_ms)
        if is_streamless and _is_inside(wanted, read, edge_ms):
            differences.append(Difference("ONE_SIDED", read, missing, is_streamless=True))
        else:
            not_comparable += _one_sided(read, missing, spans, kept_back, wanted, edge_ms, differences)
    return Reconciliation(agreed, not_comparable, tuple(differences), unanswered)


def differing_fields(one: Read, other: Read) -> tuple[str, ...]:
    """Return which of COMPARED two records of one read do not state alike; of one that both say was denied, none.

    Of one whose answer was lost on its way, `other` being the consumer's, only what was asked is compared.
    """
    if one.outcome == other.outcome == DENIED:
        # The provider may not have come so far as to know what was asked for.
        return ()
    left_out = _OF_ANSWERS if _is_lost(one, other) else frozenset()
    return tuple(name for name in COMPARED if name not in left_out and _differs(one, other, name))


def _is_lost(provided: Read, consumed: Read) -> bool:
    """Return whether a provider answered what its consumer has no answer to: a gateway records first, and may be killed before it sends."""
    return provided.outcome == SERVED and consumed.outcome == DENIED and consumed.details.refusal in NO_ANSWER


def _differs(one: Read, other: Read, name: str) -> bool:
    if name == "outcome":
        return one.outcome != other.outcome
    if name == "person":
        # Each side looks the commitment up by itself, where it does at all: only two commitments can contradict each other.
        persons = {one.subject.person, other.subject.person} - {NO_DIGEST}
        return len(persons) > 1
    part = next(part for part in ("sharing", "case", "details") if name in getattr(one, part).__struct_fields__)
    return bool(getattr(getattr(one, part), name) != getattr(getattr(other, part), name))


def _spans(batches: Iterable[BatchFact], streams: Iterable[StreamRecord]) -> dict[str, dict[bytes, tuple[int, int]]]:
    """Return for each department, by recorder, from when until when its streams cover the period."""
    spans: dict[str, dict[bytes, tuple[int, int]]] = {}
    kept = [(batch.department, batch.recorder, batch.from_ms, batch.to_ms) for batch in batches]
    ended = [one for one in streams if one.ended_ms]
    kept += [(one.department, one.recorder, one.covered_ms or one.first_declared_ms, one.ended_ms) for one in ended]
    for department, recorder, from_ms, to_ms in kept:
        of = spans.setdefault(department, {})
        first_ms, last_ms = of.get(recorder, (from_ms, to_ms))
        of[recorder] = (min(first_ms, from_ms), max(last_ms, to_ms))
    return spans


def _yet_to_come(streams: Iterable[StreamRecord], time_ms: int) -> dict[str, list[tuple[int, int]]]:
    """Return for each department the times of which its streams may bring reads that are not on the ledger as of a block of `time_ms`."""
    found: dict[str, list[tuple[int, int]]] = {}
    for one in streams:
        if one.ended_ms:
            continue
        # A first batch may reach back before its stream was declared, as long as it is not late.
        is_to_begin = not one.batch_number and one.due_ms >= time_ms
        from_ms = 0 if is_to_begin else one.covered_ms or one.first_declared_ms
        found.setdefault(one.department, []).append((from_ms, MAX_TIME_MS))
    return found


def _touches(times: Iterable[tuple[int, int]], time_ms: int, edge_ms: int) -> bool:
    return any(from_ms - edge_ms <= time_ms <= to_ms + edge_ms for from_ms, to_ms in times)


def _is_inside(wanted: TraceFilter, read: Read, edge_ms: int) -> bool:
    """Return whether the other side's record of a read cannot lie outside the period."""
    return wanted.from_ms + edge_ms <= read.read_ms <= wanted.to_ms - edge_ms


def _kept_back(batches: Iterable[BatchFact], edge_ms: int) -> dict[str, list[tuple[int, int]]]:
    """Return for each department, in order and apart, the times of batches whose reads the trace does not have, `edge_ms` wider."""
    found: dict[str, list[tuple[int, int]]] = {}
    for batch in sorted(batches, key=lambda batch: batch.from_ms):
        if batch.has_reads:
            continue
        times = found.setdefault(batch.department, [])
        from_ms, to_ms = batch.from_ms - edge_ms, batch.to_ms + edge_ms
        if times and from_ms <= times[-1][1]:
            from_ms, to_ms = times[-1][0], max(times.pop()[1], to_ms)
        times.append((from_ms, to_ms))
    return found


def _is_within(times: Sequence[tuple[int, int]], time_ms: int) -> bool:
    position = bisect_right(times, time_ms, key=lambda span: span[0])
    return position > 0 and time_ms <= times[position - 1][1]


def _one_sided(
    read: Read,
    missing: str,
    spans: dict[str, dict[bytes, tuple[int, int]]],
    kept_back: dict[str, list[tuple[int, int]]],
    wanted: TraceFilter,
    edge_ms: int,
    differences: list[Difference],
) -> bool:
    """Add a read that only one side has, where the other keeps records of that time; return whether it does not."""
    if not _is_inside(wanted, read, edge_ms):
        return True
    if wanted.person != NO_DIGEST:
        # Each side looks the commitment up by itself, where it does at all: the other's record may name nobody.
        return True
    # What lies in a batch that nobody showed may be recorded there: only its keeper is asked why it is not shown.
    if _is_within(kept_back.get(missing, ()), read.read_ms):
        return True
    covered = spans.get(missing, {}).values()
    keeps = any(from_ms + edge_ms <= read.read_ms <= to_ms - edge_ms for from_ms, to_ms in covered)
    if keeps:
        differences.append(Difference("ONE_SIDED", read, missing))
    return not keeps
