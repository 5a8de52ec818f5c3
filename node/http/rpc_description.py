"""The OpenRPC description of the JSON-RPC interface, made from the methods themselves: what rpc.discover answers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final

from node.http import rpc_fault
from node.http.method_reads import Method
from node.http.rpc_schemas import ANY, OWN_PARAMETERS, PARAMETERS, RESULTS, SCHEMAS, Schema
from node.release import SOFTWARE_VERSION

OPENRPC_VERSION: Final = "1.3.2"

_ERRORS: Final = {
    "InvalidParams": (rpc_fault.INVALID_PARAMS, "参数不符 / a parameter is not what the method takes"),
    "InternalError": (rpc_fault.INTERNAL_ERROR, "节点内部错误 / a fault of the node's"),
    "UnknownHeight": (rpc_fault.UNKNOWN_HEIGHT, "该高度不可用 / that height is not there, or is kept no more"),
    "TransactionRejected": (rpc_fault.TRANSACTION_REJECTED, "交易未被接受 / the transaction was not taken"),
    "MethodNotSupported": (rpc_fault.METHOD_NOT_SUPPORTED, "本链没有此方法 / this chain has no such method"),
    "LimitExceeded": (rpc_fault.LIMIT_EXCEEDED, "超过上限 / past a limit"),
    "Restricted": (rpc_fault.RESTRICTED, "仅向审计方和当事部门开放 / for auditors and parties only"),
    "CallRefused": (rpc_fault.CALL_REFUSED, "合约拒绝了调用 / the contract refused the call"),
}


def describe(methods: Mapping[str, Method]) -> dict[str, Any]:
    """Return the OpenRPC document of these methods; raise KeyError for a parameter that has no schema."""
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "govnode",
            "version": SOFTWARE_VERSION,
            "description": "国密许可链节点的 JSON-RPC 接口 / JSON-RPC interface of a node of a national-cryptography permissioned chain",
        },
        "methods": [_describe(name, method) for name, method in methods.items()],
        "components": {
            "schemas": SCHEMAS,
            "errors": {name: {"code": code, "message": text} for name, (code, text) in _ERRORS.items()},
        },
    }


def _describe(name: str, method: Method) -> dict[str, Any]:
    summary = inspect.getdoc(method)
    assert summary is not None, f"{name} has no docstring"
    parameters = list(inspect.signature(method).parameters.values())[1:]
    described: dict[str, Any] = {
        "name": name,
        "summary": re.sub(r"\bNone\b", "null", summary.partition("\n")[0]),
        "params": [_describe_parameter(name, parameter) for parameter in parameters],
        "paramStructure": "either",
        "errors": [{"$ref": f"#/components/errors/{error}"} for error in _ERRORS],
    }
    if name in RESULTS:
        described["result"] = {"name": "result", "schema": RESULTS[name]}
    return described


def _describe_parameter(method: str, parameter: inspect.Parameter) -> dict[str, Any]:
    is_required = parameter.default is inspect.Parameter.empty
    # What a method that always fails is given means nothing.
    schema: Schema = ANY if method not in RESULTS else _schema(method, parameter.name)
    if not is_required and parameter.default is not None:
        schema = {"allOf": [schema], "default": parameter.default}
    return {"name": parameter.name, "required": is_required, "schema": schema}


def _schema(method: str, parameter: str) -> Schema:
    own = OWN_PARAMETERS.get((method, parameter))
    return PARAMETERS[parameter] if own is None else own
