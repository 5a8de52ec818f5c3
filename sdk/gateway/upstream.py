"""The data service behind the gateway as an ASGI application: what a reverse proxy forwards, and nothing else of either side's headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sdk.gateway.denials import Denied

if TYPE_CHECKING:
    import aiohttp

MAX_CONNECTIONS: Final = 256
MAX_ANSWER_HEADER_BYTES: Final = 16 * 1024
CONNECT_TIMEOUT_S: Final = 5.0
_CHUNK_BYTES: Final = 256 * 1024


class UpstreamService:
    """Hands each request on to one address, over connections that are kept until the server that it is in ends."""

    def __init__(self, base_url: str, timeout_s: float) -> None:
        """Take `http(s)://host:port` of the service, and how long it may take for an answer."""
        self._base = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def _live(self, receive: Any, send: Any) -> None:
        """Follow the server's life: the connections end with it."""
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        if self._session is not None:
            await self._session.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request as the service does; raise Denied SERVICE_UNREACHABLE or SERVICE_TIMEOUT."""
        import aiohttp
        from yarl import URL

        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        session = self._session
        if session is None:
            session = self._session = self._open()
        target = scope["raw_path"].decode("ascii")
        if query := scope["query_string"]:
            target += "?" + query.decode("ascii")
        message = await receive()
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        try:
            async with session.request(
                scope["method"],
                # The path goes on as it came: what was matched is what is asked for.
                URL(self._base + target, encoded=True),
                data=message.get("body") or None,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                found = [(name.lower(), value) for name, value in answer.raw_headers]
                await send({"type": "http.response.start", "status": answer.status, "headers": found})
                async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            raise Denied("SERVICE_TIMEOUT") from None
        except aiohttp.ClientError as error:
            raise Denied("SERVICE_UNREACHABLE", type(error).__name__) from None

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_field_size=MAX_ANSWER_HEADER_BYTES,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
