"""A stream of events that resumes from a height: through refusals, lost connections and restarts, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from web3 import AsyncWeb3, Web3
from web3.exceptions import Web3RPCError
from web3.providers.async_base import AsyncJSONBaseProvider
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from sdk import event_stream
from sdk.client import rpc_result
from sdk.errors import NodeUnreachable, RequestRefused
from sdk.event_stream import EventBatch, follow_logs
from sdk.web3_events import follow_events, follow_events_async
from tests.clocks import set_clock
from verification.errors import InputError

CONTRACT = "0x" + "11" * 20


class Chain:
    """Heights with events, a head that grows as it is asked for, and a node in front that fails as told."""

    def __init__(self, logs: dict[int, int], head: int, *, max_range: int = 10_000, max_logs: int = 10_000) -> None:
        self.logs, self.head = logs, head
        self.max_range, self.max_logs = max_range, max_logs
        self.ranges: list[tuple[int, int]] = []
        self.failures: Callable[[], Exception | None] = lambda: None
        self.growth = 0

    def answer(self, method: str, params: Any) -> dict[str, Any]:
        failure = self.failures()
        if failure is not None:
            raise failure
        if method == "eth_blockNumber":
            self.head += self.growth
            return {"jsonrpc": "2.0", "id": 1, "result": hex(self.head)}
        assert method == "eth_getLogs"
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        assert params[0]["address"] in (CONTRACT, [CONTRACT])
        found = [
            self.log(height, index)
            for height in range(first, last + 1)
            for index in range(self.logs.get(height, 0))
            if height <= self.head
        ]
        if last - first + 1 > self.max_range or len(found) > self.max_logs:
            error = {"code": -32005, "message": "太多 / too many", "data": {"code": "LIMIT_EXCEEDED"}}
            return {"jsonrpc": "2.0", "id": 1, "error": error}
        self.ranges.append((first, last))
        return {"jsonrpc": "2.0", "id": 1, "result": found}

    def log(self, height: int, index: int) -> dict[str, Any]:
        digest = "0x" + height.to_bytes(32, "big").hex()
        place = {"blockNumber": hex(height), "transactionIndex": "0x0", "logIndex": hex(index), "blockHash": digest}
        return {**place, "transactionHash": digest, "address": CONTRACT, "topics": [], "data": "0x", "removed": False}

    @property
    def expected(self) -> list[tuple[int, int]]:
        return [(height, index) for height in sorted(self.logs) for index in range(self.logs[height])]


class ChainClient:
    """The part of sdk.client.Client that the stream uses, over a Chain."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def rpc(self, method: str, /, *params: Any) -> Any:
        found = rpc_result(self.chain.answer(method, params))
        if isinstance(found, Exception):
            raise found
        return found


def follow(chain: Chain, **options: Any) -> Any:
    return follow_logs(ChainClient(chain), {"address": CONTRACT}, **options)  # type: ignore[arg-type]


def places(batches: list[EventBatch]) -> list[tuple[int, int]]:
    """Height and number within the block of every event, as the node's form and web3's have them."""

    def number(value: Any) -> int:
        return value if isinstance(value, int) else int(value, 16)

    return [(number(log["blockNumber"]), number(log["logIndex"])) for batch in batches for log in batch.events]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, "sdk.event_stream", sleep=lambda _: None)


def test_every_event_comes_once_in_order_and_each_height_is_read_once() -> None:
    chain = Chain({1: 1, 9_999: 2, 10_000: 1, 10_001: 3, 25_000: 1}, 25_000)
    batches = list(follow(chain, after_height=0, until_height=25_000))
    assert places(batches) == chain.expected
    assert [batch.through_height for batch in batches] == [last for _, last in chain.ranges]
    assert [first for first, _ in chain.ranges] == [1, *(last + 1 for _, last in chain.ranges[:-1])]


@settings(max_examples=40, deadline=None)
@given(
    logs=st.dictionaries(st.integers(1, 300), st.integers(1, 5), max_size=40),
    seed=st.integers(0, 2**32),
    max_range=st.sampled_from([1, 7, 100, 10_000]),
    max_logs=st.sampled_from([5, 9, 1_000]),
)
def test_a_reader_that_keeps_one_height_and_is_killed_again_and_again_sees_each_event_once(
    logs: dict[int, int], seed: int, max_range: int, max_logs: int
) -> None:
    chance = random.Random(seed)
    chain = Chain(logs, 0, max_range=max_range, max_logs=max_logs)
    chain.growth = 7
    lost = NodeUnreachable("NODE_UNREACHABLE", "没有应答", "no answer")
    chain.failures = lambda: lost if chance.random() < 0.2 else None
    height, seen = 0, []
    while height < 300:
        for batch in islice(follow(chain, after_height=height, until_height=300), chance.randint(1, 5)):
            seen.append(batch)
            height = batch.through_height
    assert places(seen) == chain.expected


