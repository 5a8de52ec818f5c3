"""What is due and overdue: signed lists for auditors and parties, the clocks of a request, pages and metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.due import load_deadlines
from contracts.data_sharing.sharing import load_request
from contracts.data_sharing.working_days import Calendar, day_of, format_day
from explorer.data_sharing import open_items
from explorer.data_sharing.due_list import due_items
from explorer.data_sharing.open_items import find_open_items, seed_open_items
from explorer.data_sharing.score_matters import NO_REACH
from explorer.index import Index
from explorer.index_tables import METADATA, REQUESTS
from node.stages import StageClock
from sm_crypto.keystore import save_key
from tests.hand_made_chain import run
from verification.days import show_day

__all__ = ["run"]

DAY_MS = 86_400_000
MONDAY = 4
"""Of a day's number by 7: 1970-01-01 was a Thursday."""
RESOURCE = "330000001/000001"


@pytest.fixture(scope="module")
def late(make_world: Callable[[], Any], fill: Callable[[Any], None], serve: Callable[..., Any]) -> Any:
    """A served world in which a request waits for the land bureau, and its grant before for supply, for sixty days."""
    world = make_world()
    fill(world)
    record_terms(world)
    world.asked = ask(world)
    world.make_block([], after_ms=60 * DAY_MS)
    return serve(world)


def record_terms(world: Any) -> None:
    """Record the terms of a city, with a compliance check."""
    terms = [
        ["reply_unconditional", 1],
        ["reply_conditional", 5],
        ["compliance_check", 2],
        ["supply", 20],
        ["correction", 5],
        ["dispute", 20],
        ["recall", 3],
    ]
    recorded = world.call(
        "governor",
        "deadlines",
        "set_terms",
        region="9901",
        name="示范市",
        source="示范市政务数据共享办法",
        from_ms=0,
        terms=terms,
    )
    assert recorded[1] is None


def ask(world: Any) -> bytes:
    """Request data for the district and return the request's id."""
    asked, refusal = world.call(
        "district",
        "sharing",
        "request",
        resource=RESOURCE,
        purpose="核验申请人名下不动产",
        legal_basis="政务数据共享条例",
        items=["权利人"],
        case_types=[],
        rows_per_day=0,
        from_ms=world.ledger.head_time_ms,
        to_ms=world.ledger.head_time_ms + 300 * DAY_MS,
    )
    assert refusal is None
    name: bytes = asked
    return name


def test_auditors_see_all_that_is_overdue(late: Any) -> None:
    found = late.get_signed("auditor", "/api/v1/overdue").json()
    world = late.world
    shown = {(one["kind"], one["department"], one["request"]) for one in found["items"]}
    assert ("reply_conditional", world.land, "0x" + world.asked.hex()) in shown
    assert ("compliance_check", "", "0x" + world.asked.hex()) in shown
    assert ("supply", world.land, "0x" + world.grant.hex()) in shown
    assert found["scope"] == "all"
    assert found["as_of_ms"] == world.ledger.head_time_ms
    assert all(
        one["is_overdue"] and one["days_late"] > 0 and one["due_ms"] < found["as_of_ms"] for one in found["items"]
    )
    assert [one["due_ms"] for one in found["items"]] == sorted(one["due_ms"] for one in found["items"])


@pytest.mark.parametrize("account", ["land", "housing", "district"])
def test_parties_see_their_own(late: Any, account: str) -> None:
    found = late.get_signed(account, "/api/v1/overdue").json()
    department = getattr(late.world, account)
    assert found["scope"] == department
    assert all(department in (one["provider"], one["consumer"], one["department"]) for one in found["items"])
    requests = {one["request"] for one in found["items"]}
    assert ("0x" + late.world.asked.hex() in requests) is (account in ("land", "district"))
    assert ("0x" + late.world.grant.hex() in requests) is (account in ("land", "housing"))


