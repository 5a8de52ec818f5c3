"""The trace file: frames behind one line of text, written and read one after the other (docs/spec/access-trace.md).

The order is fixed: head; for every stream on the ledger its frame, and behind it the batches of the period, each with its reads in
pieces; the grants; the end, which counts. A file may be far larger than memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec

from consensus.messages import CommitCertificate
from node.chain.block import Header
from node.chain.proof import MAX_PROOF_WALK, Members, SetChange
from node.chain.state_proof import StateProof
from node.chain.world_state import MAX_STATE_VALUE_BYTES
from verification.access.reads import MAX_NUMBER, Digest
from verification.access.trace_filter import QUERY_SALT_BYTES, OpenedRead, TraceFilter
from verification.errors import InputError

FIRST_LINE: Final = b"govnode-access-trace/1\n"
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
MAX_PIECE_BYTES: Final = 1024 * 1024
"""Of the reads that stand in one frame, past which the next ones stand in another; one read alone may be larger."""
MAX_PIECE_READS: Final = 1_000
MAX_REASON_LENGTH: Final = 500
MAX_PLACES: Final = 64
"""Where the reads of a batch may lie, that a trace speaks of."""

Reader: TypeAlias = Callable[[int], bytes]
"""Returns the next bytes of a file, at most as many as are asked for; none at its end."""

_LENGTH_BYTES: Final = 4
_Value: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=MAX_STATE_VALUE_BYTES)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
F = TypeVar("F", bound=msgspec.Struct)


class Proved(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A record's bytes, None for no record, with the way from the state root to it; its key follows from where it stands."""

    value: _Value | None
    state: StateProof


class HeadFrame(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="head"):
    """What was asked for, as of which final block, and how many streams there are on the ledger."""

    filter: TraceFilter
    header: Header
    certificate: CommitCertificate
    validators: Members
    walk: Annotated[tuple[SetChange, ...], msgspec.Meta(max_length=MAX_PROOF_WALK)]
    stream_count: Proved
    made_ms: _Count
    """By the clock of who made it."""
    query: _Count
    """Number of the audit query on the ledger that this answers, 0 for none."""
    query_salt: Annotated[bytes, msgspec.Meta(max_length=QUERY_SALT_BYTES)] = b""
    """With the filter it opens the digest of that query (`query_digest`)."""


class StreamFrame(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="stream"):
    """The next stream of the list of all: whose it is, where it stands, and which of its batches follow (0 and 0 for none).

    `stream` is None where the department's streams are not looked at.
    """

    name: Proved
    stream: Proved | None
    first_batch: _Count
    last_batch: _Count


class AlteredPlace(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A place whose reads of a batch were not the recorded ones when the trace was made: its maker says so, nobody else."""

    place: Annotated[str, msgspec.Meta(max_length=MAX_REASON_LENGTH)]
    code: Annotated[str, msgspec.Meta(max_length=32)]
    number: _Count


class BatchFrame(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="batch"):
    """The next batch of the stream; `has_reads` says whether its reads follow, `reason` why they do not."""

    batch: Proved
    has_reads: bool
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON_LENGTH)] = ""
    altered: Annotated[tuple[AlteredPlace, ...], msgspec.Meta(max_length=MAX_PLACES)] = ()


class ReadsFrame(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="reads"):
    """The next reads of the batch, in the order of their numbers."""

    reads: Annotated[tuple[OpenedRead, ...], msgspec.Meta(min_length=1)]


class GrantsFrame(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="grants"):
    """As of which final block the grants that follow stand: not before the head's."""

    header: Header
    certificate: CommitCertificate
    validators: Members
    walk: Annotated[tuple[SetChange, ...], msgspec.Meta(max_length=MAX_PROOF_WALK)]


class GrantFrame(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="grant"):
    """What the ledger holds of a grant that reads of this trace name."""

    grant: Digest
    request: Proved


class EndFrame(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="end"):
    """How many reads of the trace are shown whole: a file that was cut short has no such frame."""

    matches: _Count


Frame: TypeAlias = HeadFrame | StreamFrame | BatchFrame | ReadsFrame | GrantsFrame | GrantFrame | EndFrame

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Frame)


def is_trace(first_bytes: bytes) -> bool:
    """Return whether a file that begins with these bytes says that it is a trace."""
    return first_bytes.startswith(FIRST_LINE)


def encode_frame(frame: Frame) -> bytes:
    """Return the bytes of a frame as they stand in the file: their length in 4 bytes, big-endian, and MessagePack."""
    raw = _ENCODER.encode(frame)
    return len(raw).to_bytes(_LENGTH_BYTES, "big") + raw


def read_frames(read: Reader) -> Iterator[Frame]:
    """Yield the frames of a file, up to its end; raise InputError TRACE_MALFORMED where it has another form."""
    found = _read_exactly(read, len(FIRST_LINE))
    if found != FIRST_LINE:
        raise _malformed(f"首行应为 {FIRST_LINE!r}", f"expected the first line {FIRST_LINE!r}")
    while head := _read_exactly(read, _LENGTH_BYTES):
        length = int.from_bytes(head, "big")
        if len(head) < _LENGTH_BYTES or not 0 < length <= MAX_FRAME_BYTES:
            raise _malformed("帧长度无效", f"expected a frame of 1 to {MAX_FRAME_BYTES} bytes")
        raw = _read_exactly(read, length)
        if len(raw) < length:
            raise _malformed("文件中断", "the file ends within a frame")
        yield _decode(raw)


def pieces(reads: Iterator[OpenedRead]) -> Iterator[ReadsFrame]:
    """Yield the reads of a batch in frames of bounded size."""
    piece: list[OpenedRead] = []
    size = 0
    for opened in reads:
        length = len(_ENCODER.encode(opened))
        if piece and (size + length > MAX_PIECE_BYTES or len(piece) >= MAX_PIECE_READS):
            yield ReadsFrame(tuple(piece))
            piece, size = [], 0
        piece.append(opened)
        size += length
    if piece:
        yield ReadsFrame(tuple(piece))


def _decode(raw: bytes) -> Any:
    try:
        frame = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(str(error), str(error)) from None
    if _ENCODER.encode(frame) != raw:
        raise _malformed("编码不唯一", "a frame is not in its one encoding")
    return frame


def _read_exactly(read: Reader, count: int) -> bytes:
    """Return the next `count` bytes, fewer at the end of the file only."""
    raw = read(count)
    while len(raw) < count and (more := read(count - len(raw))):
        raw += more
    return raw


def _malformed(zh: str, en: str) -> InputError:
    return InputError("TRACE_MALFORMED", f"追溯文件无效：{zh}", f"not a trace file: {en}")
