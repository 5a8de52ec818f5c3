"""A gateway before a data service, over the hand-made chain: grants are put into its state, time is the chain's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import orjson
import pytest

from contracts.accounts import AUDITOR, RECORDER
from contracts.data_sharing.sharing import GRANTED, REQUESTS, RequestRecord
from contracts.records import ADDRESSES
from contracts.registration import AccountRegistration
from sdk.access_recording.recorder import Recorder
from sdk.client import Client
from sdk.gateway.config import GatewayConfig, Limits, RouteConfig
from sdk.gateway.consumer import GatewayConsumer
from sdk.gateway.gateway import AccessGateway
from sdk.gateway.grant_book import GrantBook
from sdk.gateway.parts import GatewayParts
from sdk.request_signing import signed_headers
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from tests.sdk.gateway.grant_records import CONSUMER, PROVIDER, RESOURCE, grant_record, interval
from tests.served import serve
from verification.access.reads import Read, decode_read

__all__ = ["serve"]

GRANT = sm3(b"grant")
OWNERS = [
    {"姓名": "张三", "电话": "13812345678", "面积": 98.5, "备注": "内部"},
    {"姓名": "李四", "电话": "13987654321", "面积": 120, "备注": "内部"},
]


@dataclass
class DataService:
    """The application behind: answers with `answer`, notes what it was asked."""

    body: bytes = field(default_factory=lambda: orjson.dumps(OWNERS))
    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [(b"content-type", b"application/json")])
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        self.asked.append({**scope, "body": message["body"], "names": dict(scope["headers"])})
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


@dataclass
class GatewayOffice:
    """Everything that takes part: the provider's gateway, and the consumer's account and store."""

    folder: Path
    node: Any
    service: DataService
    parts: GatewayParts
    own: Recorder
    gateway: AccessGateway
    url: str
    client: Client
    signer: Signer

    def put_grant(self, **changes: Any) -> RequestRecord:
        """Put a grant between the two departments into the ledger, as of the next block."""
        time_ms = self.node.chain.time_ms
        said = {"id": GRANT, "to_ms": time_ms + 10**9, "history": (interval("waiting", 1), interval(GRANTED, 1))}
        record = grant_record(**said | changes)
        chain = self.node.chain
        chain.state[REQUESTS.key(record.id)] = msgspec.msgpack.encode(record)
        chain.height += 1
        self.node.changed.append((chain.height, record.id))
        return record

    def stop_grant(self) -> None:
        """Stop the grant in the next block."""
        self.put_grant(history=(interval(GRANTED, 1), interval("stopped", self.node.chain.time_ms)))

    def consumer(self, grant: bytes = GRANT) -> GatewayConsumer:
        return GatewayConsumer(self.url, self.client, self.signer, grant, "抵押系统", self.own)

    def reads(self) -> list[Read]:
        """What the gateway has recorded."""
        return [decode_read(one) for one in self.parts.recorder.store.find_reads()]

    def own_reads(self) -> list[Read]:
        """What the consumer has recorded."""
        return [decode_read(one) for one in self.own.store.find_reads()]


def add_account(node: Any, department: str, role: str) -> Signer:
    key, roles = PrivateKey.generate(), [role]
    registration = AccountRegistration(node.chain.genesis.hash, department, key.public_key, role, roles)
    stated = {"department": department, "public_key": key.public_key, "name": role, "roles": roles}
    node.chain.call(node.chain.governor, "members", "add_account", **stated, signature=key.sign(registration.digest))
    return Signer(key)


def own_page(office: GatewayOffice, signer: Signer, target: str, **headers: str) -> httpx.Response:
    """Ask for a page of the gateway itself, signed."""
    authority = office.url.removeprefix("http://")
    signed = signed_headers(signer, office.node.chain.genesis.chain_id, "GET", authority, target.encode(), b"")
    return httpx.get(office.url + target, headers=signed | headers, trust_env=False, verify=False, timeout=60)


def show_logs(node: Any) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Return what answers eth_getLogs: one log for each grant that was put into the ledger."""
    sharing = f"0x{ADDRESSES['sharing'].hex()}"

    def logs(wanted: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        return [
            {"address": sharing, "topics": ["0x", "0x" + name.hex()]}
            for height, name in node.changed
            if first <= height <= last
        ]

    return logs


def settings(folder: Path, **changes: Any) -> GatewayConfig:
    """The settings of a gateway with two routes."""
    routes = (
        RouteConfig("GET", "/owners/{house}", RESOURCE),
        RouteConfig("POST", "/owners/query", RESOURCE),
        RouteConfig("GET", "/houses/{number}", RESOURCE, rows="rows"),
    )
    said: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "service": "http://127.0.0.1:1",
        "node": "http://127.0.0.1:1",
        "key": "",
        "password_file": "",
        "routes": routes,
        "store": str(folder / "reads.sqlite"),
        "places": {"大厅": ("127.0.0.0/8",), "机房": ("10.0.0.0/8",)},
        "limits": Limits(request_bytes=100, answer_bytes=10_000, service_timeout_s=60.0, denied_per_minute=20),
    }
    return GatewayConfig(**said | changes)


@pytest.fixture
def auditor(office: GatewayOffice) -> Signer:
    return add_account(office.node, PROVIDER, AUDITOR)


@pytest.fixture
def office(node: Any, tmp_path: Path, serve: Callable[[Any], str]) -> Iterator[GatewayOffice]:
    node.changed = []
    node.methods["eth_getLogs"] = show_logs(node)

    def now_ms() -> int:
        return int(node.chain.time_ms)

    recorder_key = add_account(node, PROVIDER, RECORDER)
    asker = Signer(node.chain.consumer)
    config, service = settings(tmp_path), DataService()
    with Client(node.url, recorder_key) as asking, Client(node.url, asker) as client:
        book = GrantBook(asking, now_ms)
        book.start()
        policy = config.policy.make()
        with (
            Recorder(tmp_path / "reads.sqlite", PROVIDER, recorder_key.address, policy, now_ms, now_ms) as recorder,
            Recorder(tmp_path / "own.sqlite", CONSUMER, asker.address, policy) as own,
        ):
            parts = GatewayParts(config, node.chain.genesis.chain_id, book, recorder, recorder_key, None, now_ms)
            gateway = AccessGateway(service, parts)
            yield GatewayOffice(tmp_path, node, service, parts, own, gateway, serve(gateway), client, asker)
        book.close()
