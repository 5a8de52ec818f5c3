"""JSON schemas of what JSON-RPC methods take and answer, for their description (node/http/rpc_description.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from contracts.registry import CONTRACTS
from node.http.eth_parameters import TAGS
from node.http.log_filters import MAX_FILTER_ADDRESSES, MAX_FILTER_TOPICS, MAX_TOPIC_PLACES

Schema: TypeAlias = dict[str, Any]


def ref(name: str) -> Schema:
    """Return a reference to one of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "null"}]}


def _list(schema: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": schema, **limits}


def _object(properties: Mapping[str, Schema], *, optional: bool = False) -> Schema:
    """Return the schema of an object that has all of these properties, or where `optional` any of them."""
    schema: Schema = {"type": "object", "properties": dict(properties)}
    return schema if optional else {**schema, "required": list(properties)}


def _hex(title: str, digits: str) -> Schema:
    return {"title": title, "type": "string", "pattern": f"^0x[0-9a-f]{digits}$"}


def _hex_input(title: str, digits: str) -> Schema:
    return {"title": title, "type": "string", "pattern": f"^(0x)?[0-9a-fA-F]{digits}$"}


BOOLEAN: Final[Schema] = {"type": "boolean"}
TEXT: Final[Schema] = {"type": "string"}
INTEGER: Final[Schema] = {"type": "integer"}
OBJECT: Final[Schema] = {"type": "object"}
ANY: Final[Schema] = {}

_QUANTITY, _DATA, _HASH, _ADDRESS = ref("Quantity"), ref("Data"), ref("Hash"), ref("Address")
_WANTED_ADDRESS, _WANTED_HASH = ref("AddressInput"), ref("HashInput")
_ANY_ADDRESS: Final = {
    "oneOf": [_WANTED_ADDRESS, _list(_WANTED_ADDRESS, maxItems=MAX_FILTER_ADDRESSES), {"type": "null"}]
}
_ANY_TOPIC: Final = {
    "oneOf": [_WANTED_HASH, _list(_or_null(_WANTED_HASH), maxItems=MAX_FILTER_TOPICS), {"type": "null"}]
}
_WHICH_LOGS: Final = {"address": _ANY_ADDRESS, "topics": _or_null(_list(_ANY_TOPIC, maxItems=MAX_TOPIC_PLACES))}

SCHEMAS: Final[dict[str, Schema]] = {
    "Quantity": {"title": "quantity", "type": "string", "pattern": "^0x(0|[1-9a-f][0-9a-f]*)$"},
    "Data": _hex("bytes", "*"),
    "Hash": _hex("32 bytes", "{64}"),
    "Address": _hex("20 bytes", "{40}"),
    "QuantityInput": {
        "oneOf": [
            {"type": "string", "pattern": "^0x(0|[1-9a-fA-F][0-9a-fA-F]{0,15})$"},
            {"type": "integer", "minimum": 0},
        ]
    },
    "DataInput": _hex_input("bytes", "*"),
    "HashInput": _hex_input("32 bytes", "{64}"),
    "AddressInput": _hex_input("20 bytes", "{40}"),
    "SlotInput": {"title": "storage slot", "type": "string", "pattern": "^0x[0-9a-fA-F]{1,64}$"},
    "BlockInput": {
        "title": "number, tag, or object of EIP-1898",
        "oneOf": [
            ref("QuantityInput"),
            {"type": "string", "enum": list(TAGS)},
            _object({"blockNumber": ref("QuantityInput")}),
            _object({"blockHash": _WANTED_HASH}),
            {"type": "null"},
        ],
    },
    "CallInput": _object(
        {
            "from": _or_null(_WANTED_ADDRESS),
            "to": _or_null(_WANTED_ADDRESS),
            "data": _or_null(ref("DataInput")),
            "input": _or_null(ref("DataInput")),
            "gas": _or_null(ref("QuantityInput")),
        },
        optional=True,
    ),
    "LogFilter": _object({**_WHICH_LOGS, "fromBlock": ref("BlockInput"), "toBlock": ref("BlockInput")}, optional=True),
    "LogQuery": _object(
        {
            **_WHICH_LOGS,
            "fromBlock": ref("BlockInput"),
            "toBlock": ref("BlockInput"),
            "blockHash": _or_null(_WANTED_HASH),
        },
        optional=True,
    ),
    "Block": _object(
        {
            "number": _QUANTITY,
            "hash": _HASH,
            "parentHash": _HASH,
            "miner": _ADDRESS,
            "extraData": _DATA,
            "logsBloom": _DATA,
            "transactionsRoot": _HASH,
            "receiptsRoot": _HASH,
            "stateRoot": _HASH,
            "gasLimit": _QUANTITY,
            "gasUsed": _QUANTITY,
            "timestamp": _QUANTITY,
            "timeMs": _QUANTITY,
            "baseFeePerGas": _QUANTITY,
            "size": _QUANTITY,
            "transactions": {"anyOf": [_list(_HASH), _list(ref("Transaction"))]},
            "uncles": _list(_HASH, maxItems=0),
        }
    ),
    "Transaction": _object(
        {
            "hash": _HASH,
            "blockHash": _HASH,
            "blockNumber": _QUANTITY,
            "transactionIndex": _QUANTITY,
            "type": _QUANTITY,
            "chainId": _QUANTITY,
            "nonce": _QUANTITY,
            "from": _ADDRESS,
            "to": _or_null(_ADDRESS),
            "value": _QUANTITY,
            "gas": _QUANTITY,
            "gasPrice": _QUANTITY,
            "input": _DATA,
            "publicKey": _DATA,
            "sm2Signature": _DATA,
        }
    ),
    "Receipt": _object(
        {
            "transactionHash": _HASH,
            "transactionIndex": _QUANTITY,
            "blockHash": _HASH,
            "blockNumber": _QUANTITY,
            "type": _QUANTITY,
            "status": _QUANTITY,
            "from": _ADDRESS,
            "to": _or_null(_ADDRESS),
            "contractAddress": _or_null(_ADDRESS),
            "gasUsed": _QUANTITY,
            "cumulativeGasUsed": _QUANTITY,
            "logs": _list(ref("Log")),
            "logsBloom": _DATA,
            "refusal": _or_null(OBJECT),
        }
    ),
    "Log": _object(
        {
            "address": _ADDRESS,
            "topics": _list(_HASH, maxItems=4),
            "data": _DATA,
            "blockNumber": _QUANTITY,
            "blockHash": _HASH,
            "transactionHash": _HASH,
            "transactionIndex": _QUANTITY,
            "logIndex": _QUANTITY,
            "removed": BOOLEAN,
        }
    ),
    "GovReceipt": _object(
        {
            "id": _HASH,
            "height": INTEGER,
            "index": INTEGER,
            "time_ms": INTEGER,
            "block_id": _HASH,
            "gas_used": INTEGER,
            "refusal": _or_null(TEXT),
            "message": _or_null(TEXT),
            "output": _or_null(_DATA),
            "events": _or_null(_list(OBJECT)),
            "is_restricted": BOOLEAN,
        }
    ),
    "GovBlock": _object({"id": _HASH, "height": INTEGER, "time_ms": INTEGER, "transactions": _list(_HASH)}),
    "Submitted": _object({"id": _or_null(_HASH), "rejection": _or_null(OBJECT)}),
    "RecordProof": _object({"key": _DATA, "value": _or_null(_DATA), "proof": _DATA}),
}
"""The schemas that descriptions refer to, by name."""

PARAMETERS: Final[dict[str, Schema]] = {
    "address": _WANTED_ADDRESS,
    "arguments": _or_null(OBJECT),
    "block": ref("BlockInput"),
    "block_hash": _WANTED_HASH,
    "contract": {"type": "string", "enum": list(CONTRACTS)},
    "count": ref("QuantityInput"),
    "criteria": _or_null(ref("LogFilter")),
    "data": ref("DataInput"),
    "filter": ref("LogQuery"),
    "filter_id": TEXT,
    "full": BOOLEAN,
    "height": {"oneOf": [ref("QuantityInput"), {"const": "latest"}]},
    "index": ref("QuantityInput"),
    "key": ref("DataInput"),
    "kind": {"type": "string", "enum": ["newHeads", "logs"]},
    "method": TEXT,
    "newest": ref("BlockInput"),
    "percentiles": _or_null(_list({"type": "number"})),
    "slot": ref("SlotInput"),
    "slots": _or_null(_list(ref("SlotInput"))),
    "subscription": TEXT,
    "timeout_ms": {"type": "integer", "minimum": 0},
    "transaction": ref("DataInput"),
    "transaction_hash": _WANTED_HASH,
    "transaction_id": _WANTED_HASH,
    "transactions": _list(ref("DataInput"), minItems=1),
}
"""The schema of a parameter by its name."""

OWN_PARAMETERS: Final[dict[tuple[str, str], Schema]] = {
    ("eth_call", "transaction"): ref("CallInput"),
    ("eth_estimateGas", "transaction"): ref("CallInput"),
    ("eth_newFilter", "criteria"): ref("LogQuery"),
    ("eth_getBlockReceipts", "block"): {"oneOf": [ref("BlockInput"), _WANTED_HASH]},
    ("eth_getUncleCountByBlockHash", "block"): _WANTED_HASH,
}
"""The schemas of parameters whose name means something else in one method, by (method, parameter)."""

_BLOCK_OR_NULL, _TRANSACTION_OR_NULL = _or_null(ref("Block")), _or_null(ref("Transaction"))

RESULTS: Final[dict[str, Schema]] = {
    "gov_status": OBJECT,
    "gov_sendTransaction": _HASH,
    "gov_sendTransactions": _list(ref("Submitted")),
    "gov_getReceipt": _or_null(ref("GovReceipt")),
    "gov_waitReceipt": _or_null(ref("GovReceipt")),
    "gov_getTransaction": _or_null(ref("GovReceipt")),
    "gov_getBlock": _or_null(ref("GovBlock")),
    "gov_call": ANY,
    "gov_getProof": _DATA,
    "gov_getContractProof": _object({"address": _ADDRESS, "account": ref("RecordProof"), "storage": _list(OBJECT)}),
    "gov_getEvidence": _list(OBJECT),
    "gov_getParameters": OBJECT,
    "gov_getValidators": _list(OBJECT),
    "web3_clientVersion": TEXT,
    "web3_sha3": _HASH,
    "net_version": TEXT,
    "net_listening": BOOLEAN,
    "net_peerCount": _QUANTITY,
    "eth_chainId": _QUANTITY,
    "eth_blockNumber": _QUANTITY,
    "eth_syncing": {"oneOf": [{"const": False}, OBJECT]},
    "eth_accounts": _list(_ADDRESS, maxItems=0),
    "eth_mining": BOOLEAN,
    "eth_hashrate": _QUANTITY,
    "eth_gasPrice": _QUANTITY,
    "eth_maxPriorityFeePerGas": _QUANTITY,
    "eth_blobBaseFee": _QUANTITY,
    "eth_feeHistory": _object({"oldestBlock": _QUANTITY, "baseFeePerGas": _list(_QUANTITY)}),
    "eth_getBlockByNumber": _BLOCK_OR_NULL,
    "eth_getBlockByHash": _BLOCK_OR_NULL,
    "eth_getBlockReceipts": _or_null(_list(ref("Receipt"))),
    "eth_getBlockTransactionCountByNumber": _or_null(_QUANTITY),
    "eth_getBlockTransactionCountByHash": _or_null(_QUANTITY),
    "eth_getTransactionByBlockNumberAndIndex": _TRANSACTION_OR_NULL,
    "eth_getTransactionByBlockHashAndIndex": _TRANSACTION_OR_NULL,
    "eth_getUncleCountByBlockNumber": _QUANTITY,
    "eth_getUncleCountByBlockHash": _QUANTITY,
    "eth_getTransactionByHash": _TRANSACTION_OR_NULL,
    "eth_getRawTransactionByHash": _or_null(_DATA),
    "eth_getTransactionReceipt": _or_null(ref("Receipt")),
    "eth_getLogs": _list(ref("Log")),
    "eth_call": _DATA,
    "eth_estimateGas": _QUANTITY,
    "eth_getBalance": _QUANTITY,
    "eth_getCode": _DATA,
    "eth_getStorageAt": _HASH,
    "eth_getTransactionCount": _QUANTITY,
    "eth_sendRawTransaction": _HASH,
    "eth_subscribe": TEXT,
    "eth_unsubscribe": BOOLEAN,
    "eth_newFilter": TEXT,
    "eth_newBlockFilter": TEXT,
    "eth_getFilterChanges": {"anyOf": [_list(_HASH), _list(ref("Log"))]},
    "eth_getFilterLogs": _list(ref("Log")),
    "eth_uninstallFilter": BOOLEAN,
    "rpc.discover": OBJECT,
}
"""The schema of what a method answers by its name; a method that always fails has none."""
