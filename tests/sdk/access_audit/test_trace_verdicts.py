"""What the command line says of a trace: until when it is complete, later that a new one would have more, and whose reads are undecided."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdk.cli.audit_trace import show_trace_verdict
from sdk.trust import save_trust
from tests.verification.access.audit_world import HEARTBEAT_S, PERSON, AuditWorld, draft_read
from verification.access.reads import CONSUMER_SIDE, NO_DIGEST
from verification.days import show_time
from verification.trust import trust_of_genesis


def test_what_was_not_due_is_said_to_be_due_once_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = AuditWorld()
    world.both([draft_read(1)])
    covered_ms = min(world.provider.covered_ms, world.consumer.covered_ms)
    world.chain.time_ms += HEARTBEAT_S * 500
    file, trust = tmp_path / "trace.gvt", tmp_path / "trust.json"
    file.write_bytes(world.trace(world.wanted(to_ms=world.chain.time_ms, is_until_now=True))[0])
    save_trust(trust, trust_of_genesis(world.chain.genesis))
    for late_ms, status, is_said in ((0, 0, False), (1, 3, True)):
        now_ms = covered_ms + HEARTBEAT_S * 1_000 + late_ms
        monkeypatch.setattr("sdk.access_audit.traces.now_ms", lambda now_ms=now_ms: now_ms)
        assert show_trace_verdict(file, trust, as_json=False) == status
        shown = capsys.readouterr().out
        assert f"complete until {show_time(covered_ms)}, what follows is not due yet" in shown
        assert ("make the trace again" in shown) == is_said


def test_the_conclusion_counts_what_the_two_sides_do_not_both_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = AuditWorld()
    # The consumer keeps no stream at first, and then differs in the rows of one read.
    world.provider.record([draft_read(1), draft_read(2)])
    world.both([draft_read(3)])
    world.provider.record([draft_read(4)])
    world.consumer.record([draft_read(4, side=CONSUMER_SIDE, rows=7)])
    world.close_period()
    file, trust = tmp_path / "trace.gvt", tmp_path / "trust.json"
    file.write_bytes(world.trace()[0])
    save_trust(trust, trust_of_genesis(world.chain.genesis))
    assert show_trace_verdict(file, trust, as_json=False) == 0
    conclusion = capsys.readouterr().out.strip().splitlines()[-1]
    assert conclusion.startswith("✓")
    assert "2 条无对方记录可比 / without the other side's record to compare, 1 处双方不一致 / differences" in conclusion
    assert show_trace_verdict(file, trust, as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["agreed"], shown["not_comparable"], shown["differing"]) == (1, 2, 1)


def test_reads_of_a_sealed_person_stand_apart_from_those_of_the_person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = AuditWorld()
    world.both([draft_read(1), draft_read(2, person=NO_DIGEST, sealed_person=b"sealed")])
    world.close_period()
    file, trust = tmp_path / "person.gvt", tmp_path / "trust.json"
    file.write_bytes(world.trace(person=PERSON)[0])
    save_trust(trust, trust_of_genesis(world.chain.genesis))
    assert show_trace_verdict(file, trust, as_json=False) == 0
    of_person, _, undecided = capsys.readouterr().out.partition("person sealed, undecided: 2 reads")
    assert ("2026-000001" in of_person, "2026-000002" in of_person) == (True, False)
    assert ("2026-000001" in undecided, "2026-000002" in undecided) == (False, True)
    assert "2 条符合 / asked for, 2 条人员密封、未定" in undecided
    assert show_trace_verdict(file, trust, as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [[read["case"]["case_number"][-1] for read in shown[kind]] for kind in ("items", "undecided")] == [
        ["1", "1"],
        ["2", "2"],
    ]
    assert "the authority that holds the key decides" in shown["undecided_text"]["en"]
