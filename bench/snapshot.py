"""Joining a chain by snapshot against replaying it: `python -m bench.snapshot [--records 200000] [--block 200] [--block-ms 15000]`.

Fills a ledger, then lets one empty ledger replay every block as block sync does (certificates in batches of 32, bodies,
execution, commit) and another join by snapshot (offer, every chunk, blocks downwards, finish), on one core each, without
a network. Prints seconds of wall time and of CPU, the parts of the join, and the ratio; making the snapshot is printed apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.ledger import Bench
from node.driver.block_sync import REQUEST_BLOCKS, certified_blocks, check_body
from node.driver.signature_verifier import certified_transaction
from node.ledger.ledger import Ledger
from node.ledger.snapshot import SnapshotBuilder, make_snapshot


def timed(name: str, work: Callable[[], object]) -> float:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name}: {wall:.2f} s, {cpu:.2f} s of CPU", flush=True)
    return wall


def replay(chain: Ledger, ledger: Ledger) -> None:
    while ledger.height < chain.height:
        first = ledger.height + 1
        raws = [chain.sealed_block_bytes(h) for h in range(first, min(first + REQUEST_BLOCKS, chain.height + 1))]
        blocks, error = certified_blocks(raws, first, ledger.validators(), ledger.genesis.hash)
        assert error is None, error
        for sealed in blocks:
            check_body(sealed)
            transactions = [certified_transaction(raw) for raw in sealed.body.transactions]
            ledger.commit(ledger.execute_block(sealed.header, transactions, sealed.body.evidence), sealed.certificate)


def add_chunks(builder: SnapshotBuilder, folder: Path) -> None:
    for index in builder.missing_chunks:
        builder.add_chunk(index, (folder / str(index)).read_bytes())


def add_blocks(builder: SnapshotBuilder, chain: Ledger) -> None:
    while (last := builder.next_height) > 0:
        first = max(last - REQUEST_BLOCKS + 1, 1)
        builder.add_blocks([chain.sealed_block_bytes(height) for height in range(first, last + 1)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--block", type=int, default=200)
    parser.add_argument("--block-ms", type=int, default=15_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(folder, arguments.block_ms)
        chain, follower = bench.ledgers
        follower.close()
        while bench.issued < arguments.records:
            bench.commit([chain], bench.issues(min(arguments.block, arguments.records - bench.issued)))
        print(f"{bench.issued} certificates in {chain.height} blocks, {arguments.block_ms} ms apart", flush=True)
        replayed = Ledger.open(folder / "replayed", bench.genesis)
        replay_s = timed("replay", lambda: replay(chain, replayed))
        offers = []
        timed("make", lambda: offers.append(make_snapshot(chain.snapshot_source(), folder / "snapshot")))
        builders = []
        join_s = timed("offer", lambda: builders.append(SnapshotBuilder(folder / "joined", bench.genesis, offers[0])))
        builder = builders[0]
        join_s += timed(f"{len(offers[0].chunks)} chunks", lambda: add_chunks(builder, folder / "snapshot"))
        join_s += timed("blocks", lambda: add_blocks(builder, chain))
        join_s += timed("finish", builder.finish)
        joined = Ledger.open(folder / "joined", bench.genesis)
        assert joined.head_id == replayed.head_id == chain.head_id
        print(f"join {join_s:.2f} s, replay {replay_s:.2f} s, ratio {join_s / replay_s:.4f}")


if __name__ == "__main__":
    main()
