"""Valuations and transactions under any order of steps, beside a model of what both parties have said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts.data_sharing.product_records import load_fact, load_product
from sm_crypto.sm3 import sm3

PAPER = sm3(b"paper")
NUMBERS = st.integers(1, 6)


class FactLife(RuleBasedStateMachine):
    """Two departments propose, answer and replace facts of one product; the model has the state of each."""

    make_bench: Any

    @initialize()
    def register(self) -> None:
        self.bench = self.make_bench()
        self.bench.publish()
        claim = [["hold"], "依职责采集", sm3(b"claim")]
        product = {"number": "1", "name": "数据集", "kind": "dataset", "summary": "汇总", "claim": claim}
        sources = [["307013301/000001", bytes(32)]]
        self.bench.accept(self.bench.publisher, "products", "register", **product, sources=sources)
        self.code = f"{self.bench.land_bureau}/1"
        self.sides = {True: self.bench.approver, False: self.bench.requester}
        self.states: list[str] = []
        self.proposed_by: list[bool] = []
        self.replaced: list[int] = []

    @rule(is_provider=st.booleans(), replaces=st.integers(0, 4))
    def propose(self, is_provider: bool, replaces: int) -> None:
        terms = ["valuation", "cost", 1, self.bench.time_ms, 0, PAPER, bytes(32), replaces]
        other = self.sides[not is_provider].department
        arguments = {"product": self.code, "counterparty": other, "terms": terms}
        if replaces and (replaces > len(self.states) or self.states[replaces - 1] != "confirmed"):
            code = "FACT_UNKNOWN" if replaces > len(self.states) else "FACT_STATE"
            self.bench.refuse(code, self.sides[is_provider], "products", "propose", **arguments)
            return
        self.bench.accept(self.sides[is_provider], "products", "propose", **arguments)
        self.states.append("proposed")
        self.proposed_by.append(is_provider)
        self.replaced.append(replaces)

    @rule(is_provider=st.booleans(), number=NUMBERS, step=st.sampled_from(["confirm", "decline", "take_back"]))
    def answer(self, is_provider: bool, number: int, step: str) -> None:
        arguments: dict[str, Any] = {"product": self.code, "number": number}
        arguments |= {"document": PAPER} if step == "confirm" else {"reason": "说明"}
        account = self.sides[is_provider]
        if refusal := self.expected_refusal(is_provider, number, step):
            self.bench.refuse(refusal, account, "products", step, **arguments)
            return
        self.bench.accept(account, "products", step, **arguments)
        self.states[number - 1] = {"confirm": "confirmed", "decline": "declined", "take_back": "taken_back"}[step]
        if step == "confirm" and self.replaced[number - 1]:
            self.states[self.replaced[number - 1] - 1] = "replaced"

    def expected_refusal(self, is_provider: bool, number: int, step: str) -> str:
        if number > len(self.states):
            return "FACT_UNKNOWN"
        if self.states[number - 1] != "proposed":
            return "FACT_STATE"
        if (self.proposed_by[number - 1] == is_provider) != (step == "take_back"):
            return "OTHER_DEPARTMENT"
        earlier = self.replaced[number - 1]
        is_spent = step == "confirm" and earlier and self.states[earlier - 1] != "confirmed"
        return "FACT_STATE" if is_spent else ""

    @invariant()
    def every_number_is_kept_in_the_state_that_the_parties_left_it_in(self) -> None:
        record = load_product(self.bench.state, self.code)
        assert record is not None
        assert record.facts == len(self.states)
        kept = [load_fact(self.bench.state, self.code, number + 1) for number in range(len(self.states))]
        assert [fact.state for fact in kept if fact is not None] == self.states


def test_facts_keep_to_what_both_parties_said(make_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FactLife, "make_bench", make_bench, raising=False)
    case = FactLife.TestCase
    case.settings = settings(
        max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case("runTest").runTest()
