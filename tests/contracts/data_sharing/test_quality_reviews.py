"""Quality reviews: by another party, once a version, answered once."""

from __future__ import annotations

from typing import Any

from contracts.data_sharing.quality_reviews import load_review


def test_another_department_reviews_and_the_provider_answers(bench: Any) -> None:
    code = bench.publish()
    said = {"code": code, "version": 1, "score": 80, "finding": "面积有空值"}
    bench.refuse("SCORE_OUT_OF_RANGE", bench.requester, "catalogue", "review", **said | {"score": 101})
    bench.refuse("TEXT_EMPTY", bench.requester, "catalogue", "review", **said | {"finding": ""})
    bench.refuse("VERSION_CHANGED", bench.requester, "catalogue", "review", **said | {"version": 2})
    bench.refuse("ROLE_MISSING", bench.recorder, "catalogue", "review", **said)
    bench.accept(bench.requester, "catalogue", "review", **said)
    bench.refuse("REVIEW_EXISTS", bench.requester, "catalogue", "review", **said)
    bench.accept(bench.governor, "catalogue", "review", **said | {"score": 60})
    found = bench.view("catalogue", "resource", code=code)
    assert (found.review_count, found.score_total) == (2, 140)
    answer = {"code": code, "version": 1, "department": bench.tax_bureau, "reply": "已补录"}
    bench.refuse("OTHER_DEPARTMENT", bench.other_approver, "catalogue", "reply_to_review", **answer)
    bench.accept(bench.approver, "catalogue", "reply_to_review", **answer)
    bench.refuse("REPLIED_ALREADY", bench.publisher, "catalogue", "reply_to_review", **answer)
    bench.refuse(
        "REVIEW_UNKNOWN", bench.publisher, "catalogue", "reply_to_review", **answer | {"department": bench.land_bureau}
    )
    review = load_review(bench.state, code, 1, bench.tax_bureau)
    assert review is not None
    assert (review.score, review.reply, review.replied_ms) == (80, "已补录", bench.time_ms)
    assert bench.view("catalogue", "quality_review", code=code, version=1, department=bench.tax_bureau) == review


def test_a_provider_does_not_review_its_own_and_a_new_version_starts_anew(bench: Any) -> None:
    code = bench.publish()
    own = {"code": code, "version": 1, "score": 100, "finding": "很好"}
    bench.accept(bench.governor, "members", "set_roles", account=bench.approver.address, roles=["requester"])
    bench.refuse("OWN_RESOURCE_REVIEWED", bench.approver, "catalogue", "review", **own)
    bench.accept(bench.requester, "catalogue", "review", **own | {"score": 10})
    changed = bench.resource_description(summary="已改进")
    bench.accept(bench.publisher, "catalogue", "publish", resource=changed, replaces=1)
    assert bench.view("catalogue", "resource", code=code).review_count == 0
    assert bench.view("catalogue", "resource_version", code=code, version=1).score_total == 10
    bench.accept(bench.requester, "catalogue", "review", **own | {"version": 2})
    # The review of the version before is still answered.
    answer = {"code": code, "version": 1, "department": bench.tax_bureau, "reply": "版本二已改进"}
    bench.accept(bench.publisher, "catalogue", "reply_to_review", **answer)
