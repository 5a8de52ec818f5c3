"""govnode catalogue arrived, correct-arrival, void-arrival, arrivals, returned: whether returned data (回流) really comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from sdk.cli.bilingual import Command
from sdk.cli.calls import Access, call_options, submit
from sdk.cli.options import FILE, check_secret_owner, open_client, read_holder_secret, url_option
from sdk.cli.output import json_option, show, table
from sdk.cli.share_due import EXIT_OVERDUE
from verification.errors import InputError

MAX_LISTED: Final = 10_000
_DIGEST_PURPOSE: Final = b"govnode/arrival/1\x00"
_CLOCK_AHEAD_MS: Final = 10_000
"""How far this machine's clock may be ahead of the validators': what is here came that long ago."""
_NUMBER: Final = click.IntRange(1)


def _secret_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--holder-secret",
        "secret",
        type=FILE,
        help="本部门的密钥文件（64 位十六进制），摘要以它加盐 / The department's secret, which salts the digest.",
    )(command)


def _arrival_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what came, which the command receives as one `came`."""

    @click.option("--file", type=FILE, required=True, help="收到的数据文件，不上链 / What came; it stays here.")
    @_secret_option
    @click.option("--rows", type=click.IntRange(0), required=True, help="行数 / How many rows it has.")
    @click.option(
        "--from", "first_day", required=True, help="数据期间首日 YYYY-MM-DD / First day of the data's period."
    )
    @click.option("--to", "last_day", required=True, help="数据期间末日（含）/ Last day of the data's period.")
    @click.option(
        "--batch", required=True, help="来源方的批次号或移交单号 / The source's number of the batch or hand-over."
    )
    @click.option(
        "--arrived",
        help="到达之日 YYYY-MM-DD；不给为此刻，更正时照原登记 / The day it came; now when absent, of a correction as it was.",
    )
    @click.option(
        "--version",
        type=_NUMBER,
        help="目录第几版；不给为现行版，更正时照原登记 / Version of the entry; the one in force.",
    )
    @wraps(command)
    def receive(
        code: str,
        file: Path,
        secret: Path | None,
        rows: int,
        first_day: str,
        last_day: str,
        batch: str,
        arrived: str | None,
        version: int | None,
        **given: Any,
    ) -> Any:
        from sdk.cli.options import day_end, day_start

        came = {
            "version": version,
            "from_ms": day_start("--from", first_day),
            "to_ms": day_end("--to", last_day) + 1,
            "rows": rows,
            "digest": (file, secret),
            "batch": batch,
            "arrived_ms": None if arrived is None else day_start("--arrived", arrived),
        }
        return command(code=code, came=came, **given)

    return receive


@click.command("arrived", cls=Command)
@click.argument("code")
@_arrival_options
@call_options
def record_arrival(code: str, came: dict[str, Any], access: Access) -> None:
    """登记本部门回流资源 CODE 的一次到达：账本只记摘要与数字 / Record that data of a returned resource came: digest and figures."""
    number, arrival = _prepare(access.url, code, came)
    arguments = {"code": code, "number": number, "arrival": arrival}
    submit(access, "catalogue", "record_arrival", arguments, ("已登记到达 / arrival recorded", f"{code} #{number}"))


@click.command("correct-arrival", cls=Command)
@click.argument("code")
@click.argument("wrong", metavar="NUMBER", type=_NUMBER)
@_arrival_options
@click.option("--reason", required=True, help="何处有误 / What was wrong.")
@call_options
def correct_arrival(code: str, wrong: int, came: dict[str, Any], reason: str, access: Access) -> None:
    """更正第 NUMBER 次到达：重新登记一条，原记录保留 / Put a right record in the place of a wrong one, which stays to be seen."""
    number, arrival = _prepare(access.url, code, came, wrong)
    arguments = {"code": code, "number": number, "corrects": wrong, "arrival": arrival, "reason": reason}
    done = ("已更正 / corrected", f"{code} #{wrong} → #{number}")
    submit(access, "catalogue", "correct_arrival", arguments, done)


