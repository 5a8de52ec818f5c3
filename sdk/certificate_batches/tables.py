"""Tables as files: their lines one after another, never the whole file at once; here those of a CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TextIO

import msgspec

from verification.errors import InputError
from verification.reasons import system_reason

if TYPE_CHECKING:
    from sdk.certificate_batches.json_tables import JsonTable
    from sdk.certificate_batches.spreadsheets import XlsxTable

MAX_LINE_CHARACTERS: Final = 1 << 20
"""Of one line of text; a cell may span several."""
MAX_COLUMNS: Final = 160


class TableLine(msgspec.Struct, frozen=True):
    """One row: the line of the file that it ends at (from 1), and its cells without white space around them."""

    number: int
    cells: list[str]
    inexact: tuple[int, ...] = ()
    """Places of cells whose number has more digits than a spreadsheet keeps."""


class CsvTable:
    """A UTF-8 CSV file, read line by line; use it in a `with` block and iterate it once."""

    def __init__(self, path: Path) -> None:
        """Open the file and read its column names; raise InputError."""
        self._path = path
        try:
            self._file: TextIO = path.open(encoding="utf-8-sig", newline="")
        except OSError as error:
            raise unreadable(path, error) from None
        try:
            self._reader = csv.reader(self._lines(), strict=True)
            self.names = check_names(path, next(self._rows(), TableLine(1, [])).cells)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[TableLine]:
        """Yield the rows that are not empty; raise InputError TABLE_INVALID where the file is no CSV."""
        return self._rows()

    def _rows(self) -> Iterator[TableLine]:
        try:
            for cells in self._reader:
                if len(cells) > MAX_COLUMNS:
                    raise self._invalid(f"至多 {MAX_COLUMNS} 列", f"at most {MAX_COLUMNS} columns")
                stripped = [cell.strip() for cell in cells]
                if any(stripped):
                    yield TableLine(self._reader.line_num, stripped)
        except UnicodeDecodeError:
            raise self._invalid("UTF-8 文本，请另存为“CSV UTF-8”", "UTF-8 text; save it as “CSV UTF-8”") from None
        except csv.Error as error:
            raise self._invalid(f"合格的 CSV（{error}）", f"well-formed CSV ({error})") from None

    def _lines(self) -> Iterator[str]:
        # A file without line feeds must not be read whole before csv can refuse it.
        while line := self._file.readline(MAX_LINE_CHARACTERS + 1):
            if len(line) > MAX_LINE_CHARACTERS:
                raise self._invalid(
                    f"每行至多 {MAX_LINE_CHARACTERS} 个字符", f"at most {MAX_LINE_CHARACTERS} characters a line"
                )
            yield line

    def _invalid(self, zh: str, en: str) -> InputError:
        return invalid_table(self._path, self._reader.line_num + 1, zh, en)


def open_table(path: Path) -> CsvTable | XlsxTable | JsonTable:
    """Return the table in a file; raise InputError where it cannot be read or is none of .csv, .xlsx and .json."""
    kind = path.suffix.lower()
    if kind == ".xlsx":
        from sdk.certificate_batches.spreadsheets import XlsxTable

        return XlsxTable(path)
    if kind == ".json":
        from sdk.certificate_batches.json_tables import JsonTable

        return JsonTable(path)
    if kind != ".csv":
        raise InputError(
            "TABLE_KIND",
            f"{path} 应为 .csv、.xlsx 或 .json 文件，请在表格软件中另存",
            f"expected {path} to be a .csv, .xlsx or .json file; save it as one in your spreadsheet program",
        )
    return CsvTable(path)


def check_names(path: Path, names: Sequence[str]) -> list[str]:
    """Return a table's column names if there are some and each stands once; raise InputError TABLE_INVALID otherwise."""
    if not names or not all(names):
        raise invalid_table(path, 1, "标题行，各列都有名称", "a line of column names, none of them empty")
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise invalid_table(path, 1, f"列名 {twice[0][:60]!r} 只出现一次", f"the column {twice[0][:60]!r} once")
    return list(names)


def invalid_table(path: Path, line: int, zh: str, en: str) -> InputError:
    """Return the error of a file that is no table, with what was expected there."""
    return InputError(
        "TABLE_INVALID", f"{path} 第 {line} 行：应为{zh}，请改正", f"{path} line {line}: expected {en}; correct it"
    )


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error of a file that cannot be opened."""
    return InputError(
        "FILE_UNREADABLE",
        f"文件 {path} 无法读取（{system_reason(error)[0]}），请检查路径与权限",
        f"cannot read {path} ({system_reason(error)[1]}): check path and permissions",
    )
