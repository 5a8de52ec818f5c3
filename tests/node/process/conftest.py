"""Real networks on loopback: a folder made as operators make it, and one process a node."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from sdk.client import Client
from sdk.network import NetworkFolder, init_network
from sm_crypto.keystore import load_key
from tests.commands import run_program, start_program
from tests.ports import free_ports
from verification.errors import GovnodeError

PLAIN_NODE = Path(__file__).with_name("plain_node.py")
ENDED_S = 90
NAMES = ("node1", "node2", "node3", "node4")
CODES = ("11990100MB0000001T", "11990100MB0000002X", "11990100MB00000031", "11990102MB00000041")


def write_description(path: Path, host: str) -> None:
    ports = free_ports(2 * len(NAMES))
    lines = ['[network]\nname = "测试网络"\nchain_id = 77\n[parameters]\nblock_interval_ms = 10']
    for index, code in enumerate(CODES):
        role = "governor" if index == 0 else "issuer"
        lines.append(
            f'[[departments]]\ncode = "{code}"\nname = "部门{index + 1}"\nregion = "990100"\nlevel = "city"\n'
            f'parent = ""\naccounts = [{{ name = "clerk{index + 1}", roles = ["{role}"] }}]'
        )
    for index, name in enumerate(NAMES):
        lines.append(
            f'[[nodes]]\nname = "{name}"\ndepartment = "{CODES[index]}"\nvalidator = true\n'
            f'p2p = "{host}:{ports[2 * index]}"\nhttp = "{host}:{ports[2 * index + 1]}"\nexplorer = false'
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


class Network:
    """Four validators: start, kill, ask, and wait for what must come."""

    def __init__(self, made: NetworkFolder) -> None:
        self.made = made
        self.folder = made.folder
        self.processes: dict[str, ForkServerProcess] = {}
        account = made.account("clerk2")
        self.signer = load_key(account.key, account.password_file.read_bytes().strip())

    def start(self, *names: str) -> None:
        for name in names:
            node = self.folder / name
            arguments = [str(node / "node.toml")]
            self.processes[name] = start_program(
                PLAIN_NODE, arguments, cwd=self.folder, output=node / "output", errors=node / "node.log"
            )

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.join()

    def end(self, name: str, number: int = signal.SIGTERM) -> int | None:
        process = self.processes.pop(name)
        assert process.pid is not None
        os.kill(process.pid, number)
        process.join(ENDED_S)
        return process.exitcode

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.join()

    def client(self, name: str) -> Client:
        (node,) = [node for node in self.made.nodes if node.name == name]
        return Client(node.url, self.signer)

    def status(self, name: str) -> dict[str, Any] | None:
        """The node's status, None while it does not answer."""
        try:
            with self.client(name) as client:
                return client.status()
        except GovnodeError:
            return None

    def wait(self, condition: Callable[[], bool], *, limit_s: float = 60) -> None:
        """Wait until the condition holds; what never comes fails the test with the logs' ends."""
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                tails = {name: self.log(name)[-5:] for name in NAMES}
                pytest.fail(f"waited {limit_s} s in vain; logs: {tails}")
            time.sleep(0.05)

    def is_meshed(self, *names: str) -> bool:
        """Whether these nodes answer and each is connected to all the others of them."""
        for name in names:
            status = self.status(name)
            if status is None:
                return False
            connected = {peer["name"] for peer in status["peers"] if peer["is_connected"]}
            if not set(names) - {name} <= connected:
                return False
        return True

    def log(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name / "node.log"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [json.loads(line) if line.startswith("{") else {"text": line} for line in lines]


@pytest.fixture
def make_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Network]]:
    """Make a network of four validators on a host; everything it started ends with the test."""
    monkeypatch.delenv("GOVNODE_PASSWORD_FILE", raising=False)
    made: list[Network] = []

    def make(host: str = "127.0.0.1") -> Network:
        description = tmp_path / "network.toml"
        write_description(description, host)
        network = Network(init_network(description, tmp_path / "network", iterations=1_000))
        made.append(network)
        return network

    yield make
    for network in made:
        network.close()


@pytest.fixture
def refused() -> Callable[..., str]:
    """Run a node that cannot start, and return the one line that it says about it."""

    def run(config: Path, *arguments: str, **variables: str) -> str:
        ended = run_program(PLAIN_NODE, str(config), *arguments, variables=variables)
        assert ended.returncode == 1
        said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
        assert len(said) == 1, f"expected one line, found {ended.stderr}"
        assert " / " in said[0], "Chinese and English"
        return said[0]

    return run
