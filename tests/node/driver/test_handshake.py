"""What two nodes' ledgers make of each other's Hello."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from consensus.round import Step
from node.driver.handshake import find_ledger_difference
from node.driver.vote_bitmap import MalformedBitmap, make_bitmap, read_bitmap
from node.wire.away import Away, AwayCode
from node.wire.frames import Hello, StatusFrame

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net, Node


@pytest.fixture
def grown(net: Net) -> Net:
    """A network with two blocks."""
    for height in (1, 2):
        net.nodes[0].submit(net.transaction())
        net.reach(height, 1_000)
    return net


def _difference(node: Node, hello: Hello, **changes: Any) -> Away | None:
    return find_ledger_difference(node.ledger, msgspec.structs.replace(hello, **changes))


def test_nodes_at_equal_and_at_different_heights_of_one_chain_agree(grown: Net) -> None:
    node, late = grown.nodes[:2]
    grown.part("node1")
    early = late.hello()
    node.submit(grown.transaction())
    grown.reach(3, 2_000, [node])
    assert _difference(node, early) is None
    assert _difference(node, node.hello()) is None
    assert find_ledger_difference(late.ledger, node.hello()) is None, "the one behind leaves it to the other"


def test_another_block_at_a_height_that_we_have_is_refused_with_both_ids(grown: Net) -> None:
    node = grown.nodes[0]
    own = node.hello()
    for height in (0, 1, 2):
        hello = msgspec.structs.replace(own, height=height, head_id=b"\xaa" * 32)
        found = find_ledger_difference(node.ledger, hello)
        assert found is not None
        assert found.code is AwayCode.CHAIN_DIFFERS
        assert "aa" * 32 in found.text
    assert found is not None
    assert own.head_id.hex() in found.text


def test_other_parameters_for_a_height_that_we_know_them_of_are_refused_with_both_hashes(grown: Net) -> None:
    node = grown.nodes[0]
    own = node.hello()
    first = node.ledger.header(1)
    for height, head_id in ((0, grown.genesis.hash), (2, own.head_id)):
        found = _difference(node, own, height=height, head_id=head_id, parameters_hash=b"\xbb" * 32)
        assert found is not None
        assert found.code is AwayCode.PARAMETERS_DIFFER
        assert "bb" * 32 in found.text
        assert first.parameters_hash.hex() in found.text


def test_a_peer_ahead_is_not_judged(grown: Net) -> None:
    node = grown.nodes[0]
    assert _difference(node, node.hello(), height=3, head_id=bytes(32), parameters_hash=bytes(32)) is None


@pytest.mark.parametrize("count", [1, 4, 8, 9, 128])
def test_a_bitmap_reads_back_as_the_validators_it_was_made_of(count: int) -> None:
    for indices in (set(), {0}, {count - 1}, set(range(count))):
        assert read_bitmap(make_bitmap(indices, count), count) == indices


def test_bits_are_least_significant_first() -> None:
    assert make_bitmap({0, 9}, 10) == b"\x01\x02"


@pytest.mark.parametrize(
    ("raw", "count"), [(b"", 1), (b"\0\0", 4), (b"\x10", 4), (b"\0\x80", 15), (bytes(16), 4), (b"\xff", 7)]
)
def test_a_bitmap_of_another_set_is_malformed(raw: bytes, count: int) -> None:
    with pytest.raises(MalformedBitmap, match="expected"):
        read_bitmap(raw, count)


@pytest.mark.parametrize(
    ("prevotes", "precommits"), [(b"", b"\0"), (b"\0", b"\0\0"), (b"\x10", b"\0"), (b"\0", b"\x80")]
)
def test_a_status_with_a_malformed_bitmap_costs_the_connection(net: Net, prevotes: bytes, precommits: bytes) -> None:
    node = net.nodes[0]
    status = StatusFrame(0, 0, Step.PROPOSE, node.now_ms(), prevotes, precommits)
    net.run_in(node, lambda: node.driver.on_frame("node2", status))
    assert [peer for peer, _ in node.dropped] == ["node2"]
    assert "bit" in node.dropped[0][1]


def test_a_status_tells_whose_votes_of_the_round_are_known(net: Net) -> None:
    net.part("node0")
    net.nodes[1].submit(net.transaction())
    net.reach(1, 2_000, net.nodes[1:])
    told = [frame for _, source, _, frame in net.frames if source == "node1" and isinstance(frame, StatusFrame)]
    assert told[-1].height == 1
    assert all(read_bitmap(frame.prevotes, 4) <= {1, 2, 3} for frame in told)


def test_an_operator_sees_where_each_peer_stands_and_how_far_its_clock_is(net: Net) -> None:
    late = net.nodes[2]
    late.kill()
    late.clock_offset_ms = -4_000
    late.start()
    net.nodes[0].submit(net.transaction())
    net.reach(1, 2_000)
    net.run(1_500)
    peers = net.nodes[0].driver.peers()
    assert sorted(peers) == ["node1", "node2", "node3"]
    assert all(peer.height == 1 and peer.software_version == "test" for peer in peers.values())
    assert all(peer.step == "new_height" and peer.heard_ms_ago <= 1_000 for peer in peers.values())
    assert -4_010 <= peers["node2"].clock_offset_ms <= -3_990
    assert abs(peers["node1"].clock_offset_ms) <= 10
    late.kill()
    assert sorted(net.nodes[0].driver.peers()) == ["node1", "node3"]


def test_the_status_names_whose_votes_of_the_round_are_missing(net: Net) -> None:
    for node in net.nodes[2:]:
        node.kill()
    net.nodes[0].submit(net.transaction())
    net.run(200)
    assert net.nodes[0].driver.status().silent_validators == (2, 3)
