"""An .xlsx file is read as the same table as a CSV, and one that is damaged or made to harm is refused."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from sdk.tables import spreadsheets
from sdk.tables.lines import TableLine, is_failed
from sdk.tables.opening import open_table
from verification.errors import InputError


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def call(*rows: list[Any]) -> Path:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
        path = tmp_path / "rows.xlsx"
        book.save(path)
        return path

    return call


def lines_of(path: Path) -> list[TableLine]:
    with open_table(path) as table:
        return list(table)


def code_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        lines_of(path)
    return caught.value.code


def repacked(path: Path, changes: dict[str, bytes]) -> Path:
    """A copy of a package with some of its parts changed or added."""
    with zipfile.ZipFile(path) as package:
        parts = {name: package.read(name) for name in package.namelist()} | changes
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return path


def test_cells_are_the_texts_that_a_csv_would_have(save: Callable[..., Path]) -> None:
    path = save(
        ["serial", "valid_from", "valid_to", "field:面积", "number"],
        [20260000001, date(2026, 7, 1), datetime.fromisoformat("2031-06-30"), 98.5, " 一号 "],
        [],
        ["0007", "2026-07-01", None, 98.0, None],
    )
    with open_table(path) as table:
        assert table.names == ["serial", "valid_from", "valid_to", "field:面积", "number"]
        assert list(table) == [
            TableLine(2, ["20260000001", "2026-07-01", "2031-06-30", "98.5", "一号"]),
            TableLine(4, ["0007", "2026-07-01", "", "98", ""]),
        ]


@pytest.mark.parametrize("content", [b"", b"PK", b"serial,valid_from\n1,2026-07-01\n"])
def test_what_is_no_package_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.xlsx"
    path.write_bytes(content)
    assert code_of(path) == "TABLE_INVALID"
    assert code_of(tmp_path / "none.xlsx") == "FILE_UNREADABLE"
    assert code_of(tmp_path / "rows.xls") == "TABLE_KIND"


def test_a_package_that_unpacks_to_too_much_is_refused_unread(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = repacked(save(["serial"]), {"xl/media/image.bin": bytes(1_000_000)})
    monkeypatch.setattr(spreadsheets, "MAX_UNPACKED_BYTES", 1_000_000)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    assert code_of(path) == "TABLE_TOO_LARGE"


@pytest.mark.parametrize(
    "start",
    [
        b'<?xml version="1.0"?><!DOCTYPE sst [<!ENTITY a "aaaa">]>',
        '<?xml version="1.0" encoding="UTF-16"?>'.encode("utf-16"),
    ],
)
def test_a_part_with_a_document_type_is_refused(save: Callable[..., Path], start: bytes) -> None:
    assert code_of(repacked(save(["serial"]), {"xl/sharedStrings.xml": start + b"<sst/>"})) == "TABLE_INVALID"


@pytest.mark.parametrize("name", ["xl/worksheets/sheet1.XML", "xl/worksheets/sheet1.png", "xl/sheet"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_under_any_name(save: Callable[..., Path], name: str, encoding: str) -> None:
    content = '<?xml version="1.0"?><!DOCTYPE worksheet [<!ENTITY e "1">]><worksheet/>'.encode(encoding)
    assert code_of(repacked(save(["serial"]), {name: content})) == "TABLE_INVALID"


def test_a_document_type_is_found_where_blocks_of_reading_meet(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = repacked(save(["serial"]), {"xl/sheet": " <!DOCTYPE".encode("utf-16-le")})
    monkeypatch.setattr(spreadsheets, "_READ_BYTES", 5)
    assert code_of(path) == "TABLE_INVALID"


def test_a_picture_in_a_spreadsheet_does_no_harm(save: Callable[..., Path]) -> None:
    path = repacked(save(["serial"], ["0007"]), {"xl/media/image1.png": b"\x89PNG\0\0\xff", "xl/printer.bin": bytes(9)})
    with open_table(path) as table:
        assert list(table) == [TableLine(2, ["0007"])]


@pytest.mark.parametrize(
    "sheet",
    [
        b"<worksheet><sheetData><row",
        b"<worksheet><sheetData><row r='1'><c r='A1' t='s'><v>99</v></c></row></sheetData></worksheet>",
        b"<worksheet><sheetData><row r='1'><c r='A1' t='n'><v>x</v></c></row></sheetData></worksheet>",
    ],
)
def test_a_damaged_sheet_is_refused(save: Callable[..., Path], sheet: bytes) -> None:
    named = b"xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'"
    content = sheet.replace(b"<worksheet>", b"<worksheet " + named + b">")
    assert code_of(repacked(save(["serial"]), {"xl/worksheets/sheet1.xml": content})) == "TABLE_INVALID"


def test_a_row_far_below_is_not_waited_for(save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    named = "xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'"
    cell = "<c t='inlineStr'><is><t>serial</t></is></c>"
    content = f"<worksheet {named}><sheetData><row r='1'>{cell}</row><row r='99999999999'>{cell}</row></sheetData></worksheet>"
    monkeypatch.setattr(spreadsheets, "MAX_SHEET_ROWS", 1_000)
    assert code_of(repacked(save(["serial"]), {"xl/worksheets/sheet1.xml": content.encode()})) == "TABLE_INVALID"


MAIN = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SHEET = "xl/worksheets/sheet1.xml"
FORMULAS = (
    b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    b'<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c><c r="B1" t="inlineStr"><is><t>b</t></is></c></row>'
    b'<row r="2"><c r="A2"><f>1+1</f><v>2</v></c><c r="B2"><f>A2+1</f></c></row>'
    b'<row r="3"><c r="A3" t="str"><f>IF(A2=9,1,"")</f><v></v></c><c r="B3" t="inlineStr"><is><t>x</t></is></c></row>'
    b'<row r="4"><c r="A4"><f>A2</f><v/></c></row></sheetData></worksheet>'
)


def test_a_formula_is_what_it_comes_to_or_named_as_not_calculated(save: Callable[..., Path]) -> None:
    path = repacked(save(["a", "b"]), {SHEET: FORMULAS})
    assert [(line.cells, line.uncalculated) for line in lines_of(path)] == [
        (["2", ""], (1,)),
        (["", "x"], ()),
        (["", ""], (0,)),
    ]


@pytest.mark.parametrize(("bare", "written"), [(b"<f>", b"<f\n>"), (b"<f>", b'<f\tca="1">'), (b"f>", b"X1.y:f>")])
def test_a_formula_is_seen_however_its_markup_is_written(
    save: Callable[..., Path], bare: bytes, written: bytes
) -> None:
    sheet = FORMULAS.replace(bare, written).replace(b"<worksheet ", b'<worksheet xmlns:X1.y="' + MAIN + b'" ')
    path = repacked(save(["a", "b"]), {SHEET: sheet})
    assert [line.uncalculated for line in lines_of(path)] == [(1,), (), (0,)]


def test_what_is_true_or_false_is_shown_as_in_a_csv(save: Callable[..., Path]) -> None:
    assert [line.cells for line in lines_of(save(["a", "b"], [True, False]))] == [["TRUE", "FALSE"]]


@pytest.mark.parametrize(
    "cell", ["#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "Err:502"]
)
def test_what_a_failed_formula_shows_is_known(cell: str) -> None:
    assert is_failed(cell)
    assert not any(map(is_failed, ("", cell[:-1], f"{cell}1", "#1", "#A栋", "N/A", "#")))


def test_titles_above_the_names_are_passed_over_where_the_names_are_known(save: Callable[..., Path]) -> None:
    path = save(["不动产登记目录"], [], ["填报单位：", "示范局"], ["serial", "number"], ["1", "2"])
    with open_table(path, lambda cells: "serial" in cells) as table:
        assert (table.names, [line.cells for line in table]) == (["serial", "number"], [["1", "2"]])
    path = save(*[[f"标题{number}"] for number in range(6)], ["serial"], ["1"])
    with open_table(path, lambda cells: "serial" in cells) as table:
        assert table.names == ["标题0"]
