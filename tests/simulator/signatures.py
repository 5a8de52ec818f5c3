"""Signatures in the simulator: a keyed SM3 digest instead of SM2, so that a run is fast and the same every time.

A signature is a 32-byte nonce and SM3(secret, nonce, message). The nonce keeps one property of SM2 that the rules rely on: a
signer can make any number of valid signatures over one message. Everything else of the node is the real thing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from sm_crypto import sm2
from sm_crypto.keystore import ADDRESS_BYTES
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

PACKAGES = ("consensus.", "contracts.", "node.")


@lru_cache(maxsize=256)
def public_key_of(name: str) -> bytes:
    """Return a real public key: contracts check that keys lie on the curve."""
    return PrivateKey.from_bytes(b"\0" + sm3(name.encode())[1:]).public_key


@lru_cache(maxsize=256)
def _secret_of(public_key: bytes) -> bytes:
    return sm3(b"simulated secret" + public_key)


class StandInSigner:
    """Signs as `sm_crypto.keystore.Signer` does, in the order of its calls."""

    def __init__(self, public_key: bytes) -> None:
        self.public_key = public_key
        self.address = sm3(public_key)[-ADDRESS_BYTES:]
        self.made: set[bytes] = set()
        """Every signature of this key."""

    def sign(self, message: bytes) -> bytes:
        nonce = sm3(len(self.made).to_bytes(8, "big") + self.public_key)
        signature = nonce + sm3(_secret_of(self.public_key) + nonce + message)
        self.made.add(signature)
        return signature


def verify_batch(items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Return for each (public key, message, signature) whether a StandInSigner of that key made it."""
    return [
        len(signature) == 64 and sm3(_secret_of(key) + signature[:32] + message) == signature[32:]
        for key, message, signature in items
    ]


@contextmanager
def stand_in_signatures() -> Iterator[None]:
    """Let every module of the node that checks SM2 signatures in batches check those of StandInSigner."""
    real = sm2.verify_batch
    replaced = [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith(PACKAGES) and getattr(module, "verify_batch", None) is real
    ]
    for module in replaced:
        vars(module)["verify_batch"] = verify_batch
    try:
        yield
    finally:
        for module in replaced:
            vars(module)["verify_batch"] = real
