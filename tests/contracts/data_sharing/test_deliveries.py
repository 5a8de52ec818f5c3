"""Deliveries: gapless numbers under a grant in force, sealed to the present key, and answered for once by the consumer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.data_sharing.deliveries import Parcel, load_delivery
from contracts.data_sharing.encryption_keys import EncryptionKeyStatement
from contracts.refusals import Refused
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

KEYS = [PrivateKey.from_bytes(bytes(31) + bytes([n])) for n in (61, 62)]
PAYLOAD, SEALED = sm3(b"salted payload"), sm3(b"sealed file")


def parcel(**changes: Any) -> Parcel:
    fields: dict[str, Any] = {
        "payload": PAYLOAD,
        "sealed": SEALED,
        "size": 1_000,
        "sealed_size": 1_200,
        "rows": 30,
        "key_number": 1,
    }
    return Parcel(**fields | changes)


def set_consumer_key(bench: Any, key: PrivateKey) -> None:
    administrator = type(bench.issuer)(bench.tax_bureau, "administrator")
    if not bench.view("members", "department_of", account=administrator.address):
        arguments = bench.account_arguments(administrator, bench.tax_bureau, "管理员", ["administrator"])
        bench.accept(bench.governor, "members", "add_account", **arguments)
    statement = EncryptionKeyStatement(sm3(b"genesis"), bench.tax_bureau, key.public_key)
    signature = key.sign(statement.digest)
    bench.accept(administrator, "members", "set_encryption_key", public_key=key.public_key, signature=signature)


@pytest.fixture
def grant(bench: Any) -> bytes:
    """A grant in force to a consumer that has an encryption key."""
    bench.publish()
    set_consumer_key(bench, KEYS[0])
    granted: bytes = bench.grant()
    return granted


def deliver(bench: Any, grant: bytes, number: int, **changes: Any) -> Any:
    sender = bench.provider_recorder
    return bench.accept(sender, "deliveries", "deliver", grant=grant, number=number, parcel=parcel(**changes))


def answered(grant: bytes, number: int, answer: int, received: bytes, note: str = "") -> dict[str, Any]:
    return {"grant": grant, "number": number, "answer": answer, "received": received, "note": note}


def test_a_delivery_stands_with_both_sides_word(bench: Any, grant: bytes) -> None:
    deliver(bench, grant, 1)
    delivered_ms = bench.time_ms
    found = bench.view("deliveries", "delivery", grant=grant, number=1)
    assert (found.provider, found.consumer, found.parcel) == (bench.land_bureau, bench.tax_bureau, parcel())
    assert (found.delivered_ms, found.deliverer) == (delivered_ms, bench.provider_recorder.address)
    assert (found.answer, found.answered_ms) == (0, 0)
    bench.accept(bench.recorder, "deliveries", "answer", **answered(grant, 1, 1, PAYLOAD))
    found = bench.view("deliveries", "delivery", grant=grant, number=1)
    assert (found.answer, found.received, found.answerer) == (1, PAYLOAD, bench.recorder.address)
    assert found.answered_ms == bench.time_ms
    head = bench.view("deliveries", "deliveries", grant=grant)
    assert (head.count, head.first_ms, head.last_ms) == (1, delivered_ms, delivered_ms)
    assert (head.received, head.differing, head.not_taken, head.rows_received) == (1, 0, 0, 30)


def test_the_first_delivery_starts_the_supply(bench: Any, grant: bytes) -> None:
    deliver(bench, grant, 1)
    supplied_ms = bench.time_ms
    deliver(bench, grant, 2)
    assert bench.view("sharing", "data_request", request=grant).supplied_ms == supplied_ms


def test_numbers_are_gapless_and_what_is_recorded_stays(bench: Any, grant: bytes) -> None:
    def refuse(code: str, number: int, **changes: Any) -> None:
        arguments = {"grant": grant, "number": number, "parcel": parcel(**changes)}
        bench.refuse(code, bench.provider_recorder, "deliveries", "deliver", **arguments)

    for number in (0, 2, 2**64 - 1):
        refuse("DELIVERY_GAP", number)
    deliver(bench, grant, 1)
    before = bench.view("deliveries", "delivery", grant=grant, number=1)
    again = deliver(bench, grant, 1)
    assert again.logs == ()
    assert bench.view("deliveries", "delivery", grant=grant, number=1) == before
    for changes in ({"payload": sm3(b"other")}, {"sealed": sm3(b"other")}, {"rows": 31}, {"size": 1}):
        refuse("DELIVERY_REWRITTEN", 1, **changes)
    refuse("DELIVERY_GAP", 3)


def test_only_the_provider_delivers_and_only_under_a_grant_in_force(bench: Any, grant: bytes) -> None:
    arguments = {"grant": grant, "number": 1, "parcel": parcel()}
    bench.refuse("ROLE_MISSING", bench.approver, "deliveries", "deliver", **arguments)
    bench.refuse("OTHER_DEPARTMENT", bench.recorder, "deliveries", "deliver", **arguments)
    bench.refuse(
        "REQUEST_UNKNOWN", bench.provider_recorder, "deliveries", "deliver", **arguments | {"grant": sm3(b"none")}
    )
    bench.accept(bench.approver, "sharing", "stop", request=grant, reason="到期")
    bench.refuse("GRANT_NOT_IN_FORCE", bench.provider_recorder, "deliveries", "deliver", **arguments)


def test_what_was_delivered_in_time_is_answered_for_after_the_grant_ended(bench: Any, grant: bytes) -> None:
    deliver(bench, grant, 1)
    bench.accept(bench.approver, "sharing", "stop", request=grant, reason="到期")
    deliver(bench, grant, 1)
    bench.accept(bench.requester, "deliveries", "answer", **answered(grant, 1, 1, PAYLOAD))


def test_a_parcel_is_sealed_to_the_consumers_present_key(bench: Any, grant: bytes) -> None:
    set_consumer_key(bench, KEYS[1])
    arguments = {"grant": grant, "number": 1, "parcel": parcel()}
    bench.refuse("ENCRYPTION_KEY_NOT_PRESENT", bench.provider_recorder, "deliveries", "deliver", **arguments)
    deliver(bench, grant, 1, key_number=2)


def test_without_a_consumers_key_nothing_is_delivered(bench: Any) -> None:
    bench.publish()
    arguments = {"grant": bench.grant(), "number": 1, "parcel": parcel()}
    bench.refuse("ENCRYPTION_KEY_UNKNOWN", bench.provider_recorder, "deliveries", "deliver", **arguments)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"payload": bytes(32)}, "DIGEST_ZERO"),
        ({"sealed": bytes(32)}, "DIGEST_ZERO"),
        ({"size": 2**42 + 1}, "PARCEL_TOO_LARGE"),
        ({"sealed_size": 2**43 + 1}, "PARCEL_TOO_LARGE"),
        ({"rows": 10**12 + 1}, "PARCEL_TOO_LARGE"),
    ],
)
def test_a_parcel_has_digests_and_sizes_within_limits(
    bench: Any, grant: bytes, changes: dict[str, Any], code: str
) -> None:
    arguments = {"grant": grant, "number": 1, "parcel": parcel(**changes)}
    bench.refuse(code, bench.provider_recorder, "deliveries", "deliver", **arguments)


def test_an_answer_says_what_came(bench: Any, grant: bytes) -> None:
    deliver(bench, grant, 1)
    other = sm3(b"something else")
    for answer, received, note, code in (
        (1, other, "", "DELIVERY_DIFFERS"),
        (2, PAYLOAD, "行数不符", "DELIVERY_IS_THE_SAME"),
        (2, other, "", "TEXT_EMPTY"),
        (3, bytes(32), "", "TEXT_EMPTY"),
        (0, PAYLOAD, "", "VALUE_UNKNOWN"),
        (4, PAYLOAD, "", "VALUE_UNKNOWN"),
        (3, bytes(32), "长" * 201, "TEXT_TOO_LONG"),
    ):
        arguments = answered(grant, 1, answer, received, note)
        bench.refuse(code, bench.recorder, "deliveries", "answer", **arguments)
    for account, code in ((bench.provider_recorder, "OTHER_DEPARTMENT"), (bench.approver, "ROLE_MISSING")):
        bench.refuse(code, account, "deliveries", "answer", **answered(grant, 1, 1, PAYLOAD))
    bench.refuse("DELIVERY_UNKNOWN", bench.recorder, "deliveries", "answer", **answered(grant, 2, 1, PAYLOAD))


def test_an_answer_is_given_once(bench: Any, grant: bytes) -> None:
    deliver(bench, grant, 1)
    first = answered(grant, 1, 2, sm3(b"something else"), "缺少面积列")
    bench.accept(bench.recorder, "deliveries", "answer", **first)
    assert bench.accept(bench.recorder, "deliveries", "answer", **first).logs == ()
    bench.refuse("DELIVERY_ANSWERED", bench.recorder, "deliveries", "answer", **answered(grant, 1, 1, PAYLOAD))
    deliver(bench, grant, 2, payload=sm3(b"complete"))
    bench.accept(bench.recorder, "deliveries", "answer", **answered(grant, 2, 1, sm3(b"complete")))
    deliver(bench, grant, 3)
    bench.accept(bench.recorder, "deliveries", "answer", **answered(grant, 3, 3, bytes(32), "文件损坏"))
    head = bench.view("deliveries", "deliveries", grant=grant)
    assert (head.count, head.received, head.differing, head.not_taken, head.rows_received) == (3, 1, 1, 1, 30)


def test_a_grant_without_deliveries_has_none(bench: Any, grant: bytes) -> None:
    assert bench.view("deliveries", "deliveries", grant=grant).count == 0
    assert load_delivery(bench.state, grant, 1) is None
    with pytest.raises(Refused, match="DELIVERY_UNKNOWN"):
        bench.view("deliveries", "delivery", grant=grant, number=1)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(0, 3), st.integers(0, 1)), max_size=8))
def test_any_course_of_calls_leaves_sums_that_fit(make_bench: Any, steps: list[tuple[int, int, int, int]]) -> None:
    """A model in ten lines: what was recorded first stays, what was answered first stays, and the sums count both."""
    bench = make_bench()
    bench.publish()
    set_consumer_key(bench, KEYS[0])
    grant = bench.grant()
    kept: dict[int, list[int]] = {}
    payloads = [sm3(b"one"), sm3(b"two")]
    for number, content, answer, received in steps:
        arguments = {"grant": grant, "number": number, "parcel": parcel(payload=payloads[content])}
        done = bench.call(bench.provider_recorder, "deliveries", "deliver", **arguments).refusal is None
        assert done == (kept.get(number, [content])[0] == content and 0 < number <= len(kept) + 1)
        if done:
            kept.setdefault(number, [content])
        arguments = answered(grant, number, answer, payloads[received], "说明")
        done = bench.call(bench.recorder, "deliveries", "answer", **arguments).refusal is None
        fits = (
            number in kept and answer in (1, 2, 3) and (answer == 3 or (kept[number][0] == received) == (answer == 1))
        )
        assert done == (number in kept and (kept[number][1:] or [answer, received]) == [answer, received] and fits)
        if done:
            kept[number] = [kept[number][0], answer, received]
    head = bench.view("deliveries", "deliveries", grant=grant)
    counts = [sum(one[1:2] == [answer] for one in kept.values()) for answer in (1, 2, 3)]
    assert [head.count, head.received, head.differing, head.not_taken] == [len(kept), *counts]
