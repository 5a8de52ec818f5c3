"""The consumer's side before a gateway that means no good: whatever it answers, this side has a record of the read."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from contracts.data_sharing.access import DENIED, IRREGULAR, SERVED
from sdk.access_recording.anchorer import Anchorer
from sdk.access_recording.policy import RecordingPolicy
from sdk.access_recording.recorder import Recorder
from sdk.access_recording.stored_reads import StoredReads
from sdk.errors import NodeUnreachable
from sdk.gateway.consumer import Case, GatewayConsumer
from sdk.gateway.denials import problem_body
from sdk.gateway.gateway import AccessGateway
from sdk.gateway.receipts import Receipt, receipt_digest, receipts_root, state_read, stated_digest
from sdk.gateway.tokens import TokenDesk
from sm_crypto.keystore import Signer, save_key
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.sdk.gateway.conftest import GRANT, GatewayOffice
from tests.sdk.gateway.grant_records import CONSUMER
from verification.access.reconciliation import Reconciliation, reconcile
from verification.access.trace_filter import TraceFilter
from verification.access.trace_verdict import BatchFact
from verification.errors import GovnodeError, InputError

CASE = Case("2026-抵-1", "抵押")
Change = Callable[[dict[str, Any]], dict[str, Any]]


def changed(gateway: AccessGateway, change: Change) -> Any:
    """The gateway, whose messages to readers are changed on their way."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def send_changed(message: dict[str, Any]) -> None:
            await send(message if scope["path"].startswith("/gov/") else change(message))

        await gateway(scope, receive, send_changed)

    return app


def read_once(office: GatewayOffice, url: str) -> GovnodeError:
    """Read by way of a gateway that does not do as it should, and return what the reader is told."""
    with (
        GatewayConsumer(url, office.client, office.signer, GRANT, "抵押系统", office.own) as consumer,
        pytest.raises(GovnodeError) as error,
    ):
        consumer.read("/owners/1", CASE)
    return error.value


def test_a_read_whose_receipt_is_under_no_number_is_recorded(
    office: GatewayOffice, serve: Callable[[Any], str]
) -> None:
    office.put_grant()
    numbers = [b"\xb2", "²".encode(), "٣".encode(), b"1" * 30, b"x", b""]
    said = iter(numbers)

    def change(message: dict[str, Any]) -> dict[str, Any]:
        if message["type"] != "http.response.start":
            return message
        kept = [pair for pair in message["headers"] if not pair[0].startswith((b"gov-receipt", b"gov-read"))]
        return {**message, "headers": [*kept, (b"gov-read-number", next(said))]}

    url = serve(changed(office.gateway, change))
    assert {read_once(office, url).code for _ in numbers} == {"RECEIPT_INVALID"}
    irregular = (IRREGULAR, "RECEIPT_INVALID")
    assert [(read.outcome, read.details.refusal) for read in office.own_reads()] == [irregular] * len(numbers)


def test_a_receipt_that_is_not_for_what_came_is_not_accepted(office: GatewayOffice) -> None:
    office.put_grant()
    # Another key than the recorder's signs.
    office.parts.receipts._signer = Signer(PrivateKey.generate())
    with office.consumer() as consumer, pytest.raises(InputError) as error:
        consumer.read("/owners/1", CASE)
    assert error.value.code == "RECEIPT_INVALID"
    assert [read.details.refusal for read in office.own_reads()] == ["RECEIPT_INVALID"]


def test_a_refusal_that_no_record_can_have_is_recorded_as_an_answer_without_a_receipt(
    office: GatewayOffice, serve: Callable[[Any], str]
) -> None:
    office.put_grant()
    codes = ["5", '""', r'"A\nB"', '"refused"', f'"{"A" * 65}"', "null", "[]"]
    bodies = [f'{{"type":"x","code":{code},"zh":"无","en":"none"}}'.encode() for code in codes]
    said = iter(bodies)

    def change(message: dict[str, Any]) -> dict[str, Any]:
        if message["type"] == "http.response.start":
            return {**message, "status": 403, "headers": []}
        return {**message, "body": next(said)}

    url = serve(changed(office.gateway, change))
    assert {read_once(office, url).code for _ in bodies} == {"RECEIPT_INVALID"}
    irregular = (IRREGULAR, "RECEIPT_INVALID")
    assert [(read.outcome, read.details.refusal) for read in office.own_reads()] == [irregular] * len(bodies)


