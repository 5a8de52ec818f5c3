"""JSON-RPC: the protocol's own rules, every method, and errors that name what was expected, what was found and what to do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.messages import CommitCertificate, VoteKind, vote_sign_digest
from contracts import registry
from contracts.abi import abi_type
from contracts.accounts import account_key
from contracts.data_sharing.audits import FINDING_NUMBERS, QUERIES
from contracts.identifiers import uscc_check_character
from contracts.offences import save_offence
from contracts.parameters import ChainParameters
from contracts.validator_sets import load_validators
from node.chain.codec import encode
from node.chain.genesis import Genesis, GenesisAccount, GenesisDepartment, GenesisValidator
from node.chain.proof import TrustAnchor, decode_record_proof, verify_record_proof
from node.chain.transaction import (
    Transaction,
    TransactionBody,
    VerifiedTransaction,
    address_of,
    decode_transaction,
    transaction_hash,
    transaction_id,
)
from node.chain.world_state import WorldState
from node.driver.driver import DriverStatus
from node.driver.peer_progress import PeerProgress
from node.driver.txpool import Rejection, RejectionCode
from node.http.json_form import from_json, to_json
from node.http.json_rpc import MAX_BATCH_CALLS, MAX_REQUEST_VALUES, JsonRpc
from node.http.json_rpc_methods import MAX_SENT_TRANSACTIONS, METHODS
from node.ledger.ledger import Ledger
from node.stages import StageClock
from node.wire.away import AwayCode
from node.wire.peers import PeerState
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

START_MS = 1_760_000_000_000
CHAIN_ID = 77
CODE = "11990100MB0000001" + uscc_check_character("11990100MB0000001")
CLERK = PrivateKey.from_bytes(b"\0" + sm3(b"clerk")[1:])
VOTER = PrivateKey.from_bytes(b"\0" + sm3(b"voter")[1:])


class View:
    """The node's read side over a ledger of one validator; what is submitted is final at once."""

    name = "node1"

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.stages = StageClock()
        self.rejection: Rejection | None = None
        self.waited: list[int] = []
        self.rpc = JsonRpc(self)  # type: ignore[arg-type]
        self._serial = 0

    def status(self) -> DriverStatus:
        height = self.ledger.height
        return DriverStatus(height, 0, "propose", 0, True, True, "", max(2 * height, 200), 0, (), (), 0, ())

    def peers(self) -> list[Any]:
        return [
            PeerState("node2", "127.0.0.1:2", True, True, False, "", None),
            PeerState("node3", "127.0.0.1:3", True, False, False, "refused", AwayCode.NOT_REACHED),
        ]

    def peer_progress(self) -> dict[str, Any]:
        return {"node2": PeerProgress(150, 1, "prevote", -3, 20, "0.1.0")}

    def sign(self, contract: str, method: str, **arguments: Any) -> bytes:
        self._serial += 1
        address, data = registry.encode_call(contract, method, **arguments)
        nonce, until_ms = self._serial.to_bytes(16), self.ledger.head_time_ms + 60_000
        body = TransactionBody(1, CHAIN_ID, nonce, until_ms, CLERK.public_key, address, 1_000_000, data)
        return encode(Transaction(body, CLERK.sign(transaction_id(body))))

    async def submit(self, raws: list[bytes]) -> list[Any]:
        identifiers = [transaction_id(decode_transaction(raw).body) for raw in raws]
        if self.rejection is None:
            for raw in raws:
                self.make_block(raw)
        return [SimpleNamespace(id=identifier, rejection=self.rejection) for identifier in identifiers]

    async def wait_receipt(self, identifier: bytes, timeout_ms: int) -> None:
        self.waited.append(timeout_ms)

    def make_block(self, raw: bytes) -> None:
        body = decode_transaction(raw).body
        verified = VerifiedTransaction(
            raw, transaction_hash(raw), transaction_id(body), address_of(body.sender_key), body
        )
        ledger = self.ledger
        executed = ledger.build_block([verified], ledger.head_time_ms + 1_000, address_of(VOTER.public_key))
        height = ledger.height + 1
        digest = vote_sign_digest(ledger.genesis.hash, VoteKind.PRECOMMIT, height, 0, executed.block_id)
        ledger.commit(executed, CommitCertificate(height, 0, executed.block_id, [0], [VOTER.sign(digest)]))


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Any:
    accounts = (GenesisAccount(CLERK.public_key, ("issuer", "recorder"), "clerk"),)
    genesis = Genesis(
        CHAIN_ID,
        "测试网络",
        START_MS,
        ChainParameters(),
        (GenesisValidator("node1", CODE, VOTER.public_key),),
        (GenesisDepartment(CODE, "示范市数据资源管理局", "990100", "city", "", accounts),),
        b"",
    )
    folder: Path = tmp_path_factory.mktemp("ledger")
    ledger = Ledger.open(folder / "data", genesis)
    view = View(ledger)
    view.make_block(view.sign("anchors", "anchor", digest=sm3(b"first"), label="首条"))
    view.make_block(view.sign("anchors", "anchor", digest=sm3(b"first"), label="首条"))
    yield view
    view.rpc.close()
    ledger.close()