@click.command("void-arrival", cls=Command)
@click.argument("code")
@click.argument("number", type=_NUMBER)
@click.option("--reason", required=True, help="原因 / The reason.")
@call_options
def void_arrival(code: str, number: int, reason: str, access: Access) -> None:
    """作废第 NUMBER 次到达（数据并未到达），原记录保留 / State that an arrival never was; its record stays to be seen."""
    arguments = {"code": code, "number": number, "reason": reason}
    submit(access, "catalogue", "void_arrival", arguments, ("已作废 / made void", f"{code} #{number}"))


@click.command("arrivals", cls=Command)
@click.argument("code")
@click.option("--file", type=FILE, help="指出哪次到达的是此文件 / Say which arrivals were this file.")
@_secret_option
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="最多几项 / At most so many."
)
@url_option
@json_option
def list_arrivals(code: str, file: Path | None, secret: Path | None, limit: int, url: str, as_json: bool) -> None:
    """列出回流资源 CODE 的到达记录，新的在前 / List the arrivals of a returned resource, newest first."""
    from verification.days import show_day, show_time

    digest = None if file is None else "0x" + _digest(file, secret, code).hex()
    with open_client(url) as client:
        items = client.get_all("/resource-arrivals", limit=limit, resource=code)
    if digest is not None:
        items = [item | {"is_file": item["digest"] == digest} for item in items]
    rows = [
        (
            str(item["number"]),
            show_time(item["arrived_ms"]),
            f"{show_day(item['from_ms'])} – {show_day(item['to_ms'] - 1)}",
            str(item["rows"]),
            item["batch"],
            "，".join(_remarks(item)),
        )
        for item in items
    ]
    headings = (
        "序号 / number",
        "到达 / arrived",
        "数据期间 / period",
        "行数 / rows",
        "来源批次 / batch",
        "说明 / remarks",
    )
    show({"items": items}, as_json, table(headings, rows))


@click.command("returned", cls=Command)
@click.option("--department", help="编目部门的代码 / Code of the department that keeps the entry.")
@click.option("--level", type=click.Choice(["national", "province"]), help="来源层级 / Whose data it is.")
@click.option("--overdue", is_flag=True, help="只列已逾期的 / Only what is overdue.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="最多几项 / At most so many."
)
@url_option
@json_option
def list_returned(department: str | None, level: str | None, overdue: bool, limit: int, url: str, as_json: bool) -> int:
    """列出回流数据、最近到达与下次应到时间，最早到期的在前 / List returned data, when it last came and is due, first due first.

    列出的有逾期的，以 3 退出 / Exits with 3 where something listed is overdue.
    """
    from contracts.data_sharing.arrival_records import OVERDUE
    from verification.days import show_time

    filters: dict[str, Any] = {"department": department, "source_level": level, "is_overdue": True if overdue else None}
    with open_client(url) as client:
        items = client.get_all("/returned-resources", limit=limit, **filters)
    rows = [
        (
            item["resource"],
            item["resource_name"],
            item["source_body"],
            show_time(item["last_arrival"]["arrived_ms"]) if item["last_arrival"] else "—",
            show_time(item["due_ms"]) if item["due_ms"] else "—",
            f"{item['state_text']['zh']} / {item['state_text']['en']}",
        )
        for item in items
    ]
    headings = (
        "代码 / code",
        "名称 / name",
        "来源 / from",
        "最近到达 / last arrival",
        "下次应到 / next due by",
        "状态 / state",
    )
    nothing = "没有逾期的回流数据 / no returned data is overdue" if overdue else "没有回流数据 / no returned data"
    show({"items": items}, as_json, table(headings, rows) if items else nothing)
    return EXIT_OVERDUE if any(item["state"] == OVERDUE for item in items) else 0


