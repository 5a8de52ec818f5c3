"""Whoever asks often waits behind himself: everybody else gets a turn, and a place to wait for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from explorer.problems import Problem
from explorer.turns import Turns, client_of
from explorer.uploaded_files import MAX_JSON_COLONS
from node.process import _http_config


async def crowd(turns: Turns, clients: str) -> tuple[list[str], list[str]]:
    """Return whose work was done, in order, and who was refused, where all ask at once while the first works."""
    done: list[str] = []
    refused: list[str] = []

    async def work(client: str) -> None:
        try:
            async with turns.take(client):
                done.append(client)
                await asyncio.sleep(0)
        except Problem:
            refused.append(client)

    await asyncio.gather(*map(work, clients))
    return done, refused


@pytest.mark.parametrize(
    ("clients", "done", "refused"),
    [
        ("aaaa", "aaaa", ""),
        ("aaaaaab", "aabaa", "aa"),
        ("aaaaaabc", "aabca", "aaa"),
        ("abcdef", "abcde", "f"),
        ("aabab", "aabab", ""),
    ],
    ids=["alone", "a crowd and one", "a crowd and two", "as many as places", "in turn"],
)
def test_clients_take_turns(clients: str, done: str, refused: str) -> None:
    found = asyncio.run(crowd(Turns(4), clients))
    assert tuple(map("".join, found)) == (done, refused)


def test_a_turn_that_is_no_longer_wanted_goes_on() -> None:
    async def work() -> list[str]:
        turns = Turns(4)
        order: list[str] = []

        async def wait(client: str) -> None:
            async with turns.take(client):
                order.append(client)

        async with turns.take("first"):
            waiting = [asyncio.create_task(wait(client)) for client in ("left", "kept")]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await asyncio.sleep(0)
        again = [asyncio.create_task(wait("late"))]
        await asyncio.gather(*waiting, *again, return_exceptions=True)
        async with turns.take("held"):
            given = asyncio.create_task(wait("cancelled as it came"))
            await asyncio.sleep(0)
        given.cancel()
        await asyncio.gather(given, return_exceptions=True)
        async with asyncio.timeout(5), turns.take("last"):
            return order

    assert asyncio.run(work()) == ["kept", "late"]


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("unknown", "unknown"),
    ],
)
def test_a_client_is_an_address_or_what_one_subscriber_has(host: str, client: str) -> None:
    assert client_of(Request({"type": "http", "client": (host, 1)})) == client


def test_a_file_of_very_many_names_is_refused_before_it_waits(site: Any) -> None:
    names = b",".join(b'"%x":1' % number for number in range(MAX_JSON_COLONS + 1))
    answer = site.http.post("/api/v1/verification/file", content=b'{"format":"govnode-proof/1",%s}' % names)
    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("proxies", "host", "client"),
    [
        ((), "127.0.0.1", "127.0.0.1"),
        (("127.0.0.1",), "127.0.0.1", "198.51.100.9"),
        (("127.0.0.1", "198.51.100.0/24"), "127.0.0.1", "203.0.113.4"),
        (("127.0.0.1",), "192.0.2.8", "192.0.2.8"),
    ],
    ids=["no proxy", "one", "two", "not through it"],
)
def test_the_word_of_a_proxy_counts_where_it_is_listed(proxies: tuple[str, ...], host: str, client: str) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(client_of(Request(scope)))

    config = _http_config(app, proxies)
    config.load()
    headers = [(b"x-forwarded-for", b"192.0.2.1, 203.0.113.4, 198.51.100.9")]
    asked: Any = {"type": "http", "client": (host, 1), "headers": headers, "scheme": "http"}
    nothing: Any = None
    asyncio.run(config.loaded_app(asked, nothing, nothing))
    assert seen == [client]
