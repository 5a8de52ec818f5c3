"""A holder shows part of a document and a department copies that, with files and commands only."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sm_crypto.keystore import Signer, save_key
from sm_crypto.sm2 import PrivateKey
from sm_crypto.x509 import issue_person
from tests.clocks import set_clock
from verification.certificate_files.document import CertificateDocument, encode_file
from verification.certificate_files.file_verification import verify_annotated_copy, verify_presentation
from verification.certificate_files.presentation import bind_presentation, present

Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def holder_key(tmp_path: Path) -> PrivateKey:
    key = PrivateKey.generate()
    save_key(tmp_path / "own.key", key, b"correct horse", iterations=1_000)
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("correct horse\n")
    return key


def test_from_document_to_presentation_to_annotated_copy(
    world: Any, run: Run, tmp_path: Path, holder_key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One key file stands for a clerk of the copier here; the document without a holder key is presented by anybody.
    set_clock(monkeypatch, "sdk.cli.certificate_file", time_ns=lambda: world.now_ms * 1_000_000)
    (tmp_path / "document.json").write_bytes(encode_file(world.seal(world.draft(holder_key=False))))
    shown, copy = tmp_path / "shown.json", tmp_path / "copy.json"
    status, out, _ = run(
        *("cert", "present", tmp_path / "document.json", "--show", "面积", "--attachment", "产权证.pdf"),
        *("--out", shown, "--json"),
    )
    assert (status, out["values"]) == (0, {"面积": "98.5"})
    assert "CZZT" in out["hidden"]
    assert verify_presentation(shown.read_bytes(), world.expect()).is_accepted
    assert "张三" not in shown.read_text("utf-8")

    person = issue_person(world.copier.authority, "经办人", holder_key.public_key, now_ms=world.now_ms)
    (tmp_path / "chain.pem").write_text(person.pem + world.copier.authority.certificate.pem)
    annotate = (
        *("cert", "annotate", shown, "--chain", tmp_path / "chain.pem", "--reason", "存档", "--recipient", "示例银行"),
        *("--until", "2027-01-01", "--key", tmp_path / "own.key", "--password-file", tmp_path / "password"),
    )
    status, out, errors = run(*annotate, "--out", copy, "--json")
    assert status == 0, errors
    assert out["annotation"]["JZJZZZ"] == "示例市市场监管局"
    assert verify_annotated_copy(copy.read_bytes(), world.expect(recipient="示例银行")).is_accepted
    status, _, errors = run(*annotate, "--out", copy)
    assert status == 1
    assert "FILE_EXISTS" in errors


def test_what_was_shown_to_somebody_else_is_not_copied(
    world: Any,
    document: CertificateDocument,
    run: Run,
    tmp_path: Path,
    holder_key: PrivateKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_clock(monkeypatch, "sdk.cli.certificate_file", time_ns=lambda: world.now_ms * 1_000_000)
    shown = bind_presentation(
        present(document, ["面积"]), world.holder, "示例银行", "抵押", world.now_ms, world.now_ms + 10**9
    )
    (tmp_path / "shown.json").write_bytes(encode_file(shown))
    person = issue_person(world.copier.authority, "经办人", holder_key.public_key, now_ms=world.now_ms)
    (tmp_path / "chain.pem").write_text(person.pem + world.copier.authority.certificate.pem)
    status, _, errors = run(
        *("cert", "annotate", tmp_path / "shown.json", "--chain", tmp_path / "chain.pem", "--reason", "存档"),
        *("--recipient", "某局", "--until", "2027-01-01", "--key", tmp_path / "own.key"),
        *("--password-file", tmp_path / "password", "--out", tmp_path / "copy.json"),
    )
    assert (status, "ANOTHERS_COPY" in errors, (tmp_path / "copy.json").exists()) == (1, True, False)


def test_a_document_with_a_holder_key_asks_for_the_holders_signature(
    world: Any,
    document: CertificateDocument,
    run: Run,
    tmp_path: Path,
    holder_key: PrivateKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_clock(monkeypatch, "sdk.cli.certificate_file", time_ns=lambda: world.now_ms * 1_000_000)
    (tmp_path / "document.json").write_bytes(encode_file(document))
    present = ("cert", "present", tmp_path / "document.json", "--show", "面积", "--out", tmp_path / "out.json")
    status, _, errors = run(*present)
    assert status == 2
    assert "--recipient" in errors
    signed = (
        *("--key", tmp_path / "own.key", "--password-file", tmp_path / "password"),
        *("--recipient", "示例银行", "--purpose", "抵押", "--until", "2099-01-01"),
    )
    status, _, errors = run(*present, *signed, "--json")
    assert status == 1
    assert json.loads(errors)["error"]["code"] == "HOLDER_KEY_DIFFERS"
    own = dataclasses.replace(world, holder=Signer(holder_key))
    (tmp_path / "document.json").write_bytes(encode_file(own.seal(own.draft())))
    status, out, errors = run(*present, *signed, "--json")
    assert (status, out["values"]) == (0, {"面积": "98.5"}), errors
    verdict = verify_presentation((tmp_path / "out.json").read_bytes(), world.expect())
    assert verdict.is_accepted, verdict
    assert (verdict.recipient, verdict.purpose) == ("示例银行", "抵押")
    (tmp_path / "bearer.json").write_bytes(encode_file(world.seal(world.draft(holder_key=False))))
    status, _, errors = run("cert", "present", tmp_path / "bearer.json", "--out", tmp_path / "o", "--purpose", "x")
    assert status == 2
    assert "no holder key" in errors
