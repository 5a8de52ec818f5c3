"""The index of data products, and of the valuations and transactions that departments propose to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import sqlalchemy as sql
from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from contracts.data_sharing import product_records, products
from explorer.index_queries import page, where
from explorer.index_tables import METADATA, SEQUENCE

if TYPE_CHECKING:
    from node.ledger.ledger import Ledger

PRODUCTS: Final = Table(
    "products",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("code", Text, nullable=False, unique=True),
    Column("department", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Index("products_by_department", "department", "sequence"),
)
FACTS: Final = Table(
    "product_facts",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("product", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("counterparty", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("answered_ms", BigInteger, nullable=False),
    Index("product_facts_by_number", "product", "number", unique=True),
    Index("product_facts_by_proposer", "proposer", "sequence"),
    Index("product_facts_by_counterparty", "counterparty", "sequence"),
    Index("product_facts_by_answer", "answered_ms"),
)
"""Valuations and transactions, in the order in which they were proposed; `answered_ms` is 0 while one is proposed."""
OBJECTIONS: Final = Table(
    "product_objections",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("product", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Index("product_objections_by_number", "product", "number", unique=True),
)


class View(Protocol):
    """What has the ledger whose logs are read."""

    @property
    def ledger(self) -> Ledger:
        """The ledger: its state is of the log's block or later."""


class Rows(Protocol):
    """Where the rows that a run of blocks adds and changes are gathered."""

    inserts: list[tuple[sql.Table, dict[str, Any]]]
    changes: list[sql.Update]


def _registered(batch: Rows, _: object, fields: dict[str, Any]) -> None:
    row = {"code": fields["product"], "department": fields["department"], "name": fields["name"]}
    batch.inserts.append((PRODUCTS, row | {"state": product_records.REGISTERED}))


def _ended(batch: Rows, _: object, fields: dict[str, Any]) -> None:
    batch.changes.append(PRODUCTS.update().where(PRODUCTS.c.code == fields["product"]).values(state=fields["state"]))


def _proposed(batch: Rows, _: object, fields: dict[str, Any]) -> None:
    row = {name: fields[name] for name in ("product", "number", "kind", "proposer", "counterparty")}
    batch.inserts.append((FACTS, row | {"state": product_records.PROPOSED, "answered_ms": 0}))


def _answered(batch: Rows, view: View, fields: dict[str, Any]) -> None:
    record = product_records.load_fact(view.ledger.state(), fields["product"], fields["number"])
    assert record is not None, "a fact that was answered is there for good"
    batch.changes.append(_of_number(FACTS, fields).values(answered_ms=record.answered_ms))


def _objected(batch: Rows, _: object, fields: dict[str, Any]) -> None:
    row = {"product": fields["product"], "number": fields["number"], "state": product_records.OPEN}
    batch.inserts.append((OBJECTIONS, row))


def _decided(batch: Rows, _: object, fields: dict[str, Any]) -> None:
    batch.changes.append(_of_number(OBJECTIONS, fields))


def _of_number(table: sql.Table, fields: dict[str, Any]) -> sql.Update:
    is_it = (table.c.product == fields["product"]) & (table.c.number == fields["number"])
    return table.update().where(is_it).values(state=fields["state"])


PRODUCT_HANDLERS: Final = (
    (products.PRODUCT_REGISTERED, _registered),
    (products.PRODUCT_ENDED, _ended),
    (products.FACT_PROPOSED, _proposed),
    (products.FACT_ANSWERED, _answered),
    (products.OBJECTION_RAISED, _objected),
    (products.OBJECTION_DECIDED, _decided),
)
"""What each event of the contract adds to the index or changes in it."""


def product_seed(value: bytes) -> tuple[int, tuple[Any, ...]]:
    """Return when a product was registered, and its row."""
    record = product_records.PRODUCTS.decode(value)
    return record.registered_ms, (record.code, record.department, record.name, record.state)


def fact_seed(value: bytes) -> tuple[int, tuple[Any, ...]]:
    """Return when a valuation or transaction was proposed, and its row."""
    record = product_records.FACTS.decode(value)
    row = (record.product, record.number, record.terms.kind, record.proposer, record.counterparty, record.state)
    return record.proposed_ms, (*row, record.answered_ms)


def objection_seed(value: bytes) -> tuple[int, tuple[Any, ...]]:
    """Return when an objection was raised, and its row."""
    record = product_records.OBJECTIONS.decode(value)
    return record.raised_ms, (record.product, record.number, record.state)


PRODUCT_SEEDS: Final = (
    (product_records.PRODUCTS.prefix, PRODUCTS, product_seed),
    (product_records.FACTS.prefix, FACTS, fact_seed),
    (product_records.OBJECTIONS.prefix, OBJECTIONS, objection_seed),
)
"""Of each table of records: its prefix in state, the index's table, and how a record becomes a row."""


def find_products(
    engine: sql.Engine, before: int | None, limit: int, *, department: str | None, state: str | None, text: str | None
) -> list[Any]:
    """Return rows of products below sequence `before`, newest first; `text` is looked for in name and code."""
    query = where(sql.select(PRODUCTS), PRODUCTS, department=department, state=state)
    if text:
        query = query.where(
            PRODUCTS.c.name.contains(text, autoescape=True) | PRODUCTS.c.code.contains(text, autoescape=True)
        )
    return page(engine, query, PRODUCTS.c.sequence, before, limit)


def find_facts(
    engine: sql.Engine,
    before: int | None,
    limit: int,
    *,
    product: str | None,
    party: str | None,
    kind: str | None,
    state: str | None,
) -> list[Any]:
    """Return rows of valuations and transactions below sequence `before`, newest first; `party` is either department."""
    query = where(sql.select(FACTS), FACTS, product=product, kind=kind, state=state)
    if party is not None:
        query = query.where((FACTS.c.proposer == party) | (FACTS.c.counterparty == party))
    return page(engine, query, FACTS.c.sequence, before, limit)
