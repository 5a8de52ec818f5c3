"""Text from outside as it may be shown to people: nothing in it moves a cursor, turns the writing direction, or hides."""

from __future__ import annotations

import re
from typing import Final

MAX_LINE_LENGTH: Final = 100_000

# Controls, line and paragraph separators, what turns the direction, characters without a glyph, and halves of pairs.
# Variation selectors and the private areas stay: rare characters of names are written with them.
_NOT_SHOWN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164"
    "\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)


def shown_line(value: object, limit: int = MAX_LINE_LENGTH) -> str:
    """Return a value as one line of at most `limit` characters and an ellipsis: lines joined, what must not be shown as U+FFFD."""
    text = str(value)[: limit + 1]
    if "\n" in text:
        text = " ".join(text.split())
    line = _NOT_SHOWN.sub("\ufffd", text)
    return line if len(line) <= limit else line[:limit] + "…"


def shown_text(text: str) -> str:
    """Return a text of lines, its line ends kept, what must not be shown as U+FFFD."""
    return "\n".join(_NOT_SHOWN.sub("\ufffd", line) for line in text.split("\n"))


def shown_json(text: str) -> str:
    """Return JSON on one line with the same meaning, what must not be shown escaped."""
    return _NOT_SHOWN.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
