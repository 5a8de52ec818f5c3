"""Which engine does the SM2 and SM3 work: chosen at first use, after a known-answer test, and told to the start log.

`multibuffer` verifies SM2 in lanes of 8 and hashes SM3 in lanes of 16; `openssl` is libcrypto through ctypes; `gmssl` is
pure Python, for machines whose libcrypto lacks SM2. The environment variable GOVNODE_SM2_ENGINE forces one of them.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

from sm_crypto.errors import EngineUnavailable
from sm_crypto.gmssl_engine import GmsslEngine
from sm_crypto.known_answers import TEST_MESSAGE, TEST_PUBLIC_KEY, TEST_SCALAR, TEST_SIGNATURE
from sm_crypto.libcrypto import LibcryptoEngine
from sm_crypto.multibuffer import Multibuffer, batch_engine, forced_engine, tested_lanes
from sm_crypto.sm2_curve import message_hash


class Engine(Protocol):
    """What SM2 needs of a library; callers have checked ranges and points."""

    name: str
    version: str

    def multiply(self, scalar: int, point: bytes | None = None) -> bytes:
        """Return scalar times the 64-byte point x || y, or times the generator."""

    def sign_digest(self, scalar: int, public_key: bytes, digest: bytes) -> bytes:
        """Return r || s over the 32-byte e."""

    def verify_digest(self, public_key: bytes, digest: bytes, signature: bytes) -> bool:
        """Return whether r || s is this key's signature over the 32-byte e."""


@cache
def scalar_engine() -> Engine:
    """Return the engine for single operations: libcrypto, or gmssl where libcrypto has no SM2 or gmssl is forced."""
    if forced_engine() == "gmssl":
        return tested(GmsslEngine())
    try:
        return tested(LibcryptoEngine())
    except EngineUnavailable:
        if forced_engine() == "openssl":
            raise
        return tested(GmsslEngine())


def tested(engine: Engine) -> Engine:
    """Return the engine after its known-answer test; raise EngineUnavailable when an answer is wrong."""
    digest = message_hash(TEST_PUBLIC_KEY, TEST_MESSAGE)
    other = bytes([digest[0] ^ 1]) + digest[1:]
    if (
        engine.multiply(TEST_SCALAR) != TEST_PUBLIC_KEY
        or engine.multiply(TEST_SCALAR, engine.multiply(1)) != TEST_PUBLIC_KEY
        or not engine.verify_digest(TEST_PUBLIC_KEY, digest, TEST_SIGNATURE)
        or engine.verify_digest(TEST_PUBLIC_KEY, other, TEST_SIGNATURE)
        or not engine.verify_digest(TEST_PUBLIC_KEY, digest, engine.sign_digest(TEST_SCALAR, TEST_PUBLIC_KEY, digest))
    ):
        raise EngineUnavailable(f"{engine.version} failed its SM2 known-answer test")
    return engine


def engine_report() -> dict[str, str | bool]:
    """Return what the start log says: the engines in use, why a faster one is not, and what forces them."""
    scalar, batch, forced = scalar_engine(), batch_engine(), forced_engine()
    report: dict[str, str | bool] = {
        "sm2_single": scalar.name,
        "sm2_batch": scalar.name if batch is None else batch.name,
        "sm3_batch": "hashlib" if batch is None else batch.name,
        "library": scalar.version,
        "multibuffer": batch is not None,
        "slow_last_resort": scalar.name == "gmssl",
    }
    if forced is not None:
        report["forced"] = forced
    elif batch is None:
        report["multibuffer_missing"] = _missing_reason()
    return report


def _missing_reason() -> str:
    try:
        tested_lanes(Multibuffer())
    except EngineUnavailable as error:
        return str(error)
    return ""
