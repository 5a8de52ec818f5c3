"""Contracts of contracts/samples deployed over the bench's state and called by their ABI, as the ledger executes calls."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak

from contracts.abi import decode_error
from contracts.call import Call, CallResult, Log
from contracts.calls import execute_call
from contracts.evm_state import EvmBlock
from sm_crypto.sm3 import sm3

SAMPLES = Path(__file__).parents[3] / "contracts" / "samples"
GAS = 30_000_000


def type_name(parameter: dict[str, Any]) -> str:
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(type_name, parameter['components']))}){kind.removeprefix('tuple')}"


def in_names(parameter: dict[str, Any], value: Any) -> Any:
    """Return a decoded tuple as a dict by its components' names."""
    if parameter["type"].startswith("tuple["):
        inner = parameter | {"type": "tuple"}
        return [in_names(inner, item) for item in value]
    if parameter["type"] == "tuple":
        return {part["name"]: in_names(part, item) for part, item in zip(parameter["components"], value, strict=True)}
    return value


def signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(map(type_name, entry['inputs']))})"


class Chain:
    """The bench's state with blocks of one transaction: time stands still unless a test moves it."""

    def __init__(self, bench: Any) -> None:
        self.bench, self.height, self.counts = bench, 0, Counter[bytes]()

    @property
    def time_s(self) -> int:
        seconds: int = self.bench.time_ms // 1_000
        return seconds

    def move_to(self, time_s: int) -> None:
        self.bench.time_ms = time_s * 1_000

    def transact(self, sender: bytes, to: bytes | None, data: bytes) -> CallResult:
        self.height += 1
        before = self.bench.state.copy()
        call = Call(sender, to, data, GAS, self.height, self.bench.time_ms, sm3(self.height.to_bytes(8, "big")))
        result = self._execute(call)
        self.counts[sender] += 1
        if result.refusal is not None:
            self.bench.state.clear()
            self.bench.state.update(before)
        return result

    def read(self, to: bytes, data: bytes) -> CallResult:
        before = self.bench.state.copy()
        reader = self.bench.auditor.address
        result = self._execute(Call(reader, to, data, GAS, self.height, self.bench.time_ms, bytes(32)))
        assert self.bench.state == before
        return result

    def _execute(self, call: Call) -> CallResult:
        block = EvmBlock(
            self.height, self.bench.time_ms, 1, 30_000_000, lambda address: self.counts[address], lambda _: None
        )
        return execute_call(self.bench.state, call, block)

    def deploy(self, account: Any, compiled: dict[str, Any], *arguments: Any) -> Deployed:
        inputs: list[dict[str, Any]] = next(
            (entry["inputs"] for entry in compiled["abi"] if entry["type"] == "constructor"), []
        )
        data = bytes.fromhex(compiled["bytecode"][2:]) + encode(list(map(type_name, inputs)), arguments)
        result = self.transact(account.address, None, data)
        assert result.refusal is None, decode_error(result.output) or result.refusal
        return Deployed(self, result.output, compiled["abi"])


class Deployed:
    """A deployed contract by its ABI."""

    def __init__(self, chain: Chain, address: bytes, abi: list[dict[str, Any]]) -> None:
        self.chain, self.address = chain, address
        self.methods = {entry["name"]: entry for entry in abi if entry["type"] == "function"}
        self.events = {keccak(signature(entry).encode()): entry for entry in abi if entry["type"] == "event"}
        self.gas_used = 0

    def data(self, method: str, arguments: tuple[Any, ...]) -> bytes:
        entry = self.methods[method]
        return keccak(signature(entry).encode())[:4] + encode(list(map(type_name, entry["inputs"])), arguments)

    def send(self, account: Any, method: str, *arguments: Any) -> list[tuple[str, dict[str, Any]]]:
        """Send a transaction that must be accepted, and return its events by name and fields."""
        result = self.chain.transact(account.address, self.address, self.data(method, arguments))
        assert result.refusal is None, (result.refusal, decode_error(result.output))
        self.gas_used = result.gas_used
        return [self.decode_log(log) for log in result.logs]

    def refuse(self, code: str, account: Any, method: str, *arguments: Any) -> str:
        """Send a transaction that must be refused for `code`, in Chinese and English, and return the whole reason."""
        result = self.chain.transact(account.address, self.address, self.data(method, arguments))
        text = decode_error(result.output)
        assert result.refusal == "REVERTED", (result.refusal, text)
        assert text is not None
        assert text.startswith(f"{code}: "), text
        chinese, _, english = text.removeprefix(f"{code}: ").partition(" / ")
        assert any(character > "一" for character in chinese), text
        assert english.isascii(), text
        return text

    def view(self, method: str, *arguments: Any) -> Any:
        """Return what a view answers: one value as it is, several as a tuple, structs as dicts."""
        outputs = self.methods[method]["outputs"]
        result = self.chain.read(self.address, self.data(method, arguments))
        assert result.refusal is None, (result.refusal, decode_error(result.output))
        values = decode(list(map(type_name, outputs)), result.output)
        named = tuple(in_names(parameter, value) for parameter, value in zip(outputs, values, strict=True))
        return named[0] if len(named) == 1 else named

    def decode_log(self, log: Log) -> tuple[str, dict[str, Any]]:
        assert log.address == self.address
        entry = self.events[log.topics[0]]
        indexed = [parameter for parameter in entry["inputs"] if parameter["indexed"]]
        others = [parameter for parameter in entry["inputs"] if not parameter["indexed"]]
        fields = {
            parameter["name"]: decode([parameter["type"]], topic)[0]
            for parameter, topic in zip(indexed, log.topics[1:], strict=True)
        }
        values = decode(list(map(type_name, others)), log.data)
        fields |= {
            parameter["name"]: in_names(parameter, value) for parameter, value in zip(others, values, strict=True)
        }
        return entry["name"], fields


@pytest.fixture
def deployer(bench: Any) -> Any:
    """An account of the land bureau that may deploy."""
    account = type(bench.issuer)(bench.land_bureau, "deployer")
    arguments = bench.account_arguments(account, bench.land_bureau, "部署", ["deployer"])
    bench.accept(bench.governor, "members", "add_account", **arguments)
    return account


@pytest.fixture
def chain(bench: Any) -> Chain:
    return Chain(bench)


@pytest.fixture(scope="session")
def samples() -> Path:
    return SAMPLES


@pytest.fixture(scope="session")
def artefact() -> Callable[[str], dict[str, Any]]:
    """Return a function that reads a kept artefact."""

    def read(name: str) -> dict[str, Any]:
        compiled: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
        return compiled

    return read


@pytest.fixture(scope="session")
def compile_vyper() -> Callable[[str], dict[str, Any]]:
    """Return a function that compiles a sample with pip's vyper, in a process of its own: the compiler warns of Python's own future."""

    def run(name: str) -> dict[str, Any]:
        command = [str(Path(sys.executable).parent / "vyper"), "-f", "abi,bytecode", str(SAMPLES / f"{name}.vy")]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        abi, bytecode = ran.stdout.split("\n", 1)
        return {"abi": json.loads(abi), "bytecode": bytecode.strip()}

    return run
