"""Sealing to a public key: what comes back, what does not open, and gmssl as the other implementation."""

from __future__ import annotations

import pytest
from gmssl import sm2 as gmssl_sm2
from gmssl import sm4 as gmssl_sm4
from hypothesis import given
from hypothesis import strategies as st

from sm_crypto.errors import DecryptionFailed, InvalidKey
from sm_crypto.sealing import (
    CHUNK_BYTES,
    HEADER_BYTES,
    SEALED_CHUNK_BYTES,
    ContentOpener,
    ContentSealer,
    key_id,
    open_with,
    seal_to,
    sealed_for,
    sealed_size,
)
from sm_crypto.sm2 import PrivateKey

KEY, OTHER = (PrivateKey.from_bytes(bytes(31) + bytes([n])) for n in (21, 22))
CONTEXT = b"grant 1"


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_what_was_sealed_opens_again(plaintext: bytes, context: bytes) -> None:
    sealed = seal_to(KEY.public_key, plaintext, context)
    assert open_with(KEY, sealed, context) == plaintext
    assert len(sealed) == sealed_size(len(plaintext))
    assert sealed_for(sealed) == key_id(KEY.public_key)


@pytest.mark.parametrize("size", [CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_contents_at_the_edges_of_chunks(size: int) -> None:
    plaintext = bytes(range(256)) * (size // 256 + 1)
    sealed = seal_to(KEY.public_key, plaintext[:size], CONTEXT)
    assert len(sealed) == sealed_size(size)
    assert open_with(KEY, sealed, CONTEXT) == plaintext[:size]


@given(st.data())
def test_a_changed_byte_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(seal_to(KEY.public_key, b"payload", CONTEXT))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DecryptionFailed):
        open_with(KEY, bytes(sealed), CONTEXT)


@given(st.binary(max_size=400))
def test_bytes_from_anywhere_do_not_open(raw: bytes) -> None:
    with pytest.raises(DecryptionFailed):
        open_with(KEY, raw, CONTEXT)
    with pytest.raises(DecryptionFailed):
        open_with(KEY, b"\x01" + key_id(KEY.public_key) + b"\x04" + raw, CONTEXT)


def test_another_key_or_context_does_not_open() -> None:
    sealed = seal_to(KEY.public_key, b"payload", CONTEXT)
    for key, context in ((OTHER, CONTEXT), (KEY, b"grant 2")):
        with pytest.raises(DecryptionFailed):
            open_with(key, sealed, context)
    readdressed = sealed[:1] + key_id(OTHER.public_key) + sealed[21:]
    with pytest.raises(DecryptionFailed):
        open_with(OTHER, readdressed, CONTEXT)
    with pytest.raises(InvalidKey):
        seal_to(bytes(64), b"payload", CONTEXT)


def test_chunks_left_out_exchanged_or_cut_off_do_not_open() -> None:
    sealed = seal_to(KEY.public_key, bytes(2 * CHUNK_BYTES) + b"end", CONTEXT)
    header, rest = sealed[:HEADER_BYTES], sealed[HEADER_BYTES:]
    first, second, last = rest[:SEALED_CHUNK_BYTES], rest[SEALED_CHUNK_BYTES:-19], rest[-19:]
    for chunks in (
        (first, last),
        (second, first, last),
        (first, second),
        (first, first, last),
        (first, second, last, last),
        (),
    ):
        with pytest.raises(DecryptionFailed):
            open_with(KEY, header + b"".join(chunks), CONTEXT)
    opener = ContentOpener(KEY, header, CONTEXT)
    assert opener.open(first, is_last=False) == opener.open(second, is_last=False) == bytes(CHUNK_BYTES)
    assert not opener.is_complete
    assert opener.open(last, is_last=True) == b"end"
    with pytest.raises(DecryptionFailed):
        opener.open(last, is_last=True)


def test_a_sealer_takes_whole_chunks_and_one_end() -> None:
    sealer = ContentSealer(KEY.public_key, CONTEXT)
    for chunk, is_last in ((b"short", False), (bytes(CHUNK_BYTES + 1), True)):
        with pytest.raises(ValueError, match="chunks"):
            sealer.seal(chunk, is_last=is_last)
    sealer.seal(b"all", is_last=True)
    with pytest.raises(ValueError, match="chunks"):
        sealer.seal(b"more", is_last=True)


def test_gmssl_opens_what_was_sealed() -> None:
    """An implementation of its own, from docs/spec/exchange.md: SM2 by gmssl, SM4 blocks by gmssl in counter mode."""
    plaintext = b"sealed content of more than one block of the cipher"
    sealed = seal_to(KEY.public_key, plaintext, CONTEXT)
    wrapped, chunk = sealed[21:HEADER_BYTES], sealed[HEADER_BYTES:]
    recipient = gmssl_sm2.CryptSM2(KEY.to_bytes().hex(), KEY.public_key.hex(), mode=1)
    content_key = recipient.decrypt(wrapped[1:])
    assert len(content_key) == 16
    cipher = gmssl_sm4.CryptSM4()
    cipher.set_key(content_key, gmssl_sm4.SM4_ENCRYPT)
    nonce = bytes(11) + b"\x01"  # chunk 0, the last one
    opened = b""
    for number in range(0, len(plaintext), 16):
        # Counter 1 masks the tag; the first block of the text has 2 (SP 800-38D).
        mask = bytes(cipher.one_round(cipher.sk, list(nonce + (number // 16 + 2).to_bytes(4, "big"))))
        opened += bytes(a ^ b for a, b in zip(chunk[number : number + 16], mask, strict=False))
    assert opened[: len(plaintext)] == plaintext
