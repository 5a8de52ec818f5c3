"""Nodes that are killed, files that are cut, damaged or lost: one chain, no second signature, and everybody comes back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import pytest

from consensus.messages import VoteKind
from node.driver.last_signed import SLOT_BYTES, create_last_signed
from node.driver.write_ahead_log import WriteAheadLog
from node.wire.frames import BlockRequest, BlockResponse, Frame, ProposalFrame, StatusFrame, VotesFrame

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net, Node

MakeNet = Callable[..., "Net"]
SLOW = {
    "timeout_propose_ms": 60_000,
    "timeout_prevote_ms": 60_000,
    "timeout_precommit_ms": 60_000,
    "timeout_limit_ms": 60_000,
}


def _work(net: Net, count: int = 3, node: int = 3) -> list[bytes]:
    """Submit a few transactions one after the other; return them."""
    raws = []
    for _ in range(count):
        raws.append(net.transaction())
        net.nodes[node].submit(raws[-1])
        net.run(40)
    return raws


def _votes_of(net: Net, node: Node, height: int) -> set[tuple[int, VoteKind]]:
    """What a node itself has sent of its own votes at a height."""
    index = net.nodes.index(node)
    return {
        (vote.round, vote.kind)
        for _, source, _, frame in net.frames
        if isinstance(frame, VotesFrame) and source == node.name
        for vote in frame.votes
        if vote.height == height and vote.validator_index == index
    }


@pytest.mark.parametrize("victim", [1, 0])
def test_a_node_killed_at_any_point_comes_back_and_never_signs_twice(make_net: MakeNet, victim: int) -> None:
    """Node 1 proposes height 1; node 0 votes only. Between them they pass every step of a height."""
    names = set()
    for kill_at in range(1, 34):
        net = make_net(seed=kill_at)
        net.start()
        net.run(20)
        node = net.nodes[victim]
        node.points, node.kill_at = 0, kill_at
        raws = _work(net, 2)
        names.add(node.last_point if not node.is_up else None)
        node.kill_at = None
        net.run(60)
        if not node.is_up:
            node.start()
        raws += _work(net, 2)
        net.settle(raws, 5_000)
        assert node.stop_reason is None
        net.check()
        for other in net.nodes:
            other.kill()
    expected = {"appended OwnVoteLogged", "synced", "before the last-signed record", "after the last-signed record"}
    expected |= {"broadcast VotesFrame", "after broadcast VotesFrame", "before the commit", "after the commit"}
    if victim == 1:
        expected |= {"appended BuiltLogged", "appended OwnProposalLogged", "broadcast ProposalFrame"}
    assert expected <= names


@pytest.mark.parametrize("kill_at_name", ["synced", "after the last-signed record", "after broadcast ProposalFrame"])
def test_a_proposer_that_restarts_proposes_the_same_block(make_net: MakeNet, kill_at_name: str) -> None:
    net = make_net(**SLOW)
    net.start()
    net.run(20)
    proposer = net.nodes[1]
    proposer.kill_on = kill_at_name
    proposer.submit(net.transaction())
    net.run(200)
    assert not proposer.is_up
    log = WriteAheadLog(proposer.folder / "log")
    built = [record.block_id for record in log.records if hasattr(record, "block_id")]
    log.close()
    assert len(built) == 1
    proposer.start()
    net.reach(1, 2_000)
    assert net.nodes[0].ledger.head_id == built[0]
    assert net.nodes[0].ledger.certificate(1).round == 0
    sent = {frame.proposal.signature for _, _, _, frame in net.frames if isinstance(frame, ProposalFrame)}
    assert len(sent) == 1
    net.check()


def test_the_log_may_be_cut_at_any_byte_after_the_last_sync(make_net: MakeNet) -> None:
    cuts = 0
    for number in range(14):
        net = make_net(seed=number)
        net.start()
        net.run(20)
        node = net.nodes[number % 4]
        _work(net, 1)
        node.points, node.kill_at = 0, 5 + 2 * number
        raws = _work(net, 1, (number + 1) % 4)
        if node.is_up:
            net.run_in(node, node.kill)
        path = node.folder / "log"
        content, synced = path.read_bytes(), node.wal.synced_bytes
        span = len(content) - synced
        path.write_bytes(content[: synced + net.random.randint(0, max(span, 0))])
        cuts += span > 0
        node.start()
        net.reach(2, 4_000)
        assert not node.driver.status().abstention
        assert all(min(net.heights_holding(raws, other)) >= 1 for other in net.nodes)
        net.check()
        for other in net.nodes:
            other.kill()
    assert cuts >= 5


def _stalled(make_net: MakeNet) -> tuple[Net, Node]:
    """A network in the middle of height 1: node 0 has prevoted, and nothing can be decided, for two nodes are away."""
    net = make_net()
    net.start()
    net.run(20)
    for node in net.nodes[2:]:
        node.kill()
    net.nodes[1].submit(net.transaction())
    net.run(100)
    node = net.nodes[0]
    assert _votes_of(net, node, 1) == {(0, VoteKind.PREVOTE)}
    node.kill()
    return net, node


def _check_abstains_at_height_one(net: Net, node: Node) -> None:
    votes = len(net.frames)
    node.start()
    assert not node.driver.status().is_voting
    assert node.driver.status().abstention
    for other in net.nodes[2:]:
        other.start()
    net.reach(1, 5_000)
    own = {
        vote.height
        for _, source, _, frame in net.frames[votes:]
        if isinstance(frame, VotesFrame) and source == node.name
        for vote in frame.votes
        if vote.validator_index == 0 and vote.signature not in _before(net, votes)
    }
    assert 1 not in own
    net.check()


def _before(net: Net, count: int) -> set[bytes]:
    return {v.signature for _, _, _, f in net.frames[:count] if isinstance(f, VotesFrame) for v in f.votes}


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.9])
def test_a_log_cut_before_its_last_sync_makes_the_node_abstain_in_that_height(make_net: MakeNet, part: float) -> None:
    net, node = _stalled(make_net)
    path = node.folder / "log"
    path.write_bytes(path.read_bytes()[: int(node.wal.synced_bytes * part)])
    _check_abstains_at_height_one(net, node)
    # From the next height on it votes again.
    net.nodes[1].submit(net.transaction())
    net.reach(2, 3_000)
    assert node.driver.status().is_voting
    assert (0, VoteKind.PRECOMMIT) in _votes_of(net, node, 2)


def test_two_damaged_slots_make_the_node_abstain_in_that_height(make_net: MakeNet) -> None:
    net, node = _stalled(make_net)
    (node.folder / "last_signed").write_bytes(bytes(2 * SLOT_BYTES))
    _check_abstains_at_height_one(net, node)
    net.nodes[1].submit(net.transaction())
    net.reach(2, 3_000)
    assert node.driver.status().is_voting


@pytest.mark.parametrize("slot", [0, 1])
def test_one_damaged_slot_never_leads_to_a_second_vote(make_net: MakeNet, slot: int) -> None:
    net, node = _stalled(make_net)
    path = node.folder / "last_signed"
    content = bytearray(path.read_bytes())
    content[slot * SLOT_BYTES + 30] ^= 1
    path.write_bytes(content)
    for other in (node, *net.nodes[2:]):
        other.start()
    net.reach(1, 5_000)
    net.nodes[1].submit(net.transaction())
    net.reach(2, 3_000)
    assert node.driver.status().is_voting
    net.check()


def test_a_wiped_folder_makes_the_node_abstain_until_the_others_are_past_all_it_may_have_signed(net: Net) -> None:
    _work(net, 4)
    node = net.nodes[0]
    signed_up_to = node.ledger.height + 1
    node.kill()
    _work(net, 2)
    shutil.rmtree(node.folder)
    node.folder.mkdir()
    node.start()
    net.reach(net.nodes[1].ledger.height, 3_000)
    seen_at_start = node.ledger.height
    assert not node.driver.status().is_voting
    # Where node 0 should propose and does not, a round passes first.
    for _ in range(3):
        _work(net, 2, 1)
        net.run(1_500)
    status = node.driver.status()
    assert (status.is_voting, status.abstention) == (True, "")
    voted = [height for height in range(1, status.height + 1) if _fresh_votes(net, node, height, seen_at_start)]
    assert voted
    assert min(voted) > signed_up_to
    net.check()


def _fresh_votes(net: Net, node: Node, height: int, above: int) -> bool:
    return height > above and bool(_votes_of(net, node, height))


def test_only_the_maker_of_a_key_says_that_it_has_never_signed(make_net: MakeNet) -> None:
    """A network whose nodes have no records does not start by itself, and does once its operators say so."""
    net = make_net()
    for node in net.nodes:
        (node.folder / "last_signed").unlink()
    net.start()
    net.nodes[0].submit(net.transaction())
    net.run(5_000)
    assert {node.ledger.height for node in net.nodes} == {0}
    for node in net.nodes:
        node.kill()
        create_last_signed(node.folder / "last_signed")
    net.start()
    net.nodes[0].submit(net.transaction())
    net.reach(1, 2_000)


def test_all_nodes_killed_at_once_go_on_with_the_same_chain(make_net: MakeNet) -> None:
    for seed in range(8):
        net = make_net(seed=seed)
        net.start()
        raws = _work(net, 2)
        raws.append(net.transaction())
        net.nodes[seed % 4].submit(raws[-1])
        net.run(seed)
        for node in net.nodes:
            node.kill()
        before = max(node.ledger_height_at_kill for node in net.nodes)
        net.start()
        raws.append(net.transaction())
        net.nodes[0].submit(raws[-1])
        # The one that was under way need not have reached anybody's disk; the others did.
        net.reach(before + 1, 3_000)
        net.run(500)
        final = [net.heights_holding(raws, node) for node in net.nodes]
        assert all(min(heights[0], heights[1], heights[3]) >= 1 for heights in final)
        net.check()
        for node in net.nodes:
            node.kill()


def test_restarts_one_after_the_other_while_transactions_come(make_net: MakeNet) -> None:
    net = make_net(seed=9)
    net.start()
    raws = []
    for number in range(12):
        node = net.nodes[number % 4]
        node.kill()
        raws.append(net.transaction())
        net.nodes[(number + 1) % 4].submit(raws[-1])
        net.run(net.random.randint(20, 700))
        node.start()
        net.run(net.random.randint(5, 60))
    net.run(4_000)
    assert len({node.ledger.height for node in net.nodes}) == 1
    assert all(min(net.heights_holding(raws, node)) >= 1 for node in net.nodes)
    net.check()


@pytest.mark.parametrize("answer", ["silence", "nothing"])
def test_a_liar_that_claims_a_great_height_cannot_keep_a_wiped_validator_silent(net: Net, answer: str) -> None:
    _work(net, 3)
    node = net.nodes[0]
    signed_up_to = node.ledger.height + 1
    node.kill()
    shutil.rmtree(node.folder)
    node.folder.mkdir()

    def lie(source: Node, target: Node, frame: Frame) -> bool:
        if target is node and source is net.nodes[3] and isinstance(frame, StatusFrame):
            claim = msgspec.structs.replace(frame, height=2**60)
            net.later(1, node, lambda: node.driver.on_frame(source.name, claim))
            return False
        if source is node and target is net.nodes[3] and isinstance(frame, BlockRequest):
            if answer == "nothing":
                net.later(1, node, lambda: node.driver.on_frame(target.name, BlockResponse([])))
            return False
        return True

    net.filter = lie
    node.start()
    net.run(9_000)
    for _ in range(4):
        _work(net, 2, 1)
        net.run(1_500)
    assert (node.driver.status().is_voting, node.driver.status().abstention) == (True, "")
    voted = [height for height in range(signed_up_to, node.ledger.height + 1) if _fresh_votes(net, node, height, 3)]
    assert voted
    net.check()
