"""Memory of one height: bounded by the number of validators, whatever is sent and however many rounds it lasts (R11)."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.core import Core
from consensus.events import BlockBuilt, HeightStarted, Input, ProposalReceived, TimeoutElapsed, VoteReceived
from consensus.messages import Proposal, Vote, VoteKind
from consensus.timeouts import TimeoutKind, TimeoutSchedule
from consensus.validators import ValidatorSet
from consensus.votes import FUTURE_ROUNDS_KEPT, MAX_PAST_ROUNDS, Tally, VoteKeeper

ProbeMaker = Callable[..., Any]
N, HEIGHT = 4, 9
WAITS = TimeoutSchedule(propose_ms=1, prevote_ms=1, precommit_ms=1, step_ms=1, limit_ms=1)
KEPT_ROUNDS = MAX_PAST_ROUNDS + 2 + FUTURE_ROUNDS_KEPT
"""The past ones, the last, our own, and those above."""
MAX_KEPT_VOTES = KEPT_ROUNDS * 2 * N * (N + 1) + N
MAX_KEPT_PROPOSALS = MAX_PAST_ROUNDS + 1 + FUTURE_ROUNDS_KEPT
VALUES = [None, *(bytes([number]) * 32 for number in range(6))]

rounds = st.one_of(st.integers(0, 8), st.integers(0, 400), st.integers(0, 2**31 - 1), st.integers(-1, 2**63))
heights = st.sampled_from([HEIGHT] * 8 + [HEIGHT - 1, HEIGHT + 1, 2**62])
kinds = st.sampled_from(list(VoteKind))


def _vote(kind: VoteKind, round_: int, value: bytes | None, signer: int, height: int = HEIGHT) -> Vote:
    return Vote(kind, height, round_, value, signer, round_.to_bytes(64, "big", signed=True))


@st.composite
def floods(draw: st.DrawFn) -> list[Input]:
    """One burst: votes of some or all validators over many rounds, one value or a fresh one each, or proposals, or timeouts."""
    first, count = draw(rounds), draw(st.sampled_from([1, 1, 3, 40, 150]))
    span = range(first, first + count)
    height = draw(heights)
    if draw(st.integers(0, 3)):
        signers = draw(st.sets(st.integers(0, N), min_size=1))
        kind, value = draw(kinds), draw(st.sampled_from(VALUES))
        is_fresh = draw(st.booleans())
        return [
            VoteReceived(_vote(kind, round_, b"%032d" % (round_ + signer) if is_fresh else value, signer, height))
            for round_ in span
            for signer in signers
        ]
    if draw(st.booleans()):
        pol_round, is_valid = draw(rounds), draw(st.booleans())
        return [
            ProposalReceived(
                Proposal(
                    height, round_, b"%032d" % round_, min(pol_round, round_ - 1), (height + round_) % N, bytes(64)
                ),
                is_valid,
                is_timely=True,
            )
            for round_ in span
        ]
    if draw(st.booleans()):
        return [BlockBuilt(height, first, bytes(32))]
    return [TimeoutElapsed(kind, height, round_) for round_ in span for kind in TimeoutKind]


def _reachable(root: object) -> list[object]:
    """Every object that `root` keeps alive, classes and functions left out."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        found = waiting.pop()
        if id(found) not in seen and not isinstance(found, type) and not callable(found):
            seen[id(found)] = found
            waiting += gc.get_referents(found)
    return list(seen.values())


def _kept(root: object, kind: type) -> int:
    return sum(isinstance(found, kind) for found in _reachable(root))


@given(bursts=st.lists(floods(), max_size=12))
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_sequence_of_inputs_exceeds_the_bound(
    bursts: list[list[Input]], validator_set: Callable[[int], ValidatorSet]
) -> None:
    core = Core()
    core.step(HeightStarted(HEIGHT, validator_set(N), 0, WAITS))
    for burst in bursts:
        for event in burst:
            core.step(event)
        assert _kept(core, Tally) <= 2 * KEPT_ROUNDS + 1
        assert _kept(core, Vote) <= MAX_KEPT_VOTES
        assert _kept(core, ProposalReceived) <= MAX_KEPT_PROPOSALS
        # Everything else hangs on these: tallies, sets of signers, verdicts on blocks.
        assert len(_reachable(core)) <= 40 * MAX_KEPT_VOTES


@given(bursts=st.lists(floods(), max_size=6))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_core_does_not_want_changes_nothing(
    bursts: list[list[Input]], validator_set: Callable[[int], ValidatorSet]
) -> None:
    asked, fed = Core(), Core()
    for core in (asked, fed):
        core.step(HeightStarted(HEIGHT, validator_set(N), None, WAITS))
    for event in (event for burst in bursts for event in burst):
        actions = fed.step(event)
        if isinstance(event, VoteReceived) and not asked.wants(event.vote):
            # An evidence of it was given with an earlier vote, or is not to be had any more.
            assert all(type(action).__name__ == "RecordEvidence" for action in actions)
        else:
            assert asked.step(event) == actions
        assert asked.snapshot().lock == fed.snapshot().lock
        assert (asked.snapshot().round, asked.snapshot().step) == (fed.snapshot().round, fed.snapshot().step)


