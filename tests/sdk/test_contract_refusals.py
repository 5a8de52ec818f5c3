"""What a contract's refusal tells its caller, on the command line: the contract's own reason, in words, and where it is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode

from contracts.abi import keccak256
from contracts.deployments import DeploymentRecord, record_deployment
from node.chain.transaction import address_of, decode_transaction, transaction_id
from sm_crypto.keystore import save_key
from tests.clocks import set_clock

ABI = [
    {"type": "function", "name": "put", "inputs": [], "outputs": [], "stateMutability": "nonpayable"},
    {
        "type": "function",
        "name": "count",
        "inputs": [],
        "outputs": [{"name": "", "type": "uint256"}],
        "stateMutability": "view",
    },
    {"type": "error", "name": "TooLow", "inputs": [{"name": "bid", "type": "uint256"}]},
]
CONTRACT = "0x" + "11" * 20
DEPARTMENT = "11990100MB0000002X"
TEXT = "TAKEN: 该键已登记 / the key is registered already"
PANIC = "0x4e487b71" + encode(["uint256"], [0x32]).hex()
TOO_LOW = "0x" + (keccak256(b"TooLow(uint256)")[:4] + encode(["uint256"], [7])).hex()


def error_text(text: str) -> str:
    return "0x08c379a0" + encode(["string"], [text]).hex()


def reverted(message: str, output: str) -> dict[str, Any]:
    """What eth_call and eth_estimateGas answer for code that reverted."""
    return {"error": {"code": 3, "message": "execution reverted" + (message and f": {message}"), "data": output}}


class EvmNode:
    """The stand-in node with answers of its own to what concerns an EVM contract."""

    def __init__(self, node: Any) -> None:
        self.answers: dict[str, dict[str, Any]] = {"eth_estimateGas": {"result": "0xffff"}}
        self.receipt: dict[str, Any] = {}
        self.last_id = b""
        self.asked: list[dict[str, Any]] = []
        self._others = node.rpc
        node.rpc = self.rpc

    def rpc(self, call: dict[str, Any]) -> dict[str, Any]:
        answer = {"jsonrpc": "2.0", "id": call["id"]}
        self.asked.append(call)
        if call["method"] in self.answers:
            return answer | self.answers[call["method"]]
        if call["method"] == "gov_sendTransactions":
            raw = bytes.fromhex(call["params"]["transactions"][0][2:])
            self.last_id = transaction_id(decode_transaction(raw).body)
            return answer | {"result": [{"id": "0x" + self.last_id.hex(), "rejection": None}]}
        if call["method"] == "gov_waitReceipt":
            place = {"height": 42, "index": 0, "time_ms": 1, "gas_used": 9}
            return answer | {"result": place | self.receipt}
        others: dict[str, Any] = self._others(call)
        return others


@pytest.fixture
def evm(node: Any) -> EvmNode:
    return EvmNode(node)


@pytest.fixture
def contract(
    run: Callable[..., tuple[int, Any, str]], node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Run a refused `govnode contract` command on CONTRACT and return what it says on standard error."""
    save_key(tmp_path / "clerk.key", node.chain.clerk, b"open sesame", iterations=1_000)
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("open sesame\n")
    (tmp_path / "Box.json").write_text(json.dumps(ABI))
    monkeypatch.setenv("GOVNODE_URL", node.url)
    monkeypatch.setenv("GOVNODE_KEY", str(tmp_path / "clerk.key"))
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(tmp_path / "password"))

    def refused(verb: str, method: str, *options: str) -> str:
        status, _, err = run("contract", verb, CONTRACT, method, "--abi", tmp_path / "Box.json", *options)
        assert status == 1, err
        return err

    return refused


