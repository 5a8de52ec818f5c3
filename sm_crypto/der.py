"""DER forms of SM2 signatures and keys (GM/T 0009, GM/T 0010; RFC 5480 and RFC 5915 with the SM2 curve's identifier)."""

from __future__ import annotations

from typing import Final

from sm_crypto.errors import InvalidKey
from sm_crypto.sm2_curve import PUBLIC_KEY_BYTES, check_public_key

# SEQUENCE { id-ecPublicKey 1.2.840.10045.2.1, SM2 curve 1.2.156.10197.1.301 }
_ALGORITHM: Final = bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d")
_PUBLIC_KEY_PREFIX: Final = b"\x30\x59" + _ALGORITHM + bytes.fromhex("03420004")
_PRIVATE_KEY_PREFIX: Final = bytes.fromhex("308187020100") + _ALGORITHM + bytes.fromhex("046d306b0201010420")
_PRIVATE_KEY_MIDDLE: Final = bytes.fromhex("a14403420004")


def encode_public_key(public_key: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of the 64 bytes x || y."""
    return _PUBLIC_KEY_PREFIX + public_key


def decode_public_key(info: bytes) -> bytes:
    """Return x || y of a SubjectPublicKeyInfo; raise InvalidKey unless it is an uncompressed SM2 key on the curve."""
    if len(info) != len(_PUBLIC_KEY_PREFIX) + PUBLIC_KEY_BYTES or not info.startswith(_PUBLIC_KEY_PREFIX):
        raise InvalidKey("expected an SM2 public key in DER with both coordinates, found another kind of key")
    public_key = info[len(_PUBLIC_KEY_PREFIX) :]
    check_public_key(public_key)
    return public_key


def encode_private_key(scalar: bytes, public_key: bytes) -> bytes:
    """Return the unencrypted PKCS #8 form of a 32-byte scalar and its public key; it never belongs in a file."""
    return _PRIVATE_KEY_PREFIX + scalar + _PRIVATE_KEY_MIDDLE + public_key


def encode_signature(signature: bytes) -> bytes:
    """Return the DER form, SEQUENCE of two INTEGER, of the 64 bytes r || s (GM/T 0009)."""
    body = b"".join(_der_integer(part) for part in (signature[:32], signature[32:]))
    return b"\x30" + bytes([len(body)]) + body


def decode_signature(der: bytes) -> bytes:
    """Return r || s of a DER signature; raise ValueError on any but the one DER form of it."""
    numbers: list[bytes] = []
    if len(der) >= 2 and der[0] == 0x30 and der[1] == len(der) - 2:
        position = 2
        while position + 2 <= len(der) and der[position] == 0x02 and len(numbers) < 2:
            end = position + 2 + der[position + 1]
            numbers.append(der[position + 2 : end].lstrip(b"\0").rjust(32, b"\0"))
            position = end
    signature = b"".join(numbers)
    if len(numbers) != 2 or len(signature) != 64 or encode_signature(signature) != der:
        raise ValueError("expected an SM2 signature in DER, found other bytes")
    return signature


def _der_integer(value: bytes) -> bytes:
    digits = value.lstrip(b"\0") or b"\0"
    if digits[0] & 0x80:
        digits = b"\0" + digits
    return b"\x02" + bytes([len(digits)]) + digits
