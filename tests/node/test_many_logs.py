"""A transaction that logs thousands of times is shown whole, and not by the event loop, which has blocks to make."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from explorer import api_chain
from node.chain.transaction import decode_transaction, transaction_id
from node.http import eth_methods
from node.http.method_reads import MAX_LOGS_HERE
from node.http.presentation import FinalTransactions

if TYPE_CHECKING:
    from tests.node.conftest import EthChain

LOG_COUNT = MAX_LOGS_HERE + 1


def init_code(runtime: bytes) -> bytes:
    """Init code that leaves `runtime`: PUSH2 length, DUP1, PUSH1 10, PUSH0, CODECOPY, PUSH0, RETURN."""
    return b"\x61" + len(runtime).to_bytes(2) + b"\x80\x60\x0a\x5f\x39\x5f\xf3" + runtime


def test_many_logs_are_shown_by_the_reading_process(eth_chain: EthChain, monkeypatch: pytest.MonkeyPatch) -> None:
    address = eth_chain.deploy(init_code(bytes.fromhex("5f5fa0") * LOG_COUNT))
    raw = eth_chain.sign(address, b"")
    eth_chain.make_block(raw)
    identifier = "0x" + transaction_id(decode_transaction(raw).body).hex()

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("shown on the event loop")

    monkeypatch.setattr(eth_methods, "show_receipt", refuse)
    monkeypatch.setattr(FinalTransactions, "show_receipt", refuse)
    receipt = eth_chain.result("eth_getTransactionReceipt", identifier)
    assert (receipt["transactionHash"], receipt["status"], len(receipt["logs"])) == (identifier, "0x1", LOG_COUNT)
    shown = [
        eth_chain.result(method, identifier) for method in ("gov_getReceipt", "gov_waitReceipt", "gov_getTransaction")
    ]
    assert [(one["id"], one["refusal"], len(one["events"])) for one in shown] == [(identifier, None, LOG_COUNT)] * 3
    assert shown[2]["to"] == "0x" + address.hex()


def test_a_page_of_transactions_has_a_bounded_number_of_events(
    eth_chain: EthChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others' events may not fill the memory of a node that anybody asks for a hundred transactions."""
    address = eth_chain.deploy(init_code(bytes.fromhex("5f5fa0") * 4))
    for _ in range(3):
        eth_chain.make_block(eth_chain.sign(address, b""))
    monkeypatch.setattr(api_chain, "MAX_LISTED_EVENTS", 9)
    head = eth_chain.ledger.height
    places = [(head, 0), (head - 1, 0), (head - 2, 0), (head - 3, 0)]
    services: Any = SimpleNamespace(view=eth_chain)
    shown = api_chain.show_places(services, places)
    assert [one["events"] and len(one["events"]) for one in shown] == [4, 4, None, 1]
    assert not any(one["is_restricted"] for one in shown)
