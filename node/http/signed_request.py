"""What the signature of an HTTP request covers (docs/spec/signed-requests.md): one form for those who sign and those who check."""

from __future__ import annotations

from sm_crypto.sm3 import TaggedHash, sm3

_REQUEST_HASH = TaggedHash("govnode/signed-request/1")


def signed_request_digest(
    chain_id: int, method: str, authority: bytes, target: bytes, body: bytes, time_ms: int, nonce: bytes
) -> bytes:
    """Return the 32 bytes that the signature covers; `authority` is the Host header, `target` path and query as on the wire."""
    lines = (
        b"%d" % chain_id,
        method.upper().encode("ascii"),
        authority.lower(),
        target,
        sm3(body).hex().encode("ascii"),
        b"%d" % time_ms,
        nonce.hex().encode("ascii"),
    )
    return _REQUEST_HASH(b"\n".join(lines))
