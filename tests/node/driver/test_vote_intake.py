import pytest

from consensus.messages import NO_ROUND, Proposal, Vote, VoteKind, vote_sign_digest
from consensus.validators import Validator, ValidatorSet
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


def _intake(own_index: int | None = None) -> VoteIntake:
    return VoteIntake(5, VALIDATORS, GENESIS, own_index, lambda signature: False)


def test_a_vote_passes_once_however_often_it_is_signed() -> None:
    intake = _intake()
    assert len(intake.check([_vote(1, "X"), _vote(1, "X")], 0)[0]) == 1
    assert intake.check([_vote(1, "X")], 0) == ([], None)


def test_an_equivocator_is_heard_twice_and_then_only_where_somebody_else_stands_behind_the_value() -> None:
    intake = _intake()
    junk = [_vote(1, f"junk{number}") for number in range(20)]
    assert len(intake.check(junk, 0)[0]) == 2
    assert intake.check([_vote(1, "X")], 0)[0] == []
    assert len(intake.check([_vote(2, "X")], 0)[0]) == 1
    assert len(intake.check([_vote(1, "X")], 0)[0]) == 1


def test_a_bad_vote_among_good_ones_costs_those_nothing() -> None:
    good = [_vote(0, "X"), _vote(2, "X")]
    bad = Vote(VoteKind.PREVOTE, 5, 0, None, 1, bytes(64))
    outside = Vote(VoteKind.PREVOTE, 5, 0, None, 4, bytes(64))
    votes, complaint = _intake().check([good[0], bad, outside, good[1]], 0)
    assert votes == good
    assert complaint is not None


def test_far_ahead_only_a_newer_round_of_each_validator_passes() -> None:
    intake = _intake()
    assert len(intake.check([_vote(1, "X", round_=50)], 0)[0]) == 1
    assert intake.check([_vote(1, "Y", round_=50), _vote(1, "X", round_=49)], 0)[0] == []
    assert len(intake.check([_vote(1, "X", round_=51)], 0)[0]) == 1
    # What was far ahead once is looked at in full when the rounds come near.
    assert len(intake.check([_vote(1, "X", round_=50), _vote(1, "X", round_=49)], 48)[0]) == 2


def test_a_vote_of_our_own_key_that_we_did_not_sign_is_told_apart_from_a_forged_one() -> None:
    forged = Vote(VoteKind.PREVOTE, 5, 0, None, 1, bytes(64))
    assert _intake(own_index=1).check([forged], 0)[0] == []
    with pytest.raises(ClonedKey, match="height 5 round 0"):
        _intake(own_index=1).check([_vote(1, "X")], 0)


def test_what_is_held_for_the_next_height_is_bounded_for_each_peer() -> None:
    held = NextHeight()
    vote = Vote(VoteKind.PREVOTE, 6, 0, None, 1, bytes(64))
    frames = [ProposalFrame(Proposal(6, round_, bytes(32), NO_ROUND, 1, bytes(64)), b"", [], []) for round_ in range(3)]
    for frame in frames:
        held.hold_votes("a", [vote] * MAX_HELD_VOTES)
        held.hold_proposal("a", frame)
    held.hold_votes("b", [vote])
    held.hold_votes("c", [vote])
    held.forget("c")
    proposals, votes = held.release()
    assert proposals == [("a", frames[-1])]
    assert [(peer, len(kept)) for peer, kept in votes] == [("a", MAX_HELD_VOTES), ("b", 1)]
    assert held.release() == ([], [])
