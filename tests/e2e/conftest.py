"""One real network of four departments for all tests here: a folder as operators make it, four processes, one supervisor."""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts import registry
from contracts.abi import keccak256, selector
from sdk.certificates import load_types, register_types
from sdk.client import Client, SignedCall
from sdk.demo_network import make_network, wait_until_ready
from sdk.errors import CallRefused
from sdk.network import NetworkFolder, init_network
from sdk.supervisor import Supervisor
from sm_crypto.keystore import Signer, load_key
from tests.commands import run_command
from tests.ports import describe_network, free_ports
from verification.errors import GovnodeError

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
KEY_ITERATIONS = 1_000
CATCH_UP_S = 60.0
"""Ends what hangs; on a busy machine a process alone takes ten seconds to start."""
ANSWER_S = 90.0
"""For a node that loads what it needs for the first time, beside three others and other tests."""
CLIENTS = Path(__file__).parent / "clients"
INSTALL_S = 120.0
FIRST_DEPLOYMENT_MS = 60_000
LAND = "11990100MB0000002X"
"""The department that runs whatever node is added."""


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
        signer = None if account is None else self.signer(account)
        return Client(self.url(index), signer, timeout_s=ANSWER_S)

    def secret(self, account: str) -> bytes:
        return bytes.fromhex(self.made.account(account).holder_secret.read_text("ascii").strip())

    def account_options(self, account: str, index: int = 0) -> list[str]:
        files = self.made.account(account)
        options = ["--key", str(files.key), "--password-file", str(files.password_file)]
        return ["--url", self.url(index), *options]

    def run(self, *arguments: str, status: int = 0) -> Any:
        """Run one command with --json and return what it printed; what it printed on standard error when it failed."""
        ended = run_command(*arguments, "--json", cwd=self.made.folder)
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
        except GovnodeError:
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
        return httpx.post(self.url(index) + "/rpc", content=body, timeout=60, trust_env=False, verify=False)

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
        except GovnodeError:
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
    made = init_network(describe_network(folder), folder / "four departments", iterations=KEY_ITERATIONS)
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


@pytest.fixture
def own_network(tmp_path: Path) -> Iterator[Network]:
    """A network that no other test uses, as the demonstration has one: without streams of access records."""
    made = make_network(describe_network(tmp_path), tmp_path / "network")
    with Supervisor(made.folder, [node.name for node in made.nodes], node_environment()) as supervisor:
        wait_until_ready(made, supervisor)
        yield Network(made, supervisor)


class Registry:
    """The sample registry, deployed on the network, with one entry and one refused call: what clients are asked to find."""

    def __init__(self, network: Network) -> None:
        self.network = network
        artefact = json.loads((ROOT / "contracts" / "samples" / "Registry.json").read_bytes())
        self.abi, self.runtime_code = artefact["abi"], artefact["deployedBytecode"]
        self.chain_id = network.made.chain_id
        self.key, self.digest = secrets.token_bytes(32), secrets.token_bytes(32)
        with network.client("data-bureau-deployer") as deployer:
            made = deployer.sign_data(None, bytes.fromhex(artefact["bytecode"][2:]))
            # The first deployment loads what runs EVM code, on every node of a machine that may be busy.
            receipt = deployer.submit([made], timeout_ms=FIRST_DEPLOYMENT_MS)[0]
        self.address = bytes.fromhex(receipt.output[2:])
        self.deployed = {"hash": _hex(made.id), "height": receipt.height}
        with network.client("land-clerk") as clerk:
            self.holder = clerk.address
            first, again = (self.sign(self.key, self.digest) for _ in range(2))
            height = clerk.submit([first])[0].height
            with pytest.raises(CallRefused) as refused:
                clerk.submit([again])
            assert refused.value.code == "REVERTED"
            block = clerk.rpc("gov_getBlock", height=height)
        self.registered = {"hash": _hex(first.id), "height": height, "blockHash": block["id"]}
        self.refused = {"hash": _hex(again.id), "height": refused.value.height}
        network.wait_until_level(refused.value.height)

    def sign(self, key: bytes, digest: bytes) -> SignedCall:
        """Return a signed call that registers a digest, not sent yet."""
        with self.network.client("land-clerk") as clerk:
            return clerk.sign_data(self.address, selector("register(bytes32,bytes32)") + key + digest)

    def slot(self, key: bytes) -> bytes:
        """Where Solidity keeps the entry of a key: the contract's first variable is its mapping."""
        return keccak256(key + bytes(32))

    def questions(self) -> dict[str, Any]:
        """What the programs in clients/ are given: where the node is, what is on the chain, and a transaction to send."""
        new_key, new_digest = secrets.token_bytes(32), secrets.token_bytes(32)
        signed = self.sign(new_key, new_digest)
        to, data = registry.encode_call("members", "department", code=LAND)
        return {
            "url": self.network.url() + "/rpc",
            "websocket": self.network.url().replace("http", "ws") + "/rpc",
            "chainId": self.chain_id,
            "address": _hex(self.address),
            "abi": self.abi,
            "holder": _hex(self.holder),
            "key": _hex(self.key),
            "digest": _hex(self.digest),
            "slot": _hex(self.slot(self.key)),
            "deployed": self.deployed,
            "registered": self.registered,
            "refused": self.refused,
            "systemCall": {"to": _hex(to), "data": _hex(data)},
            "newKey": _hex(new_key),
            "newDigest": _hex(new_digest),
            "raw": _hex(signed.raw),
            "hash": _hex(signed.id),
        }


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


@pytest.fixture(scope="module")
def sample_registry(running_network: Network) -> Registry:
    """A registry of the module's own: nodes keep the states of some hundred blocks, and clients ask for the one that it began with."""
    running_network.heal()
    return Registry(running_network)


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The npm packages that clients/package-lock.json names, installed once in the user's cache; skips with the reason without them."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("this machine has no npm and node: ethers, viem and cast were not tried")
    lock = (CLIENTS / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "govnode-tests"
    folder = cache / hashlib.sha256(lock).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    # Several test processes may come here at once.
    with (cache / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not folder.exists():
            _install(npm, folder)
    return folder / "node_modules"


def _install(npm: str, folder: Path) -> None:
    building = folder.with_suffix(".building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(CLIENTS / name, building)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        ended = subprocess.run(command, cwd=building, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm installed nothing within {INSTALL_S:.0f} s: ethers, viem and cast were not tried")
    if ended.returncode != 0:
        pytest.skip(f"npm could not install ethers, viem and cast: {ended.stderr.strip()[-300:]}")
    building.rename(folder)
