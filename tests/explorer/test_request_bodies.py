"""What request bodies take of memory: all clients' together are bounded, and small ones are always read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from explorer import responses
from explorer.problems import Problem
from explorer.responses import SMALL_BODY_BYTES, read_body

LARGE = 3 * SMALL_BODY_BYTES


def request_of(chunks: asyncio.Queue[Any]) -> Request:
    return Request({"type": "http", "method": "POST", "path": "/rpc", "headers": []}, chunks.get)


def chunk(size: int, *, is_last: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": bytes(size), "more_body": not is_last}


async def read(size: int) -> int:
    chunks: asyncio.Queue[Any] = asyncio.Queue()
    chunks.put_nowait(chunk(size, is_last=True))
    async with read_body(request_of(chunks), 2 * LARGE) as body:
        return len(body)


def test_bodies_in_hand_are_bounded_over_all_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "MAX_BODIES_BYTES", LARGE + SMALL_BODY_BYTES)

    async def work() -> None:
        held: asyncio.Queue[Any] = asyncio.Queue()
        held.put_nowait(chunk(LARGE, is_last=False))
        answered = asyncio.Event()

        async def hold() -> int:
            async with read_body(request_of(held), 2 * LARGE) as body:
                await answered.wait()
                return len(body)

        slow = asyncio.create_task(hold())
        await asyncio.sleep(0)
        for step in ("while it comes", "while it is answered"):
            with pytest.raises(Problem, match="BODIES_TOO_MANY") as caught:
                await read(LARGE)
            assert caught.value.status == 503, step
            assert await read(SMALL_BODY_BYTES) == SMALL_BODY_BYTES
            held.put_nowait(chunk(10, is_last=True))
            await asyncio.sleep(0)
        answered.set()
        assert await slow == LARGE + 10
        assert await read(LARGE) == LARGE

    asyncio.run(work())


def test_a_client_that_goes_gives_its_room_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "MAX_BODIES_BYTES", LARGE)

    async def work() -> None:
        for _ in range(3):
            chunks: asyncio.Queue[Any] = asyncio.Queue()
            chunks.put_nowait(chunk(LARGE, is_last=False))
            chunks.put_nowait({"type": "http.disconnect"})
            with pytest.raises(Problem, match="BODY_INVALID"):
                async with read_body(request_of(chunks), 2 * LARGE):
                    pass
            with pytest.raises(Problem, match="BODY_TOO_LARGE"):
                await read(2 * LARGE + 1)

    asyncio.run(work())
