"""SM4 (GB/T 32907) in Galois/counter mode: sealing with associated data (RFC 8998, AEAD_SM4_GCM)."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sm_crypto.errors import DecryptionFailed

KEY_BYTES: Final = 16
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


def seal(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes = b"") -> bytes:
    """Return ciphertext and 16-byte tag; a nonce (12 bytes) must never serve twice under one 16-byte key."""
    encryptor = Cipher(_algorithm(key), modes.GCM(_checked_nonce(nonce))).encryptor()
    encryptor.authenticate_additional_data(associated_data)
    return encryptor.update(plaintext) + encryptor.finalize() + encryptor.tag


def open_sealed(key: bytes, nonce: bytes, sealed: bytes, associated_data: bytes = b"") -> bytes:
    """Return the plaintext of what `seal` returned; raise DecryptionFailed when any byte of it, or the key, differs."""
    if len(sealed) < TAG_BYTES:
        raise DecryptionFailed(f"expected at least the {TAG_BYTES} bytes of an SM4-GCM tag, found {len(sealed)} bytes")
    decryptor = Cipher(_algorithm(key), modes.GCM(_checked_nonce(nonce), sealed[-TAG_BYTES:])).decryptor()
    decryptor.authenticate_additional_data(associated_data)
    try:
        return decryptor.update(sealed[:-TAG_BYTES]) + decryptor.finalize()
    except InvalidTag:
        raise DecryptionFailed("the sealed bytes were changed, or the key is another one") from None


def _algorithm(key: bytes) -> algorithms.SM4:
    if len(key) != KEY_BYTES:
        raise ValueError(f"expected an SM4 key of {KEY_BYTES} bytes, found {len(key)} bytes")
    return algorithms.SM4(key)


def _checked_nonce(nonce: bytes) -> bytes:
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"expected a nonce of {NONCE_BYTES} bytes, found {len(nonce)} bytes")
    return nonce
