"""SM2 (GB/T 32918-2017): keys, signatures, batches of signatures, and public-key encryption."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sm_crypto.libcrypto import LibcryptoEngine
from sm_crypto.sm2_curve import (
    DEFAULT_USER_ID,
    PUBLIC_KEY_BYTES,
    SCALAR_BYTES,
    SIGNATURE_BYTES,
    DecryptionFailed,
    InvalidKey,
    InvalidSignature,
    N,
    check_private_scalar,
    check_public_key,
    is_curve_point,
    is_signature_range,
    message_hash,
)

__all__ = [
    "DEFAULT_USER_ID",
    "PUBLIC_KEY_BYTES",
    "SIGNATURE_BYTES",
    "DecryptionFailed",
    "InvalidKey",
    "InvalidSignature",
    "PrivateKey",
    "check_public_key",
    "verify",
    "verify_batch",
]

BATCH_MESSAGE_BYTES = 32
_engine = LibcryptoEngine()


class PrivateKey:
    """An SM2 private key; it never shows its scalar."""

    __slots__ = ("_scalar", "public_key")

    def __init__(self, scalar: int) -> None:
        """Take a scalar from 1 to n - 2; raise InvalidKey otherwise."""
        check_private_scalar(scalar)
        self._scalar = scalar
        self.public_key = _engine.multiply(scalar)

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
        return _engine.sign_digest(self._scalar, self.public_key, message_hash(self.public_key, message, user_id))

    def __repr__(self) -> str:
        return f"PrivateKey(public_key={self.public_key.hex()})"


def verify(public_key: bytes, message: bytes, signature: bytes, user_id: bytes = DEFAULT_USER_ID) -> None:
    """Return when `signature` (r || s) is this key's over `message`; raise InvalidKey or InvalidSignature otherwise."""
    check_public_key(public_key)
    if len(signature) != SIGNATURE_BYTES:
        raise InvalidSignature(f"expected an SM2 signature of {SIGNATURE_BYTES} bytes, found {len(signature)} bytes")
    if not is_signature_range(signature) or not _engine.verify_digest(
        public_key, message_hash(public_key, message, user_id), signature
    ):
        raise InvalidSignature("the SM2 signature does not match this message and public key")


def verify_batch(items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Return for each (public key, 32-byte message, signature) whether it verifies under the default user id.

    A malformed key or signature is a False of its own; a message of another length is the caller's ValueError.
    """
    verdicts = []
    for public_key, message, signature in items:
        if len(message) != BATCH_MESSAGE_BYTES:
            raise ValueError(f"expected messages of {BATCH_MESSAGE_BYTES} bytes in a batch, found {len(message)} bytes")
        verdicts.append(
            len(public_key) == PUBLIC_KEY_BYTES
            and len(signature) == SIGNATURE_BYTES
            and is_curve_point(public_key)
            and is_signature_range(signature)
            and _engine.verify_digest(public_key, message_hash(public_key, message), signature)
        )
    return verdicts