def answer(view: Any, body: bytes) -> Any:
    raw = asyncio.run(view.rpc.answer(body))
    return None if raw is None else orjson.loads(raw)


def call(view: Any, method: str, /, *params: Any, **named: Any) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params) or named}
    return answer(view, orjson.dumps(request))


def result(view: Any, method: str, /, *params: Any, **named: Any) -> Any:
    given = call(view, method, *params, **named)
    assert "error" not in given, given
    return given["result"]


def error(view: Any, code: int, method: str, /, *params: Any, **named: Any) -> Any:
    given = call(view, method, *params, **named)["error"]
    assert given["code"] == code, given
    assert given["message"] == f"{given['data']['zh']} / {given['data']['en']}"
    return given


# The protocol.


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', -32700),
        (b"1", -32600),
        (b"null", -32600),
        (b'"text"', -32600),
        (b"{}", -32600),
        (b"[]", -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "gov_status"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 1, "params": "bar"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "gov_status", "params": 5}', -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "gov_status"}', -32600),
        (b'{"jsonrpc": "2.0", "id": true, "method": "gov_status"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "nothing"}', -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "gov_getReceipt"}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "gov_status", "params": [1]}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "gov_status", "params": {"x": 1}}', -32602),
    ],
)
def test_what_is_no_call(view: Any, body: bytes, code: int) -> None:
    given = answer(view, body)
    assert given["jsonrpc"] == "2.0"
    assert given["error"]["code"] == code
    assert given["error"]["data"]["zh"]


def test_an_id_comes_back_as_it_was(view: Any) -> None:
    for call_id in (1, 0, -5, "text", None, 1.5):
        body = orjson.dumps({"jsonrpc": "2.0", "id": call_id, "method": "eth_chainId"})
        assert answer(view, body) == {"jsonrpc": "2.0", "id": call_id, "result": hex(CHAIN_ID)}


def test_a_notification_is_not_answered(view: Any) -> None:
    notification = {"jsonrpc": "2.0", "method": "eth_chainId"}
    assert answer(view, orjson.dumps(notification)) is None
    assert answer(view, orjson.dumps([notification, notification])) is None
    unknown = {"jsonrpc": "2.0", "method": "nothing"}
    assert answer(view, orjson.dumps(unknown)) is None


def test_a_batch_answers_each_call(view: Any) -> None:
    calls = [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"},
        1,
        {"jsonrpc": "2.0", "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": "2", "method": "nothing"},
    ]
    answers = answer(view, orjson.dumps(calls))
    assert [(a["id"], a.get("error", {}).get("code")) for a in answers] == [(1, None), (None, -32600), ("2", -32601)]
    too_many = [calls[0]] * (MAX_BATCH_CALLS + 1)
    assert answer(view, orjson.dumps(too_many))["error"]["code"] == -32600


