"""What a contribution score counts, on ledgers on which it was counted by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.contribution import FIRST_FORMULA, MEASURES
from contracts.data_sharing.contribution_counts import (
    Counts,
    Period,
    count_corrections,
    count_deliveries,
    count_request,
    count_reviews,
    count_trades,
    first_owed_ms,
    reach_of,
)
from contracts.data_sharing.corrections import load_correction
from contracts.data_sharing.deadlines import KINDS
from contracts.data_sharing.deliveries import Parcel, load_delivery
from contracts.data_sharing.due import load_deadlines, load_obligations
from contracts.data_sharing.encryption_keys import EncryptionKeyStatement
from contracts.data_sharing.product_records import load_fact
from contracts.data_sharing.quality_reviews import load_review
from contracts.data_sharing.sharing import load_request
from contracts.data_sharing.working_days import MAX_TERM_DAYS
from sm_crypto.sm2 import PrivateKey
from sm_crypto.sm3 import sm3

DAY_MS = 86_400_000


def counts_of(bench: Any, request: bytes, days: int = 365, *, begins_ms: int = 0) -> dict[tuple[str, str], int]:
    """Count one request in a period of `days` from the chain's beginning, as of now; what counts is within its reach."""
    from_ms = begins_ms or 1_750_000_000_000
    period = Period(from_ms, from_ms + days * DAY_MS, bench.time_ms)
    record = load_request(bench.state, request)
    assert record is not None
    counts = count_request(bench.state, record, period)
    reach = reach_of(record, load_obligations(bench.state, record))
    may_count = reach.first_ms < period.to_ms and (
        reach.last_ms >= from_ms or reach.owed_ms >= max(1, first_owed_ms(bench.state, period))
    )
    assert may_count or not counts
    found = (load_correction(bench.state, request, number + 1) for number in range(record.corrections))
    counts += count_corrections(bench.state, [one for one in found if one is not None], period)
    return by_measure(counts)


def by_measure(counts: Counts) -> dict[tuple[str, str], int]:
    """Return counts without the other department: the benches here have one of each."""
    return {(department, measure): count for (department, measure, _), count in counts.items()}


def test_a_grant_and_its_reply_in_time_are_counted_for_the_provider(bench: Any) -> None:
    bench.publish()
    request = bench.grant()
    assert counts_of(bench, request) == {(bench.land_bureau, "granted"): 1, (bench.land_bureau, "replied_on_time"): 1}
    assert counts_of(bench, request, begins_ms=bench.time_ms + DAY_MS) == {}


def test_a_reply_that_is_missed_is_late_once_whenever_it_comes(bench: Any) -> None:
    bench.publish()
    request = bench.request(to_ms=1_750_000_000_000 + 300 * DAY_MS)
    assert counts_of(bench, request) == {}
    bench.time_ms += 40 * DAY_MS
    assert counts_of(bench, request) == {(bench.land_bureau, "replied_late"): 1}
    bench.accept(bench.approver, "sharing", "refuse", request=request, reason_code="other", reason="逾期答复")
    assert counts_of(bench, request) == {(bench.land_bureau, "replied_late"): 1}
    # In the period in which its time ran out, not in that of the answer.
    assert counts_of(bench, request, begins_ms=bench.time_ms - DAY_MS) == {}


