"""Runs seeds: `python -m tests.simulator.run --seeds 0-9999`; prints what was seen, or how to repeat the first failure."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from contracts.validator_sets import SAFE_VALIDATORS
from tests.simulator.checkers import Violation, check_equal_states, check_replay
from tests.simulator.signatures import stand_in_signatures
from tests.simulator.turmoil import Turmoil
from tests.simulator.world import World

SIZES = (*[4] * 24, *[5] * 3, *[6] * 3, 7, 7, 8, 9, 10)
MAX_NODES = max(SIZES)
SPARES = (1, 1, 1, 2)
SET_CHANGING_SHARE = 0.4
HUNTING_SHARE = 0.4
MIN_HEIGHT = 20
TURMOIL_HEIGHT = 17
MAX_TURMOIL_MS = 15_000
HEIGHTS_AFTER = 3
SETTLE_MS = 10_000
LAST_STORY_LINES = 40
PROGRESS_SEEDS = 1_000


class Outcome(msgspec.Struct):
    """What one seed came to."""

    seed: int
    size: int
    digest: str
    steps: int
    height: int
    recovery_ms: int
    counts: dict[str, int]
    failure: str = ""
    story: list[str] = []


def size_of(seed: int) -> int:
    """Return how many validators a seed's run has: 4 to 10, mostly 4."""
    return random.Random(f"size {seed}").choice(SIZES)


