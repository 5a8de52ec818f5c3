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
MAX_SHOWN_COLUMNS: Final = 12
NAMES: Final = {
    "证照标识": "identifier",
    "certIdentifier": "identifier",
    "ZZBS": "identifier",
    "前证标识": "predecessor",
    "原因": "reason",
    "状态": "status",
    "转入部门": "recipient",
}
"""Other names of columns, those that lists to verify may have too."""


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
    """Return the rows of a UTF-8 CSV that has these columns and no others; raise InputError on the first fault.

    A column may have its other name of NAMES.
    """
    raw = read_limited(path, MAX_CSV_BYTES)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _fault(path, 1, "-", "UTF-8 文本", "UTF-8 text", f"byte {error.start}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[CsvRow] = []
    try:
        names = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = [NAMES.get(name, name) for name in names]
        _check_columns(path, reader.fieldnames, required, optional)
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
        raise _fault(path, 2, "-", "至少一行数据", "at least one row", "没有 / none")
    return rows


def _check_columns(path: Path, names: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    valid = (*required, *optional)
    for name in required:
        if name not in names:
            found = ", ".join(one[:MAX_SHOWN_LENGTH] for one in names[:MAX_SHOWN_COLUMNS])
            other = ", ".join(key for key, value in NAMES.items() if value == name)
            or_zh, or_en = (f"（或 {other}）", f" (or {other})") if other else ("", "")
            raise InputError(
                "CSV_INVALID",
                f"{path} 第 1 行 {name} 列：应为这一列{or_zh}，现有列：{found or '无'}",
                f"{path} line 1, column {name}: expected this column{or_en}, found {found or 'none'}",
            )
    for name in names:
        if name not in valid or list(names).count(name) > 1:
            shown = ", ".join(valid)
            raise _fault(path, 1, name, f"列名之一：{shown}", f"one of {shown}, once", name)


def _fault(path: Path, line: int, column: str, zh: str, en: str, found: str) -> InputError:
    found = found[:MAX_SHOWN_LENGTH]
    # Where no column is meant none is named.
    place_zh, place_en = (
        ("", "") if column == "-" else (f" {column[:MAX_SHOWN_LENGTH]} 列", f", column {column[:MAX_SHOWN_LENGTH]}")
    )
    return InputError(
        "CSV_INVALID",
        f"{path} 第 {line} 行{place_zh}：应为{zh}，实为 {found!r}，请改正",
        f"{path} line {line}{place_en}: expected {en}, found {found!r}; correct it",
    )
