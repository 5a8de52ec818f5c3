"""What a view answers in JSON's types, as the values that its declaration states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.abi import AbiError, AbiType, Array, Tuple
from contracts.registry import CONTRACTS
from node.http.json_form import from_json, to_json
from sdk.client import Client, FinalReceipt
from sdk.errors import NodeUnreachable, RequestRefused


def ask(client: Client, contract: str, method: str, /, **arguments: Any) -> Any:
    """Return what a view of the node's latest state answers: structs, bytes and integers as declared, lists as tuples.

    Raise RequestRefused with the contract's reason, NodeUnreachable when the answer is of another form than is declared here.
    """
    return _declared(contract, method, client.view(contract, method, **to_json(arguments)))


def ask_many(client: Client, contract: str, method: str, calls: Sequence[Mapping[str, Any]], /) -> list[Any]:
    """Return for the arguments of each call what `ask` returns, or the RequestRefused that it raises; raise NodeUnreachable."""
    answers = client.views(contract, method, [to_json(call) for call in calls])
    return [answer if isinstance(answer, RequestRefused) else _declared(contract, method, answer) for answer in answers]


def returned(contract: str, method: str, receipt: FinalReceipt) -> Any:
    """Return what a call that was submitted returned, as its declaration states it; raise NodeUnreachable where it is of another form."""
    output = CONTRACTS[contract].methods[method].output
    assert output is not None, "the method returns something"
    try:
        return _built(output, Tuple((output,)).decode_all(bytes.fromhex(receipt.output.removeprefix("0x")))[0])
    except (AbiError, ValueError) as error:
        raise _undeclared(contract, method, error) from None


def _declared(contract: str, method: str, shown: Any) -> Any:
    """Return a view's answer in JSON's types as the values that its declaration states."""
    output = CONTRACTS[contract].methods[method].output
    assert output is not None, "a view returns something"
    try:
        return _built(output, from_json(output, shown, method))
    except AbiError as error:
        raise _undeclared(contract, method, error) from None


def _undeclared(contract: str, method: str, error: Exception) -> NodeUnreachable:
    return NodeUnreachable(
        "ANSWER_INVALID",
        f"节点对 {contract}.{method} 的应答与本程序的声明不符，请核对节点版本：{error}",
        f"the node's answer to {contract}.{method} is not as this program declares it: check the node's version ({error})",
    )


def _built(kind: AbiType, value: Any) -> Any:
    if isinstance(kind, Array):
        return tuple(_built(kind.element, item) for item in value)
    if isinstance(kind, Tuple):
        items = [_built(item_kind, item) for item_kind, item in zip(kind.items, value, strict=True)]
        return tuple(items) if kind.build is None else kind.build(*items)
    return value
