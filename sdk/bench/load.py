"""A load of individually signed transactions, made before the clock starts, and the clients that submit it."""

from __future__ import annotations

import http.client
import os
import secrets
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any, Final, TypeAlias

import msgspec
import orjson

from contracts.abi import selector
from contracts.identifiers import make_identifier
from contracts.registry import encode_call
from node.chain.codec import encode
from node.chain.transaction import TRANSACTION_VERSION, Transaction, TransactionBody, transaction_id
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

GAS_LIMIT: Final = 1_000_000
VALIDITY_MS: Final = 540_000
BATCH_TRANSACTIONS: Final = 200
WAIT_TIMEOUT_MS: Final = 20_000
SIGNING_PART: Final = 2_000
REGISTER_SELECTOR: Final = selector("register(bytes32,bytes32)")


class Sender(msgspec.Struct, frozen=True):
    """Who signs a part of the load: its department's code and its 32-byte private key."""

    department: str
    private_key: bytes


class IssueCalls(msgspec.Struct, frozen=True):
    """Calls of the system contract `certificates`: each issues one certificate of a type."""

    type_code: str

    def call(self, sender: Sender, serial: int, now_ms: int) -> tuple[bytes, bytes]:
        """Return address and data of the call that issues the certificate with this serial number."""
        identifier = make_identifier(self.type_code, sender.department, f"{serial:010d}", "001")
        digest = sm3(identifier.encode())
        return encode_call(
            "certificates",
            "issue",
            identifier=identifier,
            document_digest=digest,
            holder_commitment=sm3(digest),
            valid_from_ms=now_ms,
            valid_to_ms=now_ms + 315_360_000_000,
        )


class RegistryCalls(msgspec.Struct, frozen=True):
    """Calls of a registry in the EVM at an address: each records one digest under one new key."""

    address: bytes

    def call(self, sender: Sender, serial: int, now_ms: int) -> tuple[bytes, bytes]:
        """Return address and data of the call that records the entry with this serial number."""
        key = sm3(b"%s %d" % (sender.department.encode(), serial))
        return self.address, REGISTER_SELECTOR + key + sm3(key)


class Deployment(msgspec.Struct, frozen=True):
    """A call that deploys a contract with this creation code."""

    creation_code: bytes

    def call(self, sender: Sender, serial: int, now_ms: int) -> tuple[None, bytes]:
        """Return no address, and the code as data."""
        return None, self.creation_code


Calls: TypeAlias = IssueCalls | RegistryCalls | Deployment


class LoadBatch(msgspec.Struct, frozen=True):
    """One request's worth of load: the JSON-RPC body to post and the id of its last transaction."""

    body: bytes
    last_id: str
    count: int


class LoadResult(msgspec.Struct):
    """What the clients saw: milliseconds from submitting a batch to its last transaction being final, and refusals."""

    latencies_ms: list[float]
    accepted: int = 0
    refused: int = 0


def sign_load(chain_id: int, senders: Sequence[Sender], calls: Calls, first_serial: int, count: int) -> list[LoadBatch]:
    """Return `count` signed transactions in batches, signed by as many processes as there are cores."""
    parts = [
        (chain_id, senders[index % len(senders)], calls, first_serial + start, min(SIGNING_PART, count - start))
        for index, start in enumerate(range(0, count, SIGNING_PART))
    ]
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        return [batch for batches in pool.map(_sign_part, parts) for batch in batches]


def single_transactions(
    chain_id: int, sender: Sender, calls: Calls, first_serial: int, count: int
) -> list[tuple[bytes, str]]:
    """Return `count` signed transactions one by one, as (id, 0x hex)."""
    key = PrivateKey.from_bytes(sender.private_key)
    return [_signed(chain_id, key, sender, calls, first_serial + i) for i in range(count)]


class RpcConnection:
    """One kept-alive JSON-RPC connection to a node's `host:port`."""

    def __init__(self, address: str) -> None:
        """Connect at the first call."""
        self._connection = http.client.HTTPConnection(address, timeout=60)

    def post(self, body: bytes) -> Any:
        """Return the `result` of one request; raise RuntimeError with the node's answer when it is an error."""
        self._connection.request("POST", "/rpc", body, {"content-type": "application/json"})
        answer = orjson.loads(self._connection.getresponse().read())
        if "error" in answer and answer["error"] is not None:
            raise RuntimeError(f"the node answered {answer['error']}")
        return answer["result"]

    def call(self, method: str, **params: Any) -> Any:
        """Return the result of a method with named parameters."""
        return self.post(orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def submit_load(
    addresses: Sequence[str], batches: Sequence[LoadBatch], clients_per_node: int, seconds: float
) -> LoadResult:
    """Submit batches for `seconds`: each client sends one, waits until its last transaction is final, and sends the next."""
    result = LoadResult([])
    queue = iter(batches)
    lock = threading.Lock()
    deadline = time.monotonic() + seconds

    def run(address: str) -> None:
        connection = RpcConnection(address)
        while time.monotonic() < deadline:
            with lock:
                batch = next(queue, None)
            if batch is None:
                break
            started = time.monotonic()
            answers = connection.post(batch.body)
            connection.call("gov_waitReceipt", transaction_id=batch.last_id, timeout_ms=WAIT_TIMEOUT_MS)
            elapsed_ms = (time.monotonic() - started) * 1000
            refused = sum(answer["rejection"] is not None for answer in answers)
            with lock:
                result.latencies_ms.append(elapsed_ms)
                result.accepted += batch.count - refused
                result.refused += refused
        connection.close()

    clients = [address for address in addresses for _ in range(clients_per_node)]
    with ThreadPoolExecutor(len(clients)) as pool:
        for _ in pool.map(run, clients):
            pass
    return result


def _sign_part(part: tuple[int, Sender, Calls, int, int]) -> list[LoadBatch]:
    chain_id, sender, calls, first_serial, count = part
    key = PrivateKey.from_bytes(sender.private_key)
    batches = []
    for start in range(0, count, BATCH_TRANSACTIONS):
        signed = [
            _signed(chain_id, key, sender, calls, first_serial + start + i)
            for i in range(min(BATCH_TRANSACTIONS, count - start))
        ]
        request = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "gov_sendTransactions",
            "params": {"transactions": [raw for _, raw in signed]},
        }
        batches.append(LoadBatch(orjson.dumps(request), "0x" + signed[-1][0].hex(), len(signed)))
    return batches


def _signed(chain_id: int, key: PrivateKey, sender: Sender, calls: Calls, serial: int) -> tuple[bytes, str]:
    now_ms = time.time_ns() // 1_000_000
    address, data = calls.call(sender, serial, now_ms)
    body = TransactionBody(
        TRANSACTION_VERSION,
        chain_id,
        secrets.token_bytes(16),
        now_ms + VALIDITY_MS,
        key.public_key,
        address,
        GAS_LIMIT,
        data,
    )
    name = transaction_id(body)
    return name, "0x" + encode(Transaction(body, key.sign(name))).hex()
