"""Networks that lose frames, fall apart, lose more than they can bear, or disagree about the time: they heal by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from node.chain.block import SealedBlock
from node.chain.codec import decode, encode
from node.driver.block_sync import REQUEST_BLOCKS
from node.wire.frames import BlockRequest, BlockResponse, Frame, ProposalFrame, VotesFrame

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net, Node

MakeNet = Callable[..., "Net"]


def _blocks(net: Net, count: int, node: int = 0) -> None:
    for _ in range(count):
        height = max(other.ledger.height for other in net.nodes if other.is_up)
        net.nodes[node].submit(net.transaction())
        linked = [other for other in net.nodes if frozenset((other.name, net.nodes[node].name)) not in net.cut]
        net.reach(height + 1, 5_000, [other for other in linked if other.is_up])


@pytest.mark.parametrize("seed", range(4))
def test_lossy_links_slow_the_chain_and_never_stop_it(make_net: MakeNet, seed: int) -> None:
    net = make_net(seed=seed)
    net.loss = 0.25
    net.start()
    raws = []
    for number in range(6):
        raws.append(net.transaction())
        net.nodes[number % 4].submit(raws[-1])
        net.run(1_500)
    net.loss = 0.0
    net.run(6_000)
    assert all(min(net.heights_holding(raws, node)) >= 1 for node in net.nodes)
    net.check()


def test_halves_wait_and_go_on_once_they_meet(net: Net) -> None:
    _blocks(net, 1)
    net.part("node0", "node1")
    raws = [net.transaction(), net.transaction()]
    net.nodes[0].submit(raws[0])
    net.nodes[2].submit(raws[1])
    net.run(8_000)
    assert {node.ledger.height for node in net.nodes} == {1}
    net.heal()
    assert net.run(3 * (300 + 150 + 150), lambda: all(node.ledger.height >= 2 for node in net.nodes))
    net.run(2_000)
    assert all(min(net.heights_holding(raws, node)) >= 2 for node in net.nodes)
    net.check()


def test_one_that_is_cut_off_catches_up(net: Net) -> None:
    net.part("node3")
    _blocks(net, 5)
    assert net.nodes[3].ledger.height == 0
    net.heal()
    net.reach(5, 1_000)
    _blocks(net, 2, 3)
    net.check()


def test_two_of_four_away_stop_the_chain_and_one_that_returns_is_enough(net: Net) -> None:
    _blocks(net, 1)
    net.nodes[2].kill()
    net.nodes[3].kill()
    raw = net.transaction()
    net.nodes[0].submit(raw)
    net.run(60_000)
    assert net.nodes[0].ledger.height == 1
    net.nodes[2].start()
    # Three times all the waits of round 0.
    net.reach(2, 3 * (300 + 150 + 150))
    assert net.heights_holding([raw], net.nodes[2]) == [2]
    net.check()


def test_one_that_was_long_away_catches_up_by_block_sync(net: Net) -> None:
    away = net.nodes[3]
    away.kill()
    _blocks(net, REQUEST_BLOCKS + 9)
    height = net.nodes[0].ledger.height
    away.start()
    net.reach(height, 2_000)
    requests = [f for _, source, _, f in net.frames if isinstance(f, BlockRequest) and source == "node3"]
    assert len(requests) == 2
    _blocks(net, 2, 3)
    assert net.nodes[0].ledger.height == height + 2
    net.check()


def _tampered(raw: bytes, how: str) -> bytes:
    sealed = decode(raw, SealedBlock)
    header, certificate, body = sealed.header, sealed.certificate, sealed.body
    if how == "junk":
        return b"junk"
    if how == "header":
        header = msgspec.structs.replace(header, time_ms=header.time_ms + 1)
    elif how == "height":
        header = msgspec.structs.replace(header, height=header.height + 1)
    elif how == "signature":
        signatures = [bytes(64), *certificate.signatures[1:]]
        certificate = msgspec.structs.replace(certificate, signatures=signatures)
    elif how == "quorum":
        certificate = msgspec.structs.replace(
            certificate, signers=certificate.signers[:2], signatures=certificate.signatures[:2]
        )
    elif how == "body":
        body = msgspec.structs.replace(body, transactions=[*body.transactions, b"more"])
    elif how == "evidence":
        body = msgspec.structs.replace(body, evidence=[b"piece"])
    return encode(SealedBlock(header, body, certificate))


@pytest.mark.parametrize(
    "how", ["junk", "header", "height", "signature", "quorum", "body", "evidence", "silence", "nothing"]
)
def test_a_peer_that_serves_bad_blocks_or_none_is_passed_over(net: Net, how: str) -> None:
    away = net.nodes[3]
    away.kill()
    _blocks(net, 3)
    bad: list[str] = []

    def spoil(source: Node, target: Node, frame: Frame) -> bool:
        if not isinstance(frame, BlockResponse) or target is not away or (bad and bad[0] != source.name):
            return True
        bad.append(source.name)
        if how == "silence":
            return False
        blocks = [] if how == "nothing" else [_tampered(frame.blocks[0], how)]
        net.later(2, away, lambda: away.driver.on_frame(source.name, BlockResponse(blocks)))
        return False

    net.filter = spoil
    away.start()
    net.reach(3, 9_000)
    assert bad
    dropped = {peer for peer, _ in away.dropped}
    assert dropped == (set() if how in ("silence", "nothing") else {bad[0]})
    assert away.stop_reason is None
    net.check()


def test_blocks_that_nobody_asked_for_are_ignored(net: Net) -> None:
    _blocks(net, 2)
    raw = net.nodes[0].ledger.sealed_block_bytes(1)
    net.run_in(net.nodes[1], lambda: net.nodes[1].driver.on_frame("node0", BlockResponse([raw])))
    assert net.nodes[1].ledger.height == 2
    assert net.nodes[1].dropped == []


def test_a_request_is_answered_with_what_is_there(net: Net) -> None:
    _blocks(net, 3)
    node = net.nodes[0]
    for first, count, expected in [(1, 64, 3), (3, 1, 1), (4, 5, 0), (2**62, 64, 0)]:
        before = len(net.frames)
        net.run_in(node, lambda first=first, count=count: node.driver.on_frame("node1", BlockRequest(first, count)))  # type: ignore[misc]
        (answer,) = [f for _, _, _, f in net.frames[before:] if isinstance(f, BlockResponse)]
        assert len(answer.blocks) == expected


def test_a_clock_that_steps_back_an_hour_costs_no_more_than_its_rounds(net: Net) -> None:
    _blocks(net, 3)
    net.nodes[2].clock_offset_ms = -3_600_000
    for _ in range(6):
        _blocks(net, 1)
    net.run(20_000)
    assert net.nodes[0].ledger.height >= 12
    times = [net.nodes[0].ledger.header(h).time_ms for h in range(1, net.nodes[0].ledger.height + 1)]
    assert times == sorted(set(times))
    net.check()


@pytest.mark.parametrize("offsets_ms", [(3_600_000, 0, 0, 0), (-400, 400, 0, 200), (-3_600_000, 0, 0, 0)])
def test_skewed_clocks_never_stop_the_chain(make_net: MakeNet, offsets_ms: tuple[int, ...]) -> None:
    net = make_net()
    for node, offset_ms in zip(net.nodes, offsets_ms, strict=True):
        node.clock_offset_ms = offset_ms
    net.start()
    net.run(50)
    for number in range(6):
        height = net.nodes[1].ledger.height
        net.nodes[1 + number % 3].submit(net.transaction())
        net.reach(height + 1, 5_000)
    net.check()


def test_a_proposal_that_came_a_height_early_is_not_lost(net: Net) -> None:
    """Node 3 hears the precommits of height 1 last; the proposal of height 2 reaches it before them."""
    held: list[tuple[Node, Frame]] = []

    def slow(source: Node, target: Node, frame: Frame) -> bool:
        if target is net.nodes[3] and isinstance(frame, VotesFrame) and frame.votes[0].height == 1:
            held.append((source, frame))
            return False
        return True

    net.filter = slow
    net.nodes[0].submit(net.transaction())
    net.reach(1, 200, net.nodes[:3])
    net.nodes[0].submit(net.transaction())
    early = lambda: any(  # noqa: E731
        isinstance(f, ProposalFrame) and t == "node3" and f.proposal.height == 2 for _, _, t, f in net.frames
    )
    assert net.run(100, early)
    net.run(5)
    for source, frame in held:
        net.run_in(net.nodes[3], lambda s=source, f=frame: net.nodes[3].driver.on_frame(s.name, f))  # type: ignore[misc]
    net.reach(2, 200)
    assert not [f for _, _, _, f in net.frames if isinstance(f, BlockRequest)]
    net.check()


def test_an_observer_follows_and_signs_nothing(make_net: MakeNet) -> None:
    net: Any = make_net()
    observer = net.nodes[3]
    observer.signer = type(observer.signer)(net.clerk)
    net.start()
    net.run(50)
    raw = net.transaction()
    observer.submit(raw)
    net.reach(1, 3_000)
    _blocks(net, 4)
    assert not [
        f
        for _, source, _, f in net.frames
        if isinstance(f, VotesFrame) and source == "node3" and f.votes[0].validator_index == 3
    ]
    status = observer.driver.status()
    assert (status.is_validator, status.is_voting, status.abstention) == (False, False, "")
    net.check()
