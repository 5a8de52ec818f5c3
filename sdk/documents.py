"""What stands for a document on the ledger: the SM3 of a file, or of the metadata of a certificate that has none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sm_crypto.sm3 import sm3
from verification.errors import InputError
from verification.holders import canonical_json

MAX_DOCUMENT_BYTES: Final = 256 * 1024 * 1024

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


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet; raise InputError FILE_EXISTS where it does."""
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise InputError(
            "FILE_EXISTS", f"文件 {path} 已存在，请另选 --out", f"{path} exists already: choose another --out"
        ) from None


def metadata_document(values: Mapping[str, str]) -> bytes:
    """Return the canonical JSON of a row's metadata: sorted keys, no spaces, UTF-8; empty columns left out."""
    return canonical_json({name: values[column] for column, name in _METADATA_NAMES.items() if values.get(column)})
