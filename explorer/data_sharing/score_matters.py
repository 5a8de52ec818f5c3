"""What can touch the contribution scores of a period, by the times that the index has: requests, deliveries, reviews and transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import sqlalchemy as sql
from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from contracts.data_sharing import deliveries
from contracts.data_sharing.contribution_counts import Period
from contracts.data_sharing.product_records import CONFIRMED, TRANSACTION
from explorer.data_sharing.catalogue_tables import REVIEWS
from explorer.data_sharing.product_index import FACTS, PRODUCTS, Rows, View
from explorer.index_tables import METADATA, REQUESTS, SEQUENCE

MAX_SCORED: Final = 200_000
"""Matters that the scores of a period look at: requests with their corrections, disputes and recalls, deliveries, reviews, transactions."""

NO_REACH: Final = {"first_ms": 0, "last_ms": 0, "owed_ms": 0, "matters": 0}
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


class LeftOut(NamedTuple):
    """A department that asked for, received, reviewed and bought too much in a period for it to be counted, and how many matters."""

    department: str
    matters: int


class _Source(NamedTuple):
    """A table of matters: which of its rows touch a period, whose doing each is, how many matters it is, and its place in the state."""

    touches: sql.ColumnElement[bool]
    doer: sql.ColumnElement[str]
    matters: sql.ColumnElement[int]
    place: tuple[sql.ColumnElement[Any], ...]


class Matters:
    """What touches the scores of a period, but for what the departments in `left_out` did.

    Where there is more than MAX_SCORED, the departments with the most are left out until the rest is not: no department's matters
    put the scores of the others out of service.
    """

    def __init__(self, engine: sql.Engine, period: Period, owed_from_ms: int) -> None:
        """Count what touches a period; nothing that begins before `owed_from_ms` falls due in it."""
        self._engine = engine
        self._sources = _sources(period, owed_from_ms)
        self.left_out = tuple(_leave_out(self._totals()))

    def requests(self) -> Iterator[bytes]:
        """Yield the id of each request."""
        return (row[0] for row in self._rows("requests"))

    def deliveries(self) -> Iterator[tuple[bytes, int]]:
        """Yield request and number of each delivery that was received."""
        return ((row[0], row[1]) for row in self._rows("deliveries"))

    def reviews(self) -> Iterator[tuple[str, tuple[str, int, str]]]:
        """Yield the provider's code, and resource, version and reviewing department of each review."""
        return ((row[0], (row[1], row[2], row[3])) for row in self._rows("reviews"))

    def trades(self) -> Iterator[tuple[str, tuple[str, int]]]:
        """Yield the code of the product's department, and the product and number of each confirmed transaction."""
        return ((row[0], (row[1], row[2])) for row in self._rows("trades"))

    def _totals(self) -> Counter[str]:
        totals: Counter[str] = Counter()
        with self._engine.connect() as connection:
            for source in self._sources.values():
                query = sql.select(source.doer, sql.func.sum(source.matters)).where(source.touches)
                for doer, matters in connection.execute(query.group_by(source.doer)):
                    totals[doer] += matters
        return totals

    def _rows(self, name: str) -> Iterable[Any]:
        source = self._sources[name]
        query = sql.select(*source.place).where(source.touches)
        if self.left_out:
            query = query.where(source.doer.notin_([one.department for one in self.left_out]))
        with self._engine.connect() as connection:
            return connection.execute(query).all()


def _sources(period: Period, owed_from_ms: int) -> dict[str, _Source]:
    """Return every table of matters, as it touches a period."""

    def within(column: sql.Column[int]) -> sql.ColumnElement[bool]:
        return column.between(period.from_ms, period.to_ms - 1)

    may_count = (REQUESTS.c.last_ms >= period.from_ms) | (REQUESTS.c.owed_ms >= max(1, owed_from_ms))
    is_trade = (FACTS.c.kind == TRANSACTION) & (FACTS.c.state == CONFIRMED) & (FACTS.c.product == PRODUCTS.c.code)
    buyer = sql.case((FACTS.c.proposer == PRODUCTS.c.department, FACTS.c.counterparty), else_=FACTS.c.proposer)
    one = sql.literal(1)
    review = (REVIEWS.c.provider, REVIEWS.c.resource, REVIEWS.c.version, REVIEWS.c.department)
    return {
        "requests": _Source(
            (REQUESTS.c.first_ms < period.to_ms) & may_count,
            REQUESTS.c.consumer,
            REQUESTS.c.matters,
            (REQUESTS.c.id,),
        ),
        "deliveries": _Source(
            within(RECEIVED.c.answered_ms), RECEIVED.c.consumer, one, (RECEIVED.c.request, RECEIVED.c.number)
        ),
        "reviews": _Source(within(REVIEWS.c.reviewed_ms), REVIEWS.c.department, one, review),
        "trades": _Source(
            within(FACTS.c.answered_ms) & is_trade,
            buyer,
            one,
            (PRODUCTS.c.department, FACTS.c.product, FACTS.c.number),
        ),
    }


def _leave_out(totals: Counter[str]) -> Iterator[LeftOut]:
    """Yield the departments with the most matters, until what is left is no more than MAX_SCORED."""
    left = totals.total()
    for department, matters in sorted(totals.items(), key=lambda one: (-one[1], one[0])):
        if left <= MAX_SCORED:
            return
        left -= matters
        yield LeftOut(department, matters)


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


MATTER_HANDLERS: Final = ((deliveries.ANSWERED, _delivery_answered),)
"""What the event of a delivery's answer adds to the index."""
MATTER_SEEDS: Final = ((deliveries.DELIVERIES.prefix, RECEIVED, received_seed),)
"""Of the deliveries in a state: their prefix, the index's table, and how a record becomes a row."""
