"""The eth_*, net_* and web3_* methods: what the execution API's specification and the clients built on it expect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from eth_abi.abi import decode as abi_decode

from contracts import registry
from contracts.abi import decode_error, keccak256, selector
from contracts.data_sharing.audits import QUERIES
from contracts.records import ADDRESSES
from node.chain.proof import TrustAnchor, decode_record_proof, verify_record_proof
from node.chain.transaction import address_of, decode_transaction, transaction_id
from node.http import method_reads
from node.http.eth_methods import ETH_METHODS, MAX_PROOF_SLOTS
from node.http.json_rpc import MAX_BATCH_CALLS, JsonRpc
from node.http.read_worker import MAX_WAITING_READS
from node.ledger.ledger import Ledger
from sm_crypto.sm3 import sm3

if TYPE_CHECKING:
    from tests.node.conftest import EthChain, Register

REGISTER, LOOKUP = selector("register(bytes32,bytes32)"), selector("lookup(bytes32)")
REGISTERED = keccak256(b"Registered(bytes32,bytes32,address)")
NOBODY = "0x" + "99" * 20


def hexed(raw: bytes) -> str:
    return "0x" + raw.hex()


def word(number: int) -> bytes:
    return number.to_bytes(32)


def returns(runtime: bytes) -> bytes:
    """Init code that leaves `runtime`: PUSH2 length, DUP1, PUSH1 12, PUSH0, CODECOPY, PUSH0, RETURN."""
    return b"\x61" + len(runtime).to_bytes(2) + b"\x80\x60\x0a\x5f\x39\x5f\xf3" + runtime


def id_of(raw: bytes) -> str:
    return hexed(transaction_id(decode_transaction(raw).body))


# The chain and the node.


def test_the_chain_and_the_node(eth_chain: EthChain, register: Register) -> None:
    assert eth_chain.result("eth_chainId") == "0x4d"
    assert eth_chain.result("net_version") == "77"
    assert int(eth_chain.result("eth_blockNumber"), 16) == eth_chain.ledger.height
    assert eth_chain.result("web3_clientVersion").startswith("govnode/")
    assert eth_chain.result("net_listening") is True
    assert eth_chain.result("net_peerCount") == "0x1"
    assert eth_chain.result("eth_accounts") == []
    # The empty input's Keccak-256, from the yellow paper.
    assert eth_chain.result("web3_sha3", "0x") == "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_a_node_that_is_behind_says_so(eth_chain: EthChain, register: Register) -> None:
    assert eth_chain.result("eth_syncing") is False
    eth_chain.target_height = 100
    try:
        shown = eth_chain.result("eth_syncing")
        assert (shown["currentBlock"], shown["highestBlock"]) == (hex(eth_chain.ledger.height), "0x64")
    finally:
        eth_chain.target_height = 0


def test_fees_are_zero_everywhere(eth_chain: EthChain, register: Register) -> None:
    for method in ("eth_gasPrice", "eth_maxPriorityFeePerGas", "eth_blobBaseFee"):
        assert eth_chain.result(method) == "0x0"
    assert eth_chain.result("eth_getBalance", NOBODY, "latest") == "0x0"
    shown = eth_chain.result("eth_feeHistory", "0x3", "latest", [10, 50])
    assert shown["oldestBlock"] == hex(eth_chain.ledger.height - 2)
    assert shown["baseFeePerGas"] == ["0x0"] * 4
    assert shown["gasUsedRatio"] == [0.0] * 3
    assert shown["reward"] == [["0x0", "0x0"]] * 3
    assert len(eth_chain.result("eth_feeHistory", 1000, "latest")["baseFeePerGas"]) == eth_chain.ledger.height + 2
    for params in (("0x0", "latest"), ("0x401", "latest"), ("0x1", "latest", [0] * 101), ("0x1", "latest", 5)):
        eth_chain.error(-32602, "eth_feeHistory", *params)
    eth_chain.error(-32001, "eth_feeHistory", "0x1", "0x999")


def test_what_a_node_cannot_do_is_told_with_what_to_do_instead(eth_chain: EthChain) -> None:
    for method in ("eth_sendTransaction", "eth_signTransaction", "eth_sign"):
        assert "Sm2Account" in eth_chain.error(-32004, method, {}, "0x")["message"]
    assert "gov_getContractProof" in eth_chain.error(-32004, "eth_getProof", NOBODY, [], "latest")["message"]


# Blocks, transactions, receipts.


def test_a_block_is_found_by_number_tag_and_hash(eth_chain: EthChain, register: Register) -> None:
    shown = eth_chain.result("eth_getBlockByNumber", "0x2", False)
    assert (shown["number"], shown["transactions"]) == ("0x2", [id_of(register.first)])
    assert eth_chain.result("eth_getBlockByHash", shown["hash"], False) == shown
    full = eth_chain.result("eth_getBlockByHash", shown["hash"], True)
    assert full["transactions"][0]["hash"] == id_of(register.first)
    latest = eth_chain.result("eth_getBlockByNumber", "latest", False)
    assert int(latest["number"], 16) == eth_chain.ledger.height
    for tag in ("safe", "finalized", "pending"):
        assert eth_chain.result("eth_getBlockByNumber", tag, False) == latest
    assert eth_chain.result("eth_getBlockByNumber", hex(eth_chain.ledger.height + 1), False) is None
    assert eth_chain.result("eth_getBlockByHash", hexed(sm3(b"none")), False) is None


def test_each_block_names_its_parent_down_to_block_zero(eth_chain: EthChain, register: Register) -> None:
    above = eth_chain.result("eth_getBlockByNumber", "0x2", False)
    for number in (1, 0):
        below = eth_chain.result("eth_getBlockByNumber", hex(number), False)
        assert above["parentHash"] == below["hash"]
        above = below
    genesis = eth_chain.result("eth_getBlockByNumber", "earliest", True)
    assert (genesis["hash"], genesis["transactions"]) == (hexed(eth_chain.genesis.hash), [])
    assert eth_chain.result("eth_getBlockByHash", genesis["hash"], False) == genesis
    assert eth_chain.result("eth_getBlockReceipts", "0x0") == []


def test_transactions_and_receipts_are_found_by_hash_and_place(eth_chain: EthChain, register: Register) -> None:
    identifier = id_of(register.first)
    shown = eth_chain.result("eth_getTransactionByHash", identifier)
    assert (shown["to"], shown["nonce"], shown["blockNumber"]) == (hexed(register.address), "0x1", "0x2")
    assert eth_chain.result("eth_getTransactionByBlockNumberAndIndex", "0x2", "0x0") == shown
    assert eth_chain.result("eth_getTransactionByBlockHashAndIndex", shown["blockHash"], "0x0") == shown
    assert eth_chain.result("eth_getTransactionByBlockNumberAndIndex", "0x2", "0x1") is None
    assert eth_chain.result("eth_getBlockTransactionCountByNumber", "0x2") == "0x1"
    assert eth_chain.result("eth_getBlockTransactionCountByHash", shown["blockHash"]) == "0x1"
    assert eth_chain.result("eth_getUncleCountByBlockNumber", "0x2") == "0x0"
    assert bytes.fromhex(eth_chain.result("eth_getRawTransactionByHash", identifier)[2:]) == register.first
    receipt = eth_chain.result("eth_getTransactionReceipt", identifier)
    assert (receipt["status"], receipt["logs"][0]["topics"][0]) == ("0x1", hexed(REGISTERED))
    assert eth_chain.result("eth_getBlockReceipts", "0x2") == [receipt]
    assert eth_chain.result("eth_getBlockReceipts", shown["blockHash"]) == [receipt]
    refused = eth_chain.result("eth_getTransactionReceipt", id_of(register.second))
    assert (refused["status"], refused["refusal"]["code"]) == ("0x0", "REVERTED")
    assert refused["refusal"]["message"].startswith("TAKEN: ")
    deployed = eth_chain.result("eth_getBlockReceipts", "0x1")[0]
    assert (deployed["to"], deployed["contractAddress"]) == (None, hexed(register.address))


def test_what_is_not_there_is_null(eth_chain: EthChain) -> None:
    unknown = hexed(sm3(b"unknown"))
    for method in ("eth_getTransactionByHash", "eth_getTransactionReceipt", "eth_getRawTransactionByHash"):
        assert eth_chain.result(method, unknown) is None
    for method in ("eth_getBlockReceipts", "eth_getBlockTransactionCountByNumber"):
        assert eth_chain.result(method, "0xffff") is None


def test_a_raw_transaction_is_taken_as_the_sdk_signs_it(make_eth_chain: Any) -> None:
    chain = make_eth_chain()
    raw = chain.sign_call("anchors", "anchor", digest=sm3(b"raw"), label="件")
    identifier = chain.result("eth_sendRawTransaction", hexed(raw))
    assert identifier == id_of(raw)
    assert chain.result("eth_getTransactionReceipt", identifier)["status"] == "0x1"
    for ethereums in ("0x02f8", "0xf86b", "0x01f8", "0x03f9", "0x04f9"):
        assert "SM2" in chain.error(-32003, "eth_sendRawTransaction", ethereums + "00" * 100)["message"]


# States.


def test_code_storage_and_nonce_of_a_contract(eth_chain: EthChain, register: Register) -> None:
    address = hexed(register.address)
    assert len(eth_chain.result("eth_getCode", address, "latest")) > 500
    assert eth_chain.result("eth_getCode", NOBODY) == "0x"
    # Solidity lays a mapping's entry out at keccak(key . slot); the register's only variable has slot 0.
    slot = int.from_bytes(keccak256(register.key + bytes(32)))
    assert eth_chain.result("eth_getStorageAt", address, hex(slot), "latest") == hexed(register.digest)
    assert eth_chain.result("eth_getStorageAt", address, hexed(word(slot)), {"blockNumber": "0x2"}) == hexed(
        register.digest
    )
    assert eth_chain.result("eth_getStorageAt", address, hex(slot), "0x1") == hexed(bytes(32))
    assert eth_chain.result("eth_getTransactionCount", address) == "0x1"
    deployer = hexed(address_of(eth_chain.deployer.public_key))
    assert eth_chain.result("eth_getTransactionCount", deployer, "pending") == "0x3"
    assert [eth_chain.result("eth_getTransactionCount", deployer, hex(n)) for n in range(4)] == [
        "0x0",
        "0x1",
        "0x2",
        "0x3",
    ]
    assert eth_chain.result("eth_getCode", address, "0x0") == "0x"
    identifier = eth_chain.result("eth_getBlockByNumber", "0x1", False)["hash"]
    assert eth_chain.result("eth_getTransactionCount", deployer, {"blockHash": identifier}) == "0x1"


def test_a_system_contract_has_a_byte_of_code_and_no_storage(eth_chain: EthChain) -> None:
    for name, address in ADDRESSES.items():
        assert eth_chain.result("eth_getCode", hexed(address)) == "0xfe", name
        assert eth_chain.result("eth_getStorageAt", hexed(address), "0x0") == hexed(bytes(32))


def test_records_of_system_contracts_are_not_read_as_storage(make_eth_chain: Any) -> None:
    chain = make_eth_chain()
    # Of every table, and of restricted ones: what lies at the key that a slot would have is never shown.
    for key, _ in list(chain.ledger.state().iterate(b"")):
        if len(key) == 53 and key[20] == 2:
            for block in ("latest", "0x0"):
                shown = chain.result("eth_getStorageAt", hexed(key[:20]), hexed(key[21:]), block)
                assert shown == hexed(bytes(32))


def test_a_state_that_is_kept_no_more_names_the_oldest_that_is(make_eth_chain: Any, make_register: Any) -> None:
    chain = make_eth_chain(kept_heights=3)
    register = make_register(chain)
    for _ in range(4):
        chain.make_block()
    oldest = chain.ledger.oldest_height
    assert oldest == chain.ledger.height - 3
    for method, params in (
        ("eth_call", [register.lookup()]),
        ("eth_estimateGas", [register.lookup()]),
        ("eth_getCode", [NOBODY]),
        ("eth_getStorageAt", [NOBODY, "0x0"]),
        ("eth_getTransactionCount", [NOBODY]),
    ):
        chain.result(method, *params, hex(oldest))
        assert f" {oldest}," in chain.error(-32001, method, *params, hex(oldest - 1))["message"]
        chain.error(-32001, method, *params, hex(chain.ledger.height + 1))
        chain.error(-32001, method, *params, {"blockHash": hexed(sm3(b"none"))})
    # Clients take data in an error of a call for the contract's own, so that the code stands in the text.
    told = chain.error(-32001, "eth_call", {"to": NOBODY}, "0x1")
    assert told["message"].startswith("STATE_NOT_KEPT: ")
    assert "data" not in told
    data = chain.error(-32001, "eth_getCode", NOBODY, "0x1")["data"]
    assert (data["code"], data["oldest_height"]) == ("STATE_NOT_KEPT", hex(oldest))
    # A value that has changed since is the one of that height.
    key, digest = sm3(b"later"), sm3(b"digest")
    before = chain.ledger.height
    chain.make_block(chain.sign(register.address, REGISTER + key + digest))
    now = chain.result("eth_call", register.lookup(key), "latest")
    then = chain.result("eth_call", register.lookup(key), hex(before))
    assert (now[2:66], then[2:66]) == (digest.hex(), "00" * 32)


def test_proofs_of_a_contract_verify_for_whoever_trusts_the_genesis(eth_chain: EthChain, register: Register) -> None:
    slot = int.from_bytes(keccak256(register.key + bytes(32)))
    shown = eth_chain.result("gov_getContractProof", hexed(register.address), [hex(slot), "0x7"])
    trust = TrustAnchor(eth_chain.genesis.hash, 0, eth_chain.genesis.validator_set().hash)
    for part, value in ((shown["account"], ...), (shown["storage"][0], register.digest), (shown["storage"][1], None)):
        record = verify_record_proof(decode_record_proof(bytes.fromhex(part["proof"][2:])), trust)
        assert hexed(record.key) == part["key"]
        assert record.value == (bytes.fromhex(part["value"][2:]) if value is ... else value)
    code = eth_chain.result("eth_getCode", hexed(register.address))
    assert shown["codeHash"] == hexed(keccak256(bytes.fromhex(code[2:])))
    proof = decode_record_proof(bytes.fromhex(eth_chain.result("gov_getProof", shown["codeKey"])[2:]))
    assert hexed(verify_record_proof(proof, trust).value or b"") == code
    absent = eth_chain.result("gov_getContractProof", NOBODY, [], "0x2")
    assert (absent["account"]["value"], absent["codeKey"], absent["height"]) == (None, None, 2)
    eth_chain.error(-32602, "gov_getContractProof", NOBODY, ["0x0"] * (MAX_PROOF_SLOTS + 1))
    eth_chain.error(-32602, "gov_getContractProof", hexed(ADDRESSES["access"]))
    eth_chain.error(-32001, "gov_getContractProof", NOBODY, [], "0x0")


# Calls.


def test_a_contract_is_called_by_anybody(eth_chain: EthChain, register: Register) -> None:
    digest, holder, time_s = abi_decode(
        ["bytes32", "address", "uint64"], bytes.fromhex(eth_chain.result("eth_call", register.lookup())[2:])
    )
    assert digest == register.digest
    assert holder == hexed(address_of(eth_chain.deployer.public_key))
    assert time_s == eth_chain.ledger.header(2).time_ms // 1_000
    assert eth_chain.result("eth_call", register.lookup() | {"from": NOBODY, "gasPrice": "0x5"}) == eth_chain.result(
        "eth_call", {"to": hexed(register.address), "input": register.lookup()["data"], "value": "0x0"}, "latest"
    )


def test_a_call_writes_nothing(eth_chain: EthChain, register: Register) -> None:
    request = {"to": hexed(register.address), "data": hexed(REGISTER + sm3(b"scratch") + sm3(b"x"))}
    assert eth_chain.result("eth_call", request) == "0x"
    assert eth_chain.result("eth_call", request) == "0x"
    clerk = hexed(address_of(eth_chain.clerk.public_key))
    to, data = registry.encode_call("anchors", "anchor", digest=sm3(b"scratch"), label="试")
    assert eth_chain.result("eth_call", {"to": hexed(to), "data": hexed(data), "from": clerk}) == "0x"


def test_a_system_contract_answers_and_refuses_in_the_same_form(eth_chain: EthChain) -> None:
    to, data = registry.encode_call("members", "department", code=eth_chain.department)
    answer = bytes.fromhex(eth_chain.result("eth_call", {"to": hexed(to), "data": hexed(data)})[2:])
    assert "示范市数据资源管理局".encode() in answer
    to, data = registry.encode_call("members", "department", code="NOBODY")
    given = eth_chain.error(3, "eth_call", {"to": hexed(to), "data": hexed(data)})
    assert given["message"].startswith("execution reverted: DEPARTMENT_UNKNOWN: ")
    assert decode_error(bytes.fromhex(given["data"][2:])) == given["message"].removeprefix("execution reverted: ")


def test_a_revert_gives_code_3_and_its_data_as_geth_does(eth_chain: EthChain, register: Register) -> None:
    again = {"to": hexed(register.address), "data": hexed(REGISTER + register.key + register.digest)}
    for method in ("eth_call", "eth_estimateGas"):
        given = eth_chain.error(3, method, again)
        assert given["message"].startswith("execution reverted: TAKEN: ")
        assert given["data"].startswith("0x08c379a0")
    # PUSH4 of a custom error's selector, stored left-aligned, reverted: 4 bytes and nothing else.
    custom = eth_chain.deploy(returns(bytes.fromhex("63deadbeef60e01b5f5260045ffd")))
    given = eth_chain.error(3, "eth_call", {"to": hexed(custom)})
    assert (given["message"], given["data"]) == ("execution reverted", "0xdeadbeef")


@pytest.mark.parametrize(
    ("runtime", "word_of_it"),
    [("fe", "Invalid"), ("5b5f56", "work"), ("5b60015f55600056", "gas")],
    ids=["invalid instruction", "a loop of little gas", "a loop of much gas"],
)
def test_a_halt_is_no_revert_and_carries_no_data(eth_chain: EthChain, runtime: str, word_of_it: str) -> None:
    address = eth_chain.deploy(returns(bytes.fromhex(runtime)))
    gas = {"gas": "0xffff"} if word_of_it == "gas" else {}
    given = eth_chain.error(-32000, "eth_call", {"to": hexed(address), **gas})
    assert word_of_it in given["message"]
    # web3.py takes any data for what a contract gave.
    assert "data" not in given


def test_code_that_is_to_be_deployed_can_be_run_first(eth_chain: EthChain) -> None:
    assert eth_chain.result("eth_call", {"data": hexed(returns(b"\x12\x34"))}) == "0x1234"


def test_calls_as_deep_as_they_go_are_answered(eth_chain: EthChain) -> None:
    # Calls itself with all its gas: every level keeps a sixty-fourth.
    address = eth_chain.deploy(returns(bytes.fromhex("5f5f5f5f5f305af1")))
    assert eth_chain.result("eth_call", {"to": hexed(address)}) == "0x"


def test_an_address_without_code_answers_nothing(eth_chain: EthChain) -> None:
    assert eth_chain.result("eth_call", {"to": NOBODY, "data": "0x1234"}) == "0x"
    # Ethereum's own precompiles answer: SHA-256 of nothing.
    expected = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert eth_chain.result("eth_call", {"to": "0x" + "00" * 19 + "02"}) == expected


def test_a_call_sees_the_block_it_is_run_after(eth_chain: EthChain, register: Register) -> None:
    # NUMBER, TIMESTAMP and BLOCKHASH of the block before, one word each.
    runtime = bytes.fromhex("435f52426020526001430340604052" + "60605ff3")
    address = hexed(eth_chain.deploy(returns(runtime)))
    height = eth_chain.ledger.height
    shown = bytes.fromhex(eth_chain.result("eth_call", {"to": address}, hex(height))[2:])
    assert shown[:32] == word(height)
    assert shown[32:64] == word(eth_chain.ledger.header(height).time_ms // 1_000)
    assert shown[64:] == eth_chain.ledger.header(height).parent_id


def test_an_estimate_is_enough_and_little_more(eth_chain: EthChain, register: Register) -> None:
    sender = hexed(address_of(eth_chain.deployer.public_key))
    request = {"to": hexed(register.address), "data": hexed(REGISTER + sm3(b"estimated") + sm3(b"x")), "from": sender}
    gas = int(eth_chain.result("eth_estimateGas", request), 16)
    eth_chain.make_block(eth_chain.sign(register.address, bytes.fromhex(request["data"][2:]), gas=gas))
    (receipt,) = eth_chain.ledger.receipts(eth_chain.ledger.height)
    assert receipt.refusal is None
    assert gas <= receipt.gas_used * 65 // 64
    deploy = {"data": hexed(returns(b"\x00" * 100)), "from": sender}
    gas = int(eth_chain.result("eth_estimateGas", deploy), 16)
    eth_chain.make_block(eth_chain.sign(None, returns(b"\x00" * 100), gas=gas))
    assert eth_chain.ledger.receipts(eth_chain.ledger.height)[0].refusal is None


def test_an_estimate_leaves_room_for_what_is_refunded(eth_chain: EthChain) -> None:
    # Sets slot 0 and clears it again: the refund comes at the end, the gas has to be there before.
    address = eth_chain.deploy(returns(bytes.fromhex("60015f555f5f55")))
    gas = int(eth_chain.result("eth_estimateGas", {"to": hexed(address)}), 16)
    eth_chain.make_block(eth_chain.sign(address, b"", gas=gas))
    (receipt,) = eth_chain.ledger.receipts(eth_chain.ledger.height)
    assert receipt.refusal is None
    assert receipt.gas_used < gas


@pytest.mark.parametrize("garbage", ["0x1234", "1234", "0x01", "0xc0", "0x", "0x7f00", "0x02c0"])
def test_what_is_no_transaction_is_not_taken_for_one_of_ethereum(eth_chain: EthChain, garbage: str) -> None:
    fault = eth_chain.error(-32003, "eth_sendRawTransaction", garbage)
    assert fault["data"]["code"] == "MALFORMED"
    assert "not a transaction that the sdk signed" in fault["data"]["en"]
    assert "Ethereum" not in fault["message"]


def test_an_estimate_is_refused_as_the_transaction_would_be(eth_chain: EthChain, register: Register) -> None:
    request = register.lookup() | {"from": NOBODY}
    told = eth_chain.error(3, "eth_estimateGas", request)["message"]
    assert "UNKNOWN_ACCOUNT" in told
    # Wallets that send ask for an estimate first: it is no use to have such an address registered.
    assert "SM2" in told
    assert "以太坊钱包" in told
    assert "wallets" in told.partition(" / ")[2]
    clerk = hexed(address_of(eth_chain.clerk.public_key))
    assert "ROLE_MISSING" in eth_chain.error(3, "eth_estimateGas", {"data": "0x00", "from": clerk})["message"]
    assert "NO_CONTRACT" in eth_chain.error(3, "eth_estimateGas", {"to": NOBODY})["message"]
    assert int(eth_chain.result("eth_estimateGas", register.lookup()), 16) > 21_000
    assert "gas" in eth_chain.error(-32000, "eth_estimateGas", register.lookup() | {"gas": "0x5209"})["message"]


@pytest.mark.parametrize(
    "params",
    [
        (None,),
        ([],),
        ({"to": "00"},),
        ({"to": "0x" + "00" * 20, "data": "x"},),
        ({"to": "0x" + "00" * 20, "from": 1},),
        ({"to": NOBODY, "value": "0x1"},),
        ({"to": NOBODY, "value": "zz"},),
        ({"to": NOBODY, "gas": "-1"},),
        ({"to": NOBODY, "data": "0x01", "input": "0x02"},),
        ({"to": NOBODY, "data": "0x" + "00" * 100_000},),
        ({"to": NOBODY}, "newest"),
        ({"to": NOBODY}, "0x01"),
        ({"to": NOBODY}, {"blockHash": "0x00"}),
        ({"to": NOBODY}, {"blockNumber": "0x1", "blockHash": "0x" + "00" * 32}),
        ({"to": NOBODY}, {}),
        ({"to": NOBODY}, "latest", {NOBODY: {"code": "0x"}}),
    ],
)
def test_wrong_parameters_of_a_call(eth_chain: EthChain, params: tuple[Any, ...]) -> None:
    for method in ("eth_call", "eth_estimateGas"):
        assert "data" not in eth_chain.error(-32602, method, *params)


# Audits.


def test_audits_never_leave_by_these_methods(make_eth_chain: Any) -> None:
    chain = make_eth_chain()
    clerk = address_of(chain.clerk.public_key)
    basis = "MANDATE-4711"
    stated = {"kind": "trace", "digest": sm3(b"query"), "basis": basis}
    body = chain.sign_call("audits", "record_query", **stated)
    chain.make_block(body)
    identifier = id_of(body)
    shown = chain.result("eth_getTransactionByHash", identifier)
    assert (shown["input"], shown["isRestricted"]) == ("0x", True)
    everything = [
        shown,
        chain.result("eth_getTransactionReceipt", identifier),
        chain.result("eth_getBlockByNumber", "latest", True),
        chain.result("eth_getBlockReceipts", "latest"),
        chain.result("eth_getLogs", {"fromBlock": "0x0"}),
        chain.error(-32010, "eth_getRawTransactionByHash", identifier),
    ]
    for secret in (basis.encode(), sm3(b"query")):
        assert secret.hex() not in repr(everything)
    for method in ("gov_getReceipt", "gov_getTransaction"):
        told = chain.result(method, identifier)
        assert (told["refusal"], told["message"], told["is_restricted"]) == ("ROLE_MISSING", None, True)
    to, data = registry.encode_call("audits", "audit_query", number=1)
    for method in ("eth_call", "eth_estimateGas"):
        chain.error(-32010, method, {"to": hexed(to), "data": hexed(data)})
    # Nor by trying to write one in the name of who may: what it is refused for, or that it is not, tells which there are.
    _, write = registry.encode_call("audits", "record_query", **stated)
    for method in ("eth_call", "eth_estimateGas"):
        for sender in ({}, {"from": hexed(clerk)}):
            chain.error(-32010, method, {"to": hexed(to), "data": hexed(write), **sender})
    _, authority = registry.encode_call("audits", "authority")
    assert len(chain.result("eth_call", {"to": hexed(to), "data": hexed(authority)})) > 66
    # Nor through a contract that calls on: CALLDATACOPY, STATICCALL to the audits contract, revert with what came back.
    relay = chain.deploy(returns(bytes.fromhex("365f5f375f5f365f61100f5afa" + "503d5f5f3e3d5ffd")))
    given = chain.error(3, "eth_call", {"to": hexed(relay), "data": hexed(data)})
    assert "VIEW_ONLY" in given["message"]
    chain.error(-32010, "gov_getProof", hexed(QUERIES.key((1).to_bytes(8, "big"))))


# Bounds.


def test_a_batch_may_be_all_reads(eth_chain: EthChain, register: Register) -> None:
    assert MAX_BATCH_CALLS > MAX_WAITING_READS
    calls = [
        {"jsonrpc": "2.0", "id": n, "method": "eth_call", "params": [register.lookup()]} for n in range(MAX_BATCH_CALLS)
    ]
    answers = eth_chain.post(calls)
    assert [one["id"] for one in answers] == list(range(MAX_BATCH_CALLS))
    assert {one["result"] for one in answers} == {eth_chain.result("eth_call", register.lookup())}


@pytest.mark.parametrize(("method", "params"), [("eth_getBlockByNumber", ["0x2", True]), ("gov_getBlock", [2])])
def test_the_answers_to_a_batch_are_bounded_together(
    eth_chain: EthChain, register: Register, monkeypatch: pytest.MonkeyPatch, method: str, params: list[Any]
) -> None:
    one = len(orjson.dumps(eth_chain.result(method, *params)))
    monkeypatch.setattr(method_reads, "MAX_ANSWERS_BYTES", 2 * one + 1)
    monkeypatch.setattr(eth_chain, "rpc", JsonRpc(eth_chain))  # type: ignore[arg-type]
    try:
        answers = eth_chain.post([{"jsonrpc": "2.0", "id": n, "method": method, "params": params} for n in range(5)])
    finally:
        eth_chain.rpc.close()
    assert ["result" in answer for answer in answers] == [True] * 3 + [False] * 2
    assert {answer["error"]["data"]["code"] for answer in answers[3:]} == {"TOO_LARGE"}


@pytest.mark.parametrize("value", [None, True, -1, 1.5, "zz", "0x", "0x0", [], {}, ["x"], {"to": 5}, "0x" + "11" * 32])
def test_no_parameter_is_a_fault_of_the_node(eth_chain: EthChain, register: Register, value: Any) -> None:
    for count in (1, 2, 3):
        methods = sorted(ETH_METHODS)
        calls = [{"jsonrpc": "2.0", "id": name, "method": name, "params": [value] * count} for name in methods]
        answers = eth_chain.post(calls)
        assert [one["id"] for one in answers] == methods
        assert [one for one in answers if one.get("error", {}).get("code") == -32603] == []


# A node that joined by a snapshot.


def test_a_joined_node_says_what_it_does_not_hold(
    make_eth_chain: Any, make_register: Any, tmp_path: Path, join_by_snapshot: Callable[[Ledger, Path], None]
) -> None:
    chain = make_eth_chain()
    register = make_register(chain)
    join_by_snapshot(chain.ledger, tmp_path / "joined")
    joined = make_eth_chain(tmp_path / "joined", genesis=chain.genesis)
    base = chain.ledger.height
    assert joined.result("eth_call", register.lookup()) == chain.result("eth_call", register.lookup())
    identifier = chain.result("eth_getBlockByNumber", "0x2", False)["hash"]
    for method, params in (
        ("eth_getBlockByNumber", ["0x2", False]),
        ("eth_getBlockByHash", [identifier, False]),
        ("eth_getBlockByHash", [hexed(sm3(b"unknown")), False]),
        ("eth_getBlockReceipts", ["0x2"]),
        ("eth_getTransactionReceipt", [id_of(register.first)]),
        ("eth_getTransactionByHash", [hexed(sm3(b"unknown"))]),
        ("eth_getLogs", [{"fromBlock": "earliest"}]),
        ("eth_getLogs", [{"blockHash": identifier}]),
        ("eth_getCode", [NOBODY, "0x2"]),
    ):
        data = joined.error(-32001, method, *params)["data"]
        assert (data["code"], data["base_height"]) == ("HISTORY_NOT_HELD", base)
    assert str(base) in joined.error(-32001, "eth_call", register.lookup(), "0x2")["message"]
    assert joined.result("eth_getBlockByNumber", "0x0", False)["hash"] == hexed(chain.genesis.hash)
    joined.make_block(joined.sign(register.address, REGISTER + sm3(b"new") + sm3(b"x")))
    query = {"fromBlock": hex(base + 1), "address": hexed(register.address)}
    assert len(joined.result("eth_getLogs", query)) == 1
