"""Rows as JSON, for systems that have no table: one object, or a list of them, whose members are the columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from node.http.proof_file import unambiguous_object
from sdk.documents import read_limited
from sdk.tables.lines import MAX_COLUMNS, TableLine, check_names, invalid_table
from verification.reasons import decoding_reason

MAX_JSON_TABLE_BYTES: Final = 64 * 1024 * 1024


class JsonTable:
    """The rows of a JSON file; the number of a line is that of its object, from 1."""

    def __init__(self, path: Path) -> None:
        """Read the file; raise InputError TABLE_INVALID where it is not one or several objects of texts."""
        self._path = path
        raw = read_limited(path, MAX_JSON_TABLE_BYTES)
        try:
            found: Any = json.loads(raw, object_pairs_hook=unambiguous_object)
        except (ValueError, RecursionError) as error:
            zh, en = decoding_reason(error)
            raise invalid_table(path, 1, f"合格的 JSON（{zh}）", f"well-formed JSON ({en})") from None
        rows = found if isinstance(found, list) else [found]
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, dict) or not all(_is_text(text) for pair in row.items() for text in pair):
                raise invalid_table(path, number, "值都是文本的 JSON 对象", "a JSON object whose values are texts")
        self._rows: list[dict[str, str]] = rows
        names = dict.fromkeys(name for row in rows for name in row)
        if len(names) > MAX_COLUMNS:
            raise invalid_table(path, 1, f"至多 {MAX_COLUMNS} 列", f"at most {MAX_COLUMNS} columns")
        self.names, self.names_line = check_names(path, list(names)), 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    def __iter__(self) -> Iterator[TableLine]:
        """Yield the rows that are not empty."""
        for number, row in enumerate(self._rows, start=1):
            cells = [row.get(name, "").strip() for name in self.names]
            if any(cells):
                yield TableLine(number, cells)


def _is_text(value: object) -> bool:
    """Whether a value is Unicode text: JSON can write halves of surrogate pairs, which no file can hold."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)
