"""A ledger of one validator with an account that deploys, and the JSON-RPC interface over it: what is sent is final at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from consensus.messages import CommitCertificate, VoteKind, vote_sign_digest
from contracts import registry
from contracts.abi import selector
from contracts.identifiers import uscc_check_character
from contracts.parameters import ChainParameters
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
from node.http.json_rpc import JsonRpc
from node.ledger.ledger import Ledger
from node.stages import StageClock
from node.view import SubmitResult
from node.wire.away import AwayCode
from node.wire.peers import PeerState
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

CODE = "11990100MB0000001" + uscc_check_character("11990100MB0000001")
CHAIN_ID = 77
START_MS = 1_760_000_000_000
REGISTER, LOOKUP = selector("register(bytes32,bytes32)"), selector("lookup(bytes32)")
REGISTRY = Path(__file__).parents[2] / "contracts" / "samples" / "Registry.json"


def key_of(name: str) -> PrivateKey:
    return PrivateKey.from_bytes(b"\0" + sm3(name.encode())[1:])


class EthChain:
    """The node's read side over such a ledger, and its JSON-RPC."""

    name = "node1"
    chain_id = CHAIN_ID
    department = CODE

    def __init__(self, path: Path, kept_heights: int = 128, genesis: Genesis | None = None) -> None:
        self.voter, self.deployer, self.clerk = key_of("voter"), key_of("deployer"), key_of("clerk")
        accounts = (
            GenesisAccount(self.deployer.public_key, ("deployer",), "deployer"),
            GenesisAccount(self.clerk.public_key, ("issuer", "recorder"), "clerk"),
        )
        self.genesis = genesis or Genesis(
            CHAIN_ID,
            "测试网络",
            START_MS,
            ChainParameters(),
            (GenesisValidator("node1", CODE, self.voter.public_key),),
            (GenesisDepartment(CODE, "示范市数据资源管理局", "990100", "city", "", accounts),),
            b"",
        )
        self.ledger = Ledger.open(path, self.genesis, kept_heights=kept_heights)
        self.stages = StageClock()
        self.target_height = 0
        self._serial = 0
        self.rpc = JsonRpc(self)  # type: ignore[arg-type]

    def close(self) -> None:
        self.rpc.close()
        self.ledger.close()

    # What the read side asks of a node.

    def status(self) -> DriverStatus:
        height = self.ledger.height
        return DriverStatus(height, 0, "propose", 0, True, True, "", max(height, self.target_height), 0, (), (), 0, ())

    def peers(self) -> list[Any]:
        return [
            PeerState("node2", "127.0.0.1:2", True, True, False, "", None),
            PeerState("node3", "127.0.0.1:3", True, False, False, "refused", AwayCode.NOT_REACHED),
        ]

    def peer_progress(self) -> dict[str, Any]:
        return {}

    def subscribe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        return lambda: None

    async def wait_receipt(self, identifier: bytes, timeout_ms: int) -> None:
        """Return at once: nothing becomes final while somebody waits."""

    def is_waiting(self, identifier: bytes) -> bool:
        return False

    async def submit(self, raws: list[bytes]) -> list[Any]:
        try:
            bodies = [decode_transaction(raw).body for raw in raws]
        except CodecError as error:
            return [SubmitResult(None, Rejection(RejectionCode.MALFORMED, str(error))) for _ in raws]
        self.make_block(*raws)
        return [SubmitResult(transaction_id(body), None) for body in bodies]

    # Transactions and blocks.

    def sign(self, to: bytes | None, data: bytes, key: PrivateKey | None = None, gas: int = 2_000_000) -> bytes:
        key = key or self.deployer
        self._serial += 1
        nonce, until_ms = self._serial.to_bytes(16), self.ledger.head_time_ms + 60_000
        body = TransactionBody(1, CHAIN_ID, nonce, until_ms, key.public_key, to, gas, data)
        return encode(Transaction(body, key.sign(transaction_id(body))))

    def sign_call(self, contract: str, method: str, **arguments: Any) -> bytes:
        to, data = registry.encode_call(contract, method, **arguments)
        return self.sign(to, data, self.clerk)

    def make_block(self, *raws: bytes) -> None:
        bodies = [decode_transaction(raw).body for raw in raws]
        verified = [
            VerifiedTransaction(raw, transaction_hash(raw), transaction_id(body), address_of(body.sender_key), body)
            for raw, body in zip(raws, bodies, strict=True)
        ]
        ledger = self.ledger
        executed = ledger.build_block(verified, ledger.head_time_ms + 1_000, address_of(self.voter.public_key))
        height = ledger.height + 1
        digest = vote_sign_digest(self.genesis.hash, VoteKind.PRECOMMIT, height, 0, executed.block_id)
        ledger.commit(executed, CommitCertificate(height, 0, executed.block_id, [0], [self.voter.sign(digest)]))

    def deploy(self, init_code: bytes) -> bytes:
        """Return the address of the contract that this code, run once, leaves."""
        self.make_block(self.sign(None, init_code))
        (receipt,) = self.ledger.receipts(self.ledger.height)
        assert receipt.refusal is None, receipt
        return receipt.output

    # JSON-RPC.

    def post(self, request: Any) -> Any:
        raw = asyncio.run(self.rpc.answer(orjson.dumps(request)))
        return None if raw is None else orjson.loads(raw)

    def answer(self, method: str, /, *params: Any) -> Any:
        return self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})

    def result(self, method: str, /, *params: Any) -> Any:
        given = self.answer(method, *params)
        assert "error" not in given, given
        return given["result"]

    def error(self, code: int, method: str, /, *params: Any) -> Any:
        given = self.answer(method, *params)
        assert given.get("error", {}).get("code") == code, given
        return given["error"]


