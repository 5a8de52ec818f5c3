"""JSON-RPC 2.0 (docs/spec/json-rpc.md): single calls and batches in, one answer out, every fault a numbered error."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from node.http.json_form import MAX_SHOWN_NAMES
from node.http.json_rpc_methods import METHODS
from node.http.method_reads import Reads
from node.http.rpc_fault import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNKNOWN_HEIGHT,
    RpcFault,
    shorten,
)
from node.ledger.ledger import HistoryNotHeld
from node.logs import Log

if TYPE_CHECKING:
    from node.http.subscriptions import Opening
    from node.view import NodeView

MAX_REQUEST_BYTES: Final = 16 * 1024 * 1024
MAX_BATCH_CALLS: Final = 100
MAX_REQUEST_VALUES: Final = 100_000
"""In lists and objects: to read millions of empty lists, which fit into MAX_REQUEST_BYTES, holds up the event loop for a second."""
_VALUE_MARKS: Final = b",[{"

# Clients take any data in an error of these for what the contract gave when it reverted.
_RUN_METHODS: Final = ("eth_call", "eth_estimateGas")
_LOG = Log("json_rpc")
_Answer: TypeAlias = dict[str, Any]


class JsonRpc:
    """Answers JSON-RPC requests from one node's read side and hands it transactions."""

    def __init__(self, view: NodeView) -> None:
        """Answer from `view`."""
        self._reads = Reads(view)
        self._stages = view.stages
        self._names = {name: _parameter_names(method) for name, method in METHODS.items()}

    def close(self) -> None:
        """End what answers need beside this process. To be closed before the ledger."""
        self._reads.worker.close()

    async def answer(self, body: bytes, opening: Opening | None = None) -> bytes | None:
        """Return the bytes that answer a request body, None when it holds notifications only. Nothing is raised.

        `opening` is where subscriptions are opened, for a client that can be told something unasked.
        """
        reads = self._reads.for_opening(opening)
        try:
            return await self._answer_all(body, reads)
        finally:
            reads.give_room_back()

    async def _answer_all(self, body: bytes, reads: Reads) -> bytes | None:
        # Hex has none of the marks, so that they are as good as the values themselves.
        count = len(body) - len(body.translate(None, _VALUE_MARKS))
        if count > MAX_REQUEST_VALUES:
            zh = f"请求至多含 {MAX_REQUEST_VALUES} 个值，实际约 {count} 个，请分批"
            en = f"expected at most {MAX_REQUEST_VALUES} values in a request, found about {count}: send it in parts"
            return orjson.dumps(_fault(None, INVALID_REQUEST, zh, en))
        try:
            with self._stages.measure("http"):
                request = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return orjson.dumps(_fault(None, PARSE_ERROR, "请求不是有效的 JSON", f"expected JSON in UTF-8: {error}"))
        if not isinstance(request, list):
            answer = await self._answer_one(request, reads)
            return None if answer is None else self._encode(answer)
        if not 1 <= len(request) <= MAX_BATCH_CALLS:
            zh = f"一批应有 1 至 {MAX_BATCH_CALLS} 个调用，实际 {len(request)} 个"
            en = f"expected a batch of 1 to {MAX_BATCH_CALLS} calls, found {len(request)}"
            return orjson.dumps(_fault(None, INVALID_REQUEST, zh, en))
        pace = asyncio.Lock()
        waited = await asyncio.gather(*(self._answer_paced(call, reads, pace) for call in request))
        answers = [a for a in waited if a is not None]
        return self._encode(answers) if answers else None

    async def _answer_paced(self, request: Any, reads: Reads, pace: asyncio.Lock) -> _Answer | None:
        """Answer one call of a batch, begun in a turn of the event loop of its own: the node's work goes on between them."""
        async with pace:
            await asyncio.sleep(0)
        return await self._answer_one(request, reads)

    def _encode(self, answer: object) -> bytes:
        with self._stages.measure("http"):
            return orjson.dumps(answer)

    async def _answer_one(self, request: Any, reads: Reads) -> _Answer | None:
        """Return the answer to one call, None to a notification."""
        if not isinstance(request, dict):
            return _fault(None, INVALID_REQUEST, "调用应为 JSON 对象", "expected a call as a JSON object")
        call_id = request.get("id")
        if isinstance(call_id, bool) or not isinstance(call_id, str | int | float | None):
            return _fault(
                None, INVALID_REQUEST, "id 应为字符串、数或 null", "expected id as a string, a number or null"
            )
        name, params = request.get("method"), request.get("params", [])
        if request.get("jsonrpc") != "2.0" or not isinstance(name, str) or not isinstance(params, list | dict):
            zh = '应有 "jsonrpc": "2.0"、字符串 method 与列表或对象 params'
            en = 'expected "jsonrpc": "2.0", method as a string, params as a list or an object'
            return _fault(call_id, INVALID_REQUEST, zh, en)
        answer = await self._run(call_id, name, params, reads)
        if name in _RUN_METHODS and "error" in answer:
            _drop_data(answer["error"])
        return answer if "id" in request else None

    async def _run(self, call_id: Any, name: str, params: list[Any] | dict[str, Any], reads: Reads) -> _Answer:
        method = METHODS.get(name)
        if method is None:
            shown = shorten(name)
            zh, en = (
                f"没有方法 {shown}，见 docs/spec/json-rpc.md 或 rpc.discover",
                f"there is no method {shown}; see docs/spec/json-rpc.md or rpc.discover",
            )
            return _fault(call_id, METHOD_NOT_FOUND, zh, en)
        required, accepted = self._names[name]
        given = dict(zip(accepted, params, strict=False)) if isinstance(params, list) else params
        missing = [field for field in required if field not in given]
        unknown = [shorten(field) for field in given if field not in accepted][:MAX_SHOWN_NAMES]
        if missing or unknown or (isinstance(params, list) and len(params) > len(accepted)):
            takes = ", ".join(accepted) or "—"
            zh = f"{name} 的参数为 {takes}；缺少：{', '.join(missing) or '无'}；多余：{', '.join(unknown) or '无'}"
            en = f"{name} takes {takes}; missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
            if isinstance(params, list):
                zh, en = f"{zh}；共给出 {len(params)} 个", f"{en}; {len(params)} given"
            return _fault(call_id, INVALID_PARAMS, zh, en)
        try:
            reads.check_room()
            result = self._encode(await method(reads, **given))
            # Encoded at once, so that what a batch has come to is known before the next of its calls.
            reads.take_room(len(result))
            return {"jsonrpc": "2.0", "id": call_id, "result": orjson.Fragment(result)}
        except RpcFault as fault:
            return _fault(call_id, fault.code, fault.zh, fault.en, fault.data)
        except HistoryNotHeld as error:
            heights = {"base_height": error.base_height, "first_block": error.first_block}
            return _fault(call_id, UNKNOWN_HEIGHT, error.zh, error.en, {"code": "HISTORY_NOT_HELD", **heights})
        except Exception:  # noqa: BLE001 - the last line before the wire, logged with its traceback
            _LOG.exception("method_failed", method=name)
            return _fault(
                call_id,
                INTERNAL_ERROR,
                "本节点出现内部错误，详情见节点日志",
                "this node met an internal error; its log has it",
            )


def _parameter_names(method: Callable[..., Awaitable[Any]]) -> tuple[list[str], list[str]]:
    """Return the names of the required and of all parameters, without the reads."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    return required, [p.name for p in parameters]


def _fault(call_id: Any, code: int, zh: str, en: str, data: dict[str, Any] | str | None = None) -> _Answer:
    message = f"{zh} / {en}" if zh else en
    shown = data if isinstance(data, str) else {"zh": zh, "en": en} | (data or {})
    error = {"code": code, "message": message, "data": shown}
    return {"jsonrpc": "2.0", "id": call_id, "error": error}


def _drop_data(error: _Answer) -> None:
    """Leave no data but a contract's own; its code goes before the message, as a refusal's stands there."""
    data = error["data"]
    if isinstance(data, str):
        return
    del error["data"]
    code = data.get("code")
    if code is not None and not error["message"].startswith(f"{code}: "):
        error["message"] = f"{code}: {error['message']}"
