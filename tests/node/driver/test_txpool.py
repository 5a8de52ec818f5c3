import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.parameters import ChainParameters
from node.chain.transaction import TransactionBody, VerifiedTransaction
from node.driver.txpool import PoolLimits, RejectionCode, TxPool

NOW_MS = 1_000_000
_numbers = itertools.count()


def _transaction(sender: int = 1, *, size: int = 100, **changes: Any) -> VerifiedTransaction:
    number = next(_numbers)
    fields: dict[str, Any] = {
        "version": 1,
        "chain_id": 7,
        "nonce": number.to_bytes(16, "big"),
        "valid_until_ms": NOW_MS + 60_000,
        "sender_key": bytes([sender]) * 64,
        "to": None,
        "gas_limit": 1_000,
        "data": b"",
    }
    body = TransactionBody(**{**fields, **changes})
    return VerifiedTransaction(bytes(size), b"h%031d" % number, b"i%031d" % number, bytes([sender]) * 20, body)


def _pool(*, max_transactions: int = 100, max_bytes: int = 100_000, repeated: frozenset[bytes] = frozenset()) -> TxPool:
    limits = PoolLimits(7, 600_000, 30_000, max_transactions, max_bytes)
    return TxPool(limits, lambda address: address[0] < 100, repeated.__contains__)


def _code(pool: TxPool, transaction: VerifiedTransaction) -> RejectionCode | None:
    rejection = pool.add(transaction, NOW_MS)
    return None if rejection is None else rejection.code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"chain_id": 8}, RejectionCode.WRONG_CHAIN),
        ({"valid_until_ms": NOW_MS + 600_001}, RejectionCode.TOO_FAR_AHEAD),
        ({"gas_limit": 30_001}, RejectionCode.GAS_LIMIT_TOO_HIGH),
        ({"sender": 100}, RejectionCode.UNKNOWN_SENDER),
        ({"valid_until_ms": NOW_MS - 1}, RejectionCode.EXPIRED),
        ({"valid_until_ms": NOW_MS + 600_000}, None),
        ({"valid_until_ms": NOW_MS}, None),
    ],
)
def test_each_refusal_has_its_name(changes: dict[str, Any], code: RejectionCode | None) -> None:
    pool = _pool()
    pool.on_final([], NOW_MS)
    transaction = _transaction(**changes)
    assert _code(pool, transaction) == code
    assert len(pool) == (code is None)


def test_a_refusal_speaks_chinese_and_english() -> None:
    rejection = _pool().add(_transaction(chain_id=8), NOW_MS)
    assert rejection is not None
    assert "链标识" in rejection.message
    assert "expected chain id 7, found 8" in rejection.message


def test_a_transaction_waits_once() -> None:
    pool = _pool()
    transaction = _transaction()
    assert _code(pool, transaction) is None
    assert _code(pool, transaction) is RejectionCode.REPEATED


def test_another_signature_over_the_same_body_is_a_repetition() -> None:
    pool = _pool()
    transaction = _transaction()
    again = VerifiedTransaction(b"other", b"o" * 32, transaction.id, transaction.sender, transaction.body)
    assert _code(pool, transaction) is None
    assert _code(pool, again) is RejectionCode.REPEATED
    # The one that became final need not be the one that waits here.
    pool.on_final([again], NOW_MS)
    assert len(pool) == 0


def test_an_executed_transaction_is_a_repetition() -> None:
    transaction = _transaction()
    pool = _pool(repeated=frozenset({transaction.id}))
    assert _code(pool, transaction) is RejectionCode.REPEATED


def test_one_sender_leaves_room_for_others() -> None:
    pool = _pool(max_transactions=100)
    while (code := _code(pool, _transaction(1))) is None:
        pass
    assert code is RejectionCode.SENDER_SHARE_FULL
    assert 45 <= len(pool) <= 55
    held = len(pool)
    while (code := _code(pool, _transaction(2))) is None:
        pass
    assert code is RejectionCode.SENDER_SHARE_FULL
    assert len(pool) - held >= 20
    assert _code(pool, _transaction(3)) is None


def test_a_pool_full_of_many_senders_says_so() -> None:
    pool = _pool(max_transactions=10)
    codes = [_code(pool, _transaction(sender)) for sender in range(1, 30)]
    assert len(pool) == 10
    assert codes.count(RejectionCode.POOL_FULL) == 19


def test_bytes_are_bounded_as_well() -> None:
    pool = _pool(max_bytes=1_000)
    assert _code(pool, _transaction(1, size=1_001)) is RejectionCode.POOL_FULL
    assert _code(pool, _transaction(1, size=600)) is None
    assert _code(pool, _transaction(1, size=100)) is RejectionCode.SENDER_SHARE_FULL
    assert _code(pool, _transaction(2, size=300)) is None
    assert pool.size_bytes == 900


def test_every_sender_gets_its_turn_in_a_block() -> None:
    pool = _pool()
    busy = [_transaction(1) for _ in range(20)]
    quiet = [_transaction(2), _transaction(3)]
    for transaction in [*busy, *quiet]:
        assert _code(pool, transaction) is None
    taken = pool.take(max_count=6, max_bytes=10_000)
    assert quiet[0] in taken
    assert quiet[1] in taken
    assert [transaction for transaction in taken if transaction.sender == busy[0].sender] == busy[:4]