def test_without_a_signature_nothing_is_listed(late: Any) -> None:
    for path in ("/api/v1/overdue", "/api/v1/due"):
        answer = late.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "SIGNATURE_REQUIRED")


def test_lists_are_narrowed_and_paged(late: Any) -> None:
    narrowed = late.get_signed("governor", f"/api/v1/overdue?kind=supply&department={late.world.land}").json()["items"]
    assert narrowed
    assert {one["kind"] for one in narrowed} == {"supply"}
    assert late.get_signed("governor", "/api/v1/overdue?kind=lunch").json()["code"] == "PARAMETER_INVALID"
    whole = late.get_signed("auditor", "/api/v1/due").json()["items"]
    paged: list[Any] = []
    cursor = ""
    while True:
        page = late.get_signed("auditor", f"/api/v1/due?limit=1{cursor}").json()
        paged += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert paged == whole
    assert len(whole) >= 3


def test_a_request_tells_its_deadlines_to_anyone(late: Any) -> None:
    found = late.get(f"/api/v1/requests/{late.world.asked.hex()}/deadlines").json()
    by_kind = {one["kind"]: one for one in found["items"]}
    assert by_kind["compliance_check"]["working_days"] == 2
    # Until the request is checked, both terms run one after the other.
    assert by_kind["reply_conditional"]["working_days"] == 7
    assert by_kind["reply_conditional"]["is_provisional"]
    granted = late.get(f"/api/v1/requests/{late.world.grant.hex()}/deadlines").json()["items"]
    answered = granted[0]
    assert (answered["kind"], answered["is_open"], answered["days_late"]) == ("reply_conditional", False, 0)
    assert late.get(f"/api/v1/requests/{'0' * 64}/deadlines").json()["code"] == "NOT_FOUND"


def test_a_clock_names_the_rule_that_was_in_force_when_it_began(late: Any) -> None:
    city, order = "示范市政务数据共享办法", "政务数据共享条例（国务院令第 809 号"
    for name, governing, other in ((late.world.asked, city, order), (late.world.grant, order, city)):
        found = late.get(f"/api/v1/requests/{name.hex()}/deadlines").json()["items"]
        assert all(one["source"].startswith(governing) for one in found), found
        page = late.get(f"/requests/{name.hex()}").text
        assert (f"期限依据（起算时所行）：{governing}" in page, other in page) == (True, False)


def test_calendar_and_terms_are_told(late: Any) -> None:
    terms = late.get("/api/v1/terms?region=990102").json()
    assert terms["source"] == "示范市政务数据共享办法"
    assert {one["kind"]: one["working_days"] for one in terms["terms"]}["reply_conditional"] == 5
    assert "809" in late.get("/api/v1/terms").json()["source"]
    assert late.get("/api/v1/terms?region=x").json()["code"] == "PARAMETER_INVALID"
    assert late.get("/api/v1/calendars/2031").json()["code"] == "NOT_FOUND"


def test_metrics_count_what_is_overdue(late: Any) -> None:
    lines = late.get("/metrics").text.splitlines()
    figures = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith("govnode_overdue{")
    }
    assert figures[f'govnode_overdue{{department="{late.world.land}",kind="supply"}}'] >= 1
    assert figures['govnode_overdue{department="authority",kind="compliance_check"}'] == 1


def test_a_score_has_what_ran_out_in_its_period_and_began_before_it(late: Any) -> None:
    now_ms = late.world.ledger.head_time_ms
    # Nothing happened since the day of the request and the grant; the answer and the supply ran out.
    days = {"from": show_day(now_ms - 59 * DAY_MS), "to": show_day(now_ms)}
    (scored,) = late.get("/api/v1/contribution", params=days).json()["departments"]
    assert scored["department"] == late.world.land
    assert {line["measure"]: line["count"] for line in scored["lines"] if line["count"]} == {
        "replied_late": 1,
        "supplied_late": 1,
    }
    days = {"from": show_day(now_ms + 150 * DAY_MS), "to": show_day(now_ms + 200 * DAY_MS)}
    assert late.get("/api/v1/contribution", params=days).json()["departments"] == []


