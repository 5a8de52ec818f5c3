"""The rules of agreement where the driver has its part in them: arrival times, kept blocks, the recorded lock, second proposals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from consensus.events import LockState, ProposalReceived, TimeoutElapsed, VoteReceived
from consensus.evidence import DoubleProposal, decode_evidence
from consensus.messages import NO_ROUND, Proposal, Vote, VoteKind, proposal_sign_digest, vote_sign_digest
from consensus.timeouts import TimeoutKind
from node.chain.block import Header, block_id
from node.chain.codec import encode
from node.driver.last_signed import LastSigned, make_last_signed
from node.driver.proposals import MAX_CANDIDATES, MAX_NOTED_ROUNDS, Candidate, ProposalBook
from node.driver.recovery import Replay, ReplayStep
from node.wire.frames import Frame, ProposalFrame, VotesFrame

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net, Node

MakeNet = Callable[..., "Net"]


def _header(net: Net, number: int) -> Header:
    """The header of an empty block of height 1; the number makes its time, and so its id, another one."""
    ledger = net.nodes[0].ledger
    return ledger.build_block([], net.nodes[0].now_ms() + number, net.nodes[1].signer.address).header


def _proposal(net: Net, header: Header, *, round_: int = 0, pol_round: int = NO_ROUND) -> Proposal:
    index = (1 + round_) % 4
    digest = proposal_sign_digest(net.genesis.hash, 1, round_, block_id(header), pol_round, index)
    signature = net.nodes[index].signer.sign(digest)
    return Proposal(1, round_, block_id(header), pol_round, index, signature)


def _frame(net: Net, header: Header, *, round_: int = 0, pol_round: int = NO_ROUND) -> ProposalFrame:
    return ProposalFrame(_proposal(net, header, round_=round_, pol_round=pol_round), encode(header), [], [])


def _vote(net: Net, kind: VoteKind, value: bytes | None, index: int, *, round_: int = 0) -> Vote:
    digest = vote_sign_digest(net.genesis.hash, kind, 1, round_, value)
    return Vote(kind, 1, round_, value, index, net.nodes[index].signer.sign(digest))


def _tell(net: Net, node: Node, peer: str, frame: Frame) -> None:
    net.run_in(node, lambda: node.driver.on_frame(peer, frame))


def _prevotes_of(net: Net, node: Node, height: int) -> list[Vote]:
    return [
        vote
        for _, source, _, frame in net.frames
        if isinstance(frame, VotesFrame) and source == node.name
        for vote in frame.votes
        if (vote.height, vote.kind, vote.validator_index) == (height, VoteKind.PREVOTE, net.nodes.index(node))
    ]


def test_a_proposal_that_waited_for_its_height_is_judged_by_when_it_came(make_net: MakeNet) -> None:
    """Node 3 is a height behind when the proposal comes, and stays there for longer than any proposal may be on its way."""
    slow = {f"timeout_{name}_ms": 60_000 for name in ("propose", "prevote", "precommit", "limit")}
    net = make_net(message_delay_ms=200, clock_precision_ms=100, **slow)
    net.start()
    net.run(50)
    late = net.nodes[3]
    held: list[tuple[str, Frame]] = []

    def hold(source: Node, target: Node, frame: Frame) -> bool:
        if target is late and late.ledger.height == 0 and not isinstance(frame, ProposalFrame):
            held.append((source.name, frame))
            return False
        return True

    net.filter = hold
    net.nodes[0].submit(net.transaction())
    net.reach(1, 300, net.nodes[:3])
    net.nodes[0].kill()  # so that height 2 has no quorum without node 3
    net.nodes[1].submit(net.transaction())
    net.run(2_000)
    assert late.ledger.height == 0
    for peer, frame in held:
        _tell(net, late, peer, frame)
    net.run(1_500)
    assert [vote.block_id is not None for vote in _prevotes_of(net, late, 2)][:1] == [True]
    net.reach(2, 3_000)


def test_a_proposal_whose_proof_of_lock_is_not_of_an_earlier_round_costs_the_sender_its_connection(net: Net) -> None:
    node, header = net.nodes[0], _header(net, 1)
    _tell(net, node, "node2", _frame(net, header, round_=0, pol_round=0))
    assert [peer for peer, _ in node.dropped] == ["node2"]
    # It does not stand in the way of the real one either.
    _tell(net, node, "node1", _frame(net, header))
    assert [vote.block_id for vote in _prevotes_of(net, node, 1)][:1] == [block_id(header)]


def test_case_11_two_proposals_of_one_round_are_evidence_on_the_chain_once(net: Net) -> None:
    """Node 1 proposes height 1: its key signs one block for some and another one for node 3."""
    net.nodes[1].kill()
    honest = [node for node in net.nodes if node.is_up]
    first, second = _header(net, 1), _header(net, 2)
    for node, header in zip(honest, (first, first, second), strict=True):
        _tell(net, node, "node1", _frame(net, header))
    # Whoever is told of both keeps them, and tells the others.
    _tell(net, net.nodes[2], "node1", _frame(net, second))
    assert net.nodes[2].driver.status().equivocations == 1
    for _ in range(4):
        transaction = net.transaction()
        net.nodes[0].submit(transaction)
        net.settle([transaction], 20_000)
    ledger = net.nodes[0].ledger
    carried = [
        decode_evidence(piece)
        for height in range(1, ledger.height + 1)
        for piece in ledger.sealed_block(height).body.evidence
    ]
    assert [piece.offence for piece in carried] == [(1, 0, 0, 1)], "on the chain once"
    assert isinstance(carried[0], DoubleProposal)
    assert {carried[0].first.block_id, carried[0].second.block_id} == {block_id(first), block_id(second)}
    for node in honest:
        assert node.driver.status().equivocations == 1, "every node was told"
        assert node.dropped == []
        assert len(node.driver._agreement.evidence) == 0, "and nobody proposes it again"


def _long_height(net: Net, rounds: int) -> list[ReplayStep]:
    """Node 0's log of a height of many rounds: a lock on the first block, then another block in every round."""
    steps: list[ReplayStep] = []
    for round_ in range(rounds):
        header = _header(net, round_)
        steps.append(Candidate(header, encode(header), [], []))
        steps.append(ProposalReceived(_proposal(net, header, round_=round_), is_valid=True, is_timely=True))
        if round_ == 0:
            steps += [VoteReceived(_vote(net, VoteKind.PREVOTE, block_id(header), index)) for index in range(4)]
        steps += [VoteReceived(_vote(net, VoteKind.PRECOMMIT, None, index, round_=round_)) for index in range(1, 4)]
        steps.append(TimeoutElapsed(TimeoutKind.PRECOMMIT, 1, round_))
    return steps


