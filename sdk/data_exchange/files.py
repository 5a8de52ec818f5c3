"""Exchange files, govnode-exchange/1: a payload sealed to its consumer, read and written as streams (docs/spec/exchange.md).

Memory stays at a few chunks whatever the size. What is told apart: the envelope, which anybody reads; the note, sealed with the payload.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, Final, Literal, TypeVar

import msgspec

from contracts.data_sharing.deliveries import MAX_PAYLOAD_BYTES, MAX_PAYLOAD_ROWS
from sm_crypto.errors import DecryptionFailed
from sm_crypto.sealing import CHUNK_BYTES, HEADER_BYTES, SEALED_CHUNK_BYTES, ContentOpener, ContentSealer
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import TaggedHash
from verification.errors import InputError

FORMAT: Final = "govnode-exchange/1"
MAGIC: Final = FORMAT.encode("ascii") + b"\n"
LENGTH_BYTES: Final = 4
MAX_ENVELOPE_BYTES: Final = 2_048
MAX_NOTE_BYTES: Final = 4_096
MAX_NAME_LENGTH: Final = 255
SALT_BYTES: Final = 32

_CONTEXT: Final = TaggedHash("govnode/exchange/1")
_PAYLOAD: Final = TaggedHash("govnode/exchange-payload/1")
_Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Code = Annotated[str, msgspec.Meta(pattern="^[0-9A-Z]{18}$")]
_Number = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands outside: the chain by its genesis, the grant and the delivery's number under it, both sides, the consumer's key."""

    format: Literal["govnode-exchange/1"]
    genesis: _Hex32
    grant: _Hex32
    number: _Number
    provider: _Code
    consumer: _Code
    key_number: _Number


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sealed before the payload: what the provider calls it, its rows, and the salt without which its digest tells nothing."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
    rows: Annotated[int, msgspec.Meta(ge=0, le=MAX_PAYLOAD_ROWS)]
    salt: _Hex32

    def __repr__(self) -> str:
        return f"Note({self.rows} rows)"


class FileDigests(msgspec.Struct, frozen=True):
    """What a file comes to: the salted digest of note and payload, the digest of the whole file, and both sizes in bytes."""

    payload: bytes
    sealed: bytes
    size: int
    sealed_size: int


class OpenedFile(msgspec.Struct, frozen=True):
    """An exchange file that was opened: its note, and what it comes to."""

    note: Note
    digests: FileDigests


T = TypeVar("T", Envelope, Note)


class _Counted:
    """A stream whose bytes are digested and counted as they pass."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._state: Any = hashlib.new("sm3")
        self.size = 0

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end only."""
        parts = []
        while size and (part := self._stream.read(size)):
            parts.append(part)
            size -= len(part)
        raw = b"".join(parts)
        self._pass(raw)
        return raw

    def write(self, raw: bytes) -> None:
        """Write all of it."""
        self._stream.write(raw)
        self._pass(raw)

    def _pass(self, raw: bytes) -> None:
        self._state.update(raw)
        self.size += len(raw)

    @property
    def digest(self) -> bytes:
        """SM3 of all that has passed."""
        return bytes(self._state.digest())


def seal_file(source: BinaryIO, target: BinaryIO, envelope: Envelope, note: Note, public_key: bytes) -> FileDigests:
    """Write the exchange file of a payload that is read to its end, and return what it comes to.

    Raises InputError PAYLOAD_TOO_LARGE past MAX_PAYLOAD_BYTES, InvalidKey on a key that is none.
    """
    payload, out = _Counted(source), _Counted(target)
    head = encode_envelope(envelope)
    sealer = ContentSealer(public_key, _CONTEXT(head))
    out.write(head + sealer.header)
    raw_note = msgspec.json.encode(note)
    first = len(raw_note).to_bytes(LENGTH_BYTES, "big") + raw_note
    for chunk, is_last in _chunks(payload, first, CHUNK_BYTES):
        if payload.size > MAX_PAYLOAD_BYTES:
            raise InputError(
                "PAYLOAD_TOO_LARGE",
                f"一次交付至多 {MAX_PAYLOAD_BYTES} 字节，请分次交付",
                f"a delivery has at most {MAX_PAYLOAD_BYTES} bytes: make several of it",
            )
        out.write(sealer.seal(chunk, is_last=is_last))
    return FileDigests(_payload_digest(raw_note, payload), out.digest, payload.size, out.size)


