"""Certificates of a batch are suspended, renewed and ended straight from its archive, also after a crash half way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.certificate_records import load_certificate, status_at
from contracts.identifiers import make_identifier
from sdk.certificate_batches.archive import BatchArchive
from sm_crypto.sm3 import sm3

TYPE_CODE, DEPARTMENT = "11100000MB03271699001", "11990100MB0000002X"


def identifier_of(place: int, version: str = "001") -> str:
    return make_identifier(TYPE_CODE, DEPARTMENT, f"2026{place:07}", version)


@pytest.fixture
def issued(office: Any, cert_batch: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A batch of five that is issued; the environment names the clerk's key."""
    assert cert_batch(office.write(office.rows(5)), "--accept")[0] == 0
    monkeypatch.setenv("GOVNODE_URL", office.node.url)
    monkeypatch.setenv("GOVNODE_KEY", str(office.folder / "clerk.key"))
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(office.folder / "password"))
    monkeypatch.setenv("GOVNODE_HOLDER_SECRET_FILE", str(office.folder / "secret"))
    return office


def verdict(office: Any, identifier: str) -> str:
    record = load_certificate(office.node.chain.state, identifier)
    return "" if record is None else status_at(record, office.node.chain.time_ms).verdict


def calls(office: Any) -> int:
    return len(office.node.receipts)


def test_one_command_admits_and_suspends(issued: Any, run: Callable[..., Any]) -> None:
    identifier = identifier_of(2)
    status, out, _ = run("cert", "suspend", identifier, "--reason", "挂失")
    assert status == 1
    assert "CERTIFICATE_UNKNOWN" in out
    assert "--archive" in out
    before = calls(issued)
    status, out, _ = run("cert", "suspend", identifier, "--reason", "挂失", "--archive", issued.archive_path, "--json")
    assert (status, out["done"]) == (0, 1)
    assert (verdict(issued, identifier), calls(issued) - before) == ("SUSPENDED", 2)
    # The record is there now: the archive is not needed, and does no harm.
    assert run("cert", "resume", identifier, "--reason", "找回", "--archive", issued.archive_path)[0] == 0
    assert run("cert", "revoke", identifier, "--reason", "死亡", "--status", "04")[0] == 0
    assert (verdict(issued, identifier), calls(issued) - before) == ("ENDED", 4)
    assert verdict(issued, identifier_of(1)) == ""


def test_what_the_ledger_would_refuse_admits_nothing(issued: Any, run: Callable[..., Any]) -> None:
    before = calls(issued)
    archive = ("--archive", issued.archive_path)
    assert run("cert", "suspend", identifier_of(1), *archive)[0] == 2
    status, _, err = run("cert", "transfer-out", identifier_of(1), "--reason", "划转", *archive)
    assert (status, "--recipient" in err) == (2, True)
    assert calls(issued) == before


def test_a_list_is_admitted_and_changed_row_by_row(issued: Any, run: Callable[..., Any], tmp_path: Path) -> None:
    other = make_identifier(TYPE_CODE, DEPARTMENT, "20259999999")
    rows = [identifier_of(1), identifier_of(3), other, identifier_of(3), "1.2.3"]
    listed = tmp_path / "list.csv"
    listed.write_text("identifier,reason\n" + "".join(f"{row},挂失\n" for row in rows), "utf-8")
    status, out, _ = run("cert", "suspend", "--csv", listed, "--archive", issued.archive_path, "--json")
    assert (status, out["done"], out["failed"]) == (1, 2, 3)
    codes = [result["error"] and result["error"]["code"] for result in out["results"]]
    assert codes == [None, None, "NOT_IN_ARCHIVE", "STATUS_FORBIDS", "IDENTIFIER_MALFORMED"]
    assert [result["identifier"] for result in out["results"]] == rows


