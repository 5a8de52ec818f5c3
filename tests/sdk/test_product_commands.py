"""govnode product as departments use it: a claim, an objection that a governor decides, a valuation and a transaction both confirm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.product_records import FactRecord, load_fact, load_objection, load_product
from contracts.data_sharing.resources import GENERAL, UNCONDITIONAL, ResourceDescription, ResourceItem
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT, StandInNode
from tests.sdk.command_lines import CommandLines, Run, add_arbiter, sit_down
from tests.sdk.persons.conftest import add_account
from verification.days import show_day

PRODUCT = f"{DEPARTMENT}/A1"


class Exchange(CommandLines):
    """The departments at the commands of products, with a paper to show."""

    group = "product"

    def __init__(self, run: Run, node: StandInNode, folder: Path) -> None:
        super().__init__(run, node, folder)
        self.paper = folder / "report.pdf"
        self.paper.write_bytes(b"what it is worth")

    def register(self, *more: Any) -> str:
        claim = ("--right", "hold", "--right", "operate", "--basis", "依职责采集", "--evidence", self.paper)
        said = ("--name", "成交均价", "--kind", "dataset", "--summary", "按月汇总", "--source", "301000/1")
        return str(self.do("clerk", "register", "A1", *said, *claim, *more)["subject"])

    def propose(self, who: str, what: tuple[str, ...], *more: Any) -> str:
        other = CONSUMER if who == "clerk" else DEPARTMENT
        day = show_day(self.chain.time_ms)
        return str(self.do(who, *what, "--with", other, "--document", self.paper, "--dated", day, *more)["subject"])

    def fact(self, number: int) -> FactRecord:
        found = load_fact(self.chain.state, PRODUCT, number)
        assert found is not None
        return found


@pytest.fixture
def exchange(run: Run, node: StandInNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    keys = {"governor": add_arbiter(node.chain), "objector": add_account(node.chain, CONSUMER, "异议人", "approver")}
    described = ResourceDescription(
        code="301000/1",
        name="成交信息",
        summary="样本",
        format="JSON",
        items=(ResourceItem("均价", "N"),),
        sharing_type=UNCONDITIONAL,
        sharing_basis="",
        sharing_method="接口",
        update_cycle=1,
        data_class=GENERAL,
    )
    sit_down(node, keys, tmp_path, monkeypatch, described)
    return Exchange(run, node, tmp_path)


def test_both_parties_stand_behind_a_valuation_and_a_transaction(exchange: Exchange) -> None:
    assert exchange.register() == PRODUCT
    record = load_product(exchange.chain.state, PRODUCT)
    assert record is not None
    assert (record.claim.rights, record.claim.evidence) == (("hold", "operate"), sm3(b"what it is worth"))
    value, trade = ("value", PRODUCT, "--method", "cost"), ("trade", PRODUCT, "--form", "licence")
    assert exchange.propose("clerk", value, "--amount", "120000.5", "--until", "2099-12-31") == f"{PRODUCT} #1"
    assert (exchange.fact(1).state, exchange.fact(1).terms.amount_fen) == ("proposed", 12_000_050)
    other = exchange.folder / "other.pdf"
    other.write_bytes(b"another paper")
    exchange.refuse("DOCUMENT_DIFFERS", "consumer", "confirm", PRODUCT, "1", "--document", other)
    exchange.do("consumer", "confirm", PRODUCT, "1", "--document", exchange.paper)
    assert exchange.fact(1).state == "confirmed"
    # The buyer may propose as well; who proposed takes back, the other declines.
    exchange.propose("consumer", trade)
    exchange.do("consumer", "take-back", PRODUCT, "2", "--reason", "另议")
    exchange.propose("clerk", trade)
    exchange.do("consumer", "decline", PRODUCT, "3", "--reason", "价款有误")
    exchange.propose("clerk", value, "--amount", "100000", "--replaces", "1")
    exchange.do("consumer", "confirm", PRODUCT, "4", "--document", exchange.paper)
    assert [exchange.fact(number).state for number in (1, 2, 3, 4)] == [
        "replaced",
        "taken_back",
        "declined",
        "confirmed",
    ]
    exchange.do("clerk", "withdraw", PRODUCT, "--reason", "不再提供")
    exchange.refuse("PRODUCT_ENDED", "objector", "object", PRODUCT, "--ground", "迟了")


@pytest.mark.parametrize(("choice", "state"), [("--uphold", "rejected"), ("--dismiss", "registered")])
def test_an_objection_is_answered_and_decided(exchange: Exchange, choice: str, state: str) -> None:
    exchange.register()
    ground = ("--ground", "数据由本部门采集", "--evidence", exchange.paper)
    assert exchange.do("objector", "object", PRODUCT, *ground)["subject"] == f"{PRODUCT} #1"
    exchange.do("clerk", "answer", PRODUCT, "1", "--answer", "依职责采集")
    exchange.do("governor", "decide", PRODUCT, "1", choice, "--finding", "已核实")
    objection, record = load_objection(exchange.chain.state, PRODUCT, 1), load_product(exchange.chain.state, PRODUCT)
    assert objection is not None
    assert record is not None
    assert (objection.answer, objection.evidence, record.state) == ("依职责采集", sm3(b"what it is worth"), state)


@pytest.mark.parametrize("amount", ["-1", "1.234", "1e3", "１", "12345678901234"])
def test_an_amount_is_yuan_with_two_decimals_at_most(exchange: Exchange, amount: str) -> None:
    words = ("value", PRODUCT, "--method", "cost", "--with", CONSUMER, "--document", exchange.paper)
    exchange.refuse("AMOUNT_INVALID", "clerk", *words, "--dated", "2026-01-01", "--amount", amount)
