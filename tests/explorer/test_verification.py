"""Verification of certificates: the verdict, each statement, and who proves it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.batches import batch_name, leaf_hash
from contracts.certificate_records import CertificateContent
from contracts.fields import MAX_TIME_MS
from contracts.identifiers import ROOT_OID
from explorer import statements
from explorer.problems import Text
from sm_crypto.sm3 import sm3
from verification.days import show_day, show_moment

DOCUMENT = "一份合成的不动产权证书\n".encode()
DAY_MS = 86_400_000


def verify(site: Any, identifier: str, **query: Any) -> dict[str, Any]:
    answer = site.get(f"/api/v1/certificates/{identifier}/verification", params=query)
    assert answer.status_code == 200
    result: dict[str, Any] = answer.json()
    return result


def codes(result: dict[str, Any]) -> list[str]:
    return [statement["code"] for statement in result["statements"]]


def test_a_certificate_in_force_with_its_document(site: Any) -> None:
    result = verify(site, site.world.certificate, document_digest=sm3(DOCUMENT).hex())
    assert (result["verdict"], result["is_valid"], result["mood"]) == ("IN_FORCE", True, "good")
    assert {statement["mood"] for statement in result["statements"]} == {"good"}
    expected = ["CHECK_CHARACTER", "BLOCK_FINAL", "ON_LEDGER", "ISSUER_AUTHORISED", "STATUS", "WITHIN_VALIDITY"]
    assert codes(result) == [*expected, "DOCUMENT_MATCHES"]


def test_every_statement_says_who_proves_it(site: Any) -> None:
    result = verify(site, site.world.certificate)
    for statement in result["statements"]:
        assert statement["proven_by"]["zh"]
        assert statement["proven_by"]["en"]
    final = result["statements"][1]
    for signer in result["signers"]:
        assert signer in final["proven_by"]["zh"]
    assert len(result["signers"]) == 3
    assert "3 of 4" in final["proven_by"]["en"]


def test_another_document_is_refused(site: Any) -> None:
    result = verify(site, site.world.certificate, document_digest=sm3(DOCUMENT + b" ").hex())
    assert (result["verdict"], result["is_valid"]) == ("DOCUMENT_CHANGED", False)
    assert result["statements"][-1]["mood"] == "bad"


def test_a_revoked_certificate_now_and_before(site: Any) -> None:
    now = verify(site, site.world.revoked)
    assert (now["verdict"], now["is_valid"], now["zh"], now["en"]) == ("ENDED", False, "已撤销", "Revoked")
    assert "登记错误" in now["statements"][4]["zh"]
    history = now["certificate"]["history"]
    assert verify(site, site.world.revoked, at_ms=history[0]["from_ms"])["verdict"] == "IN_FORCE"
    assert verify(site, site.world.revoked, at_ms=history[1]["from_ms"])["verdict"] == "SUSPENDED"
    assert verify(site, site.world.revoked, at_ms=history[0]["from_ms"] - 1)["verdict"] == "NOT_YET_ISSUED"


def test_an_expired_certificate(site: Any) -> None:
    end_ms = site.world.ledger.head_time_ms + DAY_MS
    identifier = site.world.issue("2025000100", b"expiring", end_ms)
    assert verify(site, identifier)["verdict"] == "IN_FORCE"
    late = verify(site, identifier, at_ms=end_ms + 1)
    assert late["verdict"] == "EXPIRED"
    assert "EXPIRED" in codes(late)


def test_an_identifier_that_the_ledger_does_not_know(site: Any) -> None:
    result = verify(site, site.world.identifier("9999999999"))
    assert (result["verdict"], result["certificate"]) == ("NOT_ON_LEDGER", None)


def test_a_wrong_check_character_is_a_warning(site: Any) -> None:
    right = site.world.certificate
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    result = verify(site, wrong)
    assert codes(result)[0] == "CHECK_CHARACTER_MISMATCH"
    assert result["statements"][0]["mood"] == "warn"
    assert result["verdict"] == "NOT_ON_LEDGER"


def test_by_document_alone(site: Any) -> None:
    digest = sm3(b"one document, two certificates")
    identifiers = [
        site.world.issue(serial, b"one document, two certificates") for serial in ("2025000200", "2025000201")
    ]
    items = site.get("/api/v1/verification", params={"document_digest": digest.hex()}).json()["items"]
    assert sorted(item["certificate"]["identifier"] for item in items) == sorted(identifiers)
    unknown = site.get("/api/v1/verification", params={"document_digest": sm3(b"unknown").hex()}).json()["items"]
    assert [item["verdict"] for item in unknown] == ["NOT_ON_LEDGER"]
    assert codes(unknown[0]) == ["BLOCK_FINAL", "DOCUMENT_NOT_ON_LEDGER"]


def test_a_renewed_certificate_names_its_successor(site: Any) -> None:
    old = site.world.issue("2025000300", b"old")
    new = site.world.identifier("2025000301")
    _, refusal = site.world.call(
        "land",
        "certificates",
        "renew",
        predecessor=old,
        identifier=new,
        document_digest=sm3(b"new"),
        holder_commitment=sm3(b"holder"),
        valid_from_ms=0,
        valid_to_ms=MAX_TIME_MS,
        reason="换发",
    )
    assert refusal is None
    result = verify(site, old)
    assert result["verdict"] == "SUPERSEDED"
    assert result["certificate"]["successor"] == new
    statement = result["statements"][4]
    assert (statement["code"], statement["successor"]) == ("SUPERSEDED_BY", new)
    assert statement["since_ms"] == result["certificate"]["history"][-1]["from_ms"]
    assert new in statement["zh"]
    assert verify(site, new)["certificate"]["predecessor"] == old


def test_a_certificate_of_a_batch_is_not_called_unknown(site: Any) -> None:
    world = site.world
    identifier = world.identifier("3025000001")
    content = CertificateContent(identifier, sm3(b"of a batch"), sm3(b"holder"), 0, MAX_TIME_MS)
    kind, issuer, serial = identifier.removeprefix(ROOT_OID).split(".")[:3]
    serials = {"type_code": kind, "first": serial, "last": "3025000009", "count": 1}
    digests = {"root": leaf_hash(content), "manifest_digest": sm3(b"manifest")}
    assert world.call("land", "batches", "issue_batch", **serials, **digests)[1] is None
    result = verify(site, identifier)
    assert (result["verdict"], result["is_valid"], result["certificate"]) == ("IN_BATCH", False, None)
    assert codes(result) == ["CHECK_CHARACTER", "BLOCK_FINAL", "IN_BATCH"]
    assert verify(site, world.identifier("3025000010"))["verdict"] == "NOT_ON_LEDGER"
    member = {"batch": batch_name(kind, issuer, serial), "position": 0, "content": content, "path": []}
    assert world.call("land", "batches", "admit", **member)[1] is None
    assert verify(site, identifier)["verdict"] == "IN_FORCE"
    by_document = site.get("/api/v1/verification", params={"document_digest": content.document_digest.hex()})
    assert [item["certificate"]["identifier"] for item in by_document.json()["items"]] == [identifier]


def test_a_suspended_issuer_is_a_warning(make_world: Callable[[], Any], serve: Callable[..., Any], fill: Any) -> None:
    world = make_world()
    fill(world)
    site = serve(world)
    world.call("governor", "members", "suspend_department", code=world.land, reason="机构改革")
    result = verify(site, world.certificate)
    assert result["verdict"] == "IN_FORCE"
    assert result["statements"][3]["code"] == "ISSUER_SUSPENDED"
    assert result["statements"][3]["since_ms"] == world.ledger.head_time_ms
    world.call("governor", "members", "resume_department", code=world.land, reason="完成")
    right = {"type_code": world.certificate.removeprefix(ROOT_OID).split(".")[0], "department": world.land}
    assert world.call("governor", "certificates", "withdraw_issuer", **right)[1] is None
    result = verify(site, world.certificate)
    assert (result["verdict"], result["statements"][3]["mood"]) == ("IN_FORCE", "warn")
    assert result["statements"][3]["code"] == "ISSUER_NOT_AUTHORISED"


def test_the_specification_has_every_code() -> None:
    source = Path(statements.__file__).read_text("utf-8")
    codes = set(re.findall(r'Statement\(\s*"([A-Z_]+)"', source)) | set(statements.VERDICTS)
    specified = (Path(__file__).parents[2] / "docs/spec/verification.md").read_text("utf-8")
    assert len(codes) > 25
    assert {code for code in codes if f"`{code}`" not in specified} == set()


@pytest.mark.parametrize(
    ("time_ms", "shown"),
    [
        (0, "1970-01-01 08:00:00"),
        (-2_209_017_600_000, "1900-01-01 00:00:00"),
        (253_402_271_999_999, "9999-12-31 23:59:59"),
        (2**63 - 1, "9223372036854775807 ms"),
        (-(2**63), "-9223372036854775808 ms"),
    ],
)
def test_times_are_china_time(time_ms: int, shown: str) -> None:
    assert show_moment(time_ms) == shown
    assert show_day(time_ms) == shown.partition(" ")[0]


def test_a_text_shows_both_languages() -> None:
    assert str(Text("证照", "certificate")) == "证照 / certificate"
