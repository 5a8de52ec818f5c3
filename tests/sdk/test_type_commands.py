"""The catalogue of types from the command line: shown, rights given and taken, tables of codes printed and written again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.code_tables import DEFAULT_CODES, load_code_table
from sm_crypto.keystore import save_key

Run = Callable[..., tuple[int, Any, str]]
TYPE_CODE, CONSUMER = "11100000MB03271699001", "11990100MB00000031"


@pytest.fixture
def governor(node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    save_key(tmp_path / "governor.key", node.chain.governor, b"password", iterations=1_000)
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("password\n")
    monkeypatch.setenv("GOVNODE_URL", node.url)
    monkeypatch.setenv("GOVNODE_KEY", str(tmp_path / "governor.key"))
    monkeypatch.setenv("GOVNODE_PASSWORD_FILE", str(tmp_path / "password"))
    return node


def test_a_type_is_shown_and_the_right_to_it_given_and_taken(run: Run, governor: Any) -> None:
    status, text, _ = run("cert", "type", "show", TYPE_CODE)
    assert status == 0
    for word in ("不动产权证书", "自然资源部", "国家级 / national", "自然人 / person", "证照 / certificate", "default"):
        assert word in text
    assert run("cert", "type", "allow", TYPE_CODE, CONSUMER)[0] == 0
    status, _, err = run("cert", "type", "allow", TYPE_CODE, CONSUMER)
    assert (status, "ISSUER_ALREADY_AUTHORISED" in err) == (1, True)
    assert run("cert", "type", "withdraw", TYPE_CODE, CONSUMER, "--json")[1]["department"] == CONSUMER
    assert "ISSUER_NOT_AUTHORISED" in run("cert", "type", "withdraw", TYPE_CODE, CONSUMER)[2]


def test_a_table_of_codes_is_printed_changed_and_written_again(run: Run, governor: Any, tmp_path: Path) -> None:
    status, out, _ = run("cert", "type", "codes", "--json")
    assert status == 0
    file = tmp_path / "codes.json"
    file.write_text(json.dumps(out), "utf-8")
    assert run("cert", "type", "set-codes", "same", file)[0] == 0
    assert load_code_table(governor.chain.state, "same") == DEFAULT_CODES
    out["statuses"].append({"code": "08", "name": "遗失", "english": "lost", "effect": "held"})
    file.write_text(json.dumps(out), "utf-8")
    assert run("cert", "type", "set-codes", "same", file)[0] == 0
    status, text, _ = run("cert", "type", "codes", "same")
    assert "遗失" in text
    # What a status means for force stays: certificates rely on it.
    out["statuses"][1]["effect"] = "in-force"
    file.write_text(json.dumps(out), "utf-8")
    assert "CODE_TABLE_INVALID" in run("cert", "type", "set-codes", "same", file)[2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"statuses": 1, "operations": []}',
        '{"statuses": [{"code": "1"}], "operations": []}',
        "[" * 9_999,
        '{"statuses": [], "operations": [{"code": 1}]}',
        '{"statuses": [{"code": "1", "name": "a", "english": "a", "effect": "no"}], "operations": []}',
    ],
)
def test_what_is_no_table_of_codes_is_refused(run: Run, governor: Any, tmp_path: Path, text: str) -> None:
    file = tmp_path / "codes.json"
    file.write_text(text)
    status, _, err = run("cert", "type", "set-codes", "x", file)
    assert (status, "CODES_INVALID" in err) == (1, True)


def test_lists_come_from_the_nodes_rest_side(run: Run, governor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"certificate_class_text": {"zh": "证照"}, "holder_category_text": {"zh": "自然人"}}
    types = [{"code": TYPE_CODE, "name": "不动产权证书", "validity_range": "", "code_table": "default", **texts}]
    issuers = [{"department": CONSUMER, "department_name": "使用局", "granted_ms": 1_780_000_000_000}]

    def get(target: str, headers: dict[str, str]) -> tuple[int, Any]:
        return 200, {"items": issuers if "/issuers" in target else types, "next_cursor": None}

    monkeypatch.setattr(governor, "get", get)
    assert "不动产权证书" in run("cert", "type", "list")[1]
    assert "使用局" in run("cert", "type", "issuers", TYPE_CODE)[1]
