"""What REST and govnode share show say of a request: its conditions, its course, its corrections, disputes and recalls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contracts.data_sharing.conditions import Conditions, Mask
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import run

__all__ = ["run"]

RESOURCE = "330000001/000001"
NOTHING = bytes(32)


@pytest.fixture(scope="module")
def site(make_world: Callable[[], Any], serve: Callable[..., Any]) -> Any:
    """A world with one recalled grant, which had a correction and a dispute, and one refused request that was reopened."""
    world = make_world()
    world.publish(RESOURCE, "不动产登记信息")

    def call(account: str, method: str, **arguments: Any) -> bytes:
        name, refusal = world.call(account, "sharing", method, **arguments)
        assert refusal is None, refusal
        return bytes(name)

    now_ms = world.ledger.head_time_ms
    wish = {
        "purpose": "核验",
        "legal_basis": "条例",
        "items": ["权利人"],
        "case_types": ["抵押登记"],
        "rows_per_day": 50,
    }
    wish |= {"resource": RESOURCE, "from_ms": now_ms, "to_ms": now_ms + 10**9}
    granted = call("housing", "request", **wish)
    call("governor", "check", request=granted, passed=True, note="")
    allowed = Conditions(masks=(Mask("权利人", "truncate", 0, 1),), place="登记大厅", note="仅限本案")
    call("land", "grant", request=granted, conditions=allowed, to_ms=now_ms + 10**9)
    call("land", "start_supply", request=granted)
    call("housing", "ask_correction", request=granted, item="权利人", claim="姓名有误", evidence=sm3(b"scan"))
    call("land", "answer_correction", request=granted, number=1, outcome=2, answer="核实无误")
    call("land", "raise_dispute", request=granted, kind="use", claim="超出用途", evidence=NOTHING)
    call("land", "recall", request=granted, from_ms=now_ms, to_ms=0, ends_grant=True, reason="批次有误")
    refused = call("housing", "request", **wish)
    call("land", "refuse", request=refused, reason_code="no-basis", reason="")
    call("housing", "raise_dispute", request=refused, kind="refusal", claim="履职所需", evidence=NOTHING)
    call("governor", "take_dispute", request=refused, number=1)
    call("governor", "decide_dispute", request=refused, number=1, outcome=1, order=1, decision="应予共享")
    returned = call("housing", "request", **wish)
    call("land", "return_request", request=returned, reason="请补正")
    world.granted, world.refused, world.returned = granted, refused, returned
    return serve(world)


def test_the_list_follows_every_state(site: Any) -> None:
    def listed(state: str) -> list[str]:
        return [one["id"] for one in site.get("/api/v1/requests", params={"state": state}).json()["items"]]

    assert listed("recalled") == ["0x" + site.world.granted.hex()]
    assert listed("waiting") == ["0x" + site.world.refused.hex()]
    assert listed("returned") == ["0x" + site.world.returned.hex()]
    assert listed("refused") == listed("granted") == []
    grants = site.get("/api/v1/grants").json()["items"]
    assert [(one["state"], one["is_in_force"]) for one in grants] == [("recalled", False)]


def test_the_cases_of_a_request(site: Any) -> None:
    cases = site.get(f"/api/v1/requests/{site.world.granted.hex()}/cases").json()
    (correction,), (dispute,), (recall,) = cases["corrections"], cases["disputes"], cases["recalls"]
    assert (correction["item"], correction["outcome_text"]["zh"]) == ("权利人", "经核实无误")
    assert correction["evidence"] == "0x" + sm3(b"scan").hex()
    assert (dispute["raiser"], dispute["kind_text"]["en"]) == (site.world.land, "use beyond the purpose")
    assert (recall["ends_grant"], recall["confirmed_ms"], recall["to_ms"]) == (True, 0, recall["begun_ms"])
    other = site.get(f"/api/v1/requests/{site.world.refused.hex()}/cases").json()
    assert (other["corrections"], other["recalls"]) == ([], [])
    assert other["disputes"][0]["order_text"]["zh"] == "责成重新答复"
    assert site.get(f"/api/v1/requests/{'00' * 32}/cases").status_code == 404
    assert site.get("/api/v1/requests/xyz/cases").status_code == 400


def test_the_table_of_reasons(site: Any) -> None:
    table = site.get("/api/v1/refusal-reasons").json()
    assert table["set_ms"] == 0
    assert {
        "code": "other",
        "text": "其他原因（须说明）",
        "english": "another reason, which must be stated",
    }.items() <= (table["reasons"][-1].items())


def test_a_request_is_shown_with_its_course_and_cases(site: Any, run: Callable[..., Any]) -> None:
    status, out, err = run("share", "show", site.world.granted.hex(), "--url", site.url)
    assert status == 0, err
    for words in (
        "已召回 / recalled",
        "权利人 只留第 1 位 / character 1 alone",
        "登记大厅",
        "校核 / correction 1",
        "权利人：姓名有误",
        sm3(b"scan").hex(),
        "超出用途",
        "待销毁确认",
        "通过合规性检查",
        "开始提供数据",
    ):
        assert words in out
    status, out, _ = run("share", "show", site.world.refused.hex(), "--url", site.url, "--json")
    assert (status, out["disputes"][0]["decision"], out["history"][1]["reason_code"]) == (0, "应予共享", "no-basis")
    status, out, _ = run("share", "show", site.world.refused.hex(), "--url", site.url)
    assert (status, "所述依据不支持该项使用" in out, "no-basis" in out) == (0, True, False)
    assert "只留第 1 位" in site.get(f"/requests/{site.world.granted.hex()}").text
    status, out, _ = run("share", "list", "--state", "returned", "--url", site.url, "--json")
    assert (status, len(out["items"])) == (0, 1)
