"""Many certificates verified at once: the list that comes in, and the report that goes out."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec

from sm_crypto.sm3 import sm3
from verification.days import show_time
from verification.errors import InputError
from verification.identifier_check import check_identifier
from verification.report import Column, Count, Mood, Report, Row, encode_csv

MAX_LIST_BYTES: Final = 32 * 1024 * 1024
MAX_LISTED: Final = 100_000
"""Certificates in one list; a node answers fewer at a time, by its own limit."""
MAX_LINE_CHARACTERS: Final = 65_536
MAX_SHOWN_LENGTH: Final = 60

IDENTIFIER_NAMES: Final = frozenset({"identifier", "certidentifier", "zzbs", "证照标识"})
DIGEST_NAMES: Final = frozenset({"document_digest", "digest", "sm3", "文件摘要"})
"""Column names that are known, in lower case; a list may have other columns, which stay where the list is."""
_DIGEST_FORM: Final = re.compile("(?:0x)?([0-9a-f]{64})")

Basis = Literal["node", "files"]
"""Who vouches for a report: the node that was asked, or nobody but the files and the trust file."""


class Listed(msgspec.Struct, frozen=True):
    """A certificate of a list: the line that names it, its identifier as it stands there, and SM3 of its document where one is given."""

    line: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    identifier: Annotated[str, msgspec.Meta(max_length=200)]
    document_digest: Annotated[str, msgspec.Meta(max_length=66)] | None = None


class Finding(msgspec.Struct, frozen=True):
    """Something to know beside the verdict: its code, and what it says."""

    code: str
    mood: Mood
    zh: str
    en: str


class ListedVerdict(msgspec.Struct, frozen=True):
    """What one certificate of a list was found to be: `height` and `time_ms` are of the block that it speaks of, where there is one.

    `subject` is the identifier, or the name of the file that was verified.
    """

    line: int
    subject: str
    document_digest: str | None
    verdict: str
    is_valid: bool
    mood: Mood
    zh: str
    en: str
    findings: tuple[Finding, ...]
    height: int | None
    time_ms: int | None


class ListReport(msgspec.Struct, frozen=True):
    """The verdicts on a whole list, with whose word they are; `signers` of `validator_count` validators made the block final.

    From a node all verdicts are of one height. `at_ms` is the time that was asked about. From files each has a height of its own.
    """

    basis: Basis
    network_name: str
    genesis_hash: str
    height: int | None
    block_time_ms: int | None
    at_ms: int
    day: str
    """The day of China that was asked about instead, YYYY-MM-DD; empty where it was a time."""
    signers: tuple[str, ...]
    validator_count: int | None
    items: tuple[ListedVerdict, ...]

    @property
    def is_all_valid(self) -> bool:
        """Whether every certificate of the list was found valid."""
        return all(item.is_valid for item in self.items)


def read_list(raw: bytes) -> list[Listed]:
    """Return the certificates named in a text of one identifier a line, or in a CSV; raise InputError LIST_INVALID.

    A CSV, with commas or tabs, has a first line of column names, or else the identifier first and the document's SM3 second.
    A line that is no identifier stays in the list: what is wrong with it is its verdict.
    """
    if len(raw) > MAX_LIST_BYTES:
        raise _invalid(1, f"不超过 {MAX_LIST_BYTES} 字节", f"at most {MAX_LIST_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _invalid(line, "UTF-8 文本，请另存为“CSV UTF-8”", "UTF-8 text; save it as “CSV UTF-8”") from None
    if "\0" in text:
        raise _invalid(1, "文本文件", "a text file")
    first = text.split("\n", 1)[0]
    reader = csv.reader(_lines(text), delimiter="\t" if "\t" in first else ",", strict=True)
    try:
        return listed_of((reader.line_num, cells) for cells in reader)
    except csv.Error as error:
        raise _invalid(max(1, reader.line_num), f"合格的 CSV（{error}）", f"well-formed CSV ({error})") from None


def listed_of(rows: Iterable[tuple[int, Sequence[str]]]) -> list[Listed]:
    """Return the certificates in a table's rows, each given with its line; raise InputError LIST_INVALID for none or too many."""
    listed: list[Listed] = []
    places: tuple[int, int | None] | None = None
    for line, cells in rows:
        stripped = [cell.strip() for cell in cells]
        if not any(stripped):
            continue
        if places is None:
            places = _places(stripped)
            if places is not None:
                continue
            places = (0, 1)
        if len(listed) >= MAX_LISTED:
            raise _invalid(line, f"至多 {MAX_LISTED} 份证照", f"at most {MAX_LISTED} certificates")
        identifier, digest = _cell(stripped, places[0]), _cell(stripped, places[1])
        listed.append(Listed(line, identifier[:200], digest[:66].lower() or None))
    if not listed:
        raise _invalid(1, "至少一个证照标识", "at least one certificate identifier")
    return listed


