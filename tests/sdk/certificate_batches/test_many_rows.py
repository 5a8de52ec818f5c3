"""Ten thousand rows as a department has them: 37 are bad in twelve different ways, each is told, and nothing is issued."""

from __future__ import annotations

import csv
import importlib.util
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
