"""Snapshots: what joins by one stands where replay would have put it, and nothing that was changed on the way is taken."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from node.chain.codec import decode, encode
from node.chain.genesis import Genesis
from node.chain.snapshot import BadSnapshot, SnapshotOffer, decode_offer, verify_offer
from node.ledger import snapshot
from node.ledger.ledger import Ledger, UnknownHeight
from node.ledger.snapshot import TAIL_HEIGHTS, SnapshotBuilder, make_snapshot

if TYPE_CHECKING:
    from tests.node.ledger.conftest import Network

HEIGHT = 12
BLOCKS_AT_ONCE = 5


class Chain:
    """A ledger of HEIGHT blocks and a snapshot of it."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.folder = folder
        self.ledger = network.open(folder / "chain")
        self.transactions = [network.anchors(height, 40) for height in range(HEIGHT)]
        for transactions in self.transactions:
            network.commit(self.ledger, transactions, 1_000)
        self.offer = make_snapshot(self.ledger.snapshot_source(), folder / "snapshot")

    def chunk(self, index: int) -> bytes:
        return (self.folder / "snapshot" / str(index)).read_bytes()

    def builder(self, name: str = "joined") -> SnapshotBuilder:
        return SnapshotBuilder(self.folder / name, self.network.genesis, self.offer)

    def join(self, builder: SnapshotBuilder, name: str = "joined") -> Ledger:
        for index in builder.missing_chunks:
            builder.add_chunk(index, self.chunk(index))
        while builder.next_height:
            first = max(builder.next_height - BLOCKS_AT_ONCE + 1, 1)
            builder.add_blocks(
                [self.ledger.sealed_block_bytes(height) for height in range(first, builder.next_height + 1)]
            )
        builder.finish()
        return self.network.open(self.folder / name)


