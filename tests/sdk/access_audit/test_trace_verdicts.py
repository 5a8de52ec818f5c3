"""What the command line says of a trace until now: until when it is complete, and later that a new one would have more."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk.cli.audit_trace import show_trace_verdict
from sdk.trust import save_trust
from tests.verification.access.audit_world import HEARTBEAT_S, AuditWorld, draft_read
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
