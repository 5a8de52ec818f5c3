"""Documents and certificate lists: digests, commitments, and one clear error for each wrong line."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.documents import (
    Holder,
    day_end_ms,
    day_start_ms,
    document_digest,
    holder_commitment,
    holder_salt,
    load_certificate_rows,
    metadata_document,
    show_time,
)
from sdk.errors import InputError
from sm_crypto.sm3 import sm3

HEADER = "identifier,type_code,holder_name,holder_code_type,holder_code,valid_from,valid_to,document\n"
ROW = "1.2.156.3005.2.A.B.C.001.X,A,示例,001,91,2025-01-02,2026-01-01,\n"


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return path


def test_digest_is_sm3_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "证照 file.pdf"
    path.write_bytes(b"abc")
    assert document_digest(path).hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


def test_missing_document_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read") as caught:
        document_digest(tmp_path / "none.pdf")
    assert caught.value.code == "FILE_UNREADABLE"


def test_days_are_those_of_china() -> None:
    assert day_start_ms("1970-01-02") == 16 * 3_600_000
    assert day_end_ms("1970-01-01") == day_start_ms("1970-01-02") - 1
    assert show_time(day_start_ms("2025-03-03")) == "2025-03-03 00:00:00 (UTC+8)"


@pytest.mark.parametrize(
    "text", ["", "2025-1-2", "20250102", "2025-02-30", "2025-W01-1", "02/01/2025", "2025-01-02T00:00"]
)
def test_malformed_days_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        day_start_ms(text)


def test_commitment_depends_on_secret_certificate_and_every_field_of_the_holder() -> None:
    secret = bytes(32)
    holder = Holder("111", "999999197002070011", "示例持证人0001")
    base = holder_commitment(holder_salt(secret, "1.2.3"), holder)
    others = {
        holder_commitment(holder_salt(b"\1" * 32, "1.2.3"), holder),
        holder_commitment(holder_salt(secret, "1.2.4"), holder),
        holder_commitment(holder_salt(secret, "1.2.3"), Holder("001", holder.code, holder.name)),
        holder_commitment(holder_salt(secret, "1.2.3"), Holder(holder.code_type, "9", holder.name)),
        holder_commitment(holder_salt(secret, "1.2.3"), Holder(holder.code_type, holder.code, "示例")),
    }
    assert len(base) == 32
    assert len(others | {base}) == 6
    assert base == holder_commitment(holder_salt(secret, "1.2.3"), holder)


def test_row_without_a_document_stands_for_its_metadata(tmp_path: Path) -> None:
    row = load_certificate_rows(write(tmp_path, HEADER + ROW))[0]
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
    row = load_certificate_rows(write(tmp_path, "identifier,valid_from,document\nI,2025-01-02,a.ofd\n"))[0]
    assert row.digest == sm3(b"ofd")
    assert row.valid_to_ms is None
    assert row.holder is None


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
        load_certificate_rows(write(tmp_path, text))
    assert "\n" not in str(caught.value)


@given(text=st.binary(max_size=200))
def test_any_bytes_are_rows_or_an_input_error(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"identifier,valid_from\n" + text)
    with contextlib.suppress(InputError):
        load_certificate_rows(path)
