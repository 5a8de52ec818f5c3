"""Signed requests: the specification's test values, and a signature that verifies over exactly this request."""

import pytest

from node.http.signed_request import signed_request_digest
from sdk.request_signing import signed_headers
from sm_crypto import sm2

NONCE = bytes(range(16))


@pytest.mark.parametrize(
    ("method", "authority", "target", "body", "time_ms", "nonce", "expected"),
    [
        (
            "GET",
            "127.0.0.1:8545",
            b"/api/v1/access-records?department=11330100002489405Q&limit=50",
            b"",
            1764000000000,
            NONCE,
            "1100469bc529f09ed5d1b9204e60c88cc48b3e98f1cafb1ac8b370775340f7a3",
        ),
        (
            "post",
            "[::1]:8545",
            b"/api/v1/x?q=%E8%AF%81",
            b'{"a":1}',
            1764000000001,
            b"\xff" * 16,
            "4231a46e12a5f871197d154da71b930c3c895ba77206958a38519000f084e3ce",
        ),
    ],
)
def test_digest_is_that_of_the_specification(
    method: str, authority: str, target: bytes, body: bytes, time_ms: int, nonce: bytes, expected: str
) -> None:
    assert signed_request_digest(20250801, method, authority.encode(), target, body, time_ms, nonce).hex() == expected


def test_signature_covers_the_request_and_each_request_has_its_own_nonce() -> None:
    key = sm2.PrivateKey.generate()
    first = signed_headers(key, 7, "GET", "localhost:8545", b"/api/v1/x", b"")
    second = signed_headers(key, 7, "GET", "localhost:8545", b"/api/v1/x", b"")

    digest = signed_request_digest(
        7, "GET", b"localhost:8545", b"/api/v1/x", b"", int(first["Gov-Time"]), bytes.fromhex(first["Gov-Nonce"])
    )
    sm2.verify(bytes.fromhex(first["Gov-Key"]), digest, bytes.fromhex(first["Gov-Signature"]))
    assert first["Gov-Key"] == key.public_key.hex()
    assert first["Gov-Nonce"] != second["Gov-Nonce"]
