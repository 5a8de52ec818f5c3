"""Contribution scores of all departments for a period: counted off the state, weighed by the formula published before it began."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec
import sqlalchemy as sql

from contracts.data_sharing.contribution import FormulaRecord, ScoreLine, score_lines
from contracts.data_sharing.contribution_counts import (
    Counts,
    Period,
    count_corrections,
    count_deliveries,
    count_request,
    count_reviews,
    count_trades,
    first_owed_ms,
)
from contracts.data_sharing.corrections import load_correction
from contracts.data_sharing.deliveries import load_delivery
from contracts.data_sharing.product_records import formula_for, load_fact
from contracts.data_sharing.quality_reviews import load_review
from contracts.data_sharing.sharing import load_request
from contracts.records import Reader
from explorer.data_sharing.score_matters import LeftOut, Matters

_Record = TypeVar("_Record")


class DepartmentScore(msgspec.Struct, frozen=True):
    """One department's score: its lines in the order of the formula, and their sum in hundredths of a point."""

    department: str
    lines: tuple[ScoreLine, ...]

    @property
    def hundredths(self) -> int:
        """The sum of the lines."""
        return sum(line.hundredths for line in self.lines)


class Scores(msgspec.Struct, frozen=True):
    """The formula that a period is scored by, every department that something was counted for, the highest first, and what was not."""

    formula: FormulaRecord
    departments: tuple[DepartmentScore, ...]
    left_out: tuple[LeftOut, ...]


def score_period(engine: sql.Engine, state: Reader, period: Period) -> Scores:
    """Return the scores of a period, with the departments that did more in it than is counted."""
    matters = Matters(engine, period, first_owed_ms(state, period))
    counts: Counts = Counts()
    for record in _known(load_request(state, request_id) for request_id in matters.requests()):
        counts.update(count_request(state, record, period))
    corrections = _known(load_correction(state, *name) for name in matters.corrections())
    counts.update(count_corrections(state, corrections, period))
    counts.update(count_deliveries(_known(load_delivery(state, *name) for name in matters.deliveries()), period))
    reviews = ((provider, load_review(state, *name)) for provider, name in matters.reviews())
    counts.update(count_reviews(((code, review) for code, review in reviews if review is not None), period))
    facts = ((department, load_fact(state, *name)) for department, name in matters.trades())
    counts.update(count_trades(((code, fact) for code, fact in facts if fact is not None), period))
    formula = formula_for(state, period.from_ms)
    by_department: dict[str, dict[tuple[str, str], int]] = {}
    for (department, measure, other), count in counts.items():
        by_department.setdefault(department, {})[measure, other] = count
    scores = [DepartmentScore(code, tuple(score_lines(formula, own))) for code, own in sorted(by_department.items())]
    return Scores(formula, tuple(sorted(scores, key=lambda score: -score.hundredths)), tuple(matters.left_out))


def _known(records: Iterable[_Record | None]) -> Iterable[_Record]:
    return (record for record in records if record is not None)
