"""The limits of one WebSocket connection, met by clients that keep to nothing."""

import asyncio
import base64
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from node.http import connection, websocket_connection
from node.http.connection import HttpConnection
from node.http.websocket_connection import WebSocketConnection

MAX_BYTES = 100_000


class App:
    """Answers every message by its length; 'hold' is answered when released, 'large' by 64 MB; plain HTTP by 'http'."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.waiting = 0

    async def __call__(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
            await send({"type": "http.response.body", "body": b"http"})
            return
        await receive()
        await send({"type": "websocket.accept"})
        with contextlib.suppress(OSError):
            while (message := await receive())["type"] == "websocket.receive":
                text = message["text"]
                if text == "hold":
                    self.waiting += 1
                    await self.released.wait()
                for _ in range(1_000 if text == "large" else 1):
                    answer = "a" * 64_000 if text == "large" else str(len(text))
                    await send({"type": "websocket.send", "text": answer})


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    settings = {"ws_max_size": MAX_BYTES, "ws_per_message_deflate": False, **options}
    server = Server(
        uvicorn.Config(app, http=HttpConnection, ws=WebSocketConnection, lifespan="off", log_config=None, **settings)
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await task
        listener.close()


def run(work: Callable[[int], Awaitable[None]], **options: Any) -> None:
    async def serve_and_work() -> None:
        async with serving(App(), **options) as port, asyncio.timeout(30):
            await work(port)
            # Whatever was done to it, the server serves the next client.
            assert await talk(port, "hello") == "5"

    asyncio.run(serve_and_work())


async def talk(port: int, message: str) -> Any:
    async with connect(f"ws://127.0.0.1:{port}/rpc", proxy=None) as client:
        await client.send(message)
        return await client.recv()


async def upgrade(
    port: int, *headers: str, path: str = "/rpc"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Ask for a WebSocket; return the streams and the answer's head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        "host: node",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        f"sec-websocket-key: {key}",
        *headers,
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = b""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        head = await reader.readuntil(b"\r\n\r\n")
    return reader, writer, head


def frame(payload: bytes, opcode: int = 1, *, is_final: bool = True) -> bytes:
    """Return a masked frame."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
    return bytes([0x80 * is_final | opcode]) + length + bytes(4) + payload


