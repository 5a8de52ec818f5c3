"""One validator that lies: what it says must neither take the others' clients away nor fill their memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from consensus.messages import NO_ROUND, Proposal, Vote, VoteKind, proposal_sign_digest, vote_sign_digest
from consensus.round import Step
from contracts import registry
from node.chain.block import Header, block_id, evidence_root
from node.chain.codec import encode
from node.chain.transaction import Transaction, TransactionBody, address_of, transaction_id
from node.driver.proposals import hashes_root
from node.driver.txpool import RejectionCode
from node.http.presentation import sync_percent
from node.wire.frames import BlockRequest, BlockResponse, Frame, ProposalFrame, StatusFrame, VotesFrame
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net, Node


def _take(net: Net, node: Node, peer: str, frame: ProposalFrame | StatusFrame | VotesFrame) -> None:
    net.run_in(node, lambda: node.driver.on_frame(peer, frame))


def test_one_peer_that_claims_a_great_height_makes_nobody_seem_behind(net: Net) -> None:
    node = net.nodes[0]
    _take(net, node, "node2", StatusFrame(2**60, 0, Step.PROPOSE, 0, b"", b""))
    assert node.driver.status().target_height == 0
    _take(net, node, "node3", StatusFrame(7, 0, Step.PROPOSE, 0, b"", b""))
    assert node.driver.status().target_height == 7
    assert node.driver.status().height == 0
    node.driver.on_peer_lost("node2")
    node.driver.on_peer_lost("node3")
    assert node.driver.status().target_height == 0


def test_the_word_of_the_only_connected_peer_is_taken(net: Net) -> None:
    node = net.nodes[0]
    for peer in ("node1", "node2"):
        node.driver.on_peer_lost(peer)
    _take(net, node, "node3", StatusFrame(9, 0, Step.PROPOSE, 0, b"", b""))
    assert node.driver.status().target_height == 9


def test_a_peer_that_claims_blocks_and_serves_none_is_not_asked_without_rest(net: Net) -> None:
    node = net.nodes[0]
    asked: list[BlockRequest] = []

    def answer(source: Node, target: Node, frame: Frame) -> bool:
        if source is node and isinstance(frame, BlockRequest):
            asked.append(frame)
            net.later(1, node, lambda: node.driver.on_frame(target.name, BlockResponse([])))
            return False
        return True

    net.filter = answer
    _take(net, node, "node2", StatusFrame(2**60, 0, Step.PROPOSE, 0, b"", b""))
    net.run(5_000)
    assert 1 <= len(asked) <= 10
    net.nodes[0].submit(net.transaction())
    net.reach(max(other.ledger.height for other in net.nodes) + 1, 2_000)


def _proposal_of(net: Net, node: Node, number: int) -> ProposalFrame:
    """A proposal of height 1 round 0 whose one transaction nobody has; node 1 proposes there."""
    hashes = [bytes((number,)) * 32]
    zero = bytes(32)
    proposer = net.nodes[1].signer
    header = Header(
        1,
        1,
        node.ledger.head_id,
        zero,
        node.now_ms(),
        proposer.address,
        hashes_root(hashes),
        zero,
        zero,
        zero,
        zero,
        zero,
        evidence_root([]),
    )
    digest = proposal_sign_digest(net.genesis.hash, 1, 0, block_id(header), NO_ROUND, 1)
    # SM2 is randomised: each call makes another valid signature.
    proposal = Proposal(1, 0, block_id(header), NO_ROUND, 1, proposer.sign(digest))
    return ProposalFrame(proposal, encode(header), hashes, [])


@pytest.mark.parametrize("kind", list(VoteKind))
def test_a_second_proposal_that_a_quorum_supports_waits_once_however_often_it_comes(net: Net, kind: VoteKind) -> None:
    node = net.nodes[0]
    net.part("node0")
    net.cut.clear()
    frames = [_proposal_of(net, node, number) for number in (1, 2)]
    first, second = (frame.proposal.block_id for frame in frames)
    _take(net, node, "node1", frames[0])
    votes = [
        Vote(kind, 1, 0, second, n, net.nodes[n].signer.sign(vote_sign_digest(net.genesis.hash, kind, 1, 0, second)))
        for n in (1, 2, 3)
    ]
    _take(net, node, "node2", VotesFrame(votes))
    for _ in range(20):
        _take(net, node, "node1", _proposal_of(net, node, 2))
    book = node.driver._agreement.book
    candidate = book.get(second)
    assert book.get(first) is not None
    assert candidate is not None
    assert len(candidate.waiting) == 1
    assert candidate.sources == ["node1"]


def test_a_removed_account_takes_no_more_room_in_the_pool_or_in_blocks(net: Net) -> None:
    governor = PrivateKey.from_bytes(b"\0" + sm3(b"governor")[1:])
    to, data = registry.encode_call(
        "members", "remove_account", account=address_of(net.clerk.public_key), reason="密钥泄露"
    )
    until_ms = net.nodes[0].now_ms() + 300_000
    body = TransactionBody(1, net.genesis.chain_id, bytes(16), until_ms, governor.public_key, to, 1_000_000, data)
    waiting = net.transaction()
    assert net.nodes[0].submit(encode(Transaction(body, governor.sign(transaction_id(body))))) == [None]
    net.reach(1, 1_000)
    for node in net.nodes:
        (rejection,) = node.submit(waiting)
        assert rejection is not None
        assert rejection.code is RejectionCode.UNKNOWN_SENDER
    net.run(500)
    assert {node.ledger.height for node in net.nodes} == {1}


def test_nodes_that_are_no_validators_cannot_make_a_node_seem_behind(net: Net) -> None:
    node = net.nodes[0]
    net.filter = lambda *_: False
    for stranger in ("stranger1", "stranger2", "stranger3"):
        net.by_name[stranger] = net.nodes[1]
        _take(net, node, stranger, StatusFrame(2**40, 0, Step.PROPOSE, 0, b"", b""))
    assert node.driver.status().target_height == 0
    for validator, height in (("node2", 9), ("node3", 7)):
        _take(net, node, validator, StatusFrame(height, 0, Step.PROPOSE, 0, b"", b""))
    assert node.driver.status().target_height == 7
    # Where no validator's node is connected, what the others say is all there is.
    for validator in ("node1", "node2", "node3"):
        node.driver.on_peer_lost(validator)
    assert node.driver.status().target_height == 2**40


def test_progress_counts_from_where_the_node_began_to_fetch(net: Net) -> None:
    node = net.nodes[0]
    for validator in ("node1", "node2", "node3"):
        _take(net, node, validator, StatusFrame(0, 0, Step.PROPOSE, 0, b"", b""))
    reached = msgspec.structs.replace(node.driver.status(), height=1_000, target_height=1_000, sync_from_height=900)
    assert sync_percent(reached) == 100.0
    for height, percent in ((900, 0.0), (950, 50.0), (996, 96.0), (997, 99.9), (999, 99.9)):
        assert sync_percent(msgspec.structs.replace(reached, height=height)) == percent
    for validator in ("node2", "node3"):
        _take(net, node, validator, StatusFrame(50, 0, Step.PROPOSE, 0, b"", b""))
    status = node.driver.status()
    assert (status.sync_from_height, status.target_height, sync_percent(status)) == (0, 50, 0.0)
