"""The national algorithms for EVM contracts: SM3, SM2 verification, opening of SM4-GCM, and Merkle proofs of anchored batches.

Written by generators/system_contracts.py from the contract's declarations: edit those.
"""

from __future__ import annotations

from collections.abc import Sequence

from contracts.crypto import Opened
from sdk.client import Client
from sdk.system_contracts.answer import ask


class Crypto:
    """The system contract `crypto` on the network of a client."""

    def __init__(self, client: Client) -> None:
        """Ask through `client`."""
        self._client = client

    def sm3(self, data: bytes) -> bytes:
        """Return the SM3 digest of `data` (GB/T 32905-2016)."""
        found: bytes = ask(self._client, "crypto", "sm3", data=data)
        return found

    def sm2_verify(self, *, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Return whether `signature` (r || s) over `message` is by `public_key` (x || y), with the default user id (GB/T 32918.2-2016)."""
        found: bool = ask(
            self._client,
            "crypto",
            "sm2_verify",
            public_key=public_key,
            message=message,
            signature=signature,
        )
        return found

    def sm4_gcm_open(self, *, key: bytes, nonce: bytes, sealed_text: bytes, associated_data: bytes) -> Opened:
        """Return what `sealed_text` (ciphertext || 16-byte tag) holds under a key that has been revealed (GB/T 32907-2016, GCM)."""
        found: Opened = ask(
            self._client,
            "crypto",
            "sm4_gcm_open",
            key=key,
            nonce=nonce,
            sealed_text=sealed_text,
            associated_data=associated_data,
        )
        return found

    def merkle_verify(self, *, root: bytes, leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bool:
        """Return whether `leaf` is number `index` of the `count` under an anchored `root` (RFC 6962 section 2.1 with SM3)."""
        found: bool = ask(
            self._client,
            "crypto",
            "merkle_verify",
            root=root,
            leaf=leaf,
            index=index,
            count=count,
            path=list(path),
        )
        return found
