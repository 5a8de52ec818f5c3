"""Serves an ASGI application from a command until it is told to stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from sdk.cli.output import say

MAX_CONNECTIONS: Final = 256
KEEP_ALIVE_S: Final = 5
STOP_TIMEOUT_S: Final = 10


def serve_until_stopped(
    app: Any,
    host: str,
    port: int,
    *,
    lifespan: Literal["on", "off"] = "off",
    proxies: Sequence[str] = (),
    max_connections: int = MAX_CONNECTIONS,
) -> None:
    """Serve until a signal says to stop; print the address once it is there to be asked. X-Forwarded-For counts from `proxies` only."""
    import contextlib
    import signal
    import socket
    from collections.abc import Iterator

    import uvicorn

    from node.http.connection import HttpConnection

    class Server(uvicorn.Server):
        """Ends on a signal as a command that is done; uvicorn's own would raise the signal once more."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self.handle_exit)
            yield

    config = uvicorn.Config(
        app,
        http=HttpConnection,
        ws="none",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        limit_concurrency=max_connections,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=1024) as listening:
        found = listening.getsockname()
        say(f"http://[{found[0]}]:{found[1]}" if ":" in found[0] else f"http://{found[0]}:{found[1]}")
        Server(config).run(sockets=[listening])
