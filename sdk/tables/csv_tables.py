"""Tables as CSV: their lines one after another, never the whole file at once."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from sdk.documents import unreadable
from sdk.tables.lines import (
    MAX_COLUMNS,
    IsHeading,
    TableLine,
    find_names,
    invalid_table,
)
from verification.errors import InputError

MAX_LINE_CHARACTERS: Final = 1 << 20
"""Of one line of text; a cell may span several."""


class CsvTable:
    """A UTF-8 CSV file, read line by line; use it in a `with` block and iterate it once."""

    def __init__(self, path: Path, is_heading: IsHeading | None = None) -> None:
        """Open the file and read its column names, as find_names finds them; raise InputError."""
        self._path = path
        try:
            self._file: TextIO = path.open(encoding="utf-8-sig", newline="")
        except OSError as error:
            raise unreadable(path, error) from None
        try:
            self._reader = csv.reader(self._lines(), strict=True)
            self.names, self.names_line = find_names(path, self._rows(), is_heading)
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
