"""A table of the catalogue read: the entries that it states, and everything that keeps lines of it from being one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts.data_sharing.resources import check_resource_code
from contracts.identifiers import is_uscc
from contracts.refusals import Refused
from sdk.data_catalogue.cells import MAX_SHOWN, CellFault, decode_item
from sdk.data_catalogue.kinds import (
    DEPARTMENT,
    ITEM_COLUMNS,
    ITEM_NAME,
    ITEM_TYPE,
    KINDS,
    RESOURCES,
    Column,
    Entry,
    Kind,
)
from sdk.identity_numbers import has_resident_number
from sdk.tables.lines import (
    FORMULA_FAILED,
    MAX_TITLE_LINES,
    UNCALCULATED,
    RowFault,
    TableLine,
    invalid_table,
    is_failed,
)
from sdk.tables.opening import open_table
from verification.errors import InputError

MAX_ENTRIES: Final = 500_000
"""Of one table; they are held in memory to be compared with the ledger's."""
MAX_FAULTS: Final = 10_000
"""Of one table: more say that it is another table."""
MAX_LINES_PER_ENTRY: Final = 1_000

COUNT: Final = "序号"
"""Heading of a column that counts the rows and states nothing: what is in it is not read."""
_FORMULA_STARTS: Final = ("=", "+", "-", "@")


class TableContent(msgspec.Struct):
    """What a table holds: its kind, the entries without a fault, and the faults of all others, both in the order of lines."""

    kind: Kind
    path: Path
    entries: list[Entry]
    faults: list[RowFault]
    rows: int
    """Entries that there are in the file, faulty ones included."""
    headings: dict[str, str]
    """What the columns are called in this file, by the field that they fill."""
    headings_line: int
    """Where they are; what stands above is no part of the table."""


def read_table(path: Path, kind: Kind | None = None, *, department: str = "") -> TableContent:
    """Return what a CSV, XLSX or JSON file states; its kind is told from its columns where none is given.

    `department` is whose the entries of a table without a column of departments are. Raises InputError TABLE_INVALID and others
    where the file is no such table, TABLE_TOO_LARGE where it has too many entries.
    """
    with open_table(path, _is_heading) as table:
        heading = TableLine(table.names_line, table.names)
        kind = _kind_of(path, heading) if kind is None else kind
        reader = _Reader(path, kind, heading, department)
        for line in table:
            reader.take(line)
    return reader.finish()


