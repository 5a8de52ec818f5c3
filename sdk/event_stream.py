"""Events of contracts as a stream that resumes: whoever keeps one height misses no event and sees none twice.

Blocks are final when they are made, so a range of heights that was read once never changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

import msgspec

from sdk.client import Client
from sdk.errors import NodeUnreachable, RequestRefused
from verification.errors import InputError

MAX_RANGE_BLOCKS: Final = 10_000
POLL_MS: Final = 250
PATIENCE_MS: Final = 300_000
"""How long a stream goes on asking a node that does not answer."""
MIN_RETRY_MS: Final = 100
MAX_RETRY_MS: Final = 5_000
GROW_AFTER_RANGES: Final = 16
MAX_LAG_BLOCKS: Final = 100
"""How far a node may lie behind the height that a reader kept: one that has just started again catches up. More is a mistake."""

# Refusals that another, shorter range would meet again.
_FINAL_REFUSALS: Final = frozenset({"HISTORY_NOT_HELD", "PARAMETER_INVALID", "SIGNATURE_REQUIRED"})
_BUSY: Final = "BUSY"


class EventBatch(msgspec.Struct, frozen=True):
    """The events, in the order of the chain, of a run of blocks that ends at `through_height`; there may be none.

    Keep `through_height` together with what the events led to: a later stream with it as `after_height` goes on just there.
    """

    through_height: int
    events: tuple[Any, ...]


class Progress:
    """Which heights to ask for next, and whether to ask again after a failure: what every stream decides alike."""

    def __init__(
        self,
        after_height: int,
        until_height: int | None,
        patience_ms: int,
        on_lost: Callable[[Exception], None] | None = None,
    ) -> None:
        """Begin behind `after_height`, raise InputError where that is no height; the stream ends with `until_height`, without one never.

        `on_lost` hears of the first of a row of requests that the node did not answer.
        """
        if not isinstance(after_height, int) or after_height < 0:
            raise InputError(
                "HEIGHT_INVALID",
                f"after_height 应为 0 或更大的高度，实为 {after_height!r}",
                f"after_height: expected a height from 0 on, found {after_height!r}",
            )
        self._after, self._until, self._patience_ms, self._on_lost = after_height, until_height, patience_ms, on_lost
        self._is_begun = False
        self._width, self._taken = MAX_RANGE_BLOCKS, 0
        self._lost_since_s: float | None = None
        self._retry_ms = MIN_RETRY_MS

    @property
    def is_done(self) -> bool:
        """Whether the last height that was asked for has been read."""
        return self._until is not None and self._after >= self._until

    def next_range(self, head: int) -> tuple[int, int] | None:
        """Return the first and last height to read next from a node whose ledger ends at `head`, None when it has no more yet.

        Raise InputError where the stream is to begin behind blocks that are far from being made.
        """
        if not self._is_begun and self._after > head + MAX_LAG_BLOCKS:
            raise height_ahead(self._after, head)
        self._is_begun = True
        last = min(head, self._after + self._width, head if self._until is None else self._until)
        return (self._after + 1, last) if last > self._after else None

    def answered(self, span: tuple[int, int] | None) -> None:
        """Note that the node answered, and that `span` has been read."""
        self._lost_since_s, self._retry_ms = None, MIN_RETRY_MS
        if span is None:
            return
        self._after = span[1]
        self._taken += 1
        if self._taken >= GROW_AFTER_RANGES:
            self._width, self._taken = min(2 * self._width, MAX_RANGE_BLOCKS), 0

    def refused(self, error: Exception, span: tuple[int, int] | None) -> float:
        """Return after how many seconds to ask again, for less at once; raise `error` where that would not help."""
        code = _refusal_code(error)
        if code == _BUSY:
            return self.lost(error)
        if span is None or span[0] == span[1] or code in _FINAL_REFUSALS:
            raise error
        self._width, self._taken = max(1, (span[1] - span[0] + 1) // 2), 0
        return 0.0

    def lost(self, error: Exception) -> float:
        """Return after how many seconds to ask a node again that did not answer; raise NodeUnreachable when patience is at its end."""
        now_s = time.monotonic()
        if self._lost_since_s is None:
            self._lost_since_s = now_s
            if self._on_lost is not None:
                self._on_lost(error)
        if (now_s - self._lost_since_s) * 1000 >= self._patience_ms:
            reason = str(error) or type(error).__name__
            raise NodeUnreachable(
                "NODE_UNREACHABLE",
                f"节点在 {self._patience_ms} 毫秒内没有应答（{reason}）；从高度 {self._after} 之后可继续",
                f"no answer for {self._patience_ms} ms ({reason}); resume after height {self._after}",
            ) from error
        wait_ms = self._retry_ms
        self._retry_ms = min(2 * self._retry_ms, MAX_RETRY_MS)
        return wait_ms / 1000


def follow_logs(
    client: Client,
    wanted: dict[str, Any],
    *,
    after_height: int,
    until_height: int | None = None,
    poll_ms: int = POLL_MS,
    patience_ms: int = PATIENCE_MS,
    on_lost: Callable[[Exception], None] | None = None,
) -> Iterator[EventBatch]:
    """Yield the logs, as eth_getLogs shows them, that fit the `address` and `topics` of `wanted`, block after block.

    Goes on through lost connections and restarts of the node; `on_lost` is called once for each. Raise NodeUnreachable after
    `patience_ms` without an answer, RequestRefused with HISTORY_NOT_HELD where the node no longer has the blocks, InputError
    where `after_height` is below 0 or far beyond the node's last block. A node that answers with other logs than it was asked
    for ends the stream by NodeUnreachable.
    """

    def read(first: int, last: int) -> Sequence[Any]:
        found: list[Any] = client.rpc("eth_getLogs", wanted | {"fromBlock": hex(first), "toBlock": hex(last)})
        return found

    def read_head() -> int:
        return int(client.rpc("eth_blockNumber"), 16)

    progress = Progress(after_height, until_height, patience_ms, on_lost)
    return follow(read_head, read, wanted, progress, poll_ms, (NodeUnreachable,), (RequestRefused,))


def follow(
    read_head: Callable[[], int],
    read: Callable[[int, int], Sequence[Any]],
    wanted: Mapping[str, Any],
    progress: Progress,
    poll_ms: int,
    lost: tuple[type[Exception], ...],
    refused: tuple[type[Exception], ...],
) -> Iterator[EventBatch]:
    """Yield what `read` returns for ranges of heights; `lost` and `refused` are what the readers raise for no answer and for a no."""
    while not progress.is_done:
        span = None
        try:
            span = progress.next_range(read_head())
            events = () if span is None else tuple(read(*span))
        except lost as error:
            time.sleep(progress.lost(error))
            continue
        except refused as error:
            time.sleep(progress.refused(error, span))
            continue
        if span is not None:
            check_logs(events, span, wanted)
        progress.answered(span)
        if span is None:
            time.sleep(poll_ms / 1000)
        else:
            yield EventBatch(span[1], events)


def check_logs(logs: Sequence[Any], span: tuple[int, int], wanted: Mapping[str, Any]) -> None:
    """Raise NodeUnreachable unless every log is of the heights in `span`, behind the one before it, and fits `wanted`.

    Logs are as eth_getLogs shows them or as web3.py does, `wanted` has `address` and `topics` as eth_getLogs takes them.
    """
    addresses, topics = _choices(wanted.get("address")), [_choices(one) for one in wanted.get("topics") or ()]
    before = (span[0], -1)
    for log in logs:
        try:
            place = (_number(log["blockNumber"]), _number(log["logIndex"]))
            found = [_text(topic) for topic in log.get("topics", ())]
            is_wanted = not addresses or _text(log["address"]) in addresses
            if "topics" in log:
                pairs = zip_longest(found, topics, fillvalue=None)
                is_wanted = is_wanted and all(not any_of or topic in any_of for topic, any_of in pairs)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _other_logs(span) from None
        if not is_wanted or place <= before or place[0] > span[1]:
            raise _other_logs(span)
        before = place


def _choices(value: Any) -> frozenset[str]:
    """Return the values that a part of a filter admits, none where it admits all."""
    if value is None:
        return frozenset()
    return frozenset(_text(one) for one in (value if isinstance(value, list | tuple) else [value]))


def _text(value: str | bytes) -> str:
    return "0x" + value.hex().removeprefix("0x") if isinstance(value, bytes) else value.lower()


def _number(value: str | int) -> int:
    return value if isinstance(value, int) else int(value, 16)


def _other_logs(span: tuple[int, int]) -> NodeUnreachable:
    return NodeUnreachable(
        "NOT_A_NODE",
        f"节点的应答不是所查的高度 {span[0]} 至 {span[1]} 的日志或与条件不符；请检查或改用其他节点，可从高度 {span[0] - 1} 之后继续",
        f"the node answered with logs other than those asked for, of heights {span[0]} to {span[1]}: check it or use another "
        f"node, and resume after height {span[0] - 1}",
    )


def height_ahead(after_height: int, head: int) -> InputError:
    """Return the error of reading on behind a height that the node's ledger does not have."""
    return InputError(
        "HEIGHT_AHEAD",
        f"节点的账本到高度 {head} 为止，不能从高度 {after_height} 之后读起；请核对高度与节点",
        f"the node's ledger ends at height {head}, there is nothing behind {after_height}: check the height and the node",
    )


def _refusal_code(error: Exception) -> str:
    """Return the name that the node gave a refusal, in the sdk's form or in web3.py's; empty when it gave none."""
    if isinstance(error, RequestRefused):
        return error.code
    data = (getattr(error, "rpc_response", None) or {}).get("error", {}).get("data")
    return str(data.get("code", "")) if isinstance(data, Mapping) else ""