def test_a_single_block_that_the_node_refuses_ends_the_stream_with_its_reason() -> None:
    chain = Chain({3: 50}, 10, max_logs=9)
    stream = follow(chain, after_height=0, until_height=10)
    with pytest.raises(RequestRefused, match="too many"):
        list(stream)
    assert chain.ranges[-1][1] == 2


def test_blocks_that_the_node_no_longer_holds_are_told_at_once() -> None:
    chain = Chain({}, 5_000)
    asked = []

    def answer(method: str, params: Any) -> dict[str, Any]:
        asked.append(method)
        if method == "eth_blockNumber":
            return {"result": "0x1388"}
        data = {"code": "HISTORY_NOT_HELD", "zh": "自高度 900 起", "en": "from height 900 on"}
        return {"error": {"code": -32001, "message": "x", "data": data}}

    chain.answer = answer  # type: ignore[method-assign]
    with pytest.raises(RequestRefused, match="900"):
        list(follow(chain, after_height=0, until_height=5_000))
    assert asked.count("eth_getLogs") == 1


def test_a_node_that_stays_away_is_named_with_the_height_to_resume_from() -> None:
    chain = Chain({1: 1}, 10)
    stream = follow(chain, after_height=0, until_height=20, patience_ms=0)
    assert next(stream).through_height == 10
    lost = NodeUnreachable("NODE_UNREACHABLE", "没有应答", "no answer")
    chain.failures = lambda: lost
    with pytest.raises(NodeUnreachable, match="resume after height 10"):
        next(stream)


def test_a_busy_node_is_asked_again() -> None:
    chain = Chain({2: 1}, 4)
    busy = iter([True, True])
    answer = chain.answer

    def sometimes(method: str, params: Any) -> dict[str, Any]:
        if next(busy, False):
            return {"error": {"code": -32005, "message": "忙 / busy", "data": {"code": "BUSY"}}}
        return answer(method, params)

    chain.answer = sometimes  # type: ignore[method-assign]
    assert places(list(follow(chain, after_height=0, until_height=4))) == [(2, 0)]
    assert chain.ranges == [(1, 4)]


def test_the_first_of_a_row_of_lost_requests_is_told_of() -> None:
    chain = Chain({2: 1}, 0)
    chain.growth = 4
    lost = NodeUnreachable("NODE_UNREACHABLE", "没有应答", "no answer")
    failures = iter([lost, lost, None, None, lost])
    chain.failures = lambda: next(failures, None)
    told: list[Exception] = []
    assert places(list(follow(chain, after_height=0, until_height=8, on_lost=told.append))) == [(2, 0)]
    assert told == [lost, lost]


@pytest.mark.parametrize("after", [-1, "3", None, 1.5])
def test_a_height_that_is_none_is_refused_before_the_node_is_asked(after: Any) -> None:
    chain = Chain({}, 4)
    with pytest.raises(InputError, match="after_height"):
        follow(chain, after_height=after)
    with pytest.raises(InputError, match="after_height"):
        follow_events(Web3(ChainProvider(chain)), {"address": CONTRACT}, after_height=after)


def test_a_height_far_beyond_the_chain_is_refused_with_the_height_that_it_has() -> None:
    with pytest.raises(InputError, match="ends at height 4,") as refused:
        next(follow(Chain({}, 4), after_height=9_999))
    assert refused.value.code == "HEIGHT_AHEAD"


def test_a_node_that_lags_a_little_is_waited_for() -> None:
    chain = Chain({12: 1}, 4)
    chain.growth = 3
    assert places(list(follow(chain, after_height=10, until_height=13))) == [(12, 0)]


@pytest.mark.parametrize("event", ["Registered", None, Path("a.json")])
def test_what_is_no_event_is_refused(event: Any) -> None:
    w3 = Web3(ChainProvider(Chain({}, 4)))
    with pytest.raises(InputError, match=r"contract\.events\.Registered"):
        follow_events(w3, event, after_height=0)

    async def scenario() -> None:
        async for _ in follow_events_async(AsyncWeb3(AsyncChainProvider(Chain({}, 4))), event, after_height=0):
            pass

    with pytest.raises(InputError, match=r"contract\.events\.Registered"):
        asyncio.run(scenario())


