"""Every row is checked before anything is issued: each fault with its line, column and reason."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.identifiers import make_identifier
from sdk.certificate_batches.rows import BatchHead, BatchRow, RowReader, draft_row
from sdk.identity_numbers import is_resident_number
from sdk.tables.lines import TableLine
from sdk.tables.opening import open_table
from sm_crypto.sm2 import PrivateKey
from verification.certificate_files.document import file_digest
from verification.errors import InputError

TYPE_CODE, DEPARTMENT = "11100000MB03271699001", "11990100MB0000002X"
HEAD = BatchHead(TYPE_CODE, "不动产权证书", DEPARTMENT, "示范局", "2026-07-01")
GOOD = {
    "identifier": make_identifier(TYPE_CODE, DEPARTMENT, "20260000001"),
    "serial": "",
    "type_code": "",
    "issuer_code": "",
    "holder_name": "张三",
    "holder_code": "",
    "holder_code_type": "",
    "issued_on": "",
    "valid_from": "2026-07-01",
    "valid_to": "2031-06-30",
    "predecessor": "",
    "field:坐落": "示例路1号",
}


def faults_of(**changes: str) -> list[tuple[str, str]]:
    values = GOOD | changes
    reader = RowReader(Path("rows.csv"), list(values), HEAD)
    found = reader.read(TableLine(7, list(values.values())))
    if isinstance(found, BatchRow):
        return []
    assert all(fault.line == 7 and fault.zh and fault.en for fault in found)
    return [(fault.column, fault.code) for fault in found]


def test_a_good_row_is_a_certificate() -> None:
    assert faults_of() == []
    assert faults_of(holder_code_type="001", holder_code=DEPARTMENT) == []
    assert faults_of(predecessor=make_identifier(TYPE_CODE, DEPARTMENT, "1")) == []


@pytest.mark.parametrize(
    ("changes", "column", "code"),
    [
        ({"identifier": ""}, "serial", "VALUE_MISSING"),
        ({"identifier": "1.2.3"}, "identifier", "IDENTIFIER_MALFORMED"),
        ({"identifier": "", "serial": "2026-1"}, "serial", "IDENTIFIER_MALFORMED"),
        (
            {"identifier": make_identifier("11100000MB03271699002", DEPARTMENT, "1")},
            "identifier",
            "OTHER_TYPE",
        ),
        ({"identifier": make_identifier(TYPE_CODE, "11990100MB00000031", "1")}, "identifier", "OTHER_ISSUER"),
        ({"issuer_code": "11990100MB00000031"}, "issuer_code", "OTHER_ISSUER"),
        ({"serial": "5"}, "serial", "SERIAL_MISMATCH"),
        ({"valid_from": ""}, "valid_from", "VALUE_MISSING"),
        ({"valid_from": "2026-02-30"}, "valid_from", "DATE_MALFORMED"),
        ({"valid_to": "30/06/2031"}, "valid_to", "DATE_MALFORMED"),
        ({"valid_to": "2026-06-30"}, "valid_to", "DATES_REVERSED"),
        ({"valid_from": "1899-01-01"}, "valid_to", "DATE_OUT_OF_RANGE"),
        ({"issued_on": "yesterday"}, "issued_on", "DATE_MALFORMED"),
        ({"holder_code_type": "777", "holder_code": "1"}, "holder_code_type", "HOLDER_CODE_TYPE_UNKNOWN"),
        ({"holder_code": "1"}, "holder_code_type", "VALUE_MISSING"),
        (
            {"holder_code_type": "001", "holder_code": "11990100MB0000002Y"},
            "holder_code",
            "HOLDER_CODE_MALFORMED",
        ),
        (
            {"holder_code_type": "111", "holder_code": "990101199001011234"},
            "holder_code",
            "HOLDER_CODE_MALFORMED",
        ),
        ({"holder_name": "张\x00三"}, "holder_name", "VALUE_MALFORMED"),
        ({"field:坐落": "长" * 4_097}, "field:坐落", "VALUE_MALFORMED"),
        ({"predecessor": "none"}, "predecessor", "PREDECESSOR_MALFORMED"),
        ({"holder_key": "ab" * 64}, "holder_key", "HOLDER_KEY_MALFORMED"),
        ({"holder_key": "04" + "11" * 64}, "holder_key", "HOLDER_KEY_MALFORMED"),
        ({"attachment:附图": "/etc/hostname"}, "attachment:附图", "ATTACHMENT_OUTSIDE"),
        ({"attachment:附图": "a/../../b"}, "attachment:附图", "ATTACHMENT_OUTSIDE"),
        ({"attachment:附图": "no-such-file.pdf"}, "attachment:附图", "ATTACHMENT_UNREADABLE"),
        ({"attachment:附图": "."}, "attachment:附图", "ATTACHMENT_UNREADABLE"),
        ({"attachment:附图": "a\x00b"}, "attachment:附图", "ATTACHMENT_UNREADABLE"),
    ],
)
def test_a_fault_is_named_with_its_column(changes: dict[str, str], column: str, code: str) -> None:
    assert (column, code) in faults_of(**changes)


def test_a_wrong_check_character_is_a_fault() -> None:
    right = GOOD["identifier"]
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    assert faults_of(identifier=wrong) == [("identifier", "CHECK_CHARACTER_MISMATCH")]


def test_a_line_tells_all_its_faults_at_once() -> None:
    found = faults_of(identifier="", valid_from="", holder_code="1")
    assert [code for _, code in found] == ["VALUE_MISSING"] * 3


def test_identity_numbers_are_checked_as_gb_11643_says() -> None:
    assert is_resident_number("11010519491231002X")
    assert not is_resident_number("110105194912310021")
    assert not is_resident_number("11010519491231002x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "serial\n",
        "serial,valid_from,valid_too\n1,2026-07-01,\n",
        "serial,valid_from,serial\n",
        "serial,valid_from,field:ZZBS\n",
        "serial,valid_from,\n",
        'serial,valid_from\n"1,2026-07-01\n',
        "serial,valid_from\n" + "9" * (1 << 20) + "\n",
        "serial,valid_from\n1" + ",2" * 200 + "\n",
    ],
)
def test_a_file_that_is_no_such_table_is_refused_as_a_whole(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")

    def read() -> None:
        with open_table(path) as table:
            RowReader(path, table.names, HEAD)
            list(table)

    with pytest.raises(InputError) as caught:
        read()
    assert caught.value.code == "TABLE_INVALID"


def test_text_in_another_encoding_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("serial,valid_from,field:坐落\n".encode("gb18030"))
    with pytest.raises(InputError, match="CSV UTF-8"):
        open_table(path)


def test_a_file_with_bad_rows_issues_nothing_and_reports_each(
    office: Any, cert_batch: Callable[..., Any], identifier: str
) -> None:
    rows = office.rows(200)
    wrong: dict[int, tuple[int, str]] = {
        0: (0, ""),
        10: (0, "a-b"),
        20: (5, ""),
        30: (5, "2026-13-01"),
        40: (6, "2020-01-01"),
        50: (6, "soon"),
        60: (3, "xyz"),
        70: (4, ""),
        80: (3, "111"),
        90: (1, "\x07"),
        100: (7, "长" * 5_000),
        110: (0, rows[111][0]),
        120: (0, "20250000001"),
        130: (2, "张 \x1b 三"),
    }
    for place, (column, text) in wrong.items():
        rows[place][column] = text
    rows[140].append("one too many")
    before = dict(office.node.receipts)
    status, out, _ = cert_batch(office.write(rows), "--accept")
    assert status == 1
    assert out["faults"] == 15
    with open(out["report"], encoding="utf-8-sig", newline="") as file:
        reported = {int(row["line"]): row["code"] for row in csv.DictReader(file)}
    # The row with a serial that stands twice is the later one.
    assert set(reported) == {place + 2 for place in [*wrong, 140] if place != 110} | {113}
    assert reported[113] == "IDENTIFIER_TWICE"
    assert reported[122] == "CERTIFICATE_EXISTS"
    assert len(set(reported.values())) >= 10
    assert office.node.receipts == before
    # Neither do the rows stay behind in an archive.
    assert not office.archive_path.exists()
    assert Path(out["report"]).stat().st_mode & 0o077 == 0


def test_a_row_of_a_later_version_is_reported(office: Any, cert_batch: Callable[..., Any]) -> None:
    """No leaf counts with it: its serial in a later version is its successor's."""
    rows = office.rows(5)
    for place, row in enumerate(rows):
        row[0] = make_identifier(TYPE_CODE, DEPARTMENT, row[0], "002" if place == 3 else "001")
    table = office.write(rows)
    table.write_text(table.read_text("utf-8").replace("serial", "identifier", 1), "utf-8")
    status, out, _ = cert_batch(table, "--accept")
    assert (status, out["faults"]) == (1, 1)
    with open(out["report"], encoding="utf-8-sig", newline="") as file:
        assert [(row["line"], row["code"]) for row in csv.DictReader(file)] == [("5", "VERSION_LATER")]


