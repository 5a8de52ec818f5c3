"""Refusals: every name used has its texts, every text is used, and what is shown to people is bounded."""

from __future__ import annotations

import ast
import string
from pathlib import Path

import pytest

import contracts
from contracts.refusals import MAX_ECHO_LENGTH, REFUSALS, Refused

SOURCES = sorted(Path(contracts.__file__).parent.rglob("*.py"))
USERS = ("Refused", "require")


def uses() -> list[tuple[str, set[str] | None]]:
    """Return every code that the source refuses by, with the fields it gives (None where a function of the module gives `found`)."""
    found: list[tuple[str, set[str] | None]] = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            codes = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if name == "Refused" and codes:
                found.append((codes[0], {keyword.arg for keyword in node.keywords if keyword.arg}))
            elif name == "require":
                found.append((codes[0], {"found"}))
    return found


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_refusal_is_in_the_table_and_gives_the_fields_of_its_text() -> None:
    for code, given in uses():
        assert code in REFUSALS
        assert given is not None
        if code == "OUT_OF_GAS" and not given:
            continue  # raised deep inside; the frame raises it anew with the limit
        assert fields_of(REFUSALS[code][0]) | fields_of(REFUSALS[code][1]) <= given, code


def test_every_entry_of_the_table_is_used() -> None:
    assert set(REFUSALS) == {code for code, _ in uses()}


@pytest.mark.parametrize("code", REFUSALS)
def test_texts_are_chinese_and_english(code: str) -> None:
    chinese, english = REFUSALS[code]
    assert fields_of(chinese) == fields_of(english)
    assert any("一" <= character <= "鿿" for character in chinese)
    assert english.isascii()
    assert code.replace("_", "").isupper()


def test_message_names_code_and_both_languages() -> None:
    refused = Refused("CERTIFICATE_UNKNOWN", found="X")
    assert refused.message == "CERTIFICATE_UNKNOWN: 账本上没有证照 X / there is no certificate X on the ledger"
    assert str(refused) == refused.message


def test_what_came_from_outside_is_shown_short_and_without_control_characters() -> None:
    hostile = "\x1b[31m\u202e" + "a" * 10_000
    message = Refused("CERTIFICATE_UNKNOWN", found=hostile).message
    assert "\x1b" not in message
    assert "\u202e" not in message
    assert len(message) < 3 * MAX_ECHO_LENGTH + 200
    assert "{found}" in Refused("CERTIFICATE_UNKNOWN", found="{found}").message