def read_envelope(source: BinaryIO) -> Envelope:
    """Return the envelope that an exchange file begins with; raise InputError EXCHANGE_MALFORMED on any other file."""
    return _read_head(_Counted(source))[1]


def open_file(source: BinaryIO, target: BinaryIO, key: PrivateKey) -> OpenedFile:
    """Write the payload of an exchange file that is read to its end, and return its note and what it comes to.

    Raises InputError EXCHANGE_MALFORMED on another file or one cut short, NOT_OPENED where the key is another or a byte was changed: what
    was written till then is not to be used.
    """
    sealed, out = _Counted(source), _Counted(target)
    head, _ = _read_head(sealed)
    try:
        opener = ContentOpener(key, sealed.read(HEADER_BYTES), _CONTEXT(head))
        chunks = _chunks(sealed, b"", SEALED_CHUNK_BYTES)
        chunk, is_last = next(chunks)
        first = opener.open(chunk, is_last=is_last)
        raw_note, rest = _split_note(first)
        out.write(rest)
        for chunk, is_last in chunks:
            out.write(opener.open(chunk, is_last=is_last))
    except DecryptionFailed as error:
        raise InputError(
            "NOT_OPENED",
            "交换文件打不开：密钥不是信封所指的那把，或文件在途中被改动、截断；请核对 --encryption-key，或请提供方重发同一文件",
            f"the exchange file does not open ({error}): check --encryption-key, or have the provider send the same file again",
        ) from None
    return OpenedFile(
        _decode(raw_note, Note), FileDigests(_payload_digest(raw_note, out), sealed.digest, out.size, sealed.size)
    )


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the bytes that an exchange file begins with: the format's name, a length, and JSON."""
    raw = msgspec.json.encode(envelope)
    return MAGIC + len(raw).to_bytes(LENGTH_BYTES, "big") + raw


def _read_head(source: _Counted) -> tuple[bytes, Envelope]:
    start = source.read(len(MAGIC) + LENGTH_BYTES)
    length = int.from_bytes(start[len(MAGIC) :], "big")
    if start[: len(MAGIC)] != MAGIC or not 0 < length <= MAX_ENVELOPE_BYTES:
        raise _malformed("its first bytes")
    raw = source.read(length)
    return start + raw, _decode(raw, Envelope)


def _chunks(source: _Counted, first: bytes, size: int) -> Iterator[tuple[bytes, bool]]:
    """Yield a stream in chunks of `size` bytes, `first` before it, each with whether it is the last, which may be shorter."""
    chunk = first + source.read(size - len(first))
    while True:
        following = source.read(size) if len(chunk) == size else b""
        yield chunk, not following
        if not following:
            return
        chunk = following


def _split_note(first: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(first[:LENGTH_BYTES], "big")
    end = LENGTH_BYTES + length
    if not 0 < length <= MAX_NOTE_BYTES or len(first) < end:
        raise _malformed("its note")
    return first[LENGTH_BYTES:end], first[end:]


def _decode(raw: bytes, kind: type[T]) -> T:
    try:
        found = msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _malformed(str(error)) from None
    if msgspec.json.encode(found) != raw:
        raise _malformed("its JSON is not in the one form")
    return found


def _payload_digest(raw_note: bytes, payload: _Counted) -> bytes:
    return _PAYLOAD(len(raw_note).to_bytes(LENGTH_BYTES, "big") + raw_note + payload.digest)


def _malformed(reason: str) -> InputError:
    return InputError(
        "EXCHANGE_MALFORMED",
        f"不是 {FORMAT} 格式的交换文件（{reason}），请向提供方索取完整的文件",
        f"not an exchange file in the form {FORMAT} ({reason}): ask the provider for the whole file",
    )
