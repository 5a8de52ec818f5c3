"""Joining a chain by snapshot against replaying it: `python -m bench.snapshot [--records 200000] [--block 200] [--block-ms 15000]`.

The part of `govnode bench recovery` that needs no network, alone and with other chains: prints what took how long, and the
figures. With `--block-ms 250` the hour of blocks that a joining node takes whole is the whole chain.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from sdk.bench.snapshot_join import BLOCK_MS, BLOCK_RECORDS, SnapshotJoinSettings, run_snapshot_join_bench


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--block", type=int, default=BLOCK_RECORDS)
    parser.add_argument("--block-ms", type=int, default=BLOCK_MS)
    arguments = parser.parse_args()
    settings = SnapshotJoinSettings(arguments.records, arguments.block, arguments.block_ms)
    with tempfile.TemporaryDirectory() as name:
        for key, value in run_snapshot_join_bench(Path(name), settings, print).items():
            print(f"{key}: {value}")


if __name__ == "__main__":
    main()
