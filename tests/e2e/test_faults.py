"""Whole processes that die, stand still or lose their data, beside others that go on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


def test_two_killed_stop_the_chain_one_back_moves_it_and_all_four_killed_come_back_to_it() -> None:
    """The bench refuses by itself: a block without a quorum, nodes that disagree, a final transaction that is lost."""
    arguments = ["--absence-s", "2", "--absences", "1", "--long-absence-s", "1", "--repeats", "1", "--json"]
    ended = subprocess.run(
        [sys.executable, "-m", "sdk.cli.main", "bench", "recovery", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert figures["receipts_before_kills"] > 0
    for name in ("one_back_round", "long_absence_limit", "all_killed_round"):
        assert 0 <= figures[f"recover_{name}_timeouts"] <= figures[f"recover_{name}_timeouts_from_start"]
