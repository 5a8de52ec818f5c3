"""govnode access: streams of access records, and reads that a department records without a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sdk.cli.access_archive import archive
from sdk.cli.access_keep import keep
from sdk.cli.access_record import record
from sdk.cli.access_shown import shown
from sdk.cli.bilingual import Group
from sdk.cli.options import FILE, check_hex, key_options, open_client, url_option
from sdk.cli.output import EXIT_REFUSED, fields, json_option, show, show_progress, table
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.access_recording.stored_reads import StoredReads
    from sdk.client import Client

MAX_LISTED: Final = 10_000
_BATCHES_SHOWN: Final = 1_000


@click.group(cls=Group)
def access() -> None:
    """数据访问记录 / Access records."""


@access.command("streams")
@url_option
@json_option
def streams(url: str, as_json: bool) -> int:
    """列出全部访问记录流；有逾期者则退出状态为 1 / List all streams; exit status 1 when one is late."""
    from verification.days import show_moment

    with open_client(url) as client:
        found = client.get_all("/access-streams", limit=MAX_LISTED)
    rows = [
        (
            stream["department_name"],
            stream["recorder"],
            str(stream["number"]),
            str(stream["batch_number"]),
            show_moment(stream["covered_ms"]) if stream["batch_number"] else "–",
            _state(stream),
        )
        for stream in found
    ]
    headings = (
        "部门 / department",
        "记录账户 / recorder",
        "条数 / reads",
        "批次 / batches",
        "覆盖至 / covered",
        "状态 / state",
    )
    show({"items": found}, as_json, table(headings, rows))
    return EXIT_REFUSED if any(stream["is_late"] for stream in found) else 0


@access.command("end")
@click.argument("recorder")
@click.option(
    "--department",
    default="",
    help="由治理账户结束已被暂停的该部门的记录流，自暂停之时起 / By a governor: the suspended department whose stream it is, since then.",
)
@click.option(
    "--with-gap",
    is_flag=True,
    help="记录账户已失，末批之后的时段永远缺失 / Its recorder is lost: the time after its last batch is missing for ever.",
)
@url_option
@key_options
@json_option
def end(
    recorder: str,
    department: str,
    with_gap: bool,
    url: str,
    key: Path,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """声明账户 RECORDER 的记录流就此结束：本人，或本部门管理账户 / Say that no batches follow: its recorder, or an administrator.

    请先停止记录并送出末批（access keep --once）：末批两分钟后才结束的，其间的读取在追溯中永远缺失 / Stop the recorder and send its last
    batch first (access keep --once): where the end comes over two minutes after it, every trace lacks the time between.

    停用的账户才结束；周末、假日停机不要结束，让 access keep 照常送出心跳：同一账户结束后再行记录的，其首批按结束前的期限计，作为延迟
    上链（ANCHORED_LATE）由本部门说明；结束期间仍提供数据的，也由本部门说明 / It is for accounts that retire, not for a weekend, over which
    access keep goes on with heartbeats: where the same account records again, its next batch is late by what was promised before the
    end (ANCHORED_LATE), and data given meanwhile without a stream is a finding too; the department explains both.
    """
    from sdk.system_contracts.access import Access
    from verification.access.trace_verification import MAX_END_GAP_MS
    from verification.days import show_moment

    address = check_hex("RECORDER", recorder, 20)
    with open_client(url, key, password_file) as client:
        if department:
            receipt = Access(client).end_suspended_stream(department=department, recorder=address)
            show({"height": receipt.height}, as_json, fields([("区块 / block", receipt.height)]))
            return
        stream = Access(client).stream(department=client.own_department(), recorder=address)
        covered_ms = stream.covered_ms if stream.batch_number else stream.first_declared_ms
        if not with_gap and int(client.status()["head_time_ms"]) - covered_ms > MAX_END_GAP_MS:
            raise InputError(
                "STREAM_NOT_COVERED",
                f"该记录流只登记到 {show_moment(covered_ms)}：请先送出末批（网关运行时自行送出，或 access keep --once），随即结束；"
                "记录账户已失的，加 --with-gap，其后的时段在追溯中永远缺失",
                f"the stream is recorded until {show_moment(covered_ms)} only: send its last batch (a running gateway does, or access keep "
                "--once) and end it then; where its recorder is lost, --with-gap, and every trace lacks the time after",
            )
        receipt = Access(client).end_stream(recorder=address)
    show({"height": receipt.height}, as_json, fields([("区块 / block", receipt.height)]))


@access.command("check")
@click.argument("reads", type=FILE)
@url_option
@json_option
def check(reads: Path, url: str, as_json: bool) -> int:
    """把访问记录库与账本逐批核对，不符则退出状态为 1 / Check a store against the ledger, batch by batch; exit status 1 on a difference."""
    from sdk.access_recording.stored_reads import StoredReads

    store = StoredReads(reads)
    try:
        with open_client(url) as client:
            checked, findings = _check_store(store, client, is_told=not as_json)
    finally:
        store.close()
    lines = [f"✗ {one['batch_number']}: {one['zh']} / {one['en']}" for one in findings]
    lines.append(f"{checked} 批已核对 / batches checked")
    show({"batches": checked, "findings": findings}, as_json, "\n".join(lines))
    return EXIT_REFUSED if findings else 0


@access.command("export")
@click.argument("reads", type=FILE)
@click.option("--out", type=FILE, required=True, help="写入的 JSON 文件 / The JSON file to write.")
@click.option("--grant", help="授权标识 / Id of a grant.")
@click.option("--case", "case_number", help="办件编号 / Number of a case.")
@click.option("--first", type=click.IntRange(1), default=1, show_default=True, help="起始序号 / First number.")
@json_option
def export(reads: Path, out: Path, grant: str | None, case_number: str | None, first: int, as_json: bool) -> None:
    """从访问记录库导出读取供查看，一次至多 10,000 条 / Export reads of a store to be looked at, at most 10,000 at a time.

    导出文件不是记录库的副本，不能据以追溯：须保存的是记录库与归档 / The file is no copy of the store and no source for a trace: keep
    stores and archives.
    """
    from node.http.json_form import to_json
    from sdk.access_recording.stored_reads import StoredReads
    from sdk.secret_files import SECRET_MODE
    from verification.access.reads import decode_read

    wanted = None if grant is None else check_hex("--grant", grant, 32)
    store = StoredReads(reads)
    try:
        found = [decode_read(raw) for raw in store.find_reads(first=first, grant=wanted, case_number=case_number)]
    finally:
        store.close()
    import orjson

    out.touch(mode=SECRET_MODE)
    out.write_bytes(orjson.dumps([to_json(read) for read in found], option=orjson.OPT_INDENT_2))
    last = found[-1].number if found else 0
    show({"reads": len(found), "last": last, "out": str(out)}, as_json, f"{len(found)} 条 / reads: {out}")


def _state(stream: dict[str, Any]) -> str:
    if stream["ended_ms"]:
        return "已结束 / ended"
    return "逾期 / late" if stream["is_late"] else "正常 / on time"


def _check_store(store: StoredReads, client: Client, *, is_told: bool) -> tuple[int, list[dict[str, Any]]]:
    """Return how many of the ledger's batches were checked, and what is wrong in which; `is_told` shows how far it is."""
    from sdk.access_recording.ledger_batches import find_batches
    from sdk.system_contracts.access import Access
    from verification.access.sealed_batches import check_bodies
    from verification.errors import InputError

    findings: list[dict[str, Any]] = []
    last = Access(client).stream(department=store.department, recorder=store.recorder).batch_number
    for number, batch in enumerate(find_batches(client, store.department, store.recorder, range(1, last + 1)), 1):
        if is_told and number % _BATCHES_SHOWN == 0:
            show_progress(f"已核对 {number}/{last} 批 / {number} of {last} batches compared")
        try:
            check_bodies(batch, store.encoded_reads(batch.first_number, batch.first_number + batch.count - 1))
        except InputError as error:
            findings.append({"batch_number": number, "code": error.code, "zh": error.zh, "en": error.en})
    return last, findings


access.add_command(archive)
access.add_command(keep)
access.add_command(record)
access.add_command(shown)
