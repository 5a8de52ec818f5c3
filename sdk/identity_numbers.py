"""Identity numbers of natural persons (GB 11643): what is one, and that none of them gets on the ledger in a free text.

The contracts do not look for them: a call that is refused stays in its block with all it says, so the place to stop one is here,
before anything is signed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Final
from urllib.parse import unquote

import msgspec

from contracts.identifiers import is_uscc
from verification.errors import InputError

FREE_TEXTS: Final = frozenset(
    {
        *(
            "reason",
            "description",
            "case_number",
            "system",
            "purpose",
            "summary",
            "legal_basis",
            "label",
            "note",
            "place",
        ),
        *("case_types", "claim", "answer", "decision"),
        *("name", "items", "columns", "item", "categories", "unit", "format", "source_body", "number", "source"),
        *("basis", "sharing_basis", "open_condition", "finding", "reply", "ground", "terms", "tasks"),
        *("sharing_method", "source_code", "form", "text", "english", "reference"),
    }
)
"""Arguments of calls that people write in their own words, and that everybody may read afterwards."""
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_FIRST_YEAR: Final = 1850
_LAST_YEAR: Final = 2099
_LAST_YEAR_IN_RUNS: Final = 2009
_SEPARATORS: Final = r"[\W_]{0,3}"
_LIKE_X: Final = "Xx×✕✖⨯╳ХхΧχ"
"""What is typed and pasted in place of the check character X: signs of multiplication, Cyrillic and Greek letters."""
# Also as forms group them, 999999 19700207 0011. Looked for at every place: one may begin within what looks like another.
_CANDIDATE: Final = re.compile(
    rf"(?<![0-9])(?=([1-9](?:{_SEPARATORS}[0-9]){{16}}{_SEPARATORS}[0-9{_LIKE_X}])(?![0-9]))"
)
# Four digits that end a number end no time of day: what stands beside a date and a time is another number.
_TIME: Final = re.compile(r"[0-9]:[0-9]{2}$")
_SAME_SIGNS: Final = re.compile(r"([\W_])\1+")
# Marks of pages that show as nothing, a blank or a new line. No cells: rows of tables have a region, a day and a count side by side.
_MARK: Final = re.compile(
    r"<(?:!--|/?(?:br|wbr|nobr|p|div|span|font|a|b|i|u|s|em|strong|small|big|mark|sub|sup|code)\b)[^<>]*>",
    re.IGNORECASE,
)
# Within a longer run of digits. Cases are numbered by a region, a day and a count: of such numbers one in eleven would look like a
# person's, so that only days long before cases were numbered like this count here.
_IN_RUN: Final = re.compile(rf"(?=([1-9][0-9]{{16}}[0-9{_LIKE_X}]))")
# What no case's number is: one that ends in X, where any day counts. Before a number the sign is one of multiplication, a size or a
# count; only a telephone may stand beside it.
_END_X: Final = re.compile(rf"(?=([1-9][0-9]{{16}}[{_LIKE_X}])(?:1[3-9][0-9]{{9}})?(?![0-9A-Za-z]))")
# First digits of a region (GB/T 2260), and the 9 of foreigners' cards.
_REGIONS: Final = re.compile(r"1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|9")
_OTHER_DIGIT: Final = re.compile(r"[^\D0-9]")
_CHINESE_DIGITS: Final = str.maketrans("〇○零一二三四五六七八九壹贰叁肆伍陆柒捌玖", "000123456789123456789")
_ANY_DIGIT: Final = re.compile("[0-9〇○零一二三四五六七八九壹贰叁肆伍陆柒捌玖]")
_MAX_CODE: Final = 40
"""Of a code that is looked at: an identity number with a sign between any two of its characters is shorter."""
_LETTER: Final = re.compile(r"[A-Za-z]")
_NO_DIGIT: Final = re.compile(r"[^0-9]")


def is_resident_number(code: str) -> bool:
    """Return whether a code is an identity number of 18 characters with the right check character (GB 11643)."""
    if len(code) != len(_WEIGHTS) + 1 or not code.isascii() or not code[:-1].isdigit():
        return False
    total = sum(int(digit) * weight for digit, weight in zip(code[:-1], _WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == code[-1]


def has_resident_number(text: str) -> bool:
    """Return whether a text has an identity number in it, with a possible day of birth.

    Groups with anything but letters between them count, marks of pages such as <br> and blanks of addresses (%20), digits of other
    scripts, and signs that look like the check character X; within a longer run of digits the numbers of those born by
    _LAST_YEAR_IN_RUNS, and all of them that end in X.
    """
    plain = unicodedata.normalize("NFKC", text)
    if len(plain) <= len(_WEIGHTS):
        return False
    plain = _OTHER_DIGIT.sub(_plain_digit, plain)
    if len(_ANY_DIGIT.findall(plain)) < len(_WEIGHTS):
        return False
    # 三 before a number ends a name, as a rule, and is no digit of it: Chinese ones are looked at apart.
    forms = {plain, _without_marks(plain)}
    return any(_has_number(form) for form in forms | {form.translate(_CHINESE_DIGITS) for form in forms})


def check_free_text(field: str, text: str) -> None:
    """Return if a text for the ledger has no identity number in it; raise InputError IDENTITY_NUMBER, which does not repeat it."""
    if has_resident_number(text):
        raise InputError(
            "IDENTITY_NUMBER",
            f"{field} 中有公民身份号码，账本永久保存且供他人查阅：请去掉，改写文号或办件编号；编号本身与之相同的，在其中加字，如“第…号”",
            f"{field} has an identity number in it, and the ledger keeps it for good, for others to read: take it out, give the "
            "number of a file or a case; where that looks like one, put a word into it, such as “No.”",
        )


def check_free_texts(arguments: Mapping[str, object]) -> None:
    """Return if no free text among a call's arguments has an identity number in it, and no code is one; raise InputError."""
    for name, value in arguments.items():
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, msgspec.Struct):
                check_free_texts(msgspec.structs.asdict(part))
            elif isinstance(part, list | tuple):
                check_free_texts({name: part})
            elif isinstance(part, str) and (name in FREE_TEXTS or _is_whole_number(part)):
                check_free_text(name, part)


