"""Clients verify TLS wherever there is TLS, pay for the authorities only there, keep connections, and fail by known names."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore
import httpx
import pytest

from sdk import http_client
from sdk.http_client import open_http


def contexts(monkeypatch: pytest.MonkeyPatch, *schemes: str) -> list[Any]:
    """Return what clients of these schemes verify TLS with."""
    given: list[Any] = []

    class Noted(httpcore.ConnectionPool):
        def __init__(self, **options: Any) -> None:
            given.append(options["ssl_context"])
            super().__init__(**options)

    monkeypatch.setattr(httpcore, "ConnectionPool", Noted)
    http_client._authorities.cache_clear()
    for scheme in schemes:
        open_http(scheme, 1.0).close()
    return given


def test_https_is_verified_by_one_context_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = contexts(monkeypatch, "https", "https")
    assert first is second
    assert (first.verify_mode, first.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_http_loads_no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [context.cert_store_stats()["x509_ca"] for context in contexts(monkeypatch, "http")] == [0]
    assert http_client._authorities.cache_info().misses == 0


@pytest.mark.parametrize("name", ["ConnectError", "ConnectTimeout", "ReadError", "ReadTimeout", "RemoteProtocolError"])
def test_what_goes_wrong_is_told_by_the_errors_that_callers_know(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(pool: object, request: object) -> None:
        raise getattr(httpcore, name)("broken")

    monkeypatch.setattr(httpcore.ConnectionPool, "handle_request", fail)
    with open_http("http", 1.0) as client, pytest.raises(getattr(httpx, name), match="broken"):
        client.get("http://127.0.0.1:1/")


def test_what_is_read_to_its_end_leaves_its_connection_to_the_next_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        answered = pool.submit(answer_twice, listener)
        with open_http("http", 30.0) as client:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/a%20b?x=1"
            found = [client.post(url, content=body).content for body in (b"1", b"2")]
        assert found == [b"good", b"good"]
        assert answered.result(30) == [b"POST /a%20b?x=1 HTTP/1.1"] * 2


def answer_twice(listener: socket.socket) -> list[bytes]:
    """Answer two requests of one connection; return their first lines."""
    listener.settimeout(30)
    connection, _ = listener.accept()
    connection.settimeout(30)
    firsts = []
    with connection:
        for _ in range(2):
            raw = b""
            while len(raw.partition(b"\r\n\r\n")[2]) < 1:
                chunk = connection.recv(65_536)
                assert chunk, "the connection is kept"
                raw += chunk
            firsts.append(raw.partition(b"\r\n")[0])
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
    return firsts
