"""Joining by snapshot: from several peers, past those that lie, go away or have nothing; and serving within limits."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from node.chain.codec import decode, encode
from node.chain.snapshot import SnapshotOffer
from node.chain.transaction import VerifiedTransaction
from node.driver import snapshot_join, snapshot_service
from node.driver.handshake import own_hello
from node.driver.signature_verifier import verify_transactions
from node.driver.snapshot_join import MAKING_PATIENCE_MS, NO_OFFER_MS
from node.driver.snapshot_service import FRESH_MS, MAX_OPEN_CHUNKS, MAX_READERS
from node.ledger import snapshot
from node.ledger.ledger import Ledger
from node.ledger.snapshot_shelf import SnapshotShelf
from node.wire.frames import (
    BlockResponse,
    ChunkRequest,
    ChunkResponse,
    Frame,
    OfferState,
    SnapshotRequest,
    SnapshotResponse,
)
from tests.simulator.joining import NEWCOMER, Server, World, grow

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net

HEIGHT = 8


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chains")


@pytest.fixture
def world(
    make_net: Callable[..., Net], chains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A newcomer that has started, and three nodes over one chain that are not connected yet."""
    monkeypatch.setattr(snapshot, "TARGET_CHUNK_BYTES", 2_000)
    world = World(make_net(), tmp_path)
    if not (chains / "chain").exists():
        made = Ledger.open(chains / "chain", world.net.genesis)
        grow(world.net, made, HEIGHT)
        made.close()
    world.net._serial = 10_000
    shutil.copytree(chains / "chain", tmp_path / "chain")
    chain = Ledger.open(tmp_path / "chain", world.net.genesis)
    for name in ("node0", "node1", "node2"):
        world.serve(name, chain)
    world.newcomer.join.start()
    yield world
    for server in world.servers.values():
        server.shelf.close()
    chain.close()
    for ledger in world.ledgers:
        ledger.close()
    world.newcomer.genesis_ledger.close()


def check_joined(world: World, chain: Ledger) -> None:
    joined = world.newcomer.open()
    assert (joined.height, joined.head_id, joined.base_height) == (chain.height, chain.head_id, chain.height)
    assert list(joined.state().iterate(b"")) == list(chain.state().iterate(b""))
    joined.close()


def test_chunks_come_from_several_peers_and_the_ledger_is_the_chains(world: World) -> None:
    world.connect("node0", "node1", "node2")
    assert world.run(10_000, lambda: world.newcomer.status.chunks_done > 5)
    found = world.newcomer.status
    assert (found.phase, found.height, len(found.sources)) == ("chunks", HEIGHT, 3)
    assert 5 < found.chunks_done < found.chunks_total
    assert 0 < found.percent < 90
    world.finish()
    assert all(server.sent_of(ChunkResponse) for server in world.servers.values())
    chunks = [frame.index for server in world.servers.values() for frame in server.sent_of(ChunkResponse)]
    assert sorted(chunks) == list(range(found.chunks_total)), "each once"
    assert (world.newcomer.status.phase, world.newcomer.status.percent) == ("whole", 100)
    assert not world.newcomer.dropped
    check_joined(world, world.servers["node0"].ledger)


def spoil_chunk(frame: Frame) -> Frame:
    if isinstance(frame, ChunkResponse) and frame.chunk:
        return msgspec.structs.replace(frame, chunk=frame.chunk[:-1] + bytes([frame.chunk[-1] ^ 1]))
    return frame


def spoil_root(frame: Frame) -> Frame:
    if isinstance(frame, SnapshotResponse) and frame.offer:
        offer = decode(frame.offer, SnapshotOffer)
        wrong = msgspec.structs.replace(offer, header=msgspec.structs.replace(offer.header, state_root=bytes(32)))
        return msgspec.structs.replace(frame, offer=encode(wrong))
    return frame


def spoil_prefix(frame: Frame) -> Frame:
    if isinstance(frame, SnapshotResponse) and frame.offer:
        offer = decode(frame.offer, SnapshotOffer)
        last = msgspec.structs.replace(offer.chunks[-1], prefix=offer.chunks[-1].prefix + "\n")
        wrong = msgspec.structs.replace(offer, chunks=(*offer.chunks[:-1], last))
        return msgspec.structs.replace(frame, offer=encode(wrong))
    return frame


