"""A clerk has a photo of a code and nothing to type: the verdict comes from a node's proof, or from the code alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.batches import leaf_hash
from contracts.certificate_records import certificate_key
from contracts.identifiers import make_identifier
from node.chain.codec import encode
from sdk.code_verification import PhotoQuestion, PhotoVerdict, verify_photo
from sm_crypto.merkle import merkle_root
from sm_crypto.sm3 import sm3
from tests.clocks import set_clock
from verification.batch_proof import encode_batch_proof
from verification.certificate_files.document import CertificateDocument, core_digest, encode_file, seal_document
from verification.certificate_files.presentation import bind_presentation, present
from verification.certificate_files.seals import sign_batch
from verification.code_image import code_png
from verification.codes import make_link, pack_presentation
from verification.errors import InputError

DAY_MS = 86_400_000
BASE = "https://anywhere.example"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have photos read however slowly a busy machine reads them."""
    monkeypatch.setattr("explorer.code_reader.MAX_READ_S", 90.0)


@pytest.fixture
def issued(world: Any, chain: Any) -> CertificateDocument:
    """A document whose record is on the chain by hand."""
    draft = world.draft(ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01")
    chain.call(chain.clerk, "certificates", "issue", **msgspec.structs.asdict(draft.content))
    document: CertificateDocument = world.seal(draft)
    return document


@pytest.fixture
def ask(world: Any, node: Any, trust_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that gives the verdict on a code, by the node over the hand-made chain or offline."""
    from sdk.client import Client

    root = tmp_path / "root.pem"
    root.write_text(world.root.pem)
    # The decoders are tested elsewhere, each in a process of its own.
    monkeypatch.setattr("explorer.code_reader.read_texts", lambda raw: (raw.decode(),))

    def verdict(text: str, *, online: bool = True, **known: Any) -> PhotoVerdict:
        photo = tmp_path / "photo.jpg"
        photo.write_text(text)
        question = PhotoQuestion(world.now_ms + 1_000, trust_path, **({"root": root} | known))
        with Client(node.url) as client:
            return verify_photo(photo, client if online else None, question)

    return verdict


def shown(world: Any, document: CertificateDocument) -> str:
    presentation = present(document, ["面积"])
    return pack_presentation(
        bind_presentation(presentation, world.holder, "示例银行", "抵押", world.now_ms, world.now_ms + DAY_MS)
    )


def test_a_link_is_verified_by_a_proof_whatever_address_it_names(
    chain: Any, issued: CertificateDocument, ask: Callable[..., PhotoVerdict], tmp_path: Path
) -> None:
    identifier, digest = issued.core.identifier, core_digest(issued.core)
    verdict = ask(make_link(BASE, identifier, digest).text)
    assert (verdict.is_accepted, verdict.code, verdict.carries) == (True, "IN_FORCE", "link")
    assert verdict.proof is not None
    assert ask(make_link(BASE, identifier).text).code == "IN_FORCE"
    assert ask(make_link(BASE, identifier, bytes(32)).text).code == "DOCUMENT_CHANGED"
    (tmp_path / "document.json").write_bytes(encode_file(issued))
    with_document = ask(make_link(BASE, identifier, digest).text, document=tmp_path / "document.json")
    assert with_document.proof is not None
    assert with_document.proof.document["values"]["面积"] == "98.5"
    assert ask(make_link(BASE, identifier, digest).text, max_age_ms=1).code == "PROOF_TOO_OLD"
    asked: tuple[dict[str, Any], ...] = ({"recipient": "示例银行"}, {"attachments": (tmp_path / "document.json",)})
    for known in asked:
        with pytest.raises(InputError) as caught:
            ask(make_link(BASE, identifier, digest).text, **known)
        assert caught.value.code == "DOCUMENT_NEEDED", "what cannot be asked of a link must not seem to have been"
    chain.call(chain.clerk, "certificates", "suspend", identifier=identifier, reason="核查")
    assert ask(make_link(BASE, identifier, digest).text).code == "SUSPENDED"
    unknown = make_identifier(issued.core.type_code, issued.core.issuer_code, "7")
    assert ask(make_link(BASE, unknown).text).code == "NOT_ON_LEDGER"


def test_a_node_cannot_answer_with_another_certificate(
    chain: Any, identifier: str, issued: CertificateDocument, node: Any, ask: Callable[..., PhotoVerdict]
) -> None:
    # In force, and not the one on paper.
    other = "0x" + encode(chain.prove(certificate_key(identifier))).hex()
    node.methods["gov_getProof"] = lambda **asked: other
    with pytest.raises(InputError) as caught:
        ask(make_link(BASE, issued.core.identifier).text)
    assert caught.value.code == "PROOF_MALFORMED"


def test_a_link_says_nothing_offline(issued: CertificateDocument, ask: Callable[..., PhotoVerdict]) -> None:
    verdict = ask(make_link(BASE, issued.core.identifier).text, online=False)
    assert (verdict.is_accepted, verdict.code) == (False, "NODE_NEEDED")
    assert verdict.identifier == issued.core.identifier


def test_a_presentation_is_verified_by_a_proof_or_by_its_signatures(
    world: Any, chain: Any, issued: CertificateDocument, ask: Callable[..., PhotoVerdict]
) -> None:
    text = shown(world, issued)
    for online, code in ((True, "IN_FORCE"), (False, "GENUINE")):
        verdict = ask(text, online=online)
        outcome = (verdict.is_accepted, verdict.is_force_unknown, verdict.code, verdict.carries)
        assert outcome == (online, not online, code, "presentation"), verdict
        assert ask(text, online=online, recipient="别家").code == "ANOTHERS_COPY"
    assert ask(text, online=False, root=None).code == "TRUST_MISSING"
    chain.call(chain.clerk, "certificates", "revoke", identifier=issued.core.identifier, status="03", reason="错误")
    assert ask(text).code == "ENDED"
    offline = ask(text, online=False)
    assert (offline.is_accepted, offline.is_force_unknown) == (False, True), (
        "nobody was asked, so nobody may rely on it"
    )


def test_what_was_not_looked_at_is_never_printed_as_if_it_held(
    world: Any,
    issued: CertificateDocument,
    run: Callable[..., tuple[int, Any, str]],
    trust_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_clock(monkeypatch, "sdk.cli.verify", time_ns=lambda: (world.now_ms + 1_000) * 1_000_000)
    (tmp_path / "root.pem").write_text(world.root.pem)
    times = (world.now_ms, world.now_ms + DAY_MS)
    bound = bind_presentation(present(issued, ["面积"]), world.holder, "示例银行", "抵押", *times)
    for name, file in (("one.json", issued), ("shown.json", bound)):
        (tmp_path / name).write_bytes(encode_file(file))
        known = ("verify", tmp_path / name, "--trust", trust_path, "--root", tmp_path / "root.pem")
        status, text, _ = run(*known)
        assert status == 3, text
        skipped = [line for line in text.splitlines() if line.startswith("- ")]
        assert skipped
        assert all("未核对：" in line and "not checked: " in line for line in skipped), skipped
        assert "不动产权证书" in text
        assert "有效期 / validity" in text
    assert "未核对收件方" in text, "somebody else's presentation must not pass unnoticed"
    (tmp_path / name).write_bytes(encode_file(bound).replace(b"98.5", b"99.5"))
    status, text, _ = run(*known)
    missed = [line for line in text.splitlines() if line.startswith("· ")]
    assert status == 1
    assert missed
    assert all("未核对到这一步：" in line and "not reached: " in line for line in missed), missed


def test_a_presentation_offline_is_refused_outside_its_validity(
    world: Any, issued: CertificateDocument, ask: Callable[..., PhotoVerdict]
) -> None:
    over = world.seal(world.draft(ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01", ZZYXQJZRQ="2026-01-31"))
    early = world.seal(world.draft(ZZYXQQSRQ="2030-01-01"))
    expired = ask(shown(world, over), online=False)
    assert (expired.code, expired.is_force_unknown) == ("EXPIRED", False)
    assert ask(shown(world, early), online=False).code == "NOT_YET_VALID"


def test_a_certificate_of_a_batch_needs_more_than_its_link(
    world: Any,
    chain: Any,
    node: Any,
    ask: Callable[..., PhotoVerdict],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drafts = [world.draft(serial, ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01") for serial in ("2026100", "2026101")]
    name, members = chain.issue_batch([draft.content for draft in drafts])
    root = merkle_root([leaf_hash(member.content) for member in members])
    signed = sign_batch(name, 2, root, sm3(b"manifest"), world.issuer.signer, world.issuer.chain, world.now_ms)
    document = seal_document(drafts[1], signed.seal(members[1].position, members[1].path))
    with pytest.raises(InputError) as caught:
        ask(make_link(BASE, document.core.identifier).text)
    assert caught.value.code == "IN_BATCH"
    # A node that holds the batch's manifest proves its certificates.
    file = json.loads(encode_batch_proof(chain.prove_member(name, members[1])))
    monkeypatch.setattr(node, "get", lambda target, headers: (200, file))
    digest = core_digest(document.core)
    assert ask(make_link(BASE, document.core.identifier, digest).text).code == "IN_FORCE"
    assert ask(make_link(BASE, document.core.identifier, bytes(32)).text).code == "DOCUMENT_CHANGED"
    assert ask(make_link(BASE, drafts[0].core.identifier).text).code == "ANOTHER_CERTIFICATE"
    assert ask(shown(world, document)).code == "IN_FORCE"
    (tmp_path / "document.json").write_bytes(encode_file(document))
    link = make_link(BASE, document.core.identifier, core_digest(document.core)).text
    assert ask(link, document=tmp_path / "document.json").code == "IN_FORCE"


def test_the_command_tells_a_photo_from_a_proof(
    run: Callable[..., tuple[int, Any, str]], issued: CertificateDocument, node: Any, trust_path: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(code_png(make_link(BASE, issued.core.identifier, core_digest(issued.core)).text))
    status, out, errors = run("verify", photo, "--trust", trust_path, "--url", node.url, "--json")
    assert (status, out["code"], out["carries"]) == (0, "IN_FORCE", "link"), errors
    status, words, _ = run("verify", photo, "--trust", trust_path)
    assert status == 1
    assert "NODE_NEEDED" in words
    assert issued.core.identifier in words
    (tmp_path / "broken.png").write_bytes(photo.read_bytes()[:200])
    assert "IMAGE_UNREADABLE" in run("verify", tmp_path / "broken.png", "--trust", trust_path)[2]