def error(err: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(err)["error"]
    return found


def test_the_contract_s_own_code_is_kept_in_text_and_json(contract: Callable[..., str], evm: EvmNode) -> None:
    evm.answers["eth_estimateGas"] = reverted(TEXT, error_text(TEXT))
    assert error(contract("send", "put", "--json")) == {"code": "REVERTED", "message": TEXT, "reason": "TAKEN"}
    assert f"[REVERTED] {TEXT}" in contract("send", "put")


@pytest.mark.parametrize(
    ("message", "output", "told", "reason"),
    [
        ("", "0x", "合约拒绝了调用，未说明原因 / the contract refused the call and gave no reason", None),
        ("", PANIC, "数组下标越界 / panic 0x32 in the contract: an index out of bounds", None),
        ("", TOO_LOW, "合约拒绝了调用：TooLow(bid=7) / the contract refused the call: TooLow(bid=7)", "TooLow"),
        ("LIMIT_ZERO", error_text("LIMIT_ZERO"), "LIMIT_ZERO", "LIMIT_ZERO"),
        ("keep it short", error_text("keep it short"), "keep it short", None),
    ],
)
def test_a_reason_of_any_kind_is_told_once_and_in_words(
    contract: Callable[..., str], evm: EvmNode, message: str, output: str, told: str, reason: str | None
) -> None:
    evm.answers["eth_estimateGas"] = reverted(message, output)
    found = error(contract("send", "put", "--json"))
    assert found["code"] == "REVERTED"
    assert found["message"].endswith(told)
    assert found["message"].count(told) == 1
    assert found.get("reason") == reason


@pytest.mark.parametrize(
    ("message", "output", "told", "reason"),
    [
        (TEXT, error_text(TEXT), TEXT, "TAKEN"),
        ("REVERTED: 未说明原因 / gave no reason", "0x", "未说明原因 / gave no reason", None),
        ("REVERTED: 自定义 / its own error", TOO_LOW, "TooLow(bid=7)", "TooLow"),
    ],
)
def test_a_refusal_on_the_chain_says_where_it_is_recorded(
    contract: Callable[..., str], evm: EvmNode, message: str, output: str, told: str, reason: str | None
) -> None:
    evm.receipt = {"refusal": "REVERTED", "message": message, "output": output}
    found = error(contract("send", "put", "--gas", "100000", "--json"))
    assert told in found["message"]
    assert found.get("reason") == reason
    assert (found["transaction"], found["height"]) == ("0x" + evm.last_id.hex(), 42)
    line = contract("send", "put", "--gas", "100000")
    assert f"交易 / transaction 0x{evm.last_id.hex()}; 区块 / block 42" in line


@pytest.mark.parametrize(
    ("number", "message", "code"),
    [
        (-32000, "OUT_OF_GAS: 燃料上限 30000000 不足 / the gas limit of 30000000 is too low", "OUT_OF_GAS"),
        (-32001, "STATE_NOT_KEPT: 最早 9 / the oldest is 9", "STATE_NOT_KEPT"),
        (-32099, "别的 / something else", "RPC_-32099"),
    ],
)
def test_an_error_of_a_call_that_is_no_revert_has_its_name(
    contract: Callable[..., str], evm: EvmNode, number: int, message: str, code: str
) -> None:
    evm.answers["eth_call"] = {"error": {"code": number, "message": message}}
    found = error(contract("call", "count", "--json"))
    assert (found["code"], found["message"]) == (code, message.removeprefix(f"{code}: "))


def test_an_account_that_is_not_registered_is_told_what_to_do(contract: Callable[..., str], evm: EvmNode) -> None:
    message = "UNKNOWN_ACCOUNT: 账户 0x1 未登记 / account 0x1 is not registered"
    evm.answers["eth_estimateGas"] = reverted(message, error_text(message))
    assert "govnode account request" in contract("send", "put")


def test_events_behind_the_end_of_the_chain_are_refused_with_its_height(
    run: Callable[..., tuple[int, Any, str]], node: Any
) -> None:
    status, _, err = run("contract", "events", "anchors", "--after", "9999", "--url", node.url, "--json")
    assert (status, error(err)["code"]) == (1, "HEIGHT_AHEAD")
    assert f"ends at height {node.chain.height}," in error(err)["message"]


def test_a_follower_says_that_the_node_does_not_answer(
    run: Callable[..., tuple[int, Any, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(_: float) -> None:
        raise KeyboardInterrupt

    set_clock(monkeypatch, "sdk.event_stream", sleep=end)
    status, _, err = run("contract", "events", "anchors", "--follow", "--url", "http://127.0.0.1:9")
    assert status == 0
    assert "the node does not answer, trying again" in err


def test_a_method_that_only_reads_is_called_not_sent(contract: Callable[..., str], evm: EvmNode) -> None:
    found = error(contract("send", "count", "--json"))
    assert found["code"] == "METHOD_READS_ONLY"
    assert "use govnode contract call" in found["message"]


@pytest.mark.parametrize(("code", "told"), [("0x", "NO_CONTRACT"), ("0xfe", "OUTPUT_INVALID")])
def test_a_call_of_an_address_without_code_says_so(
    contract: Callable[..., str], evm: EvmNode, code: str, told: str
) -> None:
    evm.answers |= {"eth_call": {"result": "0x"}, "eth_getCode": {"result": code}}
    assert error(contract("call", "count", "--json"))["code"] == told


def test_a_name_that_is_no_contract_is_answered_with_those_that_are(
    run: Callable[..., tuple[int, Any, str]], evm: EvmNode
) -> None:
    status, _, err = run("contract", "call", "certificate", "certificate", "x", "--json")
    assert (status, error(err)["code"]) == (1, "HEX_INVALID")
    assert "certificates" in error(err)["message"]


@pytest.mark.parametrize("address", ["crypto", "0x0000000000000000000000000000000000001009"])
@pytest.mark.parametrize("verb", ["show", "freeze", "unfreeze"])
def test_a_system_contract_is_neither_shown_as_deployed_nor_frozen(
    run: Callable[..., tuple[int, Any, str]], contract: object, verb: str, address: str
) -> None:
    reason = [] if verb == "show" else ["--reason", "x"]
    status, _, err = run("contract", verb, address, *reason, "--json")
    assert (status, error(err)["code"]) == (1, "SYSTEM_CONTRACT")
    assert "crypto is a system contract" in error(err)["message"]


def test_a_contract_is_shown_with_names_and_times(run: Callable[..., tuple[int, Any, str]], node: Any) -> None:
    deployer, at_ms = address_of(node.chain.clerk.public_key), 1_780_000_000_000
    record = DeploymentRecord(b"\x11" * 20, deployer, DEPARTMENT, b"\7" * 32, 9, at_ms, at_ms + 60_000, "核查 review")
    record_deployment(node.chain.state, record)
    status, shown, _ = run("contract", "show", CONTRACT, "--url", node.url, "--json")
    assert (status, shown["deployer_name"], shown["department_name"]) == (0, "clerk", "示范局")
    assert (shown["deployer"], shown["deployed_ms"], shown["is_frozen"]) == ("0x" + deployer.hex(), at_ms, True)
    _, text, _ = run("contract", "show", CONTRACT, "--url", node.url)
    for part in ("示范局", "clerk", "2026-05-29 04:26:40", "2026-05-29 04:27:40", "核查 review"):
        assert part in text


@pytest.mark.parametrize(("options", "block"), [((), "pending"), (("--block", "9"), "0x9")])
def test_a_call_is_asked_as_of_now_unless_a_height_is_named(
    contract: Callable[..., str], evm: EvmNode, options: tuple[str, ...], block: str
) -> None:
    evm.answers |= {"eth_call": {"result": "0x"}, "eth_getCode": {"result": "0x"}}
    contract("call", "count", *options)
    assert {call["params"][1] for call in evm.asked} == {block}
