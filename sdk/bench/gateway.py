"""The gateway bench: one data service read directly and through a gateway in turn, with kills, and what reads cost on chain and disk."""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts.data_sharing.conditions import MASK, Conditions, Mask
from contracts.data_sharing.resources import CONDITIONAL, GENERAL, ResourceDescription, ResourceItem
from contracts.data_sharing.working_days import DAY_MS
from node.config import parse_address
from sdk.access_recording.read_store import ReadStore
from sdk.bench.gateway_load import LoadFigures, drive
from sdk.bench.gateway_service import ITEMS
from sdk.bench.loaded_network import machine
from sdk.client import Client
from sdk.demo_network import free_address, make_network, wait_until_ready
from sdk.errors import RequestRefused
from sdk.gateway.consumer import GatewayConsumer
from sdk.supervisor import Supervisor
from sdk.system_contracts.access import Access
from sm_crypto.keystore import Signer, load_key
from sm_crypto.merkle import leaf_hash, merkle_root
from sm_crypto.sm2 import multibuffer_available
from verification.access.reads import decode_read, read_digest
from verification.errors import GovnodeError

HEADLINES: Final = ("throughput_ratio", "latency_p50_ratio", "records_per_s")
PROVIDER, CONSUMER = "land-clerk", "housing-clerk"
RESOURCE: Final = "307099001/000001"
PURPOSE: Final = "测量网关"
COLUMNS: Final = ITEMS[:6]
ROUNDS: Final = 3
"""Of each kind, in turn: what else the machine does falls on both alike."""
SINGLE_SHARE: Final = 20
"""One read in so many is made by a single reader, for the latency without a queue."""
KILLS: Final = 2
START_S: Final = 60.0
ANCHOR_S: Final = 300.0
_MEBIBYTE: Final = 1 << 20

Say = Callable[[str], None]


class GatewaySettings(msgspec.Struct, frozen=True):
    """How much is measured: the network's description, reads through the gateway in all, and readers at a time."""

    config: Path
    reads: int = 100_000
    readers: int = 32


