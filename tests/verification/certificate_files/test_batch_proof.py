"""Proofs of a batch's certificates: they hold without a node, and whatever is changed breaks the step that is about it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.batches import batch_key
from contracts.certificate_records import CertificateContent, certificate_key
from contracts.identifiers import make_identifier
from node.http.proof_file import ProofFileError, encode_proof_file
from sdk.trust import load_trust
from sm_crypto.merkle import merkle_path
from sm_crypto.sm3 import sm3
from verification.batch_proof import (
    BatchMember,
    decode_batch_proof,
    encode_batch_proof,
    join_proofs,
)
from verification.certificate_files.document import CertificateDocument, encode_file, seal_document
from verification.certificate_files.presentation import present
from verification.certificate_files.seals import sign_batch
from verification.errors import InputError
from verification.proof_verdicts import BATCH_STEPS
from verification.proofs import GivenDocument, Verdict, verify_proof
from verification.trust import TrustFile

DAY_MS = 86_400_000
SERIALS = [f"2026{number:08}" for number in range(5)]
Change = Callable[[Any], Any]


@pytest.fixture
def trust(trust_path: Path) -> TrustFile:
    return load_trust(trust_path)


@pytest.fixture
def drafts(world: Any) -> list[Any]:
    return [world.draft(serial, holder_key=False, ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01") for serial in SERIALS]


@pytest.fixture
def issued(chain: Any, drafts: list[Any]) -> tuple[str, list[BatchMember]]:
    made: tuple[str, list[BatchMember]] = chain.issue_batch([draft.content for draft in drafts])
    return made


@pytest.fixture
def batch(issued: tuple[str, list[BatchMember]]) -> str:
    return issued[0]


@pytest.fixture
def member(issued: tuple[str, list[BatchMember]]) -> BatchMember:
    return issued[1][2]


@pytest.fixture
def raw(chain: Any, batch: str, member: BatchMember) -> bytes:
    return encode_batch_proof(chain.prove_member(batch, member))


@pytest.fixture
def document(world: Any, chain: Any, batch: str, member: BatchMember, drafts: list[Any]) -> CertificateDocument:
    record = json.loads(encode_proof_file(chain.prove(batch_key(batch))))["record"]["fields"]
    root, manifest = bytes.fromhex(record["root"]), bytes.fromhex(record["manifest_digest"])
    signature = sign_batch(batch, 5, root, manifest, world.issuer.signer, world.issuer.chain, world.now_ms)
    return seal_document(drafts[2], signature.seal(member.position, member.path))


@pytest.fixture
def now_ms(world: Any) -> int:
    return int(world.now_ms) + 1_000


def changed_at(raw: bytes, place: tuple[Any, ...], change: Change) -> bytes:
    content = json.loads(raw)
    holder = content
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = change(holder[place[-1]])
    return json.dumps(content, ensure_ascii=False).encode()


def flip(text: str) -> str:
    """Change one bit of hex digits."""
    return f"{int(text[0], 16) ^ 1:x}{text[1:]}"


def broken(verdict: Verdict) -> tuple[str | None, str]:
    assert not verdict.is_accepted
    return verdict.broken_step, verdict.code


def test_a_certificate_without_a_record_of_its_own_is_in_force(
    raw: bytes, batch: str, member: BatchMember, chain: Any, trust: TrustFile, now_ms: int
) -> None:
    verdict = verify_proof(raw, None, trust, now_ms)
    assert (verdict.is_accepted, verdict.code, verdict.kind) == (True, "IN_FORCE", "batch-certificate"), verdict
    assert [step.code for step in verdict.steps] == list(BATCH_STEPS)
    assert {step.code: step.state for step in verdict.steps if step.state != "held"} == {"document": "not-asked"}
    assert (verdict.height, verdict.time_ms, verdict.age_ms) == (chain.height, chain.time_ms, now_ms - chain.time_ms)
    assert verdict.record["identifier"] == member.content.identifier
    assert verdict.batch == {
        "name": batch,
        "position": 2,
        "count": 5,
        "issued_ms": chain.time_ms,
        "has_own_record": False,
    }
    assert "as of block" in verdict.en


def test_the_document_is_held_against_the_leaf_and_the_root(
    world: Any, raw: bytes, document: CertificateDocument, trust: TrustFile, now_ms: int, drafts: list[Any]
) -> None:
    verdict = verify_proof(raw, GivenDocument(encode_file(document)), trust, now_ms)
    assert verdict.is_accepted, verdict
    assert verdict.document["values"]["CZZT"] == "张三"
    assert {step["step"]: step["state"] for step in verdict.document["steps"]}["batch"] == "held"
    shown = GivenDocument(encode_file(present(document, ["面积"])))
    assert verify_proof(raw, shown, trust, now_ms).document["values"] == {"面积": "98.5"}

    changed = msgspec.structs.replace(document, values=(*document.values[:-1], "商业"))
    assert broken(verify_proof(raw, GivenDocument(encode_file(changed)), trust, now_ms)) == (
        "document",
        "FIELD_CHANGED",
    )
    neighbour = seal_document(drafts[3], document.seal)
    found = verify_proof(raw, GivenDocument(encode_file(neighbour)), trust, now_ms)
    assert broken(found) == ("document", "ANOTHER_CERTIFICATE")
    elsewhere = msgspec.structs.replace(document, seal=msgspec.structs.replace(document.seal, root=sm3(b"x").hex()))
    found = verify_proof(raw, GivenDocument(encode_file(elsewhere)), trust, now_ms)
    assert broken(found) == ("document", "ANOTHER_BATCH")
    single = world.seal(drafts[2])
    assert verify_proof(raw, GivenDocument(encode_file(single)), trust, now_ms).code == "ANOTHER_BATCH"
    assert verify_proof(raw, GivenDocument(b"%PDF-1.4"), trust, now_ms).code == "DOCUMENT_CHANGED"


def test_what_happened_to_it_since_is_in_its_own_record(
    chain: Any, raw: bytes, batch: str, member: BatchMember, trust: TrustFile, now_ms: int
) -> None:
    identifier = member.content.identifier
    chain.admit(batch, member)
    verdict = verify_proof(encode_batch_proof(chain.prove_member(batch, member)), None, trust, now_ms)
    assert (verdict.code, verdict.batch["has_own_record"]) == ("IN_FORCE", True)
    chain.call(chain.clerk, "certificates", "suspend", identifier=identifier, reason="挂失")
    suspended_ms = chain.time_ms
    verdict = verify_proof(encode_batch_proof(chain.prove_member(batch, member)), None, trust, now_ms)
    assert broken(verdict) == ("status", "SUSPENDED")
    assert (verdict.steps[-1].finding, verdict.since_ms) == ("SUSPENDED_SINCE", suspended_ms)
    assert "挂失" in verdict.zh
    chain.call(chain.clerk, "certificates", "revoke", identifier=identifier, status="03", reason="注销")
    ended = verify_proof(encode_batch_proof(chain.prove_member(batch, member)), None, trust, now_ms)
    assert broken(ended) == ("status", "ENDED")
    assert verify_proof(raw, None, trust, now_ms).is_accepted, "as of its time the old proof still holds"


def test_a_renewed_certificate_names_its_successor(
    chain: Any, batch: str, member: BatchMember, trust: TrustFile, now_ms: int
) -> None:
    chain.admit(batch, member)
    successor = make_identifier("11100000MB03271699001", "11990100MB0000002X", SERIALS[2], "002")
    content = msgspec.structs.asdict(member.content) | {"identifier": successor}
    place = {"predecessor": member.content.identifier, "reason": "换发"}
    chain.call(chain.clerk, "certificates", "renew", **place, **content)
    verdict = verify_proof(encode_batch_proof(chain.prove_member(batch, member)), None, trust, now_ms)
    assert broken(verdict) == ("status", "SUPERSEDED")
    assert (verdict.steps[-1].finding, verdict.successor) == ("SUPERSEDED_BY", successor)
    assert successor in verdict.zh


def test_a_record_about_another_certificate_outweighs_the_leaf(
    chain: Any, identifier: str, trust: TrustFile, now_ms: int
) -> None:
    """The chain has a single certificate under this identifier; a later batch's leaf names it again."""
    content = CertificateContent(identifier, sm3(b"another document"), sm3(b"holder"), 0, chain.time_ms + 400 * DAY_MS)
    batch, (member,) = chain.issue_batch([content])
    verdict = verify_proof(encode_batch_proof(chain.prove_member(batch, member)), None, trust, now_ms)
    assert broken(verdict) == ("status", "ANOTHER_CERTIFICATE")


