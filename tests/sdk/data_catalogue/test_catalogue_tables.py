"""Tables of the catalogue: what departments write in them, what is wrong with lines, and that what is written is read the same."""

from __future__ import annotations

import csv
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from contracts.data_sharing.directories import Duty, System
from contracts.data_sharing.resources import LIBRARIES, SOURCE_LEVELS, ResourceDescription, ResourceItem
from contracts.members import LEVELS
from sdk.data_catalogue.difference import compare
from sdk.data_catalogue.kinds import DUTIES, KINDS, RESOURCES, SYSTEMS, Entry, Kind
from sdk.data_catalogue.reading import TableContent, escaped, read_table, unescaped
from sdk.data_catalogue.writing import cells_of, write_faults, write_table
from verification.errors import InputError

LAND = "11330100MB1234567E"
RESOURCE_LINE = {
    "提供方代码": LAND,
    "资源代码": "307013301/000001",
    "资源名称": "不动产登记信息",
    "资源摘要": "全市不动产登记结果",
    "资源格式": "JSON",
    "数据项": "产权人:字符型；面积：N",
    "共享类型": "有条件共享",
    "共享条件": "仅限税务核验",
    "共享方式": "接口",
    "更新周期": "每日",
    "数据分级": "一般",
}


def write_csv(path: Path, *lines: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return path


def read(folder: Path, *lines: dict[str, str]) -> TableContent:
    return read_table(write_csv(folder / "table.csv", *lines))


def test_a_resource_is_read_with_the_words_that_departments_use(tmp_path: Path) -> None:
    content = read(tmp_path, RESOURCE_LINE)
    assert (content.kind, content.faults, content.rows) == (RESOURCES, [], 1)
    entry = content.entries[0]
    assert (entry.department, entry.line, entry.content.sharing_type, entry.content.update_cycle) == (LAND, 2, 2, 2)
    assert entry.content.items == (ResourceItem("产权人", "C"), ResourceItem("面积", "N"))
    assert (entry.content.data_class, entry.content.is_open, entry.content.duties) == (3, False, ())


@pytest.mark.parametrize(
    ("field", "heading", "cell", "value"),
    [
        ("sharing_type", "共享类型", "1", 1),
        ("sharing_type", "共享类型", "无条件", 1),
        ("sharing_type", "共享类型", "Conditional", 2),
        ("data_class", "数据分级", "核心数据", 1),
        ("library", "所属库", "人口库", "base-population"),
        ("library", "所属库", "", ""),
        ("level", "层级", "地市级", "city"),
        ("source_level", "回流层级", "省级", "province"),
        ("is_open", "是否开放", "是", True),
        ("is_open", "是否开放", "否", False),
        ("duties", "职责代码", "D1; D2\nD3", ("D1", "D2", "D3")),
    ],
)
def test_a_word_stands_for_its_code(tmp_path: Path, field: str, heading: str, cell: str, value: object) -> None:
    content = read(tmp_path, RESOURCE_LINE | {heading: cell})
    assert content.faults == []
    assert getattr(content.entries[0].content, field) == value


@pytest.mark.parametrize(
    ("changes", "column", "code"),
    [
        ({"资源名称": ""}, "资源名称", "CELL_EMPTY"),
        ({"提供方代码": "11330100MB1234567X"}, "提供方代码", "USCC_INVALID"),
        ({"共享类型": "随便"}, "共享类型", "CELL_INVALID"),
        ({"数据项": "产权人"}, "数据项", "CELL_INVALID"),
        ({"数据项": "产权人:文字"}, "数据项", "CELL_INVALID"),
        ({"是否开放": "也许"}, "是否开放", "CELL_INVALID"),
        ({"资源摘要": "如 11010519491231002X 之人"}, "资源摘要", "IDENTITY_NUMBER"),
    ],
)
def test_what_is_wrong_with_a_line_is_named_and_the_others_are_read(
    tmp_path: Path, changes: dict[str, str], column: str, code: str
) -> None:
    filler = {heading: "" for heading in changes if heading not in RESOURCE_LINE}
    good = RESOURCE_LINE | filler | {"资源代码": "307013301/000002"}
    content = read(tmp_path, RESOURCE_LINE | filler | changes, good)
    assert [(fault.line, fault.column, fault.code) for fault in content.faults] == [(2, column, code)]
    assert [entry.content.code for entry in content.entries] == ["307013301/000002"]
    assert content.rows == 2
    assert "11010519491231002X" not in repr(content.faults)


def test_a_resources_code_is_told_with_all_else_that_is_wrong_with_its_line(tmp_path: Path) -> None:
    content = read(tmp_path, RESOURCE_LINE | {"资源代码": "30700/ABC", "资源名称": "", "共享类型": "随便"})
    found = [(fault.column, fault.code, fault.found) for fault in content.faults]
    assert found == [
        ("资源名称", "CELL_EMPTY", ""),
        ("共享类型", "CELL_INVALID", "随便"),
        ("资源代码", "RESOURCE_CODE_MALFORMED", "30700/ABC"),
    ]


def test_a_code_stands_once(tmp_path: Path) -> None:
    content = read(tmp_path, RESOURCE_LINE, RESOURCE_LINE)
    assert [(fault.line, fault.code) for fault in content.faults] == [(3, "CODE_TWICE")]


def test_a_table_with_a_line_for_each_item_is_read_as_the_guide_has_it(tmp_path: Path) -> None:
    whole = {name: cell for name, cell in RESOURCE_LINE.items() if name != "数据项"}
    first = whole | {"信息项名称": "产权人", "数据类型": "字符型C"}
    merged = dict.fromkeys(whole, "") | {"信息项名称": "面积", "数据类型": "数值型"}
    repeated = whole | {"资源代码": "307013301/000002", "信息项名称": "甲", "数据类型": "C"}
    book = Workbook()
    sheet = book.active
    for row in (
        list(first),
        *(list(line.values()) for line in (first, merged, repeated, repeated | {"信息项名称": "乙"})),
    ):
        sheet.append(row)
    path = tmp_path / "guide.xlsx"
    book.save(path)
    content = read_table(path)
    assert content.faults == []
    items = [[item.name for item in entry.content.items] for entry in content.entries]
    assert items == [["产权人", "面积"], ["甲", "乙"]]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([{"甲": "1", "乙": "2"}], "其中一种表的列"),
        ([RESOURCE_LINE | {"颜色": "红"}], "颜色"),
        ([{name: cell for name, cell in RESOURCE_LINE.items() if name != "资源格式"}], "资源格式"),
        ([{name: cell for name, cell in RESOURCE_LINE.items() if name != "数据项"}], "数据项"),
        ([RESOURCE_LINE | {"信息资源名称": "又一列"}], "只出现一次"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused_with_what_was_expected(
    tmp_path: Path, lines: list[dict[str, str]], expected: str
) -> None:
    with pytest.raises(InputError, match=expected) as raised:
        read(tmp_path, *lines)
    assert raised.value.code == "TABLE_INVALID"


def test_a_table_without_a_column_of_departments_is_of_the_one_that_is_named(tmp_path: Path) -> None:
    line = {name: cell for name, cell in RESOURCE_LINE.items() if name != "提供方代码"}
    path = write_csv(tmp_path / "own.csv", line)
    assert read_table(path, department=LAND).entries[0].department == LAND
    with pytest.raises(InputError, match="提供方代码"):
        read_table(path)


TEXTS = st.text(st.sampled_from("甲乙丙=+-@';；:：\\ab1 "), max_size=12).map(str.strip)
NAMES = TEXTS.filter(lambda text: text.strip(";；\\ '") != "")
ITEMS = st.lists(st.builds(ResourceItem, NAMES, st.sampled_from("CNYDTLMGBIF")), min_size=1, max_size=4).map(tuple)
LISTS = st.lists(NAMES, max_size=3).map(tuple)


def chosen(words: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(list(words))


CONTENTS: dict[Kind, st.SearchStrategy[Any]] = {
    DUTIES: st.builds(Duty, NAMES, NAMES, NAMES, TEXTS, LISTS),
    SYSTEMS: st.builds(System, NAMES, NAMES, NAMES, st.integers(1, 5), LISTS),
    RESOURCES: st.builds(
        ResourceDescription,
        code=NAMES,
        name=NAMES,
        summary=NAMES,
        format=NAMES,
        items=ITEMS,
        sharing_type=st.integers(1, 3),
        sharing_basis=TEXTS,
        sharing_method=NAMES,
        update_cycle=st.integers(1, 6),
        data_class=st.integers(1, 3),
        is_open=st.booleans(),
        open_condition=TEXTS,
        is_secret=st.booleans(),
        level=chosen(["", *LEVELS]),
        categories=LISTS,
        library=chosen(["", *LIBRARIES]),
        source_level=chosen(["", *SOURCE_LEVELS]),
        source_body=TEXTS,
        source_code=TEXTS,
        related=LISTS,
        duties=LISTS,
        systems=LISTS,
    ),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_value_is_read_from_the_cell_that_it_is_written_in(kind: Kind, data: st.DataObject) -> None:
    entry = Entry(kind.name, LAND, data.draw(CONTENTS[kind]))
    cells = dict(zip(kind.columns, cells_of(kind, entry), strict=True))
    read_again = {column.field: column.form.decode(unescaped(escaped(cells[column])).strip()) for column in kind.fields}
    assert kind.make(**read_again) == entry.content


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_a_table_that_is_written_is_read_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table.{suffix}"
    duty = Duty("0012", "=1+1", "《条例》第三条；“附则”", "-处", ("甲；乙", "丙\\丁"))
    system = System("S-1", "'=系统", '多,列"引号"', 3, ("0012",))
    described = read(tmp_path, RESOURCE_LINE).entries[0].content
    for kind, content in ((DUTIES, duty), (SYSTEMS, system), (RESOURCES, described)):
        entries = [Entry(kind.name, LAND, content)]
        assert write_table(path, kind, entries) == 1
        found = read_table(path)
        assert (found.kind, found.faults, compare(entries, found.entries)) == (kind, [], [])


@given(TEXTS)
def test_no_cell_begins_a_formula_and_each_is_read_as_it_was(text: str) -> None:
    assert not escaped(text).startswith(("=", "+", "-", "@"))
    assert unescaped(escaped(text)) == text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from(["csv", "xlsx", "json"]))
def test_any_file_is_a_table_or_a_named_error(tmp_path: Path, raw: bytes, suffix: str) -> None:
    path = tmp_path / f"any.{suffix}"
    path.write_bytes(raw)
    with pytest.raises(InputError):
        read_table(path)


def test_the_report_of_faults_names_file_line_and_column(tmp_path: Path) -> None:
    content = read(tmp_path, RESOURCE_LINE | {"共享类型": "=1+1"})
    report = tmp_path / "faults.csv"
    assert write_faults(report, [(content.path, fault) for fault in content.faults]) == 1
    with report.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1][:5] == ["table.csv", "2", "共享类型", "CELL_INVALID", "'=1+1"]


def test_changes_are_told_field_by_field(tmp_path: Path) -> None:
    kept = RESOURCE_LINE | {"资源代码": "307013301/000009"}
    gone = RESOURCE_LINE | {"资源代码": "307013301/000002"}
    before = read(tmp_path, RESOURCE_LINE, gone, kept).entries
    new = RESOURCE_LINE | {"资源代码": "307013301/000003"}
    after = read(tmp_path, RESOURCE_LINE | {"更新周期": "实时", "共享条件": "无"}, new, kept).entries
    changes = compare(before, after)
    assert [(change.change, change.code) for change in changes] == [
        ("changed", "307013301/000001"),
        ("removed", "307013301/000002"),
        ("added", "307013301/000003"),
    ]
    assert [(field.zh, field.before, field.after) for field in changes[0].fields] == [
        ("共享条件", "仅限税务核验", "无"),
        ("更新周期", "每日", "实时"),
    ]


NUMBER = "11010519491231002X"


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"信息项名称": f"证件 {NUMBER}"}, "信息项名称"),
        ({"数据类型": NUMBER}, "数据类型"),
        ({"共享类型": NUMBER}, "共享类型"),
        ({"提供方代码": NUMBER}, "提供方代码"),
    ],
)
def test_an_identity_number_in_a_cell_is_its_one_fault_and_is_not_repeated(
    tmp_path: Path, changes: dict[str, str], column: str
) -> None:
    whole = {name: cell for name, cell in RESOURCE_LINE.items() if name != "数据项"}
    line = whole | {"信息项名称": "产权人", "数据类型": "字符型C"} | changes
    content = read(tmp_path, line)
    assert [(fault.column, fault.code, fault.found) for fault in content.faults] == [(column, "IDENTITY_NUMBER", "")]
    assert content.entries == []
    assert NUMBER not in repr(content.faults)


