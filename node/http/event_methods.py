"""JSON-RPC methods that tell of new blocks and logs: subscriptions over WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from node.http.log_filters import parse_log_filter
from node.http.rpc_fault import LIMIT_EXCEEDED, METHOD_NOT_FOUND, RpcFault, wrong_parameter
from node.http.subscriptions import Opening, TooMany

if TYPE_CHECKING:
    from node.http.json_rpc_methods import Method, Reads

NEW_HEADS: Final = "newHeads"
LOGS: Final = "logs"
_NEW_BLOCKS: Final = ("latest", "pending", "safe", "finalized")


async def _subscribe(reads: Reads, kind: Any, criteria: Any = None) -> str:
    """Return the id under which this WebSocket is told of new heads, or of the logs that the criteria ask for."""
    opening = _opening(reads)
    if kind not in (NEW_HEADS, LOGS):
        raise wrong_parameter("kind", "newHeads 或 logs", "newHeads or logs", kind)
    if kind == NEW_HEADS and criteria:
        raise wrong_parameter("criteria", "空（newHeads 没有条件）", "none with newHeads", criteria)
    stated = {} if criteria is None else criteria
    if not isinstance(stated, dict):
        raise wrong_parameter("criteria", "含 address 与 topics 的对象", "an object with address and topics", criteria)
    for name in ("fromBlock", "toBlock"):
        if stated.get(name) is not None and stated[name] not in _NEW_BLOCKS:
            zh, en = (
                "不填：订阅只告知新区块，较早的用 eth_getLogs",
                "nothing: new blocks only, read older ones with eth_getLogs",
            )
            raise wrong_parameter(name, zh, en, stated[name])
    try:
        return opening.subscribe(None if kind == NEW_HEADS else parse_log_filter(stated))
    except TooMany as error:
        zh = f"{'本连接' if error.is_own else '本节点'}的订阅已达上限 {error.limit} 个"
        en = f"{'this connection' if error.is_own else 'this node'} has all the {error.limit} subscriptions it may have"
        raise RpcFault(LIMIT_EXCEEDED, zh, en, {"code": "TOO_MANY_SUBSCRIPTIONS"}) from None


async def _unsubscribe(reads: Reads, subscription: Any) -> bool:
    """End a subscription of this WebSocket; return whether there was one of this id."""
    if not isinstance(subscription, str):
        raise wrong_parameter("subscription", "订阅编号", "the id of a subscription", subscription)
    return _opening(reads).unsubscribe(subscription)


def _opening(reads: Reads) -> Opening:
    if reads.opening is None:
        zh = "订阅需用 WebSocket 连接 /rpc；HTTP 请用 eth_newFilter 与 eth_getFilterChanges"
        en = "subscriptions need a WebSocket at /rpc; over HTTP use eth_newFilter and eth_getFilterChanges"
        raise RpcFault(METHOD_NOT_FOUND, zh, en, {"code": "WEBSOCKET_NEEDED"})
    return reads.opening


EVENT_METHODS: Final[dict[str, Method]] = {
    "eth_subscribe": _subscribe,
    "eth_unsubscribe": _unsubscribe,
}
"""Every method of this module by its name; its parameters are those of the function, by position or by name."""
