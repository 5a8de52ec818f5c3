"""Four real validators whose lines to each other are slow, lossy and break off: what they make final is one chain."""

import asyncio
import contextlib
import os
import random
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.config import parse_address
from sdk.client import Client
from sdk.demo_network import make_network, wait_until_height, wait_until_ready
from sdk.network import NetworkFolder
from sdk.supervisor import Supervisor
from sm_crypto.keystore import load_key
from tests.endings import end_thread
from tests.ports import describe_network

pytestmark = pytest.mark.e2e

DELAY_S = (0.015, 0.025)
LOSS = 0.02
RETRANSMISSION_S = 0.2
"""What a lost packet costs on a TCP line: the kernel's least retransmission timeout."""
BREAKS = 0.002
"""Of the pieces that pass, this part ends the connection instead."""


class BadLines:
    """Listens in each node's place and carries what comes to the node itself, late, with stalls, and now and then not at all."""

    def __init__(self, targets: dict[str, str]) -> None:
        self._targets = targets
        self._random = random.Random(7)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lines", daemon=True)
        self._carrying: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self.addresses: dict[str, str] = {}

    def __enter__(self) -> "BadLines":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(60)
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        end_thread(self._thread)
        self._loop.close()

    async def _listen(self) -> None:
        for name, target in self._targets.items():

            async def carry_to(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str = target
            ) -> None:
                await self._carry(reader, writer, target)

            server = await asyncio.start_server(carry_to, "127.0.0.1", 0)
            self._servers.append(server)
            self.addresses[name] = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> None:
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(*parse_address(target))
            ways = [self._one_way(reader, far_writer), self._one_way(far_reader, writer)]
            tasks = [asyncio.ensure_future(way) for way in ways]
            self._carrying.update(tasks)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._carrying.difference_update(tasks)
            far_writer.transport.abort()
        writer.transport.abort()

    async def _one_way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass pieces on in order, each no sooner than its delay after it came; end with the line."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)

        async def deliver() -> None:
            while True:
                due_s, piece = await pieces.get()
                await asyncio.sleep(max(0.0, due_s - self._loop.time()))
                writer.write(piece)
                await writer.drain()

        delivering = asyncio.ensure_future(deliver())
        try:
            with contextlib.suppress(OSError):
                while not delivering.done():
                    piece = await reader.read(16_384)
                    if not piece or self._random.random() < BREAKS:
                        return
                    lost_s = RETRANSMISSION_S if self._random.random() < LOSS else 0.0
                    await pieces.put((self._loop.time() + self._random.uniform(*DELAY_S) + lost_s, piece))
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)


@pytest.fixture
def network(tmp_path: Path) -> NetworkFolder:
    return make_network(describe_network(tmp_path), tmp_path / "network", explorer=False)


@contextlib.contextmanager
def joined_by_bad_lines(network: NetworkFolder) -> Iterator[Supervisor]:
    """Run the nodes, each of which reaches the others only over a bad line."""
    with BadLines({node.name: node.p2p for node in network.nodes}) as lines:
        for node in network.nodes:
            text = node.config.read_text("utf-8")
            for peer in network.nodes:
                text = text.replace(f'address = "{peer.p2p}"', f'address = "{lines.addresses[peer.name]}"')
            node.config.write_text(text, "utf-8")
        with Supervisor(network.folder, [node.name for node in network.nodes], dict(os.environ)) as supervisor:
            wait_until_ready(network, supervisor)
            yield supervisor


def test_slow_lossy_and_breaking_lines_neither_stop_nor_part_the_chain(network: NetworkFolder) -> None:
    account = network.account("land-clerk")
    signer = load_key(account.key, account.password_file.read_bytes().strip())
    with joined_by_bad_lines(network) as supervisor, contextlib.ExitStack() as opened:
        clients = [opened.enter_context(Client(node.url, signer)) for node in network.nodes]

        def anchor(index: int) -> int:
            return clients[index].call("anchors", "anchor", digest=secrets.token_bytes(32), label="x").height

        for turn in range(8):
            anchor(turn % 4)
        supervisor.kill("node2")
        for turn in range(4):
            anchor((0, 2, 3)[turn % 3])
        supervisor.resume("node2")
        height = anchor(0)
        blocks = set()
        for client in clients:
            wait_until_height(client, height, 30.0)
            blocks.add(client.rpc("gov_getBlock", height=height)["id"])
        assert len(blocks) == 1