def run_gateway_bench(settings: GatewaySettings, say: Say) -> dict[str, Any]:
    """Return the figures as one object with units in its keys; raise RuntimeError where a read that was answered is not on the ledger.

    `throughput_ratio` and `latency_p50_ratio` are the gateway's over those of the same service without it, from rounds in turn; the
    latter with one reader at a time. `records_per_s` are reads through the gateway that are on the ledger, over the whole time from
    the first read to the last batch, without the rounds with kills.
    """
    with tempfile.TemporaryDirectory(prefix="govnode-bench-") as temporary:
        folder = Path(temporary)
        bench = _Bench(settings, folder, say)
        say("a network of four validators")
        with bench.running():
            steady = bench.steady()
            killed = bench.killed(settings.reads // 3)
            figures = {**steady, **killed, **bench.compared()}
        return {
            **figures,
            "reads": settings.reads,
            "readers": settings.readers,
            "columns": len(COLUMNS),
            "multibuffer": multibuffer_available(),
            **machine(),
        }


class _Bench:
    """A network, a data service, and the gateway before it, all as processes."""

    def __init__(self, settings: GatewaySettings, folder: Path, say: Say) -> None:
        self._settings, self._folder, self._say = settings, folder, say
        self._network = make_network(settings.config, folder / "network", explorer=False)
        self._supervisor = Supervisor(
            self._network.folder, [node.name for node in self._network.nodes], dict(os.environ)
        )
        self._service = f"http://{free_address('127.0.0.1:0')}"
        self._gateway = f"http://{free_address('127.0.0.1:0')}"
        self._store = folder / "reads.sqlite"
        self._node = next(
            one for one in self._network.nodes if one.department == self._network.account(PROVIDER).department
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._answered: list[int] = []
        self._lost = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run everything for the time of the block."""
        with self._supervisor, contextlib.ExitStack() as stack:
            wait_until_ready(self._network, self._supervisor)
            port = self._service.rpartition(":")[2]
            command = [sys.executable, "-m", "sdk.bench.gateway_service", port, str(self._folder / "houses.sqlite")]
            service = subprocess.Popen(command)
            stack.callback(_end, service)
            grant = self._share()
            self._write_settings()
            self._start_gateway()
            stack.callback(self._stop_gateway)
            _wait_for(self._service)
            client = stack.enter_context(Client(self._network.nodes[0].url, self._signer(CONSUMER)))
            consumer = GatewayConsumer(self._gateway, client, self._signer(CONSUMER), grant, "bench")
            self._consumer = stack.enter_context(consumer)
            self._lock = threading.Lock()
            yield

    def steady(self) -> dict[str, Any]:
        """Return throughput and latency of both kinds, and what reads took on disk and chain, without kills."""
        reads = self._settings.reads * 2 // 3 // ROUNDS
        single = max(20, reads // SINGLE_SHARE)
        ledger, batches = self._ledger_bytes(), self._batches()
        began_s, before = time.perf_counter(), len(self._answered)
        direct, through, single_direct, single_through = [], [], [], []
        drive(self._service, single, 4)
        self._through(single, 4)
        for number in range(ROUNDS):
            self._say(f"round {number + 1} of {ROUNDS}")
            direct.append(drive(self._service, reads, self._settings.readers))
            through.append(self._through(reads, self._settings.readers))
            single_direct.append(drive(self._service, single, 1))
            single_through.append(self._through(single, 1))
        self._wait_until_anchored()
        seconds = time.perf_counter() - began_s - sum(one.seconds for one in (*direct, *single_direct))
        recorded, grown = len(self._answered) - before, self._ledger_bytes() - ledger
        plain, gated = _rate(direct), _rate(through)
        return {
            "throughput_ratio": round(gated / plain, 3),
            "latency_p50_ratio": round(_p50(single_through) / _p50(single_direct), 2),
            "records_per_s": round(recorded / seconds),
            "reads_per_s": round(gated),
            "service_reads_per_s": round(plain),
            "latency_p50_ms": round(_p50(single_through), 2),
            "service_latency_p50_ms": round(_p50(single_direct), 2),
            "loaded_latency_p50_ms": round(_p50(through), 2),
            "service_loaded_latency_p50_ms": round(_p50(direct), 2),
            "chain_mb_per_million": round(grown / recorded * 1e6 / _MEBIBYTE, 1),
            # With a block of its own each: what a heartbeat costs too.
            "chain_kb_per_batch": round(grown / max(1, self._batches() - batches) / 1_024, 1),
        }

    def killed(self, reads: int) -> dict[str, Any]:
        """Return what became of reads while the gateway and its node were killed with SIGKILL."""
        self._say(f"{reads} reads with {KILLS} kills of the gateway and one of its node")
        part = max(1, reads // (KILLS + 2))
        for kill in range(KILLS + 1):
            # The kill falls into the reads: half of them come after it.
            ended = threading.Timer(0.3, self._kill_node if kill == KILLS else self._kill_gateway)
            ended.start()
            self._through(part, self._settings.readers)
            ended.join()
        if not self._supervisor.is_running(self._node.name):
            self._supervisor.resume(self._node.name)
        self._through(reads - (KILLS + 1) * part, self._settings.readers)
        return {"gateway_kills": KILLS, "node_kills": 1, "reads_without_answer": self._lost}

    def compared(self) -> dict[str, Any]:
        """Compare every read of the store with the ledger, and every answer with the store; raise RuntimeError where one differs."""
        self._say("comparing every read with the ledger")
        self._wait_until_anchored()
        self._stop_gateway()
        signer = self._signer(PROVIDER)
        department = self._network.account(PROVIDER).department
        store = ReadStore(self._store, department, signer.address, 0)
        try:
            with Client(self._network.nodes[0].url) as client:
                access = Access(client)
                stream = access.stream(department=department, recorder=signer.address)
                for number in range(1, stream.batch_number + 1):
                    batch = access.batch(department=department, recorder=signer.address, batch_number=number)
                    raws = store.encoded_reads(batch.first_number, batch.first_number + batch.count - 1)
                    leaves = [leaf_hash(read_digest(decode_read(raw))) for raw in raws]
                    if len(raws) != batch.count or batch.root != merkle_root(leaves):
                        raise RuntimeError(f"batch {number} is not what the store has")
            tip = store.tip().number
        finally:
            store.close()
        if len(set(self._answered)) != len(self._answered) or not set(self._answered) <= set(range(1, tip + 1)):
            raise RuntimeError("a read that was answered is in the store twice, or not at all")
        if stream.number != tip:
            raise RuntimeError(f"the ledger ends at read {stream.number}, the store at {tip}")
        return {
            "answered": len(self._answered),
            "answered_on_ledger": len(self._answered),
            "recorded": tip,
            "batches": stream.batch_number,
            # The file alone, as it is once the write-ahead log is in it.
            "store_mb_per_million": round(self._store.stat().st_size / tip * 1e6 / _MEBIBYTE, 1),
        }

    def _through(self, reads: int, readers: int) -> LoadFigures:
        figures = drive(self._gateway, reads, readers, self._find_token)
        self._answered += figures.numbers
        self._lost += figures.lost
        return figures

    def _find_token(self) -> str:
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                with self._lock:
                    return self._consumer.renewed_token()
            except GovnodeError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.1)

    def _share(self) -> bytes:
        """Publish the resource and return the consumer's grant of it: some columns, one masked."""
        now_ms = time.time_ns() // 1_000_000
        resource = ResourceDescription(
            code=RESOURCE,
            name="房屋权利人",
            summary="测量网关所用",
            format="JSON",
            items=tuple(ResourceItem(name, "C") for name in ITEMS),
            sharing_type=CONDITIONAL,
            sharing_basis="测量",
            sharing_method="接口查询",
            update_cycle=1,
            data_class=GENERAL,
        )
        url = self._network.nodes[0].url
        with Client(url, self._signer(PROVIDER)) as provider, Client(url, self._signer(CONSUMER)) as consumer:
            provider.call("catalogue", "publish", resource=resource, replaces=0)
            grant = consumer.call(
                "sharing",
                "request",
                resource=RESOURCE,
                purpose=PURPOSE,
                legal_basis="测量",
                items=list(COLUMNS),
                case_types=[],
                rows_per_day=0,
                from_ms=now_ms - DAY_MS,
                to_ms=now_ms + DAY_MS,
            ).transaction_id
            conditions = Conditions(COLUMNS, (Mask("联系电话", MASK, 3, 4),), max_rows_per_read=100)
            provider.call("sharing", "grant", request=grant, conditions=conditions, to_ms=now_ms + DAY_MS)
        wait_until_ready(self._network, self._supervisor)
        return bytes(grant)

    def _signer(self, account: str) -> Signer:
        files = self._network.account(account)
        return load_key(files.key, files.password_file.read_bytes().strip())

    def _write_settings(self) -> None:
        files = self._network.account(PROVIDER)
        said = [
            ("listen", self._gateway.removeprefix("http://")),
            ("service", self._service),
            ("node", self._node.url),
            ("key", files.key),
            ("password_file", files.password_file),
            ("store", self._store),
        ]
        route = [("method", "GET"), ("path", "/houses/{number}"), ("resource", RESOURCE), ("rows", "rows")]
        lines = [f'{name} = "{value}"' for name, value in said]
        lines += ["[[routes]]", *(f'{name} = "{value}"' for name, value in route)]
        (self._folder / "gateway.toml").write_text("\n".join(lines) + "\n", "utf-8")

    def _start_gateway(self) -> None:
        config = str(self._folder / "gateway.toml")
        command = [sys.executable, "-m", "sdk.cli.main", "gateway", "--config", config]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _wait_for(self._gateway)

    def _stop_gateway(self) -> None:
        if self._process is not None:
            _end(self._process)
            self._process = None

    def _kill_gateway(self) -> None:
        assert self._process is not None, "it runs"
        self._process.kill()
        self._process.wait()
        self._start_gateway()

    def _kill_node(self) -> None:
        self._supervisor.kill(self._node.name)
        time.sleep(1.0)
        self._supervisor.resume(self._node.name)

    def _wait_until_anchored(self) -> None:
        department, recorder = self._network.account(PROVIDER).department, self._signer(PROVIDER).address
        last, deadline_s = max(self._answered), time.monotonic() + ANCHOR_S
        with Client(self._network.nodes[0].url) as client:
            while True:
                stream = Access(client).stream(department=department, recorder=recorder)
                if stream.number >= last:
                    return
                if time.monotonic() > deadline_s:
                    raise RuntimeError(f"the ledger has reads to {stream.number}, not to {last}")
                time.sleep(0.1)

    def _batches(self) -> int:
        department, recorder = self._network.account(PROVIDER).department, self._signer(PROVIDER).address
        try:
            with Client(self._network.nodes[0].url) as client:
                return Access(client).stream(department=department, recorder=recorder).batch_number
        except RequestRefused:
            return 0

    def _ledger_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self._node.config.parent / "data").rglob("*") if path.is_file())


def _rate(rounds: list[LoadFigures]) -> float:
    return statistics.median(len(one.latencies_ms) / one.seconds for one in rounds)


def _p50(rounds: list[LoadFigures]) -> float:
    return statistics.median(value for one in rounds for value in one.latencies_ms)


def _wait_for(url: str) -> None:
    """Return once something listens at an address; raise RuntimeError."""
    address, deadline_s = parse_address(url.removeprefix("http://")), time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), socket.create_connection((address.host, address.port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens at {url}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
