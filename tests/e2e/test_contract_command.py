"""A department deploys a contract and uses it from the command line; a governor freezes it; every refusal has its own words."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import vyper

from sdk.cli.main import main

pytestmark = pytest.mark.e2e

SOURCE = """
# pragma version ^0.4.0
event Noted:
    by: indexed(address)
    number: indexed(uint256)
    text: String[64]

struct Note:
    by: address
    text: String[64]

title: public(String[32])
notes: public(DynArray[Note, 100])

@deploy
def __init__(title: String[32]):
    self.title = title

@external
def note(text: String[64]):
    assert len(text) > 0, "EMPTY: must not be empty"
    log Noted(by=msg.sender, number=len(self.notes), text=text)
    self.notes.append(Note(by=msg.sender, text=text))

@external
def note_all(texts: DynArray[String[64], 3]):
    for text: String[64] in texts:
        log Noted(by=msg.sender, number=len(self.notes), text=text)
        self.notes.append(Note(by=msg.sender, text=text))

@external
def fail(bid: uint256):
    raw_revert(abi_encode(bid, method_id=method_id("TooLow(uint256)")))

@external
@view
def count() -> uint256:
    return len(self.notes)
"""


def run(*arguments: str, status: int = 0) -> Any:
    """Run a command with --json in this process, which has loaded it already, and return what it printed."""
    words = ["contract", *arguments, "--json"]
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["govnode", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main(words)
    assert ended.value.code == status, f"{arguments}: {out.getvalue()} {err.getvalue()}"
    return json.loads(out.getvalue() or err.getvalue())


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `vyper -f combined_json` writes."""
    compiled = vyper.compile_code(SOURCE, output_formats=["abi", "bytecode"])
    # An error with values, as Solidity's compiler puts it into the ABI.
    compiled["abi"].append({"type": "error", "name": "TooLow", "inputs": [{"name": "bid", "type": "uint256"}]})
    path = tmp_path_factory.mktemp("compiled") / "Notes.json"
    path.write_text(json.dumps({"version": "0.4.3", "Notes.vy": compiled}))
    return path


@pytest.fixture(scope="module")
def contract(running_network: Any, artefact: Path) -> dict[str, Any]:
    """A contract that a department's deployer has deployed."""
    deployer = running_network.account_options("data-bureau-deployer")
    made: dict[str, Any] = run("deploy", str(artefact), "会议纪要", *deployer)
    return made


def test_a_deployed_contract_is_called_and_its_events_are_read(
    network: Any, contract: dict[str, Any], artefact: Path
) -> None:
    address, abi = contract["address"], ["--abi", str(artefact)]
    clerk, url = network.account_options("land-clerk", 1), ["--url", network.url(2)]
    who = "0x" + network.signer("land-clerk").address.hex()
    before = int(run("call", address, "count", *abi, *url)["outputs"][0]["value"])
    first = run("send", address, "note", "第一条 / one", *abi, *clerk)
    fields = {"by": who, "number": before, "text": "第一条 / one"}
    assert first["events"] == [{"address": address, "event": "Noted", "arguments": fields}]
    second = run("send", address, "note_all", '["a", "b"]', *abi, *clerk)
    network.wait_until_level(second["height"])
    assert run("call", address, "title", *abi, *url)["outputs"][0]["value"] == "会议纪要"
    shown = run("call", address, "notes", str(before), *abi, *url)["outputs"]
    assert [each["value"] for each in shown] == [{"by": who, "text": "第一条 / one"}]
    earlier = run("call", address, "count", *abi, *url, "--block", str(first["height"]))
    assert earlier["outputs"][0]["value"] == before + 1
    read = run("events", address, *abi, *url, "--after", str(first["height"] - 1))
    assert [each["arguments"]["text"] for each in read["events"]] == ["第一条 / one", "a", "b"]
    assert [each["transaction"] for each in read["events"]] == [first["transaction"], *2 * [second["transaction"]]]
    rest = run("events", address, *abi, *url, "--event", "Noted", "--after", str(first["height"]))
    assert [each["arguments"]["text"] for each in rest["events"]] == ["a", "b"]
    assert rest["through_height"] >= second["height"]
    one = run("events", address, *abi, *url, "--after", str(first["height"] - 1), "--limit", "1")
    assert len(one["events"]) >= 1


def test_a_follower_hears_of_new_events_and_resumes_where_it_was_ended(
    network: Any, contract: dict[str, Any], artefact: Path
) -> None:
    address, abi = contract["address"], ["--abi", str(artefact)]
    clerk = network.account_options("land-clerk")

    def follow(after: int, texts: list[str]) -> int:
        """Start a follower, note the texts, and end it when it has told of the last; return its height."""
        command = [
            "contract",
            "events",
            address,
            *abi,
            "--url",
            network.url(),
            "--after",
            str(after),
            "--follow",
            "--json",
        ]
        words = [sys.executable, "-m", "sdk.cli.main", *command]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as follower:
            try:
                assert follower.stdout is not None
                for text in texts:
                    run("send", address, "note", text, *abi, *clerk)
                told: list[str] = []
                height = after
                while len(told) < len(texts):
                    batch = json.loads(follower.stdout.readline())
                    told += [each["arguments"]["text"] for each in batch["events"]]
                    height = int(batch["through_height"])
            finally:
                follower.kill()
        assert told == texts
        return height

    start = int(run("send", address, "note", "start", *abi, *clerk)["height"])
    middle = follow(start, ["x", "y"])
    follow(middle, ["z"])