async def read_close(reader: asyncio.StreamReader) -> int | None:
    """Read to the end of the connection; return the code of the close frame that came last, None where there was none."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65_536):
            data += part
    at = data.rfind(b"\x88")
    return struct.unpack("!H", data[at + 2 : at + 4])[0] if at >= 0 else None


def test_a_message_past_the_limit_ends_the_connection_with_its_code() -> None:
    async def work(port: int) -> None:
        async with connect(f"ws://127.0.0.1:{port}/rpc", proxy=None) as client:
            await client.send("a" * MAX_BYTES)
            assert await client.recv() == str(MAX_BYTES)
            await client.send("a" * (MAX_BYTES + 1))
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009

    run(work)


def test_a_message_in_fragments_counts_as_one_and_has_a_limit_of_them() -> None:
    async def work(port: int) -> None:
        reader, writer, _ = await upgrade(port)
        writer.write(frame(b"ab", is_final=False) + frame(b"cd", 0, is_final=False) + frame(b"e", 0))
        assert await reader.readexactly(3) == b"\x81\x015"
        writer.write(frame(b"a" * 60_000, is_final=False) + frame(b"a" * 60_000, 0))
        assert await read_close(reader) == 1009
        writer.close()
        reader, writer, _ = await upgrade(port)
        writer.write(frame(b"", is_final=False) + frame(b"", 0, is_final=False) * 5_000)
        assert await read_close(reader) is None
        writer.close()

    run(work)


@pytest.mark.parametrize(
    "begun", [b"\x81", frame(b"a" * 100)[:50], frame(b"ab", is_final=False)], ids=["head", "payload", "fragment"]
)
def test_a_message_that_never_ends_is_ended(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_connection, "MESSAGE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(websocket_connection, "CLOSE_TIMEOUT_S", 0.1)

    async def work(port: int) -> None:
        reader, writer, _ = await upgrade(port)
        writer.write(begun)
        assert await read_close(reader) is None
        writer.close()

    run(work)


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_connection, "READ_TIMEOUT_S", 0.3)
    monkeypatch.setattr(websocket_connection, "CLOSE_TIMEOUT_S", 0.1)

    async def work(port: int) -> None:
        reader, writer, _ = await upgrade(port)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(frame(b"large"))
        # More of it than the buffers on the way take: the end is there when they are read out at last.
        await asyncio.sleep(2)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        received = 0
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(1_000_000):
                received += len(part)
        assert received < 64_000_000
        writer.close()

    run(work)


def test_pings_are_answered_and_a_flood_of_them_waits_for_a_client_that_reads() -> None:
    async def work(port: int) -> None:
        reader, writer, _ = await upgrade(port)
        writer.write(frame(b"here", 9))
        assert await reader.readexactly(6) == b"\x8a\x04here"
        count = 30_000
        writer.write(frame(b"p" * 100, 9) * count)
        for _ in range(count):
            assert (await reader.readexactly(102))[:3] == b"\x8a\x64p"
        writer.close()

    run(work)


def test_a_client_that_answers_no_ping_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(port: int) -> None:
        reader, writer, _ = await upgrade(port)
        assert await read_close(reader) == 1011
        writer.close()

    run(work, ws_ping_interval=0.1, ws_ping_timeout=0.2)


def test_a_client_whose_call_is_in_hand_is_not_dropped_for_a_ping_that_was_not_looked_for() -> None:
    async def serve_and_work() -> None:
        app = App()
        async with (
            asyncio.timeout(30),
            serving(app, ws_ping_interval=0.1, ws_ping_timeout=0.5) as port,
            connect(f"ws://127.0.0.1:{port}/rpc", proxy=None) as client,
        ):
            await client.send("hold")
            # Nothing behind these is read while the first is in hand, the pongs neither.
            await client.send("ab")
            await client.send("abc")
            await asyncio.sleep(1)
            app.released.set()
            assert [await client.recv() for _ in range(3)] == ["4", "2", "3"]

    asyncio.run(serve_and_work())


def test_many_messages_at_once_wait_in_the_socket_not_in_memory() -> None:
    async def serve_and_work() -> None:
        app = App()
        taken: list[WebSocketConnection] = []
        made = WebSocketConnection.connection_made

        def note(self: WebSocketConnection, transport: Any) -> None:
            taken.append(self)
            made(self, transport)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(WebSocketConnection, "connection_made", note)
            async with serving(app) as port, asyncio.timeout(30):
                reader, writer, _ = await upgrade(port)
                writer.write(frame(b"hold"))
                while not app.waiting:
                    await asyncio.sleep(0.01)
                count = 60_000
                writer.write(frame(b"x") * count)
                await asyncio.sleep(0.3)
                assert taken[0].queue.qsize() < websocket_connection.MAX_STEP_BYTES
                assert len(taken[0]._undecoded) < 1_000_000
                app.released.set()
                assert await reader.readexactly(3) == b"\x81\x014"
                for _ in range(count):
                    await reader.readexactly(3)
                writer.close()

    asyncio.run(serve_and_work())


def test_there_is_no_upgrade_elsewhere_nor_to_anything_else() -> None:
    async def work(port: int) -> None:
        reader, writer, head = await upgrade(port, path="/other")
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(4) == b"http"
        writer.close()
        with pytest.raises(InvalidStatus):
            await connect(f"ws://127.0.0.1:{port}/rpc2", proxy=None)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /rpc HTTP/1.1\r\nhost: node\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
        assert (await reader.readuntil(b"http")).startswith(b"HTTP/1.1 200")
        writer.close()

    run(work)


@pytest.mark.parametrize(
    "headers",
    [
        [f"x-{index}: y" for index in range(500)],
        ["x: " + "a" * 20_000],
        ["sec-websocket-version: 99"],
        ["sec-websocket-key: short"],
    ],
    ids=["many headers", "long header", "two versions", "two keys"],
)
def test_a_handshake_that_is_not_right_is_refused(headers: list[str]) -> None:
    async def work(port: int) -> None:
        _, writer, head = await upgrade(port, *headers)
        assert head.startswith(b"HTTP/1.1 4")
        writer.close()

    run(work)


def test_bytes_that_are_no_frames_end_the_connection() -> None:
    async def work(port: int) -> None:
        for junk in (os.urandom(1_000), b"\x81\x05hello", frame(b"\xff\xfe"), frame(b"a" * 125, 11), b"\xff" * 100):
            reader, writer, _ = await upgrade(port)
            writer.write(junk)
            assert await read_close(reader) in {1002, 1007, 1009, None}
            writer.close()

    run(work)


def test_websockets_count_as_connections_and_give_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_HTTP_CONNECTIONS", 10)

    async def work(port: int) -> None:
        async with connect(f"ws://127.0.0.1:{port}/rpc", proxy=None) as client:
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
            await client.send("still there")
            assert await client.recv() == "11"
            for _, writer in held:
                writer.close()

    run(work)
