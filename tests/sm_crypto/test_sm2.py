"""SM2: the standard's examples, every field that can be wrong, batches, and public-key encryption, with each engine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sm_crypto import sm2, sm2_curve
from sm_crypto.engines import scalar_engine
from sm_crypto.errors import DecryptionFailed, InvalidKey, InvalidSignature
from sm_crypto.sm2 import PrivateKey, encrypt, verify, verify_batch
from sm_crypto.sm2_curve import GENERATOR, A, B, N, P, message_hash, signer_hash
from sm_crypto.sm3 import kdf_sm3, sm3

MESSAGE = sm3(b"an agreed message")


def as_bytes(vector: dict[str, str]) -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in vector.items() if name not in ("source", "name")}


@pytest.fixture
def signature(vectors: Callable[[str], Any]) -> dict[str, bytes]:
    return as_bytes(vectors("sm2")["signature"])


def test_standard_signature(engine: str, signature: dict[str, bytes]) -> None:
    key = PrivateKey.from_bytes(signature["private_key"])
    assert key.public_key == signature["public_key"]
    assert signer_hash(key.public_key, signature["user_id"]) == signature["z"]
    assert message_hash(key.public_key, signature["message"], signature["user_id"]) == signature["e"]
    verify(key.public_key, signature["message"], signature["r"] + signature["s"], signature["user_id"])
    verify(key.public_key, signature["message"], signature["r"] + signature["s"])


def test_standard_signature_from_its_nonce(engine: str, signature: dict[str, bytes]) -> None:
    """r = e + x(kG) and s = (k - r d) / (1 + d): the engine's arithmetic gives the standard's own numbers."""
    nonce, scalar = (int.from_bytes(signature[name], "big") for name in ("nonce", "private_key"))
    x = int.from_bytes(scalar_engine().multiply(nonce)[:32], "big")
    r = (int.from_bytes(signature["e"], "big") + x) % N
    s = pow(1 + scalar, -1, N) * (nonce - r * scalar) % N
    assert r.to_bytes(32, "big") + s.to_bytes(32, "big") == signature["r"] + signature["s"]


def test_own_signatures(engine: str) -> None:
    for raw in (1, 2, N - 2):
        key = PrivateKey(raw)
        assert PrivateKey.from_bytes(key.to_bytes()).public_key == key.public_key
        for message in (b"", b"short", MESSAGE, bytes(1000)):
            signature = key.sign(message)
            verify(key.public_key, message, signature)
            with pytest.raises(InvalidSignature):
                verify(key.public_key, message + b"\0", signature)
        with_id = key.sign(MESSAGE, b"ALICE123@YAHOO.COM")
        verify(key.public_key, MESSAGE, with_id, b"ALICE123@YAHOO.COM")
        with pytest.raises(InvalidSignature):
            verify(key.public_key, MESSAGE, with_id)


def test_wrong_signatures_are_refused(
    engine: str, vectors: Callable[[str], Any], signature: dict[str, bytes], subtests: pytest.Subtests
) -> None:
    for vector in vectors("sm2_negative")["signatures"]:
        with subtests.test(vector["name"]):
            changed = signature | as_bytes(vector)
            with pytest.raises(InvalidSignature):
                verify(changed["public_key"], changed["message"], changed["r"] + changed["s"], changed["user_id"])


def test_wrong_signatures_are_refused_in_a_batch(
    engine: str, vectors: Callable[[str], Any], signature: dict[str, bytes]
) -> None:
    """Every change of r, s, key and message, among good ones, over a message of 32 bytes."""
    key = PrivateKey.from_bytes(signature["private_key"])
    good = (key.public_key, MESSAGE, key.sign(MESSAGE))
    items, expected = [good], [True]
    for vector in vectors("sm2_negative")["signatures"]:
        if "message" in vector or "user_id" in vector:
            continue
        own = {"r": good[2][:32], "s": good[2][32:], "public_key": good[0]} | as_bytes(vector)
        items += [(own["public_key"], MESSAGE, own["r"] + own["s"]), good]
        expected += [False, True]
    for vector in vectors("sm2_negative")["public_keys"]:
        items += [(bytes.fromhex(vector["public_key"]), MESSAGE, good[2]), good]
        expected += [False, True]
    items += [(good[0], MESSAGE[::-1], good[2]), (good[0], MESSAGE, b""), good]
    expected += [False, False, True]
    assert verify_batch(items) == expected


def test_s_plus_n_is_refused(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature with s small enough that s + n has 32 bytes: the equation holds for both, the range for one.

    With s, r and the key chosen, e = r - x(sG + (r + s)P) makes the signature true; no message leads to such an e in
    reasonable time, so the test hands in e.
    """
    key = PrivateKey(7)
    s, r = 5, 0x1234
    nonce = (s + (r + s) * 7) % N
    e = (r - int.from_bytes(scalar_engine().multiply(nonce)[:32], "big")) % N
    monkeypatch.setattr(sm2, "message_hash", lambda *_: e.to_bytes(32, "big"))

    def attempt(r: int, s: int) -> None:
        verify(key.public_key, b"any", r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    attempt(r, s)
    for numbers in ((r, s + N), (r + N, s), (r + N, s + N)):
        with pytest.raises(InvalidSignature):
            attempt(*numbers)


def test_wrong_public_keys_are_refused(engine: str, vectors: Callable[[str], Any], subtests: pytest.Subtests) -> None:
    for vector in vectors("sm2_negative")["public_keys"]:
        with subtests.test(vector["name"]):
            public_key = bytes.fromhex(vector["public_key"])
            for attempt in (
                lambda key=public_key: sm2.check_public_key(key),
                lambda key=public_key: verify(key, MESSAGE, b"\x01" * 64),
                lambda key=public_key: encrypt(key, b"text"),
            ):
                with pytest.raises(InvalidKey, match="expected an SM2 public key"):
                    attempt()


def test_coordinates_beyond_the_field_are_refused() -> None:
    """(0, root of b) is on the curve; the same point written with x = p is not a second name for it."""
    y = pow(B, (P + 1) // 4, P)
    assert y * y % P == B
    sm2.check_public_key(bytes(32) + y.to_bytes(32, "big"))
    with pytest.raises(InvalidKey):
        sm2.check_public_key(P.to_bytes(32, "big") + y.to_bytes(32, "big"))


def test_parameters_are_those_of_the_standard() -> None:
    sm2.check_public_key(GENERATOR)
    assert (A + 3) % P == 0
    assert scalar_engine().multiply(N - 1)[:32] == GENERATOR[:32]


def test_wrong_private_keys_are_refused(engine: str, vectors: Callable[[str], Any]) -> None:
    for vector in vectors("sm2_negative")["private_keys"]:
        with pytest.raises(InvalidKey, match="expected an SM2 private key"):
            PrivateKey.from_bytes(bytes.fromhex(vector["private_key"]))


def test_a_key_does_not_show_itself() -> None:
    key = PrivateKey.generate()
    assert key.to_bytes().hex() not in repr(key)
    with pytest.raises(InvalidKey) as refusal:
        PrivateKey(N + 12345)
    assert str(N + 12345) not in str(refusal.value)


def test_batches_of_every_size(engine: str) -> None:
    keys = [PrivateKey(scalar) for scalar in (3, 5, 7)]
    items = []
    for index in range(17):
        key, message = keys[index % 3], sm3(bytes([index]))
        items.append((key.public_key, message, key.sign(message)))
    sizes = (0, 1, 7, 8, 9, 17) if engine != "gmssl" else (0, 1, 3)
    for size in sizes:
        assert verify_batch(items[:size]) == [True] * size
        for bad in range(size):
            wrong = list(items[:size])
            wrong[bad] = (wrong[bad][0], sm3(b"another"), wrong[bad][2])
            if engine != "gmssl" or bad == 0:
                assert verify_batch(wrong) == [index != bad for index in range(size)]
    assert verify_batch([(b"", MESSAGE, b"")] * 9) == [False] * 9


def test_batch_messages_have_32_bytes(engine: str) -> None:
    for message in (b"", bytes(31), bytes(33), bytes(64)):
        with pytest.raises(ValueError, match="messages of 32 bytes"):
            verify_batch([(GENERATOR, message, bytes(64))])


def test_threads_share_the_engine() -> None:
    items = []
    for scalar in range(1, 25):
        key = PrivateKey(scalar)
        items.append((key.public_key, MESSAGE, key.sign(MESSAGE)))
    with ThreadPoolExecutor(4) as pool:
        for verdicts in pool.map(verify_batch, [items] * 8):
            assert all(verdicts)
        list(pool.map(lambda item: verify(*item), items * 2))


def test_standard_encryption(engine: str, vectors: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    vector = as_bytes(vectors("sm2")["encryption"])
    key = PrivateKey.from_bytes(vector["private_key"])
    ciphertext = vector["c1"] + vector["c3"] + vector["c2"]
    assert key.decrypt(ciphertext) == vector["plaintext"]
    nonce = int.from_bytes(vector["nonce"], "big")
    monkeypatch.setattr("secrets.randbelow", lambda _: nonce - 1)
    assert encrypt(key.public_key, vector["plaintext"]) == ciphertext


def test_encryption_round_trips(engine: str) -> None:
    key = PrivateKey.generate()
    for length in (1, 2, 31, 32, 33, 1000):
        plaintext = bytes(range(256)) * 4
        ciphertext = encrypt(key.public_key, plaintext[:length])
        assert len(ciphertext) == sm2.CIPHERTEXT_OVERHEAD_BYTES + length
        assert key.decrypt(ciphertext) == plaintext[:length]


def test_a_changed_ciphertext_is_refused() -> None:
    key = PrivateKey.generate()
    ciphertext = encrypt(key.public_key, b"for your eyes")
    for position in range(len(ciphertext)):
        changed = bytearray(ciphertext)
        changed[position] ^= 1
        with pytest.raises(DecryptionFailed):
            key.decrypt(bytes(changed))
    with pytest.raises(DecryptionFailed):
        PrivateKey.generate().decrypt(ciphertext)
    for wrong in (b"", ciphertext[:97], ciphertext[:-1], ciphertext + b"\0", bytes(2 * sm2.MAX_PLAINTEXT_BYTES)):
        with pytest.raises(DecryptionFailed):
            key.decrypt(wrong)


def test_plaintext_limits() -> None:
    for plaintext in (b"", bytes(sm2.MAX_PLAINTEXT_BYTES + 1)):
        with pytest.raises(ValueError, match="plaintext of 1 to"):
            encrypt(GENERATOR, plaintext)


def test_a_mask_of_zeros_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 256 one-byte plaintexts would go out as it is; the standard has the sender draw another nonce."""
    key = PrivateKey(9)
    draws = iter(range(10_000))
    masks = []
    derive = kdf_sm3

    def watched(secret: bytes, length: int) -> bytes:
        masks.append(derive(secret, length))
        return masks[-1]

    monkeypatch.setattr("secrets.randbelow", lambda _: next(draws))
    monkeypatch.setattr(sm2, "kdf_sm3", watched)
    while b"\0" not in masks:
        ciphertext = encrypt(key.public_key, b"A")
        assert ciphertext[-1:] != b"A"
        assert key.decrypt(ciphertext) == b"A"


def test_user_ids_have_a_limit() -> None:
    key = PrivateKey(3)
    verify(key.public_key, b"m", key.sign(b"m", bytes(sm2_curve.MAX_USER_ID_BYTES)), bytes(sm2_curve.MAX_USER_ID_BYTES))
    with pytest.raises(ValueError, match="user id of at most"):
        key.sign(b"m", bytes(sm2_curve.MAX_USER_ID_BYTES + 1))
