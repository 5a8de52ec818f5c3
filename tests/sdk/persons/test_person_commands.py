"""The auditing authority's commands about persons: no number on a command line, in an answer or in a file of counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.encryption_keys import load_encryption_key
from sdk.persons.counts import CountBook, PersonLimits
from sdk.persons.numbers import normal_person, person_commitment, seal_person
from sm_crypto.keystore import save_key
from sm_crypto.sm2 import PrivateKey
from tests.hand_made_chain import CONSUMER, DEPARTMENT
from tests.sdk.persons.conftest import PersonOffice, add_account
from tests.sdk.persons.test_person_numbers import RESIDENTS

Run = Callable[..., tuple[int, Any, str]]


def test_a_commitment_is_computed_from_a_file(tmp_path: Path, run: Run) -> None:
    key, person = tmp_path / "person.key", tmp_path / "person.txt"
    assert run("audit", "person-key", key)[0] == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert run("audit", "person-key", key)[0] == 1
    person.write_text(f"{RESIDENTS[0]}\n")
    status, shown, _ = run("audit", "person", "--person-key", key, "--person-file", person, "--json")
    secret = bytes.fromhex(key.read_text())
    first = person_commitment(secret, normal_person(RESIDENTS[0])).hex()
    assert (status, shown) == (0, {"person": first, "former": []})
    # After a renewal: what stands for the person now, and what stood for it.
    renewed, asked = tmp_path / "renewed.key", ("--former-person-key", key, "--person-file", person, "--json")
    run("audit", "person-key", renewed)
    status, shown, _ = run("audit", "person", "--person-key", renewed, *asked)
    second = person_commitment(bytes.fromhex(renewed.read_text()), normal_person(RESIDENTS[0])).hex()
    assert (status, shown) == (0, {"person": second, "former": [first]})
    status, _, errors = run("audit", "person", "--person-key", key, *asked)
    assert (status, "PERSON_KEYS_INVALID" in errors) == (1, True)
    person.write_text("990101199001011239\n")
    status, _, errors = run("audit", "person", "--person-key", key, "--person-file", person, "--json")
    assert status == 1
    assert "PERSON_INVALID" in errors
    assert "990101199001011239" not in errors


def test_without_a_terminal_the_number_comes_from_a_file(tmp_path: Path, run: Run) -> None:
    key = tmp_path / "person.key"
    run("audit", "person-key", key)
    status, _, errors = run("audit", "person", "--person-key", key, "--json")
    assert status == 1
    assert "PERSON_MISSING" in errors


def test_sealed_numbers_are_turned_into_commitments_and_not_shown(tmp_path: Path, run: Run) -> None:
    old, new, other = (PrivateKey.generate() for _ in range(3))
    for name, key in (("old", old), ("new", new)):
        save_key(tmp_path / f"{name}.key", key, b"password", iterations=1_000)
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("password\n")
    run("audit", "person-key", tmp_path / "person.key")
    person = normal_person(RESIDENTS[0])
    sealed = [seal_person(key.public_key, person).hex() for key in (old, new, other)]
    (tmp_path / "sealed.txt").write_text("\n".join([*sealed, "zz", "01"]))
    status, shown, errors = run(
        *("audit", "person-open", tmp_path / "sealed.txt", "--person-key", tmp_path / "person.key", "--json"),
        *("--encryption-key", tmp_path / "old.key", "--encryption-key", tmp_path / "new.key"),
        *("--encryption-password-file", tmp_path / "password"),
    )
    commitment = person_commitment(bytes.fromhex((tmp_path / "person.key").read_text()), person).hex()
    assert (status, shown, errors) == (1, {"persons": [commitment, commitment, "", "", ""]}, "")


def test_an_auditor_elsewhere_asks_the_service(office: PersonOffice, tmp_path: Path, run: Run) -> None:
    chain = office.node.chain
    chain.call(chain.governor, "audits", "name_authority", department=DEPARTMENT)
    save_key(tmp_path / "auditor.key", add_account(chain, CONSUMER, "审计", "auditor"), b"password", iterations=1_000)
    for name, text in (("password", "password"), ("number.txt", RESIDENTS[0])):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(f"{text}\n")
    command = [
        *("audit", "person", "--service", office.url, "--url", office.node.url, "--json"),
        *("--person-file", tmp_path / "number.txt"),
    ]
    account = ["--key", tmp_path / "auditor.key", "--password-file", tmp_path / "password"]
    assert run(*command)[0] == 2
    status, _, errors = run(*command, *account)
    assert status == 1
    assert "BASIS_MISSING" in errors
    assert RESIDENTS[0] not in errors


def test_counts_are_shown_by_day_and_department(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "counts.db"
    book = CountBook(path, PersonLimits())
    book.take(DEPARTMENT, bytes(20), 3, 1_780_000_000_000)
    book.close()
    status, shown, _ = run("audit", "person-counts", path, "--json")
    assert status == 0
    assert [(one["department"], one["persons"]) for one in shown["items"]] == [(DEPARTMENT, 3)]
    assert run("audit", "person-counts", tmp_path / "none.db", "--json")[0] == 2
    assert not (tmp_path / "none.db").exists()


def test_the_service_starts_for_the_named_authority_alone(
    office: PersonOffice, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[tuple[Any, str, int]] = []
    monkeypatch.setattr("sdk.cli.serving.serve_until_stopped", lambda *arguments: served.append(arguments))
    save_key(tmp_path / "encryption.key", office.keys[0], b"password", iterations=1_000)
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("password\n")
    run("audit", "person-key", tmp_path / "person.key")
    command = [
        *("audit", "person-service", "--person-key", tmp_path / "person.key", "--url", office.node.url),
        *("--encryption-key", tmp_path / "encryption.key", "--encryption-password-file", tmp_path / "password"),
        *("--counts", tmp_path / "service.db", "--port", "0"),
    ]
    status, _, errors = run(*command)
    assert status == 1
    assert "AUTHORITY_NOT_NAMED" in errors
    chain = office.node.chain
    chain.call(chain.governor, "audits", "name_authority", department=DEPARTMENT)
    assert run(*command)[0] == 0
    assert [arguments[1:] for arguments in served] == [("127.0.0.1", 0)]
    present = load_encryption_key(chain.state, DEPARTMENT)
    assert present is not None
    office.renew_key()
    status, _, errors = run(*command)
    assert status == 1
    assert "KEY_NOT_PRESENT" in errors
