"""A small chain made by hand: records written by the real contracts, proofs signed by four validators."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from consensus.messages import CommitCertificate, VoteKind, vote_sign_digest
from consensus.validators import Validator, ValidatorSet
from contracts import registry
from contracts.abi import decode_error
from contracts.batches import BATCHES, batch_key, batch_name, leaf_hash
from contracts.call import Call, CallResult
from contracts.certificate_records import CertificateContent, certificate_key, load_certificate
from contracts.identifiers import make_identifier, parse_identifier
from contracts.parameters import ChainParameters
from contracts.recent_blocks import save_block_id
from contracts.refusals import Refused
from node.chain.block import BLOCK_VERSION, Header, block_id
from node.chain.codec import encode
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.chain.proof import PROOF_VERSION, RecordProof, SetChange
from node.chain.state_proof import prove_state
from node.chain.state_tree import StateTreeError, update_tree
from node.chain.transaction import address_of, decode_transaction, transaction_id
from node.http.json_form import from_json, to_json
from sdk.authority import request_authority
from sdk.cli.main import main
from sdk.node_folder import add_node
from sdk.trust import save_trust
from sm_crypto.keystore import save_key
from sm_crypto.merkle import merkle_path, merkle_root
from sm_crypto.sm2 import PrivateKey, verify
from sm_crypto.sm3 import sm3
from tests.endings import end_thread
from verification.batch_proof import BatchMember, BatchProof, join_proofs
from verification.trust import trust_of_genesis

KEY_ITERATIONS = 1_000
START_MS = 1_780_000_000_000
DEPARTMENT, CONSUMER = "11990100MB0000002X", "11990100MB00000031"
TYPE_CODE = "11100000MB03271699001"
DOCUMENT = "%PDF-1.4 样本 sample".encode()


class ContractState(dict[bytes, bytes]):
    """A state for the contracts to write to."""

    def set(self, key: bytes, value: bytes) -> None:
        self[key] = value

    def delete(self, key: bytes) -> None:
        self.pop(key, None)


class Nodes(dict[tuple[str, int], bytes]):
    """Stored nodes of the state tree."""

    def read_node(self, path: str, version: int) -> bytes:
        try:
            return self[path, version]
        except KeyError:
            raise StateTreeError(f"no node at {path}, {version}") from None


@dataclass
class HandMadeChain:
    """Founding departments and validators; each run of calls makes the next block."""

    genesis: Genesis
    validator_keys: list[PrivateKey]
    governor: PrivateKey
    clerk: PrivateKey
    consumer: PrivateKey
    state: ContractState
    height: int = 0
    time_ms: int = START_MS

    def call(self, key: PrivateKey, contract: str, method: str, **arguments: Any) -> None:
        """Run one call in a block of its own; it must not be refused."""
        address, data = registry.encode_call(contract, method, **arguments)
        result = self.execute(address_of(key.public_key), address, data, sm3(self.height.to_bytes(8, "big")))
        assert result.refusal is None, result

    def execute(self, sender: bytes, to: bytes | None, data: bytes, call_id: bytes) -> CallResult:
        """Run call data in a block of its own and return how it ended; a refused call writes nothing."""
        self.height += 1
        self.time_ms += 1_000
        before = dict(self.state)
        result = registry.execute_call(self.state, Call(sender, to, data, 10**7, self.height, self.time_ms, call_id))
        if result.refusal is not None:
            self.state.clear()
            self.state.update(before)
        return result

    def issue_batch(self, contents: Sequence[CertificateContent]) -> tuple[str, list[BatchMember]]:
        """Issue certificates of this department as one batch, in the order of identifiers; return its name and them."""
        contents = sorted(contents, key=lambda content: content.identifier)
        leaves = [leaf_hash(content) for content in contents]
        serials = [parse_identifier(content.identifier).serial for content in contents]
        self.call(
            self.clerk,
            "batches",
            "issue_batch",
            type_code=TYPE_CODE,
            first=serials[0],
            last=serials[-1],
            count=len(contents),
            root=merkle_root(leaves),
            manifest_digest=sm3(b"manifest"),
        )
        paths = (tuple(merkle_path(leaves, position)) for position in range(len(leaves)))
        members = [
            BatchMember(content, position, path)
            for position, (content, path) in enumerate(zip(contents, paths, strict=True))
        ]
        return batch_name(TYPE_CODE, DEPARTMENT, serials[0]), members

    def admit(self, batch: str, member: BatchMember) -> None:
        """Give a certificate of a batch a record of its own."""
        place = {"batch": batch, "position": member.position, "path": list(member.path)}
        content = tuple(getattr(member.content, name) for name in member.content.__struct_fields__)
        self.call(self.clerk, "batches", "admit", **place, content=content)

    def prove_member(self, batch: str, member: BatchMember, validators: ValidatorSet | None = None) -> BatchProof:
        """Return a proof of a batch's certificate as of the last block."""
        batch_record = self.prove(batch_key(batch), validators)
        return join_proofs(member, batch_record, self.prove(certificate_key(member.content.identifier), validators))

    def prove(self, key: bytes, validators: ValidatorSet | None = None) -> RecordProof:
        """Return a proof of what the state holds at `key` now, certified by three of the four validators."""
        return self.prove_all([key], validators)[0]

    def prove_all(self, keys: Sequence[bytes], validators: ValidatorSet | None = None) -> list[RecordProof]:
        """Return a proof of each key as `prove` does, all under one header."""
        nodes = Nodes()
        change = update_tree(nodes, None, 1, dict(self.state))
        assert change is not None
        nodes.update({(path, change.root_version): blob for path, blob in change.nodes.items()})
        validators = validators or self.genesis.validator_set()
        header = self.header(change.root_hash, validators, validators)
        certificate = self.certify(header, validators)
        return [
            RecordProof(
                PROOF_VERSION,
                key,
                self.state.get(key),
                prove_state(nodes, change.root_version, key),
                header,
                certificate,
                validators.members,
                (),
            )
            for key in keys
        ]

    def change_validators(self, validators: ValidatorSet) -> SetChange:
        """Return the proof that the founding validators handed over to others in a block."""
        old = self.genesis.validator_set()
        self.height += 1
        header = self.header(bytes(32), old, validators)
        return SetChange(header, self.certify(header, old), old.members)

    def header(self, state_root: bytes, validators: ValidatorSet, following: ValidatorSet) -> Header:
        return Header(
            version=BLOCK_VERSION,
            height=self.height,
            parent_id=bytes(32),
            history_root=bytes(32),
            time_ms=self.time_ms,
            proposer=validators.members[0].address,
            transactions_root=bytes(32),
            receipts_root=bytes(32),
            state_root=state_root,
            validators_hash=validators.hash,
            next_validators_hash=following.hash,
            parameters_hash=self.genesis.parameters.hash,
            evidence_root=bytes(32),
        )

    def certify(self, header: Header, validators: ValidatorSet) -> CommitCertificate:
        keys = {key.public_key: key for key in self.validator_keys}
        digest = vote_sign_digest(self.genesis.hash, VoteKind.PRECOMMIT, header.height, 0, block_id(header))
        signers = [index for index, member in enumerate(validators) if member.public_key in keys][: validators.quorum]
        signatures = [keys[validators.members[index].public_key].sign(digest) for index in signers]
        return CommitCertificate(header.height, 0, block_id(header), signers, signatures)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any, str]]:
    """Run a command line in this process and return its status, its output (from JSON where asked for), and its errors."""
    # Keys that commands make are as quick to open as those that tests make; their strength is tried where keys are.
    for make in (save_key, request_authority, add_node):
        monkeypatch.setitem(make.__kwdefaults__ or {}, "iterations", KEY_ITERATIONS)

    def call(*arguments: object) -> tuple[int, Any, str]:
        texts = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["govnode", *texts])
        with pytest.raises(SystemExit) as ended:
            main(texts)
        captured = capsys.readouterr()
        out = json.loads(captured.out) if "--json" in texts and captured.out else captured.out
        return int(ended.value.code or 0), out, captured.err

    return call


