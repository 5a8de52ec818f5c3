"""A fifth node joins a running network by snapshot: it holds the state without the history, serves reads and follows."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from sdk.client import Client, FinalReceipt
from sdk.errors import RequestRefused

pytestmark = pytest.mark.e2e

LAND = "11990100MB0000002X"
NAME = "joiner1"


def anchor(network: Any, index: int) -> tuple[bytes, FinalReceipt]:
    digest = secrets.token_bytes(32)
    with network.client("land-clerk", index) as client:
        return digest, client.call("anchors", "anchor", digest=digest, label="快照")


def read(url: str) -> httpx.Response:
    return httpx.get(url, timeout=60, trust_env=False, verify=False)


def test_a_node_joins_by_snapshot_serves_reads_and_follows(network: Any, make_fifth: Callable[[str], Any]) -> None:
    digest, receipt = anchor(network, 0)
    for index in range(8):
        anchor(network, index % 4)
    network.wait_until_level(receipt.height)
    joiner = make_fifth(NAME)
    settings = joiner.folder / "node.toml"
    settings.write_text('join = "snapshot"\n' + settings.read_text("utf-8"), "utf-8")
    log = joiner.folder / "node.log"
    with joiner.supervisor as supervisor:
        # It starts, asks, and opens its new ledger: on a machine with other work that takes a while.
        network.wait(lambda: joiner.status().get("base_height", 0) > 0, "the joiner's ledger from a snapshot", 90)
        found = joiner.status()
        base = found["base_height"]
        assert base >= receipt.height
        assert found["join"] is None
        _, newer = anchor(network, 0)
        joiner.wait_for(newer.height)
        with Client(joiner.added["url"]) as client:
            block = client.rpc("gov_getBlock", height=newer.height)
            record = client.view("anchors", "anchored", digest=digest, department=LAND)
            shown = client.rpc("gov_getReceipt", transaction_id="0x" + newer.transaction_id.hex())
        assert {(block["id"], block["state_root"])} == network.roots(newer.height)
        assert record["label"] == "快照", "the state from before the snapshot is here"
        assert shown["height"] == newer.height
        with Client(joiner.added["url"]) as client, pytest.raises(RequestRefused) as refused:
            client.rpc("gov_getReceipt", transaction_id="0x" + receipt.transaction_id.hex())
        assert refused.value.code == "HISTORY_NOT_HELD"
        assert read(f"{joiner.added['url']}/api/v1/blocks/{newer.height}").status_code == 200
        assert read(f"{joiner.added['url']}/readyz").status_code == 200
        assert f"govnode_base_height {float(base)}" in read(f"{joiner.added['url']}/metrics").text
        # Killed and started again it goes on from what it has, whatever the settings say.
        supervisor.kill(NAME)
        _, last = anchor(network, 1)
        supervisor.resume(NAME)
        joiner.wait_for(last.height)
        assert joiner.status()["base_height"] == base
    checked = network.run("ledger", "check", "--config", str(settings))
    assert checked["is_sound"]
    assert (checked["base_height"], checked["executed"]) == (base, 0)
    assert checked["height"] >= last.height
    told = log.read_text("utf-8")
    assert "offer_taken" in told
    assert "join_ignored" in told
    assert "Traceback" not in told
