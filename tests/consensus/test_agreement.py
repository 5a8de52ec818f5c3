"""Agreement on random schedules: several cores, a faulty network, crashes, and up to f validators that lie to each peer.

The networks check safety at every event: one block a height, a valid one, with a certificate; no correct validator asked to
sign two values at one (height, round, step) or to sign backwards after a restart; no evidence against a correct one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.events import ProposalReceived, VoteReceived
from consensus.messages import Proposal, VoteKind

NetworkMaker = Callable[..., Any]
FAULTS_END_MS = 3_000
RECOVERY_LIMIT_MS = 20_000
"""Virtual time; the longest round waits 3 * 600 ms, and f = 2 lying proposers can spoil a few rounds."""

on_schedules = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _recovers(network: Any) -> bool:
    """End the faults and return whether every node then decides two more heights."""
    network.heal()
    goal = network.highest_height() + 2
    recovered: bool = network.run(lambda: network.lowest_height() >= goal, network.now_ms + RECOVERY_LIMIT_MS)
    return recovered


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, Any]:
    """Return the faults of one run."""
    n = draw(st.sampled_from([4, 4, 5, 6, 7]))
    moments = st.integers(0, FAULTS_END_MS)
    return {
        "seed": draw(st.integers(0, 2**32)),
        "n": n,
        "byzantine": draw(st.integers(0, (n - 1) // 3)),
        "loss": draw(st.sampled_from([0.0, 0.1, 0.3, 0.6])),
        "duplication": draw(st.sampled_from([0.0, 0.3])),
        "delay_ms": draw(st.sampled_from([10, 100, 400])),
        "forgetful": draw(st.integers(0, n)),
        "crashes": draw(
            st.lists(st.tuples(moments, st.integers(0, n - 1), st.integers(1, 1_500), st.booleans()), max_size=6)
        ),
        "split": draw(st.none() | st.tuples(moments, st.sets(st.integers(0, n - 1)))),
    }


@given(schedule=schedules())
@settings(on_schedules, max_examples=150)
def test_safe_under_faults_and_live_after_them(schedule: dict[str, Any], network: NetworkMaker) -> None:
    crashes, split, forgetful = (schedule.pop(name) for name in ("crashes", "split", "forgetful"))
    net = network(**schedule)
    # Those who lose their log as a whole keep the promise of their last-signed record, but not the proofs of lock that others need.
    forgetters = sorted(net.nodes)[:forgetful]
    for moment, index, down_ms, has_log in crashes:
        if index in net.nodes:
            keeps_log = has_log or index not in forgetters
            net.at(moment, partial(net.crash_and_restart, index, down_ms, has_log=keeps_log))
    if split is not None:
        net.at(split[0], lambda: setattr(net, "groups", [split[1], set(range(schedule["n"])) - split[1]]))
    net.run(lambda: False, FAULTS_END_MS)
    is_live = len(forgetters) + len(net.byzantine) <= net.validators.faulty_limit
    assert _recovers(net) or not is_live


def test_a_seed_gives_the_same_run_again(network: NetworkMaker) -> None:
    runs = []
    for _ in range(2):
        net = network(7, 7, byzantine=2, loss=0.3, duplication=0.3, delay_ms=100)
        net.run(lambda: False, FAULTS_END_MS)
        runs.append((net.decided, [(node.rounds_above_zero, node.locks, node.evidence) for node in net.nodes.values()]))
    assert runs[0] == runs[1]


def test_the_schedules_reach_the_interesting_states(network: NetworkMaker) -> None:
    rounds = locks = evidence = restarts = 0
    for seed in range(20):
        net = network(seed, 4, byzantine=seed % 2, loss=0.3, delay_ms=100)
        for index in net.nodes:
            net.at(500 + 400 * index, partial(net.crash_and_restart, index, 300, has_log=index % 2 == 0))
        net.run(lambda: False, FAULTS_END_MS)
        assert _recovers(net)
        rounds += sum(node.rounds_above_zero for node in net.nodes.values())
        locks += sum(node.locks for node in net.nodes.values())
        evidence += sum(node.evidence for node in net.nodes.values())
        restarts += net.restarts
    assert min(rounds, locks, evidence, restarts) > 20


@pytest.mark.parametrize("has_log", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_case_16_all_nodes_restart_in_different_rounds_and_rejoin(
    network: NetworkMaker, seed: int, has_log: bool
) -> None:
    net = network(seed, 4, loss=0.6, delay_ms=200)
    net.run(lambda: False, FAULTS_END_MS)
    for index in net.nodes:
        net.crash_and_restart(index, 100 + 50 * index, has_log=has_log)
    net.loss = 0.0
    net.run(lambda: all(node.is_up for node in net.nodes.values()), net.now_ms + 1_000)
    assert net.restarts == 4
    # With all logs lost the proofs of two nodes' locks may be gone from the world: then nothing moves, and nothing forks.
    assert _recovers(net) or not has_log


@pytest.mark.parametrize("seed", range(4))
def test_case_16_more_than_f_away_for_long_then_back(network: NetworkMaker, seed: int) -> None:
    net = network(seed, 4)
    for index in (0, 1):
        net.crash_and_restart(index, 3_600_000, has_log=True)
    net.run(lambda: False, 1_000)
    stuck_at = net.highest_height()
    net.run(lambda: False, 60_000)
    assert net.highest_height() == stuck_at, "two of four decide nothing"
    net.nodes[0].restart(has_log=True)
    back_at_ms = net.now_ms
    assert net.run(lambda: net.nodes[2].height > stuck_at + 1, 120_000)
    assert net.now_ms - back_at_ms <= 3 * (3 * 600), "within three rounds at the cap"


@pytest.mark.parametrize("groups", [[{0, 1}, {2, 3}], [{0, 1, 2}, {3}], [{0}, {1}, {2}, {3}], [{0, 1, 2}, {2, 3}]])
def test_case_27_partitions_never_fork_and_heal(network: NetworkMaker, groups: list[set[int]]) -> None:
    net = network(1, 4)
    net.run(lambda: net.lowest_height() >= 3, 10_000)
    net.groups = groups
    before = net.highest_height()
    net.run(lambda: False, net.now_ms + 2_000)
    has_quorum = any(len(group) >= 3 for group in groups)
    assert (net.highest_height() > before + 1) == has_quorum
    assert _recovers(net)


def test_case_20_a_node_that_was_away_is_led_by_certificates(network: NetworkMaker) -> None:
    net = network(3, 4)
    net.crash_and_restart(2, 2_000, has_log=False)
    net.run(lambda: False, 1_990)
    assert net.nodes[2].height == 1
    assert _recovers(net)


def _show(node: Any, network: Any, value: bytes, liars: list[int]) -> None:
    """Let the liars tell one node that everybody is for `value`."""
    node.take(ProposalReceived(Proposal(1, 0, value, -1, 1, bytes(64)), is_valid=True, is_timely=True))
    for kind in VoteKind:
        for liar in liars:
            node.take(VoteReceived(network.vote(liar, kind, 1, 0, value)))


def test_the_checkers_fire_with_more_than_f_liars(network: NetworkMaker) -> None:
    net = network(5, 4)
    left, right = net.new_block(1, 1), net.new_block(1, 1)
    _show(net.nodes[0], net, left, [1, 2])
    with pytest.raises(AssertionError, match="two blocks are decided at height 1"):
        _show(net.nodes[3], net, right, [1, 2])
