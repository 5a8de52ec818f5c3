"""What answers take of a node's memory is bounded over all its clients, not for each of them alone."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from node.http import method_reads, rpc_sockets
from node.http.rpc_sockets import TRY_AGAIN_LATER, RpcSockets

if TYPE_CHECKING:
    from tests.node.conftest import EthChain

HISTORY = {"jsonrpc": "2.0", "id": 1, "method": "eth_feeHistory", "params": ["0x1", "latest"]}


def test_answers_under_way_are_bounded_over_all_requests(eth_chain: EthChain, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small request can ask for half a megabyte: a thousand clients with batches of them would take all memory."""
    (one,) = eth_chain.post([HISTORY])
    assert "result" in one
    monkeypatch.setattr(method_reads, "MAX_ANSWERS_IN_HAND_BYTES", 100)
    for _ in range(2):
        # Each batch again: what an answered one took is given back.
        first, second = eth_chain.post([HISTORY, HISTORY])
        assert "result" in first
        assert (second["error"]["code"], second["error"]["data"]["code"]) == (-32005, "BUSY")


def test_the_websocket_with_most_unread_answers_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_sockets, "MAX_WAITING_BYTES", 1_000)

    class Rpc:
        async def answer(self, body: bytes, opening: Any) -> bytes:
            return b"1" * int(body)

    class Client:
        """Asks for answers of these sizes, and reads none of them."""

        def __init__(self, *sizes: int) -> None:
            self.asked = [{"type": "websocket.connect"}]
            self.asked += [{"type": "websocket.receive", "text": str(size)} for size in sizes]
            self.closed: MutableMapping[str, Any] | None = None
            self.end = asyncio.Event()

        async def receive(self) -> dict[str, Any]:
            if self.asked:
                return self.asked.pop(0)
            await self.end.wait()
            return {"type": "websocket.disconnect"}

        async def send(self, message: MutableMapping[str, Any]) -> None:
            if message["type"] == "websocket.close":
                self.closed = message
                self.end.set()
            elif message["type"] == "websocket.send":
                await self.end.wait()
                raise OSError

    async def serve() -> tuple[Client, Client]:
        subscriptions = SimpleNamespace(remove=lambda subscriber, count: None)
        sockets = RpcSockets(Rpc(), subscriptions)  # type: ignore[arg-type]
        modest, greedy = Client(300), Client(400, 400)
        scope = {"type": "websocket", "path": "/rpc", "headers": []}
        served = [asyncio.create_task(sockets.serve(scope, one.receive, one.send)) for one in (modest, greedy)]
        async with asyncio.timeout(10):
            await served[1]
            assert not served[0].done()
            modest.end.set()
            await served[0]
        return modest, greedy

    modest, greedy = asyncio.run(serve())
    assert modest.closed is None
    assert greedy.closed is not None
    assert greedy.closed["code"] == TRY_AGAIN_LATER
    assert len(greedy.closed["reason"].encode()) <= 123
