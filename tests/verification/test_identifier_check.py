"""Identifiers checked without a node: the samples, what the check rules promise, and findings that say where the fault is."""

import json
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contracts.identifiers import (
    ROOT_OID,
    identifier_check_character,
    is_uscc,
    make_identifier,
    uscc_check_character,
)
from verification.identifier_check import check_identifier

SAMPLES = json.loads(Path(__file__).with_name("identifier-samples.json").read_text("utf-8"))["samples"]
ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"

usccs = st.text(USCC_ALPHABET, min_size=17, max_size=17).map(lambda body: body + uscc_check_character(body))
serials = st.text(ALPHANUMERIC, min_size=1, max_size=32)
identifiers = st.builds(
    lambda body, kind, issuer, serial, version: make_identifier(f"{body}{kind:03d}", issuer, serial, f"{version:03d}"),
    usccs,
    st.integers(0, 999),
    usccs,
    serials,
    st.integers(1, 999),
)


def codes(text: str) -> list[str]:
    return [finding.code for finding in check_identifier(text).findings]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["identifier"][22:40])
def test_samples_found_in_public_code_give_the_stated_results(sample: dict[str, Any]) -> None:
    for text in (sample["identifier"], ROOT_OID + sample["identifier"]):
        report = check_identifier(text)
        assert report.parts is not None
        assert report.parts.expected_check == sample["check_by_standard"]
        assert [finding.code for finding in report.findings] == sample["findings"]
        assert report.is_usable
        assert report.text == ROOT_OID + sample["identifier"]


@settings(max_examples=30)
@given(identifiers)
def test_a_right_identifier_has_no_findings(text: str) -> None:
    assert codes(text) == []


@settings(max_examples=20)
@given(identifiers, st.data())
def test_any_changed_character_of_an_identifier_is_noticed(text: str, data: st.DataObject) -> None:
    body = text.removeprefix(ROOT_OID)
    for position, character in enumerate(body):
        other = data.draw(st.sampled_from(ALPHANUMERIC + "."))
        if other != character:
            found = codes(body[:position] + other + body[position + 1 :])
            assert "MALFORMED" in found or "CHECK_CHARACTER_MISMATCH" in found


@settings(max_examples=30)
@given(identifiers)
def test_exchanged_neighbours_are_noticed_but_for_consecutive_ones(text: str) -> None:
    body = text.removeprefix(ROOT_OID)
    for position, (left, right) in enumerate(pairwise(body)):
        if left == right:
            continue
        found = codes(body[:position] + right + left + body[position + 2 :])
        if not found:
            # Nothing but this one family may escape, and in it only where the sum before has one value of 36.
            assert "." not in left + right
            assert (ALPHANUMERIC.index(left) - ALPHANUMERIC.index(right)) % 36 in {1, 35}


def test_exactly_one_sum_in_36_hides_an_exchange_of_consecutive_characters() -> None:
    # A first character brings the rule to each of its 36 states: what it promises, counted in full.
    hidden = {
        left + right: sum(
            identifier_check_character(first + left + right) == identifier_check_character(first + right + left)
            for first in ALPHANUMERIC
        )
        for left, right in combinations(ALPHANUMERIC, 2)
    }
    consecutive = {
        pair for pair in hidden if (ALPHANUMERIC.index(pair[0]) - ALPHANUMERIC.index(pair[1])) % 36 in {1, 35}
    }
    assert {pair: hidden[pair] for pair in hidden if hidden[pair]} == dict.fromkeys(consecutive, 1)
    assert len(consecutive) == 36


@settings(max_examples=30)
@given(usccs)
def test_any_exchange_of_neighbours_in_a_credit_code_is_noticed(code: str) -> None:
    for position in range(17):
        left, right = code[position], code[position + 1]
        assert left == right or not is_uscc(code[:position] + right + left + code[position + 2 :])


@settings(max_examples=30)
@given(usccs, st.data())
def test_any_changed_character_in_a_credit_code_is_noticed(code: str, data: st.DataObject) -> None:
    for position, character in enumerate(code):
        other = data.draw(st.sampled_from(ALPHANUMERIC))
        assert other == character or not is_uscc(code[:position] + other + code[position + 1 :])


