"""govnode status --watch: how far a node that catches up is, until it has."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from sdk.cli import status as command
from sdk.cli.main import main


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
            "sync_percent": float(self.height),
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
    assert ("追赶区块 / catching up" in err) == is_terminal
    assert ("80 % (80/100)" in err) == (not is_terminal)
