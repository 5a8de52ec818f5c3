"""Data products and contribution scores over REST and on pages, counted by hand on a small network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from contracts.data_sharing import product_records
from explorer.data_sharing import score_matters
from explorer.data_sharing.product_index import PRODUCT_SEEDS
from node.http.proof_file import decode_proof_file
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import run
from verification.days import day_start_ms, show_day

__all__ = ["run"]

RESOURCE = "330000001/000001"
NOTHING = bytes(32)
PAPER = sm3(b"contract of sale")


@pytest.fixture(scope="module")
def site(make_world: Callable[[], Any], serve: Callable[..., Any]) -> Any:
    """A world with a product that was valued and sold, one that an objection ended, a grant and a review."""
    world = make_world()
    world.publish(RESOURCE, "不动产登记信息")

    def call(account: str, contract: str, method: str, **arguments: Any) -> bytes:
        name, refusal = world.call(account, contract, method, **arguments)
        assert refusal is None, refusal
        return bytes(name)

    for code, name in (("A1", "成交均价数据集"), ("A2", "产权查询接口")):
        claim: list[Any] = [["hold", "operate"], "依职责采集", sm3(b"evidence")]
        stated: dict[str, Any] = {"number": code, "name": name, "kind": "dataset", "summary": "汇总", "claim": claim}
        call("land", "products", "register", **stated, sources=[[RESOURCE, NOTHING]])
    sold, ended = (f"{world.land}/{number}" for number in ("A1", "A2"))
    now_ms = world.ledger.head_time_ms
    for kind, form, amount in (("valuation", "cost", 1_234_500), ("transaction", "licence", 0)):
        terms: list[Any] = [kind, form, amount, now_ms, 0, PAPER, NOTHING, 0]
        call("land", "products", "propose", product=sold, counterparty=world.housing, terms=terms)
    for number in (1, 2):
        call("housing", "products", "confirm", product=sold, number=number, document=PAPER)
    call("land", "products", "propose", product=sold, counterparty=world.housing, terms=terms)
    call("housing", "products", "raise_objection", product=ended, ground="数据由本部门采集", evidence=NOTHING)
    decision: dict[str, Any] = {"product": ended, "number": 1, "is_upheld": True, "finding": "职责属住建部门"}
    call("governor", "products", "decide_objection", **decision)
    wish: dict[str, Any] = {
        "resource": RESOURCE,
        "purpose": "核验",
        "legal_basis": "条例",
        "items": [],
        "case_types": [],
    }
    wish |= {"rows_per_day": 0, "from_ms": now_ms, "to_ms": now_ms + 10**9}
    request = call("housing", "sharing", "request", **wish)
    call("land", "sharing", "grant", request=request, conditions=[[], [], 0, 0, 0, "", "", []], to_ms=now_ms + 10**9)
    call("housing", "catalogue", "review", code=RESOURCE, version=1, score=90, finding="字段齐全")
    world.sold, world.ended = sold, ended
    served = serve(world)
    served.day = show_day(world.ledger.head_time_ms)
    return served


def test_products_are_listed_and_found(site: Any) -> None:
    listed = site.get("/api/v1/products").json()["items"]
    assert [(one["code"], one["state"]) for one in listed] == [
        (site.world.ended, "rejected"),
        (site.world.sold, "registered"),
    ]
    assert listed[1]["rights_text"][0]["zh"] == "数据资源持有权"
    for query, expected in (({"q": "均价"}, 1), ({"q": "%"}, 0), ({"state": "rejected"}, 1), ({"department": "x"}, 0)):
        assert len(site.get("/api/v1/products", params=query).json()["items"]) == expected, query
    first = site.get("/api/v1/products", params={"limit": 1}).json()
    second = site.get("/api/v1/products", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [one["code"] for one in (*first["items"], *second["items"])] == [one["code"] for one in listed]


def test_a_product_is_shown_with_the_objections_to_its_claim(site: Any) -> None:
    shown = site.get("/api/v1/product", params={"code": site.world.ended}).json()
    objection = shown["objections_raised"][0]
    assert (objection["department"], objection["state"]) == (site.world.housing, "upheld")
    assert site.get("/api/v1/product", params={"code": "nobody/1"}).status_code == 404


def test_facts_are_listed_by_product_party_kind_and_state(site: Any) -> None:
    def numbers(**query: str) -> list[int]:
        return [one["number"] for one in site.get("/api/v1/product-facts", params=query).json()["items"]]

    assert numbers(product=site.world.sold) == [3, 2, 1]
    assert numbers(department=site.world.housing, state="proposed") == [3]
    assert numbers(kind="valuation") == [1]
    assert numbers(department=site.world.district) == []
    fact = site.get("/api/v1/product-facts", params={"kind": "valuation"}).json()["items"][0]
    assert (fact["state"], fact["terms"]["amount_fen"], fact["terms"]["document"]) == (
        "confirmed",
        1_234_500,
        "0x" + PAPER.hex(),
    )


def test_the_score_of_a_period_is_the_sum_of_its_lines_by_the_published_formula(site: Any) -> None:
    shown = site.get("/api/v1/contribution", params={"from": site.day, "to": site.day}).json()
    assert [one["department"] for one in shown["departments"]] == [site.world.land]
    lines = {one["measure"]: (one["count"], one["hundredths"]) for one in shown["departments"][0]["lines"]}
    counted = {measure: line for measure, line in lines.items() if line[0]}
    # By the first table: a grant 1 point, a reply in time 0.5, a good review 3, a trade 2.
    assert counted == {
        "granted": (1, 100),
        "replied_on_time": (1, 50),
        "reviewed_well": (1, 300),
        "traded": (1, 200),
    }
    assert shown["departments"][0]["hundredths"] == 650
    one = site.get(f"/api/v1/contribution/{site.world.land}", params={"from": site.day, "to": site.day}).json()
    assert one["departments"] == shown["departments"]
    nothing = site.get("/api/v1/contribution", params={"from": "2020-01-01", "to": "2020-12-31"}).json()
    assert nothing["departments"] == []


@pytest.mark.parametrize(
    ("first", "last"), [("2026-02-30", "2026-03-01"), ("2026-03-02", "2026-03-01"), ("2000-01-01", "2026-01-01")]
)
def test_a_period_that_is_none_is_refused(site: Any, first: str, last: str) -> None:
    answer = site.get("/api/v1/contribution", params={"from": first, "to": last})
    assert (answer.status_code, answer.json()["code"]) == (400, "PARAMETER_INVALID")


def test_formulas_are_listed_from_the_newest_to_the_first_table(site: Any) -> None:
    begins_ms = day_start_ms("2099-01-01")
    _, refusal = site.world.call(
        "governor", "products", "set_formula", rows=[["granted", 500, 0, 0]], basis="考核办法", from_ms=begins_ms
    )
    assert refusal is None, refusal
    listed = site.get("/api/v1/contribution-formulas").json()["items"]
    assert [(one["number"], len(one["rows"])) for one in listed] == [(1, 1), (0, 12)]
    first = site.get("/api/v1/contribution-formulas", params={"limit": 1}).json()
    following = site.get("/api/v1/contribution-formulas", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [one["number"] for one in following["items"]] == [0]
    period = {"from": "2099-01-01", "to": "2099-12-31"}
    assert site.get("/api/v1/contribution", params=period).json()["formula"]["number"] == 1


def test_pages_show_products_and_scores(site: Any) -> None:
    assert "成交均价数据集" in site.get("/products").text
    page = site.get(f"/products/{site.world.sold}").text
    assert "12,345.00" in page
    assert "见文件" in page
    assert "数据由本部门采集" in site.get(f"/products/{site.world.ended}").text
    scores = site.get("/contribution").text
    assert "6.50" in scores
    assert site.get("/products", params={"state": "nothing"}).status_code == 400


def test_an_index_made_from_the_state_has_the_same_rows(site: Any) -> None:
    engine = sql.create_engine("sqlite://")
    state = dict(site.world.ledger.pinned_state()[1])
    for prefix, table, seed in PRODUCT_SEEDS:
        rows = sorted(seed(value)[1] for key, value in state.items() if key.startswith(prefix))
        table.create(engine)
        names = [column.name for column in table.columns if column.name != "sequence"]
        with engine.begin() as connection:
            connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])
            kept = sorted(tuple(row)[1:] for row in connection.execute(sql.select(table)))
        assert kept == rows
    facts = site.get("/api/v1/product-facts").json()["items"]
    assert len(facts) == sum(product_records.FACTS.prefix == key[:21] for key in state)


def test_commands_show_products_and_scores(site: Any, run: Callable[..., tuple[int, Any, str]]) -> None:
    status, out, _ = run("product", "list", "--search", "均价", "--url", site.url)
    assert (status, site.world.sold in out) == (0, True)
    status, out, _ = run("product", "show", site.world.sold, "--url", site.url)
    assert (status, "12,345.00" in out, "数据资源持有权" in out) == (0, True, True)
    shown = run("product", "show", site.world.sold, "--url", site.url, "--json")[1]
    assert PAPER.hex() in out, "who has to confirm sees which file it is about"
    for expected in (shown["summary"], shown["kind_text"]["zh"], shown["claim"]["evidence"].removeprefix("0x")):
        assert expected in out
    days = ("--from", site.day, "--to", site.day, "--url", site.url)
    status, out, _ = run("score", "show", *days)
    line = next(line for line in out.splitlines() if "质量评价良好 / quality reviews with a good score" in line)
    assert (status, "6.50" in out, line.split()[-2:]) == (0, True, ["1", "3.00"])
    status, out, _ = run("score", "show", *days, "--department", site.world.land, "--json")
    assert [one["hundredths"] for one in out["departments"]] == [650]


def test_facts_of_products_go_out_as_proofs(site: Any, run: Callable[..., Any], tmp_path: Path) -> None:
    code = f"{site.world.land}/A1"
    said = {}
    for kind, name in (
        ("product", code),
        ("product-fact", f"{code}/1"),
        ("product-objection", f"{site.world.land}/A2/1"),
    ):
        out = tmp_path / f"{kind}.json"
        status, _, err = run("proof", "export", name, "--kind", kind, "--out", out, "--url", site.url)
        assert status == 0, err
        proof = decode_proof_file(out.read_bytes())
        assert proof.kind == kind
        said[kind] = proof.fields
    assert said["product"]["claim"]["evidence"] == sm3(b"evidence").hex()
    fact = said["product-fact"]
    assert (fact["state"], fact["terms"]["document"], fact["counterparty"]) == (
        "confirmed",
        PAPER.hex(),
        site.world.housing,
    )
    assert said["product-objection"]["state"] == "upheld"
    status, _, err = run("proof", "export", code, "--kind", "product-fact", "--out", tmp_path / "no", "--url", site.url)
    assert (status, "NAME_MALFORMED" in err) == (1, True)


def test_what_one_department_asks_for_without_end_puts_no_other_score_out_of_service(
    site: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = site.world
    wish: dict[str, Any] = {
        "resource": RESOURCE,
        "purpose": "核验",
        "legal_basis": "条例",
        "items": [],
        "case_types": [],
    }
    now_ms = world.ledger.head_time_ms
    wish |= {"rows_per_day": 0, "from_ms": now_ms, "to_ms": now_ms + 10**9}
    for _ in range(4):
        assert world.call("district", "sharing", "request", **wish)[1] is None
    days = {"from": site.day, "to": site.day}
    whole = site.get("/api/v1/contribution", params=days).json()
    assert whole["left_out"] == []
    # The buyer has one request, the flooder four: of each one is counted.
    monkeypatch.setattr(score_matters, "MAX_SCORED", 2)
    # A day more: answers are kept for as long as the ledger does not change.
    longer = {"from": site.day, "to": show_day(day_start_ms(site.day) + 86_400_000)}
    answer = site.get("/api/v1/contribution", params=longer)
    assert answer.status_code == 200
    shown = answer.json()
    left_out = [(one["kind"], one["department"], one["matters"], one["counted"]) for one in shown["left_out"]]
    assert left_out == [("requests", world.district, 4, 1)]
    assert shown["departments"] == whole["departments"]
    assert "只计最早的至多 1 件" in site.get("/contribution", params=longer).text
    assert (
        "4 件，超过节点统计的限度"
        in run("score", "show", "--from", longer["from"], "--to", longer["to"], "--url", site.url)[1]
    )
    # Once nothing of them can run out any more, what was asked for so long ago is not even looked at.
    monkeypatch.setattr(score_matters, "MAX_SCORED", 0)
    later = site.get("/api/v1/contribution", params={"from": "2090-01-01", "to": "2090-12-31"}).json()
    assert (later["departments"], later["left_out"]) == ([], [])
