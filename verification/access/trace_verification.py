"""Verifies a trace without a node: every stream of the ledger, every batch of the period, every read of each batch, in its place.

What breaks is named and the verification goes on with the next batch, so that one run names everything that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec

from contracts.data_sharing import access, sharing
from contracts.data_sharing.access import DENIED, IRREGULAR, SERVED, BatchRecord, StreamRecord
from contracts.data_sharing.sharing import RequestRecord, request_key
from contracts.records import Table
from node.chain.proof import ProofError, TrustAnchor, verify_final_header
from node.chain.state_proof import StateProofError, verify_state_proof
from sm_crypto.merkle import leaf_hash, merkle_root
from verification.access.opened_reads import opened_digest, place_in_batch, whole_read
from verification.access.reads import NO_DIGEST, Details, Read, check_draft, draft_of
from verification.access.trace_file import (
    BatchFrame,
    EndFrame,
    Frame,
    GrantFrame,
    GrantsFrame,
    HeadFrame,
    Proved,
    Reader,
    ReadsFrame,
    StreamFrame,
    read_frames,
)
from verification.access.trace_filter import OpenedRead, TraceFilter, query_digest
from verification.access.trace_verdict import (
    MAX_LISTED,
    AlteredBatch,
    BatchFact,
    Fault,
    OpenStream,
    TraceVerdict,
    WithheldBatch,
)
from verification.errors import InputError

MAX_NAMED_GRANTS: Final = 1_000_000
"""Grants that the reads of one trace name, which the verifier remembers."""

R = TypeVar("R", bound=msgspec.Struct)


class TraceFacts(msgspec.Struct):
    """What a verifier is told of what holds, piece by piece: whole reads asked for, batches and streams looked at, grants."""

    on_read: Callable[[Read, BatchFact], None] | None = None
    on_batch: Callable[[BatchFact], None] | None = None
    on_stream: Callable[[StreamRecord], None] | None = None
    on_grant: Callable[[bytes, RequestRecord | None], None] | None = None


def verify_trace(read: Reader, trust: TrustAnchor, facts: TraceFacts | None = None) -> TraceVerdict:
    """Return what the trace in a file shows to whoever trusts the anchor; everything that is wrong with it is in the verdict.

    `facts` are told of what holds as it is met: reads of a batch only after the whole batch has been found as the ledger has it.
    """
    verifier = _Verifier(trust, facts or TraceFacts())
    try:
        verifier.run(read_frames(read))
    except InputError as error:
        verifier.verdict.add_fault(Fault("TRACE_MALFORMED", detail=error.en))
    except _Stopped as stopped:
        verifier.verdict.add_fault(stopped.fault)
    return verifier.verdict


class _Stopped(Exception):
    """What follows in the file cannot be made sense of."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