def test_reading_makes_no_entries(validator_set: Callable[[int], ValidatorSet]) -> None:
    keeper = VoteKeeper(validator_set(N))
    before = len(_reachable(keeper))
    for round_ in range(1_000):
        assert not keeper.prevotes(round_).has_quorum_of_any()
        assert not keeper.precommits(round_).quorum_values
        assert keeper.votes(round_) == []
        assert keeper.wants(_vote(VoteKind.PREVOTE, round_, VALUES[1], 0))
    assert len(_reachable(keeper)) == before


def _enter(core: Any, round_: int) -> None:
    core(f"precommit r{round_} nil by 0 1")
    assert core.core.snapshot().round == round_


def _fill_past(core: Any, rounds: Iterable[int]) -> None:
    """Let one hostile validator vote for a block of its own in each of these past rounds."""
    for round_ in rounds:
        core(f"prevote r{round_} junk by 0", f"precommit r{round_} junk by 0")


def test_the_proofs_of_lock_and_valid_value_outlast_every_flood(probe: ProbeMaker) -> None:
    core = probe(own=3)
    core("proposal r0 X", "prevote r0 X by 1 2 3")
    assert core.core.snapshot().lock.valid_round == 0
    _enter(core, 500)
    _fill_past(core, range(500))
    proof = [vote for vote in core.core.votes_for_peer(500) if vote.round == 0]
    assert [vote.validator_index for vote in proof] == [1, 2, 3]


def test_a_quorum_of_precommits_of_the_past_is_kept_until_its_block_comes(probe: ProbeMaker) -> None:
    core = probe(own=3)
    core("precommit r0 X by 0 1 2")
    _enter(core, 500)
    _fill_past(core, range(1, 500))
    assert core("proposal r0 X") == ["decide r0 X by 0 1 2"]


def test_a_proof_of_a_round_let_go_of_is_taken_again_once_a_proposal_refers_to_it(probe: ProbeMaker) -> None:
    core = probe(own=3)
    core("prevote r3 X by 1")
    _enter(core, 500)
    _fill_past(core, range(4, 500))
    core("prevote r3 X by 1 2")
    assert core("proposal r500 X pol r3") == [], "that proof is not here"
    assert core("prevote r3 X by 1 2", "prevote r3 X by 0") == ["sign prevote r500 X"], "and its proposer serves it"


def test_rounds_without_a_quorum_go_first_then_the_lowest(validator_set: Callable[[int], ValidatorSet]) -> None:
    keeper = VoteKeeper(validator_set(N))
    keeper.enter_round(1_000)
    for signer in range(3):
        keeper.add(_vote(VoteKind.PREVOTE, 5, VALUES[1], signer))
    for round_ in range(10, 10 + MAX_PAST_ROUNDS):
        keeper.add(_vote(VoteKind.PREVOTE, round_, VALUES[2], 0))
    kept = [round_ for round_ in range(1_000) if keeper.votes(round_)]
    assert kept == [5, *range(11, 10 + MAX_PAST_ROUNDS)]
    assert keeper.supported == {VALUES[1]: 5}
    assert not keeper.wants(_vote(VoteKind.PREVOTE, 9, VALUES[2], 0)), "a lower round drives out none that is kept"


def test_of_rounds_with_a_quorum_the_lowest_goes_first_except_one_that_may_decide(
    validator_set: Callable[[int], ValidatorSet],
) -> None:
    keeper = VoteKeeper(validator_set(N))
    for round_ in range(200):
        keeper.enter_round(round_)
        kind = VoteKind.PRECOMMIT if round_ == 7 else VoteKind.PREVOTE
        for signer in range(3):
            keeper.add(_vote(kind, round_, b"%032d" % round_, signer))
    last = 199
    assert [round_ for round_ in range(200) if keeper.votes(round_)] == [7, *range(last - MAX_PAST_ROUNDS, last + 1)]
    assert sorted(keeper.supported.values()) == [7, *range(last - MAX_PAST_ROUNDS, last + 1)]
    assert keeper.committed == {b"%032d" % 7: 7}
    assert keeper.certificate(HEIGHT, b"%032d" % 7).signers == [0, 1, 2]


@pytest.mark.parametrize("kind", list(VoteKind))
def test_two_equivocators_cannot_drive_out_a_vote_that_completes_a_quorum(probe: ProbeMaker, kind: VoteKind) -> None:
    # Validators 0 and 1 of 7 are Byzantine. They vote for junk of each other, so that each has more free values than one.
    core, name = probe(n=7, own=6), kind.name.lower()
    core("elapsed new-height")
    core(f"{name} r0 A by 0", f"{name} r0 B by 1", f"{name} r0 X by 0", f"{name} r0 C by 1", f"{name} r0 C by 0")
    core(f"{name} r0 X by 2 3 4 5")
    assert (kind, b"X".ljust(32, b"\0")) in core.core.block_quorums(0)


def test_once_decided_or_before_the_first_height_no_vote_is_wanted(probe: ProbeMaker) -> None:
    core = probe(own=3, height=HEIGHT)
    assert core.core.wants(_vote(VoteKind.PREVOTE, 0, VALUES[1], 0))
    assert not core.core.wants(_vote(VoteKind.PREVOTE, 2**31, VALUES[1], 0))
    core("certificate r0 X by 0 1 2")
    assert not core.core.wants(_vote(VoteKind.PREVOTE, 0, VALUES[1], 0))
    assert not Core().wants(_vote(VoteKind.PREVOTE, 0, VALUES[1], 0))
    assert Core().block_quorums(0) == frozenset()
