"""The consumer's side before a gateway that means no good: whatever it answers, this side has a record of the read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from contracts.data_sharing.access import IRREGULAR, SERVED
from sdk.errors import NodeUnreachable
from sdk.gateway.consumer import Case, GatewayConsumer
from sdk.gateway.gateway import AccessGateway
from sdk.gateway.receipts import Receipt, receipt_digest, receipts_root, state_read, stated_digest
from tests.sdk.gateway.conftest import GRANT, GatewayOffice
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