def test_a_grant_that_its_provider_ends_before_any_supply_counts_as_its_reply_only(bench: Any) -> None:
    bench.publish()
    land, replied = bench.land_bureau, {(bench.land_bureau, "replied_on_time"): 1}
    stopped, said, supplied = bench.grant(), bench.grant(), bench.grant(to_ms=1_750_000_000_000 + 300 * DAY_MS)
    for request in (said, supplied):
        bench.accept(bench.approver, "sharing", "start_supply", request=request)
    for request in (stopped, said):
        bench.accept(bench.approver, "sharing", "stop", request=request, reason="不再提供")
    assert counts_of(bench, stopped) == replied
    # That supply began is its provider's word alone: ended at once, it gave nobody anything.
    assert counts_of(bench, said) == replied
    bench.time_ms += 7 * DAY_MS
    bench.accept(bench.approver, "sharing", "stop", request=supplied, reason="不再提供")
    assert counts_of(bench, supplied) == {**replied, (land, "granted"): 1, (land, "supplied_on_time"): 1}
    # Its consumer had no more need of it: it was granted all the same.
    unneeded = bench.grant()
    bench.accept(bench.requester, "sharing", "stop", request=unneeded, reason="不再需要")
    assert counts_of(bench, unneeded) == {**replied, (land, "granted"): 1}
    # A grant for four seconds, in which nothing was supplied.
    short = bench.grant(to_ms=bench.time_ms + 6_000)
    assert counts_of(bench, short)[land, "granted"] == 1
    bench.time_ms += 10_000
    assert counts_of(bench, short) == replied


def test_renewals_that_their_provider_ends_at_once_count_as_replies_only(bench: Any) -> None:
    bench.publish()
    granted = bench.grant()
    bench.accept(bench.approver, "sharing", "start_supply", request=granted)
    until = {"to_ms": 1_750_000_000_000 + 300 * DAY_MS}
    renewal = bench.accept(bench.requester, "sharing", "renew", request=granted, **until).output
    bench.accept(bench.approver, "sharing", "grant", request=renewal, conditions=Conditions(), **until)
    assert counts_of(bench, renewal)[bench.land_bureau, "granted"] == 1
    bench.accept(bench.approver, "sharing", "stop", request=renewal, reason="不再提供")
    assert counts_of(bench, renewal) == {(bench.land_bureau, "replied_on_time"): 1}


def test_a_grant_that_was_restored_counts_once_and_is_owed_supply_anew(bench: Any) -> None:
    bench.publish()
    land = bench.land_bureau
    request = bench.grant(to_ms=1_750_000_000_000 + 300 * DAY_MS)
    bench.accept(bench.approver, "sharing", "stop", request=request, reason="不再提供")
    said = {"kind": "stop", "claim": "履职需要", "evidence": bytes(32)}
    bench.accept(bench.requester, "sharing", "raise_dispute", request=request, **said)
    bench.accept(bench.governor, "sharing", "take_dispute", request=request, number=1)
    decision = {"outcome": 1, "order": 3, "decision": "恢复"}
    bench.accept(bench.governor, "sharing", "decide_dispute", request=request, number=1, **decision)
    assert counts_of(bench, request) == {(land, "replied_on_time"): 1}
    bench.time_ms += 60 * DAY_MS
    assert counts_of(bench, request)[land, "supplied_late"] == 1


def test_a_request_that_its_consumer_takes_back_is_no_reply(bench: Any) -> None:
    bench.publish()
    request = bench.request()
    bench.accept(bench.requester, "sharing", "stop", request=request, reason="不再需要")
    assert counts_of(bench, request) == {}


def test_supply_counts_when_it_begins_and_is_late_when_its_time_has_run_out(bench: Any) -> None:
    bench.publish()
    to_ms = 1_750_000_000_000 + 300 * DAY_MS
    first, second = bench.grant(to_ms=to_ms), bench.grant(to_ms=to_ms)
    bench.accept(bench.approver, "sharing", "start_supply", request=first)
    assert counts_of(bench, first)[bench.land_bureau, "supplied_on_time"] == 1
    bench.time_ms += 60 * DAY_MS
    assert counts_of(bench, second)[bench.land_bureau, "supplied_late"] == 1
    assert counts_of(bench, first)[bench.land_bureau, "supplied_on_time"] == 1
    assert (bench.land_bureau, "supplied_late") not in counts_of(bench, first)