def spoil_block(frame: Frame) -> Frame:
    return BlockResponse([b"junk", *frame.blocks[1:]]) if isinstance(frame, BlockResponse) else frame


@pytest.mark.parametrize("spoil", [spoil_chunk, spoil_root, spoil_prefix, spoil_block])
def test_a_peer_that_sends_something_bad_is_dropped_and_named_and_the_join_goes_on(
    world: World, spoil: Callable[[Frame], Frame]
) -> None:
    world.servers["node0"].tamper = spoil
    # The liar is asked alone first.
    world.connect("node0")
    assert world.run(10_000, lambda: bool(world.newcomer.dropped))
    (name, reason), *_ = world.newcomer.dropped
    assert name == "node0"
    assert "sent a bad snapshot" in reason
    assert world.newcomer.status.dropped[0].startswith("node0: ")
    world.connect("node1", "node2", "node0")
    world.finish()
    assert [name for name, _ in world.newcomer.dropped] == ["node0"], "it is not asked again"
    check_joined(world, world.servers["node0"].ledger)


@pytest.mark.parametrize("frame", [b"", b"\xc0", bytes(500)])
def test_an_offer_that_is_no_offer_names_its_sender(world: World, frame: bytes) -> None:
    server = world.servers["node0"]
    server.tamper = lambda sent: (
        SnapshotResponse(OfferState.READY, HEIGHT, frame) if isinstance(sent, SnapshotResponse) else sent
    )
    world.connect("node0")
    assert world.run(10_000, lambda: bool(world.newcomer.dropped))
    assert not (world.folder / "joined.joining").exists()


def test_a_peer_that_goes_away_in_the_middle_is_done_without(world: World) -> None:
    world.connect("node0", "node1", "node2")
    assert world.run(10_000, lambda: world.newcomer.status.chunks_done > 5)
    world.disconnect("node0")
    world.finish()
    check_joined(world, world.servers["node0"].ledger)


def test_the_only_peer_goes_away_and_comes_back_and_no_chunk_is_fetched_twice(world: World) -> None:
    world.connect("node0")
    assert world.run(10_000, lambda: world.newcomer.status.chunks_done > 5)
    done = world.newcomer.status.chunks_done
    world.disconnect("node0")
    world.run(5_000)
    assert world.newcomer.status.chunks_done == done
    server = world.servers["node0"]
    sent = len(server.sent_of(ChunkResponse))
    world.connect("node0")
    world.finish()
    total = world.newcomer.status.chunks_total
    assert len(server.sent_of(ChunkResponse)) - sent == total - done
    check_joined(world, server.ledger)


def test_one_that_is_killed_in_the_middle_joins_after_its_next_start(world: World) -> None:
    world.connect("node0", "node1")
    assert world.run(10_000, lambda: world.newcomer.status.chunks_done > 5)
    world.restart()
    assert world.newcomer.status.chunks_done == 0
    assert world.run(60_000, lambda: world.newcomer.status.phase == "blocks")
    world.restart()
    assert not world.newcomer.path.exists()
    world.finish()
    check_joined(world, world.servers["node0"].ledger)


def test_where_nobody_offers_one_the_status_says_so_and_the_node_goes_on_asking(world: World) -> None:
    for server in world.servers.values():
        server.tamper = lambda frame: (
            SnapshotResponse(OfferState.NONE, 0, b"") if isinstance(frame, SnapshotResponse) else frame
        )
    world.connect("node0", "node1")
    world.run(NO_OFFER_MS + 2_000)
    assert "node0: 没有快照 / has none" in world.newcomer.status.trouble
    assert "no peer offers a snapshot" in world.newcomer.join.status().sync_trouble
    world.servers["node1"].tamper = lambda frame: frame
    world.finish()
    assert not world.newcomer.status.trouble
    check_joined(world, world.servers["node0"].ledger)


def test_with_nobody_connected_the_status_says_so(world: World) -> None:
    world.run(NO_OFFER_MS + 2_000)
    assert "no peer is connected" in world.newcomer.status.trouble


