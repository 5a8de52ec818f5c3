"""The SM2 curve (GB/T 32918.5-2017): parameters, the checks on keys and signatures, and the signer's hash Z.

Every check here stands before every engine: none of the libraries below makes all of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sm_crypto.errors import InvalidKey
from sm_crypto.sm3 import sm3

P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC
B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
GX: Final = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
GY: Final = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0

SCALAR_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 64
SIGNATURE_BYTES: Final = 64
GENERATOR: Final = GX.to_bytes(32, "big") + GY.to_bytes(32, "big")

DEFAULT_USER_ID: Final = b"1234567812345678"
"""The user id that GM/T 0009 names for signers without one of their own."""
MAX_USER_ID_BYTES: Final = 8_191
"""The length of the user id is hashed as 16 bits of bit length (GB/T 32918.2, 5.5)."""

_CURVE_BYTES: Final = A.to_bytes(32, "big") + B.to_bytes(32, "big") + GENERATOR


def check_private_scalar(scalar: int) -> None:
    """Return when 1 <= scalar <= n - 2 (GB/T 32918.1, 6.1); raise InvalidKey otherwise, never showing the scalar."""
    if not 1 <= scalar <= N - 2:
        raise InvalidKey("expected an SM2 private key from 1 to n - 2, found one out of range; generate a new key")


def check_public_key(public_key: bytes) -> None:
    """Return when the 64 bytes x || y are a point of the curve; raise InvalidKey otherwise."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise InvalidKey(
            f"expected an SM2 public key of {PUBLIC_KEY_BYTES} bytes (x || y), found {len(public_key)} bytes"
        )
    if not is_curve_point(public_key):
        raise InvalidKey("expected an SM2 public key on the curve, found coordinates that are not a point of it")


@lru_cache(maxsize=16_384)
def is_curve_point(point: bytes) -> bool:
    """Return whether 64 bytes x || y are an affine point of the curve with coordinates below p; 3 us, 0.1 us again."""
    x = int.from_bytes(point[:32], "big")
    y = int.from_bytes(point[32:], "big")
    return x < P and y < P and (y * y - (x * x + A) * x - B) % P == 0


def is_signature_range(signature: bytes) -> bool:
    """Return whether 64 bytes r || s have 1 <= r, s < n and r + s != n (GB/T 32918.2, 7.1 B1, B2 and B5)."""
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    return 0 < r < N and 0 < s < N and r + s != N


@lru_cache(maxsize=16_384)
def signer_hash(public_key: bytes, user_id: bytes) -> bytes:
    """Return Z, the 32-byte hash of user id, curve and public key that a message is signed with (GB/T 32918.2, 5.5)."""
    if len(user_id) > MAX_USER_ID_BYTES:
        raise ValueError(f"expected a user id of at most {MAX_USER_ID_BYTES} bytes, found {len(user_id)}")
    return sm3((len(user_id) * 8).to_bytes(2, "big") + user_id + _CURVE_BYTES + public_key)


def message_hash(public_key: bytes, message: bytes, user_id: bytes = DEFAULT_USER_ID) -> bytes:
    """Return e = SM3(Z || message), the 32 bytes that the signature equation takes (GB/T 32918.2, 6.1 A1 and A2)."""
    return sm3(signer_hash(public_key, user_id) + message)
