"""The faults of one run, drawn from its seed: crashes, cut logs, lost disks, partitions, bad links, wrong clocks, transactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.simulator.ambush import AMBUSHES, Ambush
from tests.simulator.byzantine import draw_behaviour
from tests.simulator.checkers import Violation, check_replay, count_own_records
from tests.simulator.set_changes import SetChanges
from tests.simulator.validator import SimValidator
from tests.simulator.world import World

MAX_PAUSE_MS: Final = 500
HUNTING_PAUSE_MS: Final = 2_000
MAX_OUTAGE_MS: Final = 3_000
SMALL_SKEW_MS: Final = 100
LARGE_SKEW_MS: Final = 3_600_000
MAX_KILL_POINTS: Final = 60
RESTART_BYZANTINE_MS: Final = 500


class Turmoil:
    """One fault after the other until `end`, which undoes them all.

    At most f validators are ever faulty in more than crashing: Byzantine, or with a disk that loses what was synced. As many
    others at most have clocks that are far off.
    """

    def __init__(self, world: World, *, changes_sets: bool = False, hunts: bool = False) -> None:
        self._world = world
        self._random = world.random
        self._is_over = False
        self._set_changes = SetChanges(world) if changes_sets else None
        self._hunts = hunts
        self._longest_pause_ms = HUNTING_PAUSE_MS if hunts else MAX_PAUSE_MS
        order = self._random.sample(world.nodes, len(world.nodes))
        faulty = order[: world.faulty_limit]
        self.byzantine = [node for node in faulty if self._random.random() < 0.5]
        self.frail = [node for node in faulty if node not in self.byzantine]
        self._far_off = order[world.faulty_limit : 2 * world.faulty_limit]
        self._away: set[str] = set()
        for node in self.byzantine:
            node.behaviour = draw_behaviour(world)
            world.note(f"{node.name} is {node.behaviour.name}")
        self._faults: list[tuple[Callable[[], None], int]] = [
            (self._crash_between_events, 3),
            (self._crash_at_a_point, 4),
            (self._crash_all, 1),
            (self._damage, 2 if self.frail else 0),
            (self._part, 3),
            (self._mute_a_link, 2),
            (self._spoil_links, 3),
            (self._step_a_clock, 2),
            (self._slow_a_builder, 1),
        ]

    def begin(self) -> None:
        """Start everything, and let faults and transactions come."""
        self._world.start()
        self._world.later(self._random.randint(1, self._longest_pause_ms), None, self._next_fault)
        self._world.later(20, None, self._next_transaction)
        self._world.later(RESTART_BYZANTINE_MS, None, self._keep_byzantine_up)
        if self._set_changes is not None:
            self._set_changes.begin()
            self._world.at_boundary = self._shake_the_boundary
        if self._hunts:
            self._world.at_height = self._lie_in_wait

    def end(self) -> None:
        """Undo every fault: from here on only Byzantine validators are faulty."""
        world = self._world
        self._is_over = True
        if self._set_changes is not None:
            self._set_changes.end()
        world.note("the faults end")
        world.ambush = None
        world.loss = world.duplication = 0.0
        world.is_ordered = True
        world.delay_ms = (1, 3)
        for node in world.nodes:
            node.clock_offset_ms = 0
            node.build_ms = 0
            node.kill_after_points = None
        for name in sorted(self._away):
            self._start(world.by_name[name])
        world.join()

    def _next_fault(self) -> None:
        if self._is_over:
            return
        faults, weights = zip(*self._faults, strict=True)
        self._random.choices(faults, weights)[0]()
        self._world.later(self._random.randint(1, self._longest_pause_ms), None, self._next_fault)

    def _next_transaction(self) -> None:
        world = self._world
        up = [node for node in world.correct if node.is_up]
        if up:
            world.submit(self._random.choice(up), world.transaction())
        world.later(self._random.randint(20, 400), None, self._next_transaction)

    def _keep_byzantine_up(self) -> None:
        for node in self.byzantine:
            if node.behaviour is not None and node.behaviour.forgets and node.name not in self._away:
                node.kill()
                node.forget_signatures()
            if not node.is_up and node.name not in self._away:
                self._start(node)
        self._world.later(RESTART_BYZANTINE_MS, None, self._keep_byzantine_up)

    def _shake_the_boundary(self) -> None:
        """Let the new set begin in trouble, more often than chance would."""
        if self._is_over:
            return
        self._random.choice(
            (lambda: None, self._crash_between_events, self._crash_at_a_point, self._crash_all, self._part)
        )()

    def _lie_in_wait(self) -> None:
        """Lie in wait for the next height, where no ambush is under way that the chain has not left behind."""
        world = self._world
        ledger = world.validity.ledger
        is_under_way = world.ambush is not None and ledger.height <= world.ambush.height
        if self._is_over or is_under_way or self._random.random() < 0.3:
            return
        kind = self._random.choice(AMBUSHES)
        ambush = kind(self._random, ledger.height + 1, ledger.validators(), world.now_ms)
        world.ambush = ambush
        world.counts["ambushes"] += 1
        world.note(f"ambush at height {ambush.height}: {ambush.name}")
        world.later(ambush.end_ms - world.now_ms, None, lambda: self._leave(ambush))

    def _leave(self, ambush: Ambush) -> None:
        if self._world.ambush is ambush:
            self._world.ambush = None

    # Processes

    def _start(self, node: SimValidator) -> None:
        self._away.discard(node.name)
        if not node.is_up:
            self._world.counts["restarts"] += 1
            self._world.note(f"{node.name} starts")
            node.start()

    def _start_later(self, node: SimValidator, longest_ms: int = MAX_OUTAGE_MS) -> None:
        self._away.add(node.name)
        self._world.later(
            self._random.randint(10, longest_ms), None, lambda: self._start(node) if node.name in self._away else None
        )

    def _is_here(self, node: SimValidator) -> bool:
        return node.is_up and node.name not in self._away

    def _kill(self, node: SimValidator) -> None:
        """End a process between two events, and lose any part of what it wrote since its last sync."""
        if node.is_correct:
            self._world.counts["replays_compared"] += check_replay(node)
        self._world.note(f"{node.name} crashes")
        node.kill()
        self._lose_unsynced(node)

    def _lose_unsynced(self, node: SimValidator) -> None:
        if node.written_bytes > node.synced_bytes and self._random.random() < 0.7:
            self._world.counts["logs_cut"] += 1
            node.cut_log(self._random.randint(node.synced_bytes, node.written_bytes))

    def _crash_between_events(self) -> None:
        here = [node for node in self._world.nodes if self._is_here(node)]
        if here:
            node = self._random.choice(here)
            self._kill(node)
            self._start_later(node)

    def _crash_at_a_point(self) -> None:
        here = [node for node in self._world.nodes if self._is_here(node)]
        if not here:
            return
        node = self._random.choice(here)
        node.kill_after_points = self._random.randint(0, MAX_KILL_POINTS)
        self._away.add(node.name)
        self._wait_for_kill(node, node.life)

    def _wait_for_kill(self, node: SimValidator, life: int) -> None:
        if node.is_up and node.life == life:
            self._world.later(50, None, lambda: self._wait_for_kill(node, life))
        elif node.name in self._away and not node.is_up:
            self._lose_unsynced(node)
            self._start_later(node)

    def _crash_all(self) -> None:
        longest_ms = self._random.choice((50, 500, MAX_OUTAGE_MS))
        for node in self._world.nodes:
            if self._is_here(node):
                self._kill(node)
                self._start_later(node, longest_ms)

    def _damage(self) -> None:
        """Take from one validator what it had synced: a cut log, a lost disk."""
        node = self._random.choice(self.frail)
        if not self._is_here(node):
            return
        self._kill(node)
        if self._random.random() < 0.5:
            self._world.counts["disks_lost"] += 1
            self._world.note(f"{node.name} loses its disk")
            node.lose_disk()
        elif node.synced_bytes:
            self._world.counts["synced_logs_cut"] += 1
            self._world.note(f"{node.name} loses a part of its synced log")
            signed = count_own_records(node)
            node.cut_log(self._random.randrange(node.synced_bytes))
            if count_own_records(node) < signed:
                self._world.later(0, None, lambda: self._start_abstaining(node))
                return
        self._start_later(node)

    def _start_abstaining(self, node: SimValidator) -> None:
        """Start a node whose log lacks messages that it signed: it must not vote in the height that they belong to."""
        self._start(node)
        if node.is_up and not node.driver.status().abstention:
            raise Violation(f"abstention: {node.name} lost a part of its synced log and votes on")

    # Links and clocks

    def _part(self) -> None:
        world = self._world
        nodes = self._random.sample(world.nodes, len(world.nodes))
        group_count = self._random.choice((2, 2, 2, 3, len(nodes)))
        groups: list[list[SimValidator]] = [[] for _ in range(group_count)]
        for index, node in enumerate(nodes):
            groups[index if index < group_count else self._random.randrange(group_count)].append(node)
        world.note("parted: " + " | ".join(" ".join(node.name for node in group) for group in groups))
        world.counts["partitions"] += 1
        world.part(groups)
        world.later(self._random.randint(50, MAX_OUTAGE_MS), None, world.join)

    def _mute_a_link(self) -> None:
        source, target = self._random.sample(self._world.nodes, 2)
        self._world.counts["one_way_links"] += 1
        self._world.mute.add((source.name, target.name))

    def _spoil_links(self) -> None:
        world = self._world
        world.counts["bad_links"] += 1
        world.loss = self._random.choice((0.0, 0.01, 0.05, 0.2))
        world.duplication = self._random.choice((0.0, 0.05, 0.3))
        world.is_ordered = self._random.random() < 0.7
        world.delay_ms = self._random.choice(((1, 3), (5, 30), (1, 100), (1, 400)))
        world.note(f"links: loss {world.loss}, twice {world.duplication}, {world.delay_ms} ms, {world.is_ordered}")

    def _step_a_clock(self) -> None:
        node = self._random.choice(self._world.nodes)
        limit_ms = LARGE_SKEW_MS if node in self._far_off else SMALL_SKEW_MS
        node.clock_offset_ms = self._random.randint(-limit_ms, limit_ms)
        self._world.counts["clock_steps"] += 1
        self._world.note(f"{node.name} clock {node.clock_offset_ms}")

    def _slow_a_builder(self) -> None:
        node = self._random.choice(self._world.nodes)
        node.build_ms = self._random.choice((0, 30, 250, 600))
        self._world.note(f"{node.name} builds a block in {node.build_ms} ms")
