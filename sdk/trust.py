"""The trust file on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from sdk.documents import read_limited
from verification.errors import InputError
from verification.reasons import decoding_reason, found_kind, system_reason
from verification.trust import FORMAT, MAX_ROOT_CERTIFICATES, MAX_TRUST_BYTES, TrustFile, decode_trust


def save_trust(path: Path, trust: TrustFile) -> None:
    """Write a trust file as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(trust), indent=2) + b"\n")


def load_trust(path: Path) -> TrustFile:
    """Return the trust file at `path`; raise InputError that says what is wrong in it."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_TRUST_BYTES + 1)
        return decode_trust(raw)
    except OSError as error:
        raise InputError(
            "FILE_UNREADABLE",
            f"信任文件 {path} 无法读取（{system_reason(error)[0]}），请用 --trust 指明",
            f"cannot read the trust file {path} ({system_reason(error)[1]}): name it with --trust",
        ) from None
    except ValueError as error:
        found, reason = found_kind(raw), decoding_reason(error)
        raise InputError(
            "TRUST_FILE_INVALID",
            f"{path} 不是信任文件（应为 {FORMAT}，实为{found[0]}）：{reason[0]}；请重新取得",
            f"{path} is not a trust file (expected {FORMAT}, found {found[1]}): {reason[1]}; fetch it again",
        ) from None


def add_roots(trust: TrustFile, files: Sequence[Path]) -> TrustFile:
    """Return a trust file with the certificates of these PEM files as roots too; raise InputError where they are none or too many."""
    from sm_crypto.x509 import MAX_PEM_BYTES
    from verification.certificate_files.seals import decode_certificates

    added = [
        one.der.hex() for path in files for one in decode_certificates(read_limited(path, MAX_PEM_BYTES), str(path))
    ]
    roots = tuple(dict.fromkeys((*trust.root_certificates, *added)))
    if len(roots) > MAX_ROOT_CERTIFICATES:
        raise InputError(
            "ROOTS_TOO_MANY",
            f"信任文件至多 {MAX_ROOT_CERTIFICATES} 张根证书，实为 {len(roots)}",
            f"expected at most {MAX_ROOT_CERTIFICATES} root certificates in a trust file, found {len(roots)}",
        )
    return msgspec.structs.replace(trust, root_certificates=roots)
