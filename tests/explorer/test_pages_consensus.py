"""The pages of consensus and of one block: who is away and why, who signed twice, how the set changed, what a block carries."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from node.driver.peer_progress import PeerProgress
from node.wire.away import AwayCode
from node.wire.peers import PeerState


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def peer(name: str, code: AwayCode | None = None, reason: str = "") -> PeerState:
    return PeerState(name, "127.0.0.1:1", True, code is None, False, reason, code)


@pytest.fixture
def site(make_world: Callable[[], Any], serve: Callable[..., Any]) -> Any:
    """A served world of one block whose other validators are connected."""
    world = make_world()
    world.make_block([])
    world.view.peers = lambda: [peer(f"node{number}") for number in (2, 3, 4)]
    return serve(world)


def standing(site: Any, **changes: Any) -> str:
    status = msgspec.structs.replace(site.world.view.status(), **changes)
    site.world.view.status = lambda: status
    page = site.get("/consensus").text
    return text_of(page[: page.index('id="members"')])


def test_a_chain_that_moves_is_shown_with_its_round_and_who_is_here(site: Any) -> None:
    world = site.world
    world.view.peer_progress = lambda: {"node2": PeerProgress(7, 3, "prevote", -12, 5, "0.1.0")}
    page = text_of(site.get("/consensus").text)
    assert "4 / 4" in page
    assert "-12 ms" in page
    assert "无法前进" not in page
    assert "没有记录。" in page
    assert "创始" in page


def test_a_node_that_catches_up_shows_a_bar_and_its_percentage(site: Any) -> None:
    shown = standing(site, height=50, target_height=200)
    assert "正在追赶区块：高度 50，网络在 200（25.0%）" in shown
    assert '<progress max="100" value="25.0">' in site.get("/consensus").text


def test_too_few_validators_are_told_with_why_each_is_away(site: Any) -> None:
    refused = peer("node3", AwayCode.GENESIS_DIFFERS, "its genesis is aa, this node's bb")
    site.world.view.peers = lambda: [peer("node2"), refused]
    assert "4 个共识节点只有 2 个在，需要 3 个" in standing(site)
    page = text_of(site.get("/consensus").text)
    assert "创世不同，属于另一个网络" in page
    assert "its genesis is aa, this node&#39;s bb" in page
    assert "没有连进来" in page, "node4 is not known at all"


def test_a_round_that_does_not_end_names_whose_votes_are_missing(site: Any) -> None:
    index = site.world.ledger.validators().members.index(site.world.members[2])
    name = site.get("/api/v1/validators").json()["items"][index]["name"]
    shown = standing(site, round=5, step="prevote", silent_validators=(index,))
    assert f"高度 2 已到第 5 轮，本轮还没有收到其投票的节点：{name}。" in shown
    assert "本轮还没有收到" not in standing(site, silent_validators=(index,), step="new_height")


def test_whoever_signed_twice_is_shown_with_the_block_that_carries_it(site: Any) -> None:
    world = site.world
    world.equivocate(1, 1)
    name = site.get("/api/v1/validators").json()["items"][1]["name"]
    address = "0x" + world.members[1].address.hex()
    page = site.get("/consensus").text
    evidence = page[page.index('id="evidence"') :]
    assert name in evidence
    assert "预投票" in evidence
    assert "空票" in evidence
    assert 'href="/blocks/2"' in evidence
    assert f"/consensus?validator={address}#evidence" in page
    only = site.get("/consensus", params={"validator": "0x" + world.members[0].address.hex()}).text
    assert "没有记录。" in only[only.index('id="evidence"') :]
    assert '"/blocks/2#evidence"' in site.get("/").text
    block = text_of(site.get("/blocks/2").text)
    assert "1 件" in block
    assert name in block
    assert "证据" not in site.get("/").text.split("/blocks/1")[1], "no mark on a block without"


def test_many_offences_are_shown_a_page_at_a_time(site: Any) -> None:
    for round_ in range(21):
        site.world.equivocate(0, 1, round_)
    first = site.get("/consensus").text
    following = re.search(r'href="(/consensus\?cursor=[^"]+)#evidence"', first)
    assert following is not None
    second = site.get(following[1]).text
    assert second[second.index('id="evidence"') :].count("预投票") == 1


def test_the_page_of_a_block_names_who_sealed_it_and_what_is_in_it(site: Any) -> None:
    world = site.world
    world.call("land", "anchors", "anchor", digest=bytes(range(32)), label="会议纪要")
    block = text_of(site.get("/blocks/2").text)
    names = [entry["name"] for entry in site.get("/api/v1/validators").json()["items"]]
    for index in (0, 1, 3):
        assert names[index] in block
    assert "由 4 个共识节点中的 3 个签名而最终" in block
    assert "锚定摘要" in block
    for wrong in ("0", "3", "x", "-1", "99999999999999999999"):
        answer = site.get(f"/blocks/{wrong}", headers={"accept": "text/html"})
        assert answer.status_code == 404, wrong
        assert "text/html" in answer.headers["content-type"]


def test_wrong_parameters_of_the_page_are_explained(site: Any) -> None:
    for params in ({"validator": "12"}, {"cursor": "x"}):
        answer = site.get("/consensus", params=params, headers={"accept": "text/html"})
        assert answer.status_code == 400
        assert "参数" in answer.text


def test_changes_of_the_validators_are_listed_over_rest_as_on_the_page(site: Any) -> None:
    (founding,) = site.get("/api/v1/validator-sets").json()["items"]
    assert (founding["number"], founding["first_height"], founding["validator_count"]) == (0, 1, 4)
    assert sorted(member["name"] for member in founding["joined"]) == ["node1", "node2", "node3", "node4"]
    assert founding["left"] == []