def _is_whole_number(code: str) -> bool:
    """Return whether a code is nothing but an identity number; departments' codes of digits alone may look like one, and are none."""
    return (
        len(code) <= _MAX_CODE and not is_uscc(code) and _LETTER.search(code[:-1]) is None and has_resident_number(code)
    )


def _without_marks(text: str) -> str:
    """Return a text as a page or an address shows it: a blank for each mark, and the signs that codes stand for."""
    text = unquote(text)
    if "&" in text:
        # Its table of names is not for every start of the program.
        from html import unescape

        # Twice: of a page within a page its marks are left as &amp;nbsp;.
        text = unescape(unescape(text))
    return _MARK.sub(" ", text)


def _plain_digit(found: re.Match[str]) -> str:
    return str(unicodedata.decimal(found[0]))


def _has_number(text: str) -> bool:
    text = _SAME_SIGNS.sub(r"\1", text)
    for found in _CANDIDATE.finditer(text):
        if _TIME.search(found[1]) is None and _is_number(found[1], _LAST_YEAR):
            return True
    if any(_is_number(found[1], _LAST_YEAR_IN_RUNS) for found in _IN_RUN.finditer(text)):
        return True
    return any(_is_number(found[1], _LAST_YEAR) for found in _END_X.finditer(text))


def _is_number(found: str, last_year: int) -> bool:
    """Return whether 17 digits and a check character, maybe with signs between them, are a number of a region and a day of birth."""
    code = _NO_DIGIT.sub("", found[:-1]) + ("X" if found[-1] in _LIKE_X else found[-1])
    return _REGIONS.match(code) is not None and _is_day_of_birth(code[6:14], last_year) and is_resident_number(code)


def _is_day_of_birth(digits: str, last_year: int) -> bool:
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return _FIRST_YEAR <= day.year <= last_year
