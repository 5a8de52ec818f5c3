"""The catalogue over REST and on its pages: found by words, filters and links; versions, what waits, reviews, directories, open data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sql

from contracts.data_sharing.directories import Duty, System
from contracts.data_sharing.resources import ResourceDescription, ResourceItem, description_digest
from explorer.data_sharing.catalogue_queries import find_resources
from explorer.data_sharing.catalogue_tables import (
    DATASETS,
    ENTRIES,
    LINKS,
    RESOURCE_TEXTS,
    RESOURCES,
    REVIEWS,
    WAITING,
)
from explorer.index import Index
from explorer.index_seed import seed_index
from explorer.index_tables import METADATA
from node.chain.transaction import address_of
from node.stages import StageClock
from sm_crypto.sm3 import sm3

POPULATION = "101001001/000001"
SCHOOLS = "305001001/000001"
RETURNED = "207001001/000001"
CORE = "305001001/000009"


def described(code: str, name: str, summary: str = "摘要", **changes: Any) -> ResourceDescription:
    fields: dict[str, Any] = {
        "code": code,
        "name": name,
        "summary": summary,
        "format": "JSON",
        "items": (ResourceItem("姓名", "C"), ResourceItem("出生日期", "D")),
        "sharing_type": 2,
        "sharing_basis": "依职责申请",
        "sharing_method": "接口",
        "update_cycle": 2,
        "data_class": 3,
    }
    return ResourceDescription(**(fields | changes))


@pytest.fixture(scope="module")
def town(make_world: Callable[[], Any], serve: Callable[..., Any]) -> Any:
    """A served world with a small directory chain, versions, a waiting one, a review and an open dataset."""
    world = make_world()

    def call(account: str, contract: str, method: str, /, **arguments: Any) -> None:
        _, refusal = world.call(account, contract, method, **arguments)
        assert refusal is None, refusal

    call("land", "directories", "enter_duties", duties=[Duty("ZZ-1", "人口统计", "户口登记条例", "统计处", ("普查",))])
    call("land", "directories", "enter_systems", systems=[System("XT-1", "人口信息系统", "采集与核对", 1, ("ZZ-1",))])
    call("housing", "directories", "enter_duties", duties=[Duty("ZZ-1", "学籍管理", "义务教育法")])
    first = described(POPULATION, "常住人口基础信息", library="base-population", duties=("ZZ-1",), systems=("XT-1",))
    call("land", "catalogue", "publish", resource=first, replaces=0)
    changed = described(
        POPULATION,
        "常住人口基础信息",
        sharing_type=1,
        sharing_basis="",
        items=(ResourceItem("姓名", "C"), ResourceItem("户籍地址", "C")),
        library="base-population",
        duties=("ZZ-1",),
        systems=("XT-1",),
        is_open=True,
    )
    call("land", "catalogue", "publish", resource=changed, replaces=1)
    schools = described(
        SCHOOLS, "中小学学籍", "含学生常住人口核验结果，ＡＰＩ 提供", related=(POPULATION,), duties=("ZZ-1",)
    )
    returned = described(RETURNED, "婚姻登记", source_level="national", source_body="民政部", source_code="MZ-7")
    call("housing", "catalogue", "publish_many", resources=[schools, returned], replaces=[0, 0])
    world.core = described(CORE, "重点人员名录", data_class=1)
    call("housing", "catalogue", "publish", resource=world.core, replaces=0)
    call("housing", "catalogue", "review", code=POPULATION, version=2, score=80, finding="地址有空值")
    call("land", "catalogue", "reply_to_review", code=POPULATION, version=2, department=world.housing, reply="已补录")
    call("land", "open_data", "propose", resource=POPULATION, items=["户籍地址"], format="CSV", terms="按区汇总后开放")
    call("governor", "open_data", "clear", resource=POPULATION, reason="已脱敏")
    released = {"place": "https://data.example/p.csv", "digest": sm3(b"p"), "size_bytes": 1, "rows": 9}
    call("land", "open_data", "release", resource=POPULATION, **released)
    now_ms = world.ledger.head_time_ms
    report = {"number": 1, "from_ms": now_ms - 1_000, "to_ms": now_ms, "downloads": 12}
    call("land", "open_data", "report_downloads", resource=POPULATION, **report)
    return serve(world)


def codes(site: Any, path: str = "/api/v1/catalogue", **query: Any) -> list[str]:
    answer = site.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [item["code"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("人口", [POPULATION, SCHOOLS]),
        ("籍", [SCHOOLS, POPULATION]),
        ("常住人口 基础", [POPULATION]),
        ("户籍地址", [POPULATION]),
        ("出生日期", [RETURNED, SCHOOLS]),
        ("出生地点", []),
        ("api", [SCHOOLS]),
        ("101001", [POPULATION]),
        ("民政部", [RETURNED]),
        ("population", [POPULATION]),
        ('"人口" OR *', []),
        ("head : 人", []),
        ("%", []),
        ("\u3000", [RETURNED, SCHOOLS, POPULATION]),
    ],
)
def test_words_are_found_anywhere_those_of_names_first(town: Any, words: str, found: list[str]) -> None:
    assert codes(town, q=words) == found


def test_what_a_version_no_longer_says_is_not_found(town: Any) -> None:
    assert POPULATION not in codes(town, q="出生日期")
    assert POPULATION in codes(town, q="户籍地址")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"library": "base-population"}, [POPULATION]),
        ({"source_level": "national"}, [RETURNED]),
        ({"is_open": True}, [POPULATION]),
        ({"is_open": False, "q": "人口"}, [SCHOOLS]),
        ({"sharing_type": 1}, [POPULATION]),
        ({"data_class": 1}, []),
        ({"code_prefix": "305"}, [SCHOOLS]),
        ({"is_withdrawn": True}, []),
        ({"duty": "ZZ-1"}, [SCHOOLS, POPULATION]),
        ({"duty": "ZZ-1", "system": "XT-1", "q": "人口"}, [POPULATION]),
        ({"system": "ZZ-1"}, []),
    ],
)
def test_filters_narrow_the_catalogue(town: Any, filters: dict[str, Any], found: list[str]) -> None:
    assert codes(town, **filters) == found


def test_pages_follow_one_another_from_names_to_the_rest(town: Any) -> None:
    seen, cursor = [], None
    for _ in range(5):
        answer = town.get(
            "/api/v1/catalogue", params={"q": "人口", "limit": 1} | ({"cursor": cursor} if cursor else {})
        )
        page = answer.json()
        seen += [item["code"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [POPULATION, SCHOOLS]


def test_one_resource_comes_with_its_words_and_versions(town: Any) -> None:
    one = town.get(f"/api/v1/catalogue/{POPULATION}").json()
    assert (one["version"], one["library_text"]["zh"], one["review_count"], one["score_total"]) == (2, "人口", 1, 80)
    assert one["duties"] == ["ZZ-1"]
    versions = town.get("/api/v1/resource-versions", params={"resource": POPULATION, "limit": 1}).json()
    assert [item["version"] for item in versions["items"]] == [2]
    older = {"resource": POPULATION, "cursor": versions["next_cursor"]}
    rest = town.get("/api/v1/resource-versions", params=older).json()
    assert [item["version"] for item in rest["items"]] == [1]
    assert rest["next_cursor"] is None


def test_two_versions_are_compared_field_by_field(town: Any) -> None:
    query = {"resource": POPULATION, "from_version": 1, "to_version": 2}
    changed = {one["field"]: one for one in town.get("/api/v1/resource-changes", params=query).json()["changes"]}
    assert set(changed) == {"sharing_type", "sharing_basis", "items", "is_open"}
    assert (changed["items"]["before"]["zh"], changed["items"]["after"]["zh"]) == ("出生日期:D", "户籍地址:C")
    assert changed["sharing_type"]["after"] == {"zh": "无条件共享", "en": "unconditional"}
    for wrong in ({"to_version": 3}, {"to_version": 0}, {"resource": "1/1"}):
        assert town.get("/api/v1/resource-changes", params=query | wrong).status_code == 404


def test_what_waits_is_listed_until_it_is_approved(town: Any) -> None:
    path = "/api/v1/resource-proposals"
    (waiting,) = town.get(path).json()["items"]
    assert (waiting["code"], waiting["needed"], waiting["replaces"]) == (CORE, ["approver", "governor"], 0)
    assert waiting["digest"] == "0x" + description_digest(town.world.core).hex()
    assert codes(town, q="重点人员") == []
    named = {"code": CORE, "digest": description_digest(town.world.core)}
    assert town.world.call("governor", "catalogue", "approve", **named)[1] is None
    assert town.get(path).json()["items"][0]["needed"] == ["approver"]
    assert town.get("/catalogue/waiting").text.count(CORE) >= 1
    rejected = town.world.call("housing", "catalogue", "reject", **named, reason="改报一般数据")
    assert rejected[1] is None
    assert town.get(path).json()["items"] == []


def test_reviews_are_listed_by_resource_reviewer_and_provider(town: Any) -> None:
    for query in ({"resource": POPULATION}, {"department": town.world.housing}, {"provider": town.world.land}):
        (review,) = town.get("/api/v1/resource-reviews", params=query).json()["items"]
        assert (review["score"], review["reply"], review["department_name"]) == (80, "已补录", "示范市住房和城乡建设局")
    assert town.get("/api/v1/resource-reviews", params={"provider": town.world.housing}).json()["items"] == []


def test_duties_and_systems_lead_to_what_comes_from_them(town: Any) -> None:
    assert codes(town, "/api/v1/duties", q="人口") == ["ZZ-1"]
    assert len(codes(town, "/api/v1/duties")) == 2
    assert codes(town, "/api/v1/systems", q="xt-1") == ["XT-1"]
    assert codes(town, "/api/v1/systems", department=town.world.housing) == []
    land = town.world.land
    duty = town.get(f"/api/v1/duties/{land}/ZZ-1").json()
    assert (duty["of_systems"], duty["of_resources"]) == (["XT-1"], [POPULATION])
    assert town.get(f"/api/v1/duties/{town.world.housing}/ZZ-1").json()["of_resources"] == [SCHOOLS]
    system = town.get(f"/api/v1/systems/{land}/XT-1").json()
    assert (system["network_text"]["zh"], system["of_resources"]) == ("政务外网", [POPULATION])
    assert town.get(f"/api/v1/systems/{land}/XT-9").status_code == 404


def test_open_data_shows_its_course_releases_and_downloads(town: Any) -> None:
    one = town.get(f"/api/v1/open-data/{POPULATION}").json()
    assert (one["state"], one["downloads"], one["release"]["digest"]) == ("published", 12, "0x" + sm3(b"p").hex())
    assert [step["state"] for step in one["history"]] == ["proposed", "cleared", "published"]
    listed = town.get("/api/v1/open-data", params={"state": "published"}).json()["items"]
    assert [item["resource"] for item in listed] == [POPULATION]
    assert town.get("/api/v1/open-data", params={"state": "declined"}).json()["items"] == []
    for path, count in (("open-data-releases", 1), ("open-data-reports", 1)):
        assert len(town.get(f"/api/v1/{path}", params={"resource": POPULATION}).json()["items"]) == count
        assert town.get(f"/api/v1/{path}", params={"resource": SCHOOLS}).status_code == 404


def test_the_summary_counts_what_there_is(town: Any) -> None:
    counted = town.get("/api/v1/catalogue-summary").json()
    assert counted["total"] == 3
    assert {one["value"]: one["count"] for one in counted["department"]} == {town.world.land: 1, town.world.housing: 2}
    assert [one["text"]["zh"] for one in counted["source_level"]] == ["国家部委回流"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/catalogue?q=人口&library=base-population", ["常住人口基础信息"]),
        (
            f"/catalogue/resource?code={POPULATION}",
            ["80.0 / 100", "地址有空值", "已补录", "户籍地址:C", SCHOOLS, "XT-1"],
        ),
        (f"/catalogue/resource?code={RETURNED}", ["国家部委回流", "民政部", "还没有部门申请"]),
        ("/catalogue/waiting", ["重要数据须本部门另一审批账户同意"]),
        ("/catalogue/duties?q=人口", ["户口登记条例"]),
        ("/catalogue/systems", ["政务外网"]),
        ("/catalogue/open-data?state=published", ["已开放", "常住人口基础信息"]),
        (f"/catalogue/dataset?code={POPULATION}", ["按区汇总后开放", "已脱敏", "https://data.example/p.csv"]),
    ],
)
def test_pages_show_it(town: Any, path: str, words: list[str]) -> None:
    page = town.get(path, headers={"accept": "text/html"})
    assert page.status_code == 200
    for word in words:
        assert word in page.text


def test_pages_of_entries_show_their_links(town: Any) -> None:
    land = town.world.land
    duty = town.get(f"/catalogue/duties/{land}/ZZ-1").text
    assert f"/catalogue/systems/{land}/XT-1" in duty
    assert POPULATION in town.get(f"/catalogue/systems/{land}/XT-1").text


def test_faulty_questions_are_named(town: Any) -> None:
    page = {"accept": "text/html"}
    for path in ("/catalogue/resource?code=1/1", "/catalogue/duties/x/y", "/catalogue/dataset?code=1/1"):
        assert town.get(path, headers=page).status_code == 404
    assert town.get("/catalogue/open-data?state=x", headers=page).status_code == 400
    assert "参数 data_class" in town.get("/catalogue?data_class=7").text
    answer: httpx.Response = town.get("/api/v1/catalogue?code_prefix=x")
    assert answer.json()["code"] == "PARAMETER_INVALID"


def test_a_withdrawn_resource_says_so_and_why(town: Any) -> None:
    gone = described("305001001/000077", "撤回的资源")
    world = town.world
    assert world.call("housing", "catalogue", "publish", resource=gone, replaces=0)[1] is None
    assert world.call("housing", "catalogue", "withdraw", code=gone.code, reason="职责划转")[1] is None
    assert codes(town, is_withdrawn=True) == [gone.code]
    page = town.get(f"/catalogue/resource?code={gone.code}").text
    assert "职责划转" in page
    assert address_of(world.keys["housing"].public_key).hex()[:4] in page


def test_an_index_made_from_the_state_is_as_one_that_followed_the_blocks(town: Any, tmp_path: Path) -> None:
    """As a node that began from a snapshot makes its own."""
    view: Any = town.world.view
    followed = Index(view, tmp_path / "followed.sqlite", StageClock())
    followed.catch_up()
    seeded = sql.create_engine(f"sqlite:///{tmp_path / 'seeded.sqlite'}")
    with seeded.begin() as connection:
        METADATA.create_all(connection)
        seed_index(connection, town.world.ledger.pinned_state()[1], lambda: False)
    for table in (RESOURCES, RESOURCE_TEXTS, LINKS, ENTRIES, WAITING, REVIEWS, DATASETS):
        shown = [column for column in table.columns if column.name != "sequence"]
        rows = []
        for engine in (followed.engine, seeded):
            with engine.connect() as connection:
                rows.append(sorted(tuple(row) for row in connection.execute(sql.select(*shown))))
        assert rows[0] == rows[1], table.name
        assert rows[0] or table is WAITING
    for words in ("人口", "籍", "出生日期"):
        found = [
            {row.code for row in find_resources(engine, None, 50, text=words)} for engine in (followed.engine, seeded)
        ]
        assert found[0] == found[1]
    followed.stop()
    seeded.dispose()
