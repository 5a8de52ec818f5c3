"""The trust file on disk."""

from __future__ import annotations

from pathlib import Path

import msgspec

from verification.errors import InputError
from verification.trust import MAX_TRUST_BYTES, TrustFile, decode_trust


def save_trust(path: Path, trust: TrustFile) -> None:
    """Write a trust file as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(trust), indent=2) + b"\n")


def load_trust(path: Path) -> TrustFile:
    """Return the trust file at `path`; raise InputError that says what is wrong in it."""
    try:
        with path.open("rb") as file:
            return decode_trust(file.read(MAX_TRUST_BYTES + 1))
    except OSError as error:
        raise InputError(
            "FILE_UNREADABLE",
            f"信任文件 {path} 无法读取（{error.strerror}），请用 --trust 指明",
            f"cannot read the trust file {path} ({error.strerror}): name it with --trust",
        ) from None
    except ValueError as error:
        raise InputError(
            "TRUST_FILE_INVALID",
            f"{path} 不是信任文件：{error}；请重新取得",
            f"{path} is not a trust file: {error}; fetch it again",
        ) from None
