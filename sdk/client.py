"""A client of one node: submits calls as signed transactions, waits for their receipts, reads what the node serves."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import httpx
import msgspec
import orjson

from contracts.abi import AbiError
from contracts.parameters import LEAST_GAS
from contracts.records import ADDRESSES
from contracts.refusals import REFUSALS
from contracts.registry import encode_call
from node.chain.codec import encode
from node.chain.transaction import (
    MAX_CALL_DATA_BYTES,
    TRANSACTION_VERSION,
    Transaction,
    TransactionBody,
    address_of,
    transaction_id,
)
from sdk.closing import Closing
from sdk.errors import CallRefused, CallReverted, NodeUnreachable, RequestRefused, read_refusal, reason_name
from sdk.http_client import ending_within, open_http, parse_address
from sdk.identity_numbers import check_free_texts
from sdk.request_signing import RequestSigner, signed_headers
from verification.errors import GovnodeError, InputError

DEFAULT_TIMEOUT_S: Final = 30.0
CONNECT_TIMEOUT_S: Final = 5.0
MAX_ANSWER_S: Final = 600.0
"""For one answer in all, of the largest size over a slow line."""
RECEIPT_TIMEOUT_MS: Final = 30_000
"""A network whose nodes have all just started, on a busy machine, takes ten seconds for its first blocks."""
DEFAULT_VALIDITY_MS: Final = 120_000
DEFAULT_GAS_LIMIT: Final = LEAST_GAS
GAS_MARGIN_PERCENT: Final = 25
"""Put on an estimate: the state may have moved when the transaction runs. Gas that is not used costs nothing."""
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_SENT_AT_ONCE: Final = 500
MAX_RPC_BATCH: Final = 50
MAX_PAGE_ROWS: Final = 200
_UNREACHED: Final = {
    "ConnectError": ("连接不上：地址不对、节点未启动或被防火墙拦截", "cannot connect"),
    "ConnectTimeout": ("连接超时", "connecting timed out"),
    "ReadTimeout": ("等待应答超时", "waiting for the answer timed out"),
    "TimeOver": ("未及时答完", "the answer did not come in time"),
    "ReadError": ("连接中断", "the connection broke"),
    "RemoteProtocolError": ("应答不完整", "the answer is not complete"),
    "UnsupportedProtocol": ("地址应以 http:// 或 https:// 开头", "the address must begin with http:// or https://"),
    "InvalidURL": ("不是网址", "no URL"),
}
"""Why a node cannot be asked, by what the HTTP library calls it."""

_REST: Final = "/api/v1"
REVERTED: Final = "REVERTED"
"""The code of a refusal by EVM code, which may have a name of its own for the reason."""
_REVERT_MESSAGE: Final = "execution reverted"
"""How Ethereum's clients expect the message of a reverted call to begin; behind a colon the contract's own text follows."""

_RESTRICTED_REASON: Final = (
    "理由的详情仅向审计方和当事部门开放，请用签名的 REST 请求查询该交易"
    " / the details of the reason are for auditors and parties: ask REST for the transaction with a signed request"
)


class SignedCall(msgspec.Struct, frozen=True):
    """A transaction ready to submit: its 32-byte id and its encoded bytes."""

    id: bytes
    raw: bytes


class FinalReceipt(msgspec.Struct, frozen=True):
    """What became of a final transaction: its place, block time and gas; `output` is ABI data in hex, empty where it is restricted."""

    transaction_id: bytes
    height: int
    index: int
    time_ms: int
    gas_used: int
    output: str


class Client(Closing):
    """Talks to one node over HTTP; with a signer it submits calls and signs requests. Use as a context manager."""

    def __init__(self, url: str, signer: RequestSigner | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Take the node's `http(s)://host:port`; nothing is sent yet."""
        base = parse_address(url)
        if base is None:
            raise InputError(
                "URL_INVALID",
                f"节点地址应形如 http://127.0.0.1:8551，实为 {url[:80]!r}",
                f"expected a node's address such as http://127.0.0.1:8551, found {url[:80]!r}",
            )
        self._base, self._signer, self._timeout_s = base, signer, timeout_s
        self._http = open_http(self._base.scheme, httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S))
        self._chain_id: int | None = None
        self._window_ms: int | None = None

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    @property
    def url(self) -> str:
        """The node's address."""
        return str(self._base)

    @property
    def chain_id(self) -> int:
        """The network's chain id, asked for once."""
        if self._chain_id is None:
            self._chain_id = int(self.status()["chain_id"])
        return self._chain_id

    @property
    def window_ms(self) -> int:
        """How far ahead of block time a transaction's end may lie on this chain, asked for once."""
        if self._window_ms is None:
            self._window_ms = int(self.view("governance", "parameters")["transaction_window_ms"])
        return self._window_ms

    def status(self) -> dict[str, Any]:
        """Return the node's status."""
        status: dict[str, Any] = self.rpc("gov_status")
        return status

    def call(self, contract: str, method: str, /, **arguments: Any) -> FinalReceipt:
        """Submit one call, wait until it is final and return its receipt; raise CallRefused when the contract refused it."""
        return self.submit([self.sign_call(contract, method, **arguments)])[0]

    def view(self, contract: str, method: str, /, **arguments: Any) -> Any:
        """Return what a view method answers on the node's latest state, in JSON's types; bytes are given as 0x and hex."""
        return self.rpc("gov_call", contract=contract, method=method, arguments=_shown(arguments))

    def views(self, contract: str, method: str, calls: Sequence[Mapping[str, Any]], /) -> list[Any]:
        """Return for the arguments of each call what view answers, or the RequestRefused that the node gave instead."""
        answers: list[Any] = []
        for start in range(0, len(calls), MAX_RPC_BATCH):
            batch = calls[start : start + MAX_RPC_BATCH]
            asked = [{"contract": contract, "method": method, "arguments": _shown(call)} for call in batch]
            answers += self._rpc_batch([("gov_call", params) for params in asked])
        return answers

    @property
    def address(self) -> bytes:
        """The 20-byte address of the signer's account."""
        return address_of(self._require_signer().public_key)

    def own_department(self) -> str:
        """Return the code of the department that the signer's account acts for."""
        account = self.view("members", "account", account=self.address)
        return str(account["department"])

    def sign_call(
        self,
        contract: str,
        method: str,
        /,
        *,
        gas_limit: int = DEFAULT_GAS_LIMIT,
        validity_ms: int = DEFAULT_VALIDITY_MS,
        **arguments: Any,
    ) -> SignedCall:
        """Return a call as a signed transaction that is good once within `validity_ms` from now, half the chain's window at most.

        Raises InputError CALL_INVALID, and IDENTITY_NUMBER where a free text has one in it: nothing takes it off the ledger.
        """
        check_free_texts(arguments)
        try:
            address, data = encode_call(contract, method, **arguments)
        except (AbiError, KeyError) as error:
            raise InputError(
                "CALL_INVALID", f"调用参数有误：{error}", f"wrong arguments of the call: {error}"
            ) from None
        return self.sign_data(address, data, gas_limit=gas_limit, validity_ms=validity_ms)

    def sign_data(
        self,
        address: bytes | None,
        data: bytes,
        *,
        gas_limit: int = DEFAULT_GAS_LIMIT,
        validity_ms: int = DEFAULT_VALIDITY_MS,
    ) -> SignedCall:
        """Return call data for a 20-byte address as a signed transaction; without one it deploys `data` as a contract."""
        signer = self._require_signer()
        if len(data) > MAX_CALL_DATA_BYTES:
            raise InputError(
                "CALL_TOO_LARGE",
                f"调用数据至多 {MAX_CALL_DATA_BYTES} 字节，实为 {len(data)} 字节",
                f"expected at most {MAX_CALL_DATA_BYTES} bytes of call data, found {len(data)}",
            )
        body = TransactionBody(
            TRANSACTION_VERSION,
            self.chain_id,
            secrets.token_bytes(16),
            # Half of it: a clock that is ahead must not make the transaction one of too far ahead.
            time.time_ns() // 1_000_000 + min(validity_ms, self.window_ms // 2),
            signer.public_key,
            address,
            gas_limit,
            data,
        )
        identifier = transaction_id(body)
        return SignedCall(identifier, encode(Transaction(body, signer.sign(identifier))))

    def submit(self, calls: Sequence[SignedCall], *, timeout_ms: int = RECEIPT_TIMEOUT_MS) -> list[FinalReceipt]:
        """Submit calls and return their receipts in order once all are final; raise the first GovnodeError among the outcomes."""
        receipts = []
        for outcome in self.outcomes(calls, timeout_ms=timeout_ms):
            if isinstance(outcome, GovnodeError):
                raise outcome
            receipts.append(outcome)
        return receipts

    def outcomes(
        self, calls: Sequence[SignedCall], *, timeout_ms: int = RECEIPT_TIMEOUT_MS
    ) -> list[FinalReceipt | GovnodeError]:
        """Submit calls and return, in order, for each its receipt or why there is none; raise NodeUnreachable only."""
        rejections = self.send(calls)
        taken = [call for call, rejection in zip(calls, rejections, strict=True) if rejection is None]
        receipts = iter(self._wait_many(taken, timeout_ms))
        return [next(receipts) if rejection is None else rejection for rejection in rejections]

    def send(self, calls: Sequence[SignedCall]) -> list[RequestRefused | None]:
        """Hand signed calls to the node without waiting; return for each None, or why the node did not take it."""
        rejections: list[RequestRefused | None] = []
        for start in range(0, len(calls), MAX_SENT_AT_ONCE):
            batch = calls[start : start + MAX_SENT_AT_ONCE]
            for result in self.rpc("gov_sendTransactions", transactions=["0x" + call.raw.hex() for call in batch]):
                rejection = result["rejection"]
                rejections.append(
                    None if rejection is None else RequestRefused(rejection["code"], rejection["zh"], rejection["en"])
                )
        return rejections

    def wait_receipt(self, transaction_id: bytes, *, timeout_ms: int = RECEIPT_TIMEOUT_MS) -> FinalReceipt:
        """Return the receipt of a transaction once it is final; raise CallRefused, or RequestRefused when it takes too long."""
        (outcome,) = self._wait_each([transaction_id], timeout_ms)
        if isinstance(outcome, GovnodeError):
            raise outcome
        return outcome

    def _wait_many(self, calls: Sequence[SignedCall], timeout_ms: int) -> Iterator[FinalReceipt | GovnodeError]:
        for start in range(0, len(calls), MAX_RPC_BATCH):
            yield from self._wait_each([call.id for call in calls[start : start + MAX_RPC_BATCH]], timeout_ms)

    def _wait_each(self, identifiers: Sequence[bytes], timeout_ms: int) -> Iterator[FinalReceipt | GovnodeError]:
        waits: list[tuple[str, dict[str, Any] | list[Any]]] = [
            ("gov_waitReceipt", {"transaction_id": "0x" + identifier.hex(), "timeout_ms": timeout_ms})
            for identifier in identifiers
        ]
        for identifier, answer in zip(identifiers, self._rpc_batch(waits, timeout_ms), strict=True):
            yield answer if isinstance(answer, GovnodeError) else _outcome(identifier, answer, timeout_ms)

    def rpc(self, method: str, /, *positional: Any, **params: Any) -> Any:
        """Return the result of one JSON-RPC method, with its parameters by position or by name.

        Raise RequestRefused with the node's reason, CallReverted when a contract's code undid the call.
        """
        answer = self._rpc_batch([(method, list(positional) if positional else params)])[0]
        if isinstance(answer, GovnodeError):
            raise answer
        return answer

    def rpc_many(self, method: str, calls: Sequence[Mapping[str, Any]], /) -> list[Any]:
        """Return for the named parameters of each call what rpc returns; raise what rpc raises for the first that is refused."""
        answers: list[Any] = []
        for start in range(0, len(calls), MAX_RPC_BATCH):
            answers += self._rpc_batch([(method, dict(params)) for params in calls[start : start + MAX_RPC_BATCH]])
        for answer in answers:
            if isinstance(answer, GovnodeError):
                raise answer
        return answers

    def _rpc_batch(self, calls: Sequence[tuple[str, dict[str, Any] | list[Any]]], wait_ms: int = 0) -> list[Any]:
        """Return for each call its result, or the RequestRefused that the node answered it with, which waits `wait_ms` at most."""
        requests = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        body = orjson.dumps(requests if len(requests) > 1 else requests[0])
        answers = self._exchange("POST", "/rpc", body, {"content-type": "application/json"}, wait_ms)
        if isinstance(answers, dict):
            answers = [answers]
        try:
            by_id = {answer["id"]: answer for answer in answers}
            return [rpc_result(by_id[number]) for number in range(len(calls))]
        except (KeyError, TypeError):
            raise self._not_a_node() from None

    def get(self, path: str, /, *, signed: bool = False, **query: Any) -> Any:
        """Return what REST answers at `path` below /api/v1; `signed` proves who asks with the signer's key."""
        kept = {name: value for name, value in query.items() if value is not None}
        target = str(httpx.URL(_REST + path, params=kept).raw_path, "ascii")
        return self._exchange("GET", target, b"", self._sign_request("GET", target, b"") if signed else {})

    def post(self, path: str, content: object, /, *, signed: bool = False) -> Any:
        """Return what REST answers to JSON that is posted to `path` below /api/v1; `signed` proves who asks with the signer's key."""
        raw, headers = orjson.dumps(content), {"content-type": "application/json"}
        if signed:
            headers |= self._sign_request("POST", _REST + path, raw)
        return self._exchange("POST", _REST + path, raw, headers)

    def get_all(self, path: str, /, *, limit: int, signed: bool = False, **query: Any) -> list[dict[str, Any]]:
        """Return up to `limit` items of a list, page after page."""
        return [item for page in self.pages(path, limit=limit, signed=signed, **query) for item in page["items"]]

    def pages(self, path: str, /, *, limit: int, signed: bool = False, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the pages of a list until they have `limit` items together: the last one's `next_cursor` tells whether there are more."""
        left, cursor = limit, None
        while left > 0:
            page = self.get(path, signed=signed, cursor=cursor, limit=min(left, MAX_PAGE_ROWS), **query)
            yield page
            left -= len(page["items"])
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def _sign_request(self, method: str, target: str, content: bytes) -> dict[str, str]:
        signer, authority = self._require_signer(), self._base.netloc.decode("ascii")
        return signed_headers(signer, self.chain_id, method, authority, target.encode("ascii"), content)

    def _exchange(self, method: str, target: str, content: bytes, headers: dict[str, str], wait_ms: int = 0) -> Any:
        # A node that waits for a receipt as it was asked to is not one that is silent.
        timeout = httpx.Timeout(self._timeout_s + wait_ms / 1_000, connect=CONNECT_TIMEOUT_S)
        raw = bytearray()
        try:
            url = f"{self._base}{target}"
            with (
                ending_within(MAX_ANSWER_S),
                self._http.stream(method, url, content=content or None, headers=headers, timeout=timeout) as answer,
            ):
                for chunk in answer.iter_bytes():
                    raw += chunk
                    if len(raw) > MAX_ANSWER_BYTES:
                        raise self._not_a_node()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            zh, en = _UNREACHED.get(type(error).__name__, (type(error).__name__, type(error).__name__))
            raise NodeUnreachable(
                "NODE_UNREACHABLE",
                f"节点 {self._base} 没有应答（{zh}），请检查地址与节点状态",
                f"no answer from {self._base} ({en}): check the address and that the node runs",
            ) from None
        if answer.status_code >= 400:
            raise read_refusal(bytes(raw)) or self._not_a_node()
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise self._not_a_node() from None

    def _require_signer(self) -> RequestSigner:
        if self._signer is None:
            raise InputError(
                "KEY_NEEDED",
                "此操作需要账户密钥，请用 --key 指明",
                "this needs an account's key: name its file with --key",
            )
        return self._signer

    def _not_a_node(self) -> NodeUnreachable:
        return NodeUnreachable(
            "NOT_A_NODE",
            f"{self._base} 的应答不是本程序节点的格式，请检查地址",
            f"the answer from {self._base} is not that of a node of this program: check the address",
        )


def _shown(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments in JSON's types."""
    return {name: "0x" + value.hex() if isinstance(value, bytes) else value for name, value in arguments.items()}


def is_estimated(address: bytes | None) -> bool:
    """Return whether a node estimates the gas of calls of this 20-byte address: of audits it does not (docs/spec/json-rpc.md)."""
    return address != ADDRESSES["audits"]


def add_gas_margin(estimate: int, limit: int) -> int:
    """Return the gas limit to give a transaction that eth_estimateGas puts at `estimate`, on a chain that allows `limit`."""
    return min(limit, estimate + estimate * GAS_MARGIN_PERCENT // 100)


def split_texts(message: str, code: str) -> tuple[str, str]:
    """Return the Chinese and English text of `zh / en`, behind `code: ` where it begins so; both are the whole where there is only one."""
    message = message.removeprefix(f"{code}: ")
    zh, separator, en = message.partition(" / ")
    return (zh, en) if separator else (message, message)


def rpc_result(answer: Mapping[str, Any]) -> Any:
    """Return the result in a JSON-RPC answer, or the GovnodeError that it stands for."""
    error = answer.get("error")
    if error is None:
        return answer["result"]
    data = error.get("data") or {}
    message = str(error["message"])
    if isinstance(data, str):
        return _reverted(message.removeprefix(_REVERT_MESSAGE).removeprefix(": "), data)
    # Errors of calls have no data of ours: there the message begins with the code.
    code = str(data.get("code") or reason_name(message) or f"RPC_{error['code']}")
    zh, en = split_texts(message, code)
    return RequestRefused(code, data.get("zh", zh), data.get("en", en))


def _reverted(message: str, output: str) -> CallReverted:
    """Return the error of a call that was undone: by the rules of a system contract, or by EVM code for a reason of its own."""
    if not message:
        # The node's words for a reason that is no text; it is loaded where there is one to explain.
        from node.http.presentation import explain_revert

        zh, en = split_texts(explain_revert(bytes.fromhex(output.removeprefix("0x"))), REVERTED)
        return CallReverted(REVERTED, zh, en, output)
    name = reason_name(message)
    code = name if name in REFUSALS else REVERTED
    return CallReverted(code, *split_texts(message, code), output, None if code == name else name)


def _outcome(transaction_id: bytes, answer: Any, timeout_ms: int) -> FinalReceipt | GovnodeError:
    if answer is None:
        return RequestRefused(
            "NOT_FINAL",
            f"交易 {transaction_id.hex()} 在 {timeout_ms} 毫秒内未确认，请稍后查询",
            f"transaction {transaction_id.hex()} was not final within {timeout_ms} ms; ask again later",
        )
    if answer["refusal"] is not None:
        code, message = answer["refusal"], answer["message"] or answer["refusal"]
        if answer.get("is_restricted"):
            message = _RESTRICTED_REASON
        name = reason_name(message)
        return CallRefused(
            code,
            *split_texts(message, code),
            transaction_id,
            answer["height"],
            answer["output"] or "0x",
            None if code != REVERTED or name == REVERTED else name,
        )
    return FinalReceipt(
        transaction_id,
        answer["height"],
        answer["index"],
        answer["time_ms"],
        answer["gas_used"],
        answer["output"] or "0x",
    )
