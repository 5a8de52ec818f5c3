"""JSON answers, and the cache that gives the same bytes again until the ledger or the index moves on."""

from __future__ import annotations

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
_MARK: Final = "govnode.cacheable"


class _Mark:
    """Set by an endpoint whose answer depends on nothing but the target and the heights of ledger and index."""

    __slots__ = ("is_cacheable",)

    def __init__(self) -> None:
        self.is_cacheable = False


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


async def read_body(request: Request, limit: int) -> bytes:
    """Return the whole body; raise Problem as soon as it is known to be over `limit` bytes."""
    length = request.headers.get("content-length", "0")
    body = bytearray()
    if not length.isdigit() or int(length) <= limit:
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    break
            else:
                return bytes(body)
        except ClientDisconnect:
            raise Problem(
                "BODY_INVALID", reason=Text("连接在正文结束前断开", "the connection ended before the body")
            ) from None
    raise Problem(
        "BODY_TOO_LARGE",
        expected=Text(f"不超过 {limit} 字节", f"at most {limit} bytes"),
        found=length if len(body) <= limit else f"> {limit}",
    )


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
