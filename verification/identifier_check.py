"""What can be said about a certificate identifier without a node: its parts, and every finding with a code.

What the two check rules promise (tests/verification/test_identifier_check.py holds them to it):

- ISO 7064 MOD 37,36 over type, issuer, serial and version notices every change of one character. It notices the exchange of two
  neighbours except where they are consecutive (0 and 1, 1 and 2, ... Z and 0) and the sum before them has one value of 36.
- The weights of GB 32100 notice every change of one character and every exchange of two neighbours in a credit code.
- The dots are under neither rule. Fixed lengths notice one that moved: type 21, issuer 18 (or a region code of 6), version 3, check 1.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from contracts.characters import replace_control_characters
from contracts.identifiers import (
    MAX_IDENTIFIER_LENGTH,
    MAX_SERIAL_LENGTH,
    ROOT_OID,
    CertificateIdentifier,
    is_uscc,
    parse_identifier,
    uscc_check_character,
)
from contracts.refusals import Refused

Severity: TypeAlias = Literal["error", "warning"]

USCC_LENGTH: Final = 18
REGION_CODE_LENGTH: Final = 6
MAX_SHOWN_LENGTH: Final = 60
_PART_NAMES: Final = (
    ("类型代码", "type code"),
    ("颁发机构代码", "issuer code"),
    ("流水号", "serial"),
    ("版本号", "version"),
)
_CAPITALS: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Finding(msgspec.Struct, frozen=True):
    """One thing found: its code, whether it makes the identifier unusable, and what it means."""

    code: str
    severity: Severity
    zh: str
    en: str


class IdentifierReport(msgspec.Struct, frozen=True):
    """What a text is as a 证照标识: `parts` is None when it is not of that form, and `findings` then says why."""

    text: str
    parts: CertificateIdentifier | None
    findings: tuple[Finding, ...]

    @property
    def is_usable(self) -> bool:
        """Whether nothing found is an error; warnings leave an identifier usable where the ledger knows it."""
        return all(finding.severity != "error" for finding in self.findings)


def check_identifier(text: str) -> IdentifierReport:
    """Return the parts of an identifier, given with or without its root, and everything found about it (GB/T 36904, as implemented)."""
    try:
        parts = parse_identifier(text)
    except Refused:
        return IdentifierReport(_shown(text), None, (_malformed(text),))
    findings = (_check_character(parts), _type_code(parts.type_code), _issuer_code(parts.issuer_code))
    return IdentifierReport(parts.text, parts, tuple(finding for finding in findings if finding is not None))


def _check_character(parts: CertificateIdentifier) -> Finding | None:
    if parts.check == parts.expected_check:
        return None
    return Finding(
        "CHECK_CHARACTER_MISMATCH",
        "warning",
        f"校验位是 {parts.check}，按 GB/T 17710 应为 {parts.expected_check}：请核对录入；账本上已有的标识仅作提示，新颁发时不予接受",
        f"the check character is {parts.check}, GB/T 17710 gives {parts.expected_check}: look for a typing error; "
        "a warning where the ledger knows the identifier, an error when a new one is issued",
    )


def _type_code(code: str) -> Finding | None:
    body, serial = code[:USCC_LENGTH], code[USCC_LENGTH:]
    if not (serial.isascii() and serial.isdigit()):
        return Finding(
            "TYPE_CODE_MALFORMED",
            "error",
            f"类型代码 {code} 应以 3 位数字流水结尾，实为 {serial}",
            f"expected the type code {code} to end in a serial of 3 digits, found {serial}",
        )
    if is_uscc(body):
        return None
    expected = _expected_uscc_check(body)
    return Finding(
        "TYPE_CODE_NOT_USCC",
        "warning",
        f"类型代码前 18 位 {body} 不是正确的统一社会信用代码（GB 32100）{f'，校验位应为 {expected}' if expected else ''}",
        f"the first 18 characters of the type code, {body}, are no right unified social credit code (GB 32100)"
        + (f": its check character should be {expected}" if expected else ""),
    )


def _issuer_code(code: str) -> Finding | None:
    if is_uscc(code):
        return None
    if len(code) == REGION_CODE_LENGTH and code.isdigit():
        return Finding(
            "ISSUER_CODE_NOT_USCC",
            "warning",
            f"颁发机构代码 {code} 是 6 位行政区划代码，不是统一社会信用代码",
            f"the issuer code {code} is a region code of 6 digits, no unified social credit code",
        )
    if len(code) != USCC_LENGTH:
        return Finding(
            "ISSUER_CODE_MALFORMED",
            "error",
            f"颁发机构代码 {code} 应为 18 位统一社会信用代码（或 6 位行政区划代码），实为 {len(code)} 位",
            f"expected an issuer code of 18 characters (or a region code of 6 digits), found {len(code)}: {code}",
        )
    expected = _expected_uscc_check(code)
    return Finding(
        "ISSUER_CODE_NOT_USCC",
        "warning",
        f"颁发机构代码 {code} 不是统一社会信用代码（GB 32100）{f'，校验位应为 {expected}' if expected else ''}",
        f"the issuer code {code} is no unified social credit code (GB 32100)"
        + (f": its check character would be {expected}" if expected else ""),
    )


def _expected_uscc_check(code: str) -> str:
    """Return the check character that the first 17 characters ask for, empty where they are not of the alphabet."""
    try:
        return uscc_check_character(code[: USCC_LENGTH - 1])
    except ValueError:
        return ""


def _malformed(text: str) -> Finding:
    zh, en = _first_fault(text)
    return Finding("MALFORMED", "error", f"不是证照标识：{zh}", f"not a certificate identifier: {en}")


def _first_fault(text: str) -> tuple[str, str]:
    """Return the first thing that keeps a text from being an identifier, so that a clerk finds the place."""
    if len(text) > MAX_IDENTIFIER_LENGTH:
        return f"应不超过 {MAX_IDENTIFIER_LENGTH} 个字符，实为 {len(text)}", (
            f"expected at most {MAX_IDENTIFIER_LENGTH} characters, found {len(text)}"
        )
    for position, character in enumerate(text, 1):
        if character not in _CAPITALS and character != ".":
            shown = _shown(character)
            return f"第 {position} 个字符 {shown!r} 应为数字、大写字母或点", (
                f"expected digits, capital letters and dots, found {shown!r} at character {position}"
            )
    parts = text.removeprefix(ROOT_OID).split(".")
    if len(parts) != len(_PART_NAMES) + 1:
        return f"应为 类型.机构.流水.版本.校验 五段，实为 {len(parts)} 段", (
            f"expected five parts, type.issuer.serial.version.check, found {len(parts)}"
        )
    for part, name, (least, most) in zip(
        parts, (*_PART_NAMES, ("校验位", "check character")), _PART_LENGTHS, strict=True
    ):
        if not least <= len(part) <= most:
            span = str(least) if least == most else f"{least}-{most}"
            return f"{name[0]}应为 {span} 位，实为 {len(part)} 位", (
                f"expected a {name[1]} of {span} characters, found {len(part)}"
            )
    return f"版本号应为 001 至 999，实为 {parts[3]}", f"expected a version from 001 to 999, found {parts[3]}"


_PART_LENGTHS: Final = ((21, 21), (REGION_CODE_LENGTH, USCC_LENGTH), (1, MAX_SERIAL_LENGTH), (3, 3), (1, 1))


def _shown(text: str) -> str:
    """Return a text that may be printed: shortened, control characters replaced."""
    clean = replace_control_characters(text[:MAX_SHOWN_LENGTH])
    return clean if len(text) <= MAX_SHOWN_LENGTH else clean + "…"
