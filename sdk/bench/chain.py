"""The chain bench: four validators on this machine under a pre-signed load of single `issue` transactions."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts.certificate_records import CERTIFICATES, certificate_key
from contracts.identifiers import make_identifier
from node.ledger.ledger import Ledger
from sdk.bench.crypto_rates import verify_rates
from sdk.bench.load import IssueCalls, LoadBatch, sign_load, single_transactions
from sdk.bench.loaded_network import TYPE_CODE, LoadedNetwork, Window, cpu_us_by_stage, machine, percentile
from sdk.bench.prepared_state import prepare_ledgers
from sdk.client import Client
from sdk.demo_network import wait_until_ready
from sdk.proofs import export_proof
from sdk.supervisor import Supervisor
from sdk.trust import load_trust
from verification.proofs import verify_proof

OPENSSL_SHARE: Final = 4
"""The run without the multi-buffer engine takes this fraction of the time of the run with it."""
IDLE_TRANSACTIONS: Final = 100
PROOF_REPEATS: Final = 50


class ChainSettings(msgspec.Struct, frozen=True):
    """How large the bench is; `expected_tx_per_s` bounds how much load is signed beforehand."""

    network_toml: Path
    seconds: float = 60.0
    records: int = 1_000_000
    expected_tx_per_s: int = 4_500
    clients_per_node: int = 4


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
        **machine(),
    }


class _Bench:
    """One prepared network and its load."""

    def __init__(self, settings: ChainSettings, folder: Path, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._loaded = LoadedNetwork(settings.network_toml, folder, settings.clients_per_node)
        self._issuers = self._loaded.issuers()
        self._batches: list[LoadBatch] = []
        self._next_batch = 0
        self._singles: list[tuple[bytes, str]] = []

    def prepare(self) -> None:
        """Write the first state for every node, and sign the load."""
        settings, genesis = self._settings, self._loaded.genesis
        self._say(f"{settings.records} records")
        prepare_ledgers(self._loaded.ledgers, genesis, TYPE_CODE, self._issuers[0].department, settings.records)
        share = 1 + 1 / OPENSSL_SHARE
        count = int(settings.expected_tx_per_s * settings.seconds * share)
        self._say(f"{count} signatures")
        calls = IssueCalls(TYPE_CODE)
        self._batches = sign_load(genesis.chain_id, self._issuers, calls, settings.records, count)
        first = settings.records + count
        self._singles = single_transactions(genesis.chain_id, self._issuers[0], calls, first, IDLE_TRANSACTIONS)

    def measure(self, seconds: float, engine: str) -> dict[str, Any]:
        """Return the figures of the main run: sustained load, then single transactions on the idle network, then proofs."""
        self._say(f"{seconds:.0f} s, {engine}")
        with self._loaded.supervised(engine) as supervisor:
            wait_until_ready(self._loaded.network, supervisor)
            self._loaded.register_type(self._issuers)
            window = self._load_for(seconds, supervisor)
            idle_ms = self._loaded.idle_latencies(self._singles)
            proof = self._proof_figures()
        committed = self._loaded.count(window).transactions
        return {
            "committed_tx_per_s": round(committed / window.seconds, 1),
            "latency_p50_ms": percentile(idle_ms, 50),
            "latency_p99_ms": percentile(idle_ms, 99),
            "loaded_latency_p50_ms": percentile(window.load.latencies_ms, 50),
            "loaded_latency_p99_ms": percentile(window.load.latencies_ms, 99),
            "cpu_us_per_tx": round(window.cpu_s / committed * 1e6, 1),
            "cpu_us_per_tx_by_stage": cpu_us_by_stage(committed, window),
            "records_added": self._records_added(),
            "transactions_refused": window.load.refused,
            "blocks": window.last_height - window.first_height,
            **proof,
            "validators": len(self._loaded.network.nodes),
        }

    def measure_openssl(self, seconds: float) -> dict[str, Any]:
        """Return the throughput of a shorter run without the multi-buffer engine, on the same ledger."""
        self._say(f"{seconds:.0f} s, openssl")
        with self._loaded.supervised("openssl") as supervisor:
            window = self._load_for(seconds, supervisor)
        committed = self._loaded.count(window).transactions
        return {"committed_tx_per_s_openssl": round(committed / window.seconds, 1)}

    def _load_for(self, seconds: float, supervisor: Supervisor) -> Window:
        window = self._loaded.load_for(seconds, self._batches[self._next_batch :], supervisor)
        self._next_batch += len(window.load.latencies_ms)
        return window

    def _proof_figures(self) -> dict[str, Any]:
        """Return size and verification time of the proof of one record among the million."""
        trust = load_trust(self._loaded.network.trust)
        with Client(self._loaded.network.nodes[0].url) as client:
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

    def _records_added(self) -> int:
        """Return how many certificates the run has added to the state in all."""
        ledger = Ledger.open(self._loaded.ledgers[0], self._loaded.genesis)
        try:
            return sum(1 for _ in ledger.state().iterate(CERTIFICATES.prefix)) - self._settings.records
        finally:
            ledger.close()


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)