def test_validity_that_ended_since_the_proof_is_known(raw: bytes, trust: TrustFile, now_ms: int) -> None:
    verdict = verify_proof(raw, None, trust, now_ms + 10 * 366 * DAY_MS)
    assert broken(verdict) == ("status", "EXPIRED")


@pytest.mark.parametrize(
    ("place", "change", "step", "code"),
    [
        (("format",), lambda text: "govnode-batch-proof/2", "file", "PROOF_BROKEN"),
        (("version",), lambda number: 2, "file", "PROOF_BROKEN"),
        (("member", "position"), lambda number: 1, "member", "NOT_IN_BATCH"),
        (("member", "position"), lambda number: 7, "member", "NOT_IN_BATCH"),
        (("member", "position"), lambda number: -1, "member", "PROOF_BROKEN"),
        (("member", "position"), lambda number: True, "member", "PROOF_BROKEN"),
        (("member", "path", 0), flip, "member", "NOT_IN_BATCH"),
        (("member", "path"), lambda path: path[:-1], "member", "NOT_IN_BATCH"),
        (("member", "path"), lambda path: path * 30, "member", "PROOF_BROKEN"),
        (("member", "path", 1), lambda text: text[2:], "member", "PROOF_BROKEN"),
        (("member", "content", "document_digest"), flip, "member", "NOT_IN_BATCH"),
        (("member", "content", "document_digest"), lambda text: "00" * 32, "member", "DIGEST_ZERO"),
        (("member", "content", "holder_commitment"), flip, "member", "NOT_IN_BATCH"),
        (("member", "content", "valid_to_ms"), lambda time_ms: time_ms + 1, "member", "NOT_IN_BATCH"),
        (("member", "content", "valid_to_ms"), lambda time_ms: 0, "member", "DATES_REVERSED"),
        (("member", "content", "valid_to_ms"), lambda time_ms: 1.5, "member", "PROOF_BROKEN"),
        (("member", "content", "identifier"), lambda text: text.removeprefix("1.2."), "member", "PROOF_BROKEN"),
        (("member", "content", "identifier"), lambda text: 5, "member", "PROOF_BROKEN"),
        (("batch_record", "key"), flip, "record", "PROOF_BROKEN"),
        (("batch_record", "value"), lambda text: None, "record", "PROOF_BROKEN"),
        (("batch_record", "fields", "count"), lambda number: 6, "record", "PROOF_BROKEN"),
        (("batch_record", "state", "steps"), lambda steps: steps[:-1], "path", "PROOF_BROKEN"),
        (("batch_record", "state", "steps"), lambda steps: 5, "path", "PROOF_BROKEN"),
        (("own_record", "state", "steps", 0, "bitmap"), lambda bits: bits ^ 1, "path", "PROOF_BROKEN"),
        (("own_record", "fields"), lambda fields: {}, "record", "PROOF_BROKEN"),
        (("own_record",), lambda record: None, "record", "PROOF_BROKEN"),
        (("header", "time_ms"), lambda time_ms: time_ms + 1, "header", "PROOF_BROKEN"),
        (("header", "state_root"), flip, "header", "PROOF_BROKEN"),
        (("certificate", "round"), lambda number: number + 1, "signatures", "PROOF_BROKEN"),
        (("certificate", "signers"), lambda signers: signers[:2], "certificate", "PROOF_BROKEN"),
        (("certificate", "signatures", 0), flip, "signatures", "PROOF_BROKEN"),
        (("validators", 0, "public_key"), flip, "validator-set", "PROOF_BROKEN"),
        (("walk",), lambda walk: [{}], "trust", "PROOF_BROKEN"),
    ],
)
def test_each_change_breaks_the_step_that_is_about_it(
    raw: bytes, trust: TrustFile, now_ms: int, place: tuple[Any, ...], change: Change, step: str, code: str
) -> None:
    verdict = verify_proof(changed_at(raw, place, change), None, trust, now_ms)
    assert broken(verdict) == (step, code)
    states = [one.state for one in verdict.steps]
    assert states.count("broken") == 1
    assert "held" not in states[states.index("broken") :]


