"""Lets web3.py send transactions with an SM2 key: a middleware for its synchronous and asynchronous clients, on every provider.

With it `contract.functions.x(…).transact()`, `contract.constructor(…).transact()` and `w3.eth.send_transaction(…)` work as on
Ethereum. Importing this module loads web3.py, which takes a second.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, cast

from hexbytes import HexBytes
from web3 import AsyncWeb3, Web3
from web3.middleware.base import Middleware, Web3Middleware
from web3.types import RPCEndpoint, RPCResponse, TxParams

from node.http.json_form import show_briefly
from sdk.client import DEFAULT_GAS_LIMIT, DEFAULT_VALIDITY_MS, add_gas_margin, is_estimated, rpc_result
from sdk.evm_account import Sm2Account
from verification.errors import GovnodeError, InputError

_ASKED: Final = ("eth_chainId", "gov_getParameters")


def use_account(w3: Web3 | AsyncWeb3[Any], account: Sm2Account, *, chain_id: int | None = None) -> None:
    """Let `w3` sign with `account`, and make it the account that calls and transactions come from unless they say otherwise.

    `chain_id` is as sm2_signing takes it. Raise InputError where `account` is not an Sm2Account.
    """
    w3.middleware_onion.add(sm2_signing(account, chain_id=chain_id))
    w3.eth.default_account = account.address


def sm2_signing(
    account: Sm2Account, *, validity_ms: int = DEFAULT_VALIDITY_MS, chain_id: int | None = None
) -> Middleware:
    """Return a middleware that signs what `account` sends, good once within `validity_ms`, half the chain's window at most.

    Give the `chain_id` of the network that is meant: sending raises InputError where the node is of another, before anything
    is signed. Without it the node's word is taken, and a node could have a transaction signed for another network.

    Add it with `w3.middleware_onion.add(…)`; of several, each signs for its own address. Raise InputError where `account` is none.
    """
    if not callable(getattr(account, "sign_transaction", None)):
        found = show_briefly(account)
        raise InputError(
            "ACCOUNT_INVALID",
            f"应为 Sm2Account，例如 Sm2Account.from_key_file(密钥文件, 口令文件)，实为 {found}",
            f"expected an Sm2Account, such as Sm2Account.from_key_file(key, password_file), found {found}",
        )
    return cast(Middleware, partial(_Sm2Signing, shared=_Shared(account, validity_ms, chain_id)))


class _Shared:
    """What one middleware keeps: web3.py makes the middleware anew for every request over a WebSocket."""

    def __init__(self, account: Sm2Account, validity_ms: int, expected_chain_id: int | None) -> None:
        self.account, self.validity_ms, self.expected_chain_id = account, validity_ms, expected_chain_id
        self.chain_id = 0
        self.window_ms = 0
        self.max_gas = 0

    @property
    def is_known(self) -> bool:
        """Whether the chain has been asked."""
        return self.chain_id > 0

    def take(self, answers: list[RPCResponse]) -> None:
        """Keep what the node answered to _ASKED; raise RequestRefused where it is no node of this program.

        Raise InputError where it is one of another network than the one that is meant.
        """
        answered, parameters = (_result(answer) for answer in answers)
        chain_id, expected = int(answered, 16), self.expected_chain_id
        if expected is not None and chain_id != expected:
            raise InputError(
                "CHAIN_MISMATCH",
                f"节点属于链 {chain_id}，应为 {expected}；请核对节点地址与 chain_id，未签名任何交易",
                f"the node is of chain {chain_id}, expected {expected}: check its address and the chain_id; nothing was signed",
            )
        self.window_ms = int(parameters["transaction_window_ms"])
        self.max_gas = int(parameters["max_transaction_gas"])
        self.chain_id = chain_id

    def name_sender(self, transaction: Mapping[str, Any]) -> dict[str, Any]:
        """Return the transaction as one of this account's."""
        return {**transaction, "from": self.account.address}

    def sign(self, transaction: Mapping[str, Any]) -> tuple[RPCEndpoint, list[Any]]:
        """Return the request that sends the filled-in transaction signed."""
        # Half the window: a clock that is ahead must not make the transaction one of too far ahead.
        valid_until_ms = time.time_ns() // 1_000_000 + min(self.validity_ms, self.window_ms // 2)
        signed = self.account.sign_transaction({"chainId": self.chain_id, **transaction}, valid_until_ms=valid_until_ms)
        return RPCEndpoint("eth_sendRawTransaction"), [signed.raw_transaction.to_0x_hex()]


class _Sm2Signing(Web3Middleware):
    """Turns eth_sendTransaction of its account into eth_sendRawTransaction, and names the account in eth_accounts."""

    def __init__(self, w3: Web3 | AsyncWeb3[Any], shared: _Shared) -> None:
        super().__init__(w3)
        self._shared = shared

    def request_processor(self, method: RPCEndpoint, params: Any) -> Any:
        """Return the request to make in place of this one."""
        if not self._is_ours(method, params):
            return method, params
        w3, shared = cast(Web3, self._w3), self._shared
        if not shared.is_known:
            shared.take([w3.provider.make_request(RPCEndpoint(name), []) for name in _ASKED])
        transaction = shared.name_sender(params[0])
        if transaction.get("gas") is None and not _is_estimated(transaction):
            transaction["gas"] = DEFAULT_GAS_LIMIT
        elif transaction.get("gas") is None:
            transaction["gas"] = add_gas_margin(w3.eth.estimate_gas(_to_estimate(transaction)), shared.max_gas)
        return shared.sign(transaction)

    async def async_request_processor(self, method: RPCEndpoint, params: Any) -> Any:
        """Return the request to make in place of this one."""
        if not self._is_ours(method, params):
            return method, params
        w3, shared = cast("AsyncWeb3[Any]", self._w3), self._shared
        if not shared.is_known:
            shared.take([await w3.provider.make_request(RPCEndpoint(name), []) for name in _ASKED])
        transaction = shared.name_sender(params[0])
        if transaction.get("gas") is None and not _is_estimated(transaction):
            transaction["gas"] = DEFAULT_GAS_LIMIT
        elif transaction.get("gas") is None:
            estimate = await w3.eth.estimate_gas(_to_estimate(transaction))
            transaction["gas"] = add_gas_margin(estimate, shared.max_gas)
        return shared.sign(transaction)

    def response_processor(self, method: RPCEndpoint, response: RPCResponse) -> RPCResponse:
        """Return the answer, to eth_accounts with this account before those that it names."""
        if method != "eth_accounts":
            return response
        others = response.get("result") or []
        answer = {key: value for key, value in response.items() if key != "error"}
        return cast(RPCResponse, answer | {"result": [self._shared.account.address, *others]})

    async def async_response_processor(self, method: RPCEndpoint, response: RPCResponse) -> RPCResponse:
        """Return the answer, to eth_accounts with this account before those that it names."""
        return self.response_processor(method, response)

    def _is_ours(self, method: RPCEndpoint, params: Any) -> bool:
        return method == "eth_sendTransaction" and self._shared.account.is_sender(params[0])


def _is_estimated(transaction: Mapping[str, Any]) -> bool:
    to = transaction.get("to")
    return is_estimated(to if to is None else bytes(HexBytes(to)))


def _to_estimate(transaction: dict[str, Any]) -> TxParams:
    """Return the transaction as eth_estimateGas takes it; a nonce has no effect here."""
    return cast(TxParams, {name: value for name, value in transaction.items() if name not in {"gas", "nonce"}})


def _result(answer: RPCResponse) -> Any:
    found = rpc_result(answer)
    if isinstance(found, GovnodeError):
        raise found
    return found
