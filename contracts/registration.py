"""Registration of accounts: a key's own word that it is to act for a department, without which nobody can register it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sm_crypto.errors import InvalidKey, InvalidSignature
from sm_crypto.sm2 import verify
from sm_crypto.sm3 import TaggedHash

REGISTRATION_HASH = TaggedHash("govnode/account-registration/1")


class AccountRegistration(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the holder of a key agrees to: on which chain, for which department, under which name, with which roles at first."""

    genesis_hash: bytes
    department: str
    public_key: bytes
    name: str
    roles: Sequence[str]

    @property
    def digest(self) -> bytes:
        """The 32 bytes that the key signs, as any message under the default user id."""
        return REGISTRATION_HASH(msgspec.msgpack.encode(self))

    def is_signed_by_key(self, signature: bytes) -> bool:
        """Return whether `signature` (r || s) is that of the key that is to be registered."""
        try:
            verify(self.public_key, self.digest, signature)
        except (InvalidKey, InvalidSignature):
            return False
        return True
