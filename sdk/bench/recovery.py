"""The recovery bench: four validators on this machine, killed in several ways: how soon the next block is final; and joining anew."""

from __future__ import annotations

import contextlib
import http.client
import os
import platform
import random
import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from node.genesis_file import load_genesis
from sdk.bench.load import RpcConnection
from sdk.bench.snapshot_join import SnapshotJoinSettings, run_snapshot_join_bench
from sdk.client import Client
from sdk.demo_network import make_network, wait_until_ready
from sdk.network import NetworkFolder
from sdk.supervisor import Supervisor
from sm_crypto.keystore import load_key
from verification.errors import GovnodeError

HEADLINES: Final = ("recover_one_back_round_timeouts", "recover_all_killed_round_timeouts", "snapshot_join_ratio")
CLERK: Final = "land-clerk"
POLL_S: Final = 0.01
LOAD_PAUSE_S: Final = 0.05
LOAD_CALLS: Final = 5
CHECKED_RECEIPTS: Final = 40
"""Of the receipts from before a kill, this many are asked of every node afterwards: the newest ones."""
MAX_RUN_BEFORE_KILL_S: Final = 2.0
IN_FLIGHT_S: Final = 1.0
"""What two survivors may still decide, from votes that were on their way when the others died."""
LEVEL_TIMEOUT_S: Final = 60.0
BLOCK_TIMEOUT_S: Final = 180.0


class RecoverySettings(msgspec.Struct, frozen=True):
    """What the bench does; `seed` draws the victims and moments."""

    network_toml: Path
    absence_s: float = 10.0
    absences: int = 4
    long_absence_s: float = 600.0
    repeats: int = 20
    records: int = 200_000
    seed: int = 1


def quick(settings: RecoverySettings) -> RecoverySettings:
    """Return the settings of a run of three minutes: it shows that all is in order, its figures stand on little."""
    return msgspec.structs.replace(settings, absences=1, long_absence_s=30.0, repeats=3, records=20_000)


class Recovery(msgspec.Struct, frozen=True):
    """Seconds until the next block was final, from the start of processes and from when a quorum was up and connected."""

    from_start_s: float
    from_connected_s: float


