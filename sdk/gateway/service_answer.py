"""Asks the data service one question, as an ASGI application, and takes its whole answer within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from sdk.gateway.denials import Denied

AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

# What a service needs to know; the caller's other headers are its own business, or would let it speak for the gateway.
_FORWARDED: Final = frozenset((b"accept", b"accept-language", b"content-type"))
_RETURNED: Final = frozenset((b"content-type", b"content-language", b"content-disposition", b"last-modified"))


class ServiceAnswer(NamedTuple):
    """What the service said: status, the headers that may leave, and the body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def is_json(self) -> bool:
        """Whether the service says that the body is JSON."""
        said = [value for name, value in self.headers if name == b"content-type"]
        # Of two kinds the gateway would believe one, and who reads the answer the other.
        kind = said[0].partition(b";")[0].strip().lower() if len(said) == 1 else b""
        return kind == b"application/json" or kind.endswith(b"+json")


def service_headers(
    headers: Sequence[tuple[bytes, bytes]], extra: frozenset[bytes], told: Sequence[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Return the headers that the service gets: those of the caller that may pass, and what the gateway tells it."""
    passed = [header for header in headers if header[0] in _FORWARDED or header[0] in extra]
    return [*passed, (b"accept-encoding", b"identity"), *told]


async def ask_service(service: AsgiApp, scope: Any, body: bytes, max_bytes: int, timeout_s: float) -> ServiceAnswer:
    """Return the service's whole answer; raise Denied where it is too large, too late, encoded, or none."""
    taking = _Taking(body, max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            await service(scope, taking.receive, taking.send)
    except TimeoutError:
        raise Denied("SERVICE_TIMEOUT") from None
    return taking.answer()


class _Taking:
    """The two ends of an ASGI call."""

    def __init__(self, body: bytes, max_bytes: int) -> None:
        self._message: dict[str, Any] | None = {"type": "http.request", "body": body, "more_body": False}
        self._max_bytes = max_bytes
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._size = 0
        self._is_whole = False

    async def receive(self) -> dict[str, Any]:
        if self._message is not None:
            message, self._message = self._message, None
            return message
        # Applications listen for this while they answer; the caller's going away is not theirs to know.
        await asyncio.Event().wait()
        raise AssertionError("waits for ever")

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status = int(message["status"])
            self._headers = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())]
            for name, value in self._headers:
                if name == b"content-encoding" and (encoding := value.strip().lower()) not in (b"identity", b""):
                    raise Denied("ANSWER_ENCODED", encoding.decode("latin-1")[:20])
        elif message["type"] == "http.response.body":
            chunk = message.get("body", b"")
            self._size += len(chunk)
            if self._size > self._max_bytes:
                raise Denied("ANSWER_TOO_LARGE", f"> {self._max_bytes}")
            self._chunks.append(chunk)
            self._is_whole = not message.get("more_body", False)

    def answer(self) -> ServiceAnswer:
        if not self._status or not self._is_whole:
            raise Denied("SERVICE_UNREACHABLE", "no whole answer")
        kept = tuple((name, value) for name, value in self._headers if name in _RETURNED)
        return ServiceAnswer(self._status, kept, b"".join(self._chunks))
