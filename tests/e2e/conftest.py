"""One real network of four departments for all tests here: a folder as operators make it, four processes, one supervisor."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.config import load_network_file
from sdk.certificates import load_types, register_types
from sdk.client import Client
from sdk.demo_network import wait_until_ready
from sdk.errors import SdkError
from sdk.network import NetworkFolder, init_network
from sdk.supervisor import Supervisor
from sm_crypto.keystore import Signer, load_key
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
KEY_ITERATIONS = 1_000
CATCH_UP_S = 60.0
COMMAND_S = 90.0
"""Both end what hangs; on a busy machine a process alone takes ten seconds to start."""
LAND = "11990100MB0000002X"
"""The department that runs whatever node is added."""


def describe(folder: Path, host: str = "127.0.0.1") -> Path:
    """Write the project's network description with addresses of `host` that are free."""
    text = (ROOT / "network.toml").read_text("utf-8")
    nodes = load_network_file(ROOT / "network.toml").nodes
    addresses = [address for node in nodes for address in (node.p2p, node.http)]
    for address, port in zip(addresses, free_ports(len(addresses)), strict=True):
        text = text.replace(f'"{address}"', f'"{host}:{port}"')
    path = folder / "network.toml"
    path.write_text(text, "utf-8")
    return path


class Network:
    """The running network, and what tests do with it."""

    def __init__(self, made: NetworkFolder, supervisor: Supervisor) -> None:
        self.made = made
        self.supervisor = supervisor
        self.names = [node.name for node in made.nodes]
        self._signers: dict[str, Signer] = {}

    def url(self, index: int = 0) -> str:
        return self.made.nodes[index].url

    def signer(self, account: str) -> Signer:
        if account not in self._signers:
            files = self.made.account(account)
            self._signers[account] = load_key(files.key, files.password_file.read_bytes().strip())
        return self._signers[account]

    def client(self, account: str | None = None, index: int = 0) -> Client:
        return Client(self.url(index), None if account is None else self.signer(account))

    def secret(self, account: str) -> bytes:
        return bytes.fromhex(self.made.account(account).holder_secret.read_text("ascii").strip())

    def account_options(self, account: str, index: int = 0) -> list[str]:
        files = self.made.account(account)
        options = ["--key", str(files.key), "--password-file", str(files.password_file)]
        return ["--url", self.url(index), *options]

    def run(self, *arguments: str, status: int = 0) -> Any:
        """Run one command with --json and return what it printed; what it printed on standard error when it failed."""
        ended = subprocess.run(
            [sys.executable, "-m", "sdk.cli.main", *arguments, "--json"],
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            cwd=self.made.folder,
        )
        assert ended.returncode == status, f"{arguments}: {ended.stdout} {ended.stderr}"
        assert "Traceback" not in ended.stderr
        return json.loads(ended.stdout or ended.stderr)

    def wait(self, condition: Callable[[], bool], what: str, limit_s: float = CATCH_UP_S) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                tails = {name: self.supervisor.log_tail(name, 3) for name in self.names}
                pytest.fail(f"{what}: waited {limit_s} s in vain; logs: {tails}")
            time.sleep(0.05)

    def height(self, index: int) -> int:
        try:
            with self.client(index=index) as client:
                return int(client.status()["height"])
        except SdkError:
            return -1

    def wait_until_level(self, height: int = 0) -> int:
        """Return a height that every node has, at least `height`."""
        target = max(height, *(self.height(index) for index in range(len(self.names))))
        self.wait(lambda: min(map(self.height, range(len(self.names)))) >= target, f"every node at height {target}")
        return target

    def roots(self, height: int) -> set[tuple[str, str]]:
        """What the nodes say that the block and the state of a height are: one pair when they agree."""
        found = set()
        for index in range(len(self.names)):
            with self.client(index=index) as client:
                block = client.rpc("gov_getBlock", height=height)
            found.add((block["id"], block["state_root"]))
        return found

    def post(self, body: bytes, index: int = 0) -> httpx.Response:
        """Send raw bytes to the JSON-RPC side of a node."""
        return httpx.post(self.url(index) + "/rpc", content=body, timeout=60, trust_env=False)

    def make_heavy_block(self, index: int) -> None:
        """Make a large block final through a node: the contract refuses labels that long, but they stand in the block all the same."""
        with self.client("land-clerk", index) as client:
            digests = [secrets.token_bytes(32) for _ in range(5)]
            client.outcomes([client.sign_call("anchors", "anchor", digest=one, label="x" * 90_000) for one in digests])

    def heal(self) -> None:
        """Start again what a test left down, and wait until all are there."""
        for name in self.names:
            if not self.supervisor.is_running(name):
                self.supervisor.resume(name)
        wait_until_ready(self.made, self.supervisor)


class FifthNode:
    """One more node of the network, made as operators make it, and its process."""

    def __init__(self, network: Network, name: str) -> None:
        self.network = network
        self.name = name
        addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
        options = ["--network", str(network.made.folder), "--department", LAND, "--p2p", addresses[0]]
        self.added = network.run("network", "add-node", name, *options, "--http", addresses[1])
        self.folder = network.made.folder / name
        self.supervisor = Supervisor(network.made.folder, [name], node_environment())

    def status(self) -> dict[str, Any]:
        try:
            with Client(self.added["url"]) as client:
                return client.status()
        except SdkError:
            return {"height": -1, "peers": [], "is_validator": False, "is_voting": False}

    def wait_for(self, height: int) -> None:
        self.network.wait(lambda: self.status()["height"] >= height, f"{self.name} at height {height}")


def node_environment() -> dict[str, str]:
    """What nodes run with: nothing of this shell's own settings for govnode."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GOVNODE_")}


@pytest.fixture(scope="session")
def make_fifth(running_network: Network) -> Callable[[str], FifthNode]:
    """Return a function that makes one more node of a name; its supervisor starts and ends it."""
    return lambda name: FifthNode(running_network, name)


@pytest.fixture(scope="session")
def running_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("a network")
    made = init_network(describe(folder), folder / "four departments", iterations=KEY_ITERATIONS)
    with Supervisor(made.folder, [node.name for node in made.nodes], node_environment()) as supervisor:
        network = Network(made, supervisor)
        wait_until_ready(made, supervisor)
        with network.client("data-bureau-governor") as governor:
            for outcome in register_types(governor, load_types(SAMPLES / "certificate-types.csv")):
                assert outcome.error is None
        yield network


@pytest.fixture
def network(running_network: Network) -> Network:
    """The network with all its nodes up; whatever an earlier test took down is started again."""
    running_network.heal()
    return running_network