def test_an_entry_without_a_department_is_a_fault_of_its_row(tmp_path: Path) -> None:
    content = read(tmp_path, RESOURCE_LINE | {"提供方代码": ""})
    assert [(fault.line, fault.column, fault.code) for fault in content.faults] == [(2, "提供方代码", "CELL_EMPTY")]


def test_rows_beyond_what_a_sheet_says_of_its_size_are_read(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(list(RESOURCE_LINE))
    for number in range(1, 4):
        book.active.append(list((RESOURCE_LINE | {"资源代码": f"307013301/{number}"}).values()))
    book.save(tmp_path / "whole.xlsx")
    stale = tmp_path / "stale.xlsx"
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as whole, zipfile.ZipFile(stale, "w") as made:
        for name in whole.namelist():
            raw = whole.read(name)
            made.writestr(name, re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:K2"', raw))
    content = read_table(stale)
    assert (content.rows, content.faults) == (3, [])


def test_a_number_that_a_spreadsheet_has_rounded_is_not_repeated(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(list(RESOURCE_LINE))
    book.active.append(list((RESOURCE_LINE | {"资源摘要": 110105194912310020}).values()))
    book.save(tmp_path / "rounded.xlsx")
    content = read_table(tmp_path / "rounded.xlsx")
    assert [(fault.code, fault.found) for fault in content.faults] == [("NUMBER_ROUNDED", "")]
    assert "110105" not in repr(content.faults)


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_titles_above_the_headings_are_passed_over(tmp_path: Path, suffix: str) -> None:
    rows = [
        ["示范市数据资源目录"],
        ["填报单位：示范局", "填报日期：2026-11-22"],
        ["序号", *RESOURCE_LINE],
        ["1", *RESOURCE_LINE.values()],
    ]
    path = tmp_path / f"titled.{suffix}"
    if suffix == "csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows([*row, *[""] * (len(RESOURCE_LINE) + 1 - len(row))] for row in rows)
    else:
        book = Workbook()
        for row in rows:
            book.active.append(row)
        book.active.merge_cells("A1:K1")
        book.save(path)
    content = read_table(path)
    assert (content.kind, content.faults, [entry.line for entry in content.entries]) == (RESOURCES, [], [4])


def test_a_fault_of_the_headings_names_their_line(tmp_path: Path) -> None:
    path = tmp_path / "titled.csv"
    path.write_text("标题\n" + ",".join([*RESOURCE_LINE, "颜色"]) + "\n", "utf-8")
    with pytest.raises(InputError, match=r"第 2 行.*颜色"):
        read_table(path)


def test_a_formula_that_is_not_calculated_is_said_to_be_one(tmp_path: Path) -> None:
    whole = {name: cell for name, cell in RESOURCE_LINE.items() if name != "数据项"}
    book = Workbook()
    first = whole | {"信息项名称": "产权人", "数据类型": "C"}
    book.active.append(list(first))
    book.active.append(list((first | {"共享条件": "=A1&B1"}).values()))
    # A code that is not calculated begins an entry of its own, with the item that is beside it.
    book.active.append(list((dict.fromkeys(first, "") | {"资源代码": "=B2"}).values()))
    book.save(tmp_path / "formulas.xlsx")
    content = read_table(tmp_path / "formulas.xlsx")
    assert content.entries == []
    found = {(fault.line, fault.column) for fault in content.faults if fault.code == "FORMULA_UNCALCULATED"}
    assert found == {(2, "共享条件"), (3, "资源代码")}


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_what_a_formula_that_failed_comes_to_is_a_fault(tmp_path: Path, suffix: str) -> None:
    """A look-up that found nothing is no name, wherever the table was saved."""
    path = tmp_path / f"failed.{suffix}"
    row = list((RESOURCE_LINE | {"资源名称": "#N/A", "共享条件": "#REF!"}).values())
    if suffix == "csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows([list(RESOURCE_LINE), row])
    else:
        book = Workbook()
        book.active.append(list(RESOURCE_LINE))
        book.active.append(row)
        assert {cell.data_type for cell in book.active[2] if str(cell.value).startswith("#")} == {"e"}
        book.save(path)
    content = read_table(path)
    assert content.entries == []
    assert {(fault.line, fault.column, fault.code, fault.found) for fault in content.faults} == {
        (2, "资源名称", "FORMULA_FAILED", "#N/A"),
        (2, "共享条件", "FORMULA_FAILED", "#REF!"),
    }
