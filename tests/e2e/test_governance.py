"""A governor changes the rules of a running network from the command line; wrong changes are refused by name and change nothing."""

from typing import Any

import pytest

pytestmark = pytest.mark.e2e


def parameters(network: Any, index: int = 0) -> dict[str, int]:
    found = network.run("governance", "show", "--url", network.url(index))["parameters"]
    return {entry["name"]: entry["value"] for entry in found}


def set_parameters(network: Any, *changes: str, account: str = "data-bureau-governor", status: int = 0) -> Any:
    return network.run("governance", "set", *changes, *network.account_options(account), status=status)


def test_changed_parameters_hold_on_every_node_and_are_committed_to(network: Any) -> None:
    before = parameters(network)
    wanted = {"empty_block_interval_ms": 29_000, "timeout_limit_ms": 11_000}
    changed = set_parameters(network, *(f"{name}={value}" for name, value in wanted.items()))
    assert changed["parameters"] == wanted
    restored = set_parameters(network, *(f"{name}={before[name]}" for name in wanted))
    network.wait_until_level(restored["first_height"] - 1)
    with network.client() as client:
        hashes = [
            client.rpc("gov_getBlock", height=height)["parameters_hash"]
            for height in (changed["height"], changed["first_height"], restored["height"])
        ]
    assert hashes[0] != hashes[1] == hashes[2]
    assert all(parameters(network, index) == before for index in range(4))


def test_wrong_changes_are_refused_by_name_and_change_nothing(network: Any) -> None:
    before = parameters(network)
    for change in ("timeout_limits_ms=1", "timeout_limit_ms=0", "timeout_limit_ms=1e4", "timeout_limit_ms", "=1"):
        assert set_parameters(network, change, status=2)["error"]["code"] == "USAGE"
    twice = set_parameters(network, "timeout_limit_ms=10000", "timeout_limit_ms=10000", status=2)
    assert "each parameter once" in twice["error"]["message"]
    conflict = set_parameters(network, "timeout_limit_ms=1000", "timeout_propose_ms=2000", status=1)
    assert conflict["error"]["code"] == "PARAMETERS_CONFLICT"
    assert "timeout_propose_ms" in conflict["error"]["message"]
    refused = set_parameters(network, "timeout_limit_ms=9000", account="land-clerk", status=1)
    assert refused["error"]["code"] == "ROLE_MISSING"
    assert parameters(network) == before
