"""What strangers and careless clients send to a running network: each gets a clear answer, and all nodes go on and agree."""

import contextlib
import json
import secrets
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from contracts.data_sharing.resources import CONDITIONAL, GENERAL, ResourceDescription, ResourceItem
from contracts.identifiers import make_identifier
from contracts.registry import CONTRACTS, encode_call
from node.chain.codec import encode
from node.chain.transaction import TRANSACTION_VERSION, Transaction, TransactionBody, transaction_id
from sdk.client import SignedCall
from sm_crypto.sm2 import PrivateKey
from verification.errors import GovnodeError

pytestmark = pytest.mark.e2e

LAND = "11990100MB0000002X"
TYPE = "11100000MB03271699001"
ANCHORS = CONTRACTS["anchors"].address
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _all_go_on(network: Any) -> Iterator[None]:
    """Whatever a test sends: no node has ended by itself afterwards, and all take a transaction, and agree on block and state."""
    yield
    for name in network.names:
        assert "driver_fault" not in (network.made.folder / name / "node.log").read_text("utf-8")
    with network.client("land-clerk", 3) as client:
        height = client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="仍在运行").height
    assert len(network.roots(network.wait_until_level(height))) == 1
    assert all(map(network.supervisor.is_running, network.names))


def signed(network: Any, data: bytes, to: bytes | None = ANCHORS, **changes: Any) -> SignedCall:
    """A transaction of the land clerk; `changes` replace fields of its body, `signer` who signs."""
    signer = changes.pop("signer", network.signer("land-clerk"))
    fields: dict[str, Any] = {
        "version": TRANSACTION_VERSION,
        "chain_id": network.made.chain_id,
        "nonce": secrets.token_bytes(16),
        "valid_until_ms": time.time_ns() // 1_000_000 + 60_000,
        "sender_key": signer.public_key,
        "to": to,
        "gas_limit": 1_000_000,
        "data": data,
    }
    body = TransactionBody(**(fields | changes))
    identifier = transaction_id(body)
    return SignedCall(identifier, encode(Transaction(body, signer.sign(identifier))))


def anchor_data(digest: bytes | None = None) -> bytes:
    return encode_call("anchors", "anchor", digest=digest or secrets.token_bytes(32), label="x")[1]


def code_of(outcome: Any) -> str:
    return outcome.code if isinstance(outcome, GovnodeError) else "OK"


def test_transactions_that_break_a_rule_are_refused_by_name(network: Any) -> None:
    now_ms = time.time_ns() // 1_000_000
    repeated = signed(network, anchor_data())
    good = signed(network, anchor_data())
    other_tail = SignedCall(good.id, good.raw[:-1] + bytes([good.raw[-1] ^ 1]))
    cases = {
        "WRONG_CHAIN": signed(network, anchor_data(), chain_id=1),
        "EXPIRED": signed(network, anchor_data(), valid_until_ms=now_ms - 3_600_000),
        "TOO_FAR_AHEAD": signed(network, anchor_data(), valid_until_ms=2**63 - 1),
        "GAS_LIMIT_TOO_HIGH": signed(network, anchor_data(), gas_limit=2**63 - 1),
        "UNKNOWN_SENDER": signed(network, anchor_data(), signer=PrivateKey.generate()),
        "BAD_SIGNATURE": other_tail,
        "MALFORMED": SignedCall(b"", good.raw + b"\x00"),
        "REPEATED": repeated,
        "NO_CONTRACT": signed(network, b"", to=bytes.fromhex("57" * 20)),
        "NO_METHOD": signed(network, b""),
        "MALFORMED_CALL": signed(network, anchor_data() + bytes(32)),
        "OUT_OF_GAS": signed(network, anchor_data(), gas_limit=0),
        "ROLE_MISSING": signed(network, *reversed(encode_call("members", "resume_department", code=LAND, reason="x"))),
    }
    with network.client("land-clerk") as client:
        assert code_of(client.outcomes([repeated])[0]) == "OK"
        found = dict(zip(cases, map(code_of, client.outcomes(list(cases.values()))), strict=True))
    assert found == {name: name for name in cases}


