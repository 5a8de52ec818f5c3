"""Data products: registration and claim, valuations and transactions that both sides confirm, objections, and the score's formula."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.data_sharing import contribution, product_records
from contracts.data_sharing.conditions import Conditions
from contracts.data_sharing.contribution import FIRST_FORMULA, FormulaRecord, FormulaRow, score_lines
from contracts.data_sharing.product_records import CONFIRMED, DECLINED, PROPOSED, REJECTED, REPLACED, TAKEN_BACK
from contracts.fields import MAX_TIME_MS
from sm_crypto.sm3 import sm3

DOCUMENT = sm3(b"appraisal report")
NO_DIGEST = bytes(32)


def product_arguments(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "number": "2026001",
        "name": "不动产成交均价数据集",
        "kind": "dataset",
        "summary": "按区县与月份汇总的成交均价",
        "sources": [["307013301/000001", NO_DIGEST]],
        "claim": [["hold", "process", "operate"], "依职责采集，经脱敏汇总加工", sm3(b"proof of processing")],
    }
    return arguments | changes


def register(bench: Any, **changes: Any) -> str:
    bench.publish()
    bench.accept(bench.publisher, "products", "register", **product_arguments(**changes))
    return f"{bench.land_bureau}/2026001"


def terms(bench: Any, kind: str = "valuation", **changes: Any) -> list[Any]:
    values: dict[str, Any] = {
        "kind": kind,
        "form": "cost" if kind == "valuation" else "licence",
        "amount_fen": 12_000_000,
        "dated_ms": bench.time_ms,
        "until_ms": 0,
        "document": DOCUMENT,
        "grant": NO_DIGEST,
        "replaces": 0,
    }
    return list((values | changes).values())


def propose(bench: Any, product: str, account: Any, counterparty: str, **changes: Any) -> int:
    bench.accept(
        account, "products", "propose", product=product, counterparty=counterparty, terms=terms(bench, **changes)
    )
    return int(bench.view("products", "product", code=product).facts)


def confirm(bench: Any, product: str, account: Any, number: int) -> None:
    bench.accept(account, "products", "confirm", product=product, number=number, document=DOCUMENT)


def state_of(bench: Any, product: str, number: int) -> str:
    return str(bench.view("products", "fact", product=product, number=number).state)


def test_a_product_is_registered_with_the_rights_that_its_department_claims(bench: Any) -> None:
    code = register(bench)
    record = bench.view("products", "product", code=code)
    assert (record.code, record.department, record.state) == (code, bench.land_bureau, "registered")
    assert record.claim.rights == ("hold", "process", "operate")
    assert (record.registered_ms, record.facts, record.objections) == (bench.time_ms, 0, 0)
    raw = bench.state[product_records.product_key(code)]
    assert product_records.PRODUCTS.decode(raw) == record == product_records.load_product(bench.state, code)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"number": "2026-1"}, "PRODUCT_NUMBER_MALFORMED"),
        ({"number": ""}, "PRODUCT_NUMBER_MALFORMED"),
        ({"name": ""}, "TEXT_EMPTY"),
        ({"kind": "film"}, "VALUE_UNKNOWN"),
        ({"summary": "长" * 1_001}, "TEXT_TOO_LONG"),
        ({"sources": []}, "LIST_EMPTY"),
        ({"sources": [["307013301/000001", NO_DIGEST]] * 2}, "LIST_REPEATS"),
        ({"sources": [["999999999/1", NO_DIGEST]]}, "RESOURCE_UNKNOWN"),
        ({"sources": [["307013301/000001", DOCUMENT]]}, "OWN_RESOURCE"),
        ({"claim": [[], "依据", DOCUMENT]}, "LIST_EMPTY"),
        ({"claim": [["own"], "依据", DOCUMENT]}, "VALUE_UNKNOWN"),
        ({"claim": [["hold", "hold"], "依据", DOCUMENT]}, "LIST_REPEATS"),
        ({"claim": [["hold"], "", DOCUMENT]}, "TEXT_EMPTY"),
        ({"claim": [["hold"], "依据", NO_DIGEST]}, "DIGEST_ZERO"),
    ],
)
def test_a_faulty_registration_is_refused(bench: Any, changes: dict[str, Any], code: str) -> None:
    bench.publish()
    bench.refuse(code, bench.publisher, "products", "register", **product_arguments(**changes))


def test_a_product_is_registered_once_and_by_publishers(bench: Any) -> None:
    register(bench)
    bench.refuse("PRODUCT_EXISTS", bench.publisher, "products", "register", **product_arguments())
    bench.refuse("ROLE_MISSING", bench.approver, "products", "register", **product_arguments(number="2"))


def test_data_of_another_department_is_a_source_only_under_a_grant_in_force(bench: Any) -> None:
    bench.publish()
    grant = bench.grant()
    bench.accept(bench.governor, "members", "set_roles", account=bench.other_issuer.address, roles=["publisher"])
    arguments = product_arguments()
    bench.refuse("REQUEST_UNKNOWN", bench.other_issuer, "products", "register", **arguments)
    arguments["sources"] = [["307013301/000001", grant]]
    bench.accept(bench.other_issuer, "products", "register", **arguments)
    bench.accept(bench.approver, "sharing", "stop", request=grant, reason="期满")
    bench.refuse(
        "SOURCE_NOT_GRANTED", bench.other_issuer, "products", "register", **(arguments | {"number": "2026002"})
    )


def test_a_valuation_counts_once_the_other_party_has_confirmed_it(bench: Any) -> None:
    code = register(bench)
    number = propose(bench, code, bench.approver, bench.tax_bureau)
    assert (number, state_of(bench, code, 1)) == (1, PROPOSED)
    bench.refuse("OTHER_DEPARTMENT", bench.approver, "products", "confirm", product=code, number=1, document=DOCUMENT)
    other = sm3(b"another paper")
    bench.refuse("DOCUMENT_DIFFERS", bench.requester, "products", "confirm", product=code, number=1, document=other)
    confirm(bench, code, bench.requester, 1)
    found = bench.view("products", "fact", product=code, number=1)
    assert (found.state, found.answered_ms, found.answered_by) == (CONFIRMED, bench.time_ms, bench.requester.address)
    assert (found.proposer, found.counterparty) == (bench.land_bureau, bench.tax_bureau)
    bench.refuse("FACT_STATE", bench.requester, "products", "confirm", product=code, number=1, document=DOCUMENT)
    assert product_records.FACTS.decode(bench.state[product_records.fact_key(code, 1)]) == found


def test_a_transaction_is_recorded_by_the_buyer_and_confirmed_by_the_provider(bench: Any) -> None:
    bench.publish()
    grant = bench.grant()
    bench.accept(bench.publisher, "products", "register", **product_arguments())
    code = f"{bench.land_bureau}/2026001"
    number = propose(bench, code, bench.requester, bench.land_bureau, kind="transaction", grant=grant, amount_fen=0)
    confirm(bench, code, bench.approver, number)
    assert bench.view("products", "fact", product=code, number=number).terms.grant == grant


def test_what_is_declined_or_taken_back_is_no_fact_and_keeps_its_number(bench: Any) -> None:
    code = register(bench)
    propose(bench, code, bench.approver, bench.tax_bureau)
    bench.accept(bench.requester, "products", "decline", product=code, number=1, reason="方法不符")
    propose(bench, code, bench.approver, bench.tax_bureau)
    bench.refuse("OTHER_DEPARTMENT", bench.requester, "products", "take_back", product=code, number=2, reason="错")
    bench.accept(bench.approver, "products", "take_back", product=code, number=2, reason="金额有误")
    assert [state_of(bench, code, number) for number in (1, 2)] == [DECLINED, TAKEN_BACK]
    assert propose(bench, code, bench.approver, bench.tax_bureau) == 3


def test_a_later_fact_replaces_an_earlier_one_when_it_is_confirmed_and_only_once(bench: Any) -> None:
    code = register(bench)
    propose(bench, code, bench.approver, bench.tax_bureau)
    arguments = {"product": code, "counterparty": bench.tax_bureau, "terms": terms(bench, replaces=1)}
    bench.refuse("FACT_STATE", bench.approver, "products", "propose", **arguments)
    confirm(bench, code, bench.requester, 1)
    other_kind = arguments | {"terms": terms(bench, kind="transaction", replaces=1)}
    bench.refuse("FACT_OF_OTHERS", bench.approver, "products", "propose", **other_kind)
    for _ in range(2):
        propose(bench, code, bench.approver, bench.tax_bureau, replaces=1, amount_fen=13_000_000)
    assert state_of(bench, code, 1) == CONFIRMED
    confirm(bench, code, bench.requester, 2)
    assert [state_of(bench, code, number) for number in (1, 2, 3)] == [REPLACED, CONFIRMED, PROPOSED]
    bench.refuse("FACT_STATE", bench.requester, "products", "confirm", product=code, number=3, document=DOCUMENT)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "loan"}, "VALUE_UNKNOWN"),
        ({"form": "licence"}, "VALUE_UNKNOWN"),
        ({"amount_fen": 10**15 + 1}, "AMOUNT_OUT_OF_RANGE"),
        ({"document": NO_DIGEST}, "DIGEST_ZERO"),
        ({"dated_ms": 4_000_000_000_000}, "FACT_IN_FUTURE"),
        ({"until_ms": 1}, "DATES_REVERSED"),
        ({"grant": DOCUMENT}, "REQUEST_UNKNOWN"),
        ({"replaces": 9}, "FACT_UNKNOWN"),
    ],
)
def test_faulty_terms_are_refused(bench: Any, changes: dict[str, Any], code: str) -> None:
    product = register(bench)
    arguments = {"product": product, "counterparty": bench.tax_bureau, "terms": terms(bench, **changes)}
    bench.refuse(code, bench.approver, "products", "propose", **arguments)


def test_a_fact_has_two_parties_and_one_of_them_is_the_products_department(bench: Any) -> None:
    product = register(bench)
    for counterparty, account, code in (
        (bench.land_bureau, bench.approver, "PARTIES_SAME"),
        (bench.data_bureau, bench.requester, "NOT_A_PARTY"),
        ("91330100MA00000000", bench.approver, "COUNTERPARTY_UNKNOWN"),
    ):
        arguments = {"product": product, "counterparty": counterparty, "terms": terms(bench)}
        bench.refuse(code, account, "products", "propose", **arguments)


def test_a_withdrawn_product_takes_no_more_facts_and_what_was_proposed_can_only_be_declined(bench: Any) -> None:
    code = register(bench)
    propose(bench, code, bench.approver, bench.tax_bureau)
    bench.refuse("ROLE_MISSING", bench.requester, "products", "withdraw", product=code, reason="停止运营")
    bench.accept(bench.publisher, "products", "withdraw", product=code, reason="停止运营")
    arguments = {"product": code, "counterparty": bench.tax_bureau, "terms": terms(bench)}
    bench.refuse("PRODUCT_ENDED", bench.approver, "products", "propose", **arguments)
    answered = {"product": code, "number": 1}
    bench.refuse("PRODUCT_ENDED", bench.requester, "products", "confirm", **answered, document=DOCUMENT)
    bench.accept(bench.requester, "products", "decline", **answered, reason="产品已注销")


def test_an_upheld_objection_ends_the_registration_and_a_dismissed_one_does_not(bench: Any) -> None:
    code = register(bench)
    objecting = {"product": code, "ground": "该数据由本部门采集", "evidence": NO_DIGEST}
    bench.refuse("OWN_PRODUCT", bench.approver, "products", "raise_objection", **objecting)
    for _ in range(2):
        bench.accept(bench.other_approver, "products", "raise_objection", **objecting)
    bench.accept(
        bench.publisher, "products", "answer_objection", product=code, number=1, answer="依三定方案由本部门采集"
    )
    decision = {"product": code, "number": 1, "is_upheld": False, "finding": "采集职责属登记部门"}
    bench.refuse("ROLE_MISSING", bench.approver, "products", "decide_objection", **decision)
    bench.accept(bench.governor, "products", "decide_objection", **decision)
    bench.refuse("OBJECTION_STATE", bench.governor, "products", "decide_objection", **decision)
    assert bench.view("products", "product", code=code).state == "registered"
    bench.accept(bench.governor, "products", "decide_objection", **(decision | {"number": 2, "is_upheld": True}))
    assert bench.view("products", "product", code=code).state == REJECTED
    first = bench.view("products", "objection", product=code, number=1)
    assert (first.answer, first.state, first.department) == ("依三定方案由本部门采集", "dismissed", bench.tax_bureau)


def test_no_department_decides_a_case_of_its_own(bench: Any) -> None:
    code = register(bench)
    roles = ["approver"]
    added = bench.account_arguments(bench.stranger, bench.data_bureau, "stranger", roles)
    bench.accept(bench.governor, "members", "add_account", **added)
    bench.accept(bench.stranger, "products", "raise_objection", product=code, ground="重复", evidence=NO_DIGEST)
    decision = {"product": code, "number": 1, "is_upheld": True, "finding": "重复"}
    bench.refuse("OWN_CASE", bench.governor, "products", "decide_objection", **decision)


def test_the_formula_of_a_period_is_the_one_published_before_it_begins(bench: Any) -> None:
    assert bench.view("products", "formula", period_begins_ms=bench.time_ms) == FIRST_FORMULA
    rows, day_ms = [["granted", 200, 1_000, 0], ["replied_late", -300, 0, 5]], 86_400_000
    begins = bench.time_ms + day_ms
    setting = {"rows": rows, "basis": "考核办法第三条", "from_ms": begins}
    bench.refuse("ROLE_MISSING", bench.publisher, "products", "set_formula", **setting)
    bench.refuse(
        "FORMULA_NOT_AHEAD", bench.governor, "products", "set_formula", **(setting | {"from_ms": bench.time_ms})
    )
    # What was set for later still is replaced, a slip to the end of time too.
    for slip in (MAX_TIME_MS, MAX_TIME_MS - 1, begins + 1):
        bench.accept(bench.governor, "products", "set_formula", **(setting | {"from_ms": slip}))
    bench.accept(bench.governor, "products", "set_formula", **setting)
    assert product_records.formula_count(bench.state) == 1
    for number in range(1, 5):
        bench.accept(bench.governor, "products", "set_formula", **(setting | {"from_ms": begins + number * day_ms}))
    for days, number in ((-1, 0), (0, 1), (1, 2), (3, 4), (4, 5), (99, 5)):
        found = bench.view("products", "formula", period_begins_ms=begins + days * day_ms)
        assert found.number == number
    assert product_records.formula_count(bench.state) == 5
    second = product_records.load_formula(bench.state, 2)
    assert second is not None
    assert second.rows == (FormulaRow("granted", 200, 1_000, 0), FormulaRow("replied_late", -300, 0, 5))


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "LIST_EMPTY"),
        ([["granted", 1, 0, 0], ["granted", 2, 0, 0]], "LIST_REPEATS"),
        ([["beauty", 1, 0, 0]], "VALUE_UNKNOWN"),
        ([["granted", 0, 0, 0]], "POINTS_OUT_OF_RANGE"),
        ([["granted", -1_000_001, 0, 0]], "POINTS_OUT_OF_RANGE"),
        ([["granted", 1, 1_000_000_001, 0]], "POINTS_OUT_OF_RANGE"),
    ],
)
def test_a_faulty_formula_is_refused(bench: Any, rows: list[Any], code: str) -> None:
    setting = {"rows": rows, "basis": "考核办法", "from_ms": bench.time_ms + 1}
    bench.refuse(code, bench.governor, "products", "set_formula", **setting)


def formula_of(*rows: FormulaRow) -> FormulaRecord:
    return FormulaRecord(1, rows, "考核办法", 0, 0, bytes(20))


def test_a_score_is_counted_by_hand() -> None:
    formula = formula_of(
        FormulaRow("granted", 150, 400, 0), FormulaRow("replied_late", -250, 0, 2), FormulaRow("traded", 1, 0, 0)
    )
    lines = score_lines(formula, {("granted", "a"): 2, ("granted", "b"): 1, ("replied_late", "a"): 2})
    # 3 grants at 1.5 points, at most 4 points; 2 late replies at -2.5; no trade.
    assert [(line.measure, line.count, line.counted, line.hundredths) for line in lines] == [
        ("granted", 3, 3, 400),
        ("replied_late", 2, 2, -500),
        ("traded", 0, 0, 0),
    ]


def test_what_one_department_leaves_behind_costs_another_a_bounded_number_of_points() -> None:
    flood = {("replied_late", "flooder"): 5_000, ("supplied_late", "flooder"): 5_000}
    others = {("replied_late", "honest"): 3, ("supplied_late", "honest"): 1}
    lines = {line.measure: line for line in score_lines(FIRST_FORMULA, flood | others)}
    # 20 of the flooder's at 1 point and 3 of the other's; 20 at 1.5 points and 1.
    assert (lines["replied_late"].counted, lines["replied_late"].hundredths) == (23, -2_300)
    assert (lines["supplied_late"].counted, lines["supplied_late"].hundredths) == (21, -3_150)
    assert lines["replied_late"].count == 5_003
    # However many departments do the same, a period takes no more than the row's limit.
    many = {("replied_late", str(number)): 100 for number in range(100)}
    (late,) = [line for line in score_lines(FIRST_FORMULA, many) if line.count]
    assert (late.counted, late.hundredths) == (2_000, -10_000)
    assert all(row.limit_hundredths and row.most_of_one for row in FIRST_FORMULA.rows if row.hundredths < 0)


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.sampled_from(list(contribution.MEASURES)),
        st.tuples(st.integers(-1_000, 1_000).filter(bool), st.integers(0, 5_000), st.integers(0, 40)),
        min_size=1,
    ),
    st.dictionaries(
        st.tuples(st.sampled_from(list(contribution.MEASURES)), st.sampled_from("abc")), st.integers(0, 100)
    ),
)
def test_no_row_gives_or_takes_more_than_its_limit(
    table: dict[str, tuple[int, int, int]], counts: dict[tuple[str, str], int]
) -> None:
    formula = formula_of(*(FormulaRow(measure, *weights) for measure, weights in table.items()))
    lines = score_lines(formula, counts)
    assert [line.measure for line in lines] == list(table)
    for line in lines:
        hundredths, limit, most = table[line.measure]
        own = [counts.get((line.measure, other), 0) for other in "abc"]
        assert line.counted == sum(own) - sum(max(0, count - most) for count in own if most)
        free = sum(hundredths for _ in range(line.counted))
        assert line.hundredths == free or (limit and abs(line.hundredths) == limit < abs(free))
        assert line.hundredths * hundredths >= 0


def test_data_of_others_is_traded_only_with_whom_its_provider_agreed_to(bench: Any) -> None:
    bench.publish()
    request = bench.request()
    conditions = Conditions(note="可转给数据局", passing_on_to=(bench.data_bureau,))
    to_ms = bench.view("sharing", "data_request", request=request).to_ms
    bench.accept(bench.approver, "sharing", "grant", request=request, conditions=conditions, to_ms=to_ms)
    bench.accept(bench.governor, "members", "set_roles", account=bench.other_issuer.address, roles=["publisher"])
    bench.accept(
        bench.other_issuer, "products", "register", **product_arguments(sources=[["307013301/000001", request]])
    )
    code = f"{bench.tax_bureau}/2026001"
    third = "91330100MA27XF8Q24"
    bench.accept(
        bench.governor, "members", "add_department", code=third, name="交易所", region="330100", level="city", parent=""
    )
    selling = {"product": code, "terms": terms(bench, kind="transaction")}
    refused = bench.refuse(
        "PASSING_ON_NOT_ALLOWED", bench.requester, "products", "propose", **selling, counterparty=third
    )
    assert "307013301/000001" in refused
    for buyer in (bench.data_bureau, bench.land_bureau):
        bench.accept(bench.requester, "products", "propose", **selling, counterparty=buyer)
    passing_on: dict[str, Any] = {"request": request, "departments": []}
    bench.accept(bench.approver, "sharing", "set_passing_on", **passing_on)
    # What was proposed while it was allowed is held to what is said by the time it is confirmed.
    confirmed = {"product": code, "number": 1, "document": DOCUMENT}
    buyer = bench.governor_requester()
    bench.refuse("PASSING_ON_NOT_ALLOWED", buyer, "products", "confirm", **confirmed)
    passing_on["departments"] = [bench.data_bureau]
    bench.accept(bench.approver, "sharing", "set_passing_on", **passing_on)
    bench.accept(bench.approver, "sharing", "stop", request=request, reason="收回")
    bench.refuse("SOURCE_NOT_GRANTED", buyer, "products", "confirm", **confirmed)
    bench.refuse(
        "SOURCE_NOT_GRANTED", bench.requester, "products", "propose", **selling, counterparty=bench.data_bureau
    )