def test_a_silent_peer_is_passed_over(world: World) -> None:
    world.servers["node0"].tamper = lambda frame: None if isinstance(frame, ChunkResponse) else frame
    world.connect("node0", "node1")
    world.finish()
    check_joined(world, world.servers["node0"].ledger)


def test_when_the_snapshot_is_gone_everywhere_another_one_is_taken(world: World) -> None:
    newer = Ledger.open(world.folder / "newer", world.net.genesis)
    chain = world.servers["node0"].ledger
    for height in range(1, HEIGHT + 1):
        sealed = chain.sealed_block(height)
        verified = [
            one for one in verify_transactions(sealed.body.transactions) if isinstance(one, VerifiedTransaction)
        ]
        newer.commit(newer.execute_block(sealed.header, verified, ()), sealed.certificate)
    grow(world.net, newer, 3)
    world.ledgers.append(newer)
    world.serve("node3", newer)
    world.connect("node0")
    assert world.run(10_000, lambda: world.newcomer.status.chunks_done > 5)
    world.disconnect("node0")
    world.connect("node3")
    world.finish()
    assert world.newcomer.status.height == HEIGHT + 3
    assert not world.newcomer.dropped
    check_joined(world, newer)


@pytest.mark.parametrize(("wait_ms", "is_empty"), [(1_500, True), (19_000, False)])
def test_a_source_that_lets_a_snapshot_drip_is_left_for_one_that_sends(
    world: World, wait_ms: int, is_empty: bool
) -> None:
    own = Ledger.open(world.folder / "own", world.net.genesis)
    world.ledgers.append(own)
    grow(world.net, own, 4, 20)
    slow = world.serve("slow", own)

    def drip(frame: Frame) -> Frame | None:
        if not isinstance(frame, ChunkResponse):
            return frame
        given = msgspec.structs.replace(frame, chunk=b"") if is_empty else frame
        world.later(wait_ms, lambda: world.carry("slow", NEWCOMER, given))
        return None

    slow.tamper = drip
    world.connect("slow")
    assert world.run(30_000, lambda: bool(slow.sent_of(SnapshotResponse)) and world.newcomer.status.height == 4)
    assert world.newcomer.status.chunks_total > 16, "more than comes within its patience"
    world.connect("node0", "node1")
    world.finish()
    assert world.newcomer.status.height == HEIGHT
    assert not world.newcomer.dropped, "to be slow is no lie"
    check_joined(world, world.servers["node0"].ledger)


def test_peers_that_are_making_one_for_ever_do_not_keep_others_from_being_asked(world: World) -> None:
    liars = ("liar0", "liar1", "liar2")
    for name in liars:
        world.serve(name, world.servers["node0"].ledger).tamper = lambda frame: SnapshotResponse(
            OfferState.MAKING, 0, b""
        )
    world.connect(*liars)
    world.connect("node0")
    world.run(MAKING_PATIENCE_MS - 10_000)
    assert not world.newcomer.ends
    world.finish()
    check_joined(world, world.servers["node0"].ledger)


def test_where_the_chain_begins_there_is_nothing_to_join_by(world: World) -> None:
    empty = Ledger.open(world.folder / "no blocks", world.net.genesis)
    world.ledgers.append(empty)
    for name in ("node0", "node1"):
        world.servers[name].ledger = empty
        world.connect(name)
        assert not world.newcomer.ends
    world.servers["node2"].ledger = empty
    world.connect("node2")
    assert world.newcomer.ends == 1
    assert world.newcomer.join.builder is None


def test_what_was_not_asked_for_is_not_taken(world: World) -> None:
    join = world.newcomer.join
    world.connect("node0", "node1")
    assert world.run(10_000, lambda: world.newcomer.status.chunks_done > 5)
    done = world.newcomer.status.chunks_done
    for index in range(world.newcomer.status.chunks_total):
        join.on_frame("stranger", ChunkResponse(HEIGHT, index, b"junk"))
    world.links.add("node2")
    join.on_peer("node2", own_hello(world.servers["node0"].ledger, "node2", "test", world.now_ms))
    for index in range(world.newcomer.status.chunks_total):
        join.on_frame("node2", ChunkResponse(HEIGHT, index, b"junk"))
        join.on_frame("node0", ChunkResponse(HEIGHT - 1, index, b"junk"))
    join.on_frame("node0", BlockResponse([b"junk"]))
    join.on_frame("node0", SnapshotResponse(OfferState.READY, HEIGHT, b"junk"))
    assert world.newcomer.status.chunks_done == done
    assert not world.newcomer.dropped
    world.finish()
    check_joined(world, world.servers["node0"].ledger)


