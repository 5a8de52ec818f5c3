"""Reads of a ledger: blocks by id, logs by address, and all of it as it was at one moment while blocks go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from contracts.records import ADDRESSES
from node.ledger.ledger import HistoryNotHeld, Ledger, UnknownHeight
from node.ledger.ledger_reads import PinnedLedger
from sm_crypto.sm3 import sm3

if TYPE_CHECKING:
    from tests.node.ledger.conftest import Network

ANCHORS = ADDRESSES["anchors"]


@pytest.fixture
def chain(network: Network, tmp_path: Path) -> Iterator[Ledger]:
    """Heights 1 to 6: anchors in the odd ones, nothing in the even ones; the states of the last two are kept."""
    ledger = network.open(tmp_path / "data", kept_heights=2)
    for height in range(1, 7):
        network.commit(ledger, network.anchors(height, 2) if height % 2 else [])
    yield ledger
    ledger.close()


def test_a_block_is_found_by_its_id(chain: Ledger) -> None:
    for height in range(1, 7):
        assert chain.find_block(chain.certificate(height).block_id) == height
    assert chain.find_block(sm3(b"no block")) is None


def test_the_blocks_in_which_a_contract_logged_are_found_by_its_address(chain: Ledger) -> None:
    assert list(chain.log_heights(ANCHORS, 0)) == [1, 3, 5]
    assert list(chain.log_heights(ANCHORS, 2)) == [3, 5]
    assert list(chain.log_heights(ANCHORS, 6)) == []
    assert list(chain.log_heights(ADDRESSES["members"], 0)) == []


def test_a_pinned_ledger_stays_at_its_moment_while_blocks_go_on(network: Network, chain: Ledger) -> None:
    key = next(key for key, _ in chain.state().iterate(ANCHORS))
    sender = network.recorder
    pinned = chain.pin()
    try:
        before = chain.account_nonce(network.transaction(sender, ANCHORS, b"").sender)
        for height in range(7, 12):
            network.commit(chain, network.anchors(height, 1))
        reads = PinnedLedger(pinned, 100)
        assert (reads.height, reads.oldest_height) == (6, 4)
        assert reads.state().get(key) == reads.state(4).get(key) is not None
        # What the ledger itself has given up since is still there.
        assert reads.header(6).height == 6
        assert [receipt.sender_nonce for receipt in reads.receipts(5)] == [before - 2, before - 1]
        with pytest.raises(UnknownHeight, match="from 4 to 6"):
            reads.state(3)
        with pytest.raises(UnknownHeight, match="found 7"):
            reads.header(7)
        with pytest.raises(UnknownHeight, match="whose states are kept, found 4"):
            chain.state(4)
    finally:
        pinned.close()


def test_a_joined_ledger_finds_the_blocks_that_came_with_its_snapshot_by_their_ids(
    chain: Ledger, network: Network, tmp_path: Path, join_by_snapshot: Callable[[Ledger, Path], None]
) -> None:
    join_by_snapshot(chain, tmp_path / "joined")
    joined = network.open(tmp_path / "joined")
    try:
        identifier = chain.certificate(5).block_id
        assert joined.find_block(identifier) == 5
        assert list(joined.log_heights(ANCHORS, 0)) == []
        with pytest.raises(HistoryNotHeld):
            joined.receipts(5)
        network.commit(joined, network.anchors(50, 1))
        assert list(joined.log_heights(ANCHORS, 0)) == [7]
    finally:
        joined.close()
