"""SM2 (GB/T 32918-2017): keys, signatures, batches of signatures, and public-key encryption."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from typing import Final

from sm_crypto.engines import engine_report, scalar_engine
from sm_crypto.errors import DecryptionFailed, InvalidKey, InvalidSignature
from sm_crypto.multibuffer import batch_engine
from sm_crypto.sm2_curve import (
    DEFAULT_USER_ID,
    PUBLIC_KEY_BYTES,
    SCALAR_BYTES,
    SIGNATURE_BYTES,
    N,
    check_private_scalar,
    check_public_key,
    is_curve_point,
    is_signature_range,
    message_hash,
)
from sm_crypto.sm3 import DIGEST_SIZE, kdf_sm3, sm3

__all__ = [
    "DEFAULT_USER_ID",
    "PUBLIC_KEY_BYTES",
    "SIGNATURE_BYTES",
    "DecryptionFailed",
    "InvalidKey",
    "InvalidSignature",
    "PrivateKey",
    "check_public_key",
    "encrypt",
    "engine_report",
    "multibuffer_available",
    "verify",
    "verify_batch",
]

BATCH_MESSAGE_BYTES: Final = 32
MAX_PLAINTEXT_BYTES: Final = 1024 * 1024
CIPHERTEXT_OVERHEAD_BYTES: Final = 1 + PUBLIC_KEY_BYTES + DIGEST_SIZE
_UNCOMPRESSED: Final = b"\x04"


class PrivateKey:
    """An SM2 private key; it never shows its scalar."""

    __slots__ = ("_scalar", "public_key")

    def __init__(self, scalar: int) -> None:
        """Take a scalar from 1 to n - 2; raise InvalidKey otherwise."""
        check_private_scalar(scalar)
        self._scalar = scalar
        self.public_key = scalar_engine().multiply(scalar)

    @classmethod
    def generate(cls) -> PrivateKey:
        """Return a new key from the operating system's randomness."""
        return cls(1 + secrets.randbelow(N - 2))

    @classmethod
    def from_bytes(cls, raw: bytes) -> PrivateKey:
        """Return the key of 32 big-endian bytes; raise InvalidKey on another length or a scalar out of range."""
        if len(raw) != SCALAR_BYTES:
            raise InvalidKey(f"expected an SM2 private key of {SCALAR_BYTES} bytes, found {len(raw)} bytes")
        return cls(int.from_bytes(raw, "big"))

    def to_bytes(self) -> bytes:
        """Return the 32 big-endian bytes of the scalar."""
        return self._scalar.to_bytes(SCALAR_BYTES, "big")

    def sign(self, message: bytes, user_id: bytes = DEFAULT_USER_ID) -> bytes:
        """Return the 64-byte signature r || s over `message` (GB/T 32918.2, 6.1)."""
        digest = message_hash(self.public_key, message, user_id)
        return scalar_engine().sign_digest(self._scalar, self.public_key, digest)

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Return the plaintext of 04 || x || y || C3 || C2 (GB/T 32918.4, 7.1); raise DecryptionFailed otherwise."""
        if not CIPHERTEXT_OVERHEAD_BYTES < len(ciphertext) <= CIPHERTEXT_OVERHEAD_BYTES + MAX_PLAINTEXT_BYTES:
            raise DecryptionFailed(
                f"expected an SM2 ciphertext of {CIPHERTEXT_OVERHEAD_BYTES + 1} to "
                f"{CIPHERTEXT_OVERHEAD_BYTES + MAX_PLAINTEXT_BYTES} bytes, found {len(ciphertext)} bytes"
            )
        point, tag, masked = ciphertext[1:65], ciphertext[65:97], ciphertext[97:]
        if ciphertext[:1] != _UNCOMPRESSED or not is_curve_point(point):
            raise DecryptionFailed("expected an SM2 ciphertext that begins with 04 and a point of the curve")
        shared = scalar_engine().multiply(self._scalar, point)
        mask = kdf_sm3(shared, len(masked))
        plaintext = _xor(masked, mask)
        if not any(mask) or not hmac.compare_digest(sm3(shared[:32] + plaintext + shared[32:]), tag):
            raise DecryptionFailed("the ciphertext was changed, or was made for another key")
        return plaintext

    def __repr__(self) -> str:
        return f"PrivateKey(public_key={self.public_key.hex()})"


def encrypt(public_key: bytes, plaintext: bytes) -> bytes:
    """Return 04 || x || y || C3 || C2, readable with the private key only (GB/T 32918.4, 6.1, order C1 C3 C2).

    The plaintext has 1 to MAX_PLAINTEXT_BYTES bytes (ValueError otherwise); raises InvalidKey on an unusable key.
    """
    check_public_key(public_key)
    if not 1 <= len(plaintext) <= MAX_PLAINTEXT_BYTES:
        raise ValueError(f"expected a plaintext of 1 to {MAX_PLAINTEXT_BYTES} bytes, found {len(plaintext)} bytes")
    while True:
        nonce = 1 + secrets.randbelow(N - 1)
        shared = scalar_engine().multiply(nonce, public_key)
        mask = kdf_sm3(shared, len(plaintext))
        # A mask of zeros would show the plaintext; the standard draws again (A5). It happens with one-byte plaintexts.
        if any(mask):
            tag = sm3(shared[:32] + plaintext + shared[32:])
            return _UNCOMPRESSED + scalar_engine().multiply(nonce) + tag + _xor(plaintext, mask)


def verify(public_key: bytes, message: bytes, signature: bytes, user_id: bytes = DEFAULT_USER_ID) -> None:
    """Return when `signature` (r || s) is this key's over `message`; raise InvalidKey or InvalidSignature otherwise."""
    check_public_key(public_key)
    if len(signature) != SIGNATURE_BYTES:
        raise InvalidSignature(f"expected an SM2 signature of {SIGNATURE_BYTES} bytes, found {len(signature)} bytes")
    if not is_signature_range(signature) or not _is_match(public_key, message, signature, user_id):
        raise InvalidSignature("the SM2 signature does not match this message, public key and user id")


