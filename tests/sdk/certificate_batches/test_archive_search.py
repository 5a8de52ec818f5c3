"""From a serial, a number or a holder to the identifier, out of the archive of a batch, and the whole batch as a CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

import pytest

from contracts.identifiers import make_identifier


@pytest.fixture
def archive(office: Any, cert_batch: Callable[..., Any]) -> Any:
    rows = office.rows(5)
    rows[0][2] = "=HYPERLINK(1)"
    assert cert_batch(office.write(rows))[0] == 3
    return office.archive_path


def identifier_of(place: int) -> str:
    return make_identifier("11100000MB03271699001", "11990100MB0000002X", f"2026{place:07}")


def test_certificates_are_found_by_what_a_clerk_knows(archive: Any, run: Callable[..., Any]) -> None:
    find = ("cert", "archive", "find", archive)
    for asked, places in (
        (("--serial", "20260000003"), [3]),
        (("--holder", "张2"), [2]),
        (("--holder", "N4"), [4]),
        (("--number", "示"), [1, 2, 3, 4, 5]),
        (("--number", "示3号", "--holder", "张3"), [3]),
    ):
        status, out, _ = run(*find, *asked, "--json")
        assert status == 0
        assert [one["identifier"] for one in out["certificates"]] == [identifier_of(place) for place in places]
    assert identifier_of(3) in run(*find, "--serial", "20260000003")[1]
    status, _, err = run(*find, "--holder", "张")
    assert (status, "NOT_IN_ARCHIVE" in err) == (1, True)
    assert run(*find)[0] == 2


def test_a_batch_is_listed_for_a_spreadsheet_that_computes_nothing(archive: Any, run: Callable[..., Any]) -> None:
    out = archive.with_name("list.csv")
    assert run("cert", "archive", "list", archive, "--csv", out, "--json")[1]["count"] == 5
    assert out.stat().st_mode & 0o777 == 0o600
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["identifier"] for row in rows] == [identifier_of(place) for place in range(1, 6)]
    assert rows[4]["holder_name"] == "'=HYPERLINK(1)"
    assert run("cert", "archive", "list", archive, "--csv", out)[0] == 1


def test_four_parts_get_their_check_character(run: Callable[..., Any]) -> None:
    whole = identifier_of(7)
    for given in (whole.rpartition(".")[0], whole.rpartition(".")[0].removeprefix("1.2.156.3005.2.")):
        status, out, _ = run("cert", "check", given, "--json")
        assert (status, out["identifier"]) == (0, whole)
    assert run("cert", "check", "1.2.3.4", "--json")[0] == 1
