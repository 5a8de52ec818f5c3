"""Validator set changes: one a block, at the boundary that the block before names, whoever is down, slow or lying there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.validator_sets import load_candidates
from tests.simulator.byzantine import Equivocator
from tests.simulator.set_changes import nominate, remove
from tests.simulator.signatures import stand_in_signatures
from tests.simulator.validator import SimValidator
from tests.simulator.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Four validators, and a fifth node that only follows; the sixth is down."""
    with stand_in_signatures():
        world = World(tmp_path, seed=1, count=4, spares=2)
        world.start()
        world.nodes[5].kill()
        world.run(100)
        yield world
        world.close()


def _size(world: World) -> int:
    return len(world.validity.ledger.validators())


def _is_member(world: World, node: SimValidator) -> bool:
    return world.validity.ledger.validators().index_of(node.signer.address) is not None


def _is_candidate(world: World, node: SimValidator) -> bool:
    return any(one.address == node.signer.address for one in load_candidates(world.validity.ledger.state()))


def _make_candidate(world: World, node: SimValidator) -> None:
    world.submit(world.nodes[0], nominate(world, node))
    assert world.run(5_000, lambda: _is_candidate(world, node) or _is_member(world, node))


def _reach(world: World, height: int, bound_ms: int = 20_000) -> None:
    def is_reached() -> bool:
        heights = [node.ledger.height for node in world.correct if node.is_up]
        return min(heights, default=0) >= height

    assert world.run(bound_ms, is_reached), "the chain does not go on"


def test_case_21_a_candidate_joins_votes_and_leaves_again(world: World) -> None:
    newcomer = world.nodes[4]
    _make_candidate(world, newcomer)
    assert world.run(10_000, lambda: _size(world) == 5)
    # Five validators need four: with one of the founders down, every further block has the newcomer's signature.
    world.nodes[0].kill()
    height = world.validity.ledger.height
    _reach(world, height + 3)
    index = world.validity.ledger.validators().index_of(newcomer.signer.address)
    assert index in world.validity.ledger.certificate(height + 3).signers
    world.nodes[0].start()
    world.submit(world.nodes[1], remove(world, newcomer))
    assert world.run(5_000, lambda: _size(world) == 4)
    newcomer.kill()
    _reach(world, world.validity.ledger.height + 3)


def test_case_21_a_candidate_and_a_removal_in_one_block_change_the_set_once(world: World) -> None:
    _make_candidate(world, world.nodes[4])
    assert world.run(10_000, lambda: _size(world) == 5)
    world.nodes[5].start()
    _make_candidate(world, world.nodes[5])
    # Three of five decide nothing, so that the candidate's word and the removal wait together.
    for node in world.nodes[:2]:
        node.kill()
    assert world.run(5_000, lambda: all(len(node.pool) for node in world.nodes[2:]))
    removal = world.submit(world.nodes[2], remove(world, world.nodes[4]))
    world.run(2_000)
    for node in world.nodes[:2]:
        node.start()
    ledger = world.validity.ledger
    assert world.run(10_000, lambda: ledger.find_transaction(removal) is not None)
    place = ledger.find_transaction(removal)
    assert place is not None
    height = place[0]
    assert len(ledger.sealed_block(height).body.transactions) == 2, "both stand in one block"
    # One of the two had an effect, the other was refused; World checks at every block that at most one member changed.
    assert _size(world) == (4 if place[1] == 0 else 6)
    assert ledger.header(height).next_validators_hash != ledger.header(height).validators_hash
    _reach(world, ledger.height + 3)


@pytest.mark.parametrize("away_ms", [20, 400, 2_500])
def test_case_21_everyone_restarts_where_the_new_set_begins(world: World, away_ms: int) -> None:
    nodes = world.nodes[:5]

    def restart() -> None:
        for delay, node in enumerate(nodes):
            node.kill()
            world.later(away_ms + 30 * delay, None, node.start)

    world.at_boundary = restart
    _make_candidate(world, world.nodes[4])
    assert world.run(10_000, lambda: _size(world) == 5)
    world.run(100)
    world.at_boundary = lambda: None
    _reach(world, world.validity.ledger.height + 3)
    assert all(node.ledger.validators() == world.validity.ledger.validators() for node in nodes)


def test_case_21_halves_of_the_new_set_wait_and_the_old_quorum_decides_nothing(world: World) -> None:
    world.at_boundary = lambda: world.part([world.nodes[:3], world.nodes[3:]])
    _make_candidate(world, world.nodes[4])
    assert world.run(10_000, lambda: _size(world) == 5)
    world.run(100)
    height = world.validity.ledger.height
    world.run(5_000)
    # Three were a quorum of four, and are none of five.
    assert world.validity.ledger.height == height
    world.join()
    _reach(world, height + 3)


def test_case_21_an_equivocator_is_convicted_after_the_set_has_changed(world: World) -> None:
    liar = world.nodes[1]
    liar.behaviour = Equivocator()
    _make_candidate(world, world.nodes[4])
    assert world.run(20_000, lambda: _size(world) == 5)
    changed = world.validity.ledger.height
    assert world.run(20_000, lambda: world.counts["evidence_in_blocks"] > 0 and world.top_height > changed + 2)


def test_case_22_a_candidate_that_never_synced_is_no_part_of_the_quorum(world: World) -> None:
    never_there = world.nodes[5]
    _make_candidate(world, never_there)
    # With one of the four down as well, two of five would be away: a set that counted the candidate could not decide.
    world.nodes[0].kill()
    height = world.validity.ledger.height
    world.run(10_000)
    assert _size(world) == 4
    assert world.validity.ledger.height > height + 10
    world.nodes[0].start()
    never_there.start()
    assert world.run(10_000, lambda: _size(world) == 5)
    assert never_there.ledger.height >= world.validity.ledger.height - 1, (
        "it joined once it stood where the others stand"
    )
    _reach(world, world.validity.ledger.height + 3)


def test_case_22_a_candidate_that_is_behind_says_nothing(world: World) -> None:
    behind = world.nodes[5]
    _make_candidate(world, behind)
    world.run(1_000)
    behind.start()
    # It has heard how high the others are, and gets no block.
    for node in world.nodes[:5]:
        world.parted.add(frozenset((node.name, behind.name)))
        world.disconnect(node, behind)
    world.run(4_000)
    assert behind.ledger.height == 0
    assert _size(world) == 4
    world.join()
    assert world.run(10_000, lambda: _size(world) == 5)
