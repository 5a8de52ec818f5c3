"""What can touch the contribution scores of a period, by the times that the index has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import sqlalchemy as sql
from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from contracts.data_sharing import corrections, deliveries
from contracts.data_sharing.contribution_counts import Period
from contracts.data_sharing.product_records import CONFIRMED, TRANSACTION
from explorer.data_sharing.catalogue_tables import REVIEWS
from explorer.data_sharing.product_index import FACTS, PRODUCTS, Rows, View
from explorer.index_tables import METADATA, REQUESTS, SEQUENCE

MAX_SCORED: Final = 200_000
"""Matters of one kind that the scores of a period look at: requests, corrections, deliveries, reviews, or transactions."""

NO_REACH: Final = {"first_ms": 0, "last_ms": 0, "owed_ms": 0}
"""Of a request whose reach is not known yet."""

RECEIVED: Final = Table(
    "received_deliveries",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("consumer", Text, nullable=False),
    Column("answered_ms", BigInteger, nullable=False),
    Index("received_deliveries_by_time", "answered_ms"),
)
"""Deliveries that their consumers received."""

ASKED: Final = Table(
    "asked_corrections",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("answered_ms", BigInteger, nullable=False),
    Index("asked_corrections_by_number", "request", "number", unique=True),
    Index("asked_corrections_by_time", "asked_ms"),
)
"""Corrections; `answered_ms` is 0 while one waits for its answer."""


class LeftOut(NamedTuple):
    """A department that did more of a kind in a period than is counted: how many matters these are, and how many at most count."""

    kind: str
    department: str
    matters: int
    counted: int


class _Source(NamedTuple):
    """A table of matters: which of its rows touch a period, whose doing each is, their order, and their place in the state."""

    touches: sql.ColumnElement[bool]
    doer: sql.ColumnElement[str]
    order: tuple[sql.ColumnElement[Any], ...]
    place: tuple[sql.ColumnElement[Any], ...]


class Matters:
    """What touches the scores of a period: all of it, or of each department's doing as much as fits into MAX_SCORED.

    Where there is more of a kind, every department has the same share, its first matters count, and what one does not need others
    have: so what one department does takes nothing away from those that do less, and little from those that do more.
    """

    def __init__(self, engine: sql.Engine, period: Period, owed_from_ms: int) -> None:
        """Count what touches a period; nothing that begins before `owed_from_ms` falls due in it."""
        self._engine = engine
        self._sources = _sources(period, owed_from_ms)
        self._shares: dict[str, int] = {}
        self.left_out: list[LeftOut] = []
        """By kind, and the largest first."""
        for kind, source in self._sources.items():
            totals = self._totals(source)
            if sum(totals.values()) > MAX_SCORED:
                share = self._shares[kind] = _share(totals.values())
                found = sorted(totals.items(), key=lambda one: (-one[1], one[0]))
                self.left_out += [LeftOut(kind, doer, matters, share) for doer, matters in found if matters > share]

    def requests(self) -> Iterator[bytes]:
        """Yield the id of each request."""
        return (row[0] for row in self._rows("requests"))

    def corrections(self) -> Iterator[tuple[bytes, int]]:
        """Yield request and number of each correction."""
        return ((row[0], row[1]) for row in self._rows("corrections"))

    def deliveries(self) -> Iterator[tuple[bytes, int]]:
        """Yield request and number of each delivery that was received."""
        return ((row[0], row[1]) for row in self._rows("deliveries"))

    def reviews(self) -> Iterator[tuple[str, tuple[str, int, str]]]:
        """Yield the provider's code, and resource, version and reviewing department of each review."""
        return ((row[0], (row[1], row[2], row[3])) for row in self._rows("reviews"))

    def trades(self) -> Iterator[tuple[str, tuple[str, int]]]:
        """Yield the code of the product's department, and the product and number of each confirmed transaction."""
        return ((row[0], (row[1], row[2])) for row in self._rows("trades"))

    def _totals(self, source: _Source) -> dict[str, int]:
        query = sql.select(source.doer, sql.func.count()).where(source.touches).group_by(source.doer)
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def _rows(self, kind: str) -> Iterable[Any]:
        source = self._sources[kind]
        query = sql.select(*source.place).where(source.touches)
        if kind in self._shares:
            place = sql.func.row_number().over(partition_by=source.doer, order_by=source.order)
            numbered = query.add_columns(place.label("place")).subquery()
            query = sql.select(*list(numbered.c)[:-1]).where(numbered.c.place <= self._shares[kind])
        with self._engine.connect() as connection:
            return connection.execute(query).all()


