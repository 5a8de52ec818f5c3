"""Commands of the catalogue, the directories and open data, each run as its user runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.accounts import address_of_key
from contracts.registration import AccountRegistration
from sm_crypto.keystore import save_key
from sm_crypto.sm2 import PrivateKey
from tests.hand_made_chain import DEPARTMENT, HandMadeChain, StandInNode

Run = Callable[..., tuple[int, Any, str]]
CODE = "307013301/000001"
FIELDS = (
    "--name",
    "登记信息",
    "--summary",
    "登记结果",
    "--item",
    "姓名:C",
    "--item",
    "面积:N",
    "--sharing",
    "unconditional",
)


def key_of(folder: Path, name: str) -> tuple[str, str, str, str]:
    return ("--key", str(folder / f"{name}.key"), "--password-file", str(folder / f"{name}.password"))


@pytest.fixture
def accounts(chain: HandMadeChain, keys: Path) -> Path:
    """The folder of keys with the governor's and that of a second approver of the department."""
    approver = PrivateKey.generate()
    roles = ["approver"]
    registration = AccountRegistration(chain.genesis.hash, DEPARTMENT, approver.public_key, "审批人", roles)
    stated = {"department": DEPARTMENT, "public_key": approver.public_key, "name": "审批人", "roles": roles}
    chain.call(chain.governor, "members", "add_account", **stated, signature=approver.sign(registration.digest))
    for name, key in (("approver", approver), ("governor", chain.governor)):
        save_key(keys / f"{name}.key", key, b"password", iterations=1_000)
        (keys / f"{name}.password").write_bytes(b"password")
        (keys / f"{name}.password").chmod(0o600)
    return keys


def test_important_data_is_in_force_once_another_account_has_approved_it(
    run: Run, node: StandInNode, accounts: Path
) -> None:
    where, clerk = ("--url", node.url), key_of(accounts, "clerk")
    publish = ("catalogue", "publish", CODE, *FIELDS, *where, *clerk)
    status, out, _ = run(*publish, "--data-class", "important", "--json")
    assert (status, out["is_in_force"]) == (0, False)
    status, _, error = run("catalogue", "show", CODE, *where)
    assert (status, "RESOURCE_WAITING" in error, "--proposal" in error) == (1, True, True)
    assert "尚待" in run("catalogue", "show", CODE, "--proposal", *where)[1]
    status, _, error = run("catalogue", "approve", CODE, *where, *clerk)
    assert (status, "SECOND_ACCOUNT_NEEDED" in error) == (1, True)
    status, out, _ = run("catalogue", "approve", CODE, *where, *key_of(accounts, "approver"), "--json")
    assert (status, out["still_waiting"]) == (0, [])
    status, out, _ = run("catalogue", "show", CODE, *where)
    assert status == 0
    assert "姓名:C；面积:N" in out
    changed = (*publish, "--data-class", "important", "--replaces", 1, "--cycle", "monthly")
    assert run(*changed)[0] == 0
    _, out, _ = run("catalogue", "changes", CODE, "--proposal", *where)
    assert "更新周期：每日 → 每月" in out
    assert run("catalogue", "reject", CODE, "--reason", "周期有误", *where, *key_of(accounts, "approver"))[0] == 0
    assert run("catalogue", "show", CODE, "--proposal", *where)[0] == 1


def test_versions_are_compared_and_a_resource_is_withdrawn(run: Run, node: StandInNode, accounts: Path) -> None:
    where, clerk = ("--url", node.url), key_of(accounts, "clerk")
    publish = ("catalogue", "publish", CODE, *FIELDS, *where, *clerk)
    assert run(*publish)[0] == 0
    assert run(*publish, "--cycle", "yearly", "--replaces", 1)[0] == 0
    _, out, _ = run("catalogue", "changes", CODE, *where, "--json")
    assert [(field["field"], field["before"], field["after"]) for field in out["changes"][0]["fields"]] == [
        ("update_cycle", "每日", "每年")
    ]
    assert "每日" in run("catalogue", "show", CODE, "--version", 1, *where)[1]
    assert run("catalogue", "show", CODE, "--version", 3, *where)[0] == 1
    assert run("catalogue", "withdraw", CODE, "--reason", "停止采集", *where, *clerk)[0] == 0
    assert "停止采集" in run("catalogue", "show", CODE, *where)[1]


