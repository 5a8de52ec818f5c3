"""Whole simulated runs: a fixed set of seeds, fresh ones, and the promise that a seed names one run."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from tests.simulator.run import MIN_HEIGHT, describe_failure, parse_seeds, run_in_memory, size_of

ROOT = Path(__file__).parents[2]
FRESH = [secrets.randbelow(2**31) for _ in range(5)]


_run = lru_cache(run_in_memory)
SEEN = ("rounds_above_0", "locks", "locks_held_into_a_later_round", "restarts", "evidence_in_blocks", "set_changes")


def _check(seed: int) -> None:
    outcome = _run(seed)
    assert not outcome.failure, describe_failure(outcome)
    assert outcome.height >= MIN_HEIGHT
    assert outcome.counts["messages"] > 0


@pytest.mark.parametrize("seed", range(20))
def test_a_fixed_seed_breaks_no_invariant(seed: int) -> None:
    _check(seed)


@pytest.mark.parametrize("what", SEEN)
def test_the_fixed_seeds_see_each_kind_of_trouble(what: str) -> None:
    assert sum(_run(seed).counts.get(what, 0) for seed in range(20)) > 0


@pytest.mark.parametrize("number", range(len(FRESH)))
def test_a_fresh_seed_breaks_no_invariant(number: int) -> None:
    print(f"seed {FRESH[number]}")
    _check(FRESH[number])


def _digests(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "tests.simulator.run", "--seeds", "3-5", "--workers", "1", "--digests"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_seed_is_the_same_run_byte_for_byte_under_any_hash_seed() -> None:
    # This process hashes by a seed of its own.
    here = [f"{seed} {_run(seed).digest}" for seed in range(3, 6)]
    assert _digests("4321").splitlines() == here
    assert len({_run(seed).digest for seed in range(3, 6)}) == 3


def test_the_seeds_cover_every_size_from_four_to_ten() -> None:
    assert {size_of(seed) for seed in range(200)} == set(range(4, 11))


def test_seeds_are_named_in_ranges_and_one_by_one() -> None:
    assert parse_seeds("7") == [7]
    assert parse_seeds("0-2,9") == [0, 1, 2, 9]
