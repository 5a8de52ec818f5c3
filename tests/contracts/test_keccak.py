"""Keccak-256 against the digests that Ethereum's papers give and against another implementation."""

from __future__ import annotations

import pytest
from Crypto.Hash import keccak as other_keccak
from hypothesis import given
from hypothesis import strategies as st

from contracts.keccak import keccak


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        # Ethereum's yellow paper: KEC(()), the code hash of an account without code.
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        # EIP-1052 and the yellow paper: the root of an empty tree, KEC(RLP(())).
        (b"\x80", "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"),
        # ERC-20: Transfer(address,address,uint256).
        (
            b"Transfer(address,address,uint256)",
            "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
        ),
    ],
)
def test_known_digests(data: bytes, digest: str) -> None:
    assert keccak(data).hex() == digest


@given(st.binary(max_size=600))
def test_another_implementation_gives_the_same(data: bytes) -> None:
    assert keccak(data) == other_keccak.new(digest_bits=256, data=data).digest()
