import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain.codec import CodecError, encode
from node.chain.transaction import (
    MAX_TRANSACTION_BYTES,
    Transaction,
    TransactionBody,
    VerifiedTransaction,
    address_of,
    transaction_hash,
    transaction_id,
)
from node.driver.signature_verifier import SignatureVerifier, Verdict, certified_transaction, verify_transactions
from node.driver.txpool import Rejection, RejectionCode
from node.stages import StageClock
from sm_crypto.sm2 import PrivateKey

KEY = PrivateKey.from_bytes(bytes(31) + b"\x05")


def _raw(number: int, **changes: Any) -> bytes:
    body = TransactionBody(1, 7, number.to_bytes(16, "big"), 5_000, KEY.public_key, bytes(20), 100_000, b"call")
    body = msgspec.structs.replace(body, **changes)
    return encode(Transaction(body, KEY.sign(transaction_id(body))))


def _forged(number: int) -> bytes:
    transaction = msgspec.msgpack.decode(_raw(number), type=Transaction)
    return encode(Transaction(msgspec.structs.replace(transaction.body, gas_limit=9), transaction.signature))


def _codes(verdicts: list[Verdict]) -> list[RejectionCode | None]:
    return [verdict.code if isinstance(verdict, Rejection) else None for verdict in verdicts]


def test_a_signed_transaction_comes_back_described() -> None:
    raw = _raw(1)
    (verdict,) = verify_transactions([raw])
    assert isinstance(verdict, VerifiedTransaction)
    assert verdict.raw == raw
    assert verdict.hash == transaction_hash(raw)
    assert verdict.id == transaction_id(verdict.body)
    assert verdict.sender == address_of(KEY.public_key)


def test_each_of_a_batch_has_its_own_verdict() -> None:
    raws = [_raw(1), _forged(2), b"junk", _raw(3), bytes(MAX_TRANSACTION_BYTES + 1), _raw(4)]
    known = {transaction_hash(raws[3])}
    verdicts = verify_transactions(raws, known.__contains__)
    assert _codes(verdicts) == [
        None,
        RejectionCode.BAD_SIGNATURE,
        RejectionCode.MALFORMED,
        RejectionCode.REPEATED,
        RejectionCode.MALFORMED,
        None,
    ]


def test_a_second_encoding_of_one_transaction_is_malformed() -> None:
    raw = _raw(1)
    # Array header of 16 bits in place of the short one: the same value, another encoding.
    assert raw[0] == 0x92
    assert _codes(verify_transactions([b"\xdc\x00\x02" + raw[1:]])) == [RejectionCode.MALFORMED]


def test_an_off_curve_sender_key_is_a_bad_signature() -> None:
    assert _codes(verify_transactions([_raw(1, sender_key=b"\x01" * 64)])) == [RejectionCode.BAD_SIGNATURE]


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_any_bytes_are_malformed_or_badly_signed(raw: bytes) -> None:
    (code,) = _codes(verify_transactions([raw]))
    assert code in (RejectionCode.MALFORMED, RejectionCode.BAD_SIGNATURE)


@settings(max_examples=200)
@given(st.data())
def test_no_changed_byte_of_a_signed_transaction_passes(data: st.DataObject) -> None:
    raw = bytearray(_raw(1))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert isinstance(verify_transactions([bytes(raw)])[0], Rejection)


def test_certified_bytes_are_described_without_the_signature_being_checked() -> None:
    raw = _forged(1)
    assert certified_transaction(raw).hash == transaction_hash(raw)
    with pytest.raises(CodecError):
        certified_transaction(b"junk")


@pytest.fixture
def loop() -> Iterator[tuple[SignatureVerifier, "queue.Queue[Callable[[], None]]"]]:
    calls: queue.Queue[Callable[[], None]] = queue.Queue()
    verifier = SignatureVerifier(calls.put, lambda _: False, StageClock())
    yield verifier, calls
    verifier.close()


def test_batches_come_back_in_order_on_the_loop(
    loop: tuple[SignatureVerifier, "queue.Queue[Callable[[], None]]"],
) -> None:
    verifier, calls = loop
    seen: list[tuple[int, list[RejectionCode | None], int]] = []
    for number in range(12):
        raws = [_raw(number), b"junk"]
        verifier.submit(
            raws,
            lambda verdicts, n=number: seen.append((n, _codes(verdicts), threading.get_ident())),  # type: ignore[misc]
        )
    for _ in range(12):
        calls.get(timeout=30)()
    assert [number for number, _, _ in seen] == list(range(12))
    assert all(codes == [None, RejectionCode.MALFORMED] for _, codes, _ in seen)
    assert {thread for _, _, thread in seen} == {threading.get_ident()}


def test_a_flood_is_told_that_the_node_is_busy(
    loop: tuple[SignatureVerifier, "queue.Queue[Callable[[], None]]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.driver.signature_verifier.MAX_WAITING_TRANSACTIONS", 3)
    verifier, calls = loop
    seen: list[Verdict] = []
    verifier.submit([b"a", b"b", b"c", b"d"], seen.extend)
    calls.get(timeout=30)()
    assert _codes(seen) == [RejectionCode.BUSY] * 4


def test_a_closed_verifier_answers_at_once() -> None:
    calls: queue.Queue[Callable[[], None]] = queue.Queue()
    verifier = SignatureVerifier(calls.put, lambda _: False, StageClock())
    verifier.close()
    seen: list[Verdict] = []
    verifier.submit([b"a"], seen.extend)
    calls.get(timeout=30)()
    assert _codes(seen) == [RejectionCode.BUSY]