def test_an_offer_far_below_most_peers_is_passed_over_and_one_liar_makes_none_seem_old(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_join, "MAX_OFFER_LAG", 3)
    old = Ledger.open(world.folder / "old", world.net.genesis)
    world.ledgers.append(old)
    grow(world.net, old, 1)
    world.serve("behind", old)
    world.connect("behind", "node0", "node1")
    silent = world.serve("liar", world.servers["node0"].ledger)
    silent.tamper = lambda frame: None
    world.links.add("liar")
    hello = own_hello(silent.ledger, "liar", "test", world.now_ms)
    world.newcomer.join.on_peer("liar", msgspec.structs.replace(hello, height=2**60))
    world.finish()
    assert world.newcomer.status.height == HEIGHT
    assert "behind" not in world.newcomer.status.sources
    assert not world.newcomer.dropped, "to be behind is no lie"


# Serving


def ask(world: World, server: Server, peer: str, frame: SnapshotRequest | ChunkRequest) -> list[Frame]:
    """What this peer is sent within a second."""
    at = len(server.sent)
    server.service.on_frame(peer, frame)
    world.run(900)
    return [frame for name, frame in server.sent[at:] if name == peer]


def test_a_snapshot_is_made_once_for_all_and_of_the_height_that_was_asked_for(world: World) -> None:
    server = world.servers["node0"]
    (answer,) = ask(world, server, "a", SnapshotRequest(HEIGHT + 1))
    assert isinstance(answer, SnapshotResponse)
    assert answer.state == OfferState.MAKING
    assert not server.service._is_making, "the height is not final yet"
    grow(world.net, server.ledger, 1)
    server.service.on_committed()
    grow(world.net, server.ledger, 1)
    server.service.on_committed()
    world.run(10)
    for peer in ("a", "b"):
        (offered,) = ask(world, server, peer, SnapshotRequest(0))
        assert isinstance(offered, SnapshotResponse)
        assert (offered.state, offered.height) == (OfferState.READY, HEIGHT + 1)
        assert decode(offered.offer, SnapshotOffer).header.height == HEIGHT + 1
        (chunk,) = ask(world, server, peer, ChunkRequest(HEIGHT + 1, 0))
        assert isinstance(chunk, ChunkResponse)
        assert chunk.chunk


def test_a_height_that_does_not_come_is_not_waited_for_long(world: World) -> None:
    server = world.servers["node0"]
    ask(world, server, "a", SnapshotRequest(HEIGHT + 1))
    world.run(5_000)
    (offered,) = ask(world, server, "a", SnapshotRequest(HEIGHT + 1))
    assert isinstance(offered, SnapshotResponse)
    assert (offered.state, offered.height) == (OfferState.READY, HEIGHT)


def test_only_so_many_are_served_at_a_time_and_the_next_is_told(world: World) -> None:
    server = world.servers["node0"]
    for number in range(MAX_READERS):
        ask(world, server, f"peer{number}", SnapshotRequest(0))
    (answer,) = ask(world, server, "one more", SnapshotRequest(0))
    assert isinstance(answer, SnapshotResponse)
    assert answer.state == OfferState.BUSY
    (chunk,) = ask(world, server, "one more", ChunkRequest(HEIGHT, 0))
    assert chunk == ChunkResponse(HEIGHT, 0, b"")
    world.run(40_000)
    (answer,) = ask(world, server, "one more", SnapshotRequest(0))
    assert isinstance(answer, SnapshotResponse)
    assert answer.state == OfferState.READY


