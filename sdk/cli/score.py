"""govnode score: contribution scores of departments, and the published formula that they are by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import click

from sdk.cli.bilingual import Group
from sdk.cli.calls import Access, call_options, submit
from sdk.cli.options import FILE, day_start, open_client, url_option
from sdk.cli.output import fields, json_option, show, table

_POINTS: Final = re.compile(r"(-?)([0-9]{1,7})(?:\.([0-9]{1,2}))?")

_NUMBER: Final = re.compile(r"[0-9]{1,7}")


@click.group(cls=Group)
def score() -> None:
    """贡献评分 / Contribution scores."""


@score.command("show")
@click.option("--from", "first", required=True, help="期间首日 YYYY-MM-DD / First day.")
@click.option("--to", "last", required=True, help="期间末日 YYYY-MM-DD（含）/ Last day, included.")
@click.option("--department", help="只看一个部门 / Code of one department.")
@url_option
@json_option
def show_scores(first: str, last: str, department: str | None, url: str, as_json: bool) -> None:
    """各部门在一段日期内的得分及明细 / Scores of the departments for a period, with what they are the sum of."""
    path = "/contribution" if department is None else f"/contribution/{department}"
    days: dict[str, Any] = {"from": first, "to": last}
    with open_client(url) as client:
        found = client.get(path, **days)
    words = {row["measure"]: row["measure_text"] for row in found["formula"]["rows"]}
    rows = []
    for one in found["departments"]:
        rows.append((one["department_name"], "", "", shown_points(one["hundredths"])))
        rows += [_line(words[line["measure"]], line) for line in one["lines"] if line["count"]]
    number = found["formula"]["number"]
    named = f"第 {number} 版 / number {number}" if number else "未公布，按初始分值 / none published"
    left_out = (("未全部计入 / not all counted", _shown_left_out(one)) for one in found["left_out"])
    head = fields([("公式 / formula", named), *left_out])
    headings = ("部门 / department", "事项 / what", "件数 / how many", "得分 / points")
    show(found, as_json, f"{head}\n{table(headings, rows)}")


@score.command("formula")
@click.option(
    "--at",
    "day",
    help="自该日起的期间所用的公式；不给为最新一版 / The one for periods from this day; the newest when absent.",
)
@url_option
@json_option
def show_formula(day: str | None, url: str, as_json: bool) -> None:
    """查看公布的评分公式 / Show the published formula."""
    from contracts.data_sharing.contribution import MEASURES
    from contracts.fields import MAX_TIME_MS
    from node.http.json_form import to_json
    from sdk.system_contracts.products import Products
    from verification.days import show_day

    begins_ms = MAX_TIME_MS if day is None else day_start("--at", day)
    with open_client(url) as client:
        record = Products(client).formula(begins_ms)
    rows = [
        (
            row.measure,
            " / ".join(MEASURES[row.measure]),
            shown_points(row.hundredths),
            shown_points(row.limit_hundredths) if row.limit_hundredths else "不限 / none",
            str(row.most_of_one or "全部 / all"),
        )
        for row in record.rows
    ]
    head = fields(
        [
            ("版本 / number", record.number or "未公布，按初始分值 / none published"),
            ("依据 / basis", record.basis or None),
            ("适用于自此开始的期间 / for periods from", show_day(record.from_ms) if record.number else None),
        ]
    )
    headings = (
        "事项 / measure",
        "说明 / what",
        "每件得分 / points each",
        "每期至多 / at most",
        "涉及同一部门的至多计几件 / at most of one other department",
    )
    show(to_json(record), as_json, f"{head}\n{table(headings, rows)}")


@score.command("set-formula")
@click.argument("file", type=FILE)
@click.option("--basis", required=True, help="依据的文件 / By which rule.")
@click.option(
    "--from",
    "first",
    required=True,
    help="适用于自该日起的期间 YYYY-MM-DD，须晚于今日 / For periods from this coming day.",
)
@call_options
def set_formula(file: Path, basis: str, first: str, access: Access) -> None:
    """由治理方公布评分公式：FILE 为 CSV，列 measure, points, limit, most_of_one / Publish a formula from a CSV of measures and points.

    limit 为每期至多的分数，空或 0 为不限 / limit is the most points of a period, empty or 0 for none.
    most_of_one 为涉及同一部门的每期至多计几件，空或 0 为全部 /
    most_of_one is how many count in a period that one other department had a part in, empty or 0 for all.
    """
    from contracts.data_sharing.contribution import FormulaRow
    from sdk.csv_table import read_csv

    rows = []
    for row in read_csv(file, ("measure", "points"), ("limit", "most_of_one")):
        points = _hundredths(row, "points")
        limit = _hundredths(row, "limit") if row.optional("limit") else 0
        rows.append(FormulaRow(row.text("measure"), points, limit, _most_of_one(row)))
    arguments = {"rows": rows, "basis": basis, "from_ms": day_start("--from", first)}
    done = ("已公布 / published", f"{len(rows)} 行 / rows")
    submit(access, "products", "set_formula", arguments, done)


def shown_points(hundredths: int) -> str:
    """Return hundredths of a point as points with two digits."""
    sign = "-" if hundredths < 0 else ""
    return f"{sign}{abs(hundredths) // 100}.{abs(hundredths) % 100:02d}"


def _line(words: dict[str, str], line: dict[str, Any]) -> tuple[str, str, str, str]:
    counted = "" if line["counted"] == line["count"] else f"（计入 / counted {line['counted']}）"
    what = f"{words['zh']} / {words['en']}"
    return ("", what, f"{line['count']}{counted}", shown_points(line["hundredths"]))


def _shown_left_out(one: dict[str, Any]) -> str:
    zh, en = one["kind_text"]["zh"], one["kind_text"]["en"]
    return (
        f"{one['department_name']} {zh} {one['matters']} 件，超过节点统计的限度，只计最早的至多 {one['counted']} 件 / "
        f"{en}: of {one['matters']} the first {one['counted']} at most"
    )


def _most_of_one(row: Any) -> int:
    text = row.optional("most_of_one")
    if text and not _NUMBER.fullmatch(text):
        raise row.fault("most_of_one", "件数，至多 7 位数字", "how many, at most 7 digits")
    return int(text or 0)


def _hundredths(row: Any, column: str) -> int:
    match = _POINTS.fullmatch(row.text(column))
    if match is None or (match[1] and column == "limit"):
        raise row.fault(column, "分数，至多两位小数", "points with at most two decimals")
    hundredths = int(match[2]) * 100 + int((match[3] or "").ljust(2, "0"))
    return -hundredths if match[1] else hundredths
