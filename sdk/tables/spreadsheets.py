"""Spreadsheets as tables: the first sheet of an .xlsx file, row by row, under limits that hold before anything is unpacked."""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self
from xml.etree.ElementTree import ParseError

import msgspec
import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from sdk.documents import unreadable
from sdk.tables.lines import (
    MAX_COLUMNS,
    IsHeading,
    TableLine,
    find_names,
    invalid_table,
)
from verification.errors import InputError

MAX_PARTS: Final = 1_000
MAX_UNPACKED_BYTES: Final = 256 * 1024 * 1024
"""Of all parts of the file; its texts are held in memory, so that more rows belong in a CSV."""
MAX_SHEET_ROWS: Final = 1_048_576
"""What the format allows."""
MAX_EXACT_NUMBER: Final = 10**15
"""From here on a spreadsheet has rounded: an identity number typed as a number is lost."""

_READ_BYTES: Final = 1 << 20
_DOCUMENT_TYPES: Final = tuple("<!DOCTYPE".encode(name) for name in ("ascii", "utf-16-le", "utf-16-be"))
_FORMULA: Final = re.compile(rb"[<:]f[\s/>]")
"""A formula's beginning, with a prefix of any kind. What only looks like one costs time, and nothing else."""
_FAULTS: Final = (
    zipfile.BadZipFile,
    InvalidFileException,
    ParseError,
    zlib.error,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
    OverflowError,
    NotImplementedError,
)
"""What the reader raises on files that are not as they should be; each kind of damage has its own."""


class XlsxTable:
    """The first sheet of an .xlsx file; use it in a `with` block and iterate it once."""

    def __init__(self, path: Path, is_heading: IsHeading | None = None) -> None:
        """Open the file and read its column names, as find_names finds them; raise InputError."""
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise unreadable(path, error) from None
        try:
            self.names, self.names_line = self._read_names(is_heading)
        except BaseException:
            self._file.close()
            raise

    def _read_names(self, is_heading: IsHeading | None) -> tuple[list[str], int]:
        try:
            has_formulas = _check_parts(self._path, self._file)
        except _FAULTS as error:
            raise self._damaged(1, error) from None
        self._lines = self._rows(has_formulas)
        return find_names(self._path, self._lines, is_heading)

    def _sheet(self, *, is_calculated: bool) -> Any:
        """Return the first sheet: with what formulas come to, or with the formulas themselves."""
        # The file is given open: the reader does not close one that it opened itself and finds damaged.
        book = openpyxl.load_workbook(self._file, read_only=True, data_only=is_calculated, keep_links=False)
        sheet = book.worksheets[0]
        # What a sheet says of its own size is often wrong, and rows beyond it would be left out without a word.
        sheet.reset_dimensions()
        return sheet

    def _values(self, has_formulas: bool) -> Iterator[tuple[Sequence[Any], tuple[int, ...]]]:
        """Yield the values of each row, and the places of formulas that nothing has calculated."""
        calculated = self._sheet(is_calculated=True)
        if not has_formulas:
            for values in calculated.iter_rows(values_only=True):
                yield values, ()
            return
        formulas = self._sheet(is_calculated=False).iter_rows(values_only=True)
        for cells, stated in zip(calculated.iter_rows(), formulas, strict=True):
            yield [cell.value for cell in cells], _uncalculated(cells, stated)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._file.close()

    def __iter__(self) -> Iterator[TableLine]:
        """Yield the rows that are not empty, each as wide as the line of names or wider; raise InputError TABLE_INVALID."""
        width = len(self.names)
        for line in self._lines:
            missing = width - len(line.cells)
            yield msgspec.structs.replace(line, cells=line.cells + [""] * missing) if missing > 0 else line

    def _rows(self, has_formulas: bool) -> Generator[TableLine, None, None]:
        number = 0
        with warnings.catch_warnings():
            # Of what a sheet may have beside its cells, and the reader leaves out.
            warnings.filterwarnings("ignore", module="openpyxl")
            try:
                for number, (values, uncalculated) in enumerate(self._values(has_formulas), 1):
                    if number > MAX_SHEET_ROWS:
                        raise invalid_table(
                            self._path, number, f"至多 {MAX_SHEET_ROWS} 行", f"at most {MAX_SHEET_ROWS} rows"
                        )
                    line = _line(number, values, uncalculated)
                    if len(line.cells) > MAX_COLUMNS:
                        raise invalid_table(
                            self._path, number, f"至多 {MAX_COLUMNS} 列", f"at most {MAX_COLUMNS} columns"
                        )
                    if line.cells or uncalculated:
                        yield line
            except _FAULTS as error:
                raise self._damaged(number + 1, error) from None

    def _damaged(self, line: int, error: Exception) -> InputError:
        reason = type(error).__name__
        return invalid_table(
            self._path,
            line,
            f"完好的 .xlsx（{reason}），可另存为“CSV UTF-8”",
            f"a sound .xlsx ({reason}); saving it as “CSV UTF-8” may help",
        )