def verify_batch(items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Return for each (public key, 32-byte message, signature) whether it verifies under the default user id.

    A malformed key or signature is a False of its own; a message of another length is the caller's ValueError.
    The interpreter lock is free during the curve arithmetic.
    """
    usable = []
    for public_key, message, signature in items:
        if len(message) != BATCH_MESSAGE_BYTES:
            raise ValueError(f"expected messages of {BATCH_MESSAGE_BYTES} bytes in a batch, found {len(message)} bytes")
        usable.append(
            len(public_key) == PUBLIC_KEY_BYTES
            and len(signature) == SIGNATURE_BYTES
            and is_curve_point(public_key)
            and is_signature_range(signature)
        )
    library = batch_engine()
    if library is None:
        return [fit and _is_match(*item, DEFAULT_USER_ID) for fit, item in zip(usable, items, strict=True)]
    chosen = items if all(usable) else [item for fit, item in zip(usable, items, strict=True) if fit]
    if not chosen:
        return usable
    keys, messages, signatures = zip(*chosen, strict=True)
    verdicts = library.verify_many(b"".join(keys), b"".join(messages), b"".join(signatures))
    confirmed = iter([verdict == 1 and _is_sum_finite(*item) for verdict, item in zip(verdicts, chosen, strict=True)])
    return [fit and next(confirmed) for fit in usable]


def multibuffer_available() -> bool:
    """Return whether batches run in the multi-buffer library on this machine."""
    return batch_engine() is not None


def _is_match(public_key: bytes, message: bytes, signature: bytes, user_id: bytes) -> bool:
    library = batch_engine()
    if library is not None and len(message) == BATCH_MESSAGE_BYTES and user_id == DEFAULT_USER_ID:
        # Eight lanes of one signature cost less than half of one signature in libcrypto.
        return library.verify_many(public_key, message, signature) == b"\x01" and _is_sum_finite(
            public_key, message, signature
        )
    digest = message_hash(public_key, message, user_id)
    return scalar_engine().verify_digest(public_key, digest, signature)


def _is_sum_finite(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether a signature that the lanes took adds up to a point of the curve (GB/T 32918.2, 7.1 B6).

    The library gives the point at infinity the x 0, so that the holder of a key can make it take r = e; other engines refuse.
    """
    digest = message_hash(public_key, message)
    if int.from_bytes(digest, "big") % N != int.from_bytes(signature[:SCALAR_BYTES], "big"):
        return True
    return scalar_engine().verify_digest(public_key, digest, signature)


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(len(left), "big")
