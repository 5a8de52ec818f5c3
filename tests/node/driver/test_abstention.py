"""A validator that does not know what its key signed stays silent long enough: no more, no less, whoever says what."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest

from node.driver.last_signed import SLOT_BYTES
from node.driver.override import write_override
from node.wire.frames import Frame, StatusFrame, VotesFrame

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net, Node

STRANGERS = ("stranger1", "stranger2", "stranger3", "stranger4")


def _stall_with_a_vote_of(net: Net, node: Node) -> int:
    """Let the chain grow, then stop it in the middle of a height in which the node has voted; return that height."""
    for _ in range(4):
        net.nodes[1].submit(net.transaction())
        net.reach(net.nodes[1].ledger.height + 1, 2_000)
    for other in net.nodes[2:]:
        other.kill()
    net.nodes[1].submit(net.transaction())
    net.run(2_000)
    height = node.ledger.height + 1
    assert _votes_of(net, node, height)
    return height


def _votes_of(net: Net, node: Node, height: int) -> set[bytes]:
    """The signatures of the votes of a height that a node itself has sent of its own."""
    return {
        vote.signature
        for _, source, _, frame in net.frames
        if isinstance(frame, VotesFrame) and source == node.name
        for vote in frame.votes
        if (vote.height, vote.validator_index) == (height, net.nodes.index(node))
    }


def _wipe(node: Node) -> None:
    node.kill()
    shutil.rmtree(node.folder)
    node.folder.mkdir()


def _greet_as_strangers(net: Net, node: Node, height: int) -> None:
    """Connect nodes that are no validators' and say that they stand at a height."""
    to_peers = node.send

    def send(peer: str, frame: Frame) -> None:
        if peer not in STRANGERS:
            to_peers(peer, frame)

    node.send = send  # type: ignore[method-assign]
    for name in STRANGERS:
        hello = msgspec.structs.replace(node.hello(), node_name=name, height=height)
        net.run_in(node, lambda name=name, hello=hello: node.driver.on_peer(name, hello))  # type: ignore[misc]


def test_only_validators_nodes_bound_the_abstention_of_one_that_lost_its_record(net: Net) -> None:
    node = net.nodes[0]
    voted_at = _stall_with_a_vote_of(net, node)
    _wipe(node)
    net.part("node0")
    node.start()
    _greet_as_strangers(net, node, 0)
    net.run(4_000)
    # By the strangers' word the key would have signed nothing above height 1.
    assert (node.driver.status().is_voting, node.driver.status().height) == (False, 0)
    net.heal()
    for other in net.nodes[2:]:
        other.start()
    net.nodes[1].submit(net.transaction())
    net.reach(voted_at, 20_000)
    assert not node.driver.status().is_voting
    net.check()  # its key has no second signature anywhere
    for _ in range(4):
        net.nodes[1].submit(net.transaction())
        net.run(1_500)
    assert node.driver.status().is_voting


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_a_damaged_record_is_not_bounded_by_a_ledger_that_began_anew(net: Net, damaged: int) -> None:
    """One slot or both (2): neither a late snapshot nor the peers' first blocks say what the key signed before."""
    node = net.nodes[0]
    voted_at = _stall_with_a_vote_of(net, node)
    node.kill()
    shutil.rmtree(node.folder / "ledger")
    (node.folder / "log").unlink()
    path = node.folder / "last_signed"
    slots = [path.read_bytes()[:SLOT_BYTES], path.read_bytes()[SLOT_BYTES:]]
    for slot in (0, 1) if damaged == 2 else (damaged,):
        slots[slot] = bytes(SLOT_BYTES)
    path.write_bytes(b"".join(slots))
    node.start()
    net.run(4_000)
    # A second start finds the log of a height in which it abstained.
    node.kill()
    node.start()
    net.run(4_000)
    assert (node.driver.status().is_voting, node.driver.status().height) == (False, voted_at - 1)
    for other in net.nodes[2:]:
        other.start()
    net.reach(voted_at, 20_000)
    net.check()  # its key has no second signature anywhere
    for _ in range(4):
        net.nodes[1].submit(net.transaction())
        net.run(1_500)
    assert node.driver.status().is_voting


def test_claims_of_strangers_do_not_lengthen_an_abstention(net: Net) -> None:
    node = net.nodes[0]
    net.nodes[1].submit(net.transaction())
    net.reach(1, 2_000)
    _wipe(node)
    node.start()
    _greet_as_strangers(net, node, 2**60)
    for _ in range(6):
        net.nodes[1].submit(net.transaction())
        net.run(1_500)
    assert (node.driver.status().is_voting, node.driver.status().abstention) == (True, "")
    net.check()


def test_one_validator_that_lies_does_not_keep_a_wiped_one_abstaining(net: Net) -> None:
    node, liar = net.nodes[0], net.nodes[3]
    net.nodes[1].submit(net.transaction())
    net.reach(1, 2_000)
    _wipe(node)

    def lie(source: Node, target: Node, frame: Frame) -> bool:
        if source is liar and target is node and isinstance(frame, StatusFrame):
            claim = msgspec.structs.replace(frame, height=10_000)
            net.later(1, node, lambda: node.driver.on_frame("node3", claim))
            return False
        return not (source is node and target is liar and type(frame).__name__ == "BlockRequest")

    net.filter = lie
    node.start()
    for _ in range(10):
        net.nodes[1].submit(net.transaction())
        net.run(1_500)
    assert (node.driver.status().is_voting, node.driver.status().abstention) == (True, "")
    net.check()


def test_below_the_height_of_an_override_the_status_says_that_the_node_abstains_and_why(net: Net) -> None:
    """Also where the log is whole: the record refuses every vote up to that height."""
    node = net.nodes[0]
    voted_at = _stall_with_a_vote_of(net, node)
    node.kill()
    (node.folder / "last_signed").unlink()
    write_override(node.folder, voted_at + 1, "the record was lost, the log was not", 0)
    shutil.move(node.folder / "last-signed", node.folder / "last_signed")
    node.start()
    status = node.driver.status()
    assert not status.is_voting
    zh, en = status.abstention.split(" / ")
    assert zh == f"操作员的人工解除只准此密钥在高度 {voted_at + 1} 之上投票"
    assert en == f"an operator's override lets this key vote above height {voted_at + 1} only"
    for other in net.nodes[2:]:
        other.start()
    for height in (voted_at, voted_at + 1):
        net.nodes[1].submit(net.transaction())
        net.reach(height, 10_000)
    net.nodes[1].submit(net.transaction())
    net.reach(voted_at + 2, 10_000)
    assert (node.driver.status().is_voting, node.driver.status().abstention) == (True, "")
    assert _votes_of(net, node, voted_at + 2)
    net.check()
