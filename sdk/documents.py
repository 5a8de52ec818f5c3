"""Certificate documents and lists: SM3 digests of files, commitments to holders, and rows of a CSV ready to issue."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

import msgspec

from sdk.errors import InputError
from sm_crypto.sm3 import hmac_sm3, sm3

MAX_DOCUMENT_BYTES: Final = 256 * 1024 * 1024
MAX_CSV_BYTES: Final = 64 * 1024 * 1024
MAX_CSV_ROWS: Final = 200_000
HOLDER_SECRET_SIZE: Final = 32
CHINA_TIME: Final = timezone(timedelta(hours=8), "UTC+8")

_REQUIRED_COLUMNS: Final = ("identifier", "valid_from")
_OPTIONAL_COLUMNS: Final = (
    "type_code",
    "type_name",
    "issuer_code",
    "issuer_name",
    "holder_name",
    "holder_code_type",
    "holder_code",
    "valid_to",
    "document",
)
# The column names that GB/T 36903 is implemented with, for the record that stands in for a file.
_METADATA_NAMES: Final = {
    "identifier": "ZZBS",
    "type_code": "ZZLXDM",
    "type_name": "ZZMC",
    "issuer_code": "ZZBFJGDM",
    "issuer_name": "ZZBFJG",
    "holder_name": "CZZT",
    "holder_code_type": "CZZTDMLXDM",
    "holder_code": "CZZTDM",
    "valid_from": "ZZYXQQSRQ",
    "valid_to": "ZZYXQJZRQ",
}


class Holder(msgspec.Struct, frozen=True):
    """Who a certificate is for: kind of code (such as 001 or 111), code and name. Never leaves the issuer as it is."""

    code_type: str
    code: str
    name: str


class CertificateRow(msgspec.Struct, frozen=True):
    """One certificate to issue: `valid_to_ms` is None without an end; `document` is what the digest covers, 32 bytes `digest`."""

    line: int
    identifier: str
    type_code: str
    type_name: str
    holder: Holder | None
    valid_from_ms: int
    valid_to_ms: int | None
    document: Path | None
    digest: bytes


def document_digest(path: Path) -> bytes:
    """Return the 32-byte SM3 of a file; raise InputError when it cannot be read or is over MAX_DOCUMENT_BYTES."""
    return sm3(read_limited(path, MAX_DOCUMENT_BYTES))


def read_limited(path: Path, limit: int) -> bytes:
    """Return the bytes of a file of at most `limit` bytes; raise InputError otherwise."""
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise InputError(
            "FILE_UNREADABLE",
            f"文件 {path} 无法读取（{error.strerror}），请检查路径与权限",
            f"cannot read {path} ({error.strerror}): check path and permissions",
        ) from None
    if len(raw) > limit:
        raise InputError(
            "FILE_TOO_LARGE",
            f"文件 {path} 应不超过 {limit} 字节",
            f"expected at most {limit} bytes in {path}, found more",
        )
    return raw


def holder_salt(secret: bytes, identifier: str) -> bytes:
    """Return the 32-byte key of one certificate's commitment: what the issuer may show to open that one and no other."""
    return hmac_sm3(secret, b"govnode/holder-salt/1\0" + identifier.encode("utf-8"))


def holder_commitment(salt: bytes, holder: Holder) -> bytes:
    """Return the 32 bytes that stand for the holder on the ledger: HMAC-SM3 under the certificate's own key."""
    return hmac_sm3(salt, _canonical_json([holder.code_type, holder.code, holder.name]))


def day_start_ms(text: str) -> int:
    """Return the first millisecond, China time, of the day `YYYY-MM-DD`; raise ValueError otherwise."""
    day = date.fromisoformat(text)
    if text != day.isoformat():
        raise ValueError(f"expected a date as YYYY-MM-DD, found {text[:40]!r}")
    return int(datetime(day.year, day.month, day.day, tzinfo=CHINA_TIME).timestamp()) * 1_000


def day_end_ms(text: str) -> int:
    """Return the last millisecond, China time, of the day `YYYY-MM-DD`; raise ValueError otherwise."""
    return day_start_ms(text) + 24 * 3_600_000 - 1