class _Verifier:
    """Goes through the frames in their order, one of which is looked ahead."""

    def __init__(self, trust: TrustAnchor, facts: TraceFacts) -> None:
        self.verdict = TraceVerdict()
        self._trust = trust
        self._facts = facts
        self._root = b""
        self._named: set[bytes] = set()
        self._frames: Iterator[Frame] = iter(())
        self._next: Frame | None = None
        self._head: HeadFrame

    def run(self, frames: Iterator[Frame]) -> None:
        """Verify the whole file."""
        self._frames = frames
        self._advance()
        count = self._verify_head()
        for index in range(count):
            self._verify_stream(index)
        if isinstance(self._next, StreamFrame):
            raise _Stopped(Fault("STREAM_ADDED", detail=str(count)))
        self._verify_grants()
        end = self._next
        if not isinstance(end, EndFrame):
            raise _Stopped(Fault("TRACE_CUT"))
        if end.matches != self.verdict.matches:
            self.verdict.add_fault(Fault("COUNT_WRONG", detail=f"{end.matches} / {self.verdict.matches}"))
        self._advance()
        if self._next is not None:
            raise _Stopped(Fault("TRACE_MALFORMED", detail="frames behind the end"))

    def _advance(self) -> None:
        self._next = next(self._frames, None)

    def _verify_head(self) -> int:
        """Return how many streams the ledger has, once the header has been found final."""
        head = self._next
        if not isinstance(head, HeadFrame):
            raise _Stopped(Fault("TRACE_MALFORMED", detail="the first frame is not the head"))
        self._head = head
        verdict = self.verdict
        verdict.filter, verdict.made_ms, verdict.query = head.filter, head.made_ms, head.query
        verdict.query_digest = query_digest(head.filter, head.query_salt) if head.query else b""
        self._verify_final(head)
        verdict.height, verdict.time_ms = head.header.height, head.header.time_ms
        counted = self._proved(access.STREAM_COUNT, access.stream_count_key(), head.stream_count)
        self._advance()
        return 0 if counted is None else counted.count

    def _verify_final(self, frame: HeadFrame | GrantsFrame) -> None:
        """Take the state root of a header that has been found final."""
        try:
            verify_final_header(frame.header, frame.certificate, frame.validators, frame.walk, self._trust)
        except ProofError as error:
            raise _Stopped(Fault("NOT_FINAL", detail=error.reason)) from None
        self._root = frame.header.state_root

    def _proved(self, table: Table[R], key: bytes, proved: Proved) -> R | None:
        """Return the record that the ledger holds at a key; stop where the proof does not hold."""
        try:
            verify_state_proof(proved.state, key, proved.value, self._root)
            return None if proved.value is None else table.decode(proved.value)
        except StateProofError as error:
            raise _Stopped(Fault("RECORD_UNPROVED", detail=error.reason)) from None
        except (msgspec.DecodeError, ValueError) as error:
            raise _Stopped(Fault("RECORD_UNPROVED", detail=str(error))) from None

    def _verify_stream(self, index: int) -> None:
        frame = self._next
        if not isinstance(frame, StreamFrame):
            raise _Stopped(Fault("STREAM_MISSING" if frame is not None else "TRACE_CUT", detail=str(index)))
        name = self._proved(access.STREAM_NAMES, access.stream_name_key(index), frame.name)
        if name is None:
            raise _Stopped(Fault("RECORD_UNPROVED", detail=f"stream {index} has no name"))
        self.verdict.streams += 1
        self._advance()
        if not self._head.filter.has_stream(name.department):
            return
        fault = Fault("STREAM_MISSING", name.department, name.recorder)
        if frame.stream is None:
            raise _Stopped(fault)
        stream = self._proved(access.STREAMS, access.stream_key(name.department, name.recorder), frame.stream)
        if stream is None:
            raise _Stopped(fault)
        self.verdict.streams_looked_at += 1
        if self._facts.on_stream is not None:
            self._facts.on_stream(stream)
        self._verify_batches(stream, frame.first_batch, frame.last_batch)

    def _verify_batches(self, stream: StreamRecord, first: int, last: int) -> None:
        """Verify that the batches named are all that touch the period, and each of them."""
        wanted = self._head.filter
        if not 0 <= first <= last <= stream.batch_number or (first == 0) != (last == 0):
            raise _Stopped(
                self._fault(stream, "BATCH_ADDED" if last > stream.batch_number else "BATCH_MISSING", number=last)
            )
        before: BatchRecord | None = None
        for batch_number in range(first, last + 1) if first else ():
            batch = self._verify_batch(stream, batch_number, before)
            if before is None and batch_number > 1 and batch.from_ms >= wanted.from_ms:
                # The one before may reach into the period.
                self.verdict.add_fault(self._fault(stream, "BATCH_MISSING", batch_number - 1))
            before = batch
        if isinstance(self._next, BatchFrame | ReadsFrame):
            raise _Stopped(self._fault(stream, "BATCH_ADDED", last + 1))
        if before is None:
            is_short = stream.batch_number > 0 and stream.covered_ms >= wanted.from_ms
        else:
            is_short = last < stream.batch_number and before.to_ms <= wanted.to_ms
        if is_short:
            self.verdict.add_fault(self._fault(stream, "BATCH_MISSING", last + 1))
        elif before is not None and last == stream.batch_number:
            self._check_tail(stream, before)
        if is_open_tail(stream, wanted):
            self.verdict.add_open(
                OpenStream(
                    stream.department, stream.recorder, stream.covered_ms, stream.heartbeat_s, bool(stream.ended_ms)
                )
            )

    def _check_tail(self, stream: StreamRecord, last: BatchRecord) -> None:
        end = (last.first_number + last.count - 1, last.last_digest, last.to_ms)
        if end != (stream.number, stream.digest, stream.covered_ms):
            self.verdict.add_fault(self._fault(stream, "BATCH_BROKEN", last.batch_number))

    def _verify_batch(self, stream: StreamRecord, batch_number: int, before: BatchRecord | None) -> BatchRecord:
        """Return the batch as the ledger has it; what is wrong with its reads goes to the verdict."""
        frame = self._next
        if not isinstance(frame, BatchFrame):
            raise _Stopped(self._fault(stream, "BATCH_MISSING" if frame is not None else "TRACE_CUT", batch_number))
        key = access.batch_key(stream.department, stream.recorder, batch_number)
        batch = self._proved(access.BATCHES, key, frame.batch)
        if batch is None:
            raise _Stopped(self._fault(stream, "BATCH_ADDED", batch_number))
        self.verdict.batches += 1
        self._advance()
        fact = batch_fact(batch, has_reads=frame.has_reads or not batch.count)
        if self._facts.on_batch is not None:
            self._facts.on_batch(fact)
        for one in frame.altered[: MAX_LISTED - len(self.verdict.altered)]:
            place = (batch.department, batch.recorder, batch_number)
            self.verdict.altered.append(AlteredBatch(*place, one.place, one.code, one.number))
        if before is not None and (batch.first_number, batch.previous_digest, batch.from_ms) != (
            before.first_number + before.count,
            before.last_digest,
            before.to_ms,
        ):
            self.verdict.add_fault(self._fault(stream, "BATCH_BROKEN", batch_number))
        if frame.has_reads:
            self._verify_reads(stream, batch, fact)
        elif isinstance(self._next, ReadsFrame):
            raise _Stopped(self._fault(stream, "READ_INSERTED", batch_number))
        elif batch.count:
            self.verdict.add_withheld(withheld_batch(batch, frame.reason))
        return batch

    def _verify_reads(self, stream: StreamRecord, batch: BatchRecord, fact: BatchFact) -> None:
        """Verify the reads of a batch against its record; tell of those asked for once all of them hold."""
        checked = _CheckedBatch(self._head, batch)
        is_over = False
        while isinstance(self._next, ReadsFrame):
            for opened in self._next.reads:
                is_over = is_over or checked.count >= batch.count
                if not is_over:
                    checked.add(opened)
            self._advance()
        if is_over:
            self.verdict.add_fault(self._fault(stream, "READ_INSERTED", batch.batch_number))
            return
        for fault in checked.faults():
            self.verdict.add_fault(fault)
        self.verdict.reads += checked.count
        self.verdict.matches += len(checked.matches)
        self.verdict.sealed_persons += checked.sealed_persons
        if checked.is_as_recorded:
            for read in checked.matches:
                self._take(read, fact)

    def _take(self, read: Read, fact: BatchFact) -> None:
        if read.sharing.grant != NO_DIGEST and len(self._named) < MAX_NAMED_GRANTS:
            self._named.add(read.sharing.grant)
        if self._facts.on_read is not None:
            self._facts.on_read(read, fact)

    def _verify_grants(self) -> None:
        """Verify what the ledger holds of the grants that the reads name; each stands once, in the order of its id."""
        last = b""
        if isinstance(later := self._next, GrantsFrame):
            self._verify_final(later)
            if later.header.height < self._head.header.height:
                raise _Stopped(Fault("NOT_FINAL", detail="the grants are as of an earlier block"))
            self._advance()
        while isinstance(frame := self._next, GrantFrame):
            record = self._proved(sharing.REQUESTS, request_key(frame.grant), frame.request)
            if frame.grant <= last:
                raise _Stopped(Fault("TRACE_MALFORMED", detail="grants out of order"))
            last = frame.grant
            self._named.discard(frame.grant)
            if self._facts.on_grant is not None:
                self._facts.on_grant(frame.grant, record)
            self._advance()
        for grant in sorted(self._named):
            self.verdict.add_fault(Fault("GRANT_MISSING", detail=grant.hex()))

    @staticmethod
    def _fault(stream: StreamRecord, code: str, number: int = 0) -> Fault:
        return Fault(code, stream.department, stream.recorder, number)


