"""Proofs that earlier releases left behind verify as they did then: a format, once given out, is read for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdk.proofs import verify_proof_file
from sdk.trust import load_trust

KEPT = Path(__file__).parent / "kept_proofs"
PROOFS = sorted(KEPT.glob("*/*-proof.json"))
LATER_MS = 300 * 86_400_000


@pytest.mark.parametrize("path", PROOFS, ids=[f"{path.parent.name}/{path.name}" for path in PROOFS])
def test_a_kept_proof_still_says_what_it_said(path: Path) -> None:
    expected = json.loads((path.parent / "expected.json").read_text("utf-8"))[path.name]
    trust = path.parent / "trust.json"
    now_ms = json.loads(path.read_bytes())["header"]["time_ms"] + LATER_MS
    verdict = verify_proof_file(path, None, trust, now_ms=now_ms)
    assert (verdict.code, verdict.height) == (expected["code"], expected["height"]), verdict
    assert verdict.age_ms == LATER_MS
    assert verdict.broken_step in {None, "status"}


@pytest.mark.parametrize("folder", sorted({path.parent for path in PROOFS}), ids=lambda folder: str(folder.name))
def test_kept_documents_verify_with_their_proof_under_the_roots_of_then(folder: Path) -> None:
    assert load_trust(folder / "trust.json").root_certificates
    proof = folder / "member-proof.json"
    now_ms = json.loads(proof.read_bytes())["header"]["time_ms"] + LATER_MS
    for name, values in (("member.json", 6), ("member.shown.json", 1)):
        verdict = verify_proof_file(proof, folder / name, folder / "trust.json", now_ms=now_ms)
        assert verdict.is_accepted, verdict
        assert len(verdict.document["values"]) == values
        assert verdict.document["values"]["面积"] == "98.5"
