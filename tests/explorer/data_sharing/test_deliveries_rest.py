"""REST: deliveries under a grant page by page, and departments' encryption keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.deliveries import Parcel
from contracts.data_sharing.encryption_keys import EncryptionKeyStatement
from contracts.registration import AccountRegistration
from explorer.data_sharing.score_matters import MATTER_SEEDS, RECEIVED
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from verification.days import show_day

RESOURCE = "330000001/000009"
OTHER = sm3(b"an older table")
KEY = PrivateKey.from_bytes(bytes(31) + b"\x55")


@pytest.fixture(scope="module")
def site(make_world: Callable[[], Any], serve: Callable[..., Any]) -> Any:
    """A world with a grant, an encryption key of its consumer, and three deliveries: received, differing, not answered for."""
    world = make_world()
    world.publish(RESOURCE, "不动产登记信息")

    def call(account: str, contract: str, method: str, **arguments: Any) -> bytes:
        name, refusal = world.call(account, contract, method, **arguments)
        assert refusal is None, refusal
        return bytes(name)

    manager = world.keys["manager"] = PrivateKey.from_bytes(bytes(31) + b"\x56")
    stated = {
        "department": world.housing,
        "public_key": manager.public_key,
        "name": "管理员",
        "roles": ["administrator"],
    }
    agreed = AccountRegistration(world.genesis.hash, *stated.values()).digest
    call("governor", "members", "add_account", **stated, signature=manager.sign(agreed))
    belongs = KEY.sign(EncryptionKeyStatement(world.genesis.hash, world.housing, KEY.public_key).digest)
    call("manager", "members", "set_encryption_key", public_key=KEY.public_key, signature=belongs)
    now_ms = world.ledger.head_time_ms
    wish: dict[str, Any] = {"purpose": "核验", "legal_basis": "条例", "items": [], "case_types": [], "rows_per_day": 0}
    period = {"from_ms": now_ms, "to_ms": now_ms + 10**9}
    world.grant = call("housing", "sharing", "request", resource=RESOURCE, **wish, **period)
    call("land", "sharing", "grant", request=world.grant, conditions=Conditions(), to_ms=now_ms + 10**9)
    for number in (1, 2, 3):
        parcel = Parcel(sm3(b"payload %d" % number), sm3(b"file %d" % number), 10, 200, number, 1)
        call("land", "deliveries", "deliver", grant=world.grant, number=number, parcel=parcel)
    received = {"answer": 1, "received": sm3(b"payload 1"), "note": ""}
    call("housing", "deliveries", "answer", grant=world.grant, number=1, **received)
    differing = {"answer": 2, "received": OTHER, "note": "旧表"}
    call("housing", "deliveries", "answer", grant=world.grant, number=2, **differing)
    world.other = call("housing", "sharing", "request", resource=RESOURCE, **wish, **period)
    return serve(world)


def path(name: bytes) -> str:
    return f"/api/v1/requests/0x{name.hex()}/deliveries"


def test_deliveries_are_listed_the_newest_first(site: Any) -> None:
    world = site.world
    found = site.get(path(world.grant)).json()
    assert [one["number"] for one in found["items"]] == [3, 2, 1]
    assert found["next_cursor"] is None
    first = found["items"][-1]
    assert (first["provider"], first["consumer"]) == (world.land, world.housing)
    assert first["consumer_name"] == "示范市住房和城乡建设局"
    assert (first["answer_text"]["zh"], first["received"]) == ("已签收", "0x" + sm3(b"payload 1").hex())
    assert (first["parcel"]["rows"], first["parcel"]["sealed"]) == (1, "0x" + sm3(b"file 1").hex())
    assert found["items"][0]["answer_text"]["en"] == "not answered for yet"


def test_pages_follow_on(site: Any) -> None:
    page = site.get(path(site.world.grant), params={"limit": 2}).json()
    rest = site.get(path(site.world.grant), params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert [one["number"] for one in page["items"] + rest["items"]] == [3, 2, 1]
    assert rest["next_cursor"] is None


def test_a_request_without_deliveries_has_none_and_an_unknown_one_is_told(site: Any) -> None:
    assert site.get(path(site.world.other)).json() == {"items": [], "next_cursor": None}
    answer = site.get(path(sm3(b"none")))
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert site.get("/api/v1/requests/12/deliveries").status_code == 400


def test_a_departments_key_is_shown(site: Any) -> None:
    found = site.get(f"/api/v1/departments/{site.world.housing}/encryption-key").json()
    assert (found["number"], found["public_key"]) == (1, "0x" + KEY.public_key.hex())
    for code in (site.world.land, "x", "y" * 40):
        answer = site.get(f"/api/v1/departments/{code}/encryption-key")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_the_page_of_a_request_shows_its_deliveries(site: Any) -> None:
    page = site.get(f"/requests/{site.world.grant.hex()}").text
    for text in ("交付", "已签收", "待签收", "Deliveries", "内容不符", "0x" + OTHER.hex()):
        assert text in page
    assert "载荷摘要" not in site.get(f"/requests/{site.world.other.hex()}").text


def test_a_score_counts_what_was_received_as_the_index_of_a_joined_node_has_it_too(site: Any) -> None:
    day = show_day(site.world.ledger.head_time_ms)
    shown = site.get(f"/api/v1/contribution/{site.world.land}", params={"from": day, "to": day}).json()
    lines = {line["measure"]: line["count"] for line in shown["departments"][0]["lines"]}
    assert lines["delivered"] == 1
    ((prefix, seed),) = [(prefix, seed) for prefix, table, seed in MATTER_SEEDS if table is RECEIVED]
    state = site.world.ledger.pinned_state()[1]
    seeded = [seed(value) for key, value in state if key.startswith(prefix)]
    assert len(seeded) == 3
    (row,) = [made[1] for made in seeded if made is not None]
    assert row[:3] == (site.world.grant, 1, site.world.housing)
    assert show_day(row[3]) == day
