"""The EVM gives the same results whatever the machine's own libraries can do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

RIPEMD160 = (3).to_bytes(20, "big")
VECTORS = {
    b"": "9c1185a5c5e9fc54612808977ee8f548b2258d31",
    b"abc": "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc",
    b"1234567890" * 8: "9b752e45573d4b39f4dbd3323cab82bf63326bfb",
}
"""From the designers' page of RIPEMD-160."""


def test_ripemd160_needs_no_openssl_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL 3.0 before 3.0.7 and hardened builds have none: there the receipt would be another than everywhere else."""
    from contracts import registry
    from contracts.evm import PRECOMPILES, execute_message
    from contracts.evm_state import EvmBlock, EvmState

    new: Callable[..., Any] = hashlib.new

    def without_ripemd160(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "ripemd160":
            raise ValueError("unsupported hash type ripemd160")
        return new(name, *arguments, **options)

    monkeypatch.setattr(hashlib, "new", without_ripemd160)
    block = EvmBlock(5, 1_700_000_000_000, 77, 30_000_000, lambda address: 0, lambda height: None)
    for data, digest in VECTORS.items():
        state = EvmState(_Nothing(), block, registry.BY_ADDRESS, PRECOMPILES, 10_000)
        outcome = execute_message(state, b"\xaa" * 20, RIPEMD160, data, 100_000)
        assert (outcome.error, outcome.output.hex()) == (None, "00" * 12 + digest)


class _Nothing:
    """State that holds nothing."""

    def get(self, key: bytes) -> bytes | None:
        return None

    def set(self, key: bytes, value: bytes) -> None:
        raise AssertionError

    def delete(self, key: bytes) -> None:
        raise AssertionError
