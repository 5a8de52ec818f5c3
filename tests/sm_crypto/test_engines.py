"""Engines: one corpus with one set of verdicts, the known-answer test, and how one is chosen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sm_crypto import engines, multibuffer, sm2
from sm_crypto.errors import EngineUnavailable, InvalidSignature
from sm_crypto.gmssl_engine import GmsslEngine
from sm_crypto.libcrypto import LibcryptoEngine
from sm_crypto.multibuffer import Multibuffer
from sm_crypto.sm2 import PrivateKey, verify_batch
from sm_crypto.sm2_curve import GENERATOR, N, message_hash
from sm_crypto.sm3 import sm3

Item = tuple[bytes, bytes, bytes]
KEYS = [PrivateKey(scalar) for scalar in (1, 2, 0x40, 12345, N - 2)]


@st.composite
def items(draw: st.DrawFn) -> Item:
    """A good signature, or one with some bytes of some field changed."""
    key = draw(st.sampled_from(KEYS))
    message = sm3(draw(st.binary(max_size=8)))
    fields = [bytearray(key.public_key), bytearray(message), bytearray(key.sign(message))]
    for _ in range(draw(st.integers(0, 2))):
        field = draw(st.sampled_from(fields))
        field[draw(st.integers(0, len(field) - 1))] = draw(st.integers(0, 255))
    return bytes(fields[0]), bytes(fields[1]), bytes(fields[2])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(items(), min_size=1, max_size=12))
def test_engines_agree(
    force_engine: Callable[[str | None], None], available_engines: tuple[str, ...], corpus: list[Item]
) -> None:
    verdicts = {}
    for name in available_engines:
        force_engine(name)
        # gmssl takes 15 ms each: it judges the first few.
        verdicts[name] = verify_batch(corpus if name != "gmssl" else corpus[:2])
    assert verdicts["gmssl"] == verdicts["openssl"][:2]
    assert verdicts.get("multibuffer", verdicts["openssl"]) == verdicts["openssl"]


def test_engines_multiply_alike() -> None:
    for scalar in (1, 2, 3, 0xFFFF, 2**255, N - 2, N - 1):
        for point in (None, KEYS[3].public_key):
            assert LibcryptoEngine().multiply(scalar, point) == GmsslEngine().multiply(scalar, point)


def test_engines_read_each_others_signatures() -> None:
    digest = sm3(b"digest")
    for key in KEYS:
        scalar = int.from_bytes(key.to_bytes(), "big")
        for signer, reader in ((LibcryptoEngine(), GmsslEngine()), (GmsslEngine(), LibcryptoEngine())):
            signature = signer.sign_digest(scalar, key.public_key, digest)
            assert reader.verify_digest(key.public_key, digest, signature)
            assert not reader.verify_digest(key.public_key, sm3(b"other"), signature)


def test_gmssl_takes_keys_that_begin_with_zeros_and_fours() -> None:
    """Its constructor would strip such digits; about one key in 256 begins with the byte 04."""
    scalar = next(s for s in range(1, 4000) if LibcryptoEngine().multiply(s)[0] == 4)
    public_key = LibcryptoEngine().multiply(scalar)
    signature = LibcryptoEngine().sign_digest(scalar, public_key, bytes(32))
    assert GmsslEngine().verify_digest(public_key, bytes(32), signature)


def test_a_sum_at_infinity_is_no_signature() -> None:
    """s G + t P is the point at infinity: no engine may take it, and none may crash on it."""
    key = PrivateKey(7)
    # s + 7 (r + s) = 0 mod n, so 8 s = -7 r.
    r = 1234
    s = -7 * r * pow(8, -1, N) % N
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    for engine in (LibcryptoEngine(), GmsslEngine()):
        assert engine.verify_digest(key.public_key, r.to_bytes(32, "big"), signature) is False


def test_a_sum_at_infinity_is_no_signature_in_lanes(engine: str) -> None:
    key = PrivateKey(7)
    r = 1234
    s = -7 * r * pow(8, -1, N) % N
    bad = (key.public_key, sm3(b"m"), r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    good = (key.public_key, sm3(b"m"), key.sign(sm3(b"m")))
    assert verify_batch([good, bad, good]) == [True, False, True]


@pytest.mark.parametrize("key", KEYS)
def test_no_engine_takes_infinity_for_a_point_with_x_0(
    available_engines: tuple[str, ...], force_engine: Callable[[str | None], None], key: PrivateKey
) -> None:
    """Who holds the key can make s G + t P infinite with r = e: a library that reads x = 0 there would take it, another not."""
    scalar, message = int.from_bytes(key.to_bytes(), "big"), sm3(b"m")
    r = int.from_bytes(message_hash(key.public_key, message), "big") % N
    s = -scalar * r * pow(1 + scalar, -1, N) % N
    bad = (key.public_key, message, r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    good = (key.public_key, message, key.sign(message))
    for engine in available_engines:
        force_engine(engine)
        assert verify_batch([good, bad, good]) == [True, False, True], engine
        with pytest.raises(InvalidSignature):
            sm2.verify(*bad)


class _YesEngine(LibcryptoEngine):
    """An engine that takes every signature."""

    def verify_digest(self, public_key: bytes, digest: bytes, signature: bytes) -> bool:
        return True


class _WrongLanes(Multibuffer):
    def __init__(self) -> None:
        """Load nothing."""

    def verify_many(self, public_keys: bytes, messages: bytes, signatures: bytes) -> bytes:
        return b"\x01" * (len(messages) // 32)


def test_an_engine_with_wrong_answers_is_not_used() -> None:
    with pytest.raises(EngineUnavailable, match="known-answer test"):
        engines.tested(_YesEngine())
    with pytest.raises(EngineUnavailable, match="known-answer test"):
        multibuffer.tested_lanes(_WrongLanes())


def test_gmssl_stands_in_where_libcrypto_lacks_sm2(
    force_engine: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_sm2() -> LibcryptoEngine:
        raise EngineUnavailable("built without SM2")

    def no_lanes() -> Multibuffer:
        raise EngineUnavailable("no AVX-512 IFMA")

    monkeypatch.setattr(engines, "LibcryptoEngine", no_sm2)
    monkeypatch.setattr(multibuffer, "Multibuffer", no_lanes)
    monkeypatch.setattr(engines, "Multibuffer", no_lanes)
    force_engine(None)
    report = sm2.engine_report()
    assert report["sm2_single"] == report["sm2_batch"] == "gmssl"
    assert report["slow_last_resort"] is True
    assert report["multibuffer"] is sm2.multibuffer_available() is False
    assert "no AVX-512 IFMA" in str(report["multibuffer_missing"])
    key = PrivateKey(5)
    assert verify_batch([(key.public_key, sm3(b"m"), key.sign(sm3(b"m")))]) == [True]
    force_engine("openssl")
    with pytest.raises(EngineUnavailable, match="without SM2"):
        engines.scalar_engine()
    force_engine("multibuffer")
    with pytest.raises(EngineUnavailable, match="no AVX-512 IFMA"):
        multibuffer.batch_engine()


def test_the_variable_forces_an_engine(engine: str) -> None:
    report = sm2.engine_report()
    assert report["forced"] == engine
    assert report["sm2_batch"] == engine
    assert report["multibuffer"] is (engine == "multibuffer")


def test_an_unknown_engine_is_named(force_engine: Callable[[str | None], None]) -> None:
    force_engine("opensll")
    with pytest.raises(EngineUnavailable, match=r"expected one of multibuffer, openssl, gmssl, found 'opensll'"):
        sm2.verify(GENERATOR, b"m", b"\x01" * 64)


def test_buffers_of_unequal_counts_are_refused(available_engines: tuple[str, ...]) -> None:
    if "multibuffer" not in available_engines:
        pytest.skip("no multi-buffer library here")
    library = Multibuffer()
    for keys, messages, signatures in ((64, 64, 128), (128, 64, 64), (128, 63, 128)):
        with pytest.raises(ValueError, match="as many keys"):
            library.verify_many(bytes(keys), bytes(messages), bytes(signatures))
    with pytest.raises(ValueError, match="messages of 3 bytes"):
        library.sm3_many([b"abc", b"ab"], 3)


def test_import_stays_light() -> None:
    """Heavy packages load only where they are used: an offline check starts in a moment."""
    heavy = ("gmssl", "OpenSSL", "asn1crypto", "cryptography")
    code = f"import sys, sm_crypto.sm2; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
