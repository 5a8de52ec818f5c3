"""Holders' authorisations in REST and on their page: how one stands, and what was fetched under it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from node.chain.transaction import address_of
from sm_crypto.sm3 import sm3

NAMES = ("open", "withdrawn", "used-up", "not-begun", "expired")


@pytest.fixture(scope="module")
def site(make_world: Callable[[], Any], serve: Callable[..., Any]) -> Any:
    world = make_world()
    now_ms = world.ledger.head_time_ms
    for name in NAMES:
        period = {"from_ms": now_ms, "to_ms": now_ms + 86_400_000}
        if name == "not-begun":
            period["from_ms"] += 43_200_000
        elif name == "expired":
            period["to_ms"] = now_ms + 10_000
        said = {"statement": sm3(b"s"), "purpose": sm3(b"p"), "code": bytes(32), "recipient": world.housing}
        count = 2 if name == "used-up" else 3
        made = world.call(
            "land", "authorisations", "authorise", authorisation=sm3(name.encode()), max_fetches=count, **said, **period
        )
        assert made[1] is None
    requester = address_of(world.keys["housing"].public_key)
    for number in (1, 2):
        asked = {"requester": requester, "purpose": sm3(b"p"), "code": bytes(32), "request": sm3(b"q%d" % number)}
        fetched = world.call(
            "land",
            "authorisations",
            "record_fetch",
            authorisation=sm3(b"used-up"),
            result=sm3(b"r%d" % number),
            **asked,
        )
        assert fetched[1] is None
    taken = world.call("land", "authorisations", "withdraw", authorisation=sm3(b"withdrawn"), withdrawal=sm3(b"w"))
    assert taken[1] is None
    return serve(world)


def address(site: Any, name: str) -> str:
    return f"/api/v1/authorisations/{site.world.land}/{sm3(name.encode()).hex()}"


def test_an_authorisation_says_how_it_stands(site: Any) -> None:
    found = {name: site.get(address(site, name)).json() for name in NAMES[:4]}
    assert {name: one["state"] for name, one in found.items()} == {name: name for name in NAMES[:4]}
    used = found["used-up"]
    assert (used["recipient"], used["recipient_name"]) == (site.world.housing, "示范市住房和城乡建设局")
    assert (int(used["fetch_count"]), int(used["max_fetches"])) == (2, 2)
    for unknown in (sm3(b"another").hex(), "0x" + bytes(32).hex()):
        answer = site.get(f"/api/v1/authorisations/{site.world.land}/{unknown}")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    other = site.get(f"/api/v1/authorisations/{site.world.housing}/{sm3(b'open').hex()}")
    assert other.status_code == 404
    assert site.get(f"/api/v1/authorisations/{site.world.land}/xyz").json()["code"] == "PARAMETER_INVALID"


def test_fetches_are_listed_newest_first(site: Any) -> None:
    first = site.get(address(site, "used-up") + "/fetches?limit=1").json()
    rest = site.get(address(site, "used-up") + "/fetches", params={"cursor": first["next_cursor"]}).json()
    assert [int(one["number"]) for one in first["items"] + rest["items"]] == [2, 1]
    assert first["items"][0]["result"] == "0x" + sm3(b"r2").hex()
    assert rest["next_cursor"] is None
    assert site.get(address(site, "open") + "/fetches").json()["items"] == []


def test_the_page_asks_and_shows(site: Any) -> None:
    empty = site.get("/authorisations", headers={"accept": "text/html"}).text
    assert "授权编号" in empty
    assert "领取记录" not in empty
    named = {"issuer": site.world.land, "id": sm3(b"used-up").hex()}
    page = site.get("/authorisations", params=named, headers={"accept": "text/html"}).text
    assert "次数已用完" in page
    assert "示范市住房和城乡建设局" in page
    assert sm3(b"r1").hex() in page
    missing = site.get("/authorisations", params=named | {"id": "ab" * 32}, headers={"accept": "text/html"})
    assert missing.status_code == 404
