"""Re-verifies the stored chain of a stopped node: every block, signature and certificate, and the state that they lead to.

Nothing is taken on the word of the database. From genesis, each block is executed again into a second ledger in a scratch
folder, and every table must then hold the same entries; from a later height, the state must be that of the last certified header.
A ledger that began from a snapshot lacks the state that its blocks were executed over: it is checked as from a later height, its
validators followed from genesis by the changes of the set that came with the snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from consensus.certificate import InvalidCertificate, verify_certificate
from consensus.messages import CommitCertificate
from consensus.validators import Validator, ValidatorSet
from node.chain.block import Body, Header, Receipt, block_id, evidence_root, receipts_root, transactions_root
from node.chain.codec import CodecError, decode
from node.chain.genesis import Genesis
from node.driver.signature_verifier import verify_transactions
from node.driver.txpool import Rejection
from node.ledger.block_store import (
    BASE_KEY,
    BLOCK_ID_TABLE,
    BODY_TABLE,
    CERTIFICATE_TABLE,
    EARLIER_PEAKS_KEY,
    HEAD_KEY,
    HEADER_TABLE,
    LOG_TABLE,
    RECEIPTS_TABLE,
    ROOT_TABLE,
    SET_CHANGE_TABLE,
    TRANSACTION_TABLE,
    VALIDATORS_TABLE,
    Base,
    BlockStore,
    Head,
)
from node.ledger.ledger import InvalidBlock, Ledger
from node.ledger.state_check import DamagedState, check_state
from node.ledger.state_store import NODE_TABLE, REPLACED_TABLE, STALE_TABLE, VALUE_TABLE, StateStore
from node.ledger.storage import DamagedDatabase, Storage
from sm_crypto.merkle import AppendOnlyTree, MerkleError, leaf_hash
from sm_crypto.sm2 import verify_batch

WINDOW_BLOCKS: Final = 256
WINDOW_TRANSACTIONS: Final = 4_000
"""Blocks are read, their signatures checked in one batch, and executed, so many at a time."""
CACHE_NODES: Final = 100_000

_HEIGHT_BYTES: Final = 6
_TABLES: Final = {
    HEAD_KEY: "head",
    BASE_KEY: "base",
    EARLIER_PEAKS_KEY: "history before the head",
    VALUE_TABLE: "value",
    NODE_TABLE: "tree node",
    STALE_TABLE: "list of replaced tree nodes",
    REPLACED_TABLE: "replaced values",
    ROOT_TABLE: "state root version",
    TRANSACTION_TABLE: "transaction index",
    BLOCK_ID_TABLE: "block index",
    LOG_TABLE: "log index",
    SET_CHANGE_TABLE: "index of set changes",
    VALIDATORS_TABLE: "validator set",
}

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
"""Called with the stage ("headers", "blocks", "state", "tables"), what is done of it, and all of it (0 where unknown)."""


class Damage(msgspec.Struct, frozen=True):
    """The first thing that is not what it should be: at which height, in which field, and how it differs."""

    height: int
    field: str
    reason: str


class LedgerReport(msgspec.Struct, frozen=True):
    """What was checked up to the last final height; `damage` is None where all of it holds."""

    height: int
    first_height: int
    """The lowest height whose certificate, signatures and roots were checked."""
    blocks: int
    transactions: int
    executed: int
    """How many blocks were executed again: all of them from genesis, none from a later height or in a ledger from a snapshot."""
    state_values: int
    base_height: int
    """The height whose state came with a snapshot, 0 in a ledger that began at genesis."""
    set_changes: int
    """How many changes of the validator set were followed, each certified by the set before it, below the first block here."""
    damage: Damage | None


class CheckImpossible(Exception):
    """The stored chain cannot be checked as asked; the message says why, in Chinese and English."""


class _Found(Exception):
    def __init__(self, height: int, field: str, reason: object) -> None:
        super().__init__()
        self.damage = Damage(height, field, str(reason))


class _Block(msgspec.Struct, frozen=True):
    header: Header
    id: bytes
    body: Body
    certificate: CommitCertificate


def check_ledger(
    path: Path,
    genesis: Genesis,
    scratch: Path,
    progress: Progress,
    *,
    after_height: int = 0,
    trusted_set: bytes | None = None,
) -> LedgerReport:
    """Return what checking the database in the folder `path` found; blocks above `after_height` are checked in full.

    `trusted_set` is the hash of the validator set known from elsewhere to decide after_height + 1; without it, the header
    stored at `after_height` is believed. Raises CheckImpossible, or StorageError where the folder cannot be read.
    """
    if not (path / "CURRENT").exists():
        raise CheckImpossible(f"{path} 中没有账本 / there is no ledger in {path}")
    try:
        storage = Storage(path)
    except DamagedDatabase as error:
        return LedgerReport(0, 0, 0, 0, 0, 0, 0, 0, Damage(0, "database", str(error)))
    try:
        check = _LedgerCheck(storage, genesis, progress, after_height, trusted_set)
        return check.run(scratch)
    finally:
        storage.close()


class _LedgerCheck:
    """One pass over one database."""

    def __init__(
        self, storage: Storage, genesis: Genesis, progress: Progress, after_height: int, trusted_set: bytes | None
    ) -> None:
        self._storage = storage
        self._blocks = BlockStore(storage)
        self._genesis = genesis
        self._progress = progress
        self._after = after_height
        self._trusted_set = trusted_set
        self._history: AppendOnlyTree | None = AppendOnlyTree()
        """None while the ids of the blocks before the first one here are not known."""
        self._base = Base(0, 1)
        self._followed = 0
        self._walked = 0
        self._changes: list[int] = []
        self._parent_id = genesis.hash
        self._next_set = genesis.validator_set().hash
        self._time_ms = genesis.time_ms
        self._block_count = self._transaction_count = self._executed_count = self._value_count = 0
        self._height = 0

    def run(self, scratch: Path) -> LedgerReport:
        """Return the report; the scratch folder holds the second ledger."""
        damage = None
        try:
            head = self._load_head()
            self._base = self._load_base(head)
            self._walk_sets()
            self._walk_headers()
            if self._after or self._base.height:
                self._check_blocks(None)
                self._check_head(head)
                self._check_state(head)
            else:
                ledger = Ledger.open(scratch, self._genesis)
                try:
                    self._check_blocks(ledger)
                    self._check_head(head)
                    self._check_state(head)
                finally:
                    ledger.close()
                self._compare_tables(scratch)
        except _Found as found:
            damage = found.damage
        except DamagedDatabase as error:
            damage = Damage(self._height, "database", str(error))
        return LedgerReport(
            self._height,
            self._after + 1,
            self._block_count,
            self._transaction_count,
            self._executed_count,
            self._value_count,
            self._base.height,
            self._walked,
            damage,
        )

    def _load_head(self) -> Head:
        try:
            head = self._blocks.load_head()
        except CodecError as error:
            raise _Found(0, "head", error) from None
        if head is None:
            raise CheckImpossible("账本是空的 / the ledger is empty")
        if head.genesis_hash != self._genesis.hash:
            raise CheckImpossible(
                f"账本属于创世 {head.genesis_hash.hex()} 的网络，genesis.json 是 {self._genesis.hash.hex()} / "
                f"the ledger is of the network with genesis {head.genesis_hash.hex()}, genesis.json is {self._genesis.hash.hex()}"
            )
        if not self._after <= head.height:
            raise CheckImpossible(
                f"账本只到高度 {head.height}，不能从 {self._after} 起核验 / "
                f"the ledger ends at height {head.height}: it cannot be checked from {self._after}"
            )
        self._height = head.height
        return head

    def _load_base(self, head: Head) -> Base:
        try:
            base = self._blocks.base()
        except CodecError as error:
            raise _Found(0, "base", error) from None
        if base.height and not 0 < base.first_block <= base.height <= head.height:
            reason = f"expected its block and height up to {head.height}, found {base.first_block} and {base.height}"
            raise _Found(0, "base", reason)
        return base

    # Blocks.

    def _walk_sets(self) -> None:
        """Follow the set from genesis through its certified changes below the first block here, and take up the chain there."""
        first = self._base.first_block
        for height in self._blocks.set_changes(0, first):
            self._check_trusted_set(height - 1)
            header = self._read(HEADER_TABLE, height, Header, "header")
            certificate = self._read(CERTIFICATE_TABLE, height, CommitCertificate, "certificate")
            _expect(height, "header.height", height, header.height)
            _expect(height, "header.validators_hash", self._next_set, header.validators_hash)
            validators = self._read_set(height, self._next_set)
            try:
                verify_certificate(certificate, block_id(header), validators, self._genesis.hash, verify_batch)
            except InvalidCertificate as error:
                raise _Found(height, "certificate", error) from None
            self._next_set = header.next_validators_hash
            self._walked += 1
        if first > 1:
            self._check_trusted_set(first - 1)
            header = self._read(HEADER_TABLE, first, Header, "header")
            self._parent_id, self._history, self._followed = header.parent_id, None, first - 1
            self._after = max(self._after, first - 1)

    def _check_trusted_set(self, last: int) -> None:
        """Compare the set followed so far with the trusted one where that decides a height up to last + 1; once is enough."""
        if self._trusted_set is None or self._after > last:
            return
        if self._next_set != self._trusted_set:
            raise _Found(
                self._after,
                "next_validators_hash",
                f"expected {self._trusted_set.hex()} as the trust file says, found {self._next_set.hex()}",
            )
        self._trusted_set = None

    def _walk_headers(self) -> None:
        """Follow the chain of ids from the first block here to the height that the check begins after."""
        for height in range(self._followed + 1, self._after + 1):
            header = self._read(HEADER_TABLE, height, Header, "header")
            self._follow(header, block_id(header))
            self._report("headers", height, self._after)
        self._check_trusted_set(self._after)

    def _check_blocks(self, ledger: Ledger | None) -> None:
        height, end = self._after + 1, self._height
        while height <= end:
            height = self._check_window(height, ledger)
            self._progress("blocks", height - 1 - self._after, end - self._after)

    def _check_window(self, first: int, ledger: Ledger | None) -> int:
        """Check the next blocks, their signatures in one batch, and return the height that follows them."""
        blocks: list[_Block] = []
        seals: list[tuple[int, tuple[bytes, bytes, bytes]]] = []
        found: _Found | None = None
        transactions = 0
        for height in range(first, min(first + WINDOW_BLOCKS, self._height + 1)):
            try:
                block, items = self._read_block(height)
            except _Found as error:
                # What stands before it is still to be checked: the lowest damage is named.
                found = error
                break
            blocks.append(block)
            seals += [(height, item) for item in items]
            transactions += len(block.body.transactions)
            if transactions >= WINDOW_TRANSACTIONS:
                break
        self._check_seals(seals)
        self._execute(blocks, ledger)
        if found is not None:
            raise found
        return first + len(blocks)

    def _read_block(self, height: int) -> tuple[_Block, list[tuple[bytes, bytes, bytes]]]:
        """Return a stored block, all of it as its header says, with the signatures that its certificate needs verified."""
        header = self._read(HEADER_TABLE, height, Header, "header")
        certificate = self._read(CERTIFICATE_TABLE, height, CommitCertificate, "certificate")
        body = self._read(BODY_TABLE, height, Body, "body")
        identifier = block_id(header)
        if header.height != height or certificate.height != height or certificate.block_id != identifier:
            field = "header" if certificate.block_id == self._id_by_successor(height) else "certificate"
            raise _Found(
                height, field, f"the header's id is {identifier.hex()}, certified {certificate.block_id.hex()}"
            )
        validators = self._read_set(height, header.validators_hash)
        items: list[tuple[bytes, bytes, bytes]] = []

        def collect(batch: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
            items.extend(batch)
            return [True] * len(batch)

        try:
            verify_certificate(certificate, identifier, validators, self._genesis.hash, collect)
        except InvalidCertificate as error:
            raise _Found(height, "certificate", error) from None
        for field, expected, present in (
            ("body.transactions", header.transactions_root, transactions_root(body.transactions)),
            ("body.evidence", header.evidence_root, evidence_root(body.evidence)),
        ):
            _expect(height, field, expected, present)
        self._check_receipts(header)
        self._follow(header, identifier)
        return _Block(header, identifier, body, certificate), items

    def _check_receipts(self, header: Header) -> None:
        """Check a block's receipts; of blocks that a snapshot brought there are none: they were not executed here."""
        height = header.height
        if height > self._base.height:
            receipts = self._read(RECEIPTS_TABLE, height, list[Receipt], "receipts")
            _expect(height, "receipts", header.receipts_root, receipts_root(receipts))
            for address in {log.address for receipt in receipts for log in receipt.logs}:
                _expect(height, "log index", height, next(self._blocks.log_heights(address, height), None))
        elif self._storage.get(RECEIPTS_TABLE + height.to_bytes(_HEIGHT_BYTES)) is not None:
            raise _Found(height, "receipts", f"expected none up to the snapshot's height {self._base.height}")

    def _follow(self, header: Header, identifier: bytes) -> None:
        """Check that the header stands over those before it, and go on to it."""
        height = header.height
        _expect(height, "header.height", self._followed + 1, height)
        _expect(height, "header.parent_id", self._parent_id, header.parent_id)
        _expect(height, "header.validators_hash", self._next_set, header.validators_hash)
        _expect(height, "block index", height, self._blocks.find_block(identifier))
        if self._history is not None:
            _expect(height, "header.history_root", self._history.root(), header.history_root)
            self._history.append(leaf_hash(identifier))
        if header.next_validators_hash != header.validators_hash:
            self._changes.append(height)
        self._followed = height
        self._parent_id = identifier
        self._next_set = header.next_validators_hash
        self._time_ms = header.time_ms

    def _id_by_successor(self, height: int) -> bytes | None:
        """Return what the entry after a block says its id is: the third witness where header and certificate differ."""
        try:
            if height == self._height:
                head = self._blocks.load_head()
                return None if head is None else head.block_id
            return self._read(HEADER_TABLE, height + 1, Header, "header").parent_id
        except (_Found, CodecError):
            return None

    def _read_set(self, height: int, set_hash: bytes) -> ValidatorSet:
        raw = self._storage.get(VALIDATORS_TABLE + set_hash)
        try:
            if raw is None:
                raise ValueError(f"the set {set_hash.hex()} is missing")
            validators = ValidatorSet(decode(raw, list[Validator]))
        except (CodecError, ValueError) as error:
            raise _Found(height, "validator set", error) from None
        _expect(height, "validator set", set_hash, validators.hash)
        return validators

    def _check_seals(self, seals: list[tuple[int, tuple[bytes, bytes, bytes]]]) -> None:
        verdicts = verify_batch([item for _, item in seals]) if seals else []
        for (height, _), is_valid in zip(seals, verdicts, strict=True):
            if not is_valid:
                raise _Found(height, "certificate", "a signature is not that validator's over this precommit")

    def _execute(self, blocks: list[_Block], ledger: Ledger | None) -> None:
        """Check the signatures of the blocks' transactions in one batch and, with a ledger, execute them into it."""
        verdicts = iter(verify_transactions([raw for block in blocks for raw in block.body.transactions]))
        for block in blocks:
            header, transactions = block.header, []
            for index in range(len(block.body.transactions)):
                verdict = next(verdicts)
                if isinstance(verdict, Rejection):
                    raise _Found(header.height, f"body.transactions[{index}]", verdict.message)
                place = self._blocks.find_transaction(verdict.id)
                _expect(header.height, "transaction index", (header.height, index), place)
                transactions.append(verdict)
            if ledger is not None:
                try:
                    executed = ledger.execute_block(header, transactions, block.body.evidence)
                    ledger.commit(executed, block.certificate)
                except (InvalidBlock, ValueError) as error:
                    raise _Found(header.height, "execution", error) from None
                self._executed_count += 1
            self._block_count += 1
            self._transaction_count += len(transactions)

    # What stands at the head.

    def _check_head(self, head: Head) -> None:
        """Check the record of where the ledger stands against the last block."""
        _expect(self._height, "head.block_id", self._parent_id, head.block_id)
        _expect(self._height, "head.time_ms", self._time_ms, head.time_ms)
        _expect(self._height, "head.validators_hash", self._next_set, head.validators_hash)
        if self._height:
            header = self._read(HEADER_TABLE, self._height, Header, "header")
            _expect(self._height, "head.state_root", header.state_root, head.state_root)
        history = self._stored_history() if self._base.height or self._history is None else self._history
        _expect(self._height, "head.history", history.peaks, head.history_peaks)
        changes = tuple(self._blocks.set_changes(self._base.first_block - 1, self._height + 1))
        _expect(self._height, "index of set changes", tuple(self._changes), changes)

    def _stored_history(self) -> AppendOnlyTree:
        """Return the tree over all blocks' ids: as stored before the head, which the head's header vouches for, and the head's."""
        header = self._read(HEADER_TABLE, self._height, Header, "header")
        try:
            history = AppendOnlyTree(self._height - 1, self._blocks.earlier_peaks() or ())
        except (CodecError, MerkleError) as error:
            raise _Found(self._height, "history before the head", error) from None
        _expect(self._height, "history before the head", header.history_root, history.root())
        history.append(leaf_hash(self._parent_id))
        return history

    def _check_state(self, head: Head) -> None:
        """Check the state tree and every value against the state root, which the last block's certificate vouches for."""
        store = StateStore(self._storage, CACHE_NODES)
        try:
            for count in check_state(store, head.root_version, head.state_root):
                self._value_count = count
                self._report("state", count, 0)
        except DamagedState as error:
            raise _Found(self._height, error.field, error.reason) from None

    def _compare_tables(self, scratch: Path) -> None:
        """Check every entry that is no block against what executing all blocks again has written."""
        second = Storage(scratch)
        try:
            for done, (table, name) in enumerate(_TABLES.items()):
                for key, found, expected in _differences(self._storage.iterate(table), second.iterate(table)):
                    raise _Found(
                        _height_of(table, key, found or expected or b"") or self._height,
                        name,
                        f"entry {key.hex()}: expected {_shown(expected)}, found {_shown(found)}",
                    )
                self._progress("tables", done + 1, len(_TABLES))
        finally:
            second.close()

    # Reading.

    def _read(self, table: bytes, height: int, kind: type[T], field: str) -> T:
        raw = self._storage.get(table + height.to_bytes(_HEIGHT_BYTES))
        if raw is None:
            raise _Found(height, field, "missing")
        try:
            return decode(raw, kind)
        except CodecError as error:
            raise _Found(height, field, error) from None

    def _report(self, stage: str, done: int, total: int) -> None:
        if done % WINDOW_BLOCKS == 0 or done == total:
            self._progress(stage, done, total)


