"""One client's HTTP connection with a limit on everything: time to send a request, bytes around its body, time to read answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HTTP_CONNECTIONS: Final = 1_000
"""WebSockets among them."""
WEBSOCKET_PATH: Final = b"/rpc"
MAX_OVERHEAD_BYTES: Final = 256 * 1024
"""Of one request: its line, its headers, and what frames a body in chunks."""
REQUEST_TIMEOUT_S: Final = 30.0
"""From a request's first byte (for the first one: from the connection) to the last of its body."""
READ_TIMEOUT_S: Final = 60.0
"""For a client to read on while an answer waits for it."""
MAX_UNREAD_BYTES: Final = 256 * 1024 * 1024
"""Of what is sent to all clients and not read: beyond it those who have not read for longest are cut off."""

_TOO_LARGE: Final = b"request line and headers are too long\n"


class Unread(Protocol):
    """A connection that may have a client who does not read."""

    transport: asyncio.Transport
    _unread_since_s: float | None


def make_unread_fit(connections: Iterable[Any]) -> None:
    """Cut off clients that do not read, the longest first, until what waits for the others is at most MAX_UNREAD_BYTES."""
    waiting: list[Unread] = [one for one in connections if getattr(one, "_unread_since_s", None) is not None]
    total = sum(one.transport.get_write_buffer_size() for one in waiting)
    for one in sorted(waiting, key=lambda one: one._unread_since_s or 0.0):
        if total <= MAX_UNREAD_BYTES:
            return
        total -= one.transport.get_write_buffer_size()
        one.transport.abort()


class HttpConnection(HttpToolsProtocol):
    """A connection that ends when its client is too slow or too verbose, and gives way when there are too many.

    Where MAX_HTTP_CONNECTIONS are open, a new one takes the place of the one that has gone longest without a whole request:
    connections that are only held open keep nobody out.
    """

    _awaited_since_s: float | None = None
    """Since when a whole request is waited for; None while one is being answered."""
    _unread_since_s: float | None = None
    _overhead_bytes = 0
    _is_head_whole = False
    """Whether all headers of the present request are there: what comes like one behind them is a trailer."""
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection in, at the cost of the idlest one when there are too many."""
        super().connection_made(transport)
        self._awaited_since_s = self.loop.time()
        self._check_deadlines()
        if len(self.connections) > MAX_HTTP_CONNECTIONS:
            others = [other for other in self.connections if isinstance(other, HttpConnection) and other is not self]
            waiting = [
                (other._awaited_since_s, id(other), other) for other in others if other._awaited_since_s is not None
            ]
            if waiting:
                _, _, idlest = min(waiting)
                self.connections.discard(idlest)
                idlest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, the watch over it too."""
        if self._watch is not None:
            self._watch.cancel()
        self._unset_keepalive_if_required()
        super().handle_websocket_upgrade()

    def _should_upgrade_to_ws(self) -> bool:
        # While an earlier answer is under way, or elsewhere, a request for an upgrade is answered as one without it.
        is_free = self.cycle is None or self.cycle.response_complete
        return super()._should_upgrade_to_ws() and is_free and self.url.partition(b"?")[0] == WEBSOCKET_PATH

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: anybody may ask for an upgrade, and as often as they like."""

    def data_received(self, data: bytes) -> None:
        """Take bytes in; end the connection when a request has too many of them beside its body."""
        self._overhead_bytes += len(data)
        super().data_received(data)
        if self._overhead_bytes > MAX_OVERHEAD_BYTES and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                head = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\n"
                length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(_TOO_LARGE)
                self.transport.write(head + length + _TOO_LARGE)
                self.transport.close()
            else:
                self.transport.abort()

    def on_message_begin(self) -> None:
        """Begin to count and to wait for the whole of a request."""
        self._overhead_bytes = 0
        self._awaited_since_s = self.loop.time()
        self._is_head_whole = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is none (RFC 9110, 6.5.1): a proxy before this one has not looked at whom it names."""
        if not self._is_head_whole:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have the request answered once its headers are there."""
        self._is_head_whole = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; its size is the application's to limit."""
        self._overhead_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait no longer: the request is there."""
        self._awaited_since_s = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is there already."""
        if self._awaited_since_s is None and not self.pipeline:
            self._awaited_since_s = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._unread_since_s = self.loop.time()
        super().pause_writing()
        # Not from within the transport's own call.
        self.loop.call_soon(make_unread_fit, self.connections)

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._unread_since_s = None
        super().resume_writing()

    def _check_deadlines(self) -> None:
        """End the connection when its client is too slow, else look again when it would be."""
        now_s = self.loop.time()
        wake_s = now_s + REQUEST_TIMEOUT_S
        for since_s, limit_s in ((self._awaited_since_s, REQUEST_TIMEOUT_S), (self._unread_since_s, READ_TIMEOUT_S)):
            if since_s is not None:
                if now_s >= since_s + limit_s:
                    self.transport.abort()
                    return
                wake_s = min(wake_s, since_s + limit_s)
        self._watch = self.loop.call_at(wake_s, self._check_deadlines)
