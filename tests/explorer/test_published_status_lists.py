from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from contracts.anchors import anchor_key
from contracts.batches import leaf_hash
from contracts.certificate_records import CertificateContent
from explorer import status_lists
from explorer.problems import Problem
from explorer.status_lists import MAX_KEPT_MADE, MAX_WAITING_LISTS, PublishedList, StatusLists
from node.chain.codec import encode
from sm_crypto.merkle import merkle_path, merkle_root
from sm_crypto.sm3 import sm3
from verification.status_list import (
    Scope,
    StatusListFile,
    decode_status_list,
    encode_status_list,
    look_up,
    make_hash_list,
    parse_scope,
)


@pytest.fixture(scope="module")
def site(make_world: Callable[[], Any], serve: Callable[..., Any], fill: Callable[[Any], None]) -> Any:
    """A served world of this module alone: what is published in it stays there."""
    world = make_world()
    fill(world)
    return serve(world)


@pytest.fixture(scope="module")
def scope(site: Any) -> Scope:
    return parse_scope(site.world.certificate.removeprefix("1.2.156.3005.2.").rsplit(".", 3)[0])


def make(site: Any, scope: Scope, query: str = "", account: str = "auditor") -> httpx.Response:
    answer: httpx.Response = site.get_signed(account, f"/api/v1/status-lists/{scope.name}/content{query}")
    return answer


def publish(site: Any, scope: Scope, raw: bytes, account: str = "land") -> httpx.Response:
    target = f"/api/v1/status-lists/{scope.name}"
    headers = site.signed_headers(account, target, "POST", raw)
    answer: httpx.Response = site.http.post(target, content=raw, headers=headers)
    return answer


def anchored(site: Any, raw: bytes, account: str = "land") -> StatusListFile:
    """Return a list with the proof that an account's department has anchored it."""
    world = site.world
    content = decode_status_list(raw).content
    _, refusal = world.call(account, "anchors", "anchor", digest=content.digest, label="status-list/1")
    assert refusal is None, refusal
    department = world.land if account == "land" else world.housing
    proof = world.ledger.record_proof(anchor_key(content.digest, department))
    return StatusListFile(content, (), (encode(proof),))


def test_a_list_is_made_for_accounts_only(site: Any, scope: Scope) -> None:
    assert site.get(f"/api/v1/status-lists/{scope.name}/content").json()["code"] == "SIGNATURE_REQUIRED"
    content = decode_status_list(make(site, scope).content).content
    assert content.block.height == site.world.ledger.height
    assert content.genesis_hash == site.world.genesis.hash
    assert look_up(content, site.world.revoked) == "ASK_ONLINE"
    assert look_up(content, site.world.certificate) == "CLEAR"


def test_an_earlier_block_gives_what_was_true_then(site: Any, scope: Scope) -> None:
    identifier = site.world.issue("2025000077")
    height = site.world.ledger.height
    site.world.call("land", "certificates", "suspend", identifier=identifier, reason="核实")
    assert look_up(decode_status_list(make(site, scope).content).content, identifier) == "ASK_ONLINE"
    before = decode_status_list(make(site, scope, f"?height={height}").content).content
    assert (before.block.height, look_up(before, identifier)) == (height, "CLEAR")
    assert make(site, scope, f"?height={site.world.ledger.height + 1}").json()["code"] == "PARAMETER_INVALID"


def test_there_is_no_list_about_nothing(site: Any, scope: Scope) -> None:
    for other in (
        Scope(scope.type_code, "11990100MB00000099"),
        Scope("1" * 21, scope.issuer),
        Scope(scope.type_code, scope.issuer, "1"),
    ):
        assert make(site, other).json()["code"] == "NOT_FOUND"
    assert site.get(f"/api/v1/status-lists/{scope.name.lower()}").json()["code"] == "PARAMETER_INVALID"


def test_a_batch_has_a_list_by_position(site: Any, scope: Scope) -> None:
    world = site.world
    contents = [
        CertificateContent(world.identifier(f"8{place:03}"), sm3(bytes([place])), sm3(b"x"), 1, 2) for place in range(4)
    ]
    leaves = [leaf_hash(content) for content in contents]
    _, refusal = world.call(
        "land",
        "batches",
        "issue_batch",
        type_code=scope.type_code,
        first="8000",
        last="8003",
        count=4,
        root=merkle_root(leaves),
        manifest_digest=b"\1" * 32,
    )
    assert refusal is None, refusal
    batch = Scope(scope.type_code, scope.issuer, "8000")
    issued = world.ledger.height
    world.call(
        "land", "batches", "admit", batch=batch.name, position=2, content=contents[2], path=merkle_path(leaves, 2)
    )
    _, refusal = world.call("land", "certificates", "suspend", identifier=contents[2].identifier, reason="核实")
    assert refusal is None, refusal
    content = decode_status_list(make(site, batch).content).content
    assert [look_up(content, "", place) for place in range(4)] == ["CLEAR", "CLEAR", "SUSPENDED", "CLEAR"]
    assert decode_status_list(make(site, batch, f"?height={issued}").content).content.changed_count == 0
    assert make(site, batch, f"?height={issued - 1}").json()["code"] == "NOT_FOUND"