WRONG = {
    "beyond what was asked": {"blockNumber": "0x63"},
    "before what was asked": {"blockNumber": "0x2"},
    "another contract": {"address": "0x" + "22" * 20},
    "another topic": {"topics": ["0x" + "99" * 32]},
    "a topic too few": {"topics": []},
    "twice": {"logIndex": "0x0"},
    "no height": {"blockNumber": None},
    "no log": {"blockNumber": "seven"},
}


class Liar(Chain):
    """Shows the last log of every answer otherwise than it is."""

    def __init__(self, change: dict[str, Any]) -> None:
        super().__init__({5: 2}, 9)
        self.change = change

    def log(self, height: int, index: int) -> dict[str, Any]:
        return super().log(height, index) | {"topics": ["0x" + "77" * 32]} | (self.change if index else {})


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_a_node_that_answers_with_other_logs_ends_the_stream(change: dict[str, Any]) -> None:
    wanted = {"address": CONTRACT, "topics": [["0x" + "77" * 32, "0x" + "78" * 32]]}
    with pytest.raises(NodeUnreachable, match="other than those asked for, of heights 5 to 9") as refused:
        next(follow_logs(ChainClient(Liar(change)), wanted, after_height=4))  # type: ignore[arg-type]
    assert refused.value.code == "NOT_A_NODE"


def test_what_fits_a_filter_is_let_through() -> None:
    client: Any = ChainClient(Liar({}))
    for topics in (None, [], [None], ["0x" + "77" * 32], [["0X" + "77" * 32, "0x" + "78" * 32]]):
        wanted = {"address": [CONTRACT], "topics": topics}
        batches = list(follow_logs(client, wanted, after_height=4, until_height=9))
        assert places(batches) == [(5, 0), (5, 1)]


@pytest.mark.parametrize("change", [{"blockNumber": "0x63"}, {"address": "0x" + "22" * 20}])
def test_web3_checks_what_a_node_answers_with_too(change: dict[str, Any]) -> None:
    with pytest.raises(NodeUnreachable, match="other than those asked for"):
        next(follow_events(Web3(ChainProvider(Liar(change))), {"address": CONTRACT}, after_height=4))

    async def scenario() -> None:
        async for _ in follow_events_async(
            AsyncWeb3(AsyncChainProvider(Liar(change))), {"address": CONTRACT}, after_height=4
        ):
            pass

    with pytest.raises(NodeUnreachable, match="other than those asked for"):
        asyncio.run(scenario())


class ChainProvider(JSONBaseProvider):
    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.chain = chain

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        return self.chain.answer(method, params)  # type: ignore[return-value]


class AsyncChainProvider(AsyncJSONBaseProvider):
    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.chain = chain

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        return self.chain.answer(method, params)  # type: ignore[return-value]


def failing(times: int) -> Callable[[], Exception | None]:
    """Refuse the connection so many times."""
    left = iter(range(times))
    return lambda: ConnectionRefusedError("refused") if next(left, None) is not None else None


def test_web3_follows_the_same_stream() -> None:
    chain = Chain({1: 1, 40: 2, 2_000: 1}, 2_000, max_range=300)
    chain.failures = failing(3)
    stream = follow_events(Web3(ChainProvider(chain)), {"address": CONTRACT}, after_height=0, until_height=2_000)
    assert places(list(stream)) == chain.expected


def test_web3_raises_the_node_s_own_refusal_of_a_single_block() -> None:
    chain = Chain({1: 50}, 1, max_logs=1)
    with pytest.raises(Web3RPCError, match="too many"):
        list(follow_events(Web3(ChainProvider(chain)), {"address": CONTRACT}, after_height=0, until_height=1))


def test_asynchronous_web3_follows_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain({1: 1, 40: 2, 2_000: 1}, 1_990, max_range=300)
    chain.growth = 1
    chain.failures = failing(2)
    monkeypatch.setattr(event_stream, "MIN_RETRY_MS", 1)

    async def scenario() -> list[EventBatch]:
        w3 = AsyncWeb3(AsyncChainProvider(chain))
        wanted = {"address": CONTRACT}
        stream = follow_events_async(w3, wanted, after_height=0, until_height=2_000, poll_ms=1)
        return [batch async for batch in stream]

    assert places(asyncio.run(scenario())) == chain.expected