def test_the_pages_show_requests_clocks_and_what_is_due(late: Any) -> None:
    world = late.world
    listed = late.get("/requests").text
    assert f'href="/requests/{world.asked.hex()}"' in listed
    assert "核验申请人名下不动产" in listed
    assert world.asked.hex() not in late.get("/requests?state=granted").text
    assert world.asked.hex() not in late.get(f"/requests?department={world.housing}").text
    page = late.get(f"/requests/{world.asked.hex()}").text
    for text in ("办理期限", "超期", "合规性检查", "示范市政务数据共享办法", "待答复", "日历未登记"):
        assert text in page
    assert "仅限核验" in late.get(f"/requests/{world.grant.hex()}").text
    due = late.get("/due?only=overdue").text
    for text in ("待办与超期", f'href="/requests/{world.grant.hex()}"', "数据主管部门", "提供数据"):
        assert text in due
    only_authority = late.get("/due?department=authority").text
    assert world.asked.hex() in only_authority
    assert world.grant.hex() not in only_authority


@pytest.mark.parametrize(
    "path", ["/requests?state=lost", "/requests/xyz", f"/requests/{'0' * 64}", "/due?kind=lunch", "/requests?cursor=!"]
)
def test_what_a_page_cannot_show_it_says(late: Any, path: str) -> None:
    answer = late.get(path, headers={"accept": "text/html"})
    assert answer.status_code in (400, 404, 422)
    assert "<h1>" in answer.text


def test_a_node_that_joins_by_snapshot_lists_the_same(late: Any) -> None:
    engine = sql.create_engine("sqlite://")
    METADATA.create_all(engine)
    world = late.world
    with engine.begin() as connection:
        for name in (world.asked, world.grant):
            row = {
                "id": name,
                "resource": RESOURCE,
                "provider": world.land,
                "consumer": "",
                "state": "",
                "was_granted": 0,
            }
            connection.execute(REQUESTS.insert(), row | NO_REACH)
        seed_open_items(connection, world.ledger.state())
    now_ms = world.ledger.head_time_ms
    seeded = due_items(world.ledger.state(), find_open_items(engine, now_ms).rows, now_ms)
    listed = late.get_signed("auditor", "/api/v1/due").json()["items"]
    names = {"0x" + name.hex() for name in (world.asked, world.grant)}
    assert [(one.deadline.kind, one.deadline.due_ms) for one in seeded] == [
        (one["kind"], one["due_ms"]) for one in listed if one["request"] in names
    ]


def listed_replies(world: Any, engine: sql.Engine) -> dict[bytes, tuple[int, int, int]]:
    """Return since when, how long and until when replies are owed, by an index."""
    now_ms = world.ledger.head_time_ms
    items = due_items(world.ledger.state(), find_open_items(engine, now_ms, kind="reply_conditional").rows, now_ms)
    return {one.request: (one.deadline.start_ms, one.deadline.working_days, one.deadline.due_ms) for one in items}


