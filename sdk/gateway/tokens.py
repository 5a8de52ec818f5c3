"""Tokens: what a signed request is exchanged for, so that not every read costs a signature; good for one account, grant and purpose.

A token is a statement under a key that lives as long as the gateway's process: nothing is stored, and a restart ends all of them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Annotated, Final, NamedTuple
from urllib.parse import quote

import msgspec

from contracts.accounts import RECORDER, REQUESTER
from contracts.characters import has_control_character
from sdk.gateway.denials import Denied
from sdk.identity_numbers import has_resident_number
from sm_crypto.sm3 import TaggedHash, hmac_sm3
from verification.access.reads import MAX_PURPOSE_LENGTH, MAX_SYSTEM_LENGTH

READING_ROLES: Final = frozenset({REQUESTER, RECORDER})
"""An account has one of them when it asks for a token, and at each read."""
TOKEN_KEY_BYTES: Final = 32
MAX_TOKEN_BYTES: Final = 2_048
MAX_TOKEN_REQUEST_BYTES: Final = 4_096
MAC_BYTES: Final = 32
MAX_KNOWN: Final = 4_096
"""Tokens whose claims are in memory; any other one is opened again."""
_PURPOSE: Final = b"govnode/gateway-token/1\0"
_SESSION_HASH = TaggedHash("govnode/gateway-session/1")


class TokenClaims(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """What a token stands for: the account (20 bytes) and department that signed for it, the grant (32 bytes), why, and until when."""

    account: bytes
    department: str
    grant: bytes
    purpose: str
    system: str
    expires_ms: int


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /gov/token: a grant as 64 hex digits, the purpose word for word, and the system that will read."""

    grant: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    purpose: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PURPOSE_LENGTH)]
    system: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SYSTEM_LENGTH)]


class IssuedToken(msgspec.Struct, frozen=True):
    """The answer: the token, and for how long it is good."""

    token: Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z_-]+$", max_length=MAX_TOKEN_BYTES)]
    life_ms: Annotated[int, msgspec.Meta(ge=0)]


_CLAIMS = msgspec.msgpack.Decoder(TokenClaims)
_REQUEST = msgspec.json.Decoder(TokenRequest)


def decode_token_request(raw: bytes) -> TokenRequest:
    """Return what a token is asked for; raise Denied TOKEN_REQUEST_MALFORMED."""
    try:
        asked = _REQUEST.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Denied("TOKEN_REQUEST_MALFORMED", str(error)[:200]) from None
    if has_control_character(asked.purpose) or has_control_character(asked.system):
        raise Denied("TOKEN_REQUEST_MALFORMED", "control character")
    if has_resident_number(asked.purpose) or has_resident_number(asked.system):
        raise Denied("TOKEN_REQUEST_MALFORMED", "identity number")
    return asked


def make_token(key: bytes, claims: TokenClaims) -> str:
    """Return the token that states this under a 32-byte key."""
    stated = msgspec.msgpack.encode(claims)
    return _text(_mac(key, stated) + stated).decode("ascii")


def open_token(key: bytes, token: bytes, now_ms: int) -> TokenClaims:
    """Return what a token stands for; raise Denied TOKEN_INVALID or TOKEN_EXPIRED."""
    if len(token) > MAX_TOKEN_BYTES:
        raise Denied("TOKEN_INVALID")
    try:
        raw = base64.b64decode(token + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Denied("TOKEN_INVALID") from None
    mac, stated = raw[:MAC_BYTES], raw[MAC_BYTES:]
    # Base64 has several texts for the same bytes; a read id holds the text, so that one token has to be one text.
    if token != _text(raw) or not hmac.compare_digest(mac, _mac(key, stated)):
        raise Denied("TOKEN_INVALID")
    claims: TokenClaims = _CLAIMS.decode(stated)
    if now_ms >= claims.expires_ms:
        raise Denied("TOKEN_EXPIRED")
    return claims


def session_digest(token: bytes) -> bytes:
    """Return the 32 bytes of a token that stand in the ids of the reads which are asked for with it."""
    return _SESSION_HASH(token)


class KnownToken(NamedTuple):
    """What a token stands for, and what follows from it for each of its reads: their session, and what the data service is told."""

    claims: TokenClaims
    session: bytes
    told: tuple[tuple[bytes, bytes], ...]


class TokenDesk:
    """Gives out tokens under a key of its own and opens them; for one thread at a time, but for `issue`."""

    def __init__(self, key: bytes) -> None:
        """Take 32 random bytes that nobody else has."""
        self._key = key
        self._known: dict[bytes, KnownToken] = {}

    def issue(self, claims: TokenClaims) -> str:
        """Return the token that states this."""
        return make_token(self._key, claims)

    def open(self, token: bytes, now_ms: int) -> KnownToken:
        """Return what a token stands for; raise Denied TOKEN_INVALID or TOKEN_EXPIRED."""
        known = self._known.get(token)
        if known is None:
            known = _know(open_token(self._key, token, now_ms), token)
            if len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[token] = known
        elif now_ms >= known.claims.expires_ms:
            del self._known[token]
            raise Denied("TOKEN_EXPIRED")
        return known


def _know(claims: TokenClaims, token: bytes) -> KnownToken:
    told = (("gov-consumer", claims.department), ("gov-grant", claims.grant.hex()), ("gov-system", claims.system))
    headers = tuple((name.encode("ascii"), quote(value, safe="").encode("ascii")) for name, value in told)
    return KnownToken(claims, session_digest(token), headers)


def _text(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _mac(key: bytes, stated: bytes) -> bytes:
    return hmac_sm3(key, _PURPOSE + stated)
