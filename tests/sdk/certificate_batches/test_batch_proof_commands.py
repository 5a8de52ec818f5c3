"""A certificate of a batch is proved from the issuer's archive or from the holder's document, and verified without a node."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.identifiers import make_identifier
from tests.clocks import set_clock
from verification.batch_proof import encode_batch_proof
from verification.certificate_files.document import decode_document, encode_file
from verification.certificate_files.presentation import present

Run = Callable[..., tuple[int, Any, str]]


def identifier_of(place: int) -> str:
    return make_identifier("11100000MB03271699001", "11990100MB0000002X", f"2026{place:07}")


@pytest.fixture
def issued(office: Any, cert_batch: Callable[..., Any], run: Run, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Nine certificates issued, and the document of the fourth exported; everybody's clock is a little after the chain's."""
    for module in ("sdk.cli.batch", "sdk.proofs"):
        set_clock(monkeypatch, module, time_ns=lambda: (office.node.chain.time_ms + 60_000) * 1_000_000)
    status, out, _ = cert_batch(office.write(office.rows(9)), "--accept")
    assert status == 0, out
    status, _, _ = run(
        *("cert", "archive", "export", office.archive_path, identifier_of(4)),
        *("--out", office.folder / "document.json", "--holder-secret", office.folder / "secret"),
    )
    assert status == 0
    return office


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    return tmp_path / "proof.json"


def test_from_the_archive_to_the_verdict(issued: Any, run: Run, proof: Path, trust_path: Path) -> None:
    url = ("--url", issued.node.url)
    archive = ("--archive", issued.archive_path)
    status, out, _ = run("proof", "export", identifier_of(4), *archive, "--out", proof, *url, "--json")
    assert (status, out["name"]) == (0, identifier_of(4))
    document = issued.folder / "document.json"
    status, out, _ = run("verify", proof, "--document", document, "--trust", trust_path, "--json")
    assert (status, out["code"], out["batch"]["position"]) == (0, "IN_FORCE", 3), out
    assert out["document"]["values"]["CZZT"] == "张4"

    member = identifier_of(4)
    with issued.client as client:
        from sdk.certificate_batches.archive import BatchArchive
        from sdk.certificate_batches.documents import member_of

        with BatchArchive(issued.archive_path) as opened:
            place, name = member_of(opened, member), opened.tree.name
        at = {"batch": name, "position": place.position, "path": list(place.path)}
        client.call("batches", "admit", **at, content=place.content)
        client.call("certificates", "suspend", identifier=member, reason="挂失")
    status, _, _ = run("proof", "export", member, *archive, "--out", proof, *url)
    status, out, _ = run("verify", proof, "--trust", trust_path)
    assert status == 1
    assert "挂失" in out
    assert "[SUSPENDED]" in out


def test_the_holder_s_document_is_enough(issued: Any, run: Run, proof: Path, trust_path: Path) -> None:
    document = issued.folder / "document.json"
    shown = issued.folder / "shown.json"
    shown.write_bytes(encode_file(present(decode_document(document.read_bytes()), ["坐落"])))
    for file in (document, shown):
        status, out, _ = run("proof", "export", "--document", file, "--out", proof, "--url", issued.node.url, "--json")
        assert (status, out["name"]) == (0, identifier_of(4))
        status, out, _ = run("verify", proof, "--document", file, "--trust", trust_path, "--json")
        assert (status, out["code"]) == (0, "IN_FORCE")


def test_it_is_shown_from_the_archive_until_it_has_a_record(issued: Any, run: Run) -> None:
    url, archive = ("--url", issued.node.url), ("--archive", issued.archive_path)
    status, out, _ = run("cert", "show", identifier_of(4), *archive, *url, "--json")
    assert (status, out["status"]["verdict"], out["record"]["issuer_name"]) == (0, "IN_FORCE", "示范局"), out
    assert out["record"]["batch"].endswith(".20260000001")
    status, out, _ = run("cert", "show", identifier_of(4), *archive, *url, "--at", "2026-01-01", "--json")
    assert (status, out["status"]["verdict"]) == (0, "NOT_YET_ISSUED")
    status, text, _ = run("cert", "show", identifier_of(4), *archive, *url)
    assert "批次 / batch" in text
    assert "有效（01" in text
    status, _, errors = run("cert", "show", identifier_of(4), *url)
    assert (status, "[ARCHIVE_NEEDED]" in errors) == (1, True)
    status, _, errors = run("cert", "show", identifier_of(90), *url)
    assert (status, "[CERTIFICATE_UNKNOWN]" in errors) == (1, True)


