"""Characters that a text on the ledger may not have: those that show as nothing, turn the writing, or stand where they only deceive.

Fixed tables (Unicode 15.1), because unicodedata and str.isprintable follow the interpreter's version, and two versions would disagree.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""First and last code points, in ascending order."""

REFUSED: Final[Ranges] = (
    (0x0, 0x1F),  # C0 controls
    (0x7F, 0x9F),
    (0xAD, 0xAD),  # soft hyphen
    (0x34F, 0x34F),  # combining grapheme joiner
    (0x600, 0x605),
    (0x61C, 0x61C),  # Arabic letter mark
    (0x6DD, 0x6DD),
    (0x70F, 0x70F),
    (0x890, 0x891),
    (0x8E2, 0x8E2),
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x200B, 0x200B),  # zero width space
    (0x200E, 0x200F),
    (0x2028, 0x202E),  # separators of lines and paragraphs, embeddings
    (0x2060, 0x206F),
    (0x2800, 0x2800),  # blank of Braille
    (0x3164, 0x3164),
    (0xD800, 0xDFFF),  # halves of surrogate pairs
    (0xFDD0, 0xFDEF),  # no characters
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0xFFFE, 0xFFFF),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    *((plane + 0xFFFE, plane + 0xFFFF) for plane in range(0x10000, 0xE0000, 0x10000)),
    (0xE0000, 0xE00FF),  # tags
    (0xE01F0, 0xE0FFF),
    *((plane + 0xFFFE, plane + 0xFFFF) for plane in range(0xE0000, 0x110000, 0x10000)),
)
"""Wherever they stand: categories Cc, Cf, Cs, Zl and Zp, no characters, and what else has no shape or is to be ignored by default."""
JOINERS: Final[Ranges] = ((0x200C, 0x200D),)
JOINED: Final[Ranges] = ((0x620, 0x6FF), (0x750, 0x77F), (0x8A0, 0xDFF), (0x1820, 0x18AA))
"""Letters of Arabic, Indic and Mongolian writing: a joiner may stand between two of them, where names need it."""
MONGOLIAN: Final[Ranges] = ((0x1820, 0x18AA),)
MONGOLIAN_SEPARATOR: Final[Ranges] = ((0x180E, 0x180E),)
"""Stands between two Mongolian letters only."""
MONGOLIAN_SELECTORS: Final[Ranges] = ((0x180B, 0x180D), (0x180F, 0x180F))
"""Each behind a Mongolian letter only."""
SELECTORS: Final[Ranges] = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
IDEOGRAPHS: Final[Ranges] = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFD))
"""Behind one of them a selector may stand: it chooses between shapes of one character, as registers of names do."""
SPACES: Final[Ranges] = (
    (0x9, 0x9),
    (0xA, 0xA),
    (0xD, 0xD),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
)
"""White space, which no text begins or ends with."""


def _set(*ranges: Ranges) -> str:
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for one in ranges for first, last in one) + "]"


def _between(neighbours: Ranges, found: Ranges) -> str:
    """Return the form of a character that does not stand between two such neighbours."""
    return f"(?<!{_set(neighbours)}){_set(found)}|{_set(found)}(?!{_set(neighbours)})"


_REFUSED: Final = re.compile(_set(REFUSED))
_DEPENDENT: Final = re.compile(_set(JOINERS, MONGOLIAN_SEPARATOR, MONGOLIAN_SELECTORS, SELECTORS))
_OUT_OF_PLACE: Final = re.compile(
    "|".join(
        (
            _set(REFUSED),
            _between(JOINED, JOINERS),
            _between(MONGOLIAN, MONGOLIAN_SEPARATOR),
            f"(?<!{_set(MONGOLIAN)}){_set(MONGOLIAN_SELECTORS)}",
            f"(?<!{_set(IDEOGRAPHS)}){_set(SELECTORS)}",
        )
    )
)
_SPACE_AT_END: Final = re.compile(rf"\A{_set(SPACES)}|{_set(SPACES)}\Z")


def has_control_character(text: str) -> bool:
    """Return whether a control or invisible character stands in a text, or one that turns the writing direction."""
    if text.isascii() and text.isprintable():
        # Of ASCII every version of the interpreter says the same: from space to ~.
        return False
    if _REFUSED.search(text) is not None:
        return True
    return _DEPENDENT.search(text) is not None and _OUT_OF_PLACE.search(text) is not None


def replace_control_characters(text: str) -> str:
    """Return a text that may be shown to people: each character that has_control_character tells of is U+FFFD."""
    return _OUT_OF_PLACE.sub("\N{REPLACEMENT CHARACTER}", text)


def has_space_at_end(text: str) -> bool:
    """Return whether a text begins or ends with white space of any width."""
    return _SPACE_AT_END.search(text) is not None
