"""govnode cert history: every status that a certificate had, since when and why, and what it was on a day."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, day_end, day_start, open_client, url_option
from sdk.cli.output import fields, json_option, show, table

if TYPE_CHECKING:
    from contracts.certificate_records import CertificateRecord, StatusInterval
    from contracts.code_tables import CodeTable
    from sdk.client import Client
    from verification.batch_proof import BatchMember

MAX_SHOWN_INTERVALS: Final = 4_096
"""Of the longest histories the earliest are left out, which is said."""


@click.command("history", cls=Command)
@click.argument("identifier")
@click.option(
    "--at",
    "day",
    help="该日是否有效、有何变化 YYYY-MM-DD / Whether it was in force on this day, and what changed on it.",
)
@click.option(
    "--archive",
    type=FILE,
    help="所属批次的档案，用于尚无自身记录的证照 / Archive of its batch, for one without a record.",
)
@url_option
@json_option
def history(identifier: str, day: str | None, archive: Path | None, url: str, as_json: bool) -> None:
    """显示证照的全部状态：起始时间、操作、经办账户、原因 / Show every status of a certificate: since when, by whom, and why."""
    from contracts.certificate_records import status_at
    from contracts.fields import MAX_TIME_MS
    from sdk.system_contracts.certificates import Certificates
    from verification.days import show_time

    asked = None if day is None else (day_start("--at", day), day_end("--at", day))
    with open_client(url) as client:
        record = load_record(client, identifier, archive)
        intervals, left_out = _intervals(client, record, MAX_TIME_MS if asked is None else asked[0])
        certificates = Certificates(client)
        codes = certificates.code_table(certificates.certificate_type(record.type_code).code_table)
        names = _operator_names(client, intervals)
    whole = _with_history(record, intervals)
    result: dict[str, Any] = {
        "identifier": record.identifier,
        "issued_ms": record.issued_ms,
        "valid_from_ms": record.valid_from_ms,
        "valid_to_ms": record.valid_to_ms,
        "predecessor": record.predecessor,
        "successor": record.successor,
        "left_out": left_out,
        "history": [_shown(one, codes, names) for one in intervals],
    }
    lines = [_links(record), "", _table(intervals, codes, names)]
    if left_out:
        lines.insert(1, f"较早的 {left_out} 次未列出 / the earliest {left_out} are not shown")
    if asked is not None:
        begin, end = (status_at(whole, moment) for moment in asked)
        changed = [one for one in intervals if asked[0] < one.from_ms <= asked[1]]
        result["day"] = {
            "from_ms": asked[0],
            "to_ms": asked[1],
            "at_start": begin.verdict,
            "at_end": end.verdict,
            "is_in_force_all_day": begin.is_valid and end.is_valid and not changed,
            "changes": [one.from_ms for one in changed],
        }
        lines = [_day_text(day or "", begin.verdict, end.verdict, [show_time(one.from_ms) for one in changed]), *lines]
    show(result, as_json, "\n".join(lines))


def load_record(client: Client, identifier: str, archive: Path | None) -> CertificateRecord:
    """Return the record of a certificate, or what stands for one while its leaf in a batch is all there is."""
    from sdk.errors import RequestRefused
    from sdk.system_contracts.batches import Batches
    from sdk.system_contracts.certificates import Certificates
    from verification.errors import InputError

    try:
        return Certificates(client).certificate(identifier)
    except RequestRefused as refused:
        if refused.code != "CERTIFICATE_UNKNOWN":
            raise
        name = Batches(client).batch_of(identifier)
        if not name:
            raise
        member = _listed_member(client, identifier) if archive is None else _archived_member(archive, identifier)
        if member is None:
            raise InputError(
                "ARCHIVE_NEEDED",
                f"{identifier} 没有自身的记录，其流水号属于批次 {name}，所问节点没有该批次的清单（或正在读取）："
                "请加 --archive 该批次的档案，或改问有清单的节点",
                f"{identifier} has no record of its own; its serial is of the batch {name}, of which the node has no manifest, or is "
                "reading it: add --archive with that batch's archive, or ask a node that has the manifest",
            ) from None
        return _member_record(client, name, member)


def _listed_member(client: Client, identifier: str) -> BatchMember | None:
    """Return a certificate's place in its batch by the manifest that a node has, None where it has none."""
    from contracts.identifiers import parse_identifier
    from sdk.proofs import export_listed_proof
    from verification.batch_proof import decode_batch_proof
    from verification.errors import InputError

    proof = export_listed_proof(client, identifier)
    member = None if proof is None else decode_batch_proof(proof).proof.member
    if member is not None and member.content.identifier != parse_identifier(identifier).text:
        raise InputError(
            "PROOF_MALFORMED",
            "节点给出的是另一份证照的证明，请换一个节点",
            "the node gave a proof of another certificate: ask another node",
        )
    return member


def _archived_member(archive: Path, identifier: str) -> BatchMember:
    from contracts.identifiers import parse_identifier
    from sdk.certificate_batches.archive import BatchArchive
    from verification.batch_proof import BatchMember

    with BatchArchive(archive) as opened:
        position = opened.position(parse_identifier(identifier).text)
        return BatchMember(opened.content(position), position, tuple(opened.path_of(position)))


