"""Who gives data keeps a stream: what the consumer has of a time at which its provider has none is the provider's to explain."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.data_sharing import access
from contracts.data_sharing.working_days import Calendar
from tests.hand_made_chain import CONSUMER, DEPARTMENT
from tests.verification.access.audit_world import AuditWorld, draft_read
from verification.access.reads import CONSUMER_SIDE, PROVIDER_SIDE
from verification.access.rule_figures import RuleFigures
from verification.access.rule_table import RuleTable
from verification.access.rules import AuditFacts, Judgement, judge

FIGURES = RuleTable(day_from_minute=0, day_to_minute=1_440, only_working_days=False)
HOUR_MS = 3_600_000
STREAMLESS = "提供方在该时刻没有任何记录流 / the provider keeps no stream at that time"


def judged(world: AuditWorld, **changes: Any) -> Judgement:
    facts = AuditFacts()
    verdict = world.verify(world.trace(**changes)[0], facts.listener())
    assert verdict.is_sound
    return judge(facts, verdict, RuleFigures(FIGURES), Calendar())


def accused(judgement: Judgement) -> list[tuple[str, str, list[int]]]:
    found = [one for one in judgement.findings if one.subject.rule not in ("ANCHORED_LATE", "STREAM_SILENT")]
    return [(one.subject.department, one.why, one.numbers) for one in found]


def read_alone(world: AuditWorld, *, by: str = CONSUMER_SIDE) -> None:
    """Let one side alone record a read, an hour later, with an hour to follow in its own stream."""
    recorder = world.consumer if by == CONSUMER_SIDE else world.provider
    recorder.record([])
    world.chain.time_ms += HOUR_MS
    recorder.record(
        [msgspec.structs.replace(draft_read(50 + len(recorder.reads)), side=by)], times=[world.chain.time_ms]
    )
    world.chain.time_ms += HOUR_MS
    recorder.record([])


def end(world: AuditWorld) -> None:
    world.chain.call(world.provider.key, "access", "end_stream", recorder=world.provider.address)


def test_a_provider_that_gives_data_after_the_end_of_its_stream_is_asked() -> None:
    world = AuditWorld()
    world.both([draft_read(1)])
    world.close_period()
    end(world)
    read_alone(world)
    judgement = judged(world)
    assert accused(judgement) == [(DEPARTMENT, STREAMLESS, [2])]
    assert (judgement.reconciliation.agreed, judgement.reconciliation.not_comparable) == (1, 0)


@pytest.mark.parametrize("is_begun_later", [True, False])
def test_a_provider_that_had_no_stream_yet_or_never_is_asked(is_begun_later: bool) -> None:
    world = AuditWorld()
    read_alone(world)
    if is_begun_later:
        world.provider.declare()
        # A first batch may reach back before the declaration: nobody is asked before it is there, or late.
        assert accused(judged(world)) == []
        world.provider.record([])
        world.close_period()
    assert accused(judged(world)) == [(DEPARTMENT, STREAMLESS, [1])]


def test_a_stream_that_was_only_declared_keeps_a_provider_from_being_asked_until_it_is_late() -> None:
    world = AuditWorld()
    read_alone(world)
    world.provider.declare(heartbeat_s=access.MIN_HEARTBEAT_S)
    world.chain.time_ms += access.MIN_HEARTBEAT_S * 1_000 + 1_000
    world.consumer.record([])
    assert accused(judged(world)) == [(DEPARTMENT, STREAMLESS, [1])]


def test_a_stream_that_goes_on_may_bring_the_read_yet() -> None:
    world = AuditWorld()
    world.provider.declare(heartbeat_s=access.MAX_HEARTBEAT_S)
    world.both([draft_read(1)])
    read_alone(world)
    judgement = judged(world)
    assert accused(judgement) == []
    assert judgement.reconciliation.not_comparable == 1


def test_nothing_is_known_of_streams_that_are_not_looked_at() -> None:
    world = AuditWorld()
    read_alone(world)
    judgement = judged(world, recorded_by=(CONSUMER,))
    assert (accused(judgement), judgement.reconciliation.not_comparable) == ([], 1)


def test_a_consumer_keeps_a_stream_as_it_likes() -> None:
    """It recorded once, and ended that in good order: what it reads later is counted as not comparable, and no finding."""
    world = AuditWorld()
    world.both([draft_read(1)])
    world.close_period()
    world.chain.call(world.consumer.key, "access", "end_stream", recorder=world.consumer.address)
    read_alone(world, by=PROVIDER_SIDE)
    judgement = judged(world)
    assert (accused(judgement), judgement.reconciliation.not_comparable) == ([], 1)
