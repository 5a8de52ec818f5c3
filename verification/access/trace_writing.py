"""Writes a trace: what the ledger proves as of one block, and of each batch the reads that somebody gave for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias, TypeVar

import msgspec

from contracts.data_sharing import access
from contracts.data_sharing.access import BatchRecord, StreamRecord
from contracts.data_sharing.sharing import request_key
from contracts.records import Table
from node.chain.block import Header
from node.chain.proof import RecordProof
from verification.access.opened_reads import open_read
from verification.access.reads import NO_DIGEST, Read
from verification.access.store_inspection import StoreFault, inspect_reads
from verification.access.trace_file import (
    FIRST_LINE,
    MAX_PLACES,
    MAX_REASON_LENGTH,
    AlteredPlace,
    BatchFrame,
    EndFrame,
    Frame,
    GrantFrame,
    GrantsFrame,
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
MAX_BATCHES: Final = 100_000
"""Of one trace, whose proofs are held at once: a longer period is traced in pieces."""

PROVED_AT_ONCE: Final = 500
"""Keys whose proofs are asked for in one go."""

R = TypeVar("R", bound=msgspec.Struct)


class GivenReads(msgspec.Struct, frozen=True):
    """What one place gave of a batch: encoded reads in its order; `place` says which place, for the reason where they do not hold."""

    place: str
    reads: Sequence[bytes]


Prove: TypeAlias = Callable[[Sequence[bytes]], list[RecordProof]]
"""Returns the proofs of keys in state, those of one call as of one block, and those of calls one soon after the other too."""
Fetch: TypeAlias = Callable[[StreamRecord, BatchRecord], "Iterable[GivenReads | str]"]
"""Yields what each place gives of a batch, best first, or why it gives nothing; none is asked behind one that has the recorded reads."""


class AlteredStore(msgspec.Struct, frozen=True):
    """A place whose reads of a batch are not the recorded ones: evidence against who keeps it."""

    place: str
    faults: tuple[StoreFault, ...]


class TraceMade(msgspec.Struct):
    """What was written: how many reads are shown whole, how many batches have none, and which places had changed theirs."""

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
    query_salt: bytes = b"",
) -> TraceMade:
    """Write a trace of what is asked for and return what came of it; nothing in the file has to be believed.

    Raises InputError where the node's proofs are of different blocks.
    """
    return _Writer(wanted, prove, fetch, write).run(made_ms, query, query_salt)


class _PlannedStream(msgspec.Struct):
    """A stream with its frame, and the batches of the period with their proofs."""

    frame: StreamFrame
    stream: StreamRecord | None
    batches: list[tuple[Proved, BatchRecord]] = []


class _Writer:
    """Proves streams and batches first, as of one block: a node keeps its state for a while only, and reads take time to fetch."""

    def __init__(self, wanted: TraceFilter, prove: Prove, fetch: Fetch, write: Callable[[bytes], object]) -> None:
        self._wanted, self._prove, self._fetch, self._write = wanted, prove, fetch, write
        self._made = TraceMade()
        self._named: set[bytes] = set()
        self._header: Header

    def run(self, made_ms: int, query: int, query_salt: bytes) -> TraceMade:
        (counted,) = self._prove([access.stream_count_key()])
        self._header = counted.header
        count = 0 if counted.value is None else access.STREAM_COUNT.decode(counted.value).count
        if count > MAX_STREAMS:
            raise _too_many("记录流", "streams", MAX_STREAMS, count)
        planned = self._plan(count)
        finality = (counted.header, counted.certificate, counted.validators, counted.walk)
        self._write(FIRST_LINE)
        count_proof = Proved(counted.value, counted.state)
        self._put(HeadFrame(self._wanted, *finality, count_proof, made_ms, query, query_salt))
        for one in planned:
            self._put(one.frame)
            for proved, batch in one.batches:
                assert one.stream is not None, "a stream with batches is looked at"
                self._write_batch(one.stream, proved, batch)
        self._write_grants()
        self._put(EndFrame(self._made.matches))
        return self._made

    def _put(self, frame: Frame) -> None:
        self._write(encode_frame(frame))

    def _records(self, table: Table[R], keys: Sequence[bytes]) -> list[tuple[Proved, R]]:
        """Return what the ledger holds at keys, as of the trace's block; raise InputError where it is not all of that block."""
        found = []
        # A proof carries header and signatures too: only a few are held whole at a time.
        chunks = (keys[start : start + PROVED_AT_ONCE] for start in range(0, len(keys), PROVED_AT_ONCE))
        for proof in (proof for chunk in chunks for proof in self._prove(chunk)):
            if proof.header != self._header:
                raise InputError(
                    "PROOF_MALFORMED",
                    "节点给出的证明不属于同一区块，请重试",
                    "the node's proofs are not as of one block: try again",
                )
            if proof.value is None:
                raise InputError(
                    "PROOF_MALFORMED", "节点缺少列表中的记录", "the node has no record where its own list names one"
                )
            found.append((Proved(proof.value, proof.state), table.decode(proof.value)))
        return found

    def _plan(self, count: int) -> list[_PlannedStream]:
        """Return every stream of the ledger, with what is proved of it."""
        names = self._records(access.STREAM_NAMES, [access.stream_name_key(index) for index in range(count)])
        wanted = [name for _, name in names if self._wanted.has_stream(name.department)]
        keys = [access.stream_key(name.department, name.recorder) for name in wanted]
        streams = iter(self._records(access.STREAMS, keys))
        planned = []
        for proved, name in names:
            if not self._wanted.has_stream(name.department):
                planned.append(_PlannedStream(StreamFrame(proved, None, 0, 0), None))
                continue
            of_stream, stream = next(streams)
            first, last = self._span(stream)
            planned.append(_PlannedStream(StreamFrame(proved, of_stream, first, last), stream))
        self._prove_batches(planned)
        return planned

    def _prove_batches(self, planned: Sequence[_PlannedStream]) -> None:
        total = sum(one.frame.last_batch - one.frame.first_batch + 1 for one in planned if one.frame.first_batch)
        if total > MAX_BATCHES:
            raise _too_many("批次", "batches", MAX_BATCHES, total)
        for one in planned:
            stream = one.stream
            if stream is not None and one.frame.first_batch:
                numbers = range(one.frame.first_batch, one.frame.last_batch + 1)
                keys = [access.batch_key(stream.department, stream.recorder, number) for number in numbers]
                one.batches = self._records(access.BATCHES, keys)

    def _span(self, stream: StreamRecord) -> tuple[int, int]:
        """Return the numbers of the first and last batch that touch the period, 0 and 0 where all end before it."""
        wanted = self._wanted
        if not stream.batch_number or stream.covered_ms < wanted.from_ms:
            return 0, 0
        # A period before the stream's first batch is touched by that batch: it shows that there is nothing before.
        first = self._first(stream, lambda batch: batch.to_ms >= wanted.from_ms)
        return first, max(first, self._first(stream, lambda batch: batch.to_ms > wanted.to_ms))

    def _first(self, stream: StreamRecord, is_reached: Callable[[BatchRecord], bool]) -> int:
        """Return the number of the first batch for which this holds (it does for all later ones), the last one's where for none."""
        low, high = 1, stream.batch_number
        while low < high:
            middle = (low + high) // 2
            key = access.batch_key(stream.department, stream.recorder, middle)
            ((_, batch),) = self._records(access.BATCHES, [key])
            if is_reached(batch):
                high = middle
            else:
                low = middle + 1
        return low

    def _write_batch(self, stream: StreamRecord, proved: Proved, batch: BatchRecord) -> None:
        if not self._wanted.touches(batch.from_ms, batch.to_ms):
            # It shows that the stream has nothing before; what it holds is of another time.
            self._put(BatchFrame(proved, has_reads=False))
            return
        self._made.batches += 1
        known = len(self._made.altered)
        reads, reason = self._reads(stream, batch)
        altered = [(one.place, one.faults[0]) for one in self._made.altered[known:][:MAX_PLACES]]
        claims = tuple(AlteredPlace(place[:MAX_REASON_LENGTH], fault.code, fault.number) for place, fault in altered)
        self._put(BatchFrame(proved, reads is not None, reason, claims))
        if reads is None:
            self._made.withheld += batch.count > 0
            return
        for frame in pieces(map(self._opened, reads)):
            self._put(frame)

    def _write_grants(self) -> None:
        """Write what the ledger holds now of the grants that the reads name, under a header of its own."""
        if not self._named:
            return
        grants = sorted(self._named)
        proofs = self._prove([request_key(grant) for grant in grants])
        first = proofs[0]
        self._put(GrantsFrame(first.header, first.certificate, first.validators, first.walk))
        for grant, proof in zip(grants, proofs, strict=True):
            self._put(GrantFrame(grant, Proved(proof.value, proof.state)))

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


def _too_many(zh: str, en: str, limit: int, found: int) -> InputError:
    return InputError(
        "TRACE_TOO_LARGE",
        f"至多 {limit} 个{zh}，实有 {found}：请缩短时段，或以记录方限定范围",
        f"expected at most {limit} {en}, found {found}: shorten the period, or name the recording departments",
    )
