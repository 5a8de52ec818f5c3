"""EVM code that calls system contracts: a populated ledger, and contracts in Vyper and Solidity deployed over it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from contracts.abi import abi_type, decode_error, selector
from contracts.call import Call, CallResult
from contracts.calls import execute_call
from contracts.evm_state import EvmBlock
from contracts.frame import SystemContract
from generators.contract_interfaces import callable_views, interface_name, solidity, structs_of, vyper
from sm_crypto.sm3 import sm3

FOLDER = Path(__file__).parent
CONTRACTS = Path(__file__).parents[3] / "contracts"
VECTORS = Path(__file__).parents[2] / "sm_crypto" / "vectors"
GAS = 10_000_000


class Office:
    """The bench's ledger with EVM code on it."""

    def __init__(self, bench: Any) -> None:
        self.bench, self.height, self.counts = bench, 100, Counter[bytes]()
        self.deployer = type(bench.issuer)(bench.land_bureau, "deployer")
        added = bench.account_arguments(self.deployer, bench.land_bureau, "部署", ["deployer"])
        bench.accept(bench.governor, "members", "add_account", **added)

    def run(self, sender: bytes, to: bytes | None, data: bytes, gas_limit: int = GAS) -> CallResult:
        """Run one transaction in a block of its own; a refused one leaves the state as it was."""
        self.height += 1
        before = self.bench.state.copy()
        call = Call(sender, to, data, gas_limit, self.height, self.bench.time_ms, sm3(self.height.to_bytes(8, "big")))
        block = EvmBlock(
            self.height, self.bench.time_ms, 7, 30_000_000, lambda address: self.counts[address], lambda _: None
        )
        result = execute_call(self.bench.state, call, block)
        self.counts[sender] += 1
        if result.refusal is not None:
            self.bench.state.clear()
            self.bench.state.update(before)
        return result

    def deploy(self, code: bytes) -> bytes:
        """Deploy init code as the deployer and return the contract's address."""
        result = self.run(self.deployer.address, None, code)
        assert result.refusal is None, decode_error(result.output) or result.refusal
        return result.output

    def ask(self, to: bytes, data: bytes) -> bytes:
        """Call as an account without any part in it and return the output of a call that must be accepted."""
        result = self.run(self.bench.auditor.address, to, data)
        assert result.refusal is None, (result.refusal, decode_error(result.output))
        return result.output


def _qualified(contract: SystemContract, types: str) -> str:
    """Return types with the interface's name before its structs."""
    structs = [kind.build.__name__ for kind in structs_of(callable_views(contract)) if kind.build is not None]
    return re.sub(rf"\b({'|'.join(structs)})\b", rf"{interface_name(contract)}.\1", types) if structs else types


def _vyper_asker(contract: SystemContract) -> str:
    name = interface_name(contract)
    lines = [f"from interfaces import {name}", "from interfaces import addresses", ""]
    for method, inputs, output in re.findall(r"def (\w+)\((.*)\) -> (.*):", vyper(contract)):
        names = ", ".join(part.split(":")[0] for part in re.findall(r"\w+: ", inputs))
        lines += [
            "@view",
            "@external",
            f"def {method}({_qualified(contract, inputs)}) -> {_qualified(contract, output)}:",
        ]
        lines += [f"    return staticcall {name}(addresses.{contract.name.upper()}).{method}({names})", ""]
    return "\n".join(lines)


def _solidity_asker(contract: SystemContract) -> str:
    name, constant = interface_name(contract), contract.name.upper()
    lines = ["// SPDX-License-Identifier: Apache-2.0", "pragma solidity ^0.8.4;", ""]
    lines += [f'import {{{name}, {constant}}} from "./{name}.sol";', "", "contract Asker {"]
    form = r"function (\w+)\((.*)\) external view returns \((.*)\);"
    for method, inputs, output in re.findall(form, solidity(contract)):
        names = ", ".join(part.split()[-1] for part in inputs.split(", ")) if inputs else ""
        lines += [
            f"    function {method}({_qualified(contract, inputs)}) external view returns ({_qualified(contract, output)}) {{"
        ]
        lines += [f"        return {constant}.{method}({names});", "    }"]
    return "\n".join([*lines, "}", ""])


@pytest.fixture
def office(bench: Any) -> Office:
    return Office(bench)


@pytest.fixture(scope="session")
def compile_vyper() -> Callable[[str], bytes]:
    """Return a function from Vyper source, which may import contracts/interfaces, to init code."""
    from vyper.compiler import compile_code
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import OptimizationLevel, Settings

    # What code reads through an interface is the same however short the code is; to make it short takes half of the time.
    settings = Settings(optimize=OptimizationLevel.NONE)

    @cache
    def compiled(source: str) -> bytes:
        bundle = FilesystemInputBundle([CONTRACTS])
        output = compile_code(source, input_bundle=bundle, output_formats=["bytecode"], settings=settings)
        return bytes.fromhex(output["bytecode"].removeprefix("0x"))

    return compiled


FORWARDER = """
@external
def forward(to: address, data: Bytes[2048], way: uint256) -> (bool, Bytes[4096]):
    success: bool = False
    answer: Bytes[4096] = b""
    if way == 0:
        success, answer = raw_call(to, data, max_outsize=4096, revert_on_failure=False)
    elif way == 1:
        success, answer = raw_call(to, data, max_outsize=4096, revert_on_failure=False, is_static_call=True)
    else:
        success, answer = raw_call(to, data, max_outsize=4096, revert_on_failure=False, is_delegate_call=True)
    return success, answer

@external
@view
def look(to: address) -> (uint256, bytes32, bool, uint256):
    return to.codesize, to.codehash, to.is_contract, to.balance
"""


class Forwarder:
    """A contract that calls others for whoever asks it to, by CALL (0), STATICCALL (1) or DELEGATECALL (2)."""

    def __init__(self, office: Office, code: bytes) -> None:
        self.office, self.address = office, office.deploy(code)

    def __call__(self, account: Any, to: bytes, data: bytes, way: int) -> tuple[bool, bytes]:
        """Return whether the call succeeded, and what it gave back."""
        arguments = abi_type("(address,bytes,uint256)").encode((to, data, way))
        call = selector("forward(address,bytes,uint256)") + arguments
        result = self.office.run(account.address, self.address, call)
        assert result.refusal is None, decode_error(result.output) or result.refusal
        success, answer = abi_type("(bool,bytes)").decode(result.output, 0)[0]
        return success, answer


@pytest.fixture
def forwarder(office: Office, compile_vyper: Callable[[str], bytes]) -> Forwarder:
    return Forwarder(office, compile_vyper(FORWARDER))


@pytest.fixture(scope="session")
def solidity_code() -> dict[str, bytes]:
    """The kept init code of the asking contracts in Solidity, by the system contract that they ask."""
    kept = json.loads((FOLDER / "askers.json").read_text())
    return {name: bytes.fromhex(code) for name, code in kept["bytecode"].items()}


@pytest.fixture(scope="session")
def asker() -> Callable[[SystemContract, str], str]:
    """Return a function that writes a contract with every view of a system contract, each answered by asking that one."""
    languages = {"vyper": _vyper_asker, "solidity": _solidity_asker}
    return lambda contract, language: languages[language](contract)


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    """Return a function that reads the standards' vectors of one algorithm."""

    def read(name: str) -> Any:
        return json.loads((VECTORS / f"{name}.json").read_text())

    return read
