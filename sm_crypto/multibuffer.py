"""The optional multi-buffer library: SM2 verification in lanes of 8, SM3 in lanes of 16, called through ctypes.

It is built from _multibuffer.c where a C compiler and Intel's archive are found, and runs where the processor has
AVX-512 IFMA. Every call releases the interpreter lock for its whole batch.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from array import array
from collections.abc import Sequence
from functools import cache
from hashlib import new as new_hash
from typing import Any, Final

from sm_crypto.errors import EngineUnavailable
from sm_crypto.known_answers import TEST_MESSAGE, TEST_PUBLIC_KEY, TEST_SIGNATURE

ENGINE_VARIABLE: Final = "GOVNODE_SM2_ENGINE"
ENGINE_NAMES: Final = ("multibuffer", "openssl", "gmssl")
MAX_LANE_MESSAGE_BYTES: Final = 384
"""The longest message that the lanes take; longer ones gain nothing over one stream each."""

_MODULE: Final = "sm_crypto._multibuffer"
_HASH_BYTES: Final = 32
_SIZE = ctypes.c_size_t
_BYTES = ctypes.c_char_p
_BUFFER = ctypes.c_void_p


class Multibuffer:
    """The loaded library."""

    name = "multibuffer"

    def __init__(self) -> None:
        """Load the library; raise EngineUnavailable where it was not built or the processor lacks what it needs."""
        spec = importlib.util.find_spec(_MODULE)
        if spec is None or spec.origin is None or not spec.origin.endswith((".so", ".dylib")):
            raise EngineUnavailable("the multi-buffer library was not built: it needs x86_64 Linux and a C compiler")
        try:
            library = ctypes.CDLL(spec.origin)
            self._verify = _declare(library, "govnode_sm2_verify", None, [_SIZE, _BYTES, _BYTES, _BYTES, _BUFFER])
            self._sm3_many = _declare(library, "govnode_sm3_many", ctypes.c_int, [_SIZE, _SIZE, _BYTES, _BUFFER])
            self._roots = _declare(
                library, "govnode_merkle_group_roots", ctypes.c_int, [_SIZE, _BUFFER, _BUFFER, _BUFFER]
            )
            available = _declare(library, "govnode_is_available", ctypes.c_int, [])
        except (OSError, AttributeError) as error:
            raise EngineUnavailable(f"the multi-buffer library cannot be loaded: {error}") from None
        if not available():
            raise EngineUnavailable("this processor has no AVX-512 IFMA, which the multi-buffer library needs")

    def verify_many(self, public_keys: bytes, messages: bytes, signatures: bytes) -> bytes:
        """Return one byte, 1 or 0, for each lane of 64-byte keys, 32-byte messages and 64-byte signatures.

        The buffers hold the items one after the other. Ranges and curve membership were checked before.
        """
        count = len(messages) // 32
        if not len(public_keys) == len(signatures) == 64 * count or len(messages) != 32 * count:
            raise ValueError("expected as many keys and signatures of 64 bytes as messages of 32 bytes")
        verdicts = ctypes.create_string_buffer(count)
        self._verify(count, public_keys, messages, signatures, verdicts)
        return verdicts.raw

    def sm3_many(self, messages: Sequence[bytes], length: int) -> list[bytes]:
        """Return the digests of messages that are all `length` bytes long, at most MAX_LANE_MESSAGE_BYTES."""
        joined = b"".join(messages)
        if len(joined) != length * len(messages):
            raise ValueError(f"expected messages of {length} bytes each")
        digests = ctypes.create_string_buffer(_HASH_BYTES * len(messages))
        if self._sm3_many(len(messages), length, joined, digests) != 0:
            raise MemoryError("the multi-buffer library refused a batch of SM3 messages")
        return _split(digests.raw)

    def merkle_group_roots(self, groups: Sequence[bytes]) -> list[bytes]:
        """Return the Merkle root of each group of one or more concatenated 32-byte hashes."""
        joined = b"".join(groups)
        sizes = array("I", [len(group) // _HASH_BYTES for group in groups])
        if 0 in sizes or sum(sizes) * _HASH_BYTES != len(joined):
            raise ValueError("expected groups of one or more whole 32-byte hashes")
        return _split(self._group_roots(sizes, joined))

    def merkle_parents(self, hashes: bytes) -> bytes:
        """Return the concatenated parents of neighbours, two by two, among an even number of concatenated 32-byte hashes."""
        pairs, rest = divmod(len(hashes), 2 * _HASH_BYTES)
        if rest:
            raise ValueError("expected an even number of whole 32-byte hashes")
        return self._group_roots(array("I", [2]) * pairs, hashes)

    def _group_roots(self, sizes: array[int], joined: bytes) -> bytes:
        hashes = ctypes.create_string_buffer(joined, len(joined))
        roots = ctypes.create_string_buffer(_HASH_BYTES * len(sizes))
        if self._roots(len(sizes), sizes.buffer_info()[0], hashes, roots) != 0:
            raise MemoryError("the multi-buffer library ran out of memory for a Merkle level")
        return roots.raw


def _declare(library: ctypes.CDLL, name: str, result: Any, arguments: list[Any]) -> Any:
    function = getattr(library, name)
    function.restype = result
    function.argtypes = arguments
    return function


def _split(joined: bytes) -> list[bytes]:
    return [joined[start : start + _HASH_BYTES] for start in range(0, len(joined), _HASH_BYTES)]


@cache
def forced_engine() -> str | None:
    """Return the engine that GOVNODE_SM2_ENGINE names, None when unset; raise EngineUnavailable on an unknown name."""
    name = os.environ.get(ENGINE_VARIABLE) or None
    if name is not None and name not in ENGINE_NAMES:
        raise EngineUnavailable(f"{ENGINE_VARIABLE}: expected one of {', '.join(ENGINE_NAMES)}, found {name!r}")
    return name


@cache
def batch_engine() -> Multibuffer | None:
    """Return the multi-buffer library, None where it is missing or another engine is forced."""
    if forced_engine() not in (None, "multibuffer"):
        return None
    try:
        return tested_lanes(Multibuffer())
    except EngineUnavailable:
        if forced_engine() == "multibuffer":
            raise
        return None


def tested_lanes(library: Multibuffer) -> Multibuffer:
    """Return the library after its known-answer test; raise EngineUnavailable when an answer is wrong."""
    wrong = TEST_MESSAGE[:-1] + b"\0"
    verdicts = library.verify_many(TEST_PUBLIC_KEY * 9, TEST_MESSAGE + wrong + TEST_MESSAGE * 7, TEST_SIGNATURE * 9)
    node = new_hash("sm3", b"\x01" + TEST_PUBLIC_KEY).digest()
    if (
        verdicts != b"\x01\x00" + b"\x01" * 7
        or library.sm3_many([b"\x01" + TEST_PUBLIC_KEY] * 17, 65) != [node] * 17
        or library.merkle_group_roots([TEST_PUBLIC_KEY, TEST_MESSAGE]) != [node, TEST_MESSAGE]
    ):
        raise EngineUnavailable("the multi-buffer library failed its known-answer test")
    return library
