"""Proof files: they hold without a node, and a change of any byte breaks the step that is about it."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.validators import ValidatorSet
from contracts.certificate_records import certificate_key
from contracts.identifiers import make_identifier
from node.chain.codec import encode
from node.http.proof_file import encode_proof_file
from sdk.proofs import proof_file_of, verify_proof_file
from sdk.trust import load_trust
from sm_crypto.sm3 import sm3
from verification.errors import InputError
from verification.proofs import STEPS, GivenDocument, Verdict, verify_proof
from verification.trust import TrustFile, decode_trust

DAY_MS = 86_400_000


@pytest.fixture
def document() -> bytes:
    return "%PDF-1.4 样本 sample".encode()


@pytest.fixture
def trust(trust_path: Path) -> TrustFile:
    return load_trust(trust_path)


@pytest.fixture
def raw(chain: Any, identifier: str) -> bytes:
    return encode_proof_file(chain.prove(certificate_key(identifier)))


@pytest.fixture
def now_ms(chain: Any) -> int:
    return int(chain.time_ms) + 3 * DAY_MS


def broken_step(verdict: Verdict) -> str | None:
    assert not verdict.is_accepted
    assert verdict.broken_step is not None
    assert verdict.broken_step in verdict.en or verdict.code != "PROOF_BROKEN"
    return verdict.broken_step


def test_proof_with_its_document_is_accepted_with_height_and_age(
    chain: Any, raw: bytes, document: bytes, trust: TrustFile, now_ms: int
) -> None:
    verdict = verify_proof(raw, GivenDocument(document), trust, now_ms)
    assert verdict.is_accepted
    assert (verdict.code, verdict.kind, verdict.height, verdict.age_ms) == ("IN_FORCE", "certificate", 2, 3 * DAY_MS)
    assert [step.code for step in verdict.steps] == list(STEPS)
    assert {step.state for step in verdict.steps} == {"held"}
    assert "3 days ago" in verdict.en
    assert "3 天前" in verdict.zh
    assert "what changed later is not in this proof" in verdict.en


def test_files_verify_as_bytes_do(raw: bytes, document: bytes, trust_path: Path, tmp_path: Path, now_ms: int) -> None:
    (tmp_path / "证明.json").write_bytes(raw)
    (tmp_path / "证照.pdf").write_bytes(document)
    verdict = verify_proof_file(tmp_path / "证明.json", tmp_path / "证照.pdf", trust_path, now_ms=now_ms)
    assert verdict.is_accepted


def test_without_the_document_the_record_alone_is_judged(raw: bytes, trust: TrustFile, now_ms: int) -> None:
    verdict = verify_proof(raw, None, trust, now_ms)
    assert verdict.is_accepted
    assert {step.code: step.state for step in verdict.steps}["document"] == "not-asked"


def test_every_changed_byte_of_the_document_is_found(
    raw: bytes, document: bytes, trust: TrustFile, now_ms: int
) -> None:
    for position in range(len(document)):
        changed = bytearray(document)
        changed[position] ^= 1
        verdict = verify_proof(raw, GivenDocument(bytes(changed)), trust, now_ms)
        assert broken_step(verdict) == "document"
        assert verdict.code == "DOCUMENT_CHANGED"


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where every value that is no list or object stands."""
    if isinstance(value, dict):
        return [place for name, item in value.items() for place in places(item, (*path, name))]
    if isinstance(value, list):
        return [place for index, item in enumerate(value) for place in places(item, (*path, index))]
    return [path]


def changed_at(raw: bytes, place: tuple[Any, ...], change: Any) -> bytes:
    content = json.loads(raw)
    holder = content
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = change(holder[place[-1]])
    return json.dumps(content, ensure_ascii=False).encode()


def flip(position: int) -> Any:
    """Return a change of one bit of the byte at `position` in hex digits."""

    def change(text: str) -> str:
        value = bytearray.fromhex(text)
        value[position] ^= 1
        return value.hex()

    return change


# Where a byte was changed -> the step that must break, and no other.
EXPECTED_STEPS = {
    ("record", "key"): {"record"},
    ("record", "value"): {"record"},
    ("state", "leaf", "value_hash"): {"record"},
    ("state", "leaf", "path"): {"record"},
    ("state", "steps"): {"path"},
    ("header",): {"header"},
    ("certificate", "block_id"): {"header"},
    ("certificate", "signatures"): {"signatures"},
    ("validators",): {"validator-set"},
}


