"""Batches in lists and pages, and the history of a certificate by its days and in pages of the ledger."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from contracts.batches import batch_name, leaf_hash, load_batch
from contracts.certificate_records import MAX_RECORD_INTERVALS, PAGE_INTERVALS, CertificateContent
from contracts.fields import MAX_TIME_MS
from contracts.identifiers import parse_identifier
from explorer.index_queries import read_counters
from explorer.manifests import Manifests
from sm_crypto.merkle import merkle_path, merkle_root
from sm_crypto.sm3 import sm3
from verification.days import day_end_ms, day_start_ms, show_day
from verification.proofs import verify_proof
from verification.trust import trust_of_genesis

DAY_MS = 86_400_000
MAX_WAIT_S = 60.0

Found = TypeVar("Found")


class Issued:
    """A batch of three in a world, of which the second was suspended."""

    def __init__(self, world: Any, first: int) -> None:
        self.world = world
        self.identifiers = [world.identifier(str(first + place)) for place in range(3)]
        contents = [CertificateContent(one, sm3(one.encode()), sm3(b"h"), 0, MAX_TIME_MS) for one in self.identifiers]
        leaves = [leaf_hash(content) for content in contents]
        parts = parse_identifier(self.identifiers[0])
        self.manifest = b"".join(map(msgspec.msgpack.encode, contents))
        self.name = batch_name(parts.type_code, parts.issuer_code, parts.serial)
        serials = {"type_code": parts.type_code, "first": parts.serial, "last": str(first + 9), "count": 3}
        digests = {"root": merkle_root(leaves), "manifest_digest": sm3(b"manifest")}
        assert world.call("land", "batches", "issue_batch", **serials, **digests)[1] is None
        member = {"batch": self.name, "position": 1, "content": contents[1], "path": merkle_path(leaves, 1)}
        assert world.call("land", "batches", "admit", **member)[1] is None
        suspended = world.call("land", "certificates", "suspend", identifier=self.identifiers[1], reason="复核")
        assert suspended[1] is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("manifests")


@pytest.fixture(scope="module")
def site(make_world: Callable[[], Any], fill: Callable[[Any], None], serve: Callable[..., Any], folder: Path) -> Any:
    world = make_world()
    fill(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("explorer.services.MANIFEST_FOLDER", str(folder))
        served = serve(world)
        served.get("/")
    return served


@pytest.fixture(scope="module")
def batches(site: Any) -> list[Issued]:
    return [Issued(site.world, first) for first in (4025000001, 4025000101, 4025000201)]


def test_batches_are_listed_in_the_order_of_their_names(site: Any, batches: list[Issued]) -> None:
    first = site.get("/api/v1/batches?limit=2").json()
    rest = site.get("/api/v1/batches", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [item["name"] for item in first["items"] + rest["items"]] == [one.name for one in batches]
    assert rest["next_cursor"] is None
    item = first["items"][0]
    assert (item["count"], item["type_name"], item["issuer"]) == (3, "不动产权证书", site.world.land)


def test_batches_of_a_type_and_an_issuer(site: Any, batches: list[Issued]) -> None:
    kind, issuer = batches[0].name.split(".")[:2]

    def names(**query: str) -> list[str]:
        return [item["name"] for item in site.get("/api/v1/batches", params=query).json()["items"]]

    assert len(names(type_code=kind)) == len(names(type_code=kind, issuer=issuer)) == 3
    assert names(type_code=kind[:-1]) == names(type_code=kind, issuer=site.world.housing) == []
    assert site.get("/api/v1/batches", params={"issuer": issuer}).json()["field"] == "issuer"
    assert site.get("/api/v1/batches", params={"type_code": "x/y"}).json()["field"] == "type_code"


def test_a_batch_and_its_certificates_with_records(site: Any, batches: list[Issued]) -> None:
    shown = site.get(f"/api/v1/batches/{batches[0].name}").json()
    assert (shown["count"], shown["status"], shown["status_text"]["zh"]) == (3, "01", "有效")
    members = site.get(f"/api/v1/batches/{batches[0].name}/members").json()["items"]
    assert [(one["position"], one["identifier"], one["verdict"]) for one in members] == [
        (1, batches[0].identifiers[1], "SUSPENDED")
    ]
    assert site.get("/api/v1/batches/no.such.batch").json()["code"] == "NOT_FOUND"
    assert site.get(f"/api/v1/batches/{batches[0].name}%00/members").json()["code"] == "NOT_FOUND"


def test_the_pages_of_batches(site: Any, batches: list[Issued]) -> None:
    assert f'href="/batches/{batches[2].name}"' in site.get("/batches").text
    page = site.get(f"/batches/{batches[0].name}").text
    for shown in ("已暂停使用", batches[0].identifiers[1], "下载批次记录的离线证明"):
        assert shown in page
    verify = site.get("/verify", params={"identifier": batches[0].identifiers[0]}).text
    assert f'href="/batches/{batches[0].name}"' in verify


def test_certificates_of_batches_are_counted_once(site: Any, batches: list[Issued]) -> None:
    page = site.get("/").text
    # Two of the world's own, and three in each of three batches, of which three have records besides.
    assert "<b>11</b>" in page


def verify(site: Any, identifier: str, **query: Any) -> dict[str, Any]:
    answer = site.get(f"/api/v1/certificates/{identifier}/verification", params=query)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def once(ask: Callable[[], Found], is_there: Callable[[Found], bool]) -> Found:
    """Return the first answer that is what is waited for; a busy machine gets all the time it may need."""
    deadline = time.monotonic() + MAX_WAIT_S
    while not is_there(found := ask()):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def once_read(site: Any, identifier: str) -> dict[str, Any]:
    """Return the verification once a manifest that was put there has been read."""
    return once(lambda: verify(site, identifier), lambda found: found["verdict"] != "IN_BATCH")


def test_with_a_batchs_manifest_an_identifier_is_enough(site: Any, batches: list[Issued], folder: Path) -> None:
    batch = batches[0]
    path = folder / f"{batch.name}.manifest"
    path.write_bytes(batch.manifest[:-1] + b"\0")
    # A file system may give both contents one time.
    os.utime(path, (0, 0))
    assert verify(site, batch.identifiers[0])["verdict"] == "IN_BATCH"
    path.write_bytes(batch.manifest)
    found = once_read(site, batch.identifiers[0])
    assert (found["verdict"], found["statements"][2]["code"]) == ("IN_FORCE", "MEMBER_OF_BATCH")
    assert "清单" in found["statements"][2]["proven_by"]["zh"]
    digest = sm3(batch.identifiers[0].encode()).hex()
    assert verify(site, batch.identifiers[0], document_digest=digest)["statements"][-1]["code"] == "DOCUMENT_MATCHES"
    assert verify(site, batch.identifiers[0], document_digest="00" * 32)["verdict"] == "DOCUMENT_CHANGED"
    # The record of its own outweighs the leaf, and what the list does not have was never issued.
    assert verify(site, batch.identifiers[1])["verdict"] == "SUSPENDED"
    stranger = site.world.identifier("4025000005")
    absent = verify(site, stranger)
    assert (absent["verdict"], absent["statements"][2]["code"]) == ("NOT_ON_LEDGER", "NOT_IN_BATCH")
    listed = site.http.post("/api/v1/verifications", json={"items": [{"identifier": batch.identifiers[2]}]}).json()
    assert listed["items"][0]["verdict"] == "IN_FORCE"
    page = site.get("/verify", params={"identifier": batch.identifiers[0]}).text
    assert f"/api/v1/proofs/members/{batch.identifiers[0]}" in page


def test_manifests_that_are_there_are_read_at_the_start(site: Any, batches: list[Issued], tmp_path: Path) -> None:
    batch = batches[1]
    (tmp_path / f"{batch.name}.manifest").write_bytes(batch.manifest)
    (tmp_path / "1.2.3.manifest").write_bytes(batch.manifest)
    (tmp_path / "没有.manifest").write_bytes(batch.manifest)
    state = site.world.ledger.state()
    manifests = Manifests(tmp_path)
    manifests.start(lambda name: load_batch(state, name))
    record = load_batch(state, batch.name)
    assert record is not None
    listing = once(lambda: manifests.find(record, batch.identifiers[0]), lambda found: found is not None)
    assert listing is not None
    assert listing.member is not None
    assert listing.member.position == 0


def test_a_list_has_no_two_kinds_of_answers_while_a_manifest_is_read(
    site: Any, batches: list[Issued], folder: Path
) -> None:
    batch = batches[1]
    items = {"items": [{"identifier": identifier} for identifier in (site.world.certificate, *batch.identifiers)]}
    (folder / f"{batch.name}.manifest").write_bytes(batch.manifest)
    first = site.http.post("/api/v1/verifications", json=items)
    assert (first.status_code, first.json()["code"]) == (503, "NOT_READY"), "nothing had begun to read it"
    assert batch.name in first.json()["zh"]
    answer = once(lambda: site.http.post("/api/v1/verifications", json=items), lambda found: found.status_code == 200)
    assert "IN_BATCH" not in {item["verdict"] for item in answer.json()["items"]}


def test_a_node_with_the_manifest_proves_its_certificates(site: Any, batches: list[Issued], folder: Path) -> None:
    batch = batches[2]
    target = f"/api/v1/proofs/members/{batch.identifiers[2]}"
    assert site.get(target).status_code == 404
    (folder / f"{batch.name}.manifest").write_bytes(batch.manifest)
    assert once_read(site, batch.identifiers[2])["verdict"] == "IN_FORCE"
    proof = site.get(target).content
    trust = trust_of_genesis(site.world.genesis)
    verdict = verify_proof(proof, None, trust, site.world.ledger.head_time_ms)
    assert (verdict.is_accepted, verdict.code) == (True, "IN_FORCE")
    assert site.get(target, params={"height": 1}).status_code == 404
    assert site.get(f"/api/v1/proofs/members/{site.world.certificate}").status_code == 404


def suspend_and_resume(site: Any, identifier: str, times: int) -> None:
    calls = [
        site.world.sign("land", "certificates", method, identifier=identifier, reason=f"第 {number} 次")
        for number in range(times)
        for method in ("suspend", "resume")
    ]
    for call in calls:
        site.world.make_block([call])


def test_the_whole_history_also_what_left_the_record(site: Any) -> None:
    identifier = site.world.issue("2025700001", b"long history")
    suspend_and_resume(site, identifier, MAX_RECORD_INTERVALS)
    items: list[Any] = []
    query: dict[str, Any] = {"limit": 50}
    while True:
        page = site.get(f"/api/v1/certificates/{identifier}/history", params=query).json()
        items += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert [item["number"] for item in items] == list(range(2 * MAX_RECORD_INTERVALS, -1, -1))
    assert [item["until_ms"] for item in items] == [None, *(item["from_ms"] for item in items[:-1])]
    assert items[0]["status"] == items[-1]["status"] == "01"
    record = site.get(f"/api/v1/certificates/{identifier}").json()
    assert record["page_count"] * PAGE_INTERVALS + len(record["history"]) == len(items)
    shown = site.get(f"/certificates/{identifier}/history").text
    assert "第 63 次" in shown
    assert site.get("/api/v1/certificates/1.2/history").json()["code"] == "PARAMETER_INVALID"
    # A time whose status is in a page.
    old = items[-2]
    found = site.get(f"/api/v1/certificates/{identifier}/verification", params={"at_ms": old["from_ms"]}).json()
    assert (found["verdict"], found["statements"][4]["code"]) == ("SUSPENDED", "SUSPENDED_SINCE")
    assert found["statements"][4]["since_ms"] == old["from_ms"]


def on_day(site: Any, identifier: str, day: str) -> dict[str, Any]:
    return verify(site, identifier, day=day)


def day_code(found: dict[str, Any]) -> str:
    code: str = found["statements"][6]["code"]
    return code


def test_was_it_valid_on_that_day(site: Any) -> None:
    world = site.world
    # Of the block that issues it.
    today = show_day(world.ledger.head_time_ms + 1_000)
    end_ms = day_end_ms(today)
    identifier = world.issue("2025700002", b"day by day", end_ms + DAY_MS)
    found = on_day(site, identifier, "2025-03-03")
    assert (found["verdict"], found["is_valid"], day_code(found)) == (
        *("NOT_YET_ISSUED", False),
        "NOT_IN_FORCE_THAT_DAY",
    )
    # Issued in the course of this day, unless it has just begun.
    found = on_day(site, identifier, today)
    assert (found["verdict"], day_code(found)) == ("PART_OF_DAY", "PART_OF_DAY")
    assert [span["verdict"] for span in found["spans"]] == ["NOT_YET_ISSUED", "IN_FORCE"]
    assert found["spans"][0]["from_ms"] == day_start_ms(today)
    assert found["spans"][1]["to_ms"] == world.ledger.head_time_ms
    assert not found["is_valid"]
    # What has not come is said with that condition.
    tomorrow = on_day(site, identifier, show_day(end_ms + 1))
    assert (tomorrow["verdict"], day_code(tomorrow)) == ("IN_FORCE", "TIME_AHEAD")
    assert on_day(site, identifier, show_day(end_ms + 2 * DAY_MS))["verdict"] == "EXPIRED"
    page = site.get("/verify", params={"identifier": identifier, "day": "2025-03-03"}).text
    assert "所查时间尚未颁发" in page
    assert 'value="2025-03-03"' in page


@pytest.mark.parametrize("query", [{"day": "2025-02-30"}, {"day": "3 March"}, {"day": "2025-03-03", "at_ms": 1}])
def test_a_day_that_is_none(site: Any, query: dict[str, Any]) -> None:
    answer = site.get(f"/api/v1/certificates/{site.world.certificate}/verification", params=query)
    assert (answer.status_code, answer.json()["field"]) == (400, "day")


def test_counters_of_the_index_and_of_a_snapshots_seed_agree(site: Any, batches: list[Issued], tmp_path: Any) -> None:
    from explorer.index import Index
    from explorer.index_seed import seed_index

    followed = Index(site.world.view, tmp_path / "followed.sqlite", site.world.view.stages)
    followed.catch_up()
    seeded = Index(site.world.view, tmp_path / "seeded.sqlite", site.world.view.stages)
    with seeded.engine.begin() as connection:
        seed_index(connection, site.world.ledger.pinned_state()[1], lambda: False)
    assert read_counters(seeded.engine)["certificates"] == read_counters(followed.engine)["certificates"]
