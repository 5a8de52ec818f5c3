"""JSON answers, and the cache that gives the same bytes again until the ledger or the index moves on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.auth import is_signed
from explorer.problems import Problem, Text

MAX_CACHE_ENTRIES: Final = 512
MAX_CACHE_BYTES: Final = 16 * 1024 * 1024
MAX_CACHED_TARGET_BYTES: Final = 1_024
MAX_BODIES_BYTES: Final = 256 * 1024 * 1024
"""Of the request bodies of all clients that are being read or answered."""
SMALL_BODY_BYTES: Final = 64 * 1024
"""A body of so much is read however many others there are: who sends large ones slowly keeps nobody's calls out."""
_MARK: Final = "govnode.cacheable"


class _Mark:
    """Set by an endpoint whose answer depends on nothing but the target and the heights of ledger and index."""

    __slots__ = ("is_cacheable",)

    def __init__(self) -> None:
        self.is_cacheable = False


class _InHand:
    """How many bytes the request bodies in hand come to, of the whole process, which is one node."""

    size = 0


_in_hand = _InHand()


def json_response(request: Request, content: object, *, cacheable: bool = False, status: int = 200) -> Response:
    """Return `content` as JSON; a cacheable answer must depend on the target and the final blocks alone."""
    mark = request.scope.get(_MARK)
    if cacheable and mark is not None:
        mark.is_cacheable = True
    return Response(
        orjson.dumps(content),
        status_code=status,
        media_type="application/json",
        headers={"cache-control": "no-cache" if cacheable else "no-store"},
    )


@asynccontextmanager
async def read_body(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Read the whole body, for as long as it is needed; raise Problem as soon as it is known to be over `limit` bytes.

    All bodies in hand have MAX_BODIES_BYTES between them; beyond that a body of more than SMALL_BODY_BYTES is refused.
    """
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit, length)
    body = bytearray()
    try:
        try:
            async for chunk in request.stream():
                body += chunk
                _in_hand.size += len(chunk)
                if len(body) > limit:
                    raise _too_large(limit, f"> {limit}")
                if _in_hand.size > MAX_BODIES_BYTES and len(body) > SMALL_BODY_BYTES:
                    raise Problem("BODIES_TOO_MANY")
        except ClientDisconnect:
            raise Problem(
                "BODY_INVALID", reason=Text("连接在正文结束前断开", "the connection ended before the body")
            ) from None
        yield bytes(body)
    finally:
        _in_hand.size -= len(body)


def _too_large(limit: int, found: str) -> Problem:
    return Problem("BODY_TOO_LARGE", expected=Text(f"不超过 {limit} 字节", f"at most {limit} bytes"), found=found)


class ResponseCache:
    """ASGI layer: an unsigned GET whose answer was marked cacheable is answered from memory while the version stays the same."""

    def __init__(self, app: ASGIApp, version: Any) -> None:
        """Wrap `app`; `version()` returns the pair of heights that cached answers depend on."""
        self._app = app
        self._version = version
        self._cached_version: object = None
        self._answers: dict[bytes, tuple[Message, bytes]] = {}
        self._size = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from memory, or let the wrapped application answer and keep what it marked."""
        if scope["type"] != "http" or scope["method"] != "GET" or is_signed(scope):
            await self._app(scope, receive, send)
            return
        version = self._version()
        if version != self._cached_version:
            self._answers.clear()
            self._size = 0
            self._cached_version = version
        target = scope["raw_path"] + b"?" + scope["query_string"]
        answer = self._answers.get(target)
        if answer is not None:
            await send(answer[0])
            await send({"type": "http.response.body", "body": answer[1]})
            return
        mark = scope[_MARK] = _Mark()
        start: Message = {}

        async def keep(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            elif mark.is_cacheable and start["status"] == 200 and not message.get("more_body"):
                self._keep(version, target, start, message.get("body", b""))
            await send(message)

        await self._app(scope, receive, keep)

    def _keep(self, version: object, target: bytes, start: Message, body: bytes) -> None:
        # What was computed before the ledger moved on is of another version: it is not kept.
        if version != self._version() or version != self._cached_version or len(target) > MAX_CACHED_TARGET_BYTES:
            return
        if len(self._answers) < MAX_CACHE_ENTRIES and self._size + len(body) <= MAX_CACHE_BYTES:
            self._answers[target] = (start, body)
            self._size += len(body)
