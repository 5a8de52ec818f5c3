"""`govnode audit finding` and the steps in a finding's life, as an auditor and the departments concerned use them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.data_sharing.audits import FINDING_STATES, FindingSubject
from node.chain.transaction import address_of
from node.http.proof_file import to_words
from sdk.access_audit.finding_evidence import FORMAT
from sm_crypto.keystore import save_key
from sm_crypto.sm3 import sm3
from tests.hand_made_chain import run

__all__ = ["run"]


def evidence_of(subject: FindingSubject) -> bytes:
    """Return the file of the evidence of a finding."""
    return msgspec.json.encode(
        {
            "format": FORMAT,
            "rule": {"zh": "超出授权限额", "en": "over the quota of the grant"},
            "subject": to_words(subject),
            "why": "每日行数 201 > 200 / rows of the day 201 > 200",
            "count": 2,
            "numbers": [1, 2],
            "figures": "内置 / built in",
            "trace_sm3": "ab" * 32,
            "query": 3,
            "height": 5,
            "nonce": "cd" * 16,
        }
    )


@pytest.fixture(scope="module")
def office(make_world: Callable[[], Any], serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A served world with an authority, and one finding that the land bureau has to explain."""
    world = make_world()
    # Clients date what they send by the machine's clock.
    world.make_block([], after_ms=time.time_ns() // 1_000_000 - world.ledger.head_time_ms - 60_000)
    assert world.call("governor", "audits", "name_authority", department=world.bureau)[1] is None
    world.record_batch()
    recorder = address_of(world.keys["housing"].public_key)
    parties = (world.land, world.housing, world.housing, recorder)
    subject = FindingSubject("OVER_QUOTA", *parties, 1, 2, b"\x07" * 32, 0, 1)
    world.evidence = evidence_of(subject)
    raised = {"subject": subject, "reference": "审函〔2026〕1号", "digest": sm3(world.evidence)}
    assert world.call("auditor", "audits", "raise_finding", **raised)[1] is None
    folder = tmp_path_factory.mktemp("office")
    (folder / "password").write_bytes(b"audit password")
    (folder / "password").chmod(0o600)
    for account in ("auditor", "land", "housing"):
        save_key(folder / f"{account}.json", world.keys[account], b"audit password", iterations=1_000)
    (folder / "evidence.json").write_bytes(world.evidence)
    (folder / "letter.txt").write_text("经查属误操作，已整改。", "utf-8")
    site = serve(world)
    site.folder = folder
    return site


@pytest.fixture
def audit(office: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    """Run `govnode audit …` with the node and an account's key given."""

    def call(account: str, *arguments: object, is_json: bool = True) -> Any:
        key = ("--key", office.folder / f"{account}.json", "--password-file", office.folder / "password")
        return run("audit", *arguments, "--url", office.url, *key, *(("--json",) if is_json else ()))

    return call


def test_the_department_concerned_sees_its_finding_whole(office: Any, audit: Callable[..., Any]) -> None:
    world = office.world
    status, shown, err = audit("land", "finding", 1)
    assert status == 0, err
    assert (shown["subject"]["rule"], shown["raised_by"], shown["evidence"]) == ("OVER_QUOTA", world.bureau, None)
    assert shown["other_name"]
    assert shown["history"][0]["digest"] == "0x" + sm3(world.evidence).hex()
    _, text, _ = audit("land", "finding", 1, is_json=False)
    for expected in (
        "超出授权限额 / over the quota of the grant",
        f"{shown['department_name']} {world.land}",
        f"{shown['other_name']} {world.housing}",
        f"{shown['raised_by_name']} {world.bureau}",
        "审函〔2026〕1号",
        "07" * 32,
        sm3(world.evidence).hex(),
        f"由提出方 {world.bureau} 保存",
        f"govnode audit trace --recorded-by {world.land} --from 1970-01-01 --to 1970-01-01 --grant {'07' * 32}",
    ):
        assert expected in text
    _, text, _ = audit("auditor", "finding", 1, is_json=False)
    assert "请送交须作说明的部门" in text
    assert "govnode audit trace" not in text


def test_the_evidence_is_shown_where_it_is_the_ledgers(office: Any, audit: Callable[..., Any], tmp_path: Path) -> None:
    status, shown, err = audit("land", "finding", 1, "--evidence", office.folder / "evidence.json")
    assert status == 0, err
    assert (shown["evidence"]["why"][:4], shown["evidence"]["numbers"]) == ("每日行数", [1, 2])
    _, text, _ = audit("land", "finding", 1, "--evidence", office.folder / "evidence.json", is_json=False)
    assert "rows of the day 201 > 200" in text
    assert "1, 2" in text
    changed = tmp_path / "evidence.json"
    changed.write_bytes(office.world.evidence.replace(b"201", b"202"))
    status, _, err = audit("land", "finding", 1, "--evidence", changed)
    assert (status, json.loads(err)["error"]["code"]) == (1, "EVIDENCE_DIFFERS")


def test_nobody_else_sees_a_finding_or_whether_there_is_one(audit: Callable[..., Any]) -> None:
    told = []
    for number in (1, 9):
        status, _, err = audit("housing", "finding", number)
        error = json.loads(err)["error"]
        assert (status, error["code"]) == (1, "FINDING_OF_OTHERS")
        told.append(error["message"].replace(str(number), "N"))
    assert told[0] == told[1]


def test_a_step_in_another_state_is_refused_in_words_and_without_a_transaction(
    office: Any, audit: Callable[..., Any]
) -> None:
    letter = ("--letter", office.folder / "letter.txt")

    def refuse(account: str, step: str, present: str, *needed: str) -> None:
        height = office.world.ledger.height
        status, _, err = audit(account, step, 1, *letter)
        error = json.loads(err)["error"]
        assert (status, error["code"]) == (1, "FINDING_STATE")
        for state in (present, *needed):
            assert all(word in error["message"] for word in FINDING_STATES[state])
        assert office.world.ledger.height == height

    refuse("auditor", "close", "raised", "confirmed")
    for account in ("housing", "auditor"):
        status, _, err = audit(account, "explain", 1, *letter)
        assert (status, json.loads(err)["error"]["code"]) == (1, "FINDING_OF_OTHERS")
    status, _, err = audit("land", "dismiss", 1, *letter)
    assert (status, json.loads(err)["error"]["code"]) == (1, "NOT_THE_AUTHORITY")
    assert office.world.bureau in json.loads(err)["error"]["message"]
    status, _, err = audit("auditor", "dismiss", 1, *letter)
    assert status == 0, err
    for step in ("explain", "confirm", "dismiss"):
        refuse("land" if step == "explain" else "auditor", step, "dismissed", "raised", "explained")
    refuse("auditor", "close", "dismissed", "confirmed")
    _, shown, _ = audit("land", "finding", 1)
    assert [step["state"] for step in shown["history"]] == ["raised", "dismissed"]
