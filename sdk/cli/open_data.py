"""govnode open-data: propose to open a resource, review it, release it, count its downloads, stop."""

from __future__ import annotations

import time
from pathlib import Path

import click

from sdk.cli.bilingual import Group
from sdk.cli.calls import Access, call_options, submit
from sdk.cli.options import FILE, open_client, url_option
from sdk.cli.output import fields, json_option, show, table
from verification.errors import InputError

MAX_LISTED = 10_000


@click.group(cls=Group, name="open-data")
def open_data() -> None:
    """公共数据开放 / Open data."""


@open_data.command("propose")
@click.argument("resource")
@click.option(
    "--item", "items", multiple=True, help="开放的数据项，可多次；不给为全部 / An item to open; all when absent."
)
@click.option("--format", "form", required=True, help="开放格式 / In which format.")
@click.option("--terms", required=True, help="使用条款或开放条件 / Terms of use, or the condition.")
@call_options
def propose(resource: str, items: tuple[str, ...], form: str, terms: str, access: Access) -> None:
    """提请开放本部门的资源 RESOURCE / Propose to open a resource of one's own department."""
    arguments = {"resource": resource, "items": list(items), "format": form, "terms": terms}
    submit(access, "open_data", "propose", arguments, ("已提请 / proposed", resource))


@open_data.command("clear")
@click.argument("resource")
@click.option("--reason", default="", help="审核意见 / What the review says.")
@call_options
def clear(resource: str, reason: str, access: Access) -> None:
    """审核通过 / State after review that it may be opened."""
    arguments = {"resource": resource, "reason": reason}
    submit(access, "open_data", "clear", arguments, ("审核通过 / cleared", resource))


@open_data.command("decline")
@click.argument("resource")
@click.option("--reason", required=True, help="不予开放的理由 / Why it may not be opened.")
@call_options
def decline(resource: str, reason: str, access: Access) -> None:
    """审核不通过 / State after review why it may not be opened."""
    arguments = {"resource": resource, "reason": reason}
    submit(access, "open_data", "decline", arguments, ("审核未通过 / declined", resource))


@open_data.command("release")
@click.argument("resource")
@click.argument("file", type=FILE)
@click.option("--place", required=True, help="下载地址 / Where the public gets it.")
@click.option("--rows", type=click.IntRange(0), required=True, help="行数 / How many rows it has.")
@call_options
def release(resource: str, file: Path, place: str, rows: int, access: Access) -> None:
    """发布数据集文件 FILE：账本只记摘要与大小，文件不上链 / Release a file: the ledger gets its digest and size, never the file."""
    from sdk.documents import file_sm3

    digest = file_sm3(file)
    arguments = {
        "resource": resource,
        "place": place,
        "digest": digest,
        "size_bytes": file.stat().st_size,
        "rows": rows,
    }
    done = ("已开放 / released", f"{resource}  SM3 {digest.hex()}")
    submit(access, "open_data", "release", arguments, done)


@open_data.command("stop")
@click.argument("resource")
@click.option("--reason", required=True, help="原因 / The reason.")
@call_options
def stop(resource: str, reason: str, access: Access) -> None:
    """停止开放，或收回提请 / End the opening, or take a proposal back."""
    arguments = {"resource": resource, "reason": reason}
    submit(access, "open_data", "stop", arguments, ("已停止 / stopped", resource))


