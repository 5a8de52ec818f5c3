"""Cost of the state tree on disk: `python bench/state_tree.py [--keys 1000000] [--cache-nodes 200000]`.

Loads the keys in large batches, then commits batches of 1,000 and 3,000 new keys and prints, per key: CPU and wall time of
the update and of the synced batch with pruning on the main thread, nodes and bytes written, and the process's memory. The
CPU of the whole process has LevelDB's compactions in it. Ends with the time and size of a proof.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from node.chain.codec import encode
from node.ledger.state_store import StateStore
from node.ledger.storage import Storage

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

    def commit(self, count: int) -> list[float]:
        """Add `count` keys; return update CPU and wall, save CPU and wall (us a key), nodes and bytes of nodes a key."""
        changes: dict[bytes, bytes | None] = {
            b"\0" * 18 + b"\x10\x02\x01" + b"11100000MB03271699001.11330100002500287C.%012d.001" % number: b"v" * 180
            for number in range(self.keys, self.keys + count)
        }
        self.keys += count
        marks = [(time.thread_time(), time.perf_counter())]
        tree = self.store.update(self.root_version, self.version + 1, changes)
        marks.append((time.thread_time(), time.perf_counter()))
        self.version += 1
        puts, deletes = self.store.entries(self.version, tree, changes, {})
        self.oldest, pruned = self.store.prune_entries(self.oldest, self.version - KEPT_VERSIONS)
        self.storage.write(puts, deletes + pruned)
        self.store.saved(tree)
        marks.append((time.thread_time(), time.perf_counter()))
        assert tree is not None
        self.root_version = self.version
        times = [
            (end - begin) / count * 1e6
            for first, last in pairwise(marks)
            for begin, end in zip(first, last, strict=True)
        ]
        return [*times, len(tree.nodes) / count, sum(map(len, tree.nodes.values())) / count]


def memory() -> str:
    """Own memory, and pages of database files that the system has mapped and can drop."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    own, mapped = (int(lines[name].split()[0]) / 1000 for name in ("RssAnon", "RssFile"))
    return f"memory {own:.0f} MB and {mapped:.0f} MB of mapped files"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--cache-nodes", type=int, default=200_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.cache_nodes)
        start = time.perf_counter()
        while bench.keys < arguments.keys:
            bench.commit(min(LOAD_BATCH, arguments.keys - bench.keys))
        print(f"{bench.keys} keys loaded in {time.perf_counter() - start:.0f} s, {memory()}")
        print("batch  update cpu / wall us  save cpu / wall us  nodes  node bytes  (a key, medians)  process cpu us")
        for batch in (1_000, 3_000):
            cpu = time.process_time()
            rows = [bench.commit(batch) for _ in range(ROUNDS)]
            cpu = (time.process_time() - cpu) / batch / ROUNDS * 1e6
            found = [statistics.median(column) for column in zip(*rows, strict=True)]
            times = "{:9.1f} / {:7.1f}  {:9.1f} / {:6.1f}  {:5.2f} {:11.0f}".format(*found)
            print(f"{batch:5} {times} {cpu:32.1f}")
        disk_mb = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
        print(f"{memory()}, {bench.store.cached_nodes} nodes cached, disk {disk_mb:.0f} MB")
        start, proofs = time.perf_counter(), 1_000
        found_proofs = [bench.store.prove(bench.version, b"absent or not %d" % number) for number in range(proofs)]
        micros = (time.perf_counter() - start) / proofs * 1e6
        print(f"proof {micros:.0f} us, {sum(len(encode(proof)) for proof in found_proofs) / proofs:.0f} bytes")


if __name__ == "__main__":
    main()
