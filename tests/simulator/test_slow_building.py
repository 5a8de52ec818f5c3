"""Case 18: building a block takes longer than the interval between blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator.signatures import stand_in_signatures
from tests.simulator.world import World

HEARTBEAT_MS = 2_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Four validators with a block interval of 10 ms."""
    with stand_in_signatures():
        world = World(tmp_path, seed=1, empty_block_interval_ms=HEARTBEAT_MS)
        world.start()
        world.run(100)
        yield world
        world.close()


def _blocks(world: World) -> tuple[int, int]:
    """Return how many final blocks carry transactions, and how many none."""
    ledger = world.validity.ledger
    sizes = [len(ledger.sealed_block(height).body.transactions) for height in range(1, ledger.height + 1)]
    return sum(size > 0 for size in sizes), sum(size == 0 for size in sizes)


@pytest.mark.parametrize("build_ms", [15, 60, 250])
def test_case_18_building_longer_than_the_interval_makes_no_endless_empty_blocks(world: World, build_ms: int) -> None:
    for node in world.nodes:
        node.build_ms = build_ms
    for number in range(20):
        world.submit(world.nodes[number % 4], world.transaction())
        world.run(40)
    assert world.run(5_000, lambda: not any(len(node.pool) for node in world.nodes))
    busy, empty = _blocks(world)
    assert 1 <= busy <= 20
    assert empty <= 1
    world.run(5 * HEARTBEAT_MS)
    idle_busy, idle_empty = _blocks(world)
    assert idle_busy == busy
    assert 4 <= idle_empty - empty <= 6, "an idle network makes heartbeats and no other blocks"


def test_case_18_building_longer_than_the_timeout_delays_blocks_and_does_not_end_them(world: World) -> None:
    # A round waits 300 ms for a proposal, and 100 ms more each time: from the third on there is time enough.
    for node in world.nodes:
        node.build_ms = 450
    world.submit(world.nodes[0], world.transaction())
    assert world.run(10_000, lambda: _blocks(world)[0] == 1)
    # Each round builds one block at most, those that come too late included.
    assert world.counts["blocks_built"] <= 4 + world.counts["rounds_above_0"]
