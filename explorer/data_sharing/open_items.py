"""The index of what is owed under requests at present: a row an item, written anew whenever a log is about its request.

When it is due is computed with the calendar of the moment. Where the calendar chooses since when and how long it is owed too, as of a
reply after a check that may have been late, it is written anew whenever a calendar is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sql
from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from contracts.call import Log
from contracts.data_sharing.contribution_counts import reach_of
from contracts.data_sharing.due import load_obligations
from contracts.data_sharing.sharing import CONTRACT, load_request
from contracts.data_sharing.working_days import BEIJING_OFFSET_MS, DAY_MS
from contracts.records import Reader
from explorer.index_queries import where
from explorer.index_tables import METADATA, REQUESTS

MAX_OPEN_ITEMS: Final = 50_000
"""Items that one list looks at: far more than a city's departments owe each other at a time."""

OPEN_ITEMS: Final = Table(
    "open_items",
    METADATA,
    Column("request", LargeBinary, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("department", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("consumer", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("working_days", Integer, nullable=False),
    Column("lapses_ms", BigInteger, nullable=False),
    Column("follows_calendar", Integer, nullable=False),
    Index("open_items_by_start", "start_ms"),
    Index("open_items_by_provider", "provider"),
    Index("open_items_by_consumer", "consumer"),
    Index("open_items_by_department", "department"),
    Index("open_items_by_lapse", "lapses_ms"),
    Index("open_items_by_calendar", "request", sqlite_where=sql.text("follows_calendar")),
    sqlite_with_rowid=False,
)
"""`department` has to act, empty for the data authority; `follows_calendar` is as an Obligation has it."""


def request_of(log: Log) -> bytes | None:
    """Return the id of the request that a log of the contract `sharing` is about, None for other logs."""
    return log.topics[1] if log.address == CONTRACT.address and len(log.topics) > 1 else None


def refresh_open_items(connection: sql.Connection, state: Reader, requests: Iterable[bytes]) -> None:
    """Write the rows of these requests anew, and when they can touch a score, from what the state says of them now."""
    for request_id in requests:
        connection.execute(OPEN_ITEMS.delete().where(OPEN_ITEMS.c.request == request_id))
        record = load_request(state, request_id)
        if record is None:
            continue
        obligations = load_obligations(state, record)
        reach = msgspec.structs.asdict(reach_of(record, obligations))
        connection.execute(REQUESTS.update().where(REQUESTS.c.id == request_id).values(reach))
        for owed in obligations:
            if owed.working_days and not owed.done_ms:
                row = {"request": record.id, "kind": owed.kind, "number": owed.number, "department": owed.department}
                row |= {"resource": record.resource, "provider": record.provider, "consumer": record.consumer}
                row |= {"start_ms": owed.start_ms, "working_days": owed.working_days, "lapses_ms": owed.lapses_ms}
                row |= {"follows_calendar": owed.follows_calendar}
                connection.execute(OPEN_ITEMS.insert(), row)


def refresh_calendar_items(connection: sql.Connection, state: Reader) -> None:
    """Write the rows anew that another calendar may change: of requests that wait and passed their check, and of no others."""
    chosen = sql.select(OPEN_ITEMS.c.request).where(OPEN_ITEMS.c.follows_calendar)
    refresh_open_items(connection, state, connection.execute(chosen).scalars().all())


def seed_open_items(connection: sql.Connection, state: Reader) -> None:
    """Write the rows of every request in the index."""
    refresh_open_items(connection, state, connection.execute(sql.select(REQUESTS.c.id)).scalars().all())


def drop_lapsed_items(connection: sql.Connection, now_ms: int) -> None:
    """Take out the rows that fell away by themselves before a block's time, which no log says: nothing brings them back."""
    connection.execute(OPEN_ITEMS.delete().where(OPEN_ITEMS.c.lapses_ms > 0, OPEN_ITEMS.c.lapses_ms < now_ms))


class OpenItems(NamedTuple):
    """Rows of OPEN_ITEMS, and whether there are more than are looked at."""

    rows: list[Any]
    is_cut: bool


def find_open_items(
    engine: sql.Engine,
    now_ms: int,
    *,
    party: str | None = None,
    department: str | None = None,
    kind: str | None = None,
) -> OpenItems:
    """Return at most MAX_OPEN_ITEMS of what is owed at a time: of a party, by who has to act, of a kind, where given.

    Beyond that, consumers take turns, each with what began first: so nobody's many requests hide those of others, and what
    nobody asked for takes no place of what was.
    """
    query = sql.select(OPEN_ITEMS).where(_is_owed(now_ms))
    query = where(query, OPEN_ITEMS, department=department, kind=kind)
    if party is not None:
        columns = (OPEN_ITEMS.c.provider, OPEN_ITEMS.c.consumer, OPEN_ITEMS.c.department)
        query = query.where(sql.or_(*(column == party for column in columns)))
    with engine.connect() as connection:
        rows = list(connection.execute(query.limit(MAX_OPEN_ITEMS + 1)))
        is_cut = len(rows) > MAX_OPEN_ITEMS
        if is_cut:
            rows = list(connection.execute(_in_turn(query).limit(MAX_OPEN_ITEMS)))
    return OpenItems(rows, is_cut)


def count_open_items(engine: sql.Engine, now_ms: int) -> list[Any]:
    """Return how many items are owed at a time, all of them: rows of kind, department, working_days, start_ms and count.

    Those of a row began on one day in Beijing, the first of them at `start_ms`: so they are due together.
    """
    names = (OPEN_ITEMS.c.kind, OPEN_ITEMS.c.department, OPEN_ITEMS.c.working_days)
    day = (OPEN_ITEMS.c.start_ms + BEIJING_OFFSET_MS) // DAY_MS
    begun = sql.func.min(OPEN_ITEMS.c.start_ms).label("start_ms")
    query = sql.select(*names, begun, sql.func.count().label("items")).where(_is_owed(now_ms)).group_by(*names, day)
    with engine.connect() as connection:
        return list(connection.execute(query))


def _in_turn(query: sql.Select[Any]) -> sql.Select[Any]:
    """Return the same rows, the first one of each consumer before the second of any."""
    items, order = OPEN_ITEMS.c, (OPEN_ITEMS.c.start_ms, OPEN_ITEMS.c.request, OPEN_ITEMS.c.kind, OPEN_ITEMS.c.number)
    turn = sql.func.row_number().over(partition_by=items.consumer, order_by=order).label("turn")
    ranked = query.add_columns(turn).subquery().c
    columns = (ranked[column.name] for column in items)
    return sql.select(*columns).order_by(ranked.turn, ranked.start_ms, ranked.request, ranked.kind, ranked.number)


def _is_owed(now_ms: int) -> sql.ColumnElement[bool]:
    # What has lapsed is left out here and not after a limit, or enough of it would hide all that began later.
    return (OPEN_ITEMS.c.lapses_ms == 0) | (OPEN_ITEMS.c.lapses_ms >= now_ms)
