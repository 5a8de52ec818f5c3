"""Returned data (回流) as its department and the data authority see it: commands, REST, pages, the metric, and an index from a snapshot."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from contracts.data_sharing.arrival_records import next_due_ms
from contracts.data_sharing.resources import ResourceDescription, ResourceItem
from contracts.data_sharing.working_days import DAY_MS, format_time
from explorer.data_sharing.return_index import RETURNED, STANDING
from explorer.index import Index
from explorer.index_seed import seed_index
from explorer.index_tables import METADATA
from explorer.paging import encode_cursor
from node.stages import StageClock
from sm_crypto.keystore import save_key
from sm_crypto.sm3 import hmac_sm3, sm3
from tests.hand_made_chain import run

__all__ = ["run"]

MARRIAGES, WEATHER, SOCIAL, LIVE = (f"207001001/{number:06d}" for number in range(1, 5))
SECRET = bytes(range(32))
CONTENT = "编号,日期\n1,2026-10-01\n".encode()
MONTHLY, DAILY, REAL_TIME = 4, 2, 1


def described(code: str, cycle: int, level: str = "province", **changes: Any) -> ResourceDescription:
    named = {"source_level": level, "source_body": "省大数据局" if level == "province" else "民政部"} if level else {}
    fields: dict[str, Any] = {
        "code": code,
        "name": f"回流资源{code[-1]}",
        "summary": "摘要",
        "format": "CSV",
        "items": (ResourceItem("编号", "C"),),
        "sharing_type": 2,
        "sharing_basis": "依职责申请",
        "sharing_method": "接口",
        "update_cycle": cycle,
        "data_class": 3,
    }
    return ResourceDescription(**(fields | named | changes))


@pytest.fixture(scope="module")
def town(make_world: Callable[[], Any], serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A served world with four returned resources of which nothing came yet."""
    world = make_world()
    entries = [
        described(MARRIAGES, MONTHLY, "national"),
        described(WEATHER, DAILY),
        described(SOCIAL, MONTHLY),
        described(LIVE, REAL_TIME),
    ]
    # Clients date what they send by the machine's clock.
    world.make_block([], after_ms=time.time_ns() // 1_000_000 - world.ledger.head_time_ms)
    published = world.call("housing", "catalogue", "publish_many", resources=entries, replaces=[0] * 4)
    assert published[1] is None
    world.published_ms = world.ledger.head_time_ms
    world.days_ago = [format_time(world.published_ms - days * DAY_MS)[:10] for days in range(61)]
    folder = tmp_path_factory.mktemp("office")
    (folder / "password").write_bytes(b"return password")
    (folder / "password").chmod(0o600)
    save_key(folder / "housing.json", world.keys["housing"], b"return password", iterations=1_000)
    (folder / "secret.key").write_text(SECRET.hex())
    (folder / "secret.key").chmod(0o600)
    (folder / "came.csv").write_bytes(CONTENT)
    (folder / "other.csv").write_bytes(CONTENT + b"2")
    site = serve(world)
    site.folder = folder
    return site


@pytest.fixture
def catalogue(town: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    """Run `govnode catalogue …` with the node given, and for what is recorded the key."""

    def call(command: str, *arguments: object, is_json: bool = True) -> Any:
        signs = command in {"arrived", "correct-arrival", "void-arrival"}
        key = ("--key", town.folder / "housing.json", "--password-file", town.folder / "password") if signs else ()
        return run("catalogue", command, *arguments, "--url", town.url, *key, *(("--json",) if is_json else ()))

    return call


def overdue(town: Any, **query: Any) -> list[str]:
    answer = town.get("/api/v1/returned-resources", params={"is_overdue": True, **query})
    assert answer.status_code == 200, answer.text
    return [item["resource"] for item in answer.json()["items"]]


def overdue_metric(town: Any) -> str:
    (line,) = (
        line for line in town.get("/metrics").text.splitlines() if line.startswith("govnode_overdue_returned_res")
    )
    assert town.world.housing in line
    return str(line.rpartition(" ")[2])


def test_a_right_arrival_ends_being_overdue_and_a_void_one_does_not(town: Any, catalogue: Callable[..., Any]) -> None:
    ago = town.world.days_ago
    file = ("--file", town.folder / "came.csv", "--holder-secret", town.folder / "secret.key")
    came = (*file, "--from", ago[60], "--to", ago[50], "--rows")

    def done(command: str, *arguments: object) -> str:
        status, shown, err = catalogue(command, *arguments)
        assert status == 0, err
        return str(shown["subject"])

    assert overdue(town) == []
    assert overdue_metric(town) == "0.0"
    assert done("arrived", MARRIAGES, *came, 2, "--batch", "MZ-10", "--arrived", ago[45]) == f"{MARRIAGES} #1"
    assert done("arrived", WEATHER, *came, 2, "--batch", "QX-1", "--arrived", ago[3]) == f"{WEATHER} #1"
    assert overdue(town) == [MARRIAGES, WEATHER]
    assert overdue_metric(town) == "2.0"
    assert overdue(town, source_level="national") == [MARRIAGES]
    assert overdue(town, department=town.world.land) == []
    right = (*came, 1, "--batch", "MZ-10", "--reason", "行数、到达时间误填", "--arrived", ago[0])
    assert done("correct-arrival", MARRIAGES, 1, *right) == f"{MARRIAGES} #1 → #2"
    # Of another resource by mistake: it never came.
    done("arrived", WEATHER, *came, 2, "--batch", "SB-1")
    assert overdue(town) == []
    done("void-arrival", WEATHER, 2, "--reason", "登记到别的资源")
    assert overdue(town) == [WEATHER]
    assert overdue_metric(town) == "1.0"
    # One that came before the newest one is recorded late: the newest counts.
    done("arrived", WEATHER, *came, 2, "--batch", "QX-0", "--arrived", ago[9])
    (daily,) = town.get("/api/v1/returned-resources", params={"resource": WEATHER}).json()["items"]
    assert daily["last_arrival"]["number"] == 1
    # What a correction does not name is as it was.
    done("correct-arrival", WEATHER, 3, *came, 7, "--batch", "QX-0", "--reason", "行数误填")
    newest, former, *_ = town.get("/api/v1/resource-arrivals", params={"resource": WEATHER}).json()["items"]
    assert (newest["rows"], former["rows"]) == (7, 2)
    assert all(newest[name] == former[name] for name in ("arrived_ms", "version", "batch", "digest"))
    status, _, err = catalogue("arrived", WEATHER, *came, 7, "--batch", "QX-0")
    assert (status, json.loads(err)["error"]["code"]) == (1, "ARRIVAL_KNOWN")
    newest, oldest = town.get("/api/v1/resource-arrivals", params={"resource": MARRIAGES}).json()["items"]
    assert (newest["number"], newest["rows"], newest["corrects"], newest["ended_ms"]) == (2, 1, 1, 0)
    assert (oldest["rows"], oldest["corrected_by"], oldest["reason"], oldest["batch"]) == (
        2,
        2,
        "行数、到达时间误填",
        "MZ-10",
    )
    # Nobody who guesses the content can tell: the digest is salted with the department's secret.
    assert newest["digest"] != "0x" + sm3(CONTENT).hex()
    salt = hmac_sm3(SECRET, b"govnode/arrival/1\x00" + MARRIAGES.encode())
    assert newest["digest"] == "0x" + sm3(salt + CONTENT).hex()
    _, _, void, _ = town.get("/api/v1/resource-arrivals", params={"resource": WEATHER}).json()["items"]
    assert (void["corrected_by"], void["reason"], bool(void["ended_ms"])) == (0, "登记到别的资源", True)


def test_the_commands_show_when_data_came_and_is_due(town: Any, catalogue: Callable[..., Any]) -> None:
    status, shown, err = catalogue("show", MARRIAGES)
    assert status == 0, err
    flow = shown["return_flow"]
    assert (flow["state"], flow["last_arrival"]["number"]) == ("waiting", 2)
    assert flow["due_ms"] == next_due_ms(MONTHLY, flow["last_arrival"]["arrived_ms"])
    _, text, _ = catalogue("show", MARRIAGES, is_json=False)
    assert f"{format_time(flow['due_ms'])[:19]} (UTC+8) 未到期 / not due yet" in text
    assert "MZ-10" in text
    _, text, _ = catalogue("show", LIVE, is_json=False)
    assert "无固定周期 / no set time" in text
    assert "尚无 / none yet" in text
    assert "return_flow" not in catalogue("show", MARRIAGES, "--version", 1)[1]
    status, listed, _ = catalogue("returned", "--overdue")
    assert [item["resource"] for item in listed["items"]] == [WEATHER]
    assert status == 3
    assert catalogue("returned", "--level", "national")[0] == 0
    _, listed, _ = catalogue("returned")
    found = {item["resource"]: (item["state"], item["due_ms"]) for item in listed["items"]}
    # What never came is due one cycle after the entry became one of returned data.
    assert found[SOCIAL] == ("waiting", next_due_ms(MONTHLY, town.world.published_ms))
    assert found[LIVE] == ("none", None)
    _, text, _ = catalogue("returned", "--level", "province", is_json=False)
    assert "已逾期 / overdue" in text
    assert MARRIAGES not in text
    file = ("--file", town.folder / "came.csv", "--holder-secret", town.folder / "secret.key")
    _, text, _ = catalogue("arrivals", MARRIAGES, *file, is_json=False)
    assert text.count("即此文件 / this file") == 2
    assert "已由 #2 更正" in text
    assert f"{town.world.days_ago[60]} – {town.world.days_ago[50]}" in text
    _, text, _ = catalogue("arrivals", MARRIAGES, "--file", town.folder / "other.csv", *file[2:], is_json=False)
    assert "this file" not in text


def test_mistakes_are_named(town: Any, catalogue: Callable[..., Any]) -> None:
    ago = town.world.days_ago
    came = ["--file", town.folder / "came.csv", "--rows", 1, "--batch", "1", "--from", ago[60], "--to", ago[50]]
    another = town.folder / f"{town.world.land}.key"
    another.write_text(SECRET.hex())
    another.chmod(0o600)
    secret = ["--holder-secret", town.folder / "secret.key"]
    for arguments, code in (
        ([MARRIAGES, *came], "SECRET_MISSING"),
        ([MARRIAGES, *came, "--holder-secret", another], "SECRET_OF_ANOTHER"),
        (["207001001/999", *came, *secret], "RESOURCE_NOT_RETURNED"),
        ([MARRIAGES, *came, *secret, "--arrived", ago[55]], "ARRIVAL_TIME"),
        ([MARRIAGES, *came, *secret, "--version", 7], "VERSION_UNKNOWN"),
    ):
        status, _, err = catalogue("arrived", *arguments)
        assert (status, json.loads(err)["error"]["code"]) == (1, code)
    status, _, err = catalogue("correct-arrival", MARRIAGES, 1, *came, *secret, "--reason", "误")
    assert (status, json.loads(err)["error"]["code"]) == (1, "ARRIVAL_ENDED")
    for path in (
        "returned-resources?cursor=IjEvMiI",
        "returned-resources?cursor=x",
        f"returned-resources?cursor={encode_cursor('9' * 19 + '/1')}",
        "returned-resources?source_level=x",
    ):
        assert town.get(f"/api/v1/{path}").status_code == 400
    assert town.get("/api/v1/resource-arrivals?resource=1/1").status_code == 404
    for path in ("source=x", "overdue=x"):
        assert town.get(f"/catalogue/returned?{path}", headers={"accept": "text/html"}).status_code == 400


@pytest.mark.parametrize(
    ("path", "query", "name", "found"),
    [
        ("returned-resources", {}, "resource", [WEATHER, MARRIAGES, SOCIAL, LIVE]),
        ("resource-arrivals", {"resource": MARRIAGES}, "number", [2, 1]),
    ],
)
def test_lists_go_on_page_by_page(town: Any, path: str, query: dict[str, Any], name: str, found: list[Any]) -> None:
    seen: list[Any] = []
    cursor: dict[str, str] = {}
    for _ in range(len(found) + 1):
        page = town.get(f"/api/v1/{path}", params={"limit": 1} | query | cursor).json()
        seen += [item[name] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == found


@pytest.mark.parametrize(
    ("path", "words", "absent"),
    [
        ("/catalogue/returned", [MARRIAGES, WEATHER, LIVE, "未到期", "无固定周期", "已逾期", "MZ-10", "民政部"], []),
        ("/catalogue/returned?overdue=true", [WEATHER], [MARRIAGES, SOCIAL, LIVE]),
        ("/catalogue/returned?source=national", [MARRIAGES], [WEATHER]),
        (
            f"/catalogue/resource?code={MARRIAGES}",
            ["未到期", "已由第 2 次更正", "更正第 1 次", "行数、到达时间误填", "MZ-10"],
            [],
        ),
        (f"/catalogue/resource?code={WEATHER}", ["已逾期", "已作废", "登记到别的资源"], []),
        (f"/catalogue/resource?code={SOCIAL}", ["未到期", "尚无有效的到达记录"], ["来源批次"]),
    ],
)
def test_pages_show_it(town: Any, path: str, words: list[str], absent: list[str]) -> None:
    page = town.get(path, headers={"accept": "text/html"})
    assert page.status_code == 200
    for word in words:
        assert word in page.text
    for word in absent:
        assert word not in page.text


def test_an_index_from_a_snapshot_shows_the_same_and_what_ends_is_gone(town: Any, tmp_path: Path) -> None:
    """After an entry changed, one was withdrawn, one is no longer returned."""
    world = town.world

    def call(method: str, /, **arguments: Any) -> None:
        assert world.call("housing", "catalogue", method, **arguments)[1] is None

    # What never came is overdue in its turn; that it is said anew does not begin its term anew.
    world.make_block([], after_ms=40 * DAY_MS)
    call("publish", resource=described(SOCIAL, MONTHLY, summary="改"), replaces=1)
    assert overdue(town) == [WEATHER, MARRIAGES, SOCIAL]
    # By the year from now on.
    call("publish", resource=described(SOCIAL, 6), replaces=2)
    assert overdue(town) == [WEATHER, MARRIAGES]
    call("publish", resource=described(LIVE, REAL_TIME, level=""), replaces=1)
    call("withdraw", code=WEATHER, reason="不再回流")
    assert overdue(town) == [MARRIAGES]
    shown = [item["resource"] for item in town.get("/api/v1/returned-resources").json()["items"]]
    assert shown == [MARRIAGES, SOCIAL]
    followed = Index(world.view, tmp_path / "followed.sqlite", StageClock())
    followed.catch_up()
    seeded = sql.create_engine(f"sqlite:///{tmp_path / 'seeded.sqlite'}")
    with seeded.begin() as connection:
        METADATA.create_all(connection)
        seed_index(connection, world.ledger.pinned_state()[1], lambda: False)
    for table in (RETURNED, STANDING):
        rows = []
        for engine in (followed.engine, seeded):
            with engine.connect() as connection:
                rows.append(sorted(tuple(row) for row in connection.execute(sql.select(table))))
        assert rows[0] == rows[1], table.name
        assert rows[0]
    followed.stop()
    seeded.dispose()