def test_certificates_that_break_a_rule_are_refused_by_name(network: Any) -> None:
    good = make_identifier(TYPE, LAND, "9900000001")
    wrong_check = good[:-1] + ("A" if good[-1] != "A" else "B")
    fields: dict[str, Any] = {
        "document_digest": b"\x01" * 32,
        "holder": b"\x02" * 32,
        "valid_from_ms": 1_600_000_000_000,
        "valid_to_ms": 1_900_000_000_000,
    }
    names = list(CONTRACTS["certificates"].methods["issue"].inputs.names)
    assert set(fields) < set(names) or names, "the fields below are those of the method"
    fields = {name: value for name, value in fields.items() if name in names}
    fields |= {name: b"\x02" * 32 for name in names if name not in fields and name != "identifier"}

    def issue(client: Any, identifier: str, **changes: Any) -> str:
        call = client.sign_call("certificates", "issue", identifier=identifier, **(fields | changes))
        return code_of(client.outcomes([call])[0])

    with network.client("land-clerk") as client:
        assert issue(client, good) == "OK"
        assert issue(client, good) == "CERTIFICATE_EXISTS"
        assert issue(client, good.removeprefix("1.2.156.3005.2.")) == "CERTIFICATE_EXISTS", "one certificate, one name"
        assert "CHECK" in issue(client, wrong_check)
        for trick in (
            good.lower(),
            good.replace("0", "\uff10"),
            good + "\u200b",
            "\u202e" + good,
            good.replace("1", "\u0661"),
        ):
            assert issue(client, trick) == "IDENTIFIER_MALFORMED", ascii(trick)
        other = make_identifier(TYPE, LAND, "9900000002")
        assert issue(client, other, valid_from_ms=2, valid_to_ms=1) == "DATES_REVERSED"
        assert issue(client, other, valid_to_ms=2**63 - 1) == "DATE_OUT_OF_RANGE"
    with network.client("housing-clerk") as client:
        assert issue(client, other) != "OK", "another department's number"
    with network.client("data-bureau-auditor") as client:
        assert issue(client, other) == "ROLE_MISSING"


def test_malformed_dates_and_identifiers_are_refused_by_the_command_line(network: Any) -> None:
    secret = str(network.made.account("land-clerk").holder_secret)
    good = make_identifier(TYPE, LAND, "9900000003")
    options = ("--digest", "01" * 32, "--holder-secret", secret, *network.account_options("land-clerk"))
    for date in ("2025-02-30", "25-1-1", "2025-13-01", "\u0662\u0660\u0662\u0665-01-01"):
        error = network.run("cert", "issue", good, "--valid-from", date, *options, status=1)["error"]
        assert error["code"] == "DATE_MALFORMED"
        assert "--valid-from" in error["message"]


def test_two_thousand_conflicting_transactions_and_one_wins(network: Any) -> None:
    """All anchor the same digest, a quarter of them through each node: exactly one is done, and all nodes name the same one."""
    digest = secrets.token_bytes(32)
    data = anchor_data(digest)
    calls = [signed(network, data) for _ in range(2_000)]
    for index in range(4):
        with network.client("land-clerk", index) as client:
            assert client.send(calls[index::4]) == [None] * 500
    with network.client("land-clerk") as client:
        receipts = [
            client.rpc("gov_waitReceipt", transaction_id="0x" + call.id.hex(), timeout_ms=60_000) for call in calls
        ]
    outcomes = [receipt["refusal"] for receipt in receipts]
    assert sorted(map(str, outcomes)) == ["ANCHOR_EXISTS"] * 1_999 + ["None"]