@pytest.fixture(scope="session")
def identifier() -> str:
    return make_identifier(TYPE_CODE, DEPARTMENT, "20250000001")


@pytest.fixture
def chain(identifier: str) -> HandMadeChain:
    return make_chain(identifier)


def make_chain(identifier: str) -> HandMadeChain:
    """Return a chain of two departments with one type of certificate, and one certificate of it."""
    validators = [PrivateKey.generate() for _ in range(4)]
    governor, clerk, consumer = (PrivateKey.generate() for _ in range(3))
    accounts = (
        GenesisAccount(governor.public_key, ("governor",), "governor"),
        GenesisAccount(clerk.public_key, ("issuer", "publisher", "approver"), "clerk"),
    )
    others = (GenesisAccount(consumer.public_key, ("requester", "recorder"), "consumer"),)
    genesis = Genesis(
        7,
        "示范网络",
        START_MS,
        ChainParameters(),
        tuple(GenesisValidator(f"node{i}", DEPARTMENT, key.public_key) for i, key in enumerate(validators)),
        (
            GenesisDepartment(DEPARTMENT, "示范局", "990100", "city", "", accounts),
            GenesisDepartment(CONSUMER, "使用局", "990100", "city", DEPARTMENT, others),
        ),
        b"",
    )
    state = ContractState()
    registry.write_genesis(state, genesis.departments, genesis.validators, genesis.parameters, genesis.time_ms)
    save_block_id(state, 0, genesis.hash)
    made = HandMadeChain(genesis, validators, governor, clerk, consumer, state)
    made.call(
        governor,
        "certificates",
        "register_type",
        code=TYPE_CODE,
        name="不动产权证书",
        defining_body="自然资源部",
        defining_level="national",
        holder_category="person",
        validity_range="",
        issuing_level="city",
        certificate_class="certificate",
        code_table="default",
        issuers=[DEPARTMENT],
    )
    made.call(
        clerk,
        "certificates",
        "issue",
        identifier=identifier,
        document_digest=sm3(DOCUMENT),
        holder_commitment=sm3(b"holder"),
        valid_from_ms=START_MS - 86_400_000,
        valid_to_ms=START_MS + 365 * 86_400_000,
    )
    return made


