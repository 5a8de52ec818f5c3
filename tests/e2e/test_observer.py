"""A fifth node joins a running network as observer: nobody else changes or restarts, it follows, serves reads, and never votes."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.driver.last_signed import FILE_NAME as LAST_SIGNED
from sdk.client import Client

pytestmark = pytest.mark.e2e

NAME = "observer1"


@pytest.fixture(scope="module")
def observer(running_network: Any, make_fifth: Callable[[str], Any]) -> Iterator[Any]:
    running_network.heal()
    with (fifth := make_fifth(NAME)).supervisor:
        yield fifth


def anchor(network: Any, index: int) -> Any:
    with network.client("land-clerk", index) as client:
        return client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="观察")


def peers_of(network: Any, index: int = 0) -> list[dict[str, Any]]:
    with network.client(index=index) as client:
        peers: list[dict[str, Any]] = client.status()["peers"]
    return peers


def test_an_observer_joins_without_a_change_to_the_others_follows_and_serves_reads(network: Any, observer: Any) -> None:
    files = {path: path.read_bytes() for path in Path(network.made.folder).glob("node*/node.toml")}
    processes = [network.supervisor.process_id(name) for name in network.names]
    receipt = anchor(network, 0)
    observer.wait_for(receipt.height)
    found = observer.status()
    assert set(network.names) <= {peer["name"] for peer in found["peers"] if peer["is_connected"]}
    for index in range(4):
        peers = {peer["name"]: peer for peer in peers_of(network, index)}
        assert peers[NAME]["is_connected"]
        assert not peers[NAME]["is_listed"]
    with Client(observer.added["url"]) as client:
        block = client.rpc("gov_getBlock", height=receipt.height)
    assert (block["id"], block["state_root"]) in network.roots(receipt.height)
    shown = httpx.get(
        f"{observer.added['url']}/api/v1/blocks/{receipt.height}", timeout=60, trust_env=False, verify=False
    )
    assert shown.status_code == 200
    assert httpx.get(f"{observer.added['url']}/readyz", timeout=60, trust_env=False, verify=False).status_code == 200
    assert {path: path.read_bytes() for path in files} == files
    assert [network.supervisor.process_id(name) for name in network.names] == processes


def test_a_transaction_given_to_an_observer_becomes_final_and_the_observer_never_votes(
    network: Any, observer: Any
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


def test_an_observer_that_was_killed_catches_up_and_the_network_does_not_need_it(network: Any, observer: Any) -> None:
    observer.wait_for(1)
    observer.supervisor.kill(NAME)
    heights = [anchor(network, index % 4).height for index in range(5)]
    network.wait(lambda: NAME not in {peer["name"] for peer in peers_of(network)}, "the observer is missed")
    observer.supervisor.resume(NAME)
    observer.wait_for(heights[-1])
    with Client(observer.added["url"]) as client:
        block = client.rpc("gov_getBlock", height=heights[-1])
    assert {(block["id"], block["state_root"])} == network.roots(heights[-1])