def liveness_bound_ms(world: World, heights: int) -> int:
    """Return in what time so many heights are final once nothing but Byzantine validators is faulty.

    Every step of a round ends by the capped timeout; of f + 2 rounds one has a correct proposer whom everybody follows.
    """
    parameters = world.genesis.parameters
    round_ms = 3 * parameters.timeout_limit_ms + parameters.empty_block_interval_ms
    return SETTLE_MS + heights * ((len(world.nodes) - 1) // 3 + 2) * round_ms


def run_seed(seed: int, folder: Path, size: int | None = None) -> Outcome:
    """Run one seed in an empty folder; a Violation becomes the outcome's failure."""
    count = size_of(seed) if size is None else size
    plan = random.Random(f"plan {seed}")
    changes_sets = plan.random() < SET_CHANGING_SHARE
    hunts = plan.random() < HUNTING_SHARE
    spares = min(plan.choice(SPARES), MAX_NODES - count) if changes_sets else 0
    with stand_in_signatures():
        world = World(folder, seed, count, spares=spares)
        if changes_sets:
            world.least_validators = max(SAFE_VALIDATORS, count - 1)
        outcome = Outcome(seed, count, "", 0, 0, 0, {})
        try:
            outcome.recovery_ms = _play(world, Turmoil(world, changes_sets=changes_sets, hunts=hunts))
        except Violation as violation:
            outcome.failure = str(violation)
            outcome.story = world.notes[-LAST_STORY_LINES:]
        finally:
            outcome.digest, outcome.steps, outcome.counts = world.digest, world.step, dict(world.counts)
            outcome.height = world.validity.ledger.height
            world.close()
    return outcome


def _play(world: World, turmoil: Turmoil) -> int:
    """Let faults happen, end them, and check that the chain goes on; return how long it took to make the first new heights."""
    turmoil.begin()
    world.run(MAX_TURMOIL_MS, lambda: world.validity.ledger.height >= TURMOIL_HEIGHT)
    turmoil.end()
    healed_ms = world.now_ms
    goal = world.validity.ledger.height + HEIGHTS_AFTER
    _reach(world, goal, liveness_bound_ms(world, HEIGHTS_AFTER))
    recovery_ms = world.now_ms - healed_ms
    if goal < MIN_HEIGHT:
        _reach(world, MIN_HEIGHT, liveness_bound_ms(world, MIN_HEIGHT - goal))
    check_equal_states(world.validity.ledger, world.correct)
    world.counts["replays_compared"] += sum(check_replay(node) for node in world.correct if node.is_up)
    return recovery_ms


def _reach(world: World, height: int, bound_ms: int) -> None:
    if not world.run(bound_ms, lambda: all(node.is_up and node.ledger.height >= height for node in world.correct)):
        where = "; ".join(f"{node.name} {node.driver.status() if node.is_up else 'is down'}" for node in world.correct)
        raise Violation(
            f"liveness: height {height} is not final everywhere {bound_ms} ms after the faults ended: {where}"
        )


def scratch_folder() -> str | None:
    """Return where files of a run go: into memory where the machine has such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def run_in_memory(seed: int) -> Outcome:
    """Run one seed with its files in memory."""
    with tempfile.TemporaryDirectory(dir=scratch_folder()) as folder:
        return run_seed(seed, Path(folder))


def parse_seeds(text: str) -> list[int]:
    """Return the seeds that `0-9,20` names."""
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds.extend(range(int(first), int(last or first) + 1))
    return seeds


def _quieten() -> None:
    """Keep the nodes' own logs out of the report."""
    logging.disable(logging.CRITICAL)


def _outcomes(seeds: list[int], workers: int) -> Iterator[Outcome]:
    if workers == 1:
        _quieten()
        yield from map(run_in_memory, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(workers, _quieten) as pool:
        yield from pool.imap(run_in_memory, seeds, chunksize=4)


def commit_of_the_tree() -> str:
    """Return the commit that is checked out, "unknown" outside a repository."""
    found = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def describe_failure(outcome: Outcome) -> str:
    """Return what a failing seed broke, its story's end, and the command that repeats it."""
    return "\n".join(
        [
            *outcome.story,
            f"seed {outcome.seed} ({outcome.size} validators), commit {commit_of_the_tree()}, step {outcome.steps}: "
            + outcome.failure,
            f"repeat with: make sim SEEDS={outcome.seed}",
        ]
    )


class Report:
    """What the seeds so far came to, in words."""

    def __init__(self, seeds: str) -> None:
        self._seeds = seeds
        self._started = time.monotonic()
        self._total: Counter[str] = Counter()
        self._sizes: Counter[int] = Counter()
        self._heights = 0
        self._slowest_ms = 0
        self.count = 0
        self.failures = 0

    def add(self, outcome: Outcome) -> None:
        """Take one outcome in."""
        self.count += 1
        self.failures += bool(outcome.failure)
        self._total.update(outcome.counts)
        self._sizes[outcome.size] += 1
        self._heights += outcome.height
        self._slowest_ms = max(self._slowest_ms, outcome.recovery_ms)

    def __str__(self) -> str:
        seconds = time.monotonic() - self._started
        return "\n".join(
            [
                f"{self.count} seeds (of {self._seeds}), {self._heights} heights, {seconds:.0f} s, {self.failures} failed",
                "validators: " + ", ".join(f"{size} in {count}" for size, count in sorted(self._sizes.items())),
                f"slowest recovery after the faults ended: {self._slowest_ms} ms of virtual time",
                *(f"{name}: {count}" for name, count in sorted(self._total.items())),
            ]
        )


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds asked for; return 0 if none failed."""
    parser = argparse.ArgumentParser(prog="tests.simulator.run", description=__doc__)
    parser.add_argument("--seeds", default="0-99")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--digests", action="store_true", help="print the digest of every run")
    options = parser.parse_args(arguments)
    seeds = parse_seeds(options.seeds)
    report = Report(options.seeds)
    for outcome in _outcomes(seeds, min(options.workers, len(seeds))):
        report.add(outcome)
        if outcome.failure:
            print(describe_failure(outcome), flush=True)
        if options.digests:
            print(outcome.seed, outcome.digest)
        elif report.count % PROGRESS_SEEDS == 0 and report.count < len(seeds):
            print(report, flush=True)
    if not options.digests:
        print(report)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
