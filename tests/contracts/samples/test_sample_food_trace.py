"""The food register: hand-overs by two, recalls that reach all that derives from a batch, and the ways round them that do not work."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sm_crypto.sm3 import sm3

PAPER = sm3(b"a paper")
CREATED, SPLIT, MERGED, USED, OFFERED, TAKEN_BACK, DECLINED, ACCEPTED, PASSED, FAILED, RECALLED, LIFTED, DESTROYED = (
    range(13)
)


class Trade:
    """A farm, a shop, a supervising department, and the register between them."""

    def __init__(self, chain: Any, bench: Any, deployer: Any, artefact: Any) -> None:
        self.bench, self.chain = bench, chain
        bench.register_type()
        self.licence = bench.issue()
        self.farm, self.shop = bench.issuer, bench.requester
        self.supervisor = type(bench.issuer)(bench.data_bureau, "approver")
        arguments = bench.account_arguments(self.supervisor, bench.data_bureau, "监管", ["approver"])
        bench.accept(bench.governor, "members", "add_account", **arguments)
        self.register = chain.deploy(deployer, artefact("FoodTrace"), [bench.data_bureau])
        self.made = 0

    def send(self, account: Any, method: str, *arguments: Any) -> Any:
        return self.register.send(account, method, *arguments)

    def refuse(self, code: str, account: Any, method: str, *arguments: Any) -> None:
        self.register.refuse(code, account, method, *arguments)

    def view(self, method: str, *arguments: Any) -> Any:
        return self.register.view(method, *arguments)

    def description(self, quantity: int = 100, **changes: Any) -> tuple[Any, ...]:
        parts = {"code": f"P{self.made}", "product": "鲜牛奶", "quantity": quantity, "unit": "千克"}
        return tuple((parts | {"licence": self.licence, "document": PAPER} | changes).values())

    def create(self, account: Any, quantity: int = 100) -> int:
        self.made += 1
        self.send(account, "create", *self.description(quantity))
        return self.count()

    def merge(self, account: Any, ids: list[int], quantity: int = 100) -> int:
        self.made += 1
        self.send(account, "merge", ids, *self.description(quantity))
        return self.count()

    def split(self, account: Any, whole: int, quantities: list[int]) -> list[int]:
        self.made += 1
        codes = [f"P{self.made}/{part}" for part in range(len(quantities))]
        first = self.count() + 1
        self.send(account, "split", whole, codes, quantities)
        return list(range(first, first + len(quantities)))

    def hand_over(self, batch: int, giver: Any, taker: Any) -> None:
        self.send(giver, "offer", batch, taker.department, PAPER)
        self.send(taker, "accept", batch, PAPER)

    def count(self) -> int:
        found: int = self.view("batchCount")
        return found

    def is_clear(self, batch: int) -> bool:
        found: bool = self.view("standing", batch)[0]
        return found

    def actions(self, batch: int) -> list[int]:
        return [step["action"] for step in self.view("history", batch, 0)]


@pytest.fixture
def trade(chain: Any, bench: Any, deployer: Any, artefact: Any) -> Trade:
    return Trade(chain, bench, deployer, artefact)


def test_a_batch_goes_from_farm_to_shop_and_its_history_says_so(trade: Trade) -> None:
    milk = trade.create(trade.farm)
    trade.chain.move_to(trade.chain.time_s + 60)
    trade.hand_over(milk, trade.farm, trade.shop)
    shown = trade.view("batch", milk)
    assert (shown["maker"], shown["holder"], shown["offeredTo"]) == (trade.farm.department, trade.shop.department, "")
    assert (shown["product"], shown["quantity"], shown["unit"], shown["certificate"]) == (
        "鲜牛奶",
        100,
        "千克",
        trade.licence,
    )
    history = trade.view("history", milk, 0)
    assert [(step["action"], step["by"], step["to"], step["document"]) for step in history] == [
        (CREATED, trade.farm.department, "", PAPER),
        (OFFERED, trade.farm.department, trade.shop.department, PAPER),
        (ACCEPTED, trade.shop.department, "", PAPER),
    ]
    assert [step["time"] for step in history] == [shown["made"], shown["made"] + 60, shown["made"] + 60]
    assert trade.view("history", milk, 2) == history[2:]
    assert trade.view("history", milk, 3) == trade.view("history", milk, 2**256 - 1) == []
    assert trade.view("batchByCode", trade.farm.department, shown["code"]) == milk
    assert trade.view("standing", milk) == (True, "")


def test_a_batch_is_made_under_a_certificate_in_force_only(trade: Trade) -> None:
    milk = trade.create(trade.farm)
    unknown = trade.bench.identifier("20259999")
    trade.refuse("CERTIFICATE", trade.farm, "create", *trade.description(code="X", licence=unknown))
    trade.bench.accept(trade.bench.issuer, "certificates", "suspend", identifier=trade.licence, reason="复查")
    trade.refuse("CERTIFICATE", trade.farm, "create", *trade.description(code="X"))
    trade.refuse("CERTIFICATE", trade.farm, "merge", [milk], *trade.description(code="X"))
    assert trade.view("certificateInForce", milk) is False
    trade.bench.accept(trade.bench.issuer, "certificates", "resume", identifier=trade.licence, reason="合格")
    assert trade.view("certificateInForce", milk) is True


def test_a_batch_changes_hands_only_when_both_sides_say_so(trade: Trade) -> None:
    milk = trade.create(trade.farm)
    trade.refuse("NOT_OFFERED", trade.shop, "accept", milk, PAPER)
    trade.refuse("NOT_HOLDER", trade.shop, "offer", milk, trade.shop.department, PAPER)
    trade.refuse("SAME_DEPARTMENT", trade.farm, "offer", milk, trade.farm.department, PAPER)
    trade.refuse("DEPARTMENT_UNKNOWN", trade.farm, "offer", milk, "91330100MA0000000X", PAPER)
    trade.refuse("NO_OFFER", trade.farm, "withdrawOffer", milk)
    trade.send(trade.farm, "offer", milk, trade.shop.department, PAPER)
    for method, arguments in (
        ("offer", (milk, trade.shop.department, PAPER)),
        ("split", (milk, ["a", "b"], [50, 50])),
        ("merge", ([milk], *trade.description(code="X"))),
        ("destroy", (milk, PAPER, "过期")),
    ):
        trade.refuse("ON_OFFER", trade.farm, method, *arguments)
    trade.refuse("NOT_OFFERED", trade.supervisor, "accept", milk, PAPER)
    trade.refuse("NOT_OFFERED", trade.farm, "accept", milk, PAPER)
    trade.refuse("NOT_HOLDER", trade.shop, "withdrawOffer", milk)
    trade.send(trade.farm, "withdrawOffer", milk)
    trade.refuse("NOT_OFFERED", trade.shop, "accept", milk, PAPER)
    trade.send(trade.farm, "offer", milk, trade.shop.department, PAPER)
    trade.refuse("TEXT_LENGTH", trade.shop, "decline", milk, "")
    trade.send(trade.shop, "decline", milk, "温度超标")
    assert trade.view("batch", milk)["holder"] == trade.farm.department
    trade.hand_over(milk, trade.farm, trade.shop)
    trade.refuse("NOT_OFFERED", trade.shop, "accept", milk, PAPER)
    assert trade.actions(milk) == [CREATED, OFFERED, TAKEN_BACK, OFFERED, DECLINED, OFFERED, ACCEPTED]


def test_the_parts_of_a_split_make_up_the_batch(trade: Trade) -> None:
    milk = trade.create(trade.farm, 100)
    for codes, quantities in ((["a"], [100]), (["a", "b"], [100]), ([], []), (["a"] * 17, [1] * 17)):
        trade.refuse("PARTS", trade.farm, "split", milk, codes, quantities)
    for quantities in ([50, 51], [50, 49], [100, 0], [2**128 - 1, 101]):
        trade.refuse("QUANTITY", trade.farm, "split", milk, ["a", "b"], quantities)
    trade.refuse("BATCH_EXISTS", trade.farm, "split", milk, ["a", "a"], [50, 50])
    trade.refuse("NOT_HOLDER", trade.shop, "split", milk, ["a", "b"], [50, 50])
    parts = trade.split(trade.farm, milk, [70, 30])
    assert [trade.view("batch", part)["quantity"] for part in parts] == [70, 30]
    assert trade.view("children", milk) == tuple(parts)
    assert [trade.view("parents", part) for part in parts] == [(milk,), (milk,)]
    trade.refuse("NOT_HELD", trade.farm, "split", milk, ["c", "d"], [50, 50])
    trade.refuse("NOT_HELD", trade.farm, "offer", milk, trade.shop.department, PAPER)
    assert trade.view("standing", milk)[0] is False
    assert trade.actions(milk) == [CREATED, USED]
    assert [(step["action"], step["other"]) for step in trade.view("history", parts[0], 0)] == [(SPLIT, milk)]


def test_a_batch_goes_into_another_once_and_never_into_itself(trade: Trade) -> None:
    first, second = trade.create(trade.farm), trade.create(trade.farm)
    foreign = trade.create(trade.shop)
    coming = trade.count() + 1
    for code, ids in (
        ("NOT_HELD", [first, first]),
        ("NOT_HOLDER", [first, foreign]),
        ("BATCH_UNKNOWN", [first, coming]),
        ("BATCH_UNKNOWN", [coming + 1]),
        ("BATCH_UNKNOWN", [2**255]),
        ("PARTS", []),
        ("PARTS", [first] * 17),
    ):
        trade.refuse(code, trade.farm, "merge", ids, *trade.description(code="X"))
    cheese = trade.merge(trade.farm, [first, second])
    assert trade.view("parents", cheese) == (first, second)
    assert trade.actions(cheese) == [MERGED]
    trade.refuse("NOT_HELD", trade.farm, "merge", [first], *trade.description(code="X"))


def test_a_recall_reaches_all_that_derives_from_the_batch_and_nothing_else(trade: Trade) -> None:
    """Two milks make a curd, the curd is split, one half goes on to the shop and into its cake with the shop's own flour."""
    milk, other_milk = trade.create(trade.farm), trade.create(trade.farm)
    curd = trade.merge(trade.farm, [milk, other_milk])
    kept, sold = trade.split(trade.farm, curd, [60, 40])
    trade.hand_over(sold, trade.farm, trade.shop)
    flour = trade.create(trade.shop)
    cake = trade.merge(trade.shop, [sold, flour])
    elsewhere = trade.create(trade.shop)
    assert trade.view("ancestors", cake) == (milk, other_milk, curd, sold, flour)
    trade.send(trade.farm, "recall", milk, "检出抗生素残留")
    reached = [batch for batch in range(1, trade.count() + 1) if trade.view("recallsReaching", batch)]
    assert reached == [milk, curd, kept, sold, cake]
    assert trade.view("recallsReaching", cake) == (milk,)
    assert [trade.is_clear(batch) for batch in (kept, cake, elsewhere)] == [False, False, True]
    assert trade.view("recallOf", milk)["reason"] == "检出抗生素残留"
    # The cake goes nowhere and into nothing; but back to the farm, and there it is destroyed.
    trade.refuse("RECALLED", trade.shop, "split", cake, ["a", "b"], [50, 50])
    trade.refuse("RECALLED", trade.shop, "merge", [cake, elsewhere], *trade.description(code="X"))
    trade.refuse("RECALLED", trade.shop, "offer", cake, trade.supervisor.department, PAPER)
    trade.hand_over(cake, trade.shop, trade.farm)
    trade.send(trade.farm, "destroy", cake, PAPER, "召回销毁")
    assert trade.actions(cake) == [MERGED, OFFERED, ACCEPTED, DESTROYED]
    trade.refuse("NOT_HELD", trade.farm, "destroy", cake, PAPER, "再次")
    assert trade.view("standing", cake)[0] is False


