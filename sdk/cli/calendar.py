"""govnode calendar: the working days and terms that statutory clocks run by."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdk.cli.bilingual import Group
from sdk.cli.calls import Access, call_options
from sdk.cli.options import FILE, open_client, url_option
from sdk.cli.output import fields, json_option, show, table

if TYPE_CHECKING:
    from contracts.data_sharing.deadlines import TermVersion
    from sdk.client import Client


@click.group(cls=Group)
def calendar() -> None:
    """工作日日历与办理期限 / Working days, and the terms that clocks run by."""


@calendar.command("import")
@click.argument("file", type=FILE)
@click.option("--source", required=True, help="公布文件，如文号 / Where it was published, such as a document's number.")
@call_options
def import_calendar(file: Path, source: str, access: Access) -> None:
    """治理账户：按 CSV（day,kind,name；kind 为 holiday 或 working）登记节假日与调休上班日 / A governor: record holidays and make-up days.

    周末与工作日不必列出；年份首次登记可含过去的日期，此后只改今天以后的日期 /
    Ordinary weekends and weekdays are left out; a year once recorded changes only after today.
    """
    from sdk.statutory_clocks.files import load_calendars
    from sdk.statutory_clocks.record import record_calendar

    years = load_calendars(file)
    with open_client(access.url, access.key, access.password_file) as client:
        done = [record_calendar(client, one, source) for one in years]
    rows = [
        (
            str(one.year),
            str(one.version),
            str(one.days),
            "已登记 / recorded" if one.is_changed else "无变化 / unchanged",
            "、".join(one.past_days) or "-",
        )
        for one in done
    ]
    headings = (
        "年份 / year",
        "版本 / version",
        "天数 / days",
        "结果 / outcome",
        "已过去、未更改的日期 / past days left as they are",
    )
    items = [
        {
            "year": one.year,
            "version": one.version,
            "days": one.days,
            "is_changed": one.is_changed,
            "past_days": list(one.past_days),
        }
        for one in done
    ]
    show({"items": items}, access.as_json, table(headings, rows))


@calendar.command("show")
@click.argument("year", type=click.IntRange(1900, 9999), required=False)
@url_option
@json_option
def show_calendar(year: int | None, url: str, as_json: bool) -> None:
    """显示一年的日历，不给年份为今年 / Show the calendar of a year, this one when none is given."""
    import msgspec

    from sdk.system_contracts.deadlines import Deadlines
    from verification.days import show_day, show_time

    wanted = int(show_day(time.time_ns() // 1_000_000)[:4]) if year is None else year
    with open_client(url) as client:
        found = Deadlines(client).calendar(wanted)
    rows = [(one.day, "上班 / working" if one.is_working else "放假 / holiday", one.name) for one in found.days]
    head = fields(
        [
            ("年份 / year", found.year),
            ("来源 / source", found.source),
            ("版本 / version", found.version),
            ("登记时间 / recorded", show_time(found.recorded_ms)),
        ]
    )
    days = table(("日期 / day", "类别 / kind", "名称 / name"), rows)
    result = msgspec.structs.asdict(found) | {"operator": "0x" + found.operator.hex()}
    result["days"] = [msgspec.structs.asdict(one) for one in found.days]
    show(result, as_json, f"{head}\n\n{days}")


@calendar.command("import-terms")
@click.argument("file", type=FILE)
@call_options
def import_terms(file: Path, access: Access) -> None:
    """治理账户：按 CSV 登记各地区的办理期限（工作日）/ A governor: record the terms of regions in working days.

    列 / columns：region,name,source,from,reply_unconditional,reply_conditional,compliance_check,supply,correction,dispute,recall。
    region 为行政区划代码的前几位，from 不填为即刻 / region: first digits of its code; from: at once when empty.
    """
    from sdk.statutory_clocks.files import load_terms_file
    from sdk.system_contracts.deadlines import Deadlines
    from verification.days import show_time

    wanted = load_terms_file(file)
    heights = []
    with open_client(access.url, access.key, access.password_file) as client:
        contract = Deadlines(client)
        for one in wanted:
            receipt = contract.set_terms(
                region=one.region, name=one.name, source=one.source, from_ms=one.from_ms, terms=one.terms
            )
            heights.append(receipt.height)
    done = list(zip(wanted, heights, strict=True))
    rows = [
        (one.region or "-", one.name, show_time(one.from_ms) if one.from_ms else "即刻 / at once", str(height))
        for one, height in done
    ]
    items = [{"region": one.region, "from_ms": one.from_ms, "height": height} for one, height in done]
    headings = ("地区 / region", "名称 / name", "自 / from", "区块 / block")
    show({"items": items}, access.as_json, table(headings, rows))


@calendar.command("terms")
@click.argument("region", default="")
@url_option
@json_option
def show_terms(region: str, url: str, as_json: bool) -> None:
    """显示地区 REGION 现行与将施行的办理期限；不给为全国 / Show the terms of a region, now and to come; everywhere without one."""
    from sdk.system_contracts.deadlines import Deadlines
    from verification.days import show_time

    with open_client(url) as client:
        head_ms = int(client.status()["head_time_ms"])
        found = Deadlines(client).terms_at(region=region, time_ms=head_ms)
        coming = _terms_to_come(client, region, head_ms)
    result = {"region": region, "source": found.source, "from_ms": found.from_ms, "terms": _days_of(found)}
    later = [{"region": of, "source": one.source, "from_ms": one.from_ms, "terms": _days_of(one)} for of, one in coming]
    parts = [fields([("来源 / source", found.source)]), _terms_table(found)]
    for of, one in coming:
        named = [("将施行，自 / to come, from", show_time(one.from_ms)), ("地区 / region", of or "全国 / everywhere")]
        parts += [fields([*named, ("来源 / source", one.source)]), _terms_table(one)]
    show(result | {"to_come": later}, as_json, "\n\n".join(parts))


def _terms_to_come(client: Client, region: str, now_ms: int) -> list[tuple[str, TermVersion]]:
    """Return the terms that begin in a region after a time, each with the region of their table, what comes first first.

    What a wider region has to come changes nothing where the narrower one's own terms hold.
    """
    from sdk.errors import RequestRefused
    from sdk.system_contracts.answer import ask_many

    prefixes = [region[:length] for length in (12, 9, 6, 4, 2, 0) if length <= len(region)]
    tables = ask_many(client, "deadlines", "terms", [{"region": prefix} for prefix in prefixes])
    found: list[tuple[str, TermVersion]] = []
    for recorded in tables:
        if not isinstance(recorded, RequestRefused):
            found += [(recorded.region, one) for one in recorded.versions if one.from_ms > now_ms]
            if any(one.from_ms <= now_ms for one in recorded.versions):
                break
    return sorted(found, key=lambda item: item[1].from_ms)


def _days_of(version: TermVersion) -> dict[str, int]:
    return {one.kind: one.working_days for one in version.terms}


def _terms_table(version: TermVersion) -> str:
    from contracts.data_sharing.deadlines import KINDS

    days = _days_of(version)
    rows = [
        (f"{zh} / {en}", f"{days[kind]} 个工作日 / working days" if days.get(kind) else "不设 / none")
        for kind, (zh, en) in KINDS.items()
    ]
    return table(("事项 / what", "期限 / term"), rows)
