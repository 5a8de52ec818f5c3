"""What WebSocket clients subscribe to: new heads and logs, told in order from one short memory of recent blocks that all share.

Nothing is queued for a client. Each one goes through the recent blocks at its own pace, and one that falls behind by more than
is kept of them is told so and dropped: it resumes by reading logs from the height where it stopped.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from contracts.call import Log
from node.http.eth_form import LogFilter, committed_block, is_hidden_log, show_header, show_log
from node.ledger.ledger import CommittedBlock

if TYPE_CHECKING:
    from node.view import NodeView

MAX_SUBSCRIPTIONS: Final = 1_000
MAX_CLIENT_SUBSCRIPTIONS: Final = 32
MAX_KEPT_BLOCKS: Final = 64
MAX_KEPT_LOGS: Final = 65_536
"""In the blocks that are kept for slow subscribers, the newest one apart."""
MAX_TURN_NOTIFICATIONS: Final = 32
MAX_TURN_LOGS: Final = 512
"""Looked at in one turn: the node's own work goes on between turns."""


class TooMany(Exception):
    """A subscription more than a limit allows; `limit` is that limit, `is_own` whether it is the client's own."""

    def __init__(self, limit: int, *, is_own: bool) -> None:
        super().__init__(f"at most {limit}")
        self.limit, self.is_own = limit, is_own


class _Block:
    """One recent block as subscribers are told of it: each form is made once, when it is first wanted."""

    def __init__(self, committed: CommittedBlock, gas_limit: int) -> None:
        self._block = committed_block(committed)
        self._gas_limit = gas_limit
        self._head: asyncio.Task[bytes] | None = None
        self.log_count = sum(len(receipt.logs) for receipt in committed.receipts)
        self._places: list[tuple[int, int, Log]] = []
        """Of each log that is shown: the index of its transaction, its number in the block, and itself."""
        self._by_address: dict[bytes, list[int]] = {}
        self._shown: dict[int, bytes] = {}

    async def head(self) -> bytes:
        """Return the header as JSON; its bloom takes thousands of hashes, which are made off the event loop."""
        if self._head is None:
            self._head = asyncio.create_task(asyncio.to_thread(self._show_head))
        return await asyncio.shield(self._head)

    def _show_head(self) -> bytes:
        return orjson.dumps(show_header(self._block, self._gas_limit))

    def candidates(self, wanted: LogFilter) -> Iterable[int]:
        """Return the places in their order of the logs that a filter may take."""
        if not self._places and self.log_count:
            self._find_places()
        if wanted.addresses is None:
            return range(len(self._places))
        return sorted(place for address in wanted.addresses for place in self._by_address.get(address, ()))

    def log(self, place: int) -> Log:
        """Return the log at a place."""
        return self._places[place][2]

    def show_log(self, place: int) -> bytes:
        """Return the log at a place as JSON."""
        shown = self._shown.get(place)
        if shown is None:
            shown = self._shown[place] = orjson.dumps(show_log(self._block, *self._places[place]))
        return shown

    def _find_places(self) -> None:
        number = 0
        for index, receipt in enumerate(self._block.receipts):
            for log in receipt.logs:
                if not is_hidden_log(log):
                    self._by_address.setdefault(log.address, []).append(len(self._places))
                    self._places.append((index, number, log))
                number += 1


class _Subscription(msgspec.Struct):
    wanted: LogFilter | None
    """None for new heads."""
    least_height: int
    from_height: int | None = None
    """The first block that it tells of; None until the client knows its id."""


class Subscriptions:
    """The subscriptions of all clients, and the recent blocks they are told of while there is any."""

    def __init__(self, view: NodeView) -> None:
        """Follow the final blocks of a node."""
        self._ledger = view.ledger
        self.height = view.ledger.height
        """Of the newest block told."""
        self._blocks: dict[int, _Block] = {}
        self._log_count = 0
        self._subscribers: set[Subscriber] = set()
        self.count = 0
        self._turn = asyncio.Lock()
        view.subscribe(self._take_block)

    def _take_block(self, committed: CommittedBlock) -> None:
        self.height = committed.header.height
        if not self.count:
            self._blocks.clear()
            self._log_count = 0
            return
        block = _Block(committed, self._ledger.parameters().max_block_gas)
        self._blocks[self.height] = block
        self._log_count += block.log_count
        while len(self._blocks) > 1 and (len(self._blocks) > MAX_KEPT_BLOCKS or self._log_count > MAX_KEPT_LOGS):
            self._log_count -= self._blocks.pop(min(self._blocks)).log_count
        oldest = min(self._blocks)
        for subscriber in list(self._subscribers):
            subscriber.wake(oldest)

    def add(self, subscriber: Subscriber) -> None:
        """Count one more subscription, of this client; raise TooMany where the node has as many as it may."""
        if self.count >= MAX_SUBSCRIPTIONS:
            raise TooMany(MAX_SUBSCRIPTIONS, is_own=False)
        self.count += 1
        self._subscribers.add(subscriber)

    def remove(self, subscriber: Subscriber, count: int) -> None:
        """Count fewer subscriptions; the client is woken no more when it has none left."""
        self.count -= count
        if not subscriber.is_subscribed:
            self._subscribers.discard(subscriber)

    def block(self, height: int) -> _Block:
        """Return the block of a height that a subscriber still has to be told of: it is kept for as long as there is one."""
        return self._blocks[height]

    async def take_turn(self) -> None:
        """Return when it is this client's turn: one client gets one a round of the event loop, however many there are."""
        async with self._turn:
            await asyncio.sleep(0)


