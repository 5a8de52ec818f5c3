"""An import put on a chain: entries, rows that are refused, departments without a key, and a run after one that was cut off."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.catalogue import load_proposal, load_resource
from contracts.data_sharing.directories import load_duty, load_system
from sdk.data_catalogue import importing
from tests.hand_made_chain import DEPARTMENT, HandMadeChain, StandInNode

Run = Callable[..., tuple[int, Any, str]]
WriteTables = Callable[..., list[Path]]
CODE = "307013301/000001"


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def counts(out: dict[str, Any], *names: str) -> list[int]:
    return [out[name] for name in names]


def test_a_directory_chain_is_put_on_the_ledger_in_its_order_and_once(
    run: Run, node: StandInNode, chain: HandMadeChain, keys: Path, write_tables: WriteTables
) -> None:
    tables = write_tables(5)
    # In any order of files: resources name systems and duties, systems name duties.
    status, out, _ = run("catalogue", "import", *reversed(tables), "--keys", keys, "--url", node.url, "--json")
    assert (status, counts(out, "rows", "new", "done", "faults")) == (0, [7, 7, 7, 0])
    assert load_duty(chain.state, DEPARTMENT, "D-1") is not None
    assert load_system(chain.state, DEPARTMENT, "S-1") is not None
    record = load_resource(chain.state, CODE)
    assert record is not None
    assert (record.name, record.description.duties, record.version) == ("登记信息1", ("D-1",), 1)
    height = chain.height
    status, out, _ = run("catalogue", "import", *tables, "--keys", keys, "--url", node.url, "--json")
    assert (status, counts(out, "new", "unchanged", "done", "transactions")) == (0, [0, 7, 0, 0])
    assert chain.height == height


def test_a_changed_row_becomes_the_next_version(
    run: Run, node: StandInNode, chain: HandMadeChain, keys: Path, write_tables: WriteTables
) -> None:
    tables = write_tables(3)
    run("catalogue", "import", *tables, "--keys", keys, "--url", node.url)
    rewrite(tables[2], "登记信息2", "登记信息（修订）")
    key = ["--key", keys / "clerk.key", "--password-file", keys / "clerk.password"]
    status, out, _ = run("catalogue", "import", tables[2], *key, "--url", node.url, "--json")
    assert (status, counts(out, "new", "changed", "unchanged", "done")) == (0, [0, 1, 2, 1])
    record = load_resource(chain.state, "307013301/000002")
    assert record is not None
    assert (record.version, record.name) == (2, "登记信息（修订）")


def test_important_data_waits_for_approval_and_is_not_sent_again(
    run: Run, node: StandInNode, chain: HandMadeChain, keys: Path, write_tables: WriteTables
) -> None:
    tables = write_tables(2)
    rewrite(tables[2], "每日,一般", "每日,重要")
    arguments = ("catalogue", "import", *tables, "--keys", keys, "--url", node.url, "--json")
    status, out, _ = run(*arguments)
    assert (status, counts(out, "done", "to_be_approved", "waiting")) == (0, [4, 1, 0])
    assert load_resource(chain.state, CODE) is None
    assert load_proposal(chain.state, CODE) is not None
    status, out, _ = run(*arguments)
    assert (status, counts(out, "waiting", "unchanged", "done")) == (0, [1, 3, 0])


def test_nothing_is_written_while_a_row_is_faulty_and_the_report_says_which(
    run: Run, node: StandInNode, chain: HandMadeChain, keys: Path, write_tables: WriteTables, tmp_path: Path
) -> None:
    tables = write_tables(4)
    rewrite(tables[2], "无条件", "随意")
    third = "登记信息3,登记结果,JSON,姓名:C；面积:N,无条件,,接口,每日,一般,D-1,S-"
    rewrite(tables[2], third + "1", third + "9")
    height = chain.height
    report = tmp_path / "report.csv"
    arguments = ("catalogue", "import", *tables, "--keys", keys, "--report", report, "--url", node.url, "--json")
    status, out, _ = run(*arguments)
    assert (status, out["is_held"], counts(out, "faults", "done")) == (1, True, [2, 0])
    assert chain.height == height
    with report.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [tuple(row[:4]) for row in rows] == [
        ("resources.csv", "2", "共享类型", "CELL_INVALID"),
        ("resources.csv", "4", "系统代码", "SYSTEM_UNKNOWN"),
    ]
    status, out, _ = run(*arguments, "--skip-faulty")
    assert (status, counts(out, "done", "faults")) == (1, [4, 2])
    assert load_resource(chain.state, "307013301/000004") is not None


def test_what_a_rule_of_the_ledger_refuses_is_said_of_its_column(
    run: Run, node: StandInNode, write_tables: WriteTables
) -> None:
    tables = write_tables(5)
    for number, (old, new) in enumerate(
        [
            ("无条件,,", "有条件,,"),
            ("一般,D-1", "一般,D-9"),
            ("307013301/000003", "30/000003"),
            ("登记结果", "登记\u200b结果"),
            ("姓名:C；面积:N", "面积:C；面积:N"),
        ],
        1,
    ):
        text = tables[2].read_text("utf-8")
        start = text.index(f"307013301/{number:06d}")
        tables[2].write_text(text[:start] + text[start:].replace(old, new, 1), "utf-8")
    run("catalogue", "import", *tables, "--check", "--url", node.url)
    # The report lies beside the file that is faulty, and has its name.
    with tables[2].with_name("resources-faults.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [tuple(row[1:5]) for row in rows] == [
        ("2", "共享条件", "BASIS_MISSING", ""),
        ("3", "职责代码", "DUTY_UNKNOWN", "D-9"),
        ("4", "资源代码", "RESOURCE_CODE_MALFORMED", "30/000003"),
        ("5", "摘要", "TEXT_CONTROL_CHARACTER", ""),
        ("6", "数据项", "LIST_REPEATS", "面积"),
    ]


def test_checking_needs_no_key_and_writes_nothing(
    run: Run, node: StandInNode, chain: HandMadeChain, write_tables: WriteTables
) -> None:
    height = chain.height
    status, out, _ = run("catalogue", "import", *write_tables(2), "--check", "--url", node.url, "--json")
    assert (status, counts(out, "new", "done"), out["is_held"]) == (0, [4, 0], False)
    assert chain.height == height
    assert run("catalogue", "import", *write_tables(2), "--url", node.url)[0] == 2


def test_rows_of_a_department_whose_key_is_not_there_are_left_out_and_named(
    run: Run, node: StandInNode, keys: Path, write_tables: WriteTables, other_department: str
) -> None:
    tables = write_tables(3, department=other_department)
    status, out, _ = run("catalogue", "import", *tables, "--keys", keys, "--url", node.url, "--json")
    assert (status, out["done"], out["without_key"]) == (1, 0, {other_department: 5})


def test_a_row_that_only_the_ledger_refuses_is_found_among_those_of_its_call(
    run: Run,
    node: StandInNode,
    chain: HandMadeChain,
    keys: Path,
    write_tables: WriteTables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables = write_tables(6)
    take = node.take
    gone: list[bytes] = []

    def withdraw_meanwhile(raw: bytes) -> dict[str, Any]:
        if not gone and load_resource(chain.state, "307013301/000004") is not None:
            gone.append(raw)
            chain.call(chain.clerk, "catalogue", "withdraw", code="307013301/000004", reason="停用")
        return take(raw)

    run("catalogue", "import", *tables, "--keys", keys, "--url", node.url)
    for number in range(1, 7):
        rewrite(tables[2], f"登记信息{number}", f"登记结果{number}")
    monkeypatch.setattr(node, "take", withdraw_meanwhile)
    status, out, _ = run("catalogue", "import", *tables, "--keys", keys, "--url", node.url, "--json")
    assert (status, counts(out, "changed", "done", "faults")) == (1, [6, 5, 1])
    with Path(out["report"]).open(encoding="utf-8-sig", newline="") as file:
        assert [row[3] for row in csv.reader(file)][1:] == ["RESOURCE_WITHDRAWN"]


def test_a_run_that_was_cut_off_is_run_again_and_leaves_nothing_out(
    run: Run,
    node: StandInNode,
    chain: HandMadeChain,
    keys: Path,
    write_tables: WriteTables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables = write_tables(9)
    monkeypatch.setattr(importing, "ENTRIES_PER_CALL", 2)
    monkeypatch.setattr(importing, "CALLS_AT_ONCE", 1)
    arguments = ("catalogue", "import", *tables, "--keys", keys, "--url", node.url, "--json")
    take = node.take
    taken: list[bytes] = []

    def cut_off(raw: bytes) -> dict[str, Any]:
        taken.append(raw)
        if len(taken) > 4:
            raise ConnectionError
        return take(raw)

    monkeypatch.setattr(node, "take", cut_off)
    status, _, error = run(*arguments)
    assert (status, "NODE_UNREACHABLE" in error, "再次运行" in error) == (1, True, True)
    assert load_resource(chain.state, CODE) is not None
    assert load_resource(chain.state, "307013301/000009") is None
    monkeypatch.setattr(node, "take", take)
    status, out, _ = run(*arguments)
    assert (status, out["unchanged"] + out["done"]) == (0, 11)
    for number in range(1, 10):
        record = load_resource(chain.state, f"307013301/{number:06d}")
        assert record is not None
        assert record.version == 1


def test_two_files_do_not_state_the_same_entry(
    run: Run, node: StandInNode, write_tables: WriteTables, tmp_path: Path
) -> None:
    tables = write_tables(2)
    twin = tmp_path / "twin.csv"
    twin.write_bytes(tables[2].read_bytes())
    status, out, _ = run("catalogue", "import", *tables, twin, "--check", "--url", node.url, "--json")
    assert (status, out["faults"]) == (1, 2)


def test_two_tables_are_compared_on_the_command_line(run: Run, write_tables: WriteTables, tmp_path: Path) -> None:
    before = tmp_path / "before.csv"
    before.write_bytes(write_tables(3)[2].read_bytes())
    after = write_tables(4)[2]
    rewrite(after, "登记信息2", "登记结果2")
    status, out, _ = run("catalogue", "diff", before, after, "--json")
    assert (status, counts(out, "added", "removed", "changed")) == (1, [1, 0, 1])
    status, out, _ = run("catalogue", "diff", before, after)
    assert "资源名称：登记信息2 → 登记结果2" in out
    assert run("catalogue", "diff", before, before)[0] == 0


def test_lines_above_the_column_names_are_not_passed_over_without_a_word(run: Run, write_tables: WriteTables) -> None:
    table = write_tables(1)[2]
    titled = table.with_name("titled.csv")
    titled.write_text("登记目录\n填报：示范局\n" + table.read_text("utf-8"), "utf-8")
    status, out, err = run("catalogue", "diff", table, titled, "--json")
    assert (status, out["changes"]) == (0, [])
    assert "titled.csv：列名之上的 2 行未读入" in err
    assert "resources.csv" not in err