@settings(max_examples=50)
@given(identifiers, st.integers(21, 70), st.booleans())
def test_a_dot_that_moved_is_noticed(text: str, place: int, is_left: bool) -> None:
    # The check character does not cover the dots.
    body = text.removeprefix(ROOT_OID)
    dots = [position for position, character in enumerate(body) if character == "."]
    dot = dots[place % len(dots)]
    assume(0 < dot < len(body) - 1)
    moved = list(body)
    other = dot - 1 if is_left else dot + 1
    moved[dot], moved[other] = moved[other], moved[dot]
    assert codes("".join(moved)) != []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (str.lower, "found 'm' at character 9"),
        (lambda text: text[:-2], "found 4"),
        (lambda text: text + "\n", "found '�' at character 57"),
        (lambda text: "9" * 129, "found 129"),
        (lambda text: text.replace(".001.", ".000."), "from 001 to 999, found 000"),
        (lambda text: text.replace(".001.", ".01."), "version of 3 characters, found 2"),
        (lambda text: text[1:], "type code of 21 characters, found 20"),
        (lambda text: text + "0", "check character of 1 characters, found 2"),
    ],
)
def test_malformed_identifiers_say_where(change: Callable[[str], str], place: str) -> None:
    report = check_identifier(change("11100000MB03271699022.11330105002500287C.000000016.001.9"))
    assert report.parts is None
    assert not report.is_usable
    (finding,) = report.findings
    assert finding.code == "MALFORMED"
    assert place in finding.en


@pytest.mark.parametrize(
    ("type_code", "issuer", "found"),
    [
        ("11100000MB03271698022", "11330105002500287C", "TYPE_CODE_NOT_USCC"),
        ("11100000MB0327169902A", "11330105002500287C", "TYPE_CODE_MALFORMED"),
        ("11100000MB03271699022", "11330105002500288C", "ISSUER_CODE_NOT_USCC"),
        ("11100000MB03271699022", "1133010500250028OC", "ISSUER_CODE_NOT_USCC"),
        ("11100000MB03271699022", "3401000", "ISSUER_CODE_MALFORMED"),
        ("11100000MB03271699022", "34010A", "ISSUER_CODE_MALFORMED"),
    ],
)
def test_codes_inside_are_judged(type_code: str, issuer: str, found: str) -> None:
    body = f"{type_code}.{issuer}.7.001"
    report = check_identifier(f"{body}.{identifier_check_character(body.replace('.', ''))}")
    assert [finding.code for finding in report.findings] == [found]
    assert report.is_usable == (not found.endswith("MALFORMED"))


@given(st.text(max_size=140))
def test_any_text_gets_a_report(text: str) -> None:
    report = check_identifier(text)
    assert (report.parts is None) == (codes(text) == ["MALFORMED"])
    assert all(len(finding.en) < 300 for finding in report.findings)


def test_command_prints_parts_and_findings_without_a_node(run: Callable[..., tuple[int, Any, str]]) -> None:
    status, out, _ = run("cert", "check", SAMPLES[4]["identifier"], "--json")
    assert status == 0
    assert (out["parts"]["check"], out["parts"]["expected_check"]) == ("M", "D")
    assert out["parts"]["serial"] == "209FA4E88F9E4C878F3E9BED2CE7EA49"
    assert [(one["code"], one["severity"]) for one in out["findings"]] == [("CHECK_CHARACTER_MISMATCH", "warning")]
    assert out["is_usable"]
    status, text, _ = run("cert", "check", SAMPLES[4]["identifier"])
    assert status == 0
    assert "M（应为 / expected D）" in text
    status, out, _ = run("cert", "check", "no identifier", "--json")
    assert (status, out["parts"], out["is_usable"], out["identifier"]) == (1, None, False, "no identifier")
    status, text, _ = run("cert", "check", SAMPLES[0]["identifier"])
    assert "nothing found" in text