class Subscriber:
    """One client's subscriptions."""

    def __init__(self, subscriptions: Subscriptions, drop: Callable[[str], None]) -> None:
        """Have no subscription yet; `drop` is called with the reason when the client is too slow to be told on."""
        self._all = subscriptions
        self._drop = drop
        self._own: dict[str, _Subscription] = {}
        self._woken = asyncio.Event()
        self._next_height = 0
        """Of the block that the client is told of next, or of one before its first."""

    @property
    def is_subscribed(self) -> bool:
        """Whether the client has any subscription."""
        return bool(self._own)

    def subscribe(self, wanted: LogFilter | None, least_height: int) -> str:
        """Return the id of a new subscription to logs, or to new heads for None; raise TooMany past a limit.

        It tells of nothing before activate(), and of no block below `least_height`.
        """
        if len(self._own) >= MAX_CLIENT_SUBSCRIPTIONS:
            raise TooMany(MAX_CLIENT_SUBSCRIPTIONS, is_own=True)
        self._all.add(self)
        subscription_id = hex(secrets.randbits(128))
        self._own[subscription_id] = _Subscription(wanted, least_height)
        return subscription_id

    def unsubscribe(self, subscription_id: str) -> bool:
        """End a subscription of this client; return whether there was one of this id."""
        if self._own.pop(subscription_id, None) is None:
            return False
        self._all.remove(self, 1)
        return True

    def activate(self, subscription_id: str) -> None:
        """Tell of every block from now on, unless the subscription has ended meanwhile."""
        if (subscription := self._own.get(subscription_id)) is not None:
            subscription.from_height = max(self._all.height + 1, subscription.least_height)

    def close(self) -> None:
        """End all subscriptions."""
        count = len(self._own)
        self._own.clear()
        self._all.remove(self, count)

    def wake(self, oldest_height: int) -> None:
        """Note that there is a new block; drop the client when it has yet to be told of one before the oldest that is kept."""
        height = self._due_height()
        if height is not None and height < oldest_height:
            self.close()
            self._drop(f"读取过慢 / too slow: resume with eth_getLogs from block {height}")
        self._woken.set()

    async def tell(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send the client its notifications, block by block and each as encoded JSON, until it is gone."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while (height := self._due_height()) is not None and height <= self._all.height:
                self._next_height = height
                block = self._all.block(height)
                for subscription_id, subscription in list(self._own.items()):
                    if subscription.from_height is not None and subscription.from_height <= height:
                        await self._tell_one(subscription_id, subscription.wanted, block, send)
                self._next_height = height + 1

    def _due_height(self) -> int | None:
        heights = (one.from_height for one in self._own.values() if one.from_height is not None)
        first = min(heights, default=None)
        return None if first is None else max(first, self._next_height)

    async def _tell_one(
        self, subscription_id: str, wanted: LogFilter | None, block: _Block, send: Callable[[bytes], Awaitable[None]]
    ) -> None:
        await self._all.take_turn()
        if subscription_id not in self._own:
            return
        if wanted is None:
            await send(_notification(subscription_id, await block.head()))
            return
        seen = told = 0
        for place in block.candidates(wanted):
            seen += 1
            if wanted.matches(block.log(place)):
                if subscription_id not in self._own:
                    return
                told += 1
                await send(_notification(subscription_id, block.show_log(place)))
            if seen >= MAX_TURN_LOGS or told >= MAX_TURN_NOTIFICATIONS:
                seen = told = 0
                await self._all.take_turn()


class Opening:
    """What one message of a client may open and end: its subscriptions tell of nothing until the client has read their ids."""

    def __init__(self, subscriber: Subscriber) -> None:
        """Open nothing yet."""
        self._subscriber = subscriber
        self._opened: list[str] = []

    def subscribe(self, wanted: LogFilter | None, least_height: int) -> str:
        """Return the id of a new subscription, as Subscriber.subscribe() does."""
        subscription_id = self._subscriber.subscribe(wanted, least_height)
        self._opened.append(subscription_id)
        return subscription_id

    def unsubscribe(self, subscription_id: str) -> bool:
        """End a subscription of the client's, by this or another message; return whether there was one of this id."""
        return self._subscriber.unsubscribe(subscription_id)

    def activate(self) -> None:
        """Tell of every block from now on: the answer to the message is on its way, ahead of every notification."""
        for subscription_id in self._opened:
            self._subscriber.activate(subscription_id)


def _notification(subscription_id: str, result: bytes) -> bytes:
    head = b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"'
    return b"".join((head, subscription_id.encode(), b'","result":', result, b"}}"))
