"""Entries of the catalogue written as tables, CSV or XLSX, that are read again as the same entries; and the report of faulty rows."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from sdk.data_catalogue.kinds import DEPARTMENT, Entry, Kind
from sdk.data_catalogue.reading import escaped
from sdk.documents import private_file
from sdk.tables.lines import RowFault
from verification.errors import InputError

FAULT_HEADINGS: Final = ("文件 file", "行 line", "列 column", "代码 code", "实为 found", "说明", "explanation")


def write_table(path: Path, kind: Kind, entries: Iterable[Entry]) -> int:
    """Write entries of a kind to a .csv or .xlsx file and return how many there were; raise InputError where it cannot be written."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _write_csv(path, kind, entries)
    if suffix == ".xlsx":
        return _write_xlsx(path, kind, entries)
    raise InputError("TABLE_KIND", f"{path} 应为 .csv 或 .xlsx 文件", f"expected {path} to be a .csv or .xlsx file")


def write_faults(path: Path, faults: Iterable[tuple[Path, RowFault]]) -> int:
    """Write every fault as a line of a CSV that spreadsheets read as UTF-8, and return how many there were."""
    count = 0
    with private_file(path) as file:
        writer = csv.writer(codecs.getwriter("utf-8-sig")(file))
        writer.writerow(FAULT_HEADINGS)
        for source, fault in faults:
            found = escaped(fault.found)
            writer.writerow(
                (escaped(source.name), fault.line, escaped(fault.column), fault.code, found, fault.zh, fault.en)
            )
            count += 1
    return count


def cells_of(kind: Kind, entry: Entry) -> list[str]:
    """Return the texts of an entry in the order of its kind's columns."""
    return [
        entry.department if column.field == DEPARTMENT else column.form.encode(getattr(entry.content, column.field))
        for column in kind.columns
    ]


def _rows(kind: Kind, entries: Iterable[Entry]) -> Iterator[Sequence[str]]:
    yield [column.zh for column in kind.columns]
    for entry in entries:
        yield cells_of(kind, entry)


def _write_csv(path: Path, kind: Kind, entries: Iterable[Entry]) -> int:
    count = -1
    with private_file(path) as file:
        writer = csv.writer(codecs.getwriter("utf-8-sig")(file))
        for row in _rows(kind, entries):
            writer.writerow([escaped(cell) for cell in row])
            count += 1
    return count


def _write_xlsx(path: Path, kind: Kind, entries: Iterable[Entry]) -> int:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    count = -1
    book = Workbook(write_only=True)
    sheet = book.create_sheet(kind.zh)
    for row in _rows(kind, entries):
        cells = []
        for text in row:
            cell = WriteOnlyCell(sheet, value=escaped(text))
            # A code of digits stays a text: no program rounds it or takes zeros off its front.
            cell.data_type, cell.number_format = "s", "@"
            cells.append(cell)
        sheet.append(cells)
        count += 1
    with private_file(path) as file:
        book.save(file)
    return count
