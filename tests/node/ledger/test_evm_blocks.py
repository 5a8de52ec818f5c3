"""Blocks with EVM transactions: whoever executes one comes to the same roots, in whatever state its caches are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.accounts import address_of_key
from contracts.evm import contract_address
from contracts.evm_frame import jump_destinations
from contracts.evm_state import contract_key, storage_key
from node.chain.world_state import load_account_count
from sm_crypto.sm3 import sm3

# Adds one to the slot that the call data names, logs it, and returns the id of the block before.
COUNTER = "5f35805460010190555f355f5fa1600143034060005260206000f3"
FACTORY = "365f5f37365f5ff05f5260205ff3"
LOOP = "5b5f56"


def initcode(code: str) -> bytes:
    """Return initcode for code of up to 255 bytes."""
    return bytes.fromhex(f"60{len(code) // 2:02x}600a5f3960{len(code) // 2:02x}5ff3" + code)


@pytest.fixture
def network(make_network: Any) -> Any:
    """A network whose issuer deploys too."""
    network = make_network()
    department = network.genesis.departments[0]
    accounts = tuple(
        msgspec.structs.replace(account, roles=("issuer", "deployer")) if "issuer" in account.roles else account
        for account in department.accounts
    )
    changed = msgspec.structs.replace(department, accounts=accounts)
    network.genesis = msgspec.structs.replace(network.genesis, departments=(changed,))
    return network


def test_every_ledger_comes_to_the_same_roots(network: Any, tmp_path: Path) -> None:
    proposer, other = network.open(tmp_path / "a"), network.open(tmp_path / "b")
    sender = address_of_key(network.issuer.public_key)
    counter, factory, loop, made = (contract_address(sender, nonce) for nonce in range(4))
    slot = (7).to_bytes(32, "big")

    def call(to: bytes | None, data: bytes, key: Any = network.recorder, gas_limit: int = 1_000_000) -> Any:
        return network.transaction(key, to, data, gas_limit=gas_limit)

    deployer = network.issuer
    blocks = [
        [call(None, initcode(COUNTER), deployer), call(None, initcode(FACTORY), deployer), call(counter, slot)],
        [
            call(None, initcode(LOOP), deployer),
            call(factory, initcode(COUNTER)),
            call(factory, initcode(COUNTER), deployer),
            call(None, initcode("00")),
        ],
        [call(loop, b"", deployer, 30_000_000), network.anchor(sm3(b"x")), call(counter, slot), call(counter, b"\1")],
        [call(made, slot, deployer), call(counter, slot, gas_limit=24_000), call(contract_address(factory, 1), slot)],
    ]
    found = []
    for block in blocks:
        executed = network.build(proposer, block)
        jump_destinations.cache_clear()
        again = other.execute_block(executed.header, executed.transactions, executed.evidence)
        assert again.header == executed.header
        assert again.receipts == executed.receipts
        certificate = network.certify(executed)
        proposer.commit(executed, certificate)
        other.commit(again, certificate)
        other.close()
        other = network.open(tmp_path / "b")
        found.append([receipt.refusal for receipt in executed.receipts])
    assert found == [
        [None, None, None],
        [None, "ROLE_MISSING", None, "ROLE_MISSING"],
        ["OUT_OF_WORK", None, None, None],
        ["NO_CONTRACT", "OUT_OF_GAS", None],
    ]
    state = other.state()
    assert state.get(storage_key(counter, 7)) == b"\2"
    assert state.get(storage_key(contract_address(factory, 1), 7)) == b"\1"
    assert state.get(contract_key(made)) is None
    assert load_account_count(state.get, sender) == 6
    proposer.close()
    other.close()


def test_a_heavy_call_waits_while_lighter_ones_and_certificates_go_on(network: Any, ledger: Any) -> None:
    sender = address_of_key(network.issuer.public_key)
    network.commit(ledger, [network.transaction(network.issuer, None, initcode(code)) for code in (LOOP, COUNTER)])
    loop, counter = (contract_address(sender, nonce) for nonce in range(2))
    loops = [network.transaction(network.issuer, loop, b"", gas_limit=30_000_000) for _ in range(3)]
    light = network.transaction(network.recorder, counter, bytes(32))
    anchor = network.anchor(sm3(b"y"))
    executed = network.build(ledger, [*loops, light, anchor])
    assert executed.transactions == (loops[0], light, anchor)
    assert [receipt.refusal for receipt in executed.receipts] == ["OUT_OF_WORK", None, None]
    assert executed.unfit == (), "they wait for a later block"
