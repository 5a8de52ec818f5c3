"""SM3: the standard's digests, batches and Merkle levels against hashlib, HMAC, PBKDF2 and key derivation."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from gmssl import sm3 as gmssl_sm3
from hypothesis import given
from hypothesis import strategies as st

from sm_crypto.sm3 import (
    MAX_DERIVED_BYTES,
    TaggedHash,
    hmac_sm3,
    hmac_sm3_many,
    kdf_sm3,
    merkle_group_roots,
    merkle_level_above,
    pbkdf2_hmac_sm3,
    sm3,
    sm3_many,
)


def reference_root(hashes: list[bytes]) -> bytes:
    """The Merkle tree hash of RFC 6962, 2.1, by its recursive definition."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return sm3(b"\x01" + reference_root(hashes[:split]) + reference_root(hashes[split:]))


def test_standard_digests(vectors: Callable[[str], Any]) -> None:
    for vector in vectors("sm3")["digests"]:
        assert sm3(bytes.fromhex(vector["message"])).hex() == vector["digest"]
        assert sm3_many([bytes.fromhex(vector["message"])] * 40) == [bytes.fromhex(vector["digest"])] * 40


@given(st.binary(max_size=200))
def test_pure_python_agrees(message: bytes) -> None:
    assert sm3(message).hex() == gmssl_sm3.sm3_hash(list(message))


def test_tag_fills_the_first_block() -> None:
    assert TaggedHash("a/tag")(b"data") == sm3(b"a/tag".ljust(64, b"\0") + b"data")
    for tag in ("", "x" * 64):
        with pytest.raises(ValueError, match="63 ASCII bytes"):
            TaggedHash(tag)


def test_many_equal_lengths(engine: str) -> None:
    source = random.Random(1)
    for length in (0, 1, 31, 32, 55, 56, 63, 64, 65, 119, 120, 128, 383, 384, 385):
        for count in (1, 4, 5, 15, 16, 17, 40):
            messages = [source.randbytes(length) for _ in range(count)]
            assert sm3_many(messages) == [hashlib.new("sm3", message).digest() for message in messages], (length, count)
    assert sm3_many([]) == []


@given(st.lists(st.binary(max_size=130), max_size=40))
def test_many_mixed_lengths(messages: list[bytes]) -> None:
    assert sm3_many(messages) == [sm3(message) for message in messages]


def test_very_many_mixed_lengths(engine: str) -> None:
    source = random.Random(3)
    messages = [source.randbytes(source.choice([1, 33, 54, 200, 400])) for _ in range(300)] + [b"", bytes(77)]
    assert sm3_many(messages) == [hashlib.new("sm3", message).digest() for message in messages]


def test_group_roots(engine: str) -> None:
    source = random.Random(2)
    for sizes in ([1], [2], [3], [7, 1, 16], list(range(1, 34)), [1] * 50, [1000]):
        groups = [[source.randbytes(32) for _ in range(size)] for size in sizes]
        assert merkle_group_roots([b"".join(group) for group in groups]) == [reference_root(group) for group in groups]
    assert merkle_group_roots([]) == []


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9, 10, 11, 64, 129])
def test_a_level_above_hashes_pairs_and_moves_a_lone_last_node_up(engine: str, count: int) -> None:
    hashes = [sm3(bytes([number])) for number in range(count)]
    expected = [reference_root(hashes[start : start + 2]) for start in range(0, count, 2)]
    assert merkle_level_above(b"".join(hashes)) == b"".join(expected)
    with pytest.raises(ValueError, match="whole 32-byte hashes"):
        merkle_level_above(b"\0" * (32 * count + 1))


@pytest.mark.parametrize("bad", [b"", b"\0" * 31, b"\0" * 33])
def test_group_of_no_whole_hashes_is_refused(engine: str, bad: bytes) -> None:
    for groups in ([bad], [b"\0" * 640, bad], [bad, b"\0" * 640]):
        with pytest.raises(ValueError, match="whole 32-byte hashes"):
            merkle_group_roots(groups)


@given(st.binary(max_size=150), st.binary(max_size=150))
def test_hmac_follows_its_definition(key: bytes, message: bytes) -> None:
    padded = (sm3(key) if len(key) > 64 else key).ljust(64, b"\0")
    inner = sm3(bytes(byte ^ 0x36 for byte in padded) + message)
    assert hmac_sm3(key, message) == sm3(bytes(byte ^ 0x5C for byte in padded) + inner)


def test_password_derivation_follows_its_definition() -> None:
    rounds = [hmac_sm3(b"password", b"salt" + (1).to_bytes(4, "big"))]
    for _ in range(9):
        rounds.append(hmac_sm3(b"password", rounds[-1]))
    expected = 0
    for value in rounds:
        expected ^= int.from_bytes(value, "big")
    assert pbkdf2_hmac_sm3(b"password", b"salt", 10, 32) == expected.to_bytes(32, "big")


def test_openssl_agrees_on_hmac_and_password_derivation(openssl: Callable[..., Any]) -> None:
    found = openssl("dgst", "-sm3", "-mac", "HMAC", "-macopt", "hexkey:00010203", "-binary", text=b"message")
    assert found.stdout == hmac_sm3(bytes(range(4)), b"message")
    options = ["digest:SM3", "hexpass:70617373", "hexsalt:0011223344556677", "iter:1000"]
    arguments = [part for option in options for part in ("-kdfopt", option)]
    found = openssl("kdf", "-keylen", "40", *arguments, "-binary", "PBKDF2")
    assert found.stdout == pbkdf2_hmac_sm3(b"pass", bytes.fromhex("0011223344556677"), 1000, 40)


def test_derivation_is_digests_of_a_counter() -> None:
    stream = sm3(b"secret\0\0\0\x01") + sm3(b"secret\0\0\0\x02") + sm3(b"secret\0\0\0\x03")
    for length in (0, 1, 31, 32, 33, 64, 65, 96):
        assert kdf_sm3(b"secret", length) == stream[:length]
    for length in (-1, MAX_DERIVED_BYTES + 1):
        with pytest.raises(ValueError, match="expected a length"):
            kdf_sm3(b"secret", length)


def test_many_hmacs_are_what_each_is_alone() -> None:
    requests = [(bytes([number]) * (1 + number % 64), [b"m" * (number % 5), b"", b"x" * 300]) for number in range(200)]
    assert hmac_sm3_many(requests) == [[hmac_sm3(key, message) for message in messages] for key, messages in requests]
    assert hmac_sm3_many([(b"k", [])]) == [[]]
    with pytest.raises(ValueError, match="at most 64"):
        hmac_sm3_many([(b"k" * 65, [b""])])