def test_two_recalls_are_both_seen_and_each_is_lifted_by_itself(trade: Trade) -> None:
    first, second = trade.create(trade.farm), trade.create(trade.farm)
    both = trade.merge(trade.farm, [first, second])
    trade.send(trade.farm, "recall", first, "甲")
    trade.send(trade.farm, "recall", second, "乙")
    trade.send(trade.farm, "recall", both, "丙")
    assert trade.view("recallsReaching", both) == (first, second, both)
    trade.refuse("RECALLED_ALREADY", trade.farm, "recall", both, "丁")
    for batch in (first, both):
        trade.send(trade.farm, "liftRecall", batch, "误报")
    assert trade.view("recallsReaching", both) == (second,)
    trade.refuse("NOT_RECALLED", trade.farm, "liftRecall", first, "误报")
    trade.send(trade.farm, "liftRecall", second, "误报")
    assert trade.is_clear(both)
    assert trade.actions(first) == [CREATED, USED, RECALLED, LIFTED]


def test_an_offer_from_before_a_recall_is_not_accepted_after_it(trade: Trade) -> None:
    milk = trade.create(trade.farm)
    (part, _) = trade.split(trade.farm, milk, [50, 50])
    trade.send(trade.farm, "offer", part, trade.shop.department, PAPER)
    trade.send(trade.supervisor, "recall", milk, "抽检不合格")
    trade.refuse("RECALLED", trade.shop, "accept", part, PAPER)
    trade.send(trade.shop, "decline", part, "已召回")


