"""govnode status --watch: how far a node that catches up is, until it has."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from sdk.cli import status as command
from sdk.cli.main import main
from sdk.errors import NodeUnreachable


class CatchingUp:
    """A node that takes ten blocks between two questions."""

    height = 70

    def __enter__(self) -> CatchingUp:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def status(self) -> dict[str, Any]:
        self.height = min(self.height + 10, 100)
        return {
            "node_name": "node1",
            "network_name": "示范网络",
            "chain_id": 7,
            "genesis_hash": "0x00",
            "height": self.height,
            "target_height": 100,
            "sync_trouble": "",
            "step": "new_height",
            "equivocations": 0,
            "away_validators": [],
            "awaited_validators": [],
            "join": None,
            "sync_from_height": 60,
            "sync_percent": 2.5 * (self.height - 60),
            "head_time_ms": 1_780_000_000_000,
            "validator_count": 4,
            "peers": [],
            "round": 0,
            "is_validator": False,
            "pool_transactions": 0,
        }


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_is_shown_until_the_node_has_caught_up(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "open_client", lambda _: CatchingUp())
    monkeypatch.setattr(command, "WATCH_INTERVAL_S", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    with pytest.raises(SystemExit) as ended:
        main(["status", "--watch"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert "100" in out
    assert "网络高度" not in out, "it has caught up by then"
    assert "追赶区块 / catching up" in err
    assert ("50 % (20/40)" in err) == (not is_terminal)


class Joined(CatchingUp):
    """A node that began from a snapshot, with a peer that its node.toml does not list."""

    def status(self) -> dict[str, Any]:
        peers = [
            {"name": name, "address": "127.0.0.1:1", "is_connected": True, "is_listed": is_listed, "reason": ""}
            for name, is_listed in (("node2", True), ("observer7", False))
        ]
        return super().status() | {"base_height": 70, "first_block": 20, "peers": peers}


def test_where_history_begins_and_which_peers_are_not_listed_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "open_client", lambda _: Joined())
    with pytest.raises(SystemExit):
        main(["status"])
    out = capsys.readouterr().out
    assert "自高度 70 的快照起：交易与回执自 71 起，区块自 20 起" in out
    assert "from the snapshot of height 70: transactions and receipts from 71, blocks from 20 on" in out
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "未列入 node.toml" in lines["observer7"]
    assert "未列入" not in lines["node2"]


class Joining(CatchingUp):
    """A node that joins by snapshot, goes away for a moment to open its ledger, and catches up."""

    def __init__(self) -> None:
        self.height = 40
        self.asked = 0

    def status(self) -> dict[str, Any]:
        self.asked += 1
        join = {
            "height": 60,
            "chunks_done": 8,
            "chunks_total": 20,
            "blocks_done": 0,
            "percent": 36,
            "dropped": ["node3: bad"],
        }
        match self.asked:
            case 1:
                join |= {"height": 0, "chunks_done": 0, "chunks_total": 0, "percent": 0, "dropped": []}
                return super().status() | {"height": 0, "target_height": 0, "sync_percent": 0.0, "join": join}
            case 2:
                return super().status() | {"height": 0, "sync_percent": 36.0, "join": join}
            case 3:
                raise NodeUnreachable("NODE_UNREACHABLE", "没有回答", "no answer")
        return super().status()


def test_the_chunks_of_a_snapshot_are_shown_before_the_blocks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node = Joining()
    monkeypatch.setattr(command, "open_client", lambda _: node)
    monkeypatch.setattr(command, "WATCH_INTERVAL_S", 0)
    with pytest.raises(SystemExit) as ended:
        main(["status", "--watch"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert "快照 / snapshot 0 % (0/1)" in err
    assert "快照 / snapshot 36 % (8/20)" in err
    assert "追赶区块 / catching up" in err
    assert "以快照加入" not in out, "it is over by then"


def test_a_join_that_is_under_way_shows_where_it_stands_and_who_sent_something_bad(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node = Joining()
    node.asked = 1
    monkeypatch.setattr(command, "open_client", lambda _: node)
    with pytest.raises(SystemExit):
        main(["status"])
    out, _ = capsys.readouterr()
    assert "chunks 8 of 20" in out
    assert "node3: bad" in out
