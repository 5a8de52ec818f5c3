"""One client's WebSocket connection with a limit on everything: size of a message, time to send it, time to read, bytes taken in ahead."""

from __future__ import annotations

import asyncio
from asyncio.transports import BaseTransport
from typing import Final

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from node.http.connection import make_unread_fit

MAX_MESSAGE_BYTES: Final = 2 * 1024 * 1024
MESSAGE_TIMEOUT_S: Final = 30.0
"""From a message's first byte to its last."""
READ_TIMEOUT_S: Final = 60.0
"""For a client to read on while something waits for it."""
CLOSE_TIMEOUT_S: Final = 10.0
"""For a connection that is closing to be gone."""
PING_INTERVAL_S: Final = 20.0
PING_TIMEOUT_S: Final = 20.0
MAX_STEP_BYTES: Final = 4 * 1024
"""What is decoded at a time: as many small messages as fit into it wait for the application at most."""
MAX_FRAGMENTS: Final = 1_024
"""Of one message."""


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A connection that decodes no further while a message waits or its client does not read, and ends when that is too slow."""

    _begun_since_s: float | None = None
    """Since when the rest of a message is waited for."""
    _unread_since_s: float | None = None
    _closing_since_s: float | None = None
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Take over the connection of an HTTP request for an upgrade."""
        self._undecoded = bytearray()
        super().connection_made(transport)
        self._check_deadlines()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in and decode them; what has to wait stays at what one read of the socket brings."""
        self._undecoded += data
        self._decode()

    def pause_writing(self) -> None:
        """Note that the client does not read; it is not answered pings or given anything else meanwhile."""
        self._unread_since_s = self.loop.time()
        super().pause_writing()
        self.loop.call_soon(make_unread_fit, self.connections)

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._unread_since_s = None
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()
            self._decode()

    def keepalive_timeout(self) -> None:
        """Drop a client that answered no ping, unless the answer may wait behind what is not read from it now."""
        if self.read_paused or self._unread_since_s is not None:
            self.pong_timer = None
            self.pending_ping_payload = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next message, and decode on when none waits any more."""
        message = await super().receive()
        self._decode()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message when the client has read most of what was sent before; a reason for closing goes at once."""
        if message["type"] == "websocket.close":
            self.writable.set()
        else:
            await self.writable.wait()
            if self.close_sent:
                raise ClientDisconnected
        await super().send(message)

    def _decode(self) -> None:
        while self._undecoded and not self.read_paused and self._unread_since_s is None:
            step = bytes(self._undecoded[:MAX_STEP_BYTES])
            del self._undecoded[:MAX_STEP_BYTES]
            super().data_received(step)
            if self.conn.handshake_exc is not None and not self.close_sent:
                self._refuse_handshake()
            if len(self.frames) > MAX_FRAGMENTS:
                self.transport.abort()
            if self.transport.is_closing():
                self._undecoded.clear()
        if self._undecoded and not self.transport.is_closing():
            self.transport.pause_reading()
        has_begun = bool(self.frames) or bool(self.conn.reader.buffer)
        if not has_begun:
            self._begun_since_s = None
        elif self._begun_since_s is None:
            self._begun_since_s = self.loop.time()

    def _refuse_handshake(self) -> None:
        # A request that the library cannot even parse: it has an answer ready, which nobody else sends.
        self.handshake_complete = self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()

    def _check_deadlines(self) -> None:
        """End the connection when its client is too slow, else look again when it would be."""
        now_s = self.loop.time()
        if self._closing_since_s is None and (self.close_sent or self.transport.is_closing()):
            self._closing_since_s = now_s
        if self.read_paused and self._begun_since_s is not None:
            self._begun_since_s = now_s
        wake_s = now_s + CLOSE_TIMEOUT_S
        for since_s, limit_s in (
            (self._begun_since_s, MESSAGE_TIMEOUT_S),
            (self._unread_since_s, READ_TIMEOUT_S),
            (self._closing_since_s, CLOSE_TIMEOUT_S),
        ):
            if since_s is not None:
                if now_s >= since_s + limit_s:
                    self.transport.abort()
                    return
                wake_s = min(wake_s, since_s + limit_s)
        self._watch = self.loop.call_at(wake_s, self._check_deadlines)
