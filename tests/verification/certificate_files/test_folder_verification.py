"""A folder of proofs and documents, verified offline by the command: one verdict a file, and the report."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pypdfium2
import pytest

from contracts.certificate_records import certificate_key
from contracts.identifiers import make_identifier
from node.http.proof_file import encode_proof_file
from sdk import folder_verification, proven_list
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import TYPE_CODE
from verification.certificate_files.annotated_copy import make_annotated_copy
from verification.certificate_files.document import CertificateDocument, encode_file
from verification.certificate_files.presentation import bind_presentation, present

DOCUMENT = "%PDF-1.4 样本 sample".encode()


@pytest.fixture
def folder(chain: Any, identifier: str, tmp_path: Path) -> Path:
    folder = tmp_path / "证照"
    folder.mkdir()
    raw = encode_proof_file(chain.prove(certificate_key(identifier)))
    (folder / "a.proof.json").write_bytes(raw)
    (folder / "b.pdf").write_bytes(DOCUMENT)
    (folder / "c.pdf").write_bytes(DOCUMENT + b" ")
    (folder / "d.proof.json").write_bytes(raw.replace(b'"height": 2', b'"height": 3'))
    (folder / "e.json").write_bytes(b'{"format": "govnode-proof/1"')
    (folder / ".hidden").write_bytes(b"x")
    (folder / "deeper").mkdir()
    return folder


def test_every_file_of_a_folder_gets_its_verdict(
    run: Callable[..., tuple[int, Any, str]], folder: Path, trust_path: Path, identifier: str, tmp_path: Path
) -> None:
    csv_path, pdf_path = tmp_path / "report.csv", tmp_path / "report.pdf"
    status, shown, _ = run(
        "verify", "list", folder, "--trust", trust_path, "--out", csv_path, "--out", pdf_path, "--json"
    )
    assert status == 1
    verdicts = {item["subject"].split("\n")[0]: item["verdict"] for item in shown["items"]}
    assert verdicts == {
        "b.pdf": "IN_FORCE",
        "c.pdf": "NO_PROOF",
        "d.proof.json": "PROOF_BROKEN",
        "e.json": "PROOF_BROKEN",
    }
    assert shown["basis"] == "files"
    assert shown["items"][0]["findings"][0]["code"] == "PROVED_BY"
    rows = list(csv.DictReader(csv_path.read_text("utf-8-sig").splitlines()))
    assert [row["verdict"] for row in rows if row["verdict"]][:2] == ["IN_FORCE", "NO_PROOF"]
    document = pypdfium2.PdfDocument(pdf_path.read_bytes())
    text = document[0].get_textpage().get_text_range()
    document.close()
    assert "PROOF_BROKEN" in text
    assert identifier.removeprefix("1.2.156.3005.2.")[:20] in text


def test_a_certificate_file_without_a_proof_is_held_against_its_seal(
    run: Callable[..., tuple[int, Any, str]],
    world: Any,
    document: CertificateDocument,
    tmp_path: Path,
    trust_path: Path,
) -> None:
    """Genuine then, and not known to be in force."""
    root = tmp_path / "root.pem"
    root.write_text(world.root.pem)
    folder = tmp_path / "files"
    folder.mkdir()
    raw = encode_file(document)
    changed = json.loads(raw)
    changed["values"][0] = "示(2026)不动产权第9999999号"
    (folder / "1.json").write_bytes(raw)
    (folder / "2.json").write_text(json.dumps(changed))
    status, shown, _ = run("verify", "list", folder, "--trust", trust_path, "--root", root, "--json")
    assert status == 1
    assert [(item["verdict"], item["is_valid"]) for item in shown["items"]] == [
        ("GENUINE", False),
        ("FIELD_CHANGED", False),
    ]


def test_a_row_names_the_certificate_that_was_proved(
    run: Callable[..., tuple[int, Any, str]], chain: Any, world: Any, tmp_path: Path, trust_path: Path
) -> None:
    """Not the one that a file with the same bytes claims to be; and a proof is one wherever its format stands."""
    claimed = world.draft("20260000077").core.identifier
    note = json.dumps({"core": {"ZZBS": claimed}, "format": "note"}).encode()
    content = world.draft("20260000078", ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01").content
    issued = msgspec.structs.replace(content, document_digest=sm3(note))
    chain.call(chain.clerk, "certificates", "issue", **msgspec.structs.asdict(issued))
    proof = json.loads(encode_proof_file(chain.prove(certificate_key(issued.identifier))))
    named = proof.pop("format")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.json").write_text(
        json.dumps({"validators": proof.pop("validators"), **proof, "format": named}, indent=9)
    )
    (folder / "b.json").write_bytes(note)
    (folder / "c.json").write_text('{"quoted": {"format": "govnode-proof/1"}}')
    assert (folder / "a.json").read_text().index('"format"') > 4_096
    _, shown, _ = run("verify", "list", folder, "--trust", trust_path, "--json")
    assert [(one["subject"].partition("\n")[2], one["verdict"]) for one in shown["items"]] == [
        (issued.identifier, "IN_FORCE"),
        ("", "NO_PROOF"),
    ]


def test_a_file_made_out_to_somebody_does_not_pass_unnoticed(
    run: Callable[..., tuple[int, Any, str]], chain: Any, world: Any, tmp_path: Path, trust_path: Path
) -> None:
    draft = world.draft(ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01")
    chain.call(chain.clerk, "certificates", "issue", **msgspec.structs.asdict(draft.content))
    shown = present(world.seal(draft), ["面积"])
    until_ms = time.time_ns() // 1_000_000 + 86_400_000
    bound = bind_presentation(shown, world.holder, "示例银行", "抵押", world.now_ms, until_ms)
    words = {"reason": "存档", "recipient": "示例银行", "made_ms": world.now_ms, "expires_ms": until_ms}
    copy = make_annotated_copy(shown, world.copier.signer, world.copier.chain, **words)
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "1.json").write_bytes(encode_file(bound))
    (folder / "2.json").write_bytes(encode_file(copy))
    (root := tmp_path / "root.pem").write_text(world.root.pem)
    arguments = ("verify", "list", folder, "--trust", trust_path, "--root", root, "--json")
    expected = [["RECIPIENT_NOT_CHECKED"], ["RECIPIENT_NOT_CHECKED", "HOLDER_DID_NOT_SIGN"]]
    for verdict in ("GENUINE", "IN_FORCE"):
        items = run(*arguments)[1]["items"][:2]
        assert [one["verdict"] for one in items] == [verdict] * 2
        assert [[f["code"] for f in one["findings"] if f["mood"] == "warn"] for one in items] == expected
        assert "示例银行" in items[0]["findings"][-1]["zh"]
        items = run(*arguments, "--recipient", "示例银行")[1]["items"][:2]
        assert [[f["code"] for f in one["findings"] if f["mood"] == "warn"] for one in items] == [[], expected[1][1:]]
        items = run(*arguments, "--recipient", "别家")[1]["items"][:2]
        assert [(one["verdict"], one["is_valid"]) for one in items] == [("ANOTHERS_COPY", False)] * 2
        (folder / "3.json").write_bytes(encode_proof_file(chain.prove(certificate_key(draft.core.identifier))))
    (tmp_path / "list.txt").write_text(draft.core.identifier)
    status, _, errors = run("verify", "list", tmp_path / "list.txt", "--recipient", "示例银行")
    assert (status, "--recipient" in errors) == (2, True)


def test_an_empty_or_too_large_folder_is_refused(
    run: Callable[..., tuple[int, Any, str]],
    folder: Path,
    trust_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status, _, error = run("verify", "list", folder / "deeper", "--trust", trust_path, "--json")
    assert (status, json.loads(error)["error"]["code"]) == (1, "FOLDER_EMPTY")
    monkeypatch.setattr(folder_verification, "MAX_FOLDER_FILES", 2)
    status, _, error = run("verify", "list", folder, "--trust", trust_path, "--json")
    assert (status, json.loads(error)["error"]["code"]) == (1, "FOLDER_TOO_LARGE")


def test_a_report_of_another_kind_is_refused_before_anything_is_done(
    run: Callable[..., tuple[int, Any, str]], folder: Path, tmp_path: Path
) -> None:
    status, _, error = run(
        "verify", "list", folder, "--trust", tmp_path / "none", "--out", tmp_path / "r.doc", "--json"
    )
    assert (status, json.loads(error)["error"]["code"]) == (1, "REPORT_KIND")


def test_proofs_that_are_missing_are_fetched_and_the_latest_counts(
    run: Callable[..., tuple[int, Any, str]], chain: Any, world: Any, node: Any, tmp_path: Path, trust_path: Path
) -> None:
    draft = world.draft(ZZBFRQ="2026-01-01", ZZYXQQSRQ="2026-01-01")
    chain.call(chain.clerk, "certificates", "issue", **msgspec.structs.asdict(draft.content))
    key = certificate_key(draft.content.identifier)
    earlier = encode_proof_file(chain.prove(key))
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "doc.json").write_bytes(encode_file(world.seal(draft)))
    (folder / "torn.json").write_bytes(encode_file(world.seal(draft))[:-30])
    arguments = ("verify", "list", folder, "--trust", trust_path, "--json")
    verdicts = [item["verdict"] for item in run(*arguments)[1]["items"]]
    assert verdicts == ["NO_PROOF", "NO_PROOF"]
    _, shown, _ = run(*arguments, "--fetch", "--url", node.url)
    assert [item["verdict"] for item in shown["items"]] == ["IN_FORCE", "NO_PROOF"]
    assert shown["items"][0]["height"] == chain.height
    chain.call(chain.clerk, "certificates", "suspend", identifier=draft.content.identifier, reason="核查")
    (folder / "a.proof.json").write_bytes(earlier)
    (folder / "b.proof.json").write_bytes(encode_proof_file(chain.prove(key)))
    verdicts = [item["verdict"] for item in run(*arguments)[1]["items"]]
    assert verdicts == ["IN_FORCE", "SUSPENDED", "NO_PROOF"], "a document and its proof are one line"


def test_a_list_is_verified_by_proofs_and_on_nobodys_word(
    run: Callable[..., tuple[int, Any, str]],
    chain: Any,
    identifier: str,
    node: Any,
    tmp_path: Path,
    trust_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = make_identifier(TYPE_CODE, identifier.split(".")[-4], "20990000001")
    source = tmp_path / "list.txt"
    source.write_text(f"{identifier}\n{identifier},{sm3(DOCUMENT).hex()}\n{identifier},{'0' * 64}\n{absent}\nnone\n")
    arguments = ("verify", "list", source, "--fetch", "--trust", trust_path, "--url", node.url, "--json")
    status, shown, _ = run(*arguments, "--out", tmp_path / "r.pdf")
    assert status == 1
    codes = ["IN_FORCE", "IN_FORCE", "DOCUMENT_CHANGED", "NOT_ON_LEDGER", "IDENTIFIER_MALFORMED"]
    assert [item["verdict"] for item in shown["items"]] == codes
    assert (shown["basis"], shown["height"], shown["signers"]) == ("files", chain.height, [])
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-")
    other = encode_proof_file(chain.prove(certificate_key(absent)))
    monkeypatch.setattr(proven_list, "export_certificate_proof", lambda *_: other)
    _, shown, _ = run(*arguments)
    assert [item["verdict"] for item in shown["items"]][:1] == ["PROOF_BROKEN"], "absence of another certificate"
    trust_path.write_text(trust_path.read_text().replace(chain.genesis.hash.hex(), "0" * 64))
    _, shown, _ = run(*arguments)
    assert {item["verdict"] for item in shown["items"]} == {"PROOF_BROKEN", "IDENTIFIER_MALFORMED"}
