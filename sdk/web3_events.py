"""Events of contracts through web3.py as a stream that resumes, synchronous and asynchronous; see sdk.event_stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

import aiohttp
from web3 import AsyncWeb3, Web3
from web3.exceptions import (
    PersistentConnectionError,
    ProviderConnectionError,
    TaskNotRunning,
    TimeExhausted,
    Web3RPCError,
)
from web3.providers.persistent import PersistentConnectionProvider
from websockets.exceptions import WebSocketException

from node.http.json_form import show_briefly
from sdk.event_stream import PATIENCE_MS, POLL_MS, EventBatch, Progress, check_logs, follow
from verification.errors import InputError

# requests' errors are OSErrors.
_LOST: Final = (
    OSError,
    TimeoutError,
    aiohttp.ClientError,
    WebSocketException,
    PersistentConnectionError,
    ProviderConnectionError,
    TaskNotRunning,
    TimeExhausted,
)


def follow_events(
    w3: Web3,
    event: Any,
    *,
    after_height: int,
    until_height: int | None = None,
    poll_ms: int = POLL_MS,
    patience_ms: int = PATIENCE_MS,
) -> Iterator[EventBatch]:
    """Yield the events of blocks behind `after_height`, decoded, block after block; up to `until_height`, without it for ever.

    `event` is an event of a contract (`contract.events.Registered`), or a dict of `address` and `topics` as
    `w3.eth.get_logs` takes them, whose logs come as they are. Goes on through lost connections and restarts of the node.
    Raise NodeUnreachable after `patience_ms` without an answer, web3's errors where the node refuses for good, InputError where
    `event` is neither, and where `after_height` is below 0 or far beyond the node's last block.
    """
    _check_event(event)
    return follow(
        lambda: w3.eth.block_number,
        lambda first, last: list(_read(w3, event, first, last)),
        _wanted(event),
        Progress(after_height, until_height, patience_ms),
        poll_ms,
        _LOST,
        (Web3RPCError,),
    )


async def follow_events_async(
    w3: AsyncWeb3[Any],
    event: Any,
    *,
    after_height: int,
    until_height: int | None = None,
    poll_ms: int = POLL_MS,
    patience_ms: int = PATIENCE_MS,
) -> AsyncIterator[EventBatch]:
    """Do as follow_events does for an AsyncWeb3; a WebSocket that was lost is connected again."""
    _check_event(event)
    progress = Progress(after_height, until_height, patience_ms)
    while not progress.is_done:
        span = None
        try:
            span = progress.next_range(await w3.eth.block_number)
            events = () if span is None else tuple(await _read(w3, event, *span))
        except _LOST as error:
            await asyncio.sleep(progress.lost(error))
            await _connect_again(w3)
            continue
        except Web3RPCError as error:
            await asyncio.sleep(progress.refused(error, span))
            continue
        if span is not None:
            check_logs(events, span, _wanted(event))
        progress.answered(span)
        if span is None:
            await asyncio.sleep(poll_ms / 1000)
        else:
            yield EventBatch(span[1], events)


def _check_event(event: Any) -> None:
    if not isinstance(event, Mapping) and not callable(getattr(event, "get_logs", None)):
        raise InputError(
            "EVENT_INVALID",
            f"event 应为合约的事件，如 contract.events.Registered，或含 address 与 topics 的字典，实为 {show_briefly(event)}",
            "event: expected one of a contract, such as contract.events.Registered, or a dict of address and topics, "
            f"found {show_briefly(event)}",
        )


def _read(w3: Any, event: Any, first: int, last: int) -> Any:
    """Ask for the events of these heights; of an AsyncWeb3 the answer is to be awaited."""
    if isinstance(event, Mapping):
        return w3.eth.get_logs({**event, "fromBlock": first, "toBlock": last})
    return event.get_logs(from_block=first, to_block=last)


def _wanted(event: Any) -> Mapping[str, Any]:
    """Return what is asked for as a filter; of an event web3.py itself looks at the topics."""
    return event if isinstance(event, Mapping) else {"address": getattr(event, "address", None)}


async def _connect_again(w3: AsyncWeb3[Any]) -> None:
    """Open a WebSocket anew; a connection that does not come about shows with the next request."""
    if isinstance(w3.provider, PersistentConnectionProvider):
        try:
            await w3.provider.disconnect()
            await w3.provider.connect()
        except _LOST:
            return
