"""One thing that is said about a file: a code, what became of the check, and the text in both languages."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from contracts.characters import replace_control_characters
from contracts.fields import MAX_TIME_MS
from verification.days import show_time

State: TypeAlias = Literal["held", "broken", "unverified", "warning"]
"""`held` was checked and is so, `broken` was checked and is not, `unverified` was not checked, `warning` is for a person to judge."""


class Statement(msgspec.Struct, frozen=True):
    """One thing said about a file or seal."""

    code: str
    state: State
    zh: str
    en: str


def held(code: str, zh: str, en: str) -> Statement:
    """Return a statement that was checked and is so."""
    return Statement(code, "held", shown(zh), shown(en))


def broken(code: str, zh: str, en: str) -> Statement:
    """Return a statement that was checked and is not so."""
    return Statement(code, "broken", shown(zh), shown(en))


def unverified(code: str, zh: str, en: str) -> Statement:
    """Return a statement about what was not checked."""
    return Statement(code, "unverified", shown(zh), shown(en))


def warning(code: str, zh: str, en: str) -> Statement:
    """Return a statement for a person to judge."""
    return Statement(code, "warning", shown(zh), shown(en))


def shown(text: str) -> str:
    """Return a text from a file as it may be printed: control characters replaced."""
    return replace_control_characters(text)


def shown_time(time_ms: int) -> str:
    """Return a time from a file as it is shown; one outside the years 1970 to 9999 as their first or last second."""
    return show_time(max(0, min(time_ms, MAX_TIME_MS)))
