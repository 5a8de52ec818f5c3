"""An old proof stays true of its time: after validators changed, keys and certificates were renewed, and records grew."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consensus.validators import ValidatorSet
from contracts import batches, certificate_records
from contracts.batches import BatchRecord
from contracts.certificate_records import CertificateRecord, certificate_key
from contracts.records import Table
from node.chain.transaction import address_of
from node.http.proof_file import encode_proof_file
from sdk.trust import load_trust
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.sm2 import PrivateKey
from verification.batch_proof import BatchMember, BatchProof, encode_batch_proof
from verification.certificate_files.document import CertificateDocument, encode_file, seal_document
from verification.certificate_files.seals import sign_document
from verification.proof_verdicts import limit_age
from verification.proofs import GivenDocument, verify_proof
from verification.trust import TrustFile

YEAR_MS = 366 * 86_400_000


@pytest.fixture
def trust(trust_path: Path, world: Any) -> TrustFile:
    return msgspec.structs.replace(load_trust(trust_path), root_certificates=(world.root.der.hex(),))


@pytest.fixture
def drafts(world: Any) -> list[Any]:
    days = {"ZZBFRQ": "2026-01-01", "ZZYXQQSRQ": "2026-01-01", "ZZYXQJZRQ": "9999-12-31"}
    return [world.draft(f"2026{number:08}", holder_key=False, **days) for number in range(3)]


@pytest.fixture
def single(chain: Any, world: Any, drafts: list[Any]) -> CertificateDocument:
    """A certificate with a record of its own."""
    chain.call(chain.clerk, "certificates", "issue", **msgspec.structs.asdict(drafts[0].content))
    document: CertificateDocument = world.seal(drafts[0])
    return document


@pytest.fixture
def member(chain: Any, drafts: list[Any]) -> tuple[str, BatchMember]:
    batch, members = chain.issue_batch([draft.content for draft in drafts[1:]])
    return batch, members[1]


def test_it_speaks_of_its_block_after_the_validators_changed(
    chain: Any, member: tuple[str, BatchMember], trust: TrustFile, other_validators: ValidatorSet, identifier: str
) -> None:
    made = encode_batch_proof(chain.prove_member(*member))
    made_at = (chain.height, chain.time_ms)
    change = chain.change_validators(other_validators)
    chain.call(chain.clerk, "certificates", "suspend", identifier=identifier, reason="挂失")
    now_ms = chain.time_ms + YEAR_MS

    old = verify_proof(made, None, trust, now_ms)
    assert (old.code, old.is_accepted, (old.height, old.time_ms)) == ("IN_FORCE", True, made_at)
    assert "366 days ago" in old.en

    proof = chain.prove_member(*member, other_validators)
    assert verify_proof(encode_batch_proof(proof), None, trust, now_ms).broken_step == "trust"
    walked = BatchProof(
        proof.member,
        msgspec.structs.replace(proof.batch, walk=(change,)),
        msgspec.structs.replace(proof.own, walk=(change,)),
    )
    new = verify_proof(encode_batch_proof(walked), None, trust, now_ms)
    assert (new.is_accepted, new.height) == (True, chain.height)
    damaged = json.loads(encode_batch_proof(walked))
    damaged["walk"][0]["header"]["next_validators_hash"] = "00" * 32
    assert verify_proof(json.dumps(damaged).encode(), None, trust, now_ms).broken_step == "trust"

    # Whoever trusts the set after the change needs no walk to it, and is told that the old proof lies before.
    checkpoint = msgspec.structs.replace(
        trust, height=change.header.height, next_validators_hash=other_validators.hash.hex()
    )
    assert verify_proof(encode_batch_proof(proof), None, checkpoint, now_ms).is_accepted
    before = verify_proof(made, None, checkpoint, now_ms)
    assert before.broken_step == "trust"
    assert "checkpoint" in before.en


def test_a_document_outlives_its_signer_s_account_key_and_certificates(
    chain: Any, world: Any, single: CertificateDocument, trust: TrustFile, drafts: list[Any]
) -> None:
    identifier = single.core.identifier
    made = encode_proof_file(chain.prove(certificate_key(identifier)))
    given = GivenDocument(encode_file(single))
    # The clerk leaves, and the department's certificates run out.
    chain.call(chain.governor, "members", "remove_account", account=address_of(chain.clerk.public_key), reason="调离")
    now_ms = max(one.not_after_ms for one in (*world.issuer.chain, world.root)) + YEAR_MS
    for raw in (made, encode_proof_file(chain.prove(certificate_key(identifier)))):
        verdict = verify_proof(raw, given, trust, now_ms)
        assert (verdict.code, verdict.is_accepted) == ("IN_FORCE", True), verdict
        assert {step["step"]: step["state"] for step in verdict.document["steps"]}["chain"] == "held"

    # Its successor's signature, under certificates that had run out when it was made, is refused.
    late = seal_document(
        drafts[0], sign_document(drafts[0].digest, world.issuer.signer, world.issuer.chain, now_ms - 1)
    )
    verdict = verify_proof(made, GivenDocument(encode_file(late)), trust, now_ms)
    assert (verdict.code, verdict.broken_step) == ("SIGNER_NOT_TRUSTED", "document")


def test_documents_under_a_renewed_root_and_under_the_old_one_verify_together(
    chain: Any, world: Any, single: CertificateDocument, trust: TrustFile, drafts: list[Any]
) -> None:
    later_ms = world.now_ms + 5 * YEAR_MS
    root = x509.issue_root("Demo City Root 2", now_ms=later_ms)
    authority = x509.issue_department(root, world.issuer_code, "示例市自然资源局", now_ms=later_ms)
    key = PrivateKey.generate()
    person = x509.issue_person(authority, "新签章人", key.public_key, now_ms=later_ms)
    renewed = replace(world.issuer, authority=authority, signer=Signer(key), chain=(person, authority.certificate))
    sealed = seal_document(drafts[0], sign_document(drafts[0].digest, renewed.signer, renewed.chain, later_ms))
    raw = encode_proof_file(chain.prove(certificate_key(single.core.identifier)))
    both = msgspec.structs.replace(trust, root_certificates=(*trust.root_certificates, root.certificate.der.hex()))
    for document, roots, code in (
        (single, both, "IN_FORCE"),
        (sealed, both, "IN_FORCE"),
        (sealed, trust, "SIGNER_NOT_TRUSTED"),
    ):
        assert verify_proof(raw, GivenDocument(encode_file(document)), roots, later_ms + 1_000).code == code


class LaterRecord(CertificateRecord, array_like=True, frozen=True):
    """A certificate's record as a later release might have it."""

    remark: str = "none"


