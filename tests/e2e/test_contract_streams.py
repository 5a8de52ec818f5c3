"""Streams of a contract's events, over HTTP and WebSocket, from a node that is killed and started again: each event once, in order."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from web3 import AsyncWeb3, HTTPProvider, Web3, WebSocketProvider

from contracts.abi import selector
from sdk.evm_account import Sm2Account
from sdk.web3_events import follow_events, follow_events_async
from sdk.web3_signing import use_account

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
ARTEFACT = json.loads((ROOT / "contracts/samples/Registry.json").read_text("utf-8"))
DIGEST = b"d" * 32
LOST = 3
"""The node that the streams read from, and that is killed."""


def number(count: int) -> bytes:
    return count.to_bytes(32, "big")


DEPLOYMENT_MS = 60_000
"""A network's first one loads what runs EVM code, on every node of a machine that may be busy."""


@pytest.fixture(scope="module")
def registry(running_network: Any) -> bytes:
    """A registry's address."""
    with running_network.client("data-bureau-deployer") as client:
        made = client.sign_data(None, bytes.fromhex(ARTEFACT["bytecode"][2:]))
        return bytes.fromhex(client.submit([made], timeout_ms=DEPLOYMENT_MS)[0].output[2:])


def register(network: Any, address: bytes, counts: range) -> int:
    """Register keys one block after the other through a node that stays up; return the height of the last."""
    with network.client("land-clerk") as client:
        for count in counts:
            data = selector("register(bytes32,bytes32)") + number(count) + DIGEST
            height = int(client.submit([client.sign_data(address, data)])[0].height)
    return height


def follow_over_http(network: Any, address: bytes, after: int, count: int) -> list[tuple[int, int]]:
    """Return height and key of so many events, resuming with one height after every batch."""
    w3 = Web3(HTTPProvider(network.url(LOST) + "/rpc", exception_retry_configuration=None))
    contract = w3.eth.contract(address=Web3.to_checksum_address(address), abi=ARTEFACT["abi"])
    found: list[tuple[int, int]] = []
    while len(found) < count:
        for batch in follow_events(w3, contract.events.Registered, after_height=after, poll_ms=20):
            found += [(each["blockNumber"], int.from_bytes(each["args"]["key"])) for each in batch.events]
            after = batch.through_height
            if batch.events:
                break
    return found


async def follow_over_websocket(network: Any, address: bytes, after: int, count: int) -> list[tuple[int, int]]:
    """Return height and key of so many events from one stream."""
    found: list[tuple[int, int]] = []
    provider = WebSocketProvider(network.url(LOST).replace("http", "ws") + "/rpc", max_connection_retries=1)
    async with AsyncWeb3(provider) as w3:
        contract = w3.eth.contract(address=Web3.to_checksum_address(address), abi=ARTEFACT["abi"])
        async for batch in follow_events_async(w3, contract.events.Registered, after_height=after, poll_ms=20):
            found += [(each["blockNumber"], int.from_bytes(each["args"]["key"])) for each in batch.events]
            if len(found) >= count:
                break
    return found


def test_streams_go_on_through_a_restart_of_their_node(network: Any, registry: bytes) -> None:
    start = register(network, registry, range(1, 2)) - 1
    network.wait_until_level(start)
    found: dict[str, list[tuple[int, int]]] = {}

    def over_http() -> None:
        found["http"] = follow_over_http(network, registry, start, 9)

    def over_websocket() -> None:
        found["websocket"] = asyncio.run(follow_over_websocket(network, registry, start, 9))

    followers = [threading.Thread(target=follow, daemon=True) for follow in (over_http, over_websocket)]
    for follower in followers:
        follower.start()
    register(network, registry, range(2, 5))
    name = network.names[LOST]
    network.supervisor.kill(name)
    register(network, registry, range(5, 8))
    network.supervisor.resume(name)
    register(network, registry, range(8, 10))
    for follower in followers:
        follower.join(60)
    for way in ("http", "websocket"):
        assert [key for _, key in found[way]] == list(range(1, 10)), way
        heights = [height for height, _ in found[way]]
        assert heights == sorted(heights)
        assert heights[0] == start + 1


def test_web3_signs_with_an_sm2_key_over_a_websocket(network: Any, registry: bytes) -> None:
    async def scenario() -> Any:
        async with AsyncWeb3(WebSocketProvider(network.url().replace("http", "ws") + "/rpc")) as w3:
            account = Sm2Account(network.signer("land-clerk"))
            use_account(w3, account)
            assert list(await w3.eth.accounts) == [account.address]
            contract = w3.eth.contract(address=Web3.to_checksum_address(registry), abi=ARTEFACT["abi"])
            sent = await contract.functions.register(b"w" * 32, DIGEST).transact()
            receipt = await w3.eth.wait_for_transaction_receipt(sent, timeout=60, poll_latency=0.02)
            return receipt, await contract.functions.lookup(b"w" * 32).call(), account.address

    receipt, (digest, holder, _), address = asyncio.run(scenario())
    assert (receipt["status"], digest, holder) == (1, DIGEST, address)
