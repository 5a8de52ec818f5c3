"""A service that is away, slow, endless or another one is told apart, and ends the request in time."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest

from node.http.signed_request import signed_request_digest
from sdk.client import Client
from sdk.department_services.service_client import Limits, ServiceClient, ServiceKind, Signing
from sdk.errors import NodeUnreachable, RequestRefused
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey, verify
from tests.endings import end_thread
from tests.ports import free_ports
from verification.errors import GovnodeError, InputError

KIND = ServiceKind("试验服务", "a tried service", "http://127.0.0.1:1", "TRIED_UNREACHABLE", "NOT_A_TRIED_ONE")
LIMITS = Limits(answer_bytes=1_000, silence_s=5.0, total_s=5.0)
KEY = PrivateKey.from_bytes(bytes(31) + b"\x07")
PAUSE_S = 0.02

Behaviour = Callable[[socket.socket, bytes, threading.Event], object]
"""Given a connection, the head of a request, and when the test is over."""


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], str]]:
    """Starts a server that reads the head of each request and then does as it is told; gives its address."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []
    over = threading.Event()

    def start(behaviour: Behaviour) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    raw = b""
                    while b"\r\n\r\n" not in raw:
                        if not (part := connection.recv(65_536)):
                            raise ConnectionResetError("gone before its request was there")
                        raw += part
                    behaviour(connection, raw, over)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        threads.append(thread)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    over.set()
    for listener in listeners:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        end_thread(thread)


def answering(body: bytes, status: str = "200 OK") -> Behaviour:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return lambda connection, *_: connection.sendall(head.encode() + body)


def dripping(head: bytes, drop: bytes) -> Behaviour:
    """Sends a head, and then a drop now and then as long as somebody listens."""

    def drip(connection: socket.socket, _: bytes, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(PAUSE_S):
            connection.sendall(drop)

    return drip


def deaf(connection: socket.socket, _: bytes, over: threading.Event) -> None:
    """Takes a little of the request's body now and then."""
    while connection.recv(65_536) and not over.wait(PAUSE_S):
        pass


def failure(url: str, limits: Limits = LIMITS, body: bytes = b"") -> GovnodeError:
    with ServiceClient(KIND, url, limits) as client, pytest.raises(GovnodeError) as caught:
        client.ask("POST", "/path", body, by=None)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "front"), [(KIND, "/front"), (KIND._replace(is_at_root=True), "")], ids=["below a path", "at the root"]
)
def test_a_request_is_signed_for_what_is_sent(serve: Callable[[Behaviour], str], kind: ServiceKind, front: str) -> None:
    seen: list[bytes] = []

    def note(connection: socket.socket, raw: bytes, over: threading.Event) -> None:
        seen.append(raw)
        answering(b"good")(connection, raw, over)

    url = serve(note)
    with ServiceClient(kind, url + "/front/", LIMITS) as client:
        found = client.ask("PUT", "/path?a=1", b"body", {"Extra": "2"}, by=Signing(Signer(KEY), 7))
    assert found == b"good"
    first, *lines = seen[0].split(b"\r\n\r\n")[0].decode("ascii").split("\r\n")
    assert first == f"PUT {front}/path?a=1 HTTP/1.1"
    headers = httpx.Headers([(name, value) for name, value in (line.split(": ", 1) for line in lines)])
    assert headers["extra"] == "2"
    digest = signed_request_digest(
        7,
        "PUT",
        headers["host"].encode(),
        f"{front}/path?a=1".encode(),
        b"body",
        int(headers["gov-time"]),
        bytes.fromhex(headers["gov-nonce"]),
    )
    verify(bytes.fromhex(headers["gov-key"]), digest, bytes.fromhex(headers["gov-signature"]))


def test_a_refusal_is_the_service_s_own(serve: Callable[[Behaviour], str]) -> None:
    said = json.dumps({"code": "NO_GRANT", "zh": "没有授权", "en": "no grant"}).encode()
    refused = failure(serve(answering(said, "403 Forbidden")))
    assert isinstance(refused, RequestRefused)
    assert (refused.code, refused.zh, refused.en) == ("NO_GRANT", "没有授权", "no grant")