def _places(names: Sequence[str]) -> tuple[int, int | None] | None:
    """Return where a line of column names has identifier and digest, None for a line that has no column of that name."""
    known = [name.lower() for name in names]
    identifier = next((place for place, name in enumerate(known) if name in IDENTIFIER_NAMES), None)
    if identifier is None:
        return None
    return identifier, next((place for place, name in enumerate(known) if name in DIGEST_NAMES), None)


def _cell(cells: Sequence[str], place: int | None) -> str:
    return cells[place] if place is not None and place < len(cells) else ""


def _lines(text: str) -> Iterator[str]:
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        if len(line) > MAX_LINE_CHARACTERS:
            raise _invalid(
                number, f"每行至多 {MAX_LINE_CHARACTERS} 个字符", f"at most {MAX_LINE_CHARACTERS} characters a line"
            )
        yield line


def _invalid(line: int, zh: str, en: str) -> InputError:
    return InputError("LIST_INVALID", f"清单第 {line} 行：应为{zh}", f"line {line} of the list: expected {en}")


def digest_of(listed: Listed) -> bytes | None:
    """Return the 32 bytes of the document digest in a list, None where there is none; raise InputError DIGEST_MALFORMED."""
    if listed.document_digest is None:
        return None
    match = _DIGEST_FORM.fullmatch(listed.document_digest.lower())
    if match is None:
        found = shown(listed.document_digest)
        raise InputError(
            "DIGEST_MALFORMED",
            f"文件摘要应为 64 位十六进制的 SM3，实为 {found!r}",
            f"expected SM3 of the document in 64 hex digits, found {found!r}",
        )
    return bytes.fromhex(match[1])


def refuse_malformed(listed: Listed) -> ListedVerdict | None:
    """Return the verdict on what nobody needs to be asked about: no identifier, or no digest; None for all that is well-formed."""
    report = check_identifier(listed.identifier)
    if report.parts is None:
        found = report.findings[0]
        return _malformed(listed, f"IDENTIFIER_{found.code}", found.zh, found.en)
    try:
        digest_of(listed)
    except InputError as error:
        return _malformed(listed, error.code, error.zh, error.en)
    return None


def _malformed(listed: Listed, code: str, zh: str, en: str) -> ListedVerdict:
    return ListedVerdict(listed.line, shown(listed.identifier), None, code, False, "bad", zh, en, (), None, None)


def shown(text: str) -> str:
    """Return a text of somebody else's as it may be shown: on one line, shortened, what cannot be printed replaced."""
    clean = "".join(character if character.isprintable() else "\ufffd" for character in text[:MAX_SHOWN_LENGTH])
    return clean if len(text) <= MAX_SHOWN_LENGTH else clean + "…"


_CSV_NAMES: Final = (
    "line",
    "subject",
    "document_digest",
    "verdict",
    "is_valid",
    "zh",
    "en",
    "findings",
    "findings_zh",
    "findings_en",
    "height",
    "block_time",
)


def list_csv(report: ListReport) -> bytes:
    """Return a report as CSV: one line a certificate, in the order of the list; every line says as of which block it speaks."""
    rows = [
        (
            item.line,
            item.subject,
            item.document_digest or "",
            item.verdict,
            "true" if item.is_valid else "false",
            item.zh,
            item.en,
            " ".join(finding.code for finding in item.findings),
            "；".join(finding.zh for finding in item.findings),
            "; ".join(finding.en for finding in item.findings),
            "" if item.height is None else item.height,
            "" if item.time_ms is None else show_time(item.time_ms),
        )
        for item in report.items
    ]
    return encode_csv(_CSV_NAMES, rows)


def list_report(report: ListReport, source: str, content: bytes) -> Report:
    """Return a report for print; `source` is what the list is called, and `content` its bytes, whose SM3 the report states."""
    facts = [
        ("网络", "network", report.network_name),
        ("创世哈希", "genesis hash", report.genesis_hash),
        ("清单", "list", f"{source} · {len(report.items):,} · SM3 {sm3(content).hex()}"),
    ]
    if report.height is not None and report.block_time_ms is not None:
        facts.append(("截至区块", "as of block", f"{report.height:,} · {show_time(report.block_time_ms)}"))
    if report.signers:
        facts.append(
            (
                "由以下共识节点签名确认",
                "made final by",
                f"{len(report.signers)}/{report.validator_count} · {'、'.join(report.signers)}",
            )
        )
    facts.append(("所问时间", "status asked for", report.day or show_time(report.at_ms)))
    legend = _legend(report.items)
    return Report(
        "证照批量核验报告",
        "Verification of a list of certificates",
        tuple(facts),
        _counts(report.items),
        (
            Column("行", "line", 5, is_code=True),
            Column("证照标识", "identifier", 33, is_code=True),
            Column("结论", "verdict", 17, is_code=True),
            Column("说明", "explanation", 45),
        ),
        [_row(item, legend) for item in sorted(report.items, key=lambda item: _ORDER[item.mood])],
        (*(_legend_note(number, *words) for words, number in legend.items()), _NOTES[report.basis], _NOTE_OF_TIME),
    )


