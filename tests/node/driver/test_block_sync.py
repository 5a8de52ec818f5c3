"""Block sync from several peers: ranges side by side, certificates in batches, what is bad refused and its sender named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from consensus.messages import CommitCertificate, VoteKind, vote_sign_digest
from node.chain.block import SealedBlock
from node.chain.codec import decode, encode
from node.chain.transaction import VerifiedTransaction
from node.driver import block_sync
from node.driver.block_sync import (
    MAX_HELD_BYTES,
    MAX_OPEN_REQUESTS,
    MAX_RESPONSE_BYTES,
    REQUEST_BLOCKS,
    SILENCE_MS,
    BlockSync,
    serve_blocks,
)
from node.driver.signature_verifier import verify_transactions
from node.ledger.ledger import Ledger, UnknownHeight
from node.wire.frames import BlockRequest, BlockResponse, Frame
from sm_crypto.sm2 import verify_batch

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net

HEIGHT = 2 * REQUEST_BLOCKS + 6


class Outside:
    """Peers that are asked and never answer by themselves."""

    def __init__(self) -> None:
        self.time_ms = 0
        self.asked: list[tuple[str, BlockRequest]] = []
        self.dropped: list[tuple[str, str]] = []

    def now_ms(self) -> int:
        return self.time_ms

    def send(self, peer: str, frame: Frame) -> None:
        assert isinstance(frame, BlockRequest)
        self.asked.append((peer, frame))

    def drop_peer(self, peer: str, reason: str) -> None:
        self.dropped.append((peer, reason))


class Newcomer:
    """A node at height 0 beside a chain of HEIGHT blocks."""

    def __init__(self, chain: Ledger, ledger: Ledger) -> None:
        self.chain = chain
        self.ledger = ledger
        self.outside = Outside()
        self.sync = BlockSync(ledger, self.outside)

    def meet(self, *peers: str, height: int = HEIGHT) -> None:
        for peer in peers:
            self.sync.note_height(peer, height)
        self.sync.poll()

    def answer(self, peer: str, response: BlockResponse | None = None) -> None:
        """Let this peer answer its oldest request, honestly unless told otherwise."""
        at = next(at for at, (asked, _) in enumerate(self.outside.asked) if asked == peer)
        _, request = self.outside.asked.pop(at)
        self.sync.take_response(peer, response or serve_blocks(self.chain, request))

    def take_blocks(self) -> None:
        """Execute and commit all that waits in order, as the driver does."""
        while (sealed := self.sync.next_block(self.ledger.validators())) is not None:
            raws = sealed.body.transactions
            verified = [one for one in verify_transactions(raws) if isinstance(one, VerifiedTransaction)]
            executed = self.ledger.execute_block(sealed.header, verified, sealed.body.evidence)
            self.ledger.commit(executed, sealed.certificate)
        self.sync.poll()

    def finish(self) -> None:
        """Let every peer answer honestly until nothing is asked."""
        while self.outside.asked:
            self.answer(self.outside.asked[0][0])
            self.take_blocks()


@pytest.fixture(scope="module")
def chain(net_type: type[Net], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A chain of HEIGHT blocks, which tests read only."""
    folder = tmp_path_factory.mktemp("chain")
    net = net_type(folder)
    genesis = net.genesis
    chain = Ledger.open(folder / "chain", genesis)
    signers = [net.nodes[index].signer for index in range(3)]
    for height in range(1, HEIGHT + 1):
        (verified,) = verify_transactions([net.transaction()])
        assert isinstance(verified, VerifiedTransaction)
        built = chain.build_block([verified], chain.head_time_ms + 10, signers[0].address)
        digest = vote_sign_digest(genesis.hash, VoteKind.PRECOMMIT, height, 0, built.block_id)
        seals = [signer.sign(digest) for signer in signers]
        chain.commit(built, CommitCertificate(height, 0, built.block_id, [0, 1, 2], seals))
    yield chain
    chain.close()
    for node in net.nodes:
        node.kill()


@pytest.fixture
def newcomer(chain: Ledger, tmp_path: Path) -> Iterator[Newcomer]:
    ledger = Ledger.open(tmp_path / "newcomer", chain.genesis)
    yield Newcomer(chain, ledger)
    ledger.close()


def test_ranges_go_to_different_peers_and_answers_in_any_order_are_taken_in_order(newcomer: Newcomer) -> None:
    newcomer.meet("a", "b", "c")
    asked = newcomer.outside.asked
    assert sorted(peer for peer, _ in asked) == ["a", "b", "c"]
    covered = [height for _, request in asked for height in range(request.first, request.first + request.count)]
    assert covered == list(range(1, HEIGHT + 1))
    for peer, _ in reversed(list(asked)):
        newcomer.answer(peer)
        newcomer.take_blocks()
    assert newcomer.ledger.height == HEIGHT
    assert newcomer.ledger.head_id == newcomer.chain.head_id
    assert newcomer.outside.dropped == []


