"""The doctor beside real nodes: it names who is missing, and says when all is well again."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.driver.last_signed import FILE_NAME as LAST_SIGNED
from node.genesis_file import load_genesis, save_genesis
from node.http.presentation import WAITING_STEP
from sdk.supervisor import Supervisor
from tests.commands import run_command

pytestmark = pytest.mark.e2e

FAST_MS = 5_000
FAST_CLOCK = f"import time\nreal = time.time_ns\ntime.time_ns = lambda: real() + {FAST_MS} * 1_000_000\n"
"""Loaded by the interpreter before a node's first line: its machine's clock is ahead."""


def findings(network: Any, index: int, status: int) -> dict[str, dict[str, Any]]:
    """What the doctor finds at a node, by code."""
    config = str(network.made.nodes[index].config)
    return {entry["code"]: entry for entry in network.run("doctor", "--config", config, status=status)["findings"]}


@contextmanager
def run_changed(network: Any, name: str, **environment: str) -> Iterator[None]:
    """Run one of the network's nodes, which was killed, under other circumstances for a while."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GOVNODE_")}
    with Supervisor(network.made.folder, [name], kept | environment):
        yield


def peer(network: Any, name: str, index: int = 0) -> dict[str, Any]:
    """What a node says of a peer."""
    with network.client(index=index) as client:
        return dict(next(entry for entry in client.status()["peers"] if entry["name"] == name))


def send(network: Any) -> None:
    """Hand in a transaction without waiting for it."""
    with network.client("land-clerk") as client:
        raw = client.sign_call("anchors", "anchor", digest=secrets.token_bytes(32), label="等一等")
        client.rpc("gov_sendTransaction", transaction=raw.raw.hex())


def anchor(network: Any) -> int:
    with network.client("land-clerk") as client:
        return int(client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="x").height)


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
    # Each looks on for some seconds at a height that does not end.
    with ThreadPoolExecutor() as pool:
        told, stopped = pool.map(lambda index: findings(network, index, 1), (0, 2))
    missing = told["QUORUM_MISSING"]
    with network.client() as client:
        departments = {entry["name"]: entry["department"] for entry in client.view("members", "validators")}
    for name in killed:
        assert name in missing["zh"]
        assert name in missing["en"]
        assert departments[name] in missing["en"]
    assert network.names[1] not in missing["en"]
    assert "NODE_STOPPED" in stopped

    network.heal()
    ended = run_command("ledger", "check", "--config", str(config))
    assert ended.returncode == 2, "a running node's ledger cannot be checked"
    network.supervisor.kill(network.names[0])
    checked = network.run("ledger", "check", "--config", str(config))
    assert checked["is_sound"]
    assert checked["executed"] == checked["height"] > 0
    network.heal()


def test_whoever_abstains_and_whose_clock_is_wrong_is_named_by_the_others_and_by_itself(
    network: Any, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAST_CLOCK, "utf-8")
    anchor(network)
    network.supervisor.kill("node3", "node4")
    (network.made.folder / "node4" / "data" / LAST_SIGNED).unlink()
    with run_changed(network, "node4", PYTHONPATH=str(tmp_path)):
        network.wait(lambda: peer(network, "node4")["clock_offset_ms"], "node4 to be there")
        for name in network.names[:2]:
            network.wait(lambda name=name: peer(network, name, 3)["clock_offset_ms"], f"{name} to be there for node4")
        # Killed, it may lack the last block: while it comes, a node is not stuck.
        network.wait(lambda: network.height(3) == network.height(0), "node4 to be where node1 is")
        send(network)
        for index in (0, 3):
            network.wait(lambda index=index: step(network, index) != WAITING_STEP, "the transaction to be at both")
        # Each looks on for some seconds at a height that does not end.
        with ThreadPoolExecutor() as pool:
            told, own = pool.map(lambda index: findings(network, index, 1), (0, 3))
        assert {"CHAIN_STALLED", "VALIDATOR_AWAY", "VALIDATORS_SILENT", "PEER_CLOCK_WRONG"} <= set(told)
        assert "node3" in told["VALIDATOR_AWAY"]["zh"]
        assert "node4" in told["VALIDATORS_SILENT"]["zh"]
        assert "node2" not in told["VALIDATORS_SILENT"]["zh"]
        assert "node4 的时钟比本机快" in told["PEER_CLOCK_WRONG"]["zh"]
        assert own["ABSTAINING"]["level"] == "action"
        assert "本机时钟比" in own["OWN_CLOCK_WRONG"]["zh"]
        with network.client() as client:
            found = client.status()
        assert found["away_validators"] == ["node3"]
        assert set(found["awaited_validators"]) == {"node3", "node4"}
    network.heal()
    # With all four it moves, and the one that abstained votes again: later tests kill others.
    network.wait(lambda: anchor(network) and is_voting(network, 3), "node4 to vote again")


def test_a_node_of_another_genesis_is_told_so_by_both_sides_and_its_own_ledger_is_spared(network: Any) -> None:
    anchor(network)
    network.supervisor.kill("node4")
    folder = network.made.folder / "node4"
    settings, data = (folder / "node.toml").read_text("utf-8"), folder / "data"
    genesis = load_genesis(network.made.genesis)
    save_genesis(folder / "other.json", msgspec.structs.replace(genesis, network_name="另一个网络"))
    (folder / "node.toml").write_text(settings.replace("../genesis.json", "other.json"), "utf-8")
    assert "LEDGER_OF_ANOTHER_NETWORK" in findings(network, 3, 1)
    data.rename(folder / "data.kept")
    try:
        with run_changed(network, "node4"):
            network.wait(
                lambda: peer(network, "node4")["reason_code"] == "GENESIS_DIFFERS", "the difference to be seen"
            )
            told = findings(network, 0, 1)
            assert genesis.hash.hex() in told["PEER_GENESIS_DIFFERS"]["zh"]
            assert "CHAIN_MOVES" in told
            network.wait(lambda: "原因都是：创世不同" in findings(network, 3, 1)["ALONE"]["zh"], "all to refuse it")
    finally:
        if data.exists():
            data.rename(folder / "data.other")
        (folder / "data.kept").rename(data)
        (folder / "node.toml").write_text(settings, "utf-8")
    network.heal()
    assert "CHAIN_MOVES" in findings(network, 3, 0)


def is_voting(network: Any, index: int) -> bool:
    with network.client(index=index) as client:
        return bool(client.status()["is_voting"])


def step(network: Any, index: int) -> str:
    with network.client(index=index) as client:
        return str(client.status()["step"])
