"""The catalogue exported from a node, compared with it, searched and listed from the command line."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.directories import Duty, System
from contracts.data_sharing.resources import IMPORTANT, UNCONDITIONAL, ResourceDescription, ResourceItem
from sdk.data_catalogue.kinds import RESOURCES, Entry
from sdk.data_catalogue.reading import read_table
from sdk.data_catalogue.writing import cells_of
from tests.hand_made_chain import run

__all__ = ["run"]

Run = Callable[..., tuple[int, Any, str]]
SENT = ResourceDescription(
    code="330000001/000004",
    name="抵押登记信息",
    summary="登记结果",
    format="JSON",
    items=(ResourceItem("坐落", "C"),),
    sharing_type=UNCONDITIONAL,
    sharing_basis="",
    sharing_method="接口",
    update_cycle=1,
    data_class=IMPORTANT,
)
"""Sent by its department, and waiting for approval."""


@pytest.fixture(scope="module")
def site(make_world: Callable[[], Any], serve: Callable[..., Any]) -> Any:
    """A world with the three directories of two departments, and a resource that waits for approval."""
    world = make_world()
    for account in ("land", "housing"):
        for contract, method, entries in (
            ("directories", "enter_duties", {"duties": [Duty("D-1", "登记；审核", "《条例》第三条", "", ("受理",))]}),
            ("directories", "enter_systems", {"systems": [System("S-1", "登记系统", "办理", 1, ("D-1",))]}),
        ):
            _, refusal = world.call(account, contract, method, **entries)
            assert refusal is None, refusal
    world.publish("330000001/000001", "不动产登记信息")
    world.publish("330000001/000002", "地籍图")
    world.publish("330000002/000001", "房屋交易合同备案信息", 1, "housing")
    _, refusal = world.call("land", "catalogue", "withdraw", code="330000001/000002", reason="停用")
    assert refusal is None, refusal
    _, refusal = world.call("land", "catalogue", "publish", resource=SENT, replaces=0)
    assert refusal is None, refusal
    return serve(world)


@pytest.mark.parametrize(("kind", "count"), [("duties", 2), ("systems", 2), ("resources", 2)])
@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_what_is_in_force_is_exported_and_nothing_differs_from_it(
    run: Run, site: Any, tmp_path: Path, kind: str, count: int, suffix: str
) -> None:
    out = tmp_path / f"out.{suffix}"
    status, shown, _ = run("catalogue", "export", out, "--kind", kind, "--url", site.url, "--json")
    assert (status, shown["rows"]) == (0, count)
    assert read_table(out).faults == []
    assert run("catalogue", "diff", out, "--url", site.url)[0] == 0
    status, shown, _ = run("catalogue", "import", out, "--check", "--url", site.url, "--json")
    assert (status, shown["unchanged"]) == (0, count)


def test_a_changed_table_shows_its_changes_against_the_ledger(run: Run, site: Any, tmp_path: Path) -> None:
    out = tmp_path / "own.csv"
    department = site.world.land
    assert run("catalogue", "export", out, "--department", department, "--url", site.url)[0] == 0
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["资源代码"] for row in rows] == ["330000001/000001"]
    changed = rows[0] | {"更新周期": "每年"}
    new = rows[0] | {"资源代码": "330000001/000003"}
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(changed))
        writer.writeheader()
        writer.writerows((changed, new))
    status, shown, _ = run("catalogue", "diff", out, "--url", site.url, "--json")
    assert (status, shown["added"], shown["removed"], shown["changed"]) == (1, 1, 0, 1)


def test_what_was_sent_and_waits_for_approval_says_so_where_a_table_is_compared(
    run: Run, site: Any, tmp_path: Path
) -> None:
    out = tmp_path / "own.csv"
    department = site.world.land
    assert run("catalogue", "export", out, "--department", department, "--url", site.url)[0] == 0
    with out.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(cells_of(RESOURCES, Entry(RESOURCES.name, department, SENT)))
    status, shown, _ = run("catalogue", "diff", out, "--url", site.url, "--json")
    assert (status, shown["added"], shown["waiting"]) == (1, 1, 1)
    assert [(one["code"], one["waiting"]) for one in shown["changes"]] == [(SENT.code, "sent")]
    text = run("catalogue", "diff", out, "--url", site.url)[1]
    assert f"＋ {SENT.code}  {SENT.name}（已提交，待审批 / sent, waiting for approval）" in text
    # Something else than the table states waits.
    out.write_text(out.read_text("utf-8-sig").replace(SENT.name, "抵押登记结果"), "utf-8")
    _, shown, _ = run("catalogue", "diff", out, "--url", site.url, "--json")
    assert ([one["waiting"] for one in shown["changes"]], shown["waiting"]) == (["other"], 0)


def test_resources_duties_and_systems_are_found_from_the_command_line(run: Run, site: Any) -> None:
    where = ("--url", site.url, "--json")
    found = run("catalogue", "list", "--search", "登记", *where)[1]["items"]
    assert "330000001/000001" in [one["code"] for one in found]
    assert [one["code"] for one in run("catalogue", "list", "--sharing", "unconditional", *where)[1]["items"]] == [
        "330000002/000001"
    ]
    assert run("catalogue", "list", "--open", *where)[1]["items"] == []
    assert [one["code"] for one in run("catalogue", "list", "--waiting", *where)[1]["items"]] == [SENT.code]
    assert run("catalogue", "list", "--waiting", "--open", "--url", site.url)[0] == 2
    assert len(run("directory", "list", "duties", "--search", "审核", *where)[1]["items"]) == 2
    assert "登记系统" in run("directory", "list", "systems", "--department", site.world.land, "--url", site.url)[1]
    assert run("open-data", "list", *where)[1]["items"] == []
