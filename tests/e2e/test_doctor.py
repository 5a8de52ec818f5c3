"""The doctor beside real nodes: it names who is missing, and says when all is well again."""

from __future__ import annotations

import subprocess
import sys
from typing import Any


def test_the_doctor_of_a_living_node_names_the_two_that_were_killed(network: Any) -> None:
    config = network.made.nodes[0].config
    found = {finding["code"] for finding in network.run("doctor", "--config", str(config))["findings"]}
    assert "CHAIN_MOVES" in found

    killed = network.names[2:]
    for name in killed:
        network.supervisor.kill(name)
    with network.client() as client:

        def are_gone() -> bool:
            return [peer["is_connected"] for peer in client.status()["peers"]].count(True) == 1

        network.wait(are_gone, "the two killed to be seen as gone")
    findings = network.run("doctor", "--config", str(config), status=1)["findings"]
    missing = next(finding for finding in findings if finding["code"] == "QUORUM_MISSING")
    with network.client() as client:
        departments = {entry["name"]: entry["department"] for entry in client.view("members", "validators")}
    for name in killed:
        assert name in missing["zh"]
        assert name in missing["en"]
        assert departments[name] in missing["en"]
    assert network.names[1] not in missing["en"]
    stopped = network.run("doctor", "--config", str(network.made.nodes[2].config), status=1)["findings"]
    assert "NODE_STOPPED" in {finding["code"] for finding in stopped}

    network.heal()
    ended = subprocess.run(
        [sys.executable, "-m", "sdk.cli.main", "ledger", "check", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2, "a running node's ledger cannot be checked"
    network.supervisor.kill(network.names[0])
    checked = network.run("ledger", "check", "--config", str(config))
    assert checked["is_sound"]
    assert checked["executed"] == checked["height"] > 0
    network.heal()
