"""Sealing to a public key: content under a fresh SM4-GCM key, that key under SM2; one piece, or a stream of chunks (docs/spec/exchange.md).

Anybody can seal to a public key: who did is for a signature, or a record on the ledger, to say.
"""

from __future__ import annotations

import secrets
from typing import Final

from sm_crypto import sm4
from sm_crypto.errors import DecryptionFailed
from sm_crypto.sm2 import CIPHERTEXT_OVERHEAD_BYTES, PrivateKey, encrypt
from sm_crypto.sm3 import TaggedHash, sm3

FORM: Final = b"\x01"
KEY_ID_BYTES: Final = 20
HEADER_BYTES: Final = len(FORM) + KEY_ID_BYTES + CIPHERTEXT_OVERHEAD_BYTES + sm4.KEY_BYTES
"""The form, the recipient's key id, and the content key under SM2."""
CHUNK_BYTES: Final = 1024 * 1024
"""Of plaintext in every chunk but the last, which has 1 to CHUNK_BYTES, or none where there is nothing at all."""
SEALED_CHUNK_BYTES: Final = CHUNK_BYTES + sm4.TAG_BYTES
MAX_CHUNKS: Final = 2**32

_BOUND: Final = TaggedHash("govnode/sealed/1")
_COUNTER_BYTES: Final = sm4.NONCE_BYTES - 1


class ContentSealer:
    """Seals one content, chunk by chunk; `header` comes before the chunks."""

    __slots__ = ("_associated_data", "_chunk_count", "_is_complete", "_key", "header")

    def __init__(self, public_key: bytes, context: bytes) -> None:
        """Take whom it is for (64 bytes x || y) and what it is; raise InvalidKey. It opens with the same `context` only."""
        self._key = secrets.token_bytes(sm4.KEY_BYTES)
        self.header = FORM + key_id(public_key) + encrypt(public_key, self._key)
        self._associated_data = _BOUND(self.header + context)
        self._chunk_count = 0
        self._is_complete = False

    def seal(self, chunk: bytes, *, is_last: bool) -> bytes:
        """Return the next chunk sealed: CHUNK_BYTES of plaintext, the last one fewer or as many (ValueError otherwise)."""
        if self._is_complete or not _is_chunk_length(len(chunk), self._chunk_count, is_last=is_last):
            raise ValueError(f"expected chunks of {CHUNK_BYTES} bytes and a shorter last one, found {len(chunk)} bytes")
        nonce = _nonce(self._chunk_count, is_last=is_last)
        self._chunk_count += 1
        self._is_complete = is_last
        return sm4.seal(self._key, nonce, chunk, self._associated_data)


class ContentOpener:
    """Opens one content, chunk by chunk, in the order in which it was sealed."""

    __slots__ = ("_associated_data", "_chunk_count", "_key", "is_complete")

    def __init__(self, key: PrivateKey, header: bytes, context: bytes) -> None:
        """Take the recipient's key, the first HEADER_BYTES, and what it is; raise DecryptionFailed where the key is another."""
        if sealed_for(header) != key_id(key.public_key):
            raise DecryptionFailed("the content was sealed for another key")
        self._key = key.decrypt(header[len(FORM) + KEY_ID_BYTES : HEADER_BYTES])
        self._associated_data = _BOUND(header[:HEADER_BYTES] + context)
        self._chunk_count = 0
        self.is_complete = False
        """Whether the last chunk has been opened: before, what was opened may be cut short."""

    def open(self, sealed: bytes, *, is_last: bool) -> bytes:
        """Return the plaintext of the next chunk; raise DecryptionFailed where it is another, was changed, or is not the last as stated."""
        if self.is_complete or not _is_chunk_length(len(sealed) - sm4.TAG_BYTES, self._chunk_count, is_last=is_last):
            raise DecryptionFailed(
                f"no chunk number {self._chunk_count + 1} of a sealed content has {len(sealed)} bytes"
            )
        chunk = sm4.open_sealed(self._key, _nonce(self._chunk_count, is_last=is_last), sealed, self._associated_data)
        self._chunk_count += 1
        self.is_complete = is_last
        return chunk


def key_id(public_key: bytes) -> bytes:
    """Return what names a 64-byte public key in sealed content: the last 20 bytes of its SM3 digest, as an address is made."""
    return sm3(public_key)[-KEY_ID_BYTES:]


def sealed_for(sealed: bytes) -> bytes:
    """Return the id of the key that sealed content, or its header, is for; raise DecryptionFailed on what is no such content."""
    if len(sealed) < HEADER_BYTES or sealed[: len(FORM)] != FORM:
        raise DecryptionFailed(f"expected sealed content of at least {HEADER_BYTES} bytes that begins with 01")
    return sealed[len(FORM) : len(FORM) + KEY_ID_BYTES]


def sealed_size(plaintext_bytes: int) -> int:
    """Return how many bytes a content of so many bytes has when it is sealed, its header included."""
    chunks = max(1, -(-plaintext_bytes // CHUNK_BYTES))
    return HEADER_BYTES + plaintext_bytes + chunks * sm4.TAG_BYTES


def seal_to(public_key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Return a content sealed to a 64-byte public key; it opens with the same `context` only. Raises InvalidKey."""
    sealer = ContentSealer(public_key, context)
    parts = [sealer.header]
    for start in range(0, max(1, len(plaintext)), CHUNK_BYTES):
        end = start + CHUNK_BYTES
        parts.append(sealer.seal(plaintext[start:end], is_last=end >= len(plaintext)))
    return b"".join(parts)


def open_with(key: PrivateKey, sealed: bytes, context: bytes) -> bytes:
    """Return what `seal_to` sealed; raise DecryptionFailed where a byte, the key or the context differs, or something is missing."""
    opener = ContentOpener(key, sealed[:HEADER_BYTES], context)
    parts = []
    for start in range(HEADER_BYTES, max(len(sealed), HEADER_BYTES + 1), SEALED_CHUNK_BYTES):
        end = start + SEALED_CHUNK_BYTES
        parts.append(opener.open(sealed[start:end], is_last=end >= len(sealed)))
    return b"".join(parts)


def _is_chunk_length(length: int, chunk_count: int, *, is_last: bool) -> bool:
    if not is_last:
        return length == CHUNK_BYTES and chunk_count + 1 < MAX_CHUNKS
    return 0 < length <= CHUNK_BYTES or (length == 0 and chunk_count == 0)


def _nonce(number: int, *, is_last: bool) -> bytes:
    # A key seals one content. The last byte tells its end, so that a stream that was cut does not pass for a whole one.
    return number.to_bytes(_COUNTER_BYTES, "big") + bytes((is_last,))
