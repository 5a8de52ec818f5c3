"""The lines of a table in a file, whatever its form, and what is said of a file that is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from verification.errors import InputError

MAX_COLUMNS: Final = 160
MAX_TITLE_LINES: Final = 5
"""Lines above the column names that a table may have: its title, who filled it in, since when."""

UNCALCULATED: Final = (
    "公式尚未计算，请用表格软件打开并保存，或改为数值后重新导入",
    "a formula that has not been calculated: open and save the file in a spreadsheet program, or put the value in its place",
)
"""What is said of a cell whose formula has no value in the file."""

FORMULA_FAILED: Final = (
    "公式出错的结果，请改正公式或改为数值后重新导入",
    "what a formula comes to that failed: correct it, or put the value in its place",
)
"""What is said of a cell that `is_failed` knows."""

_FAILED: Final = re.compile(r"#[A-Z][A-Z0/_]{1,15}[!?]|#N/A|#GETTING_DATA|Err:[0-9]{3}")

IsHeading = Callable[[Sequence[str]], bool]
"""Whether a line's cells are a table's column names."""


class TableLine(msgspec.Struct, frozen=True):
    """One row: the line of the file that it ends at (from 1), and its cells without white space around them."""

    number: int
    cells: list[str]
    inexact: tuple[int, ...] = ()
    """Places of cells whose number has more digits than a spreadsheet keeps."""
    uncalculated: tuple[int, ...] = ()
    """Places of cells with a formula that no spreadsheet program has calculated yet: they are read as empty."""


class RowFault(msgspec.Struct, frozen=True):
    """One thing wrong with a line: in which column, the reason's code, what was found, and the reason in words."""

    line: int
    column: str
    code: str
    found: str
    zh: str
    en: str


def is_failed(cell: str) -> bool:
    """Return whether a cell is what spreadsheet programs show for a formula that failed (#N/A, #REF!), which a CSV has as a text."""
    return _FAILED.fullmatch(cell) is not None


def find_names(path: Path, lines: Iterator[TableLine], is_heading: IsHeading | None) -> tuple[list[str], int]:
    """Return a table's column names and their line, the first or the one that `is_heading` knows below titles; raise InputError.

    At most MAX_TITLE_LINES are passed over; where none of the lines is known, the first has the names.
    """
    first = next(lines, TableLine(1, []))
    found = first
    if is_heading is not None and not is_heading(first.cells):
        found = next((line for line in islice(lines, MAX_TITLE_LINES) if is_heading(line.cells)), first)
    return check_names(path, found.cells, found.number), found.number


def check_names(path: Path, names: Sequence[str], line: int = 1) -> list[str]:
    """Return a table's column names if there are some and each stands once; raise InputError TABLE_INVALID otherwise."""
    if not names or not all(names):
        raise invalid_table(path, line, "标题行，各列都有名称", "a line of column names, none of them empty")
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise invalid_table(path, line, f"列名 {twice[0][:60]!r} 只出现一次", f"the column {twice[0][:60]!r} once")
    return list(names)


def invalid_table(path: Path, line: int, zh: str, en: str) -> InputError:
    """Return the error of a file that is no table, with what was expected there."""
    return InputError(
        "TABLE_INVALID", f"{path} 第 {line} 行：应为{zh}，请改正", f"{path} line {line}: expected {en}; correct it"
    )
