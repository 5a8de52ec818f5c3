"""Chain parameters that change while the network runs: each node follows them from the next height on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts import registry
from node.chain.codec import encode
from node.chain.transaction import Transaction, TransactionBody, transaction_id
from node.driver.handshake import find_ledger_difference
from node.driver.txpool import RejectionCode
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net


def _change(net: Net, **parameters: int) -> bytes:
    governor = PrivateKey.from_bytes(b"\0" + sm3(b"governor")[1:])
    to, data = registry.encode_call(
        "governance", "set_parameters", names=list(parameters), values=list(parameters.values())
    )
    until_ms = net.nodes[0].now_ms() + 300_000
    body = TransactionBody(1, net.genesis.chain_id, bytes(16), until_ms, governor.public_key, to, 1_000_000, data)
    return encode(Transaction(body, governor.sign(transaction_id(body))))


def test_pool_and_intervals_follow_a_change_without_a_restart(net: Net) -> None:
    assert net.nodes[0].submit(net.transaction(gas_limit=14_000_000)) == [None]
    net.reach(1, 1_000)
    net.nodes[0].submit(_change(net, max_transaction_gas=12_000_000, empty_block_interval_ms=600))
    net.reach(2, 1_000)
    for node in net.nodes:
        (rejection,) = node.submit(net.transaction(gas_limit=14_000_000))
        assert rejection is not None
        assert rejection.code is RejectionCode.GAS_LIMIT_TOO_HIGH
    net.reach(4, 2_500)
    net.check()


def test_nodes_on_both_sides_of_a_change_still_know_each_other_for_one_network(net: Net) -> None:
    net.part("node0")
    behind = net.nodes[0]
    net.nodes[1].submit(_change(net, max_transaction_gas=12_000_000))
    net.reach(1, 2_000, net.nodes[1:])
    for node in net.nodes[1:]:
        assert node.hello().parameters_hash != behind.hello().parameters_hash
        assert find_ledger_difference(node.ledger, behind.hello()) is None
        assert find_ledger_difference(behind.ledger, node.hello()) is None
    net.heal()
    net.reach(1, 2_000)
    assert len({node.hello().parameters_hash for node in net.nodes}) == 1
