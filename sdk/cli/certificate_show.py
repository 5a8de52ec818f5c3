"""govnode cert show: what the ledger has of a certificate, and what it was at a time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sdk.cli.bilingual import Command
from sdk.cli.certificate_history import load_record, status_text
from sdk.cli.options import FILE, day_start, open_client, url_option
from sdk.cli.output import fields, json_option, show

if TYPE_CHECKING:
    from contracts.certificate_records import CertificateRecord
    from sdk.client import Client


@click.command("show", cls=Command)
@click.argument("identifier")
@click.option(
    "--at", "day", help="该日 0 时的状态 YYYY-MM-DD；不给为现在 / What it was at the start of a day; now when absent."
)
@click.option(
    "--archive",
    type=FILE,
    help="所属批次的档案，用于尚无自身记录的证照 / Archive of its batch, for one without a record.",
)
@url_option
@json_option
def show_certificate(identifier: str, day: str | None, archive: Path | None, url: str, as_json: bool) -> None:
    """显示账本上的证照与其状态 / Show a certificate on the ledger and its status."""
    from contracts.certificate_records import VERDICTS
    from contracts.fields import MAX_TIME_MS
    from verification.days import show_time

    at_ms = day_start("--at", day) if day else time.time_ns() // 1_000_000
    with open_client(url) as client:
        record, status = look_up(client, identifier, archive, at_ms)
    zh, en = VERDICTS[status["verdict"]]
    names = {interval["status"]: interval["status_text"] for interval in record["history"]}
    if status["status"]:
        code, name = status["status"], names[status["status"]]
        zh, en = f"{zh}（{code} {name['zh']}）", f"{en} ({code} {name['en']})"
    end = "长期 / without end" if record["valid_to_ms"] >= MAX_TIME_MS else show_time(record["valid_to_ms"])
    text = fields(
        [
            ("证照标识 / identifier", record["identifier"]),
            ("类型 / type", f"{record['type_name'] or ''} {record['type_code']}"),
            ("颁发机构 / issuer", f"{record['issuer_name']} {record['issuer']}"),
            ("批次 / batch", record.get("batch")),
            ("文件 SM3 / document SM3", record["document_digest"].removeprefix("0x")),
            ("有效期 / validity", f"{show_time(record['valid_from_ms'])} ~ {end}"),
            ("接替 / predecessor", record["predecessor"] or None),
            ("后继 / successor", record["successor"] or None),
            ("查询时间 / as of", show_time(at_ms)),
            ("状态 / status", f"{zh} / {en}"),
            ("原因 / reason", status["reason"] or None),
        ]
    )
    show({"record": record, "at_ms": at_ms, "status": status}, as_json, text)


def look_up(client: Client, identifier: str, archive: Path | None, at_ms: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a certificate's record in words, its own or what its leaf in a batch stands for, and its status at a time."""
    from urllib.parse import quote

    from sdk.errors import RequestRefused

    try:
        record = client.get(f"/certificates/{quote(identifier, safe='')}")
    except RequestRefused as refused:
        if refused.code != "NOT_FOUND":
            raise
        return _of_batch(client, load_record(client, identifier, archive), at_ms)
    return record, client.view("certificates", "certificate_status", identifier=identifier, time_ms=at_ms)


def _of_batch(client: Client, record: CertificateRecord, at_ms: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the same of a certificate that has no record of its own: its one status is the batch's."""
    from contracts.certificate_records import status_at
    from node.http.json_form import to_json
    from sdk.system_contracts.batches import Batches
    from sdk.system_contracts.certificates import Certificates
    from sdk.system_contracts.members import Members

    certificates = Certificates(client)
    kind = certificates.certificate_type(record.type_code)
    codes = certificates.code_table(kind.code_table)
    shown = to_json(record)
    for interval, told in zip(record.history, shown["history"], strict=True):
        told["status_text"] = status_text(interval, codes)
    names = {"type_name": kind.name, "issuer_name": Members(client).department(record.issuer).name}
    batch = {"batch": Batches(client).batch_of(record.identifier)}
    return shown | names | batch, to_json(status_at(record, at_ms))