@pytest.fixture
def chain(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    monkeypatch.setattr(snapshot, "TARGET_CHUNK_BYTES", 2_000)
    chain = Chain(network, tmp_path)
    yield chain
    chain.ledger.close()


def test_what_joined_holds_the_same_state_proves_alike_and_goes_on_alike(chain: Chain) -> None:
    original, network = chain.ledger, chain.network
    assert len({len(chunk.prefix) for chunk in chain.offer.chunks}) > 0
    assert len(chain.offer.chunks) > 20
    joined = chain.join(chain.builder())
    assert (joined.height, joined.head_id, joined.base_height) == (HEIGHT, original.head_id, HEIGHT)
    entries = list(original.state().iterate(b""))
    assert list(joined.state().iterate(b"")) == entries
    for key in [key for key, _ in entries[::17]] + [b"nothing"]:
        assert joined.prove(key) == original.prove(key)
        assert joined.record_proof(key) == original.record_proof(key)
    for number in range(3):
        transactions = network.anchors(100 + number, 30)
        built = network.build(original, transactions)
        executed = joined.execute_block(built.header, transactions, ())
        certificate = network.certify(built)
        original.commit(built, certificate)
        joined.commit(executed, certificate)
        assert joined.head_id == original.head_id
        assert joined.receipts(joined.height) == original.receipts(original.height)
    joined.close()
    again = network.open(chain.folder / "joined")
    assert again.height == HEIGHT + 3
    assert again.base_height == HEIGHT
    # It can serve the next newcomer.
    offer = make_snapshot(again.snapshot_source(), chain.folder / "second")
    assert offer.header == original.head_header
    verify_offer(offer, network.genesis)
    again.close()


def test_transactions_of_the_blocks_before_the_snapshot_are_not_taken_twice(chain: Chain) -> None:
    joined = chain.join(chain.builder())
    for height, transactions in enumerate(chain.transactions, start=1):
        assert all(joined.is_repeated(one.id) for one in transactions)
        assert joined.sealed_block_bytes(height) == chain.ledger.sealed_block_bytes(height)
    joined.close()


def test_reads_of_what_was_never_executed_here_say_so(chain: Chain) -> None:
    joined = chain.join(chain.builder())
    with pytest.raises(UnknownHeight, match=f"began from a snapshot of height {HEIGHT}"):
        joined.receipts(HEIGHT - 3)
    with pytest.raises(UnknownHeight):
        joined.state(HEIGHT - 1)
    with pytest.raises(UnknownHeight, match="from 1 to"):
        joined.receipts(HEIGHT + 1)
    joined.close()


def test_only_as_many_blocks_are_needed_as_may_hold_a_repeated_transaction(network: Network, tmp_path: Path) -> None:
    chain = network.open(tmp_path / "chain")
    count = TAIL_HEIGHTS + 20
    for _ in range(count):
        network.commit(chain, [], 30_000)
    offer = make_snapshot(chain.snapshot_source(), tmp_path / "snapshot")
    builder = SnapshotBuilder(tmp_path / "joined", network.genesis, offer)
    for index in builder.missing_chunks:
        builder.add_chunk(index, (tmp_path / "snapshot" / str(index)).read_bytes())
    while builder.next_height:
        builder.add_blocks([chain.sealed_block_bytes(builder.next_height)])
    builder.finish()
    joined = network.open(tmp_path / "joined")
    lowest = count - TAIL_HEIGHTS + 1
    assert joined.sealed_block_bytes(lowest) == chain.sealed_block_bytes(lowest)
    with pytest.raises(UnknownHeight, match=f"holds blocks from {lowest} on"):
        joined.sealed_block_bytes(lowest - 1)
    chain.close()
    joined.close()


def test_blocks_that_come_while_it_is_made_are_not_in_it(chain: Chain) -> None:
    source = chain.ledger.snapshot_source()
    chain.network.commit(chain.ledger, chain.network.anchors(500, 50))
    offer = make_snapshot(source, chain.folder / "later")
    assert offer == chain.offer


def test_a_chunk_changed_in_any_byte_is_refused_and_the_true_one_taken_after_it(chain: Chain) -> None:
    chance = random.Random(7)
    builder = chain.builder()
    for index in builder.missing_chunks:
        raw = chain.chunk(index)
        for at in {0, len(raw) - 1, *(chance.randrange(len(raw)) for _ in range(12))}:
            bad = bytearray(raw)
            bad[at] ^= 1 << chance.randrange(8)
            with pytest.raises(BadSnapshot, match="chunk"):
                builder.add_chunk(index, bytes(bad))
        for bad_raw in (raw[:-1], raw + b"\0", b"", chain.chunk((index + 1) % len(chain.offer.chunks))):
            with pytest.raises(BadSnapshot, match="chunk"):
                builder.add_chunk(index, bad_raw)
    joined = chain.join(builder)
    assert joined.head_id == chain.ledger.head_id
    joined.close()


def test_a_chunk_with_an_entry_less_more_or_in_another_order_is_refused(chain: Chain) -> None:
    builder = chain.builder()
    index = next(index for index in builder.missing_chunks if len(decode(chain.chunk(index), list[object])) > 2)
    entries = decode(chain.chunk(index), list[tuple[bytes, bytes]])
    for bad in (
        entries[1:],
        entries[:-1],
        [],
        [*entries, entries[-1]],
        entries[::-1],
        sorted([*entries, (b"foreign", b"value")]),
    ):
        with pytest.raises(BadSnapshot, match="chunk"):
            builder.add_chunk(index, encode(bad))
    builder.abandon()


def _changed(offer: SnapshotOffer, how: str) -> SnapshotOffer:
    header, certificate, chunks = offer.header, offer.certificate, offer.chunks
    replace = msgspec.structs.replace
    match how:
        case "state root":
            return replace(offer, header=replace(header, state_root=bytes(32)))
        case "signature":
            return replace(offer, certificate=replace(certificate, signatures=[bytes(64)] * 3))
        case "quorum":
            two = replace(certificate, signers=certificate.signers[:2], signatures=certificate.signatures[:2])
            return replace(offer, certificate=two)
        case "validators":
            return replace(offer, validators=offer.validators[:3])
        case "history":
            return replace(offer, history_peaks=(bytes(32), *offer.history_peaks[1:]))
        case "no history":
            return replace(offer, history_peaks=())
        case "chunk missing":
            return replace(offer, chunks=chunks[1:])
        case "chunk twice":
            return replace(offer, chunks=(chunks[0], *chunks))
        case "chunk below another":
            return replace(offer, chunks=(chunks[0], replace(chunks[0], prefix=chunks[0].prefix + "0"), *chunks[1:]))
        case "chunk hash":
            return replace(offer, chunks=(replace(chunks[0], summary=bytes(32)), *chunks[1:]))
        case _:
            return replace(offer, chunks=(replace(chunks[0], summary=bytes(64)), *chunks[1:]))


@pytest.mark.parametrize(
    "how",
    [
        "state root",
        "signature",
        "quorum",
        "validators",
        "history",
        "no history",
        "chunk missing",
        "chunk twice",
        "chunk below another",
        "chunk hash",
        "chunk leaf",
    ],
)
def test_an_offer_that_the_chain_did_not_make_final_is_refused(chain: Chain, how: str) -> None:
    verify_offer(chain.offer, chain.network.genesis)
    with pytest.raises(BadSnapshot):
        SnapshotBuilder(chain.folder / "joined", chain.network.genesis, _changed(chain.offer, how))
    assert not (chain.folder / "joined").exists()


def test_an_offer_of_another_chain_is_refused(chain: Chain) -> None:
    other: Genesis = msgspec.structs.replace(chain.network.genesis, chain_id=78)
    with pytest.raises(BadSnapshot):
        verify_offer(chain.offer, other)


def test_an_offer_is_read_back_as_it_was_and_nothing_else_is_one(chain: Chain) -> None:
    raw = encode(chain.offer)
    assert decode_offer(raw) == chain.offer
    for bad in (raw[:-1], raw + b"\0", b"", b"\xc0", bytes(12_000_001)):
        with pytest.raises(BadSnapshot):
            decode_offer(bad)


def test_of_a_run_of_blocks_those_above_a_wrong_seal_are_taken_and_the_height_is_named(chain: Chain) -> None:
    builder = chain.builder()
    run = [chain.ledger.sealed_block(height) for height in range(HEIGHT - 3, HEIGHT + 1)]
    forged = msgspec.structs.replace(run[1].certificate, signatures=[bytes(64)] * len(run[1].certificate.signatures))
    run[1] = msgspec.structs.replace(run[1], certificate=forged)
    with pytest.raises(BadSnapshot, match=f"height {HEIGHT - 2}: .*signatures"):
        builder.add_blocks([encode(sealed) for sealed in run])
    assert builder.next_height == HEIGHT - 2
    joined = chain.join(builder)
    assert [joined.sealed_block_bytes(height) for height in range(1, HEIGHT + 1)] == [
        chain.ledger.sealed_block_bytes(height) for height in range(1, HEIGHT + 1)
    ]
    joined.close()


def test_blocks_that_are_not_the_chains_are_refused_and_the_true_ones_taken_after_them(chain: Chain) -> None:
    builder = chain.builder()
    top, below = (chain.ledger.sealed_block(height) for height in (HEIGHT, HEIGHT - 1))
    replace = msgspec.structs.replace
    for bad in (
        b"junk",
        encode(below),
        encode(replace(top, header=replace(top.header, time_ms=top.header.time_ms + 1))),
        encode(replace(top, body=replace(top.body, transactions=top.body.transactions[1:]))),
        encode(replace(top, body=replace(top.body, evidence=[b"piece"]))),
        encode(replace(top, certificate=below.certificate)),
        encode(replace(top, certificate=replace(top.certificate, signatures=[bytes(64)] * 3))),
    ):
        with pytest.raises(BadSnapshot, match=f"height {HEIGHT}"):
            builder.add_blocks([bad])
    joined = chain.join(builder)
    assert joined.head_id == chain.ledger.head_id
    joined.close()


def test_one_that_ends_in_the_middle_leaves_no_ledger_and_begins_anew(chain: Chain) -> None:
    builder = chain.builder()
    for index in builder.missing_chunks[::2]:
        builder.add_chunk(index, chain.chunk(index))
    with pytest.raises(ValueError, match="whole"):
        builder.finish()
    # The process ends here, without a word: only its lock on the folder goes.
    builder._storage.close()
    assert not (chain.folder / "joined").exists()
    joined = chain.join(chain.builder())
    assert joined.head_id == chain.ledger.head_id
    joined.close()
