"""A list of certificates, verified at one height: REST and the page, the report as JSON, CSV and PDF."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import openpyxl
import pypdfium2
import pytest

from explorer.api_lists import MAX_LIST_ITEMS
from sdk import list_verification
from sdk.cli.main import main
from sm_crypto.sm3 import sm3
from verification.days import show_day

DOCUMENT = "一份合成的不动产权证书\n".encode()
FORM = {"content-type": "application/x-www-form-urlencoded"}


def ask(site: Any, items: list[dict[str, Any]], target: str = "", **more: Any) -> Any:
    return site.http.post(f"/api/v1/verifications{target}", json={"items": items, **more})


def items_of(site: Any) -> list[dict[str, Any]]:
    world = site.world
    return [
        {"identifier": world.certificate},
        {"identifier": world.certificate.removeprefix("1.2.156.3005.2."), "document_digest": sm3(DOCUMENT).hex()},
        {"identifier": world.certificate, "document_digest": "0x" + "00" * 32},
        {"identifier": world.revoked},
        {"identifier": world.identifier("2099000001")},
        {"identifier": "张三"},
        {"identifier": world.certificate[:-1] + ("0" if world.certificate[-1] != "0" else "1")},
    ]


CODES = [
    "IN_FORCE",
    "IN_FORCE",
    "DOCUMENT_CHANGED",
    "ENDED",
    "NOT_ON_LEDGER",
    "IDENTIFIER_MALFORMED",
    "NOT_ON_LEDGER",
]


def test_every_certificate_of_a_list_gets_its_verdict_at_one_height(site: Any) -> None:
    answer = ask(site, items_of(site))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    report = answer.json()
    assert [item["verdict"] for item in report["items"]] == CODES
    assert [item["is_valid"] for item in report["items"]] == [code == "IN_FORCE" for code in CODES]
    assert [item["line"] for item in report["items"]] == list(range(1, 8))
    assert report["is_all_valid"] is False
    assert report["height"] == site.world.ledger.height
    assert {item["height"] for item in report["items"]} == {report["height"], None}
    assert report["validator_count"] == 4
    assert len(report["signers"]) == 3
    findings = {finding["code"] for finding in report["items"][-1]["findings"]}
    assert "CHECK_CHARACTER_MISMATCH" in findings
    assert all(item["zh"] and item["en"] for item in report["items"])


def test_the_list_can_be_asked_about_another_time_and_as_of_another_height(site: Any) -> None:
    world = site.world
    before = world.ledger.header(2).time_ms - 1
    report = ask(site, [{"identifier": world.revoked}], at_ms=before).json()
    assert report["at_ms"] == before
    assert report["items"][0]["verdict"] == "NOT_YET_ISSUED"
    height = world.ledger.height - 1
    report = ask(site, [{"identifier": world.certificate}], height=height).json()
    assert (report["height"], report["items"][0]["verdict"]) == (height, "IN_FORCE")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"items": []}, 400, "BODY_INVALID"),
        ({"items": [{"identifier": "A"}] * (MAX_LIST_ITEMS + 1)}, 400, "BODY_INVALID"),
        ({"items": [{"identifier": "A", "holder": "张三"}]}, 400, "BODY_INVALID"),
        ({"items": [{"identifier": "A"}], "height": 2**40}, 400, "PARAMETER_INVALID"),
        ({"items": [{"identifier": "A"}], "day": "2026-02-30"}, 400, "PARAMETER_INVALID"),
        ({"items": [{"identifier": "A"}], "day": "2026-02-20", "at_ms": 1_767_225_600_000}, 400, "PARAMETER_INVALID"),
        ([], 400, "BODY_INVALID"),
    ],
)
def test_another_body_is_refused_with_the_reason(site: Any, body: Any, status: int, code: str) -> None:
    answer = site.http.post("/api/v1/verifications", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_body_that_is_too_large_is_not_read(site: Any) -> None:
    answer = site.http.post("/api/v1/verifications", content=b"[" * 600_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
    answer = site.http.post("/api/v1/verifications", content=b"[" * 500_000)
    assert (answer.status_code, answer.json()["code"]) == (400, "BODY_INVALID")


def test_the_report_comes_as_csv(site: Any) -> None:
    answer = ask(site, items_of(site), "?format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].endswith('.csv"')
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["verdict"] for row in rows] == CODES


def test_the_report_comes_as_pdf(site: Any) -> None:
    answer = ask(site, items_of(site), "?format=pdf")
    assert answer.headers["content-type"] == "application/pdf"
    document = pypdfium2.PdfDocument(answer.content)
    text = document[0].get_textpage().get_text_range()
    document.close()
    for expected in ("证照批量核验报告", "示范市政务区块链服务网络", "DOCUMENT_CHANGED", "第 1 页，共 1 页"):
        assert expected in text


def test_a_report_that_is_not_made_is_told_and_the_node_goes_on(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen

    def crash(arguments: list[str], **options: Any) -> Any:
        return real([sys.executable, "-S", "-c", "import os; os.write(1, b'%PDF-1.4'); os.abort()"], **options)

    monkeypatch.setattr("explorer.child_process.subprocess.Popen", crash)
    answer = ask(site, items_of(site), "?format=pdf")
    assert (answer.status_code, answer.json()["code"]) == (503, "REPORT_NOT_MADE")
    assert ask(site, items_of(site)).status_code == 200


def test_the_page_takes_a_pasted_list_and_shows_each_verdict(site: Any) -> None:
    assert 'id="list"' in site.get("/verify/list").text
    world = site.world
    text = f"证照标识,sm3\n{world.certificate},{sm3(DOCUMENT).hex()}\n\n{world.revoked}\n<script>\n"
    page = site.http.post("/verify/list", content=urlencode({"list": text, "format": "page"}), headers=FORM)
    assert page.status_code == 200
    assert re.findall(r'id="line-(\d+)"', page.text) == ["2", "4", "5"]
    assert "<script>\n" not in page.text
    for code in ("IN_FORCE", "ENDED", "IDENTIFIER_MALFORMED"):
        assert f"<code>{code}</code>" in page.text
    day = show_day(world.ledger.header(2).time_ms)
    page = site.http.post("/verify/list", content=urlencode({"list": world.revoked, "day": day}), headers=FORM)
    assert f'value="{day}"' in page.text
    assert f"on {day}" in page.text
    pdf = site.http.post("/verify/list", content=urlencode({"list": text, "format": "pdf"}), headers=FORM)
    assert pdf.content.startswith(b"%PDF-")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"list=A&day=2026-02-30",
        b"list=",
        b"list=%ff",
        b"\xff\xfe",
        b"a=1&b=2&c=3&d=4&e=5",
        b"list=" + b"A%0A" * (MAX_LIST_ITEMS + 1),
        b"list=" + b"A%0A" * 100_000,
        b"list=" + b"%0A" * 150_000,
    ],
    ids=[
        "nothing",
        "no day",
        "empty",
        "not UTF-8",
        "not a form",
        "many fields",
        "too many",
        "far too many",
        "empty lines",
    ],
)
def test_the_page_says_what_is_wrong_with_a_list(site: Any, content: bytes) -> None:
    answer = site.http.post("/verify/list", content=content, headers=FORM)
    assert answer.status_code in {200, 400}
    assert "无法核验" in answer.text or answer.status_code == 400


def test_a_list_is_verified_by_the_command_and_reported(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = site.world
    source, report = tmp_path / "清单.csv", tmp_path / "报告.csv"
    source.write_text(f"姓名,证照标识\n张三,{world.certificate}\n李四,{world.revoked}\n王五,不详\n", "utf-8-sig")
    asked: list[int] = []
    ask_node = list_verification._ask

    def ask_for_two(client: Any, listed: Any, *more: Any) -> Any:
        asked.append(len(listed))
        assert all("三" not in one.identifier for one in listed), "nothing but identifiers leaves the machine"
        return ask_node(client, listed, *more)

    monkeypatch.setattr(list_verification, "MAX_ASKED", 1)
    monkeypatch.setattr(list_verification, "_ask", ask_for_two)
    arguments = ["verify", "list", str(source), "--url", site.url, "--out", str(report), "--json"]
    monkeypatch.setattr(sys, "argv", ["govnode", *arguments])
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    shown = json.loads(capsys.readouterr().out)
    assert [(item["line"], item["verdict"]) for item in shown["items"]] == [
        (2, "IN_FORCE"),
        (3, "ENDED"),
        (4, "IDENTIFIER_MALFORMED"),
    ]
    assert asked == [1, 1]
    rows = list(csv.DictReader(io.StringIO(report.read_bytes().decode("utf-8-sig"))))
    assert [row["line"] for row in rows] == ["2", "3", "4"]
    assert {row["height"] for row in rows[:2]} == {str(shown["height"])}
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["证照标识"])
    sheet.append([world.certificate])
    book.save(tmp_path / "list.xlsx")
    monkeypatch.setattr(sys, "argv", ["govnode"])
    with pytest.raises(SystemExit) as ended:
        main(["verify", "list", str(tmp_path / "list.xlsx"), "--url", site.url])
    assert ended.value.code == 0
    assert "1 / 1" in capsys.readouterr().out
