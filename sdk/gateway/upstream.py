"""The data service behind the gateway as an ASGI application: what a reverse proxy forwards, and nothing else of either side's headers."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from sdk.gateway.denials import Denied
from sdk.gateway.service_connection import RawAnswer, ServiceConnection, ServiceFailed

MAX_CONNECTIONS: Final = 256
CONNECT_TIMEOUT_S: Final = 5.0
MAX_IDLE_S: Final = 4.0
"""For a connection that nothing is asked on: most servers close theirs after five seconds or more."""

# What frames a message is said once, by what sends it: a caller's word on it would end in another place than ours.
_OWN_FRAMING: Final = frozenset(
    b"connection content-length expect host keep-alive proxy-authorization proxy-connection te trailer transfer-encoding upgrade".split()
)
_RETRIED: Final = frozenset((b"GET", b"HEAD"))
_WITH_BODY: Final = frozenset((b"POST", b"PUT", b"PATCH"))
_TARGET: Final = re.compile(rb"/[!\"$-~]*")


class UpstreamService:
    """Hands each request on to one address, over connections that are kept until the server that it is in ends; for one event loop."""

    def __init__(self, base_url: str, max_answer_bytes: int, authorities: str = "") -> None:
        """Take `http(s)://host:port` of the service, and how large the body of an answer may be.

        `authorities` is the PEM file of those who may have signed the certificate of an https service, empty for the system's own.
        """
        parts = urlsplit(base_url)
        self._tls = ssl.create_default_context(cafile=authorities or None) if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._authority = parts.netloc.encode("ascii")
        self._max_answer_bytes = max_answer_bytes
        self._idle: deque[ServiceConnection] = deque()
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    async def _live(self, receive: Any, send: Any) -> None:
        """Follow the server's life: the connections end with it."""
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        while self._idle:
            self._idle.pop().close()
        await send({"type": "lifespan.shutdown.complete"})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request as the service does; raise Denied SERVICE_UNREACHABLE, SERVICE_TIMEOUT or ANSWER_TOO_LARGE."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        # The path goes on as it came: what was matched is what is asked for.
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        body = (await receive()).get("body", b"")
        method = scope["method"].encode("ascii")
        request = make_request(method, target, self._authority, scope["headers"], body)
        async with self._places:
            answer = await self._ask(method, request)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _ask(self, method: bytes, request: bytes) -> RawAnswer:
        """Return the answer; what was asked on a kept connection that the service closed meanwhile is asked again if it may be."""
        kept = self._take_idle()
        if kept is not None:
            try:
                return await self._ask_on(kept, method, request)
            except ServiceFailed as failed:
                if method not in _RETRIED or not failed.is_unanswered:
                    raise Denied("SERVICE_UNREACHABLE", failed.reason) from None
        try:
            return await self._ask_on(await self._connect(), method, request)
        except ServiceFailed as failed:
            raise Denied("SERVICE_UNREACHABLE", failed.reason) from None

    async def _ask_on(self, connection: ServiceConnection, method: bytes, request: bytes) -> RawAnswer:
        try:
            return await connection.ask(request, is_head=method == b"HEAD")
        finally:
            # Whoever gave up has left an answer behind that nobody may get.
            if connection.is_fit:
                connection.idle_since_s = asyncio.get_running_loop().time()
                self._idle.append(connection)
            else:
                connection.close()

    def _take_idle(self) -> ServiceConnection | None:
        """Return the connection that was used last, None where there is none; end those that were not used for long."""
        oldest_s = asyncio.get_running_loop().time() - MAX_IDLE_S
        while self._idle and self._idle[0].idle_since_s < oldest_s:
            self._idle.popleft().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fit:
                return connection
        return None

    def _make_connection(self) -> ServiceConnection:
        return ServiceConnection(self._max_answer_bytes, is_tls=self._tls is not None)

    async def _connect(self) -> ServiceConnection:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await asyncio.get_running_loop().create_connection(
                    self._make_connection, self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise Denied("SERVICE_TIMEOUT") from None
        except OSError as error:
            raise Denied("SERVICE_UNREACHABLE", type(error).__name__) from None
        return connection


def make_request(
    method: bytes, target: bytes, authority: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> bytes:
    """Return the bytes of a request; raise Denied PATH_MALFORMED or READ_HEADER_MALFORMED where they would be read as another."""
    if _TARGET.fullmatch(target) is None:
        raise Denied("PATH_MALFORMED")
    lines = [b"%b %b HTTP/1.1" % (method, target), b"host: " + authority]
    lines += [b"%b: %b" % header for header in headers if header[0] not in _OWN_FRAMING]
    if body or method in _WITH_BODY:
        lines.append(b"content-length: %d" % len(body))
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise Denied("READ_HEADER_MALFORMED")
    return b"%b\r\n\r\n%b" % (head, body)
