"""What stands for a holder on the ledger: a keyed commitment that nobody can enumerate."""

from __future__ import annotations

import json
from typing import Final

import msgspec

from sm_crypto.sm3 import hmac_sm3

HOLDER_SECRET_SIZE: Final = 32


class Holder(msgspec.Struct, frozen=True):
    """Who a certificate is for: kind of code (such as 001 or 111), code and name. Never leaves the issuer as it is."""

    code_type: str
    code: str
    name: str


def holder_salt(secret: bytes, identifier: str) -> bytes:
    """Return the 32-byte key of one certificate's commitment: what the issuer may show to open that one and no other."""
    return hmac_sm3(secret, holder_salt_message(identifier))


def holder_salt_message(identifier: str) -> bytes:
    """Return what a certificate's holder salt is the HMAC of."""
    return b"govnode/holder-salt/1\0" + identifier.encode("utf-8")


def holder_commitment(salt: bytes, holder: Holder) -> bytes:
    """Return the 32 bytes that stand for the holder on the ledger: HMAC-SM3 under the certificate's own key."""
    return hmac_sm3(salt, holder_message(holder))


def holder_message(holder: Holder) -> bytes:
    """Return what a holder's commitment is the HMAC of."""
    return canonical_json([holder.code_type, holder.code, holder.name])


def canonical_json(value: object) -> bytes:
    """Return JSON with sorted names, no spaces, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")
