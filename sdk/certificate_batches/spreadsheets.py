"""Spreadsheets as tables: the first sheet of an .xlsx file, row by row, under limits that hold before anything is unpacked."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Generator, Iterator
from datetime import date, datetime, time
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from sdk.certificate_batches.tables import MAX_COLUMNS, TableLine, check_names, invalid_table, unreadable
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

    def __init__(self, path: Path) -> None:
        """Open the file and read its column names; raise InputError."""
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise unreadable(path, error) from None
        try:
            self.names = self._read_names()
        except BaseException:
            self._file.close()
            raise

    def _read_names(self) -> list[str]:
        try:
            _check_parts(self._path, self._file)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="openpyxl")
                # The file is given open: the reader does not close one that it opened itself and finds damaged.
                book = openpyxl.load_workbook(self._file, read_only=True, data_only=True, keep_links=False)
            sheet = book.worksheets[0]
            # What a sheet says of its own size is often wrong, and rows beyond it would be left out without a word.
            sheet.reset_dimensions()
        except _FAULTS as error:
            raise self._damaged(1, error) from None
        self._lines = self._rows(sheet)
        return check_names(self._path, next(self._lines, TableLine(1, [])).cells)

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
            yield TableLine(line.number, line.cells + [""] * missing, line.inexact) if missing > 0 else line

    def _rows(self, sheet: Any) -> Generator[TableLine, None, None]:
        number = 0
        with warnings.catch_warnings():
            # Of what a sheet may have beside its cells, and the reader leaves out.
            warnings.filterwarnings("ignore", module="openpyxl")
            try:
                for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
                    if number > MAX_SHEET_ROWS:
                        raise invalid_table(
                            self._path, number, f"至多 {MAX_SHEET_ROWS} 行", f"at most {MAX_SHEET_ROWS} rows"
                        )
                    line = _line(number, values)
                    if len(line.cells) > MAX_COLUMNS:
                        raise invalid_table(
                            self._path, number, f"至多 {MAX_COLUMNS} 列", f"at most {MAX_COLUMNS} columns"
                        )
                    if line.cells:
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


def _line(number: int, values: tuple[Any, ...]) -> TableLine:
    """Return a row's texts without the empty cells at its end, and where numbers are no longer exact."""
    cells = [_text(value) for value in values]
    while cells and not cells[-1]:
        cells.pop()
    inexact = tuple(
        place
        for place, value in enumerate(values)
        if isinstance(value, int | float) and not -MAX_EXACT_NUMBER < value < MAX_EXACT_NUMBER
    )
    return TableLine(number, cells, inexact)


def _text(value: Any) -> str:
    """Return what a cell shows: days as YYYY-MM-DD, whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _check_parts(path: Path, file: BinaryIO) -> None:
    """Raise InputError where a file unpacks to too much, or any part has a document type, which can stand for any amount of text."""
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
        for part in parts:
            # Whatever its name: what is read as markup is up to the references between parts.
            _check_markup(path, package, part)


def _check_markup(path: Path, package: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    # No spreadsheet program writes markup in UTF-16; pictures and settings of printers have any bytes.
    is_markup = part.filename.lower().endswith((".xml", ".rels"))
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
            before = seen[-17:]
