"""Writes a trace: what the ledger proves as of one block, and of each batch the reads that somebody gave for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, TypeVar

import msgspec

from contracts.data_sharing import access
from contracts.data_sharing.access import BatchRecord, StreamRecord
from contracts.data_sharing.sharing import request_key
from contracts.records import Table
from node.chain.proof import RecordProof
from verification.access.opened_reads import open_read
from verification.access.reads import NO_DIGEST, Read
from verification.access.store_inspection import StoreFault, inspect_reads
from verification.access.trace_file import (
    FIRST_LINE,
    MAX_REASON_LENGTH,
    BatchFrame,
    EndFrame,
    Frame,
    GrantFrame,
    HeadFrame,
    Proved,
    StreamFrame,
    encode_frame,
    pieces,
)
from verification.access.trace_filter import OpenedRead, TraceFilter
from verification.errors import InputError

MAX_STREAMS: Final = 100_000
"""On one ledger, that a trace goes through."""

R = TypeVar("R", bound=msgspec.Struct)


class GivenReads(msgspec.Struct, frozen=True):
    """What one place gave of a batch: encoded reads in its order; `place` says which place, for the reason where they do not hold."""

    place: str
    reads: Sequence[bytes]


Prove: TypeAlias = Callable[[bytes], RecordProof]
"""Returns the proof of a key in state, always as of the same block."""
Fetch: TypeAlias = Callable[[StreamRecord, BatchRecord], "list[GivenReads | str]"]
"""Returns what each place gave of a batch, best first, or why it gave nothing."""


class AlteredStore(msgspec.Struct, frozen=True):
    """A place whose reads of a batch are not the recorded ones: evidence against who keeps it."""

    place: str
    faults: tuple[StoreFault, ...]


class TraceMade(msgspec.Struct):
    """What was written: how many reads were asked for, how many batches have none, and which places had changed theirs."""

    matches: int = 0
    batches: int = 0
    withheld: int = 0
    altered: list[AlteredStore] = []


def write_trace(
    wanted: TraceFilter,
    prove: Prove,
    fetch: Fetch,
    write: Callable[[bytes], object],
    made_ms: int,
    query: int = 0,
) -> TraceMade:
    """Write a trace of what is asked for and return what came of it; nothing in the file has to be believed.

    Raises InputError where the node's proofs are of different blocks.
    """
    return _Writer(wanted, prove, fetch, write).run(made_ms, query)


class _Writer:
    def __init__(self, wanted: TraceFilter, prove: Prove, fetch: Fetch, write: Callable[[bytes], object]) -> None:
        self._wanted, self._prove, self._fetch, self._write = wanted, prove, fetch, write
        self._made = TraceMade()
        self._named: set[bytes] = set()
        self._header: object = None

    def run(self, made_ms: int, query: int) -> TraceMade:
        counted = self._prove(access.stream_count_key())
        self._header = counted.header
        finality = (counted.header, counted.certificate, counted.validators, counted.walk)
        self._write(FIRST_LINE)
        self._put(HeadFrame(self._wanted, *finality, Proved(counted.value, counted.state), made_ms, query))
        count = 0 if counted.value is None else access.STREAM_COUNT.decode(counted.value).count
        if count > MAX_STREAMS:
            raise InputError(
                "TOO_MANY_STREAMS",
                f"记录流多于 {MAX_STREAMS}",
                f"expected at most {MAX_STREAMS} streams, found {count}",
            )
        for index in range(count):
            self._write_stream(index)
        for grant in sorted(self._named):
            self._put(GrantFrame(grant, self._proved(request_key(grant))))
        self._put(EndFrame(self._made.matches))
        return self._made

    def _put(self, frame: Frame) -> None:
        self._write(encode_frame(frame))

    def _proved(self, key: bytes) -> Proved:
        proof = self._prove(key)
        if proof.header != self._header:
            raise InputError(
                "PROOF_MALFORMED",
                "节点给出的证明不属于同一区块，请重试",
                "the node's proofs are not as of one block: try again",
            )
        return Proved(proof.value, proof.state)

    def _record(self, table: Table[R], key: bytes) -> tuple[Proved, R]:
        proved = self._proved(key)
        if proved.value is None:
            raise InputError(
                "PROOF_MALFORMED", "节点缺少列表中的记录", "the node has no record where its own list names one"
            )
        return proved, table.decode(proved.value)

    def _write_stream(self, index: int) -> None:
        proved, name = self._record(access.STREAM_NAMES, access.stream_name_key(index))
        if not self._wanted.has_stream(name.department):
            self._put(StreamFrame(proved, None, 0, 0))
            return
        of_stream, stream = self._record(access.STREAMS, access.stream_key(name.department, name.recorder))
        first, last = self._span(stream)
        self._put(StreamFrame(proved, of_stream, first, last))
        for batch_number in range(first, last + 1) if first else ():
            self._write_batch(stream, batch_number)

    def _batch(self, stream: StreamRecord, batch_number: int) -> tuple[Proved, BatchRecord]:
        return self._record(access.BATCHES, access.batch_key(stream.department, stream.recorder, batch_number))

    def _span(self, stream: StreamRecord) -> tuple[int, int]:
        """Return the numbers of the first and last batch that touch the period, 0 and 0 where all end before it."""
        wanted = self._wanted
        if not stream.batch_number or stream.covered_ms < wanted.from_ms:
            return 0, 0
        first = self._first(stream, lambda batch: batch.to_ms >= wanted.from_ms)
        if self._batch(stream, first)[1].from_ms > wanted.to_ms:
            # What shows that there is nothing before is the stream's first batch, which begins later.
            return first, first
        last = self._first(stream, lambda batch: batch.to_ms > wanted.to_ms)
        return first, last

    def _first(self, stream: StreamRecord, is_reached: Callable[[BatchRecord], bool]) -> int:
        """Return the number of the first batch for which this holds (it does for all later ones), the last one's where for none."""
        low, high = 1, stream.batch_number
        while low < high:
            middle = (low + high) // 2
            if is_reached(self._batch(stream, middle)[1]):
                high = middle
            else:
                low = middle + 1
        return low

    def _write_batch(self, stream: StreamRecord, batch_number: int) -> None:
        proved, batch = self._batch(stream, batch_number)
        self._made.batches += 1
        reads, reason = self._reads(stream, batch)
        self._put(BatchFrame(proved, reads is not None, reason))
        if reads is None:
            self._made.withheld += batch.count > 0
            return
        for frame in pieces(map(self._opened, reads)):
            self._put(frame)

    def _reads(self, stream: StreamRecord, batch: BatchRecord) -> tuple[list[Read] | None, str]:
        """Return the reads of a batch as recorded, from the first place that has them, or None and why no place has."""
        if not batch.count:
            return [], ""
        reasons = []
        found: list[Read] | None = None
        for given in self._fetch(stream, batch):
            if isinstance(given, str):
                reasons.append(given)
                continue
            reads, faults = inspect_reads(batch, given.reads)
            changes = [fault for fault in faults if fault.code != "BACK_DATED"]
            if not changes:
                # What its recorder dated back itself is what it recorded: the verifier names it.
                found = reads
                break
            self._made.altered.append(AlteredStore(given.place, tuple(faults)))
            reasons.append(f"{given.place}: {changes[0].code} {changes[0].number}")
        return found, "" if found is not None else "; ".join(reasons)[:MAX_REASON_LENGTH]

    def _opened(self, read: Read) -> OpenedRead:
        opened = open_read(read, self._wanted)
        if not isinstance(opened.details, bytes):
            self._made.matches += 1
            if read.sharing.grant != NO_DIGEST:
                self._named.add(read.sharing.grant)
        return opened
