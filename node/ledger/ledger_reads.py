"""Reads of final blocks and of the states after them, over the database as it goes on or as it was at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from consensus.messages import CommitCertificate
from consensus.validators import Validator, ValidatorSet
from contracts.validator_sets import load_validators_at
from node.chain.block import Header, Receipt, SealedBlock
from node.chain.codec import decode_trusted
from node.chain.proof import PROOF_VERSION, RecordProof, SetChange
from node.chain.state_proof import StateProof
from node.ledger.block_store import Base, BlockStore, Head
from node.ledger.state_store import StateStore
from node.ledger.storage import KeyReader, StorageError

T = TypeVar("T")


class UnknownHeight(LookupError):
    """There is no final block at this height, or its state is not kept any more; the message says which heights there are."""


class HistoryNotHeld(UnknownHeight):
    """What was asked for is older than the snapshot that this ledger began from, so that only other nodes can tell.

    The message says in Chinese and English (`zh`, `en`) from which heights on this one holds blocks and records.
    """

    def __init__(self, base: Base) -> None:
        """Tell of a ledger that began there."""
        self.base_height, self.first_block = base.height, base.first_block
        self.zh = (
            f"本节点自高度 {base.height} 的快照开始，区块自高度 {base.first_block} 起保存，"
            f"交易、回执与历史自高度 {base.height + 1} 起保存；更早的请查询保存全部历史的节点"
        )
        self.en = (
            f"this node began from a snapshot of height {base.height}: it holds blocks from {base.first_block} on, "
            f"transactions, receipts and history from {base.height + 1} on; for what is older ask a node that holds the "
            "whole history"
        )
        super().__init__(f"{self.zh} / {self.en}")


class StateReader:
    """The state at one height, to read."""

    def __init__(self, store: StateStore, past: tuple[int, int, int] | None) -> None:
        """Read the latest state, or with `past` = (root version, height, head height) an earlier one."""
        self._store = store
        self._past = past

    def get(self, key: bytes) -> bytes | None:
        """Return the value at `key`, or None when there is none."""
        return self._store.get(key) if self._past is None else self._store.get_at(*self._past, key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) of every key with this prefix in order, from prefix + start on; ValueError for an earlier height.

        Only the latest state is kept in an order.
        """
        if self._past is not None:
            raise ValueError("only the latest state can be iterated")
        return self._store.iterate(prefix, start)


