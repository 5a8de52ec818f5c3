"""The write-ahead log: what the consensus core consumed in the current height, so that a restart comes back to the same state."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from consensus.events import LockState
from consensus.messages import Digest, Height, Proposal, Round, Vote
from consensus.timeouts import TimeoutKind
from node.chain.codec import encode

MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
MAX_KEPT_FILE_BYTES: Final = 64 * 1024 * 1024

_FRAME: Final = struct.Struct(">IIQ")  # payload length, CRC-32, generation


class HeightLogged(msgspec.Struct, array_like=True, frozen=True, tag=0, forbid_unknown_fields=True):
    """The log of this height begins; `is_voting` is False where the node abstains in it."""

    height: Height
    is_voting: bool


class BlockLogged(msgspec.Struct, array_like=True, frozen=True, tag=1, forbid_unknown_fields=True):
    """A complete block that later records name by its id: encoded header, full bytes of transactions and evidence."""

    header: bytes
    transactions: list[bytes]
    evidence: list[bytes]


class BuiltLogged(msgspec.Struct, array_like=True, frozen=True, tag=2, forbid_unknown_fields=True):
    """The core was given the block that this node built."""

    round: Round
    block_id: Digest


class ProposalLogged(msgspec.Struct, array_like=True, frozen=True, tag=3, forbid_unknown_fields=True):
    """The core was given another validator's proposal with these verdicts."""

    proposal: Proposal
    is_valid: bool
    is_timely: bool


class VoteLogged(msgspec.Struct, array_like=True, frozen=True, tag=4, forbid_unknown_fields=True):
    """The core was given another validator's vote."""

    vote: Vote


class TimeoutLogged(msgspec.Struct, array_like=True, frozen=True, tag=5, forbid_unknown_fields=True):
    """The core was told that a timeout of this height ended."""

    kind: TimeoutKind
    round: Round


class OwnProposalLogged(msgspec.Struct, array_like=True, frozen=True, tag=6, forbid_unknown_fields=True):
    """A proposal that this node signed; `sequence` counts all that the key ever signed."""

    sequence: int
    proposal: Proposal
    lock: LockState


class OwnVoteLogged(msgspec.Struct, array_like=True, frozen=True, tag=7, forbid_unknown_fields=True):
    """A vote that this node signed; `sequence` counts all that the key ever signed."""

    sequence: int
    vote: Vote
    lock: LockState


LogRecord: TypeAlias = (
    HeightLogged
    | BlockLogged
    | BuiltLogged
    | ProposalLogged
    | VoteLogged
    | TimeoutLogged
    | OwnProposalLogged
    | OwnVoteLogged
)


_DECODER: msgspec.msgpack.Decoder[LogRecord] = msgspec.msgpack.Decoder(LogRecord)


class WriteAheadLog:
    """One file that holds the records of one height; the next height writes over it.

    Each record is framed by its length, a CRC and the log's generation. A new height takes the next generation and
    starts at offset 0, so what an older height left behind never reads as part of the log, and the blocks of the
    file stay allocated: syncing them again costs a third of syncing a file that grows.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file and read it: `records` up to the first damaged frame, the rest is cut off; raise OSError."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        content = _read_all(self._descriptor)
        self._generation = _first_generation(content)
        self.records: list[LogRecord] = []
        self._position = 0
        for record, end in _frames(content, self._generation):
            self.records.append(record)
            self._position = end
        self.is_torn = _is_torn(content, self._position, self._generation)
        # Frames of this generation behind the damage must never follow what is written next.
        os.ftruncate(self._descriptor, self._position)

    @property
    def height(self) -> int | None:
        """The height that the log belongs to, None for an empty log; `records` then starts with HeightLogged."""
        first = self.records[0] if self.records else None
        return first.height if isinstance(first, HeightLogged) else None

    def begin(self, height: int, is_voting: bool) -> None:
        """Forget every record and start the log of `height`; not synced, for nothing signed depends on it yet."""
        self._generation += 1
        if self._position > MAX_KEPT_FILE_BYTES:
            os.ftruncate(self._descriptor, 0)
        self._position = 0
        self.records = []
        self.append(HeightLogged(height, is_voting))

    def append(self, record: LogRecord) -> None:
        """Write one record behind the last; it is safe from power loss only after `sync`. Raise OSError, then nothing is added."""
        payload = encode(record)
        if len(payload) > MAX_RECORD_BYTES:
            raise ValueError(f"a log record has at most {MAX_RECORD_BYTES} bytes, this one has {len(payload)}")
        frame = _FRAME.pack(len(payload), _checksum(self._generation, payload), self._generation) + payload
        written = 0
        while written < len(frame):
            written += os.pwrite(self._descriptor, memoryview(frame)[written:], self._position + written)
        self._position += len(frame)

    def sync(self) -> None:
        """Return when every record so far is on disk; raise OSError."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _read_all(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    parts: list[bytes] = []
    offset = 0
    while offset < size:
        part = os.pread(descriptor, size - offset, offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _first_generation(content: bytes) -> int:
    """Return the generation in the first frame's head, 0 where there is none."""
    if len(content) < _FRAME.size:
        return 0
    generation: int = _FRAME.unpack_from(content)[2]
    # A damaged head must not leave a number that cannot be counted up any more.
    return generation if generation < 2**63 else 0


def _frames(content: bytes, generation: int) -> Iterator[tuple[LogRecord, int]]:
    """Yield each record and the offset behind it, up to the first frame that is not whole, sound and of this generation."""
    position = 0
    while position + _FRAME.size <= len(content):
        length, checksum, found_generation = _FRAME.unpack_from(content, position)
        start = position + _FRAME.size
        if found_generation != generation or length > MAX_RECORD_BYTES or start + length > len(content):
            return
        payload = content[start : start + length]
        if _checksum(generation, payload) != checksum:
            return
        try:
            record = _DECODER.decode(payload)
        except (msgspec.DecodeError, ValueError, RecursionError, OverflowError):
            # Sound, and yet no record: another version of this program wrote it.
            return
        if (position == 0) != isinstance(record, HeightLogged):
            return
        position = start + length
        yield record, position


def _is_torn(content: bytes, position: int, generation: int) -> bool:
    """Return whether the log ends in a damaged frame of its own generation rather than in what an older height left."""
    if position + _FRAME.size > len(content):
        return position < len(content) and any(content[position:])
    return generation != 0 and bool(_FRAME.unpack_from(content, position)[2] == generation)


def _checksum(generation: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(generation.to_bytes(8, "big")))
