"""A file handed to a node: what it shows by itself, what the ledger says of its certificate, and that nothing of it stays."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contracts.batches import batch_key, batch_name, leaf_hash
from contracts.certificate_records import CERTIFICATES, CertificateContent
from contracts.identifiers import ROOT_OID, parse_identifier
from explorer.uploaded_files import MAX_JSON_BYTES
from sm_crypto import x509
from sm_crypto.keystore import Signer
from sm_crypto.merkle import merkle_path, merkle_root
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3
from verification.batch_proof import BatchMember, encode_batch_proof, join_proofs
from verification.certificate_files.annotated_copy import make_annotated_copy
from verification.certificate_files.document import (
    CertificateDocument,
    Draft,
    document_secret,
    draft_document,
    encode_file,
    seal_document,
)
from verification.certificate_files.presentation import bind_presentation, present
from verification.certificate_files.seals import sign_batch, sign_document
from verification.codes import make_link, pack_presentation
from verification.deposits import DepositLink, make_deposit_link, seal_deposit

DAY_MS = 86_400_000
BANK = "示例银行"


@dataclass
class Desk:
    """The land department of a world as it issues documents."""

    site: Any
    signer: Signer
    chain: tuple[x509.Certificate, ...]
    holder: Signer

    def draft(self, serial: str, **changes: str) -> Draft:
        identifier = self.site.world.identifier(serial)
        metadata = {
            "ZZBS": identifier,
            "ZZMC": "不动产权证书",
            "ZZBFJG": "示范市自然资源和规划局",
            "ZZBFRQ": "2025-01-01",
            "ZZYXQQSRQ": "2025-01-01",
            "CZZT": "张三",
            "CZZTDM": "990101199001011234",
            "CZZTDMLXDM": "111",
            **changes,
        }
        secret = document_secret(b"\7" * 32, identifier)
        return draft_document(metadata, [("坐落", "示例路1号")], [], secret, holder_key=self.holder.public_key)

    def seal(self, draft: Draft) -> CertificateDocument:
        return seal_document(draft, sign_document(draft.digest, self.signer, self.chain, self.now_ms))

    @property
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 - 1_000

    def issue(self, draft: Draft) -> None:
        content = msgspec.structs.asdict(draft.content)
        assert self.site.world.call("land", "certificates", "issue", **content)[1] is None

    def batch(self, drafts: list[Draft], *, last: str) -> list[CertificateDocument]:
        """Issue a batch and return its documents."""
        leaves = [leaf_hash(draft.content) for draft in drafts]
        parts = parse_identifier(drafts[0].core.identifier)
        manifest = sm3(b"manifest")
        batch = {"type_code": parts.type_code, "first": parts.serial, "last": last, "count": len(drafts)}
        digests = {"root": merkle_root(leaves), "manifest_digest": manifest}
        assert self.site.world.call("land", "batches", "issue_batch", **batch, **digests)[1] is None
        name = batch_name(parts.type_code, parts.issuer_code, parts.serial)
        signed = sign_batch(name, len(drafts), merkle_root(leaves), manifest, self.signer, self.chain, self.now_ms)
        return [
            seal_document(draft, signed.seal(place, merkle_path(leaves, place))) for place, draft in enumerate(drafts)
        ]

    def send(self, raw: bytes, **query: Any) -> dict[str, Any]:
        answer = self.site.http.post("/api/v1/verification/file", content=raw, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def desk(make_world: Callable[[], Any], fill: Callable[[Any], None], serve: Callable[..., Any]) -> Desk:
    world = make_world()
    fill(world)
    key = PrivateKey.generate()
    department = x509.issue_department(
        world.root, world.land, "示范市自然资源和规划局", now_ms=world.ledger.head_time_ms
    )
    person = x509.issue_person(department, "签章人", key.public_key, now_ms=world.ledger.head_time_ms)
    return Desk(serve(world), Signer(key), (person, department.certificate), Signer(PrivateKey.generate()))


@pytest.fixture(scope="module")
def issued(desk: Desk) -> CertificateDocument:
    draft = desk.draft("2025100001")
    desk.issue(draft)
    return desk.seal(draft)


@pytest.fixture(scope="module")
def members(desk: Desk) -> list[CertificateDocument]:
    return desk.batch([desk.draft(f"202520000{place}") for place in range(1, 6)], last="2025200009")


def states(found: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["state"] for step in found["file"]["steps"]}


def codes(found: dict[str, Any]) -> list[str]:
    return [one["code"] for one in found["certificates"][0]["statements"]]


def changed(raw: bytes, **values: Any) -> bytes:
    """Return a file with members of its top level replaced."""
    return json.dumps({**json.loads(raw), **values}).encode()


def test_a_document_of_the_ledger_is_genuine_and_in_force(desk: Desk, issued: CertificateDocument) -> None:
    found = desk.send(encode_file(issued))
    assert (found["kind"], found["verdict"], found["is_valid"]) == ("document", "IN_FORCE", True)
    assert found["file"]["code"] == "GENUINE"
    assert states(found)["ledger"] == states(found)["chain"] == "held"
    assert found["file"]["values"]["坐落"] == "示例路1号"
    assert found["file"]["signer"] == "签章人"
    assert "ON_LEDGER" in codes(found)
    assert found["height"] == desk.site.world.ledger.height
    assert found["age_ms"] > 0


def test_a_changed_field_is_refused_for_that_reason(desk: Desk, issued: CertificateDocument) -> None:
    values = ["李四" if value == "张三" else value for value in issued.values]
    found = desk.send(changed(encode_file(issued), values=values))
    assert (found["verdict"], found["mood"], found["file"]["values"]) == ("FIELD_CHANGED", "bad", None)
    # What the ledger says of the identifier is told all the same.
    assert found["certificates"][0]["verdict"] == "IN_FORCE"


def test_a_document_that_was_never_issued(desk: Desk) -> None:
    found = desk.send(encode_file(desk.seal(desk.draft("2025100099"))))
    assert (found["verdict"], found["file"]["code"]) == ("NOT_ON_LEDGER", "GENUINE")


def test_a_malformed_document_says_so(desk: Desk, issued: CertificateDocument) -> None:
    found = desk.send(changed(encode_file(issued), extra=1))
    assert (found["verdict"], found["certificates"]) == ("DOCUMENT_MALFORMED", [])
    assert states(found)["file"] == "broken"


def test_a_presentation_is_for_one_recipient(desk: Desk, issued: CertificateDocument) -> None:
    shown = bind_presentation(present(issued, ["坐落"]), desk.holder, BANK, "贷款", desk.now_ms, desk.now_ms + DAY_MS)
    raw = encode_file(shown)
    found = desk.send(raw, recipient=BANK)
    assert (found["kind"], found["verdict"]) == ("presentation", "IN_FORCE")
    assert (found["file"]["values"], found["file"]["purpose"]) == ({"坐落": "示例路1号"}, "贷款")
    assert "CZZT" in found["file"]["hidden"]
    assert desk.send(raw, recipient="别家")["verdict"] == "ANOTHERS_COPY"
    unsigned = encode_file(msgspec.structs.replace(shown, binding=None))
    assert desk.send(unsigned)["verdict"] == "HOLDER_SIGNATURE_MISSING"


def test_an_annotated_copy_needs_no_root_of_its_verifier(desk: Desk, issued: CertificateDocument) -> None:
    until_ms = desk.now_ms + DAY_MS
    copy = make_annotated_copy(
        present(issued, ["坐落"]),
        desk.signer,
        desk.chain,
        reason="办理抵押",
        recipient=BANK,
        made_ms=desk.now_ms,
        expires_ms=until_ms,
    )
    found = desk.send(encode_file(copy), recipient=BANK)
    assert (found["kind"], found["verdict"], found["file"]["code"]) == ("annotated-copy", "IN_FORCE", "GENUINE")
    assert states(found)["maker"] == "held"


def test_a_member_of_a_batch_is_verified_through_its_seal(desk: Desk, members: list[CertificateDocument]) -> None:
    found = desk.send(encode_file(members[2]))
    assert (found["verdict"], found["file"]["code"]) == ("IN_FORCE", "GENUINE")
    assert states(found)["batch"] == "held"
    assert codes(found) == [
        *("CHECK_CHARACTER", "BLOCK_FINAL", "MEMBER_OF_BATCH"),
        *("ISSUER_AUTHORISED", "STATUS", "WITHIN_VALIDITY"),
    ]


def test_a_stranger_in_a_batch_is_refused(desk: Desk, members: list[CertificateDocument]) -> None:
    seal = msgspec.structs.replace(members[2].seal, position=3)
    found = desk.send(encode_file(msgspec.structs.replace(members[2], seal=seal)))
    assert (found["verdict"], found["certificates"][0]["verdict"]) == ("NOT_IN_BATCH", "IN_BATCH")
    # Sealed for another batch, by the same department, over serials that this one has.
    other = desk.draft("2025200007")
    leaf = leaf_hash(other.content)
    signed = sign_batch(members[0].seal.batch, 1, leaf, bytes(32), desk.signer, desk.chain, desk.now_ms)  # type: ignore[union-attr]
    assert desk.send(encode_file(seal_document(other, signed.seal(0, []))))["verdict"] == "ANOTHER_BATCH"
    assert desk.send(encode_file(desk.seal(other)))["verdict"] == "ANOTHER_BATCH"


def test_the_count_of_a_batch_is_the_ledgers(desk: Desk, members: list[CertificateDocument]) -> None:
    # The last of five stands at another place of six: the path fits both, the ledger knows that there are five.
    signed = sign_batch(
        *(members[0].seal.batch, 6, bytes.fromhex(members[0].seal.root), sm3(b"manifest")),  # type: ignore[union-attr]
        *(desk.signer, desk.chain, desk.now_ms),
    )
    path = [bytes.fromhex(one) for one in members[4].seal.path]  # type: ignore[union-attr]
    for position in range(6):
        found = desk.send(encode_file(msgspec.structs.replace(members[4], seal=signed.seal(position, path))))
        assert found["verdict"] in {"NOT_IN_BATCH", "IN_FORCE"}
        assert (found["verdict"] == "IN_FORCE") <= (position == 4)


def test_a_member_with_a_record_of_its_own(desk: Desk) -> None:
    drafts = [desk.draft("2025300001"), desk.draft("2025300002")]
    documents = desk.batch(drafts, last="2025300009")
    seal: Any = documents[1].seal
    call = desk.site.world.call
    path = [bytes.fromhex(one) for one in seal.path]
    member = {"batch": seal.batch, "position": 1, "content": drafts[1].content, "path": path}
    assert call("land", "batches", "admit", **member)[1] is None
    identifier = drafts[1].core.identifier
    assert call("land", "certificates", "suspend", identifier=identifier, reason="权属争议")[1] is None
    found = desk.send(encode_file(documents[1]))
    assert (found["verdict"], found["is_valid"], found["file"]["code"]) == ("SUSPENDED", False, "GENUINE")
    statement = next(one for one in found["certificates"][0]["statements"] if one["code"] == "SUSPENDED_SINCE")
    assert statement["since_ms"] == desk.site.world.ledger.head_time_ms
    assert "权属争议" in statement["zh"]
    assert desk.send(encode_file(documents[0]))["verdict"] == "IN_FORCE"


def test_a_proof_says_what_it_proved_and_the_ledger_what_came_since(desk: Desk) -> None:
    draft = desk.draft("2025400001")
    desk.issue(draft)
    identifier = draft.core.identifier
    proof = desk.site.get(f"/api/v1/proofs/certificates/{identifier}").content
    assert desk.site.world.call("land", "certificates", "suspend", identifier=identifier, reason="复核")[1] is None
    assert "文件本身：" in desk.site.http.post("/verify", content=proof).text, "what it proved is not what is so now"
    found = desk.send(proof)
    assert (found["kind"], found["file"]["code"], found["verdict"]) == ("proof", "IN_FORCE", "SUSPENDED")
    assert found["file"]["proven_height"] < found["height"]
    broken = changed(proof, header={**json.loads(proof)["header"], "time_ms": 1})
    found = desk.send(broken)
    assert (found["verdict"], found["mood"], found["certificates"]) == ("PROOF_BROKEN", "bad", [])


def test_a_proof_of_absence_and_one_of_another_record(desk: Desk) -> None:
    absent = desk.site.world.identifier("2025400404")
    found = desk.send(desk.site.get(f"/api/v1/proofs/certificates/{absent}").content)
    assert (found["verdict"], found["mood"]) == ("NOT_ON_LEDGER", "bad")
    key = batch_key(batch_name("x", "y", "z")).hex()
    found = desk.send(desk.site.get(f"/api/v1/proofs/state/{key}").content)
    assert (found["verdict"], found["is_valid"], found["certificates"]) == ("NOT_ON_LEDGER", False, [])


def test_a_batch_proof(desk: Desk, members: list[CertificateDocument]) -> None:
    ledger, seal = desk.site.world.ledger, members[0].seal
    assert not isinstance(seal, CertificateContent)
    draft = desk.draft("2025200001")
    member = BatchMember(draft.content, 0, tuple(bytes.fromhex(one) for one in seal.path))  # type: ignore[union-attr]
    records = [
        ledger.record_proof(key, None, 0)
        for key in (batch_key(seal.batch), CERTIFICATES.key(draft.core.identifier.encode()))  # type: ignore[union-attr]
    ]
    raw = encode_batch_proof(join_proofs(member, *records))
    found = desk.send(raw)
    assert (found["kind"], found["verdict"], found["file"]["code"]) == ("batch-proof", "IN_FORCE", "IN_FORCE")
    assert "MEMBER_OF_BATCH" in codes(found)
    broken = changed(raw, member={**json.loads(raw)["member"], "position": 1})
    assert desk.send(broken)["verdict"] == "NOT_IN_BATCH"


def test_any_other_file_is_verified_by_its_digest(desk: Desk) -> None:
    document = "一份合成的不动产权证书\n".encode()
    found = desk.send(document)
    assert (found["kind"], found["verdict"], found["file"]) == ("other", "IN_FORCE", None)
    assert found["file_digest"] == "0x" + sm3(document).hex()
    assert desk.send(b'{"format": "something else"}')["verdict"] == "NOT_ON_LEDGER"
    assert desk.send(b"{" * 100_000)["verdict"] == "NOT_ON_LEDGER"


def code_picture(text: str) -> bytes:
    picture = io.BytesIO()
    segno.make(text, error="l").save(picture, kind="png", scale=4, border=4)
    return picture.getvalue()


def test_a_photo_of_a_link_leads_to_the_verdict(desk: Desk, issued: CertificateDocument) -> None:
    digest = desk.draft("2025100001").digest
    link = make_link("https://node.example", issued.core.identifier, digest)
    found = desk.send(code_picture(link.text))
    assert (found["kind"], found["verdict"]) == ("code", "IN_FORCE")
    assert codes(found)[-1] == "DOCUMENT_MATCHES"
    # As a scanner types it.
    typed = desk.site.get("/verify", params={"identifier": link.text}).text
    assert 'class="verdict good"' in typed
    other = make_link("https://node.example", issued.core.identifier, bytes(32))
    assert desk.send(other.text.encode() + b"\r\n")["verdict"] == "DOCUMENT_CHANGED"
    assert "无法核验" in desk.site.get("/verify", params={"identifier": "https://x/V/y"}).text


def test_a_presentation_in_a_code_is_verified_as_its_file_is(desk: Desk, issued: CertificateDocument) -> None:
    shown = bind_presentation(present(issued, ["坐落"]), desk.holder, BANK, "贷款", desk.now_ms, desk.now_ms + DAY_MS)
    text = pack_presentation(shown)
    found = desk.send(text.encode(), recipient=BANK)
    assert (found["kind"], found["verdict"], found["file"]["code"]) == ("code", "IN_FORCE", "GENUINE")
    assert found["file"]["values"] == {"坐落": "示例路1号"}
    assert desk.send(text.encode(), recipient="别家")["verdict"] == "ANOTHERS_COPY"


@pytest.fixture(scope="module")
def deposited(desk: Desk, issued: CertificateDocument) -> DepositLink:
    """A presentation that its department left at the node."""
    shown = bind_presentation(present(issued, ["坐落"]), desk.holder, BANK, "贷款", desk.now_ms, desk.now_ms + DAY_MS)
    key = bytes(range(16))
    sealed = base64.b64encode(seal_deposit(encode_file(shown), key)).decode()
    body = json.dumps({"sealed": sealed, "expires_ms": desk.now_ms + DAY_MS}).encode()
    headers = desk.site.signed_headers("land", "/api/v1/deposits", "POST", body)
    kept = desk.site.http.post("/api/v1/deposits", content=body, headers=headers).json()
    return make_deposit_link(desk.site.url, kept["id"], key)


def test_the_page_of_a_deposit_opens_it_with_the_key_in_the_body(
    desk: Desk, deposited: DepositLink, caplog: pytest.LogCaptureFixture
) -> None:
    path, _, key = deposited.text.removeprefix(deposited.base).partition("#")
    first = desk.site.get(path)
    assert first.status_code == 200
    assert "密钥放在请求正文里" in first.text
    assert "示例路1号" not in first.text
    with caplog.at_level(logging.DEBUG):
        # As the script sends it, as a form without scripts does, and with the whole link pasted.
        for body in (key, f"key={key}\r\n", f"key={deposited.text}\r\n"):
            page = desk.site.http.post(path, content=body)
            assert page.headers["cache-control"] == "no-store"
            for shown in ('class="verdict good"', "IN_FORCE", "示例路1号", BANK, "截至区块"):
                assert shown in page.text
    assert key not in caplog.text
    wrong = desk.site.http.post(path, content="A" * 26)
    assert (wrong.status_code, "打不开这份寄存件" in wrong.text, "KEY_WRONG" in wrong.text) == (422, True, True)
    cut = desk.site.http.post(path, content=key[:-1])
    assert (cut.status_code, "链接不完整" in cut.text, key[:-1] in cut.text) == (400, True, False)
    unknown = desk.site.get("/P/AAAAAAAAAAAAAAAA")
    assert (unknown.status_code, "没有这份寄存件" in unknown.text) == (404, True)
    assert desk.site.get("/P/%3Cscript%3E").status_code == 404


def test_the_link_of_a_deposit_and_the_photo_of_its_code_are_verified_at_its_node(
    desk: Desk, deposited: DepositLink
) -> None:
    found = desk.send(deposited.text.encode() + b"\r\n", recipient=BANK)
    assert (found["kind"], found["verdict"], found["file"]["code"]) == ("presentation", "IN_FORCE", "GENUINE")
    assert found["file"]["values"] == {"坐落": "示例路1号"}
    assert desk.send(code_picture(deposited.text), recipient="别家")["verdict"] == "ANOTHERS_COPY"
    post = desk.site.http.post
    cases = {
        "KEY_MALFORMED": deposited.text[:-3],
        "KEY_WRONG": deposited.text[:-26] + "A" * 26,
        "DEPOSIT_UNKNOWN": deposited.text.replace(deposited.id, "A" * 16),
    }
    for code, text in cases.items():
        assert post("/api/v1/verification/file", content=text).json()["code"] == code


def test_a_picture_without_a_code_says_so_unless_it_is_a_certificate_itself(desk: Desk) -> None:
    picture = Image.new("L", (64, 64), 200)
    file = io.BytesIO()
    picture.save(file, "PNG")
    found = desk.send(file.getvalue())
    assert (found["kind"], found["verdict"], found["mood"]) == ("code", "CODE_NOT_FOUND", "warn")
    assert found["file"]["zh"]
    draft = desk.site.world.issue("2025600001", file.getvalue())
    found = desk.send(file.getvalue())
    assert (found["kind"], found["verdict"]) == ("other", "IN_FORCE")
    assert found["certificates"][0]["certificate"]["identifier"] == draft
    page = desk.site.http.post("/verify", content=code_picture("HTTPS://ELSEWHERE.EXAMPLE")).text
    assert "CODE_UNKNOWN" in page


def test_an_empty_body_and_one_too_large_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    post = desk.site.http.post
    assert post("/api/v1/verification/file", content=b"").json()["code"] == "BODY_INVALID"
    monkeypatch.setattr("explorer.api_verification.MAX_UPLOAD_BYTES", 10)
    assert post("/api/v1/verification/file", content=b"12345678901").json()["code"] == "BODY_TOO_LARGE"
    monkeypatch.undo()
    long = b'{"format": "govnode-proof/1", "x": "' + b"x" * MAX_JSON_BYTES
    assert "govnode verify" in post("/api/v1/verification/file", content=long).json()["en"]
    page = post("/verify", content=b"", headers={"accept": "text/html"})
    assert "请求正文不符合要求" in page.text


def test_nothing_of_a_file_is_logged_or_kept(
    desk: Desk, issued: CertificateDocument, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = desk.site.http.post("/api/v1/verification/file", content=encode_file(issued))
    assert answer.headers["cache-control"] == "no-store"
    assert "张三" not in caplog.text
    assert issued.secret not in caplog.text


def test_the_page_shows_steps_values_and_the_ledgers_word(desk: Desk, issued: CertificateDocument) -> None:
    answer = desk.site.http.post("/verify", content=encode_file(issued), headers={"accept": "text/html"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    for shown in ("文件本身", "示例路1号", "账本现在怎么说", "就是账本登记的那一份", "不保存、不记录"):
        assert shown in answer.text
    values = ["<b>x</b>" if value == "张三" else value for value in issued.values]
    page = desk.site.http.post("/verify", content=changed(encode_file(issued), values=values)).text
    assert "<b>x</b>" not in page
    assert "FIELD_CHANGED" in page


def test_on_the_page_a_file_must_be_of_the_certificate_that_was_typed(desk: Desk, issued: CertificateDocument) -> None:
    world = desk.site.world

    def verdict(identifier: str, content: bytes) -> str:
        page = desk.site.http.post("/verify", params={"identifier": identifier}, content=content).text
        found = re.search(r'id="verdict".*?<p class="small"><code>([A-Z_]+)</code>', page, re.DOTALL)
        return found[1] if found is not None else page

    own, other, raw = issued.core.identifier, world.certificate, encode_file(issued)
    assert verdict(own, raw) == "IN_FORCE"
    assert verdict(own.removeprefix("1.2.156.3005.2."), raw) == "IN_FORCE"
    assert verdict(other, raw) == "ANOTHER_CERTIFICATE"
    assert verdict(other, b"another document") == "DOCUMENT_CHANGED"
    assert "标识" in verdict("x", raw), "no identifier: nothing is verified"


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_damaged_files_are_answered(desk: Desk, issued: CertificateDocument, data: st.DataObject) -> None:
    raw = bytearray(encode_file(issued))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    found = desk.send(bytes(raw))
    # Where a change is to no part that counts, white space for one, the document is what it was.
    assert found["verdict"] != "IN_FORCE" or found["file"]["code"] == "GENUINE"


def test_identifiers_without_type_or_right_say_so(desk: Desk) -> None:
    world = desk.site.world

    def statements(identifier: str) -> list[str]:
        found = desk.site.get(f"/api/v1/certificates/{identifier}/verification").json()
        assert found["verdict"] == "NOT_ON_LEDGER"
        return [one["code"] for one in found["statements"]]

    assert statements(world.identifier("1", world.housing))[-1] == "ISSUER_NOT_AUTHORISED"
    unknown = world.certificate.removeprefix(ROOT_OID).replace("MB03271699001", "MB03271699999")
    assert statements(unknown)[-1] == "TYPE_NOT_REGISTERED"
    assert statements(world.identifier("1"))[-1] == "NOT_ON_LEDGER"