def test_a_signed_receipt_that_no_record_can_take_over_is_recorded_all_the_same(
    office: GatewayOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.put_grant()
    signer = office.parts.receipts._signer

    def sign_for_more(reads: Any, digests: Any) -> list[Receipt]:
        stated = state_read(reads[0])
        stated = msgspec.structs.replace(
            stated, details=msgspec.structs.replace(stated.details, columns=("姓\x1b[2J",))
        )
        signature = signer.sign(receipt_digest(receipts_root([stated_digest(stated)])))
        return [Receipt(stated, 0, 1, (), signature)]

    monkeypatch.setattr(office.parts.receipts, "_sign", sign_for_more)
    assert isinstance(read_once(office, office.url), InputError)
    assert [read.outcome for read in office.own_reads()] == [IRREGULAR]


def test_a_read_that_came_while_the_own_node_is_away_is_recorded(
    office: GatewayOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.put_grant()

    def away(*call: object, **arguments: object) -> None:
        raise NodeUnreachable("NODE_UNREACHABLE", "无应答", "no answer")

    with office.consumer() as consumer:
        monkeypatch.setattr(office.client, "rpc", away)
        with pytest.raises(NodeUnreachable):
            consumer.read("/owners/1", CASE)
    assert [read.outcome for read in office.reads()] == [SERVED]
    assert [(read.outcome, read.details.refusal) for read in office.own_reads()] == [(IRREGULAR, "NODE_UNREACHABLE")]


def test_what_a_service_says_in_the_form_of_a_refusal_is_an_answer_on_both_sides(office: GatewayOffice) -> None:
    office.put_grant()
    office.service.status, office.service.body = 404, problem_body("NOT_FOUND", 404, "没有这套房屋", "no such house")
    office.service.headers = [(b"content-type", b"application/problem+json")]
    with office.consumer() as consumer:
        answer = consumer.read("/owners/1", CASE)
    assert (answer.status, answer.body) == (404, office.service.body)
    assert [read.outcome for read in (*office.reads(), *office.own_reads())] == [SERVED, SERVED]
    assert compare(office) == Reconciliation(agreed=1, not_comparable=0, differences=())


def test_what_is_no_token_is_not_sent_back(office: GatewayOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        for said in (
            b"",
            b"[]",
            b'{"token":"a b","life_ms":1}',
            b'{"token":"a\\r\\nx: y","life_ms":1}',
            b'{"token":"' + b"a" * 3_000 + b'","life_ms":1}',
            b'{"token":"a","life_ms":1e400}',
            b'{"token":"a","life_ms":-1}',
            b'{"token":"\xff","life_ms":1}',
        ):
            monkeypatch.setattr(consumer._gateway, "ask", lambda *_, said=said, **__: said)
            with pytest.raises(NodeUnreachable) as error:
                consumer.read("/owners/1", CASE)
            assert error.value.code == "NOT_A_GATEWAY", said[:40]


NO_READS: list[tuple[dict[str, Any], str]] = [
    ({"case": Case(" 2026-1")}, "CASE_INVALID"),
    ({"case": Case("2026-1\u3000")}, "CASE_INVALID"),
    ({"case": Case("1", "抵押\n")}, "CASE_INVALID"),
    ({"case": Case("1" * 65)}, "CASE_INVALID"),
    ({"case": Case("\ud800")}, "CASE_INVALID"),
    ({"method": "get"}, "METHOD_INVALID"),
    ({"method": "HEAD"}, "METHOD_INVALID"),
    ({"target": "//elsewhere/owners/1"}, "TARGET_INVALID"),
    ({"target": "http://elsewhere/owners/1"}, "TARGET_INVALID"),
    ({"target": "owners/1"}, "TARGET_INVALID"),
    ({"target": "/owners/1#2"}, "TARGET_INVALID"),
    ({"target": "/owners/\x7f"}, "TARGET_INVALID"),
]


def test_what_both_sides_would_not_record_alike_is_not_asked(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        for changes, code in NO_READS:
            asked: dict[str, Any] = {"target": "/owners/1", "case": CASE} | changes
            with pytest.raises(InputError) as error:
                consumer.read(**asked)
            assert error.value.code == code, changes
    assert (office.reads(), office.own_reads()) == ([], [])


def compare(office: GatewayOffice) -> Reconciliation:
    """Both sides' records as an auditor compares them, of a time that the streams of both cover."""
    reads = [*office.reads(), *office.own_reads()]
    first_ms, last_ms = min(read.read_ms for read in reads) - 1, max(read.read_ms for read in reads) + 1
    streams = {(read.department, read.recorder) for read in reads}
    facts = [BatchFact(*stream, 1, 1, len(reads), first_ms, last_ms, last_ms, last_ms, True) for stream in streams]
    return reconcile(reads, facts, TraceFilter(first_ms, last_ms), 0)


def test_a_token_that_is_gone_leaves_two_honest_sides_of_one_mind(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        consumer.read("/owners/1", CASE)
        office.parts.tokens = TokenDesk(sm3(b"the gateway has started again"))
        assert consumer.read("/owners/1", CASE).status == 200
    assert [read.outcome for read in office.reads()] == [SERVED, SERVED]
    said = [(read.outcome, read.details.refusal) for read in office.own_reads()]
    assert said == [(SERVED, ""), (DENIED, "TOKEN_INVALID"), (SERVED, "")]
    assert compare(office) == Reconciliation(agreed=2, not_comparable=0, differences=())


def test_a_read_that_a_gateway_has_as_answered_and_says_it_has_not_meets_this_sides_record(
    office: GatewayOffice, serve: Callable[[Any], str]
) -> None:
    office.put_grant()
    refused = problem_body("TOKEN_EXPIRED", 401, "令牌已到期", "the token has expired")
    lies, is_lie = iter([True]), False

    def change(message: dict[str, Any]) -> dict[str, Any]:
        nonlocal is_lie
        if message["type"] == "http.response.start":
            is_lie = next(lies, False)
            return {**message, "status": 401, "headers": []} if is_lie else message
        return {**message, "body": refused} if is_lie else message

    url = serve(changed(office.gateway, change))
    with GatewayConsumer(url, office.client, office.signer, GRANT, "抵押系统", office.own) as consumer:
        consumer.read("/owners/1", CASE)
    assert [read.outcome for read in office.reads()] == [SERVED, SERVED]
    compared = compare(office)
    assert compared.agreed == 1
    [difference] = compared.differences
    assert (difference.code, difference.missing) == ("SIDES_DISAGREE", "")
    assert "outcome" in difference.fields


def test_a_read_by_command_with_a_store_that_is_not_the_streams_asks_nothing(
    office: GatewayOffice, run: Callable[..., tuple[int, Any, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The command's store has this machine's time, which the ledger's has to allow.
    office.node.chain.time_ms = time.time_ns() // 1_000_000 + 5_000
    office.put_grant()
    with office.consumer() as consumer:
        consumer.read("/owners/1", CASE)
    Anchorer(office.own, office.client).anchor_all()
    office.own.close()
    key, password, out = (office.folder / name for name in ("consumer.key", "password", "answer.json"))
    save_key(key, office.node.chain.consumer, b"correct horse", iterations=1_000)
    password.touch(mode=0o600)
    password.write_text("correct horse\n")
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(password))
    words: list[object] = ["gateway", "read", office.url, "--target", "/owners/1", "--grant", GRANT.hex()]
    words += [
        "--system",
        "抵押系统",
        "--case",
        CASE.number,
        "--case-type",
        CASE.type,
        "--out",
        out,
        "--key",
        key,
        "--url",
        office.node.url,
    ]
    another = office.folder / "another.sqlite"
    told = []
    for _ in range(2):
        status, _, said = run(*words, "--store", another)
        assert (status, out.exists()) == (1, False)
        assert f"not in the store {another}: most often another store is given than before" in said
        told.append(another.exists())
        with Recorder(another, CONSUMER, office.client.address, RecordingPolicy()):
            """From now on there is a store, with nothing in it."""
    assert told == [False, True]
    # The gateway was not asked, and what may become evidence has no read in it.
    assert (len(office.reads()), len(office.service.asked)) == (1, 1)
    with contextlib.closing(StoredReads(another)) as store:
        assert list(store.find_reads()) == []
    status, _, said = run(*words, "--store", office.folder / "own.sqlite")
    assert (status, said, out.exists(), len(office.reads())) == (0, "", True, 2)
