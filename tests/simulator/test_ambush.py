"""An ambush forks a network whose validators break a rule of locking, and delays one whose validators keep it."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.core import Core
from consensus.round import RoundMachine
from tests.simulator.ambush import Ambush, HiddenDecision, SecondLock
from tests.simulator.byzantine import Liar
from tests.simulator.checkers import Violation
from tests.simulator.mutants import MUTANTS
from tests.simulator.rules import RuleChecker
from tests.simulator.signatures import stand_in_signatures
from tests.simulator.world import World

HEIGHTS = 4


def _run(folder: Path, kind: type[Ambush], count: int, liar: int | None = None) -> World:
    """Run a network whose every height is ambushed, but for the last ones; with a liar, those where it proposes in round 1."""
    with stand_in_signatures():
        world = World(folder, seed=2, count=count)

        def lie_in_wait() -> None:
            ledger = world.validity.ledger
            if liar is not None and (ledger.height + 2) % count != liar:
                return
            if ledger.height < HEIGHTS and (world.ambush is None or ledger.height > world.ambush.height):
                ambush = world.ambush = kind(world.random, ledger.height + 1, ledger.validators(), world.now_ms)
                world.later(ambush.end_ms - world.now_ms, None, lambda: leave(ambush))

        def leave(ambush: Ambush) -> None:
            if world.ambush is ambush:
                world.ambush = None

        world.at_height = lie_in_wait
        if liar is not None:
            world.nodes[liar].behaviour = Liar()
        try:
            world.start()
            lie_in_wait()
            assert world.run(120_000, lambda: all(node.ledger.height >= HEIGHTS + 2 for node in world.correct))
        finally:
            world.close()
    return world


@pytest.mark.parametrize("kind", [HiddenDecision, SecondLock])
@pytest.mark.parametrize("count", [4, 7])
def test_an_ambush_costs_rounds_and_forks_nothing(tmp_path: Path, kind: type[Ambush], count: int) -> None:
    world = _run(tmp_path, kind, count)
    assert world.counts["rounds_above_0"] >= HEIGHTS
    assert world.counts["locks_held_into_a_later_round"] > 0


@pytest.mark.parametrize(
    ("mutant", "method"),
    [("R2 ignores the lock", "prevote_new"), ("R5 precommits without a lock", "take_proof_of_lock")],
)
def test_a_hidden_decision_forks_a_network_that_does_not_keep_its_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: str, method: str
) -> None:
    # Planted bugs stay where they are put; this puts back what was there. The rules must not speak first.
    monkeypatch.setattr(RoundMachine, method, getattr(RoundMachine, method))
    monkeypatch.setattr(RuleChecker, "after", lambda self, actions: None)
    MUTANTS[mutant]()
    with pytest.raises(Violation, match=r"^agreement: "):
        _run(tmp_path, HiddenDecision, 4)


def test_a_proposer_that_lies_about_a_proof_of_lock_forks_a_network_that_does_not_ask_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sound").mkdir()
    _run(tmp_path / "sound", HiddenDecision, 4, liar=2)
    monkeypatch.setattr(Core, "_prevote", Core._prevote)
    monkeypatch.setattr(RuleChecker, "after", lambda self, actions: None)
    MUTANTS["R3 asks for no proof of lock"]()
    (tmp_path / "planted").mkdir()
    with pytest.raises(Violation, match=r"^agreement: "):
        _run(tmp_path / "planted", HiddenDecision, 4, liar=2)


def test_the_second_lock_needs_the_vote_that_its_proof_frees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoundMachine, "prevote_again", RoundMachine.prevote_again)
    MUTANTS["R3 never accepts a newer proof of lock"]()
    with pytest.raises(Violation, match=r"^rules: .* prevotes nil \(R3\)"):
        _run(tmp_path, SecondLock, 4)