def show_time(time_ms: int) -> str:
    """Return a time as people in China read it, to the second."""
    return f"{datetime.fromtimestamp(time_ms / 1_000, CHINA_TIME):%Y-%m-%d %H:%M:%S} (UTC+8)"


def load_certificate_rows(path: Path) -> list[CertificateRow]:
    """Return the rows of a CSV with a header line; raise InputError that names line and column of the first fault.

    Needed columns: identifier, valid_from; `document` names a file relative to the CSV. A row without a document is
    represented by the canonical JSON of its columns, whose SM3 is then its digest.
    """
    raw = read_limited(path, MAX_CSV_BYTES)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _csv_error(path, 1, "-", "UTF-8 文本", "UTF-8 text", f"byte {error.start}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[CertificateRow] = []
    try:
        _check_columns(path, reader.fieldnames or [])
        for values in reader:
            if len(rows) >= MAX_CSV_ROWS:
                raise _csv_error(
                    path, reader.line_num, "-", f"至多 {MAX_CSV_ROWS} 行", f"at most {MAX_CSV_ROWS} rows", ""
                )
            rows.append(_certificate_row(path, reader.line_num, values))
    except csv.Error as error:
        raise _csv_error(path, reader.line_num, "-", "合格的 CSV", "well-formed CSV", str(error)) from None
    if not rows:
        raise _csv_error(path, 1, "-", "至少一行数据", "at least one row", "0")
    return rows


def metadata_document(values: Mapping[str, str]) -> bytes:
    """Return the canonical JSON of a row's metadata: sorted keys, no spaces, UTF-8; empty columns left out."""
    return _canonical_json({name: values[column] for column, name in _METADATA_NAMES.items() if values.get(column)})


def _certificate_row(path: Path, line: int, values: Mapping[str, str | None]) -> CertificateRow:
    if None in values or None in values.values():
        raise _csv_error(path, line, "-", "与标题行同样多的列", "as many columns as the header", "another number")
    row = {name: (value or "").strip() for name, value in values.items()}
    if not row["identifier"]:
        raise _csv_error(path, line, "identifier", "证照标识", "a certificate identifier", "")
    times: dict[str, int | None] = {"valid_from": None, "valid_to": None}
    for column, parse in (("valid_from", day_start_ms), ("valid_to", day_end_ms)):
        text = row.get(column, "")
        if not text and column == "valid_to":
            continue
        try:
            times[column] = parse(text)
        except ValueError:
            raise _csv_error(path, line, column, "日期 YYYY-MM-DD", "a date as YYYY-MM-DD", text) from None
    document = path.parent / row["document"] if row.get("document") else None
    holder = None
    if row.get("holder_code") or row.get("holder_name"):
        holder = Holder(row.get("holder_code_type", ""), row.get("holder_code", ""), row.get("holder_name", ""))
    valid_from_ms = times["valid_from"]
    assert valid_from_ms is not None
    return CertificateRow(
        line=line,
        identifier=row["identifier"],
        type_code=row.get("type_code", ""),
        type_name=row.get("type_name", ""),
        holder=holder,
        valid_from_ms=valid_from_ms,
        valid_to_ms=times["valid_to"],
        document=document,
        digest=document_digest(document) if document else sm3(metadata_document(row)),
    )


def _check_columns(path: Path, names: Sequence[str]) -> None:
    valid = (*_REQUIRED_COLUMNS, *_OPTIONAL_COLUMNS)
    for name in _REQUIRED_COLUMNS:
        if name not in names:
            raise _csv_error(path, 1, name, "这一列", "this column", "none")
    for name in names:
        if name not in valid or list(names).count(name) > 1:
            raise _csv_error(
                path, 1, name[:40], f"列名之一：{', '.join(valid)}", f"one of {', '.join(valid)}, once", name[:40]
            )


def _canonical_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _csv_error(path: Path, line: int, column: str, zh: str, en: str, found: str) -> InputError:
    found = found[:60]
    return InputError(
        "CSV_INVALID",
        f"{path} 第 {line} 行 {column} 列：应为{zh}，实为 {found!r}，请改正",
        f"{path} line {line}, column {column}: expected {en}, found {found!r}; correct it",
    )
