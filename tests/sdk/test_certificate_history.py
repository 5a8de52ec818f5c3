"""What a certificate was on a day, and every status it had, also those that have moved to pages of its history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.certificate_records import MAX_RECORD_INTERVALS
from sdk.cli import certificate_history

Run = Callable[..., tuple[int, Any, str]]


def day_of(time_ms: int) -> str:
    """The day in China."""
    return f"{datetime.fromtimestamp(time_ms / 1_000, UTC) + timedelta(hours=8):%Y-%m-%d}"


@pytest.fixture
def changed(node: Any, identifier: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A certificate that was suspended and resumed until its record could not hold it; an hour each."""
    monkeypatch.setenv("GOVNODE_URL", node.url)
    for number in range(MAX_RECORD_INTERVALS + 8):
        node.chain.time_ms += 3_600_000
        method = "resume" if number % 2 else "suspend"
        node.chain.call(node.chain.clerk, "certificates", method, identifier=identifier, reason=f"第{number}次")
    return node


def test_every_status_is_shown_with_who_and_why(run: Run, changed: Any, identifier: str) -> None:
    status, out, _ = run("cert", "history", identifier, "--json")
    assert (status, len(out["history"]), out["left_out"]) == (0, MAX_RECORD_INTERVALS + 9, 0)
    assert [one["from_ms"] for one in out["history"]] == sorted(one["from_ms"] for one in out["history"])
    assert {one["operator_name"] for one in out["history"]} == {"clerk"}
    assert out["history"][1]["status_text"] == {"zh": "暂扣", "en": "suspended"}
    text = run("cert", "history", identifier)[1]
    for word in ("第0次", "第71次", "暂扣发还", "clerk"):
        assert word in text


def test_a_day_is_answered_from_start_to_end(run: Run, changed: Any, identifier: str, node: Any) -> None:
    issued_ms = node.chain.genesis.time_ms
    last = run("cert", "history", identifier, "--at", day_of(node.chain.time_ms + 86_400_000), "--json")[1]["day"]
    assert (last["at_start"], last["at_end"], last["changes"]) == ("IN_FORCE", "IN_FORCE", [])
    assert last["is_in_force_all_day"]
    first = run("cert", "history", identifier, "--at", day_of(issued_ms), "--json")[1]["day"]
    assert (first["at_start"], first["is_in_force_all_day"]) == ("NOT_YET_ISSUED", False)
    between = run("cert", "history", identifier, "--at", day_of(issued_ms + 86_400_000), "--json")[1]["day"]
    assert len(between["changes"]) == 24
    assert "全天：有效" in run("cert", "history", identifier, "--at", day_of(node.chain.time_ms + 86_400_000))[1]


def test_a_day_long_ago_is_answered_where_the_earliest_statuses_are_not_shown(
    run: Run, changed: Any, identifier: str, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate_history, "MAX_SHOWN_INTERVALS", 1)
    assert run("cert", "history", identifier, "--json")[1]["left_out"] == 32
    long_ago = run("cert", "history", identifier, "--at", day_of(node.chain.genesis.time_ms + 86_400_000), "--json")[1]
    assert (len(long_ago["day"]["changes"]), long_ago["left_out"]) == (24, 0)
    assert "32" in run("cert", "history", identifier)[1]


def test_a_day_that_is_none_and_a_certificate_that_is_none(run: Run, changed: Any, identifier: str) -> None:
    assert "DATE_MALFORMED" in run("cert", "history", identifier, "--at", "3 March")[2]
    status, _, err = run("cert", "history", identifier.replace("20250000001.001", "20250000002.001"))
    assert status == 1
    assert "CERTIFICATE_UNKNOWN" in err
