"""A fifth node joins a running network as observer: nobody else changes or restarts, it follows, serves reads, and never votes."""

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.driver.last_signed import FILE_NAME as LAST_SIGNED
from sdk.client import Client
from sdk.errors import SdkError
from sdk.supervisor import Supervisor

pytestmark = pytest.mark.e2e

LAND = "11990100MB0000002X"
NAME = "observer1"


class Observer:
    """The fifth node and its process."""

    def __init__(self, network: Any) -> None:
        self.network = network
        with socket.create_server(("127.0.0.1", 0)) as p2p, socket.create_server(("127.0.0.1", 0)) as http:
            addresses = [f"127.0.0.1:{held.getsockname()[1]}" for held in (p2p, http)]
        options = ["--network", str(network.made.folder), "--department", LAND, "--p2p", addresses[0]]
        self.added = network.run("network", "add-node", NAME, *options, "--http", addresses[1])
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GOVNODE_")}
        self.supervisor = Supervisor(network.made.folder, [NAME], environment)

    def status(self) -> dict[str, Any]:
        try:
            with Client(self.added["url"]) as client:
                return client.status()
        except SdkError:
            return {"height": -1, "peers": []}

    def wait_for(self, height: int) -> None:
        self.network.wait(lambda: self.status()["height"] >= height, f"the observer at height {height}")


@pytest.fixture(scope="module")
def observer(running_network: Any) -> Iterator[Observer]:
    running_network.heal()
    observer = Observer(running_network)
    with observer.supervisor:
        yield observer


def anchor(network: Any, index: int) -> Any:
    with network.client("land-clerk", index) as client:
        return client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="观察")


def peers_of(network: Any, index: int = 0) -> list[dict[str, Any]]:
    with network.client(index=index) as client:
        peers: list[dict[str, Any]] = client.status()["peers"]
    return peers


def test_an_observer_joins_without_a_change_to_the_others_follows_and_serves_reads(
    network: Any, observer: Observer
) -> None:
    files = {path: path.read_bytes() for path in Path(network.made.folder).glob("node*/node.toml")}
    processes = [network.supervisor.process_id(name) for name in network.names]
    receipt = anchor(network, 0)
    observer.wait_for(receipt.height)
    found = observer.status()
    assert {peer["name"]: peer["is_connected"] for peer in found["peers"]} == dict.fromkeys(network.names, True)
    for index in range(4):
        peers = {peer["name"]: peer for peer in peers_of(network, index)}
        assert peers[NAME]["is_connected"]
        assert not peers[NAME]["is_listed"]
    with Client(observer.added["url"]) as client:
        block = client.rpc("gov_getBlock", height=receipt.height)
    assert (block["id"], block["state_root"]) in network.roots(receipt.height)
    shown = httpx.get(f"{observer.added['url']}/api/v1/blocks/{receipt.height}", timeout=20, trust_env=False)
    assert shown.status_code == 200
    assert httpx.get(f"{observer.added['url']}/readyz", timeout=20, trust_env=False).status_code == 200
    assert {path: path.read_bytes() for path in files} == files
    assert [network.supervisor.process_id(name) for name in network.names] == processes


def test_a_transaction_given_to_an_observer_becomes_final_and_the_observer_never_votes(
    network: Any, observer: Observer
) -> None:
    with Client(observer.added["url"], network.signer("land-clerk")) as client:
        receipt = client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="经观察节点提交")
    observer.wait_for(receipt.height)
    found = observer.status()
    assert (found["is_validator"], found["is_voting"], found["validator_count"]) == (False, False, 4)
    record = network.made.folder / NAME / "data" / LAST_SIGNED
    signed = record.read_bytes()
    anchor(network, 1)
    observer.wait_for(anchor(network, 2).height)
    assert record.read_bytes() == signed, "it signed nothing"


def test_an_observer_that_was_killed_catches_up_and_the_network_does_not_need_it(
    network: Any, observer: Observer
) -> None:
    observer.wait_for(1)
    observer.supervisor.kill(NAME)
    heights = [anchor(network, index % 4).height for index in range(5)]
    network.wait(lambda: NAME not in {peer["name"] for peer in peers_of(network)}, "the observer is missed")
    observer.supervisor.resume(NAME)
    observer.wait_for(heights[-1])
    with Client(observer.added["url"]) as client:
        block = client.rpc("gov_getBlock", height=heights[-1])
    assert {(block["id"], block["state_root"])} == network.roots(heights[-1])
