"""Open data: proposed, reviewed, released, stopped, and downloads reported without a gap."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.data_sharing.datasets import MAX_STEPS, STEPS_OF_PROPOSAL, load_dataset
from contracts.data_sharing.open_data import load_release, load_report
from contracts.data_sharing.resources import ResourceItem
from contracts.registry import decode_log
from sm_crypto.sm3 import sm3
from verification.days import show_moment

DAY_MS = 86_400_000


@pytest.fixture
def code(bench: Any) -> str:
    bench.accept(bench.governor, "members", "set_roles", account=bench.recorder.address, roles=["recorder"])
    found: str = bench.publish(is_open=True)
    return found


def propose(bench: Any, code: str, **changes: Any) -> None:
    said = {"resource": code, "items": ["面积"], "format": "CSV", "terms": "注明来源"} | changes
    bench.accept(bench.publisher, "open_data", "propose", **said)


def release(bench: Any, code: str, content: bytes = b"rows") -> None:
    said = {"resource": code, "place": "https://data.example/area.csv", "digest": sm3(content)}
    bench.accept(bench.publisher, "open_data", "release", **said, size_bytes=len(content), rows=2)


def test_a_dataset_is_proposed_reviewed_released_and_stopped(bench: Any, code: str) -> None:
    propose(bench, code)
    said = {"resource": code, "place": "https://data.example/a.csv", "digest": sm3(b"a"), "size_bytes": 1, "rows": 1}
    bench.refuse("DATASET_STATE", bench.publisher, "open_data", "release", **said)
    bench.refuse("ROLE_MISSING", bench.approver, "open_data", "clear", resource=code, reason="")
    bench.accept(bench.governor, "open_data", "clear", resource=code, reason="")
    bench.refuse("DATASET_STATE", bench.governor, "open_data", "decline", resource=code, reason="迟")
    bench.refuse("DIGEST_ZERO", bench.publisher, "open_data", "release", **said | {"digest": bytes(32)})
    release(bench, code)
    release(bench, code, b"more rows")
    record = bench.view("open_data", "dataset", resource=code)
    assert [step.state for step in record.history] == ["proposed", "cleared", "published"]
    assert (record.release.number, record.release.digest) == (2, sm3(b"more rows"))
    first = load_release(bench.state, code, 1)
    assert first is not None
    assert first.digest == sm3(b"rows")
    bench.accept(bench.governor, "open_data", "stop", resource=code, reason="含可识别信息")
    assert bench.view("open_data", "dataset", resource=code).state == "stopped"
    bench.refuse("DATASET_STATE", bench.publisher, "open_data", "release", **said)
    propose(bench, code, items=[])


def test_what_is_declined_says_why_and_may_be_proposed_anew(bench: Any, code: str) -> None:
    propose(bench, code)
    bench.refuse("TEXT_EMPTY", bench.governor, "open_data", "decline", resource=code, reason="")
    bench.accept(bench.governor, "open_data", "decline", resource=code, reason="粒度过细")
    propose(bench, code, terms="按区汇总")
    record = load_dataset(bench.state, code)
    assert record is not None
    assert [(step.state, step.reason) for step in record.history][1:] == [("declined", "粒度过细"), ("proposed", "")]


def test_only_what_the_catalogue_has_as_open_is_opened(bench: Any) -> None:
    said = {"items": [], "format": "CSV", "terms": "注明来源"}
    closed = bench.publish()
    bench.refuse("RESOURCE_NOT_OPEN", bench.publisher, "open_data", "propose", resource=closed, **said)
    bench.refuse("RESOURCE_UNKNOWN", bench.publisher, "open_data", "propose", resource="307013301/9", **said)
    opened = bench.publish(code="307013301/2", is_open=True)
    unknown = said | {"items": ["身份证号"]}
    bench.refuse("ITEM_UNKNOWN", bench.publisher, "open_data", "propose", resource=opened, **unknown)
    bench.accept(bench.governor, "members", "set_roles", account=bench.other_issuer.address, roles=["publisher"])
    bench.refuse("OTHER_DEPARTMENT", bench.other_issuer, "open_data", "propose", resource=opened, **said)
    propose(bench, opened)
    # What is reviewed is the version that was proposed.
    changed = bench.resource_description(code=opened, is_open=True, summary="改")
    bench.accept(bench.publisher, "catalogue", "publish", resource=changed, replaces=1)
    bench.refuse("VERSION_CHANGED", bench.governor, "open_data", "clear", resource=opened, reason="")
    stop = {"resource": opened, "reason": "目录已改"}
    bench.refuse("OTHER_DEPARTMENT", bench.other_issuer, "open_data", "stop", **stop)
    bench.accept(bench.publisher, "open_data", "stop", **stop)


def test_downloads_are_reported_without_gap_or_overlap(bench: Any, code: str) -> None:
    recorder = bench.provider_recorder
    start = bench.time_ms
    report = {"resource": code, "number": 1, "from_ms": start, "to_ms": start + 1_000, "downloads": 7}
    bench.refuse("DATASET_UNKNOWN", recorder, "open_data", "report_downloads", **report)
    propose(bench, code)
    bench.refuse("DATASET_STATE", recorder, "open_data", "report_downloads", **report)
    bench.accept(bench.governor, "open_data", "clear", resource=code, reason="")
    release(bench, code)
    bench.refuse("OTHER_DEPARTMENT", bench.recorder, "open_data", "report_downloads", **report)
    bench.refuse("REPORT_PERIOD", recorder, "open_data", "report_downloads", **report | {"to_ms": start + DAY_MS})
    bench.accept(recorder, "open_data", "report_downloads", **report)
    assert bench.accept(recorder, "open_data", "report_downloads", **report).logs == ()
    bench.refuse("REPORT_REWRITTEN", recorder, "open_data", "report_downloads", **report | {"downloads": 8})
    following = report | {"number": 2, "from_ms": start + 1_000, "to_ms": start + 2_000}
    bench.refuse("REPORT_GAP", recorder, "open_data", "report_downloads", **following | {"number": 3})
    bench.refuse("REPORT_PERIOD", recorder, "open_data", "report_downloads", **following | {"from_ms": start})
    huge = following | {"downloads": 2**64 - 1}
    bench.refuse("COUNT_TOO_LARGE", recorder, "open_data", "report_downloads", **huge)
    bench.accept(recorder, "open_data", "report_downloads", **following)
    record = bench.view("open_data", "dataset", resource=code)
    assert (record.downloads, record.report_count, record.reported_to_ms) == (14, 2, start + 2_000)
    second = load_report(bench.state, code, 2)
    assert second is not None
    assert second.reporter == recorder.address


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "refusal"),
    [
        (-(2**63), -(2**62), "DATE_OUT_OF_RANGE"),
        (-1_000, 0, "REPORT_PERIOD"),
        (5_000, 5_000, "DATES_REVERSED"),
    ],
)
def test_downloads_are_reported_from_the_first_release_on(
    bench: Any, code: str, from_ms: int, to_ms: int, refusal: str
) -> None:
    propose(bench, code)
    bench.accept(bench.governor, "open_data", "clear", resource=code, reason="")
    release(bench, code)
    said = {"resource": code, "number": 1, "downloads": 1}
    recorder = bench.provider_recorder
    bench.refuse(refusal, recorder, "open_data", "report_downloads", **said, from_ms=from_ms, to_ms=to_ms)
    before = {"from_ms": bench.time_ms - DAY_MS, "to_ms": bench.time_ms}
    refused = bench.refuse("REPORT_PERIOD", recorder, "open_data", "report_downloads", **said, **before)
    assert all(show_moment(before[side]) in refused for side in ("from_ms", "to_ms"))


def test_what_is_opened_can_be_stopped_however_often_it_was_proposed(bench: Any, code: str) -> None:
    proposed = {"resource": code, "items": [], "format": "CSV", "terms": "注明来源"}
    bench.accept(bench.publisher, "open_data", "propose", **proposed)
    bench.accept(bench.governor, "open_data", "clear", resource=code, reason="")
    for _ in range(MAX_STEPS):
        bench.accept(bench.publisher, "open_data", "stop", resource=code, reason="收回")
        if bench.call(bench.publisher, "open_data", "propose", **proposed).refusal is not None:
            break
        if len(bench.view("open_data", "dataset", resource=code).history) > MAX_STEPS - STEPS_OF_PROPOSAL:
            bench.accept(bench.governor, "open_data", "clear", resource=code, reason="")
            release(bench, code)
    bench.refuse("LIST_TOO_LONG", bench.publisher, "open_data", "propose", **proposed)
    assert bench.view("open_data", "dataset", resource=code).state == "stopped"


def test_a_release_is_what_was_reviewed(bench: Any, code: str) -> None:
    propose(bench, code, items=[])
    bench.accept(bench.governor, "open_data", "clear", resource=code, reason="")
    release(bench, code)
    said = {"resource": code, "place": "https://data.example/a.csv", "digest": sm3(b"a"), "size_bytes": 1, "rows": 1}
    reworded = bench.resource_description(is_open=True, summary="改")
    bench.accept(bench.publisher, "catalogue", "publish", resource=reworded, replaces=1)
    release(bench, code, b"more rows")
    wider = bench.resource_description(
        is_open=True, items=(*bench.resource_description().items, ResourceItem("身份证号", "C"))
    )
    bench.accept(bench.publisher, "catalogue", "publish", resource=wider, replaces=2)
    bench.refuse("VERSION_CHANGED", bench.publisher, "open_data", "release", **said)
    bench.accept(bench.publisher, "open_data", "stop", resource=code, reason="目录已改")
    propose(bench, code, items=["面积"])
    bench.accept(bench.governor, "open_data", "clear", resource=code, reason="")
    release(bench, code)
    without = bench.resource_description(is_open=True, items=(ResourceItem("身份证号", "C"),))
    bench.accept(bench.publisher, "catalogue", "publish", resource=without, replaces=3)
    bench.refuse("VERSION_CHANGED", bench.publisher, "open_data", "release", **said)


def test_what_is_classed_anew_is_released_after_another_review(bench: Any, code: str) -> None:
    opened(bench, code)
    stricter = bench.resource_description(is_open=True, data_class=2)
    bench.accept(bench.publisher, "catalogue", "publish", resource=stricter, replaces=1)
    release(bench, code, b"not in force yet")
    digest = bench.view("catalogue", "proposal", code=code).digest
    bench.accept(bench.approver, "catalogue", "approve", code=code, digest=digest)
    said = {"resource": code, "place": "https://data.example/a.csv", "digest": sm3(b"a"), "size_bytes": 1, "rows": 1}
    bench.refuse("VERSION_CHANGED", bench.publisher, "open_data", "release", **said)
    bench.accept(bench.publisher, "open_data", "stop", resource=code, reason="重新定级")
    opened(bench, code)


def opened(bench: Any, code: str) -> None:
    propose(bench, code)
    bench.accept(bench.governor, "open_data", "clear", resource=code, reason="")
    release(bench, code)


def test_what_is_open_ends_with_its_entry_in_the_catalogue(bench: Any, code: str) -> None:
    opened(bench, code)
    result = bench.accept(bench.publisher, "catalogue", "withdraw", code=code, reason="职责划转")
    record = bench.view("open_data", "dataset", resource=code)
    assert (record.state, record.history[-1].reason) == ("stopped", "职责划转")
    assert [decode_log(log).event for log in result.logs] == ["ResourceWithdrawn", "DatasetChanged"]
    # An entry of which nothing was open ends as before.
    other = bench.publish(code="307013301/2", is_open=True)
    assert len(bench.accept(bench.publisher, "catalogue", "withdraw", code=other, reason="停用").logs) == 1


@pytest.mark.parametrize("data_class", [3, 2])
def test_what_is_open_ends_when_the_entry_no_longer_says_so(bench: Any, code: str, data_class: int) -> None:
    opened(bench, code)
    closed = bench.resource_description(is_open=False, data_class=data_class)
    bench.accept(bench.publisher, "catalogue", "publish", resource=closed, replaces=1)
    if data_class == 2:
        # The version in force is the open one until an approver has agreed.
        assert bench.view("open_data", "dataset", resource=code).state == "published"
        digest = bench.view("catalogue", "proposal", code=code).digest
        bench.accept(bench.approver, "catalogue", "approve", code=code, digest=digest)
    assert bench.view("open_data", "dataset", resource=code).state == "stopped"
    bench.refuse(
        "RESOURCE_NOT_OPEN", bench.publisher, "open_data", "propose", resource=code, items=[], format="CSV", terms="x"
    )
