"""The EVM bench: calls of a registry contract beside calls of a system contract, in turns on one running network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from sdk.bench.load import (
    Calls,
    Deployment,
    IssueCalls,
    LoadBatch,
    RegistryCalls,
    RpcConnection,
    Sender,
    sign_load,
    single_transactions,
)
from sdk.bench.loaded_network import (
    LATENCY_LIMIT_MS,
    REST_S,
    TYPE_CODE,
    WARM_UP_S,
    LoadedNetwork,
    Window,
    cpu_us_by_stage,
    machine,
    percentile,
)
from sdk.bench.prepared_state import prepare_ledgers
from sdk.demo_network import wait_until_ready
from sdk.supervisor import Supervisor
from sm_crypto.keystore import load_private_key
from sm_crypto.sm2 import multibuffer_available
from verification.errors import InputError

REGISTRY: Final = "Registry.json"
KINDS: Final = ("system", "evm")


class EvmSettings(msgspec.Struct, frozen=True):
    """How large the bench is: `seconds` of load of each kind, in as many turns as there are `rounds`.

    The expected rates bound how much load is signed beforehand.
    """

    network_toml: Path
    seconds: float = 60.0
    rounds: int = 3
    records: int = 1_000_000
    warm_up_s: float = WARM_UP_S
    rest_s: float = REST_S
    idle_transactions: int = 100
    expected_system_tx_per_s: int = 4_500
    expected_evm_tx_per_s: int = 3_500
    clients_per_node: int = 4


def quick(settings: EvmSettings) -> EvmSettings:
    """Return the settings of a run of some seconds: it shows that all is in order, its figures stand on little."""
    return msgspec.structs.replace(
        settings,
        seconds=1.0,
        rounds=1,
        records=1_000,
        warm_up_s=0.5,
        rest_s=0.5,
        idle_transactions=5,
        expected_system_tx_per_s=6_000,
        expected_evm_tx_per_s=3_000,
        clients_per_node=1,
    )


def run_evm_bench(settings: EvmSettings, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the figures of the bench as one object with units in its keys; raise RuntimeError where a call of the load failed."""
    engine = "multibuffer" if multibuffer_available() else "openssl"
    with tempfile.TemporaryDirectory(prefix="govnode-bench-") as temporary:
        bench = _Bench(settings, Path(temporary) / "network", say)
        bench.prepare()
        figures = bench.measure(engine)
    return {
        **figures,
        "sm2_engine": engine,
        "records_before": settings.records,
        "seconds": settings.seconds,
        "rounds": settings.rounds,
        **machine(),
    }


def registry_code() -> bytes:
    """Return the creation code of the sample registry, as its kept artefact has it."""
    raw = resources.files("contracts").joinpath("samples", REGISTRY).read_bytes()
    return bytes.fromhex(orjson.loads(raw)["bytecode"].removeprefix("0x"))


