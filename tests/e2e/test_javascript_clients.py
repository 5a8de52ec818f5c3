"""Stock ethers, viem and cast from npm against a running network: what they read, call, estimate, send and hear."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

pytestmark = pytest.mark.e2e

CLIENTS = Path(__file__).parent / "clients"
LIMIT_S = 60.0
TAKEN = "TAKEN: 该键已登记 / the key is registered already"
TAGS = ("latest", "safe", "finalized", "pending", "earliest")


def run_program(name: str, questions: dict[str, Any], node_modules: Path, folder: Path) -> dict[str, Any]:
    """Run a program of clients/ as one of its own would be: beside a folder node_modules."""
    shutil.copy(CLIENTS / name, folder)
    (folder / "node_modules").symlink_to(node_modules)
    ended = subprocess.run(
        ["node", name], cwd=folder, input=json.dumps(questions), capture_output=True, text=True, timeout=LIMIT_S
    )
    assert ended.returncode == 0, ended.stderr[-3_000:]
    answers: dict[str, Any] = json.loads(ended.stdout)
    return answers


def check_reads(answers: dict[str, Any], questions: dict[str, Any], registry: Any) -> None:
    """What ethers and viem answer alike."""
    registered = questions["registered"]
    height, block_hash = registered["height"], registered["blockHash"]
    assert int(answers["chainId"]) == registry.chain_id
    assert int(answers["blockNumber"]) >= questions["refused"]["height"]
    blocks = answers["blocks"]
    for name in (str(height), block_hash):
        assert (int(blocks[name]["number"]), blocks[name]["hash"]) == (height, block_hash)
        assert registered["hash"] in blocks[name]["transactions"]
    assert int(blocks["earliest"]["number"]) == 0
    assert all(int(blocks[tag]["number"]) >= questions["refused"]["height"] for tag in TAGS[:4])
    assert abs(int(blocks["latest"]["timestamp"]) - time.time()) < 3_600
    full = next(one for one in answers["fullTransactions"] if one["hash"] == registered["hash"])
    assert full["from"].lower() == questions["holder"]
    assert full["to"].lower() == questions["address"]

    transaction = answers["transaction"]
    assert transaction["hash"] == registered["hash"]
    assert transaction["from"].lower() == questions["holder"]
    assert transaction["to"].lower() == questions["address"]
    assert transaction["nonce"] == full["nonce"]
    assert transaction["data"].endswith(questions["key"][2:] + questions["digest"][2:])
    assert (int(transaction["value"]), int(transaction["gasPrice"])) == (0, 0)
    assert (int(transaction["blockNumber"]), int(transaction["chainId"])) == (height, registry.chain_id)
    assert int(answers["receipt"]["blockNumber"]) == height
    assert int(answers["receipt"]["gasUsed"]) > 21_000
    assert answers["receipt"]["contractAddress"] is None
    assert answers["deployment"]["contractAddress"].lower() == questions["address"]

    assert answers["code"] == registry.runtime_code
    assert answers["storage"] == questions["digest"]
    assert int(answers["balance"]) == 0
    assert int(answers["nonce"]) > int(transaction["nonce"])
    assert {int(value or 0) for value in answers["fees"].values()} == {0}, "ethers makes nulls of fees of zero"

    digest, holder, time_s = answers["view"]
    assert (digest, holder.lower(), int(time_s)) == (
        questions["digest"],
        questions["holder"],
        int(blocks[block_hash]["timestamp"]),
    )
    assert answers["viewBefore"][0] == "0x" + "00" * 32, "the state before the entry"
    assert registry.network.made.departments[1].encode().hex() in answers["systemView"]
    assert 21_000 < int(answers["estimate"]) < 200_000
    key, digest, holder = answers["logs"][0]
    assert (key, digest, holder.lower()) == (questions["key"], questions["digest"], questions["holder"])
    assert (len(answers["logs"]), answers["otherLogs"]) == (1, 0)

    assert answers["sent"] == questions["hash"]
    assert answers["head"]
    key, digest, holder = answers["heard"]
    assert (key, digest, holder.lower()) == (questions["newKey"], questions["newDigest"], questions["holder"])


def test_ethers_reads_calls_sends_and_listens(
    network: Any, sample_registry: Any, node_modules: Path, tmp_path: Path
) -> None:
    questions = sample_registry.questions()
    answers = run_program("ethers.mjs", questions, node_modules, tmp_path)
    check_reads(answers, questions, sample_registry)
    assert answers["absentBlock"] is None
    assert answers["absentTransaction"] is None
    assert answers["receipt"]["status"] == answers["deployment"]["status"] == 1
    key, holder = questions["key"], answers["view"][1]
    assert answers["receipt"]["logs"] == [[key, questions["digest"], holder]]
    assert (answers["refused"]["status"], answers["refused"]["logs"]) == (0, [])
    assert answers["revert"] == {"code": "CALL_EXCEPTION", "reason": TAKEN}
    assert answers["estimateRevert"] == {"code": "CALL_EXCEPTION", "reason": TAKEN}
    assert answers["final"]["status"] == 1
    assert answers["final"]["logs"] == [[questions["newKey"], questions["newDigest"], holder]]
    assert answers["sentAgain"] == -32003


def test_viem_reads_calls_sends_and_watches(
    network: Any, sample_registry: Any, node_modules: Path, tmp_path: Path
) -> None:
    questions = sample_registry.questions()
    answers = run_program("viem.mjs", questions, node_modules, tmp_path)
    check_reads(answers, questions, sample_registry)
    assert answers["absentBlock"] == "BlockNotFoundError"
    assert answers["absentTransaction"] == "TransactionNotFoundError"
    assert answers["transactionCount"] == len(answers["fullTransactions"])
    assert answers["receipt"]["status"] == answers["deployment"]["status"] == "success"
    assert answers["receipt"]["logs"] == 1
    assert (answers["refused"]["status"], answers["refused"]["logs"]) == ("reverted", 0)
    assert {int(fee) for fee in answers["feeHistory"]} == {0}
    assert answers["revert"] == {"name": "ContractFunctionRevertedError", "reason": TAKEN}
    assert TAKEN in answers["estimateRevert"]["reason"]
    assert (answers["final"]["status"], answers["final"]["logs"]) == ("success", 1)
    assert answers["filtered"] == [questions["newKey"]]
    assert answers["filteredBlocks"] >= 1
    assert answers["uninstalled"]
    assert answers["sentAgain"] == -32003


class Cast:
    """Foundry's cast, one process a command, against one node."""

    def __init__(self, binary: Path, url: str, home: Path) -> None:
        self.binary, self.url = binary, url
        # Neither settings nor caches of whoever runs the tests.
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "NO_COLOR": "1"}

    def run(self, command: str, *arguments: str) -> str:
        """Return what a command that must succeed prints."""
        ended = self._ended(command, *arguments)
        assert ended.returncode == 0, (command, ended.stderr[-1_000:])
        return ended.stdout.strip()

    def json(self, command: str, *arguments: str) -> Any:
        return json.loads(self.run(command, *arguments, "--json"))

    def refused(self, command: str, *arguments: str) -> str:
        """Return the reason that a command that must fail prints."""
        ended = self._ended(command, *arguments)
        assert ended.returncode != 0, (command, ended.stdout)
        return ended.stderr

    @contextmanager
    def listening(self, output: IO[str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command that prints to `output` until it is ended."""
        whole = [str(self.binary), *arguments]
        process = subprocess.Popen(whole, env=self.environment, stdout=output, stderr=subprocess.STDOUT, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _ended(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        whole = [str(self.binary), command, "--rpc-url", self.url, *arguments]
        return subprocess.run(whole, env=self.environment, capture_output=True, text=True, timeout=LIMIT_S)


@pytest.fixture
def cast(network: Any, node_modules: Path, tmp_path: Path) -> Cast:
    found = list(node_modules.glob("@foundry-rs/cast-*/bin/cast"))
    if not found:
        pytest.skip("npm has no cast for this kind of machine: it was not tried")
    return Cast(found[0], network.url() + "/rpc", tmp_path)


def test_cast_reads_blocks_transactions_and_state(sample_registry: Any, cast: Cast) -> None:
    asked = sample_registry.questions()
    registered, height = asked["registered"], asked["registered"]["height"]
    assert int(cast.run("chain-id")) == sample_registry.chain_id
    assert int(cast.run("block-number")) >= asked["refused"]["height"]
    assert cast.run("client").startswith("govnode/")
    for name in (str(height), registered["blockHash"]):
        block = cast.json("block", name)
        assert (int(block["number"], 16), block["hash"]) == (height, registered["blockHash"])
        assert registered["hash"] in block["transactions"]
    heights = {tag: int(cast.json("block", tag)["number"], 16) for tag in TAGS}
    assert heights.pop("earliest") == 0
    assert min(heights.values()) >= asked["refused"]["height"]
    full = cast.json("block", str(height), "--full")["transactions"]
    assert registered["hash"] in [one["hash"] for one in full]
    transaction = cast.json("tx", registered["hash"])
    assert (transaction["from"], transaction["to"]) == (asked["holder"], asked["address"])
    assert transaction["input"].endswith(asked["key"][2:] + asked["digest"][2:])
    receipt = cast.json("receipt", registered["hash"])
    assert (receipt["status"], len(receipt["logs"])) == ("0x1", 1)
    assert cast.json("receipt", asked["deployed"]["hash"])["contractAddress"] == asked["address"]
    assert cast.json("receipt", asked["refused"]["hash"])["status"] == "0x0"
    replayed = cast.run("run", registered["hash"], "--quick")
    assert f"Gas used: {int(receipt['gasUsed'], 16)}" in replayed, "another EVM comes to the same gas"
    assert cast.run("code", asked["address"]) == sample_registry.runtime_code
    assert cast.run("storage", asked["address"], asked["slot"]) == asked["digest"]
    assert cast.run("balance", asked["holder"]) == "0"
    assert int(cast.run("nonce", asked["holder"])) > int(transaction["nonce"], 16)
    assert (cast.run("gas-price"), cast.run("base-fee")) == ("0", "0")


def test_cast_calls_estimates_finds_logs_publishes_and_waits(sample_registry: Any, cast: Cast) -> None:
    asked = sample_registry.questions()
    address, key, digest = asked["address"], asked["key"], asked["digest"]
    height = asked["registered"]["height"]
    lookup = (address, "lookup(bytes32)(bytes32,address,uint64)", key)
    assert cast.run("call", *lookup).splitlines()[0] == digest
    assert cast.run("call", *lookup, "--block", str(height - 1)).splitlines()[0] == "0x" + "00" * 32
    register = (address, "register(bytes32,bytes32)")
    assert TAKEN in cast.refused("call", *register, key, digest, "--from", asked["holder"])
    assert TAKEN in cast.refused("estimate", *register, key, digest, "--from", asked["holder"])
    estimate = int(cast.run("estimate", *register, asked["newKey"], asked["newDigest"], "--from", asked["holder"]))
    assert 21_000 < estimate < 200_000
    event = ("--address", address, "Registered(bytes32 indexed key,bytes32 digest,address indexed holder)")
    logs = cast.json("logs", "--from-block", str(height), *event, key)
    assert [log["data"] for log in logs] == [digest]

    assert cast.run("publish", "--async", asked["raw"]) == asked["hash"]
    receipt = cast.json("receipt", asked["hash"], "--confirmations", "1")
    assert (receipt["status"], receipt["transactionHash"]) == ("0x1", asked["hash"])
    assert cast.run("call", address, "lookup(bytes32)(bytes32,address,uint64)", asked["newKey"]).startswith(
        asked["newDigest"]
    )


def test_cast_hears_of_logs(sample_registry: Any, cast: Cast, tmp_path: Path) -> None:
    asked = sample_registry.questions()
    heard = tmp_path / "heard"
    # cast asks for logs since the first block unless it is told; a subscription has new ones only.
    live = ("logs", "--subscribe", "--from-block", "latest", "--rpc-url", asked["websocket"])
    with heard.open("w") as output, cast.listening(output, *live, "--address", asked["address"]) as listening:
        deadline = time.monotonic() + LIMIT_S
        # It does not say when it has subscribed.
        while asked["newKey"] not in heard.read_text():
            assert listening.poll() is None, heard.read_text()
            assert time.monotonic() < deadline, "cast heard of no log"
            asked = sample_registry.questions()
            cast.run("publish", asked["raw"])
            time.sleep(0.2)
