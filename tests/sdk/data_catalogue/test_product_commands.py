"""Commands that register, value, trade and object to data products, and publish the score's formula."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.data_sharing.product_records import load_fact, load_formula, load_objection, load_product
from sm_crypto.keystore import save_key
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT, HandMadeChain, StandInNode

Run = Callable[..., tuple[int, Any, str]]
PRODUCT = f"{DEPARTMENT}/A1"
RESOURCE = "307013301/000001"
FIELDS = ("--name", "登记信息", "--summary", "登记结果", "--item", "姓名:C", "--sharing", "unconditional")


def test_a_product_is_registered_valued_and_traded_by_both_sides(
    run: Run, node: StandInNode, chain: HandMadeChain, keys: Path, tmp_path: Path
) -> None:
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(b"appraisal report")
    clerk = ("--url", node.url, "--key", keys / "clerk.key", "--password-file", keys / "clerk.password")
    buyer = ("--url", node.url, "--key", keys / "a-consumer.key", "--password-file", keys / "a-consumer.password")
    assert run("catalogue", "publish", RESOURCE, *FIELDS, *clerk)[0] == 0
    stated = ("--name", "成交均价", "--kind", "dataset", "--summary", "汇总", "--source", RESOURCE, "--right", "hold")
    assert run("product", "register", "A1", *stated, "--basis", "依职责采集", "--evidence", paper, *clerk)[0] == 0
    record = load_product(chain.state, PRODUCT)
    assert record is not None
    assert record.claim.evidence == sm3(b"appraisal report")
    terms = ("--with", CONSUMER, "--document", paper, "--dated", "2026-05-01")
    status, _, error = run("product", "value", PRODUCT, "--method", "cost", "--amount", "1.234", *terms, *clerk)
    assert (status, "AMOUNT_INVALID" in error) == (1, True)
    value = ("product", "value", PRODUCT, "--method", "cost", "--amount", "12.5", *terms, *clerk)
    status, out, _ = run(*value, "--json")
    assert (status, out["subject"]) == (0, f"{PRODUCT} #1")
    other = tmp_path / "other.pdf"
    other.write_bytes(b"another paper")
    status, _, error = run("product", "confirm", PRODUCT, 1, "--document", other, *buyer)
    assert (status, "DOCUMENT_DIFFERS" in error) == (1, True)
    assert run("product", "confirm", PRODUCT, 1, "--document", paper, *buyer)[0] == 0
    valued = load_fact(chain.state, PRODUCT, 1)
    assert valued is not None
    assert (valued.state, valued.terms.amount_fen) == ("confirmed", 1_250)
    trade = ("product", "trade", PRODUCT, "--form", "licence", *terms, "--until", "2027-04-30")
    assert run(*trade, *clerk)[0] == 0
    assert run("product", "decline", PRODUCT, 2, "--reason", "价格有误", *buyer)[0] == 0
    assert run(*trade, *clerk)[0] == 0
    assert run("product", "take-back", PRODUCT, 3, "--reason", "改日再签", *clerk)[0] == 0
    assert [fact.state for n in (2, 3) if (fact := load_fact(chain.state, PRODUCT, n))] == ["declined", "taken_back"]
    assert run("product", "withdraw", PRODUCT, "--reason", "停止运营", *clerk)[0] == 0


def test_an_objection_is_raised_and_answered(
    run: Run, node: StandInNode, chain: HandMadeChain, keys: Path, tmp_path: Path
) -> None:
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(b"evidence")
    clerk = ("--url", node.url, "--key", keys / "clerk.key", "--password-file", keys / "clerk.password")
    run("catalogue", "publish", RESOURCE, *FIELDS, *clerk)
    stated = ("--name", "成交均价", "--kind", "dataset", "--summary", "汇总", "--source", RESOURCE, "--right", "hold")
    assert run("product", "register", "A1", *stated, "--basis", "依职责采集", "--evidence", paper, *clerk)[0] == 0
    status, _, error = run("product", "object", PRODUCT, "--ground", "重复登记", *clerk)
    assert (status, "OWN_PRODUCT" in error) == (1, True)
    chain.call(chain.governor, "members", "set_roles", account=chain_address(chain), roles=["approver"])
    buyer = ("--url", node.url, "--key", keys / "a-consumer.key", "--password-file", keys / "a-consumer.password")
    out = run("product", "object", PRODUCT, "--ground", "重复登记", "--evidence", paper, *buyer, "--json")[1]
    assert out["subject"] == f"{PRODUCT} #1"
    assert run("product", "answer", PRODUCT, 1, "--answer", "口径不同", *clerk)[0] == 0
    found = load_objection(chain.state, PRODUCT, 1)
    assert found is not None
    assert (found.department, found.answer, found.evidence) == (CONSUMER, "口径不同", sm3(b"evidence"))


def chain_address(chain: HandMadeChain) -> bytes:
    return sm3(chain.consumer.public_key)[-20:]


def test_a_formula_is_published_from_a_table(
    run: Run, node: StandInNode, chain: HandMadeChain, keys: Path, tmp_path: Path
) -> None:
    save_key(keys / "governor.key", chain.governor, b"password", iterations=1_000)
    governor = ("--url", node.url, "--key", keys / "governor.key", "--password-file", keys / "clerk.password")
    table = tmp_path / "formula.csv"
    table.write_text("measure,points,limit,most_of_one\ngranted,1.5,100,\nreplied_late,-2.25,,20\n", "utf-8")
    assert "未公布" in run("score", "formula", "--url", node.url)[1]
    setting = ("score", "set-formula", table, "--basis", "考核办法第三条", "--from", "2099-01-01", *governor)
    assert run(*setting)[0] == 0
    record = load_formula(chain.state, 1)
    assert record is not None
    assert [(row.measure, row.hundredths, row.limit_hundredths, row.most_of_one) for row in record.rows] == [
        ("granted", 150, 10_000, 0),
        ("replied_late", -225, 0, 20),
    ]
    assert "-2.25" in run("score", "formula", "--url", node.url)[1]
    assert "未公布" in run("score", "formula", "--at", "2098-12-31", "--url", node.url)[1]
    table.write_text("measure,points\ngranted,很多\n", "utf-8")
    status, _, error = run(*setting)
    assert (status, "CSV_INVALID" in error, "points" in error) == (1, True, True)
    table.write_text("measure,points,most_of_one\ngranted,1,-2\n", "utf-8")
    status, _, error = run(*setting)
    assert (status, "CSV_INVALID" in error, "most_of_one" in error) == (1, True, True)
