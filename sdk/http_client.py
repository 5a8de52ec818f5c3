"""HTTP clients to nodes and departments' services: no proxies of the environment, no redirects, TLS verified where there is TLS.

Each wait for a server has its timeout, which one that sends a byte now and then never meets: `ending_within` ends it all the same.
"""

from __future__ import annotations

import functools
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import httpcore
import httpx

MAX_PORT: Final = 65_535
MAX_CONNECTIONS: Final = 100
MAX_IDLE_CONNECTIONS: Final = 20
IDLE_S: Final = 5.0
"""How long a connection without a request is kept."""
WRITE_BYTES: Final = 64 * 1024
"""Written at once: between them it is looked whether the time is over."""

_until_s: ContextVar[float] = ContextVar("until_s", default=float("inf"))
"""By the monotonic clock: when what the present code asks for must have come."""


class TimeOver(httpx.TimeoutException):
    """The time given by `ending_within` is over; the connection is closed."""


@contextmanager
def ending_within(total_s: float) -> Iterator[None]:
    """Let what is asked for inside, over clients of `open_http`, take `total_s` in all; within another one the earlier end counts.

    What is not complete by then raises TimeOver. The look-up of a name alone takes as long as the system lets it.
    """
    token = _until_s.set(min(_until_s.get(), time.monotonic() + total_s))
    try:
        yield
    finally:
        _until_s.reset(token)


def parse_address(text: str) -> httpx.URL | None:
    """Return an `http(s)://host:port`, without a slash at its end; None for what is no such address."""
    try:
        url = httpx.URL(text.rstrip("/"))
    except httpx.InvalidURL:
        return None
    is_port = url.port is None or 0 < url.port <= MAX_PORT
    return url if url.scheme in {"http", "https"} and url.host and is_port else None


def open_http(scheme: str, timeout: httpx.Timeout | float) -> httpx.Client:
    """Return a client for addresses of a scheme, `http` or `https`; close it.

    Those of https share one context with the usual authorities, which takes 20 ms to load; those of http load none.
    """
    verify = _authorities() if scheme == "https" else False
    # Nodes and services are on the departments' own network: proxies of the environment are not for them.
    return httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False, transport=_Transport(verify))


@functools.cache
def _authorities() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


class _Transport(httpx.BaseTransport):
    """Carries requests over connections that end when the time is over."""

    def __init__(self, verify: ssl.SSLContext | bool) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(verify, trust_env=False),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_S,
            network_backend=_Network(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer, its body still to come; raise httpx's errors, TimeOver among them."""
        url = request.url
        assert isinstance(request.stream, httpx.SyncByteStream), "given by a client that is not asynchronous"
        timeouts = request.extensions.get("timeout", {})
        # Also while all connections are taken nobody waits beyond the end.
        with _errors_of_httpx(), _left_s(timeouts.get("pool")) as pool_s:
            answer = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={**request.extensions, "timeout": {**timeouts, "pool": pool_s}},
                )
            )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)

    def close(self) -> None:
        """End the connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    """The body of an answer as it comes."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        with _errors_of_httpx():
            self._answer.close()


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """Raise what goes wrong on a connection as httpx's error of the same name, which is what callers know."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        known = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise known(str(error)) from error


class _Network(httpcore.SyncBackend):
    """Opens connections that end when the time is over."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection to the first of the host's addresses that takes one; raise TimeOver as all of its methods do."""
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        # One by one: each has the whole timeout, and all of them together no more than is left.
        for address in _addresses(host, port):
            try:
                with _left_s(timeout) as left_s:
                    return _Stream(super().connect_tcp(address, port, left_s, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        assert failure is not None, "a host that is found has an address"
        raise failure


def _addresses(host: str, port: int) -> list[str]:
    """Return a host's addresses in the order to try them, at least one; raise httpcore.ConnectError for none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # In digits, with the interface of one that is only good on it.
        shown = [socket.getnameinfo(place, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0] for *_, place in found]
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from error
    return list(dict.fromkeys(shown))


class _Stream(httpcore.NetworkStream):
    """A connection whose methods raise TimeOver when the time is over."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _left_s(timeout) as left_s:
            return self._stream.read(max_bytes, left_s)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_BYTES):
            with _left_s(timeout) as left_s:
                self._stream.write(buffer[start : start + WRITE_BYTES], left_s)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        with _left_s(timeout) as left_s:
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, left_s))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@contextmanager
def _left_s(timeout_s: float | None) -> Iterator[float | None]:
    """Give the time that one step may take: its own timeout, or what is left of the whole."""
    until_s = _until_s.get()
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeOver("the time is over")
    try:
        yield timeout_s if until_s == float("inf") else min(left_s, left_s if timeout_s is None else timeout_s)
    except httpcore.TimeoutException:
        if time.monotonic() >= until_s:
            raise TimeOver("the time is over") from None
        raise
