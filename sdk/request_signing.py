"""Signs HTTP requests with an account's SM2 key, as docs/spec/signed-requests.md says."""

from __future__ import annotations

import secrets
import time
from typing import Final, Protocol

from sm_crypto.sm3 import TaggedHash, sm3

NONCE_SIZE: Final = 16

_REQUEST_HASH = TaggedHash("govnode/signed-request/1")


class RequestSigner(Protocol):
    """What a signed request needs of a key: sm_crypto.keystore.Signer has it."""

    @property
    def public_key(self) -> bytes:
        """The 64-byte SM2 public key x || y."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte SM2 signature r || s over `message` under the default user id."""


def request_digest(
    chain_id: int, method: str, authority: str, target: bytes, body: bytes, time_ms: int, nonce: bytes
) -> bytes:
    """Return the 32 bytes that a request's signature covers; `target` is path and query as they go onto the wire."""
    lines = (
        b"%d" % chain_id,
        method.upper().encode("ascii"),
        authority.lower().encode("ascii"),
        target,
        sm3(body).hex().encode("ascii"),
        b"%d" % time_ms,
        nonce.hex().encode("ascii"),
    )
    return _REQUEST_HASH(b"\n".join(lines))


def signed_headers(
    signer: RequestSigner, chain_id: int, method: str, authority: str, target: bytes, body: bytes
) -> dict[str, str]:
    """Return the four headers that sign this request now, with a fresh nonce."""
    time_ms = time.time_ns() // 1_000_000
    nonce = secrets.token_bytes(NONCE_SIZE)
    digest = request_digest(chain_id, method, authority, target, body, time_ms, nonce)
    return {
        "Gov-Key": signer.public_key.hex(),
        "Gov-Time": str(time_ms),
        "Gov-Nonce": nonce.hex(),
        "Gov-Signature": signer.sign(digest).hex(),
    }