@open_data.command("report")
@click.argument("resource")
@click.option("--downloads", type=click.IntRange(0), required=True, help="其间的下载次数 / Downloads in that time.")
@click.option(
    "--from",
    "first_day",
    help="首次上报的起始日 YYYY-MM-DD，不给为首次发布之日 / First day, of the first report only; when absent that of the first release.",
)
@click.option(
    "--to",
    "last_day",
    help="统计截止日 YYYY-MM-DD（含），须已过去；不给为此刻 / Last day counted, one that is over; until now when absent.",
)
@call_options
def report(resource: str, downloads: int, first_day: str | None, last_day: str | None, access: Access) -> None:
    """上报下载次数，自上次截止之时起 / Report downloads since the last report's end."""
    from sdk.cli.options import day_end, day_start
    from sdk.system_contracts.open_data import OpenData
    from verification.days import day_start_ms, show_day, show_time

    with open_client(access.url) as client:
        own = OpenData(client)
        known = own.dataset(resource)
        if known.report_count and first_day is not None:
            raise click.UsageError("只有首次上报才给 --from / --from is for the first report only")
        begin_ms = known.reported_to_ms
        if not known.report_count:
            begin_ms = day_start_ms(show_day(own.release_of(resource=resource, number=1).released_ms))
        head_ms = client.status()["head_time_ms"]
    from_ms = begin_ms if first_day is None else day_start("--from", first_day)
    # Periods meet: the end of a day is the beginning of the next.
    to_ms = head_ms if last_day is None else day_end("--to", last_day) + 1
    # No block may have come for a while: the ledger's own time decides what this machine's clock lets pass.
    if from_ms < begin_ms or not from_ms < to_ms <= max(head_ms, time.time_ns() // 1_000_000):
        raise InputError(
            "REPORT_PERIOD",
            f"下载次数自 {show_time(begin_ms)} 起，至此刻（不给 --to）或已过去的一天为止，"
            f"实为 {show_time(from_ms)} 至 {show_time(to_ms)}",
            f"downloads are reported from {show_time(begin_ms)} on, until now (without --to) or to a day that is over, found "
            f"{show_time(from_ms)} to {show_time(to_ms)}",
        )
    arguments = {
        "resource": resource,
        "number": known.report_count + 1,
        "from_ms": from_ms,
        "to_ms": to_ms,
        "downloads": downloads,
    }
    done = ("已上报 / reported", f"{resource}  {downloads}  {show_time(from_ms)} – {show_time(to_ms)}")
    submit(access, "open_data", "report_downloads", arguments, done)


@open_data.command("show")
@click.argument("resource")
@url_option
@json_option
def show_dataset(resource: str, url: str, as_json: bool) -> None:
    """查看资源 RESOURCE 的开放情况 / Show whether a resource is open, its release and downloads."""
    from contracts.data_sharing.datasets import STATES
    from node.http.json_form import to_json
    from sdk.system_contracts.open_data import OpenData
    from verification.days import show_time

    with open_client(url) as client:
        record = OpenData(client).dataset(resource)
    rows: list[tuple[str, object]] = [
        ("资源 / resource", record.resource),
        ("提供方 / provider", record.provider),
        ("数据项 / items", "；".join(record.items) or "全部 / all"),
        ("格式 / format", record.format),
        ("条款 / terms", record.terms),
    ]
    for step in record.history:
        rows.append((" / ".join(STATES[step.state]), f"{show_time(step.from_ms)} {step.reason}"))
    if record.release.number:
        made = record.release
        rows += [
            ("第几次发布 / release", made.number),
            ("下载地址 / place", made.place),
            ("SM3", made.digest.hex()),
            ("大小、行数 / size, rows", f"{made.size_bytes} B, {made.rows}"),
        ]
    until = f"，截至 / until {show_time(record.reported_to_ms)}" if record.report_count else ""
    rows.append(("下载次数 / downloads", f"{record.downloads}{until}"))
    show(to_json(record), as_json, fields(rows))


@open_data.command("list")
@click.option("--department", help="提供部门的代码 / Code of the providing department.")
@click.option(
    "--state",
    type=click.Choice(["proposed", "cleared", "declined", "published", "stopped"]),
    help="现状 / In which state.",
)
@click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="最多几项 / At most so many."
)
@url_option
@json_option
def list_datasets(department: str | None, state: str | None, limit: int, url: str, as_json: bool) -> None:
    """列出开放与提请开放的资源，新的在前 / List what is open or was proposed to be, newest first."""
    with open_client(url) as client:
        items = client.get_all("/open-data", limit=limit, department=department, state=state)
    rows = [
        (
            one["resource"],
            one["resource_name"],
            one["provider_name"],
            f"{one['state_text']['zh']} / {one['state_text']['en']}",
            str(one["downloads"]),
        )
        for one in items
    ]
    headings = ("资源 / resource", "名称 / name", "提供方 / provider", "现状 / state", "下载 / downloads")
    show({"items": items}, as_json, table(headings, rows))