def test_who_did_not_make_hold_or_supervise_a_batch_does_not_recall_it(trade: Trade) -> None:
    milk = trade.create(trade.farm)
    trade.refuse("RECALL_FORBIDDEN", trade.shop, "recall", milk, "商业竞争")
    # Of the supervising department, but without the role.
    trade.refuse("RECALL_FORBIDDEN", trade.bench.auditor, "recall", milk, "越权")
    trade.refuse("SUPERVISOR_ONLY", trade.bench.auditor, "inspect", milk, True, PAPER, "")
    trade.refuse("SUPERVISOR_ONLY", trade.farm, "inspect", milk, True, PAPER, "自检")
    trade.hand_over(milk, trade.farm, trade.shop)
    trade.send(trade.shop, "recall", milk, "包装破损")
    trade.refuse("RECALL_FORBIDDEN", trade.farm, "liftRecall", milk, "无碍")


def test_a_company_does_not_forestall_a_supervisors_recall_with_its_own(trade: Trade) -> None:
    milk = trade.create(trade.farm)
    trade.send(trade.farm, "recall", milk, "主动召回")
    trade.send(trade.supervisor, "recall", milk, "责令召回")
    trade.refuse("RECALL_FORBIDDEN", trade.farm, "liftRecall", milk, "整改完毕")
    trade.refuse("RECALLED_ALREADY", trade.supervisor, "recall", milk, "再次")
    trade.refuse("RECALLED_ALREADY", trade.farm, "recall", milk, "再次")
    trade.send(trade.supervisor, "liftRecall", milk, "复检合格")
    assert trade.is_clear(milk)


