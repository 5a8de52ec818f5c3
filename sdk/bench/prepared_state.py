"""A ledger that already holds a million certificates when the clock starts: written into its first state, not run as blocks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from contracts.certificate_records import CERTIFICATES, CertificateContent, StatusInterval, new_record
from contracts.identifiers import make_identifier, parse_identifier
from node.chain.codec import decode_trusted, encode
from node.chain.genesis import Genesis
from node.ledger.block_store import HEAD_KEY, Head, head_entry
from node.ledger.ledger import Ledger
from node.ledger.state_store import StateStore
from node.ledger.storage import Storage
from sm_crypto.sm3 import sm3

WRITE_ENTRIES: Final = 20_000
CACHE_NODES: Final = 1_000


def prepare_ledgers(folders: Sequence[Path], genesis: Genesis, type_code: str, department: str, count: int) -> None:
    """Make in each folder a ledger whose state holds the genesis and `count` certificates of one issuer, at height 0.

    Every node of the network must start from one of them: the records are in the state root of block 1, not in the genesis.
    """
    _prepare_ledger(folders[0], genesis, type_code, department, count)
    for folder in folders[1:]:
        shutil.copytree(folders[0], folder, ignore=shutil.ignore_patterns("LOCK"))


def _prepare_ledger(folder: Path, genesis: Genesis, type_code: str, department: str, count: int) -> None:
    Ledger.open(folder, genesis).close()
    storage = Storage(folder)
    try:
        store = StateStore(storage, CACHE_NODES)
        changes: dict[bytes, bytes | None] = dict(store.iterate(b""))
        changes.update(_records(genesis, type_code, department, count))
        # The tree of version 0 is built anew over genesis and records together.
        tree = store.update(None, 0, changes)
        assert tree is not None
        puts, _ = store.entries(0, tree, changes, {})
        for start in range(0, len(puts), WRITE_ENTRIES):
            storage.write(puts[start : start + WRITE_ENTRIES])
        raw = storage.get(HEAD_KEY)
        assert raw is not None
        storage.write([head_entry(msgspec.structs.replace(decode_trusted(raw, Head), state_root=tree.root_hash))])
    finally:
        storage.close()


def _records(genesis: Genesis, type_code: str, department: str, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of `count` certificates with the serials from 0 on."""
    for serial in range(count):
        identifier = make_identifier(type_code, department, f"{serial:010d}", "001")
        digest = sm3(identifier.encode())
        first = StatusInterval("01", 1, genesis.time_ms, "01", "", bytes(20))
        content = CertificateContent(
            identifier, digest, sm3(digest), genesis.time_ms, genesis.time_ms + 315_360_000_000
        )
        record = new_record(content, parse_identifier(identifier), first)
        yield CERTIFICATES.key(identifier.encode()), encode(record)