@pytest.fixture
def trust_path(chain: HandMadeChain, tmp_path: Path) -> Path:
    path = tmp_path / "trust.json"
    save_trust(path, trust_of_genesis(chain.genesis))
    return path


@pytest.fixture
def other_validators(chain: HandMadeChain) -> ValidatorSet:
    """Three of the founding validators and a new one."""
    keys = [*chain.validator_keys[:3], PrivateKey.generate()]
    chain.validator_keys.append(keys[-1])
    return ValidatorSet([Validator(address_of(key.public_key), key.public_key) for key in keys])


class StandInNode:
    """Answers HTTP as a node does, over the hand-made chain: what it says is by the real contracts and codecs."""

    def __init__(self, chain: HandMadeChain) -> None:
        self.chain = chain
        self.receipts: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.deposits: list[dict[str, Any]] = []
        self.methods: dict[str, Callable[..., Any]] = {
            "gov_status": self.status,
            "gov_sendTransactions": self.send_transactions,
            "gov_waitReceipt": self.wait_receipt,
            "gov_call": self.view,
            "gov_getProof": self.get_proof,
        }
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(*node.get(self.path, {name.lower(): value for name, value in self.headers.items()}))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                answers = [node.rpc(call) for call in (body if isinstance(body, list) else [body])]
                self.reply(200, answers if isinstance(body, list) else answers[0])

            def reply(self, status: int, content: Any) -> None:
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *arguments: object) -> None:
                """Keep the test's output free of it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        end_thread(self.thread)

    def rpc(self, call: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call["id"]}
        try:
            method = self.methods.get(call["method"])
            if method is None:
                return answer | {"error": {"code": -32601, "message": "没有方法 / there is no method"}}
            params = call["params"]
            return answer | {"result": method(*params) if isinstance(params, list) else method(**params)}
        except Refused as refused:
            zh, en = refused.texts
            data = {"code": refused.code, "zh": zh, "en": en}
            return answer | {"error": {"code": 3, "message": f"{zh} / {en}", "data": data}}

    def status(self) -> dict[str, Any]:
        return {
            "node_name": "node1",
            "network_name": self.chain.genesis.network_name,
            "chain_id": self.chain.genesis.chain_id,
            "genesis_hash": "0x" + self.chain.genesis.hash.hex(),
            "height": self.chain.height,
            "head_time_ms": self.chain.time_ms,
            "validator_count": 4,
            "peers": [
                {
                    "name": "node2",
                    "address": "127.0.0.1:2",
                    "is_connected": False,
                    "reason": "refused",
                    "reason_code": "NOT_REACHED",
                }
            ],
            "round": 2,
            "is_validator": True,
            "is_voting": False,
            "abstention": "没有签名记录 / no last-signed record",
            "target_height": self.chain.height + 5,
            "sync_trouble": "",
            "step": "prevote",
            "equivocations": 0,
            "away_validators": ["node2"],
            "awaited_validators": ["node2", "node3"],
            "join": None,
            "pool_transactions": 0,
        }

    def send_transactions(self, transactions: list[str]) -> list[dict[str, Any]]:
        return [self.take(bytes.fromhex(raw.removeprefix("0x"))) for raw in transactions]

    def take(self, raw: bytes) -> dict[str, Any]:
        transaction = decode_transaction(raw)
        body = transaction.body
        identifier = transaction_id(body)
        verify(body.sender_key, identifier, transaction.signature)
        if body.chain_id != self.chain.genesis.chain_id:
            rejection = {"code": "WRONG_CHAIN", "zh": "链号不符", "en": "another chain"}
            return {"id": "0x" + identifier.hex(), "rejection": rejection}
        result = self.chain.execute(address_of(body.sender_key), body.to, body.data, identifier)
        self.receipts["0x" + identifier.hex()] = {
            "height": self.chain.height,
            "index": 0,
            "time_ms": self.chain.time_ms,
            "gas_used": result.gas_used,
            "refusal": result.refusal,
            "message": None if result.refusal is None else decode_error(result.output),
            "output": "0x" + result.output.hex(),
        }
        return {"id": "0x" + identifier.hex(), "rejection": None}

    def wait_receipt(self, transaction_id: str, timeout_ms: int) -> dict[str, Any] | None:
        return self.receipts.get(transaction_id)

    def view(self, contract: str, method: str, arguments: dict[str, Any]) -> Any:
        declared = registry.CONTRACTS[contract].methods[method]
        values = from_json(declared.inputs, arguments, "arguments")
        stated = dict(zip(declared.inputs.names, values, strict=True))
        return to_json(registry.view(self.chain.state, contract, method, self.chain.time_ms, **stated))

    def get_proof(self, key: str, height: int | str) -> str:
        return "0x" + encode(self.chain.prove(bytes.fromhex(key.removeprefix("0x")))).hex()

    def get(self, target: str, headers: dict[str, str]) -> tuple[int, Any]:
        self.requests.append(("GET", target, headers))
        path, _, query = target.partition("?")
        match path.removeprefix("/api/v1/").split("/"):
            case ["deposits"] if "gov-signature" not in headers:
                problem = {"code": "SIGNATURE_REQUIRED", "zh": "须签名", "en": "sign the request"}
                return 401, problem
            case ["deposits"]:
                return self.page(self.deposits, query)
            case ["certificates", identifier]:
                return self.certificate(identifier)
            case ["batches"]:
                found = (BATCHES.decode(raw) for key, raw in self.chain.state.items() if key.startswith(BATCHES.prefix))
                return 200, {"items": [to_json(batch) for batch in found], "next_cursor": None}
            case ["garbage"]:
                return 200, b"<html>"
            case _:
                return 404, {"code": "NOT_FOUND", "zh": "没有", "en": "there is none"}

    def certificate(self, identifier: str) -> tuple[int, Any]:
        try:
            record = load_certificate(self.chain.state, identifier)
        except Refused as refused:
            zh, en = refused.texts
            return 422, {"code": refused.code, "zh": zh, "en": en}
        if record is None:
            return 404, {"code": "NOT_FOUND", "zh": "没有", "en": "there is none"}
        shown = to_json(record) | {"type_name": "不动产权证书", "issuer_name": "示范局"}
        for interval in shown["history"]:
            interval["status_text"] = {"zh": "名称", "en": "name"}
        return 200, shown

    def page(self, items: list[Any], query: str) -> tuple[int, Any]:
        """Two a page, so that lists need their cursors."""
        start = int(parse_qs(query).get("cursor", ["0"])[0])
        following = str(start + 2) if start + 2 < len(items) else None
        return 200, {"items": items[start : start + 2], "next_cursor": following}


@pytest.fixture
def node(chain: HandMadeChain) -> Iterator[StandInNode]:
    made = StandInNode(chain)
    yield made
    made.stop()
