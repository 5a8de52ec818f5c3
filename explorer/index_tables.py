"""The tables of the explorer's index: what lists are found and ordered by. The ledger remains the source of every answer."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

METADATA: Final = MetaData()

# SQLite counts rows by itself only in a column of this very type.
SEQUENCE: Final = BigInteger().with_variant(Integer, "sqlite")
"""Type of a column that counts rows by itself."""

PROGRESS: Final = Table(
    "progress",
    METADATA,
    Column("genesis_hash", LargeBinary, primary_key=True),
    Column("schema_version", Integer, nullable=False),
    Column("height", BigInteger, nullable=False),
    Column("block_id", LargeBinary, nullable=False),
)
"""One row: which chain the index follows, and the last block in it."""

START: Final = Table(
    "start",
    METADATA,
    Column("base_height", BigInteger, primary_key=True, autoincrement=False),
    Column("state_height", BigInteger, nullable=False),
)
"""One row in an index over a ledger that began from a snapshot, none in others.

Blocks and transactions are in from `base_height` + 1 on; the records of the state after `state_height` were taken from there.
"""

COUNTERS: Final = Table(
    "counters",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

BLOCKS: Final = Table(
    "blocks",
    METADATA,
    Column("height", BigInteger, primary_key=True, autoincrement=False),
    Column("transaction_count", Integer, nullable=False),
)
"""What a list of blocks shows beside the header, so that it need not read the bodies."""

TRANSACTIONS: Final = Table(
    "transactions",
    METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("department", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("refusal", Text, nullable=False),
    Index("transactions_by_department", "department", "position"),
    Index("transactions_by_contract", "contract", "position"),
)
"""`position` is height * MAX_POSITIONS + index in the block; department, contract, method and refusal are empty where there is none.

`contract` is a system contract's name, or the 0x address of the EVM contract that was called or created; `method` is a system contract's.
"""

DEPLOYED: Final = Table(
    "deployed",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("address", LargeBinary, nullable=False, unique=True),
    Column("department", Text, nullable=False),
    Column("transaction_count", BigInteger, nullable=False),
    Index("deployed_by_department", "department", "sequence"),
)
"""EVM contracts in the order in which they were created; `transaction_count` is how many of TRANSACTIONS name the contract."""

FREEZES: Final = Table(
    "freezes",
    METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("address", LargeBinary, nullable=False),
    Index("freezes_by_address", "address", "position"),
)
"""Positions of the transactions that froze an EVM contract or let it run again."""

DOCUMENTS: Final = Table(
    "documents",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("identifier", Text, primary_key=True),
    sqlite_with_rowid=False,
)
"""Which certificates carry a document's 32-byte SM3 digest."""

REQUESTS: Final = Table(
    "requests",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("id", LargeBinary, nullable=False, unique=True),
    Column("resource", Text, nullable=False),
    Column("consumer", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("was_granted", Integer, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("owed_ms", BigInteger, nullable=False),
    Index("requests_by_resource", "resource", "sequence"),
    Index("requests_by_consumer", "consumer", "sequence"),
    Index("requests_by_provider", "provider", "sequence"),
    Index("requests_by_last", "last_ms"),
    Index("requests_by_owed", "owed_ms"),
)
"""`first_ms` to `owed_ms` are the request's Reach (contracts.data_sharing.contribution_counts): when it can touch a score."""