def test_absence_of_another_certificate_s_record_proves_nothing(
    chain: Any, batch: str, issued: tuple[str, list[BatchMember]], trust: TrustFile, now_ms: int
) -> None:
    """Whoever hides a revoked certificate's record behind the absence of its neighbour's is found."""
    _, members = issued
    revoked, neighbour = members[2], members[3]
    chain.admit(batch, revoked)
    chain.call(chain.clerk, "certificates", "revoke", identifier=revoked.content.identifier, status="03", reason="伪造")
    content = json.loads(encode_batch_proof(chain.prove_member(batch, revoked)))
    content["own_record"] = json.loads(encode_batch_proof(chain.prove_member(batch, neighbour)))["own_record"]
    assert broken(verify_proof(json.dumps(content).encode(), None, trust, now_ms)) == ("record", "PROOF_BROKEN")
    content["own_record"]["key"] = certificate_key(revoked.content.identifier).hex()
    assert verify_proof(json.dumps(content).encode(), None, trust, now_ms).code == "PROOF_BROKEN"


def test_another_batch_s_record_is_no_home_for_it(
    chain: Any, world: Any, raw: bytes, trust: TrustFile, now_ms: int
) -> None:
    other, members = chain.issue_batch([world.draft(f"2027{number:08}").content for number in range(5)])
    content = json.loads(encode_batch_proof(chain.prove_member(other, members[2])))
    member = json.loads(raw)["member"]
    own = json.loads(encode_batch_proof(chain.prove_member(other, members[2])))
    content["member"] = member
    assert broken(verify_proof(json.dumps(content).encode(), None, trust, now_ms)) == ("record", "PROOF_BROKEN")
    proof = chain.prove_member(other, members[2])
    foreign = decode_batch_proof(raw).proof.member
    joined = join_proofs(foreign, proof.batch, chain.prove(certificate_key(foreign.content.identifier)))
    verdict = verify_proof(encode_batch_proof(joined), None, trust, now_ms)
    assert broken(verdict) == ("member", "OUTSIDE_BATCH")
    assert own["batch_record"] == content["batch_record"]


