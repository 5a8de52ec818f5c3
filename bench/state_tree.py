"""Cost of the state tree on disk: `python bench/state_tree.py [--keys 1000000] [--cache-nodes 100000]`.

Loads the keys in large batches, then commits batches of 1,000 and 3,000 new keys and prints, per key: CPU and wall time of
the update, of the synced batch with pruning, nodes and bytes written, and the process's memory. Ends with the time of a proof.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

from node.state_store import StateStore
from node.storage import Storage

KEPT_VERSIONS = 128
LOAD_BATCH = 20_000
ROUNDS = 12


class Bench:
    def __init__(self, folder: Path, cache_nodes: int) -> None:
        self.storage = Storage(folder)
        self.store = StateStore(self.storage, cache_nodes)
        self.version = -1
        self.root_version: int | None = None
        self.oldest = 0
        self.keys = 0

    def commit(self, count: int) -> tuple[float, float, float, float, float, float]:
        """Add `count` keys; return update CPU, update wall, commit CPU, commit wall (us a key), nodes and node bytes a key."""
        changes: dict[bytes, bytes | None] = {
            b"\0" * 18 + b"\x10\x02\x01" + b"11100000MB03271699001.11330100002500287C.%012d.001" % number: b"v" * 180
            for number in range(self.keys, self.keys + count)
        }
        self.keys += count
        cpu, wall = time.process_time(), time.perf_counter()
        tree = self.store.update(self.root_version, self.version + 1, changes)
        update = (time.process_time() - cpu) / count * 1e6, (time.perf_counter() - wall) / count * 1e6
        cpu, wall = time.process_time(), time.perf_counter()
        self.version += 1
        puts, deletes = self.store.entries(self.version, tree, changes, {})
        self.oldest, pruned = self.store.prune_entries(self.oldest, self.version - KEPT_VERSIONS)
        self.storage.write(puts, deletes + pruned)
        self.store.saved(tree)
        commit = (time.process_time() - cpu) / count * 1e6, (time.perf_counter() - wall) / count * 1e6
        assert tree is not None
        self.root_version = self.version
        return *update, *commit, len(tree.nodes) / count, sum(map(len, tree.nodes.values())) / count


def memory_mb() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--cache-nodes", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.cache_nodes)
        start = time.perf_counter()
        while bench.keys < arguments.keys:
            bench.commit(min(LOAD_BATCH, arguments.keys - bench.keys))
        print(f"{bench.keys} keys loaded in {time.perf_counter() - start:.0f} s, memory {memory_mb():.0f} MB")
        print("batch  update cpu/wall us  save cpu/wall us  nodes  node bytes  (per key, medians)")
        for batch in (1_000, 3_000):
            rows = [bench.commit(batch) for _ in range(ROUNDS)]
            update_cpu, update, save_cpu, save, nodes, size = (
                statistics.median(column) for column in zip(*rows, strict=True)
            )
            print(
                f"{batch:5}  {update_cpu:7.1f} / {update:7.1f}  {save_cpu:7.1f} / {save:6.1f}  {nodes:5.2f}  {size:10.0f}"
            )
        disk_mb = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
        print(f"memory {memory_mb():.0f} MB, {bench.store.cached_nodes} nodes cached, disk {disk_mb:.0f} MB")
        start, proofs = time.perf_counter(), 1_000
        for number in range(proofs):
            bench.store.prove(bench.version, b"absent or not %d" % number)
        print(f"proof {(time.perf_counter() - start) / proofs * 1e6:.0f} us")


if __name__ == "__main__":
    main()