def test_a_run_that_ended_between_the_two_is_taken_up_again(issued: Any, run: Callable[..., Any]) -> None:
    identifier = identifier_of(4)
    status, out, _ = run("cert", "admit", identifier, "--archive", issued.archive_path, "--json")
    assert (status, out["results"][0]["error"]) == (0, None)
    assert verdict(issued, identifier) == "IN_FORCE"
    before = calls(issued)
    status, text, _ = run("cert", "admit", identifier, "--archive", issued.archive_path)
    assert (status, "done before" in text, calls(issued)) == (0, True, before)
    assert run("cert", "record-other", identifier, "--reason", "诉讼", "--archive", issued.archive_path)[0] == 0
    assert (verdict(issued, identifier), calls(issued)) == ("SUSPENDED", before + 1)


def test_a_certificate_of_a_batch_is_renewed_from_its_archive(issued: Any, run: Callable[..., Any]) -> None:
    old, new = identifier_of(5), identifier_of(5, "002")
    terms = ("--digest", "ab" * 32, "--valid-from", "2027-05-01", "--reason", "到期延续")
    status, text, _ = run("cert", "renew", old, new, *terms, "--archive", issued.archive_path)
    assert status == 0, text
    record = load_certificate(issued.node.chain.state, old)
    assert record is not None
    assert (record.successor, verdict(issued, old)) == (new, "SUPERSEDED")


def test_another_certificate_under_the_identifier_is_not_touched(
    issued: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = identifier_of(1)
    assert run("cert", "admit", identifier, "--archive", issued.archive_path)[0] == 0
    whole = BatchArchive.content

    def another(archive: BatchArchive, position: int) -> Any:
        return msgspec.structs.replace(whole(archive, position), document_digest=sm3(b"another"))

    monkeypatch.setattr(BatchArchive, "content", another)
    status, text, _ = run("cert", "revoke", identifier, "--reason", "x", "--archive", issued.archive_path)
    assert (status, "ANOTHER_CERTIFICATE" in text) == (1, True)
    assert verdict(issued, identifier) == "IN_FORCE"


def test_the_history_of_one_without_a_record_comes_from_its_archive(issued: Any, run: Callable[..., Any]) -> None:
    identifier = identifier_of(3)
    status, _, err = run("cert", "history", identifier)
    assert (status, "ARCHIVE_NEEDED" in err) == (1, True)
    status, out, _ = run("cert", "history", identifier, "--archive", issued.archive_path, "--json")
    assert (status, [one["status"] for one in out["history"]]) == (0, ["01"])


def test_a_batch_renews_the_certificates_that_its_rows_name(
    issued: Any, cert_batch: Callable[..., Any], run: Callable[..., Any], tmp_path: Path
) -> None:
    columns = ("serial", "valid_from", "predecessor")
    rows = [[f"2027{place:07}", "2027-05-01", identifier_of(place) if place < 4 else ""] for place in range(1, 6)]
    rows[2][2] = make_identifier(TYPE_CODE, DEPARTMENT, "20259999999")
    table, archive = issued.write(rows, columns), tmp_path / "next.govbatch"
    assert cert_batch(table, "--archive", archive, "--accept")[0] == 0
    assert verdict(issued, identifier_of(1)) == ""
    renewal = ("cert", "archive", "renew", archive, "--reason", "到期换证", "--predecessors", issued.archive_path)
    status, out, _ = run(*renewal, "--json")
    assert (status, out["done"], out["failed"]) == (1, 2, 1)
    assert out["errors"][0]["code"] == "CERTIFICATE_UNKNOWN"
    record = load_certificate(issued.node.chain.state, identifier_of(1))
    assert record is not None
    assert record.successor == make_identifier(TYPE_CODE, DEPARTMENT, "20270000001")
    assert verdict(issued, record.successor) == "NOT_YET_VALID"
    # Once more: what was done is not done again.
    before = calls(issued)
    status, out, _ = run(*renewal, "--json")
    assert (status, out["done"], calls(issued) - before) == (1, 2, 1)