def _line(number: int, values: Sequence[Any], uncalculated: tuple[int, ...]) -> TableLine:
    """Return a row's texts without the empty cells at its end, and where numbers are no longer exact."""
    cells = [_text(value) for value in values]
    while cells and not cells[-1]:
        cells.pop()
    inexact = tuple(
        place
        for place, value in enumerate(values)
        if isinstance(value, int | float) and not -MAX_EXACT_NUMBER < value < MAX_EXACT_NUMBER
    )
    return TableLine(number, cells, inexact, uncalculated)


def _uncalculated(cells: Sequence[Any], formulas: Sequence[Any]) -> tuple[int, ...]:
    """Return the places of formulas without a value; one that comes to an empty text has the type of a text."""
    return tuple(
        place
        for place, (cell, formula) in enumerate(zip(cells, formulas, strict=True))
        if formula is not None and cell.value is None and cell.data_type == "n"
    )


def _text(value: Any) -> str:
    """Return what a cell shows: days as YYYY-MM-DD, whole numbers without a point, TRUE and FALSE."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _check_parts(path: Path, file: BinaryIO) -> bool:
    """Return whether a cell of a file has a formula.

    Raise InputError where it unpacks to too much, or any part has a document type, which can stand for any amount of text.
    """
    with zipfile.ZipFile(file) as package:
        parts = package.infolist()
        # zipfile reads no more of a part than the directory states.
        if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
            mebibytes = MAX_UNPACKED_BYTES >> 20
            raise InputError(
                "TABLE_TOO_LARGE",
                f"{path} 解开后应不超过 {mebibytes} MiB、{MAX_PARTS} 个部件，请另存为“CSV UTF-8”",
                f"expected {path} to unpack to at most {mebibytes} MiB and {MAX_PARTS} parts; save it as “CSV UTF-8”",
            )
        # Whatever their names: what is read as markup is up to the references between parts.
        found = [_check_markup(path, package, part) for part in parts]
        return any(found)


def _check_markup(path: Path, package: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    """Return whether a part has a cell's formula in it; raise InputError where it has a document type."""
    # No spreadsheet program writes markup in UTF-16; pictures and settings of printers have any bytes.
    is_markup = part.filename.lower().endswith((".xml", ".rels"))
    has_formula = False
    with package.open(part) as file:
        before = b""
        while block := file.read(_READ_BYTES):
            seen = before + block
            if any(name in seen for name in _DOCUMENT_TYPES) or (is_markup and b"\0" in block):
                raise invalid_table(
                    path,
                    1,
                    f"没有文档类型声明的 UTF-8 部件（{part.filename}）",
                    "parts in UTF-8 without a document type",
                )
            has_formula = has_formula or _FORMULA.search(seen) is not None
            before = seen[-17:]
    return has_formula
