"""Texts on the ledger: what shows as nothing is refused, by tables that agree with Unicode's, and names of all writings are not."""

from __future__ import annotations

import json
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from contracts.characters import (
    IDEOGRAPHS,
    JOINED,
    JOINERS,
    MONGOLIAN_SELECTORS,
    MONGOLIAN_SEPARATOR,
    REFUSED,
    SELECTORS,
    SPACES,
    Ranges,
    has_control_character,
    replace_control_characters,
)
from contracts.fields import check_text
from contracts.refusals import Refused
from explorer.offline_page import verifier_script

NODE = shutil.which("node") or shutil.which("nodejs")
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
SHAPELESS = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
"""Letters, marks and a symbol by category, which show as nothing."""
NAMES = [
    "张三",
    "龍\U000e0100井",  # a shape of a name's register
    "神\ufe00社",
    "欧阳 娜娜",
    "阿不都热西提·买买提",
    "می\u200cخواهم",
    "ශ්\u200dරී",
    "ᠮᠣᠩᠭᠣᠯ",
    "ᠠᠯᠲᠠ\u180eᠨ",
    "ᠰᠠᠷ\u180bᠠ",
    "བཀྲ་ཤིས",
    "𠮷野家",
    "\U0002ebf0",  # assigned after the tables of some interpreters
    "e\u0301",
    "\ue000",  # registers keep rare characters in private use
]
DECEIVING = [
    *(
        f"张{character}三"
        for character in "\u200b\u200e\u061c\u00ad\u2060\u2061\u206a\u3164\u115f\uffa0\u180e\ufff9\ufeff\u202e"
    ),
    "张\U000e0041三",
    "张\u200d三",
    "张三\u200d",
    "\u200cمی",
    "می\u200c",
    "می\u200c\u200cخواهم",
    "A\ufe0f",
    "张\ufe00\ufe00三",
    "\U000e0100张三",
    "ᠮ\u180e",
    "张\u180b三",
    "张\u2800三",
    "张三\ufdd0",
    "张三\uffff",
    "张\x85三",
    *(f"张三{chr(first)}" for first, _ in SPACES),
    *(f"{chr(last)}张三" for _, last in SPACES),
]


def points(table: Ranges) -> set[int]:
    return {point for first, last in table for point in range(first, last + 1)}


def is_no_character(point: int) -> bool:
    return 0xFDD0 <= point <= 0xFDEF or point & 0xFFFE == 0xFFFE


def test_the_tables_have_what_unicode_has_no_shape_for() -> None:
    """Compared with the interpreter's tables, which may be older or newer: what it does not know yet is left out of account."""
    refused = points(REFUSED)
    dependent = points(JOINERS) | points(MONGOLIAN_SEPARATOR)
    hidden = {point for point in range(0x110000) if unicodedata.category(chr(point)) in HIDDEN}
    assert hidden - dependent <= refused
    assert not refused & (dependent | points(SELECTORS) | points(MONGOLIAN_SELECTORS))
    rest = {point for point in refused - hidden if unicodedata.category(chr(point)) != "Cn"}
    assert rest == SHAPELESS
    assert {point for point in range(0x110000) if is_no_character(point)} <= refused
    spaces = {point for point in range(0x110000) if unicodedata.category(chr(point)) == "Zs"}
    assert points(SPACES) == spaces | {0x9, 0xA, 0xD}
    for point in points(SELECTORS) | points(MONGOLIAN_SELECTORS):
        assert unicodedata.category(chr(point)) in ("Mn", "Cn")
    letters = {"Lo", "Lm", "Mn", "Mc", "Cn", "Nd", "No", "Po", "So", "Sk", "Sc", "Sm"}
    assert {unicodedata.category(chr(point)) for point in points(JOINED) - refused} <= letters
    assert {unicodedata.category(chr(point)) for point in points(IDEOGRAPHS)} <= {"Lo", "Cn"}
    for table in (REFUSED, SPACES, JOINED, IDEOGRAPHS, SELECTORS):
        ends = [point for pair in table for point in pair]
        assert ends == sorted(ends)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_all_writings_are_taken(name: str) -> None:
    check_text("name", name, 128)
    assert replace_control_characters(name) == name


@pytest.mark.parametrize("name", DECEIVING)
def test_what_looks_like_another_name_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="TEXT_CONTROL_CHARACTER"):
        check_text("name", name, 128)
    assert not has_control_character(replace_control_characters(name))


@pytest.mark.skipif(NODE is None, reason="node is not installed: the page's script is not run outside a browser")
def test_the_page_takes_the_same_texts(tmp_path: Path) -> None:
    ends = {
        point + step
        for pair in (*REFUSED, *SPACES, *JOINERS, *SELECTORS, *IDEOGRAPHS)
        for point in pair
        for step in (-1, 0, 1)
    }
    around = [
        f"{left}{chr(point)}{right}"
        for point in sorted(ends & set(range(0x110000)))
        for left, right in (("a", "a"), ("中", "中"), ("م", "ی"))
    ]
    texts = [text for text in [*NAMES, *DECEIVING, *around] if not any("\ud800" <= one <= "\udfff" for one in text)]
    driver = "console.log(JSON.stringify(JSON.parse(require('fs').readFileSync(0, 'utf8')).map(isPlain)));"
    script = tmp_path / "plain.js"
    script.write_text(verifier_script() + driver, "utf-8")
    assert NODE is not None
    ran = subprocess.run([NODE, str(script)], input=json.dumps(texts), capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr[-2_000:]
    assert json.loads(ran.stdout) == [is_plain(text) for text in texts]


def is_plain(text: str) -> bool:
    try:
        check_text("name", text, 128)
    except Refused:
        return False
    return True
