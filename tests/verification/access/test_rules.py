"""Rules and reconciliation: what breaks a grant, a quota, the hours or the other side's record becomes a finding, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from contracts.data_sharing import access
from contracts.data_sharing.audit_figures import FigureRow, FiguresRecord
from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.working_days import DAY_MS, Calendar, day_of, parse_day
from tests.hand_made_chain import CONSUMER, DEPARTMENT, START_MS
from tests.verification.access.audit_world import GRANT, OTHER_PERSON, AuditWorld, draft_read
from verification.access.reads import CONSUMER_SIDE, NO_DIGEST, ReadDraft
from verification.access.rule_figures import RuleFigures
from verification.access.rule_table import RULES, RuleTable
from verification.access.rules import MAX_NAMED_READS, AuditFacts, Finding, Judgement, judge, unusual_days

ANY_TIME = RuleTable(day_from_minute=0, day_to_minute=1_440, only_working_days=False)
"""The default figures, with every hour of every day a working hour."""


def judge_world(world: AuditWorld, table: RuleTable = ANY_TIME, calendar: Calendar | None = None) -> Judgement:
    facts = AuditFacts()
    verdict = world.verify(world.trace()[0], facts.listener())
    assert verdict.is_sound, verdict.faults
    judgement = judge(facts, verdict, RuleFigures(table), calendar or Calendar())
    assert {finding.subject.rule for finding in judgement.findings} <= set(RULES)
    return judgement


def rules_of(judgement: Judgement) -> list[str]:
    return [finding.subject.rule for finding in judgement.findings]


def one_finding(world: AuditWorld, table: RuleTable = ANY_TIME, calendar: Calendar | None = None) -> Finding:
    (finding,) = judge_world(world, table, calendar).findings
    return finding


def test_reads_under_their_grant_raise_nothing(world: AuditWorld) -> None:
    judgement = judge_world(world)
    assert judgement.findings == ()
    assert (judgement.reconciliation.agreed, judgement.reconciliation.differences) == (6, ())


@pytest.mark.parametrize(
    ("changes", "rule", "why", "who"),
    [
        ({"grant": b"\x09" * 32}, "READ_WITHOUT_GRANT", "账本上没有该授权 / no such grant on the ledger", DEPARTMENT),
        (
            {"resource": "another/1"},
            "READ_WITHOUT_GRANT",
            "授权属于其他各方或资源 / another grant's parties or resource",
            DEPARTMENT,
        ),
        ({"purpose": "别的用途"}, "OUTSIDE_PURPOSE", "用途与授权不符 / another purpose than the grant's", CONSUMER),
        ({"outcome": access.IRREGULAR, "refusal": "GRANT_STOPPED"}, "IRREGULAR_READ", "GRANT_STOPPED", DEPARTMENT),
        (
            {"asked_ms": START_MS + 60_000, "answered_ms": START_MS + 30_000},
            "BACK_DATED",
            "所述时间与登记时间不符 / the times told are not those of the record",
            DEPARTMENT,
        ),
        (
            {"at_ms": START_MS - 10_000_000},
            "BACK_DATED",
            "所述时间与登记时间不符 / the times told are not those of the record",
            DEPARTMENT,
        ),
    ],
)
def test_a_read_that_breaks_a_rule_is_found(changes: dict[str, Any], rule: str, why: str, who: str) -> None:
    world = AuditWorld()
    world.provider.record([draft_read(1), draft_read(2, **changes), draft_read(3)])
    world.close_period()
    finding = one_finding(world)
    subject = finding.subject
    assert (subject.rule, finding.why, subject.department) == (rule, why, who)
    assert (subject.stream, subject.recorder, finding.numbers, finding.count) == (
        DEPARTMENT,
        world.provider.address,
        [2],
        1,
    )


def test_a_grant_is_in_force_up_to_its_stop_and_a_little_for_clocks() -> None:
    world = AuditWorld()
    stopped_ms = world.chain.time_ms + 100_000
    world.save_grant(stopped_ms=stopped_ms)
    times = [stopped_ms - 1, stopped_ms + 4_000, stopped_ms + 6_000]
    world.provider.record([draft_read(1), draft_read(2), draft_read(3)], times=times)
    world.close_period()
    assert one_finding(world).numbers == [3]


def test_conditions_bound_columns_rows_and_reads() -> None:
    world = AuditWorld()
    conditions = Conditions(
        columns=("面积",), max_rows_per_read=10, max_rows_per_day=25, max_reads_per_day=3, note="仅限本案"
    )
    world.save_grant(conditions=conditions, case_types=("计税",))
    area: dict[str, Any] = {"columns": ("面积",), "case_type": "计税"}
    drafts = [
        draft_read(1, **area, rows=10),
        draft_read(2, **area, rows=11),
        draft_read(3, **area, rows=5),
        draft_read(4, **area | {"case_type": "贷款"}),
        draft_read(5, case_type="计税"),
    ]
    world.provider.record(drafts)
    world.close_period()
    found = {(finding.subject.rule, finding.why): finding.numbers for finding in judge_world(world).findings}
    assert found == {
        ("OVER_QUOTA", "每次行数 / rows of a read"): [2],
        ("OVER_QUOTA", "每日行数 / rows of a day"): [3, 4, 5],
        ("OVER_QUOTA", "每日次数 / reads of a day"): [4, 5],
        ("OUTSIDE_PURPOSE", "授权之外的事项 / a kind of case that the grant does not name"): [4],
        ("OUTSIDE_COLUMNS", "授权之外的数据项 / items that the grant does not name"): [5],
    }


def test_without_columns_in_the_conditions_the_items_asked_for_are_the_bound() -> None:
    world = AuditWorld()
    world.save_grant(items=("面积",))
    world.provider.record([draft_read(1, columns=("面积",)), draft_read(2)])
    world.close_period()
    finding = one_finding(world)
    assert (finding.subject.rule, finding.numbers) == ("OUTSIDE_COLUMNS", [2])


def test_hours_and_working_days_are_beijings() -> None:
    # 2026-05-29 is a Friday; 10:00 in Beijing is 02:00 UTC.
    friday = parse_day("2026-05-29") * DAY_MS + 2 * 3_600_000
    for at_ms, is_outside in ((friday, False), (friday + 10 * 3_600_000, True), (friday + DAY_MS, True)):
        world = AuditWorld()
        world.chain.time_ms = at_ms
        world.save_grant(from_ms=0)
        world.provider.record([draft_read(1)])
        world.close_period()
        facts = AuditFacts()
        wanted = world.wanted(from_ms=0)
        verdict = world.verify(world.trace(wanted)[0], facts.listener())
        made_up = Calendar([(day_of(friday + DAY_MS), True)])
        rules = [rules_of(judge(facts, verdict, RuleFigures(), calendar)) for calendar in (Calendar(), made_up)]
        assert ("OUTSIDE_HOURS" in rules[0]) == is_outside
        assert ("OUTSIDE_HOURS" in rules[1]) == (at_ms == friday + 10 * 3_600_000)


def published(number: int, department: str, from_ms: int, **values: int) -> FiguresRecord:
    rows = tuple(FigureRow(name, value) for name, value in values.items())
    return FiguresRecord(number, department, rows, "审规〔2026〕1号", from_ms, 0, bytes(20))


def test_a_department_has_the_hours_that_are_published_for_it_from_then_on() -> None:
    world = AuditWorld()
    night_ms = world.chain.time_ms = parse_day("2026-05-28") * DAY_MS + 15 * 3_600_000  # 23:00 in Beijing, a Thursday
    world.save_grant(from_ms=0)
    world.provider.record(
        [draft_read(1), draft_read(2), draft_read(3)], times=[night_ms + n * 60_000 for n in (1, 2, 3)]
    )
    world.close_period()
    facts = AuditFacts()
    verdict = world.verify(world.trace(world.wanted(from_ms=0))[0], facts.listener())

    def outside(*tables: FiguresRecord) -> list[int]:
        figures = RuleFigures(published=tables)
        found = [
            one for one in judge(facts, verdict, figures, Calendar()).findings if one.subject.rule == "OUTSIDE_HOURS"
        ]
        return [number for one in found for number in one.numbers]

    assert outside() == [1, 2, 3]
    around = {"day_from_minute": 22 * 60, "day_to_minute": 6 * 60}
    assert outside(published(1, CONSUMER, 0, **around)) == []
    assert outside(published(1, CONSUMER, night_ms + 120_000, **around)) == [1]
    assert outside(published(1, DEPARTMENT, 0, **around)) == [1, 2, 3], "they are the consumer's hours that count"
    general, own = published(1, "", 0, **around), published(2, CONSUMER, 0, day_to_minute=23 * 60 + 2)
    assert outside(general, own) == [2, 3], "from 22:00 on by every department's table, to 23:02 by its own"


def test_volume_is_judged_by_the_figures_of_the_day() -> None:
    tables = [published(1, CONSUMER, 110 * DAY_MS, volume_percent=10_000, volume_least_reads=1)]
    figures = RuleFigures(published=tables)
    counts = dict.fromkeys(range(100, 112), 100) | {109: 500, 110: 500}
    assert unusual_days(counts, lambda day: figures.at(CONSUMER, day * DAY_MS)) == [109]
    assert figures.used == {1}
    later = RuleFigures(published=tables)
    unusual_days(dict.fromkeys(range(100, 110), 100), lambda day: later.at(CONSUMER, day * DAY_MS))
    assert later.used == set(), "it had not begun"


def test_many_denied_reads_are_a_finding_of_the_consumers() -> None:
    world = AuditWorld()
    denied: dict[str, Any] = {"outcome": access.DENIED, "refusal": "OVER_QUOTA", "result_digest": bytes(32), "rows": 0}
    world.provider.record([draft_read(number, **denied) for number in range(1, 6)])
    world.close_period()
    finding = one_finding(world, msgspec.structs.replace(ANY_TIME, denied_per_day=3))
    assert (finding.subject.rule, finding.subject.department, finding.numbers) == ("DENIED_OFTEN", CONSUMER, [4, 5])
    assert "the consumer has no record of them" in finding.why
    assert judge_world(world).findings == ()


def test_denied_reads_that_both_sides_recorded_are_told_from_the_providers_word_alone() -> None:
    world = AuditWorld()
    denied: dict[str, Any] = {"outcome": access.DENIED, "refusal": "OVER_QUOTA", "result_digest": bytes(32), "rows": 0}
    drafts = [draft_read(number, **denied) for number in range(1, 6)]
    world.provider.record(drafts)
    world.consumer.record(as_consumer(drafts[:4]))
    world.close_period()
    found = judge_world(world, msgspec.structs.replace(ANY_TIME, denied_per_day=2)).findings
    assert [(one.numbers, "no record" in one.why) for one in found] == [([3, 4], False), ([5], True)]


def test_reads_that_only_the_consumer_has_as_denied_are_no_finding_of_its_own() -> None:
    world = AuditWorld()
    away: dict[str, Any] = {
        "outcome": access.DENIED,
        "refusal": "GATEWAY_UNREACHABLE",
        "result_digest": bytes(32),
        "rows": 0,
    }
    world.provider.record([draft_read(9)])
    world.consumer.record(as_consumer([draft_read(9), *(draft_read(number, **away) for number in range(1, 6))]))
    world.close_period()
    assert judge_world(world, msgspec.structs.replace(ANY_TIME, denied_per_day=3)).findings == ()


def test_a_day_is_unusual_against_the_days_before_it() -> None:
    table = RuleTable(volume_least_reads=10, volume_least_days=5, volume_percent=300, volume_history_days=7)
    usual = dict.fromkeys(range(100, 110), 20)

    def table_of(day: int) -> RuleTable:
        return table

    assert unusual_days(usual, table_of) == []
    assert unusual_days(usual | {110: 61}, table_of) == [110]
    assert unusual_days(usual | {110: 60}, table_of) == []
    assert unusual_days({100: 20, 103: 100}, table_of) == [], "too little is known of the days before"
    assert unusual_days({100: 5, 110: 9}, table_of) == [], "too few to be unusual"
    assert unusual_days({100: 5, 110: 10}, table_of) == [110], "nothing for days, then ten"
    assert unusual_days({}, table_of) == []


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"rows": 7}, "行数 / rows"),
        ({"result_digest": b"\x01" * 32}, "结果摘要 / result_digest"),
        ({"outcome": access.IRREGULAR, "refusal": "RECEIPT_INVALID"}, "结果 / outcome"),
        ({"query_digest": b"\x01" * 32, "rows": 2}, "行数、查询摘要 / rows, query_digest"),
    ],
)
def test_sides_that_disagree_are_found(change: dict[str, Any], fields: str) -> None:
    world = AuditWorld()
    world.provider.record([draft_read(1), draft_read(2)])
    world.consumer.record([draft_read(1, side=CONSUMER_SIDE, **change), draft_read(2, side=CONSUMER_SIDE)])
    world.close_period()
    finding = one_finding(world)
    assert (finding.subject.rule, finding.why, finding.numbers) == ("SIDES_DISAGREE", fields, [1])


def as_consumer(drafts: Sequence[ReadDraft]) -> list[ReadDraft]:
    return [msgspec.structs.replace(draft, side=CONSUMER_SIDE) for draft in drafts]


@pytest.mark.parametrize("left_out_by", [DEPARTMENT, CONSUMER])
def test_what_one_side_leaves_out_shows_against_the_others_record(left_out_by: str) -> None:
    world = AuditWorld()
    all_reads = [draft_read(number) for number in (1, 2, 3)]
    some_reads = [all_reads[0], all_reads[2]]
    for _ in range(2):
        world.provider.record([])
        world.consumer.record([])
        world.chain.time_ms += 120_000
    world.provider.record(some_reads if left_out_by == DEPARTMENT else all_reads)
    world.consumer.record(as_consumer(some_reads if left_out_by == CONSUMER else all_reads))
    world.close_period()
    finding = one_finding(world)
    assert (finding.subject.rule, finding.subject.department, finding.numbers) == ("ONE_SIDED", left_out_by, [2])


def test_a_consumer_without_a_stream_is_not_reproached() -> None:
    world = AuditWorld()
    world.chain.time_ms += 120_000
    world.provider.record([draft_read(1)])
    world.chain.time_ms += 300_000
    world.provider.record([])
    judgement = judge_world(world)
    assert (rules_of(judgement), judgement.reconciliation.not_comparable) == ([], 1)


@pytest.mark.parametrize("kept_back_by", [DEPARTMENT, CONSUMER])
def test_nobody_is_reproached_for_reads_that_lie_in_batches_kept_back(kept_back_by: str) -> None:
    world = AuditWorld()
    for _ in range(2):
        world.provider.record([])
        world.consumer.record([])
        world.chain.time_ms += 120_000
    world.both([draft_read(number) for number in (1, 2, 3)])
    world.close_period()
    del (world.provider if kept_back_by == DEPARTMENT else world.consumer).store[3]
    judgement = judge_world(world)
    assert rules_of(judgement) == ["BODY_WITHHELD"]
    compared = judgement.reconciliation
    assert (compared.agreed, compared.not_comparable, compared.differences) == (0, 3, ())


@pytest.mark.parametrize(("own_records", "explains"), [((1,), DEPARTMENT), ((1, 2, 3), CONSUMER)])
def test_an_id_used_again_is_the_recorders_to_explain_unless_the_consumer_has_it_twice_itself(
    own_records: tuple[int, ...], explains: str
) -> None:
    world = AuditWorld()
    for recorder in (world.provider, world.consumer):
        recorder.declare()
    evening_ms = world.chain.time_ms = (day_of(START_MS) + 1) * DAY_MS + 15 * 3_600_000 + 3_599_000
    times = [evening_ms + 500, evening_ms + 2_000, evening_ms + 3_000]
    reads = [draft_read(1, result_digest=bytes((number,)) * 32) for number in (1, 2, 3)]
    world.provider.record(reads, times=times)
    own = [msgspec.structs.replace(reads[number - 1], side=CONSUMER_SIDE) for number in own_records]
    world.consumer.record(own, times=times[: len(own)])
    world.close_period()
    twice = [finding for finding in judge_world(world).findings if finding.subject.rule == "READ_TWICE"]
    assert {finding.subject.stream for finding in twice} == {DEPARTMENT, explains}
    for finding in twice:
        assert (finding.numbers, finding.count) == ([1, 2, 3], 3), "over midnight too"
        assert {finding.subject.department, finding.subject.other} == {CONSUMER, DEPARTMENT}
        assert finding.subject.department == explains


def test_reads_past_those_that_are_named_are_counted_once() -> None:
    world = AuditWorld()
    ids = [number for number in range(1, 24) for _ in range(3)]
    world.provider.record([draft_read(one, result_digest=bytes((place,)) * 32) for place, one in enumerate(ids, 1)])
    world.close_period()
    (finding,) = [one for one in judge_world(world).findings if one.subject.rule == "READ_TWICE"]
    assert (finding.count, len(finding.numbers), finding.subject.last_number) == (len(ids), MAX_NAMED_READS, len(ids))


def test_one_read_that_was_entered_twice_is_its_recorders_to_explain() -> None:
    world = AuditWorld()
    at_ms = world.chain.time_ms
    world.provider.record([draft_read(1, at_ms=at_ms), draft_read(1, at_ms=at_ms)])
    world.close_period()
    finding = one_finding(world)
    assert (finding.subject.rule, finding.subject.department, finding.numbers) == ("READ_TWICE", DEPARTMENT, [2])


def test_who_was_turned_away_may_ask_again_under_the_same_id() -> None:
    world = AuditWorld()
    denied: dict[str, Any] = {"outcome": access.DENIED, "refusal": "OVER_QUOTA", "result_digest": bytes(32), "rows": 0}
    world.both([draft_read(1, **denied), draft_read(1), draft_read(1, **denied)])
    world.close_period()
    judgement = judge_world(world)
    assert (judgement.findings, judgement.reconciliation.agreed) == ((), 1)


def test_of_a_read_that_both_say_was_denied_nothing_is_compared() -> None:
    world = AuditWorld()
    denied: dict[str, Any] = {
        "outcome": access.DENIED,
        "refusal": "ROUTE_UNKNOWN",
        "result_digest": bytes(32),
        "rows": 0,
    }
    world.provider.record([draft_read(1, resource="", **denied)])
    world.consumer.record([draft_read(1, side=CONSUMER_SIDE, **denied)])
    world.close_period()
    assert rules_of(judge_world(world)) == []


@pytest.mark.parametrize(
    ("refusal", "case_number", "rules", "unanswered"),
    [
        ("GATEWAY_UNREACHABLE", "2026-000001", [], 1),
        ("ANSWER_TOO_SLOW", "2026-000001", [], 1),
        ("GATEWAY_UNREACHABLE", "2026-999999", ["SIDES_DISAGREE"], 0),
        # That it was refused is another statement than that nothing came.
        ("OVER_QUOTA", "2026-000001", ["SIDES_DISAGREE"], 0),
    ],
)
def test_of_an_answer_that_was_lost_on_its_way_what_was_asked_is_compared(
    refusal: str, case_number: str, rules: list[str], unanswered: int
) -> None:
    world = AuditWorld()
    lost: dict[str, Any] = {"outcome": access.DENIED, "refusal": refusal, "result_digest": NO_DIGEST, "rows": 0}
    world.provider.record([draft_read(1)])
    own = draft_read(1, side=CONSUMER_SIDE, case_number=case_number, columns=(), result_bytes=0, **lost)
    world.consumer.record([own])
    world.close_period()
    judgement = judge_world(world)
    compared = judgement.reconciliation
    assert (rules_of(judgement), compared.unanswered, compared.agreed) == (rules, unanswered, 0)


def test_two_commitments_contradict_each_other_and_one_alone_does_not() -> None:
    world = AuditWorld()
    world.provider.record([draft_read(1), draft_read(2)])
    other = draft_read(2, side=CONSUMER_SIDE, person=OTHER_PERSON, columns=("面积",))
    world.consumer.record([draft_read(1, side=CONSUMER_SIDE, person=NO_DIGEST), other])
    world.close_period()
    finding = one_finding(world)
    assert (finding.why, finding.numbers) == ("数据项、人员 / columns, person", [2])


def change_nothing(world: AuditWorld) -> None:
    """A heartbeat comes in time."""


def wait_long(world: AuditWorld) -> None:
    world.chain.time_ms += 1_000_000


@pytest.mark.parametrize(("wait", "rules"), [(change_nothing, []), (wait_long, ["ANCHORED_LATE", "ANCHORED_LATE"])])
def test_a_batch_that_comes_late_is_found(wait: Callable[[AuditWorld], None], rules: list[str]) -> None:
    world = AuditWorld()
    world.both([draft_read(1)])
    wait(world)
    world.chain.time_ms += 50_000
    for recorder in (world.provider, world.consumer):
        recorder.record([])
    facts = AuditFacts()
    verdict = world.verify(world.trace(world.wanted(to_ms=world.chain.time_ms))[0], facts.listener())
    assert rules_of(judge(facts, verdict, RuleFigures(ANY_TIME), Calendar())) == rules


def test_a_stream_that_falls_silent_is_found(world: AuditWorld) -> None:
    world.chain.time_ms += 1_000_000
    world.consumer.record([])
    (silent,) = [finding for finding in judge_world(world).findings if finding.subject.rule == "STREAM_SILENT"]
    assert (silent.subject.department, silent.subject.from_ms) == (DEPARTMENT, world.provider.covered_ms)


def test_a_heartbeat_that_is_raised_before_a_late_batch_excuses_nothing(world: AuditWorld) -> None:
    world.chain.time_ms += 21_600_000
    world.provider.declare(heartbeat_s=access.MAX_HEARTBEAT_S)
    world.provider.record([])
    world.provider.declare()
    (late,) = [finding for finding in judge_world(world).findings if finding.subject.rule == "ANCHORED_LATE"]
    assert (late.subject.department, late.why[:13]) == (DEPARTMENT, "批次 / batch 4:")


@pytest.mark.parametrize("has_batches", [True, False])
def test_a_silent_stream_that_is_declared_anew_or_ended_is_found(has_batches: bool) -> None:
    world = AuditWorld()
    world.provider.declare()
    if has_batches:
        world.provider.record([])
    since_ms = world.provider.covered_ms
    world.chain.time_ms += 43_200_000
    world.provider.declare(heartbeat_s=access.MAX_HEARTBEAT_S)
    for is_ended in (False, True):
        if is_ended:
            world.chain.call(world.provider.key, "access", "end_stream", recorder=world.provider.address)
        (silent,) = judge_world(world).findings
        assert (silent.subject.rule, silent.subject.department) == ("STREAM_SILENT", DEPARTMENT)
        assert abs(silent.subject.from_ms - since_ms) <= 1_000


def test_a_stream_that_ended_late_is_silent_in_periods_that_touch_that_time_alone(world: AuditWorld) -> None:
    world.chain.time_ms += 43_200_000
    world.chain.call(world.provider.key, "access", "end_stream", recorder=world.provider.address)
    ended_ms = world.chain.time_ms
    world.chain.time_ms += 3_600_000
    world.consumer.record([])
    for from_ms, rules in ((ended_ms - 1_000, ["STREAM_SILENT"]), (ended_ms + 1_000, [])):
        facts = AuditFacts()
        verdict = world.verify(world.trace(world.wanted(from_ms=from_ms))[0], facts.listener())
        judgement = judge(facts, verdict, RuleFigures(ANY_TIME), Calendar())
        found = [one.subject.rule for one in judgement.findings if one.subject.department == DEPARTMENT]
        assert found == rules


def test_reads_that_nobody_gives_out_are_a_finding(world: AuditWorld) -> None:
    del world.provider.store[2]
    found = {finding.subject.rule: finding for finding in judge_world(world).findings}
    assert set(found) == {"BODY_WITHHELD"}
    subject = found["BODY_WITHHELD"].subject
    assert (subject.department, subject.first_number, subject.last_number) == (DEPARTMENT, 4, 6)


def test_batches_one_behind_the_other_kept_back_for_one_reason_are_one_finding(world: AuditWorld) -> None:
    for number in (1, 2):
        del world.provider.store[number]
    (found,) = judge_world(world).findings
    subject = found.subject
    assert (subject.rule, subject.first_number, subject.last_number, found.count) == ("BODY_WITHHELD", 1, 6, 6)
    assert found.why == "批次 / batch 1-2: no answer"


def test_a_store_that_was_changed_is_a_finding_of_its_keeper(world: AuditWorld) -> None:
    world.provider.store[2] = world.provider.store[2][1:]
    found = {finding.subject.rule: finding for finding in judge_world(world).findings}
    assert set(found) == {"BODY_WITHHELD", "STORE_ALTERED"}
    assert (
        found["STORE_ALTERED"].why
        == "批次 / batch 2: store: READ_REMOVED 4（追溯制作方所述）/ as the trace's maker says"
    )
    assert found["STORE_ALTERED"].subject.department == DEPARTMENT


def test_one_breach_again_and_again_is_one_finding_a_day() -> None:
    world = AuditWorld()
    for _ in range(3):
        world.provider.record([draft_read(len(world.provider.reads) + 1, purpose="别的用途") for _ in range(1)])
    world.chain.time_ms += DAY_MS
    world.provider.record([])
    world.provider.record([draft_read(9, purpose="别的用途")])
    world.close_period()
    found = [f for f in judge_world(world).findings if f.subject.rule == "OUTSIDE_PURPOSE"]
    assert [(finding.count, finding.subject.first_number, finding.subject.last_number) for finding in found] == [
        (3, 1, 3),
        (1, 4, 4),
    ]
    assert {finding.subject.grant for finding in found} == {GRANT}


def test_rules_can_be_left_out() -> None:
    world = AuditWorld()
    world.provider.record([draft_read(1, purpose="别的用途")])
    world.close_period()
    assert judge_world(world, msgspec.structs.replace(ANY_TIME, without=("OUTSIDE_PURPOSE",))).findings == ()