def flow_of(client: Any, code: str) -> dict[str, Any] | None:
    """Return whether data of a resource comes in time, as REST says it; None where it is not returned now."""
    items = client.get_all("/returned-resources", limit=1, resource=code)
    return items[0] if items else None


def flow_lines(flow: dict[str, Any]) -> list[tuple[str, object]]:
    """Return the lines that say when data last came and when it is due."""
    from verification.days import show_time

    last, due_ms = flow["last_arrival"], flow["due_ms"]
    arrived = None if last is None else f"{show_time(last['arrived_ms'])} #{last['number']} {last['batch']}"
    state = f"{flow['state_text']['zh']} / {flow['state_text']['en']}"
    return [
        ("最近一次到达 / last arrival", arrived or "尚无 / none yet"),
        ("下次应到 / next due by", f"{show_time(due_ms)} {state}" if due_ms else state),
    ]


def _remarks(item: dict[str, Any]) -> list[str]:
    from verification.days import show_time

    found = []
    if item["corrects"]:
        found.append(f"更正 / corrects #{item['corrects']}")
    if item["corrected_by"]:
        found.append(f"已由 #{item['corrected_by']} 更正 / corrected {show_time(item['ended_ms'])}：{item['reason']}")
    elif item["ended_ms"]:
        found.append(f"已作废 / void {show_time(item['ended_ms'])}：{item['reason']}")
    if item.get("is_file"):
        found.append("即此文件 / this file")
    return found


def _digest(file: Path, secret: Path | None, code: str) -> bytes:
    """Return the digest of a file under a salt of the department's for this resource: it tells nobody else what the file holds."""
    from sdk.documents import file_sm3
    from sm_crypto.sm3 import hmac_sm3

    if secret is None:
        raise InputError(
            "SECRET_MISSING",
            "请用 --holder-secret 指明本部门的密钥文件，摘要以它加盐",
            "name the department's secret with --holder-secret: it salts the digest",
        )
    return file_sm3(file, hmac_sm3(read_holder_secret(secret), _DIGEST_PURPOSE + code.encode()))


def _prepare(url: str, code: str, came: dict[str, Any], corrects: int = 0) -> tuple[int, Any]:
    """Return the number that the next arrival of a resource takes, and the arrival with what was not given.

    Of a correction that is as it was; of another arrival the version in force, and now. Raises InputError ARRIVAL_KNOWN.
    """
    from contracts.data_sharing.arrival_records import Arrival
    from sdk.system_contracts.catalogue import Catalogue

    with open_client(url) as client:
        own = Catalogue(client)
        count = own.return_head(code).count
        entry = own.resource(code)
        # The newest one, since who does not know whether it went through runs the command again.
        before = own.arrival(code=code, number=corrects or count) if count else None
    file, secret = came["digest"]
    if secret is not None:
        check_secret_owner(secret, entry.provider)
    version, arrived_ms = entry.version, time.time_ns() // 1_000_000 - _CLOCK_AHEAD_MS
    if corrects and before is not None:
        version, arrived_ms = before.arrival.version, before.arrival.arrived_ms
    made = {
        "digest": _digest(file, secret, code),
        "version": came["version"] or version,
        "arrived_ms": came["arrived_ms"] or arrived_ms,
    }
    arrival = Arrival(**came | made)
    if not corrects and before is not None and not before.ended_ms and _is_same(before.arrival, arrival):
        raise InputError(
            "ARRIVAL_KNOWN",
            f"最近登记的第 {before.number} 次到达就是这个文件、批次和期间，无需再登记",
            f"arrival {before.number}, the newest recorded, is of this file, batch and period: there is nothing to record",
        )
    return count + 1, arrival


def _is_same(known: Any, given: Any) -> bool:
    names = ("from_ms", "to_ms", "rows", "digest", "batch")
    return all(getattr(known, name) == getattr(given, name) for name in names)
