"""The operator's override: recorded with its reason, and never a way to sign at or below the height it names."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from node.driver.last_signed import (
    UNLOCKED,
    LastSigned,
    RecordHealth,
    SignedRecord,
    SigningRefused,
    SignStep,
)
from node.driver.override import OverrideRefused, read_overrides, write_override

if TYPE_CHECKING:
    from pathlib import Path

    from tests.node.driver.conftest import Net


@pytest.mark.parametrize("before", [b"", b"x" * 8_192])
def test_the_record_permits_only_what_is_above_and_the_act_is_noted(tmp_path: Path, before: bytes) -> None:
    if before:
        (tmp_path / "last-signed").write_bytes(before)
    assert read_overrides(tmp_path) == []
    act = write_override(tmp_path, 40, " 磁盘更换 ", 1_750_000_000_000)
    write_override(tmp_path, 41, "again", 1_750_000_000_001)
    assert act.record_before == ("damaged" if before else "absent")
    assert [(one.above_height, one.reason) for one in read_overrides(tmp_path)] == [(40, "磁盘更换"), (41, "again")]
    record = LastSigned(tmp_path / "last-signed")
    assert record.health is RecordHealth.SOUND
    for step in (SignStep.PROPOSAL, SignStep.PREVOTE, SignStep.PRECOMMIT):
        with pytest.raises(SigningRefused):
            record.check(41, 2**31 - 1, step, b"d" * 32)
        assert record.check(42, 0, step, b"d" * 32) is None
    record.close()


@pytest.mark.parametrize(("height", "reason"), [(-1, "why"), (2**62, "why"), (1, " "), (1, "x" * 501)])
def test_no_reason_or_no_height_is_refused_and_changes_nothing(tmp_path: Path, height: int, reason: str) -> None:
    with pytest.raises(OverrideRefused):
        write_override(tmp_path, height, reason, 0)
    assert list(tmp_path.iterdir()) == []


def test_what_the_record_shows_as_signed_stays_signed(tmp_path: Path) -> None:
    record = LastSigned(tmp_path / "last-signed")
    record.save(SignedRecord(1, 7, 0, SignStep.PREVOTE, b"d" * 32, b"s" * 64, UNLOCKED))
    record.close()
    before = (tmp_path / "last-signed").read_bytes()
    with pytest.raises(OverrideRefused, match="has signed at height 7"):
        write_override(tmp_path, 6, "why", 0)
    assert (tmp_path / "last-signed").read_bytes() == before
    assert read_overrides(tmp_path) == []
    # A height that an operator gave too high, and no signature, may be given anew.
    for height in (10**9, 7):
        write_override(tmp_path, height, "why", 0)


def test_a_network_that_lost_every_record_goes_on_after_overrides(net: Net) -> None:
    net.nodes[0].submit(net.transaction())
    net.reach(1, 1_000)
    for node in net.nodes:
        node.kill()
        (node.folder / "last_signed").unlink()
    net.start()
    net.nodes[0].submit(net.transaction())
    net.run(6_000)
    assert {node.ledger.height for node in net.nodes} == {1}
    for node in net.nodes:
        node.kill()
        (node.folder / "log").unlink()
        write_override(node.folder, 2, "all records were lost", 0)
        shutil.move(node.folder / "last-signed", node.folder / "last_signed")
    net.start()
    net.run(2_000)
    assert {node.ledger.height for node in net.nodes} == {1}, "above height 2 only"
    for node in net.nodes:
        node.kill()
        (node.folder / "last_signed").unlink()
        write_override(node.folder, 1, "nothing was signed above height 1", 0)
        shutil.move(node.folder / "last-signed", node.folder / "last_signed")
    net.start()
    net.nodes[0].submit(net.transaction())
    net.reach(2, 3_000)
    net.check()
