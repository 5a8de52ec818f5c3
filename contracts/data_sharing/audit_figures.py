"""The figures of the audit's rules that differ by department: working hours and volumes, published before they apply; pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from contracts.fields import Address, TimeMs, Uint64, check_choice, check_list
from contracts.records import Reader, Table
from contracts.refusals import Refused


class Figure(msgspec.Struct, frozen=True):
    """A figure that a table may set: what it is in Chinese and English, its bounds, and its value where no table sets it."""

    zh: str
    en: str
    least: int
    most: int
    preset: int


FIGURES: Final[dict[str, Figure]] = {
    "day_from_minute": Figure(
        "工作时间自零时起第几分钟始", "working hours begin, minutes after midnight", 0, 1_440, 480
    ),
    "day_to_minute": Figure("工作时间至零时起第几分钟止", "working hours end, minutes after midnight", 0, 1_440, 1_200),
    "only_working_days": Figure("仅限工作日（1 是，0 否）", "on working days only: 1 yes, 0 no", 0, 1, 1),
    "volume_percent": Figure(
        "一日读取量超过此前中位数的百分之几为异常",
        "a day is unusual past this percentage of the median before it",
        1,
        10**6,
        300,
    ),
    "volume_history_days": Figure("与此前多少日比较", "days that a day is compared with", 1, 366, 14),
    "volume_least_days": Figure("至少有多少日可比", "days of history without which nothing is unusual", 1, 366, 5),
    "volume_least_reads": Figure(
        "一日不足此数不为异常", "reads of a day below which it is never unusual", 0, 10**9, 100
    ),
    "denied_per_day": Figure(
        "一日被拒绝超过此数为频繁", "reads denied in a day past which they are a finding", 0, 10**9, 20
    ),
}
"""Every figure by its name. The presets are assumptions of ours: no rule prescribes them."""


class FigureRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A figure of FIGURES and the value that a table gives it."""

    figure: str
    value: Uint64


class FiguresRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A published table: what this department, or (empty) any without a figure of its own, reads from `from_ms` on is judged by it."""

    number: Uint64
    department: str
    rows: tuple[FigureRow, ...]
    basis: str
    from_ms: TimeMs
    set_ms: TimeMs
    set_by: Address


FIGURE_TABLES: Final = Table("audits", 6, FiguresRecord)
MAX_FIGURE_TABLES: Final = 2_000
"""On one ledger, those included that others have taken the place of: past reads are judged by them."""
MAX_GOVERNORS_TABLES: Final = 1_500
"""Up to which governors publish; the places behind are the authority's, so that no governor ends publishing for it."""


def check_figures(department: str, rows: Sequence[FigureRow]) -> None:
    """Return if a table names figures, none twice, within their bounds; refuse it otherwise.

    A department's may be empty: the general one applies to it again.
    """
    if not rows and not department:
        raise Refused("LIST_EMPTY", field="rows")
    check_list("rows", [row.figure for row in rows], len(FIGURES))
    for row in rows:
        check_choice("figure", row.figure, tuple(FIGURES))
        bounds = FIGURES[row.figure]
        if not bounds.least <= row.value <= bounds.most:
            raise Refused(
                "NUMBER_OUT_OF_RANGE", field=row.figure, least=bounds.least, limit=bounds.most, found=row.value
            )


def table_in_force(tables: Iterable[FiguresRecord], department: str, time_ms: int) -> FiguresRecord | None:
    """Return the table that a department (empty: the general one) has at a time in ms: the last published that has begun, or None."""
    begun = (table for table in tables if table.department == department and table.from_ms <= time_ms)
    return max(begun, key=lambda table: table.number, default=None)


def figures_in_force(tables: Sequence[FiguresRecord], department: str, time_ms: int) -> Mapping[str, int]:
    """Return the figures that published tables set for a department at a time in ms; those that none sets are not in it."""
    found: dict[str, int] = {}
    for whose in ("", department):
        table = table_in_force(tables, whose, time_ms)
        if table is not None:
            found.update({row.figure: row.value for row in table.rows})
    return found


def load_figure_table(state: Reader, number: int) -> FiguresRecord | None:
    """Return the table of this number, or None."""
    return FIGURE_TABLES.load(state, number.to_bytes(8, "big"))
