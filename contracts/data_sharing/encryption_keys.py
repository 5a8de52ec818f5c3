"""Encryption keys of departments: what others seal to them with. They sign one thing only, that they belong to their department."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.fields import Address, TimeMs, Uint64
from contracts.frame import Context
from contracts.records import Reader, Table
from contracts.refusals import Refused
from sm_crypto.errors import InvalidKey, InvalidSignature
from sm_crypto.sm2 import verify
from sm_crypto.sm3 import TaggedHash, sm3

ENCRYPTION_KEY_HASH: Final = TaggedHash("govnode/encryption-key/1")


class EncryptionKeyRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An encryption key of a department; `number` counts its keys from 1, `set_by` is the account that set it."""

    department: str
    number: Uint64
    public_key: bytes
    """64 bytes x || y on the SM2 curve."""
    set_ms: TimeMs
    set_by: Address


class KeyNumber(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Which of a department's encryption keys something is about."""

    department: str
    number: Uint64


class EncryptionKeyStatement(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What an encryption key says with the one signature that it ever makes: on which chain it belongs to which department."""

    genesis_hash: bytes
    department: str
    public_key: bytes

    @property
    def digest(self) -> bytes:
        """The 32 bytes that the key signs, as any message under the default user id."""
        return ENCRYPTION_KEY_HASH(msgspec.msgpack.encode(self))

    def is_signed_by_key(self, signature: bytes) -> bool:
        """Return whether `signature` (r || s) is that of the key itself."""
        try:
            verify(self.public_key, self.digest, signature)
        except (InvalidKey, InvalidSignature):
            return False
        return True


LATEST: Final = Table("members", 9, KeyNumber)
"""By department: its key at present."""
ENCRYPTION_KEYS: Final = Table("members", 10, EncryptionKeyRecord)
"""All keys, by number (8 bytes) and department."""
BY_KEY_ID: Final = Table("members", 11, KeyNumber)
"""By the last 20 bytes of SM3 of the key, which sealed content names its recipient by."""


def add_key(ctx: Context, department: str, public_key: bytes) -> EncryptionKeyRecord:
    """Make a key that nobody has used the department's present one, and return its record; refuse ENCRYPTION_KEY_USED."""
    key_id = sm3(public_key)[-20:]
    if BY_KEY_ID.has(ctx, key_id):
        raise Refused("ENCRYPTION_KEY_USED", found=key_id)
    latest = LATEST.load(ctx, department.encode())
    number = 1 if latest is None else latest.number + 1
    record = EncryptionKeyRecord(department, number, public_key, ctx.time_ms, ctx.sender)
    ENCRYPTION_KEYS.save(ctx, _name(department, number), record)
    for table, name in ((LATEST, department.encode()), (BY_KEY_ID, key_id)):
        table.save(ctx, name, KeyNumber(department, number))
    return record


def is_encryption_key(state: Reader, public_key: bytes) -> bool:
    """Return whether a 64-byte key is or was an encryption key of a department."""
    return BY_KEY_ID.has(state, sm3(public_key)[-20:])


def load_encryption_key(state: Reader, department: str, number: int = 0) -> EncryptionKeyRecord | None:
    """Return a department's encryption key, the present one without a `number`, or None."""
    if not number:
        latest = LATEST.load(state, department.encode())
        if latest is None:
            return None
        number = latest.number
    return ENCRYPTION_KEYS.load(state, _name(department, number))


def encryption_key_key(department: str, number: int) -> bytes:
    """Return the key in state of a department's encryption key, counted from 1."""
    return ENCRYPTION_KEYS.key(_name(department, number))


def _name(department: str, number: int) -> bytes:
    return number.to_bytes(8, "big") + department.encode()
