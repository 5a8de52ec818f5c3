"""What governors call in data sharing fits under the least limit of gas that can be set, however large it is."""

from __future__ import annotations

from typing import Any, Final

from contracts import registry
from contracts.abi import decode_error
from contracts.call import CallResult
from contracts.data_sharing.audit_figures import FIGURES
from contracts.data_sharing.audits import MAX_BASIS_LENGTH
from contracts.data_sharing.contribution import MAX_LIMIT_HUNDREDTHS, MAX_ROW_HUNDREDTHS, MEASURES
from contracts.data_sharing.deadlines import (
    COMPLIANCE_CHECK,
    KINDS,
    MAX_DAY_NAME_LENGTH,
    MAX_REGION_NAME_LENGTH,
    MAX_SOURCE_LENGTH,
    REPLY_CONDITIONAL,
)
from contracts.data_sharing.numbered_versions import MAX_COMING
from contracts.data_sharing.refusal_reasons import MAX_REASON_CODE_LENGTH, MAX_REASON_TEXT_LENGTH, MAX_REASONS
from contracts.data_sharing.resources import CORE, ResourceItem
from contracts.data_sharing.working_days import MAX_CALENDAR_DAYS, MAX_TERM_DAYS
from contracts.fields import MAX_TIME_MS
from contracts.parameters import LEAST_GAS
from node.chain.transaction import MAX_CALL_DATA_BYTES

# The longest text of n characters in bytes: UTF-8 takes up to four for one.
WIDE: Final = "\U00020000"


def run(bench: Any, method: str, **arguments: Any) -> CallResult:
    """Run a governor's call under the least limit of gas, which it must not exhaust."""
    contract, _, name = method.partition(".")
    to, data = registry.encode_call(contract, name, **arguments)
    assert len(data) <= MAX_CALL_DATA_BYTES
    bench.time_ms += 1_000
    result: CallResult = bench.execute(bench.governor.address, to, data, LEAST_GAS)
    assert result.refusal is None, decode_error(result.output)
    return result


def test_the_largest_calendar_can_be_recorded(bench: Any) -> None:
    days = [
        [f"2027-{1 + n // 25:02d}-{1 + n % 25:02d}", True, WIDE * MAX_DAY_NAME_LENGTH] for n in range(MAX_CALENDAR_DAYS)
    ]
    for _ in range(2):
        run(bench, "deadlines.set_calendar", year=2027, source=WIDE * MAX_SOURCE_LENGTH, days=days)


def test_the_largest_table_of_terms_can_be_recorded_again_and_again(bench: Any) -> None:
    texts = {"name": WIDE * MAX_REGION_NAME_LENGTH, "source": WIDE * MAX_SOURCE_LENGTH}
    halves = {COMPLIANCE_CHECK: MAX_TERM_DAYS // 2, REPLY_CONDITIONAL: MAX_TERM_DAYS // 2}
    terms = [[kind, halves.get(kind, MAX_TERM_DAYS)] for kind in KINDS]
    run(bench, "deadlines.set_terms", region="330106", from_ms=0, terms=terms, **texts)
    # As many as may wait to begin, and one that begins before all of them.
    ahead_ms = bench.time_ms + 86_400_000
    for number in (*range(1, MAX_COMING + 1), 0):
        run(bench, "deadlines.set_terms", region="330106", from_ms=ahead_ms + number, terms=terms, **texts)
    assert len(bench.view("deadlines", "terms", region="330106").versions) == 2


def test_a_formula_takes_the_place_of_all_that_wait_to_begin(bench: Any) -> None:
    rows = [[measure, MAX_ROW_HUNDREDTHS, MAX_LIMIT_HUNDREDTHS, 2**64 - 1] for measure in MEASURES]
    ahead_ms = bench.time_ms + 86_400_000
    for number in (*range(1, MAX_COMING + 1), 0):
        run(bench, "products.set_formula", rows=rows, basis=WIDE * 500, from_ms=ahead_ms + number)
    assert bench.view("products", "formula", period_begins_ms=MAX_TIME_MS).number == 1


def test_the_largest_table_of_figures_can_be_published(bench: Any) -> None:
    rows = [[name, bounds.most] for name, bounds in FIGURES.items()]
    ahead_ms = bench.time_ms + 86_400_000
    texts = {"department": bench.land_bureau, "basis": WIDE * MAX_BASIS_LENGTH}
    assert run(bench, "audits.set_figures", rows=rows, from_ms=ahead_ms, **texts).gas_used < LEAST_GAS


def test_the_largest_table_of_reasons_can_be_written_and_written_over(bench: Any) -> None:
    reasons = [
        [f"{n}".rjust(MAX_REASON_CODE_LENGTH, "a"), WIDE * MAX_REASON_TEXT_LENGTH, WIDE * MAX_REASON_TEXT_LENGTH, True]
        for n in range(MAX_REASONS)
    ]
    while True:
        _, data = registry.encode_call("sharing", "set_refusal_reasons", reasons=reasons)
        if len(data) <= MAX_CALL_DATA_BYTES:
            break
        reasons.pop()
    for _ in range(2):
        run(bench, "sharing.set_refusal_reasons", reasons=reasons)


def largest_resource(bench: Any, letter: str) -> Any:
    """Return the largest description of core data that one transaction carries; the letter tells two apart."""
    items = [ResourceItem(f"{n}".rjust(128, WIDE), "C") for n in range(256)]
    while True:
        described = bench.resource_description(data_class=CORE, items=tuple(items), summary=letter + WIDE * 999)
        _, data = registry.encode_call("catalogue", "publish", resource=described, replaces=0)
        if len(data) <= MAX_CALL_DATA_BYTES:
            return described
        items.pop()


def test_the_largest_core_resource_can_be_approved_and_reviewed(bench: Any) -> None:
    for replaces, letter in enumerate("ab"):
        described = largest_resource(bench, letter)
        code = described.code
        to, data = registry.encode_call("catalogue", "publish", resource=described, replaces=replaces)
        bench.time_ms += 1_000
        published = bench.execute(bench.publisher.address, to, data, LEAST_GAS)
        assert published.refusal is None, decode_error(published.output)
        digest = bench.view("catalogue", "proposal", code=code).digest
        bench.accept(bench.approver, "catalogue", "approve", code=code, digest=digest)
        run(bench, "catalogue.approve_many", codes=[code], digests=[digest])
    run(bench, "catalogue.review", code=code, version=2, score=1, finding=WIDE * 500)