def test_nodes_list_the_same_when_a_calendar_makes_a_late_check_one_in_time(
    make_world: Callable[[], Any], fill: Any, tmp_path: Path
) -> None:
    world = make_world()
    fill(world)
    record_terms(world)
    follower = Index(world.view, tmp_path / "follower.sqlite", StageClock())
    while day_of(world.ledger.head_time_ms) % 7 != MONDAY:
        world.make_block([], after_ms=DAY_MS)
    monday = day_of(world.ledger.head_time_ms)
    checked, unchecked = ask(world), ask(world)
    world.make_block([], after_ms=3 * DAY_MS)
    assert world.call("governor", "sharing", "check", request=checked, passed=True, note="")[1] is None
    follower.catch_up()
    before = listed_replies(world, follower.engine)
    # A check by Wednesday was in time: this one, on Thursday, is late, and both terms run from Monday.
    assert (day_of(before[checked][0]), before[checked][1]) == (monday, 7)
    days = [(format_day(monday + number), False, "假期") for number in (1, 2)]
    year = int(days[0][0][:4])
    assert world.call("governor", "deadlines", "set_calendar", year=year, source="x", days=days)[1] is None
    follower.catch_up()
    anew = Index(world.view, tmp_path / "anew.sqlite", StageClock())
    anew.catch_up()
    seeded = sql.create_engine("sqlite://")
    METADATA.create_all(seeded)
    with seeded.begin() as connection, anew.engine.connect() as made:
        for row in made.execute(sql.select(REQUESTS)).mappings():
            connection.execute(REQUESTS.insert(), dict(row) | NO_REACH)
        seed_open_items(connection, world.ledger.state())
    after = listed_replies(world, follower.engine)
    # With two holidays it was in time, on the second working day: the reply's own term runs from it.
    assert (day_of(after[checked][0]), after[checked][1]) == (monday + 3, 5)
    assert after == listed_replies(world, anew.engine) == listed_replies(world, seeded)
    for name in (checked, unchecked):
        record = load_request(world.ledger.state(), name)
        assert record is not None
        deadlines = load_deadlines(world.ledger.state(), record)
        (reply,) = [one for one in deadlines if one.kind == "reply_conditional"]
        assert after[name] == (reply.start_ms, reply.working_days, reply.due_ms)
    reaches = []
    for engine in (follower.engine, anew.engine, seeded):
        with engine.connect() as connection:
            reaches.append(connection.execute(sql.select(REQUESTS.c.id, REQUESTS.c.owed_ms)).all())
            chosen = sql.select(open_items.OPEN_ITEMS.c.request).where(open_items.OPEN_ITEMS.c.follows_calendar)
            assert connection.execute(chosen).scalars().all() == [checked], "a calendar rewrites no others"
    assert reaches[0] == reaches[1] == reaches[2]
    follower.stop()
    anew.stop()


def test_what_has_lapsed_hides_nothing_that_is_owed(
    make_world: Callable[[], Any], fill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_items, "MAX_OPEN_ITEMS", 1)
    world = make_world()
    fill(world)
    index = Index(world.view, tmp_path / "explorer.sqlite", StageClock())
    index.catch_up()
    now_ms = world.ledger.head_time_ms
    (supply,) = find_open_items(index.engine, now_ms).rows
    assert supply.lapses_ms > now_ms
    assert [one.kind for one in find_open_items(index.engine, supply.lapses_ms).rows] == ["supply"]
    later = {**supply._mapping, "number": 1, "start_ms": supply.start_ms + 1, "lapses_ms": 0}
    with index.engine.begin() as connection:
        connection.execute(open_items.OPEN_ITEMS.insert(), later)
    # The list has room for one: of the two that began, the one that is still owed.
    assert [one.number for one in find_open_items(index.engine, supply.lapses_ms + 1).rows] == [1]
    world.make_block([], after_ms=supply.lapses_ms + 1 - now_ms)
    index.catch_up()
    with index.engine.connect() as connection:
        rows = connection.execute(sql.select(open_items.OPEN_ITEMS.c.number)).scalars().all()
    index.stop()
    assert rows == [1], "what has lapsed is kept no longer"


