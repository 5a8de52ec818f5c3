"""govnode cert archive find and list: from a name, a serial or a number to the identifier that other commands ask for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.options import FILE
from sdk.cli.output import json_option, show, table
from verification.errors import InputError

if TYPE_CHECKING:
    from sdk.certificate_batches.archive import BatchArchive
    from sdk.certificate_batches.rows import BatchRow

MAX_FOUND: Final = 200
COLUMNS: Final = ("identifier", "serial", "number", "holder_name", "issued_on", "valid_from", "valid_to", "line")
_HEADINGS: Final = (
    "证照标识 / identifier",
    "流水号 / serial",
    "编号 / number",
    "持证主体 / holder",
    "有效期 / validity",
    "行 / line",
)


@click.command("find", cls=Command)
@click.argument("archive", type=FILE)
@click.option("--serial", default="", help="流水号 / The serial.")
@click.option("--number", default="", help="证照编号，可只给一部分 / The certificate's number, or a part of it.")
@click.option("--holder", default="", help="持证主体的姓名或代码 / The holder's name or code.")
@json_option
def find_certificates(archive: Path, serial: str, number: str, holder: str, as_json: bool) -> None:
    """在批次档案中按流水号、编号或持证主体查证照标识 / Find the identifiers of certificates by serial, number or holder.

    给出多项的须全部相符 / Of several options all must fit. 不问节点 / No node is asked.
    """
    from sdk.certificate_batches.archive import BatchArchive

    if not (serial or number or holder):
        raise click.UsageError(
            "给出 --serial、--number 或 --holder 中至少一项 / give at least one of --serial, --number and --holder"
        )
    with BatchArchive(archive) as opened:
        found = list(islice(_matches(opened, serial, number, holder), MAX_FOUND + 1))
    if not found:
        raise InputError(
            "NOT_IN_ARCHIVE",
            f"{archive} 中没有相符的证照；流水号与持证主体须写全，编号可写一部分",
            f"nothing in {archive} fits; serial and holder are given whole, of a number a part will do",
        )
    rows = [
        (one.identifier, one.serial, one.number, one.holder_name, f"{one.valid_from} ~ {one.valid_to}", str(one.line))
        for one in found[:MAX_FOUND]
    ]
    lines = [table(_HEADINGS, rows)]
    if len(found) > MAX_FOUND:
        lines.append(
            f"只列出前 {MAX_FOUND} 份；全部请用 archive list / the first {MAX_FOUND} only; archive list gives all"
        )
    result = [dict(zip(COLUMNS, _cells(one), strict=True)) for one in found[:MAX_FOUND]]
    show({"certificates": result, "has_more": len(found) > MAX_FOUND}, as_json, "\n".join(lines))


@click.command("list", cls=Command)
@click.argument("archive", type=FILE)
@click.option(
    "--csv",
    "out",
    type=FILE,
    required=True,
    help="写入的 CSV，不得已存在；含姓名，仅本人可读（0600）/ The CSV to write; must not exist. It has names in it: mode 0600.",
)
@json_option
def list_certificates(archive: Path, out: Path, as_json: bool) -> None:
    """列出一批的全部证照，写成 CSV / Write a CSV of all certificates of a batch."""
    from sdk.certificate_batches.archive import BatchArchive
    from sdk.documents import write_new
    from verification.report import encode_csv

    with BatchArchive(archive) as opened:
        rows = [_cells(row) for row in opened.every_row()]
    write_new(out, encode_csv(COLUMNS, rows))
    show({"count": len(rows), "file": str(out)}, as_json, f"{len(rows)} 份 / certificates → {out}")


def _matches(archive: BatchArchive, serial: str, number: str, holder: str) -> Iterator[BatchRow]:
    for row in archive.every_row():
        if (
            (not serial or row.serial == serial)
            and number in row.number
            and (not holder or holder in (row.holder_name, row.holder_code))
        ):
            yield row


def _cells(row: BatchRow) -> tuple[str, ...]:
    """Return what a row has in the columns."""
    days = (row.issued_on, row.valid_from, row.valid_to)
    return (row.identifier, row.serial, row.number, row.holder_name, *days, str(row.line))