def test_the_issuer_publishes_what_everybody_downloads(site: Any, scope: Scope) -> None:
    raw = make(site, scope).content
    file = anchored(site, raw)
    answer = publish(site, scope, encode_status_list(file))
    assert answer.status_code == 200, answer.text
    assert answer.json()["digest"] == "0x" + file.content.digest.hex()
    found = site.get(f"/api/v1/status-lists/{scope.name}")
    assert found.headers["content-type"] == "application/json"
    assert decode_status_list(found.content) == file
    page = site.get("/status-lists").text
    assert f'href="/api/v1/status-lists/{scope.name}" download' in page
    assert "示范市自然资源和规划局" in page
    listed = site.get("/api/v1/status-lists").json()
    assert [one["scope"] for one in listed["items"]] == [scope.name]
    # An older one does not come in its place.
    older = anchored(site, make(site, scope, f"?height={file.content.block.height - 1}").content)
    assert publish(site, scope, encode_status_list(older)).json()["code"] == "VALUE_REFUSED"


def test_what_may_not_be_published(site: Any, scope: Scope) -> None:
    raw = make(site, scope).content
    good = anchored(site, raw)
    content = good.content
    forged = make_hash_list(content.genesis_hash, scope, content.block, [])
    others = anchored(site, raw, "housing")
    cases = [
        ("BODY_INVALID", b"{}", "land"),
        ("VALUE_REFUSED", raw, "land"),
        ("VALUE_REFUSED", encode_status_list(good), "housing"),
        ("VALUE_REFUSED", encode_status_list(others), "land"),
        ("VALUE_REFUSED", encode_status_list(anchored(site, encode_status_list(StatusListFile(forged)))), "land"),
        ("VALUE_REFUSED", encode_status_list(msgspec.structs.replace(good, anchors=(b"\1",))), "land"),
    ]
    for code, body, account in cases:
        answer = publish(site, scope, body, account)
        assert answer.json()["code"] == code, answer.text
    assert site.http.post(f"/api/v1/status-lists/{scope.name}", content=raw).json()["code"] == "SIGNATURE_REQUIRED"


def test_no_department_fills_a_node_alone(site: Any, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = StatusLists(site.world.ledger, None)
    types = [f"1110000000000000{number:05}" for number in range(3)]
    own = [Scope(code, scope.issuer) for code in types]
    another = Scope(types[0], "11330100MB0000002X")
    kept = {one.name: PublishedList(one.name, 1, 1, b"", 1_000) for one in own[:2]}
    for limit, value in (("MAX_ISSUER_LISTS", 2), ("MAX_ISSUER_BYTES", 2_500)):
        with monkeypatch.context() as patch:
            patch.setattr(status_lists, limit, value)
            lists._check_room(kept, own[0].name, 1_500)
            lists._check_room(kept, another.name, 1_500)
            with pytest.raises(Problem) as caught:
                lists._check_room(kept, own[2].name, 1_500)
            assert caught.value.code == "VALUE_REFUSED"


def test_published_lists_outlive_the_process(site: Any, scope: Scope, tmp_path: Path) -> None:
    content = decode_status_list(make(site, scope).content).content
    (tmp_path / f"{scope.name}.json").write_bytes(encode_status_list(StatusListFile(content)))
    (tmp_path / f"{scope.name}.1.json").write_bytes(encode_status_list(StatusListFile(content)))
    (tmp_path / "x.json").write_bytes(json.dumps({"a": 1}).encode())
    kept = asyncio.run(StatusLists(site.world.ledger, tmp_path).published())
    assert [(one.scope, one.digest) for one in kept] == [(scope.name, content.digest)]


def test_a_node_without_a_folder_serves_none(site: Any, scope: Scope) -> None:
    with pytest.raises(Problem) as raised:
        asyncio.run(StatusLists(site.world.ledger, None).path(scope))
    assert raised.value.code == "NOT_SERVED"


def test_a_list_is_the_same_however_its_records_are_read(
    site: Any, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = decode_status_list(make(site, scope).content).content
    monkeypatch.setattr(status_lists, "PAGE_RECORDS", 1)
    assert asyncio.run(StatusLists(site.world.ledger, None).make(scope, at_once.block.height)) == at_once


def test_lists_are_made_one_after_the_other_and_not_without_end(site: Any, scope: Scope) -> None:
    lists = StatusLists(site.world.ledger, None)

    async def work() -> list[Any]:
        asked = [lists.make(scope, height) for height in range(1, MAX_WAITING_LISTS + 3)]
        return await asyncio.gather(*asked, return_exceptions=True)

    outcomes = asyncio.run(work())
    refused = [one for one in outcomes if isinstance(one, Problem)]
    assert [one.code for one in refused] == ["NOT_READY"] * 2
    assert [one.block.height for one in outcomes[:MAX_WAITING_LISTS]] == list(range(1, MAX_WAITING_LISTS + 1))
    assert len(lists._made) == MAX_KEPT_MADE
