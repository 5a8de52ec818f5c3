"""Programs that call Ethereum's precompiles of curves, exponents, hashes and signatures with data that means something."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import product

from eth_keys.datatypes import PrivateKey

from tests.state_tests import assembly as op
from tests.state_tests.assembly import call, run
from tests.state_tests.messages import kept
from tests.state_tests.programs import GAS_LIMIT, MOST, Program, program

BN_PRIME = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47
BN_G2 = (
    0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2,
    0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
    0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B,
    0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA,
)
"""Generators of alt_bn128 (EIP-197) and BLS12-381 (EIP-2537)."""
BLS_PRIME = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
BLS_G1 = (
    0x17F1D3A73197D7942695638C4FA9AC0FC3688C4F9774B905A14E3A3F171BAC586C55E83FF97A1AEFFB3AF00ADB22C6BB,
    0x08B3F481E3AAA0F1A09E30ED741D8AE4FCF5E095D5D00AF600DB18CB2C04B3EDD03CC744A2888AE40CAA232946C5E7E1,
)
BLS_G2 = (
    0x024AA2B2F08F0A91260805272DC51051C6E47AD4FA403B02B4510B647AE3D1770BAC0326A805BBEFD48056C8C121BDB8,
    0x13E02B6052719F607DACD3A088274F65596BD0D09920B61AB5DA61BBDC7F5049334CF11213945D57E5AC7D055D042B7E,
    0x0CE5D527727D6E118CC9CDC6DA2E351AADFD9BAA8CBDD3A76D429A695160D12C923AC9CC3BACA289E193548608B82801,
    0x0606C4A02EA734CC32ACD2B02BC28B99CB3E287E85A763AF267492AB572E99AB3F370D275CEC1DA1AAA9075FF05F79BE,
)
BN_SCALARS = (0, 1, 2, 9, 2**128, BN_PRIME, MOST)
BN_POINTS = ((0, 0), (1, 2), (1, BN_PRIME - 2), (1, 3), (BN_PRIME + 1, 2))


def _words(*numbers: int, size: int = 32) -> bytes:
    return b"".join(number.to_bytes(size, "big") for number in numbers)


def curves() -> Iterator[Program]:
    """Precompiles of curves, exponents and hashes on points and numbers that mean something, and on ones just outside."""
    for name, number, data in _curve_data():
        to = number.to_bytes(20, "big")
        body = run(op.CALLDATACOPY, 0, 0, len(data)) + kept(call(op.CALL, to, data=len(data), output=0))
        yield name, program(body, data=data, gas=20 * GAS_LIMIT)


def _curve_data() -> Iterator[tuple[str, int, bytes]]:
    for left, right in product(BN_POINTS, repeat=2):
        yield f"bn add {left} {right}", 6, _words(*left, *right)
    for point, scalar in product(BN_POINTS[1:], BN_SCALARS):
        yield f"bn mul {point} {scalar}", 7, _words(*point, scalar)
    one, minus = _words(1, 2, *BN_G2), _words(1, BN_PRIME - 2, *BN_G2)
    for name, data in (("equal", one + minus), ("unequal", one + one), ("one", one), ("swapped", one[64:] + one[:64])):
        yield f"bn pairing {name}", 8, data
    g1, g2 = _words(*BLS_G1, size=64), _words(*BLS_G2, size=64)
    other = _words(BLS_G1[0], BLS_PRIME - BLS_G1[1], size=64)
    outside = _words(BLS_G1[0], BLS_G1[1] + 1, size=64)
    large = _words(BLS_PRIME, 0, size=64)
    for name, number, data in (
        ("g1 twice", 0x0B, g1 + g1),
        ("g1 and minus", 0x0B, g1 + other),
        ("g1 outside", 0x0B, g1 + outside),
        ("g1 large", 0x0B, g1 + large),
        ("g1 msm", 0x0C, g1 + _words(7) + other + _words(MOST)),
        ("g1 msm none", 0x0C, bytes(160)),
        ("g2 twice", 0x0D, g2 + g2),
        ("g2 and nothing", 0x0D, g2 + bytes(256)),
        ("g2 msm", 0x0E, g2 + _words(3)),
        ("pairing equal", 0x0F, g1 + g2 + other + g2),
        ("pairing unequal", 0x0F, g1 + g2),
        ("map fp", 0x10, _words(5, size=64)),
        ("map fp large", 0x10, _words(BLS_PRIME, size=64)),
        ("map fp2", 0x11, _words(5, 6, size=64)),
    ):
        yield f"bls {name}", number, data
    for base, exponent, modulus in product((0, 3, 2**64), (0, 1, 65_537, MOST), (0, 1, 7, 2**255 - 19)):
        yield f"modexp {base:x} {exponent:x} {modulus:x}", 5, _words(32, 32, 32, base, exponent, modulus)
    for lengths in (
        (0, 0, 0),
        (0, 2**64, 0),
        (1, 0, 1),
        (2**64, 0, 2**64),
        (0, MOST, 1),
        (40, 40, 1),
        (1, 33, 2),
        (0, 0, 1),
        (0, 0, 40),
    ):
        yield f"modexp lengths {lengths}", 5, _words(*lengths) + b"\x03" * 90
    yield "modexp nothing to the power of zero", 5, _words(0, 1, 1) + b"\x00\x05"
    for rounds, last in product((0, 1, 12, 2**32 - 1), (0, 1, 2)):
        yield f"blake2 {rounds} {last}", 9, rounds.to_bytes(4, "big") + bytes(range(208)) + bytes((last,))
    # The empty polynomial: its commitment and proof are the point at infinity, and it is zero everywhere (EIP-4844).
    infinity = b"\xc0" + bytes(47)
    versioned = b"\x01" + sha256(infinity).digest()[1:]
    for name, data in (
        ("zero", versioned + _words(9, 0) + infinity * 2),
        ("not zero", versioned + _words(9, 1) + infinity * 2),
        ("other version", b"\x02" + versioned[1:] + _words(9, 0) + infinity * 2),
    ):
        yield f"point {name}", 10, data
    digest = sha256(b"signed").digest()
    signature = PrivateKey(b"\x07" * 32).sign_msg_hash(digest)
    for v in (0, 1, 26, 27, 28, 29, 2**255):
        yield f"ecrecover {v:x}", 1, digest + _words(v, signature.r, signature.s)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    for r, s in ((0, 1), (1, 0), (order, 1), (1, order), (order - 1, order - 1)):
        yield f"ecrecover {r:x} {s:x}", 1, digest + _words(27, r, s)
