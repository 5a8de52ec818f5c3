"""Readers of the gateway bench: so many at a time, each read with its own nonce, what was answered and how long it took."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import aiohttp

CASE: Final = "2026-1"
RETRY_S: Final = 0.05
PATIENCE_S: Final = 120.0


class LoadFigures(NamedTuple):
    """What readers saw: how long all took, each answer's milliseconds, the numbers of the recorded reads, and reads without an answer."""

    seconds: float
    latencies_ms: list[float]
    numbers: list[int]
    lost: int


def drive(url: str, reads: int, readers: int, find_token: Callable[[], str] | None = None) -> LoadFigures:
    """Return once `reads` reads below `url` are answered to so many readers, with a token of a gateway where there is one.

    A read without an answer is made again, under another nonce. Raises RuntimeError where none comes for PATIENCE_S.
    """
    return asyncio.run(_Drive(url, reads, find_token).run(readers))


class _Drive:
    def __init__(self, url: str, reads: int, find_token: Callable[[], str] | None) -> None:
        self._url, self._left, self._find_token = url, reads, find_token
        self._token = "" if find_token is None else find_token()
        self._latencies_ms: list[float] = []
        self._numbers: list[int] = []
        self._lost = 0

    async def run(self, readers: int) -> LoadFigures:
        began_s = time.perf_counter()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=readers), max_field_size=64 * 1024, trust_env=False
        ) as session:
            await asyncio.gather(*(self._read_all(session) for _ in range(readers)))
        return LoadFigures(time.perf_counter() - began_s, self._latencies_ms, self._numbers, self._lost)

    async def _read_all(self, session: aiohttp.ClientSession) -> None:
        answered_s = time.monotonic()
        while self._left > 0:
            self._left -= 1
            if await self._read(session, self._left):
                answered_s = time.monotonic()
                continue
            self._left += 1
            if time.monotonic() - answered_s > PATIENCE_S:
                raise RuntimeError(f"no read was answered for {PATIENCE_S:.0f} s")
            await asyncio.sleep(RETRY_S)

    async def _read(self, session: aiohttp.ClientSession, number: int) -> bool:
        headers = {}
        if self._find_token is not None:
            headers = {
                "authorization": f"Bearer {self._token}",
                "gov-nonce": secrets.token_hex(16),
                "gov-case": CASE,
            }
        began_s = time.perf_counter()
        try:
            async with session.get(f"{self._url}/houses/{number}", headers=headers) as answer:
                await answer.read()
        except (TimeoutError, aiohttp.ClientError):
            self._lost += 1
            return False
        if answer.status == 401 and self._find_token is not None:
            await self._renew()
            return False
        if answer.status != 200:
            raise RuntimeError(f"a read was answered with status {answer.status}")
        self._latencies_ms.append((time.perf_counter() - began_s) * 1_000)
        if self._find_token is not None:
            self._numbers.append(int(answer.headers["gov-read-number"]))
        return True

    async def _renew(self) -> None:
        assert self._find_token is not None, "asked for by readers of a gateway"
        self._token = await asyncio.to_thread(self._find_token)
