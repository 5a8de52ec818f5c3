"""What a read says in its headers: token, nonce, case, and the official who asks; and the digests that both sides make of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from contracts.characters import has_control_character
from sdk.gateway.denials import Denied
from sdk.identity_numbers import has_resident_number
from sm_crypto.sm3 import hmac_sm3
from verification.access.reads import MAX_CASE_LENGTH, MAX_CASE_TYPE_LENGTH, NO_DIGEST, READ_NONCE_BYTES

TOKEN_HEADER: Final = "Authorization"  # noqa: S105 - the name of a header
NONCE_HEADER: Final = "Gov-Nonce"
CASE_HEADER: Final = "Gov-Case"
CASE_TYPE_HEADER: Final = "Gov-Case-Type"
OPERATOR_HEADER: Final = "Gov-Operator"
NUMBER_HEADER: Final = "Gov-Read-Number"
DIGEST_HEADER: Final = "Gov-Read-Digest"
RECEIPT_HEADER: Final = "Gov-Receipt"
TOKEN_SCHEME: Final = b"bearer "

_WANTED: Final = frozenset((b"authorization", b"gov-nonce", b"gov-case", b"gov-case-type", b"gov-operator"))
_HEX: Final = re.compile(rb"[0-9a-f]+")
_QUERY: Final = b"govnode/gateway-query/1\0"
_RESULT: Final = b"govnode/gateway-result/1\0"


class ReadHeaders(NamedTuple):
    """A read's headers: the token as it came, 16 random bytes, the case, and the official's 32-byte commitment or NO_DIGEST."""

    token: bytes
    nonce: bytes
    case_type: str
    case_number: str
    operator: bytes


def parse_read_headers(headers: Iterable[tuple[bytes, bytes]]) -> ReadHeaders:
    """Return what a read says in its headers, names in lower case; raise Denied TOKEN_REQUIRED or READ_HEADER_MALFORMED."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _WANTED:
            if name in found:
                raise Denied("READ_HEADER_MALFORMED", name.decode("ascii").title())
            found[name] = value
    authorization = found.get(b"authorization", b"")
    if authorization[: len(TOKEN_SCHEME)].lower() != TOKEN_SCHEME:
        raise Denied("TOKEN_REQUIRED")
    return ReadHeaders(
        authorization[len(TOKEN_SCHEME) :].strip(),
        _hex(found.get(b"gov-nonce", b""), NONCE_HEADER, READ_NONCE_BYTES),
        _text(found.get(b"gov-case-type", b""), CASE_TYPE_HEADER, MAX_CASE_TYPE_LENGTH),
        _text(found.get(b"gov-case", b""), CASE_HEADER, MAX_CASE_LENGTH),
        _hex(found[b"gov-operator"], OPERATOR_HEADER, 32) if b"gov-operator" in found else NO_DIGEST,
    )


def header_text(text: str) -> str:
    """Return a text as headers have it: UTF-8, percent-encoded."""
    return quote(text, safe=" -_.~()[]{}!*'+,:@=/")


def query_digest(nonce: bytes, method: str, target: bytes, body: bytes) -> bytes:
    """Return the 32 bytes that stand for what was asked; keyed by the nonce, which no record has: nobody can try out what it was."""
    return hmac_sm3(nonce, b"%b%b\n%b\n%b" % (_QUERY, method.encode("ascii"), target, body))


def result_digest(nonce: bytes, status: int, body: bytes) -> bytes:
    """Return the 32 bytes that stand for an answer as it left, likewise."""
    return hmac_sm3(nonce, b"%b%d\n%b" % (_RESULT, status, body))


def _hex(value: bytes, name: str, size: int) -> bytes:
    if len(value) != 2 * size or _HEX.fullmatch(value) is None:
        raise Denied("READ_HEADER_MALFORMED", name)
    return bytes.fromhex(value.decode("ascii"))


def _text(value: bytes, name: str, max_length: int) -> str:
    if not value:
        return ""
    try:
        text = unquote_to_bytes(value).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise Denied("READ_HEADER_MALFORMED", name) from None
    # Case and kind of case are recorded in clear.
    if len(text) > max_length or has_control_character(text) or has_resident_number(text):
        raise Denied("READ_HEADER_MALFORMED", name)
    return text
