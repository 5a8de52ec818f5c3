"""The client against a node: signed calls and their outcomes, signed requests, pages, and every way to fail."""

import socket
import time
from typing import Any

import msgspec
import pytest

from contracts.data_sharing.access import load_access_record
from contracts.data_sharing.resources import ResourceDescription, ResourceItem
from node.chain.transaction import decode_transaction
from node.http.json_form import to_json
from node.http.signed_request import signed_request_digest
from sdk.access import NO_RESULT, Read, check_records, record_read
from sdk.client import Client, split_texts
from sdk.errors import CallRefused, NodeUnreachable, RequestRefused
from sm_crypto import sm2
from sm_crypto.sm3 import sm3
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
    node.access_records = [{"n": number} for number in range(5)]
    with Client(node.url, node.chain.clerk) as client:
        items = client.get_all("/access-records", limit=4, signed=True, resource="301000/1", department="示范 局&")
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
            client.get("/access-records")
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


def read(grant: bytes, case_number: str) -> Read:
    return Read(grant, sm3(b"person"), "系统", case_number, sm3(b"query"), sm3(b"result"), 1, 1)


@pytest.fixture
def grant(chain: Any) -> bytes:
    """A grant of the clerk's department to the consumer's."""
    chain.call(
        chain.clerk,
        "catalogue",
        "publish",
        resource=ResourceDescription(
            code="301000/1",
            name="不动产登记信息",
            summary="样本",
            format="JSON",
            items=(ResourceItem("权利人", "C"),),
            sharing_type=1,
            sharing_basis="",
            sharing_method="接口",
            update_cycle=1,
            data_class=3,
        ),
        replaces=0,
    )
    call_id = sm3(chain.height.to_bytes(8, "big"))
    chain.call(
        chain.consumer,
        "sharing",
        "request",
        resource="301000/1",
        purpose="办件",
        legal_basis="条例",
        items=[],
        case_types=[],
        rows_per_day=0,
        from_ms=chain.time_ms - 10_000,
        to_ms=chain.time_ms + 10**9,
    )
    return call_id


def test_reads_follow_one_another_in_the_stream(node: Any, grant: bytes) -> None:
    chain = node.chain
    with Client(node.url, chain.consumer) as client:
        places = [
            record_read(client, msgspec.structs.replace(read(grant, f"案-{n}"), read_ms=chain.time_ms))
            for n in range(3)
        ]
        assert [place.number for place in places] == [1, 2, 3]
        denied = msgspec.structs.replace(read(grant, "案-4"), outcome=2, read_ms=chain.time_ms)
        assert record_read(client, denied).number == 4
    records = []
    for number in range(1, 5):
        record = load_access_record(chain.state, "11990100MB00000031", client.address, number)
        assert record is not None
        shown = to_json(record)
        records.append(shown.pop("body") | shown)
    assert records[3]["result_digest"] == "0x" + NO_RESULT.hex()
    assert check_records(records) == []
    assert check_records(records[::-1]) == []

    changed = [dict(record) for record in records]
    changed[1]["case_number"] = "别的案件"
    assert [finding.number for finding in check_records(changed)] == [2]
    changed = [dict(record) for record in records]
    changed[2]["previous_digest"] = "0x" + "11" * 32
    assert [finding.number for finding in check_records(changed)] == [3, 3]
