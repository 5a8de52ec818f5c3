"""A gateway whose node is away or stands still, or whose reads get no further: what the department's policy says happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from contracts.data_sharing.access import STOP
from sdk.access_recording.policy import RecordingPolicy
from sdk.errors import RequestRefused
from sdk.gateway.consumer import Case
from sdk.gateway.grant_book import MAX_LOGS_BLOCKS
from sm_crypto.sm3 import sm3
from tests.sdk.gateway.conftest import GRANT, GatewayOffice

CASE = Case("2026-1")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def stand_still(office: GatewayOffice) -> None:
    """Let the node's last block be ten minutes old."""
    plain = office.node.status

    def status() -> dict[str, Any]:
        found: dict[str, Any] = plain()
        return found | {"head_time_ms": office.node.chain.time_ms - 600_000}

    office.node.methods["gov_status"] = status
    wait_until(lambda: office.parts.book.sight.reason == "CHAIN_STANDS_STILL")


def away(*_: Any, **__: Any) -> Any:
    raise ValueError("a node that is being stopped")


def test_reads_go_on_under_known_grants_and_under_no_others(office: GatewayOffice) -> None:
    office.put_grant()
    other = office.put_grant(id=sm3(b"other"))
    # What a block has changed is forgotten when the gateway sees the block.
    wait_until(lambda: office.parts.book.sight.height == office.node.chain.height)
    with office.consumer() as consumer, office.consumer(other.id) as stranger:
        consumer.read("/owners/1", CASE)
        stand_still(office)
        office.node.methods["gov_call"] = away
        assert consumer.read("/owners/1", CASE).status == 200
        with pytest.raises(RequestRefused) as refused:
            stranger.read("/owners/1", CASE)
    assert refused.value.code == "CHAIN_UNREACHABLE"


def test_under_the_policy_stop_reads_end_when_the_node_is_not_seen_for_so_long(office: GatewayOffice) -> None:
    office.put_grant()
    with office.consumer() as consumer:
        consumer.read("/owners/1", CASE)
        stand_still(office)
        office.parts.recorder.policy = RecordingPolicy(on_outage=STOP, stop_after_s=60)
        consumer.read("/owners/1", CASE)
        book = office.parts.book
        book._sight = book.sight._replace(seen_s=book.sight.seen_s - 61)
        with pytest.raises(RequestRefused) as refused:
            consumer.read("/owners/1", CASE)
    assert refused.value.code == "CHAIN_UNREACHABLE"


def test_under_the_policy_stop_reads_end_when_the_ledger_gets_no_batches(office: GatewayOffice) -> None:
    office.put_grant()
    office.parts.recorder.policy = RecordingPolicy(on_outage=STOP, stop_after_s=60)
    with office.consumer() as consumer:
        consumer.read("/owners/1", CASE)
        office.node.chain.time_ms += 61_000
        with pytest.raises(RequestRefused) as refused:
            consumer.read("/owners/1", CASE)
    assert refused.value.code == "RECORDING_STOPPED"
    assert len(office.reads()) == 1


@pytest.mark.parametrize("answer", ["refused", None, [{}]])
def test_a_stop_acts_where_the_node_does_not_say_what_blocks_changed(office: GatewayOffice, answer: Any) -> None:
    office.put_grant()

    if answer == "refused":
        del office.node.methods["eth_getLogs"]
    else:
        office.node.methods["eth_getLogs"] = lambda wanted: answer
    with office.consumer() as consumer:
        consumer.read("/owners/1", CASE)
        office.stop_grant()
        wait_until(lambda: office.parts.book.sight.height == office.node.chain.height)
        with pytest.raises(RequestRefused) as refused:
            consumer.read("/owners/1", CASE)
    assert refused.value.code == "GRANT_NOT_IN_FORCE"


def test_a_grant_that_a_block_changes_while_it_is_asked_for_is_asked_for_again(office: GatewayOffice) -> None:
    book, asked = office.parts.book, list[bytes]()

    def ask(grant: bytes) -> str:
        asked.append(grant)
        if len(asked) == 1:
            # So far behind that every grant may be another.
            book._forget_changed(0, MAX_LOGS_BLOCKS)
            return "before the block"
        return "as of the block"

    assert book._load({}, GRANT, ask) == "as of the block"
