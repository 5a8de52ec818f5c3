"""CPU of the ledger for `issue` transactions: `python bench/ledger.py [--records 200000] [--block 1000]`.

Fills the state through blocks of 2,000, then prints microseconds of the main thread a transaction for: building a block,
executing it as another validator does, committing it; and the share of the contract itself. No signatures, no network.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from contracts import registry
from contracts.call import Call
from node.chain.transaction import VerifiedTransaction
from node.chain.world_state import WorldState
from sdk.bench.issued_chain import GENESIS_MS, IssuedChain

LOAD_BLOCK = 2_000
ROUNDS = 10


def contract_alone(chain: IssuedChain, transactions: list[VerifiedTransaction]) -> float:
    state = WorldState(chain.ledgers[0].state().get)
    calls = [Call(t.sender, t.body.to, t.body.data, t.body.gas_limit, 1, GENESIS_MS, t.id) for t in transactions]
    start = time.thread_time()
    for call in calls:
        registry.execute_call(state, call)
    return (time.thread_time() - start) / len(calls) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--block", type=int, default=1_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = IssuedChain(Path(folder), ("builder", "follower"))
        start = time.perf_counter()
        while bench.issued < arguments.records:
            bench.commit(bench.ledgers, bench.issues(min(LOAD_BLOCK, arguments.records - bench.issued)))
        print(f"{bench.issued} certificates in state after {time.perf_counter() - start:.0f} s")
        rows = []
        for _ in range(ROUNDS):
            transactions = bench.issues(arguments.block)
            alone = contract_alone(bench, transactions)
            rows.append([alone, *bench.commit(bench.ledgers, transactions)])
        alone, build, execute, commit = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"us a transaction in blocks of {arguments.block}: contract alone {alone:.1f}, build {build:.1f}, ", end=""
        )
        print(f"execute {execute:.1f}, commit {commit:.1f}")


if __name__ == "__main__":
    main()
