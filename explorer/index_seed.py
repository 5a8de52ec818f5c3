"""Fills the index of a node that began from a snapshot with what the state holds: records whose blocks are not here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import sqlalchemy as sql

from contracts.batches import BATCHES, POSITIONS
from contracts.certificate_records import CERTIFICATES
from contracts.data_sharing.access import STREAMS
from contracts.data_sharing.catalogue import RESOURCES as RESOURCE_RECORDS
from contracts.data_sharing.sharing import GRANTED
from contracts.data_sharing.sharing import REQUESTS as REQUEST_RECORDS
from contracts.deployments import DEPLOYMENTS
from explorer.data_sharing.catalogue_index import put_seeds, seed_of
from explorer.data_sharing.product_index import PRODUCT_SEEDS
from explorer.data_sharing.score_matters import MATTER_SEEDS, NO_REACH
from explorer.index_tables import COUNTERS, DEPLOYED, DOCUMENTS, REQUESTS
from node.chain.world_state import executed_count

BATCH_ENTRIES: Final = 2_000
TIME_COLUMN: Final = "ordered_by_ms"

CATALOGUE_SEED: Final = sql.Table(
    "seed_catalogue",
    sql.MetaData(),
    sql.Column(TIME_COLUMN, sql.BigInteger),
    sql.Column("kind", sql.Integer),
    sql.Column("value", sql.LargeBinary),
    prefixes=["TEMPORARY"],
)
"""Entries of the catalogue as the state has them."""

Entry = tuple[bytes, bytes]
Row = tuple[Any, ...]


class SeedStopped(Exception):
    """The node stops: what was written of the seed is to be undone."""


def seed_index(connection: sql.Connection, values: Iterator[Entry], is_stopping: Callable[[], bool]) -> None:
    """Add what lists show of the records among a state's (key, value), oldest first, and the counters.

    Raises SeedStopped as soon as `is_stopping()`.
    """
    seed = _Seed(connection)
    while entries := list(islice(values, BATCH_ENTRIES)):
        if is_stopping():
            raise SeedStopped
        seed.add(entries)
    seed.finish()


class _Seed:
    """Rows in temporary tables with the time that orders them: the state holds records in the order of their keys."""

    def __init__(self, connection: sql.Connection) -> None:
        self._connection = connection
        self._counts: dict[str, int] = {}
        self._kinds: tuple[tuple[bytes, sql.Table, Callable[[bytes], tuple[int, Row] | None]], ...] = (
            (DEPLOYMENTS.prefix, DEPLOYED, self._deployment),
            (CERTIFICATES.prefix, DOCUMENTS, self._certificate),
            (REQUEST_RECORDS.prefix, REQUESTS, self._request),
            *PRODUCT_SEEDS,
            *MATTER_SEEDS,
        )
        self._waiting = {table.name: _temporary(table) for _, table, _ in self._kinds}
        self._waiting[CATALOGUE_SEED.name] = CATALOGUE_SEED
        for waiting in self._waiting.values():
            waiting.drop(connection, checkfirst=True)
            waiting.create(connection)

    def add(self, entries: list[Entry]) -> None:
        """Take the next entries of the state."""
        rows: dict[str, list[Row]] = {}
        for key, value in entries:
            for prefix, table, make_row in self._kinds:
                if key.startswith(prefix) and (made := make_row(value)) is not None:
                    time_ms, row = made
                    rows.setdefault(table.name, []).append((time_ms, *row))
            if (seed := seed_of(key, value)) is not None:
                rows.setdefault(CATALOGUE_SEED.name, []).append(seed)
            if key.startswith(RESOURCE_RECORDS.prefix):
                self._count("resources")
            elif key.startswith(BATCHES.prefix):
                self._count("certificates", BATCHES.decode(value).count)
            elif key.startswith(POSITIONS.prefix):
                # Its record counts once more.
                self._count("certificates", -1)
            elif key.startswith(STREAMS.prefix):
                self._count("access_records", STREAMS.decode(value).number)
            count = executed_count(key, value)
            if count:
                self._count("transactions", count)
        for name, found in rows.items():
            insert = self._waiting[name].insert().compile(self._connection)
            self._connection.exec_driver_sql(str(insert), found)

    def finish(self) -> None:
        """Put the rows into the index in the order of their times."""
        for _, table, _ in self._kinds:
            waiting = self._waiting[table.name]
            columns = [column for column in waiting.columns if column.name != TIME_COLUMN]
            ordered = sql.select(*columns).order_by(waiting.c[TIME_COLUMN])
            self._connection.execute(table.insert().from_select([column.name for column in columns], ordered))
            waiting.drop(self._connection)
        seeds = sql.select(CATALOGUE_SEED.c.kind, CATALOGUE_SEED.c.value)
        ordered_seeds = seeds.order_by(CATALOGUE_SEED.c.kind, CATALOGUE_SEED.c[TIME_COLUMN])
        found = self._connection.execute(ordered_seeds).yield_per(BATCH_ENTRIES)
        put_seeds(self._connection, ((row.kind, row.value) for row in found))
        CATALOGUE_SEED.drop(self._connection)
        for name, value in self._counts.items():
            self._connection.execute(COUNTERS.insert(), {"name": name, "value": value})

    def _count(self, name: str, number: int = 1) -> None:
        self._counts[name] = self._counts.get(name, 0) + number

    def _deployment(self, value: bytes) -> tuple[int, Row]:
        record = DEPLOYMENTS.decode(value)
        self._count("contracts")
        # Its transactions are counted as they are listed: from this index's first block on.
        return record.deployed_ms, (record.address, record.department, 0)

    def _certificate(self, value: bytes) -> tuple[int, Row]:
        record = CERTIFICATES.decode(value)
        self._count("certificates")
        return record.issued_ms, (record.document_digest, record.identifier)

    def _request(self, value: bytes) -> tuple[int, Row]:
        record = REQUEST_RECORDS.decode(value)
        self._count("requests")
        was_granted = any(interval.state == GRANTED for interval in record.history)
        if was_granted:
            self._count("grants")
        row = (record.id, record.resource, record.consumer, record.provider, record.state, int(was_granted))
        # When it can touch a score is put with what is owed under it, once every request is there.
        return record.requested_ms, (*row, *NO_REACH.values())


def _temporary(table: sql.Table) -> sql.Table:
    """Return a temporary table of a time and the columns of `table` but the one that SQLite counts up."""
    columns = [sql.Column(column.name, column.type) for column in table.columns if column.name != "sequence"]
    time = sql.Column(TIME_COLUMN, sql.BigInteger)
    return sql.Table(f"seed_{table.name}", sql.MetaData(), time, *columns, prefixes=["TEMPORARY"])
