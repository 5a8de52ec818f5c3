"""The client against a node: signed calls and their outcomes, signed requests, pages, and every way to fail."""

import socket
import time
from typing import Any

import pytest

from node.chain.transaction import decode_transaction
from node.http.signed_request import signed_request_digest
from sdk.client import Client, split_texts
from sdk.errors import CallRefused, NodeUnreachable, RequestRefused
from sm_crypto import sm2
from verification.errors import InputError


def test_call_is_final_with_its_receipt(node: Any, identifier: str) -> None:
    with Client(node.url, node.chain.clerk) as client:
        receipt = client.call("certificates", "suspend", identifier=identifier, reason="挂失")
        assert receipt.height == node.chain.height
        assert receipt.time_ms == node.chain.time_ms
        assert client.view("certificates", "certificate", identifier=identifier)["history"][-1]["status"] == "02"


def test_refusal_carries_its_name_and_both_texts(node: Any, identifier: str) -> None:
    with Client(node.url, node.chain.governor) as client, pytest.raises(CallRefused) as caught:
        client.call("certificates", "suspend", identifier=identifier, reason="挂失")
    assert caught.value.code == "ROLE_MISSING"
    assert "issuer" in caught.value.en
    assert "角色" in caught.value.zh
    assert caught.value.height == node.chain.height


def test_a_call_stays_within_the_window_of_the_chain(node: Any, identifier: str) -> None:
    with Client(node.url, node.chain.governor) as client:
        client.call("governance", "set_parameters", names=["transaction_window_ms"], values=[10_000])
    with Client(node.url, node.chain.clerk) as client:
        before_ms = time.time_ns() // 1_000_000
        signed = client.sign_call("certificates", "suspend", identifier=identifier, reason="挂失")
        after_ms = time.time_ns() // 1_000_000
    until_ms = decode_transaction(signed.raw).body.valid_until_ms
    assert before_ms < until_ms <= after_ms + 5_000


def test_outcomes_keep_their_order(node: Any, identifier: str) -> None:
    with Client(node.url, node.chain.clerk) as client:
        calls = [
            client.sign_call("certificates", "suspend", identifier=identifier, reason="一"),
            client.sign_call("certificates", "suspend", identifier=identifier, reason="二"),
            client.sign_call("certificates", "resume", identifier=identifier, reason="三"),
        ]
        first, second, third = client.outcomes(calls)
    assert not isinstance(first, Exception)
    assert isinstance(second, CallRefused)
    assert second.code == "STATUS_FORBIDS"
    assert not isinstance(third, Exception)
    assert first.transaction_id == calls[0].id


def test_transaction_not_taken_is_reported_for_itself(node: Any, identifier: str) -> None:
    with Client(node.url, node.chain.clerk) as client:
        good = client.sign_call("certificates", "suspend", identifier=identifier, reason="一")
        client._chain_id = 8
        wrong = client.sign_call("certificates", "suspend", identifier=identifier, reason="一")
        outcomes = client.outcomes([wrong, good])
    assert isinstance(outcomes[0], RequestRefused)
    assert outcomes[0].code == "WRONG_CHAIN"
    assert not isinstance(outcomes[1], Exception)


def test_receipt_that_does_not_come_is_named(node: Any) -> None:
    with Client(node.url) as client, pytest.raises(RequestRefused) as caught:
        client.wait_receipt(bytes(32), timeout_ms=5)
    assert caught.value.code == "NOT_FINAL"


def test_a_node_that_waits_for_a_receipt_is_not_silent(node: Any) -> None:
    def wait(**_: Any) -> None:
        time.sleep(0.5)

    node.methods["gov_waitReceipt"] = wait
    with Client(node.url, timeout_s=0.2) as client, pytest.raises(RequestRefused) as caught:
        client.wait_receipt(bytes(32), timeout_ms=60_000)
    assert caught.value.code == "NOT_FINAL"


@pytest.mark.parametrize(
    ("method", "arguments", "expected"),
    [
        ("fly", {}, "has no method 'fly'"),
        ("suspend", {"identifier": "X"}, "missing: reason"),
        ("suspend", {"identifier": "X", "reason": "Y", "colour": "Z"}, "unknown: colour"),
        ("suspend", {"identifier": 5, "reason": "Y"}, "wrong arguments"),
    ],
)
def test_wrong_arguments_never_leave(node: Any, method: str, arguments: dict[str, Any], expected: str) -> None:
    with Client(node.url, node.chain.clerk) as client, pytest.raises(InputError, match=expected):
        client.call("certificates", method, **arguments)


def test_without_a_key_nothing_is_signed(node: Any, identifier: str) -> None:
    with Client(node.url) as client, pytest.raises(InputError) as caught:
        client.call("certificates", "suspend", identifier=identifier, reason="x")
    assert caught.value.code == "KEY_NEEDED"


def test_signed_request_verifies_over_what_went_onto_the_wire(node: Any) -> None:
    node.deposits = [{"n": number} for number in range(5)]
    with Client(node.url, node.chain.clerk) as client:
        items = client.get_all("/deposits", limit=4, signed=True, resource="301000/1", department="示范 局&")
    assert items == [{"n": number} for number in range(4)]
    signed = [(target, headers) for _, target, headers in node.requests]
    assert len({headers["gov-nonce"] for _, headers in signed}) == 2
    for target, headers in signed:
        digest = signed_request_digest(
            node.chain.genesis.chain_id,
            "GET",
            headers["host"].encode("ascii"),
            target.encode("ascii"),
            b"",
            int(headers["gov-time"]),
            bytes.fromhex(headers["gov-nonce"]),
        )
        sm2.verify(bytes.fromhex(headers["gov-key"]), digest, bytes.fromhex(headers["gov-signature"]))


def test_problems_keep_their_code(node: Any) -> None:
    with Client(node.url) as client:
        with pytest.raises(RequestRefused) as caught:
            client.get("/deposits")
        assert caught.value.code == "SIGNATURE_REQUIRED"
        with pytest.raises(NodeUnreachable) as strange:
            client.get("/garbage")
        assert strange.value.code == "NOT_A_NODE"
        with pytest.raises(RequestRefused) as unknown:
            client.rpc("gov_fly")
        assert unknown.value.code == "RPC_-32601"


def test_node_that_is_not_there_is_one_error() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with Client(url) as client, pytest.raises(NodeUnreachable, match="check the address") as caught:
            client.status()
    assert caught.value.code == "NODE_UNREACHABLE"


@pytest.mark.parametrize("url", ["", "127.0.0.1:8551", "ftp://x", "http://", "http://[::1", "http://x:99999"])
def test_malformed_address_is_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        Client(url)
    assert caught.value.code == "URL_INVALID"


def test_texts_are_split_whatever_their_form() -> None:
    assert split_texts("CODE_X: 中文 / English", "CODE_X") == ("中文", "English")
    assert split_texts("TAKEN: 中文 / English", "REVERTED") == ("TAKEN: 中文", "English")
    assert split_texts("中文: 甲 / English / more", "X") == ("中文: 甲", "English / more")
    assert split_texts("only", "X") == ("only", "only")