@pytest.mark.parametrize("value", [b"[],", b"{},", b"0,", b"[", b'{"a":'])
def test_a_request_of_too_many_values_is_refused_unread(view: View, value: bytes) -> None:
    """16 MiB of empty lists take a second to read, and half a gigabyte."""
    fault = answer(view, b"[" + value * MAX_REQUEST_VALUES)["error"]
    # What is read and no JSON is -32700.
    assert fault["code"] == -32600
    assert str(MAX_REQUEST_VALUES) in fault["message"]
    hashes = ["0x" + "ab" * 32] * (MAX_REQUEST_VALUES - 10)
    body = orjson.dumps({"jsonrpc": "2.0", "id": 7, "method": "eth_chainId", "params": hashes})
    assert answer(view, body)["error"]["code"] == -32602


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(method=st.sampled_from(sorted(METHODS)), params=st.lists(JSON, max_size=4) | st.dictionaries(st.text(), JSON))
def test_no_parameters_are_a_fault_of_the_node(view: Any, method: str, params: Any) -> None:
    given = call(view, method, *params) if isinstance(params, list) else call(view, method, x=params)
    assert given.get("error", {}).get("code") != -32603, given


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200) | JSON.map(orjson.dumps))
def test_no_body_is_a_fault_of_the_node(view: Any, body: bytes) -> None:
    given = answer(view, body)
    for one in given if isinstance(given, list) else [given]:
        assert one is None or one.get("error", {}).get("code") != -32603


