"""Cells of catalogue tables: what a text in a cell stands for, and how a value is written in one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from contracts.data_sharing.resources import ResourceItem

MAX_SHOWN: Final = 60
ITEM_TYPE_WORDS: Final = {
    "字符型": "C",
    "数值型": "N",
    "货币型": "Y",
    "日期型": "D",
    "日期时间型": "T",
    "逻辑型": "L",
    "备注型": "M",
    "通用型": "G",
    "双精度型": "B",
    "整型": "I",
    "浮点型": "F",
}
"""Types of data items as departments write them, also with the letter behind, such as 字符型C."""

_PART: Final = re.compile(r"(?:\\.|[^;；\n\\]|\\$)+")
_ESCAPED: Final = re.compile(r"\\([;；\\])")
_SPECIAL: Final = re.compile(r"[;；\\]")
_TYPE_WORD: Final = re.compile(r"([^A-Za-z]*)([A-Za-z]?)")
_YES: Final = frozenset({"是", "yes", "y", "true", "1"})
_NO: Final = frozenset({"否", "no", "n", "false", "0", ""})


class CellFault(Exception):
    """A cell does not hold what its column asks for; `zh` and `en` say what was expected."""

    def __init__(self, zh: str, en: str) -> None:
        """Take what was expected, in both languages."""
        super().__init__(f"{zh} / {en}")
        self.zh, self.en = zh, en


class CellForm(Protocol):
    """How values of one column stand in cells."""

    def decode(self, cell: str) -> Any:
        """Return the value that a cell's text stands for; raise CellFault."""

    def encode(self, value: Any) -> str:
        """Return the text that decodes to a value."""


class TextCell:
    """Any text."""

    def decode(self, cell: str) -> str:
        """Return the text itself."""
        return cell

    def encode(self, value: str) -> str:
        """Return the text itself."""
        return value


class FlagCell:
    """Yes or no; an empty cell is no."""

    def decode(self, cell: str) -> bool:
        """Return what 是 or 否 stands for; raise CellFault."""
        word = cell.lower()
        if word in _YES:
            return True
        if word in _NO:
            return False
        raise CellFault("是或否", "yes or no")

    def encode(self, value: bool) -> str:
        """Return 是 or 否."""
        return "是" if value else "否"


class ChoiceCell:
    """One of a table's words; written in Chinese, read as its code, its Chinese or English word, or such a word without an ending."""

    def __init__(self, words: Mapping[Any, tuple[str, str]], *endings: str, is_optional: bool = False) -> None:
        """Take the words in Chinese and English by their codes, and endings that may be there or not."""
        self._zh = {code: zh for code, (zh, _) in words.items()}
        self._expected = ", ".join(f"{code} {zh}" for code, zh in self._zh.items())
        self._codes: dict[str, Any] = {"": ""} if is_optional else {}
        for code, (zh, en) in words.items():
            for word in (str(code), zh, en.lower()):
                self._codes[word] = code
                for ending in endings:
                    self._codes.setdefault(word.removesuffix(ending), code)
                    self._codes.setdefault(word + ending, code)

    def decode(self, cell: str) -> Any:
        """Return the code that a word stands for; raise CellFault."""
        found = self._codes.get(cell, self._codes.get(cell.lower()))
        if found is None:
            raise CellFault(f"其中之一：{self._expected}", f"one of {self._expected}")
        return found

    def encode(self, value: Any) -> str:
        """Return the Chinese word of a code, nothing for none."""
        return self._zh.get(value, "")


class ListCell:
    """Texts with semicolons or line feeds between them; a semicolon within one has a backslash before it."""

    def decode(self, cell: str) -> tuple[str, ...]:
        """Return the texts that are not empty, in order."""
        return tuple(_parts(cell))

    def encode(self, value: tuple[str, ...]) -> str:
        """Return the texts in one line."""
        return "；".join(map(_whole, value))


class ItemsCell:
    """Data items as 名称:类型, with semicolons or line feeds between them."""

    def decode(self, cell: str) -> tuple[ResourceItem, ...]:
        """Return the items in order; raise CellFault where one has no type, or one that is none."""
        return tuple(decode_item(*_split_item(part)) for part in _parts(cell))

    def encode(self, value: tuple[ResourceItem, ...]) -> str:
        """Return the items in one line."""
        return "；".join(f"{_whole(item.name)}:{item.type}" for item in value)


def decode_item(name: str, kind: str) -> ResourceItem:
    """Return a data item of a name and the word or letter of its type; raise CellFault."""
    word = _TYPE_WORD.fullmatch(kind.strip())
    letter = "" if word is None else word[2].upper() or ITEM_TYPE_WORDS.get(word[1].strip(), "")
    if not name.strip() or letter not in ITEM_TYPE_WORDS.values():
        raise CellFault(
            f"数据项 名称:类型，类型为 {'、'.join(ITEM_TYPE_WORDS)} 或其字母 {' '.join(ITEM_TYPE_WORDS.values())}",
            f"an item as NAME:TYPE, with one of the types {' '.join(ITEM_TYPE_WORDS.values())}",
        )
    return ResourceItem(name.strip(), letter)


def _split_item(part: str) -> tuple[str, str]:
    place = max(part.rfind(":"), part.rfind("："))
    return ("", part) if place < 0 else (part[:place], part[place + 1 :])


def _parts(cell: str) -> list[str]:
    found = (_ESCAPED.sub(r"\1", part).strip() for part in _PART.findall(cell))
    return [part for part in found if part]


def _whole(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
