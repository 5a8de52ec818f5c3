"""Status lists as a verifier uses them: which ones may be relied on, by the files at hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from sdk.documents import read_limited
from sdk.trust import load_trust
from sm_crypto.x509 import MAX_PEM_BYTES
from verification.certificate_files.seals import decode_certificates
from verification.errors import InputError
from verification.freshness import ListTrust, TrustedList, trust_list
from verification.status_list import MAX_STATUS_LIST_FILE_BYTES


def list_trust(trust: Path, root: Path | None, departments: Sequence[str], now_ms: int | None = None) -> ListTrust:
    """Return what a verifier of lists knows, from a trust file and, beside or instead of those in it, root certificates in PEM."""
    known = load_trust(trust)
    roots = known.roots() if root is None else decode_certificates(read_limited(root, MAX_PEM_BYTES), str(root))
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return ListTrust(now_ms, known.anchor, roots, frozenset(departments))


def load_trusted_lists(paths: Sequence[Path], trust: ListTrust) -> list[TrustedList]:
    """Return the lists in files once they may be relied on; raise InputError, which names the file, where one may not."""
    lists = []
    for path in paths:
        try:
            lists.append(trust_list(read_limited(path, MAX_STATUS_LIST_FILE_BYTES), trust))
        except InputError as error:
            raise InputError(error.code, f"{path}：{error.zh}", f"{path}: {error.en}") from None
    return lists
