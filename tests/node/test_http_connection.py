import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn

from node.http import connection
from node.http.connection import HttpConnection

HEAD = b"POST /x HTTP/1.1\r\nhost: node\r\n"


async def echo_app(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Answers with the number of bytes in the body, and the names of the headers; /large with 64 MB."""
    size, has_more = 0, True
    while has_more:
        message = await receive()
        size += len(message.get("body", b""))
        has_more = message.get("more_body", False)
    names = b" ".join(name for name, _ in scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"names", names)]})
    body = bytes(64 * 1024 * 1024) if scope["path"] == "/large" else str(size).encode()
    await send({"type": "http.response.body", "body": body})


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(uvicorn.Config(echo_app, http=HttpConnection, ws="none", lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await task
        listener.close()


async def ask(port: int, raw: bytes) -> bytes:
    """Send bytes and return all that comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with contextlib.suppress(ConnectionError):
        writer.write(raw)
        await writer.drain()
        while part := await reader.read(65_536):
            answer += part
    writer.close()
    return answer


async def is_answering(port: int) -> bool:
    answer = await ask(port, HEAD + b"connection: close\r\ncontent-length: 5\r\n\r\nhello")
    return answer.startswith(b"HTTP/1.1 200") and b"5" in answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"".join(b"x-%d: %s\r\n" % (index, b"a" * 10_000) for index in range(100)),
        HEAD + b"x: " + b"a" * 1_000_000,
        b"POST /" + b"a" * 60_000 + b" HTTP/1.1\r\n" + b"x: y\r\n" * 100_000,
    ],
    ids=["many headers", "one header without end", "long line"],
)
def test_a_head_without_end_is_refused(head: bytes) -> None:
    async def run() -> None:
        async with serving() as port:
            answer = await ask(port, head)
            # What is still under way when the connection closes may cost the client the answer.
            assert not answer or answer.startswith(b"HTTP/1.1 4")
            assert await is_answering(port)

    asyncio.run(run())


def test_trailers_without_end_end_the_connection() -> None:
    async def run() -> None:
        async with serving() as port:
            raw = HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 200_000
            assert b" 200 " not in await ask(port, raw)
            assert await is_answering(port)

    asyncio.run(run())


@pytest.mark.parametrize("parts", [[0], [0, 60], [0, 80]], ids=["at once", "in the body", "behind the body"])
def test_trailers_are_no_headers(parts: list[int]) -> None:
    head = HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    raw = head + b"5\r\nhello\r\n0\r\nx-forwarded-for: 10.0.0.1\r\naccept: text/csv\r\n\r\n"

    async def run() -> None:
        async with serving() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for begin, end in zip(parts, [*parts[1:], len(raw)], strict=True):
                writer.write(raw[begin:end])
                await writer.drain()
            answer = await reader.read()
            writer.close()
            assert b"names: host connection transfer-encoding\r\n" in answer
            assert answer.endswith(b"\r\n\r\n5") or b"\r\n5\r\n" in answer

    asyncio.run(run())


def test_large_bodies_pass_whole_or_in_chunks() -> None:
    async def run() -> None:
        async with serving() as port:
            close = b"connection: close\r\n"
            body = b"a" * 16_000_000
            whole = await ask(port, HEAD + close + b"content-length: 16000000\r\n\r\n" + body)
            assert b"16000000" in whole.partition(b"\r\n\r\n")[2]
            chunks = b"".join(b"1000\r\n" + bytes(4_096) + b"\r\n" for _ in range(1_000)) + b"0\r\n\r\n"
            assert b"4096000" in await ask(port, HEAD + close + b"transfer-encoding: chunked\r\n\r\n" + chunks)

    asyncio.run(run())


@pytest.mark.parametrize("begun", [b"", b"POST /", HEAD, HEAD + b"content-length: 9\r\n\r\nhalf"])
def test_a_request_that_never_ends_is_ended(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 0.2)

    async def run() -> None:
        async with serving() as port:
            async with asyncio.timeout(20):
                assert b" 200 " not in await ask(port, begun)
            assert await is_answering(port)

    asyncio.run(run())


def test_a_second_request_gets_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 4.0)

    async def run() -> None:
        async with serving() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(4):
                writer.write(HEAD + b"content-length: 2\r\n\r\nok")
                await reader.readuntil(b"\r\n0\r\n\r\n")
                await asyncio.sleep(1.2)
            writer.close()

    asyncio.run(run())


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 0.2)
    monkeypatch.setattr(connection, "READ_TIMEOUT_S", 0.2)

    async def run() -> None:
        async with serving() as port:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"POST /large HTTP/1.1\r\nhost: node\r\ncontent-length: 0\r\n\r\n")
                # Long enough, on any machine, for the answer to fill the buffers and the time to pass: the end is then there.
                await asyncio.sleep(2)
                client.setblocking(True)
                received = await asyncio.to_thread(read_all, client)
            assert received < 64 * 1024 * 1024
            assert await is_answering(port)

    asyncio.run(run())


def read_all(client: socket.socket) -> int:
    received = 0
    with contextlib.suppress(ConnectionError):
        while part := client.recv(1_000_000):
            received += len(part)
    return received


def test_connections_that_are_only_held_open_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_HTTP_CONNECTIONS", 50)

    async def run() -> None:
        async with serving() as port:
            # Off the loop: it has to accept meanwhile, or the listener's queue fills and the next connection waits for ever.
            address = ("127.0.0.1", port)
            held = [await asyncio.to_thread(socket.create_connection, address) for _ in range(200)]
            for client in held[:100]:
                client.sendall(HEAD)
            assert await is_answering(port)
            open_ones = 0
            for client in held:
                client.setblocking(False)
                try:
                    client.recv(1)
                except BlockingIOError:
                    open_ones += 1
                except ConnectionError:
                    pass
                client.close()
            assert open_ones <= 50

    asyncio.run(run())


def test_what_all_clients_leave_unread_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may leave an answer unread for a while; together they may not fill the memory: who has not read for longest goes."""
    monkeypatch.setattr(connection, "MAX_UNREAD_BYTES", 100 * 1024 * 1024)

    async def run() -> None:
        async with serving() as port:
            clients = []
            for _ in range(2):
                client = socket.create_connection(("127.0.0.1", port))
                client.sendall(b"GET /large HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n")
                client.settimeout(20)
                # The answer is on its way before the next one asks.
                await asyncio.to_thread(client.recv, 1)
                clients.append(client)
            assert await is_answering(port)
            lengths = [await asyncio.to_thread(read_all, client) for client in clients]
            for client in clients:
                client.close()
        assert lengths[0] < 64 * 1024 * 1024 <= lengths[1]

    asyncio.run(run())
