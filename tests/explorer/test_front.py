import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from contracts.accounts import ACCOUNTS
from explorer.front import Front
from explorer.settings import ExplorerSettings

Message = dict[str, Any]
HEAVY = ("fastapi", "pydantic", "sqlalchemy", "jinja2", "prometheus_client")


def scope_of(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
        "root_path": "",
        "http_version": "1.1",
    }


async def ask(front: Front, path: str) -> tuple[int, bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await front(scope_of(path), receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def live(front: Front, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work between the front's start and its shutdown, as the server would have it."""
    messages: asyncio.Queue[Message] = asyncio.Queue()
    told: asyncio.Queue[Any] = asyncio.Queue()
    living = asyncio.create_task(front({"type": "lifespan"}, messages.get, told.put))
    await messages.put({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    try:
        await work()
    finally:
        await messages.put({"type": "lifespan.shutdown"})
        assert (await told.get())["type"] == "lifespan.shutdown.complete"
        await living


def test_a_node_makes_blocks_and_answers_json_rpc_without_the_libraries_of_the_rest_side() -> None:
    code = f"import sys, explorer.front, node.process; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_a_request_for_the_rest_side_waits_until_that_is_loaded(make_world: Any, tmp_path: Path) -> None:
    front = Front(make_world().view, ExplorerSettings(tmp_path / "explorer.sqlite"))

    async def work() -> None:
        assert await ask(front, "/healthz") == (200, b"ok\n")

    asyncio.run(live(front, work))


def test_a_node_that_stops_at_once_loads_no_rest_side(make_world: Any, tmp_path: Path) -> None:
    index_path = tmp_path / "explorer.sqlite"
    front = Front(make_world().view, ExplorerSettings(index_path))

    async def work() -> None:
        return

    asyncio.run(live(front, work))
    assert not index_path.exists()


def test_a_rest_side_that_cannot_be_loaded_stops_the_node_and_says_why(
    make_world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = make_world().view
    reasons: list[str] = []
    monkeypatch.setattr(view, "stop", reasons.append, raising=False)
    front = Front(view, ExplorerSettings(tmp_path / "missing" / "explorer.sqlite"))

    async def work() -> None:
        status, _ = await ask(front, "/readyz")
        assert status == 500

    asyncio.run(live(front, work))
    assert len(reasons) == 1
    assert "unable to open database file" in reasons[0]


@pytest.mark.parametrize(
    ("has_contracts", "deploying_role", "is_loaded"),
    [(True, "no such role", True), (False, "deployer", True), (False, "no such role", False)],
)
def test_what_runs_evm_code_is_loaded_ahead_where_there_are_or_may_be_contracts(
    make_world: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_contracts: bool,
    deploying_role: str,
    is_loaded: bool,
) -> None:
    loaded: list[bool] = []
    # Sites of other tests live on in this process: what they load is not this test's.
    is_ours = ContextVar("is_ours", default=False)
    is_ours.set(True)
    monkeypatch.setattr("explorer.front.load_evm", lambda: loaded.append(True) if is_ours.get() else None)
    monkeypatch.setattr("explorer.front.FIRST_CONTRACT_DELAY_S", 0.05)
    monkeypatch.setattr("explorer.front.DEPLOYER", deploying_role)
    if has_contracts:
        # Any record stands for that of a deployment.
        monkeypatch.setattr("explorer.front.DEPLOYMENTS", ACCOUNTS)
    front = Front(make_world().view, ExplorerSettings(tmp_path / "explorer.sqlite"))

    async def work() -> None:
        await ask(front, "/healthz")
        # What is not to come is waited for a second.
        for _ in range(6_000 if is_loaded else 100):
            await asyncio.sleep(0.01)
            if loaded:
                return

    asyncio.run(live(front, work))
    assert loaded == [True] * is_loaded