def test_a_node_with_the_manifest_answers_for_an_identifier_alone(
    issued: Any, run: Run, proof: Path, trust_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdk.certificate_batches.archive import BatchArchive
    from sdk.certificate_batches.documents import member_of

    url, slip = ("--url", issued.node.url), issued.folder / "slip.pdf"
    commands = (
        ("cert", "show", identifier_of(4), *url),
        ("cert", "history", identifier_of(4), *url),
        ("cert", "slip", identifier_of(4), *url, "--link", "https://anywhere.example", "--out", slip),
        ("proof", "export", identifier_of(4), *url, "--out", proof),
    )
    codes = ("ARCHIVE_NEEDED", "ARCHIVE_NEEDED", "DOCUMENT_NEEDED", "IN_BATCH")
    for command, code in zip(commands, codes, strict=True):
        status, _, errors = run(*command)
        assert (status, f"[{code}]" in errors, "清单" in errors, "manifest" in errors) == (1, True, True, True), errors
    with BatchArchive(issued.archive_path) as opened:
        file = json.loads(
            encode_batch_proof(issued.node.chain.prove_member(opened.tree.name, member_of(opened, identifier_of(4))))
        )
    get = issued.node.get
    monkeypatch.setattr(
        issued.node, "get", lambda target, headers: (200, file) if "/proofs/" in target else get(target, headers)
    )
    for command in commands:
        status, text, errors = run(*command)
        assert status == 0, errors
    status, text, _ = run(*commands[0])
    assert "有效（01" in text
    assert slip.read_bytes().startswith(b"%PDF")
    assert run("verify", proof, "--trust", trust_path)[0] == 0
    status, _, errors = run("cert", "show", identifier_of(5), *url)
    assert (status, "[PROOF_MALFORMED]" in errors) == (1, True), "another's place in the batch is no answer"


def test_a_certificate_s_own_file_is_verified_by_a_node_s_proof_or_by_its_signatures(
    issued: Any, run: Run, trust_path: Path, tmp_path: Path
) -> None:
    document, url = issued.folder / "document.json", ("--url", issued.node.url)
    arguments = ("verify", document, "--trust", trust_path, "--json")
    status, out, _ = run(*arguments, *url)
    assert (status, out["code"], out["carries"], out["proof"]["kind"]) == (
        0,
        "IN_FORCE",
        "document",
        "batch-certificate",
    )
    assert out["proof"]["document"]["values"]["CZZT"] == "张4"
    status, out, _ = run(*arguments)
    assert (status, out["code"]) == (1, "TRUST_MISSING"), "without root certificates a signature proves nothing"
    (tmp_path / "root.pem").write_text(issued.root.pem)
    status, out, _ = run(*arguments, "--root", tmp_path / "root.pem")
    told = (status, out["code"], out["is_accepted"], out["is_force_unknown"])
    assert told == (3, "GENUINE", False, True), "genuine, and no word on whether it is in force"
    status, text, _ = run(*arguments[:-1], "--root", tmp_path / "root.pem")
    assert (status, "通过 / accepted" in text) == (3, False)
    assert "真实，效力未核对 / genuine, force not checked [GENUINE]" in text
    assert "--status-list" in text
    document.write_bytes(document.read_bytes().replace("张4".encode(), "李4".encode()))
    for more in (url, ("--root", tmp_path / "root.pem")):
        status, text, _ = run("verify", document, "--trust", trust_path, *more)
        assert status == 1
        assert "[FIELD_CHANGED]" in text
    document.write_text('{"format": "govnode-certificate/1"}')
    status, _, errors = run(*arguments)
    assert (status, "DOCUMENT_MALFORMED" in errors) == (1, True)


def test_what_would_mislead_is_refused_with_what_to_do(issued: Any, run: Run, proof: Path) -> None:
    url = ("--url", issued.node.url)
    status, _, errors = run("proof", "export", identifier_of(4), "--out", proof, *url)
    assert status == 1
    assert "[IN_BATCH]" in errors
    assert "--document" in errors
    status, _, _ = run("proof", "export", identifier_of(90), "--out", proof, *url)
    assert status == 0, "outside of every batch, the proof of absence says what there is to say"
    archive = ("--archive", issued.archive_path)
    status, _, errors = run("proof", "export", identifier_of(90), *archive, "--out", proof, *url)
    assert (status, "[NOT_IN_ARCHIVE]" in errors) == (1, True)
    for arguments in (
        (),
        (identifier_of(4), "--document", issued.folder / "document.json"),
        ("--document", issued.folder / "document.json", *archive),
        ("11990100MB0000002X", "--kind", "department", *archive),
    ):
        status, _, errors = run("proof", "export", *arguments, "--out", proof, *url)
        assert status == 2, errors
    (issued.folder / "other.json").write_text("{}")
    status, _, errors = run("proof", "export", "--document", issued.folder / "other.json", "--out", proof, *url)
    assert (status, "[DOCUMENT_MALFORMED]" in errors) == (1, True)


def test_a_batch_that_the_ledger_does_not_have_proves_nothing(
    office: Any, cert_batch: Any, run: Run, proof: Path
) -> None:
    assert cert_batch(office.write(office.rows(3)))[0] == 3, "ready, not issued"
    arguments = ("--archive", office.archive_path, "--out", proof, "--url", office.node.url)
    status, _, errors = run("proof", "export", identifier_of(2), *arguments)
    assert (status, "[BATCH_UNKNOWN]" in errors) == (1, True)
    assert not proof.exists()


def test_another_day_of_issue_is_not_passed_over_when_a_batch_is_taken_up(office: Any, cert_batch: Any) -> None:
    table = office.write(office.rows(3))
    assert cert_batch(table, "--issued-on", "2026-05-01")[1]["stage"] == "signed"
    status, _, errors = cert_batch(table, "--issued-on", "2026-05-02", "--accept")
    assert status == 1
    assert "ISSUED_ON_DIFFERS" in errors
    assert office.node.receipts == {}
    status, out, _ = cert_batch(table, "--accept")
    assert (status, out["stage"]) == (0, "issued"), "a day later, without the option, it goes on with the day it has"