def test_system_contracts_are_called_by_name_without_an_abi(network: Any) -> None:
    found = run("call", "governance", "parameters", "--url", network.url())
    assert found["outputs"][0]["value"]["transaction_window_ms"] == 600_000
    sent = run(*("send", "anchors", "anchor", "0x" + "5a" * 32, "标签"), *network.account_options("land-clerk"))
    assert sent["events"][0]["event"] == "Anchored"
    read = run("events", "anchors", "--url", network.url(), "--after", str(sent["height"] - 1))
    assert read["events"][0]["transaction"] == sent["transaction"]


def test_a_call_signed_without_a_node_is_sent_by_any_tool(
    network: Any, contract: dict[str, Any], artefact: Path
) -> None:
    _, _, *key = network.account_options("land-clerk")
    stated = ["--chain-id", str(network.made.chain_id), "--gas", "300000"]
    signed = run("sign", contract["address"], "note", "签名 signed", "--abi", str(artefact), *stated, *key)
    with network.client() as client:
        assert client.rpc("eth_sendRawTransaction", signed["raw"]) == signed["hash"]
        assert client.wait_receipt(bytes.fromhex(signed["hash"][2:])).height > contract["height"]


def test_every_refusal_is_told_in_its_own_words(network: Any, contract: dict[str, Any], artefact: Path) -> None:
    address, abi = contract["address"], ["--abi", str(artefact)]
    clerk, url = network.account_options("land-clerk"), ["--url", network.url()]

    def error(*arguments: str, code: str, text: str) -> None:
        found = run(*arguments, status=1)["error"]
        assert found["code"] == code, found
        assert text in found["message"]

    error("deploy", str(artefact), "x", *clerk, code="ROLE_MISSING", text="deployer")
    error("deploy", str(artefact), "x", *clerk, "--gas", "3000000", code="ROLE_MISSING", text="deployer")
    error("deploy", str(artefact), *clerk, code="ARGUMENTS_INVALID", text="takes 1 arguments (string title)")
    error("send", address, "note", "", *abi, *clerk, code="REVERTED", text="EMPTY: must not be empty")
    error("send", address, "note", "", *abi, *clerk, "--gas", "200000", code="REVERTED", text="must not be empty")
    for gas in ([], ["--gas", "200000"]):
        error("send", address, "fail", "7", *abi, *clerk, *gas, code="REVERTED", text="TooLow(bid=7)")
    error("send", address, "note", "long" * 9, *abi, *clerk, "--gas", "30000", code="OUT_OF_GAS", text="30000")
    error(
        "call", address, "nothing", *abi, *url, code="METHOD_UNKNOWN", text="note, note_all, fail, count, title, notes"
    )
    error("call", address, "count", *url, code="ABI_MISSING", text="--abi")
    error("call", "0x" + "77" * 20, "count", *abi, *url, code="NO_CONTRACT", text="77")
    error("show", "0x" + "77" * 20, *url, code="DEPLOYMENT_UNKNOWN", text="77")
    error("freeze", address, "--reason", "no", *clerk, code="ROLE_MISSING", text="governor")


def test_a_governor_freezes_a_contract_and_lets_it_run_again(
    network: Any, contract: dict[str, Any], artefact: Path
) -> None:
    address, abi = contract["address"], ["--abi", str(artefact)]
    governor, clerk = network.account_options("data-bureau-governor"), network.account_options("land-clerk")
    shown = run("show", address, "--url", network.url())
    assert (contract["contract"], contract["artefact"]) == ("Notes", str(artefact))
    assert (shown["department"], shown["is_frozen"]) == ("11990100MB0000001T", False)
    assert (shown["deployer"], int(shown["height"])) == (
        "0x" + network.signer("data-bureau-deployer").address.hex(),
        contract["height"],
    )
    department = ["--department", shown["department"], "--url", network.url()]
    network.wait(lambda: address in [each["address"] for each in run("list", *department)["items"]], "a list with it")
    assert run("list", "--department", "11990100MB0000002X", "--url", network.url())["items"] == []
    run("freeze", address, "--reason", "核查 review", *governor)
    assert run("show", address, "--url", network.url())["reason"] == "核查 review"
    refused = run("send", address, "note", "x", *abi, *clerk, "--gas", "200000", status=1)
    assert refused["error"]["code"] == "CONTRACT_FROZEN"
    run("unfreeze", address, "--reason", "已修复 mended", *governor)
    run("send", address, "note", "x", *abi, *clerk)
