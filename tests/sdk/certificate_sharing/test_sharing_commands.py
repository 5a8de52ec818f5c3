"""govnode cert authorise, one-time-code, withdraw, authorisations and fetch, as a holder, a clerk and a department use them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PURPOSE, CONSUMER = "办理抵押登记", "11990100MB00000031"
Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def cert(sharing: Any, desk_folder: Path, run: Run) -> Run:
    """Run `govnode cert` with one's key and the issuer's node."""

    def call(command: str, *arguments: object, key: str = "") -> tuple[int, Any, str]:
        signed = ["--key", desk_folder / f"{key}.key", "--password-file", desk_folder / "password"] if key else []
        return run("cert", command, *arguments, "--url", sharing.node.url, *signed, "--json")

    return call


def document_path(sharing: Any) -> Path:
    (path,) = (sharing.folder / "documents").iterdir()
    return Path(path)


def said(*more: object) -> list[object]:
    allowed = ["--recipient", CONSUMER, "--purpose", PURPOSE, "--show", "坐落", "--from", "2026-05-01"]
    return [*allowed, "--until", "2027-06-30", *more]


def asking(sharing: Any, service: str, out: Path, *more: object) -> list[object]:
    named = ["--service", service, "--purpose", PURPOSE, "--grant", sharing.grant.hex(), "--out", out]
    return [*named, "--case", "2026-1", "--system", "抵押登记系统", "--trust", sharing.folder / "trust.json", *more]


def test_a_holder_allows_looks_and_withdraws(sharing: Any, service: str, cert: Run, tmp_path: Path) -> None:
    document, file, out = document_path(sharing), tmp_path / "statement.json", tmp_path / "copy.json"
    status, made, error = cert(
        "authorise", document, *said("--fetches", 2, "--out", file, "--service", service), key="holder"
    )
    assert (status, error) == (0, "")
    assert made["is_recorded"]

    status, fetched, error = cert("fetch", made["id"], *asking(sharing, service, out), key="consumer")
    assert (status, error) == (0, "")
    assert fetched["values"] == {"坐落": "示例路1号"}
    assert out.stat().st_size > 0

    _, listed, _ = cert("authorisations", document)
    (one,) = listed["authorisations"]
    assert (one["recipient"], int(one["fetch_count"]), len(one["fetches"])) == (CONSUMER, 1, 1)

    assert cert("withdraw", file, "--service", service, key="holder")[0] == 0
    again = tmp_path / "again.json"
    status, _, error = cert("fetch", made["id"], *asking(sharing, service, again), key="consumer")
    assert status == 1
    assert "AUTHORISATION_WITHDRAWN" in error
    assert not again.exists()
    # The next authorisation of the same certificate has the next number.
    status, other, _ = cert("authorise", document, *said("--out", tmp_path / "next.json"), key="holder")
    assert (status, other["is_recorded"]) == (0, False)
    assert other["id"] != made["id"]


def test_a_clerk_gives_a_code_and_takes_it_back(
    sharing: Any, service: str, cert: Run, desk_folder: Path, tmp_path: Path
) -> None:
    held = ["--store", sharing.store.path, "--documents", desk_folder / "documents"]
    held += ["--holder-secret", desk_folder / "secret"]
    identifier = sharing.document.core.identifier
    status, given, error = cert("one-time-code", identifier, *said(*held), key="recorder")
    assert (status, error) == (0, "")
    assert re.fullmatch("[0-9]{8}", given["code"])
    out = tmp_path / "copy.json"

    def told(code: str) -> Path:
        (tmp_path / "code").touch(mode=0o600)
        (tmp_path / "code").write_text(f"{code}\n")
        return tmp_path / "code"

    wrong = f"{(int(given['code']) + 1) % 10**8:08}"
    named = ("--identifier", identifier)
    status, _, error = cert("fetch", *named, *asking(sharing, service, out, "--code-file", told(wrong)), key="consumer")
    assert status == 1
    assert "CODE_WRONG" in error
    right = asking(sharing, service, out, "--code-file", told(given["code"]))
    assert cert("fetch", *named, *right, key="consumer")[0] == 0
    assert cert("withdraw", given["id"], key="recorder")[0] == 0
    assert "AUTHORISATION_WITHDRAWN" in cert("withdraw", given["id"], key="recorder")[2]


def test_wrong_usage_is_told(sharing: Any, cert: Run, tmp_path: Path) -> None:
    document = document_path(sharing)
    assert cert("authorise", document, *said(), key="holder")[0] == 2
    wrong_key = cert("authorise", document, *said("--out", tmp_path / "s.json"), key="consumer")
    assert (wrong_key[0], "HOLDER_KEY_DIFFERS" in wrong_key[2]) == (1, True)
    unreachable = asking(sharing, "http://127.0.0.1:9", tmp_path / "c.json")
    _, _, error = cert("fetch", "ab" * 32, *unreachable, key="consumer")
    assert "SERVICE_UNREACHABLE" in error
    assert re.search("--request-id [0-9a-f]{32}", error)
    assert cert("fetch", *unreachable, key="consumer")[0] == 2
    # A code on the command line would be there for every user of the machine.
    assert cert("fetch", "ab" * 32, *unreachable, "--code", "12345678", key="consumer")[0] == 2
    assert "CODE_MISSING" in cert("fetch", "ab" * 32, *unreachable, "--with-code", key="consumer")[2]
    unrooted = [*unreachable, "--trust", tmp_path / "none.json"]
    assert "FILE_UNREADABLE" in cert("fetch", "ab" * 32, *unrooted, key="consumer")[2]
    assert "HEX_INVALID" in cert("withdraw", "xyz", key="recorder")[2]
