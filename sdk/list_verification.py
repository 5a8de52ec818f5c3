"""Lists of certificates verified by asking a node, and folders of proofs and documents verified offline; the report in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sdk.documents import read_limited, write_private
from sdk.errors import NodeUnreachable
from verification.errors import InputError
from verification.listed import (
    MAX_LIST_BYTES,
    Listed,
    ListedVerdict,
    ListReport,
    list_csv,
    list_report,
    listed_of,
    read_list,
    refuse_malformed,
)
from verification.report import MAX_PDF_ROWS, encode_pdf

if TYPE_CHECKING:
    from sdk.client import Client

MAX_ASKED: Final = 1_000
"""Certificates in one request, as a node takes them."""
REPORT_KINDS: Final = (".csv", ".pdf")


class _NodeAnswer(msgspec.Struct):
    network_name: str
    genesis_hash: str
    height: int
    block_time_ms: int
    at_ms: int
    day: str
    signers: tuple[str, ...]
    validator_count: int
    items: tuple[ListedVerdict, ...]


def read_listed(path: Path) -> tuple[list[Listed], bytes]:
    """Return the certificates named in a .csv, .txt or .xlsx file, and the file's bytes; raise InputError that says what is wrong."""
    raw = read_limited(path, MAX_LIST_BYTES)
    if path.suffix.lower() != ".xlsx":
        return read_list(raw), raw
    from sdk.tables.opening import open_table

    with open_table(path) as table:
        return listed_of([(1, table.names), *((line.number, line.cells) for line in table)]), raw


def verify_on_node(
    client: Client, listed: Sequence[Listed], *, at_ms: int | None = None, day: str | None = None
) -> ListReport:
    """Return what a node says of the certificates of a list, all as of one final height; at a time in ms or on a day of China.

    What is no identifier is not sent. Raises RequestRefused where the node no longer keeps the height that it began with.
    """
    verdicts = {place: refused for place, one in enumerate(listed) if (refused := refuse_malformed(one)) is not None}
    asked = [place for place in range(len(listed)) if place not in verdicts]
    head: _NodeAnswer | None = None
    for start in range(0, len(asked), MAX_ASKED):
        places = asked[start : start + MAX_ASKED]
        answer = _ask(client, [listed[place] for place in places], at_ms, day, None if head is None else head.height)
        head = head or answer
        for place, verdict in zip(places, answer.items, strict=True):
            verdicts[place] = msgspec.structs.replace(verdict, line=listed[place].line)
    if head is None:
        first = refuse_malformed(listed[0])
        assert first is not None, "a list with nothing to ask about has faults only"
        raise InputError(
            "LIST_INVALID",
            f"清单中没有一个证照标识；第 {first.line} 行：{first.zh}",
            f"no line of the list is a certificate identifier; line {first.line}: {first.en}",
        )
    return ListReport(
        "node",
        head.network_name,
        head.genesis_hash,
        head.height,
        head.block_time_ms,
        head.at_ms,
        head.day,
        head.signers,
        head.validator_count,
        tuple(verdicts[place] for place in range(len(listed))),
    )


def check_reports(paths: Sequence[Path], count: int) -> None:
    """Return if reports of `count` lines can be written to these files; raise InputError before any work is done."""
    for path in paths:
        if path.suffix.lower() not in REPORT_KINDS:
            raise InputError(
                "REPORT_KIND",
                f"报告文件应以 .csv 或 .pdf 结尾，实为 {path.name!r}",
                f"expected a report's name to end in .csv or .pdf, found {path.name!r}",
            )
        if path.suffix.lower() == ".pdf" and count > MAX_PDF_ROWS:
            raise InputError(
                "REPORT_TOO_LONG",
                f"PDF 报告至多 {MAX_PDF_ROWS} 行，清单有 {count} 行：请改用 .csv，或拆分清单",
                f"expected at most {MAX_PDF_ROWS} rows in a PDF, the list has {count}: take .csv, or split the list",
            )


def write_report(path: Path, report: ListReport, source: str, content: bytes) -> None:
    """Write a report as CSV or PDF, by the name's ending; `source` and `content` are the list's name and bytes."""
    made = list_csv(report) if path.suffix.lower() == ".csv" else encode_pdf(list_report(report, source, content))
    write_private(path, made)


def _ask(
    client: Client, listed: Sequence[Listed], at_ms: int | None, day: str | None, height: int | None
) -> _NodeAnswer:
    body: dict[str, Any] = {
        "items": [{"identifier": one.identifier, "document_digest": one.document_digest} for one in listed],
        "at_ms": at_ms,
        "day": day,
        "height": height,
    }
    found = client.post("/verifications", body)
    try:
        answer = msgspec.convert(found, _NodeAnswer)
    except msgspec.ValidationError as error:
        raise _another_answer(str(error)) from None
    if len(answer.items) != len(listed) or (height is not None and answer.height != height):
        raise _another_answer("another number of verdicts, or another height")
    return answer


def _another_answer(reason: str) -> NodeUnreachable:
    return NodeUnreachable(
        "NOT_A_NODE",
        f"节点的应答不是批量核验的格式（{reason}），请检查地址与版本",
        f"the node's answer is not that of a list ({reason}): check address and version",
    )
