"""Clients verify TLS wherever there is TLS, pay for the authorities only there, keep connections, and fail by known names."""

from __future__ import annotations

import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore
import httpx
import pytest

from sdk import http_client
from sdk.http_client import TimeOver, ending_within, open_http


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


def give_addresses(monkeypatch: pytest.MonkeyPatch, name: str, addresses: list[str], port: int) -> None:
    """Let a name stand for these addresses; others are looked up as ever."""
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]
    find = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: places if host == name else find(host, *a, **k))


def test_the_time_holds_for_all_addresses_of_a_host_together(monkeypatch: pytest.MonkeyPatch) -> None:
    silent, waited = [f"192.0.2.{last}" for last in range(1, 7)], []
    connect = socket.create_connection

    def stay_silent(address: tuple[str, int], timeout: float, **more: Any) -> Any:
        if address[0] not in [*silent, "six.example"]:
            return connect(address, timeout, **more)
        # The system gives each address of a name the whole time.
        for _ in silent if address[0] == "six.example" else [address[0]]:
            waited.append(timeout)
            time.sleep(timeout)
        raise TimeoutError("timed out")

    give_addresses(monkeypatch, "six.example", silent, 80)
    monkeypatch.setattr(socket, "create_connection", stay_silent)
    with open_http("http", 0.05) as client, pytest.raises(TimeOver), ending_within(0.2):
        client.get("http://six.example/")
    assert sum(waited) <= 0.2


def test_the_next_address_is_tried_where_one_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        port = listener.getsockname()[1]
        give_addresses(monkeypatch, "two.example", ["127.0.0.9", "127.0.0.1"], port)
        answered = pool.submit(answer_twice, listener)
        with open_http("http", 30.0) as client:
            found = [client.post(f"http://two.example:{port}/", content=b"1").content for _ in range(2)]
        assert found == [b"good", b"good"]
        assert answered.result(30) == [b"POST / HTTP/1.1"] * 2


def test_a_host_that_is_no_name_is_not_reached() -> None:
    with open_http("http", 30.0) as client, pytest.raises(httpx.ConnectError):
        client.get(f"http://{'a' * 70}/")


def test_the_time_holds_for_the_wait_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_CONNECTIONS", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with open_http("http", 30.0) as client, ThreadPoolExecutor(1) as pool:
            begun = pool.submit(answer_in_part, listener)
            # The only connection is taken as long as the answer is not complete.
            with client.stream("GET", url), begun.result(30):
                with pytest.raises(TimeOver), ending_within(0.1):
                    client.get(url, timeout=httpx.Timeout(30.0, pool=2.0))
                with pytest.raises(httpx.PoolTimeout), ending_within(600.0):
                    client.get(url, timeout=httpx.Timeout(30.0, pool=0.1))


def answer_in_part(listener: socket.socket) -> socket.socket:
    """Answer one request with less than its answer says; return the connection."""
    listener.settimeout(30)
    connection, _ = listener.accept()
    connection.settimeout(30)
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
    return connection