@pytest.mark.parametrize("name", ["attachment:", "attachment:" + "x" * 129])
def test_an_attachment_has_a_name(name: str) -> None:
    with pytest.raises(InputError) as caught:
        RowReader(Path("rows.csv"), [*GOOD, name], HEAD)
    assert caught.value.code == "TABLE_INVALID"


def test_no_attachment_stands_twice_and_no_row_has_too_many() -> None:
    for names in (["attachment:a", "attachment: a"], [f"attachment:{number}" for number in range(33)]):
        with pytest.raises(InputError) as caught:
            RowReader(Path("rows.csv"), [*GOOD, *names], HEAD)
        assert caught.value.code == "TABLE_INVALID"


def test_a_row_attaches_files_and_names_the_holders_key(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "1.PDF").write_bytes(b"%PDF-1.7 map")
    holder = PrivateKey.generate()
    values = GOOD | {"attachment:宗地图": "maps/1.PDF", "attachment:附页": "", "holder_key": holder.public_key.hex()}
    found = RowReader(tmp_path / "rows.csv", list(values), HEAD).read(TableLine(2, list(values.values())))
    assert isinstance(found, BatchRow)
    draft = draft_row(HEAD, ["坐落"], found, b"\7" * 32)
    assert draft.core.holder_key == holder.public_key.hex()
    assert [(one.name, one.media_type) for one in draft.core.attachments] == [("宗地图", "application/pdf")]
    assert draft.files == (file_digest(b"%PDF-1.7 map"),)


def test_a_row_of_an_archive_from_before_attachments_is_read() -> None:
    found = RowReader(Path("rows.csv"), list(GOOD), HEAD).read(TableLine(2, list(GOOD.values())))
    assert isinstance(found, BatchRow)
    earlier = msgspec.to_builtins(found)[:-2]
    assert msgspec.convert(earlier, BatchRow) == found
