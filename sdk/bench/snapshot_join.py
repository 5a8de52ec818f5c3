"""Joining a chain by a snapshot against replaying it, on one chain in one run, in this process and without a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from node.driver.block_sync import REQUEST_BLOCKS, certified_blocks, check_body
from node.driver.signature_verifier import certified_transaction
from node.ledger.ledger import Ledger
from node.ledger.snapshot import SnapshotBuilder, make_snapshot
from sdk.bench.issued_chain import IssuedChain

BLOCK_RECORDS: Final = 200
BLOCK_MS: Final = 15_000
"""Between blocks: the newest hour's are fetched whole, which is a quarter of the chain of 200,000 records."""


class SnapshotJoinSettings(msgspec.Struct, frozen=True):
    """How long the chain is, and how far its blocks are apart."""

    records: int = 200_000
    block_records: int = BLOCK_RECORDS
    block_ms: int = BLOCK_MS


class _Clock:
    """Wall and CPU time of this process over the steps of one thing."""

    def __init__(self) -> None:
        self.wall_s = 0.0
        self.cpu_s = 0.0

    def run(self, work: Callable[[], None]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu


def run_snapshot_join_bench(folder: Path, settings: SnapshotJoinSettings, say: Callable[[str], None]) -> dict[str, Any]:
    """Make a chain in `folder`, let one empty ledger replay it and another join by a snapshot of it; return the figures.

    Replaying is what block sync does: certificates in batches of 32 blocks, bodies, execution, commit. Joining is the
    offer, every chunk, the newest blocks, and the new ledger in its place. Raises RuntimeError where the two differ.
    """
    issued = IssuedChain(folder, ("chain",), settings.block_ms)
    (chain,) = issued.ledgers
    while issued.issued < settings.records:
        issued.commit([chain], issued.issues(min(settings.block_records, settings.records - issued.issued)))
    say(f"{issued.issued} certificates in {chain.height} blocks, {settings.block_ms} ms apart")
    replaying, joining, making = _Clock(), _Clock(), _Clock()
    replayed = Ledger.open(folder / "replayed", issued.genesis)
    replaying.run(lambda: _replay(chain, replayed))
    say(f"replay: {replaying.wall_s:.2f} s, {replaying.cpu_s:.2f} s of CPU")
    offers = []
    making.run(lambda: offers.append(make_snapshot(chain.snapshot_source(), folder / "snapshot")))
    builders = []
    joining.run(lambda: builders.append(SnapshotBuilder(folder / "joined", issued.genesis, offers[0])))
    builder = builders[0]
    for work in (
        lambda: _add_chunks(builder, folder / "snapshot"),
        lambda: _add_blocks(builder, chain),
        builder.finish,
    ):
        joining.run(work)
    say(f"join: {joining.wall_s:.2f} s, {joining.cpu_s:.2f} s of CPU")
    joined = Ledger.open(folder / "joined", issued.genesis)
    heads = {ledger.head_id for ledger in (chain, replayed, joined)}
    for ledger in (chain, replayed, joined):
        ledger.close()
    if len(heads) != 1:
        raise RuntimeError("the ledgers that replayed and joined do not stand where the chain does")
    return {
        "snapshot_join_ratio": round(joining.wall_s / replaying.wall_s, 4),
        "snapshot_join_cpu_ratio": round(joining.cpu_s / replaying.cpu_s, 4),
        "snapshot_join_s": round(joining.wall_s, 2),
        "snapshot_join_cpu_s": round(joining.cpu_s, 2),
        "snapshot_replay_s": round(replaying.wall_s, 2),
        "snapshot_replay_cpu_s": round(replaying.cpu_s, 2),
        "snapshot_make_s": round(making.wall_s, 2),
        "snapshot_records": settings.records,
        "snapshot_blocks": chain.height,
        "snapshot_chunks": len(offers[0].chunks),
    }


def _replay(chain: Ledger, ledger: Ledger) -> None:
    while ledger.height < chain.height:
        first = ledger.height + 1
        raws = _raw_blocks(chain, first, min(first + REQUEST_BLOCKS - 1, chain.height))
        blocks, error = certified_blocks(raws, first, ledger.validators(), ledger.genesis.hash)
        if error is not None:
            raise RuntimeError(f"the chain of the bench is bad: {error}")
        for sealed in blocks:
            check_body(sealed)
            transactions = [certified_transaction(raw) for raw in sealed.body.transactions]
            ledger.commit(ledger.execute_block(sealed.header, transactions, sealed.body.evidence), sealed.certificate)


def _add_chunks(builder: SnapshotBuilder, folder: Path) -> None:
    for index in builder.missing_chunks:
        builder.add_chunk(index, (folder / str(index)).read_bytes())


def _add_blocks(builder: SnapshotBuilder, chain: Ledger) -> None:
    while (last := builder.next_height) > 0:
        builder.add_blocks(_raw_blocks(chain, max(last - REQUEST_BLOCKS + 1, 1), last))


def _raw_blocks(chain: Ledger, first: int, last: int) -> list[bytes]:
    return [raw for height in range(first, last + 1) if (raw := chain.sealed_block_bytes(height)) is not None]
