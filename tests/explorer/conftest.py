"""A small network with certificates, a catalogue, a grant and a recorded read, served over HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn

from consensus.evidence import double_vote, encode_evidence
from consensus.messages import CommitCertificate, Vote, VoteKind, vote_sign_digest
from contracts import registry
from contracts.abi import keccak256
from contracts.data_sharing.conditions import Conditions, Mask
from contracts.data_sharing.resources import ResourceDescription, ResourceItem
from contracts.fields import MAX_TIME_MS
from contracts.identifiers import make_identifier, uscc_check_character
from contracts.parameters import ChainParameters
from explorer.front import Front
from explorer.settings import MEGABYTE, ExplorerSettings, KeepingRules
from node.chain.codec import CodecError, encode
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.chain.transaction import (
    Transaction,
    TransactionBody,
    VerifiedTransaction,
    address_of,
    decode_transaction,
    transaction_hash,
    transaction_id,
)
from node.driver.driver import DriverStatus
from node.driver.txpool import Rejection, RejectionCode
from node.http.connection import HttpConnection
from node.ledger.ledger import Ledger
from node.stages import StageClock
from sm_crypto import sm2
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import TaggedHash, sm3
from sm_crypto.x509 import Authority, issue_root
from tests.endings import end_thread
from verification.access.query_scope import QueryScope

CHAIN_ID = 20250801
START_MS = time.time_ns() // 1_000_000 - 600_000
LICENCE_TYPE = "11100000MB03271699001"
DOCUMENT = "一份合成的不动产权证书\n".encode()
PATIENCE_S = 90.0
RESOURCE = "330000001/000001"
MANDATE = "MANDATE-2025-0001"


def uscc(body: str) -> str:
    return body + uscc_check_character(body)


def key_of(name: str) -> PrivateKey:
    return PrivateKey.from_bytes(b"\0" + sm3(name.encode())[1:])


@cache
def network_root() -> Authority:
    """Return the one root of all worlds: they are of one genesis."""
    return issue_root("示范市根证书", now_ms=START_MS)


class World:
    """A ledger of four validators in this process, and the keys of everybody; a call makes a block of its own."""

    def __init__(self, folder: Path) -> None:
        bodies = ("11990100MB0000001", "11990100MB0000002", "11990100MB0000003", "11990102MB0000004")
        self.bureau, self.land, self.housing, self.district = map(uscc, bodies)
        names = ("示范市数据资源管理局", "示范市自然资源和规划局", "示范市住房和城乡建设局", "示范市示范区行政审批局")
        operation = ("issuer", "publisher", "requester", "approver", "recorder")
        roles = {
            "governor": (self.bureau, ("governor",)),
            "auditor": (self.bureau, ("auditor",)),
            "land": (self.land, operation),
            "housing": (self.housing, operation),
            "district": (self.district, operation),
            "deployer": (self.land, ("deployer",)),
        }
        self.keys = {name: key_of(name) for name in roles}
        self.validator_keys = [key_of(f"validator {index}") for index in range(4)]
        codes = (self.bureau, self.land, self.housing, self.district)
        departments = tuple(
            GenesisDepartment(
                code,
                name,
                "990102" if code == self.district else "990100",
                "county" if code == self.district else "city",
                "" if code == self.bureau else self.bureau,
                tuple(
                    GenesisAccount(self.keys[account].public_key, given, account)
                    for account, (department, given) in roles.items()
                    if department == code
                ),
            )
            for code, name in zip(codes, names, strict=True)
        )
        validators = tuple(
            GenesisValidator(f"node{index + 1}", code, key.public_key)
            for index, (code, key) in enumerate(zip(codes, self.validator_keys, strict=True))
        )
        self.root = network_root()
        root = self.root.certificate.der
        self.genesis = Genesis(
            CHAIN_ID, "示范市政务区块链服务网络", START_MS, ChainParameters(), validators, departments, root
        )
        self.ledger = Ledger.open(folder / "data", self.genesis)
        self.view = FakeView(self)
        self.certificate = ""
        self.revoked = ""
        self.grant = b""

    def sign(self, account: str, contract: str, method: str, /, **arguments: Any) -> bytes:
        return self.sign_data(account, *registry.encode_call(contract, method, **arguments))

    def sign_data(self, account: str, to: bytes | None, data: bytes) -> bytes:
        valid_until_ms = self.ledger.head_time_ms + 300_000
        key = self.keys[account]
        body = TransactionBody(
            1, CHAIN_ID, secrets.token_bytes(16), valid_until_ms, key.public_key, to, 5_000_000, data
        )
        return encode(Transaction(body, key.sign(transaction_id(body))))

    def send_data(self, account: str, to: bytes | None, data: bytes) -> tuple[bytes, Any]:
        """Make a block of one transaction to an address, or of a deployment; return its id and receipt."""
        raw = self.sign_data(account, to, data)
        self.make_block([raw])
        return transaction_id(decode_transaction(raw).body), self.ledger.receipts(self.ledger.height)[-1]

    def call(self, account: str, contract: str, method: str, /, **arguments: Any) -> tuple[bytes, str | None]:
        """Make a block of one call; return the transaction's id, and the refusal."""
        raw = self.sign(account, contract, method, **arguments)
        self.make_block([raw])
        return transaction_id(decode_transaction(raw).body), self.ledger.receipts(self.ledger.height)[-1].refusal

    def equivocate(self, index: int, height: int, round_: int = 0, kind: VoteKind = VoteKind.PREVOTE) -> None:
        """Make a block that carries the evidence of a validator's two votes, the first of them for nothing."""
        key = next(key for key in self.validator_keys if address_of(key.public_key) == self.members[index].address)
        votes = []
        for value in (None, sm3(f"{height} {round_}".encode())):
            digest = vote_sign_digest(self.genesis.hash, kind, height, round_, value)
            votes.append(Vote(kind, height, round_, value, index, key.sign(digest)))
        self.make_block([], (encode_evidence(double_vote(*votes)),))

    @property
    def members(self) -> Sequence[Any]:
        return self.ledger.validators().members

    def make_block(self, raws: list[bytes], evidence: tuple[bytes, ...] = (), after_ms: int = 1_000) -> None:
        transactions = []
        for raw in raws:
            body = decode_transaction(raw).body
            sender = address_of(body.sender_key)
            transactions.append(VerifiedTransaction(raw, transaction_hash(raw), transaction_id(body), sender, body))
        ledger = self.ledger
        members = ledger.validators().members
        proposer = members[ledger.height % len(members)].address
        executed = ledger.build_block(transactions, ledger.head_time_ms + after_ms, proposer, evidence)
        by_address = {address_of(key.public_key): key for key in self.validator_keys}
        height, signers = ledger.height + 1, [0, 1, 3]
        digest = vote_sign_digest(self.genesis.hash, VoteKind.PRECOMMIT, height, 0, executed.block_id)
        signatures = [by_address[members[index].address].sign(digest) for index in signers]
        certificate = CommitCertificate(height, 0, executed.block_id, signers, signatures)
        self.view.tell(ledger.commit(executed, certificate))

    def identifier(self, serial: str, issuer: str | None = None) -> str:
        return make_identifier(LICENCE_TYPE, issuer or self.land, serial)

    def issue(self, serial: str, document: bytes = DOCUMENT, valid_to_ms: int = MAX_TIME_MS) -> str:
        identifier = self.identifier(serial)
        _, refusal = self.call(
            "land",
            "certificates",
            "issue",
            identifier=identifier,
            document_digest=sm3(document),
            holder_commitment=sm3(b"holder " + serial.encode()),
            valid_from_ms=START_MS - 86_400_000,
            valid_to_ms=valid_to_ms,
        )
        assert refusal is None, refusal
        return identifier

    def publish(self, code: str, name: str, sharing_type: int = 2, account: str = "land") -> None:
        _, refusal = self.call(
            account,
            "catalogue",
            "publish",
            resource=ResourceDescription(
                code=code,
                name=name,
                summary="登记信息，供办事核验使用",
                format="table",
                items=(ResourceItem("权利人", "C"), ResourceItem("坐落", "C"), ResourceItem("登记日期", "D")),
                sharing_type=sharing_type,
                sharing_basis="" if sharing_type == 1 else "依职责申请",
                sharing_method="接口",
                update_cycle=1,
                data_class=3,
            ),
            replaces=0,
        )
        assert refusal is None, refusal

    def record_batch(self) -> None:
        """Declare the stream of the housing office, and record a batch of one read."""
        policy = {"heartbeat_s": 60, "max_batch_records": 10, "on_outage": 1, "stop_after_s": 0}
        places = {"bodies_at": "https://housing.example/gov/records", "second_place": "archive"}
        now_ms = self.ledger.head_time_ms
        batch = {
            "batch_number": 1,
            "first_number": 1,
            "count": 1,
            "previous_digest": bytes(32),
            "last_digest": sm3(b"read"),
            "root": sm3(b"root"),
            "from_ms": now_ms - 1_000,
            "to_ms": now_ms,
            "served": 1,
            "denied": 0,
            "irregular": 0,
            "rows": 1,
        }
        for method, arguments in (("declare_stream", policy | places), ("record_batch", batch)):
            _, refusal = self.call("housing", "access", method, **arguments)
            assert refusal is None, refusal

    def record_query(self) -> None:
        """Record what an auditor is about to ask, under a mandate that is nobody else's business."""
        self.query_scope = QueryScope(0, self.ledger.head_time_ms, (self.housing,), sm3(b"sought"))
        arguments = {"kind": "trace", "digest": self.query_scope.digest(), "basis": MANDATE}
        _, refusal = self.call("auditor", "audits", "record_query", **arguments)
        assert refusal is None, refusal