class _CheckedBatch:
    """The reads of one batch, as they are added in order."""

    def __init__(self, head: HeadFrame, batch: BatchRecord) -> None:
        self._wanted = head.filter
        self._batch = batch
        self._previous = batch.previous_digest
        self._leaves: list[bytes] = []
        self._last_ms = batch.from_ms
        self._outcomes = {SERVED: 0, DENIED: 0, IRREGULAR: 0}
        self._rows = 0
        self._has_all_details = True
        self._faults: list[Fault] = []
        self.matches: list[Read] = []
        self.sealed_persons = 0

    @property
    def count(self) -> int:
        """How many reads have been added."""
        return len(self._leaves)

    @property
    def is_as_recorded(self) -> bool:
        """Whether the reads added are those under the batch's root."""
        return self.count == self._batch.count and merkle_root(self._leaves) == self._batch.root

    def add(self, opened: OpenedRead) -> None:
        """Take the next read."""
        batch = self._batch
        number = batch.first_number + self.count
        place = place_in_batch(batch.department, batch.recorder, number, self._previous, opened)
        digest = opened_digest(place, opened)
        if not max(self._last_ms, batch.from_ms) <= opened.read_ms <= batch.to_ms:
            self._faults.append(self._fault("BACK_DATED", number))
        self._last_ms = max(self._last_ms, opened.read_ms)
        self._outcomes[opened.outcome] += 1
        if isinstance(opened.details, Details):
            self._rows += opened.details.rows
        else:
            self._has_all_details = False
        if not opened.is_excluded(self._wanted, place):
            read = whole_read(place, opened)
            if read is None:
                self._faults.append(self._fault("READ_HIDDEN", number))
            else:
                self._take(read)
        self._leaves.append(leaf_hash(digest))
        self._previous = digest

    def faults(self) -> list[Fault]:
        """Return what is wrong with the batch now that no read follows."""
        batch = self._batch
        if self.count < batch.count:
            return [self._fault("READ_REMOVED", batch.first_number + self.count)]
        faults = list(self._faults)
        if merkle_root(self._leaves) != batch.root or self._previous != batch.last_digest:
            # Times and outcomes of reads that are not the recorded ones say nothing further.
            return [self._fault("READS_CHANGED", batch.first_number)]
        stated = {SERVED: batch.served, DENIED: batch.denied, IRREGULAR: batch.irregular}
        if self._outcomes != stated or (self._has_all_details and self._rows != batch.rows):
            faults.append(self._fault("TALLY_WRONG", 0))
        return faults

    def _take(self, read: Read) -> None:
        try:
            check_draft(draft_of(read))
        except InputError as error:
            self._faults.append(self._fault("READ_FOREIGN", read.number, error.en))
        if self._wanted.person != NO_DIGEST and read.subject.person != self._wanted.person:
            self.sealed_persons += 1
        self.matches.append(read)

    def _fault(self, code: str, number: int, detail: str = "") -> Fault:
        batch = self._batch
        return Fault(code, batch.department, batch.recorder, batch.batch_number, number, detail)


