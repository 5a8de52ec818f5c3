"""Follows the final blocks into the index, in a thread of its own, many blocks to a transaction; resumes where it stopped."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sql

from contracts import batches, certificates, deployments, registry
from contracts.abi import AbiError
from contracts.accounts import load_account
from contracts.call import Log as ContractLog
from contracts.data_sharing import access, catalogue, deadlines, disputes, recalls, sharing
from contracts.records import ADDRESSES
from explorer.data_sharing.catalogue_index import CATALOGUE_EVENTS, CatalogueChanges, touch
from explorer.data_sharing.open_items import (
    drop_lapsed_items,
    refresh_calendar_items,
    refresh_open_items,
    request_of,
    seed_open_items,
)
from explorer.data_sharing.product_index import PRODUCT_HANDLERS
from explorer.data_sharing.score_matters import MATTER_HANDLERS, NO_REACH
from explorer.index_seed import SeedStopped, seed_index
from explorer.index_tables import (
    BLOCKS,
    COUNTERS,
    DEPLOYED,
    DOCUMENTS,
    FREEZES,
    METADATA,
    PROGRESS,
    REQUESTS,
    START,
    TRANSACTIONS,
)
from node.chain.block import Receipt, block_id
from node.chain.codec import decode_trusted
from node.chain.transaction import Transaction, address_of
from node.http.presentation import CONTRACT_NAMES, evm_contract_of
from node.logs import Log
from node.stages import StageClock

if TYPE_CHECKING:
    from node.view import NodeView

SCHEMA_VERSION: Final = 13
MAX_POSITIONS: Final = 2**20
"""Transactions a block can hold, for the positions that order them: far above MAX_BLOCK_TRANSACTIONS."""
_DEPLOYMENTS: Final = ADDRESSES["deployments"]
MAX_BATCH_BLOCKS: Final = 256
MAX_BATCH_TRANSACTIONS: Final = 10_000
MAX_CACHED_SENDERS: Final = 10_000
PAUSE_S: Final = 0.2
"""Between batches, so that many small blocks share one commit; a reader that waits ends the pause."""
RETRY_PAUSE_S: Final = 5.0

_LOG = Log("index")
_METHODS: Final = {
    (contract.address, selector): method.name
    for contract in registry.CONTRACTS.values()
    for selector, method in contract.by_selector.items()
}


class Batch:
    """The rows that a run of blocks adds, in order; `changes` are statements on rows that may be older."""

    def __init__(self) -> None:
        self.blocks: list[tuple[Any, ...]] = []
        self.transactions: list[tuple[Any, ...]] = []
        self.documents: list[tuple[Any, ...]] = []
        self.freezes: list[tuple[int, bytes]] = []
        self.inserts: list[tuple[sql.Table, dict[str, Any]]] = []
        self.changes: list[sql.Update] = []
        self.requests: dict[bytes, None] = {}
        """Requests for data that logs are about: what is owed under them may be another."""
        self.has_calendar = False
        self.catalogue = CatalogueChanges()
        self.counts: dict[str, int] = {}
        self.contract_counts: dict[bytes, int] = {}
        """Transactions by the 20-byte address of the EVM contract that they called or created."""

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter."""
        self.counts[name] = self.counts.get(name, 0) + number


