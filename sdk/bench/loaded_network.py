"""Four validators on this machine under a load that was signed beforehand, and what they did meanwhile."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec

from node.genesis_file import load_genesis
from node.ledger.ledger import Ledger
from sdk.bench.load import LoadBatch, LoadResult, RpcConnection, Sender, submit_load
from sdk.client import Client
from sdk.demo_network import make_network, wait_until_ready
from sdk.network import NetworkFolder
from sdk.supervisor import Supervisor
from sm_crypto.keystore import Signer, load_key, load_private_key

TYPE_CODE: Final = "11100000MB03271699001"
GOVERNOR: Final = "data-bureau-governor"
WARM_UP_S: Final = 3.0
REST_S: Final = 3.0
"""After load, before the network counts as idle: the database still sorts what it was given, and delays the first syncs."""
OFF_LOOP_STAGES: Final = ("verify", "index")
"""Stages that run in threads of their own; all others share the event loop's."""
LATENCY_LIMIT_MS: Final = 20_000
FIRST_BLOCK_LIMIT_S: Final = 60.0
BLOCK_POLL_S: Final = 0.1


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


class Committed(msgspec.Struct, frozen=True):
    """What the blocks of a window hold: transactions that succeeded and the gas that they used, and refused ones."""

    transactions: int
    gas: int
    refused: int


class LoadedNetwork:
    """One network in a folder of its own, none of whose nodes keeps an index."""

    def __init__(self, network_toml: Path, folder: Path, clients_per_node: int) -> None:
        """Make the network; nothing runs before supervised()."""
        self.network: NetworkFolder = make_network(network_toml, folder, explorer=False)
        self.genesis = load_genesis(self.network.genesis)
        self._clients_per_node = clients_per_node

    @property
    def ledgers(self) -> list[Path]:
        """The folder of every node's ledger."""
        return [node.config.parent / "data" / "ledger" for node in self.network.nodes]

    def issuers(self) -> list[Sender]:
        """Return department and key of every account that may issue."""
        return [
            Sender(
                account.department,
                load_private_key(account.key, account.password_file.read_bytes().strip()).to_bytes(),
            )
            for account in self.network.accounts
            if "issuer" in account.roles
        ]

    def supervised(self, engine: str) -> Supervisor:
        """Return what runs the nodes with an SM2 engine."""
        environment = {**os.environ, "GOVNODE_SM2_ENGINE": engine}
        return Supervisor(self.network.folder, [node.name for node in self.network.nodes], environment)

    def signer(self, account: str) -> Signer:
        """Return the signer of an account of the network."""
        files = self.network.account(account)
        return load_key(files.key, files.password_file.read_bytes().strip())

    def register_type(self, issuers: Sequence[Sender]) -> None:
        """Let these departments issue certificates of TYPE_CODE."""
        with Client(self.network.nodes[0].url, self.signer(GOVERNOR)) as client:
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
                issuers=[issuer.department for issuer in issuers],
            )

    def load_for(
        self, seconds: float, batches: Sequence[LoadBatch], supervisor: Supervisor, warm_up_s: float = WARM_UP_S
    ) -> Window:
        """Submit `batches` for warm-up and `seconds`, and return what the nodes did in these seconds, at least one block.

        Raise RuntimeError when the batches run out, or no block comes.
        """
        wait_until_ready(self.network, supervisor)
        addresses = [node.http for node in self.network.nodes]
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(submit_load, addresses, batches, self._clients_per_node, seconds + warm_up_s)
            time.sleep(warm_up_s)
            before = self._observe(supervisor)
            time.sleep(seconds)
            after = self._observe(supervisor)
            deadline = time.monotonic() + FIRST_BLOCK_LIMIT_S
            # A machine with other work on it may not have got to a block yet.
            while after["height"] == before["height"] and time.monotonic() < deadline:
                time.sleep(BLOCK_POLL_S)
                after = self._observe(supervisor)
            load = loading.result()
        if len(load.latencies_ms) >= len(batches):
            raise RuntimeError("the load ran out before the time: sign more with a higher expected_tx_per_s")
        if after["height"] == before["height"]:
            raise RuntimeError(f"no block in {FIRST_BLOCK_LIMIT_S:.0f} s under load: look at the nodes' logs")
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
        for node in self.network.nodes:
            connection = RpcConnection(node.http)
            status = connection.call("gov_status")
            connection.close()
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

    def idle_latencies(self, singles: Sequence[tuple[bytes, str]], rest_s: float = REST_S) -> list[float]:
        """Return milliseconds from submitting one transaction (id, 0x hex) on an idle network to its receipt, one by one."""
        latencies = []
        time.sleep(rest_s)
        connection = RpcConnection(self.network.nodes[0].http)
        for identifier, raw in singles:
            time.sleep(0.03)
            started = time.monotonic()
            connection.call("gov_sendTransaction", transaction=raw)
            receipt = connection.call(
                "gov_waitReceipt", transaction_id="0x" + identifier.hex(), timeout_ms=LATENCY_LIMIT_MS
            )
            if receipt is None or receipt["refusal"] is not None:
                raise RuntimeError(f"a single transaction did not become final: {receipt}")
            latencies.append((time.monotonic() - started) * 1000)
        connection.close()
        return latencies

    def count(self, *windows: Window) -> Committed:
        """Return what the blocks of some windows hold, as the first node's ledger has it; no node may run."""
        ledger = Ledger.open(self.ledgers[0], self.genesis)
        try:
            receipts = [
                receipt
                for window in windows
                for height in range(window.first_height + 1, window.last_height + 1)
                for receipt in ledger.receipts(height)
            ]
        finally:
            ledger.close()
        gas = [receipt.gas_used for receipt in receipts if receipt.refusal is None]
        return Committed(len(gas), sum(gas), len(receipts) - len(gas))


def cpu_us_by_stage(transactions: int, *windows: Window) -> dict[str, float]:
    """Return microseconds of CPU a transaction by stage, all nodes together, in some windows with as many transactions."""
    stages = sorted(windows[0].stage_s)
    return {stage: round(sum(window.stage_s[stage] for window in windows) / transactions * 1e6, 1) for stage in stages}


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of values, rounded to a tenth."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 1)


def machine() -> dict[str, Any]:
    """Return the conditions that every result names: processor, cores, Python."""
    return {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()}


def _cpu_seconds(stat: Path) -> float:
    """Return user and system CPU seconds of a process with all its threads, or of one thread (proc(5), fields 14 and 15)."""
    fields = stat.read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