def test_what_counts_in_a_period_that_began_after_the_request_is_within_its_reach(bench: Any) -> None:
    """counts_of() asks whether who looks at a request's reach alone would have left out what counts."""
    bench.publish()
    begun_ms, land = bench.time_ms, bench.land_bureau
    supplied = bench.grant(to_ms=1_750_000_000_000 + 300 * DAY_MS)
    bench.time_ms += 3 * DAY_MS
    bench.accept(bench.approver, "sharing", "start_supply", request=supplied)
    assert counts_of(bench, supplied, begins_ms=begun_ms + DAY_MS) == {(land, "supplied_on_time"): 1}
    # The longest term there is: 120 working days, here after a change that both requests begin under.
    terms = [[kind, {"compliance_check": 0, "reply_conditional": MAX_TERM_DAYS}.get(kind, 5)] for kind in KINDS]
    stated = {"region": "", "name": "全国", "source": "试行", "from_ms": 0, "terms": terms}
    bench.accept(bench.governor, "deadlines", "set_terms", **stated)
    bench.time_ms += DAY_MS
    missed = bench.request(to_ms=1_750_000_000_000 + 300 * DAY_MS)
    record = load_request(bench.state, missed)
    assert record is not None
    (reply,) = load_deadlines(bench.state, record)
    bench.time_ms = reply.due_ms + DAY_MS
    assert counts_of(bench, missed, begins_ms=reply.due_ms) == {(land, "replied_late"): 1}
    assert counts_of(bench, missed, begins_ms=reply.due_ms + 1) == {}


@pytest.mark.parametrize(("outcome", "reported"), [(1, 1), (2, 0), (3, 1)])
def test_a_correction_counts_for_who_answers_it_and_for_who_was_right(bench: Any, outcome: int, reported: int) -> None:
    bench.publish()
    request = bench.grant()
    asked = {"request": request, "item": "面积", "claim": "面积为零", "evidence": sm3(b"shot")}
    answered = {"request": request, "outcome": outcome, "answer": "已核实"}
    bench.accept(bench.requester, "sharing", "ask_correction", **asked)
    bench.accept(bench.approver, "sharing", "answer_correction", **answered, number=1)
    # What nobody had been supplied with cannot be wrong, whoever says so.
    assert not {"corrected_on_time", "errors_reported"} & {measure for _, measure in counts_of(bench, request)}
    bench.accept(bench.approver, "sharing", "start_supply", request=request)
    bench.accept(bench.requester, "sharing", "ask_correction", **asked)
    bench.accept(bench.approver, "sharing", "answer_correction", **answered, number=2)
    counts = counts_of(bench, request)
    assert counts[bench.land_bureau, "corrected_on_time"] == 1
    assert counts.get((bench.tax_bureau, "errors_reported"), 0) == reported


def test_reviews_count_by_their_score(bench: Any) -> None:
    code = bench.publish()
    reviews = []
    for score in (79, 80, 59, 60, 100):
        bench.publish(code=f"307013301/00000{score}")
        stated = {"code": f"307013301/00000{score}", "version": 1, "score": score, "finding": "抽查"}
        bench.accept(bench.requester, "catalogue", "review", **stated)
        found = load_review(bench.state, f"307013301/00000{score}", 1, bench.tax_bureau)
        assert found is not None
        reviews.append((bench.land_bureau, found))
    period = Period(0, bench.time_ms + 1, bench.time_ms)
    land = bench.land_bureau
    assert code
    tax = bench.tax_bureau
    assert dict(count_reviews(reviews, period)) == {(land, "reviewed_well", tax): 2, (land, "reviewed_poorly", tax): 1}
    assert dict(count_reviews(reviews, Period(0, 1, bench.time_ms))) == {}