@pytest.mark.parametrize(
    "behaviour",
    [
        answering(b"<html>", "404 Not Found"),
        answering(b"[1]", "500 Oops"),
        answering(b'{"code": 5, "zh": "", "en": ""}', "403 Forbidden"),
        answering(b'{"code": "A\\u001b[2J", "zh": "", "en": ""}', "403 Forbidden"),
        answering(b"[" * 990, "403 Forbidden"),
        answering(b"x" * 1_001),
        dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"100\r\n" + b"x" * 256 + b"\r\n"),
    ],
    ids=["no JSON", "no refusal", "no code", "no code in capitals", "no end", "too large", "endless"],
)
def test_the_answer_of_something_else_is_named_so(serve: Callable[[Behaviour], str], behaviour: Behaviour) -> None:
    url = serve(behaviour)
    found = failure(url)
    assert isinstance(found, NodeUnreachable)
    assert found.code == "NOT_A_TRIED_ONE"
    assert url in found.zh
    assert "a tried service" in found.en


@pytest.mark.parametrize(
    ("behaviour", "body"),
    [
        (dripping(b"HTTP/1.1 200 OK\r\nSlow: ", b"-"), b""),
        (dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"-"), b""),
        (dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"-"), b""),
        (dripping(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\0", b"-"), b""),
        (dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), b""),
        (deaf, bytes(16 * 1024 * 1024)),
    ],
    ids=["head", "body", "chunk", "nothing unpacked", "continue", "request"],
)
def test_a_service_that_is_never_done_is_left_when_the_time_is_over(
    serve: Callable[[Behaviour], str], behaviour: Behaviour, body: bytes
) -> None:
    """None of them is ever silent for as long as a wait may take; without the end of the whole this test does not end."""
    found = failure(serve(behaviour), Limits(1_000_000, 60.0, 0.2), body)
    assert isinstance(found, NodeUnreachable)
    assert found.code == "ANSWER_TOO_SLOW"


def test_the_end_of_one_request_is_none_of_the_next(serve: Callable[[Behaviour], str]) -> None:
    slow = serve(dripping(b"HTTP/1.1 200 OK\r\nSlow: ", b"-"))
    assert failure(slow, Limits(1_000, 60.0, 0.1)).code == "ANSWER_TOO_SLOW"
    time.sleep(0.1)
    with ServiceClient(KIND, serve(answering(b"good")), LIMITS) as client:
        assert client.ask("GET", "/", by=None) == b"good"


def test_a_service_that_is_away_or_silent_is_unreachable(serve: Callable[[Behaviour], str]) -> None:
    away = failure(f"http://127.0.0.1:{free_ports(1)[0]}")
    assert (away.code, "ConnectError" in away.en) == ("TRIED_UNREACHABLE", True)
    silent = failure(serve(lambda connection, raw, over: over.wait()), Limits(1_000, 0.1, 60.0))
    assert (silent.code, "ReadTimeout" in silent.en) == ("TRIED_UNREACHABLE", True)
    broken = failure(serve(lambda connection, *_: connection.sendall(b"HTTP/1.1 200")))
    assert broken.code == "TRIED_UNREACHABLE"


def test_a_node_that_is_never_done_is_left_too(
    serve: Callable[[Behaviour], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdk.client.MAX_ANSWER_S", 0.2)
    with (
        Client(serve(dripping(b"HTTP/1.1 200 OK\r\nSlow: ", b"-"))) as client,
        pytest.raises(NodeUnreachable, match="in time") as caught,
    ):
        client.status()
    assert caught.value.code == "NODE_UNREACHABLE"


@pytest.mark.parametrize(
    "url", ["", "ftp://host", "http://", "服务", "//host", "http://host:port", "http://host:99999", "http://a\x00b"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError) as refused:
        ServiceClient(KIND, url, LIMITS)
    assert refused.value.code == "URL_INVALID"
    assert KIND.example in refused.value.zh