class _Bench:
    """One prepared network, the registry on it, and a load of each kind."""

    def __init__(self, settings: EvmSettings, folder: Path, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._loaded = LoadedNetwork(settings.network_toml, folder, settings.clients_per_node)
        self._issuers = self._loaded.issuers()
        self._chain_id = self._loaded.genesis.chain_id
        self._batches: dict[str, list[LoadBatch]] = {}
        self._windows: dict[str, list[Window]] = {kind: [] for kind in KINDS}

    def prepare(self) -> None:
        """Write the first state for every node."""
        self._say(f"{self._settings.records} records")
        department = self._issuers[0].department
        prepare_ledgers(self._loaded.ledgers, self._loaded.genesis, TYPE_CODE, department, self._settings.records)

    def measure(self, engine: str) -> dict[str, Any]:
        """Return the figures: windows of both kinds in turns, then single calls of the registry on the idle network."""
        settings = self._settings
        with self._loaded.supervised(engine) as supervisor:
            wait_until_ready(self._loaded.network, supervisor)
            self._loaded.register_type(self._issuers)
            registry, deployment_gas = self._deploy()
            calls: dict[str, Calls] = {"system": IssueCalls(TYPE_CODE), "evm": RegistryCalls(registry)}
            expected = {"system": settings.expected_system_tx_per_s, "evm": settings.expected_evm_tx_per_s}
            for kind in KINDS:
                self._sign(kind, calls[kind], expected[kind])
            for _ in range(settings.rounds):
                for kind in KINDS:
                    self._load(kind, supervisor)
            singles = single_transactions(
                self._chain_id, self._issuers[0], calls["evm"], 10**9, settings.idle_transactions
            )
            idle_ms = self._loaded.idle_latencies(singles, settings.rest_s)
        figures = {kind: self._figures(kind) for kind in KINDS}
        rates = {kind: figures[kind].pop("tx_per_s") for kind in KINDS}
        gas = {kind: figures[kind].pop("gas_per_s") for kind in KINDS}
        return {
            "evm_tx_per_s": rates["evm"],
            "system_tx_per_s": rates["system"],
            "evm_per_system_tx": round(rates["evm"] / rates["system"], 3),
            "gas_per_s": gas["evm"],
            "evm_latency_p50_ms": percentile(idle_ms, 50),
            "evm_latency_p99_ms": percentile(idle_ms, 99),
            **{f"{kind}_{name}": value for kind in KINDS for name, value in figures[kind].items()},
            "deployment_gas": deployment_gas,
            "validators": len(self._loaded.network.nodes),
        }

    def _deploy(self) -> tuple[bytes, int]:
        """Return address and gas of the registry, deployed by a transaction of an account that may."""
        account = next((one for one in self._loaded.network.accounts if "deployer" in one.roles), None)
        if account is None:
            raise InputError(
                "DEPLOYER_ABSENT",
                f"{self._settings.network_toml} 中没有角色为 deployer 的账户，请添加",
                f"no account in {self._settings.network_toml} has the role deployer: add one",
            )
        key = load_private_key(account.key, account.password_file.read_bytes().strip()).to_bytes()
        sender = Sender(account.department, key)
        identifier, raw = single_transactions(self._chain_id, sender, Deployment(registry_code()), 0, 1)[0]
        connection = RpcConnection(self._loaded.network.nodes[0].http)
        connection.call("gov_sendTransaction", transaction=raw)
        receipt = connection.call(
            "gov_waitReceipt", transaction_id="0x" + identifier.hex(), timeout_ms=LATENCY_LIMIT_MS
        )
        connection.close()
        if receipt is None or receipt["refusal"] is not None:
            raise RuntimeError(f"the registry was not deployed: {receipt}")
        return bytes.fromhex(receipt["output"].removeprefix("0x")), receipt["gas_used"]

    def _sign(self, kind: str, calls: Calls, expected_tx_per_s: int) -> None:
        settings = self._settings
        count = int(expected_tx_per_s * (settings.seconds + settings.rounds * settings.warm_up_s))
        self._say(f"{count} signatures, {kind}")
        self._batches[kind] = sign_load(self._chain_id, self._issuers, calls, settings.records, count)

    def _load(self, kind: str, supervisor: Supervisor) -> None:
        seconds = self._settings.seconds / self._settings.rounds
        self._say(f"{seconds:.1f} s, {kind}")
        window = self._loaded.load_for(seconds, self._batches[kind], supervisor, self._settings.warm_up_s)
        del self._batches[kind][: len(window.load.latencies_ms)]
        self._windows[kind].append(window)

    def _figures(self, kind: str) -> dict[str, Any]:
        windows = self._windows[kind]
        seconds = sum(window.seconds for window in windows)
        committed = self._loaded.count(*windows)
        if committed.refused:
            raise RuntimeError(f"{committed.refused} calls of the {kind} load were refused by their contract")
        latencies = [latency for window in windows for latency in window.load.latencies_ms]
        cpu_s = sum(window.cpu_s for window in windows)
        return {
            "tx_per_s": round(committed.transactions / seconds, 1),
            "gas_per_s": round(committed.gas / seconds),
            "gas_per_tx": round(committed.gas / committed.transactions),
            "loaded_latency_p50_ms": percentile(latencies, 50),
            "loaded_latency_p99_ms": percentile(latencies, 99),
            "cpu_us_per_tx": round(cpu_s / committed.transactions * 1e6, 1),
            "cpu_us_per_tx_by_stage": cpu_us_by_stage(committed.transactions, *windows),
            "transactions_refused": sum(window.load.refused for window in windows),
            "blocks": sum(window.last_height - window.first_height for window in windows),
        }
