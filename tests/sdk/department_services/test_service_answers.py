"""What a department's service tells its callers of its own troubles: a code and a status, no place on its disk."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sdk.access_recording.read_store import RecordingFailed
from sdk.department_services.answers import make_service
from verification.errors import GovnodeError, InputError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (
            RecordingFailed("RECORDING_FAILED", "/vault/reads.sqlite 无法写入", "/vault/reads.sqlite: full"),
            "RECORDING_STOPPED",
        ),
        (RecordingFailed("CLOCK_AHEAD", "时钟偏快", "the clock is ahead"), "RECORDING_STOPPED"),
        (InputError("ARCHIVE_MISSING", "/vault/2025.sqlite", "/vault/2025.sqlite"), "ARCHIVE_MISSING"),
    ],
)
def test_a_store_in_trouble_is_unavailable_and_names_no_place(error: GovnodeError, code: str) -> None:
    async def fail(request: Request) -> Response:
        raise error

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(make_service([Route("/", fail)], {}))
        async with httpx.AsyncClient(transport=transport, base_url="http://office") as client:
            return await client.get("/")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert "vault" not in answer.text
