"""Anchors: a digest or a root, once for each department."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import anchors, registry
from sm_crypto.sm3 import sm3

DIGEST = sm3(b"anything")


def test_a_digest_is_anchored_with_who_and_when(bench: Any) -> None:
    result = bench.accept(bench.issuer, "anchors", "anchor", digest=DIGEST, label="会议纪要")
    found = bench.view("anchors", "anchored", digest=DIGEST, department=bench.land_bureau)
    assert (found.label, found.account, found.count, found.anchored_ms) == (
        "会议纪要",
        bench.issuer.address,
        0,
        bench.time_ms,
    )
    assert registry.decode_log(result.logs[0]).fields["digest"] == DIGEST
    assert anchors.load_anchor(bench.state, DIGEST, bench.land_bureau) == found
    assert anchors.ANCHORS.decode(bench.state[anchors.anchor_key(DIGEST, bench.land_bureau)]) == found


def test_a_root_is_anchored_with_its_count(bench: Any) -> None:
    bench.accept(bench.recorder, "anchors", "anchor_root", root=DIGEST, label="批次 1", count=1_000)
    assert bench.view("anchors", "anchored", digest=DIGEST, department=bench.tax_bureau).count == 1_000
    bench.refuse("COUNT_ZERO", bench.recorder, "anchors", "anchor_root", root=sm3(b"x"), label="批次 2", count=0)


def test_each_department_anchors_a_digest_once_and_none_can_be_first_for_another(bench: Any) -> None:
    bench.accept(bench.recorder, "anchors", "anchor", digest=DIGEST, label="一")
    bench.refuse("ANCHOR_EXISTS", bench.recorder, "anchors", "anchor_root", root=DIGEST, label="二", count=3)
    bench.accept(bench.issuer, "anchors", "anchor", digest=DIGEST, label="一")
    assert anchors.load_anchor(bench.state, DIGEST, bench.data_bureau) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"digest": bytes(32)}, "DIGEST_ZERO"), ({"label": ""}, "TEXT_EMPTY"), ({"label": "x" * 129}, "TEXT_TOO_LONG")],
)
def test_faulty_anchors_are_refused(bench: Any, changes: dict[str, Any], code: str) -> None:
    bench.refuse(code, bench.issuer, "anchors", "anchor", **{"digest": DIGEST, "label": "x"} | changes)


def test_only_writing_roles_anchor(bench: Any) -> None:
    for account in (bench.auditor, bench.governor, bench.requester):
        bench.refuse("ROLE_MISSING", account, "anchors", "anchor", digest=DIGEST, label="x")
