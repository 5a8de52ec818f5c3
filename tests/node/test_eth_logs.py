"""eth_getLogs: by address, topics, range and block, with limits that say how to page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contracts.abi import keccak256
from contracts.records import ADDRESSES
from node.chain.transaction import decode_transaction, transaction_id
from node.http import eth_reads
from node.http.eth_form import LogFilter
from node.http.eth_parameters import LogQuery
from node.http.rpc_fault import RpcFault
from node.ledger.ledger_reads import PinnedLedger
from sm_crypto.sm3 import sm3

if TYPE_CHECKING:
    from tests.node.conftest import EthChain, Register

REGISTERED = keccak256(b"Registered(bytes32,bytes32,address)")
NOBODY = "0x" + "99" * 20


def hexed(raw: bytes) -> str:
    return "0x" + raw.hex()


def count_logs(chain: EthChain, **query: Any) -> int:
    return len(chain.result("eth_getLogs", query))


def test_logs_are_found_by_address_topics_range_and_block(eth_chain: EthChain, register: Register) -> None:
    address, anchors = hexed(register.address), hexed(ADDRESSES["anchors"])
    whole = {"fromBlock": "earliest", "toBlock": "0x5"}
    (found,) = eth_chain.result("eth_getLogs", {"address": address, **whole})
    assert (
        found
        == eth_chain.result(
            "eth_getTransactionReceipt", hexed(transaction_id(decode_transaction(register.first).body))
        )["logs"][0]
    )
    assert count_logs(eth_chain, address=[address, anchors], **whole) == 2
    assert count_logs(eth_chain, topics=[hexed(REGISTERED), hexed(register.key)], **whole) == 1
    assert count_logs(eth_chain, topics=[None, [hexed(register.key), hexed(sm3(b"no"))]], **whole) == 1
    assert count_logs(eth_chain, address=address, fromBlock="0x3", toBlock="0x5") == 0
    assert count_logs(eth_chain, address=address, blockHash=found["blockHash"]) == 1
    assert count_logs(eth_chain, address=address) == 0
    assert count_logs(eth_chain, address=address, fromBlock="0x1", toBlock="latest") >= 1
    assert count_logs(eth_chain, fromBlock="0xffff", toBlock="0xffff") == 0


@pytest.mark.parametrize(
    ("code", "query"),
    [
        (-32602, None),
        (-32602, {"address": "0x00"}),
        (-32602, {"address": [NOBODY] * 101}),
        (-32602, {"topics": ["0x" + "00" * 31]}),
        (-32602, {"topics": [None] * 5}),
        (-32602, {"topics": [["0x" + "00" * 32] * 101]}),
        (-32602, {"topics": "x"}),
        (-32602, {"fromBlock": "x"}),
        (-32602, {"blockHash": "0x" + "00" * 32, "fromBlock": "0x1"}),
        (-32001, {"blockHash": "0x" + "00" * 32}),
        (-32000, {"fromBlock": "0x3", "toBlock": "0x2"}),
    ],
)
def test_wrong_filters(eth_chain: EthChain, register: Register, code: int, query: Any) -> None:
    eth_chain.error(code, "eth_getLogs", query)


def read_logs(chain: EthChain, first: int, last: int, address: bytes | None = None) -> Any:
    pinned = chain.ledger.pin()
    try:
        reads = eth_reads.EthReads(
            PinnedLedger(pinned, 100), eth_reads.ChainFacts(chain.chain_id, chain.genesis.hash, 0)
        )
        wanted = LogFilter(None if address is None else frozenset([address]), ())
        return reads.answer(eth_reads.LogsRead(LogQuery(first, last, wanted)))
    finally:
        pinned.close()


def last_of_page(fault: Any, first: int) -> int:
    """Return up to which block the fault says that a query may go."""
    assert (fault.code, fault.data["fromBlock"]) == (-32005, hex(first))
    last = int(fault.data["toBlock"], 16)
    assert f"{first} to {last}" in fault.en
    return last


def test_a_query_that_is_too_wide_says_how_to_page(make_eth_chain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = make_eth_chain()
    for height in range(8):
        raws = [chain.sign_call("anchors", "anchor", digest=sm3(b"%d/%d" % (height, n)), label="件") for n in range(2)]
        chain.make_block(*raws)
    for name, limit in (("MAX_LOG_RANGE", 3), ("MAX_LOGS", 5), ("MAX_LOG_WORK", 60)):
        with monkeypatch.context() as patch:
            patch.setattr(eth_reads, name, limit)
            for address in (None,) if name == "MAX_LOG_RANGE" else (None, ADDRESSES["anchors"]):
                found, first, pages = [], 1, 0
                while first <= 8:
                    last = 8
                    try:
                        logs = read_logs(chain, first, last, address)
                    except RpcFault as fault:
                        last = last_of_page(fault, first)
                        logs = read_logs(chain, first, last, address)
                    found += logs
                    first, pages = last + 1, pages + 1
                assert len(found) == 16, name
                assert 1 < pages < 8, name
    # One block with more than the limits is given whole.
    for name in ("MAX_LOGS", "MAX_LOG_WORK"):
        with monkeypatch.context() as patch:
            patch.setattr(eth_reads, name, 1)
            assert len(read_logs(chain, 4, 4)) == 2
