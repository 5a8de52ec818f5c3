"""Snapshots on disk: made from a ledger's latest state into a folder of chunks, and built into a new ledger from checked ones.

Making holds one LevelDB iterator, which sees the state as it was when it was opened, so blocks go on meanwhile. Building
happens in a folder beside the ledger's, which takes the ledger's name only when it is whole: a crash leaves no half state.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from consensus.certificate import InvalidCertificate, commit_seals
from consensus.messages import CommitCertificate
from node.chain.block import Body, Header, SealedBlock, block_id, evidence_root, transactions_root
from node.chain.codec import CodecError, decode, decode_trusted, encode
from node.chain.genesis import Genesis
from node.chain.proof import Members, SetChange
from node.chain.snapshot import (
    SNAPSHOT_VERSION,
    TARGET_CHUNK_BYTES,
    BadSnapshot,
    ChunkSummary,
    SnapshotOffer,
    encode_chunk,
    verify_chunk,
    verify_offer,
)
from node.chain.state_tree import build_subtree
from node.chain.transaction import Transaction, transaction_id
from node.chain.world_state import WorldState
from node.ledger.block_store import (
    FORMAT,
    Base,
    Head,
    base_entry,
    certified_header_entries,
    earlier_peaks_entry,
    final_block_entries,
    head_entry,
    root_entry,
    validators_entry,
)
from node.ledger.candidates import validators_in
from node.ledger.state_store import StateStore, node_entries, value_entries
from node.ledger.storage import Storage
from sm_crypto.merkle import AppendOnlyTree, leaf_hash
from sm_crypto.sm2 import verify_batch
from sm_crypto.sm3 import sm3_many

TAIL_HEIGHTS: Final = 256
MAX_TRANSACTION_WINDOW_MS: Final = 3_600_000
"""The longest that the chain's parameters may ever have allowed a transaction to wait: its id may come again until then."""
JOINING_SUFFIX: Final = ".joining"
"""Of the folder of a ledger in the making, behind the name that it will have."""
WRITE_BYTES: Final = 32 * 1024 * 1024
"""Of chunks and blocks that wait to be written together, in the order of keys: that costs LevelDB half of what single ones do."""
SPOOL_BATCH: Final = 4_096
SPOOLS: Final = 256

_LENGTH_BYTES: Final = 4


class SnapshotSource(msgspec.Struct, frozen=True):
    """A ledger's head and state as they were at one moment, and what shows that the head is final."""

    header: Header
    certificate: CommitCertificate
    validators: Members
    walk: tuple[SetChange, ...]
    history_peaks: tuple[bytes, ...]
    values: Iterator[tuple[bytes, bytes]]
    """(key, value) of the whole state; any thread may read it."""


def make_snapshot(source: SnapshotSource, folder: Path, rest: Callable[[], None] = lambda: None) -> SnapshotOffer:
    """Write the chunks of the source's state as files 0, 1, ... in `folder`, made anew, and return the offer of them.

    `rest` is called behind every chunk. Raises OSError when the folder cannot be written, StorageError when the state cannot be read.
    """
    shutil.rmtree(folder, ignore_errors=True)
    spools = folder / "spool"
    spools.mkdir(parents=True)
    sizes = _spool(source.values, spools)
    chunks: list[ChunkSummary] = []
    for prefix, parts in _plan(sizes):
        entries = [entry for part in parts for entry in _read_spool(spools / f"{part:02x}")]
        for chunk_prefix, chunk_entries in _divide(prefix, entries):
            raw = encode_chunk(sorted(chunk_entries))
            (folder / str(len(chunks))).write_bytes(raw)
            subtree = build_subtree(chunk_prefix, source.header.height, dict(chunk_entries))
            chunks.append(ChunkSummary(chunk_prefix, subtree.summary))
            rest()
    shutil.rmtree(spools)
    return SnapshotOffer(
        SNAPSHOT_VERSION,
        source.header,
        source.certificate,
        source.validators,
        source.walk,
        source.history_peaks,
        tuple(chunks),
    )


def _spool(values: Iterator[tuple[bytes, bytes]], folder: Path) -> list[int]:
    """Sort the values by the first byte of their paths into files 00 to ff, and return how many bytes each holds."""
    sizes = [0] * SPOOLS
    files: list[BinaryIO] = [(folder / f"{number:02x}").open("wb") for number in range(SPOOLS)]
    try:
        batch: list[tuple[bytes, bytes]] = []
        for entry in values:
            batch.append(entry)
            if len(batch) == SPOOL_BATCH:
                _spool_batch(batch, files, sizes)
                batch = []
        _spool_batch(batch, files, sizes)
    finally:
        for file in files:
            file.close()
    return sizes


def _spool_batch(batch: list[tuple[bytes, bytes]], files: list[BinaryIO], sizes: list[int]) -> None:
    for path, (key, value) in zip(sm3_many([key for key, _ in batch]), batch, strict=True):
        record = len(key).to_bytes(_LENGTH_BYTES) + key + len(value).to_bytes(_LENGTH_BYTES) + value
        files[path[0]].write(record)
        sizes[path[0]] += len(record)