def _counts(items: Sequence[ListedVerdict]) -> tuple[Count, ...]:
    """Return how many have each verdict, the most frequent first; how a verdict is called is taken from the first that has it."""
    numbers = Counter(item.verdict for item in items)
    firsts = {item.verdict: item for item in reversed(items)}
    return tuple(
        Count(firsts[code].mood, code, *_VERDICT_NAMES.get(code, ("见各行说明", "as each line says")), count)
        for code, count in sorted(numbers.items(), key=lambda entry: (-entry[1], entry[0]))
    )


def _legend(items: Sequence[ListedVerdict]) -> dict[tuple[str, str, str], int]:
    """Return long findings that many lines have, by code and words, each with the number that lines have in their place."""
    numbers = Counter((one.code, one.zh, one.en) for item in items for one in item.findings)
    often = [
        words for words, count in numbers.items() if count > MAX_REPEATED and len("".join(words)) > MAX_REPEATED_LENGTH
    ]
    return {words: number for number, words in enumerate(often, 1)}


def _legend_note(number: int, code: str, zh: str, en: str) -> tuple[str, str]:
    return f"说明 {number}：{code}，{zh}", f"Note {number}: {en}"


def _row(item: ListedVerdict, legend: Mapping[tuple[str, str, str], int]) -> Row:
    texts = [f"{item.zh} / {item.en}"]
    for finding in item.findings:
        number = legend.get((finding.code, finding.zh, finding.en))
        told = f"{finding.zh} / {finding.en}" if number is None else f"见说明 {number} / see note {number}"
        texts.append(f"{finding.code}：{told}")
    if item.document_digest is not None:
        texts.append(f"SM3 {item.document_digest}")
    return Row(item.mood, (str(item.line), item.subject, item.verdict, "\n".join(texts)))


_ORDER: Final[dict[Mood, int]] = {"bad": 0, "warn": 1, "good": 2}
"""A printed report begins with what is refused; lines keep their numbers in the list."""
MAX_REPEATED: Final = 3
MAX_REPEATED_LENGTH: Final = 80
"""What more lines of a printed report have, in more characters, stands in its notes once."""

_VERDICT_NAMES: Final[dict[str, tuple[str, str]]] = {
    "IN_FORCE": ("有效", "in force"),
    "GENUINE": ("真实，效力未核对", "genuine, force not checked"),
    "NOT_YET_ISSUED": ("所查时间尚未颁发", "not issued at that time"),
    "NOT_YET_VALID": ("尚未到有效期起始日", "not valid yet"),
    "EXPIRED": ("已过有效期", "expired"),
    "SUSPENDED": ("已暂停使用", "suspended"),
    "SUPERSEDED": ("已由新证照接替", "superseded by another certificate"),
    "ENDED": ("已撤销或终止", "revoked or ended"),
    "DOCUMENT_CHANGED": ("文件与登记的不符", "the document is not the registered one"),
    "NOT_ON_LEDGER": ("账本上没有", "not on the ledger"),
    "PART_OF_DAY": ("当日部分时间有效", "valid in a part of that day"),
    "IN_BATCH": ("批量颁发，须凭证照文件核验", "issued in a batch: its document is needed"),
    "IDENTIFIER_MALFORMED": ("不是证照标识", "no certificate identifier"),
    "DIGEST_MALFORMED": ("文件摘要格式有误", "the document digest is malformed"),
    "PROOF_BROKEN": ("证明不成立", "the proof does not hold"),
    "ANOTHER_NETWORK": ("属于另一网络", "of another network"),
    "ANOTHER_CERTIFICATE": ("是另一份证照的文件", "the file of another certificate"),
    "NOT_A_PROOF": ("不是可核验的文件", "no file that can be verified"),
}
"""What verdicts are called in the summary; the lines have the verdict's own words."""

_NOTES: Final[dict[Basis, tuple[str, str]]] = {
    "node": (
        "本报告是所问节点截至上述区块的陈述；要不依赖任何节点，请对证明文件用 govnode verify 离线核验。",
        "This is what the node that was asked says as of that block; to rely on no node, verify proof files with govnode verify.",
    ),
    "files": (
        "本报告由证明文件与信任文件离线得出，不依赖任何节点；每行截至其证明所在的区块。",
        "This was found offline from proof files and a trust file, on no node's word; each line speaks as of its own proof's block.",
    ),
}
_NOTE_OF_TIME: Final = (
    "此后的变更不在本报告中。",
    "What changed later is not in this report.",
)