def test_many_requests_of_one_consumer_hide_nobody_else_s(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = sql.create_engine("sqlite://")
    METADATA.create_all(engine)
    monkeypatch.setattr(open_items, "MAX_OPEN_ITEMS", 3)
    item: dict[str, Any] = {
        "kind": "reply_conditional",
        "department": "provider",
        "resource": RESOURCE,
        "provider": "provider",
    }
    item |= {"number": 0, "working_days": 10, "lapses_ms": 0, "follows_calendar": 0}
    asked = [("flooder", start_ms) for start_ms in range(1, 8)] + [("honest", 90), ("honest", 91), ("late", 99)]
    with engine.begin() as connection:
        for number, (consumer, start_ms) in enumerate(asked):
            row = item | {"request": bytes([number]), "consumer": consumer, "start_ms": start_ms}
            connection.execute(open_items.OPEN_ITEMS.insert(), row)
    found = find_open_items(engine, 100, department="provider")
    assert found.is_cut
    assert [(row.consumer, row.start_ms) for row in found.rows] == [("flooder", 1), ("honest", 90), ("late", 99)]


def test_a_list_that_is_cut_says_so_and_what_is_asked_for_is_not_cut_by_the_rest(
    late: Any, run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = late.get_signed("auditor", "/api/v1/due").json()
    metric = [line for line in late.get("/metrics").text.splitlines() if line.startswith("govnode_overdue{")]
    assert (whole["is_cut"], "未办结的多于" in late.get("/due").text) == (False, False)
    monkeypatch.setattr(open_items, "MAX_OPEN_ITEMS", 1)
    cut = late.get_signed("auditor", "/api/v1/due").json()
    assert (cut["is_cut"], len(cut["items"])) == (True, 1)
    assert "未办结的多于" in late.get("/due").text
    # Each kind and each department that has to act has its own list, whatever else is open.
    for one in {one["kind"]: one for one in whole["items"]}.values():
        asked = f"/api/v1/due?kind={one['kind']}"
        of_kind = [other["request"] for other in whole["items"] if other["kind"] == one["kind"]]
        found = late.get_signed("governor", asked).json()
        assert (found["is_cut"], len(found["items"])) == (len(of_kind) > 1, 1), asked
    assert late.world.asked.hex() in late.get("/due?department=authority").text
    # What is counted is not cut.
    assert [line for line in late.get("/metrics").text.splitlines() if line.startswith("govnode_overdue{")] == metric
    assert len(metric) >= 3
    signed = signed_by(late, tmp_path, "auditor")
    status, text, _ = run("share", "due", *signed)
    assert (status, "--kind 缩小范围" in text) == (3, True)
    out = run("share", "due", *signed, "--json")[1]
    assert (out["is_cut"], out["has_more"]) == (True, False)
    # What is left out may be overdue, though nothing listed is.
    monkeypatch.setattr(open_items, "MAX_OPEN_ITEMS", 0)
    status, text, _ = run("share", "due", "--overdue", *signed)
    assert (status, "列入的没有超期" in text, "缩小范围" in text) == (3, True, True)
    monkeypatch.undo()
    status, text, _ = run("share", "due", "--limit", "1", *signed)
    assert (status, "--limit 可多列" in text, "缩小范围" in text) == (3, True, False)


def signed_by(site: Any, folder: Path, account: str) -> list[Any]:
    """Return the options with which a command signs as an account of the served world."""
    key, password = folder / f"{account}.key", folder / "password"
    save_key(key, site.world.keys[account], b"password", iterations=1_000)
    password.touch(mode=0o600)
    password.write_text("password\n")
    return ["--url", site.url, "--key", key, "--password-file", password]


def is_working_day(time_ms: int) -> bool:
    return Calendar().is_working_day(day_of(time_ms))


def test_what_is_due_today_or_since_a_day_off_is_said_so(make_world: Callable[[], Any], fill: Any, serve: Any) -> None:
    world = make_world()
    fill(world)
    site = serve(world)
    (owed,) = site.get_signed("auditor", "/api/v1/due").json()["items"]
    # The day after the last one counts for one, if it is a working day.
    after = int(is_working_day(owed["due_ms"] + 1))
    for after_ms, is_overdue, late in ((0, False, 0), (1, True, after)):
        world.make_block([], after_ms=owed["due_ms"] + after_ms - world.ledger.head_time_ms)
        (item,) = site.get_signed("auditor", "/api/v1/due").json()["items"]
        assert (item["days_left"], item["is_overdue"], item["days_late"]) == (0, is_overdue, late)
        text = "今天到期" if not is_overdue else "超期 1 个工作日" if late else "已超期"
        assert text in site.get("/due").text


def check_renewal(site: Any, run: Callable[..., Any]) -> None:
    """Renew the grant of a world, which is supplied: its conditions are seen by who has to answer, its supply goes on."""
    world = site.world
    to_ms = world.ledger.head_time_ms + 10**12
    renewal, refusal = world.call("housing", "sharing", "renew", request=world.grant, to_ms=to_ms)
    assert refusal is None
    shown = ("share", "show", renewal.hex(), "--url", site.url)
    _, out, _ = run(*shown)
    before = "所续授权的条件 / renewed note"
    assert (before in out, "仅限核验" in out, "开始提供" in out) == (True, True, False)
    assert "仅限核验" in site.get(f"/requests/{renewal.hex()}").text
    assert world.call("land", "sharing", "grant", request=renewal, conditions=Conditions(), to_ms=to_ms)[1] is None
    _, out, _ = run(*shown)
    steps = ["待答复 / waiting", "已授权 / granted", "沿用所续授权的提供，始于"]
    course = out[out.index("有效 / in force") :]
    assert sorted(steps, key=course.index) == steps
    assert (before in out, "开始提供数据" in out) == (False, False)
    page = site.get(f"/requests/{renewal.hex()}").text
    assert ("沿用所续授权的提供" in page, "仅限核验" in page) == (True, False)


def test_an_answer_ends_what_was_due(
    make_world: Callable[[], Any], fill: Callable[[Any], None], serve: Any, run: Callable[..., Any]
) -> None:
    world = make_world()
    fill(world)
    site = serve(world)
    kinds = {one["kind"] for one in site.get_signed("auditor", "/api/v1/due").json()["items"]}
    assert kinds == {"supply"}
    assert world.call("land", "sharing", "start_supply", request=world.grant)[1] is None
    assert site.get_signed("auditor", "/api/v1/due").json()["items"] == []
    assert (
        world.call(
            "housing",
            "sharing",
            "ask_correction",
            request=world.grant,
            item="权利人",
            claim="姓名有误",
            evidence=bytes(32),
        )[1]
        is None
    )
    (item,) = site.get_signed("housing", "/api/v1/due").json()["items"]
    assert (item["kind"], item["number"], item["department"], item["is_overdue"]) == (
        "correction",
        1,
        world.land,
        False,
    )
    assert "姓名有误" in site.get(f"/requests/{world.grant.hex()}").text
    assert (
        world.call("land", "sharing", "answer_correction", request=world.grant, number=1, outcome=1, answer="已改")[1]
        is None
    )
    assert site.get_signed("housing", "/api/v1/due").json()["items"] == []
    day = show_day(world.ledger.head_time_ms)
    scored = site.get("/api/v1/contribution", params={"from": day, "to": day}).json()["departments"]
    counts = {line["measure"]: line["count"] for one in scored for line in one["lines"] if line["count"]}
    assert (counts["corrected_on_time"], counts["errors_reported"]) == (1, 1)
    check_renewal(site, run)


def test_due_items_are_listed_from_the_command_line(run: Callable[..., Any], late: Any, tmp_path: Path) -> None:
    signed = signed_by(late, tmp_path, "land")
    status, text, _ = run("share", "due", *signed)
    assert status == 3
    for word in ("合规性检查", "提供数据", "超期", late.world.asked.hex(), "数据主管部门"):
        assert word in text
    status, out, _ = run("share", "due", "--mine", "--overdue", "--kind", "supply", *signed, "--json")
    assert (status, {one["department"] for one in out["items"]}) == (3, {late.world.land})
    status, text, _ = run("share", "clocks", late.world.grant.hex(), "--url", late.url)
    assert (status, "按期办结" in text, "超期" in text) == (0, True, True)
    status, text, _ = run("share", "due", "--overdue", "--kind", "recall", *signed)
    assert (status, "没有超期" in text) == (0, True)
    assert "HEX_INVALID" in run("share", "clocks", "12", "--url", late.url)[2]
