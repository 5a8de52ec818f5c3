"""Which logs a client asks for, as eth_getLogs, filters and subscriptions state it."""

from __future__ import annotations

from typing import Any, Final

from node.http.eth_form import LogFilter
from node.http.rpc_fault import parse_bytes, wrong_parameter

MAX_FILTER_ADDRESSES: Final = 100
MAX_FILTER_TOPICS: Final = 100
"""In one place."""
MAX_TOPIC_PLACES: Final = 4


def parse_log_filter(stated: dict[str, Any]) -> LogFilter:
    """Return which logs `address` and `topics` of an object ask for; raise RpcFault when they are not what they should be."""
    return LogFilter(_parse_addresses(stated.get("address")), _parse_topics(stated.get("topics")))


def _parse_addresses(stated: Any) -> frozenset[bytes] | None:
    # An empty list is any address, as everywhere among Ethereum's nodes.
    if stated is None or stated == []:
        return None
    addresses = stated if isinstance(stated, list) else [stated]
    if len(addresses) > MAX_FILTER_ADDRESSES:
        zh, en = f"至多 {MAX_FILTER_ADDRESSES} 个地址", f"at most {MAX_FILTER_ADDRESSES} addresses"
        raise wrong_parameter("address", zh, en, addresses)
    return frozenset(_parse_sized(address, "address", 20) for address in addresses)


def _parse_topics(stated: Any) -> tuple[frozenset[bytes] | None, ...]:
    if stated is None:
        return ()
    if not isinstance(stated, list) or len(stated) > MAX_TOPIC_PLACES:
        zh, en = f"至多 {MAX_TOPIC_PLACES} 项的列表", f"a list of at most {MAX_TOPIC_PLACES}"
        raise wrong_parameter("topics", zh, en, stated)
    return tuple(_parse_place(place) for place in stated)


def _parse_place(stated: Any) -> frozenset[bytes] | None:
    if stated is None or stated == []:
        return None
    topics = stated if isinstance(stated, list) else [stated]
    if len(topics) > MAX_FILTER_TOPICS:
        zh, en = f"每处至多 {MAX_FILTER_TOPICS} 个主题", f"at most {MAX_FILTER_TOPICS} topics in one place"
        raise wrong_parameter("topics", zh, en, topics)
    # null among alternatives takes any topic.
    return None if None in topics else frozenset(_parse_sized(topic, "topics", 32) for topic in topics)


def _parse_sized(stated: Any, field: str, size: int) -> bytes:
    value = parse_bytes(stated, field, size)
    if len(value) != size:
        raise wrong_parameter(field, f"{size} 字节的十六进制", f"{size} bytes in hex", stated)
    return value
