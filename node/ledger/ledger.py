"""The ledger: final blocks and the state after them; builds and executes candidates, and commits one block in one batch.

Not for several threads at once, but for reads of final blocks (sealed_block, header, certificate, receipts, validators_at,
find_transaction, find_block) and of the latest values (state, pinned_state, pin), which any thread may make.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from consensus.evidence import Evidence, InvalidEvidence
from consensus.messages import CommitCertificate
from consensus.validators import ValidatorSet
from contracts.governance import load_parameters
from contracts.parameters import ChainParameters
from contracts.refusals import Refused
from contracts.registry import write_genesis
from node.chain.block import Body, Header, Receipt, SealedBlock, block_id
from node.chain.codec import CodecError, encode
from node.chain.genesis import Genesis
from node.chain.transaction import VerifiedTransaction
from node.chain.world_state import WorldState, load_account_count
from node.ledger.block_store import (
    FORMAT,
    Head,
    block_entries,
    earlier_peaks_entry,
    head_entry,
    root_entry,
    validators_entry,
)
from node.ledger.candidates import Candidates, ExecutedBlock, InvalidBlock, validators_in
from node.ledger.evidence_judge import find_offender, judge_evidence
from node.ledger.ledger_reads import HistoryNotHeld, LedgerReads, StateReader, UnknownHeight
from node.ledger.snapshot import SnapshotSource
from node.ledger.state_store import pinned_values
from node.ledger.storage import AnotherNetwork, PinnedStorage, Storage, StorageError
from sm_crypto.merkle import AppendOnlyTree, leaf_hash

__all__ = [
    "CommittedBlock",
    "ExecutedBlock",
    "HistoryNotHeld",
    "InvalidBlock",
    "Ledger",
    "StateReader",
    "UnknownHeight",
]

RECENT_BLOCKS: Final = 4
MAX_NEW_IDS: Final = 100_000
"""Ids known to stand in no final block, about 10 MB at most: more than the pool holds."""
DEFAULT_CACHE_NODES: Final = 200_000
DEFAULT_KEPT_HEIGHTS: Final = 128


class CommittedBlock(msgspec.Struct, frozen=True, gc=False):
    """A final block with its receipts, as those who follow the ledger get it."""

    header: Header
    block_id: bytes
    transactions: tuple[VerifiedTransaction, ...]
    evidence: tuple[bytes, ...]
    receipts: tuple[Receipt, ...]
    certificate: CommitCertificate


class Ledger(LedgerReads):
    """Final blocks and state in one database; see open()."""

    @classmethod
    def open(
        cls,
        path: Path,
        genesis: Genesis,
        *,
        state_cache_nodes: int = DEFAULT_CACHE_NODES,
        kept_heights: int = DEFAULT_KEPT_HEIGHTS,
    ) -> Ledger:
        """Open the database in the folder `path`, or begin it from `genesis`.

        `state_cache_nodes` bounds the tree nodes in memory (up to 1 kB each), `kept_heights` how many heights' states still prove.
        Raises StorageError when the folder is in use, damaged, unwritable or another network's, or the genesis is refused.
        """
        storage = Storage(path)
        try:
            return cls(storage, path, genesis, state_cache_nodes, kept_heights)
        except BaseException:
            storage.close()
            raise

    def __init__(self, storage: Storage, path: Path, genesis: Genesis, cache_nodes: int, kept_heights: int) -> None:
        self.genesis = genesis
        super().__init__(storage, cache_nodes)
        self._storage = storage
        self._kept_heights = kept_heights
        self._candidates = Candidates(genesis, self._store, self.is_repeated)
        self._recent: dict[int, CommittedBlock] = {}
        self._new_ids: set[bytes] = set()
        try:
            head = self._blocks.load_head()
            if head is None:
                head = self._begin(path)
            if head.format != FORMAT:
                raise StorageError(f"{path}: expected data of format {FORMAT}, found format {head.format}")
            if head.genesis_hash != genesis.hash:
                found, expected = head.genesis_hash.hex(), genesis.hash.hex()
                raise AnotherNetwork(
                    f"{path} 属于另一个网络：数据的创世是 {found}，genesis.json 是 {expected}；请换回正确的 genesis.json，"
                    f"或改用另一个数据文件夹 / {path}: the data belongs to another network: its genesis is {found}, "
                    f"genesis.json's {expected}; put the right genesis.json back, or use another data folder"
                )
            self._take(head, self._blocks.validators(head.validators_hash))
            self.head_header = self._checked_header(path) if head.height else None
        except (CodecError, ValueError, LookupError) as error:
            raise StorageError(f"{path}: the database is damaged: {error}") from None

    def close(self) -> None:
        """Close the database."""
        self._storage.close()

    # What stands at the head.

    @property
    def head_id(self) -> bytes:
        """The id of the last final block, the genesis hash before the first."""
        return self._head.block_id

    @property
    def cached_nodes(self) -> int:
        """How many state tree nodes are in memory."""
        return self._store.cached_nodes

    def validators(self) -> ValidatorSet:
        """Return the validators that decide the next height."""
        return self._validators

    def parameters(self) -> ChainParameters:
        """Return the chain parameters that hold for the next height."""
        return self._parameters

    # Candidates.

    def build_block(
        self,
        transactions: Sequence[VerifiedTransaction],
        time_ms: int,
        proposer: bytes,
        evidence: Sequence[bytes] = (),
    ) -> ExecutedBlock:
        """Return the next block over those of `transactions` that fit, in order; its `unfit` names those that never will.

        Of the pieces of `evidence` it carries those that judge_evidence takes, in their order in a block.

        Raises ValueError on a time not above the parent's, LocalFault when this machine cannot execute.
        """
        return self._candidates.build(transactions, time_ms, proposer, evidence)

    def judge_evidence(self, raw: bytes) -> Evidence:
        """Return the evidence that `raw` encodes if the next block may carry it; raise InvalidEvidence saying why it may not.

        It may not when it is malformed, of a height above the head, not proven by two signatures, or on the chain already.
        """
        return judge_evidence(raw, self._store, self.height, self.genesis.hash).evidence

    def may_carry(self, evidence: Evidence) -> bool:
        """Return whether the next block may carry evidence that convicts: not of a height above the head, nor on the chain already.

        Reads no signatures.
        """
        try:
            find_offender(evidence, self._store, self.height)
        except InvalidEvidence:
            return False
        return True

    def execute_block(
        self, header: Header, transactions: Sequence[VerifiedTransaction], evidence: Sequence[bytes]
    ) -> ExecutedBlock:
        """Return the block executed over the head; raise InvalidBlock when it breaks a rule or states another result.

        A block that was built or executed before costs nothing again.
        Raises LocalFault when this machine cannot execute.
        """
        return self._candidates.execute(header, transactions, evidence)

    def commit(self, executed: ExecutedBlock, certificate: CommitCertificate) -> CommittedBlock:
        """Make an executed block final, on disk in one synced batch when this returns.

        The certificate is the caller's to verify. Raises ValueError when it or the block does not belong here, StorageError
        when the batch cannot be written: the ledger then still stands where it stood, and takes no further block.
        """
        header, head = executed.header, self._head
        if header.height != head.height + 1 or header.parent_id != head.block_id:
            raise ValueError(
                f"expected a block of height {head.height + 1} over the head, found height {header.height}"
            )
        if certificate.block_id != executed.block_id or certificate.height != header.height:
            raise ValueError("expected the certificate of this very block, found another's")
        history = AppendOnlyTree(head.history_count, head.history_peaks)
        history.append(leaf_hash(executed.block_id))
        oldest, pruned = self._store.prune_entries(head.oldest_height, header.height - self._kept_heights)
        new_head = Head(
            FORMAT,
            head.genesis_hash,
            header.height,
            executed.block_id,
            header.time_ms,
            header.state_root,
            head.root_version if executed.tree is None else executed.tree.root_version,
            header.next_validators_hash,
            history.count,
            history.peaks,
            oldest,
        )
        puts, deletes = self._store.entries(header.height, executed.tree, executed.changes, executed.replaced)
        body = encode(Body([transaction.raw for transaction in executed.transactions], list(executed.evidence)))
        ids = [transaction.id for transaction in executed.transactions]
        loggers = {log.address for receipt in executed.receipts for log in receipt.logs}
        puts += block_entries(header, body, certificate, executed.encoded_receipts, ids, loggers)
        puts.append(root_entry(header.height, new_head.root_version))
        puts.append(earlier_peaks_entry(head.history_peaks))
        if executed.next_validators.hash != self._validators.hash:
            puts.append(validators_entry(executed.next_validators))
        puts.append(head_entry(new_head))
        self._storage.write(puts, deletes + pruned)
        # From here on nothing can fail: memory follows what is on disk.
        self._new_ids.difference_update(ids)
        self._store.saved(executed.tree)
        self._take(new_head, executed.next_validators)
        self.head_header = header
        committed = CommittedBlock(
            header, executed.block_id, executed.transactions, executed.evidence, executed.receipts, certificate
        )
        self._recent[header.height] = committed
        self._recent.pop(header.height - RECENT_BLOCKS, None)
        return committed

    # Reads of final blocks.

    def sealed_block(self, height: int) -> SealedBlock:
        """Return a final block as peers serve it; raise UnknownHeight."""
        recent = self._recent.get(height)
        if recent is None:
            return super().sealed_block(height)
        body = Body([transaction.raw for transaction in recent.transactions], list(recent.evidence))
        return SealedBlock(recent.header, body, recent.certificate)

    def receipts(self, height: int) -> Sequence[Receipt]:
        """Return the receipts of a final block in the order of its transactions; raise UnknownHeight."""
        recent = self._recent.get(height)
        return super().receipts(height) if recent is None else recent.receipts

    def validators_at(self, height: int) -> ValidatorSet:
        """Return the validators of a height up to the head's next; raise UnknownHeight."""
        return self._validators if height == self.height + 1 else super().validators_at(height)

    def is_repeated(self, transaction_id: bytes) -> bool:
        """Return whether a final block holds the transaction with this 32-byte id; for the thread that commits only."""
        # The pool asks first, the block's execution a moment later: only the first has to look on disk.
        if transaction_id in self._new_ids:
            return False
        if self._blocks.find_transaction(transaction_id) is not None:
            return True
        if len(self._new_ids) >= MAX_NEW_IDS:
            self._new_ids.clear()
        self._new_ids.add(transaction_id)
        return False

    # Reads and proofs of the state.

    def pinned_state(self) -> tuple[int, Iterator[tuple[bytes, bytes]]]:
        """Return a final height and (key, value) of all the state after it, in the order of keys, whatever is written later."""
        while True:
            before, values, after = self._blocks.load_head(), pinned_values(self._storage), self._blocks.load_head()
            # Head and state are written in one batch: what was read between two equal heads is that head's.
            if before is not None and before == after:
                return before.height, values

    def pin(self) -> PinnedStorage:
        """Return the whole database as it is now, for LedgerView; any thread may ask."""
        return self._storage.pin()

    def account_nonce(self, address: bytes) -> int:
        """Return how many transactions of this address final blocks hold."""
        return load_account_count(self._store.get, address)

    def snapshot_source(self) -> SnapshotSource:
        """Return the head and the state as they are now, for a snapshot; raise UnknownHeight before the first block."""
        header, peaks = self.head_header, self._blocks.earlier_peaks()
        if header is None or peaks is None:
            raise UnknownHeight("expected a final block, there is none yet")
        height = header.height
        return SnapshotSource(
            header,
            self.certificate(height),
            self.validators_at(height).members,
            self._walk(0, height),
            peaks,
            pinned_values(self._storage),
        )

    # Inside.

    def _begin(self, path: Path) -> Head:
        """Write the genesis state as version 0 and return the head over it; raise StorageError when the genesis is refused."""
        genesis = self.genesis
        state = WorldState(lambda key: None)
        try:
            write_genesis(state, genesis.departments, genesis.validators, genesis.parameters, genesis.time_ms)
            validators = validators_in(state)
        except (Refused, ValueError) as error:
            raise StorageError(f"{path}: the genesis is refused: {error}") from None
        changes = state.changes()
        tree = self._store.update(None, 0, changes)
        assert tree is not None, "the first version of the tree is always saved"
        head = Head(
            FORMAT, genesis.hash, 0, genesis.hash, genesis.time_ms, tree.root_hash, 0, validators.hash, 0, (), 0
        )
        puts, _ = self._store.entries(0, tree, changes, {})
        puts += [root_entry(0, 0), validators_entry(validators), head_entry(head)]
        self._storage.write(puts)
        return head

    def _take(self, head: Head, validators: ValidatorSet) -> None:
        self._head = head
        self._validators = validators
        self._parameters = load_parameters(self._store)
        self._candidates.start(head, validators, self._parameters)

    def _checked_header(self, path: Path) -> Header:
        """Return the head's header; raise StorageError when it is not what the head says."""
        header = self._blocks.header(self.height)
        if header is None or block_id(header) != self.head_id or header.state_root != self._head.state_root:
            raise StorageError(f"{path}: the database is damaged: block {self.height} is not the one it says is final")
        return header
