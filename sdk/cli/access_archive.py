"""govnode access archive: older reads move from a store into files of their own, where they are found as before."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE, FOLDER, day_start, open_client, url_option
from sdk.cli.output import fields, json_option, show, show_progress

KEPT_DAYS: Final = 2
"""Days whose reads stay, today among them: quotas of a day are counted from the store."""
_BATCHES_SHOWN: Final = 1_000


@click.command("archive", cls=Command)
@click.argument("reads", type=FILE)
@click.option(
    "--before",
    "day",
    required=True,
    metavar="YYYY-MM-DD",
    help="此日（北京时间）之前的读取；至少保留昨日与今日 / Reads from before this day; today's and yesterday's stay.",
)
@click.option("--into", "folder", type=FOLDER, required=True, help="归档文件所在的文件夹 / Folder for the archive.")
@url_option
@json_option
def archive(reads: Path, day: str, folder: Path, url: str, as_json: bool) -> None:
    """把记录库 READS 中较早的读取移入归档文件，先与账本核对 / Move older reads to an archive, once checked against the ledger.

    网关等记录方可照常运行；查阅与追溯仍从记录库进行，它会找到归档。记录库文件随之缩小，空间归还磁盘 / Whoever records goes on meanwhile.
    Ask and trace the store as before: it finds its archives. Its file shrinks, and the disk has the room again.
    """
    from contracts.data_sharing.working_days import DAY_MS
    from sdk.access_recording.archives import archive_reads
    from sdk.access_recording.ledger_batches import find_batches
    from sdk.access_recording.stored_reads import StoredReads
    from sdk.system_contracts.access import Access
    from verification.errors import InputError

    before_ms = day_start("--before", day)
    if before_ms > time.time_ns() // 1_000_000 - (KEPT_DAYS - 1) * DAY_MS:
        raise InputError(
            "DAY_TOO_LATE",
            f"--before {day} 过晚：昨日与今日的读取须留在库中，额度按日从库中统计",
            f"--before {day} is too late: reads of today and yesterday stay, as quotas of a day are counted from the store",
        )
    store = StoredReads(reads)
    store.close()
    department, recorder = store.department, store.recorder

    compared = itertools.count(1)

    def count(_number: int) -> None:
        done = next(compared)
        if not as_json and done % _BATCHES_SHOWN == 0:
            show_progress(f"已核对 {done} 批 / {done} batches compared")

    with open_client(url) as client:
        has_place = bool(Access(client).stream(department=department, recorder=recorder).second_place)
        moved = archive_reads(
            reads,
            before_ms,
            folder,
            lambda numbers: find_batches(client, department, recorder, numbers),
            is_copied=has_place,
            on_batch=count,
        )
    if moved is None:
        text = "没有可归档的读取 / nothing to archive"
        if has_place:
            text += (
                "\n尚未存入所声明第二存放处的批次不归档 / batches that are not in the declared second place yet stay"
            )
        show({"file": None, "reads": 0}, as_json, text)
        return
    total = moved.last_number - moved.first_number + 1
    text = fields(
        [
            ("归档文件 / archive", moved.file),
            ("读取 / reads", f"{total}（{moved.first_number}–{moved.last_number}）"),
            ("批次 / batches", f"{moved.first_batch}–{moved.last_batch}"),
        ]
    )
    show({**moved._asdict(), "reads": total}, as_json, text)
