"""What is wrong with rows, as lines on the screen: the same for a batch and for single documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from verification.shown_text import shown_line

if TYPE_CHECKING:
    from sdk.tables.lines import RowFault


def fault_lines(faults: Sequence[RowFault]) -> list[str]:
    """Return a line a fault: where it is, its code, what was expected, and what was found."""
    return [shown_line(_line(one)) for one in faults]


def count_of(number: int, noun: str) -> str:
    """Return a number of things in English: 1 fault, 2 faults."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _line(one: RowFault) -> str:
    zh, en = one.zh, one.en
    if one.found and one.found not in zh:
        zh, en = f"{zh}，实为 {one.found!r}", f"{en}, found {one.found!r}"
    return f"第 {one.line} 行 / line {one.line}, {one.column} [{one.code}] {zh} / {en}"