def _member_record(client: Client, name: str, member: BatchMember) -> CertificateRecord:
    """Return what stands for the record of a batch's certificate, whose path is followed to the batch's root."""
    from contracts.batches import member_record, verify_member
    from contracts.refusals import Refused
    from sdk.system_contracts.batches import Batches
    from verification.errors import InputError

    batch = Batches(client).batch(name)
    try:
        identifier = verify_member(batch, member.position, member.content, list(member.path))
        return member_record(batch, member.content, identifier)
    except Refused as refused:
        raise InputError(refused.code, *refused.texts) from None


def _intervals(client: Client, record: CertificateRecord, from_ms: int) -> tuple[list[StatusInterval], int]:
    """Return the latest statuses, oldest first, and how many earlier ones were left out.

    They are up to MAX_SHOWN_INTERVALS, or as many as it takes to tell what it was at `from_ms`.
    """
    from contracts.certificate_records import PAGE_INTERVALS
    from sdk.system_contracts.certificates import Certificates

    intervals = list(record.history)
    number = record.page_count
    while number and (len(intervals) + PAGE_INTERVALS <= MAX_SHOWN_INTERVALS or intervals[0].from_ms > from_ms):
        number -= 1
        page = Certificates(client).history_page(identifier=record.identifier, number=number)
        intervals[:0] = page.intervals
    return intervals, number * PAGE_INTERVALS


def _with_history(record: CertificateRecord, intervals: list[StatusInterval]) -> CertificateRecord:
    import msgspec

    return msgspec.structs.replace(record, history=tuple(intervals))


def _operator_names(client: Client, intervals: list[StatusInterval]) -> dict[bytes, str]:
    """Return what the accounts that set statuses are called, removed ones too."""
    from verification.errors import GovnodeError

    operators = list(dict.fromkeys(one.operator for one in intervals))
    answers = client.views("members", "account", [{"account": operator} for operator in operators])
    return {
        operator: answer["name"]
        for operator, answer in zip(operators, answers, strict=True)
        if not isinstance(answer, GovnodeError)
    }


def _shown(interval: StatusInterval, codes: CodeTable, names: dict[bytes, str]) -> dict[str, Any]:
    return {
        "status": interval.status,
        "status_text": status_text(interval, codes),
        "from_ms": interval.from_ms,
        "operation": interval.operation,
        "operation_text": _operation_text(interval, codes),
        "reason": interval.reason,
        "operator": "0x" + interval.operator.hex(),
        "operator_name": names.get(interval.operator, ""),
    }


def status_text(interval: StatusInterval, codes: CodeTable) -> dict[str, str]:
    """Return what a status is called in a type's table of codes, in both languages; empty where the table no longer has it."""
    return next(
        ({"zh": one.name, "en": one.english} for one in codes.statuses if one.code == interval.status),
        {"zh": "", "en": ""},
    )


def _operation_text(interval: StatusInterval, codes: CodeTable) -> dict[str, str]:
    return next(
        ({"zh": one.name, "en": one.english} for one in codes.operations if one.code == interval.operation),
        {"zh": "", "en": ""},
    )


def _links(record: CertificateRecord) -> str:
    from contracts.fields import MAX_TIME_MS
    from verification.days import show_time

    end = "长期 / without end" if record.valid_to_ms >= MAX_TIME_MS else show_time(record.valid_to_ms)
    return fields(
        [
            ("证照标识 / identifier", record.identifier),
            ("有效期 / validity", f"{show_time(record.valid_from_ms)} ~ {end}"),
            ("接替 / predecessor", record.predecessor or None),
            ("后继 / successor", record.successor or None),
        ]
    )


def _table(intervals: list[StatusInterval], codes: CodeTable, names: dict[bytes, str]) -> str:
    from verification.days import show_time

    rows = []
    for one in intervals:
        status, operation = status_text(one, codes), _operation_text(one, codes)
        rows.append(
            (
                show_time(one.from_ms),
                f"{one.status} {status['zh']} / {status['en']}",
                f"{one.operation} {operation['zh']} / {operation['en']}",
                names.get(one.operator, "0x" + one.operator.hex()),
                one.reason or "-",
            )
        )
    return table(("起 / since", "状态 / status", "操作 / operation", "经办账户 / operator", "原因 / reason"), rows)


def _day_text(day: str, begin: str, end: str, changes: list[str]) -> str:
    from contracts.certificate_records import VERDICTS

    if begin == end and not changes:
        zh, en = VERDICTS[begin]
        return f"{day}：全天：{zh} / all day: {en}"
    (zh, en), (zh_end, en_end) = VERDICTS[begin], VERDICTS[end]
    changed_zh = f"，当日变化：{'；'.join(changes)}" if changes else ""
    changed_en = f", changes on the day: {'; '.join(changes)}" if changes else ""
    return f"{day}：0 时：{zh}，日终：{zh_end}{changed_zh} / at its start {en}, at its end {en_end}{changed_en}"
