"""Calendars and terms from the command line: imported, shown, changed, and every fault of a file named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.data_sharing.deadlines import KINDS
from contracts.data_sharing.working_days import day_of, format_day
from sdk.statutory_clocks.files import load_calendars, load_terms_file
from verification.errors import InputError

Run = Callable[..., tuple[int, Any, str]]
SAMPLES = Path(__file__).parents[3] / "samples" / "clocks"
SOURCE = "国办发明电〔2025〕7号"


def test_the_samples_have_the_days_of_the_state_councils_notices() -> None:
    found = {one.year: one for name in ("2025", "2026") for one in load_calendars(SAMPLES / f"calendar-{name}.csv")}
    working = {year: [day.day[5:] for day in one.days if day.is_working] for year, one in found.items()}
    assert working == {
        2025: ["01-26", "02-08", "04-27", "09-28", "10-11"],
        2026: ["01-04", "02-14", "02-28", "05-09", "09-20", "10-10"],
    }
    assert [sum(not day.is_working for day in one.days) for one in found.values()] == [28, 33]


def test_a_calendar_is_imported_shown_and_imported_again(run: Run, governor: Any, tmp_path: Path) -> None:
    head = format_day(day_of(governor.chain.time_ms))
    year = int(head[:4])
    file = tmp_path / "calendar.csv"
    file.write_text(f"day,kind,name\n{year}-12-31,放假,年末\n{year}-01-02,holiday,元旦\n", "utf-8")
    status, out, _ = run("calendar", "import", file, "--source", SOURCE, "--json")
    assert (status, out["items"]) == (
        0,
        [{"year": year, "version": 1, "days": 2, "is_changed": True, "past_days": []}],
    )
    assert "无变化" in run("calendar", "import", file, "--source", SOURCE)[1]
    text = run("calendar", "show", str(year))[1]
    assert SOURCE in text
    assert text.index(f"{year}-01-02") < text.index(f"{year}-12-31")
    # What is past stays, what is to come follows the file.
    file.write_text(f"day,kind,name\n{year}-12-30,working,调休\n", "utf-8")
    (changed,) = run("calendar", "import", file, "--source", SOURCE, "--json")[1]["items"]
    assert (changed["version"], changed["past_days"]) == (2, [f"{year}-01-02"])
    days = run("calendar", "show", str(year), "--json")[1]["days"]
    assert [day["day"] for day in days] == [f"{year}-01-02", f"{year}-12-30"]


def test_a_year_without_a_calendar_says_so(run: Run, governor: Any) -> None:
    status, _, err = run("calendar", "show", "2031")
    assert (status, "CALENDAR_UNKNOWN" in err) == (1, True)


def test_terms_are_imported_and_shown_for_a_region(run: Run, governor: Any) -> None:
    assert "809" in run("calendar", "terms", "990100")[1]
    status, out, _ = run("calendar", "import-terms", SAMPLES / "terms.csv", "--json")
    assert (status, [one["region"] for one in out["items"]]) == (0, ["9901", "9902"])
    first, second = (run("calendar", "terms", region, "--json")[1]["terms"] for region in ("990100", "990203"))
    assert (first["compliance_check"], first["reply_conditional"], second["reply_conditional"]) == (2, 5, 10)
    assert "示范市政务数据共享办法" in run("calendar", "terms", "990102")[1]


def test_terms_to_come_are_shown_before_they_hold(run: Run, governor: Any, tmp_path: Path) -> None:
    file = tmp_path / "terms.csv"
    heading = (SAMPLES / "terms.csv").read_text("utf-8-sig").splitlines()[0]
    file.write_text(f"{heading}\n9907,新市,新市办法,2099-12-01,1,3,0,7,5,20,3\n", "utf-8")
    assert "2099-12-01" in run("calendar", "import-terms", file)[1]
    shown = run("calendar", "terms", "990700", "--json")[1]
    assert ("809" in shown["source"], [one["source"] for one in shown["to_come"]]) == (True, ["新市办法"])
    assert shown["to_come"][0]["terms"]["supply"] == 7
    text = run("calendar", "terms", "990700")[1]
    assert text.index("将施行，自 / to come, from") < text.index("2099-12-01") < text.index("7 个工作日")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("day,kind,name\n2026-2-1,holiday,春节\n", "line 2, column day"),
        ("day,kind,name\n2026-02-30,holiday,春节\n", "line 2, column day"),
        ("day,kind,name\n2026-02-01,off,春节\n", "line 2, column kind"),
        ("day,kind,name\n2026-02-01,holiday,\n", "line 2, column name"),
        ("day,kind,name\n2026-02-01,holiday,春节\n2026-02-01,working,春节\n", "line 3, column day"),
        ("day,name\n2026-02-01,春节\n", "column kind"),
        ("day,kind,name\n", "line 2"),
    ],
)
def test_a_fault_of_a_calendars_file_names_its_place(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "calendar.csv"
    file.write_text(text, "utf-8")
    with pytest.raises(InputError, match=place):
        load_calendars(file)


def test_a_calendar_that_lists_whole_months_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "calendar.csv"
    days = [f"2026-{month:02d}-{day:02d}" for month in range(1, 6) for day in range(1, 29)]
    file.write_text("day,kind,name\n" + "".join(f"{day},holiday,假\n" for day in days), "utf-8")
    with pytest.raises(InputError, match="names 140 days of 2026"):
        load_calendars(file)


@pytest.mark.parametrize("term", ["-1", "1.5", "121", "五", "1e2", "９"])
def test_a_term_is_a_number_of_working_days(tmp_path: Path, term: str) -> None:
    file = tmp_path / "terms.csv"
    file.write_text(f"region,name,source,from,{','.join(KINDS)}\n33,浙江,办法,,{term},1,1,1,1,1,1\n", "utf-8")
    with pytest.raises(InputError, match="line 2, column reply_unconditional"):
        load_terms_file(file)


@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda text: b"day,kind,name\n" + text.encode("utf-8")))
def test_any_file_is_a_calendar_or_a_named_fault(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    file.write_bytes(raw)
    with contextlib.suppress(InputError):
        load_calendars(file)
