"""Was it valid on 3 March? A proof made later tells it from the history in the record, without a node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.accounts import department_key
from contracts.certificate_records import CertificateContent, certificate_key
from contracts.identifiers import make_identifier
from node.http.proof_file import encode_proof_file
from sdk.trust import load_trust
from sm_crypto.sm3 import sm3
from verification.batch_proof import encode_batch_proof
from verification.proofs import Verdict, verify_proof
from verification.trust import TrustFile

DAY_MS = 86_400_000
TYPE_CODE, DEPARTMENT = "11100000MB03271699001", "11990100MB0000002X"
Ask = Callable[[bytes, str], Verdict]


@pytest.fixture
def trust(trust_path: Path) -> TrustFile:
    return load_trust(trust_path)


@pytest.fixture
def ask(chain: Any, trust: TrustFile) -> Ask:
    """Verify a proof in a later year, about a day."""
    return lambda raw, day: verify_proof(raw, None, trust, chain.time_ms + 100 * DAY_MS, day)


def live(chain: Any, identifier: str) -> None:
    """Suspend on 1 June, resume on 3 June, and come to 5 June; the chain begins on 29 May at 04:26, China time."""
    chain.time_ms += 3 * DAY_MS
    chain.call(chain.clerk, "certificates", "suspend", identifier=identifier, reason="挂失")
    chain.time_ms += 2 * DAY_MS
    chain.call(chain.clerk, "certificates", "resume", identifier=identifier, reason="找回")
    chain.time_ms += 2 * DAY_MS


EXPECTED = [
    ("2026-05-28", "NOT_YET_ISSUED", ["NOT_YET_ISSUED"]),
    ("2026-05-29", "NOT_YET_ISSUED", ["NOT_YET_ISSUED", "IN_FORCE"]),
    ("2026-05-30", "IN_FORCE", ["IN_FORCE"]),
    ("2026-06-01", "SUSPENDED", ["IN_FORCE", "SUSPENDED"]),
    ("2026-06-02", "SUSPENDED", ["SUSPENDED"]),
    ("2026-06-03", "SUSPENDED", ["SUSPENDED", "IN_FORCE"]),
    ("2026-06-04", "IN_FORCE", ["IN_FORCE"]),
    ("2026-06-05", "PROOF_BEFORE_DAY", []),
    ("2030-01-01", "PROOF_BEFORE_DAY", []),
]


def told(verdict: Verdict) -> list[str]:
    return [span["verdict"] for span in verdict.day["spans"]]


def test_each_day_of_a_certificate_s_life_is_told(chain: Any, identifier: str, ask: Ask) -> None:
    live(chain, identifier)
    raw = encode_proof_file(chain.prove(certificate_key(identifier)))
    for day, code, spans in EXPECTED:
        verdict = ask(raw, day)
        finding = verdict.steps[-1].finding
        assert (verdict.is_accepted, told(verdict)) == (code == "IN_FORCE", spans), day
        assert code == "IN_FORCE" or finding in {code, f"{code}_SINCE"}
        assert verdict.code in {code, finding}
        assert day in verdict.zh
    mixed = ask(raw, "2026-06-03")
    assert [span["to_ms"] - span["from_ms"] + 1 for span in mixed.day["spans"]][-1] > DAY_MS // 2
    assert mixed.day["spans"][0]["to_ms"] + 1 == mixed.day["spans"][1]["from_ms"]
    assert "自 2026-06-03 04:2" in mixed.zh


def test_a_certificate_of_a_batch_is_no_different(chain: Any, ask: Ask) -> None:
    identifier = make_identifier(TYPE_CODE, DEPARTMENT, "20260000001")
    content = CertificateContent(identifier, sm3(b"document"), sm3(b"holder"), 0, chain.time_ms + 400 * DAY_MS)
    batch, (member,) = chain.issue_batch([content])
    chain.time_ms += 7 * DAY_MS
    untouched = encode_batch_proof(chain.prove_member(batch, member))
    assert ask(untouched, "2026-06-02").code == "IN_FORCE"
    assert ask(untouched, "2026-05-28").code == "NOT_YET_ISSUED"
    chain.time_ms -= 7 * DAY_MS
    chain.admit(batch, member)
    live(chain, identifier)
    raw = encode_batch_proof(chain.prove_member(batch, member))
    for day, code, spans in EXPECTED:
        verdict = ask(raw, day)
        assert (verdict.is_accepted, told(verdict)) == (code == "IN_FORCE", spans), day


def test_what_has_no_days_says_so(chain: Any, ask: Ask) -> None:
    chain.time_ms += 5 * DAY_MS
    verdict = ask(encode_proof_file(chain.prove(department_key(DEPARTMENT))), "2026-05-30")
    assert (verdict.code, verdict.broken_step) == ("NOT_A_CERTIFICATE", "status")
    absent = certificate_key(make_identifier(TYPE_CODE, DEPARTMENT, "20990000001"))
    assert ask(encode_proof_file(chain.prove(absent)), "2026-05-30").code == "NOT_ON_LEDGER"


def test_statuses_in_pages_of_the_history_are_left_to_a_node(chain: Any, identifier: str, ask: Ask) -> None:
    chain.time_ms += 2 * DAY_MS
    for number in range(70):
        method = "resume" if number % 2 else "suspend"
        chain.call(chain.clerk, "certificates", method, identifier=identifier, reason="样本")
    chain.time_ms += 2 * DAY_MS
    raw = encode_proof_file(chain.prove(certificate_key(identifier)))
    assert ask(raw, "2026-05-30").code == "HISTORY_PAGE_NEEDED"
    assert ask(raw, "2026-06-01").code == "IN_FORCE"


def test_the_command_asks_about_a_day(
    chain: Any, identifier: str, run: Callable[..., Any], trust_path: Path, tmp_path: Path
) -> None:
    live(chain, identifier)
    proof = tmp_path / "proof.json"
    proof.write_bytes(encode_proof_file(chain.prove(certificate_key(identifier))))
    arguments = ("verify", proof, "--trust", trust_path, "--at")
    status, out, _ = run(*arguments, "2026-06-04", "--json")
    assert (status, out["code"], out["day"]["day"]) == (0, "IN_FORCE", "2026-06-04")
    status, text, _ = run(*arguments, "2026-06-02")
    assert status == 1
    assert "2026-06-02 全天：已暂停使用 / on 2026-06-02, all day: suspended" in text
    status, _, errors = run(*arguments, "3 March")
    assert (status, "DATE_MALFORMED" in errors) == (1, True)
    status, _, errors = run(*arguments, "2026-06-02", "--status-list", proof)
    assert (status, "--status-list" in errors) == (2, True)
