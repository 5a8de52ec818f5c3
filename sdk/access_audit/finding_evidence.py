"""Reads the evidence of a finding, as the department that raised it hands it over, against its digest on the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from sdk.documents import read_limited
from sm_crypto.sm3 import sm3
from verification.errors import InputError

FORMAT: Final = "govnode-audit-evidence/1"
MAX_EVIDENCE_BYTES: Final = 64 * 1024 * 1024


class FindingEvidence(msgspec.Struct):
    """What the ledger does not say of a finding: why, how many reads and which, by which figures, from which trace and query."""

    format: Literal["govnode-audit-evidence/1"]
    why: str
    count: int
    numbers: list[int]
    figures: str
    trace_sm3: str
    query: int

    def to_words(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return msgspec.structs.asdict(self)


_DECODER: Final = msgspec.json.Decoder(FindingEvidence)


def read_evidence(path: Path, digest: bytes) -> FindingEvidence:
    """Return the evidence in a file whose 32-byte SM3 is `digest`.

    Raises InputError EVIDENCE_DIFFERS where it is another file, EVIDENCE_INVALID where it is the file and no evidence of this format.
    """
    content = read_limited(path, MAX_EVIDENCE_BYTES)
    found = sm3(content)
    if found != digest:
        raise InputError(
            "EVIDENCE_DIFFERS",
            f"{path.name} 不是该审计发现的证据：账本上的 SM3 为 {digest.hex()}，文件为 {found.hex()}",
            f"{path.name} is not the evidence of this finding: the ledger has the SM3 {digest.hex()}, the file has {found.hex()}",
        )
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise InputError(
            "EVIDENCE_INVALID",
            f"{path.name} 与账本上的摘要一致，但不是 {FORMAT} 格式的证据，请直接查看该文件",
            f"{path.name} is the file of the ledger's digest and no evidence of format {FORMAT}: read the file itself",
        ) from None
