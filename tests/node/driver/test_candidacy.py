"""A validator joins a running network: governors name it, its own node says when it is ready."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from contracts import registry
from contracts.validator_sets import load_candidates
from node.chain.codec import encode
from node.chain.transaction import Transaction, TransactionBody, transaction_id
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

if TYPE_CHECKING:
    from tests.node.driver.conftest import Net, Node


def _governor_call(net: Net, method: str, **arguments: Any) -> bytes:
    governor = PrivateKey.from_bytes(b"\0" + sm3(b"governor")[1:])
    to, data = registry.encode_call("members", method, **arguments)
    until_ms = net.nodes[0].now_ms() + 300_000
    nonce = sm3(method.encode())[:16]
    body = TransactionBody(1, net.genesis.chain_id, nonce, until_ms, governor.public_key, to, 1_000_000, data)
    return encode(Transaction(body, governor.sign(transaction_id(body))))


@pytest.fixture
def newcomer(net: Net, tmp_path: Path) -> Node:
    """A node whose key is no validator's, known to the network and not started."""
    node = type(net.nodes[0])(net, 4, tmp_path / "newcomer", PrivateKey.from_bytes(b"\0" + sm3(b"newcomer")[1:]))
    net.nodes.append(node)
    net.by_name[node.name] = node
    return node


def _nominate(net: Net, newcomer: Node, name: str = "") -> None:
    (department,) = (department.code for department in net.genesis.departments)
    key = newcomer.signer.public_key
    call = _governor_call(net, "add_validator", department=department, name=name or newcomer.name, public_key=key)
    assert net.nodes[0].submit(call) == [None]


def test_a_candidate_joins_by_itself_once_its_node_has_followed(net: Net, newcomer: Node) -> None:
    _nominate(net, newcomer)
    net.reach(1, 2_000)
    net.run(4_000)
    assert len(net.nodes[0].ledger.validators()) == 4, "nobody waits for a node that never was there"
    newcomer.start()
    assert net.run(8_000, lambda: newcomer.driver.status().is_voting)
    net.reach(newcomer.ledger.height, 2_000)
    assert all(len(node.ledger.validators()) == 5 for node in net.nodes)
    assert load_candidates(net.nodes[0].ledger.state()) == ()
    height = newcomer.ledger.height
    net.nodes[1].submit(net.transaction())
    net.reach(height + 1, 4_000)
    # Five validators need four: the newcomer's vote counts from its first height on.
    net.nodes[1].kill()
    net.nodes[2].submit(net.transaction())
    net.reach(height + 2, 10_000)
    net.check()


def test_a_node_that_is_no_candidate_asks_for_nothing(net: Net, newcomer: Node) -> None:
    newcomer.start()
    net.run(3_500)
    assert net.nodes[0].driver.status().pool_transactions == 0
    assert net.nodes[0].ledger.height == 0


def test_a_node_does_not_join_under_another_name_than_its_own(net: Net, newcomer: Node) -> None:
    _nominate(net, newcomer, name="another")
    net.reach(1, 2_000)
    newcomer.start()
    net.run(8_000)
    # Peers look for a validator by its name: this one would be away for ever.
    assert len(net.nodes[0].ledger.validators()) == 4
    assert net.nodes[0].driver.status().pool_transactions == 0
    assert [candidate.name for candidate in load_candidates(net.nodes[0].ledger.state())] == ["another"]
