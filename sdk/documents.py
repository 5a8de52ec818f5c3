"""What stands for a document, a holder and a day on the ledger: SM3 digests, keyed commitments, milliseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

import msgspec

from sdk.errors import InputError
from sm_crypto.sm3 import hmac_sm3, sm3

MAX_DOCUMENT_BYTES: Final = 256 * 1024 * 1024
HOLDER_SECRET_SIZE: Final = 32
CHINA_TIME: Final = timezone(timedelta(hours=8), "UTC+8")

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


def metadata_document(values: Mapping[str, str]) -> bytes:
    """Return the canonical JSON of a row's metadata: sorted keys, no spaces, UTF-8; empty columns left out."""
    return _canonical_json({name: values[column] for column, name in _METADATA_NAMES.items() if values.get(column)})


def _canonical_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")
