"""Chain parameters across heights: what block h sets holds from h + 1 on, in the header, in execution and after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts import registry
from contracts.governance import load_parameters
from contracts.parameters import ChainParameters
from node.chain.transaction import VerifiedTransaction
from node.ledger.ledger import InvalidBlock
from node.ledger.storage import StorageError


def set_parameters(network: Any, **values: int) -> VerifiedTransaction:
    to, data = registry.encode_call("governance", "set_parameters", names=list(values), values=list(values.values()))
    transaction: VerifiedTransaction = network.transaction(network.governor, to, data)
    return transaction


def test_a_change_holds_from_the_next_height_on(network: Any, ledger: Any) -> None:
    before = ledger.parameters()
    assert before == network.genesis.parameters
    first = network.commit(ledger, [set_parameters(network, max_block_transactions=2), *network.anchors(1, 3)])
    # The block that sets it is made under the old ones, the next under the new.
    assert (len(first.transactions), first.header.parameters_hash) == (4, before.hash)
    after = ledger.parameters()
    assert after == ChainParameters(max_block_transactions=2)
    second = network.commit(ledger, network.anchors(2, 3))
    assert (len(second.transactions), second.header.parameters_hash) == (2, after.hash)
    assert load_parameters(ledger.state(1)) == after
    assert load_parameters(ledger.state(0)) == before


def test_a_refused_change_changes_nothing(network: Any, ledger: Any) -> None:
    committed = network.commit(ledger, [set_parameters(network, max_block_gas=1_000_000)])
    assert committed.receipts[0].refusal == "PARAMETERS_CONFLICT"
    assert ledger.parameters() == network.genesis.parameters


def test_a_block_under_other_parameters_is_invalid(network: Any, ledger: Any) -> None:
    network.commit(ledger, [set_parameters(network, transaction_window_ms=100_000)])
    executed = network.build(ledger, [])
    stale = msgspec.structs.replace(executed.header, parameters_hash=network.genesis.parameters.hash)
    with pytest.raises(InvalidBlock, match="expected parameters_hash"):
        ledger.execute_block(stale, [], [])


def test_they_are_read_from_state_after_a_restart(network: Any, tmp_path: Path) -> None:
    ledger = network.open(tmp_path / "again")
    network.commit(ledger, [set_parameters(network, block_interval_ms=250)])
    ledger.close()
    ledger = network.open(tmp_path / "again")
    assert ledger.parameters() == ChainParameters(block_interval_ms=250)
    network.commit(ledger, network.anchors(3, 1))
    ledger.close()


def test_genesis_parameters_that_cannot_hold_are_refused(make_network: Any, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="PARAMETERS_CONFLICT"):
        make_network(block_interval_ms=60_000, empty_block_interval_ms=1_000).open(tmp_path / "wrong")
