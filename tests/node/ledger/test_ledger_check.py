"""A stored chain that was checked: sound as it was written, and found wherever one byte of it was changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plyvel
import pytest

from node.chain.codec import encode
from node.chain.transaction import Transaction, VerifiedTransaction, transaction_hash
from node.driver.signature_verifier import verify_transactions
from node.ledger import snapshot
from node.ledger.ledger import Ledger
from node.ledger.storage import StorageError
from node.ledger_check import CheckImpossible, LedgerReport, check_ledger
from sm_crypto.sm2 import PrivateKey

HEIGHTS = 6


def signed(transaction: VerifiedTransaction, key: PrivateKey) -> VerifiedTransaction:
    raw = encode(Transaction(transaction.body, key.sign(transaction.id)))
    return VerifiedTransaction(raw, transaction_hash(raw), transaction.id, transaction.sender, transaction.body)


@pytest.fixture(scope="module")
def stored_chain(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain") / "ledger"
    ledger = network.open(path)
    for height in range(1, HEIGHTS + 1):
        count = 0 if height == 4 else 3
        network.commit(ledger, [signed(item, network.recorder) for item in network.anchors(height, count)])
    ledger.close()
    return path


@pytest.fixture
def chain(stored_chain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored_chain, tmp_path / "ledger"))


@pytest.fixture
def check(network: Any, tmp_path: Path) -> Callable[..., LedgerReport]:
    def run(path: Path, **options: Any) -> LedgerReport:
        return check_ledger(path, network.genesis, tmp_path / "scratch", lambda *_: None, **options)

    return run


def flip(path: Path, key: bytes, at: int = -1) -> None:
    """Change one byte of one entry."""
    database = plyvel.DB(str(path))
    value = bytearray(database.get(key))
    value[at] ^= 1
    database.put(key, bytes(value))
    database.close()


def keys(path: Path, table: bytes) -> list[bytes]:
    database = plyvel.DB(str(path))
    found = list(database.iterator(prefix=table, include_value=False))
    database.close()
    return found


def at(table: bytes, height: int) -> bytes:
    return table + height.to_bytes(6)


def test_a_sound_chain_is_found_sound_from_genesis_and_from_a_height(
    network: Any, chain: Path, check: Callable[..., LedgerReport]
) -> None:
    whole = check(chain)
    assert whole.damage is None
    assert (whole.height, whole.blocks, whole.executed, whole.transactions) == (HEIGHTS, HEIGHTS, HEIGHTS, 15)
    assert whole.state_values > 15
    part = check(chain, after_height=4)
    assert part.damage is None
    assert (part.first_height, part.blocks, part.executed, part.transactions) == (5, 2, 0, 6)
    trusted = network.genesis.validator_set().hash
    assert check(chain, after_height=4, trusted_set=trusted).damage is None


@pytest.mark.parametrize(
    ("table", "field"),
    [(b"h", "header"), (b"b", "body"), (b"c", "certificate"), (b"r", "receipts"), (b"x", "state root version")],
)
@pytest.mark.parametrize("height", [1, 3, HEIGHTS])
def test_one_changed_byte_of_a_block_is_found_with_its_height_and_field(
    chain: Path, check: Callable[..., LedgerReport], table: bytes, field: str, height: int
) -> None:
    flip(chain, at(table, height))
    damage = check(chain).damage
    assert damage is not None
    assert damage.height == height
    assert damage.field.startswith(field)


def test_any_byte_of_a_header_or_certificate_is_found(chain: Path, check: Callable[..., LedgerReport]) -> None:
    database = plyvel.DB(str(chain))
    lengths = {table: len(database.get(at(table, 2))) for table in (b"h", b"c")}
    database.close()
    for table, field in ((b"h", "header"), (b"c", "certificate")):
        for offset in range(0, lengths[table], 17):
            flip(chain, at(table, 2), offset)
            damage = check(chain, after_height=1).damage
            assert damage is not None, (field, offset)
            assert damage.height == 2, (field, offset, damage)
            flip(chain, at(table, 2), offset)


@pytest.mark.parametrize(
    ("table", "field"),
    [
        (b"v", "value"),
        (b"n", "tree node"),
        (b"s", "list of replaced tree nodes"),
        (b"o", "replaced values"),
        (b"t", "transaction index"),
        (b"i", "block index"),
        (b"k", "validator set"),
        (b"m", "head"),
        (b"q", "history before the head"),
    ],
)
def test_one_changed_byte_elsewhere_is_found(
    chain: Path, check: Callable[..., LedgerReport], table: bytes, field: str
) -> None:
    flip(chain, keys(chain, table)[-1])
    damage = check(chain).damage
    assert damage is not None
    assert damage.field.startswith(field)


def test_every_value_and_every_node_of_the_state_is_looked_at(chain: Path, check: Callable[..., LedgerReport]) -> None:
    for table in (b"v", b"n"):
        for key in keys(chain, table)[:: 7 if table == b"v" else 5]:
            flip(chain, key, 1)
            damage = check(chain, after_height=HEIGHTS).damage
            # Nodes that only earlier states need are checked from genesis.
            assert damage is not None or (table == b"n" and check_from_genesis_finds(chain, check))
            flip(chain, key, 1)


def check_from_genesis_finds(chain: Path, check: Callable[..., LedgerReport]) -> bool:
    shutil.rmtree(chain.parent / "scratch", ignore_errors=True)
    return check(chain).damage is not None


def test_missing_and_surplus_entries_are_found(chain: Path, check: Callable[..., LedgerReport]) -> None:
    database = plyvel.DB(str(chain))
    database.put(b"v" + b"stray", b"1")
    database.close()
    assert check(chain, after_height=HEIGHTS).damage.field == "value"  # type: ignore[union-attr]
    (logged, *_) = keys(chain, b"l")
    database = plyvel.DB(str(chain))
    database.delete(b"v" + b"stray")
    database.delete(logged)
    database.close()
    for after_height in (0, int.from_bytes(logged[-6:]) - 1):
        damage = check(chain, after_height=after_height).damage
        assert damage is not None
        assert damage.field == "log index"
        shutil.rmtree(chain.parent / "scratch", ignore_errors=True)
    database = plyvel.DB(str(chain))
    database.put(logged, b"")
    database.delete(at(b"r", 5))
    database.close()
    damage = check(chain).damage
    assert damage is not None
    assert (damage.height, damage.field, damage.reason) == (5, "receipts", "missing")


def test_a_validator_set_other_than_the_trusted_one_is_found(chain: Path, check: Callable[..., LedgerReport]) -> None:
    damage = check(chain, after_height=3, trusted_set=bytes(32)).damage
    assert damage is not None
    assert (damage.height, damage.field) == (3, "next_validators_hash")


def test_a_transaction_whose_signature_is_wrong_is_found_though_a_quorum_certified_it(
    network: Any, tmp_path: Path, check: Callable[..., LedgerReport]
) -> None:
    ledger = network.open(tmp_path / "ledger")
    network.commit(ledger, network.anchors(1, 1))
    ledger.close()
    damage = check(tmp_path / "ledger").damage
    assert damage is not None
    assert (damage.height, damage.field) == (1, "body.transactions[0]")


def test_what_cannot_be_checked_is_told_apart_from_damage(
    network: Any, make_network: Callable[..., Any], chain: Path, tmp_path: Path, check: Callable[..., LedgerReport]
) -> None:
    with pytest.raises(CheckImpossible, match="no ledger"):
        check(tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(CheckImpossible, match="ends at height 6"):
        check(chain, after_height=HEIGHTS + 1)
    other = make_network(max_block_transactions=10).genesis
    with pytest.raises(CheckImpossible, match="genesis"):
        check_ledger(chain, other, tmp_path / "scratch", lambda *_: None)
    ledger = network.open(chain)
    try:
        with pytest.raises(StorageError, match="stop it first"):
            check(chain)
    finally:
        ledger.close()


def test_damage_to_the_database_files_themselves_is_damage(chain: Path, check: Callable[..., LedgerReport]) -> None:
    for table in chain.glob("*.log"):
        raw = bytearray(table.read_bytes())
        if raw:
            raw[len(raw) // 2] ^= 0xFF
            table.write_bytes(raw)
    damage = check(chain).damage
    assert damage is not None
    assert damage.field == "database"


def test_progress_tells_how_far_the_check_is(network: Any, chain: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    check_ledger(chain, network.genesis, tmp_path / "scratch", lambda *told_now: told.append(told_now))
    assert ("blocks", HEIGHTS, HEIGHTS) in told
    assert [stage for stage, _, _ in told] == sorted(
        (stage for stage, _, _ in told), key=["headers", "blocks", "state", "tables"].index
    )


JOINED_AT = 4


@pytest.fixture(scope="module", params=[1, 3], ids=["whole tail", "short tail"])
def stored_joined_chain(
    request: pytest.FixtureRequest,
    network: Any,
    stored_chain: Path,
    join_by_snapshot: Callable[[Ledger, Path], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The ledger of a node that joined at JOINED_AT, holds blocks from the parameter's height on, and has two of its own."""
    folder = tmp_path_factory.mktemp("joined")
    whole = network.open(stored_chain)
    original = network.open(folder / "original")
    with pytest.MonkeyPatch.context() as patch:
        if request.param > 1:
            patch.setattr(snapshot, "TAIL_HEIGHTS", JOINED_AT - request.param + 1)
            patch.setattr(snapshot, "MAX_TRANSACTION_WINDOW_MS", 0)
        for height in range(1, JOINED_AT + 1):
            copy_block(whole, original, height)
        join_by_snapshot(original, folder / "ledger")
    joined = network.open(folder / "ledger")
    for height in range(JOINED_AT + 1, HEIGHTS + 1):
        copy_block(whole, joined, height)
    assert (joined.base_height, joined.first_block) == (JOINED_AT, request.param)
    for ledger in (whole, original, joined):
        ledger.close()
    return folder / "ledger"


