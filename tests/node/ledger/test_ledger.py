"""The ledger: candidates, commits, what peers and readers are served, past heights, and what a second node computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts import anchors, registry
from contracts.accounts import account_key, address_of_key
from contracts.recent_blocks import BLOCK_IDS, BlockIdRecord, load_block_id
from node.chain.block import SealedBlock, block_id, decode_header, receipts_root, transactions_root
from node.chain.codec import decode, encode
from node.chain.execution import Unfit
from node.chain.state_proof import verify_state_proof
from node.ledger.ledger import ExecutedBlock, InvalidBlock, Ledger, UnknownHeight
from node.ledger.storage import StorageError
from sm_crypto.merkle import EMPTY_ROOT, leaf_hash, merkle_root
from sm_crypto.sm3 import sm3


@pytest.fixture
def other(network: Any, tmp_path: Path) -> Iterator[Ledger]:
    """Another node's ledger of the same network."""
    other = network.open(tmp_path / "other")
    yield other
    other.close()


def grow(network: Any, ledger: Ledger, heights: int, count: int = 3) -> list[ExecutedBlock]:
    blocks = []
    for _ in range(heights):
        executed = network.build(ledger, network.anchors(ledger.height, count))
        ledger.commit(executed, network.certify(executed))
        blocks.append(executed)
    return blocks


def test_a_new_ledger_stands_at_genesis(network: Any, ledger: Ledger) -> None:
    genesis = network.genesis
    assert (ledger.height, ledger.head_id, ledger.head_time_ms) == (0, genesis.hash, genesis.time_ms)
    assert ledger.head_header is None
    assert ledger.validators() == genesis.validator_set() == ledger.validators_at(1)
    assert ledger.state().get(account_key(address_of_key(network.issuer.public_key))) is not None
    with pytest.raises(UnknownHeight, match="from 1 to 0, found 0"):
        ledger.header(0)


def test_a_block_built_here_is_executed_alike_elsewhere(network: Any, ledger: Ledger, other: Ledger) -> None:
    for height in range(1, 6):
        transactions = network.anchors(height, 20)
        built = network.build(ledger, transactions)
        executed = other.execute_block(decode_header(encode(built.header)), transactions, ())
        assert executed.block_id == built.block_id == block_id(built.header)
        certificate = network.certify(built)
        one, two = ledger.commit(built, certificate), other.commit(executed, certificate)
        assert one == two
        assert (ledger.height, ledger.head_id, ledger.head_header) == (height, built.block_id, built.header)
        assert other.sealed_block_bytes(height) == ledger.sealed_block_bytes(height)


def test_a_header_states_everything(network: Any, ledger: Ledger) -> None:
    blocks = grow(network, ledger, 4)
    ids = [executed.block_id for executed in blocks]
    for height, executed in enumerate(blocks, 1):
        header = ledger.header(height)
        raws = [transaction.raw for transaction in executed.transactions]
        assert header.parent_id == (ids[height - 2] if height > 1 else network.genesis.hash)
        assert header.history_root == merkle_root([leaf_hash(found) for found in ids[: height - 1]])
        assert header.transactions_root == transactions_root(raws)
        assert header.receipts_root == receipts_root(executed.receipts)
        assert header.evidence_root == EMPTY_ROOT
        assert header.validators_hash == header.next_validators_hash == network.genesis.validator_set().hash
        assert header.parameters_hash == network.genesis.parameters.hash


def test_an_empty_block_records_its_parents_id_and_nothing_else(network: Any, ledger: Ledger) -> None:
    parent = grow(network, ledger, 1)[0]
    before = dict(ledger.state().iterate(b""))
    committed = network.commit(ledger, [])
    after = dict(ledger.state().iterate(b""))
    assert committed.receipts == ()
    assert after == before | {BLOCK_IDS.key((1).to_bytes(2)): encode(BlockIdRecord(1, parent.block_id))}
    assert load_block_id(ledger.state(), 0) == network.genesis.hash


def test_what_is_committed_is_served(network: Any, ledger: Ledger) -> None:
    blocks = grow(network, ledger, 7)  # more than the ledger keeps in memory
    for height, executed in enumerate(blocks, 1):
        sealed = ledger.sealed_block(height)
        assert sealed == decode(ledger.sealed_block_bytes(height), SealedBlock)
        assert sealed.header == executed.header
        assert sealed.certificate == ledger.certificate(height)
        assert sealed.body.transactions == [transaction.raw for transaction in executed.transactions]
        assert list(ledger.receipts(height)) == list(executed.receipts)
        for index, transaction in enumerate(executed.transactions):
            assert ledger.find_transaction(transaction.id) == (height, index)
            assert ledger.is_repeated(transaction.id)
    assert ledger.find_transaction(bytes(32)) is None
    assert ledger.account_nonce(address_of_key(network.recorder.public_key)) == 21
    assert len(list(ledger.state().iterate(anchors.ANCHORS.prefix))) == 21


