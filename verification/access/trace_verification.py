"""Verifies a trace without a node: every stream of the ledger, every batch of the period, every read of each batch, in its place.

What breaks is named and the verification goes on with the next batch, so that one run names everything that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec

from contracts.data_sharing import access, sharing
from contracts.data_sharing.access import DENIED, IRREGULAR, SERVED, BatchRecord, StreamName, StreamRecord
from contracts.data_sharing.sharing import RequestRecord, request_key
from contracts.records import Table
from node.chain.proof import ProofError, TrustAnchor, verify_final_header
from node.chain.state_proof import StateProofError, verify_state_proof
from sm_crypto.merkle import leaf_hash, merkle_root
from verification.access.opened_reads import opened_digest, place_in_batch, whole_read
from verification.access.reads import NO_DIGEST, Details, Read, check_draft, draft_of
from verification.access.store_inspection import STORE_FAULTS
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
MAX_END_GAP_MS: Final = 120_000
"""How far what a stream covers may lie behind its end without anything being missing."""

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


class _Unproved(Exception):
    """The proof of a record does not hold at the place where it stands."""


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
        index = 0
        while index < count:
            index = self._verify_stream(index, count)
        if isinstance(self._next, StreamFrame):
            raise _Stopped(Fault("STREAM_ADDED", detail=str(count)))
        self._verify_grants()
        end = self._next
        if not isinstance(end, EndFrame):
            raise _Stopped(Fault("TRACE_CUT"))
        shown = self.verdict.matches + self.verdict.sealed_persons
        if end.matches != shown:
            self.verdict.add_fault(Fault("COUNT_WRONG", detail=f"{end.matches} / {shown}"))
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
        if head.filter.from_ms > head.filter.to_ms:
            # No read lies in such a period, so that any ledger would be found complete.
            raise _Stopped(Fault("TRACE_MALFORMED", detail="the period ends before it begins"))
        verdict.query_digest = query_digest(head.filter, head.query_salt) if head.query else b""
        self._verify_final(head)
        verdict.height, verdict.time_ms = head.header.height, head.header.time_ms
        verdict.covered_until_ms = min(head.filter.to_ms, verdict.time_ms)
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
            return self._record(table, key, proved)
        except _Unproved as error:
            raise _Stopped(Fault("RECORD_UNPROVED", detail=str(error))) from None

    def _record(self, table: Table[R], key: bytes, proved: Proved) -> R | None:
        """Return the record that the ledger holds at a key; raise _Unproved where the proof does not hold there."""
        try:
            verify_state_proof(proved.state, key, proved.value, self._root)
            return None if proved.value is None else table.decode(proved.value)
        except StateProofError as error:
            raise _Unproved(error.reason) from None
        except (msgspec.DecodeError, ValueError) as error:
            raise _Unproved(str(error)) from None

    def _verify_stream(self, index: int, count: int) -> int:
        """Verify the stream at a place of the ledger's list, or name it where the trace leaves it out; return the next place."""
        frame = self._next
        if frame is None:
            raise _Stopped(Fault("TRACE_CUT", detail=f"{index}/{count}"))
        if not isinstance(frame, StreamFrame):
            self.verdict.add_fault(Fault("STREAM_MISSING", detail=f"{index + 1}/{count}"))
            return index + 1
        found, name = self._place_of(frame, index, count)
        for missing in range(index, found):
            self.verdict.add_fault(Fault("STREAM_MISSING", detail=f"{missing + 1}/{count}"))
        self.verdict.streams += 1
        self._advance()
        if not self._head.filter.has_stream(name.department):
            return found + 1
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
        return found + 1

    def _place_of(self, frame: StreamFrame, index: int, count: int) -> tuple[int, StreamName]:
        """Return at which place of the ledger's list, from `index` on, a stream stands, and whose it is; stop where at none."""
        reason = ""
        for place in range(index, count):
            try:
                name = self._record(access.STREAM_NAMES, access.stream_name_key(place), frame.name)
            except _Unproved as error:
                reason = reason or str(error)
                continue
            if name is not None:
                return place, name
        raise _Stopped(Fault("RECORD_UNPROVED", detail=f"stream {index + 1}/{count}: {reason}"))

    def _verify_batches(self, stream: StreamRecord, first: int, last: int) -> None:
        """Verify that the batches named are all that touch the period, and each of them."""
        wanted = self._head.filter
        if not 0 <= first <= last <= stream.batch_number or (first == 0) != (last == 0):
            raise _Stopped(
                self._fault(stream, "BATCH_ADDED" if last > stream.batch_number else "BATCH_MISSING", number=last)
            )
        before: BatchRecord | None = None
        following = first or 1
        while following <= last:
            is_first = following == first
            following, batch = self._verify_batch(stream, following, last, before)
            if is_first and first > 1 and batch is not None and batch.from_ms >= wanted.from_ms:
                # The one before may reach into the period.
                self.verdict.add_fault(self._fault(stream, "BATCH_MISSING", first - 1))
            before = batch
        if isinstance(self._next, BatchFrame | ReadsFrame):
            added = self._stated_number(stream) or last + 1
            raise _Stopped(self._fault(stream, "BATCH_ADDED", added))
        self._check_end(stream, last, before)
        if is_open_tail(stream, wanted):
            covered_ms = covered_until(stream)
            self.verdict.add_open(
                OpenStream(stream.department, stream.recorder, covered_ms, stream.due_ms, bool(stream.ended_ms))
            )

    def _check_end(self, stream: StreamRecord, last: int, batch: BatchRecord | None) -> None:
        """Name what a stream has behind the last batch that its frame names; `batch` is that one, None for none or one left out."""
        wanted = self._head.filter
        if not last:
            is_short = stream.batch_number > 0 and stream.covered_ms >= wanted.from_ms
        else:
            is_short = last < stream.batch_number and batch is not None and batch.to_ms <= wanted.to_ms
        if is_short:
            self.verdict.add_fault(self._fault(stream, "BATCH_MISSING", last + 1))
        elif batch is not None and last == stream.batch_number:
            self._check_tail(stream, batch)

    def _check_tail(self, stream: StreamRecord, last: BatchRecord) -> None:
        end = (last.first_number + last.count - 1, last.last_digest, last.to_ms)
        if end != (stream.number, stream.digest, stream.covered_ms):
            self.verdict.add_fault(self._fault(stream, "BATCH_BROKEN", last.batch_number))

    def _verify_batch(
        self, stream: StreamRecord, batch_number: int, last: int, before: BatchRecord | None
    ) -> tuple[int, BatchRecord | None]:
        """Return which batch is due next, and this one as the ledger has it (None where the trace does not)."""
        frame = self._next
        if frame is None:
            raise _Stopped(self._fault(stream, "TRACE_CUT", batch_number))
        if not isinstance(frame, BatchFrame):
            return self._miss_batches(stream, batch_number, last), None
        try:
            key = access.batch_key(stream.department, stream.recorder, batch_number)
            batch = self._record(access.BATCHES, key, frame.batch)
        except _Unproved as error:
            stated = self._stated_number(stream)
            if batch_number < stated <= last:
                return self._miss_batches(stream, batch_number, stated - 1), None
            # One that stands here a second time or out of order was added; what is no batch of the ledger stands for this one.
            code, number = ("BATCH_ADDED", stated) if stated else ("BATCH_CHANGED", batch_number)
            self.verdict.add_fault(self._fault(stream, code, number, str(error)))
            self._skip_batch()
            return batch_number + (not stated), None
        if batch is None:
            raise _Stopped(self._fault(stream, "BATCH_ADDED", batch_number))
        self._advance()
        self._check_batch(stream, batch, frame, before)
        return batch_number + 1, batch

    def _check_batch(
        self, stream: StreamRecord, batch: BatchRecord, frame: BatchFrame, before: BatchRecord | None
    ) -> None:
        """Check a batch that the ledger has: that it continues the one before, and its reads."""
        batch_number = batch.batch_number
        is_of_period = self._head.filter.touches(batch.from_ms, batch.to_ms)
        self.verdict.batches += is_of_period
        fact = batch_fact(batch, has_reads=frame.has_reads or not batch.count)
        if is_of_period and self._facts.on_batch is not None:
            self._facts.on_batch(fact)
        if frame.altered and (not batch.count or not all(one.code in STORE_FAULTS for one in frame.altered)):
            # Of no reads none can have been changed, and what has no name here is no statement about a store.
            raise _Stopped(self._fault(stream, "TRACE_MALFORMED", batch_number, "altered"))
        for one in frame.altered[: MAX_LISTED - len(self.verdict.altered)] if is_of_period else ():
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
        elif batch.count and is_of_period:
            self.verdict.add_withheld(withheld_batch(batch, frame.reason))

    def _miss_batches(self, stream: StreamRecord, first: int, last: int) -> int:
        """Name the batches from one number to another as left out, and return the number behind them."""
        named = min(last, first + MAX_LISTED - 1)
        for number in range(first, named + 1):
            self.verdict.add_fault(self._fault(stream, "BATCH_MISSING", number))
        self.verdict.fault_count += last - named
        return last + 1

    def _stated_number(self, stream: StreamRecord) -> int:
        """Return which batch of a stream the next frame proves, whether or not that one is due; 0 where it proves none."""
        frame = self._next
        if not isinstance(frame, BatchFrame) or frame.batch.value is None:
            return 0
        try:
            number = access.BATCHES.decode(frame.batch.value).batch_number
            self._record(access.BATCHES, access.batch_key(stream.department, stream.recorder, number), frame.batch)
        except (_Unproved, msgspec.DecodeError, ValueError, OverflowError):
            return 0
        return number

    def _skip_batch(self) -> None:
        """Go on behind a batch and its reads, which prove nothing."""
        self._advance()
        while isinstance(self._next, ReadsFrame):
            self._advance()

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
            self.verdict.add_fault(checked.fault_within("READ_INSERTED"))
            return
        for fault in checked.faults():
            self.verdict.add_fault(fault)
        self.verdict.reads += checked.count
        self.verdict.matches += len(checked.matches) - checked.sealed_persons
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
    def _fault(stream: StreamRecord, code: str, number: int = 0, detail: str = "") -> Fault:
        return Fault(code, stream.department, stream.recorder, number, detail=detail)


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
            return [self.fault_within("READ_REMOVED", f"{self.count}/{batch.count}")]
        faults = list(self._faults)
        if merkle_root(self._leaves) != batch.root or self._previous != batch.last_digest:
            # Times and outcomes of reads that are not the recorded ones say nothing further.
            return [self.fault_within("READS_CHANGED")]
        stated = {SERVED: batch.served, DENIED: batch.denied, IRREGULAR: batch.irregular}
        if self._outcomes != stated or (self._has_all_details and self._rows != batch.rows):
            faults.append(self._fault("TALLY_WRONG", 0))
        return faults

    def fault_within(self, code: str, detail: str = "") -> Fault:
        """Return what is wrong with some read of the batch: each read's digest covers those before, so that it cannot be told which."""
        batch = self._batch
        last = batch.first_number + batch.count - 1
        return Fault(code, batch.department, batch.recorder, batch.batch_number, batch.first_number, detail, last)

    def _take(self, read: Read) -> None:
        try:
            check_draft(draft_of(read))
        except InputError as error:
            self._faults.append(self._fault("READ_FOREIGN", read.number, error.en))
        self.sealed_persons += self._wanted.is_undecided(read.subject)
        self.matches.append(read)

    def _fault(self, code: str, number: int, detail: str = "") -> Fault:
        batch = self._batch
        return Fault(code, batch.department, batch.recorder, batch.batch_number, number, detail)


def is_open_tail(stream: StreamRecord, wanted: TraceFilter) -> bool:
    """Return whether a stream may have reads of the period that are not on the ledger, or not yet."""
    covered_ms = covered_until(stream)
    # What was read between the last batch and the end is never covered: a moment only, where a recorder ends as it should.
    if stream.ended_ms and (stream.ended_ms <= wanted.from_ms or stream.ended_ms - covered_ms <= MAX_END_GAP_MS):
        return False
    return covered_ms < wanted.to_ms


def covered_until(stream: StreamRecord) -> int:
    """Return until when (ms) a stream's batches hold every read of it; its first declaration where it has none."""
    return stream.covered_ms if stream.batch_number else stream.first_declared_ms


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
