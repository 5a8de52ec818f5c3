"""A faulty proposer fills its block with calls of senders that no pool admits: refused in execution, counted, and without effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts import registry
from contracts.accounts import address_of_key
from contracts.frame import CALL_GAS
from contracts.members import may_send
from contracts.recent_blocks import BLOCK_IDS
from node.chain.world_state import account_state_key
from node.ledger.ledger import InvalidBlock
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

STRANGER, CANDIDATE = (PrivateKey.from_bytes(b"\0" + sm3(name)[1:]) for name in (b"stranger", b"candidate"))


def call(network: Any, sender: PrivateKey, contract: str, method: str, **arguments: Any) -> Any:
    return network.transaction(sender, *registry.encode_call(contract, method, **arguments))


@pytest.fixture
def prepared(network: Any, ledger: Any) -> Any:
    """A ledger on which the issuer's account is removed and one key is a candidate."""
    removed = {"account": address_of_key(network.issuer.public_key), "reason": "离职"}
    candidate = {"department": network.department, "name": "node9", "public_key": CANDIDATE.public_key}
    committed = network.commit(
        ledger,
        [
            call(network, network.governor, "members", "remove_account", **removed),
            call(network, network.governor, "members", "add_validator", **candidate),
        ],
    )
    assert [receipt.refusal for receipt in committed.receipts] == [None, None]
    return ledger


def test_what_no_pool_admits_has_no_effect_in_a_block(network: Any, prepared: Any) -> None:
    senders = (network.issuer, STRANGER, CANDIDATE)
    assert [may_send(prepared.state(), address_of_key(sender.public_key)) for sender in senders] == [False, False, True]
    anchors = [network.anchor(sm3(b"x"), sender=sender) for sender in senders]
    grab = call(network, STRANGER, "members", "set_roles", account=bytes(20), roles=["governor"])
    confirm = call(network, STRANGER, "members", "confirm_validator", height=1, block_id=prepared.head_id)
    before = dict(prepared.state().iterate(b""))
    committed = network.commit(prepared, [*anchors, grab, confirm])
    assert [receipt.refusal for receipt in committed.receipts] == [
        "ACCOUNT_REMOVED",
        "UNKNOWN_ACCOUNT",
        "UNKNOWN_ACCOUNT",
        "UNKNOWN_ACCOUNT",
        "CANDIDATE_UNKNOWN",
    ]
    for receipt in committed.receipts:
        assert receipt.logs == ()
        assert receipt.gas_used >= CALL_GAS
    # Of all that they sent the state keeps how many calls there were, and the same bytes are not taken again.
    after = dict(prepared.state().iterate(b""))
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    counts = {account_state_key(address_of_key(sender.public_key)) for sender in senders}
    assert {key for key in changed if not key.startswith(BLOCK_IDS.prefix)} == counts
    assert prepared.account_nonce(address_of_key(STRANGER.public_key)) == 3
    assert all(prepared.is_repeated(transaction.id) for transaction in (*anchors, grab, confirm))


def test_they_fill_a_block_no_further_than_others_would(make_network: Any, tmp_path: Path) -> None:
    network = make_network(max_block_transactions=3)
    ledger = network.open(tmp_path / "data")
    filling = [network.anchor(sm3(bytes([number])), sender=STRANGER) for number in range(4)]
    assert len(network.build(ledger, filling).transactions) == 3
    executed = network.build(ledger, filling[:3])
    with pytest.raises(InvalidBlock):
        ledger.execute_block(executed.header, filling, [])
    # The block is valid, whoever made it: nodes that refused it would part from those that executed it.
    assert ledger.execute_block(executed.header, filling[:3], []).header == executed.header
    ledger.close()
