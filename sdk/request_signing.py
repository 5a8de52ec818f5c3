"""Signs HTTP requests with an account's SM2 key, as docs/spec/signed-requests.md says."""

from __future__ import annotations

import secrets
import time
from typing import Final, Protocol

from node.http.signed_request import signed_request_digest

NONCE_SIZE: Final = 16


class RequestSigner(Protocol):
    """What a signed request needs of a key: sm_crypto.keystore.Signer has it."""

    @property
    def public_key(self) -> bytes:
        """The 64-byte SM2 public key x || y."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte SM2 signature r || s over `message` under the default user id."""


def signed_headers(
    signer: RequestSigner, chain_id: int, method: str, authority: str, target: bytes, body: bytes
) -> dict[str, str]:
    """Return the four headers that sign this request now, with a fresh nonce."""
    time_ms = time.time_ns() // 1_000_000
    nonce = secrets.token_bytes(NONCE_SIZE)
    digest = signed_request_digest(chain_id, method, authority.encode("ascii"), target, body, time_ms, nonce)
    return {
        "Gov-Key": signer.public_key.hex(),
        "Gov-Time": str(time_ms),
        "Gov-Nonce": nonce.hex(),
        "Gov-Signature": signer.sign(digest).hex(),
    }
