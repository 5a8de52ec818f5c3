"""Vote keeping against a plain model: sets of distinct signers, whatever the order of arrival."""

from collections import defaultdict
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from consensus.messages import Vote, VoteKind
from consensus.validators import ValidatorSet
from consensus.votes import Tally, VoteKeeper

Ballot = tuple[int, bytes | None]
N, QUORUM = 7, 5
VALUES: list[bytes | None] = [None, b"X" * 32, b"Y" * 32, b"Z" * 32]


@st.composite
def ballots(draw: st.DrawFn) -> list[Ballot]:
    """Every signer votes for at most two values, each perhaps several times; at most two signers for more than one."""
    cast: list[Ballot] = []
    for signer in range(N):
        values = draw(st.lists(st.sampled_from(VALUES), max_size=2 if signer < 2 else 1, unique=True))
        cast += [(signer, value) for value in values for _ in range(draw(st.integers(1, 2)))]
    return draw(st.permutations(cast))


@given(ballots())
def test_a_tally_counts_distinct_signers_in_any_order(cast: list[Ballot]) -> None:
    tally = Tally(QUORUM)
    reported = []
    signers_of: dict[bytes | None, set[int]] = defaultdict(set)
    for number, (signer, value) in enumerate(cast):
        first = tally.add(Vote(VoteKind.PREVOTE, 1, 0, value, signer, number.to_bytes(64, "big")))
        if first is not None:
            reported.append(signer)
        signers_of[value].add(signer)
    voters = set().union(*signers_of.values()) if signers_of else set()
    equivocators = sorted(signer for signer in voters if sum(signer in signers for signers in signers_of.values()) > 1)
    assert tally.signers() == tuple(sorted(voters))
    assert len(tally.quorum_values) == len(set(tally.quorum_values))
    assert tally.has_quorum_of_any() == (len(voters) >= QUORUM)
    assert sorted(reported) == equivocators
    for value in VALUES:
        assert tally.has_quorum(value) == (len(signers_of[value]) >= QUORUM)
        if tally.has_quorum(value):
            assert {vote.validator_index for vote in tally.votes_for(value)} == signers_of[value]


@given(ballots())
def test_what_one_keeper_serves_brings_another_to_the_same_quorums(cast: list[Ballot]) -> None:
    full, empty = Tally(QUORUM), Tally(QUORUM)
    for signer, value in cast:
        full.add(Vote(VoteKind.PREVOTE, 1, 0, value, signer, bytes(64)))
    for vote in full.votes():
        empty.add(vote)
    assert set(empty.quorum_values) == set(full.quorum_values)
    assert empty.signers() == full.signers()


def _vote(kind: VoteKind, round_: int, value: bytes | None, signer: int) -> Vote:
    return Vote(kind, 1, round_, value, signer, bytes(64))


def test_past_rounds_keep_votes_for_blocks_and_the_last_one_all(
    validator_set: Callable[[int], ValidatorSet],
) -> None:
    keeper = VoteKeeper(validator_set(4))
    for round_ in range(3):
        keeper.enter_round(round_)
        keeper.add(_vote(VoteKind.PREVOTE, round_, b"X" * 32, 0))
        keeper.add(_vote(VoteKind.PREVOTE, round_, None, 1))
        keeper.add(_vote(VoteKind.PRECOMMIT, round_, None, 1))
    keeper.enter_round(3)
    assert [len(keeper.votes(round_)) for round_ in range(4)] == [1, 1, 3, 0]
    keeper.add(_vote(VoteKind.PRECOMMIT, 0, None, 2))
    assert len(keeper.votes(0)) == 1


def test_a_lagging_peer_is_served_the_whole_last_round(validator_set: Callable[[int], ValidatorSet]) -> None:
    keeper = VoteKeeper(validator_set(4))
    for signer in range(3):
        keeper.add(_vote(VoteKind.PRECOMMIT, 0, None, signer))
    keeper.enter_round(1)
    behind = VoteKeeper(validator_set(4))
    for vote in keeper.votes(0):
        behind.add(vote)
    assert behind.precommits(0).has_quorum_of_any()


def test_skip_round_is_the_highest_that_a_correct_validator_has_reached(
    validator_set: Callable[[int], ValidatorSet],
) -> None:
    keeper = VoteKeeper(validator_set(7))
    for signer, round_ in enumerate((2**31 - 1, 2**31 - 1, 9, 4, 1)):
        keeper.add(_vote(VoteKind.PREVOTE, round_, None, signer))
    assert keeper.skip_round() == 9