def test_a_failed_batch_is_not_passed_on_under_another_name(trade: Trade) -> None:
    milk, other = trade.create(trade.farm), trade.create(trade.farm)
    trade.send(trade.farm, "offer", other, trade.shop.department, PAPER)
    for batch in (milk, other):
        trade.refuse("DIGEST_ZERO", trade.supervisor, "inspect", batch, False, bytes(32), "")
        trade.send(trade.supervisor, "inspect", batch, False, PAPER, "菌落总数超标")
    trade.refuse("FAILED", trade.shop, "accept", other, PAPER)
    trade.refuse("FAILED", trade.farm, "offer", milk, trade.shop.department, PAPER)
    trade.refuse("FAILED", trade.farm, "split", milk, ["a", "b"], [50, 50])
    trade.refuse("FAILED", trade.farm, "merge", [milk], *trade.description(code="X"))
    assert not trade.is_clear(milk)
    trade.send(trade.supervisor, "inspect", milk, True, PAPER, "")
    trade.hand_over(milk, trade.farm, trade.shop)
    assert trade.actions(milk) == [CREATED, FAILED, PASSED, OFFERED, ACCEPTED]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("TEXT_LENGTH", {"code": ""}),
        ("TEXT_LENGTH", {"product": "奶" * 201}),
        ("TEXT_LENGTH", {"unit": ""}),
        ("QUANTITY", {"quantity": 0}),
        ("BATCH_EXISTS", {"code": "P1"}),
    ],
)
def test_a_batch_is_described_within_limits(trade: Trade, code: str, changes: dict[str, Any]) -> None:
    trade.create(trade.farm)
    trade.refuse(code, trade.farm, "create", *trade.description(**changes))
    # Another company's numbers are its own.
    trade.send(trade.shop, "create", *trade.description(code="P1"))