class LedgerReads:
    """What can be read of a ledger; see Ledger, and PinnedLedger for one moment of it."""

    _head: Head

    def __init__(self, storage: KeyReader, cache_nodes: int) -> None:
        self._blocks = BlockStore(storage)
        self._store = StateStore(storage, cache_nodes)
        self._base = self._blocks.base()

    # Where it stands.

    @property
    def height(self) -> int:
        """The height of the last final block, 0 before the first."""
        return self._head.height

    @property
    def head_time_ms(self) -> int:
        """The time of the last final block, the genesis time before the first."""
        return self._head.time_ms

    @property
    def oldest_height(self) -> int:
        """The lowest height whose state can still be read and proved."""
        return self._head.oldest_height

    @property
    def base_height(self) -> int:
        """The height whose state was taken over from a snapshot, 0 where every block from the first on was executed here."""
        return self._base.height

    @property
    def first_block(self) -> int:
        """The lowest height whose block is here: 1, or what a snapshot's blocks reach down to."""
        return self._base.first_block

    @property
    def missing_history(self) -> HistoryNotHeld | None:
        """What to tell of something that is not found here but may be older than this ledger; None where nothing is older."""
        return HistoryNotHeld(self._base) if self._base.height else None

    # Final blocks.

    def sealed_block(self, height: int) -> SealedBlock:
        """Return a final block as peers serve it; raise UnknownHeight."""
        return decode_trusted(self.sealed_block_bytes(height), SealedBlock)

    def sealed_block_bytes(self, height: int) -> bytes:
        """Return the encoded SealedBlock of a final block; raise UnknownHeight."""
        return self._found(self._blocks.sealed_block_bytes(height) if 0 < height <= self.height else None, height)

    def header(self, height: int) -> Header:
        """Return the header of a final block; raise UnknownHeight."""
        return self._found(self._blocks.header(height) if 0 < height <= self.height else None, height)

    def certificate(self, height: int) -> CommitCertificate:
        """Return the certificate that made a block final; raise UnknownHeight."""
        return self._found(self._blocks.certificate(height) if 0 < height <= self.height else None, height)

    def receipts(self, height: int) -> Sequence[Receipt]:
        """Return the receipts of a final block in the order of its transactions; raise UnknownHeight."""
        return self._found(self._blocks.receipts(height) if 0 < height <= self.height else None, height)

    def find_transaction(self, transaction_id: bytes) -> tuple[int, int] | None:
        """Return (height, index in the block) of the final transaction with this 32-byte id, or None."""
        return self._blocks.find_transaction(transaction_id)

    def find_block(self, identifier: bytes) -> int | None:
        """Return the height of the final block with this 32-byte id, or None."""
        return self._blocks.find_block(identifier)

    def log_heights(self, address: bytes, first: int) -> Iterator[int]:
        """Yield in order the heights from `first` on of the final blocks in which the contract at an address has logged."""
        return self._blocks.log_heights(address, first)

    def validators_at(self, height: int) -> ValidatorSet:
        """Return the validators of a height up to the head's next; raise UnknownHeight."""
        if height == self.height + 1:
            return self._blocks.validators(self._head.validators_hash)
        if 0 < height < self._base.first_block:
            # No block of this height is here, but the state names every set that ever decided.
            records = load_validators_at(self.state(), height)
            return ValidatorSet([Validator(record.address, record.public_key) for record in records])
        return self._blocks.validators(self.header(height).validators_hash)

    # States.

    def state(self, height: int | None = None) -> StateReader:
        """Return the state after a height, the latest for None; raise UnknownHeight for one that is not kept."""
        if height is None or height == self.height:
            return StateReader(self._store, None)
        return StateReader(self._store, (self._root_version(height), height, self.height))

    def prove(self, key: bytes, height: int | None = None) -> StateProof:
        """Return the proof of what the state after a height holds at `key`; raise UnknownHeight for one that is not kept."""
        return self._store.prove(self._root_version(self.height if height is None else height), key)

    def record_proof(self, key: bytes, height: int | None = None, anchor_height: int = 0) -> RecordProof:
        """Return the proof of `key` after a final height for whoever trusts the chain's validators as of `anchor_height`.

        Raises UnknownHeight for a height that is not kept, is below 1, or is not above the anchor.
        """
        height = self.height if height is None else height
        if not 0 <= anchor_height < height:
            raise UnknownHeight(f"expected a height above the trusted height {anchor_height}, found {height}")
        state_proof = self.prove(key, height)
        walk = self._walk(anchor_height, height)
        return RecordProof(
            PROOF_VERSION,
            key,
            self.state(height).get(key),
            state_proof,
            self.header(height),
            self.certificate(height),
            self.validators_at(height).members,
            walk,
        )

    # Inside.

    def _walk(self, above: int, below: int) -> tuple[SetChange, ...]:
        return tuple(
            SetChange(self.header(change), self.certificate(change), self.validators_at(change).members)
            for change in self._blocks.set_changes(above, below)
        )

    def _root_version(self, height: int) -> int:
        if 0 <= height < self._base.height:
            raise HistoryNotHeld(self._base)
        if not self.oldest_height <= height <= self.height:
            raise UnknownHeight(
                f"expected a height from {self.oldest_height} to {self.height}, whose states are kept, found {height}"
            )
        return self._blocks.root_version(height)

    def _found(self, value: T | None, height: int) -> T:
        if value is None and 0 < height <= self._base.height:
            raise HistoryNotHeld(self._base)
        if value is None:
            raise UnknownHeight(f"expected a final height from 1 to {self.height}, found {height}")
        return value


class PinnedLedger(LedgerReads):
    """A ledger as it was at one moment: its head, blocks and states belong together."""

    def __init__(self, storage: KeyReader, cache_nodes: int) -> None:
        """Read the database, of which at most about `cache_nodes` tree nodes are kept; raise StorageError when it is empty."""
        super().__init__(storage, cache_nodes)
        head = self._blocks.load_head()
        if head is None:
            raise StorageError("the database is empty: it holds no ledger")
        self._head = head