def test_one_id_under_different_signatures_is_executed_once(network: Any) -> None:
    """SM2 is randomised: each node gets the same body with a signature of its own."""
    signer = network.signer("land-clerk")
    bodies = [
        TransactionBody(
            TRANSACTION_VERSION,
            network.made.chain_id,
            secrets.token_bytes(16),
            time.time_ns() // 1_000_000 + 60_000,
            signer.public_key,
            ANCHORS,
            1_000_000,
            anchor_data(),
        )
        for _ in range(100)
    ]
    identifiers = [transaction_id(body) for body in bodies]
    with network.client() as client:
        before = client.status()["height"]
    for index in range(4):
        calls = [
            SignedCall(name, encode(Transaction(body, signer.sign(name))))
            for name, body in zip(identifiers, bodies, strict=True)
        ]
        with network.client("land-clerk", index) as client:
            assert {None if r is None else r.code for r in client.send(calls)} <= {None, "REPEATED"}
    with network.client() as client:
        for name in identifiers:
            receipt = client.rpc("gov_waitReceipt", transaction_id="0x" + name.hex(), timeout_ms=60_000)
            assert receipt["refusal"] is None
        last = client.status()["height"]
        listed = [
            name
            for height in range(before + 1, last + 1)
            for name in client.rpc("gov_getBlock", height=height)["transactions"]
        ]
    for name in identifiers:
        assert listed.count("0x" + name.hex()) == 1


