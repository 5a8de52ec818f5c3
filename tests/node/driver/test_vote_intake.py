import pytest

from consensus.messages import NO_ROUND, Proposal, Vote, VoteKind, vote_sign_digest
from consensus.validators import Validator, ValidatorSet
from consensus.votes import VoteKeeper
from node.chain.transaction import address_of
from node.driver.vote_intake import MAX_HELD_VOTES, ClonedKey, NextHeight, VoteIntake
from node.wire.frames import ProposalFrame
from sm_crypto.sm2 import PrivateKey

GENESIS = b"g" * 32
KEYS = {key.public_key: key for key in (PrivateKey.from_bytes(bytes(31) + bytes([n])) for n in range(2, 6))}
VALIDATORS = ValidatorSet([Validator(address_of(public_key), public_key) for public_key in KEYS])


def _vote(index: int, block: str = "", *, round_: int = 0, kind: VoteKind = VoteKind.PREVOTE) -> Vote:
    block_id = block.encode().ljust(32) if block else None
    digest = vote_sign_digest(GENESIS, kind, 5, round_, block_id)
    return Vote(kind, 5, round_, block_id, index, KEYS[VALIDATORS.members[index].public_key].sign(digest))


class Way:
    """An intake with the core's vote keeping behind it."""

    def __init__(self, own_index: int | None = None) -> None:
        self.keeper = VoteKeeper(VALIDATORS)
        self.intake = VoteIntake(5, VALIDATORS, GENESIS, own_index, lambda signature: False, self.keeper.wants)

    def check(self, votes: list[Vote]) -> tuple[list[Vote], str | None]:
        """Check votes and hand those that pass to the core."""
        good, complaint = self.intake.check(votes)
        for vote in good:
            self.keeper.add(vote)
        self.intake.settle()
        return good, complaint


def test_a_vote_passes_once_however_often_it_is_signed() -> None:
    way = Way()
    assert len(way.check([_vote(1, "X"), _vote(1, "X")])[0]) == 1
    assert way.check([_vote(1, "X")]) == ([], None)


def test_a_vote_on_its_way_to_the_core_is_not_checked_again() -> None:
    intake = Way().intake
    assert len(intake.check([_vote(1, "X")])[0]) == 1
    assert intake.check([_vote(1, "X")]) == ([], None)


def test_an_equivocator_is_heard_twice_and_then_only_where_somebody_else_stands_behind_the_value() -> None:
    way = Way()
    junk = [_vote(1, f"junk{number}") for number in range(20)]
    assert len(way.check(junk)[0]) == 2
    assert way.check([_vote(1, "X")])[0] == []
    assert len(way.check([_vote(2, "X")])[0]) == 1
    assert len(way.check([_vote(1, "X")])[0]) == 1


def test_two_equivocators_cannot_drive_a_vote_out_that_a_quorum_will_need() -> None:
    way = Way()
    # Both set the same junk aside; whoever passes X here must be able to pass it again once others stand behind X.
    assert len(way.check([_vote(1, "A"), _vote(1, "X"), _vote(0, "B"), _vote(0, "C")])[0]) == 4
    assert way.check([_vote(1, "C")])[0] == []
    assert len(way.check([_vote(2, "X"), _vote(3, "X")])[0]) == 2
    assert {vote.validator_index for vote in way.keeper.prevotes(0).votes_for(b"X".ljust(32))} == {1, 2, 3}


def test_a_bad_vote_among_good_ones_costs_those_nothing() -> None:
    good = [_vote(0, "X"), _vote(2, "X")]
    bad = Vote(VoteKind.PREVOTE, 5, 0, None, 1, bytes(64))
    outside = Vote(VoteKind.PREVOTE, 5, 0, None, 4, bytes(64))
    votes, complaint = Way().check([good[0], bad, outside, good[1]])
    assert votes == good
    assert complaint is not None


def test_far_ahead_only_a_newer_round_of_each_validator_passes() -> None:
    way = Way()
    assert len(way.check([_vote(1, "X", round_=50)])[0]) == 1
    assert way.check([_vote(1, "Y", round_=50), _vote(1, "X", round_=49)])[0] == []
    assert len(way.check([_vote(1, "X", round_=50, kind=VoteKind.PRECOMMIT)])[0]) == 1
    assert len(way.check([_vote(1, "X", round_=51)])[0]) == 1
    # What was far ahead once is looked at in full when the rounds come near.
    way.keeper.enter_round(48)
    assert len(way.check([_vote(1, "X", round_=50), _vote(1, "X", round_=49)])[0]) == 2


def test_a_vote_of_our_own_key_that_we_did_not_sign_is_told_apart_from_a_forged_one() -> None:
    forged = Vote(VoteKind.PREVOTE, 5, 0, None, 1, bytes(64))
    assert Way(own_index=1).check([forged])[0] == []
    with pytest.raises(ClonedKey, match="height 5 round 0"):
        Way(own_index=1).check([_vote(1, "X")])


def test_what_is_held_for_the_next_height_is_bounded_for_each_peer() -> None:
    held = NextHeight()
    vote = Vote(VoteKind.PREVOTE, 6, 0, None, 1, bytes(64))
    frames = [ProposalFrame(Proposal(6, round_, bytes(32), NO_ROUND, 1, bytes(64)), b"", [], []) for round_ in range(3)]
    for received_ms, frame in enumerate(frames):
        held.hold_votes("a", [vote] * MAX_HELD_VOTES)
        held.hold_proposal("a", frame, received_ms)
    held.hold_votes("b", [vote])
    held.hold_votes("c", [vote])
    held.forget("c")
    proposals, votes = held.release()
    assert proposals == [("a", frames[-1], 2)]
    assert [(peer, len(kept)) for peer, kept in votes] == [("a", MAX_HELD_VOTES), ("b", 1)]
    assert held.release() == ([], [])
