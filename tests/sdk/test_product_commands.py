"""govnode product as departments use it: a claim, an objection that a governor decides, a valuation and a transaction both confirm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.product_records import FactRecord, load_fact, load_objection, load_product
from contracts.data_sharing.resources import GENERAL, UNCONDITIONAL, ResourceDescription, ResourceItem
from contracts.identifiers import uscc_check_character
from contracts.registration import AccountRegistration
from sm_crypto.keystore import save_key
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import CONSUMER, DEPARTMENT
from verification.days import show_day

Run = Callable[..., tuple[int, Any, str]]
ARBITER = "11990100MB0000005" + uscc_check_character("11990100MB0000005")
PRODUCT = f"{DEPARTMENT}/A1"


class Exchange:
    """The departments at their command lines, and the ledger that they see."""

    def __init__(self, run: Run, node: Any, folder: Path) -> None:
        self.run, self.chain, self.folder = run, node.chain, folder
        self.paper = folder / "report.pdf"
        self.paper.write_bytes(b"what it is worth")

    def do(self, who: str, *words: Any) -> str:
        status, out, err = self.run("product", *words, "--key", self.folder / f"{who}.key", "--json")
        assert status == 0, err
        return str(out["subject"])

    def refuse(self, code: str, who: str, *words: Any) -> None:
        status, out, err = self.run("product", *words, "--key", self.folder / f"{who}.key", "--json")
        assert status != 0
        assert code in f"{out}{err}", (out, err)

    def register(self, *more: Any) -> str:
        claim = ("--right", "hold", "--right", "operate", "--basis", "依职责采集", "--evidence", self.paper)
        said = ("--name", "成交均价", "--kind", "dataset", "--summary", "按月汇总", "--source", "301000/1")
        return self.do("clerk", "register", "A1", *said, *claim, *more)

    def propose(self, who: str, what: tuple[str, ...], *more: Any) -> str:
        other = CONSUMER if who == "clerk" else DEPARTMENT
        day = show_day(self.chain.time_ms)
        return self.do(who, *what, "--with", other, "--document", self.paper, "--dated", day, *more)

    def fact(self, number: int) -> FactRecord:
        found = load_fact(self.chain.state, PRODUCT, number)
        assert found is not None
        return found


def add_account(chain: Any, department: str, role: str) -> PrivateKey:
    """Add an account with one role to a department and return its key."""
    key, roles = PrivateKey.generate(), [role]
    registration = AccountRegistration(chain.genesis.hash, department, key.public_key, role, roles)
    stated = {"department": department, "public_key": key.public_key, "name": role, "roles": roles}
    chain.call(chain.governor, "members", "add_account", **stated, signature=key.sign(registration.digest))
    return key


@pytest.fixture
def exchange(run: Run, node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    chain = node.chain
    place = {"region": "990100", "level": "city", "parent": ""}
    chain.call(chain.governor, "members", "add_department", code=ARBITER, name="数据局", **place)
    keys = {"clerk": chain.clerk, "consumer": chain.consumer, "governor": add_account(chain, ARBITER, "governor")}
    keys["objector"] = add_account(chain, CONSUMER, "approver")
    for who, key in keys.items():
        save_key(tmp_path / f"{who}.key", key, b"correct horse", iterations=1_000)
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("correct horse\n")
    monkeypatch.setenv("GOVNODE_URL", node.url)
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(tmp_path / "password"))
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
    chain.call(chain.clerk, "catalogue", "publish", resource=described, replaces=0)
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
    assert exchange.do("objector", "object", PRODUCT, *ground) == f"{PRODUCT} #1"
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