class FakeView:
    """The node's read side over the world's ledger; submitted transactions are final at once."""

    name = "node1"

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = world.ledger
        self.stages = StageClock()
        self.listeners: list[Callable[[Any], None]] = []
        self.rejection: Rejection | None = None
        self.reason = ""
        self.start_ms = time.time_ns() // 1_000_000

    def tell(self, block: Any) -> None:
        for listener in self.listeners:
            listener(block)

    def status(self) -> DriverStatus:
        height = self.ledger.height
        return DriverStatus(height, 0, "new_height", 0, True, True, "", height, 7, (), (), 0, ())

    def peers(self) -> list[Any]:
        return []

    def peer_progress(self) -> dict[str, Any]:
        return {}

    def not_ready_reason(self) -> str:
        return self.reason

    def subscribe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        self.listeners.append(callback)
        return lambda: self.listeners.remove(callback)

    async def submit(self, raws: list[bytes]) -> list[Any]:
        results = []
        for raw in raws:
            try:
                transaction = decode_transaction(raw)
                identifier = transaction_id(transaction.body)
                sm2.verify(transaction.body.sender_key, identifier, transaction.signature)
            except (CodecError, sm2.InvalidKey, sm2.InvalidSignature) as error:
                results.append(
                    SimpleNamespace(id=None, rejection=Rejection(RejectionCode.MALFORMED, f"不对 / {error}"))
                )
                continue
            results.append(SimpleNamespace(id=identifier, rejection=self.rejection))
            if self.rejection is None:
                self.world.make_block([raw])
        return results

    async def wait_receipt(self, identifier: bytes, timeout_ms: int) -> None:
        await asyncio.sleep(min(timeout_ms, 50) / 1000)


