"""JSON-RPC methods that tell of new blocks and logs: subscriptions over WebSocket, and filters that clients poll."""

from __future__ import annotations

from typing import Any, Final

from node.chain.block import block_id
from node.http.eth_form import hex_data
from node.http.eth_parameters import LogQuery, parse_block, parse_log_query
from node.http.eth_reads import LogsRead
from node.http.filters import MAX_FILTERS, Filter, FiltersFull
from node.http.log_filters import parse_log_filter
from node.http.method_reads import Method, Reads
from node.http.rpc_fault import (
    FILTER_NOT_FOUND,
    LIMIT_EXCEEDED,
    METHOD_NOT_FOUND,
    METHOD_NOT_SUPPORTED,
    RpcFault,
    wrong_parameter,
)
from node.http.subscriptions import Opening, TooMany

MAX_POLLED_BLOCKS: Final = 1_000
"""Told of by one poll; the next one goes on from there."""
NEW_HEADS: Final = "newHeads"
LOGS: Final = "logs"
_NEWEST: Final = (None, "latest", "pending", "safe", "finalized")


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
    # As geth has it: what was before the subscription is not told, whatever block is named to begin from.
    first = parse_block(stated.get("fromBlock"), "criteria.fromBlock")
    for name, taken in (("toBlock", _NEWEST), ("blockHash", (None,))):
        if stated.get(name) not in taken:
            zh, en = "不填：订阅只告知新区块且没有终点", "nothing: a subscription tells of new blocks and has no end"
            raise wrong_parameter(f"criteria.{name}", zh, en, stated[name])
    wanted = None if kind == NEW_HEADS else parse_log_filter(stated)
    try:
        return opening.subscribe(wanted, first if isinstance(first, int) else 0)
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


async def _new_filter(reads: Reads, criteria: Any) -> str:
    """Return the id of a filter that tells of new logs when it is polled."""
    query = parse_log_query(criteria)
    if criteria.get("blockHash") is not None:
        zh = "不填：过滤器等待新区块，单个区块的用 eth_getLogs"
        en = "nothing: a filter waits for new blocks, eth_getLogs reads one"
        raise wrong_parameter("criteria.blockHash", zh, en, criteria["blockHash"])
    return _add_filter(reads, query)


async def _new_block_filter(reads: Reads) -> str:
    """Return the id of a filter that tells of the hashes of new blocks when it is polled."""
    return _add_filter(reads, None)


async def _new_pending_transaction_filter(reads: Reads) -> str:
    """Fail: waiting transactions are not published."""
    zh = "不公布待处理的交易；自己的交易用 gov_waitReceipt 或 eth_getTransactionReceipt 等待，新区块用 eth_newBlockFilter"
    en = (
        "waiting transactions are not published: wait for your own by gov_waitReceipt or eth_getTransactionReceipt, "
        "follow blocks by eth_newBlockFilter"
    )
    raise RpcFault(METHOD_NOT_SUPPORTED, zh, en, {"code": "METHOD_NOT_SUPPORTED"})


async def _get_filter_changes(reads: Reads, filter_id: Any) -> Any:
    """Return what is new since the last poll of a filter: logs, or hashes of blocks."""
    polled = _poll(reads, filter_id)
    first, last = polled.next_height, reads.ledger.height
    if polled.query is None:
        last = min(last, first + MAX_POLLED_BLOCKS - 1)
        ids = [hex_data(block_id(reads.ledger.header(height))) for height in range(first, last + 1)]
        polled.next_height = max(first, last + 1)
        return ids
    if isinstance(polled.query.first, int):
        first = max(first, polled.query.first)
    if isinstance(polled.query.last, int):
        last = min(last, polled.query.last)
    return await _poll_logs(reads, polled, first, last) if first <= last else []


async def _get_filter_logs(reads: Reads, filter_id: Any) -> Any:
    """Return all logs of the blocks that a filter was made for, as eth_getLogs does."""
    polled = _poll(reads, filter_id)
    if polled.query is None:
        raise wrong_parameter("filter_id", "日志过滤器的编号", "the id of a filter for logs", filter_id)
    return await reads.read(LogsRead(polled.query))


async def _uninstall_filter(reads: Reads, filter_id: Any) -> bool:
    """Forget a filter; return whether there was one of this id."""
    return reads.filters.remove(_filter_id(filter_id))


def _add_filter(reads: Reads, query: LogQuery | None) -> str:
    try:
        return reads.filters.add(query, reads.ledger.height + 1)
    except FiltersFull:
        zh = f"本节点的过滤器已达上限 {MAX_FILTERS} 个，请用 eth_getLogs 或 WebSocket 订阅"
        en = f"this node has all the {MAX_FILTERS} filters it may have: use eth_getLogs, or subscribe over WebSocket"
        raise RpcFault(LIMIT_EXCEEDED, zh, en, {"code": "TOO_MANY_FILTERS"}) from None


def _poll(reads: Reads, filter_id: Any) -> Filter:
    found = reads.filters.poll(_filter_id(filter_id))
    if found is None:
        zh = "没有该过滤器或已过期：请重新建立，遗漏的用 eth_getLogs 补读"
        en = "filter not found, or expired: make it anew, and read with eth_getLogs what it missed"
        raise RpcFault(FILTER_NOT_FOUND, zh, en, {"code": "FILTER_NOT_FOUND"})
    return found


def _filter_id(filter_id: Any) -> str:
    if not isinstance(filter_id, str):
        raise wrong_parameter("filter_id", "过滤器编号", "the id of a filter", filter_id)
    return filter_id


async def _poll_logs(reads: Reads, polled: Filter, first: int, last: int) -> Any:
    """Return the logs of these blocks; where they are too many for one answer, of the first of them: the next poll goes on there."""
    assert polled.query is not None
    # Taken at once: another poll of this filter meanwhile is not told of them too.
    polled.next_height = last + 1
    try:
        while True:
            try:
                return await reads.read(LogsRead(LogQuery(first, last, polled.query.wanted)))
            except RpcFault as fault:
                until = fault.data.get("toBlock") if isinstance(fault.data, dict) else None
                if until is None:
                    raise
                last = int(until, 16)
                polled.next_height = last + 1
    except BaseException:
        polled.next_height = first
        raise


EVENT_METHODS: Final[dict[str, Method]] = {
    "eth_subscribe": _subscribe,
    "eth_unsubscribe": _unsubscribe,
    "eth_newFilter": _new_filter,
    "eth_newBlockFilter": _new_block_filter,
    "eth_newPendingTransactionFilter": _new_pending_transaction_filter,
    "eth_getFilterChanges": _get_filter_changes,
    "eth_getFilterLogs": _get_filter_logs,
    "eth_uninstallFilter": _uninstall_filter,
}
"""Every method of this module by its name; its parameters are those of the function, by position or by name."""