class Register:
    """The sample register deployed at height 1, an entry made at 2, a second try refused at 3, an anchor at 4."""

    def __init__(self, chain: EthChain, code: bytes) -> None:
        self.address = chain.deploy(code)
        self.key, self.digest = sm3(b"key"), sm3(b"digest")
        self.first = chain.sign(self.address, REGISTER + self.key + self.digest)
        self.second = chain.sign(self.address, REGISTER + self.key + self.digest)
        chain.make_block(self.first)
        chain.make_block(self.second)
        chain.make_block(chain.sign_call("anchors", "anchor", digest=sm3(b"a"), label="件"))
        chain.make_block()

    def lookup(self, key: bytes | None = None) -> dict[str, str]:
        return {"to": "0x" + self.address.hex(), "data": "0x" + (LOOKUP + (key or self.key)).hex()}


@pytest.fixture(scope="session")
def registry_code() -> bytes:
    """Init code of the sample register of digests."""
    return bytes.fromhex(json.loads(REGISTRY.read_text("utf-8"))["bytecode"].removeprefix("0x"))


@pytest.fixture(scope="module")
def eth_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EthChain]:
    chain = EthChain(tmp_path_factory.mktemp("eth") / "ledger")
    yield chain
    chain.close()


@pytest.fixture(scope="module")
def register(eth_chain: EthChain, registry_code: bytes) -> Register:
    return Register(eth_chain, registry_code)


@pytest.fixture
def make_register(registry_code: bytes) -> Callable[[EthChain], Register]:
    """Return a function that deploys the sample register on a chain and uses it."""
    return lambda chain: Register(chain, registry_code)


@pytest.fixture
def make_eth_chain(tmp_path: Path) -> Iterator[Any]:
    """Return a function that makes such a chain, over a folder of its own or one that is there."""
    made: list[EthChain] = []

    def make(path: Path = tmp_path / "ledger", **options: Any) -> EthChain:
        made.append(EthChain(path, **options))
        return made[-1]

    yield make
    for chain in made:
        chain.close()
