"""The chain bench: four validators on this machine under a pre-signed load of single `issue` transactions."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts.certificates import CERTIFICATES, certificate_key
from contracts.identifiers import make_identifier
from node.genesis_file import load_genesis
from node.ledger.ledger import Ledger
from sdk.bench.crypto_rates import verify_rates
from sdk.bench.load import Issuer, LoadBatch, LoadResult, RpcConnection, sign_load, single_transactions, submit_load
from sdk.bench.prepared_state import copy_ledger, prepare_ledger
from sdk.client import Client
from sdk.demo_network import make_network, wait_until_ready
from sdk.network import NetworkFolder
from sdk.proofs import export_proof, verify_proof
from sdk.supervisor import Supervisor
from sdk.trust import load_trust
from sm_crypto.keystore import load_key, load_private_key

TYPE_CODE: Final = "11100000MB03271699001"
GOVERNOR: Final = "data-bureau-governor"
WARM_UP_S: Final = 3.0
OPENSSL_SHARE: Final = 4
"""The run without the multi-buffer engine takes this fraction of the time of the run with it."""
IDLE_TRANSACTIONS: Final = 100
REST_S: Final = 3.0
"""After load, before the network counts as idle: the database still sorts what it was given, and delays the first syncs."""
PROOF_REPEATS: Final = 50
OFF_LOOP_STAGES: Final = ("verify", "index")
"""Stages that run in threads of their own; all others share the event loop's."""
LATENCY_LIMIT_MS: Final = 20_000


class ChainSettings(msgspec.Struct, frozen=True):
    """How large the bench is; `expected_tx_per_s` bounds how much load is signed beforehand."""

    network_toml: Path
    seconds: float = 60.0
    records: int = 1_000_000
    expected_tx_per_s: int = 4_500
    clients_per_node: int = 4


class Window(msgspec.Struct):
    """What was seen between two moments of a run: heights, wall seconds, and CPU seconds of the nodes in all and by stage.

    The stages add up to the whole: `background` is all threads but the event loop's, the verifier's and the index's
    (LevelDB's compaction), `other` what the event loop did outside every stage.
    """

    first_height: int
    last_height: int
    seconds: float
    cpu_s: float
    stage_s: dict[str, float]
    load: LoadResult