def _differences(
    found: Iterator[tuple[bytes, bytes]], expected: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield (key, found value, expected value) where two ordered tables differ, None where an entry is missing."""
    left, right = next(found, None), next(expected, None)
    while left is not None or right is not None:
        if left == right:
            left, right = next(found, None), next(expected, None)
        elif right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            yield left[0], left[1], None
            left = next(found, None)
        elif left is None or left[0] > right[0]:
            yield right[0], None, right[1]
            right = next(expected, None)
        else:
            yield left[0], left[1], right[1]
            left, right = next(found, None), next(expected, None)


def _height_of(table: bytes, key: bytes, value: bytes) -> int:
    """Return the height that an entry belongs to, 0 for one of the head."""
    if table in (TRANSACTION_TABLE, BLOCK_ID_TABLE):
        return int.from_bytes(value[:_HEIGHT_BYTES])
    if table == LOG_TABLE:
        return int.from_bytes(key[-_HEIGHT_BYTES:])
    return 0 if table in (VALUE_TABLE, VALIDATORS_TABLE) else int.from_bytes(key[1 : 1 + _HEIGHT_BYTES])


def _expect(height: int, field: str, expected: object, found: object) -> None:
    if expected != found:
        raise _Found(height, field, f"expected {_shown(expected)}, found {_shown(found)}")


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return value[:64].hex() if isinstance(value, bytes) else str(value)
