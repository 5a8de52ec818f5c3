"""govnode access shown: who was shown reads of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE
from sdk.cli.output import json_option, show, table

MAX_LISTED: Final = 10_000
_HEADINGS: Final = (
    "末次 / last",
    "部门 / department",
    "账户 / account",
    "查询 / query",
    "序号 / numbers",
    "条数 / reads",
    "应答 / answers",
)


@click.command("shown", cls=Command)
@click.argument("reads", type=FILE)
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="至多几行 / Lines at most."
)
@json_option
def shown(reads: Path, limit: int, as_json: bool) -> None:
    """列出访问记录库 READS 的读取给谁看过，新的在前 / List who was shown reads of a store, the newest first.

    每日、每账户、每次审计查询一行；查询 0 为当事部门 / A line for each day, account and audit query; query 0 is a party's.
    """
    from sdk.access_recording.shown_book import ShownBook
    from verification.days import show_moment

    found = ShownBook(reads).newest(limit)
    rows = [
        (
            show_moment(one.last_ms),
            one.department,
            "0x" + one.account.hex(),
            str(one.query),
            f"{one.first_number}–{one.last_number}",
            str(one.reads),
            str(one.answers),
        )
        for one in found
    ]
    items = [one._asdict() | {"account": "0x" + one.account.hex()} for one in found]
    show({"items": items}, as_json, table(_HEADINGS, rows))
