"""Whatever accounts do, and in whichever order: nothing is in force without the approvals of its class and of the class it left."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.data_sharing.catalogue import load_proposal, load_resource, load_version
from contracts.data_sharing.resources import CORE, GENERAL, IMPORTANT, description_digest

NEEDED = {GENERAL: set(), IMPORTANT: {"approver"}, CORE: {"approver", "governor"}}
WHO = ("publisher", "both", "approver", "governor", "other_approver")

# The class is set by a fixture: hypothesis makes machines without arguments.
bench_class: Any = None


class Catalogue(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.bench = bench_class()
        self.bench.both = self.bench.issuer
        roles = ["publisher", "approver"]
        self.bench.accept(self.bench.governor, "members", "set_roles", account=self.bench.both.address, roles=roles)
        self.code = self.bench.resource_description().code
        self.kept: dict[int, Any] = {}

    def is_waiting(self) -> bool:
        return load_proposal(self.bench.state, self.code) is not None

    def call(self, who: str, method: str, **arguments: Any) -> None:
        self.bench.time_ms += 1
        self.bench.call(getattr(self.bench, who), "catalogue", method, **arguments)

    @rule(
        who=st.sampled_from(("publisher", "both", "publisher", "approver")),
        data_class=st.sampled_from((IMPORTANT, CORE, GENERAL)),
        text=st.sampled_from("甲乙丙丁"),
        is_late=st.sampled_from((False, False, False, True)),
    )
    def publish(self, who: str, data_class: int, text: str, is_late: bool) -> None:
        current = load_resource(self.bench.state, self.code)
        replaces = max(0, (0 if current is None else current.version) - is_late)
        described = self.bench.resource_description(summary=text, data_class=data_class)
        self.call(who, "publish", resource=described, replaces=replaces)

    @precondition(is_waiting)
    @rule(
        who=st.sampled_from(("approver", "governor", "both", *WHO)), is_right=st.sampled_from((True, True, True, False))
    )
    def approve(self, who: str, is_right: bool) -> None:
        waiting = load_proposal(self.bench.state, self.code)
        digest = waiting.digest if waiting is not None and is_right else bytes(32)
        self.call(who, "approve", code=self.code, digest=digest)

    @precondition(lambda self: self.is_waiting() and self.bench.calls % 5 == 0)
    @rule(who=st.sampled_from(WHO))
    def reject(self, who: str) -> None:
        waiting = load_proposal(self.bench.state, self.code)
        digest = bytes(32) if waiting is None else waiting.digest
        self.call(who, "reject", code=self.code, digest=digest, reason="退回")

    @invariant()
    def versions_follow_one_another_and_stay(self) -> None:
        newest = load_resource(self.bench.state, self.code)
        if newest is None:
            return
        for number in range(1, newest.version + 1):
            found = load_version(self.bench.state, self.code, number)
            assert found is not None
            assert found.version == number
            assert self.kept.setdefault(number, found) == found

    @invariant()
    def what_is_in_force_was_approved(self) -> None:
        left = GENERAL
        for _, record in sorted(self.kept.items()):
            strictest = min(left, record.description.data_class)
            assert {one.role for one in record.approvals} == NEEDED[strictest]
            accounts = [record.publisher, *(one.account for one in record.approvals)]
            assert len(set(accounts)) == len(accounts), "one account has one part"
            own = [one.department for one in record.approvals if one.role == "approver"]
            assert own in ([], [record.provider])
            left = record.description.data_class

    @invariant()
    def a_proposal_is_for_what_is_in_force(self) -> None:
        waiting, newest = load_proposal(self.bench.state, self.code), load_resource(self.bench.state, self.code)
        if waiting is not None:
            assert waiting.replaces == (0 if newest is None else newest.version)
            assert waiting.digest == description_digest(waiting.description)
            assert waiting.needed


def test_nothing_is_in_force_without_its_approvals(make_bench: Any) -> None:
    global bench_class
    bench_class = make_bench
    machine = Catalogue.TestCase
    machine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
    machine("runTest").runTest()
