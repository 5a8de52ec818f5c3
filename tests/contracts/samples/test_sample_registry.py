"""The register of digests: the kept artefact runs on the ledger, and the first to register a key holds it."""

from __future__ import annotations

from typing import Any

import pytest
from eth_hash.auto import keccak

from contracts.registry import decode_log

KEY, DIGEST, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


@pytest.fixture
def registry(chain: Any, deployer: Any, artefact: Any) -> Any:
    return chain.deploy(deployer, artefact("Registry"))


def test_a_registered_digest_is_found_with_its_holder_and_time(registry: Any, bench: Any, chain: Any) -> None:
    events = registry.send(bench.issuer, "register", KEY, DIGEST)
    holder = "0x" + bench.issuer.address.hex()
    assert events == [("Registered", {"key": KEY, "holder": holder, "digest": DIGEST})]
    assert registry.view("lookup", KEY) == (DIGEST, holder, chain.time_s)


def test_what_was_not_registered_is_zero(registry: Any) -> None:
    assert registry.view("lookup", OTHER) == (bytes(32), "0x" + "00" * 20, 0)


def test_nobody_takes_a_key_a_second_time(registry: Any, bench: Any) -> None:
    registry.send(bench.issuer, "register", KEY, DIGEST)
    before = registry.view("lookup", KEY)
    registry.refuse("TAKEN", bench.requester, "register", KEY, OTHER)
    registry.refuse("TAKEN", bench.issuer, "register", KEY, DIGEST)
    assert registry.view("lookup", KEY) == before


def test_a_digest_of_zeros_is_none(registry: Any, bench: Any) -> None:
    registry.refuse("DIGEST_ZERO", bench.issuer, "register", KEY, bytes(32))


def test_the_deployed_code_is_the_kept_runtime_code(registry: Any, bench: Any, deployer: Any, artefact: Any) -> None:
    record = bench.view("deployments", "deployment", contract=registry.address)
    assert record.code_hash == keccak(bytes.fromhex(artefact("Registry")["deployedBytecode"][2:]))
    assert (record.deployer, record.department) == (deployer.address, bench.land_bureau)


def test_the_deployments_contract_tells_of_a_new_contract(
    chain: Any, bench: Any, deployer: Any, artefact: Any, registry: Any
) -> None:
    compiled = artefact("Registry")
    result = chain.transact(deployer.address, None, bytes.fromhex(compiled["bytecode"][2:]))
    (log,) = result.logs
    told = decode_log(log)
    code_hash = bench.view("deployments", "deployment", contract=result.output).code_hash
    assert (told.contract, told.event) == ("deployments", "ContractDeployed")
    assert told.fields == {
        "contract": result.output,
        "deployer": deployer.address,
        "department": bench.land_bureau,
        "code_hash": code_hash,
    }
    assert result.output != registry.address