def test_only_transactions_that_both_sides_confirmed_count_and_none_twice(bench: Any) -> None:
    bench.publish()
    claim = [["hold"], "依职责采集", sm3(b"claim")]
    product = {"number": "1", "name": "数据集", "kind": "dataset", "summary": "汇总", "claim": claim}
    bench.accept(bench.publisher, "products", "register", **product, sources=[["307013301/000001", bytes(32)]])
    code = f"{bench.land_bureau}/1"

    def propose(kind: str, form: str, replaces: int) -> None:
        terms = [kind, form, 0, bench.time_ms, 0, sm3(b"paper"), bytes(32), replaces]
        bench.accept(bench.approver, "products", "propose", product=code, counterparty=bench.tax_bureau, terms=terms)

    def counted() -> int:
        facts = (load_fact(bench.state, code, number) for number in (1, 2, 3))
        traded = [(bench.land_bureau, fact) for fact in facts if fact is not None]
        counts = count_trades(traded, Period(0, bench.time_ms + 1, bench.time_ms))
        return counts[bench.land_bureau, "traded", bench.tax_bureau]

    for kind, form in (("valuation", "cost"), ("transaction", "licence")):
        propose(kind, form, 0)
    assert counted() == 0
    for number in (1, 2):
        bench.accept(bench.requester, "products", "confirm", product=code, number=number, document=sm3(b"paper"))
    assert counted() == 1
    propose("transaction", "service", 2)
    bench.accept(bench.requester, "products", "confirm", product=code, number=3, document=sm3(b"paper"))
    assert counted() == 1


def test_a_delivery_counts_once_its_consumer_has_acknowledged_it(bench: Any) -> None:
    bench.publish()
    administrator = type(bench.issuer)(bench.tax_bureau, "administrator")
    added = bench.account_arguments(administrator, bench.tax_bureau, "管理员", ["administrator"])
    bench.accept(bench.governor, "members", "add_account", **added)
    key = PrivateKey.from_bytes(bytes(31) + b"\x51")
    signature = key.sign(EncryptionKeyStatement(sm3(b"genesis"), bench.tax_bureau, key.public_key).digest)
    bench.accept(administrator, "members", "set_encryption_key", public_key=key.public_key, signature=signature)
    request = bench.grant()
    parcel = Parcel(sm3(b"payload"), sm3(b"sealed"), 10, 20, 1, 1)
    for number in (1, 2, 3):
        bench.accept(bench.provider_recorder, "deliveries", "deliver", grant=request, number=number, parcel=parcel)

    def delivered(days: int = 365) -> int:
        found = [load_delivery(bench.state, request, number) for number in (1, 2, 3)]
        period = Period(1_750_000_000_000, 1_750_000_000_000 + days * DAY_MS, bench.time_ms)
        return count_deliveries([one for one in found if one is not None], period)[
            bench.land_bureau, "delivered", bench.tax_bureau
        ]

    assert delivered() == 0
    for number, answer, received in ((1, 1, sm3(b"payload")), (2, 3, bytes(32))):
        said = {"number": number, "answer": answer, "received": received, "note": "" if answer == 1 else "未收到"}
        bench.accept(bench.recorder, "deliveries", "answer", grant=request, **said)
    assert (delivered(), delivered(days=0)) == (1, 0)
    counts = counts_of(bench, request)
    assert counts[bench.land_bureau, "supplied_on_time"] == 1
    # What its consumer received was given, however soon the grant ends.
    bench.accept(bench.approver, "sharing", "stop", request=request, reason="不再提供")
    assert counts_of(bench, request) == counts


def test_the_published_page_has_the_measures_and_the_first_formula() -> None:
    page = (Path(__file__).parents[3] / "docs" / "spec" / "contribution-score.md").read_text("utf-8")
    described = re.findall(r"^\| `(\w+)` \| [a-z' ]+ \| ", page, re.M)
    assert described == list(MEASURES)
    rows = re.findall(r"^\| `(\w+)` \| (-?[0-9.]+) \| ([0-9.]+) \| ([0-9]+|all) \|$", page, re.M)
    stated = [
        (name, float(points), float(most), 0 if of_one == "all" else int(of_one)) for name, points, most, of_one in rows
    ]
    assert stated == [
        (row.measure, row.hundredths / 100, row.limit_hundredths / 100, row.most_of_one) for row in FIRST_FORMULA.rows
    ]
