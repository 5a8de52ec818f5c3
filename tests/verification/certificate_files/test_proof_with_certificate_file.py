"""A proof file with a certificate file beside it: `govnode verify` judges both together, from the ledger down to each value."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.anchors import anchor_key
from contracts.certificate_records import certificate_key
from node.http.proof_file import encode_proof_file
from sdk.proofs import verify_proof_file
from sm_crypto.sm3 import sm3
from tests.clocks import set_clock
from tests.hand_made_chain import DEPARTMENT
from verification.certificate_files.annotated_copy import make_annotated_copy
from verification.certificate_files.document import CertificateDocument, encode_file
from verification.certificate_files.presentation import bind_presentation, present
from verification.errors import InputError
from verification.proofs import Verdict

DAY_MS = 86_400_000
Judge = Callable[..., Verdict]


@pytest.fixture
def issued(world: Any) -> CertificateDocument:
    document: CertificateDocument = world.seal(world.draft(ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01"))
    return document


@pytest.fixture
def judge(world: Any, chain: Any, issued: CertificateDocument, trust_path: Path, tmp_path: Path) -> Judge:
    content = world.draft(ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01").content
    chain.call(chain.clerk, "certificates", "issue", **msgspec.structs.asdict(content))
    proof = tmp_path / "proof.json"
    proof.write_bytes(encode_proof_file(chain.prove(certificate_key(content.identifier))))

    def verdict(raw: bytes, **known: Any) -> Verdict:
        path = tmp_path / "certificate.json"
        path.write_bytes(raw)
        return verify_proof_file(proof, path, trust_path, now_ms=world.now_ms + 1_000, **known)

    return verdict


def test_the_document_that_the_ledger_records_by_its_core_is_accepted(
    judge: Judge, issued: CertificateDocument
) -> None:
    verdict = judge(encode_file(issued))
    assert verdict.is_accepted, verdict
    assert verdict.code == "IN_FORCE"
    assert verdict.document["values"]["CZZT"] == "张三"
    assert {step.code: step.state for step in verdict.steps}["document"] == "held"


def test_a_changed_value_is_named_though_the_core_is_recorded(judge: Judge, issued: CertificateDocument) -> None:
    changed = msgspec.structs.replace(issued, values=(*issued.values[:-1], "商业"))
    verdict = judge(encode_file(changed))
    assert (verdict.is_accepted, verdict.code, verdict.broken_step) == (False, "FIELD_CHANGED", "document")
    assert "用途" in verdict.zh
    other_core = msgspec.structs.replace(issued, core=msgspec.structs.replace(issued.core, type_name="别的证"))
    assert judge(encode_file(other_core)).code == "DOCUMENT_CHANGED"
    assert judge(encode_file(issued)[:-9]).code == "DOCUMENT_CHANGED"
    assert judge(b"%PDF-1.4").code == "DOCUMENT_CHANGED"
    assert judge(b'{"format": "else"}').code == "DOCUMENT_CHANGED"


def test_presentations_show_what_was_chosen(world: Any, judge: Judge, issued: CertificateDocument) -> None:
    shown = present(issued, ["面积"])
    assert judge(encode_file(shown)).code == "HOLDER_SIGNATURE_MISSING"
    bound = bind_presentation(shown, world.holder, "示例银行", "抵押", world.now_ms, world.now_ms + DAY_MS)
    verdict = judge(encode_file(bound))
    assert verdict.is_accepted, verdict
    assert verdict.document["values"] == {"面积": "98.5"}
    assert verdict.document["recipient"] == "示例银行"
    assert judge(encode_file(bound), recipient="示例银行").is_accepted
    assert judge(encode_file(bound), recipient="别家").code == "ANOTHERS_COPY"


def test_the_maker_of_a_copy_needs_root_certificates(
    world: Any, judge: Judge, issued: CertificateDocument, tmp_path: Path, trust_path: Path
) -> None:
    copy = make_annotated_copy(
        present(issued, ["面积"]),
        world.copier.signer,
        world.copier.chain,
        reason="存档",
        recipient="示例银行",
        made_ms=world.now_ms,
        expires_ms=world.now_ms + DAY_MS,
    )
    raw = encode_file(copy)
    assert judge(raw).code == "TRUST_MISSING"
    root = tmp_path / "root.pem"
    root.write_text(world.root.pem)
    accepted = judge(raw, root=root)
    assert (accepted.is_accepted, accepted.document["maker"]) == (True, world.copier.chain[1].common_name)
    root.write_text(world.copier.chain[0].pem)
    assert judge(raw, root=root).code == "SIGNER_NOT_TRUSTED"
    root.write_text("no certificate")
    with pytest.raises(InputError) as caught:
        judge(raw, root=root)
    assert caught.value.code == "CERTIFICATES_INVALID"

    trust = json.loads(trust_path.read_bytes())
    trust_path.write_text(json.dumps(trust | {"root_certificates": [world.root.der.hex()]}))
    assert judge(raw).is_accepted, "the roots in the trust file are enough"
    seal_chain = {step["step"]: step["state"] for step in judge(encode_file(issued)).document["steps"]}["chain"]
    assert seal_chain == "held"
    trust_path.write_text(json.dumps(trust | {"root_certificates": [world.copier.chain[0].der.hex()]}))
    assert judge(raw).code == "SIGNER_NOT_TRUSTED"
    assert judge(encode_file(issued)).code == "SIGNER_NOT_TRUSTED"
    for wrong, text in (("30820", "TRUST_FILE_INVALID"), ("3003020100", "TRUST_FILE_INVALID")):
        trust_path.write_text(json.dumps(trust | {"root_certificates": [wrong]}))
        with pytest.raises(InputError) as caught:
            judge(raw)
        assert caught.value.code == text


def test_a_forged_file_is_not_taken_by_its_sm3(
    world: Any, chain: Any, trust_path: Path, tmp_path: Path, run: Callable[..., tuple[int, Any, str]]
) -> None:
    """Anybody can have a forged file's bytes anchored, or recorded as the document of a certificate that is worth nothing."""
    forged = world.seal(world.draft("20260000009", CZZT="骗子"))
    bound = bind_presentation(
        present(forged, ["面积"]), world.holder, "示例银行", "抵押", world.now_ms, world.now_ms + DAY_MS
    )
    for number, raw in enumerate((encode_file(forged), b" \n" + encode_file(bound))):
        worthless = world.draft(f"2026000001{number}", ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01").content
        content = msgspec.structs.replace(worthless, document_digest=sm3(raw))
        chain.call(chain.clerk, "certificates", "issue", **msgspec.structs.asdict(content))
        chain.call(chain.clerk, "anchors", "anchor", digest=sm3(raw), label="不动产权证书")
        folder = tmp_path / f"folder-{number}"
        folder.mkdir()
        (folder / "forged.json").write_bytes(raw)
        for key, code in (
            (certificate_key(content.identifier), "ANOTHER_CERTIFICATE"),
            (anchor_key(sm3(raw), DEPARTMENT), "WRONG_PROOF"),
        ):
            proof = folder / f"{code}.proof.json"
            proof.write_bytes(encode_proof_file(chain.prove(key)))
            verdict = verify_proof_file(proof, folder / "forged.json", trust_path, now_ms=chain.time_ms + 1_000)
            assert (verdict.is_accepted, verdict.code, verdict.broken_step) == (False, code, "document")
        _, shown, _ = run("verify", "list", folder, "--trust", trust_path, "--json")
        found = {one["subject"].split("\n")[0]: one["verdict"] for one in shown["items"]}
        assert found["forged.json"] == "NO_PROOF"


def test_attached_files_are_compared(judge: Judge, issued: CertificateDocument, pdf: bytes, tmp_path: Path) -> None:
    attachment = tmp_path / "产权证.pdf"
    attachment.write_bytes(pdf)
    assert judge(encode_file(issued), attachments=[attachment]).is_accepted
    attachment.write_bytes(pdf + b"\0")
    assert judge(encode_file(issued), attachments=[attachment]).code == "ATTACHMENT_CHANGED"
    other = tmp_path / "x.pdf"
    other.write_bytes(pdf)
    assert judge(encode_file(issued), attachments=[other]).code == "ATTACHMENT_UNKNOWN"
    assert judge(encode_file(issued), attachments=[Path(f"产权证.pdf={other}")]).is_accepted


def test_the_command_prints_the_values_shown(
    world: Any,
    judge: Judge,
    issued: CertificateDocument,
    run: Callable[..., tuple[int, Any, str]],
    tmp_path: Path,
    trust_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bearer = present(issued, ["面积"])
    bound = bind_presentation(bearer, world.holder, "示例银行", "抵押", world.now_ms, world.now_ms + DAY_MS)
    judge(encode_file(bound))
    set_clock(monkeypatch, "sdk.proofs", time_ns=lambda: (world.now_ms + 1_000) * 1_000_000)
    arguments = (
        *("verify", tmp_path / "proof.json"),
        *("--document", tmp_path / "certificate.json", "--trust", trust_path, "--recipient", "示例银行"),
    )
    status, text, _ = run(*arguments)
    assert status == 0, text
    assert "面积" in text
    assert "98.5" in text
    assert "持证主体代码 / Holder's code (CZZTDM)、" in text
    for line in (
        "给 / for",
        "示例银行",
        "用途 / purpose",
        "抵押",
        "可用至 / usable until",
        "有效期 / validity",
        "不动产权证书",
    ):
        assert line in text
    assert "recipient not checked" not in text
    status, text, _ = run(*arguments[:-2])
    assert (status, "未核对收件方" in text) == (0, True), "somebody else's copy must not pass unnoticed"
    status, out, _ = run(*arguments, "--json")
    assert (status, out["document"]["values"], out["document"]["code"]) == (0, {"面积": "98.5"}, "GENUINE")
    status, _, errors = run("verify", tmp_path / "proof.json", "--trust", trust_path, "--recipient", "示例银行")
    assert status == 2
    assert "--document" in errors
