"""A node whose HTTP side is JSON-RPC alone: starts fast, and needs no explorer. Usage: plain_node.py NODE_TOML [fails]."""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvloop

from node.config import StartError, load_node_config
from node.http.json_rpc import JsonRpc
from node.process import run_node
from node.unlocking import start_unlocking
from node.view import NodeView
from sm_crypto.keystore import KeyFileError

FAILS = "fails"
Message = MutableMapping[str, Any]


class RpcApp:
    """Answers every POST as JSON-RPC."""

    def __init__(self, view: NodeView) -> None:
        self._rpc = JsonRpc(view)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            if FAILS in sys.argv:
                raise RuntimeError("this application does not start")
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, has_more = b"", True
        while has_more:
            message = await receive()
            body += message.get("body", b"")
            has_more = message.get("more_body", False)
        answer = await self._rpc.answer(body) or b""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": answer})


def make_app(view: NodeView) -> Any:
    return RpcApp(view)


def main() -> None:
    try:
        config = load_node_config(Path(sys.argv[1]))
        sys.exit(uvloop.run(run_node(config, start_unlocking(config), make_app)))
    except (StartError, KeyFileError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
