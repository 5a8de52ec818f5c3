"""The recovery bench on networks of its own: validators killed one by one and all at once, also over lines that lose packets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.machine import refusal_of
from tests.ports import describe_network

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
BENCH_S = 240


def run_bench(folder: Path, *prefix: str) -> dict[str, Any]:
    """Run a short recovery bench, which fails by itself over a block without a quorum, a fork, or a lost receipt."""
    sizes = {"absence-s": 2, "absences": 1, "long-absence-s": 2, "repeats": 1, "records": 400}
    arguments = [f"--{name}={size}" for name, size in sizes.items()]
    arguments += [f"--config={describe_network(folder)}", "--json"]
    ended = subprocess.run(
        [*prefix, sys.executable, "-m", "sdk.cli.main", "bench", "recovery", *arguments],
        capture_output=True,
        text=True,
        timeout=BENCH_S,
        cwd=ROOT,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def test_two_killed_stop_the_chain_one_back_moves_it_and_all_four_killed_come_back_to_it(tmp_path: Path) -> None:
    figures = run_bench(tmp_path)
    assert figures["receipts_before_kills"] > 0
    for name in ("one_back_round", "long_absence_limit", "all_killed_round"):
        assert 0 <= figures[f"recover_{name}_timeouts_connected"] <= figures[f"recover_{name}_timeouts"]
    assert figures["snapshot_join_ratio"] > 0


def test_a_network_that_delays_and_loses_packets_recovers_alike(tmp_path: Path) -> None:
    shaped = "ip link set lo up && tc qdisc add dev lo root netem delay 20ms 5ms loss 1%"
    refusal = refusal_of("unshare", "-rn", "sh", "-c", shaped)
    if refusal:
        pytest.skip(f"this machine does not shape traffic: {refusal}")
    assert (
        run_bench(tmp_path, "unshare", "-rn", "sh", "-c", f'{shaped} && exec "$@"', "sh")["receipts_before_kills"] > 0
    )