def test_certificates_are_checked_many_at_a_time(newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counting(items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
        sizes.append(len(items))
        return verify_batch(items)

    monkeypatch.setattr(block_sync, "verify_batch", counting)
    newcomer.meet("a", "b")
    newcomer.finish()
    assert newcomer.ledger.height == HEIGHT
    assert len(sizes) <= 4
    assert max(sizes) >= 3 * REQUEST_BLOCKS


def _with_bad_signature(raw: bytes) -> bytes:
    sealed = decode(raw, SealedBlock)
    signatures = [*sealed.certificate.signatures[:-1], bytes(64)]
    certificate = msgspec.structs.replace(sealed.certificate, signatures=signatures)
    return encode(msgspec.structs.replace(sealed, certificate=certificate))


def _with_other_set_next(raw: bytes) -> bytes:
    sealed = decode(raw, SealedBlock)
    header = msgspec.structs.replace(sealed.header, next_validators_hash=bytes(32))
    return encode(msgspec.structs.replace(sealed, header=header))


def _with_other_body(raw: bytes) -> bytes:
    sealed = decode(raw, SealedBlock)
    return encode(msgspec.structs.replace(sealed, body=msgspec.structs.replace(sealed.body, transactions=[])))


@pytest.mark.parametrize("spoil", [_with_bad_signature, _with_other_set_next, _with_other_body, lambda raw: b"junk"])
@pytest.mark.parametrize("at", [0, REQUEST_BLOCKS - 1])
def test_the_one_bad_peer_of_three_is_dropped_and_named_and_no_other(
    newcomer: Newcomer, spoil: object, at: int
) -> None:
    assert callable(spoil)
    newcomer.meet("a", "b", "c")
    bad, request = newcomer.outside.asked[1]
    blocks = list(serve_blocks(newcomer.chain, request).blocks)
    blocks[at] = spoil(blocks[at])
    newcomer.answer(bad, BlockResponse(blocks))
    newcomer.finish()
    assert newcomer.ledger.height == HEIGHT
    assert [peer for peer, _ in newcomer.outside.dropped] == [bad]
    assert "bad block" in newcomer.outside.dropped[0][1]


def test_a_silent_peer_is_passed_over_and_the_others_go_on(newcomer: Newcomer) -> None:
    newcomer.meet("a", "b", "c")
    silent, request = newcomer.outside.asked.pop(0)
    for peer, _ in list(newcomer.outside.asked):
        newcomer.answer(peer)
    newcomer.take_blocks()
    assert newcomer.ledger.height == 0
    newcomer.outside.time_ms += SILENCE_MS
    newcomer.sync.poll()
    ((other, again),) = newcomer.outside.asked
    assert other != silent
    assert again == request
    newcomer.finish()
    assert newcomer.ledger.height == HEIGHT
    assert newcomer.outside.dropped == []


def test_what_a_lost_peer_had_open_is_asked_from_another(newcomer: Newcomer) -> None:
    newcomer.meet("a", "b")
    lost, request = newcomer.outside.asked.pop(0)
    newcomer.sync.forget(lost)
    newcomer.answer(newcomer.outside.asked[0][0])
    newcomer.sync.poll()
    assert newcomer.outside.asked[0][1] == request
    newcomer.finish()
    assert newcomer.ledger.height == HEIGHT


def test_what_may_wait_in_memory_is_bounded_whatever_peers_claim(newcomer: Newcomer) -> None:
    newcomer.meet(*"abcdefgh", height=2**62)
    assert len(newcomer.outside.asked) == min(MAX_OPEN_REQUESTS, MAX_HELD_BYTES // MAX_RESPONSE_BYTES)
    for _ in range(40):
        later = [at for at, (_, request) in enumerate(newcomer.outside.asked) if request.first > 1]
        if not later:
            break
        peer, request = newcomer.outside.asked.pop(later[0])
        newcomer.sync.take_response(peer, BlockResponse([bytes(250_000)] * request.count))
        newcomer.sync.poll()
    held = sum(len(one.raw) for one in newcomer.sync._held.values())
    assert held <= MAX_HELD_BYTES + MAX_RESPONSE_BYTES


class Shortened:
    """A ledger that began from a snapshot: it holds no block below `first`."""

    def __init__(self, ledger: Ledger, first: int) -> None:
        self._ledger = ledger
        self._first = first
        self.height = ledger.height

    def sealed_block_bytes(self, height: int) -> bytes:
        if height < self._first:
            raise UnknownHeight(f"holds blocks from {self._first} on")
        return self._ledger.sealed_block_bytes(height)


def test_a_peer_that_lacks_old_blocks_is_kept_and_another_is_asked(newcomer: Newcomer) -> None:
    short = cast(Ledger, Shortened(newcomer.chain, HEIGHT))
    assert serve_blocks(short, BlockRequest(1, 8)) == BlockResponse([])
    assert len(serve_blocks(short, BlockRequest(HEIGHT, 8)).blocks) == 1
    newcomer.meet("short")
    newcomer.answer("short", BlockResponse([]))
    newcomer.sync.poll()
    assert not newcomer.outside.asked, "it is not asked for the same thing without rest"
    assert newcomer.sync.target_height == HEIGHT, "it still says that there is more"
    assert f"the block of height {1}:" in newcomer.sync.trouble
    newcomer.meet("whole")
    assert not newcomer.sync.trouble
    newcomer.finish()
    assert newcomer.ledger.height == HEIGHT
    assert not newcomer.outside.dropped


def test_what_nobody_holds_is_asked_for_again_once_a_peer_names_its_height_anew(newcomer: Newcomer) -> None:
    newcomer.meet("short")
    newcomer.answer("short", BlockResponse([]))
    assert newcomer.sync.trouble
    newcomer.meet("short")
    newcomer.finish()
    assert newcomer.ledger.height == HEIGHT
    assert not newcomer.sync.trouble