def test_a_review_by_another_department_is_answered_once(run: Run, node: StandInNode, accounts: Path) -> None:
    where, clerk, consumer = ("--url", node.url), key_of(accounts, "clerk"), key_of(accounts, "a-consumer")
    run("catalogue", "publish", CODE, *FIELDS, *where, *clerk)
    status, _, error = run("catalogue", "review", CODE, "--score", 101, "--finding", "好", *where, *consumer)
    assert (status, "101" in error) == (2, True)
    assert run("catalogue", "review", CODE, "--score", 72, "--finding", "面积缺失较多", *where, *consumer)[0] == 0
    reply = ("catalogue", "reply", CODE, "--department", "11990100MB00000031", "--reply", "已补采", *where, *clerk)
    assert run(*reply)[0] == 0
    status, _, error = run(*reply)
    assert (status, "REPLIED_ALREADY" in error) == (1, True)
    assert "72.0" in run("catalogue", "show", CODE, *where)[1]


def test_duties_and_systems_are_entered_shown_and_ended(run: Run, node: StandInNode, accounts: Path) -> None:
    where, clerk = ("--url", node.url), key_of(accounts, "clerk")
    duty = (
        "directory",
        "enter-duty",
        "D-1",
        "--name",
        "不动产登记",
        "--basis",
        "条例",
        "--task",
        "首次登记",
        *where,
        *clerk,
    )
    assert run(*duty)[0] == 0
    system = (
        "directory",
        "enter-system",
        "S-1",
        "--name",
        "登记系统",
        "--summary",
        "办理登记",
        "--network",
        "extranet",
    )
    assert run(*system, "--duty", "D-1", *where, *clerk)[0] == 0
    assert "政务外网" in run("directory", "show", "system", DEPARTMENT, "S-1", *where)[1]
    assert run("directory", "end-system", "S-1", "--reason", "停用", *where, *clerk)[0] == 0
    assert run("directory", "end-duty", "D-1", "--reason", "划转", *where, *clerk)[0] == 0
    status, out, _ = run("directory", "show", "duty", DEPARTMENT, "D-1", *where)
    assert (status, "首次登记" in out, "划转" in out) == (0, True, True)
    assert run("directory", "show", "duty", DEPARTMENT, "D-9", *where)[0] == 1


def test_a_dataset_is_opened_after_review_and_its_downloads_are_counted(
    run: Run, node: StandInNode, accounts: Path, chain: HandMadeChain, tmp_path: Path
) -> None:
    where, clerk = ("--url", node.url), key_of(accounts, "clerk")
    run("catalogue", "publish", CODE, *FIELDS, "--open", *where, *clerk)
    propose = ("open-data", "propose", CODE, "--item", "面积", "--format", "CSV", "--terms", "注明来源", *where, *clerk)
    assert run(*propose)[0] == 0
    assert run("open-data", "decline", CODE, "--reason", "字段待核", *where, *key_of(accounts, "governor"))[0] == 0
    assert run(*propose)[0] == 0
    assert run("open-data", "clear", CODE, *where, *key_of(accounts, "governor"))[0] == 0
    file = tmp_path / "data.csv"
    file.write_text("面积\n90\n", "utf-8")
    release = ("open-data", "release", CODE, file, "--place", "https://data.example/1", "--rows", 1, *where, *clerk)
    assert run(*release)[0] == 0
    chain.call(chain.governor, "members", "set_roles", account=address(chain.consumer), roles=["requester"])
    roles = ["publisher", "recorder"]
    chain.call(chain.governor, "members", "set_roles", account=address(chain.clerk), roles=roles)
    # Released on 29 May in Beijing: downloads are counted from then on, once they have happened.
    chain.time_ms += 20 * 86_400_000
    report = ("open-data", "report", CODE, *where, *clerk, "--downloads")
    sent = len(node.receipts)
    for wrong in (("--from", "2026-05-28"), ("--from", "2026-06-08", "--to", "2026-06-07"), ("--to", "2999-12-31")):
        status, _, error = run(*report, 12, *wrong)
        assert (status, "REPORT_PERIOD" in error, "2026-05-29 00:00:00" in error) == (1, True, True), wrong
    assert len(node.receipts) == sent
    assert run(*report, 12, "--to", "2026-06-08")[0] == 0
    assert run(*report, 12, "--from", "2026-06-09", "--to", "2026-06-15")[0] == 2
    assert run(*report, 30)[0] == 0
    _, out, _ = run("open-data", "show", CODE, *where, "--json")
    assert (out["downloads"], out["report_count"], out["release"]["size_bytes"]) == (42, 2, 10)
    assert out["reported_to_ms"] == chain.time_ms - 1_000
    assert run("open-data", "stop", CODE, "--reason", "停止更新", *where, *clerk)[0] == 0
    assert "停止更新" in run("open-data", "show", CODE, *where)[1]


def address(key: PrivateKey) -> bytes:
    return address_of_key(key.public_key)
