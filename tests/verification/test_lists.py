"""Lists of certificates: what is read from a file, what is wrong with it, and the report as CSV and PDF."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verification import listed, report
from verification.errors import InputError
from verification.listed import Finding, Listed, ListedVerdict, ListReport, list_csv, list_report, read_list
from verification.report import encode_csv, encode_pdf

IDENTIFIER = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"
DIGEST = "ab" * 32


def verdict(line: int, code: str, **changes: Any) -> ListedVerdict:
    values: dict[str, Any] = {
        "line": line,
        "subject": IDENTIFIER,
        "document_digest": None,
        "verdict": code,
        "is_valid": code == "IN_FORCE",
        "mood": "good" if code == "IN_FORCE" else "bad",
        "zh": "有效" if code == "IN_FORCE" else "已撤销",
        "en": "In force" if code == "IN_FORCE" else "Revoked",
        "findings": (),
        "height": 12,
        "time_ms": 1_767_225_600_000,
    }
    return ListedVerdict(**{**values, **changes})


def report_of(*items: ListedVerdict) -> ListReport:
    return ListReport(
        "node",
        "示范市政务区块链服务网络",
        "cd" * 32,
        12,
        1_767_225_600_000,
        1_767_225_600_000,
        "",
        ("node1", "node2", "node4"),
        4,
        items,
    )


def pdf_text(raw: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(raw)
    try:
        return [page.get_textpage().get_text_range() for page in document]
    finally:
        document.close()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (IDENTIFIER.encode(), [Listed(1, IDENTIFIER)]),
        (f"\ufeff{IDENTIFIER}\r\n\r\nX\r\n".encode(), [Listed(1, IDENTIFIER), Listed(3, "X")]),
        (f"{IDENTIFIER},{DIGEST.upper()}\n".encode(), [Listed(1, IDENTIFIER, DIGEST)]),
        (f"姓名,证照标识\n张三,{IDENTIFIER}\n".encode(), [Listed(2, IDENTIFIER)]),
        (f"SM3\tZZBS\n{DIGEST}\t{IDENTIFIER}\n".encode(), [Listed(2, IDENTIFIER, DIGEST)]),
        (
            f'identifier,note\n{IDENTIFIER},"a\nb"\n{IDENTIFIER}\n'.encode(),
            [Listed(3, IDENTIFIER), Listed(4, IDENTIFIER)],
        ),
    ],
    ids=["one", "lines of Windows", "with a digest", "named columns", "tabs", "a line feed in a cell"],
)
def test_what_a_list_names_is_read_with_its_line(raw: bytes, expected: list[Listed]) -> None:
    assert read_list(raw) == expected


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"", 1),
        (b"\n \n", 1),
        ("证照标识\n".encode(), 1),
        (b"A\n\xff\xfe\n", 2),
        (b'A\n"B', 2),
        (b"PK\x03\x04\0\0", 1),
        (b"A\n" + b"B" * (listed.MAX_LINE_CHARACTERS + 1), 2),
    ],
    ids=["empty", "blank", "names only", "not UTF-8", "open quote", "a spreadsheet", "a line too long"],
)
def test_what_is_no_list_is_refused_with_its_line(raw: bytes, line: int) -> None:
    with pytest.raises(InputError, match=f"第 {line} 行") as refused:
        read_list(raw)
    assert refused.value.code == "LIST_INVALID"


def test_a_list_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "MAX_LISTED", 2)
    assert len(read_list(b"A\nB\n")) == 2
    with pytest.raises(InputError, match="第 3 行"):
        read_list(b"A\nB\nC\n")


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet='A1.,\t\n\r"\ufeffé', max_size=60).map(str.encode)))
def test_any_bytes_are_a_list_or_a_refusal(raw: bytes) -> None:
    try:
        found = read_list(raw)
    except InputError:
        return
    assert found
    for one in found:
        refused = listed.refuse_malformed(one)
        assert refused is None or not refused.is_valid


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (Listed(1, "11100000000013338W011"), "IDENTIFIER_MALFORMED"),
        (Listed(1, "=1+1"), "IDENTIFIER_MALFORMED"),
        (Listed(1, IDENTIFIER, "ab"), "DIGEST_MALFORMED"),
        (Listed(1, IDENTIFIER, DIGEST[:-1] + "g"), "DIGEST_MALFORMED"),
    ],
)
def test_what_is_wrong_with_a_line_is_its_verdict(one: Listed, code: str) -> None:
    refused = listed.refuse_malformed(one)
    assert refused is not None
    assert (refused.verdict, refused.is_valid, refused.mood) == (code, False, "bad")


def test_a_csv_has_a_line_a_certificate_and_says_as_of_when() -> None:
    finding = Finding("CHECK_CHARACTER_MISMATCH", "warn", "校验位不符", "wrong check character")
    raw = list_csv(report_of(verdict(2, "IN_FORCE"), verdict(3, "ENDED", findings=(finding,), document_digest=DIGEST)))
    assert raw.startswith(b"\xef\xbb\xbf"), "spreadsheet programs need the mark to read UTF-8"
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
    assert [(row["line"], row["verdict"], row["is_valid"]) for row in rows] == [
        ("2", "IN_FORCE", "true"),
        ("3", "ENDED", "false"),
    ]
    assert rows[1]["findings"] == "CHECK_CHARACTER_MISMATCH"
    assert rows[1]["document_digest"] == DIGEST
    assert {row["height"] for row in rows} == {"12"}
    assert {row["block_time"] for row in rows} == {"2026-01-01 08:00:00 (UTC+8)"}


@pytest.mark.parametrize("text", ["=cmd|'/c calc'!A1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    raw = encode_csv(("a",), [(text,)]).decode("utf-8-sig")
    (cell,) = next(iter(csv.reader(io.StringIO(raw.split("\r\n", 1)[1]))))
    assert cell == "'" + text


def test_a_pdf_says_all_that_the_report_does() -> None:
    rows = [verdict(line, "IN_FORCE") for line in range(1, 61)] + [
        verdict(61, "ENDED", zh="已撤销，原因：张\U00020bb7请求")
    ]
    pages = pdf_text(encode_pdf(list_report(report_of(*rows), "清单.csv", b"x")))
    count = len(pages)
    assert count > 1
    text = "\n".join(pages)
    for expected in (
        "证照批量核验报告",
        "示范市政务区块链服务网络",
        "cd" * 32,
        "2026-01-01 08:00:00 (UTC+8)",
        "node1、node2、node4",
        "清单.csv",
        "已撤销，原因：张〓请求",
        "IN_FORCE",
    ):
        assert expected in text
    assert re.search(r"60\s+IN_FORCE", pages[0])
    assert re.search(r"1\s+ENDED", pages[0])
    for number, page in enumerate(pages, 1):
        assert f"第 {number} 页，共 {count} 页" in page
        assert "证照标识" in page


def test_a_pdf_begins_with_refusals_and_says_what_many_lines_have_once() -> None:
    long = Finding("IN_BATCH", "warn", "流水号属于一个批次" * 8, "its serial is of a batch, " * 4)
    rows = [verdict(line, "IN_BATCH", mood="warn", findings=(long,)) for line in range(1, 301)]
    pages = pdf_text(encode_pdf(list_report(report_of(*rows, verdict(301, "ENDED")), "清单.csv", b"x")))
    assert len(pages) < 25, "one row, two lines"
    text = "".join(pages)
    assert text.index("301") < text.index("见说明 1 / see note 1")
    assert text.count("说明 1：IN_BATCH") == 1


def test_the_same_report_gives_the_same_bytes() -> None:
    made = [encode_pdf(list_report(report_of(verdict(1, "IN_FORCE")), "a", b"x")) for _ in range(2)]
    assert made[0] == made[1]


def test_a_pdf_has_a_limit_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_PDF_ROWS", 1)
    with pytest.raises(InputError, match="CSV") as refused:
        encode_pdf(list_report(report_of(verdict(1, "IN_FORCE"), verdict(2, "IN_FORCE")), "a", b"x"))
    assert refused.value.code == "REPORT_TOO_LONG"


@settings(max_examples=12, deadline=None)
@given(st.text(max_size=400))
def test_any_text_can_stand_in_a_pdf(text: str) -> None:
    made = encode_pdf(list_report(report_of(verdict(1, "ENDED", zh=text, subject=text)), text, b"x"))
    assert pdf_text(made)
