"""Chain parameters across heights: what block h sets holds from h + 1 on, in the header, in execution and after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts import registry
from contracts.governance import load_parameters
from contracts.parameters import BOUNDS, LEAST_GAS, ChainParameters
from node.chain.transaction import MAX_CALL_DATA_BYTES, VerifiedTransaction
from node.ledger.ledger import InvalidBlock
from node.ledger.storage import StorageError


def set_parameters(network: Any, until_ms: int = 1_750_000_500_000, **values: int) -> VerifiedTransaction:
    to, data = registry.encode_call("governance", "set_parameters", names=list(values), values=list(values.values()))
    transaction: VerifiedTransaction = network.transaction(network.governor, to, data, valid_until_ms=until_ms)
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
    committed = network.commit(ledger, [set_parameters(network, max_block_gas=10_000_000)])
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


def test_a_governor_gets_out_of_the_least_limits(make_network: Any, tmp_path: Path) -> None:
    limits = (
        "max_block_transactions",
        "max_block_bytes",
        "max_block_gas",
        "max_transaction_gas",
        "block_interval_ms",
        "transaction_window_ms",
    )
    least = {name: BOUNDS[name][0] for name in limits}
    network = make_network(**least)
    ledger = network.open(tmp_path / "least")
    # As large and as dear as a transaction can be.
    to, data = registry.encode_call("anchors", "anchor", digest=bytes([1] * 32), label="x")
    until_ms = ledger.head_time_ms + 1_000 + least["transaction_window_ms"]
    large = network.transaction(
        network.recorder,
        to,
        data + bytes(MAX_CALL_DATA_BYTES - len(data)),
        gas_limit=LEAST_GAS,
        valid_until_ms=until_ms,
    )
    assert len(network.commit(ledger, [large]).transactions) == 1
    greatest = {name: BOUNDS[name][1] for name in limits if not name.endswith("_ms")}
    change = set_parameters(network, ledger.head_time_ms + 2_000, **greatest)
    assert network.commit(ledger, [change]).receipts[0].refusal is None
    assert ledger.parameters().max_block_bytes == greatest["max_block_bytes"]
    ledger.close()
