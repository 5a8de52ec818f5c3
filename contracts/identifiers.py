"""Codes that name departments, certificate types and certificates, with the check characters that the standards give them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from contracts.refusals import Refused

ROOT_OID: Final = "1.2.156.3005.2."
"""What every certificate identifier begins with (GB/T 36904, as implemented)."""
MAX_IDENTIFIER_LENGTH: Final = 128
MAX_SERIAL_LENGTH: Final = 64
TYPE_CODE_LENGTH: Final = 21
FIRST_VERSION: Final = "001"
"""Of every certificate that renews none under its own serial."""

_USCC_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS: Final = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_USCC_VALUES: Final = {character: value for value, character in enumerate(_USCC_ALPHABET)}
_USCC_FORM: Final = re.compile(f"[{_USCC_ALPHABET}]{{18}}")

_ALPHANUMERIC: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TYPE_CODE_FORM: Final = re.compile(f"[{_USCC_ALPHABET}]{{18}}[0-9]{{3}}")
_IDENTIFIER_FORM: Final = re.compile(
    r"(?:1\.2\.156\.3005\.2\.)?"
    r"((?P<type>[0-9A-Z]{21})\.(?P<issuer>[0-9A-Z]{6,18}))"
    rf"\.(?P<serial>[0-9A-Z]{{1,{MAX_SERIAL_LENGTH}}})\.(?P<version>[0-9]{{3}})\.(?P<check>[0-9A-Z])"
)


class CertificateIdentifier(msgspec.Struct, frozen=True, gc=False):
    """The parts of a 证照标识 (GB/T 36904, as implemented): `text` is the whole of it in canonical form, root included."""

    text: str
    type_code: str
    """21 characters: the code of the body that defines the type, and a 3-digit serial."""
    issuer_code: str
    serial: str
    version: str
    check: str
    """The check character as given; `expected_check` tells what the rule gives."""
    expected_check: str


def is_uscc(code: str) -> bool:
    """Return whether `code` is a unified social credit code with the right check character (GB 32100)."""
    return _USCC_FORM.fullmatch(code) is not None and uscc_check_character(code[:17]) == code[17]


def uscc_check_character(body: str) -> str:
    """Return the check character of the first 17 characters of a code (GB 32100); raise ValueError on another alphabet or length."""
    if len(body) != len(_USCC_WEIGHTS) or any(character not in _USCC_VALUES for character in body):
        raise ValueError(f"expected 17 characters of {_USCC_ALPHABET}, found {body!r}")
    total = sum(_USCC_VALUES[character] * weight for character, weight in zip(body, _USCC_WEIGHTS, strict=True))
    return _USCC_ALPHABET[(31 - total % 31) % 31]


@lru_cache(maxsize=4096)
def verify_uscc(code: str) -> None:
    """Return if `code` is a unified social credit code (GB 32100); refuse USCC_MALFORMED or USCC_CHECK_CHARACTER otherwise."""
    if _USCC_FORM.fullmatch(code) is None:
        raise Refused("USCC_MALFORMED", found=code)
    expected = uscc_check_character(code[:17])
    if expected != code[17]:
        raise Refused("USCC_CHECK_CHARACTER", found=code, expected=expected)


def verify_type_code(code: str) -> None:
    """Return if `code` is 18 characters of a defining body's code and 3 digits (GB/T 36902, as implemented); refuse it otherwise."""
    if _TYPE_CODE_FORM.fullmatch(code) is None:
        raise Refused("TYPE_CODE_MALFORMED", found=code)
    verify_uscc(code[:18])


def parse_identifier(text: str) -> CertificateIdentifier:
    """Return the parts of an identifier given with or without its root; refuse IDENTIFIER_MALFORMED.

    A wrong check character is the caller's to judge: an error on a new identifier, a warning on one that is known.
    """
    match = _IDENTIFIER_FORM.fullmatch(text) if len(text) <= MAX_IDENTIFIER_LENGTH else None
    if match is None:
        raise Refused("IDENTIFIER_MALFORMED", found=text)
    prefix, type_code, issuer_code, serial, version, check = match.groups()
    if version == "000":
        raise Refused("IDENTIFIER_MALFORMED", found=text)
    expected = _finish(_advance(_state_after_prefix(prefix), serial + version))
    canonical = text if text.startswith(ROOT_OID) else ROOT_OID + text
    return CertificateIdentifier(canonical, type_code, issuer_code, serial, version, check, expected)


def identifier_check_character(body: str) -> str:
    """Return the check character over digits and capital letters (ISO 7064 MOD 37,36; GB/T 17710); raise ValueError on others."""
    if any(character not in _ALPHANUMERIC for character in body):
        raise ValueError(f"expected digits and capital letters, found {body!r}")
    return _finish(_advance(36, body))


def make_identifier(type_code: str, issuer_code: str, serial: str, version: str = FIRST_VERSION) -> str:
    """Return the identifier of these parts in canonical form, with its check character; refuse IDENTIFIER_MALFORMED."""
    body = f"{type_code}.{issuer_code}.{serial}.{version}"
    return parse_identifier(f"{ROOT_OID}{body}.{parse_identifier(body + '.0').expected_check}").text


def _next_states() -> dict[str, tuple[int, ...]]:
    """Return, per character, the state (1 to 36) that follows each state of the MOD 37,36 rule."""
    table = {}
    for value, character in enumerate(_ALPHANUMERIC):
        table[character] = tuple(2 * ((state + value) % 36 or 36) % 37 for state in range(37))
    return table


_NEXT_STATE: Final = _next_states()


def _advance(state: int, characters: str) -> int:
    for character in characters:
        state = _NEXT_STATE[character][state]
    return state


def _finish(state: int) -> str:
    return _ALPHANUMERIC[(37 - state) % 36]


@lru_cache(maxsize=4096)
def _state_after_prefix(prefix: str) -> int:
    """Return the state after type and issuer, which a department's certificates share."""
    return _advance(36, prefix.replace(".", ""))