def run_recovery_bench(settings: RecoverySettings, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the figures of the bench as one object; raise RuntimeError where the chain broke a promise."""
    with tempfile.TemporaryDirectory(prefix="govnode-bench-") as temporary:
        network = make_network(settings.network_toml, Path(temporary) / "network", explorer=False)
        names = [node.name for node in network.nodes]
        with Supervisor(network.folder, names, dict(os.environ)) as supervisor:
            wait_until_ready(network, supervisor)
            with _Bench(settings, network, supervisor, say) as bench:
                figures = bench.measure()
    # With the network gone: the two would slow each other.
    with tempfile.TemporaryDirectory(prefix="govnode-bench-") as temporary:
        joining = run_snapshot_join_bench(Path(temporary), SnapshotJoinSettings(settings.records), say)
    # The figures that stand for the rest come first.
    first = {name: (figures | joining)[name] for name in HEADLINES}
    return {**first, **figures, **joining}


class _Bench:
    """One running network under a light load from one client, and what is done to it."""

    def __init__(
        self, settings: RecoverySettings, network: NetworkFolder, supervisor: Supervisor, say: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._network = network
        self._supervisor = supervisor
        self._say = say
        self._random = random.Random(settings.seed)  # noqa: S311 - draws victims and moments, keeps no secret
        self._names = [node.name for node in network.nodes]
        self._addresses = {node.name: node.http for node in network.nodes}
        parameters = load_genesis(network.genesis).parameters
        self._round_s = (
            parameters.timeout_propose_ms + parameters.timeout_prevote_ms + parameters.timeout_precommit_ms
        ) / 1000
        self._limit_s = parameters.timeout_limit_ms / 1000
        self._quorum = 2 * len(self._names) // 3 + 1
        self._load = _Load(network)

    def __enter__(self) -> _Bench:
        self._load.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._load.stop()

    def measure(self) -> dict[str, Any]:
        """Return all figures: one back after a short and a long absence, then all killed at once."""
        settings = self._settings
        back = [self._kill_two_and_start_one(settings.absence_s) for _ in range(settings.absences)]
        long_back = self._kill_two_and_start_one(settings.long_absence_s)
        killed = [self._kill_all(number) for number in range(settings.repeats)]
        return {
            **_figures("recover_one_back_round_timeouts", back, self._round_s),
            **_figures("recover_long_absence_limit_timeouts", [long_back], self._limit_s),
            **_figures("recover_all_killed_round_timeouts", killed, self._round_s),
            "round_timeout_ms": round(self._round_s * 1000),
            "limit_timeout_ms": round(self._limit_s * 1000),
            "absence_s": settings.absence_s,
            "absences": settings.absences,
            "long_absence_s": settings.long_absence_s,
            "repeats": settings.repeats,
            "seed": settings.seed,
            "receipts_before_kills": len(self._load.final),
            "validators": len(self._names),
            "load_average_1_min": round(os.getloadavg()[0], 2),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        }

    def _kill_two_and_start_one(self, absence_s: float) -> Recovery:
        """Kill two, see that nothing becomes final without them, start one of them, and return how long the next block took."""
        gone = self._random.sample(self._names, 2)
        left = [name for name in self._names if name not in gone]
        self._run_a_while()
        final = self._load.newest_final()
        self._supervisor.kill(*gone)
        self._say(f"-{gone[0]} -{gone[1]}, {absence_s:.0f} s")
        time.sleep(IN_FLIGHT_S)
        height = max(map(self._height, left))
        time.sleep(max(0.0, absence_s - IN_FLIGHT_S))
        if max(map(self._height, left)) > height:
            raise RuntimeError(f"two of four validators made a block above height {height}")
        recovery = self._time_to_next_block([gone[0]], height)
        self._say(f"+{gone[0]}: {recovery.from_start_s:.2f} s / {recovery.from_connected_s:.2f} s")
        self._supervisor.resume(gone[1])
        self._check_same_chain(final)
        return recovery

    def _kill_all(self, number: int) -> Recovery:
        """Kill all at a random moment, start them at once, and return how long the next block took."""
        self._run_a_while()
        final = self._load.newest_final()
        height = max(map(self._height, self._names))
        self._supervisor.kill(*self._names)
        recovery = self._time_to_next_block(self._names, height)
        self._say(
            f"{number + 1}/{self._settings.repeats}: {recovery.from_start_s:.2f} s / {recovery.from_connected_s:.2f} s"
        )
        self._check_same_chain(final)
        return recovery

    def _run_a_while(self) -> None:
        """Let blocks come for a random time, from a network that is whole."""
        wait_until_ready(self._network, self._supervisor)
        count = len(self._load.final)
        _wait(lambda: len(self._load.final) > count, LEVEL_TIMEOUT_S, "a final transaction on the whole network")
        time.sleep(self._random.uniform(0, MAX_RUN_BEFORE_KILL_S))

    def _time_to_next_block(self, started: Sequence[str], height: int) -> Recovery:
        """Start nodes and wait until any node has a block above `height`, the head before."""
        start_s = time.monotonic()
        self._supervisor.resume(*started)
        connected_s = 0.0
        while True:
            statuses = {name: status for name in self._names if (status := self._status(name)) is not None}
            now_s = time.monotonic()
            if not connected_s and self._is_quorum_connected(statuses, started):
                connected_s = now_s
            heights = [status["height"] for status in statuses.values()]
            if heights and max(heights) > height:
                return Recovery(now_s - start_s, now_s - (connected_s or now_s))
            if now_s - start_s > BLOCK_TIMEOUT_S:
                raise RuntimeError(f"no block above height {height} within {BLOCK_TIMEOUT_S:.0f} s of the start")
            time.sleep(POLL_S)

    def _is_quorum_connected(self, statuses: dict[str, dict[str, Any]], started: Sequence[str]) -> bool:
        """Whether so many nodes, one just started among them, each see a quorum, themselves included."""
        seeing = [
            name
            for name, status in statuses.items()
            if 1 + sum(peer["is_connected"] for peer in status["peers"]) >= self._quorum
        ]
        return len(seeing) >= self._quorum and any(name in seeing for name in started)

    def _check_same_chain(self, final: Sequence[_Final]) -> None:
        """Every node has every receipt from before the kill where it was, and the same block and state at every such height."""
        wait_until_ready(self._network, self._supervisor)
        target = max([self._height(name) for name in self._names])
        _wait(
            lambda: min(map(self._height, self._names)) >= target,
            LEVEL_TIMEOUT_S,
            f"every node at height {target}",
        )
        heights = {target, *(receipt.height for receipt in final)}
        for height in heights:
            found = set()
            for name in self._names:
                block = self._call(name, "gov_getBlock", height=height)
                found.add((block["id"], block["state_root"]))
            if len(found) != 1:
                raise RuntimeError(f"the nodes have different blocks at height {height}: {sorted(found)}")
        for receipt in final:
            for name in self._names:
                kept = self._call(name, "gov_getReceipt", transaction_id=receipt.transaction_id)
                if kept is None or (kept["height"], kept["index"]) != (receipt.height, receipt.index):
                    raise RuntimeError(f"{name} lost {receipt.transaction_id}, final at height {receipt.height}")

    def _height(self, name: str) -> int:
        status = self._status(name)
        return 0 if status is None else int(status["height"])

    def _status(self, name: str) -> dict[str, Any] | None:
        """Return what a node says of itself, or None where it does not answer."""
        try:
            status: dict[str, Any] = self._call(name, "gov_status")
        except (OSError, http.client.HTTPException):
            return None
        return status

    def _call(self, name: str, method: str, **params: Any) -> Any:
        connection = RpcConnection(self._addresses[name])
        try:
            return connection.call(method, **params)
        finally:
            connection.close()


class _Final(msgspec.Struct, frozen=True):
    """A transaction that a node has called final: its 0x id and its place."""

    transaction_id: str
    height: int
    index: int


class _Load:
    """One client that always has something to make final, through whichever node answers."""

    def __init__(self, network: NetworkFolder) -> None:
        account = network.account(CLERK)
        signer = load_key(account.key, account.password_file.read_bytes().strip())
        self._clients = [Client(node.url, signer) for node in network.nodes]
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(client,), name="load", daemon=True) for client in self._clients
        ]
        self.final: list[_Final] = []
        """Grows only; appended to by the load's threads."""

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread, client in zip(self._threads, self._clients, strict=True):
            thread.join()
            client.close()

    def newest_final(self) -> list[_Final]:
        """Return what was last called final."""
        return self.final[-CHECKED_RECEIPTS:]

    def _run(self, client: Client) -> None:
        while not self._stopping.wait(LOAD_PAUSE_S):
            # A node that is down, or whose pool is full, is asked again.
            with contextlib.suppress(GovnodeError):
                calls = [
                    client.sign_call("anchors", "anchor", digest=secrets.token_bytes(32), label="恢复")
                    for _ in range(LOAD_CALLS)
                ]
                for outcome in client.outcomes(calls, timeout_ms=5_000):
                    if not isinstance(outcome, GovnodeError):
                        self.final.append(_Final("0x" + outcome.transaction_id.hex(), outcome.height, outcome.index))


def _wait(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(POLL_S)


def _figures(name: str, recoveries: Sequence[Recovery], timeout_s: float) -> dict[str, float]:
    """Return worst and median as multiples of a timeout: bare from the start of the processes, `_connected` from a quorum on."""
    from_connected = [recovery.from_connected_s / timeout_s for recovery in recoveries]
    from_start = [recovery.from_start_s / timeout_s for recovery in recoveries]
    return {
        name: round(max(from_start), 3),
        f"{name}_median": round(statistics.median(from_start), 3),
        f"{name}_connected": round(max(from_connected), 3),
        f"{name}_connected_median": round(statistics.median(from_connected), 3),
    }
