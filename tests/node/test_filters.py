"""Filters that clients poll: told once and in order, bounded in number, and gone when nobody polls them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from contracts.records import ADDRESSES
from node.http import event_methods, filters
from node.http.filters import FILTER_TIMEOUT_S, Filters, FiltersFull
from node.http.method_reads import Reads
from node.http.rpc_fault import LIMIT_EXCEEDED, RpcFault
from sm_crypto.sm3 import sm3

if TYPE_CHECKING:
    from tests.node.conftest import EthChain, Register

ANCHORS = "0x" + ADDRESSES["anchors"].hex()


def anchor(chain: EthChain, label: str) -> str:
    """Make a block with one log; return its height as a quantity."""
    chain.make_block(chain.sign_call("anchors", "anchor", digest=sm3(label.encode()), label=label))
    return hex(chain.ledger.height)


def test_a_filter_for_logs_tells_what_is_new_once(eth_chain: EthChain, register: Register) -> None:
    every = eth_chain.result("eth_newFilter", {})
    anchors = eth_chain.result("eth_newFilter", {"address": ANCHORS, "fromBlock": "0x1"})
    assert every != anchors
    assert eth_chain.result("eth_getFilterChanges", anchors) == []
    heights = [anchor(eth_chain, "first"), anchor(eth_chain, "second")]
    for polled in (every, anchors):
        logs = eth_chain.result("eth_getFilterChanges", polled)
        assert [log["blockNumber"] for log in logs] == heights
        assert eth_chain.result("eth_getFilterChanges", polled) == []
    # All of the range that it was made for, however often it was polled.
    told = eth_chain.result("eth_getFilterLogs", anchors)
    assert told == eth_chain.result("eth_getLogs", {"address": ANCHORS, "fromBlock": "0x1"})
    assert len(told) > len(heights)
    assert eth_chain.result("eth_uninstallFilter", anchors) is True
    assert eth_chain.result("eth_uninstallFilter", anchors) is False
    error = eth_chain.error(-32000, "eth_getFilterChanges", anchors)
    assert "filter not found" in error["message"]
    assert "eth_getLogs" in error["message"]


def test_a_filter_keeps_to_its_range(eth_chain: EthChain, register: Register) -> None:
    head = eth_chain.ledger.height
    later = eth_chain.result("eth_newFilter", {"fromBlock": hex(head + 2)})
    until = eth_chain.result("eth_newFilter", {"toBlock": hex(head + 1)})
    heights = [anchor(eth_chain, label) for label in ("x", "y", "z")]
    assert [log["blockNumber"] for log in eth_chain.result("eth_getFilterChanges", later)] == heights[1:]
    assert [log["blockNumber"] for log in eth_chain.result("eth_getFilterChanges", until)] == heights[:1]
    assert eth_chain.result("eth_getFilterChanges", until) == []


def test_a_filter_for_blocks_tells_their_hashes_in_pieces(
    eth_chain: EthChain, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_methods, "MAX_POLLED_BLOCKS", 2)
    blocks = eth_chain.result("eth_newBlockFilter")
    assert eth_chain.result("eth_getFilterChanges", blocks) == []
    expected = [eth_chain.result("eth_getBlockByNumber", anchor(eth_chain, label))["hash"] for label in "def"]
    assert eth_chain.result("eth_getFilterChanges", blocks) == expected[:2]
    assert eth_chain.result("eth_getFilterChanges", blocks) == expected[2:]
    assert eth_chain.result("eth_getFilterChanges", blocks) == []
    error = eth_chain.error(-32602, "eth_getFilterLogs", blocks)
    assert "a filter for logs" in error["message"]


def test_logs_that_are_too_many_for_one_answer_are_told_in_pieces(
    eth_chain: EthChain, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchors = eth_chain.result("eth_newFilter", {"address": ANCHORS})
    heights = [anchor(eth_chain, label) for label in "ghi"]

    read = Reads.read

    async def read_two_blocks(reads: Any, asked: Any) -> Any:
        if asked.query.last - asked.query.first >= 2:
            until = {"fromBlock": hex(asked.query.first), "toBlock": hex(asked.query.first + 1)}
            raise RpcFault(LIMIT_EXCEEDED, "过大", "too much", until)
        return await read(reads, asked)

    monkeypatch.setattr(Reads, "read", read_two_blocks)
    for expected in (heights[:2], heights[2:], []):
        logs = eth_chain.result("eth_getFilterChanges", anchors)
        assert [log["blockNumber"] for log in logs] == expected


def test_a_poll_that_fails_loses_nothing(
    eth_chain: EthChain, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchors = eth_chain.result("eth_newFilter", {"address": ANCHORS})
    height = anchor(eth_chain, "kept")

    async def fail(reads: Any, asked: Any) -> Any:
        raise RpcFault(LIMIT_EXCEEDED, "忙", "busy", {"code": "BUSY"})

    with monkeypatch.context() as patch:
        patch.setattr(Reads, "read", fail)
        eth_chain.error(LIMIT_EXCEEDED, "eth_getFilterChanges", anchors)
    assert [log["blockNumber"] for log in eth_chain.result("eth_getFilterChanges", anchors)] == [height]


def test_two_polls_at_once_tell_no_log_twice(eth_chain: EthChain, register: Register) -> None:
    anchors = eth_chain.result("eth_newFilter", {"address": ANCHORS})
    height = anchor(eth_chain, "once")
    poll = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_getFilterChanges", "params": [anchors]})

    async def poll_twice() -> list[bytes | None]:
        return list(await asyncio.gather(eth_chain.rpc.answer(poll), eth_chain.rpc.answer(poll)))

    told = [orjson.loads(answer or b"")["result"] for answer in asyncio.run(poll_twice())]
    assert [log["blockNumber"] for logs in told for log in logs] == [height]


def test_audits_are_told_by_no_filter(eth_chain: EthChain, register: Register) -> None:
    audits = "0x" + ADDRESSES["audits"].hex()
    assert (
        eth_chain.result(
            "eth_getFilterLogs", eth_chain.result("eth_newFilter", {"address": audits, "fromBlock": "0x1"})
        )
        == []
    )


def test_waiting_transactions_are_not_published(eth_chain: EthChain) -> None:
    error = eth_chain.error(-32004, "eth_newPendingTransactionFilter")
    assert "gov_waitReceipt" in error["message"]


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("eth_newFilter", [[]], "an object"),
        ("eth_newFilter", [{"blockHash": "0x" + "11" * 32}], "eth_getLogs reads one"),
        ("eth_newFilter", [{"fromBlock": "soon"}], "a 0x quantity"),
        ("eth_getFilterChanges", [7], "the id of a filter"),
        ("eth_uninstallFilter", [None], "the id of a filter"),
    ],
)
def test_what_is_no_filter_is_told(eth_chain: EthChain, method: str, params: list[Any], said: str) -> None:
    assert said in eth_chain.error(-32602, method, *params)["message"]


def test_filters_are_bounded_and_forgotten_when_nobody_polls_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "MAX_FILTERS", 3)
    now_s = 1_000.0
    all_filters = Filters(lambda: now_s)
    first, second, third = (all_filters.add(None, 1) for _ in range(3))
    with pytest.raises(FiltersFull):
        all_filters.add(None, 1)
    now_s += FILTER_TIMEOUT_S - 1
    assert all_filters.poll(second) is not None
    now_s += 2
    assert all_filters.poll(first) is None
    assert all_filters.poll(third) is None
    assert all_filters.poll(second) is not None
    assert all_filters.remove(second)
    assert [all_filters.add(None, 1) for _ in range(3)]


def test_a_node_with_all_its_filters_says_what_to_do_instead(
    eth_chain: EthChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "MAX_FILTERS", 0)
    for method, *params in (("eth_newFilter", {}), ("eth_newBlockFilter",)):
        assert "eth_getLogs" in eth_chain.error(LIMIT_EXCEEDED, str(method), *params)["message"]