def _read_spool(path: Path) -> list[tuple[bytes, bytes]]:
    raw = path.read_bytes()
    entries: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(raw):
        parts = []
        for _ in range(2):
            start = at + _LENGTH_BYTES
            at = start + int.from_bytes(raw[at:start])
            parts.append(raw[start:at])
        entries.append((parts[0], parts[1]))
    return entries


def _plan(sizes: list[int]) -> Iterator[tuple[str, list[int]]]:
    """Yield (prefix, spools) of what is read together: neighbours under one prefix as far as they fit into one chunk."""
    present = [number for number, size in enumerate(sizes) if size]
    if sum(sizes) <= TARGET_CHUNK_BYTES:
        yield "", present
        return
    for nibble in range(16):
        below = [number for number in present if number >> 4 == nibble]
        if below and sum(sizes[number] for number in below) <= TARGET_CHUNK_BYTES:
            yield f"{nibble:x}", below
        else:
            for number in below:
                yield f"{number:02x}", [number]


def _divide(prefix: str, entries: list[tuple[bytes, bytes]]) -> Iterator[tuple[str, list[tuple[bytes, bytes]]]]:
    """Yield the entries under `prefix` in chunks of the target size, each divided by one more nibble where it is longer."""
    size = sum(len(key) + len(value) + 2 * _LENGTH_BYTES for key, value in entries)
    if size <= TARGET_CHUNK_BYTES or len(entries) == 1:
        yield prefix, entries
        return
    depth = len(prefix)
    below: dict[str, list[tuple[bytes, bytes]]] = {}
    for path, entry in zip(sm3_many([key for key, _ in entries]), entries, strict=True):
        below.setdefault(path.hex()[depth], []).append(entry)
    for digit in sorted(below):
        yield from _divide(prefix + digit, below[digit])