def test_a_fault_of_ours_is_told_and_logged(
    view: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(view: Any) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setitem(METHODS, "gov_broken", broken)
    monkeypatch.setattr(view, "rpc", JsonRpc(view))
    given = error(view, -32603, "gov_broken")
    assert "secret" not in given["message"]
    assert "a secret of the inside" in caplog.text


# The methods.


def test_the_chain_and_the_node(view: Any) -> None:
    assert result(view, "eth_chainId") == "0x4d"
    assert result(view, "net_version") == "77"
    assert int(result(view, "eth_blockNumber"), 16) == view.ledger.height
    assert result(view, "web3_clientVersion").startswith("govnode/")
    status = result(view, "gov_status")
    assert 0 <= status["sync_percent"] < 100
    first, second = status["peers"]
    assert (first["height"], first["clock_offset_ms"], first["software_version"]) == (150, -3, "0.1.0")
    assert (second["reason"], second["reason_code"], second["height"]) == ("refused", "NOT_REACHED", None)
    assert first["reason_code"] is None
    assert status["chain_id"] == CHAIN_ID
    assert status["genesis_hash"] == "0x" + view.ledger.genesis.hash.hex()
    assert status["is_validator"] is True


def test_a_transaction_is_sent_and_has_a_receipt(view: Any) -> None:
    raw = view.sign("anchors", "anchor", digest=sm3(b"sent"), label="一")
    identifier = result(view, "gov_sendTransaction", "0x" + raw.hex())
    receipt = result(view, "gov_waitReceipt", transaction_id=identifier, timeout_ms=1_000)
    assert (receipt["id"], receipt["refusal"], receipt["height"]) == (identifier, None, view.ledger.height)
    assert receipt["events"][0]["event"] == "Anchored"
    assert receipt == result(view, "gov_getReceipt", identifier)
    transaction = result(view, "gov_getTransaction", identifier)
    assert transaction["arguments"] == {"digest": "0x" + sm3(b"sent").hex(), "label": "一"}
    assert bytes.fromhex(transaction["raw"][2:]) == raw
    # Ethereum's forms call the id "hash": that of the signed bytes, by which nothing is found, goes by another name.
    assert "hash" not in transaction
    assert transaction["signed_hash"] == "0x" + transaction_hash(raw).hex()


def test_an_odd_number_of_hex_digits_is_called_that(view: Any) -> None:
    for digits in ("0x123", "123"):
        told = error(view, -32602, "eth_sendRawTransaction", digits)
        assert "an even number of hex digits, not 3" in told["message"]


def test_an_unknown_method_is_told_where_the_known_ones_are(view: Any) -> None:
    assert "rpc.discover" in error(view, -32601, "gov_status2")["message"]


def test_many_are_sent_at_once(view: Any) -> None:
    raws = [view.sign("anchors", "anchor", digest=sm3(b"many %d" % n), label="多") for n in range(3)]
    results = result(view, "gov_sendTransactions", transactions=[raw.hex() for raw in raws])
    assert [one["rejection"] for one in results] == [None] * 3
    assert [one["id"] for one in results] == ["0x" + transaction_id(decode_transaction(raw).body).hex() for raw in raws]
    for transactions in ([], ["00"] * (MAX_SENT_TRANSACTIONS + 1), "00", None, [1], ["zz"], ["0" * 300_000]):
        error(view, -32602, "gov_sendTransactions", transactions=transactions)


def test_a_rejection_is_an_error_of_one_and_a_part_of_many(view: Any) -> None:
    view.rejection = Rejection(RejectionCode.POOL_FULL, "交易池已满 / the pool is full")
    raw = view.sign("anchors", "anchor", digest=sm3(b"rejected"), label="一").hex()
    try:
        given = error(view, -32003, "gov_sendTransaction", raw)
        assert given["data"] == {"zh": "交易池已满", "en": "the pool is full", "code": "POOL_FULL"}
        many = result(view, "gov_sendTransactions", [raw])
        assert many[0]["rejection"] == {"code": "POOL_FULL", "zh": "交易池已满", "en": "the pool is full"}
    finally:
        view.rejection = None


def test_a_refused_transaction_has_a_receipt_with_the_reason(view: Any) -> None:
    block = result(view, "gov_getBlock", 2)
    receipt = result(view, "gov_getReceipt", block["transactions"][0])
    assert receipt["refusal"] == "ANCHOR_EXISTS"
    assert receipt["message"].startswith("ANCHOR_EXISTS: ")


def test_what_is_not_there_is_null(view: Any) -> None:
    unknown = "0x" + "77" * 32
    assert result(view, "gov_getReceipt", unknown) is None
    assert result(view, "gov_getTransaction", unknown) is None
    assert result(view, "gov_waitReceipt", unknown, 5) is None
    assert view.waited[-1] == 5
    for height in (0, 10_000, "0xffff"):
        assert result(view, "gov_getBlock", height) is None


def test_a_block(view: Any) -> None:
    latest = result(view, "gov_getBlock")
    assert latest["height"] == view.ledger.height
    assert result(view, "gov_getBlock", "0x1")["transaction_count"] == 1
    for height in ("1", "latest ", -1, 1.5, True, None, "0x01", 2**63):
        assert error(view, -32602, "gov_getBlock", height)["data"]["field"] == "height"


@pytest.mark.parametrize("timeout_ms", [-1, 60_001, "5", None, True, 1.5])
def test_a_wait_is_bounded(view: Any, timeout_ms: Any) -> None:
    error(view, -32602, "gov_waitReceipt", "00" * 32, timeout_ms)


def test_a_view_is_called_by_names(view: Any) -> None:
    account = result(view, "gov_call", "members", "account", {"account": address_of(CLERK.public_key).hex()})
    assert account["name"] == "clerk"
    assert account["roles"] == ["issuer", "recorder"]
    assert result(view, "gov_call", "members", "validators")[0]["name"] == "node1"
    anchored = {"digest": "0x" + sm3(b"first").hex(), "department": CODE}
    assert result(view, "gov_call", contract="anchors", method="anchored", arguments=anchored)["label"] == "首条"


def test_a_view_that_refuses_says_why(view: Any) -> None:
    given = error(view, 3, "gov_call", "members", "department", {"code": "NOBODY"})
    assert given["data"]["code"] == "DEPARTMENT_UNKNOWN"


@pytest.mark.parametrize(
    "params",
    [
        ("nobody", "account"),
        (1, "account"),
        ("members", "add_account"),
        ("members", "account", {}),
        ("members", "account", {"account": "zz"}),
        ("members", "account", {"account": "00"}),
        ("members", "account", {"account": 5}),
        ("members", "account", {"account": "00" * 20, "more": 1}),
        ("members", "account", [1, 2, 3]),
        ("members", "account", 7),
        ("sharing", "is_grant_in_force", {"request": "00" * 32, "time_ms": "x"}),
        ("sharing", "is_grant_in_force", {"request": "00" * 32, "time_ms": str(2**70)}),
        ("sharing", "is_grant_in_force", {"request": "00" * 32, "time_ms": True}),
        ("members", "department", {"code": None}),
    ],
)
def test_wrong_arguments_of_a_view(view: Any, params: tuple[Any, ...]) -> None:
    error(view, -32602, "gov_call", *params)


def test_a_proof_verifies_for_whoever_trusts_the_genesis(view: Any) -> None:
    key = account_key(address_of(CLERK.public_key))
    genesis = view.ledger.genesis
    trust = TrustAnchor(genesis.hash, 0, genesis.validator_set().hash)
    proof = decode_record_proof(bytes.fromhex(result(view, "gov_getProof", key.hex())[2:]))
    record = verify_record_proof(proof, trust)
    assert record.height == view.ledger.height
    assert record.value is not None
    earlier = decode_record_proof(bytes.fromhex(result(view, "gov_getProof", key.hex(), 1)[2:]))
    assert verify_record_proof(earlier, trust).height == 1
    assert error(view, -32001, "gov_getProof", key.hex(), 10_000)["data"]["code"] == "UNKNOWN_HEIGHT"
    error(view, -32602, "gov_getProof", "zz")
    error(view, -32602, "gov_getProof", "00" * 5_000)


def test_audits_are_for_signed_requests_only(view: Any) -> None:
    asked = error(view, -32010, "gov_call", "audits", "audit_query", {"number": 1})
    assert asked["data"]["code"] == "SIGNATURE_REQUIRED"
    error(view, -32010, "gov_getProof", QUERIES.key((1).to_bytes(8, "big")).hex())
    # Nor whether there is a finding about batches whose numbers everybody knows.
    error(view, -32010, "gov_getProof", FINDING_NUMBERS.key(bytes(32)).hex())
    # Who the auditing authority is stays for everybody to know.
    assert result(view, "gov_call", "audits", "authority", {}) == ""


def test_json_and_arguments_convert_both_ways() -> None:
    kind = abi_type("(uint256,int64[],bytes,bool,string)[]")
    given = [[str(2**200), [-1, "5"], "0xff00", True, "证"]]
    arguments = from_json(kind, given, "x")
    assert arguments == [[2**200, [-1, 5], b"\xff\0", True, "证"]]
    assert to_json(arguments) == [[str(2**200), [-1, 5], "0xff00", True, "证"]]
    assert to_json({"a": 2**53, "b": (2**53 - 1, None)}) == {"a": str(2**53), "b": [2**53 - 1, None]}
    with pytest.raises(TypeError, match="no JSON form"):
        to_json(1.5)


def test_parameters_validators_and_offences_of_the_chain_are_shown(view: Any) -> None:
    assert result(view, "gov_getParameters")["block_interval_ms"] == view.ledger.parameters().block_interval_ms
    validators = result(view, "gov_getValidators")
    assert [entry["address"] for entry in validators] == [
        "0x" + member.address.hex() for member in view.ledger.validators()
    ]
    assert result(view, "gov_getEvidence") == []


def test_an_offence_is_shown_with_its_kind_and_both_values(view: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[bytes, bytes] = {}
    written = WorldState(state.get)
    offender = load_validators(view.ledger.state())[0]
    save_offence(written, offender, (5, 2, 1), (b"\1" * 32, b""), (7, 1_750_000_000_000))
    state.update({key: value for key, value in written.changes().items() if value is not None})
    shown = SimpleNamespace(
        get=state.get, iterate=lambda prefix: iter([item for item in state.items() if item[0].startswith(prefix)])
    )
    monkeypatch.setattr(view.ledger, "state", lambda: shown)
    (found,) = result(view, "gov_getEvidence")
    assert (found["height"], found["round"], found["kind"]) == (5, 2, "prevote")
    assert (found["address"], found["first_value"]) == ("0x" + offender.address.hex(), "0x" + "01" * 32)
    assert (found["included_height"], found["second_value"]) == (7, "0x")


def test_the_calls_of_a_batch_let_the_node_work_between_them(view: Any) -> None:
    turns, seen = 0, []

    async def watch() -> Any:
        nonlocal turns
        calls = [{"jsonrpc": "2.0", "id": n, "method": "gov_turn"} for n in range(20)]
        answering = asyncio.create_task(JsonRpc(view).answer(orjson.dumps(calls)))
        while not answering.done():
            turns += 1
            await asyncio.sleep(0)
        return orjson.loads(await answering or b"")

    async def note(reads: Any) -> None:
        seen.append(turns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "gov_turn", note)
        answers = asyncio.run(watch())
    assert [one["id"] for one in answers] == list(range(20))
    assert len(set(seen)) == 20
