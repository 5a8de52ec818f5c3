"""What a call answers in the block that would be made now, on a network that has been idle for long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from eth_abi.abi import decode as abi_decode

if TYPE_CHECKING:
    from tests.node.conftest import EthChain

# TIMESTAMP, NUMBER and BLOCKHASH(NUMBER - 1) in three words.
BLOCK_FACTS = bytes.fromhex("425f524360205260014303406040526060" + "5ff3")


def returns(runtime: bytes) -> bytes:
    """Init code that leaves `runtime`."""
    return b"\x61" + len(runtime).to_bytes(2) + b"\x80\x60\x0a\x5f\x39\x5f\xf3" + runtime


def closed_until(time_s: int) -> bytes:
    """Code that reverts in a block before a time."""
    return b"\x63" + time_s.to_bytes(4) + bytes.fromhex("4210600b57005b5f5ffd")


@pytest.mark.parametrize("tag", ["latest", "safe", "finalized"])
def test_a_call_on_the_last_block_sees_that_block(eth_chain: EthChain, tag: str) -> None:
    address = eth_chain.deploy(returns(BLOCK_FACTS))
    answer = eth_chain.result("eth_call", {"to": "0x" + address.hex()}, tag)
    seconds, number, _ = abi_decode(["uint256", "uint256", "bytes32"], bytes.fromhex(answer[2:]))
    assert (seconds, number) == (eth_chain.ledger.head_time_ms // 1_000, eth_chain.ledger.height)


def test_a_pending_call_sees_the_next_block(eth_chain: EthChain) -> None:
    address = eth_chain.deploy(returns(BLOCK_FACTS))
    before_s = int(time.time())
    answer = eth_chain.result("eth_call", {"to": "0x" + address.hex()}, "pending")
    seconds, number, parent = abi_decode(["uint256", "uint256", "bytes32"], bytes.fromhex(answer[2:]))
    assert before_s <= seconds <= time.time()
    assert (number, parent) == (eth_chain.ledger.height + 1, eth_chain.ledger.head_id)


def test_what_a_deadline_lets_happen_can_be_estimated_though_the_last_block_is_before_it(eth_chain: EthChain) -> None:
    head_s = eth_chain.ledger.head_time_ms // 1_000
    request = {"to": "0x" + eth_chain.deploy(returns(closed_until(head_s + 1_000))).hex()}
    eth_chain.error(3, "eth_call", request, "latest")
    assert eth_chain.result("eth_call", request, "pending") == "0x"
    assert int(eth_chain.result("eth_estimateGas", request), 16) > 21_000
    assert int(eth_chain.result("eth_estimateGas", request, "latest"), 16) > 21_000
    # As of a block that is named, it is still closed.
    eth_chain.error(3, "eth_estimateGas", request, hex(eth_chain.ledger.height))