def unescaped(cell: str) -> str:
    """Return a cell without the apostrophe that keeps spreadsheet programs from taking it for a formula."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA_STARTS) else cell


def escaped(cell: str) -> str:
    """Return a cell that no spreadsheet program takes for a formula, and that `unescaped` makes what it was."""
    return "'" + cell if cell.lstrip("'").startswith(_FORMULA_STARTS) else cell


class _Reader:
    """Lines on their way to entries: one entry has one line, and further ones that state only data items."""

    def __init__(self, path: Path, kind: Kind, heading: TableLine, department: str) -> None:
        self._path, self._kind, self._department = path, kind, department
        self._width = len(heading.cells)
        self._places = _places(path, kind, heading, department)
        headings = {field: heading.cells[place][:MAX_SHOWN] for field, place in self._places.items()}
        self._content = TableContent(kind, path, [], [], 0, headings, heading.number)
        self._lines: list[TableLine] = []
        self._seen: dict[tuple[str, str], int] = {}

    def take(self, line: TableLine) -> None:
        """Take the next line of the table."""
        if len(line.cells) != self._width:
            zh, en = f"应有 {self._width} 列", f"expected {self._width} columns"
            self._fault(line.number, "-", "COLUMN_COUNT", str(len(line.cells)), zh, en)
            return
        if self._is_continued(line):
            self._lines.append(line)
            if len(self._lines) > MAX_LINES_PER_ENTRY:
                raise invalid_table(
                    self._path,
                    line.number,
                    f"一项至多 {MAX_LINES_PER_ENTRY} 行",
                    f"at most {MAX_LINES_PER_ENTRY} lines for one entry",
                )
            return
        self._close()
        self._lines = [line]

    def finish(self) -> TableContent:
        """Return what was read."""
        self._close()
        self._content.faults.sort(key=lambda fault: fault.line)
        return self._content

    def _is_continued(self, line: TableLine) -> bool:
        """Return whether a line states data items of the entry above, and nothing of its own: or the same code again."""
        if not self._lines or ITEM_NAME not in self._places:
            return False
        if {self._places["code"], self._places["name"]} & set(line.uncalculated):
            return False
        code, name = self._cell(line, "code"), self._cell(line, "name")
        first = self._lines[0]
        return not (code or name) or (code == self._cell(first, "code") and name == self._cell(first, "name"))

    def _close(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        self._content.rows += 1
        if self._content.rows > MAX_ENTRIES:
            raise InputError(
                "TABLE_TOO_LARGE",
                f"{self._path} 至多 {MAX_ENTRIES} 项，请拆分",
                f"expected at most {MAX_ENTRIES} entries in {self._path}: split it",
            )
        found = len(self._content.faults)
        values = self._values(lines)
        if len(self._content.faults) > found:
            return
        department = values.pop(DEPARTMENT)
        entry = Entry(self._kind.name, department, self._kind.make(**values), lines[0].number)
        before = self._seen.setdefault(entry.name, entry.line)
        if before != entry.line:
            zh, en = f"与第 {before} 行的代码相同", f"the same code as in line {before}"
            self._fault(entry.line, self._heading("code"), "CODE_TWICE", entry.content.code, zh, en)
            return
        self._content.entries.append(entry)

    def _values(self, lines: list[TableLine]) -> dict[str, Any]:
        first = lines[0]
        values: dict[str, Any] = {DEPARTMENT: self._department}
        for column in self._kind.columns:
            if column.field in self._places:
                values[column.field] = self._value(first, column)
        # None: something is wrong with the cell already.
        if values[DEPARTMENT] is not None and not is_uscc(values[DEPARTMENT]):
            zh, en = "应为 18 位统一社会信用代码", "expected a unified social credit code of 18 characters"
            self._fault(first.number, self._heading(DEPARTMENT), "USCC_INVALID", values[DEPARTMENT], zh, en)
        if self._kind is RESOURCES and values["code"] is not None:
            self._check_code(first.number, values["code"])
        if ITEM_NAME in self._places:
            values["items"] = tuple(item for line in lines for item in self._item(line))
        return values

    def _check_code(self, line: int, code: str) -> None:
        """Add the fault of a resource's code: a rule of the contract that needs no other cell is told with those of the cells."""
        try:
            check_resource_code(code)
        except Refused as refused:
            self._fault(line, self._heading("code"), refused.code, code, *refused.texts)

    def _value(self, line: TableLine, column: Column) -> Any:
        """Return what a cell stands for, or None once it has its one fault."""
        cell, heading = self._cell(line, column.field), self._heading(column.field)
        if not self._is_fit(line, column.field):
            return None
        if column.is_required and not cell:
            self._fault(line.number, heading, "CELL_EMPTY", "", "不能为空", "expected a value")
            return None
        try:
            return column.form.decode(cell)
        except CellFault as fault:
            self._fault(line.number, heading, "CELL_INVALID", cell, f"应为{fault.zh}", f"expected {fault.en}")
            return None

    def _is_fit(self, line: TableLine, field: str) -> bool:
        """Return whether a cell is fit for the ledger, else it has its fault: said without the cell, as reports go from desk to desk."""
        heading = self._heading(field)
        if self._places[field] in line.inexact:
            zh, en = (
                "数字过长已被表格软件舍入，请设为文本格式重新录入",
                "a number too long for a spreadsheet, which has rounded it: make it a text",
            )
            self._fault(line.number, heading, "NUMBER_ROUNDED", "", zh, en)
            return False
        if self._places[field] in line.uncalculated:
            self._fault(line.number, heading, "FORMULA_UNCALCULATED", "", *UNCALCULATED)
            return False
        if is_failed(self._cell(line, field)):
            self._fault(line.number, heading, "FORMULA_FAILED", self._cell(line, field), *FORMULA_FAILED)
            return False
        if has_resident_number(self._cell(line, field)):
            zh, en = (
                "其中有公民身份号码，账本永久保存且供他人查阅",
                "it has an identity number in it, and the ledger keeps it for others to read",
            )
            self._fault(line.number, heading, "IDENTITY_NUMBER", "", zh, en)
            return False
        return True

    def _item(self, line: TableLine) -> Iterator[Any]:
        name, kind = self._cell(line, ITEM_NAME), self._cell(line, ITEM_TYPE)
        if not (self._is_fit(line, ITEM_NAME) and self._is_fit(line, ITEM_TYPE)) or not (name or kind):
            return
        try:
            yield decode_item(name, kind)
        except CellFault as fault:
            found = f"{name}:{kind}"
            self._fault(
                line.number, self._heading(ITEM_NAME), "CELL_INVALID", found, f"应为{fault.zh}", f"expected {fault.en}"
            )

    def _cell(self, line: TableLine, field: str) -> str:
        place = self._places.get(field)
        return "" if place is None else unescaped(line.cells[place])

    def _heading(self, field: str) -> str:
        return self._content.headings.get(field, field)

    def _fault(self, line: int, column: str, code: str, found: str, zh: str, en: str) -> None:
        self._content.faults.append(RowFault(line, column, code, found[:MAX_SHOWN], zh, en))
        if len(self._content.faults) > MAX_FAULTS:
            raise invalid_table(
                self._path,
                line,
                f"{self._kind.zh}表，至此已有 {MAX_FAULTS} 处不合格",
                f"a table of the {self._kind.en}, and {MAX_FAULTS} things are wrong by here",
            )


