"""Ten thousand rows as a department has them: 37 are bad in twelve different ways, each is told, and nothing is issued."""

from __future__ import annotations

import csv
import importlib.util
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.identifiers import make_identifier

SAMPLES = Path(__file__).resolve().parents[3] / "samples"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("make_batch_rows", SAMPLES / "make_batch_rows.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_bad_row_of_ten_thousand_is_told_and_no_other(
    office: Any, cert_batch: Callable[..., Any], script: Any, tmp_path: Path
) -> None:
    bad = script.bad_rows()
    assert (script.ROWS, len(bad), len(set(bad.values()))) == (10_000, 37, 12)
    table = tmp_path / "rows-with-faults.csv"
    script.write(table, bad)
    status, out, _ = cert_batch(table, "--accept")
    assert (status, out["faults"], out["rows"]) == (1, 37, 37)
    assert out["codes"] == dict(Counter(bad.values()))
    with Path(out["report"]).open(encoding="utf-8-sig", newline="") as file:
        told = {int(row["line"]): row["code"] for row in csv.DictReader(file)}
    # The line of column names stands before the rows.
    assert told == {number + 1: code for number, code in bad.items()}
    assert office.node.receipts == {}
    assert not office.archive_path.exists()


def signed(office: Any) -> tuple[object, ...]:
    """The options of a command that the clerk signs."""
    files = ("--key", office.folder / "clerk.key", "--password-file", office.folder / "password")
    return (*files, "--url", office.node.url)


def test_serials_that_meet_an_issued_batch_are_told_before_anything_is_made(
    office: Any, cert_batch: Callable[..., Any], script: Any, run: Callable[..., Any], tmp_path: Path
) -> None:
    day = ("--issued-on", "2026-05-01")
    assert cert_batch(office.write(office.rows(5)), "--accept", *day)[0] == 0
    later = [["20260000000", *[""] * 4, "2026-05-01", "", ""], ["20260000009", *[""] * 4, "2026-05-01", "", ""]]
    # None of the two is one of the five, which lie between them.
    again = ("--archive", tmp_path / "again.govbatch", "--accept")
    status, _, err = cert_batch(office.write(later), *again)
    assert (status, "SERIALS_TAKEN" in err) == (1, True)
    assert not (tmp_path / "again.govbatch").exists()
    member = make_identifier(script.TYPE_CODE, script.ISSUER_CODE, "20260000002")
    assert run("cert", "admit", member, "--archive", office.archive_path, *signed(office))[0] == 0
    # The same rows under the same secret are the same batch: an archive that was lost is made again, and nothing is issued twice.
    calls = len(office.node.receipts)
    status, out, _ = cert_batch(office.write(office.rows(5)), *again, *day)
    assert (status, out["stage"], len(office.node.receipts)) == (0, "issued", calls)
