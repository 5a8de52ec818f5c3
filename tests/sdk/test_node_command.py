"""govnode node override: refused while the node runs, otherwise noted with its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from node.driver.last_signed import FILE_NAME, LastSigned
from node.driver.override import OVERRIDES_FILE
from node.ledger.storage import Storage
from node.process import LEDGER_FOLDER
from sdk.network import init_network

ROOT = Path(__file__).parents[2]


def override(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sdk.cli.main", "node", "override", "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_an_override_is_refused_while_the_node_runs_and_noted_once_it_is_stopped(tmp_path: Path) -> None:
    made = init_network(ROOT / "network.toml", tmp_path / "network", iterations=1_000)
    config = made.nodes[0].config
    data = config.parent / "data"
    storage = Storage(data / LEDGER_FOLDER)
    refused = override(config, "--above-height", "7", "--reason", "磁盘更换")
    assert refused.returncode == 1
    assert "the node is running" in refused.stderr
    assert not (data / OVERRIDES_FILE).exists()
    storage.close()
    assert override(config, "--above-height", "7").returncode == 2
    done = override(config, "--above-height", "7", "--reason", "磁盘更换", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["above_height"] == 7
    assert "磁盘更换" in (data / OVERRIDES_FILE).read_text("utf-8")
    record = LastSigned(data / FILE_NAME)
    assert record.record.height == 7
    record.close()
