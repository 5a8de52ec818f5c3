"""REST: every list and record, paging, caching, and errors that say what was expected, what was found and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.data_sharing.access import batch_key, stream_count_key, stream_key, stream_name_key
from contracts.data_sharing.audits import QUERIES
from node.chain.proof import TrustAnchor, verify_record_proof
from node.chain.transaction import address_of
from node.driver.txpool import Rejection, RejectionCode
from node.http.proof_file import decode_proof_file
from sm_crypto.sm3 import sm3


def check_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"] == f"urn:govnode:problem:{code}"
    assert any("\u4e00" <= c <= "\u9fff" for c in document["zh"])
    assert document["en"].endswith(".")
    return document


def test_status_names_the_chain(site: Any) -> None:
    status = site.get("/api/v1/status").json()
    assert status["chain_id"] == 20250801
    assert status["genesis_hash"] == "0x" + site.world.genesis.hash.hex()
    assert status["height"] == site.world.ledger.height
    assert status["validator_count"] == 4


def test_validators_have_names_and_departments(site: Any) -> None:
    items = site.get("/api/v1/validators").json()["items"]
    assert {item["name"] for item in items} == {"node1", "node2", "node3", "node4"}
    assert [item["address"] for item in items] == sorted(item["address"] for item in items)
    assert all(item["department_name"].startswith("示范市") for item in items)


def test_every_block_is_listed_once_across_pages(site: Any) -> None:
    items: list[Any] = []
    cursor, pages = None, 0
    while True:
        page = site.get("/api/v1/blocks", params={"limit": 4} | ({"cursor": cursor} if cursor else {})).json()
        items += page["items"]
        pages += 1
        cursor = page["next_cursor"]
        if cursor is None:
            break
    # The last page is empty where the one before it was full.
    assert [item["height"] for item in items] == list(range(items[0]["height"], 0, -1))
    assert pages >= 3
    assert items[-1]["transaction_count"] == 1


def test_a_page_does_not_shift_when_blocks_are_added(site: Any) -> None:
    first = site.get("/api/v1/transactions?limit=3").json()
    site.world.issue("2025000900")
    second = site.get(f"/api/v1/transactions?limit=3&cursor={first['next_cursor']}").json()
    places = [(item["height"], item["index"]) for item in first["items"] + second["items"]]
    assert places == sorted(set(places), reverse=True)
    assert second["items"][0]["height"] == first["items"][-1]["height"] - 1


def test_a_block_has_its_certificate(site: Any) -> None:
    block = site.get("/api/v1/blocks/1").json()
    assert block["height"] == 1
    assert block["signers"] == [0, 1, 3]
    assert len(block["signatures"]) == 3
    assert len(block["transactions"]) == 1
    assert site.get("/api/v1/blocks/latest").json()["height"] == site.world.ledger.height


@pytest.mark.parametrize("height", ["0", "99999999", "9223372036854775808"])
def test_a_block_that_is_not_there(site: Any, height: str) -> None:
    problem = check_problem(site.get(f"/api/v1/blocks/{height}"), 404, "NOT_FOUND")
    assert problem["found"] == height


@pytest.mark.parametrize("height", ["-1", "1.5", "0x1", "最新", "01", "1" * 40])
def test_a_height_that_is_none(site: Any, height: str) -> None:
    check_problem(site.get(f"/api/v1/blocks/{height}"), 400, "PARAMETER_INVALID")


def test_a_transaction_is_decoded(site: Any) -> None:
    page = site.get("/api/v1/transactions", params={"contract": "sharing"}).json()
    assert [item["method"] for item in page["items"]] == ["grant", "request"]
    request = site.get("/api/v1/transactions/" + page["items"][1]["id"]).json()
    assert request["arguments"]["purpose"] == "核验购房人名下不动产"
    assert request["department"] == site.world.housing
    assert request["sender_name"] == "housing"
    assert request["refusal"] is None
    assert request["events"][0]["event"] == "DataRequested"
    assert request["events"][0]["fields"]["resource"] == "330000001/000001"
    assert sm3(bytes.fromhex(request["raw"][2:]))


def test_transactions_of_one_department(site: Any) -> None:
    page = site.get("/api/v1/transactions", params={"department": site.world.housing}).json()
    assert {item["department"] for item in page["items"]} == {site.world.housing}


def test_a_refused_transaction_says_why(site: Any) -> None:
    identifier, refusal = site.world.call(
        "housing", "certificates", "suspend", identifier=site.world.certificate, reason="无权"
    )
    assert refusal == "OTHER_DEPARTMENT"
    shown = site.get(f"/api/v1/transactions/{identifier.hex()}").json()
    assert shown["refusal"] == "OTHER_DEPARTMENT"
    assert shown["message"].startswith("OTHER_DEPARTMENT: ")


def test_departments_in_order_and_paged(site: Any) -> None:
    first = site.get("/api/v1/departments?limit=3").json()
    rest = site.get(f"/api/v1/departments?limit=3&cursor={first['next_cursor']}").json()
    codes = [item["code"] for item in first["items"] + rest["items"]]
    assert codes == sorted(codes)
    assert len(codes) == 4
    assert rest["next_cursor"] is None
    one = site.get(f"/api/v1/departments/{site.world.district}").json()
    assert one["level_text"] == {"zh": "区县级", "en": "county"}
    check_problem(site.get("/api/v1/departments/NOBODY"), 404, "NOT_FOUND")


def test_certificate_types(site: Any) -> None:
    assert site.get("/api/v1/certificate-types").json()["items"][0]["name"] == "不动产权证书"


def test_a_certificate_with_and_without_its_root(site: Any) -> None:
    identifier = site.world.certificate
    full = site.get(f"/api/v1/certificates/{identifier}").json()
    assert full["identifier"] == identifier
    assert full["issuer_name"] == "示范市自然资源和规划局"
    assert full["type_name"] == "不动产权证书"
    assert full["status"] == "01"
    short = site.get("/api/v1/certificates/" + identifier.removeprefix("1.2.156.3005.2.")).json()
    assert short == full


def test_a_revoked_certificate_keeps_its_history(site: Any) -> None:
    certificate = site.get(f"/api/v1/certificates/{site.world.revoked}").json()
    assert [interval["status"] for interval in certificate["history"]] == ["01", "02", "03"]
    assert certificate["history"][2]["status_text"] == {"zh": "撤销", "en": "revoked"}
    assert certificate["history"][2]["reason"] == "登记错误"


@pytest.mark.parametrize("identifier", ["x", "1.2.3", "1.2.156.3005.2.", "证照", "A" * 4000])
def test_an_identifier_that_is_none(site: Any, identifier: str) -> None:
    problem = check_problem(site.get(f"/api/v1/certificates/{identifier}"), 400, "PARAMETER_INVALID")
    assert problem["field"] == "identifier"


def test_the_catalogue_is_searched_and_filtered(site: Any) -> None:
    everything = site.get("/api/v1/catalogue").json()["items"]
    assert [item["code"] for item in everything] == ["330000003/000001", "330000002/000001", "330000001/000001"]
    assert [i["name"] for i in site.get("/api/v1/catalogue", params={"q": "合同"}).json()["items"]] == [
        "房屋交易合同备案信息"
    ]
    assert site.get("/api/v1/catalogue", params={"q": "%"}).json()["items"] == []
    assert len(site.get("/api/v1/catalogue", params={"sharing_type": 2}).json()["items"]) == 1
    one = site.get("/api/v1/catalogue/330000001/000001").json()
    assert one["provider_name"] == "示范市自然资源和规划局"
    assert one["items"][0] == {"name": "权利人", "type": "C"}
    check_problem(site.get("/api/v1/catalogue/330000001/999"), 404, "NOT_FOUND")


def test_requests_and_grants(site: Any) -> None:
    requests = site.get("/api/v1/requests", params={"department": site.world.land}).json()["items"]
    assert [item["state"] for item in requests] == ["granted"]
    conditions = requests[0]["conditions"]
    assert (conditions["note"], conditions["max_rows_per_day"]) == ("仅限核验", 100)
    assert conditions["masks"] == [{"item": "权利人", "kind": "mask", "start": 1, "length": 1}]
    grants = site.get("/api/v1/grants", params={"resource": "330000001/000001"}).json()["items"]
    assert [item["id"] for item in grants] == ["0x" + site.world.grant.hex()]
    assert grants[0]["is_in_force"] is True
    assert site.get("/api/v1/requests?state=refused").json()["items"] == []
    one = site.get("/api/v1/requests/" + site.world.grant.hex()).json()
    assert one["consumer_name"] == "示范市住房和城乡建设局"


def test_an_anchor(site: Any) -> None:
    digest = sm3(b"anchored")
    site.world.call("land", "anchors", "anchor", digest=digest, label="目录快照")
    answer = site.get(f"/api/v1/anchors/{digest.hex()}", params={"department": site.world.land}).json()
    assert answer["label"] == "目录快照"
    other = site.get(f"/api/v1/anchors/{digest.hex()}", params={"department": site.world.housing})
    check_problem(other, 404, "NOT_FOUND")


def test_a_proof_file_verifies_for_whoever_trusts_the_genesis(site: Any) -> None:
    answer = site.get(f"/api/v1/proofs/certificates/{site.world.certificate}")
    genesis = site.world.genesis
    trust = TrustAnchor(genesis.hash, 0, genesis.validator_set().hash)
    proof_file = decode_proof_file(answer.content)
    record = verify_record_proof(proof_file.proof, trust)
    assert record.height == site.world.ledger.height
    assert proof_file.fields["identifier"] == site.world.certificate


def test_absence_is_proved_too(site: Any) -> None:
    answer = site.get(f"/api/v1/proofs/certificates/{site.world.identifier('7777777777')}")
    trust = TrustAnchor(site.world.genesis.hash, 0, site.world.genesis.validator_set().hash)
    assert verify_record_proof(decode_proof_file(answer.content).proof, trust).value is None


def test_a_proof_as_of_an_earlier_height(site: Any) -> None:
    target = f"/api/v1/proofs/certificates/{site.world.revoked}"
    history = site.get(f"/api/v1/certificates/{site.world.revoked}").json()["history"]
    earlier = decode_proof_file(site.get(f"{target}?height=3").content)
    assert len(earlier.fields["history"]) == 1 < len(history)
    problem = check_problem(site.get(f"{target}?height=999999"), 400, "PARAMETER_INVALID")
    assert problem["field"] == "height"
    check_problem(site.get(f"{target}?trusted_height=999999"), 400, "PARAMETER_INVALID")


def test_a_proof_of_an_audit_query_is_for_auditors(site: Any) -> None:
    target = f"/api/v1/proofs/state/{QUERIES.key((1).to_bytes(8, 'big')).hex()}"
    check_problem(site.get(target), 401, "SIGNATURE_REQUIRED")
    check_problem(site.get_signed("district", target), 403, "ROLE_REQUIRED")
    assert decode_proof_file(site.get_signed("auditor", target).content).kind == "audit-query"


def test_a_proof_of_a_stream_and_of_a_batch_is_for_everybody(site: Any) -> None:
    recorder = address_of(site.world.keys["housing"].public_key)
    for key, kind in (
        (stream_key(site.world.housing, recorder), "access-stream"),
        (batch_key(site.world.housing, recorder, 1), "access-batch"),
        (stream_count_key(), "access-stream-count"),
        (stream_name_key(0), "access-stream-name"),
    ):
        assert decode_proof_file(site.get(f"/api/v1/proofs/state/{key.hex()}").content).kind == kind


def test_a_transaction_can_be_posted_and_waited_for(site: Any) -> None:
    raw = site.world.sign("land", "anchors", "anchor", digest=sm3(b"posted"), label="一")
    answer = site.http.post("/api/v1/transactions?wait_ms=1000", content=raw)
    assert answer.status_code == 200
    assert answer.json()["refusal"] is None
    raw = site.world.sign("land", "anchors", "anchor", digest=sm3(b"posted too"), label="二")
    answer = site.http.post("/api/v1/transactions", content=raw)
    assert answer.status_code == 202
    assert answer.json()["rejection"] is None
    assert site.get("/api/v1/transactions/" + answer.json()["id"]).status_code == 200


def test_bytes_that_are_no_transaction(site: Any) -> None:
    check_problem(site.http.post("/api/v1/transactions", content=b"\xff" * 10), 422, "VALUE_REFUSED")
    check_problem(site.http.post("/api/v1/transactions", content=b""), 400, "BODY_INVALID")
    too_long = b"\0" * (128 * 1024 + 1)
    check_problem(site.http.post("/api/v1/transactions", content=too_long), 413, "BODY_TOO_LARGE")
    chunks = (b"\0" * 40_000 for _ in range(4))
    check_problem(site.http.post("/api/v1/transactions", content=chunks), 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("code", "status", "problem"),
    [(RejectionCode.POOL_FULL, 503, "POOL_FULL"), (RejectionCode.UNKNOWN_SENDER, 422, "VALUE_REFUSED")],
)
def test_a_rejection_is_told(
    make_world: Callable[[], Any], serve: Callable[..., Any], code: RejectionCode, status: int, problem: str
) -> None:
    site = serve(make_world())
    site.world.view.rejection = Rejection(code, "交易未被接收 / the transaction was not taken")
    raw = site.world.sign("land", "anchors", "anchor", digest=sm3(b"x"), label="一")
    told = check_problem(site.http.post("/api/v1/transactions", content=raw), status, problem)
    assert code.value in told["en"]


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/api/v1/blocks?limit=0", "limit"),
        ("/api/v1/blocks?limit=100000", "limit"),
        ("/api/v1/blocks?limit=x", "limit"),
        ("/api/v1/blocks?cursor=%00", "cursor"),
        ("/api/v1/blocks?cursor=IiI", "cursor"),
        ("/api/v1/blocks?cursor=LTE", "cursor"),
        ("/api/v1/departments?cursor=MQ", "cursor"),
        ("/api/v1/transactions/zz", "transaction_id"),
        ("/api/v1/transactions/0x00", "transaction_id"),
        ("/api/v1/catalogue?sharing_type=9", "sharing_type"),
        ("/api/v1/requests?state=maybe", "state"),
        ("/api/v1/requests/12", "request_id"),
        ("/api/v1/proofs/state/xyz", "key"),
        ("/api/v1/verification?document_digest=12", "document_digest"),
        ("/api/v1/verification", "document_digest"),
        ("/api/v1/anchors/00", "department"),
    ],
)
def test_a_wrong_parameter_is_named(site: Any, target: str, field: str) -> None:
    problem = check_problem(site.get(target), 400, "PARAMETER_INVALID")
    assert problem["field"] == field


def test_paths_and_methods_that_are_not_there(site: Any) -> None:
    check_problem(site.get("/api/v1/nothing"), 404, "PATH_UNKNOWN")
    answer = site.http.delete("/api/v1/blocks")
    check_problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "GET"
    # Clients of JSON-RPC that are given the address of the node alone.
    answer = site.http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"})
    assert "/rpc" in check_problem(answer, 405, "METHOD_NOT_ALLOWED")["en"]
    problem = check_problem(site.http.put("/rpc"), 405, "METHOD_NOT_ALLOWED")
    assert problem["expected"] == "POST"
    assert "应为 POST；" in problem["zh"]


@settings(max_examples=100, deadline=None)
@given(
    path=st.sampled_from(
        [
            "blocks/{}",
            "transactions/{}",
            "departments/{}",
            "certificates/{}",
            "certificates/{}/verification",
            "catalogue/{}",
            "requests/{}",
            "access-streams/{}/{}",
            "access-streams/{}/{}/batches?cursor={}",
            "access-streams/{}/{}/batches/{}",
            "proofs/certificates/{}",
            "proofs/state/{}",
            "anchors/{}",
            "blocks?cursor={}",
            "blocks?limit={}",
            "departments?cursor={}",
            "transactions?contract={}",
            "catalogue?q={}",
            "requests?department={}",
            "verification?document_digest={}",
        ]
    ),
    text=st.one_of(
        st.text(max_size=40),
        st.integers(-(2**70), 2**70).map(str),
        st.binary(max_size=40).map(bytes.hex),
        st.sampled_from(["..", "%", "%%", "%00", "%ff%fe", "%25", "'", "\\", "\x00", "a" * 5000, "１"]),
    ),
)
def test_no_input_is_a_fault_of_the_node(site: Any, path: str, text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    quoted = text if text in {"%", "%%", "%00", "%ff%fe", "%25"} else "".join(f"%{byte:02X}" for byte in raw)
    answer = site.get("/api/v1/" + path.replace("{}", quoted))
    assert answer.status_code < 500, answer.text


def test_an_answer_is_cached_until_the_ledger_moves_on(site: Any) -> None:
    first = site.get("/api/v1/blocks?limit=1")
    assert site.get("/api/v1/blocks?limit=1").content == first.content
    site.world.issue("2025000901")
    moved = site.get("/api/v1/blocks?limit=1").json()
    assert moved["items"][0]["height"] == first.json()["items"][0]["height"] + 1


def test_openapi_describes_every_path(site: Any) -> None:
    document = site.get("/openapi.json").json()
    assert {"/api/v1/status", "/api/v1/transactions", "/api/v1/access-streams"} <= set(document["paths"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert " / " in operation["summary"], path
            assert operation["responses"]["default"]["content"]


def test_metrics_and_health(site: Any) -> None:
    text = site.get("/metrics").text
    assert "govnode_pool_transactions 7.0" in text
    assert 'govnode_stage_cpu_seconds_total{stage="index"}' in text
    assert f"govnode_height {site.world.ledger.height}.0" in text
    # Nobody is connected to the node of these tests but itself; no height is under way.
    for figure in ("away_validators 3.0", "awaited_validators 0.0", "offences 0.0", "validator_set 0.0"):
        assert f"govnode_{figure}" in text
    assert site.get("/healthz").text == "ok\n"
    assert site.get("/readyz").status_code == 200
    site.world.view.reason = "behind"
    try:
        assert site.get("/readyz").status_code == 503
    finally:
        site.world.view.reason = ""


@pytest.mark.parametrize("path", ["/", "/api/v1/blocks", "/nothing"])
def test_head_is_get_without_the_body(site: Any, path: str) -> None:
    full, head = site.get(path), site.http.head(path)
    assert head.status_code == full.status_code
    assert head.headers["content-length"] == str(len(full.content))
    assert head.content == b""


def test_a_node_without_explorer_serves_records_but_no_lists(
    make_world: Callable[[], Any], serve: Callable[..., Any]
) -> None:
    site = serve(make_world(), has_explorer=False)
    assert site.get("/api/v1/status").status_code == 200
    check_problem(site.get("/api/v1/transactions"), 404, "NOT_SERVED")
    check_problem(site.get("/"), 404, "PATH_UNKNOWN")


def test_before_the_first_block(make_world: Callable[[], Any], serve: Callable[..., Any]) -> None:
    site = serve(make_world())
    nothing: dict[str, object] = {"items": [], "next_cursor": None, "from_height": 1, "notice": None}
    assert site.get("/api/v1/blocks").json() == nothing
    identifier = site.world.identifier("2025000001")
    check_problem(site.get(f"/api/v1/certificates/{identifier}/verification"), 503, "NOT_READY")
    check_problem(site.get(f"/api/v1/proofs/certificates/{identifier}"), 503, "NOT_READY")
