"""Whatever is sent to JSON-RPC, over HTTP or WebSocket: a valid answer in time, and never a fault of the node's own."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from contracts.abi import selector
from contracts.records import ADDRESSES
from contracts.registry import CONTRACTS
from explorer.front import Front
from explorer.settings import ExplorerSettings
from node.chain.codec import CodecError
from node.chain.transaction import address_of, decode_transaction, transaction_id
from node.driver.txpool import Rejection, RejectionCode
from node.http.connection import HttpConnection
from node.http.json_rpc import MAX_BATCH_CALLS
from node.http.json_rpc_methods import METHODS
from node.http.websocket_connection import MAX_MESSAGE_BYTES, WebSocketConnection
from node.view import SubmitResult

if TYPE_CHECKING:
    from tests.node.conftest import EthChain, Register

INTERNAL_ERROR = -32603
ANSWER_TIMEOUT_S = 30.0
DEEP = ("eth_call", "eth_estimateGas", "eth_getLogs")  # where most of the code behind a method is
WAITING = ("gov_waitReceipt",)  # may take its time by design; asked with no time here

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
QUANTITIES = st.integers(0, 2**64 + 1).map(hex) | st.integers(-2, 12).map(hex) | st.integers(-1, 2**63 + 1)
TAGS = st.sampled_from(["latest", "earliest", "pending", "safe", "finalized"])


def hex_of(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(lambda raw: "0x" + raw.hex())


class Vocabulary:
    """Strategies for parameters by name: near what a method takes, so that the fuzz gets past the first check."""

    def __init__(self, chain: EthChain, register: Register) -> None:
        contract = "0x" + register.address.hex()
        ids = ["0x" + transaction_id(decode_transaction(raw).body).hex() for raw in (register.first, register.second)]
        blocks = ["0x" + chain.ledger.head_id.hex(), chain.result("eth_getBlockByNumber", "0x0")["hash"]]
        addresses = st.sampled_from(
            [
                contract,
                "0x" + address_of(chain.deployer.public_key).hex(),
                *("0x" + a.hex() for a in ADDRESSES.values()),
            ]
        ) | hex_of(20)
        hashes = st.sampled_from([*ids, *blocks]) | hex_of(32)
        block = TAGS | QUANTITIES | st.fixed_dictionaries({"blockHash": hashes}) | hashes | st.none()
        selectors = ["0x" + s.hex() for c in CONTRACTS.values() for s in c.by_selector]
        data = st.builds(
            lambda head, rest: head + rest.hex(),
            st.sampled_from([*selectors, "0x" + selector("lookup(bytes32)").hex(), "0x"]),
            st.binary(max_size=100) | st.just(bytes(96)),
        )
        call = st.fixed_dictionaries(
            {},
            optional={
                "to": addresses,
                "from": addresses,
                "data": data,
                "gas": QUANTITIES,
                "value": QUANTITIES,
                "input": data,
            },
        )
        topics = st.lists(st.none() | hashes | st.lists(st.none() | hashes, max_size=3), max_size=5)
        query = st.fixed_dictionaries(
            {},
            optional={
                "address": addresses | st.lists(addresses, max_size=3),
                "topics": topics,
                "fromBlock": block,
                "toBlock": block,
                "blockHash": hashes,
            },
        )
        raw = st.sampled_from([register.first.hex(), chain.sign(None, b"").hex(), "0xf8", "0x02"]) | st.binary().map(
            bytes.hex
        )
        self.by_name: dict[str, st.SearchStrategy[Any]] = {
            "address": addresses,
            "block": block,
            "block_hash": hashes,
            "contract": st.sampled_from(list(CONTRACTS)),
            "count": QUANTITIES,
            "criteria": query,
            "data": data,
            "filter": query,
            "filter_id": st.sampled_from([chain.result("eth_newFilter", {}), chain.result("eth_newBlockFilter")]),
            "full": st.booleans(),
            "height": block,
            "index": QUANTITIES,
            "key": hex_of(20) | data,
            "kind": st.sampled_from(["newHeads", "logs"]),
            "method": st.sampled_from([name for c in CONTRACTS.values() for name in c.methods]),
            "newest": block,
            "percentiles": st.lists(st.integers(0, 100), max_size=3),
            "slot": QUANTITIES | hashes,
            "slots": st.lists(QUANTITIES | hashes, max_size=3),
            "timeout_ms": st.just(0),
            "transaction": call | raw,
            "transaction_hash": hashes,
            "transaction_id": hashes,
            "transactions": st.lists(raw, max_size=3),
        }

    def calls(self) -> st.SearchStrategy[Any]:
        """Return a strategy for calls: most of them of a method that there is, with parameters that may be right."""
        names = st.sampled_from([*sorted(METHODS), *DEEP * 4])
        return st.integers(0, 9).flatmap(lambda draw: self._odd_calls() if draw == 9 else names.flatmap(self._calls_of))

    def _calls_of(self, name: str) -> st.SearchStrategy[Any]:
        parameters = [p.name for p in list(inspect.signature(METHODS[name]).parameters.values())[1:]]
        fitting = [self._value(parameter) for parameter in parameters]
        params = (
            st.tuples(*fitting).map(list)
            | st.tuples(*(self.by_name.get(parameter, JSON) for parameter in parameters)).map(list)
            | st.fixed_dictionaries({}, optional=dict(zip(parameters, fitting, strict=True)))
            | st.lists(JSON, max_size=5)
        )
        if name in WAITING:
            params = st.tuples(self._value("transaction_id"), st.just(0)).map(list)
        ids = st.integers(-(2**60), 2**60) | st.text(max_size=5) | st.none()
        return st.builds(
            lambda params, call_id: {"jsonrpc": "2.0", "id": call_id, "method": name, "params": params}, params, ids
        )

    def _value(self, parameter: str) -> st.SearchStrategy[Any]:
        fitting = self.by_name.get(parameter, JSON)
        return st.one_of(fitting, fitting, fitting, JSON)

    def _odd_calls(self) -> st.SearchStrategy[Any]:
        members = {"jsonrpc": st.just("2.0") | JSON, "id": JSON, "method": st.text(max_size=20) | JSON, "params": JSON}
        return st.fixed_dictionaries({}, optional=members) | JSON

    def bodies(self) -> st.SearchStrategy[bytes]:
        """Return a strategy for bodies: calls, batches of them, and bytes."""
        calls = self.calls()
        batches: st.SearchStrategy[Any] = st.lists(calls, max_size=4) | st.just([{}] * (MAX_BATCH_CALLS + 1))
        requests = st.integers(0, 9).flatmap(lambda draw: batches if draw == 9 else calls)
        encoded = requests.map(lambda request: json.dumps(request).encode("utf-8", "replace"))
        return st.integers(0, 19).flatmap(lambda draw: st.binary(max_size=60) if draw == 19 else encoded)


@pytest.fixture(scope="module")
def vocabulary(eth_chain: EthChain, register: Register) -> Vocabulary:
    return Vocabulary(eth_chain, register)


def is_notification(request: Any) -> bool:
    return (
        isinstance(request, dict)
        and "id" not in request
        and request.get("jsonrpc") == "2.0"
        and isinstance(request.get("method"), str)
        and isinstance(request.get("params", []), list | dict)
    )


def is_answered(body: bytes) -> bool:
    """Return whether a body has an answer: all but notifications alone."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return True
    if isinstance(request, list) and 1 <= len(request) <= MAX_BATCH_CALLS:
        return not all(map(is_notification, request))
    return not is_notification(request)


