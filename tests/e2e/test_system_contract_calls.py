"""Stock web3.py asks system contracts, and EVM contracts that ask them in turn: on a running network both say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractLogicError

from contracts import registry
from contracts.identifiers import make_identifier
from sdk.system_contracts.crypto import Crypto
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

pytestmark = pytest.mark.e2e

ASKERS = Path(__file__).parents[1] / "contracts" / "system_calls" / "askers.json"
TYPE_CODE, LAND = "11100000MB03271699001", "11990100MB0000002X"
DEPLOYMENT_MS = 60_000
"""A network's first one loads what runs EVM code, on every node of a machine that may be busy."""


@pytest.fixture(scope="module")
def asked(running_network: Any) -> dict[str, list[Any]]:
    """For three system contracts: the contract itself, and one in Solidity with the same methods that asks it."""
    w3 = Web3(HTTPProvider(running_network.url() + "/rpc"))
    kept = json.loads(ASKERS.read_text())["bytecode"]
    pairs = {}
    with running_network.client("data-bureau-deployer") as deployer:
        for name in ("crypto", "members", "certificates"):
            made = deployer.sign_data(None, bytes.fromhex(kept[name]))
            receipt = deployer.submit([made], timeout_ms=DEPLOYMENT_MS)[0]
            addresses = (registry.CONTRACTS[name].address, bytes.fromhex(receipt.output[2:]))
            pairs[name] = [
                w3.eth.contract(Web3.to_checksum_address(address), abi=registry.abi(name)) for address in addresses
            ]
        running_network.wait_until_level(receipt.height)
    return pairs


def test_the_national_algorithms_answer(running_network: Any, asked: dict[str, list[Any]]) -> None:
    signer = PrivateKey.from_bytes(sm3(b"signer"))
    signature = signer.sign(b"agreed")
    for crypto in asked["crypto"]:
        functions = crypto.functions
        assert functions.sm3(b"abc").call() == sm3(b"abc")
        assert functions.sm2_verify(signer.public_key, b"agreed", signature).call() is True
        assert functions.sm2_verify(signer.public_key, b"refused", signature).call() is False
        estimated = functions.sm2_verify(signer.public_key, b"agreed", signature).estimate_gas()
        assert 36_000 < estimated < 150_000
    with running_network.client() as client:
        assert Crypto(client).sm2_verify(public_key=signer.public_key, message=b"agreed", signature=signature)


def test_accounts_and_certificates_are_known(running_network: Any, asked: dict[str, list[Any]]) -> None:
    clerk = Web3.to_checksum_address(running_network.signer("land-clerk").address)
    unknown = make_identifier(TYPE_CODE, LAND, "NOWHERE")
    for members in asked["members"]:
        assert members.functions.department_of(clerk).call() == LAND
        assert members.functions.has_role(clerk, LAND, "issuer").call() is True
        assert members.functions.has_role(clerk, LAND, "governor").call() is False
        assert members.functions.account(clerk).call()[1] == LAND
    for certificates in asked["certificates"]:
        assert certificates.functions.is_in_force(unknown).call() is False
        with pytest.raises(ContractLogicError, match="CERTIFICATE_UNKNOWN") as refused:
            certificates.functions.certificate(unknown).call()
        assert "账本上没有证照" in str(refused.value)


def test_a_system_contract_has_code_to_look_at(asked: dict[str, list[Any]]) -> None:
    system, asking = asked["crypto"]
    assert system.w3.eth.get_code(system.address) == b"\xfe"
    assert len(system.w3.eth.get_code(asking.address)) > 1_000