@pytest.mark.parametrize("height", [-1, 0, 3, 2**70])
def test_heights_that_are_none_are_named(network: Any, ledger: Ledger, height: int) -> None:
    grow(network, ledger, 2)
    reads: list[Callable[[int], object]] = [
        ledger.header,
        ledger.certificate,
        ledger.receipts,
        ledger.sealed_block,
        ledger.sealed_block_bytes,
    ]
    for read in reads:
        with pytest.raises(UnknownHeight, match="from 1 to 2"):
            read(height)
    with pytest.raises(UnknownHeight):
        ledger.record_proof(b"key", height)
    if height != 3:
        with pytest.raises(UnknownHeight):
            ledger.validators_at(height)


def test_what_can_never_stand_in_a_block_is_left_out_and_named(network: Any, ledger: Ledger) -> None:
    done = network.commit(ledger, network.anchors(1, 2)).transactions
    good = network.anchor(sm3(b"good"))
    expired = network.anchor(sm3(b"late"), valid_until_ms=ledger.head_time_ms)
    executed = network.build(ledger, [done[0], good, expired])
    assert executed.unfit == ((done[0], Unfit.REPEATED), (expired, Unfit.EXPIRED))
    assert executed.transactions == (good,)


def test_many_candidates_of_one_height_leave_no_trace(network: Any, ledger: Ledger, other: Ledger) -> None:
    candidates = [network.build(ledger, network.anchors(index, 5), 1_000 + index) for index in range(12)]
    assert len({candidate.block_id for candidate in candidates}) == 12
    chosen = candidates[3]
    ledger.commit(chosen, network.certify(chosen))
    executed = other.execute_block(chosen.header, chosen.transactions, ())
    other.commit(executed, network.certify(executed))
    # The next block comes out the same whether or not eleven others were executed beside its parent.
    transactions = network.anchors(99, 5)
    assert network.build(ledger, transactions).block_id == network.build(other, transactions).block_id
    with pytest.raises(ValueError, match="expected a block of height 2"):
        ledger.commit(candidates[4], network.certify(candidates[4]))


def test_a_known_candidate_is_not_executed_again(network: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    transactions = network.anchors(1, 3)
    built = network.build(ledger, transactions)
    monkeypatch.setattr("node.chain.execution.execute_call", None)
    assert ledger.execute_block(built.header, transactions, ()) is built
    # The id alone proves nothing about the body that comes with it.
    with pytest.raises(InvalidBlock, match="transactions_root"):
        ledger.execute_block(built.header, transactions[:2], ())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("height", 2),
        ("parent_id", bytes(32)),
        ("history_root", bytes(32)),
        ("time_ms", 1_750_000_000_000),
        ("proposer", bytes(20)),
        ("transactions_root", bytes(32)),
        ("receipts_root", bytes(32)),
        ("state_root", bytes(32)),
        ("validators_hash", bytes(32)),
        ("next_validators_hash", bytes(32)),
        ("parameters_hash", bytes(32)),
        ("evidence_root", bytes(32)),
    ],
)
def test_a_header_that_states_something_else_is_invalid(
    network: Any, ledger: Ledger, other: Ledger, field: str, value: object
) -> None:
    built = network.build(ledger, network.anchors(1, 3))
    header = msgspec.structs.replace(built.header, **{field: value})
    with pytest.raises(InvalidBlock, match=field.split("_")[0]) as caught:
        other.execute_block(header, built.transactions, ())
    assert "expected" in caught.value.reason
    # The sound block is still accepted afterwards.
    assert other.execute_block(built.header, built.transactions, ()).block_id == built.block_id


def test_a_body_that_breaks_a_rule_is_invalid(network: Any, ledger: Ledger, other: Ledger) -> None:
    first = network.commit(ledger, network.anchors(1, 3))
    other.commit(other.execute_block(first.header, first.transactions, ()), first.certificate)
    good = network.anchors(2, 2)
    late = network.anchor(sm3(b"late"), valid_until_ms=ledger.head_time_ms)
    for body, reason in (
        ([*good, good[0]], "transaction 2.*already in the chain"),
        ([first.transactions[0], *good], "transaction 0.*already in the chain"),
        ([*good, late], "transaction 2.*past"),
    ):
        built = network.build(ledger, good)
        header = msgspec.structs.replace(built.header, transactions_root=transactions_root([t.raw for t in body]))
        with pytest.raises(InvalidBlock, match=reason):
            other.execute_block(header, body, ())


def test_a_commit_wants_its_own_certificate_and_time_goes_up(network: Any, ledger: Ledger) -> None:
    one, two = (network.build(ledger, network.anchors(seed, 2)) for seed in (1, 2))
    with pytest.raises(ValueError, match="this very block"):
        ledger.commit(one, network.certify(two))
    with pytest.raises(ValueError, match="above the parent's"):
        network.build(ledger, [], step_ms=0)