def test_every_changed_byte_breaks_the_step_that_is_about_it(
    chain: Any, raw: bytes, document: bytes, trust: TrustFile, now_ms: int
) -> None:
    given = GivenDocument(document)
    content = json.loads(raw)
    tried: set[tuple[Any, ...]] = set()
    for place in places(content):
        value = content
        for name in place:
            value = value[name]
        if place[:2] == ("record", "fields") or not isinstance(value, str) or place[-1] in {"format", "kind"}:
            continue
        group = next(group for group in EXPECTED_STEPS if place[: len(group)] == group)
        tried.add(group)
        length = len(value) // 2
        # Each byte of the record; of the rest, where verification costs signatures, the ends and the middle.
        positions = range(length) if group == ("record", "value") else {0, length // 2, length - 1}
        for position in positions:
            verdict = verify_proof(changed_at(raw, place, flip(position)), given, trust, now_ms)
            assert broken_step(verdict) in EXPECTED_STEPS[group], (place, position, verdict)
            assert verdict.code == "PROOF_BROKEN"
    assert tried == set(EXPECTED_STEPS)


@pytest.mark.parametrize(
    ("place", "change", "expected"),
    [
        (("record", "fields", "identifier"), lambda text: text + "X", "record"),
        (("record", "fields", "history", 0, "reason"), lambda text: "别的原因", "record"),
        (("record", "kind"), lambda text: "anchor", "record"),
        (("state", "steps", 0, "bitmap"), lambda number: number ^ 1, "path"),
        (("header", "height"), lambda number: number + 1, "header"),
        (("header", "time_ms"), lambda number: number + 1, "header"),
        (("certificate", "height"), lambda number: number + 1, "certificate"),
        (("certificate", "round"), lambda number: number + 1, "signatures"),
        (("certificate", "signers"), lambda signers: signers[:2], "certificate"),
        (("certificate", "signers", 2), lambda index: 3, "signatures"),
        (("certificate", "signers", 2), lambda index: 9, "certificate"),
        (("validators",), lambda members: members[::-1], "validator-set"),
        (("validators",), lambda members: members[:3], "validator-set"),
        (("state", "steps"), lambda steps: steps[:-1], "path"),
        (("format",), lambda text: "govnode-proof/2", "file"),
        (("version",), lambda number: 2, "file"),
        (("header", "parent_id"), lambda text: text.upper() + "AB", "header"),
        (("header", "parent_id"), lambda text: 5, "header"),
        (("certificate", "signatures", 0), lambda text: text[:-2], "signatures"),
        (("certificate", "signatures", 0), lambda text: "zz" + text[2:], "signatures"),
        (("validators", 0, "public_key"), lambda text: None, "validator-set"),
        (("record", "value"), lambda text: text[:-2], "record"),
        (("walk",), lambda walk: [{}], "trust"),
    ],
)
def test_changed_numbers_and_shapes_break_their_steps(
    raw: bytes, trust: TrustFile, now_ms: int, place: tuple[Any, ...], change: Any, expected: str
) -> None:
    verdict = verify_proof(changed_at(raw, place, change), None, trust, now_ms)
    assert broken_step(verdict) == expected
    states = [step.state for step in verdict.steps]
    assert states.count("broken") == 1
    assert "held" not in states[states.index("broken") :]


def test_fewer_signatures_than_a_quorum_are_not_enough(chain: Any, raw: bytes, trust: TrustFile, now_ms: int) -> None:
    content = json.loads(raw)
    for name in ("signers", "signatures"):
        content["certificate"][name] = content["certificate"][name][:2]
    verdict = verify_proof(json.dumps(content).encode(), None, trust, now_ms)
    assert broken_step(verdict) == "certificate"
    assert "at least 3 of 4" in verdict.en


def test_another_network_s_trust_file_refuses_the_proof(
    raw: bytes, trust: TrustFile, trust_path: Path, now_ms: int
) -> None:
    content = json.loads(trust_path.read_bytes())
    for name, expected in (("genesis_hash", "signatures"), ("next_validators_hash", "trust")):
        content_changed = content | {name: flip(5)(content[name])}
        trust_path.write_text(json.dumps(content_changed))
        assert broken_step(verify_proof(raw, None, load_trust(trust_path), now_ms)) == expected


def test_proof_made_before_a_revocation_still_holds_as_of_its_height(
    chain: Any, identifier: str, document: bytes, raw: bytes, trust: TrustFile, now_ms: int
) -> None:
    chain.call(chain.clerk, "certificates", "revoke", identifier=identifier, status="03", reason="样本撤销")
    after = encode_proof_file(chain.prove(certificate_key(identifier)))

    old = verify_proof(raw, GivenDocument(document), trust, now_ms)
    assert old.is_accepted
    assert "as of block 2" in old.en
    assert "ago" in old.en

    new = verify_proof(after, GivenDocument(document), trust, now_ms)
    assert not new.is_accepted
    assert (new.code, new.broken_step, new.height) == ("ENDED", "status", 3)
    assert "样本撤销" in new.zh
    assert {step.state for step in new.steps if step.code != "status"} == {"held"}


def test_a_proof_may_be_asked_to_be_recent(raw: bytes, trust_path: Path, tmp_path: Path, chain: Any, run: Any) -> None:
    """An old proof shown again is true of its time; whoever needs to know about today says how old it may be."""
    path = tmp_path / "proof.json"
    path.write_bytes(raw)
    for age_ms, expected in ((DAY_MS, "IN_FORCE"), (DAY_MS + 1, "PROOF_TOO_OLD"), (30 * DAY_MS, "PROOF_TOO_OLD")):
        verdict = verify_proof_file(path, None, trust_path, now_ms=chain.time_ms + age_ms, max_age_ms=DAY_MS)
        assert (verdict.code, verdict.is_accepted) == (expected, expected == "IN_FORCE")
        assert verdict.steps[-1].code == "age"
    assert "30 days ago" in verdict.en
    assert verdict.age_ms == 30 * DAY_MS
    status, out, _ = run("verify", path, "--trust", trust_path, "--max-age", 1, "--json")
    assert (status, out["code"], out["broken_step"]) == (1, "PROOF_TOO_OLD", "age")
    path.write_bytes(raw[:-5])
    verdict = verify_proof_file(path, None, trust_path, now_ms=chain.time_ms, max_age_ms=DAY_MS)
    assert (verdict.code, verdict.steps[-1].state) == ("PROOF_BROKEN", "not-reached")


def test_suspended_certificate_is_refused_and_resumed_accepted(
    chain: Any, identifier: str, trust: TrustFile, now_ms: int
) -> None:
    chain.call(chain.clerk, "certificates", "suspend", identifier=identifier, reason="挂失")
    verdict = verify_proof(encode_proof_file(chain.prove(certificate_key(identifier))), None, trust, now_ms)
    assert (verdict.is_accepted, verdict.code) == (False, "SUSPENDED")
    chain.call(chain.clerk, "certificates", "resume", identifier=identifier, reason="找回")
    verdict = verify_proof(encode_proof_file(chain.prove(certificate_key(identifier))), None, trust, now_ms)
    assert (verdict.is_accepted, verdict.code) == (True, "IN_FORCE")


def test_validity_that_ended_since_the_proof_is_known_without_a_later_block(
    chain: Any, raw: bytes, trust: TrustFile
) -> None:
    verdict = verify_proof(raw, None, trust, chain.time_ms + 400 * DAY_MS)
    assert (verdict.is_accepted, verdict.code, verdict.broken_step) == (False, "EXPIRED", "status")


def test_absence_is_proved_and_refused(chain: Any, trust: TrustFile, now_ms: int, identifier: str) -> None:
    missing = make_identifier("11100000MB03271699001", "11990100MB0000002X", "20259999999")
    verdict = verify_proof(encode_proof_file(chain.prove(certificate_key(missing))), None, trust, now_ms)
    assert (verdict.is_accepted, verdict.code, verdict.broken_step) == (False, "NOT_ON_LEDGER", "status")
    content = json.loads(encode_proof_file(chain.prove(certificate_key(missing))))
    content["record"]["key"] = certificate_key(identifier).hex()
    assert broken_step(verify_proof(json.dumps(content).encode(), None, trust, now_ms)) in {"record", "path"}


def test_walk_of_validator_sets_is_followed(
    chain: Any, identifier: str, trust: TrustFile, other_validators: ValidatorSet, now_ms: int
) -> None:
    change = chain.change_validators(other_validators)
    chain.call(chain.clerk, "certificates", "suspend", identifier=identifier, reason="挂失")
    chain.call(chain.clerk, "certificates", "resume", identifier=identifier, reason="找回")
    proof = chain.prove(certificate_key(identifier), other_validators)
    assert broken_step(verify_proof(encode_proof_file(proof), None, trust, now_ms)) == "trust"

    walked = type(proof)(*[getattr(proof, name) for name in proof.__struct_fields__[:-1]], (change,))
    raw = encode_proof_file(walked)
    assert verify_proof(raw, None, trust, now_ms).is_accepted
    for place in (("walk", 0, "certificate", "signatures", 0), ("walk", 0, "header", "next_validators_hash")):
        assert broken_step(verify_proof(changed_at(raw, place, flip(3)), None, trust, now_ms)) == "trust"


def test_other_records_are_proved_too(chain: Any, trust: TrustFile, now_ms: int) -> None:
    from contracts.accounts import department_key
    from contracts.anchors import anchor_key

    verdict = verify_proof(encode_proof_file(chain.prove(department_key("11990100MB0000002X"))), None, trust, now_ms)
    assert (verdict.is_accepted, verdict.code, verdict.kind) == (True, "RECORDED", "department")
    assert verdict.record["name"] == "示范局"

    chain.call(chain.clerk, "anchors", "anchor", digest=sm3(b"batch"), label="批次")
    raw = encode_proof_file(chain.prove(anchor_key(sm3(b"batch"), "11990100MB0000002X")))
    assert verify_proof(raw, GivenDocument(b"batch"), trust, now_ms).is_accepted
    assert verify_proof(raw, GivenDocument(b"other"), trust, now_ms).code == "DOCUMENT_CHANGED"


def test_proof_from_a_node_is_taken_only_in_its_encoding(chain: Any, identifier: str) -> None:
    proof = chain.prove(certificate_key(identifier))
    assert proof_file_of(encode(proof)) == encode_proof_file(proof)
    for wrong in (b"", encode(proof)[:-1], encode(proof) + b"\0", b"\xc1"):
        with pytest.raises(InputError, match="cannot be read"):
            proof_file_of(wrong)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
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


def test_a_name_that_stands_twice_is_refused(raw: bytes, trust: TrustFile, now_ms: int, tmp_path: Path) -> None:
    """Another reader of the same file might take the first one, and show people something else than what was proved."""
    for name, other in (("record", b'{"kind": "certificate"}'), ("identifier", b'"another"'), ("format", b'"x"')):
        twice = raw.replace(f'"{name}":'.encode(), f'"{name}": '.encode() + other + f', "{name}":'.encode(), 1)
        assert twice != raw
        verdict = verify_proof(twice, None, trust, now_ms)
        assert broken_step(verdict) == "file"
        assert f"'{name}' stands twice" in verdict.en
    path = tmp_path / "trust.json"
    text = json.dumps({field: getattr(trust, field) for field in trust.__struct_fields__})
    path.write_text(text.replace("{", '{"height": 0, ', 1), "utf-8")
    with pytest.raises(InputError, match="stands twice"):
        load_trust(path)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{}", b'{"format":1}', b"[" * 100_000, b"\xff" * 10, b"1e999"]
)
def test_what_is_no_proof_file_is_refused_in_words(content: bytes, trust: TrustFile) -> None:
    verdict = verify_proof(content, None, trust, time.time_ns() // 1_000_000)
    assert broken_step(verdict) == "file"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"format":"govnode-trust/1"}', b"\xff"])
def test_what_is_no_trust_file_is_an_input_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a trust file") as caught:
        load_trust(path)
    assert caught.value.code == "TRUST_FILE_INVALID"


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_trust_file_is_told_in_words(data: st.DataObject) -> None:
    known = TrustFile("govnode-trust/1", "示范网络", 7, "ab" * 32, 0, "cd" * 32, ("3082010a0282",))
    raw = bytearray(msgspec.json.encode(known))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(raw) - 1))
        raw[position : position + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        raw = raw or bytearray(b"{")
    try:
        trust = decode_trust(bytes(raw))
    except ValueError:
        return
    assert decode_trust(msgspec.json.encode(trust)) == trust
    if trust.root_certificates:
        with pytest.raises(InputError) as caught:
            trust.roots()
        assert caught.value.code == "TRUST_FILE_INVALID"