def test_proofs_of_two_moments_are_not_joined(chain: Any, batch: str, member: BatchMember, identifier: str) -> None:
    key = certificate_key(member.content.identifier)
    first = chain.prove(batch_key(batch))
    chain.call(chain.clerk, "certificates", "suspend", identifier=identifier, reason="挂失")
    for proofs, code in (
        ((first, chain.prove(key)), "PROOF_MALFORMED"),
        ((chain.prove(key), chain.prove(key)), "BATCH_UNKNOWN"),
        ((chain.prove(batch_key(batch)), chain.prove(batch_key(batch))), "PROOF_MALFORMED"),
    ):
        with pytest.raises(InputError) as caught:
            join_proofs(member, *proofs)
        assert caught.value.code == code


def test_a_file_says_everything_once_and_comes_back_the_same(raw: bytes) -> None:
    assert encode_batch_proof(decode_batch_proof(raw).proof) == raw
    for wrong in (b"", b"[]", b"{}", b"[" * 100_000, raw.replace(b'"version":', b'"version": 1, "version":', 1)):
        with pytest.raises(ProofFileError):
            decode_batch_proof(wrong)


def test_the_lone_certificate_of_a_batch_has_an_empty_path(
    chain: Any, world: Any, trust: TrustFile, now_ms: int
) -> None:
    batch, (member,) = chain.issue_batch([world.draft("20280001", ZZYXQQSRQ="2026-01-01").content])
    assert member.path == tuple(merkle_path([b"\0" * 32], 0)) == ()
    assert verify_proof(encode_batch_proof(chain.prove_member(batch, member)), None, trust, now_ms).is_accepted


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_damage_to_the_file_is_a_verdict(raw: bytes, trust: TrustFile, now_ms: int, data: st.DataObject) -> None:
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        match data.draw(st.sampled_from(("change", "cut", "insert"))):
            case "change":
                damaged[position] = data.draw(st.integers(0, 255))
            case "cut":
                del damaged[position : position + data.draw(st.integers(1, 40))]
            case "insert":
                damaged[position:position] = data.draw(st.binary(max_size=8))
        damaged = damaged or bytearray(b"{")
    verdict = verify_proof(bytes(damaged), None, trust, now_ms)
    # White space between values is the one thing that may change; nothing else holds.
    if verdict.is_accepted:
        assert json.loads(bytes(damaged)) == json.loads(raw)
