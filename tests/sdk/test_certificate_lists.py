"""Lists of certificates: what a row stands for, and one clear error for each wrong line."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.fields import MAX_TIME_MS
from sdk.certificates import (
    NO_HOLDER,
    StatusChange,
    load_new_certificates,
    load_renewals,
    load_status_changes,
    load_types,
)
from sdk.documents import metadata_document
from sm_crypto.sm3 import sm3
from verification.days import day_end_ms, day_start_ms
from verification.errors import InputError
from verification.holders import Holder

HEADER = "identifier,type_code,holder_name,holder_code_type,holder_code,valid_from,valid_to,document\n"
ROW = "1.2.156.3005.2.A.B.C.001.X,A,示例,001,91,2025-01-02,2026-01-01,\n"


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return path


def test_row_without_a_document_stands_for_its_metadata(tmp_path: Path) -> None:
    row = load_new_certificates(write(tmp_path, HEADER + ROW))[0]
    expected = metadata_document(
        {
            "identifier": "1.2.156.3005.2.A.B.C.001.X",
            "type_code": "A",
            "holder_name": "示例",
            "holder_code_type": "001",
            "holder_code": "91",
            "valid_from": "2025-01-02",
            "valid_to": "2026-01-01",
        }
    )
    assert row.digest == sm3(expected)
    assert row.holder == Holder("001", "91", "示例")
    assert (row.valid_from_ms, row.valid_to_ms) == (day_start_ms("2025-01-02"), day_end_ms("2026-01-01"))


def test_row_with_a_document_stands_for_its_bytes_and_may_have_no_end(tmp_path: Path) -> None:
    (tmp_path / "a.ofd").write_bytes(b"ofd")
    row = load_new_certificates(write(tmp_path, "identifier,valid_from,document\nI,2025-01-02,a.ofd\n"))[0]
    assert row.digest == sm3(b"ofd")
    assert row.valid_to_ms == MAX_TIME_MS
    assert row.holder == NO_HOLDER


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1, column identifier"),
        (HEADER, "expected at least one row"),
        ("identifier\nX\n", "column valid_from"),
        ("identifier,valid_from,colour\nX,2025-01-01,red\n", "column colour"),
        ("identifier,valid_from,valid_from\nX,2025-01-01,2025-01-01\n", "column valid_from"),
        (HEADER + ROW + ROW.replace("2025-01-02", "2025-13-02"), "line 3, column valid_from"),
        (HEADER + ROW.replace("2026-01-01", "soon"), "line 2, column valid_to"),
        (HEADER + ROW.replace("1.2.156.3005.2.A.B.C.001.X", ""), "line 2, column identifier"),
        (HEADER + "X,Y\n", "as many columns"),
        (HEADER + ROW.replace(",\n", ",,,\n"), "as many columns"),
        (HEADER + '"X,Y\n', "well-formed CSV"),
        (b"identifier,valid_from\n\xff\xfe,2025-01-01\n", "UTF-8"),
    ],
)
def test_each_wrong_list_is_refused_with_line_and_column(tmp_path: Path, text: str | bytes, expected: str) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        load_new_certificates(write(tmp_path, text))
    assert "\n" not in str(caught.value)


@given(text=st.binary(max_size=200))
def test_any_bytes_are_rows_or_an_input_error(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"identifier,valid_from\n" + text)
    with contextlib.suppress(InputError):
        load_new_certificates(path)


def test_renewals_name_their_predecessor_and_reason(tmp_path: Path) -> None:
    text = "predecessor,reason,identifier,valid_from\nOLD,到期换发,NEW,2026-01-01\n"
    renewal = load_renewals(write(tmp_path, text))[0]
    assert (renewal.predecessor, renewal.reason, renewal.identifier) == ("OLD", "到期换发", "NEW")


def test_status_changes_need_a_reason(tmp_path: Path) -> None:
    changes = load_status_changes(write(tmp_path, "identifier,reason,status\nA,撤销,03\nB,挂失,\n"))
    assert changes == [StatusChange("A", "撤销", "03"), StatusChange("B", "挂失", "")]
    with pytest.raises(InputError, match="line 2, column reason"):
        load_status_changes(write(tmp_path, "identifier,reason\nA,\n"))


def test_types_list_their_issuers(tmp_path: Path) -> None:
    types = load_types(write(tmp_path, "code,name,issuers\nT,名称,A B\n"))
    assert types[0]["issuers"] == ["A", "B"]
    assert types[0]["validity_range"] == ""