def test_one_sender_goes_in_its_order() -> None:
    pool = _pool()
    mine = [_transaction(1) for _ in range(8)]
    for transaction in mine:
        pool.add(transaction, NOW_MS)
    assert pool.take(5, 10_000) == mine[:5]
    assert pool.take(50, 350) == mine[:3]
    assert len(pool) == 8


def test_what_expired_leaves_the_pool() -> None:
    pool = _pool()
    soon, late = _transaction(valid_until_ms=NOW_MS + 5_000), _transaction(valid_until_ms=NOW_MS + 300_000)
    pool.add(soon, NOW_MS)
    pool.add(late, NOW_MS)
    pool.on_final([], NOW_MS + 100_000)
    assert soon.hash not in pool
    assert pool.get(late.hash) is late


def test_what_has_expired_by_the_clock_is_not_taken_however_old_the_last_block_is() -> None:
    parameters = ChainParameters(transaction_window_ms=600_000, clock_precision_ms=500)
    pool = TxPool(PoolLimits.of_chain(7, parameters), lambda _: True, lambda _: False)
    pool.on_final([], NOW_MS - 30_000)
    assert _code(pool, _transaction(valid_until_ms=NOW_MS - 501, gas_limit=30_000)) == RejectionCode.EXPIRED
    # The proposer's clock may be so much behind.
    assert _code(pool, _transaction(valid_until_ms=NOW_MS - 500, gas_limit=30_000)) is None


def test_the_pool_goes_by_the_clock_precision_that_the_chain_has_now() -> None:
    pool = _pool()
    pool.follow(ChainParameters(clock_precision_ms=2_000))
    assert _code(pool, _transaction(valid_until_ms=NOW_MS - 2_000)) is None
    assert _code(pool, _transaction(valid_until_ms=NOW_MS - 2_001)) == RejectionCode.EXPIRED


def test_what_no_block_can_hold_never_waits() -> None:
    parameters = ChainParameters(max_block_gas=1_000_000, max_transaction_gas=2_000_000)
    assert PoolLimits.of_chain(7, parameters).max_transaction_gas == 1_000_000


@given(st.lists(st.tuples(st.sampled_from("arf"), st.integers(1, 4), st.integers(1, 400)), max_size=60))
def test_counts_and_bytes_always_add_up(steps: list[tuple[str, int, int]]) -> None:
    pool = _pool(max_transactions=20, max_bytes=4_000)
    held: dict[bytes, VerifiedTransaction] = {}
    for action, sender, size in steps:
        if action == "a":
            transaction = _transaction(sender, size=size)
            if pool.add(transaction, NOW_MS) is None:
                held[transaction.hash] = transaction
        elif held:
            chosen = list(held.values())[: size % 5]
            if action == "r":
                pool.remove([transaction.hash for transaction in chosen])
            else:
                pool.on_final(chosen, NOW_MS)
            for transaction in chosen:
                del held[transaction.hash]
        assert len(pool) == len(held) <= 20
        assert pool.size_bytes == sum(len(transaction.raw) for transaction in held.values()) <= 4_000
        assert {transaction.hash for transaction in pool.take(99, 99_999)} == set(held)
        assert pool.oldest(99, 2**30) == list(held.values())


def test_the_oldest_are_named_within_count_and_bytes() -> None:
    """What is repeated to a peer must fit a frame, whatever waits: a frame that is too long costs the connection."""
    pool = _pool()
    waiting = [_transaction(size=size) for size in (100, 200, 300)]
    for transaction in waiting:
        assert pool.add(transaction, NOW_MS) is None
    assert pool.oldest(9, 600) == waiting
    assert pool.oldest(9, 599) == waiting[:2]
    assert pool.oldest(1, 600) == waiting[:1]
    assert pool.oldest(9, 99) == []


def test_new_parameters_hold_for_waiting_and_for_new_transactions() -> None:
    pool = _pool()
    modest, greedy = _transaction(gas_limit=10_000), _transaction(gas_limit=30_000)
    assert [_code(pool, one) for one in (modest, greedy)] == [None, None]
    pool.follow(ChainParameters(max_block_gas=1_000_000, max_transaction_gas=100_000, transaction_window_ms=90_000))
    assert len(pool) == 2
    assert _code(pool, _transaction(gas_limit=100_000)) is None
    assert _code(pool, _transaction(valid_until_ms=NOW_MS + 90_001)) is RejectionCode.TOO_FAR_AHEAD
    big = _transaction(gas_limit=100_000)
    pool.follow(ChainParameters(max_block_gas=10_000_000, max_transaction_gas=200_000))
    wide = _transaction(gas_limit=200_000)
    assert [_code(pool, one) for one in (big, wide)] == [None, None]
    pool.follow(ChainParameters(max_block_gas=1_000_000, max_transaction_gas=100_000))
    assert wide.hash not in pool
    assert big.hash in pool
    assert _code(pool, _transaction(gas_limit=100_001)) is RejectionCode.GAS_LIMIT_TOO_HIGH


def test_a_sender_whose_turn_came_goes_behind_the_others() -> None:
    pool = _pool()
    mine = [_transaction(1) for _ in range(3)]
    theirs = [_transaction(2) for _ in range(2)]
    for transaction in mine + theirs:
        pool.add(transaction, NOW_MS)
    assert pool.take(1, 10_000) == mine[:1]
    pool.on_final(mine[:1], NOW_MS)
    assert pool.take(1, 10_000) == theirs[:1]
    pool.on_final(theirs[:1], NOW_MS)
    assert pool.take(10, 10_000) == [mine[1], theirs[1], mine[2]]
