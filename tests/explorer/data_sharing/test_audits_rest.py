"""Audits over HTTP: the authority for everybody, queries for auditors, findings for auditors and those concerned, and nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contracts.data_sharing.audit_figures import FigureRow
from contracts.data_sharing.audits import FINDINGS, FindingSubject
from sm_crypto.sm3 import sm3
from verification.days import show_moment

LETTER = {"reference": "审函〔2026〕1号", "digest": sm3(b"letter")}


@pytest.fixture(scope="module")
def site(make_world: Callable[[], Any], serve: Callable[..., Any]) -> Any:
    """A served world with an authority, two queries, and three findings: two about the land bureau, one about housing."""
    world = make_world()

    def call(account: str, method: str, **arguments: Any) -> bytes:
        identifier, refusal = world.call(account, "audits", method, **arguments)
        assert refusal is None, refusal
        return bytes(identifier)

    call("governor", "name_authority", department=world.bureau)
    for kind in ("trace", "person"):
        world.asked = call("auditor", "record_query", kind=kind, digest=sm3(b"query"), basis="审通〔2026〕7号")
    found = (("OVER_QUOTA", world.land), ("ONE_SIDED", world.housing), ("OVER_QUOTA", world.land))
    for from_ms, (rule, department) in enumerate(found):
        world.raised = call(
            "auditor",
            "raise_finding",
            subject=FindingSubject(rule, department, "", "", bytes(20), 0, 0, bytes(32), from_ms, from_ms + 1),
            reference="",
            digest=sm3(b"evidence"),
        )
    table = {"department": world.housing, "rows": [FigureRow("day_to_minute", 1_320)], "basis": "审规〔2026〕1号"}
    call("auditor", "set_figures", **table, from_ms=world.ledger.head_time_ms + 86_400_000)
    call("land", "explain", number=1, **LETTER)
    call("auditor", "confirm", number=1, **LETTER)
    return serve(world)


def test_everybody_may_know_who_the_authority_is(site: Any) -> None:
    found = site.get("/api/v1/audits/authority").json()
    assert (found["department"], found["queries"], found["findings"]) == (site.world.bureau, 2, 3)
    assert found["department_name"] == "示范市数据资源管理局"
    assert len(found["history"]) == 1


def test_queries_are_for_auditors(site: Any) -> None:
    found = site.get_signed("auditor", "/api/v1/audits/queries").json()["items"]
    assert [(one["number"], one["kind"], one["basis"]) for one in found] == [
        (2, "person", "审通〔2026〕7号"),
        (1, "trace", "审通〔2026〕7号"),
    ]
    assert site.get_signed("auditor", f"/api/v1/audits/queries?department={site.world.land}").json()["items"] == []
    assert site.get_signed("land", "/api/v1/audits/queries").json()["code"] == "ROLE_REQUIRED"
    assert site.get("/api/v1/audits/queries").json()["code"] == "SIGNATURE_REQUIRED"


def test_findings_are_for_auditors_and_those_who_have_to_explain(site: Any) -> None:
    def numbers(account: str, query: str = "") -> list[int]:
        items = site.get_signed(account, f"/api/v1/audits/findings{query}").json()["items"]
        return [one["number"] for one in items]

    assert numbers("auditor") == [3, 2, 1]
    assert numbers("land") == [3, 1]
    assert numbers("housing") == [2]
    assert numbers("district") == []
    assert numbers("auditor", "?state=raised") == [3, 2]
    assert numbers("auditor", "?rule=OVER_QUOTA&state=confirmed") == [1]
    assert numbers("auditor", f"?department={site.world.housing}") == [2]
    assert site.get("/api/v1/audits/findings").json()["code"] == "SIGNATURE_REQUIRED"
    assert site.get_signed("auditor", "/api/v1/audits/findings?state=odd").json()["code"] == "PARAMETER_INVALID"


def test_findings_come_in_pages(site: Any) -> None:
    first = site.get_signed("auditor", "/api/v1/audits/findings?limit=2").json()
    assert [one["number"] for one in first["items"]] == [3, 2]
    second = site.get_signed("auditor", f"/api/v1/audits/findings?limit=2&cursor={first['next_cursor']}").json()
    assert ([one["number"] for one in second["items"]], second["next_cursor"]) == ([1], None)


def test_one_finding_shows_its_life(site: Any) -> None:
    found = site.get_signed("land", "/api/v1/audits/findings/1").json()
    assert [step["state"] for step in found["history"]] == ["raised", "explained", "confirmed"]
    assert found["state_text"] == {"zh": "已认定", "en": "confirmed"}
    assert found["rule_text"]["en"] == "over the quota of the grant"
    assert site.get_signed("housing", "/api/v1/audits/findings/1").json()["code"] == "ROLE_REQUIRED"
    assert site.get_signed("housing", "/api/v1/audits/findings/9").json()["code"] == "ROLE_REQUIRED"
    assert site.get_signed("auditor", "/api/v1/audits/findings/9").json()["code"] == "NOT_FOUND"


def test_the_page_counts_and_names_nobody(site: Any) -> None:
    page = site.get("/audits", headers={"accept": "text/html"}).text
    for expected in ("示范市数据资源管理局", "超出授权限额", "OVER_QUOTA", "govnode verify trace.gvt"):
        assert expected in page
    counted, _, figures = page.partition("规则参数")
    assert site.world.land not in page
    assert site.world.housing not in counted
    # What is published for a time to come is shown, with when it begins.
    begins = show_moment(site.get("/api/v1/audits/figures").json()["items"][0]["from_ms"])
    for expected in (site.world.housing, "1,320", begins, "审规〔2026〕1号"):
        assert expected in figures


def test_open_findings_are_a_metric_by_rule_and_state(site: Any) -> None:
    shown = [line for line in site.get("/metrics").text.splitlines() if line.startswith("govnode_open_audit_findings{")]
    assert shown == [
        'govnode_open_audit_findings{rule="OVER_QUOTA",state="raised"} 1.0',
        'govnode_open_audit_findings{rule="OVER_QUOTA",state="confirmed"} 1.0',
        'govnode_open_audit_findings{rule="ONE_SIDED",state="raised"} 1.0',
    ]


def test_published_figures_are_for_everybody(site: Any) -> None:
    (table,) = site.get("/api/v1/audits/figures").json()["items"]
    assert (table["number"], table["department"], table["basis"]) == (1, site.world.housing, "审规〔2026〕1号")
    assert [(row["figure"], row["value"]) for row in table["rows"]] == [("day_to_minute", 1_320)]
    assert table["rows"][0]["text"]["en"] == "working hours end, minutes after midnight"
    assert site.get(f"/api/v1/audits/figures?department={site.world.land}").json()["items"] == []


def test_json_rpc_and_unsigned_rest_tell_nothing_of_queries_and_findings(site: Any) -> None:
    for method, arguments in (("finding", {"number": 1}), ("audit_query", {"number": 1})):
        assert site.rpc("gov_call", "audits", method, arguments)["error"]["data"]["code"] == "SIGNATURE_REQUIRED"
    key = FINDINGS.key((1).to_bytes(8, "big")).hex()
    assert site.rpc("gov_getProof", key)["error"]["data"]["code"] == "SIGNATURE_REQUIRED"
    assert site.get(f"/api/v1/proofs/state/{key}").json()["code"] == "SIGNATURE_REQUIRED"
    for transaction in (site.world.raised, site.world.asked):
        shown = site.get(f"/api/v1/transactions/{transaction.hex()}").json()
        assert (shown["is_restricted"], shown["arguments"], shown["events"]) == (True, None, None)
        assert site.rpc("eth_getTransactionByHash", "0x" + transaction.hex())["result"]["input"] == "0x"
    logs = site.rpc("eth_getLogs", {"fromBlock": "0x1", "toBlock": "latest"})["result"]
    assert {log["address"] for log in logs} == set()


def test_those_concerned_get_proofs_and_transactions_by_signed_requests(site: Any) -> None:
    target = f"/api/v1/proofs/state/{FINDINGS.key((1).to_bytes(8, 'big')).hex()}"
    assert site.get_signed("auditor", target).json()["record"]["kind"] == "audit-finding"
    assert site.get_signed("land", target).json()["record"]["fields"]["subject"]["rule"] == "OVER_QUOTA"
    assert site.get_signed("housing", target).json()["code"] == "ROLE_REQUIRED"
    target = f"/api/v1/transactions/{site.world.asked.hex()}"
    assert site.get_signed("auditor", target).json()["arguments"]["kind"] == "person"
    assert site.get_signed("land", target).json()["arguments"] is None
