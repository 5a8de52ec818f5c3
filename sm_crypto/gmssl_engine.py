"""SM2 through the pure-Python package gmssl: the last resort where libcrypto has no SM2, and an oracle for tests.

Slow (about 100 verifications a second) and its timing depends on the key. Known faults stand outside this use: it checks
no range and no curve membership (sm2_curve does), its decryption ignores the hash C3 (sm2.py decrypts itself), and its
constructor strips leading 0 and 4 digits from a public key (set here as an attribute instead).
"""

from __future__ import annotations

import secrets
from typing import Any

from sm_crypto.errors import EngineUnavailable, InvalidKey
from sm_crypto.sm2_curve import GENERATOR, N


class GmsslEngine:
    """SM2 signatures and scalar multiplication in pure Python."""

    name = "gmssl"

    def __init__(self) -> None:
        """Import gmssl; raise EngineUnavailable where it is not installed."""
        try:
            from gmssl import sm2
        except ImportError as error:
            raise EngineUnavailable(f"the package gmssl cannot be imported: {error}") from None
        self._sm2: Any = sm2
        self.version = "gmssl (pure Python)"

    def multiply(self, scalar: int, point: bytes | None = None) -> bytes:
        """Return scalar times `point` (64 bytes x || y, the generator when None) as x || y; 1 <= scalar < n."""
        product = self._crypt()._kg(scalar, (GENERATOR if point is None else point).hex())
        if product is None:
            raise InvalidKey("gmssl: scalar multiplication failed")
        return bytes.fromhex(product)

    def sign_digest(self, scalar: int, public_key: bytes, digest: bytes) -> bytes:
        """Return r || s over the 32-byte e with a fresh nonce."""
        crypt = self._crypt(scalar, public_key)
        while True:
            # gmssl returns None for the one nonce in 2^256 that the standard says to throw away.
            signature = crypt.sign(digest, f"{1 + secrets.randbelow(N - 1):064x}")
            if signature is not None:
                return bytes.fromhex(signature)

    def verify_digest(self, public_key: bytes, digest: bytes, signature: bytes) -> bool:
        """Return whether r || s is this key's signature over the 32-byte e."""
        try:
            return bool(self._crypt(public_key=public_key).verify(signature.hex(), digest))
        except TypeError:
            # gmssl has no point at infinity: a sum that comes to it is None further on. No signature verifies with it.
            return False

    def _crypt(self, scalar: int = 0, public_key: bytes = b"") -> Any:
        crypt = self._sm2.CryptSM2(private_key=f"{scalar:064x}", public_key="")
        crypt.public_key = public_key.hex()
        return crypt