class Index:
    """The index database and the thread that fills it; height is the last block whose rows are there."""

    def __init__(self, view: NodeView, path: Path, stages: StageClock) -> None:
        """Open or make the database at `path`; an index that is damaged, or of another chain or form, is made anew."""
        self._view = view
        self._stages = stages
        self._engine = _open(path)
        self.height = 0
        self._state_height = 0
        self._needs_seed = False
        self._departments: dict[bytes, str] = {}
        self._changed = threading.Condition()
        self._is_stopping = False
        self._is_awaited = False
        self._thread = threading.Thread(target=self._run, name="explorer-index", daemon=True)
        try:
            self._open_progress()
        except sql.exc.DatabaseError as error:
            if isinstance(error, sql.exc.OperationalError):
                # Locked, or no room: the file itself is sound.
                raise
            self._engine.dispose()
            _set_aside(path, error)
            self._engine = _open(path)
            self._open_progress()

    @property
    def engine(self) -> sql.Engine:
        """The database, to read."""
        return self._engine

    def start(self) -> None:
        """Begin to follow the ledger."""
        self._view.subscribe(lambda _: self._wake())
        self._thread.start()

    def stop(self) -> None:
        """Stop following; what was written stays."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._engine.dispose()

    def wait_for(self, height: int, timeout_s: float) -> bool:
        """Return whether the index holds the block of this height, waiting for it if need be."""
        with self._changed:
            if self.height >= height:
                return True
            self._is_awaited = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self.height >= height or self._is_stopping, timeout_s)

    def catch_up(self) -> None:
        """Index every final block that is not in yet."""
        if self._needs_seed:
            with contextlib.suppress(SeedStopped):
                self._seed()
        while not self._is_stopping and self.height < self._view.ledger.height:
            with self._stages.measure("index"):
                height, head_id, batch = self._collect()
                self._write(height, head_id, batch)
            with self._changed:
                self.height = height
                self._changed.notify_all()

    def _seed(self) -> None:
        """Begin above the snapshot that the ledger began from, with the records that its state holds by now."""
        ledger = self._view.ledger
        base = ledger.base_height
        with self._stages.measure("index"):
            state_height, values = ledger.pinned_state()
            _LOG.info("index_from_state", base_height=base, state_height=state_height)
            with self._engine.begin() as connection:
                seed_index(connection, values, lambda: self._is_stopping)
                seed_open_items(connection, ledger.state())
                connection.execute(START.insert(), {"base_height": base, "state_height": state_height})
                connection.execute(PROGRESS.update().values(height=base, block_id=block_id(ledger.header(base))))
        with self._changed:
            self.height, self._state_height, self._needs_seed = base, state_height, False
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        while not self._is_stopping:
            pause_s = PAUSE_S
            try:
                self.catch_up()
            except Exception:  # noqa: BLE001 - logged with its traceback; a dead thread would end the lists for good
                # A full disk, a locked file: the lists fall behind and say so, the node goes on.
                _LOG.exception("index_failed", retry_s=RETRY_PAUSE_S)
                pause_s = RETRY_PAUSE_S
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopping or self._is_awaited, pause_s)
                self._is_awaited = False
                self._changed.wait_for(lambda: self._is_stopping or self.height < self._view.ledger.height, 1.0)

    def _open_progress(self) -> None:
        """Take up the stored height, or start anew when the index is of another chain, form or history."""
        ledger = self._view.ledger
        with self._engine.begin() as connection:
            METADATA.create_all(connection)
            row = connection.execute(sql.select(PROGRESS)).first()
            start = connection.execute(sql.select(START)).first()
            if row is not None:
                if self._is_known(row, 0 if start is None else start.base_height):
                    self.height, self._state_height = row.height, 0 if start is None else start.state_height
                    return
                _LOG.info("index_made_anew", height=row.height)
                METADATA.drop_all(connection)
                METADATA.create_all(connection)
            self._needs_seed = ledger.base_height > 0
            connection.execute(
                PROGRESS.insert(),
                {"genesis_hash": ledger.genesis.hash, "schema_version": SCHEMA_VERSION, "height": 0, "block_id": b""},
            )

    def _is_known(self, row: Any, base_height: int) -> bool:
        """Return whether the stored progress is of this ledger's chain, from its first height up to one of its blocks."""
        ledger = self._view.ledger
        if (row.genesis_hash, row.schema_version) != (ledger.genesis.hash, SCHEMA_VERSION):
            return False
        if base_height != ledger.base_height or not base_height <= row.height <= ledger.height:
            return False
        return row.height == 0 or bool(block_id(ledger.header(row.height)) == row.block_id)

    def _collect(self) -> tuple[int, bytes, Batch]:
        """Return the next heights' last one, its block id, and the rows of all of them."""
        ledger, batch, height = self._view.ledger, Batch(), self.height
        last = min(ledger.height, height + MAX_BATCH_BLOCKS)
        header = None
        while height < last and len(batch.transactions) < MAX_BATCH_TRANSACTIONS:
            height += 1
            sealed, receipts = ledger.sealed_block(height), ledger.receipts(height)
            header = sealed.header
            batch.blocks.append((height, len(receipts)))
            is_new = height > self._state_height
            for index, (raw, receipt) in enumerate(zip(sealed.body.transactions, receipts, strict=True)):
                self._add_transaction(batch, height * MAX_POSITIONS + index, raw, receipt)
                batch.count("transactions", is_new)
                for log in receipt.logs if is_new else ():
                    self._add_log(batch, log)
        assert header is not None, "catch_up asks for blocks that are there"
        return height, block_id(header), batch

    def _add_transaction(self, batch: Batch, position: int, raw: bytes, receipt: Receipt) -> None:
        body = decode_trusted(raw, Transaction).body
        to = body.to or b""
        department = self._department_of(body.sender_key)
        method = _METHODS.get((to, body.data[:4]), "")
        contract, evm_address = CONTRACT_NAMES.get(to, ""), evm_contract_of(body.to, receipt)
        if evm_address is not None:
            contract = "0x" + evm_address.hex()
            batch.contract_counts[evm_address] = batch.contract_counts.get(evm_address, 0) + 1
        batch.transactions.append((position, department, contract, method, receipt.refusal or ""))
        if receipt.refusal is not None:
            batch.count("refused")
        elif to == _DEPLOYMENTS:
            # All that its methods do is to freeze and unfreeze, and each logs the contract that it is about.
            batch.freezes += [(position, log.topics[1][-20:]) for log in receipt.logs]

    def _department_of(self, public_key: bytes) -> str:
        department = self._departments.get(public_key)
        if department is None:
            account = load_account(self._view.ledger.state(), address_of(public_key))
            department = "" if account is None else account.department
            if len(self._departments) >= MAX_CACHED_SENDERS:
                self._departments.clear()
            self._departments[public_key] = department
        return department

    def _add_log(self, batch: Batch, log: ContractLog) -> None:
        if (request := request_of(log)) is not None:
            batch.requests[request] = None
        event = (log.address, log.topics[0]) if log.topics else (b"", b"")
        handler = _HANDLERS.get(event)
        if handler is None and event not in CATALOGUE_EVENTS:
            return
        try:
            decoded = registry.decode_log(log)
            if event in CATALOGUE_EVENTS:
                touch(batch.catalogue, decoded.contract, decoded.event, decoded.fields)
            if handler is not None:
                handler(batch, self._view, decoded.fields)
        except AbiError:
            # Only our own contracts write at these addresses; a log of an older form is left out of the lists.
            _LOG.warning("log_not_decoded", address=log.address)

    def _write(self, height: int, head_id: bytes, batch: Batch) -> None:
        with self._engine.begin() as connection:
            for table, rows in (
                (BLOCKS, batch.blocks),
                (TRANSACTIONS, batch.transactions),
                (DOCUMENTS, batch.documents),
                (FREEZES, batch.freezes),
            ):
                if rows:
                    # Rows in the order of the columns: naming them one by one costs more than writing them.
                    connection.exec_driver_sql(str(table.insert().compile(self._engine)), rows)
            for table, row in batch.inserts:
                connection.execute(table.insert(), row)
            for change in batch.changes:
                connection.execute(change)
            refresh_open_items(connection, self._view.ledger.state(), batch.requests)
            if batch.has_calendar:
                refresh_calendar_items(connection, self._view.ledger.state())
            drop_lapsed_items(connection, self._view.ledger.header(height).time_ms)
            batch.catalogue.write(connection, self._view.ledger.state())
            for address, number in batch.contract_counts.items():
                counted = DEPLOYED.c.transaction_count + number
                connection.execute(
                    DEPLOYED.update().where(DEPLOYED.c.address == address).values(transaction_count=counted)
                )
            for name, number in batch.counts.items():
                updated = connection.execute(
                    COUNTERS.update().where(COUNTERS.c.name == name).values(value=COUNTERS.c.value + number)
                )
                if not updated.rowcount:
                    connection.execute(COUNTERS.insert(), {"name": name, "value": number})
            connection.execute(PROGRESS.update().values(height=height, block_id=head_id))


