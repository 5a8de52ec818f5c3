"""What the lists ask of the index: newest first, a page at a time, each row naming what the ledger is then asked for."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sql

from explorer.index_tables import (
    BLOCKS,
    COUNTERS,
    DEPLOYED,
    DOCUMENTS,
    FREEZES,
    REQUESTS,
    TRANSACTIONS,
)

MAX_IDENTIFIERS_PER_DOCUMENT: Final = 20


def read_counters(engine: sql.Engine) -> dict[str, int]:
    """Return the counters by name: transactions, refused, contracts, certificates, resources, requests, grants, access_records."""
    with engine.connect() as connection:
        return {row.name: row.value for row in connection.execute(sql.select(COUNTERS))}


def find_blocks(engine: sql.Engine, before: int | None, limit: int) -> list[Any]:
    """Return rows of blocks below height `before`, newest first."""
    return page(engine, sql.select(BLOCKS.c.height, BLOCKS.c.transaction_count), BLOCKS.c.height, before, limit)


def find_transactions(
    engine: sql.Engine, before: int | None, limit: int, *, department: str | None, contract: str | None
) -> list[Any]:
    """Return rows of transactions below position `before`, newest first."""
    query: sql.Select[Any] = sql.select(TRANSACTIONS)
    query = where(query, TRANSACTIONS, department=department, contract=contract)
    return page(engine, query, TRANSACTIONS.c.position, before, limit)


def find_contracts(engine: sql.Engine, before: int | None, limit: int, *, department: str | None) -> list[Any]:
    """Return rows of EVM contracts below sequence `before`, newest first."""
    query = where(sql.select(DEPLOYED), DEPLOYED, department=department)
    return page(engine, query, DEPLOYED.c.sequence, before, limit)


def count_transactions(engine: sql.Engine, address: bytes) -> int:
    """Return how many transactions in the index called or created the EVM contract at a 20-byte address."""
    query = sql.select(DEPLOYED.c.transaction_count).where(DEPLOYED.c.address == address)
    with engine.connect() as connection:
        return connection.execute(query).scalar() or 0


def find_freezes(engine: sql.Engine, address: bytes, limit: int) -> list[Any]:
    """Return rows of the transactions that froze the EVM contract at a 20-byte address or let it run again, newest first."""
    query = sql.select(FREEZES.c.position).where(FREEZES.c.address == address)
    return page(engine, query, FREEZES.c.position, None, limit)


def find_identifiers(engine: sql.Engine, document_digest: bytes) -> list[str]:
    """Return the identifiers of certificates that carry a document's 32-byte digest, at most MAX_IDENTIFIERS_PER_DOCUMENT."""
    query = (
        sql.select(DOCUMENTS.c.identifier)
        .where(DOCUMENTS.c.digest == document_digest)
        .order_by(DOCUMENTS.c.identifier)
        .limit(MAX_IDENTIFIERS_PER_DOCUMENT)
    )
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def find_requests(
    engine: sql.Engine,
    before: int | None,
    limit: int,
    *,
    resource: str | None,
    department: str | None,
    state: str | None,
    only_granted: bool,
) -> list[Any]:
    """Return rows of requests below sequence `before`, newest first; `department` is either party."""
    query = where(sql.select(REQUESTS), REQUESTS, resource=resource, state=state)
    if department is not None:
        query = query.where((REQUESTS.c.provider == department) | (REQUESTS.c.consumer == department))
    if only_granted:
        query = query.where(REQUESTS.c.was_granted == 1)
    return page(engine, query, REQUESTS.c.sequence, before, limit)


def where(query: sql.Select[Any], table: sql.Table, **values: Any) -> sql.Select[Any]:
    """Return the query for the rows whose columns have these values; None asks nothing of a column."""
    for name, value in values.items():
        if value is not None:
            query = query.where(table.c[name] == value)
    return query


def page(
    engine: sql.Engine, query: sql.Select[Any], order: sql.Column[Any], before: int | None, limit: int
) -> list[Any]:
    """Return the query's rows whose `order` is below `before`, the greatest first, at most `limit`."""
    if before is not None:
        query = query.where(order < before)
    with engine.connect() as connection:
        return list(connection.execute(query.order_by(order.desc()).limit(limit)))
