"""Changes of the validator set: a governor names candidates and removes validators; a candidate's node says that it is ready."""

from __future__ import annotations

from typing import Final

from contracts.validator_sets import load_candidates
from tests.simulator.validator import SimValidator
from tests.simulator.world import DEPARTMENT, World

MAX_PAUSE_MS: Final = 700


def nominate(world: World, node: SimValidator) -> bytes:
    """Return the governor's transaction that makes a candidate of a node."""
    public_key = node.signer.public_key
    return world.transaction("members", "add_validator", department=DEPARTMENT, name=node.name, public_key=public_key)


def remove(world: World, node: SimValidator) -> bytes:
    """Return the governor's transaction that takes a node out of the set."""
    return world.transaction("members", "remove_validator", address=node.signer.address, reason="退出")


class SetChanges:
    """One change after the other until `end`; never more removals on their way than leave `least_validators`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_over = False
        self._removals: set[bytes] = set()
        """Ids of removals that stand in no final block yet: each may still come into one."""

    def begin(self) -> None:
        self._world.later(self._world.random.randint(1, MAX_PAUSE_MS), None, self._next_change)

    def end(self) -> None:
        self._is_over = True

    def _next_change(self) -> None:
        world = self._world
        if self._is_over:
            return
        up = [node for node in world.correct if node.is_up]
        if up:
            self._change(world.random.choice(up))
        world.later(world.random.randint(1, MAX_PAUSE_MS), None, self._next_change)

    def _change(self, through: SimValidator) -> None:
        world = self._world
        ledger = world.validity.ledger
        validators = ledger.validators()
        waiting = {candidate.address for candidate in load_candidates(ledger.state())}
        inside = [node for node in world.nodes if validators.index_of(node.signer.address) is not None]
        outside = [node for node in world.nodes if node not in inside and node.signer.address not in waiting]
        self._removals = {removal for removal in self._removals if ledger.find_transaction(removal) is None}
        is_removable = len(inside) - len(self._removals) > world.least_validators
        if outside and (not is_removable or world.random.random() < 0.6):
            node = world.random.choice(outside)
            world.note(f"{node.name} is named a candidate")
            world.submit(through, nominate(world, node))
        elif is_removable:
            node = world.random.choice(inside)
            world.note(f"{node.name} is to be removed")
            self._removals.add(world.submit(through, remove(world, node)))
