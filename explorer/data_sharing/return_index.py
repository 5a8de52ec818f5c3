"""The index's tables of returned data (回流): which resources are, their newest arrival, until when the next is due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sql

from contracts.data_sharing.arrival_records import ArrivalRecord, ReturnHead, next_due_ms
from contracts.data_sharing.catalogue import ResourceRecord
from explorer.index_queries import where
from explorer.index_tables import METADATA

NEVER_MS: Final = 2**62
"""Until when data without a set time is due: after all that is due."""

RETURNED: Final = sql.Table(
    "returned_resources",
    METADATA,
    sql.Column("resource", sql.Text, primary_key=True),
    sql.Column("department", sql.Text, nullable=False),
    sql.Column("source_level", sql.Text, nullable=False),
    sql.Column("update_cycle", sql.Integer, nullable=False),
    sql.Column("since_ms", sql.BigInteger, nullable=False),
    sql.Column("due_ms", sql.BigInteger, nullable=False),
    sql.Column("last_number", sql.BigInteger, nullable=False),
    sql.Index("returned_resources_by_due", "due_ms", "resource"),
    sqlite_with_rowid=False,
)
"""Resources that are not withdrawn and whose entry in force says that they are returned; `last_number` is 0 before any arrival."""

STANDING: Final = sql.Table(
    "standing_arrivals",
    METADATA,
    sql.Column("resource", sql.Text, primary_key=True),
    sql.Column("number", sql.BigInteger, primary_key=True),
    sql.Column("arrived_ms", sql.BigInteger, nullable=False),
    sql.Index("standing_arrivals_by_time", "resource", "arrived_ms", "number"),
    sqlite_with_rowid=False,
)
"""Arrivals that were neither corrected nor made void."""


def put_returned(connection: sql.Connection, records: Sequence[ResourceRecord]) -> None:
    """Put the rows of those of these resources that are returned, and take out those that no longer are."""
    if not records:
        return
    named = RETURNED.c.resource == sql.bindparam("of_resource")
    connection.execute(RETURNED.delete().where(named), [{"of_resource": record.code} for record in records])
    rows = [
        {
            "resource": record.code,
            "department": record.provider,
            "source_level": record.description.source_level,
            "update_cycle": record.description.update_cycle,
            "since_ms": record.published_ms,
            "due_ms": NEVER_MS,
            "last_number": 0,
        }
        for record in records
        if record.description.source_level and not record.withdrawn_ms
    ]
    if rows:
        connection.execute(RETURNED.insert(), rows)


def put_heads(connection: sql.Connection, heads: Iterable[ReturnHead]) -> None:
    """Put since when resources are returned, after their rows were put, and what follows from it."""
    for head in heads:
        chosen = RETURNED.c.resource == head.resource
        connection.execute(RETURNED.update().where(chosen).values(since_ms=head.since_ms))
        _renew(connection, head.resource)


def put_arrivals(connection: sql.Connection, records: Sequence[ArrivalRecord]) -> None:
    """Put the rows of arrivals that stand, take out those that no longer do, and renew what follows from them."""
    for record in records:
        named = (STANDING.c.resource == record.resource) & (STANDING.c.number == record.number)
        connection.execute(STANDING.delete().where(named))
        if not record.ended_ms:
            arrived_ms = record.arrival.arrived_ms
            row = {"resource": record.resource, "number": record.number, "arrived_ms": arrived_ms}
            connection.execute(STANDING.insert(), row)
    for resource in dict.fromkeys(record.resource for record in records):
        _renew(connection, resource)


def _renew(connection: sql.Connection, resource: str) -> None:
    """Bring the newest arrival of a resource that stands, and until when the next is due, up to the rows that are there."""
    chosen = RETURNED.c.resource == resource
    row = connection.execute(sql.select(RETURNED.c.update_cycle, RETURNED.c.since_ms).where(chosen)).one_or_none()
    if row is None:
        return
    newest = sql.select(STANDING.c.number, STANDING.c.arrived_ms).where(STANDING.c.resource == resource)
    ordered = newest.order_by(STANDING.c.arrived_ms.desc(), STANDING.c.number.desc()).limit(1)
    last = connection.execute(ordered).one_or_none()
    due_ms = next_due_ms(row.update_cycle, row.since_ms if last is None else last.arrived_ms) or NEVER_MS
    number = 0 if last is None else last.number
    connection.execute(RETURNED.update().where(chosen).values(due_ms=due_ms, last_number=number))


def find_returned(
    engine: sql.Engine, after: tuple[int, str] | None, limit: int, *, due_before_ms: int | None = None, **filters: Any
) -> list[Any]:
    """Return rows of returned resources after a (due_ms, resource), first those that are due first; `filters` are values of columns."""
    query = where(sql.select(RETURNED), RETURNED, **filters)
    if due_before_ms is not None:
        query = query.where(RETURNED.c.due_ms < due_before_ms)
    if after is not None:
        due_ms, resource = after
        later = (RETURNED.c.due_ms == due_ms) & (RETURNED.c.resource > resource)
        query = query.where((RETURNED.c.due_ms > due_ms) | later)
    with engine.connect() as connection:
        return list(connection.execute(query.order_by(RETURNED.c.due_ms, RETURNED.c.resource).limit(limit)))


def count_overdue_returns(engine: sql.Engine, now_ms: int) -> dict[str, int]:
    """Return how many returned resources are overdue at a time, by department with any returned resource."""
    overdue = sql.func.sum(sql.case((RETURNED.c.due_ms < now_ms, 1), else_=0))
    query = sql.select(RETURNED.c.department, overdue).group_by(RETURNED.c.department)
    with engine.connect() as connection:
        return {row[0]: int(row[1]) for row in connection.execute(query)}