class SnapshotBuilder:
    """A new ledger in the making: chunks in any order, then blocks from the offered one downwards, then finish()."""

    def __init__(self, path: Path, genesis: Genesis, offer: SnapshotOffer) -> None:
        """Begin anew what is to become the ledger in the folder `path`, which does not exist yet.

        Raises BadSnapshot when the offer does not follow from the genesis, StorageError when the disk does not take it.
        """
        verified = verify_offer(offer, genesis)
        self._path = path
        self._genesis = genesis
        self._offer = offer
        self._sets = verified.sets
        self._block_id = verified.block_id
        self._building = path.with_name(path.name + JOINING_SUFFIX)
        shutil.rmtree(self._building, ignore_errors=True)
        self._storage = Storage(self._building)
        height = offer.header.height
        puts = node_entries(height, verified.top_nodes) + [validators_entry(found) for found in verified.sets.values()]
        for change in offer.walk:
            puts += certified_header_entries(change.header, change.certificate)
        self._storage.write(puts)
        self._waiting: list[tuple[bytes, bytes]] = []
        self._waiting_bytes = 0
        self._missing = set(range(len(offer.chunks)))
        self._expected_id = verified.block_id
        self._next_height = self._first_block = height
        self._tail_floor_ms = offer.header.time_ms - MAX_TRANSACTION_WINDOW_MS

    @property
    def missing_chunks(self) -> Sequence[int]:
        """The numbers of the chunks that are still to come, in order."""
        return sorted(self._missing)

    @property
    def next_height(self) -> int:
        """The height of the next block downwards that is needed, 0 when there are enough."""
        return self._next_height

    def add_chunk(self, index: int, raw: bytes) -> None:
        """Take a chunk; raise BadSnapshot when it is not the one offered, and leave everything as it was."""
        if index not in self._missing:
            return
        height = self._offer.header.height
        entries, subtree = verify_chunk(raw, self._offer.chunks[index], height)
        self._save(value_entries(entries) + node_entries(height, subtree.nodes), len(raw))
        self._missing.discard(index)

    def add_blocks(self, raws: Sequence[bytes]) -> None:
        """Take encoded SealedBlocks, in ascending heights up to `next_height`; raise BadSnapshot at the first bad one, highest first.

        The signatures of all their certificates are checked in one batch, before any of the blocks is taken.
        """
        blocks: list[SealedBlock] = []
        seals: list[list[tuple[bytes, bytes, bytes]]] = []
        bad: BadSnapshot | None = None
        height, expected_id = self._next_height, self._expected_id
        for raw in reversed(raws):
            if height == 0:
                break
            try:
                sealed, items = self._check_block(raw, height, expected_id)
            except BadSnapshot as error:
                bad = error
                break
            blocks.append(sealed)
            seals.append(items)
            height, expected_id = self._next_below(sealed.header), sealed.header.parent_id
        verdicts = iter(verify_batch([item for items in seals for item in items]))
        for sealed, items in zip(blocks, seals, strict=True):
            if [next(verdicts) for _ in items].count(False):
                raise BadSnapshot(f"height {sealed.header.height}: its certificate has wrong precommit signatures")
            self._take_block(sealed)
        if bad is not None:
            raise bad

    def _check_block(
        self, raw: bytes, height: int, expected_id: bytes
    ) -> tuple[SealedBlock, list[tuple[bytes, bytes, bytes]]]:
        """Return a block that is the one expected, and the signatures of its certificate that are to be verified."""
        try:
            sealed = decode(raw, SealedBlock)
        except CodecError as error:
            raise BadSnapshot(f"height {height}: expected an encoded block: {error}") from None
        header, body, certificate = sealed.header, sealed.body, sealed.certificate
        if block_id(header) != expected_id:
            raise BadSnapshot(f"height {height}: the block is not the one that its successor names")
        if transactions_root(body.transactions) != header.transactions_root:
            raise BadSnapshot(f"height {height}: the transactions are not those of the header")
        if evidence_root(body.evidence) != header.evidence_root:
            raise BadSnapshot(f"height {height}: the evidence is not that of the header")
        validators = self._sets.get(header.validators_hash)
        if validators is None:
            raise BadSnapshot(f"height {height}: the offer shows no such set of validators")
        if certificate.height != height:
            raise BadSnapshot(f"height {height}: found the certificate of height {certificate.height}")
        try:
            return sealed, commit_seals(certificate, expected_id, validators, self._genesis.hash)
        except InvalidCertificate as error:
            raise BadSnapshot(f"height {height}: {error}") from None

    def _take_block(self, sealed: SealedBlock) -> None:
        header, body = sealed.header, sealed.body
        try:
            # Their bytes are those of a final header, which a quorum found canonical before it voted.
            transactions = [decode_trusted(one, Transaction) for one in body.transactions]
        except CodecError as error:
            raise BadSnapshot(f"height {header.height}: expected encoded transactions: {error}") from None
        ids = [transaction_id(one.body) for one in transactions]
        encoded_body = encode(Body(body.transactions, body.evidence))
        self._save(final_block_entries(header, encoded_body, sealed.certificate, ids), len(encoded_body))
        self._expected_id = header.parent_id
        self._first_block = header.height
        self._next_height = self._next_below(header)

    def _save(self, puts: list[tuple[bytes, bytes]], size: int) -> None:
        """Let entries of about `size` bytes wait to be written, or write all that wait."""
        self._waiting += puts
        self._waiting_bytes += size
        if self._waiting_bytes >= WRITE_BYTES:
            self._write_waiting()

    def _write_waiting(self) -> None:
        self._storage.write(sorted(self._waiting), is_synced=False)
        self._waiting, self._waiting_bytes = [], 0

    def _next_below(self, header: Header) -> int:
        """Return the height that is needed next once this header's block is here, 0 when that is enough."""
        count = self._offer.header.height - header.height + 1
        is_enough = count >= TAIL_HEIGHTS and header.time_ms < self._tail_floor_ms
        return 0 if is_enough else header.height - 1

    def finish(self) -> None:
        """Let the folder become the ledger: after this Ledger.open finds it at the offered height.

        Raises ValueError while something is missing, BadSnapshot when the state does not name the next validators that
        the header names, StorageError or OSError when the disk does not take it.
        """
        if self._missing or self._next_height:
            raise ValueError(f"expected a whole snapshot, {len(self._missing)} chunks are missing, or blocks")
        self._write_waiting()
        header = self._offer.header
        next_validators = validators_in(WorldState(StateStore(self._storage, 1).get))
        if next_validators.hash != header.next_validators_hash:
            raise BadSnapshot("the state names other validators for the next height than the header")
        history = AppendOnlyTree(header.height - 1, self._offer.history_peaks)
        history.append(leaf_hash(self._block_id))
        head = Head(
            format=FORMAT,
            genesis_hash=self._genesis.hash,
            height=header.height,
            block_id=self._block_id,
            time_ms=header.time_ms,
            state_root=header.state_root,
            root_version=header.height,
            validators_hash=next_validators.hash,
            history_count=history.count,
            history_peaks=history.peaks,
            oldest_height=header.height,
        )
        base = Base(header.height, self._first_block)
        self._storage.write(
            [
                validators_entry(next_validators),
                root_entry(header.height, header.height),
                base_entry(base),
                earlier_peaks_entry(self._offer.history_peaks),
                head_entry(head),
            ]
        )
        self._storage.close()
        # The batches were not synced one by one; what takes the ledger's name is on disk as a whole.
        for file in (*self._building.iterdir(), self._building):
            _sync_file(file)
        self._building.rename(self._path)
        _sync_file(self._path.parent)

    def abandon(self) -> None:
        """Give up: nothing of it stays on disk."""
        self._storage.close()
        shutil.rmtree(self._building, ignore_errors=True)


def _sync_file(path: Path) -> None:
    """Have the file or folder on disk when this returns; raise OSError otherwise."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
