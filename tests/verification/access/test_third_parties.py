"""What a department records of a read between two others is its own to explain, and neither accuses nor excuses anybody."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.data_sharing import access
from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.working_days import Calendar
from tests.hand_made_chain import CONSUMER, DEPARTMENT
from tests.verification.access.audit_world import AuditWorld, draft_read
from verification.access.audit_report import Origin, make_audit_report
from verification.access.reads import CONSUMER_SIDE, NO_DIGEST, ReadDraft
from verification.access.rule_figures import RuleFigures
from verification.access.rule_table import RuleTable
from verification.access.rules import AuditFacts, Judgement, judge

OTHER = "11990100MB00000099"
FIGURES = RuleTable(day_from_minute=0, day_to_minute=1_440, only_working_days=False, denied_per_day=2)
DENIED: dict[str, Any] = {"outcome": access.DENIED, "refusal": "OVER_QUOTA", "result_digest": NO_DIGEST, "rows": 0}


def judged(world: AuditWorld) -> tuple[AuditFacts, Judgement]:
    facts = AuditFacts()
    verdict = world.verify(world.trace()[0], facts.listener())
    assert verdict.is_complete
    return facts, judge(facts, verdict, RuleFigures(FIGURES), Calendar())


def covered_world(drafts: list[ReadDraft]) -> AuditWorld:
    """Return a world in which both streams cover the time around what the consumer's one records, far from their ends."""
    world = AuditWorld()
    world.both([draft_read(1)])
    world.close_period()
    at_ms = world.consumer.covered_ms + 150_000
    world.chain.time_ms = at_ms + 150_000
    world.consumer.record(drafts, times=[at_ms] * len(drafts))
    for _ in range(2):
        world.close_period()
    return world


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"consumer": OTHER},
        {"grant": b"\x09" * 32},
        {"outcome": access.IRREGULAR, "refusal": "GRANT_STOPPED"},
        DENIED,
    ],
)
def test_what_a_third_department_states_accuses_nobody_else(changes: dict[str, Any]) -> None:
    """The consumer's stream states the provider's side, of reads beyond the quota and beyond the denials of a day."""
    world = covered_world([draft_read(number, **changes) for number in range(50, 55)])
    world.save_grant(conditions=Conditions(max_reads_per_day=2))
    _, judgement = judged(world)
    (finding,) = judgement.findings
    subject = finding.subject
    assert (subject.rule, subject.department, subject.stream) == ("RECORDED_FOR_OTHERS", CONSUMER, CONSUMER)
    assert (finding.count, judgement.reconciliation.agreed) == (5, 1)


@pytest.mark.parametrize("changes", [{}, {"provider": CONSUMER}])
def test_no_third_record_stands_in_for_one_that_is_missing(changes: dict[str, Any]) -> None:
    """Nor does that of a provider's read of its own under the same id."""
    asked = msgspec.structs.replace(draft_read(60), side=CONSUMER_SIDE)
    _, judgement = judged(covered_world([asked, draft_read(60, **changes)]))
    found = {(finding.subject.rule, finding.subject.department) for finding in judgement.findings}
    assert ("ONE_SIDED", DEPARTMENT) in found
    assert {department for rule, department in found if rule != "ONE_SIDED"} == {CONSUMER}
    assert judgement.reconciliation.agreed == 1


def test_the_charts_of_a_report_count_what_parties_recorded() -> None:
    world = covered_world([draft_read(number, consumer=OTHER) for number in range(50, 55)])
    facts, judgement = judged(world)
    verdict = world.verify(world.trace()[0])
    report = make_audit_report(facts, verdict, judgement, bytes(32), "–", {}, Origin(DEPARTMENT, bytes(20), 0, ""))
    assert ("使用方", "reads by consumer", f"{CONSUMER}: 1") in report.facts
