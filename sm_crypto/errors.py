"""What can be wrong with keys, signatures, ciphertexts and engines."""

from __future__ import annotations


class InvalidSignature(Exception):
    """An SM2 signature is malformed or was not made by this key over this message."""


class InvalidKey(Exception):
    """Bytes are no usable SM2 key: wrong length, out of range, or not a point of the curve."""


class DecryptionFailed(Exception):
    """A ciphertext was changed, or made for another key."""


class EngineUnavailable(Exception):
    """What an engine needs is missing on this machine, or it failed its known-answer test; the message says which."""