def check_answer(body: bytes, answer: bytes | None) -> None:
    """Assert that `answer` is what JSON-RPC 2.0 has for a body: one object or a list of them, each a result or an error."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        request = None
    assert (answer is not None) == is_answered(body)
    if answer is None:
        return
    document = orjson.loads(answer)
    assert isinstance(document, list) == (isinstance(request, list) and 1 <= len(request) <= MAX_BATCH_CALLS)
    answers = document if isinstance(document, list) else [document]
    assert answers
    for one in answers:
        assert one["jsonrpc"] == "2.0"
        assert set(one) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
        if "error" in one:
            error = one["error"]
            assert isinstance(error["code"], int)
            assert error["code"] != INTERNAL_ERROR, (body, one)
            assert isinstance(error["message"], str)
            assert error["message"]
            assert set(error) <= {"code", "message", "data"}
    if isinstance(request, dict) and isinstance(request.get("id"), str | int) and not isinstance(request["id"], bool):
        assert answers[0]["id"] == request["id"]


def fuzz_settings(max_examples: int) -> settings:
    return settings(max_examples=max_examples, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def chain(eth_chain: EthChain, monkeypatch: pytest.MonkeyPatch) -> EthChain:
    """The chain, which takes whatever decodes and makes no block of it: the fuzz sends the same ones again and again."""

    async def submit(raws: list[bytes]) -> list[SubmitResult]:
        results = []
        for raw in raws:
            try:
                results.append(SubmitResult(transaction_id(decode_transaction(raw).body), None))
            except CodecError as error:
                results.append(SubmitResult(None, Rejection(RejectionCode.MALFORMED, f"不对 / {error}")))
        return results

    monkeypatch.setattr(eth_chain, "submit", submit)
    return eth_chain


def test_every_body_has_its_answer(chain: EthChain, vocabulary: Vocabulary) -> None:
    async def answer(body: bytes) -> bytes | None:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await chain.rpc.answer(body)

    @fuzz_settings(120)
    @given(body=vocabulary.bodies())
    def check(body: bytes) -> None:
        check_answer(body, asyncio.run(answer(body)))

    check()


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def serving(chain: EthChain) -> AsyncIterator[str]:
    """Serve a chain's JSON-RPC as a node does; yield host and port."""
    front: Any = Front(chain, ExplorerSettings(Path("unused")))  # type: ignore[arg-type]
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        front,
        http=HttpConnection,
        ws=WebSocketConnection,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task
        listener.close()
        front._rpc.close()


def test_every_body_over_http_and_websocket_has_its_answer(chain: EthChain, vocabulary: Vocabulary) -> None:
    async def exchange(bodies: list[bytes]) -> None:
        async with asyncio.timeout(ANSWER_TIMEOUT_S), serving(chain) as address:
            async with httpx.AsyncClient(trust_env=False, verify=False, timeout=ANSWER_TIMEOUT_S) as http:
                for body in bodies:
                    answer = await http.post(f"http://{address}/rpc", content=body)
                    assert answer.status_code in {200, 204}
                    check_answer(body, answer.content if answer.status_code == 200 else None)
            async with connect(f"ws://{address}/rpc", proxy=None) as client:
                for body in bodies:
                    await client.send(body)
                    if is_answered(body):
                        check_answer(body, (await client.recv(decode=False)))

    @fuzz_settings(4)
    @given(bodies=st.lists(vocabulary.bodies(), min_size=5, max_size=20))
    def check(bodies: list[bytes]) -> None:
        asyncio.run(exchange(bodies))

    check()
