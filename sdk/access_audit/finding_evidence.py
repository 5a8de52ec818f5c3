"""Reads the evidence of a finding, as the department that raised it hands it over, against what the ledger has of the finding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from node.http.proof_file import unambiguous_object
from sdk.documents import read_limited
from sm_crypto.sm3 import sm3
from verification.access.rules import MAX_NAMED_READS
from verification.errors import InputError
from verification.reasons import decoding_reason

FORMAT: Final = "govnode-audit-evidence/1"
MAX_EVIDENCE_BYTES: Final = 1024 * 1024
MAX_SHOWN_LENGTH: Final = 64
"""Characters of a value of the file that differs."""

_Count = Annotated[int, msgspec.Meta(ge=0)]


class RuleWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a rule says, as the release that raised the finding has it: a later one may word it otherwise."""

    zh: str
    en: str


class EvidenceSubject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the finding is about, as the ledger has it (contracts.data_sharing.audits.FindingSubject), bytes as hex digits."""

    rule: str
    department: str
    other: str
    stream: str
    recorder: str
    first_number: _Count
    last_number: _Count
    grant: str
    from_ms: int
    to_ms: int


class FindingEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the ledger does not say of a finding: why, how many reads and which, by which figures, from which trace and query."""

    format: Literal["govnode-audit-evidence/1"]
    rule: RuleWords
    subject: EvidenceSubject
    count: _Count
    numbers: Annotated[list[_Count], msgspec.Meta(max_length=MAX_NAMED_READS)]
    why: str
    trace_sm3: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    query: _Count
    height: _Count
    figures: str
    nonce: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]

    def to_words(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        words: dict[str, Any] = msgspec.to_builtins(self)
        return words


_DECODER: Final = msgspec.json.Decoder(FindingEvidence)


def read_evidence(path: Path, finding: dict[str, Any]) -> FindingEvidence:
    """Return the evidence in a file, of a finding as REST shows it: the file has the digest on the ledger and is about what that says.

    Raises InputError EVIDENCE_DIFFERS where it is another file, or says otherwise than the ledger of what the finding is about, or
    names reads that it is not about; EVIDENCE_INVALID where it is the file and no evidence of this format.
    """
    content = read_limited(path, MAX_EVIDENCE_BYTES)
    digest, found = finding["history"][0]["digest"].removeprefix("0x"), sm3(content).hex()
    if found != digest:
        raise InputError(
            "EVIDENCE_DIFFERS",
            f"{path.name} 不是该审计发现的证据：账本上的 SM3 为 {digest}，文件为 {found}",
            f"{path.name} is not the evidence of this finding: the ledger has the SM3 {digest}, the file has {found}",
        )
    evidence = _decode(path, content)
    if differing := list(_differences(evidence, finding["subject"])):
        raise InputError(
            "EVIDENCE_DIFFERS",
            f"{path.name} 的摘要与账本一致，内容却与该审计发现不符，不得采信：{'；'.join(zh for zh, _ in differing)}；请提出方说明",
            f"{path.name} has the digest on the ledger, but says otherwise than the finding, and is not to be relied on: "
            f"{'; '.join(en for _, en in differing)}; ask the department that raised it",
        )
    return evidence


def _decode(path: Path, content: bytes) -> FindingEvidence:
    try:
        evidence = _DECODER.decode(content)
        # The decoder above takes the last of a name that stands twice; other readers show the first.
        json.loads(content, object_pairs_hook=unambiguous_object)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        zh, en = decoding_reason(error)
        raise InputError(
            "EVIDENCE_INVALID",
            f"{path.name} 与账本上的摘要一致，但不是 {FORMAT} 格式的证据（{zh}），请直接查看该文件",
            f"{path.name} is the file of the ledger's digest and no evidence of format {FORMAT} ({en}): read the file itself",
        ) from None
    return evidence


def _differences(evidence: FindingEvidence, subject: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the evidence says otherwise than the ledger, by the name of the field, in Chinese and English."""
    for name in EvidenceSubject.__struct_fields__:
        expected, found = str(subject[name]).removeprefix("0x"), str(getattr(evidence.subject, name))
        if found != expected:
            shown = repr(found[:MAX_SHOWN_LENGTH])
            yield (
                f"{name} 账本为 {expected!r}，文件为 {shown}",
                f"{name} is {expected!r} on the ledger, {shown} in the file",
            )
    first, last, numbers = subject["first_number"], subject["last_number"], evidence.numbers
    most = int(last) - int(first) + 1 if last else 0
    if evidence.count > most:
        shown = str(evidence.count)[:MAX_SHOWN_LENGTH]
        yield f"count 至多为 {most}，文件为 {shown}", f"count is at most {most}, {shown} in the file"
    elif numbers and len(numbers) != min(evidence.count, MAX_NAMED_READS):
        yield (
            f"numbers 有 {len(numbers)} 项，count 为 {evidence.count}",
            f"numbers has {len(numbers)} items where count is {evidence.count}",
        )
    if len(set(numbers)) != len(numbers):
        yield "numbers 有重复", "numbers has one twice"
    beyond = [number for number in numbers if not int(first) <= number <= int(last)]
    if beyond:
        shown = str(beyond[0])[:MAX_SHOWN_LENGTH]
        yield (
            f"numbers 有 {shown}，不在 {first}-{last} 之内",
            f"numbers has {shown}, which is not within {first}-{last}",
        )