def copy_block(source: Ledger, target: Ledger, height: int) -> None:
    sealed = source.sealed_block(height)
    transactions = verify_transactions(sealed.body.transactions)
    executed = target.execute_block(sealed.header, transactions, sealed.body.evidence)  # type: ignore[arg-type]
    target.commit(executed, sealed.certificate)


@pytest.fixture
def joined_chain(stored_joined_chain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored_joined_chain, tmp_path / "joined"))


def first_of(path: Path) -> int:
    return min(int.from_bytes(key[1:]) for key in keys(path, b"b"))


def test_a_ledger_that_began_from_a_snapshot_is_found_sound_and_the_report_says_what_was_not_executed(
    network: Any, joined_chain: Path, check: Callable[..., LedgerReport]
) -> None:
    report, first = check(joined_chain), first_of(joined_chain)
    assert report.damage is None
    assert (report.base_height, report.height, report.first_height) == (JOINED_AT, HEIGHTS, first)
    assert (report.blocks, report.executed, report.set_changes) == (HEIGHTS - first + 1, 0, 0)
    assert report.state_values > 15
    trusted = network.genesis.validator_set().hash
    for after in range(HEIGHTS + 1):
        report = check(joined_chain, after_height=after, trusted_set=trusted)
        assert report.damage is None, after
        assert report.first_height == max(after + 1, first)
        damage = check(joined_chain, after_height=after, trusted_set=bytes(32)).damage
        assert damage is not None
        assert (damage.height, damage.field) == (after, "next_validators_hash")