def fill_world(world: World) -> None:
    """Put in what the pages and lists show."""
    _, refusal = world.call(
        "governor",
        "certificates",
        "register_type",
        code=LICENCE_TYPE,
        name="不动产权证书",
        defining_body="自然资源部",
        defining_level="national",
        holder_category="person",
        validity_range="长期",
        issuing_level="city",
        certificate_class="certificate",
        code_table="default",
        issuers=[world.land],
    )
    assert refusal is None, refusal
    world.certificate = world.issue("2025000001")
    world.revoked = world.issue("2025000002", b"another document")
    world.call("land", "certificates", "suspend", identifier=world.revoked, reason="权属争议")
    _, refusal = world.call("land", "certificates", "revoke", identifier=world.revoked, status="03", reason="登记错误")
    assert refusal is None, refusal
    world.publish(RESOURCE, "不动产登记信息")
    world.publish("330000002/000001", "房屋交易合同备案信息", 1, "housing")
    world.publish("330000003/000001", "内部工作台账", 3, "district")
    world.grant, _ = world.call(
        "housing",
        "sharing",
        "request",
        resource=RESOURCE,
        purpose="核验购房人名下不动产",
        legal_basis="政务数据共享条例",
        items=["权利人"],
        case_types=[],
        rows_per_day=0,
        from_ms=START_MS,
        to_ms=START_MS + 31_536_000_000,
    )
    allowed = Conditions(masks=(Mask("权利人", "mask", 1, 1),), max_rows_per_day=100, note="仅限核验")
    _, refusal = world.call(
        "land", "sharing", "grant", request=world.grant, conditions=allowed, to_ms=START_MS + 31_536_000_000
    )
    assert refusal is None, refusal
    world.record_batch()
    world.record_query()