def _is_heading(cells: Sequence[str]) -> bool:
    """Return whether most of a line's cells are headings of one kind of table: what stands above them is a title."""
    stated = {cell for cell in cells if cell}
    known = max(len(_fields_by_heading(kind).keys() & stated) for kind in KINDS.values())
    return known > 1 and 2 * known > len(stated)


def _kind_of(path: Path, heading: TableLine) -> Kind:
    """Return the kind that knows most of a table's headings; raise InputError where two know as many."""
    known = {kind.name: len(_fields_by_heading(kind).keys() & set(heading.cells)) for kind in KINDS.values()}
    most = max(known.values())
    found = [kind for kind in KINDS.values() if known[kind.name] == most]
    if len(found) > 1:
        raise invalid_table(
            path,
            heading.number,
            f"其中一种表的列：{'、'.join(kind.zh for kind in KINDS.values())}；列名须在前 {MAX_TITLE_LINES + 1} 行之内；或用 --kind 指明",
            f"the columns of one of the tables {', '.join(KINDS)}, in one of the first {MAX_TITLE_LINES + 1} rows; or use --kind",
        )
    return found[0]


def _fields_by_heading(kind: Kind) -> dict[str, str]:
    fields = {name: column.field for column in kind.columns for name in (column.field, column.zh, *column.others)}
    if kind is RESOURCES:
        fields |= {name: field for field, headings in ITEM_COLUMNS.items() for name in headings}
    return fields


def _places(path: Path, kind: Kind, heading: TableLine, department: str) -> dict[str, int]:
    """Return where each field's column is; raise InputError TABLE_INVALID where one is missing, unknown or there twice."""
    fields = _fields_by_heading(kind)
    places: dict[str, int] = {}
    for place, name in enumerate(heading.cells):
        if name == COUNT:
            continue
        field = fields.get(name)
        if field is None:
            shown = "、".join(column.zh for column in kind.columns)
            raise invalid_table(
                path,
                heading.number,
                f"{kind.zh}的列名之一：{shown}，实为 {name[:MAX_SHOWN]!r}",
                f"one of the columns {', '.join(column.field for column in kind.columns)}, found {name[:MAX_SHOWN]!r}",
            )
        if field in places:
            raise invalid_table(
                path, heading.number, f"列 {name[:MAX_SHOWN]!r} 只出现一次", f"the column {name[:MAX_SHOWN]!r} once"
            )
        places[field] = place
    needed = [
        column for column in kind.columns if column.is_required and not (column.field == DEPARTMENT and department)
    ]
    missing = [column for column in needed if column.field not in places]
    if missing:
        raise invalid_table(
            path,
            heading.number,
            f"列 {'、'.join(column.zh for column in missing)}",
            f"the columns {', '.join(column.field for column in missing)}",
        )
    has_items = len({"items", ITEM_NAME} & set(places)) == 1 and (ITEM_NAME in places) == (ITEM_TYPE in places)
    if kind is RESOURCES and not has_items:
        raise invalid_table(
            path,
            heading.number,
            "列 数据项（一格写全），或 数据项名称 与 数据项类型（每行一项）",
            "the column items (all in one cell), or item_name and item_type (one to a line)",
        )
    return places