@pytest.mark.parametrize(
    ("table", "field"),
    [(b"h", "header"), (b"b", "body"), (b"c", "certificate"), (b"r", "receipts")],
)
def test_one_changed_byte_of_a_block_of_a_joined_ledger_is_found(
    joined_chain: Path, check: Callable[..., LedgerReport], table: bytes, field: str
) -> None:
    stored = [int.from_bytes(key[1:]) for key in keys(joined_chain, table)]
    assert min(stored) == (JOINED_AT + 1 if table == b"r" else first_of(joined_chain))
    for height in stored:
        flip(joined_chain, at(table, height))
        damage = check(joined_chain).damage
        flip(joined_chain, at(table, height))
        assert damage is not None
        assert damage.height == height
        assert damage.field.startswith(field)


@pytest.mark.parametrize("table", [b"v", b"t", b"i", b"k", b"m", b"a", b"q"])
def test_one_changed_byte_elsewhere_in_a_joined_ledger_is_found(
    joined_chain: Path, check: Callable[..., LedgerReport], table: bytes
) -> None:
    # The last byte of the head is the oldest height that proves, which hangs on how many were kept at each time.
    flip(joined_chain, keys(joined_chain, table)[-1], -2 if table == b"m" else -1)
    assert check(joined_chain).damage is not None


def test_receipts_of_blocks_that_were_not_executed_here_are_no_evidence(
    joined_chain: Path, check: Callable[..., LedgerReport]
) -> None:
    database = plyvel.DB(str(joined_chain))
    database.put(at(b"r", JOINED_AT), encode([]))
    database.close()
    damage = check(joined_chain).damage
    assert damage is not None
    assert (damage.height, damage.field) == (JOINED_AT, "receipts")
