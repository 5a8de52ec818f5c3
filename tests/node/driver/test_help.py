"""What a node sends to a peer that stays behind within a height: what the peer's status says it lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from consensus.messages import Vote, VoteKind, vote_sign_digest
from consensus.round import Step
from node.driver.vote_bitmap import lacking_votes, make_bitmap
from node.wire.frames import Frame, ProposalFrame, StatusFrame, VotesFrame

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net, Node


def _vote(kind: VoteKind, round_: int, index: int) -> Vote:
    return Vote(kind, 1, round_, None, index, bytes(64))


def test_only_votes_of_the_peers_round_that_its_bitmaps_name_are_left_out() -> None:
    status = StatusFrame(0, 1, Step.PREVOTE, 0, make_bitmap({0, 2}, 4), make_bitmap({3}, 4))
    votes = [_vote(kind, round_, index) for round_ in (0, 1) for kind in VoteKind for index in range(4)]
    lacking = lacking_votes(votes, status, 4, frozenset())
    assert [vote for vote in lacking if vote.round == 0] == votes[:8]
    assert {(vote.kind, vote.validator_index) for vote in lacking if vote.round == 1} == {
        (VoteKind.PREVOTE, 1),
        (VoteKind.PREVOTE, 3),
        (VoteKind.PRECOMMIT, 0),
        (VoteKind.PRECOMMIT, 1),
        (VoteKind.PRECOMMIT, 2),
    }


def test_a_bitmap_does_not_hide_the_votes_that_carry_a_quorum() -> None:
    status = StatusFrame(0, 1, Step.PREVOTE, 0, make_bitmap(range(4), 4), make_bitmap(range(4), 4))
    block = b"B" * 32
    for_block = [Vote(VoteKind.PREVOTE, 1, 1, block, index, bytes(64)) for index in range(3)]
    nil = [_vote(VoteKind.PREVOTE, 1, 3), _vote(VoteKind.PRECOMMIT, 1, 0)]
    # Whether validator 2 gave the peer another vote than us, its bitmap does not say.
    decisive = frozenset([(VoteKind.PREVOTE, block)])
    assert lacking_votes([*for_block, *nil], status, 4, decisive) == for_block


def test_an_equivocators_other_vote_reaches_a_peer_that_has_one_of_everybody(make_net: Callable[..., Net]) -> None:
    """Validator 3 gives node 1 a prevote for the block and node 0 one for nil: node 0 has three prevotes, and node 1 a quorum."""
    net = make_net(**{f"timeout_{name}_ms": 60_000 for name in ("propose", "prevote", "precommit", "limit")})
    net.start()
    net.run(20)
    deceived, told, *others = net.nodes
    for node in others:
        node.kill()
    told.submit(net.transaction())
    net.run(100)
    block = told.core.votes_for_peer(0)[0].block_id
    for node, value in ((deceived, None), (told, block)):
        digest = vote_sign_digest(net.genesis.hash, VoteKind.PREVOTE, 1, 0, value)
        vote = Vote(VoteKind.PREVOTE, 1, 0, value, 3, net.nodes[3].signer.sign(digest))
        net.run_in(node, lambda node=node, vote=vote: node.driver.on_frame("node3", VotesFrame([vote])))  # type: ignore[misc]
    locked = [node.core.snapshot().lock.locked_block_id for node in (deceived, told)]
    assert locked == [None, block]
    net.run(4_000)
    assert deceived.core.snapshot().lock.locked_block_id == block
    assert deceived.driver.status().equivocations == 1


def test_a_peer_that_lost_votes_gets_those_and_not_its_own(net: Net) -> None:
    net.nodes[3].kill()
    deaf = net.nodes[0]

    def drop_votes(source: Node, target: Node, frame: Frame) -> bool:
        return not (target is deaf and isinstance(frame, VotesFrame) and net.now_ms < 1_200)

    net.filter = drop_votes
    deaf.submit(net.transaction())
    net.reach(1, 4_000)
    given = [
        vote
        for _, source, target, frame in net.frames
        if target == "node0" and isinstance(frame, VotesFrame)
        for vote in frame.votes
        if source != f"node{vote.validator_index}"
    ]
    assert all(vote.validator_index != 0 for vote in given)
    net.check()


def test_a_step_of_a_height_that_lasts_is_told_at_once(net: Net) -> None:
    for node in net.nodes[2:]:
        node.kill()
    net.nodes[0].submit(net.transaction())
    net.run(5_000)
    places = {
        (frame.round, frame.step)
        for _, source, _, frame in net.frames
        if source == "node0" and isinstance(frame, StatusFrame)
    }
    assert Step.PREVOTE in {step for _, step in places}
    assert len(places) >= 2


def test_a_peer_that_changes_its_status_all_the_time_is_not_helped_without_end(net: Net) -> None:
    for node in net.nodes[2:]:
        node.kill()
    node = net.nodes[0]
    node.submit(net.transaction())
    net.run(1_500)
    already = len(net.frames)
    for number in range(100):
        status = StatusFrame(0, number % 2, Step.PREVOTE, 0, b"\0", b"\0")
        net.run_in(node, lambda status=status: node.driver.on_frame("node1", status))  # type: ignore[misc]
    sent = [frame for _, source, target, frame in net.frames[already:] if (source, target) == ("node0", "node1")]
    assert len([frame for frame in sent if isinstance(frame, VotesFrame)]) <= 8
    assert len([frame for frame in sent if isinstance(frame, ProposalFrame)]) <= 2
