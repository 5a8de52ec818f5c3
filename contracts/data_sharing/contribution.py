"""The contribution score of a department: what is counted, the published table that weighs it, and the sum; pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, TypeAlias

import msgspec

from contracts.fields import Address, TimeMs, Uint64, check_choice, check_list
from contracts.refusals import Refused

Hundredths: TypeAlias = Annotated[int, "int64"]
"""Hundredths of a point; negative where something costs points."""

MEASURES: Final[dict[str, tuple[str, str]]] = {
    "granted": ("同意其他部门的申请", "requests of other departments granted"),
    "replied_on_time": ("按时答复", "requests answered in time"),
    "replied_late": ("答复超期", "requests answered late, or still open after their time"),
    "supplied_on_time": ("按时提供", "data supplied in time"),
    "supplied_late": ("提供超期", "data supplied late, or not after its time"),
    "delivered": ("使用方签收的数据交付", "deliveries that the consumer acknowledged"),
    "reviewed_well": ("质量评价良好", "quality reviews with a good score"),
    "reviewed_poorly": ("质量评价较差", "quality reviews with a poor score"),
    "corrected_on_time": ("按时核实更正", "corrections handled in time"),
    "corrected_late": ("更正超期", "corrections handled late, or still open after their time"),
    "errors_reported": ("所报错误经核实", "errors in other departments' data that it reported and that were confirmed"),
    "traded": ("经双方确认的数据产品交易", "transactions of its data products that both parties confirmed"),
}
"""What a score counts, each within the period that it is of, in Chinese and English."""
GOOD_REVIEW_SCORE: Final = 80
"""Of 100: a review from here on is a good one."""
POOR_REVIEW_SCORE: Final = 60
"""Below it a review is a poor one; between both it neither gives points nor takes them."""
MAX_ROW_HUNDREDTHS: Final = 1_000_000
"""Ten thousand points for one thing, given or taken."""
MAX_LIMIT_HUNDREDTHS: Final = 1_000_000_000


class FormulaRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one thing counted under `measure` gives or takes, and the most that all of them do in a period (0 = no limit).

    `most_of_one` is how many count in a period of those that one other department had a part in, 0 for all: what one department alone
    can do to the score of another is bounded by it.
    """

    measure: str
    hundredths: Hundredths
    limit_hundredths: Uint64
    most_of_one: Uint64


class FormulaRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A published formula: periods that begin at `from_ms` or later, and before the next formula's, are scored by it."""

    number: Uint64
    """Numbered from 1 without a gap; 0 is the table that applies before a governor sets one."""
    rows: tuple[FormulaRow, ...]
    basis: str
    from_ms: TimeMs
    set_ms: TimeMs
    set_by: Address


class ScoreLine(msgspec.Struct, frozen=True):
    """One row of a department's score: how many there were, how many of them count, and the hundredths of a point that these come to."""

    measure: str
    count: int
    counted: int
    hundredths: int


FIRST_FORMULA: Final = FormulaRecord(
    0,
    (
        FormulaRow("granted", 100, 20_000, 0),
        FormulaRow("replied_on_time", 50, 10_000, 0),
        FormulaRow("replied_late", -100, 10_000, 20),
        FormulaRow("supplied_on_time", 50, 10_000, 0),
        FormulaRow("supplied_late", -150, 15_000, 20),
        FormulaRow("delivered", 100, 20_000, 0),
        FormulaRow("reviewed_well", 300, 15_000, 0),
        FormulaRow("reviewed_poorly", -300, 15_000, 20),
        FormulaRow("corrected_on_time", 100, 10_000, 0),
        FormulaRow("corrected_late", -200, 10_000, 20),
        FormulaRow("errors_reported", 100, 5_000, 0),
        FormulaRow("traded", 200, 10_000, 0),
    ),
    "",
    0,
    0,
    bytes(20),
)
"""What applies where no governor has set a formula: an assumption of ours, no rule prescribes these weights."""


def check_formula_rows(rows: Sequence[FormulaRow]) -> None:
    """Return if a formula has rows, each of a measure that there is, none twice, within the limits; refuse it otherwise."""
    if not rows:
        raise Refused("LIST_EMPTY", field="rows")
    check_list("rows", [row.measure for row in rows], len(MEASURES))
    for row in rows:
        check_choice("measure", row.measure, tuple(MEASURES))
        if not 0 < abs(row.hundredths) <= MAX_ROW_HUNDREDTHS:
            raise Refused("POINTS_OUT_OF_RANGE", field=row.measure, found=row.hundredths, limit=MAX_ROW_HUNDREDTHS)
        if row.limit_hundredths > MAX_LIMIT_HUNDREDTHS:
            raise Refused(
                "POINTS_OUT_OF_RANGE", field=row.measure, found=row.limit_hundredths, limit=MAX_LIMIT_HUNDREDTHS
            )


def score_lines(formula: FormulaRecord, counts: Mapping[tuple[str, str], int]) -> list[ScoreLine]:
    """Return a line for each row of a formula, in its order, from how many there were by measure and other department.

    What is not in `counts` was counted 0 times. The sum of the lines is the score.
    """
    lines = []
    found: dict[str, list[int]] = {}
    for (measure, _), count in counts.items():
        found.setdefault(measure, []).append(count)
    for row in formula.rows:
        of_each = found.get(row.measure, [])
        counted = sum(min(count, row.most_of_one) if row.most_of_one else count for count in of_each)
        hundredths = counted * row.hundredths
        if row.limit_hundredths:
            hundredths = max(-row.limit_hundredths, min(row.limit_hundredths, hundredths))
        lines.append(ScoreLine(row.measure, sum(of_each), counted, hundredths))
    return lines
