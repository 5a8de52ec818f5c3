"""SM3 digests (GB/T 32905): one, many, domain-tagged, whole Merkle levels, and the HMAC and key derivations on SM3."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from sm_crypto.multibuffer import MAX_LANE_MESSAGE_BYTES, Multibuffer, batch_engine

DIGEST_SIZE = 32
BLOCK_SIZE = 64
MAX_DERIVED_BYTES: Final = 2**32 * DIGEST_SIZE - DIGEST_SIZE
_MIN_LANES: Final = 5  # below this, the lanes left empty cost more than hashlib one by one
_MIN_SORTED: Final = 100  # below this, sorting them by length costs more than the lanes give
_EMPTY: Any = hashlib.new("sm3")
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))


def sm3(data: bytes) -> bytes:
    """Return the 32-byte SM3 digest of `data` (GB/T 32905-2016)."""
    # Copying a prepared state costs two thirds of building a new one.
    state = _EMPTY.copy()
    state.update(data)
    digest: bytes = state.digest()
    return digest


class TaggedHash:
    """A family of SM3 digests apart from every other: the tag fills the first 64-byte block of the message."""

    __slots__ = ("_state", "tag")

    def __init__(self, tag: str) -> None:
        """Prepare the state after the tag block; the tag is ASCII of 1 to 63 bytes, padded with zero bytes."""
        raw = tag.encode("ascii")
        if not 0 < len(raw) < BLOCK_SIZE:
            raise ValueError(f"a tag has 1 to 63 ASCII bytes, this one has {len(raw)}")
        self.tag = tag
        self._state: Any = hashlib.new("sm3", raw.ljust(BLOCK_SIZE, b"\0"))

    def __call__(self, data: bytes) -> bytes:
        """Return the 32-byte digest of tag block and `data`."""
        state = self._state.copy()
        state.update(data)
        digest: bytes = state.digest()
        return digest

    def many(self, messages: Sequence[bytes]) -> list[bytes]:
        """Return what calling it on each message gives, in lanes where sm3_many has them."""
        block = self.tag.encode("ascii").ljust(BLOCK_SIZE, b"\0")
        return sm3_many([block + message for message in messages])


def sm3_many(messages: Sequence[bytes]) -> list[bytes]:
    """Return the digest of each message, in lanes where enough have one length and the machine has lanes."""
    library = batch_engine() if len(messages) >= _MIN_LANES else None
    if library is not None:
        length = len(messages[0])
        if length <= MAX_LANE_MESSAGE_BYTES and all(len(message) == length for message in messages):
            return library.sm3_many(messages, length)
        if len(messages) >= _MIN_SORTED:
            return _sm3_by_length(library, messages)
    return [sm3(message) for message in messages]


def _sm3_by_length(library: Multibuffer, messages: Sequence[bytes]) -> list[bytes]:
    places: dict[int, list[int]] = {}
    for place, message in enumerate(messages):
        places.setdefault(len(message), []).append(place)
    digests = [b""] * len(messages)
    for length, same in places.items():
        alike = [messages[place] for place in same]
        has_lanes = length <= MAX_LANE_MESSAGE_BYTES and len(same) >= _MIN_LANES
        found = library.sm3_many(alike, length) if has_lanes else map(sm3, alike)
        for place, digest in zip(same, found, strict=True):
            digests[place] = digest
    return digests


def merkle_group_roots(groups: Sequence[bytes]) -> list[bytes]:
    """Return the binary Merkle root of each group of one or more concatenated 32-byte hashes.

    A node is SM3(0x01 || left || right); a lone last node of a level moves up as it is (RFC 6962, 2.1). Raises
    ValueError on an empty group or one that is not whole hashes.
    """
    library = batch_engine()
    if library is not None and sum(map(len, groups)) >= DIGEST_SIZE * (_MIN_LANES + len(groups)):
        return library.merkle_group_roots(groups)
    return [_group_root(group) for group in groups]


def merkle_level_above(hashes: bytes) -> bytes:
    """Return the level above one of a binary Merkle tree, both as concatenated 32-byte hashes, in the shape of merkle_group_roots.

    Raises ValueError where they are not whole hashes.
    """
    if len(hashes) % DIGEST_SIZE:
        raise ValueError("expected whole 32-byte hashes")
    paired = len(hashes) - len(hashes) % (2 * DIGEST_SIZE)
    library = batch_engine() if paired >= 2 * DIGEST_SIZE * _MIN_LANES else None
    if library is not None:
        return library.merkle_parents(hashes[:paired]) + hashes[paired:]
    above = [sm3(b"\x01" + hashes[start : start + 2 * DIGEST_SIZE]) for start in range(0, paired, 2 * DIGEST_SIZE)]
    return b"".join(above) + hashes[paired:]


def _group_root(group: bytes) -> bytes:
    if not group or len(group) % DIGEST_SIZE:
        raise ValueError("expected groups of one or more whole 32-byte hashes")
    while len(group) > DIGEST_SIZE:
        group = merkle_level_above(group)
    return group


def hmac_sm3(key: bytes, message: bytes) -> bytes:
    """Return the 32-byte HMAC of `message` under `key` (RFC 2104 with SM3)."""
    if len(key) > BLOCK_SIZE:
        key = sm3(key)
    padded = key.ljust(BLOCK_SIZE, b"\0")
    # Of two prepared states: the library's own looks the algorithm up each time, and lets go of the interpreter for the shortest message.
    return sm3(padded.translate(_OUTER_PAD) + sm3(padded.translate(_INNER_PAD) + message))


def hmac_sm3_many(requests: Sequence[tuple[bytes, Sequence[bytes]]]) -> list[list[bytes]]:
    """Return for each key, of at most BLOCK_SIZE bytes, the HMACs of its messages, in lanes where sm3_many has them."""
    padded = [key.ljust(BLOCK_SIZE, b"\0") for key, _ in requests]
    if any(len(key) > BLOCK_SIZE for key in padded):
        raise ValueError(f"expected keys of at most {BLOCK_SIZE} bytes")
    inner, outer = [], []
    for key, (_, messages) in zip(padded, requests, strict=True):
        start = key.translate(_INNER_PAD)
        inner += [start + message for message in messages]
        outer += [key.translate(_OUTER_PAD)] * len(messages)
    digests = sm3_many([start + digest for start, digest in zip(outer, sm3_many(inner), strict=True)])
    rest = iter(digests)
    return [list(islice(rest, len(messages))) for _, messages in requests]


def pbkdf2_hmac_sm3(password: bytes, salt: bytes, iterations: int, length: int) -> bytes:
    """Return `length` bytes derived from a password (RFC 8018 with HMAC-SM3); releases the interpreter lock."""
    return hashlib.pbkdf2_hmac("sm3", password, salt, iterations, length)


def kdf_sm3(secret: bytes, length: int) -> bytes:
    """Return `length` bytes, the digests of `secret` and a 32-bit counter from 1 (GB/T 32918.4, 5.4.3)."""
    if not 0 <= length <= MAX_DERIVED_BYTES:
        raise ValueError(f"expected a length of at most {MAX_DERIVED_BYTES} bytes, found {length}")
    blocks = -(-length // DIGEST_SIZE)
    return b"".join(sm3(secret + counter.to_bytes(4, "big")) for counter in range(1, blocks + 1))[:length]