def run_chain_bench(settings: ChainSettings, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the figures of the bench as one object with units in its keys."""
    say("SM2")
    rates = verify_rates()
    with tempfile.TemporaryDirectory(prefix="govnode-bench-") as temporary:
        bench = _Bench(settings, Path(temporary) / "network", say)
        bench.prepare()
        figures = bench.measure(settings.seconds, "multibuffer" if rates["multibuffer"] else "openssl")
        figures |= bench.measure_openssl(settings.seconds / OPENSSL_SHARE) if rates["multibuffer"] else {}
    fastest = rates["multibuffer"] or rates["openssl"] or 1.0
    return {
        **figures,
        "sm2_verify_per_s_openssl": _rounded(rates["openssl"]),
        "sm2_verify_per_s_multibuffer": _rounded(rates["multibuffer"]),
        "committed_per_sm2_verify": round(figures["committed_tx_per_s"] / fastest, 4),
        "records_before": settings.records,
        "seconds": settings.seconds,
        "processor": _processor(),
        "python": platform.python_version(),
    }


class _Bench:
    """One prepared network and its load."""

    def __init__(self, settings: ChainSettings, folder: Path, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._network: NetworkFolder = make_network(settings.network_toml, folder, explorer=False)
        self._genesis = load_genesis(self._network.genesis)
        self._issuers = self._load_issuers()
        self._batches: list[LoadBatch] = []
        self._next_batch = 0
        self._singles: list[tuple[bytes, str]] = []

    def prepare(self) -> None:
        """Write the first state for every node, and sign the load."""
        settings = self._settings
        self._say(f"{settings.records} records")
        folders = [node.config.parent / "data" / "ledger" for node in self._network.nodes]
        prepare_ledger(folders[0], self._genesis, TYPE_CODE, self._issuers[0].department, settings.records)
        for folder in folders[1:]:
            copy_ledger(folders[0], folder)
        share = 1 + 1 / OPENSSL_SHARE
        count = int(settings.expected_tx_per_s * settings.seconds * share)
        self._say(f"{count} signatures")
        self._batches = sign_load(self._genesis.chain_id, self._issuers, TYPE_CODE, settings.records, count)
        first = settings.records + count
        self._singles = single_transactions(
            self._genesis.chain_id, self._issuers[0], TYPE_CODE, first, IDLE_TRANSACTIONS
        )

    def measure(self, seconds: float, engine: str) -> dict[str, Any]:
        """Return the figures of the main run: sustained load, then single transactions on the idle network, then proofs."""
        self._say(f"{seconds:.0f} s, {engine}")
        with self._supervised(engine) as supervisor:
            wait_until_ready(self._network, supervisor)
            self._register_type()
            window = self._load_for(seconds, supervisor)
            idle_ms = self._idle_latencies()
            proof = self._proof_figures()
        committed, added = self._count(window)
        return {
            "committed_tx_per_s": round(committed / window.seconds, 1),
            "latency_p50_ms": _percentile(idle_ms, 50),
            "latency_p99_ms": _percentile(idle_ms, 99),
            "loaded_latency_p50_ms": _percentile(window.load.latencies_ms, 50),
            "loaded_latency_p99_ms": _percentile(window.load.latencies_ms, 99),
            "cpu_us_per_tx": round(window.cpu_s / committed * 1e6, 1),
            "cpu_us_per_tx_by_stage": {
                stage: round(cpu_s / committed * 1e6, 1) for stage, cpu_s in sorted(window.stage_s.items())
            },
            "records_added": added,
            "transactions_refused": window.load.refused,
            "blocks": window.last_height - window.first_height,
            **proof,
            "validators": len(self._network.nodes),
            "cores": os.cpu_count(),
        }

    def measure_openssl(self, seconds: float) -> dict[str, Any]:
        """Return the throughput of a shorter run without the multi-buffer engine, on the same ledger."""
        self._say(f"{seconds:.0f} s, openssl")
        with self._supervised("openssl") as supervisor:
            window = self._load_for(seconds, supervisor)
        committed, _ = self._count(window)
        return {"committed_tx_per_s_openssl": round(committed / window.seconds, 1)}

    def _supervised(self, engine: str) -> Supervisor:
        environment = {**os.environ, "GOVNODE_SM2_ENGINE": engine}
        return Supervisor(self._network.folder, [node.name for node in self._network.nodes], environment)

    def _load_issuers(self) -> list[Issuer]:
        accounts = [account for account in self._network.accounts if "issuer" in account.roles]
        return [
            Issuer(
                account.department,
                load_private_key(account.key, account.password_file.read_bytes().strip()).to_bytes(),
            )
            for account in accounts
        ]

    def _register_type(self) -> None:
        account = self._network.account(GOVERNOR)
        signer = load_key(account.key, account.password_file.read_bytes().strip())
        with Client(self._network.nodes[0].url, signer) as client:
            client.call(
                "certificates",
                "register_type",
                code=TYPE_CODE,
                name="不动产权证书",
                defining_body="自然资源部",
                defining_level="national",
                holder_category="person",
                validity_range="",
                issuing_level="city",
                certificate_class="certificate",
                code_table="default",
                issuers=[issuer.department for issuer in self._issuers],
            )

    def _load_for(self, seconds: float, supervisor: Supervisor) -> Window:
        """Submit load for warm-up and `seconds`, and return what the nodes did in these seconds."""
        wait_until_ready(self._network, supervisor)
        addresses = [node.http for node in self._network.nodes]
        total = seconds + WARM_UP_S
        batches = self._batches[self._next_batch :]
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(submit_load, addresses, batches, self._settings.clients_per_node, total)
            time.sleep(WARM_UP_S)
            before = self._observe(supervisor)
            time.sleep(seconds)
            after = self._observe(supervisor)
            load = loading.result()
        if len(load.latencies_ms) >= len(batches):
            raise RuntimeError("the load ran out before the time: sign more with a higher expected_tx_per_s")
        self._next_batch += len(load.latencies_ms)
        return Window(
            before["height"],
            after["height"],
            after["at_s"] - before["at_s"],
            after["cpu_s"] - before["cpu_s"],
            {stage: after["stages"][stage] - value for stage, value in before["stages"].items()},
            load,
        )

    def _observe(self, supervisor: Supervisor) -> dict[str, Any]:
        """Return height, moment, and the CPU seconds of all nodes so far."""
        cpu_s, loop_s, stages = 0.0, 0.0, dict[str, float]()
        height = 0
        for node in self._network.nodes:
            status = RpcConnection(node.http).call("gov_status")
            height = max(height, status["height"])
            for stage, value in status["cpu_seconds_by_stage"].items():
                stages[stage] = stages.get(stage, 0.0) + value
            process_id = supervisor.process_id(node.name)
            cpu_s += _cpu_seconds(Path(f"/proc/{process_id}/stat"))
            loop_s += _cpu_seconds(Path(f"/proc/{process_id}/task/{process_id}/stat"))
        off_loop_s = sum(stages[stage] for stage in OFF_LOOP_STAGES)
        stages["background"] = cpu_s - loop_s - off_loop_s
        stages["other"] = cpu_s - sum(stages.values())
        return {"height": height, "at_s": time.monotonic(), "cpu_s": cpu_s, "stages": stages}

    def _idle_latencies(self) -> list[float]:
        """Return milliseconds from submitting one transaction on an idle network to its receipt, one by one."""
        latencies = []
        time.sleep(REST_S)
        connection = RpcConnection(self._network.nodes[0].http)
        for identifier, raw in self._singles:
            time.sleep(0.03)
            started = time.monotonic()
            connection.call("gov_sendTransaction", transaction=raw)
            receipt = connection.call(
                "gov_waitReceipt", transaction_id="0x" + identifier.hex(), timeout_ms=LATENCY_LIMIT_MS
            )
            if receipt is None or receipt["refusal"] is not None:
                raise RuntimeError(f"a single transaction did not become final: {receipt}")
            latencies.append((time.monotonic() - started) * 1000)
        return latencies

    def _proof_figures(self) -> dict[str, Any]:
        """Return size and verification time of the proof of one record among the million."""
        trust = load_trust(self._network.trust)
        with Client(self._network.nodes[0].url) as client:
            identifier = make_identifier(TYPE_CODE, self._issuers[0].department, f"{0:010d}", "001")
            raw = export_proof(client, certificate_key(identifier))
        times = []
        for _ in range(PROOF_REPEATS):
            started = time.perf_counter()
            verdict = verify_proof(raw, None, trust, time.time_ns() // 1_000_000)
            times.append((time.perf_counter() - started) * 1000)
        if not verdict.is_accepted:
            raise RuntimeError(f"the proof does not verify: {verdict.en}")
        return {"proof_verify_ms": round(statistics.median(times), 3), "proof_bytes": len(raw)}

    def _count(self, window: Window) -> tuple[int, int]:
        """Return how many transactions of the window succeeded, and how many records the run has added to the state in all."""
        ledger = Ledger.open(self._network.nodes[0].config.parent / "data" / "ledger", self._genesis)
        try:
            committed = sum(
                receipt.refusal is None
                for height in range(window.first_height + 1, window.last_height + 1)
                for receipt in ledger.receipts(height)
            )
            records = sum(1 for _ in ledger.state().iterate(CERTIFICATES.prefix))
        finally:
            ledger.close()
        return committed, records - self._settings.records


def _percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 1)


def _cpu_seconds(stat: Path) -> float:
    """Return user and system CPU seconds of a process with all its threads, or of one thread (proc(5), fields 14 and 15)."""
    fields = stat.read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)
