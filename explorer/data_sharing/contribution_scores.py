"""Contribution scores of all departments for a period: counted off the state, weighed by the formula published before it began."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import sqlalchemy as sql

from contracts.data_sharing.contribution import FormulaRecord, ScoreLine, score_lines
from contracts.data_sharing.contribution_counts import (
    Counts,
    Period,
    count_cases,
    count_product,
    count_request,
    count_reviews,
)
from contracts.data_sharing.product_records import formula_for, load_product
from contracts.data_sharing.quality_reviews import ReviewRecord, load_review
from contracts.data_sharing.sharing import load_request
from contracts.records import Reader
from explorer.data_sharing.catalogue_tables import REVIEWS
from explorer.data_sharing.product_index import find_traded_products
from explorer.index_tables import REQUESTS
from explorer.problems import Problem, Text

MAX_SCORED: Final = 200_000
"""Requests, reviews and products that a score looks at, of each with all that is under them: above it, it would not be the whole."""


class DepartmentScore(msgspec.Struct, frozen=True):
    """One department's score: its lines in the order of the formula, and their sum in hundredths of a point."""

    department: str
    lines: tuple[ScoreLine, ...]

    @property
    def hundredths(self) -> int:
        """The sum of the lines."""
        return sum(line.hundredths for line in self.lines)


class Scores(msgspec.Struct, frozen=True):
    """The formula that a period is scored by, and every department that something was counted for, the highest first."""

    formula: FormulaRecord
    departments: tuple[DepartmentScore, ...]


def score_period(engine: sql.Engine, state: Reader, period: Period) -> Scores:
    """Return the scores of a period; raise Problem where there is more on the ledger than is looked at."""
    counts: Counts = Counts()
    looked_at = 0
    for request_id in _column(engine, REQUESTS.c.id):
        record = load_request(state, request_id)
        if record is not None:
            looked_at += 1 + count_cases(state, record)
            _check_size(looked_at)
            counts.update(count_request(state, record, period))
    counts.update(count_reviews(_reviews(engine, state), period))
    traded = find_traded_products(engine, MAX_SCORED + 1)
    _check_size(len(traded))
    looked_at = 0
    for code in traded:
        product = load_product(state, code)
        if product is not None:
            looked_at += 1 + product.facts
            _check_size(looked_at)
            counts.update(count_product(state, product, period))
    formula = formula_for(state, period.from_ms)
    departments = sorted({department for department, _ in counts})
    scores = [DepartmentScore(department, tuple(_lines(formula, counts, department))) for department in departments]
    return Scores(formula, tuple(sorted(scores, key=lambda score: -score.hundredths)))


def _lines(formula: FormulaRecord, counts: Counts, department: str) -> list[ScoreLine]:
    own = {measure: count for (code, measure), count in counts.items() if code == department}
    return score_lines(formula, own)


def _reviews(engine: sql.Engine, state: Reader) -> Iterable[tuple[str, ReviewRecord]]:
    query = sql.select(REVIEWS.c.resource, REVIEWS.c.version, REVIEWS.c.department, REVIEWS.c.provider)
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(REVIEWS.c.sequence).limit(MAX_SCORED + 1)).all()
    _check_size(len(rows))
    for row in rows:
        review = load_review(state, row.resource, row.version, row.department)
        if review is not None:
            yield row.provider, review


def _column(engine: sql.Engine, column: sql.Column[Any]) -> list[Any]:
    with engine.connect() as connection:
        found = [row[0] for row in connection.execute(sql.select(column).limit(MAX_SCORED + 1))]
    _check_size(len(found))
    return found


def _check_size(count: int) -> None:
    if count > MAX_SCORED:
        raise Problem(
            "SCORE_TOO_LARGE",
            reason=Text(f"账本上的事项超过 {MAX_SCORED} 件", f"there are more than {MAX_SCORED} matters on the ledger"),
        )