def _call(method: str, params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


MALFORMED_RPC = [
    (b"", -32700),
    (b"\xff\xfe", -32700),
    (b'{"jsonrpc":"2.0","id":NaN,"method":"eth_chainId"}', -32700),
    (b'{"jsonrpc":"2.0","id":1e999,"method":"eth_chainId"}', -32700),
    (b"[" * 40_000 + b"]" * 40_000, -32700),
    (b"[" * 1_000_000 + b"]" * 1_000_000, -32600),
    (json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}] * 10_000).encode(), -32600),
    (b'{"jsonrpc":"2.0","id":1,"method":"__init__"}', -32601),
    (b'{"jsonrpc":"2.0","id":1,"method":"gov_getBlock","params":[' + b"[" * 900 + b"]" * 900 + b"]}", -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"gov_getBlock","params":[[' + b"0," * 90_000 + b"0]]}", -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"gov_getBlock","params":[[' + b"0," * 4_000_000 + b"0]]}", -32600),
    (b'{"jsonrpc":"2.0","id":1,"method":"gov_getBlock","params":[1e30]}', -32602),
    (_call("gov_getBlock", {f"p{index}": 0 for index in range(40_000)}), -32602),
    (
        _call("gov_call", {"contract": "anchors", "method": "anchored", "arguments": {"x" * 99: 0, "y": [0] * 99}}),
        -32602,
    ),
    (_call("gov_call", {"contract": ["a"] * 90_000, "method": {"b": "c" * 99_999}}), -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"gov_sendTransactions","params":[["0xzz"]]}', -32602),
]


def test_json_rpc_that_is_malformed_or_huge_is_answered_with_its_number(network: Any) -> None:
    for body, code in MALFORMED_RPC:
        answer = network.post(body)
        assert answer.status_code == 200
        assert answer.json()["error"]["code"] == code
        assert len(answer.content) < 5_000, "what came is not sent back"


def test_a_body_over_the_limit_is_refused(network: Any) -> None:
    assert network.post(b" " * (16 * 1024 * 1024 + 1)).status_code == 413
    answer = httpx.post(
        network.url() + "/api/v1/transactions", content=bytes(200_000), trust_env=False, verify=False, timeout=60
    )
    assert answer.status_code == 413
    assert answer.json()["code"] == "BODY_TOO_LARGE"


def ask_raw(network: Any, request: bytes) -> bytes:
    host, _, port = network.made.nodes[0].http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := client.recv(65_536):
                answer += part
    return answer


WRONG_TARGETS = [
    b"/static/../app.py",
    b"/static/..%2fapp.py",
    b"/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    b"/static//etc/passwd",
    b"/static/%00",
    b"/static/%ff",
    b"/static/",
    b"/verify/",
    b"//evil.example/%2e%2e",
    b"/api/v1/blocks?cursor=MQ==",
    b"/api/v1/blocks?cursor=eyJhIjoxfQ",
    b"/api/v1/blocks?limit=1e9",
    b"/api/v1/blocks/%D9%A1",
    b"/api/v1/transactions?department=%27%3bDROP+TABLE+transactions%3b--",
]


def test_wrong_targets_get_a_named_error_and_nothing_of_the_disk_or_of_the_host_header(network: Any) -> None:
    for target in WRONG_TARGETS:
        for host in (b"evil.example", b"["):
            answer = ask_raw(
                network, b"GET " + target + b" HTTP/1.1\r\nhost: " + host + b"\r\nconnection: close\r\n\r\n"
            )
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.split()[1] in {b"400", b"404"}, head
            assert json.loads(body)["code"] in {"PATH_UNKNOWN", "PARAMETER_INVALID"}
            assert b"evil" not in head
            assert b"location:" not in head.lower()


def test_hostile_text_in_any_field_is_shown_as_text(network: Any) -> None:
    code = "307003001/0666"
    evil = f"\"'>{SCRIPT}"
    with network.client("land-clerk") as client, network.client("housing-clerk") as consumer:
        described = ResourceDescription(
            code=code,
            name=evil,
            summary=evil,
            format="JSON",
            items=(ResourceItem(evil, "C"),),
            sharing_type=CONDITIONAL,
            sharing_basis=evil,
            sharing_method=evil,
            update_cycle=1,
            data_class=GENERAL,
        )
        client.call("catalogue", "publish", resource=described, replaces=0)
        request = consumer.call(
            *("sharing", "request"),
            resource=code,
            purpose=evil,
            legal_basis=evil,
            items=[],
            case_types=[evil],
            rows_per_day=0,
            from_ms=1_600_000_000_000,
            to_ms=4_000_000_000_000,
        )
        client.call("anchors", "anchor", digest=secrets.token_bytes(32), label=evil)
        client.call("sharing", "refuse", request=request.transaction_id, reason_code="other", reason=evil)
        said = {"kind": "refusal", "claim": evil, "evidence": bytes(32)}
        last = consumer.call("sharing", "raise_dispute", request=request.transaction_id, **said)
        network.wait_until_level(last.height)
    for path in (
        "/",
        "/catalogue",
        f"/catalogue/{code}",
        "/requests",
        f"/requests/{request.transaction_id.hex()}",
        "/due",
        f"/catalogue?q={SCRIPT}&department={SCRIPT}&cursor={SCRIPT}",
        f"/verify?identifier={SCRIPT}&document_digest={SCRIPT}",
        f"/{SCRIPT}",
        "/docs",
    ):
        answer = httpx.get(
            network.url() + path, headers={"accept": "text/html"}, trust_env=False, verify=False, timeout=60
        )
        assert SCRIPT not in answer.text, path
        assert answer.headers["content-type"].startswith("text/html")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    listed = httpx.get(network.url() + "/api/v1/catalogue?q=0666", trust_env=False, verify=False, timeout=60)
    assert listed.headers["content-type"] == "application/json"
    assert listed.headers["x-content-type-options"] == "nosniff"


def test_a_thousand_half_open_connections_keep_nobody_out(network: Any) -> None:
    node = network.made.nodes[0]
    for address, begun in (
        (node.http, b"GET / HTTP/1.1\r\nhost: x\r\nx: "),
        (node.p2p, b"\x16\x03\x01"),
        (node.http, b""),
    ):
        host, _, port = address.rpartition(":")
        with contextlib.ExitStack() as held:
            for _ in range(1_000):
                client = held.enter_context(socket.create_connection((host, int(port)), timeout=60))
                with contextlib.suppress(ConnectionError):
                    client.sendall(begun)
            with network.client("land-clerk") as client:
                assert client.call("anchors", "anchor", digest=secrets.token_bytes(32), label="x").height > 0
