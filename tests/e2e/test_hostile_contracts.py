"""A deployer whose contracts loop, grow and hash for ever: its own transactions are refused, everybody else's go through."""

import secrets
from typing import Any

import pytest

from sdk.errors import CallRefused
from tests.contracts.evm_work import hostile_contracts

pytestmark = pytest.mark.e2e

BOMBS = ("empty loop", "KECCAK256 of 32 bytes", "depth 1,024", "memory word by word", "SSTORE to new slots")
TIMEOUT_MS = 60_000


def initcode(code: bytes) -> bytes:
    """Return initcode that deploys any code."""
    return bytes.fromhex(f"62{len(code):06x}600e5f3962{len(code):06x}5ff3").ljust(14, b"\0") + code


def test_hostile_contracts_cost_their_sender_only(network: Any) -> None:
    contracts = hostile_contracts()
    with network.client("data-bureau-deployer") as attacker, network.client("land-clerk", 1) as clerk:
        deployments = [attacker.sign_data(None, initcode(contracts[name][0])) for name in BOMBS]
        small = attacker.sign_data(None, initcode(bytes.fromhex("60015f55")))
        # The first deployment of all waits until every node has loaded what runs it.
        made = attacker.submit([*deployments, small], timeout_ms=TIMEOUT_MS)
        *bombs, harmless = (bytes.fromhex(one.output[2:]) for one in made)
        attacks = [attacker.sign_data(address, b"", gas_limit=30_000_000) for address in bombs]
        assert attacker.send(attacks) == [None] * len(attacks)

        for _ in range(3):
            anchor = clerk.sign_call("anchors", "anchor", digest=secrets.token_bytes(32), label="照常")
            clerk.submit([anchor], timeout_ms=TIMEOUT_MS)
        assert clerk.submit([clerk.sign_data(harmless, b"")], timeout_ms=TIMEOUT_MS)[0].gas_used > 21_000

        for attack in attacks:
            with pytest.raises(CallRefused) as refused:
                attacker.wait_receipt(attack.id, timeout_ms=TIMEOUT_MS)
            assert refused.value.code in {"OUT_OF_WORK", "OUT_OF_GAS"}
            assert refused.value.height is not None
    assert len(network.roots(network.wait_until_level())) == 1
    assert all(map(network.supervisor.is_running, network.names))
