"""JSON-RPC over WebSocket at /rpc: calls in, answers and notifications out, every client within limits with names."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from node.http.json_rpc import JsonRpc
from node.http.subscriptions import Opening, Subscriber, Subscriptions
from node.logs import Log

MAX_WEBSOCKETS: Final = 200
MAX_CALLS_IN_HAND: Final = 8
"""Of one client: it is read no further until one of them is answered."""
MAX_WAITING_BYTES: Final = 256 * 1024 * 1024
"""Of the answers that all clients have yet to be sent: beyond it the client with most of them is told to go."""
IDLE_TIMEOUT_S: Final = 300.0
"""Without a message, while no subscription is open and no call is in hand."""

GOING_AWAY: Final = 1001
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013

_LOG = Log("rpc_sockets")

_PORTS: Final = {"http": 80, "https": 443}
_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]


class RpcSockets:
    """The clients that are connected by WebSocket.

    Where MAX_WEBSOCKETS are open, a new one takes the place of the one without subscription that has said nothing for longest.
    """

    def __init__(self, rpc: JsonRpc, subscriptions: Subscriptions) -> None:
        """Answer as `rpc` does, and tell of what clients subscribe to."""
        self._rpc = rpc
        self._subscriptions = subscriptions
        self._sessions: set[_Session] = set()

    async def serve(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Serve one client to its end, or refuse it by HTTP status 403, 404 or 503 with the reason as text."""
        refusal = self._find_refusal(scope)
        await receive()
        if refusal is not None:
            status, text = refusal
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": f"{text}\n".encode()})
            return
        session = _Session(self._rpc, self._subscriptions, receive, send, self._make_waiting_fit)
        self._sessions.add(session)
        try:
            # The client may be gone, or told to go, before it is accepted.
            with contextlib.suppress(OSError):
                await send({"type": "websocket.accept"})
                await session.run()
        finally:
            self._sessions.discard(session)

    def _find_refusal(self, scope: _Message) -> tuple[HTTPStatus, str] | None:
        if scope["path"] != "/rpc":
            return HTTPStatus.NOT_FOUND, "WebSocket 仅在 /rpc 提供 / WebSocket is served at /rpc only"
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is not None and not is_own_origin(
            origin.decode("latin-1"), headers.get(b"host", b"").decode("latin-1")
        ):
            zh, en = "不接受其他来源的网页", "pages of another origin are not served"
            return HTTPStatus.FORBIDDEN, f"{zh} / {en}"
        if len(self._sessions) >= MAX_WEBSOCKETS and not self._make_room():
            zh, en = (
                f"已有 {MAX_WEBSOCKETS} 个 WebSocket 连接，请稍后再试",
                f"{MAX_WEBSOCKETS} WebSockets are open: try again later",
            )
            return HTTPStatus.SERVICE_UNAVAILABLE, f"{zh} / {en}"
        return None

    def _make_waiting_fit(self) -> None:
        staying = [session for session in self._sessions if not session.is_ending]
        if sum(session.waiting_bytes for session in staying) > MAX_WAITING_BYTES:
            worst = max(staying, key=lambda session: session.waiting_bytes)
            worst.end(TRY_AGAIN_LATER, "未读的结果过多 / too many answers wait to be read")

    def _make_room(self) -> bool:
        idle = [(session.quiet_since_s, id(session), session) for session in self._sessions if session.is_idle]
        if not idle:
            return False
        session = min(idle)[2]
        self._sessions.discard(session)
        session.end(TRY_AGAIN_LATER, "连接过多 / too many connections: the quietest gave way")
        return True


def is_own_origin(origin: str, host: str) -> bool:
    """Return whether a page of this Origin came from the node that the Host header names."""
    try:
        asked, own = urlsplit(origin), urlsplit(f"//{host}")
        default_port = _PORTS.get(asked.scheme)
        ports = asked.port or default_port, own.port or default_port
    except ValueError:
        return False
    return default_port is not None and bool(asked.hostname) and asked.hostname == own.hostname and ports[0] == ports[1]


class _Session:
    """One client from its acceptance to its end."""

    def __init__(
        self,
        rpc: JsonRpc,
        subscriptions: Subscriptions,
        receive: _Receive,
        send: _Send,
        make_waiting_fit: Callable[[], None],
    ) -> None:
        self._subscriber = Subscriber(subscriptions, lambda reason: self.end(TRY_AGAIN_LATER, reason))
        self._rpc = rpc
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(MAX_CALLS_IN_HAND)
        self._calls: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._make_waiting_fit = make_waiting_fit
        self.is_ending = False
        self.waiting_bytes = 0
        """Of answers that are to be sent when the client has read what was sent before."""
        self.quiet_since_s = self._loop.time()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand for the client and it waits for no notification."""
        return not self._calls and not self._subscriber.is_subscribed

    async def run(self) -> None:
        """Answer the client's calls and notify it until it goes away or is told to."""
        self._start(self._notify())
        try:
            while True:
                await self._slots.acquire()
                message = await self._next_message()
                if message["type"] != "websocket.receive":
                    return
                self.quiet_since_s = self._loop.time()
                text = message.get("text")
                call = self._start(self._answer(message.get("bytes") or b"" if text is None else text.encode()))
                self._calls.add(call)
                call.add_done_callback(self._finish_call)
        finally:
            self._subscriber.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def end(self, code: int, reason: str) -> None:
        """Tell the client, with a WebSocket close code and a reason of at most 123 bytes, that the connection ends."""
        if not self.is_ending:
            self.is_ending = True
            self._start(self._close(code, reason))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _finish_call(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._slots.release()

    async def _next_message(self) -> _Message:
        while True:
            try:
                async with asyncio.timeout(IDLE_TIMEOUT_S):
                    return await self._receive()
            except TimeoutError:
                if self.is_idle:
                    self.end(GOING_AWAY, f"空闲超过 {IDLE_TIMEOUT_S:g} 秒 / idle for {IDLE_TIMEOUT_S:g} s")

    async def _answer(self, body: bytes) -> None:
        opening = Opening(self._subscriber)
        answer = await self._rpc.answer(body, opening)
        size = 0 if answer is None else len(answer)
        self.waiting_bytes += size
        self._make_waiting_fit()
        # A client that is gone needs no answer.
        try:
            with contextlib.suppress(OSError):
                if answer is not None:
                    await self._send_text(answer)
                opening.activate()
        finally:
            self.waiting_bytes -= size

    async def _notify(self) -> None:
        try:
            await self._subscriber.tell(self._send_text)
        except OSError:
            return
        except Exception:  # noqa: BLE001 - the client would wait for ever for what is not told
            _LOG.exception("notifications_failed")
            self.end(INTERNAL_ERROR, "节点内部错误 / internal error of the node")

    async def _send_text(self, text: bytes) -> None:
        await self._send({"type": "websocket.send", "text": text.decode()})

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(OSError):
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
