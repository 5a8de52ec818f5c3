"""EVM contracts over REST and on the pages: who deployed what and when, what calls of it came to, and which are frozen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from eth_abi.abi import encode

from contracts.records import ADDRESSES
from contracts.registry import CONTRACTS

REVERTS_WITH_ITS_DATA = bytes.fromhex("365f5f37365ffd")
MAKES_ANOTHER = bytes.fromhex("69600160005360016000f35f52600a60165ff000")


@pytest.fixture(scope="module")
def made(make_world: Callable[[], Any], fill: Any, fill_contracts: Any) -> Any:
    world = make_world()
    fill(world)
    return fill_contracts(world)


@pytest.fixture(scope="module")
def site(made: Any, serve: Callable[..., Any]) -> Any:
    return serve(made.world)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_a_contract_is_listed_with_its_deployer_and_code(site: Any, made: Any) -> None:
    page = site.get("/api/v1/contracts").json()
    shown = page["items"][-1]
    assert shown == site.get(f"/api/v1/contracts/0x{made.registry.hex()}").json()
    place = made.world.ledger.find_transaction(made.deployment)
    assert (shown["address"], shown["height"]) == ("0x" + made.registry.hex(), place[0])
    assert (shown["deployer_name"], shown["department"]) == ("deployer", made.world.land)
    assert shown["department_name"] == "示范市自然资源和规划局"
    assert shown["code_size"] == made.code_size
    assert (shown["is_frozen"], shown["frozen_ms"], shown["reason"]) == (False, 0, "")
    assert shown["transaction_count"] == 3


def test_contracts_are_paged_newest_first_and_found_by_department(site: Any, made: Any) -> None:
    newer = ["0x" + made.deploy(bytes([0x5B, number])).hex() for number in range(4)]
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = site.get("/api/v1/contracts", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        found += [item["address"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found[: len(newer)] == newer[::-1]
    assert found[-1] == "0x" + made.registry.hex()
    assert len(found) == len(set(found))
    own = site.get("/api/v1/contracts", params={"department": made.world.land}).json()["items"]
    assert [item["address"] for item in own] == found
    assert site.get("/api/v1/contracts", params={"department": made.world.housing}).json()["items"] == []


def test_a_contract_that_a_contract_made_is_listed_too(site: Any, made: Any) -> None:
    factory = made.deploy(MAKES_ANOTHER)
    identifier, receipt = made.world.send_data("deployer", factory, b"")
    assert receipt.refusal is None
    inner = site.get("/api/v1/contracts").json()["items"][0]
    assert (inner["deployer_name"], inner["department"]) == ("deployer", made.world.land)
    assert (inner["code_size"], inner["transaction_count"]) == (1, 0)
    shown = site.get(f"/api/v1/transactions/{identifier.hex()}").json()
    assert shown["evm_contract"] == "0x" + factory.hex()
    assert [event["event"] for event in shown["events"]] == ["ContractDeployed"]
    page = text_of(site.get(f"/contracts/{inner['address']}").text)
    assert "没有直接调用它的交易" in page


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("0x" + "00" * 20, 404, "NOT_FOUND"),
        ("0x1234", 422, "PARAMETER_INVALID"),
        ("members", 422, "PARAMETER_INVALID"),
    ],
)
def test_what_is_no_contract_is_said_to_be_none(site: Any, path: str, status: int, code: str) -> None:
    answer = site.get(f"/api/v1/contracts/{path}")
    assert answer.json()["code"] == code
    assert answer.status_code in {status, 400}
    assert site.get(f"/contracts/{path}", headers={"accept": "text/html"}).status_code == answer.status_code


def test_transactions_of_a_contract_are_found_by_its_address(site: Any, made: Any) -> None:
    for form in ("0x" + made.registry.hex(), "0x" + made.registry.hex().upper()):
        items = site.get("/api/v1/transactions", params={"contract": form}).json()["items"]
        assert [item["id"] for item in items] == [
            "0x" + identifier.hex() for identifier in (made.taken, made.registered, made.deployment)
        ]
    taken, registered, deployment = items
    assert (deployment["to"], deployment["selector"]) == (None, None)
    assert [item["evm_contract"] for item in items] == ["0x" + made.registry.hex()] * 3
    assert registered["selector"] == "0x" + made.selector.hex()
    assert (registered["contract"], registered["method"], registered["arguments"]) == (None, None, None)
    assert len(registered["events"][0]["topics"]) == 3
    assert (taken["refusal"], taken["message"]) == (
        "REVERTED",
        "TAKEN: 该键已登记 / the key is registered already",
    )
    assert site.get("/api/v1/transactions", params={"contract": "0x12"}).status_code >= 400
    assert site.get("/api/v1/transactions", params={"contract": "members"}).status_code == 200


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (b"", "未说明原因"),
        (bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big"), "算术溢出"),
        (bytes.fromhex("4e487b71") + (0x77).to_bytes(32, "big"), "0x77"),
        (bytes.fromhex("4e487b71") + b"\1", "自定义错误 0x4e487b71"),
        (bytes.fromhex("deadbeef") + bytes(64), "自定义错误 0xdeadbeef"),
        (b"\1", "自定义错误 0x01"),
        (bytes.fromhex("08c379a0") + encode(["string"], ["<script>x</script>"]), "<script>x</script>"),
        (bytes.fromhex("08c379a0") + encode(["string"], ["长" * 1_100]), "长长长…"),
        (bytes.fromhex("08c379a0") + encode(["string"], ["长" * 5_000]), "长长长…"),
        (bytes.fromhex("08c379a0") + encode(["string"], ["反\u202e转\n"]), "反�转�"),
    ],
)
def test_a_revert_of_any_kind_is_told_in_words(site: Any, made: Any, output: bytes, told: str) -> None:
    address = made.deploy(REVERTS_WITH_ITS_DATA)
    identifier, receipt = made.world.send_data("housing", address, output)
    assert receipt.refusal == "REVERTED"
    # A receipt keeps the beginning of what is long.
    assert output.startswith(receipt.output)
    shown = site.get(f"/api/v1/transactions/{identifier.hex()}").json()
    assert told in shown["message"]
    assert len(shown["message"]) <= 1_000
    answer = site.get(f"/transactions/{identifier.hex()}")
    assert answer.status_code == 200
    assert "<script>x" not in answer.text


def test_a_frozen_contract_says_since_when_and_why(site: Any, made: Any) -> None:
    address = made.deploy(bytes.fromhex("00"))
    world = made.world
    _, refusal = world.call("governor", "deployments", "freeze", contract=address, reason="代码存在漏洞")
    assert refusal is None
    identifier, receipt = world.send_data("housing", address, b"")
    assert receipt.refusal == "CONTRACT_FROZEN"
    shown = site.get(f"/api/v1/contracts/{address.hex()}").json()
    assert (shown["is_frozen"], shown["reason"], shown["transaction_count"]) == (True, "代码存在漏洞", 2)
    for path in (f"/contracts/0x{address.hex()}", "/contracts"):
        page = text_of(site.get(path).text)
        assert "冻结" in page
        assert "代码存在漏洞" in page
    assert "代码存在漏洞" in text_of(site.get(f"/transactions/{identifier.hex()}").text)
    _, refusal = world.call("governor", "deployments", "unfreeze", contract=address, reason="漏洞已修复")
    assert refusal is None
    assert site.get(f"/api/v1/contracts/{address.hex()}").json()["is_frozen"] is False
    assert "解冻合约" in text_of(site.get("/").text)
    # What was decided stays on the contract's page: what, by whom, and why.
    page = text_of(site.get(f"/contracts/0x{address.hex()}").text)
    for told in ("冻结合约", "代码存在漏洞", "解冻合约", "漏洞已修复", "governor"):
        assert told in page


@pytest.mark.parametrize("name", ["deployments", "crypto"])
def test_a_system_contract_has_a_page_of_its_own(site: Any, name: str) -> None:
    answer = site.get(f"/contracts/0x{ADDRESSES[name].hex()}")
    assert answer.status_code == 200
    assert site.get(f"/api/v1/contracts/0x{ADDRESSES[name].hex()}").status_code == 404
    page = text_of(answer.text)
    for told in (name, "系统合约", "System contract", *CONTRACTS[name].methods):
        assert told in page


def test_the_page_of_a_contract_lists_its_transactions(site: Any, made: Any) -> None:
    answer = site.get(f"/contracts/0x{made.registry.hex()}")
    page = text_of(answer.text)
    for shown in (
        "部署合约",
        "Deploy a contract",
        "调用合约",
        "REVERTED",
        "该键已登记",
        "示范市住房和城乡建设局",
        "Keccak-256",
    ):
        assert shown in page
    for identifier in (made.deployment, made.registered, made.taken):
        assert f'href="/transactions/0x{identifier.hex()}"' in answer.text


def test_the_page_of_a_transaction_shows_call_outcome_and_events(site: Any, made: Any) -> None:
    deployment = site.get(f"/transactions/{made.deployment.hex()}").text
    assert "部署新合约" in deployment
    assert f'href="/contracts/0x{made.registry.hex()}"' in deployment
    assert "ContractDeployed" in deployment
    registered = site.get(f"/transactions/0x{made.registered.hex()}").text
    assert "\n".join(("0x" + made.selector.hex(), "01" * 32, "07" * 32)) in registered
    taken = text_of(site.get(f"/transactions/{made.taken.hex()}").text)
    assert "已拒绝" in taken
    assert "该键已登记 / the key is registered already" in taken


def test_the_page_of_a_system_contracts_call_names_its_arguments(site: Any, made: Any) -> None:
    items = site.get("/api/v1/transactions", params={"contract": "certificates"}).json()["items"]
    issued = next(item for item in items if item["method"] == "issue")
    page = text_of(site.get(f"/transactions/{issued['id']}").text)
    for shown in ("颁发证照", "document_digest", issued["arguments"]["document_digest"], "CertificateIssued"):
        assert shown in page


def test_the_page_of_an_audits_call_shows_none_of_its_content(site: Any, made: Any) -> None:
    (item,) = site.get("/api/v1/transactions", params={"contract": "audits"}).json()["items"]
    page = site.get(f"/transactions/{item['id']}").text
    assert "仅审计方和当事部门可见" in page
    assert "MANDATE-2025-0001" not in page
    assert b"MANDATE-2025-0001".hex() not in page


def test_the_page_of_a_block_links_its_transactions_and_contracts(site: Any, made: Any) -> None:
    height, _ = made.world.ledger.find_transaction(made.taken)
    page = site.get(f"/blocks/{height}").text
    assert f'href="/transactions/0x{made.taken.hex()}"' in page
    assert f'href="/contracts/0x{made.registry.hex()}"' in page
    assert "该键已登记" in page


def test_an_unknown_transaction_has_no_page(site: Any) -> None:
    for path, status in (("00" * 32, 404), ("zz", 400)):
        answer = site.get(f"/transactions/{path}", headers={"accept": "text/html"})
        assert answer.status_code in {status, 422}
        assert answer.headers["content-type"].startswith("text/html")


def test_a_chain_without_contracts_says_so(make_world: Callable[[], Any], serve: Callable[..., Any]) -> None:
    empty = serve(make_world())
    assert empty.get("/api/v1/contracts").json() == {"items": [], "next_cursor": None}
    assert "还没有部署合约" in text_of(empty.get("/contracts").text)


def test_a_node_without_lists_still_answers_for_one_contract(
    make_world: Callable[[], Any], serve: Callable[..., Any], fill_contracts: Any
) -> None:
    made = fill_contracts(make_world())
    plain = serve(made.world, has_explorer=False)
    shown = plain.get(f"/api/v1/contracts/{made.registry.hex()}").json()
    assert (shown["deployer_name"], shown["transaction_count"]) == ("deployer", None)
    assert plain.get("/api/v1/contracts").json()["code"] == "NOT_SERVED"