def test_one_that_asks_for_too_much_at_a_time_is_dropped(world: World) -> None:
    server = world.servers["node0"]
    ask(world, server, "greedy", SnapshotRequest(0))
    for index in range(MAX_OPEN_CHUNKS + 1):
        server.service.on_frame("greedy", ChunkRequest(HEIGHT, index))
    assert [name for name, _ in server.dropped] == ["greedy"]
    before = len(server.sent_of(SnapshotResponse))
    for _ in range(50):
        server.service.on_frame("hungry", SnapshotRequest(0))
    offers = [frame for frame in server.sent_of(SnapshotResponse)[before:] if frame.offer]
    assert len(offers) == 1, "a long offer is not sent again and again"


def test_what_is_not_here_is_answered_with_nothing(world: World) -> None:
    server = world.servers["node0"]
    assert ask(world, server, "a", ChunkRequest(HEIGHT, 0)) == [ChunkResponse(HEIGHT, 0, b"")]
    ask(world, server, "a", SnapshotRequest(0))
    for height, index in ((HEIGHT - 1, 0), (HEIGHT, 60_000)):
        assert ask(world, server, "a", ChunkRequest(height, index)) == [ChunkResponse(height, index, b"")]


def test_a_snapshot_that_nobody_uses_leaves_the_disk(world: World) -> None:
    server = world.servers["node0"]
    ask(world, server, "a", SnapshotRequest(0))
    assert (server.folder / "snapshot" / "0").exists()
    world.run(FRESH_MS + 60_000)
    assert not (server.folder / "snapshot").exists()
    (answer,) = ask(world, server, "a", SnapshotRequest(0))
    assert isinstance(answer, SnapshotResponse)
    assert answer.state == OfferState.MAKING


def test_one_peer_that_asks_on_keeps_an_old_snapshot_from_nobody_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest_ms = FRESH_MS + 60_000
    monkeypatch.setattr(snapshot_service, "LONGEST_MS", longest_ms)
    server = world.servers["node0"]
    ask(world, server, "a", SnapshotRequest(0))
    grow(world.net, server.ledger, 1)
    for _ in range(longest_ms // 20_000 + 2):
        ask(world, server, "a", ChunkRequest(HEIGHT, 0))
        world.run(20_000 - 900)
    ask(world, server, "b", SnapshotRequest(0))
    (answer,) = ask(world, server, "b", SnapshotRequest(0))
    assert isinstance(answer, SnapshotResponse)
    assert (answer.state, answer.height) == (OfferState.READY, HEIGHT + 1)


def test_a_shelf_begins_empty_whatever_a_killed_process_left(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    (folder / "spool").mkdir(parents=True)
    (folder / "0").write_bytes(b"old")
    assert SnapshotShelf(folder, lambda *call: None).chunk(0) is None
    assert not folder.exists()


def test_a_disk_that_is_nearly_full_takes_no_snapshot_and_peers_are_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = world.servers["node0"]
    monkeypatch.setattr("node.ledger.snapshot_shelf.MIN_FREE_BYTES", 2**62)
    ask(world, server, "a", SnapshotRequest(0))
    (answer,) = ask(world, server, "a", SnapshotRequest(0))
    assert answer == SnapshotResponse(OfferState.NONE, 0, b"")
    assert not (server.folder / "snapshot").exists()
    monkeypatch.undo()
    world.run(snapshot_service.FAILURE_MS)
    (answer,) = ask(world, server, "a", SnapshotRequest(0))
    assert isinstance(answer, SnapshotResponse)
    assert answer.state == OfferState.MAKING


def test_a_chain_whose_validators_changed_too_often_for_an_offer_makes_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = world.servers["node0"]
    monkeypatch.setattr("node.ledger.snapshot_shelf.MAX_PROOF_WALK", -1)
    ask(world, server, "a", SnapshotRequest(0))
    (answer,) = ask(world, server, "a", SnapshotRequest(0))
    assert answer == SnapshotResponse(OfferState.NONE, 0, b"")


def test_a_node_that_ends_does_not_wait_for_the_making(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    server = world.servers["node0"]
    monkeypatch.setattr("node.ledger.snapshot_shelf.PACE_ENTRIES", 1)
    server.service.on_frame("a", SnapshotRequest(0))
    server.shelf.close()
    assert not (server.folder / "snapshot").exists()
    server.service._is_making = False
