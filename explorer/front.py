"""The one HTTP port of a node: JSON-RPC at /rpc from the first moment, over WebSocket too, everything else once its libraries are loaded.

They take twice as long to load as all the rest of a node, which has blocks to make meanwhile: after a kill of every node,
clients' transactions come in over JSON-RPC at once, and the REST side follows when somebody asks for it or a little later.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.accounts import ACCOUNTS, DEPLOYER
from contracts.calls import load_evm
from contracts.deployments import DEPLOYMENTS
from explorer.problems import Problem, Text
from explorer.responses import read_body
from explorer.settings import ExplorerSettings
from node.http.json_rpc import MAX_REQUEST_BYTES, JsonRpc
from node.http.rpc_sockets import RpcSockets
from node.http.subscriptions import Subscriptions
from node.logs import Log

if TYPE_CHECKING:
    from explorer.app import RestSide
    from node.ledger.ledger import StateReader
    from node.view import NodeView

LOAD_DELAY_S: Final = 2.0
"""From when the port is served until the REST side is loaded, unless a request for it comes before."""

FIRST_CONTRACT_DELAY_S: Final = 20.0
"""From when the REST side is loaded until what runs EVM code is, on a chain that has no contract yet but an account that deploys."""

_LOG = Log("front")
# Nothing is loaded from elsewhere, nothing runs that is not a file of ours, nobody frames a page.
_SECURITY_HEADERS: Final = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Front:
    """Sends /rpc straight to JSON-RPC, everything else to the REST side, and puts the security headers on both.

    A request for the REST side waits while that is loaded; where it cannot be loaded, the node stops.
    """

    def __init__(self, view: NodeView, settings: ExplorerSettings) -> None:
        """Stand before a node's read side; its index follows the ledger from when the REST side is loaded to shutdown."""
        self._view = view
        self._settings = settings
        self._rpc = JsonRpc(view)
        self._sockets = RpcSockets(self._rpc, Subscriptions(view))
        self._start_ms = time.time_ns() // 1_000_000
        self._is_wanted = asyncio.Event()
        self._is_stopping = False
        self._loading: asyncio.Task[RestSide | None] | None = None
        self._loading_evm: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; HEAD is answered as GET is, without the body. Serve one WebSocket to its end."""
        if scope["type"] == "websocket":
            await self._sockets.serve(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._live(receive, send)
            return

        is_head = scope["method"] == "HEAD"
        if is_head:
            scope = {**scope, "method": "GET"}

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_SECURITY_HEADERS]}
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        answer = await self._answer_rpc(Request(scope, receive)) if scope["path"] == "/rpc" else await self._rest()
        await answer(scope, receive, send_guarded)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Follow the server's start and stop."""
        await receive()
        self._loading = asyncio.create_task(self._load())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._is_stopping = True
        self._is_wanted.set()
        rest = await self._loading
        self._rpc.close()
        if rest is not None:
            rest.services.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _load(self) -> RestSide | None:
        """Load the REST side in a thread when it is wanted, and return it; None where that fails or the node stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOAD_DELAY_S):
                await self._is_wanted.wait()
        if self._is_stopping:
            return None
        try:
            rest = await asyncio.to_thread(_make_rest, self._view, self._settings, self._start_ms)
            rest.services.start()
        except Exception as error:  # noqa: BLE001 - whatever it is, a node without its REST side is none
            _LOG.exception("rest_side_failed")
            self._view.stop(f"the REST side cannot be loaded: {error}")
            return None
        # What was loaded stays: the collector need not look at it again.
        gc.freeze()
        self._loading_evm = asyncio.create_task(self._load_evm())
        return rest

    async def _load_evm(self) -> None:
        """Load what runs EVM code where there are contracts, or later where there may be: the first block with a call would wait for it."""
        state = self._view.ledger.state()
        if next(state.iterate(DEPLOYMENTS.prefix), None) is None:
            if not await asyncio.to_thread(_has_deployer, state):
                return
            await asyncio.sleep(FIRST_CONTRACT_DELAY_S)
        await asyncio.to_thread(load_evm)
        gc.freeze()

    async def _rest(self) -> ASGIApp:
        self._is_wanted.set()
        rest = None if self._loading is None else await asyncio.shield(self._loading)
        return Problem("INTERNAL_ERROR").response() if rest is None else rest.app

    async def _answer_rpc(self, request: Request) -> Response:
        if request.method != "POST":
            problem = Problem("METHOD_NOT_ALLOWED", expected=Text("POST", "POST"), found=request.method)
            response = problem.response()
            response.headers["allow"] = "POST"
            return response
        try:
            async with read_body(request, MAX_REQUEST_BYTES) as body:
                answer = await self._rpc.answer(body)
        except Problem as error:
            return error.response()
        if answer is None:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        return Response(answer, media_type="application/json", headers={"cache-control": "no-store"})


def _has_deployer(state: StateReader) -> bool:
    return any(DEPLOYER in ACCOUNTS.decode(raw).roles for _, raw in state.iterate(ACCOUNTS.prefix))


def _make_rest(view: NodeView, settings: ExplorerSettings, start_ms: int) -> RestSide:
    from explorer.app import make_rest

    return make_rest(view, settings, start_ms)