class LaterBatch(BatchRecord, array_like=True, frozen=True):
    """A batch's likewise."""

    remark: str = "none"


def test_a_release_whose_records_have_more_fields_takes_it(
    chain: Any,
    single: CertificateDocument,
    member: tuple[str, BatchMember],
    trust: TrustFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ms = chain.time_ms + YEAR_MS
    chain.admit(*member)
    files: list[bytes] = [
        encode_proof_file(chain.prove(certificate_key(single.core.identifier))),
        encode_batch_proof(chain.prove_member(*member)),
    ]
    make_again: list[Callable[[], bytes]] = [
        lambda: encode_proof_file(chain.prove(certificate_key(single.core.identifier))),
        lambda: encode_batch_proof(chain.prove_member(*member)),
    ]
    monkeypatch.setattr(certificate_records, "CERTIFICATES", Table("certificates", 4, LaterRecord))
    monkeypatch.setattr(batches, "BATCHES", Table("batches", 1, LaterBatch))
    for raw, again in zip(files, make_again, strict=True):
        verdict = verify_proof(raw, None, trust, now_ms)
        assert (verdict.code, verdict.is_accepted) == ("IN_FORCE", True), verdict
        # The later release writes what stood there before it in the words of then, too.
        assert b"remark" not in again()
        assert verify_proof(again(), None, trust, now_ms).is_accepted


def test_a_clock_that_is_behind_makes_no_proof_new(
    chain: Any, world: Any, member: tuple[str, BatchMember], trust: TrustFile, identifier: str
) -> None:
    """By a clock of five years ago every proof is of this second, and no validity has ended."""
    single, of_batch = chain.prove(certificate_key(identifier)), chain.prove_member(*member)
    for raw in (encode_proof_file(single), encode_batch_proof(of_batch)):
        late = verify_proof(raw, None, trust, chain.time_ms - 5 * YEAR_MS)
        for verdict in (late, limit_age(late, 3_600_000)):
            assert (verdict.is_accepted, verdict.code, verdict.broken_step) == (False, "CLOCK_BEHIND", "age")
            assert [step.finding for step in verdict.steps if step.code == "age"] == ["CLOCK_BEHIND"]
        apart = verify_proof(raw, None, trust, chain.time_ms - 5 * 60_000)
        assert (limit_age(apart, 1).is_accepted, apart.code) == (True, "IN_FORCE")
    absent = chain.prove(certificate_key(world.draft("20260000077").core.identifier))
    assert verify_proof(encode_proof_file(absent), None, trust, 0).code == "NOT_ON_LEDGER"