class Site:
    """A served world: plain and signed requests to it."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.url = url
        self.http = httpx.Client(base_url=url, trust_env=False, verify=False, timeout=PATIENCE_S)

    def get(self, target: str, **options: Any) -> httpx.Response:
        return self.http.get(target, **options)

    def rpc(self, method: str, *params: Any, **named: Any) -> Any:
        """Return the answer to one JSON-RPC call: result or error under those names."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params) or named}
        return self.http.post("/rpc", json=request).json()

    def signed_headers(
        self, account: str | PrivateKey, target: str, method: str = "GET", body: bytes = b"", **changes: Any
    ) -> dict[str, str]:
        """Return the headers of docs/spec/signed-requests.md, written out here independently of the node's own code."""
        key = self.world.keys[account] if isinstance(account, str) else account
        time_ms = changes.get("time_ms", time.time_ns() // 1_000_000)
        nonce = changes.get("nonce", secrets.token_bytes(16))
        host = changes.get("host", self.url.removeprefix("http://"))
        text = "\n".join((str(CHAIN_ID), method, host, target, sm3(body).hex(), str(time_ms), nonce.hex()))
        return {
            "Gov-Key": key.public_key.hex(),
            "Gov-Time": str(time_ms),
            "Gov-Nonce": nonce.hex(),
            "Gov-Signature": key.sign(TaggedHash("govnode/signed-request/1")(text.encode())).hex(),
        }

    def get_signed(self, account: str | PrivateKey, target: str, **changes: Any) -> httpx.Response:
        return self.get(target, headers=self.signed_headers(account, target, **changes))


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Have nodes wait longer than real ones for what a busy machine is slow at: a test that is about such a limit sets it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("explorer.code_reader.MAX_READ_S", PATIENCE_S)
        patch.setattr("explorer.services.INDEX_WAIT_S", PATIENCE_S)
        yield


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Return a function that serves a world on a free port of loopback until the session ends."""
    running: list[tuple[uvicorn.Server, threading.Thread, Site]] = []

    def start(world: World, *, has_explorer: bool = True, link_base: str = "") -> Site:
        index_path = tmp_path_factory.mktemp("index") / "explorer.sqlite" if has_explorer else None
        view: Any = world.view
        keeping = KeepingRules(frozenset({world.housing}), MEGABYTE)
        app = Front(view, ExplorerSettings(index_path, link_base=link_base, keeping=keeping))
        config = uvicorn.Config(app, log_level="warning", lifespan="on", loop="asyncio", http=HttpConnection, ws="none")
        server = uvicorn.Server(config)
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        site = Site(world, f"http://127.0.0.1:{listener.getsockname()[1]}")
        running.append((server, thread, site))
        return site

    yield start
    for server, thread, site in running:
        site.http.close()
        server.should_exit = True
        end_thread(thread)


@pytest.fixture(scope="session")
def make_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], World]]:
    """Return a function that makes an empty world; their ledgers are closed when the session ends."""
    worlds: list[World] = []

    def make() -> World:
        worlds.append(World(tmp_path_factory.mktemp("world")))
        return worlds[-1]

    yield make
    for world in worlds:
        world.ledger.close()


@pytest.fixture(scope="session")
def site(make_world: Callable[[], World], serve: Callable[..., Site]) -> Site:
    """A served world with certificates, resources, a grant and a recorded read; tests only add to it."""
    world = make_world()
    fill_world(world)
    return serve(world)


@pytest.fixture(scope="session")
def fill() -> Callable[[World], None]:
    """Return the function that fills a world with what the pages and lists show."""
    return fill_world


class Contracts:
    """What fill_contracts() deployed and called in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        artefact = json.loads((Path(__file__).parents[2] / "contracts/samples/Registry.json").read_text())
        self.selector = keccak256(b"register(bytes32,bytes32)")[:4]
        self.deployment, receipt = world.send_data("deployer", None, bytes.fromhex(artefact["bytecode"][2:]))
        assert receipt.refusal is None, receipt
        self.registry: bytes = receipt.output
        self.code_size = len(bytes.fromhex(artefact["deployedBytecode"][2:]))
        self.registered, receipt = self.register("housing", 1)
        assert receipt.refusal is None, receipt
        self.taken, receipt = self.register("land", 1)
        assert receipt.refusal == "REVERTED", receipt

    def register(self, account: str, key: int) -> tuple[bytes, Any]:
        data = self.selector + bytes([key]) * 32 + b"\7" * 32
        return self.world.send_data(account, self.registry, data)

    def deploy(self, runtime: bytes) -> bytes:
        """Deploy code as it is and return its address."""
        init = bytes.fromhex(f"60{len(runtime):02x}600c60003960{len(runtime):02x}6000f3") + runtime
        _, receipt = self.world.send_data("deployer", None, init)
        assert receipt.refusal is None, receipt
        address: bytes = receipt.output
        return address


@pytest.fixture(scope="session")
def fill_contracts() -> Callable[[World], Contracts]:
    """Return the function that deploys the sample register in a world, and has it called and refuse."""
    return Contracts
