"""What a clerk is kept from at the desk: copies of revoked certificates, another department's secret, codes of mistyped identifiers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.identifiers import make_identifier

TYPE_CODE, DEPARTMENT = "11100000MB03271699001", "11990100MB0000002X"


def identifier_of(place: int) -> str:
    return make_identifier(TYPE_CODE, DEPARTMENT, f"2026{place:07}")


@pytest.fixture
def issued(office: Any, cert_batch: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    assert cert_batch(office.write(office.rows(2)), "--accept")[0] == 0
    monkeypatch.setenv("GOVNODE_KEY", str(office.folder / "clerk.key"))
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(office.folder / "password"))
    monkeypatch.setenv("GOVNODE_HOLDER_SECRET_FILE", str(office.folder / "secret"))
    return office


def test_no_copy_is_made_of_a_certificate_that_a_node_says_is_not_in_force(
    issued: Any, run: Callable[..., Any], identifier: str
) -> None:
    folder, archive, url = issued.folder, issued.archive_path, ("--url", issued.node.url)
    assert run("cert", "archive", "export", archive, identifier_of(1), "--out", folder / "one.json")[0] == 0
    assert run("cert", "present", folder / "one.json", "--show", "CZZT", "--out", folder / "shown.json")[0] == 0
    annotate = ("cert", "annotate", folder / "shown.json", "--chain", folder / "chain.pem", "--reason", "存档")
    terms = ("--recipient", "示例银行", "--until", "2099-12-31", "--out")
    status, out, err = run(*annotate, *terms, folder / "unasked.json")
    assert (status, "not checked" in out) == (0, True), err
    assert run("cert", "admit", identifier_of(1), "--archive", archive, *url)[0] == 0
    status, out, err = run(*annotate, *terms, folder / "copy.json", *url)
    assert (status, "in force" in out) == (0, True), err
    # Of a list, the one with a record of its own needs no archive.
    listed = folder / "list.csv"
    listed.write_text(f"identifier,reason\n{identifier_of(1)},灭失\n{identifier},灭失\n", "utf-8")
    status, out, _ = run("cert", "revoke", "--csv", listed, "--archive", archive, *url, "--json")
    assert (status, out["done"]) == (0, 2), out
    status, _, err = run(*annotate, *terms, folder / "late.json", *url)
    assert (status, "[ENDED]" in err, (folder / "late.json").exists()) == (1, True, False)
    wrong = identifier_of(2)[:-1] + ("0" if identifier_of(2)[-1] != "0" else "1")
    assert "mistyped" in run("cert", "suspend", wrong, "--reason", "挂失", *url)[1]
    unknown = run("cert", "present", folder / "one.json", "--show", "姓名", "--out", folder / "none.json")[2]
    assert ("FIELD_UNKNOWN" in unknown, "坐落" in unknown) == (True, True)


def test_the_secret_of_another_department_is_not_taken(office: Any, cert_batch: Callable[..., Any]) -> None:
    table = office.write(office.rows(1))
    for owner, code in (("11990100MB00000031", "SECRET_OF_ANOTHER"), (DEPARTMENT, "")):
        secret = office.folder / f"{owner}.holder-secret"
        secret.write_text("07" * 32 + "\n")
        status, _, err = cert_batch(table, "--holder-secret", secret)
        assert (status, code in err) == (1 if code else 3, True)


def test_no_code_is_made_of_a_mistyped_identifier(run: Callable[..., Any], tmp_path: Path) -> None:
    good = identifier_of(1)
    other = "0" if good[-1] != "0" else "1"
    link = ("--link", "https://verify.example.gov.cn", "--out", tmp_path / "code.svg")
    status, _, err = run("cert", "code", good[:-1] + other, *link)
    assert (status, "[CHECK_CHARACTER_MISMATCH]" in err) == (1, True)
    status, out, _ = run("cert", "code", good, *link)
    assert (status, "not asked" in out) == (0, True)
