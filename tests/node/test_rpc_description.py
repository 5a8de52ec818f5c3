"""The OpenRPC description: complete, well-formed, and true of what the methods take and answer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from contracts.records import ADDRESSES
from contracts.registry import CONTRACTS
from node.chain.transaction import address_of, decode_transaction, transaction_id
from node.http.json_rpc_methods import METHODS
from node.http.rpc_description import describe
from node.http.rpc_schemas import OWN_PARAMETERS, PARAMETERS, RESULTS, SCHEMAS
from sm_crypto.sm3 import sm3

if TYPE_CHECKING:
    from tests.node.conftest import EthChain, Register

# Members of a method, a content descriptor and an error in OpenRPC 1.3.
METHOD_MEMBERS = {"name", "summary", "description", "params", "result", "errors", "paramStructure", "tags", "examples"}
DESCRIPTOR_MEMBERS = {"name", "summary", "description", "required", "schema", "deprecated"}
ALWAYS_FAIL = {
    "eth_getProof",
    "eth_sendTransaction",
    "eth_signTransaction",
    "eth_sign",
    "eth_newPendingTransactionFilter",
}
NEEDS_WEBSOCKET = {"eth_subscribe", "eth_unsubscribe"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return describe(METHODS)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_method_is_described_by_its_own_signature(document: dict[str, Any]) -> None:
    assert [method["name"] for method in document["methods"]] == list(METHODS)
    for method in document["methods"]:
        parameters = list(inspect.signature(METHODS[method["name"]]).parameters.values())[1:]
        assert [p["name"] for p in method["params"]] == [p.name for p in parameters]
        required = [p["required"] for p in method["params"]]
        assert required == [p.default is inspect.Parameter.empty for p in parameters]
        # Given by position, what may be left out comes last.
        assert required == sorted(required, reverse=True)


def test_the_document_keeps_the_rules_of_open_rpc(document: dict[str, Any]) -> None:
    assert document["openrpc"] == "1.3.2"
    assert set(document) == {"openrpc", "info", "methods", "components"}
    assert {"title", "version"} <= set(document["info"])
    for method in document["methods"]:
        assert set(method) <= METHOD_MEMBERS
        assert method["paramStructure"] in {"by-name", "by-position", "either"}
        descriptors = [*method["params"], *([method["result"]] if "result" in method else [])]
        for descriptor in descriptors:
            assert {"name", "schema"} <= set(descriptor) <= DESCRIPTOR_MEMBERS
            # Well-formed as a schema, with what it refers to at hand.
            jsonschema_rs.Draft7Validator({**descriptor["schema"], "components": document["components"]})
        assert re.fullmatch(r"(Return|Take|End|Forget|Fail:).*[.\w]", method["summary"]), method["summary"]
        assert "None" not in method["summary"]
    for error in document["components"]["errors"].values():
        assert isinstance(error["code"], int)
        assert error["message"]
    for name in (*document["components"]["schemas"], *document["components"]["errors"]):
        assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: dict[str, Any]) -> None:
    found = set(references(document))
    for reference in found:
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
    assert {f"#/components/schemas/{name}" for name in SCHEMAS} <= found
    used = {p["name"] for method in document["methods"] for p in method["params"]}
    assert set(PARAMETERS) <= used
    for name, parameter in OWN_PARAMETERS:
        assert parameter in inspect.signature(METHODS[name]).parameters


def test_a_method_without_result_is_one_that_always_fails(eth_chain: EthChain, document: dict[str, Any]) -> None:
    assert {method["name"] for method in document["methods"] if "result" not in method} == ALWAYS_FAIL
    assert set(RESULTS) == set(METHODS) - ALWAYS_FAIL
    for name in ALWAYS_FAIL:
        assert eth_chain.answer(name)["error"]["code"] == -32004


def test_it_is_served(eth_chain: EthChain, document: dict[str, Any]) -> None:
    assert eth_chain.result("rpc.discover") == document


def samples(chain: EthChain, register: Register) -> list[tuple[str, list[Any]]]:
    """Return calls of every method that answers over HTTP."""
    contract = "0x" + register.address.hex()
    done = "0x" + transaction_id(decode_transaction(register.first).body).hex()
    refused = "0x" + transaction_id(decode_transaction(register.second).body).hex()
    block = chain.result("eth_getBlockByNumber", "0x2")["hash"]
    lookup = register.lookup()
    raw = "0x" + chain.sign_call("anchors", "anchor", digest=sm3(b"sample"), label="样").hex()
    batch = [chain.sign_call("anchors", "anchor", digest=sm3(b"batch"), label="批").hex(), "00"]
    logs = chain.result("eth_newFilter", {"fromBlock": "0x1"})
    blocks = chain.result("eth_newBlockFilter")
    without = [
        "gov_status gov_getEvidence gov_getParameters gov_getValidators web3_clientVersion net_version net_listening net_peerCount",
        "eth_chainId eth_blockNumber eth_syncing eth_accounts eth_mining eth_hashrate eth_gasPrice eth_maxPriorityFeePerGas",
        "eth_blobBaseFee eth_newBlockFilter rpc.discover gov_getBlock",
    ]
    by_hash = "eth_getTransactionByHash eth_getRawTransactionByHash eth_getTransactionReceipt gov_getReceipt gov_getTransaction"
    return [
        *((name, []) for names in without for name in names.split()),
        *((name, [hash_]) for name in by_hash.split() for hash_ in (done, refused, "11" * 32)),
        ("gov_sendTransaction", [chain.sign_call("anchors", "anchor", digest=sm3(b"one"), label="一").hex()]),
        ("gov_sendTransactions", [batch]),
        ("eth_sendRawTransaction", [raw]),
        ("gov_waitReceipt", [done, 0]),
        ("gov_getBlock", [2]),
        ("gov_getBlock", [999]),
        ("gov_call", ["members", "validators"]),
        ("gov_getProof", [register.address.hex() + "01"]),
        ("gov_getContractProof", [contract, ["0x0"]]),
        ("web3_sha3", ["0x68656c6c6f"]),
        ("eth_feeHistory", ["0x2", "latest", [50]]),
        *(
            ("eth_getBlockByNumber", [tag, full])
            for tag in ("earliest", "0x2", "latest", "0x999")
            for full in (True, False)
        ),
        *(("eth_getBlockByHash", [hash_, True]) for hash_ in (block, "0x" + "11" * 32)),
        *(("eth_getBlockReceipts", [at]) for at in ("0x2", "0x3", block, "0x999")),
        *(("eth_getBlockTransactionCountByNumber", [at]) for at in ("0x2", "0x999")),
        ("eth_getBlockTransactionCountByHash", [block]),
        *(("eth_getTransactionByBlockNumberAndIndex", ["0x2", at]) for at in ("0x0", "0x7")),
        ("eth_getTransactionByBlockHashAndIndex", [block, "0x0"]),
        ("eth_getUncleCountByBlockNumber", ["0x2"]),
        ("eth_getUncleCountByBlockHash", [block]),
        ("eth_getLogs", [{"fromBlock": "0x1", "address": [contract, "0x" + ADDRESSES["anchors"].hex()]}]),
        ("eth_call", [lookup, "latest"]),
        ("eth_estimateGas", [{**lookup, "from": "0x" + address_of(chain.deployer.public_key).hex()}]),
        ("eth_getBalance", [contract]),
        ("eth_getCode", [contract]),
        ("eth_getStorageAt", [contract, "0x0"]),
        ("eth_getTransactionCount", [contract]),
        ("eth_newFilter", [{}]),
        ("eth_getFilterChanges", [logs]),
        ("eth_getFilterChanges", [blocks]),
        ("eth_getFilterLogs", [logs]),
        ("eth_uninstallFilter", [logs]),
    ]


def test_what_methods_take_and_answer_is_as_described(
    eth_chain: EthChain, register: Register, document: dict[str, Any]
) -> None:
    described = {method["name"]: method for method in document["methods"]}
    components = {"components": document["components"]}
    answered = set()
    for name, params in samples(eth_chain, register):
        for stated, given in zip(described[name]["params"], params, strict=False):
            jsonschema_rs.Draft7Validator({**stated["schema"], **components}).validate(given)
        result = eth_chain.result(name, *params)
        jsonschema_rs.Draft7Validator({**described[name]["result"]["schema"], **components}).validate(result)
        if result is not None:
            answered.add(name)
    assert answered == set(RESULTS) - NEEDS_WEBSOCKET


def test_contracts_are_named(document: dict[str, Any]) -> None:
    (call,) = (method for method in document["methods"] if method["name"] == "gov_call")
    assert call["params"][0]["schema"]["enum"] == list(CONTRACTS)
