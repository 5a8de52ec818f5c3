"""Codes with check characters: the given samples, the algorithms' promises, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.identifiers import (
    ROOT_OID,
    identifier_check_character,
    is_uscc,
    make_identifier,
    parse_identifier,
    uscc_check_character,
    verify_type_code,
    verify_uscc,
)
from contracts.refusals import Refused

ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
TYPE_CODE = "11100000MB03271699001"

# Identifiers found in circulation, each with the check character given and the one that ISO 7064 MOD 37,36 gives.
SAMPLES = [
    ("11100000000013338W011.11430000006122244L.20230000403.001", "U", "U"),
    ("11100000000013338W009.11330105002500287C.2025052201.002", "0", "0"),
    ("11100000000013338W032.11220000013544541J.2430599.001", "F", "F"),
    ("11100000MB03271699022.340100.000000016.001", "9", "9"),
    ("11100000000013661B006.113700000045046442.209FA4E88F9E4C878F3E9BED2CE7EA49.001", "M", "D"),
]
usccs = st.text(USCC_ALPHABET, min_size=17, max_size=17).map(lambda body: body + uscc_check_character(body))
serials = st.text(ALPHANUMERIC, min_size=1, max_size=40)


@pytest.mark.parametrize(("body", "given_check", "expected_check"), SAMPLES)
def test_identifiers_in_circulation(body: str, given_check: str, expected_check: str) -> None:
    parsed = parse_identifier(f"{body}.{given_check}")
    assert (parsed.check, parsed.expected_check) == (given_check, expected_check)
    assert parsed.text == f"{ROOT_OID}{body}.{given_check}"
    assert parse_identifier(parsed.text) == parsed
    assert ".".join((parsed.type_code, parsed.issuer_code, parsed.serial, parsed.version)) == body


def test_check_character_of_a_published_example() -> None:
    # The example of the GRid standard (IFPI), which uses ISO 7064 MOD 37,36 too: A1-2425G-ABC1234002-M.
    assert identifier_check_character("A12425GABC1234002") == "M"


@given(usccs, usccs, serials, st.integers(1, 999))
def test_any_changed_character_changes_the_check(body: str, issuer: str, serial: str, version: int) -> None:
    parsed = parse_identifier(make_identifier(body + "001", issuer, serial, f"{version:03d}"))
    assert parsed.check == parsed.expected_check
    for position, character in enumerate(parsed.serial):
        other = ALPHANUMERIC[(ALPHANUMERIC.index(character) + 7) % 36]
        changed = parsed.serial[:position] + other + parsed.serial[position + 1 :]
        wrong = parse_identifier(f"{parsed.type_code}.{issuer}.{changed}.{parsed.version}.{parsed.check}")
        assert wrong.expected_check != wrong.check


@given(usccs, st.integers(0, 17), st.integers(1, 30))
def test_any_changed_character_of_a_credit_code_is_noticed(code: str, position: int, step: int) -> None:
    assert is_uscc(code)
    other = USCC_ALPHABET[(USCC_ALPHABET.index(code[position]) + step) % 31]
    changed = code[:position] + other + code[position + 1 :]
    assert not is_uscc(changed)
    with pytest.raises(Refused) as refused:
        verify_uscc(changed)
    assert refused.value.code == "USCC_CHECK_CHARACTER"


@pytest.mark.parametrize(
    "code",
    ["", "1133010000250028", "11330100002500287c", "1133010000250028I4", "11330100002500287 ", "１１330100002500287"],
)
def test_malformed_credit_codes(code: str) -> None:
    assert not is_uscc(code)
    with pytest.raises(Refused) as refused:
        verify_uscc(code)
    assert refused.value.code == "USCC_MALFORMED"


@pytest.mark.parametrize(
    "code", ["11100000MB0327169900", "11100000MB032716990011", "11100000MB0327169900A", "1110000OMB03271699001"]
)
def test_malformed_type_codes(code: str) -> None:
    with pytest.raises(Refused) as refused:
        verify_type_code(code)
    assert refused.value.code == "TYPE_CODE_MALFORMED"


def test_type_code_names_its_body_by_a_right_code() -> None:
    verify_type_code(TYPE_CODE)
    with pytest.raises(Refused) as refused:
        verify_type_code("11100000MB03271698001")
    assert refused.value.code == "USCC_CHECK_CHARACTER"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no identifier",
        "11100000MB03271699022.340100.000000016.001",
        "11100000MB03271699022.340100.000000016.000.9",
        "11100000MB03271699022.340100.000000016.1.9",
        "11100000mb03271699022.340100.000000016.001.9",
        "11100000MB03271699022.340100..001.9",
        "1.2.156.3005.3.11100000MB03271699022.340100.000000016.001.9",
        "11100000MB03271699022.340100.000000016.001.9\n",
        "11100000MB03271699022.340100." + "0" * 65 + ".001.9",
        "11100000MB03271699022.340100.00000001６.001.9",
        "9" * 100_000,
    ],
)
def test_malformed_identifiers(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_identifier(text)
    assert refused.value.code == "IDENTIFIER_MALFORMED"
    assert len(refused.value.message) < 400


@given(st.text(max_size=140))
def test_any_text_is_refused_or_canonical(text: str) -> None:
    try:
        parsed = parse_identifier(text)
    except Refused:
        return
    assert parsed.text == ROOT_OID + text.removeprefix(ROOT_OID)
