"""A batch is prepared and issued from an .xlsx file as from a CSV, and what a spreadsheet has spoilt is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest


@pytest.fixture
def save_sheet(tmp_path: Path) -> Callable[..., Path]:
    def call(*rows: list[Any]) -> Path:
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        path = tmp_path / "rows.xlsx"
        book.save(path)
        return path

    return call


def test_a_spreadsheet_issues_the_batch_of_its_rows(
    office: Any, cert_batch: Any, save_sheet: Callable[..., Path]
) -> None:
    path = save_sheet(["serial", "valid_from", "field:坐落"], ["20260000001", date(2026, 5, 1), "示例路1号"])
    status, out, _ = cert_batch(path, "--accept")
    assert status == 0
    assert (out["stage"], out["count"]) == ("issued", 1)


def test_an_identity_number_that_was_typed_as_a_number_is_a_fault(
    cert_batch: Any, save_sheet: Callable[..., Path]
) -> None:
    path = save_sheet(
        ["serial", "valid_from", "holder_code_type", "holder_code"],
        ["20260000001", "2026-05-01", "999", 110105194912310021],
    )
    status, out, _ = cert_batch(path, "--accept")
    assert status == 1
    assert [(one["line"], one["column"], one["code"]) for one in out["first"]] == [(2, "holder_code", "NUMBER_INEXACT")]


def test_a_formula_that_nothing_has_calculated_or_that_failed_is_a_fault(
    cert_batch: Any, save_sheet: Callable[..., Path]
) -> None:
    path = save_sheet(
        ["serial", "valid_from", "field:坐落"],
        ["20260000001", "2026-05-01", "=A2"],
        ["20260000002", "2026-05-01", "#REF!"],
    )
    status, out, _ = cert_batch(path, "--accept")
    assert status == 1
    assert [(one["line"], one["column"], one["code"]) for one in out["first"]] == [
        (2, "field:坐落", "FORMULA_UNCALCULATED"),
        (3, "field:坐落", "FORMULA_FAILED"),
    ]
