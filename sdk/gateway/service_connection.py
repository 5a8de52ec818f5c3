"""One connection to the data service: takes one answer at a time, whole and within bounds, from a server that may send anything."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

import httptools

from sdk.gateway.denials import Denied

MAX_ANSWER_HEADER_BYTES: Final = 16 * 1024
MAX_FRAMING_BYTES: Final = 64 * 1024
"""Of one answer beside its body, answers 1xx before it included; a body in chunks may have some more for each byte."""
FRAMING_OF_BODY: Final = 8
"""Bytes around each byte of a body in chunks: a chunk of one byte has five."""


class ServiceFailed(Exception):
    """The service closed the connection, or what it sent is no answer; `is_unanswered` where it had sent nothing."""

    def __init__(self, reason: str, *, is_unanswered: bool = False) -> None:
        """Take one word that has nothing of what was sent."""
        super().__init__(reason)
        self.reason, self.is_unanswered = reason, is_unanswered


class RawAnswer(NamedTuple):
    """Status, headers with names in lower case as they came, and the body without its framing."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class ServiceConnection(asyncio.Protocol):
    """Asks one question after the other; what comes unasked ends it, so that no answer is taken for another's."""

    idle_since_s = 0.0

    def __init__(self, max_bytes: int, *, is_tls: bool = False) -> None:
        """Take how large the body of an answer may be, and whether the connection is one of TLS."""
        self._max_bytes, self._is_tls = max_bytes, is_tls
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[RawAnswer] | None = None
        self._is_fit = False
        self._begin(is_head=False)

    def _begin(self, *, is_head: bool) -> None:
        self._is_head = is_head
        self._status = self._size = self._received = self._header_bytes = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._has_length = False

    @property
    def is_fit(self) -> bool:
        """Whether another question may be asked on it."""
        return self._is_fit and self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """End the connection at once."""
        self._is_fit = False
        if self._transport is not None:
            self._transport.abort()

    async def ask(self, request: bytes, *, is_head: bool) -> RawAnswer:
        """Return the answer to a request's bytes; raise ServiceFailed, or Denied ANSWER_TOO_LARGE."""
        if self._transport is None:
            raise ServiceFailed("ConnectionLost", is_unanswered=True)
        self._begin(is_head=is_head)
        self._is_fit = False
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection in."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of a connection for the end of an answer that says neither its length nor where it ends; not under TLS.

        Anybody in between can end a connection: under TLS it would pass for the service's word (RFC 9112, 9.8).
        """
        self._transport = None
        if exc is None and self._status and not self._has_length and not self._is_tls:
            self._complete(is_fit=False)
        else:
            self._fail(ServiceFailed("ConnectionLost", is_unanswered=not self._received))

    def data_received(self, data: bytes) -> None:
        """Take bytes in; end the connection where nothing was asked, or they are no answer."""
        if self._waiting is None or self._waiting.done():
            self.close()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(ServiceFailed("AnswerMalformed"))
            self.close()
            return
        if self._received - self._size > MAX_FRAMING_BYTES + FRAMING_OF_BODY * self._size:
            self._fail(ServiceFailed("FramingTooLarge"))

    def on_message_begin(self) -> None:
        """Begin an answer: the one that was asked for, after any number of 1xx; a second one spoils the connection."""
        if self._is_awaited():
            self._headers, self._header_bytes = [], 0
        else:
            self._is_fit = False
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; those behind a body (trailers) are none of the answer's."""
        if self._status or not self._is_awaited():
            return
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_ANSWER_HEADER_BYTES:
            self._fail(ServiceFailed("HeadersTooLarge"))
            return
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Look at how the body is framed; the answer to HEAD ends here."""
        status = self._parser.get_status_code()
        if status < 200 or not self._is_awaited():
            return
        self._status = status
        for name, value in self._headers:
            if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
                self._fail(ServiceFailed("TransferEncoding"))
            if name in (b"transfer-encoding", b"content-length"):
                self._has_length = True
        if self._is_head:
            # The parser waits for a body that does not come: nothing else can be asked on this connection.
            self._complete(is_fit=False)

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if not self._is_awaited():
            return
        self._size += len(body)
        if self._size > self._max_bytes:
            self._fail(Denied("ANSWER_TOO_LARGE", f"> {self._max_bytes}"))
        else:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Hand out the answer; one of 1xx is none yet."""
        if self._status:
            self._complete(is_fit=self._parser.should_keep_alive())

    def _is_awaited(self) -> bool:
        return self._waiting is not None and not self._waiting.done()

    def _complete(self, *, is_fit: bool) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._is_fit = is_fit
            self._waiting.set_result(RawAnswer(self._status, self._headers, b"".join(self._chunks)))

    def _fail(self, error: Exception) -> None:
        self.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