def test_past_heights_are_read_and_proved_until_they_are_pruned(network: Any, tmp_path: Path) -> None:
    ledger = network.open(tmp_path / "short", kept_heights=4, state_cache_nodes=8)
    sender = address_of_key(network.recorder.public_key)
    count_key = sender + b"\0"
    for height in range(1, 11):
        network.commit(ledger, network.anchors(height, height) if height != 7 else [])
        assert ledger.oldest_height == max(0, height - 4)
        executed = 0
        for past in range(1, height + 1):
            executed += past if past != 7 else 0
            key = anchors.anchor_key(sm3(f"{past}/0".encode()), network.department)
            if past < ledger.oldest_height:
                with pytest.raises(UnknownHeight, match=f"from {ledger.oldest_height} to {height}"):
                    ledger.prove(key, past)
                continue
            state = ledger.state(past)
            assert (state.get(key) is not None) == (past != 7)
            assert state.get(anchors.anchor_key(sm3(f"{past + 1}/0".encode()), network.department)) is None
            counted = state.get(count_key)
            assert counted == encode([executed]), "the value of then, which later blocks replaced"
            verify_state_proof(ledger.prove(count_key, past), count_key, counted, ledger.header(past).state_root)
    with pytest.raises(ValueError, match="only the latest"):
        ledger.state(9).iterate(b"")
    # Pruned versions leave nothing behind but what the kept ones reach.
    reached = set[tuple[str, int]]()
    for past in range(ledger.oldest_height, ledger.height + 1):
        reached |= reachable(ledger, "", ledger._root_version(past))
    stored = {(key[7:].decode(), int.from_bytes(key[1:7])) for key, _ in ledger._storage.iterate(b"n")}
    assert stored == reached
    assert ledger.cached_nodes <= 8
    ledger.close()


def reachable(ledger: Ledger, path: str, version: int) -> set[tuple[str, int]]:
    from node.chain.state_tree import NodeView

    node = NodeView(ledger._store.read_node(path, version))
    found = {(path, version)}
    for nibble in range(16):
        if node.bitmap & ~node.leaf_bitmap & 1 << nibble:
            found |= reachable(ledger, path + f"{nibble:x}", node.child_version(1 << nibble))
    return found


def test_a_shorter_retention_is_reached_in_bounded_steps(network: Any, tmp_path: Path) -> None:
    ledger = network.open(tmp_path / "data", kept_heights=100)
    grow(network, ledger, 30, 1)
    assert ledger.oldest_height == 0
    ledger.close()
    ledger = network.open(tmp_path / "data", kept_heights=2)
    seen = []
    for _ in range(4):
        grow(network, ledger, 1, 1)
        seen.append(ledger.oldest_height)
    assert seen == [8, 16, 24, 32]
    ledger.close()


def test_a_ledger_is_taken_up_where_it_stood(network: Any, tmp_path: Path) -> None:
    ledger = network.open(tmp_path / "data")
    blocks = grow(network, ledger, 6)
    transactions = network.anchors(50, 4)
    following = network.build(ledger, transactions)
    ledger.close()
    again = network.open(tmp_path / "data")
    assert (again.height, again.head_id, again.head_header) == (6, blocks[-1].block_id, blocks[-1].header)
    assert again.is_repeated(blocks[0].transactions[0].id)
    assert network.build(again, transactions).block_id == following.block_id
    again.close()


def test_a_folder_of_another_network_is_refused(network: Any, make_network: Any, tmp_path: Path) -> None:
    network.open(tmp_path / "data").close()
    with pytest.raises(StorageError, match="belongs to another network: its genesis is"):
        make_network(block_interval_ms=11).open(tmp_path / "data")
    # The refused open has let go of the folder.
    network.open(tmp_path / "data").close()


def test_a_genesis_that_the_contracts_refuse_is_named(network: Any, tmp_path: Path) -> None:
    department = msgspec.structs.replace(network.genesis.departments[0], code="11330100002500288X")
    genesis = msgspec.structs.replace(network.genesis, departments=(department,), validators=())
    with pytest.raises(StorageError, match="the genesis is refused"):
        Ledger.open(tmp_path / "data", genesis)


def test_a_call_of_no_contract_costs_a_receipt(network: Any, ledger: Ledger) -> None:
    lost = network.transaction(network.issuer, b"\x99" * 20, b"data")
    stranger = network.transaction(
        network.validator_keys[0], *registry.encode_call("anchors", "anchor", digest=sm3(b"x"), label="x")
    )
    committed = network.commit(ledger, [lost, stranger])
    assert [receipt.refusal for receipt in committed.receipts] == ["NO_CONTRACT", "UNKNOWN_ACCOUNT"]
    assert ledger.account_nonce(lost.sender) == 1