def _sources(period: Period, owed_from_ms: int) -> dict[str, _Source]:
    """Return every table of matters, as it touches a period."""

    def within(column: sql.Column[int]) -> sql.ColumnElement[bool]:
        return column.between(period.from_ms, period.to_ms - 1)

    may_count = (REQUESTS.c.last_ms >= period.from_ms) | (REQUESTS.c.owed_ms >= max(1, owed_from_ms))
    is_trade = (FACTS.c.kind == TRANSACTION) & (FACTS.c.state == CONFIRMED) & (FACTS.c.product == PRODUCTS.c.code)
    buyer = sql.case((FACTS.c.proposer == PRODUCTS.c.department, FACTS.c.counterparty), else_=FACTS.c.proposer)
    is_open = (ASKED.c.answered_ms == 0) & (ASKED.c.asked_ms >= max(1, owed_from_ms))
    may_run_out = (ASKED.c.asked_ms < period.to_ms) & (is_open | (ASKED.c.answered_ms >= period.from_ms))
    asked = (ASKED.c.request, ASKED.c.number)
    review = (REVIEWS.c.provider, REVIEWS.c.resource, REVIEWS.c.version, REVIEWS.c.department)
    named = (RECEIVED.c.request, RECEIVED.c.number)
    traded = (FACTS.c.product, FACTS.c.number)
    return {
        "requests": _Source(
            (REQUESTS.c.first_ms < period.to_ms) & may_count,
            REQUESTS.c.consumer,
            (REQUESTS.c.first_ms, REQUESTS.c.id),
            (REQUESTS.c.id,),
        ),
        "corrections": _Source(
            may_run_out & (ASKED.c.request == REQUESTS.c.id), REQUESTS.c.consumer, (ASKED.c.asked_ms, *asked), asked
        ),
        "deliveries": _Source(
            within(RECEIVED.c.answered_ms), RECEIVED.c.consumer, (RECEIVED.c.answered_ms, *named), named
        ),
        "reviews": _Source(
            within(REVIEWS.c.reviewed_ms), REVIEWS.c.department, (REVIEWS.c.reviewed_ms, *review), review
        ),
        "trades": _Source(
            within(FACTS.c.answered_ms) & is_trade,
            buyer,
            (FACTS.c.answered_ms, *traded),
            (PRODUCTS.c.department, *traded),
        ),
    }


def _share(totals: Iterable[int]) -> int:
    """Return the greatest share for which all departments together, each with its total or the share, have MAX_SCORED at most."""
    left, ascending = MAX_SCORED, sorted(totals)
    for place, total in enumerate(ascending):
        share = left // (len(ascending) - place)
        if total > share:
            return share
        left -= total
    return MAX_SCORED


def _correction_asked(batch: Rows, view: View, fields: dict[str, Any]) -> None:
    row = {"request": fields["request"], "number": fields["number"]}
    batch.inserts.append((ASKED, row | {"asked_ms": _correction(view, fields).asked_ms, "answered_ms": 0}))


def _correction_answered(batch: Rows, view: View, fields: dict[str, Any]) -> None:
    is_it = (ASKED.c.request == fields["request"]) & (ASKED.c.number == fields["number"])
    batch.changes.append(ASKED.update().where(is_it).values(answered_ms=_correction(view, fields).answered_ms))


def _correction(view: View, fields: dict[str, Any]) -> corrections.CorrectionRecord:
    record = corrections.load_correction(view.ledger.state(), fields["request"], fields["number"])
    assert record is not None, "a correction that was asked for is there for good"
    return record


def _delivery_answered(batch: Rows, view: View, fields: dict[str, Any]) -> None:
    if fields["answer"] != deliveries.RECEIVED:
        return
    record = deliveries.load_delivery(view.ledger.state(), fields["grant"], fields["number"])
    assert record is not None, "a delivery that was answered is there for good"
    batch.inserts.append((RECEIVED, _row(record)))


def _row(record: deliveries.DeliveryRecord) -> dict[str, Any]:
    row = {"request": record.grant, "number": record.number, "consumer": record.consumer}
    return row | {"answered_ms": record.answered_ms}


def received_seed(value: bytes) -> tuple[int, tuple[Any, ...]] | None:
    """Return when a delivery was received, and its row; None for one that was not."""
    record = deliveries.DELIVERIES.decode(value)
    return (record.answered_ms, tuple(_row(record).values())) if record.answer == deliveries.RECEIVED else None


def asked_seed(value: bytes) -> tuple[int, tuple[Any, ...]]:
    """Return when a correction was asked for, and its row."""
    record = corrections.CORRECTIONS.decode(value)
    return record.asked_ms, (record.request, record.number, record.asked_ms, record.answered_ms)


MATTER_HANDLERS: Final = (
    (corrections.CORRECTION_ASKED, _correction_asked),
    (corrections.CORRECTION_ANSWERED, _correction_answered),
    (deliveries.ANSWERED, _delivery_answered),
)
"""What each event of corrections and deliveries adds to the index or changes in it."""
MATTER_SEEDS: Final = (
    (corrections.CORRECTIONS.prefix, ASKED, asked_seed),
    (deliveries.DELIVERIES.prefix, RECEIVED, received_seed),
)
"""Of corrections and deliveries in a state: their prefix, the index's table, and how a record becomes a row."""