def test_what_is_not_there_is_named_so(trade: Trade) -> None:
    assert trade.view("batch", 7)["status"] == 0
    assert trade.view("standing", 7)[0] is False
    for account, method, arguments in (
        (trade.farm, "offer", (7, trade.shop.department, PAPER)),
        (trade.farm, "accept", (7, PAPER)),
        (trade.farm, "recall", (7, "无")),
        (trade.supervisor, "inspect", (7, True, PAPER, "")),
    ):
        trade.refuse("BATCH_UNKNOWN", account, method, *arguments)


def test_what_a_batch_derives_from_has_a_limit_that_gas_and_work_of_a_call_cover(trade: Trade) -> None:
    mixed = []
    for _ in range(14):
        whole = trade.create(trade.farm, 16)
        mixed.append(trade.merge(trade.farm, trade.split(trade.farm, whole, [1] * 16)))
    silo = trade.merge(trade.farm, mixed[:12], 16)
    assert len(trade.view("ancestors", silo)) == 12 * 18
    # All parts come from the same 217 batches, which count once.
    tank = trade.merge(trade.farm, trade.split(trade.farm, silo, [1] * 16))
    assert len(trade.view("ancestors", tank)) == 12 * 18 + 1 + 16
    trade.refuse("TOO_MANY_ANCESTORS", trade.farm, "merge", [tank, *mixed[12:]], *trade.description(code="X"))
    last = trade.merge(trade.farm, [tank, mixed[12]])
    assert len(trade.view("ancestors", last)) == 12 * 18 + 17 + 1 + 18
    trade.send(trade.farm, "recall", 1, "最早的一批")
    assert trade.view("recallsReaching", last) == (1,)
    trade.refuse("RECALLED", trade.farm, "offer", last, trade.shop.department, PAPER)


@pytest.mark.parametrize("seed", range(3))
def test_random_trade_agrees_with_a_graph_that_is_walked(trade: Trade, seed: int) -> None:
    chosen = random.Random(seed)
    parents: dict[int, set[int]] = {}
    held: set[int] = set()
    recalled: set[int] = set()

    def reaching(batch: int) -> set[int]:
        found, waiting = set(), [batch]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += parents[one]
        return found & recalled

    for _ in range(40):
        free = sorted(batch for batch in held if not reaching(batch))
        action = chosen.choice(("create", "split", "merge", "merge", "recall", "lift"))
        if action == "create" or not free:
            parents[trade.create(trade.farm)] = set()
            held.add(trade.count())
        elif action == "split":
            whole = chosen.choice(free)
            quantity = trade.view("batch", whole)["quantity"]
            if quantity > 1:
                parts = trade.split(trade.farm, whole, [quantity - 1, 1])
                parents |= {part: {whole} for part in parts}
                held = held - {whole} | set(parts)
        elif action == "merge":
            ids = chosen.sample(free, min(len(free), chosen.randint(1, 3)))
            parents[trade.merge(trade.farm, ids)] = set(ids)
            held.add(trade.count())
            held -= set(ids)
        elif action == "recall" and (open_ones := sorted(set(parents) - recalled)):
            batch = chosen.choice(open_ones)
            trade.send(trade.farm, "recall", batch, "抽检")
            recalled.add(batch)
        elif recalled:
            lifted = chosen.choice(sorted(recalled))
            trade.send(trade.farm, "liftRecall", lifted, "误报")
            recalled.discard(lifted)
    for batch in parents:
        assert set(trade.view("recallsReaching", batch)) == reaching(batch)
        assert trade.is_clear(batch) == (batch in held and not reaching(batch))
