"""What stands for a document on the ledger: the SM3 of a file, or of the metadata of a certificate that has none."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from sm_crypto.sm3 import sm3
from verification.errors import InputError
from verification.holders import canonical_json
from verification.reasons import system_reason

MAX_DOCUMENT_BYTES: Final = 256 * 1024 * 1024
PRIVATE_MODE: Final = 0o600
_READ_BYTES: Final = 1 << 20

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


def file_sm3(path: Path, salt: bytes = b"") -> bytes:
    """Return the 32-byte SM3 of a salt and the bytes of a file of any size; raise InputError FILE_UNREADABLE."""
    state = hashlib.new("sm3", salt)
    try:
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                state.update(block)
    except OSError as error:
        raise unreadable(path, error) from None
    return state.digest()


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error that says why a file could not be read."""
    zh, en = system_reason(error)
    return InputError(
        "FILE_UNREADABLE",
        f"文件 {path} 无法读取（{zh}），请检查路径与权限",
        f"cannot read {path} ({en}): check path and permissions",
    )


def read_limited(path: Path, limit: int) -> bytes:
    """Return the bytes of a file of at most `limit` bytes; raise InputError otherwise."""
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise unreadable(path, error) from None
    if len(raw) > limit:
        raise InputError(
            "FILE_TOO_LARGE",
            f"文件 {path} 应不超过 {limit} 字节",
            f"expected at most {limit} bytes in {path}, found more",
        )
    return raw


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet, and only its owner can read; raise InputError FILE_EXISTS where it does, be it a link."""
    try:
        with open(path, "xb", opener=_open_private) as file:
            file.write(content)
    except FileExistsError:
        raise InputError(
            "FILE_EXISTS", f"文件 {path} 已存在，请另选 --out", f"{path} exists already: choose another --out"
        ) from None


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that only its owner can read, which takes the place of `path` when the block ends, whole or not at all.

    Raises InputError FILE_UNWRITABLE; a symbolic link or a device at the place is refused, never written through.
    """
    fresh = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.new")
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise OSError(errno.EEXIST, "符号链接或设备，不是普通文件 / a link or device, not a plain file")
        try:
            with open(fresh, "xb", opener=_open_private) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            "FILE_UNWRITABLE",
            f"文件 {path} 无法写入（{system_reason(error)[0]}），请检查路径与权限",
            f"cannot write {path} ({system_reason(error)[1]}): check path and permissions",
        ) from None


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, in the place of an older one; raise InputError as private_file does."""
    with private_file(path) as file:
        file.write(content)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, PRIVATE_MODE)


def metadata_document(values: Mapping[str, str]) -> bytes:
    """Return the canonical JSON of a row's metadata: sorted keys, no spaces, UTF-8; empty columns left out."""
    return canonical_json({name: values[column] for column, name in _METADATA_NAMES.items() if values.get(column)})
