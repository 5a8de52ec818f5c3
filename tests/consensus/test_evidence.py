"""Evidence: what convicts a validator and what does not, and its one encoding."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consensus.evidence import (
    MAX_EVIDENCE_BYTES,
    DoubleProposal,
    DoubleVote,
    Evidence,
    InvalidEvidence,
    decode_evidence,
    double_proposal,
    double_vote,
    encode_evidence,
    verify_evidence,
)
from consensus.messages import MAX_HEIGHT, MAX_ROUND, Proposal, Vote, VoteKind, proposal_sign_digest, vote_sign_digest
from consensus.validators import Validator, ValidatorSet
from sm_crypto import sm2
from sm_crypto.sm3 import sm3

ValidatorMaker = Callable[[int], ValidatorSet]
X, Y = b"X" * 32, b"Y" * 32
HEIGHT, ROUND = 9, 0  # of four validators, 1 proposes here


def test_case_12_evidence_has_one_order_and_one_offence(validator_set: ValidatorMaker, seals: Any) -> None:
    for one, other in ((X, Y), (None, X)):
        votes = [seals.vote(1, VoteKind.PREVOTE, 9, 2, value) for value in (one, other)]
        evidence = double_vote(*votes)
        assert evidence == double_vote(*reversed(votes))
        assert evidence.offence == (9, 2, 1, 1)
        verify_evidence(evidence, validator_set(4), seals.genesis_hash, seals.verify_batch)


@pytest.mark.parametrize("other", [(Y, -1), (X, 0), (Y, 0)])
def test_case_12_two_proposals_that_differ_in_block_or_pol_round_convict(
    validator_set: ValidatorMaker, seals: Any, other: tuple[bytes, int]
) -> None:
    proposals = [seals.proposal(2, 9, 1, X), seals.proposal(2, 9, 1, *other)]
    evidence = double_proposal(*proposals)
    assert evidence == double_proposal(*reversed(proposals))
    assert evidence.offence == (9, 1, 0, 2)
    verify_evidence(evidence, validator_set(4), seals.genesis_hash, seals.verify_batch)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ({"height": 8}, "one height"),
        ({"round_": 3}, "one height"),
        ({"index": 2}, "one height"),
        ({"kind": VoteKind.PRECOMMIT}, "one height"),
        ({"value": X}, "two different values"),
        ({"value": None}, "the lesser first"),
        ({"genesis_hash": bytes(32)}, "two signatures of validator 1"),
    ],
)
def test_case_12_votes_that_do_not_convict_are_refused(
    validator_set: ValidatorMaker, seals: Any, second: dict[str, Any], reason: str
) -> None:
    fields: dict[str, Any] = {"index": 1, "kind": VoteKind.PREVOTE, "height": 9, "round_": 2}
    evidence = DoubleVote(seals.vote(**fields, value=X), seals.vote(**({**fields, "value": Y} | second)))
    with pytest.raises(InvalidEvidence, match=reason):
        verify_evidence(evidence, validator_set(4), seals.genesis_hash, seals.verify_batch)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ({"height": 13}, "one height"),
        ({"round_": 4}, "one height"),
        ({"index": 2}, "one height"),
        ({"value": X}, "two different values"),
        ({"value": bytes(32)}, "the lesser first"),
        ({"value": X, "pol_round": -2}, "the lesser first"),
        ({"genesis_hash": bytes(32)}, "two signatures of validator 1"),
    ],
)
def test_case_12_proposals_that_do_not_convict_are_refused(
    validator_set: ValidatorMaker, seals: Any, second: dict[str, Any], reason: str
) -> None:
    fields: dict[str, Any] = {"index": 1, "height": HEIGHT, "round_": ROUND}
    evidence = DoubleProposal(seals.proposal(**fields, value=X), seals.proposal(**({**fields, "value": Y} | second)))
    with pytest.raises(InvalidEvidence, match=reason):
        verify_evidence(evidence, validator_set(4), seals.genesis_hash, seals.verify_batch)


def test_case_12_proposals_of_one_who_does_not_propose_convict_nobody(
    validator_set: ValidatorMaker, seals: Any
) -> None:
    evidence = double_proposal(seals.proposal(2, HEIGHT, ROUND, X), seals.proposal(2, HEIGHT, ROUND, Y))
    with pytest.raises(InvalidEvidence, match="proposals of validator 1, found those of 2"):
        verify_evidence(evidence, validator_set(4), seals.genesis_hash, seals.verify_batch)


def test_case_12_evidence_is_judged_with_the_set_of_its_height(validator_set: ValidatorMaker, seals: Any) -> None:
    votes = [seals.vote(4, VoteKind.PREVOTE, 9, 2, value) for value in (X, Y)]
    verify_evidence(double_vote(*votes), validator_set(5), seals.genesis_hash, seals.verify_batch)
    with pytest.raises(InvalidEvidence, match="a validator below 4, found 4"):
        verify_evidence(double_vote(*votes), validator_set(4), seals.genesis_hash, seals.verify_batch)


def test_evidence_of_national_signatures_is_accepted_and_a_copied_one_refused() -> None:
    keys = {key.public_key: key for key in (sm2.PrivateKey.generate() for _ in range(4))}
    validators = ValidatorSet([Validator(sm3(public_key)[-20:], public_key) for public_key in keys])
    genesis_hash = sm3(b"genesis")
    key = keys[validators.members[1].public_key]

    def vote(value: bytes | None) -> Vote:
        digest = vote_sign_digest(genesis_hash, VoteKind.PRECOMMIT, HEIGHT, ROUND, value)
        return Vote(VoteKind.PRECOMMIT, HEIGHT, ROUND, value, 1, key.sign(digest))

    def proposal(value: bytes) -> Proposal:
        digest = proposal_sign_digest(genesis_hash, HEIGHT, ROUND, value, -1, 1)
        return Proposal(HEIGHT, ROUND, value, -1, 1, key.sign(digest))

    for evidence in (double_vote(vote(X), vote(None)), double_proposal(proposal(X), proposal(Y))):
        verify_evidence(decode_evidence(encode_evidence(evidence)), validators, genesis_hash, sm2.verify_batch)
        copied = msgspec.structs.replace(evidence.second, signature=evidence.first.signature)
        forged = msgspec.structs.replace(evidence, second=copied)
        with pytest.raises(InvalidEvidence, match="two signatures of validator 1"):
            verify_evidence(forged, validators, genesis_hash, sm2.verify_batch)


HEIGHTS, ROUNDS, INDICES = st.integers(1, MAX_HEIGHT), st.integers(0, MAX_ROUND), st.integers(0, 1_023)
IDS, SIGNATURES = st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64)
VOTES = st.builds(Vote, st.sampled_from(VoteKind), HEIGHTS, ROUNDS, st.none() | IDS, INDICES, SIGNATURES)
PROPOSALS = st.builds(Proposal, HEIGHTS, ROUNDS, IDS, st.integers(-1, MAX_ROUND), INDICES, SIGNATURES)
PIECES = st.builds(DoubleVote, VOTES, VOTES) | st.builds(DoubleProposal, PROPOSALS, PROPOSALS)
LARGEST_PROPOSAL = Proposal(MAX_HEIGHT, MAX_ROUND, X, MAX_ROUND, 1_023, bytes(64))
LARGEST_VOTE = Vote(VoteKind.PREVOTE, MAX_HEIGHT, MAX_ROUND, X, 1_023, bytes(64))


@given(PIECES)
@example(DoubleProposal(LARGEST_PROPOSAL, LARGEST_PROPOSAL))
@example(DoubleVote(LARGEST_VOTE, LARGEST_VOTE))
def test_every_piece_in_range_has_one_encoding_within_the_limit(piece: Evidence) -> None:
    raw = encode_evidence(piece)
    assert len(raw) <= MAX_EVIDENCE_BYTES
    assert decode_evidence(raw) == piece


@given(PIECES, st.data())
def test_case_24_changed_evidence_decodes_canonically_or_raises_the_one_error(
    piece: Evidence, data: st.DataObject
) -> None:
    raw = bytearray(encode_evidence(piece))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for changed in (bytes(raw), bytes(raw[:cut]), bytes(raw) + b"\0"):
        try:
            decoded = decode_evidence(changed)
        except InvalidEvidence:
            continue
        assert encode_evidence(decoded) == changed


@given(st.binary(max_size=200))
@example(b"")
@example(b"\x91" * 200)
@example(bytes(MAX_EVIDENCE_BYTES + 1))
@example(msgspec.msgpack.encode([3, [], []]))
@example(msgspec.msgpack.encode([1, [1, 2**63, 0, None, 0, bytes(64)], [1, 2**63, 0, X, 0, bytes(64)]]))
def test_case_24_garbage_is_no_evidence(raw: bytes) -> None:
    with pytest.raises(InvalidEvidence):
        decode_evidence(raw)
