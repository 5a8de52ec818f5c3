"""What the methods of the JSON-RPC interface answer from, and the room that their answers take."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import orjson

from node.http.eth_form import FinalBlock, stored_block
from node.http.eth_reads import Read
from node.http.filters import Filters
from node.http.presentation import FinalTransactions
from node.http.read_worker import ReadWorker
from node.http.rpc_fault import LIMIT_EXCEEDED, RpcFault
from node.ledger.ledger import Ledger

if TYPE_CHECKING:
    from node.http.subscriptions import Opening
    from node.view import NodeView

MAX_ANSWERS_BYTES: Final = 32 * 1024 * 1024
"""Of the answers to one batch, before its last one."""
MAX_ANSWERS_IN_HAND_BYTES: Final = 256 * 1024 * 1024
"""Of the answers to the calls of all requests that are not answered yet: beyond it further calls are told to come again."""
MAX_LOGS_HERE: Final = 500
"""Of a receipt that is shown on the event loop, at 5 us a log; one transaction can log 50,000 times."""

Method = Callable[..., Awaitable[Any]]
"""One method of the interface: it takes `Reads` and its declared parameters."""


class FinalBlocks:
    """Final blocks in the form that receipts are shown from, the last one that was asked for kept."""

    def __init__(self, ledger: Ledger) -> None:
        """Read from `ledger`."""
        self._ledger = ledger
        self._last: FinalBlock | None = None

    def load(self, height: int) -> FinalBlock:
        """Return the block of a height; raise UnknownHeight."""
        if self._last is None or self._last.header.height != height:
            # Receipts first: a block that a snapshot brought has none.
            receipts = self._ledger.receipts(height)
            self._last = stored_block(self._ledger.sealed_block(height), receipts)
        return self._last


class _InHand:
    """How many bytes the answers come to of all requests in hand."""

    size = 0


class Reads:
    """What the methods answer from: the node's read side, and its final transactions with the block they were last read from."""

    def __init__(self, view: NodeView) -> None:
        """Answer from `view`."""
        self.view = view
        self.ledger = view.ledger
        self.transactions = FinalTransactions(view.ledger)
        self.blocks = FinalBlocks(view.ledger)
        self.worker = ReadWorker(view.ledger)
        self.turn = asyncio.Lock()
        """For one request: the calls of a batch are read one after the other."""
        self.filters = Filters()
        self._taken_bytes = 0
        self._in_hand = _InHand()
        self.opening: Opening | None = None
        """Where subscriptions are opened; None for a client that cannot be told anything unasked."""

    def for_opening(self, opening: Opening | None) -> Reads:
        """Return the same reads, for one message of a client that may open subscriptions."""
        reads = copy.copy(self)
        reads.opening = opening
        reads.turn = asyncio.Lock()
        return reads

    async def read(self, asked: Read) -> orjson.Fragment:
        """Return what the reading process answers, as JSON; the calls of one batch wait for each other, so that none fills the queue."""
        async with self.turn:
            self.check_room()
            return orjson.Fragment(await self.worker.read(asked))

    def check_room(self) -> None:
        """Raise RpcFault where the answers to earlier calls, of this request or of all, are as long as they may be."""
        if self._in_hand.size > MAX_ANSWERS_IN_HAND_BYTES:
            zh, en = "正在返回的结果过多，请稍后重试", "too many answers are under way: try again in a moment"
            raise RpcFault(LIMIT_EXCEEDED, zh, en, {"code": "BUSY"})
        if self._taken_bytes >= MAX_ANSWERS_BYTES:
            zh, en = (
                f"整批结果超过 {MAX_ANSWERS_BYTES} 字节，请分批",
                "the batch's answers are too long: send fewer calls at once",
            )
            raise RpcFault(LIMIT_EXCEEDED, zh, en, {"code": "TOO_LARGE"})

    def take_room(self, size: int) -> None:
        """Count the answer to one call of this request; what comes on top of MAX_ANSWERS_BYTES is one answer at most."""
        self._taken_bytes += size
        self._in_hand.size += size

    def give_room_back(self) -> None:
        """Count the answers of this request no more: it has been answered."""
        self._in_hand.size -= self._taken_bytes
        self._taken_bytes = 0
