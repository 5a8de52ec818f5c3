"""CSV files with a header line, read whole and checked: every fault names file, line and column."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from sdk.documents import read_limited
from verification.days import day_end_ms, day_start_ms
from verification.errors import InputError

MAX_CSV_BYTES: Final = 64 * 1024 * 1024
MAX_CSV_ROWS: Final = 200_000
MAX_SHOWN_LENGTH: Final = 60


class CsvRow(msgspec.Struct, frozen=True):
    """One line of a file: its text by column, without white space around it; a column that the file lacks is empty."""

    path: Path
    line: int
    values: dict[str, str]

    def text(self, column: str) -> str:
        """Return the text in a column that must not be empty; raise InputError."""
        text = self.values.get(column, "")
        if not text:
            raise self.fault(column, "不为空的内容", "a value")
        return text

    def optional(self, column: str) -> str:
        """Return the text in a column, empty when there is none."""
        return self.values.get(column, "")

    def day_start_ms(self, column: str) -> int:
        """Return the first millisecond of the day in a column; raise InputError."""
        try:
            return day_start_ms(self.text(column))
        except ValueError:
            raise self.fault(column, "日期 YYYY-MM-DD", "a date as YYYY-MM-DD") from None

    def day_end_ms(self, column: str) -> int:
        """Return the last millisecond of the day in a column; raise InputError."""
        try:
            return day_end_ms(self.text(column))
        except ValueError:
            raise self.fault(column, "日期 YYYY-MM-DD", "a date as YYYY-MM-DD") from None

    def fault(self, column: str, zh: str, en: str) -> InputError:
        """Return the error that says what was expected in a column."""
        return _fault(self.path, self.line, column, zh, en, self.values.get(column, ""))


def read_csv(path: Path, required: Sequence[str], optional: Sequence[str]) -> list[CsvRow]:
    """Return the rows of a UTF-8 CSV that has these columns and no others; raise InputError on the first fault."""
    raw = read_limited(path, MAX_CSV_BYTES)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _fault(path, 1, "-", "UTF-8 文本", "UTF-8 text", f"byte {error.start}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[CsvRow] = []
    try:
        _check_columns(path, reader.fieldnames or [], required, optional)
        for values in reader:
            if len(rows) >= MAX_CSV_ROWS:
                raise _fault(path, reader.line_num, "-", f"至多 {MAX_CSV_ROWS} 行", f"at most {MAX_CSV_ROWS} rows", "")
            if None in values or None in values.values():
                raise _fault(
                    path, reader.line_num, "-", "与标题行同样多的列", "as many columns as the header", "another number"
                )
            rows.append(CsvRow(path, reader.line_num, {name: value.strip() for name, value in values.items()}))
    except csv.Error as error:
        raise _fault(path, reader.line_num, "-", "合格的 CSV", "well-formed CSV", str(error)) from None
    if not rows:
        raise _fault(path, 1, "-", "至少一行数据", "at least one row", "0")
    return rows


def _check_columns(path: Path, names: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    valid = (*required, *optional)
    for name in required:
        if name not in names:
            raise _fault(path, 1, name, "这一列", "this column", "none")
    for name in names:
        if name not in valid or list(names).count(name) > 1:
            shown = ", ".join(valid)
            raise _fault(path, 1, name, f"列名之一：{shown}", f"one of {shown}, once", name)


def _fault(path: Path, line: int, column: str, zh: str, en: str, found: str) -> InputError:
    column, found = column[:MAX_SHOWN_LENGTH], found[:MAX_SHOWN_LENGTH]
    return InputError(
        "CSV_INVALID",
        f"{path} 第 {line} 行 {column} 列：应为{zh}，实为 {found!r}，请改正",
        f"{path} line {line}, column {column}: expected {en}, found {found!r}; correct it",
    )