def _open(path: Path) -> sql.Engine:
    engine = sql.create_engine(sql.URL.create("sqlite", database=str(path)), connect_args={"timeout": 5.0})

    @sql.event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        # Readers go on while the writer commits; the last commits may be lost with the machine's power, and are made again.
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    return engine


def _set_aside(path: Path, error: Exception) -> None:
    """Rename a database that cannot be read: all that it held can be read off the ledger again."""
    _LOG.warning("index_damaged", path=path, kept_as=f"{path.name}.damaged", error=error)
    for ending in ("", "-wal", "-shm"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.replace(path.with_name(f"{path.name}.damaged{ending}"))


def _deployed(batch: Batch, view: NodeView, fields: dict[str, Any]) -> None:
    row = {"address": fields["contract"], "department": fields["department"]}
    batch.inserts.append((DEPLOYED, row | {"transaction_count": 0}))
    batch.count("contracts")


def _issued(batch: Batch, view: NodeView, fields: dict[str, Any]) -> None:
    batch.documents.append((fields["document_digest"], fields["identifier"]))
    batch.count("certificates")


def _admitted(batch: Batch, view: NodeView, fields: dict[str, Any]) -> None:
    # Counted already: with its batch.
    batch.documents.append((fields["document_digest"], fields["identifier"]))


def _batch_issued(batch: Batch, view: NodeView, fields: dict[str, Any]) -> None:
    batch.count("certificates", fields["count"])


def _published(batch: Batch, view: NodeView, fields: dict[str, Any]) -> None:
    if fields["version"] == 1:
        batch.count("resources")


def _requested(batch: Batch, view: NodeView, fields: dict[str, Any]) -> None:
    row = {name: fields[name] for name in ("resource", "provider", "consumer")}
    row |= {"id": fields["request"], "state": sharing.WAITING, "was_granted": 0}
    # Its reach is put with what is owed under it, as after every log that is about it.
    batch.inserts.append((REQUESTS, row | NO_REACH))
    batch.count("requests")


def _answered(state: str) -> Callable[[Batch, NodeView, dict[str, Any]], None]:
    def handle(batch: Batch, view: NodeView, fields: dict[str, Any]) -> None:
        values: dict[str, Any] = {"state": state}
        if state == sharing.GRANTED:
            values["was_granted"] = 1
            batch.count("grants")
        batch.changes.append(REQUESTS.update().where(REQUESTS.c.id == fields["request"]).values(values))

    return handle


def _recalled(batch: Batch, view: NodeView, fields: dict[str, Any]) -> None:
    if fields["ends_grant"]:
        _answered(sharing.RECALLED)(batch, view, fields)


def _calendar_set(batch: Batch, view: NodeView, fields: dict[str, Any]) -> None:
    batch.has_calendar = True


def _batch_recorded(batch: Batch, view: NodeView, fields: dict[str, Any]) -> None:
    batch.count("access_records", fields["count"])


_HANDLERS: Final[dict[tuple[bytes, bytes], Callable[[Batch, NodeView, dict[str, Any]], None]]] = {
    (ADDRESSES[event.contract], event.topic): handler
    for event, handler in (
        (deployments.CONTRACT_DEPLOYED, _deployed),
        (certificates.ISSUED, _issued),
        (batches.ADMITTED, _admitted),
        (batches.BATCH_ISSUED, _batch_issued),
        (catalogue.PUBLISHED, _published),
        (sharing.REQUESTED, _requested),
        (sharing.DATA_GRANTED, _answered(sharing.GRANTED)),
        (sharing.DATA_REFUSED, _answered(sharing.REFUSED)),
        (sharing.DATA_STOPPED, _answered(sharing.STOPPED)),
        (sharing.DATA_RETURNED, _answered(sharing.RETURNED)),
        (sharing.AMENDED, _answered(sharing.WAITING)),
        (disputes.REOPENED, _answered(sharing.WAITING)),
        (recalls.RECALL_BEGUN, _recalled),
        (deadlines.CALENDAR_SET, _calendar_set),
        (access.BATCH_RECORDED, _batch_recorded),
        *PRODUCT_HANDLERS,
        *MATTER_HANDLERS,
    )
}