def is_open_tail(stream: StreamRecord, wanted: TraceFilter) -> bool:
    """Return whether a stream may have reads of the period that are not on the ledger, or not yet."""
    until_ms = wanted.to_ms
    if not stream.batch_number and stream.first_declared_ms > until_ms:
        return False
    if stream.ended_ms:
        # Ended in time, what was read between the last batch and the end is at most what one heartbeat covers. Ended late,
        # nothing ever will cover it.
        if stream.ended_ms <= max(wanted.from_ms, stream.due_ms):
            return False
        until_ms = min(until_ms, stream.ended_ms)
    return stream.covered_ms < until_ms


def batch_fact(batch: BatchRecord, *, has_reads: bool) -> BatchFact:
    """Return what rules ask of a batch."""
    return BatchFact(
        batch.department,
        batch.recorder,
        batch.batch_number,
        batch.first_number,
        batch.count,
        batch.from_ms,
        batch.to_ms,
        batch.due_ms,
        batch.recorded_ms,
        has_reads,
    )


def withheld_batch(batch: BatchRecord, reason: str) -> WithheldBatch:
    """Return a batch whose reads are not there, with why."""
    return WithheldBatch(
        batch.department,
        batch.recorder,
        batch.batch_number,
        batch.first_number,
        batch.count,
        batch.from_ms,
        batch.to_ms,
        batch.served,
        batch.denied,
        batch.irregular,
        batch.rows,
        reason,
    )