def test_a_replay_of_many_rounds_keeps_the_block_of_the_lock(net: Net) -> None:
    node = net.nodes[0]
    agreement, steps = node.driver._agreement, _long_height(net, MAX_CANDIDATES + 3)
    node.core.__init__()  # type: ignore[misc] # as after a restart
    net.run_in(node, lambda: agreement.resume_height(Replay(True, steps)))
    locked = node.core.snapshot().lock.locked_block_id
    assert node.core.snapshot().round == MAX_CANDIDATES + 3
    assert locked is not None
    assert agreement.book.get(locked) is not None, "it can be proposed again, and served"
    assert len(agreement.book.all()) == MAX_CANDIDATES


def test_a_replayed_lock_that_the_record_contradicts_ends_in_abstention(make_net: MakeNet) -> None:
    net = make_net()
    net.start()
    net.run(20)
    node = net.nodes[0]
    net.filter = lambda source, target, frame: not (isinstance(frame, VotesFrame) and frame.votes[0].kind == 2)
    net.nodes[1].submit(net.transaction())
    net.run(60)
    assert node.core.snapshot().lock.locked_round == 0
    node.kill()
    path = node.folder / "last_signed"
    last = LastSigned(path)
    last.close()
    path.unlink()
    make_last_signed(path, msgspec.structs.replace(last.record, lock=LockState(0, b"Y" * 32, 0, b"Y" * 32)))
    node.start()
    assert "contradicts the last-signed record" in (node.stop_reason or "")
    assert not node.is_up
    node.start()
    assert (node.stop_reason, node.driver.status().is_voting) == (None, False)
    net.filter = lambda source, target, frame: True
    net.reach(1, 5_000)
    net.nodes[1].submit(net.transaction())
    net.reach(2, 5_000)
    assert node.driver.status().is_voting
    net.check()


def test_the_later_of_the_replayed_and_the_recorded_lock_binds(make_net: MakeNet) -> None:
    net = make_net()
    net.start()
    net.run(20)
    node = net.nodes[0]
    net.nodes[3].kill()
    net.nodes[2].kill()
    net.nodes[1].submit(net.transaction())
    net.run(60)
    assert node.core.snapshot().lock.locked_round == NO_ROUND
    node.kill()
    path = node.folder / "last_signed"
    last = LastSigned(path)
    last.close()
    path.unlink()
    make_last_signed(path, msgspec.structs.replace(last.record, lock=LockState(0, b"Y" * 32, 0, b"Y" * 32)))
    node.start()
    assert node.core.snapshot().lock.locked_block_id == b"Y" * 32


def test_what_is_noted_of_rounds_is_bounded_and_the_oldest_goes_first(net: Net) -> None:
    book, proposal = ProposalBook(), _proposal(net, _header(net, 1))
    for round_ in range(1_000):
        book.note(msgspec.structs.replace(proposal, round=round_))
    noted = [round_ for round_ in range(1_000) if book.first(round_) is not None]
    assert noted == list(range(1_000 - MAX_NOTED_ROUNDS, 1_000))


def test_a_proposer_of_a_later_round_cannot_keep_back_the_proposal_of_this_one(net: Net) -> None:
    """Validator 3 names the block of round 0 in round 2 already; a peer in round 0 is still served the proposal of round 0."""
    for node in net.nodes[1:]:
        node.kill()
    node, header = net.nodes[0], _header(net, 1)
    _tell(net, node, "node1", _frame(net, header))
    _tell(net, node, "node3", _frame(net, header, round_=2))
    sent: list[Frame] = []
    node.send = lambda peer, frame: sent.append(frame)  # type: ignore[method-assign]
    net.run_in(node, lambda: node.driver.on_peer("node2", net.nodes[2].hello()))
    served = {frame.proposal.round for frame in sent if isinstance(frame, ProposalFrame)}
    assert served == {0, 2}
