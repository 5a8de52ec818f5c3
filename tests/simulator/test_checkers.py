"""The checkers fire where they must: a network with more Byzantine validators than it survives forks, and is caught."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulator.byzantine import Equivocator
from tests.simulator.checkers import Violation
from tests.simulator.signatures import stand_in_signatures
from tests.simulator.world import World


def _run_with_equivocators(folder: Path, indices: tuple[int, ...]) -> World:
    world = World(folder, seed=1)
    try:
        for index in indices:
            world.nodes[index].behaviour = Equivocator()
        world.start()
        world.run(20_000, lambda: world.top_height >= 12)
    finally:
        world.close()
    return world


def test_two_equivocators_of_four_fork_the_chain_and_the_agreement_checker_says_so(tmp_path: Path) -> None:
    with stand_in_signatures(), pytest.raises(Violation, match=r"^agreement: at height \d+"):
        _run_with_equivocators(tmp_path, (1, 2))


def test_one_equivocator_of_four_forks_nothing(tmp_path: Path) -> None:
    with stand_in_signatures():
        world = _run_with_equivocators(tmp_path, (1,))
    assert world.validity.ledger.height >= 12
