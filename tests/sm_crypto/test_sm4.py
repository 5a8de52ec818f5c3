"""SM4: the standard's block, RFC 8998's GCM vector, and that nothing changed opens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gmssl import sm4 as gmssl_sm4
from hypothesis import given
from hypothesis import strategies as st

from sm_crypto.errors import DecryptionFailed
from sm_crypto.sm4 import open_sealed, seal

KEY, NONCE = bytes(range(16)), bytes(range(12))


def block_by_gmssl(key: bytes, block: bytes) -> bytes:
    cipher = gmssl_sm4.CryptSM4()
    cipher.set_key(key, gmssl_sm4.SM4_ENCRYPT)
    return bytes(cipher.one_round(cipher.sk, list(block)))


def test_standard_block(vectors: Callable[[str], Any]) -> None:
    vector = {name: bytes.fromhex(value) for name, value in vectors("sm4")["block"].items() if name != "source"}
    assert block_by_gmssl(vector["key"], vector["plaintext"]) == vector["ciphertext"]


def test_gcm_keystream_is_the_standards_block_cipher() -> None:
    """The first ciphertext block of GCM is the plaintext masked by the block cipher of nonce and counter 2."""
    mask = block_by_gmssl(KEY, NONCE + (2).to_bytes(4, "big"))
    assert seal(KEY, NONCE, bytes(16))[:16] == mask


def test_rfc_8998_vector(vectors: Callable[[str], Any]) -> None:
    vector = {name: bytes.fromhex(value) for name, value in vectors("sm4")["gcm"].items() if name != "source"}
    sealed = seal(vector["key"], vector["nonce"], vector["plaintext"], vector["associated_data"])
    assert sealed == vector["ciphertext"] + vector["tag"]
    assert open_sealed(vector["key"], vector["nonce"], sealed, vector["associated_data"]) == vector["plaintext"]


@given(st.binary(max_size=100), st.binary(max_size=40), st.data())
def test_a_changed_byte_does_not_open(plaintext: bytes, associated_data: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(KEY, NONCE, plaintext, associated_data))
    assert open_sealed(KEY, NONCE, bytes(sealed), associated_data) == plaintext
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DecryptionFailed):
        open_sealed(KEY, NONCE, bytes(sealed), associated_data)


def test_other_key_nonce_or_associated_data_does_not_open() -> None:
    sealed = seal(KEY, NONCE, b"text", b"data")
    for key, nonce, associated_data in (
        (KEY[::-1], NONCE, b"data"),
        (KEY, NONCE[::-1], b"data"),
        (KEY, NONCE, b"date"),
    ):
        with pytest.raises(DecryptionFailed):
            open_sealed(key, nonce, sealed, associated_data)


@given(st.binary(max_size=200))
def test_any_bytes_are_opened_or_refused(sealed: bytes) -> None:
    with pytest.raises(DecryptionFailed):
        open_sealed(KEY, NONCE, sealed)


def test_wrong_lengths_are_named() -> None:
    for key, nonce, message in ((b"k" * 15, NONCE, "SM4 key of 16"), (KEY, b"n" * 13, "nonce of 12")):
        with pytest.raises(ValueError, match=message):
            seal(key, nonce, b"")
        with pytest.raises(ValueError, match=message):
            open_sealed(key, nonce, b"\0" * 16)
