"""JSON-RPC over WebSocket: every call as over HTTP, subscriptions in order and to the end, and limits that no client gets past."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvicorn
from web3 import AsyncWeb3, WebSocketProvider
from web3.utils.subscriptions import LogsSubscription, NewHeadsSubscription
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from contracts.records import ADDRESSES
from explorer.front import Front
from explorer.settings import ExplorerSettings
from node.http import rpc_sockets, subscriptions
from node.http.connection import HttpConnection
from node.http.rpc_sockets import is_own_origin
from node.http.websocket_connection import MAX_MESSAGE_BYTES, WebSocketConnection
from sm_crypto.sm3 import sm3


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


class Node:
    """A world whose front is served on this loop, as a node serves it."""

    def __init__(self, world: Any, port: int) -> None:
        self.world = world
        self.url = f"ws://127.0.0.1:{port}/rpc"
        self.port = port

    def anchor(self, label: str = "x") -> None:
        """Make a block with one log."""
        _, refusal = self.world.call("land", "anchors", "anchor", digest=sm3(label.encode()), label=label)
        assert refusal is None, refusal

    def connect(self, **options: Any) -> connect:
        return connect(self.url, proxy=None, **options)


@contextlib.asynccontextmanager
async def serving(world: Any, *, is_forced: bool = True) -> AsyncIterator[Node]:
    listener = socket.create_server(("127.0.0.1", 0))
    front: Any = Front(world.view, ExplorerSettings(Path("unused")))
    config = uvicorn.Config(
        front,
        http=HttpConnection,
        ws=WebSocketConnection,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=2,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield Node(world, listener.getsockname()[1])
    finally:
        server.should_exit, server.force_exit = True, is_forced
        await task
        listener.close()
        front._rpc.close()


@pytest.fixture(scope="module")
def world(make_world: Callable[[], Any]) -> Any:
    return make_world()


def run(world: Any, work: Callable[[Node], Awaitable[None]]) -> None:
    async def serve_and_work() -> None:
        async with asyncio.timeout(60), serving(world) as node:
            await work(node)

    asyncio.run(serve_and_work())


async def call(client: ClientConnection, method: str, *params: Any) -> Any:
    await client.send(orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).decode())
    return orjson.loads(await client.recv())


async def subscribe(client: ClientConnection, *params: Any) -> str:
    answer = await call(client, "eth_subscribe", *params)
    subscription_id: str = answer["result"]
    return subscription_id


async def told(client: ClientConnection) -> tuple[str, Any]:
    message = orjson.loads(await client.recv())
    assert message["jsonrpc"] == "2.0"
    assert message["method"] == "eth_subscription"
    assert "id" not in message
    return message["params"]["subscription"], message["params"]["result"]


def test_calls_batches_and_what_is_no_call_are_answered_as_over_http(world: Any) -> None:
    async def work(node: Node) -> None:
        async with node.connect() as client:
            assert (await call(client, "eth_chainId"))["result"] == hex(world.genesis.chain_id)
            assert (await call(client, "gov_getBlock", 99_999))["result"] is None
            batch = [{"jsonrpc": "2.0", "id": index, "method": "eth_blockNumber"} for index in range(3)]
            await client.send(orjson.dumps(batch))
            assert [one["id"] for one in orjson.loads(await client.recv())] == [0, 1, 2]
            await client.send('{"jsonrpc": "2.0", "method": "eth_blockNumber"}')
            for bad, code in (("{", -32700), ("7", -32600), ("[]", -32600), (b"\xff", -32700), ("", -32700)):
                await client.send(bad)
                answer = orjson.loads(await client.recv())
                assert (answer["error"]["code"], answer["id"]) == (code, None)
            assert (await call(client, "eth_nothing"))["error"]["code"] == -32601

    run(world, work)


def test_new_heads_and_logs_are_told_in_order_until_unsubscribed(world: Any) -> None:
    async def work(node: Node) -> None:
        anchors = "0x" + ADDRESSES["anchors"].hex()
        async with node.connect() as client, node.connect() as other:
            heads = await subscribe(client, "newHeads")
            logs = await subscribe(client, "logs", {"address": anchors})
            nothing = await subscribe(other, "logs", {"address": "0x" + "11" * 20})
            assert len({heads, logs, nothing}) == 3
            for label in ("a", "b"):
                node.anchor(label)
                height = world.ledger.height
                name, head = await told(client)
                assert (name, head["number"], head["hash"]) == (heads, hex(height), "0x" + world.ledger.head_id.hex())
                name, log = await told(client)
                assert (name, log["blockNumber"], log["address"], log["removed"]) == (logs, hex(height), anchors, False)
                assert log["blockHash"] == head["hash"]
            assert (await call(client, "eth_unsubscribe", heads))["result"] is True
            assert (await call(client, "eth_unsubscribe", heads))["result"] is False
            assert (await call(client, "eth_unsubscribe", nothing))["result"] is False
            node.anchor("c")
            assert (await told(client))[0] == logs
            assert (await call(client, "eth_unsubscribe", logs))["result"] is True
            node.anchor("d")
            assert "result" in await call(client, "eth_blockNumber")
            assert "result" in await call(other, "eth_blockNumber")

    run(world, work)


def test_topics_choose_among_logs(world: Any) -> None:
    async def work(node: Node) -> None:
        async with node.connect() as client:
            everything = await subscribe(client, "logs")
            node.anchor("seen")
            _, log = await told(client)
            topic = log["topics"][0]
            names = {
                await subscribe(client, "logs", {"topics": [topic]}): True,
                await subscribe(client, "logs", {"topics": [[topic, "0x" + "00" * 32], None]}): len(log["topics"]) > 1,
                await subscribe(client, "logs", {"topics": ["0x" + "00" * 32]}): False,
                await subscribe(client, "logs", {"topics": [], "address": []}): True,
            }
            await call(client, "eth_unsubscribe", everything)
            node.anchor("chosen")
            expected = {name for name, is_told in names.items() if is_told}
            assert {(await told(client))[0] for _ in expected} == expected
            assert "result" in await call(client, "eth_blockNumber")

    run(world, work)


def test_a_subscription_may_begin_later_and_never_earlier_than_now(world: Any) -> None:
    async def work(node: Node) -> None:
        async with node.connect() as client:
            height = world.ledger.height
            later = await subscribe(client, "logs", {"fromBlock": hex(height + 2), "toBlock": "latest"})
            # As Foundry's cast asks, whose stream of new logs begins at "earliest".
            now = await subscribe(client, "logs", {"fromBlock": "earliest"})
            for label in ("m", "n"):
                node.anchor(label)
            seen = [(name, log["blockNumber"]) for name, log in [await told(client) for _ in range(3)]]
            assert sorted(seen) == sorted([(now, hex(height + 1)), (now, hex(height + 2)), (later, hex(height + 2))])

    run(world, work)


def test_audits_are_told_to_nobody(make_world: Callable[[], Any], fill: Callable[[Any], None]) -> None:
    world = make_world()

    async def work(node: Node) -> None:
        async with node.connect() as client:
            audits = await subscribe(client, "logs", {"address": "0x" + ADDRESSES["audits"].hex()})
            everything = await subscribe(client, "logs")
            fill(world)
            node.anchor("last")
            seen = set()
            while True:
                name, log = await told(client)
                assert name != audits
                assert name == everything
                seen.add(log["address"])
                if log["blockNumber"] == hex(world.ledger.height):
                    break
            assert "0x" + ADDRESSES["sharing"].hex() in seen
            assert "0x" + ADDRESSES["audits"].hex() not in seen

    run(world, work)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (["syncing"], "newHeads or logs"),
        (["newPendingTransactions"], "newHeads or logs"),
        ([7], "newHeads or logs"),
        (["newHeads", {"address": "0x"}], "none with newHeads"),
        (["logs", []], "an object"),
        (["logs", {"address": "0x11"}], "20 bytes"),
        (["logs", {"address": ["0x" + "11" * 20] * 101}], "at most 100 addresses"),
        (["logs", {"topics": "0x" + "11" * 32}], "a list of at most 4"),
        (["logs", {"topics": [None] * 5}], "a list of at most 4"),
        (["logs", {"topics": ["0x11"]}], "32 bytes"),
        (["logs", {"fromBlock": "soon"}], "a 0x quantity"),
        (["logs", {"toBlock": "0x1"}], "has no end"),
        (["logs", {"blockHash": "0x" + "11" * 32}], "has no end"),
    ],
)
def test_what_cannot_be_subscribed_to_is_told(world: Any, params: list[Any], said: str) -> None:
    async def work(node: Node) -> None:
        async with node.connect() as client:
            error = (await call(client, "eth_subscribe", *params))["error"]
            assert error["code"] == -32602
            assert said in error["message"]

    run(world, work)


def test_a_subscription_over_http_is_refused_with_what_to_do_instead(site: Any) -> None:
    for method, parameter in (("eth_subscribe", "newHeads"), ("eth_unsubscribe", "0x1")):
        error = site.rpc(method, parameter)["error"]
        assert error["code"] == -32601
        assert "WebSocket" in error["message"]
        assert "eth_newFilter" in error["message"]


def test_the_answer_with_the_id_is_ahead_of_every_notification(world: Any) -> None:
    async def work(node: Node) -> None:
        async with node.connect() as client:
            # The batch opens a subscription at once and is answered later, when blocks have become final meanwhile.
            batch = [
                {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]},
                {"jsonrpc": "2.0", "id": 2, "method": "gov_waitReceipt", "params": ["11" * 32, 1_000]},
            ]
            await client.send(orjson.dumps(batch).decode())
            assert "result" in await call(client, "eth_chainId")
            node.anchor("before")
            answers = orjson.loads(await client.recv())
            assert [one["id"] for one in answers] == [1, 2]
            node.anchor("after")
            assert (await told(client))[0] == answers[0]["result"]

    run(world, work)


def test_a_client_resumes_from_a_height_with_nothing_lost_or_twice(world: Any) -> None:
    async def work(node: Node) -> None:
        anchors = "0x" + ADDRESSES["anchors"].hex()
        seen: list[str] = []
        made = []

        def anchor(label: str) -> None:
            node.anchor(label)
            made.append(hex(world.ledger.height))

        async with node.connect() as client:
            await subscribe(client, "logs", {"address": anchors})
            anchor("resume 1")
            seen.append((await told(client))[1]["blockNumber"])
        anchor("resume 2")
        async with node.connect() as client:
            # As the specification says: subscribe, read from the first height not seen, skip what was read.
            name = await subscribe(client, "logs", {"address": anchors})
            anchor("resume 3")
            query = {"address": anchors, "fromBlock": hex(int(seen[-1], 16) + 1)}
            request = {"jsonrpc": "2.0", "id": "logs", "method": "eth_getLogs", "params": [query]}
            await client.send(orjson.dumps(request).decode())
            notified = []
            while (message := orjson.loads(await client.recv())).get("id") != "logs":
                assert message["params"]["subscription"] == name
                notified.append(message["params"]["result"])
            anchor("resume 4")
            seen += [log["blockNumber"] for log in message["result"]]
            while seen[-1] != made[-1]:
                following = notified.pop(0) if notified else (await told(client))[1]
                if int(following["blockNumber"], 16) > int(seen[-1], 16):
                    seen.append(following["blockNumber"])
        assert seen == made

    run(world, work)


def test_a_slow_subscriber_is_dropped_with_the_height_to_resume_from_and_others_go_on(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "MAX_KEPT_BLOCKS", 3)
    sent, slow_ports = WebSocketConnection.send, []

    async def send_slowly(self: WebSocketConnection, message: Any) -> None:
        # As when the socket takes no more: what is not the reason for the end waits.
        assert self.client is not None
        if message["type"] == "websocket.send" and self.client[1] in slow_ports:
            await asyncio.sleep(60)
        await sent(self, message)

    monkeypatch.setattr(WebSocketConnection, "send", send_slowly)

    async def work(node: Node) -> None:
        first = world.ledger.height + 1
        async with node.connect() as slow, node.connect() as quick:
            await subscribe(slow, "newHeads")
            name = await subscribe(quick, "newHeads")
            slow_ports.append(slow.local_address[1])
            for index in range(6):
                node.anchor(f"{index}")
                assert (await told(quick))[0] == name
            with pytest.raises(ConnectionClosed) as closed:
                await slow.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
            assert f"eth_getLogs from block {first}" in closed.value.rcvd.reason
            node.anchor("on")
            assert (await told(quick))[1]["number"] == hex(world.ledger.height)

    run(world, work)


def test_subscriptions_have_limits_for_one_client_and_for_all(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_CLIENT_SUBSCRIPTIONS", 2)
    monkeypatch.setattr(subscriptions, "MAX_SUBSCRIPTIONS", 3)

    async def work(node: Node) -> None:
        async with node.connect() as one:
            async with node.connect() as other:
                await subscribe(one, "newHeads")
                await subscribe(one, "logs")
                error = (await call(one, "eth_subscribe", "logs"))["error"]
                assert error["code"] == -32005
                assert "this connection" in error["message"]
                await subscribe(other, "logs")
                error = (await call(other, "eth_subscribe", "logs"))["error"]
                assert error["code"] == -32005
                assert "this node" in error["message"]
            # A client that went away gives its place back.
            async with node.connect() as third:
                while "error" in await call(third, "eth_subscribe", "logs"):
                    await asyncio.sleep(0.05)

    run(world, work)


def test_the_quietest_client_without_subscription_gives_way_and_others_do_not(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_sockets, "MAX_WEBSOCKETS", 2)

    async def work(node: Node) -> None:
        async with node.connect() as subscribed, node.connect() as quiet:
            await subscribe(subscribed, "newHeads")
            async with node.connect() as third:
                with pytest.raises(ConnectionClosed) as closed:
                    await quiet.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1013
                await subscribe(third, "newHeads")
                with pytest.raises(InvalidStatus) as refused:
                    await node.connect()
                assert refused.value.response.status_code == 503
                assert refused.value.response.body is not None
                assert b"try again later" in refused.value.response.body

    run(world, work)


def test_an_idle_client_is_told_so_and_a_subscribed_one_stays(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_sockets, "IDLE_TIMEOUT_S", 0.2)

    async def work(node: Node) -> None:
        async with node.connect() as idle, node.connect() as subscribed:
            name = await subscribe(subscribed, "newHeads")
            with pytest.raises(ConnectionClosed) as closed:
                await idle.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            await asyncio.sleep(0.5)
            node.anchor("still")
            assert (await told(subscribed))[0] == name

    run(world, work)


def test_calls_of_one_client_run_side_by_side_up_to_a_limit(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_sockets, "MAX_CALLS_IN_HAND", 2)
    released = asyncio.Event()
    waiting = []

    async def wait(identifier: bytes, timeout_ms: int) -> None:
        waiting.append(identifier)
        await released.wait()

    monkeypatch.setattr(world.view, "wait_receipt", wait)

    async def work(node: Node) -> None:
        async with node.connect() as client:
            for index in range(3):
                params = ["11" * 32, 60_000]
                await client.send(
                    orjson.dumps({"jsonrpc": "2.0", "id": index, "method": "gov_waitReceipt", "params": params})
                )
            while len(waiting) < 2:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert len(waiting) == 2
            released.set()
            assert {orjson.loads(await client.recv())["id"] for _ in range(3)} == {0, 1, 2}

    run(world, work)


def test_a_client_that_goes_away_leaves_nothing_behind(world: Any) -> None:
    async def work(node: Node) -> None:
        before = len(asyncio.all_tasks())
        for _ in range(20):
            async with node.connect() as client:
                await subscribe(client, "logs")
                await client.send(
                    '{"jsonrpc": "2.0", "id": 1, "method": "gov_waitReceipt", "params": ["' + "11" * 32 + '"]}'
                )
                client.transport.abort()
        node.anchor("gone")
        for _ in range(1_000):
            if len(asyncio.all_tasks()) <= before:
                return
            await asyncio.sleep(0.05)
        pytest.fail("tasks are left over")

    run(world, work)


def test_a_node_that_stops_tells_its_clients_and_waits_for_none_of_them(world: Any) -> None:
    async def serve_and_stop() -> None:
        async with asyncio.timeout(20):
            async with serving(world, is_forced=False) as node:
                clients = [await node.connect() for _ in range(3)]
                for client in clients:
                    await subscribe(client, "logs")
                waiting = {"jsonrpc": "2.0", "id": 1, "method": "gov_waitReceipt", "params": ["11" * 32, 60_000]}
                await clients[0].send(orjson.dumps(waiting))
            for client in clients:
                # What was answered before may be there yet.
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        await client.recv()
                assert client.close_code in {1006, 1012}

    asyncio.run(serve_and_stop())


def test_pages_of_another_origin_are_not_served(world: Any) -> None:
    async def work(node: Node) -> None:
        async with node.connect(origin=f"http://127.0.0.1:{node.port}") as client:
            assert "result" in await call(client, "eth_chainId")
        for origin in ("http://elsewhere.example", "null", "file://", f"http://127.0.0.1:{node.port + 1}"):
            with pytest.raises(InvalidStatus) as refused:
                await node.connect(origin=origin)
            assert refused.value.response.status_code == 403

    run(world, work)


@pytest.mark.parametrize(
    ("origin", "host", "is_own"),
    [
        ("https://node.example", "node.example", True),
        ("https://node.example", "node.example:443", True),
        ("http://node.example:8551", "node.example:8551", True),
        ("https://NODE.example", "node.example", True),
        ("http://[::1]:8551", "[::1]:8551", True),
        ("http://node.example", "node.example:8551", False),
        ("https://node.example.evil.example", "node.example", False),
        ("ftp://node.example", "node.example", False),
        ("http://node.example:99999", "node.example", False),
        ("http://[::1", "[::1", False),
        ("", "", False),
        ("http://", "", False),
    ],
)
def test_an_origin_is_the_nodes_own_by_host_and_port(origin: str, host: str, *, is_own: bool) -> None:
    assert is_own_origin(origin, host) is is_own


def test_web3_subscribes_to_heads_and_logs(world: Any) -> None:
    heads: list[int] = []
    logs: list[str] = []
    both = asyncio.Event()

    def note() -> None:
        if len(heads) >= 2 and len(logs) >= 2:
            both.set()

    async def on_head(context: Any) -> None:
        heads.append(context.result["number"])
        note()

    async def on_log(context: Any) -> None:
        logs.append(context.result["address"])
        note()

    async def work(node: Node) -> None:
        anchors = AsyncWeb3.to_checksum_address("0x" + ADDRESSES["anchors"].hex())
        async with AsyncWeb3(WebSocketProvider(node.url, websocket_kwargs={"proxy": None})) as web3:
            assert await web3.eth.chain_id == world.genesis.chain_id
            await web3.subscription_manager.subscribe(NewHeadsSubscription(handler=on_head))
            await web3.subscription_manager.subscribe(LogsSubscription(address=anchors, handler=on_log))
            handling = asyncio.create_task(web3.subscription_manager.handle_subscriptions())
            node.anchor("one")
            node.anchor("two")
            await both.wait()
            assert heads == [world.ledger.height - 1, world.ledger.height]
            assert logs == [anchors, anchors]
            await web3.subscription_manager.unsubscribe_all()
            handling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await handling

    run(world, work)
