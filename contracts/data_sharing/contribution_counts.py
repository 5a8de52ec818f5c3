"""What a contribution score counts, off the ledger's records: anybody who has them comes to the same numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from contracts.data_sharing.contribution import GOOD_REVIEW_SCORE, POOR_REVIEW_SCORE
from contracts.data_sharing.corrections import CORRECTED, PASSED_ON, load_correction
from contracts.data_sharing.deadlines import CORRECTION, REPLY_CONDITIONAL, REPLY_UNCONDITIONAL, SUPPLY
from contracts.data_sharing.deliveries import RECEIVED, load_delivery, load_head
from contracts.data_sharing.due import Deadline, load_deadlines
from contracts.data_sharing.product_records import CONFIRMED, TRANSACTION, ProductRecord, load_fact
from contracts.data_sharing.quality_reviews import ReviewRecord
from contracts.data_sharing.sharing import GRANTED, WAITING, RequestRecord, was_ended_by_provider
from contracts.data_sharing.working_days import DAY_MS
from contracts.records import Reader

MIN_SUPPLY_MS: Final = 7 * DAY_MS
"""A grant that ends sooner after supply began, by its provider or its time, counts only if its consumer received a delivery."""

Counts = Counter[tuple[str, str]]
"""How many things were counted, by department's code and measure."""


class Period(msgspec.Struct, frozen=True):
    """The time that a score is of, from its first millisecond to before `to_ms`, as the ledger stands at `now_ms`."""

    from_ms: int
    to_ms: int
    now_ms: int

    def holds(self, time_ms: int) -> bool:
        """Return whether something that happened at a time happened in the period."""
        return self.from_ms <= time_ms < self.to_ms

    def is_missed(self, due_ms: int) -> bool:
        """Return whether a time limit ran out in the period."""
        return self.holds(due_ms) and due_ms < self.now_ms


def count_cases(state: Reader, record: RequestRecord) -> int:
    """Return how many corrections, disputes, recalls and deliveries there are under a request: what counting it has to read."""
    head = load_head(state, record.id)
    return record.corrections + record.disputes + record.recalls + (0 if head is None else head.count)


def count_request(state: Reader, record: RequestRecord, period: Period) -> Counts:
    """Return what one request and its grant give and take: grants, replies, supply, corrections and deliveries."""
    counts: Counts = Counter()
    for number, interval in enumerate(record.history):
        if interval.state == GRANTED and period.holds(interval.from_ms) and _was_kept(state, record, number, period):
            counts[record.provider, "granted"] += 1
    for deadline in load_deadlines(state, record):
        if deadline.kind == CORRECTION and not 0 < record.supplied_ms <= deadline.start_ms:
            # Nothing that was said to be wrong had been supplied.
            continue
        measure = _measure(deadline, period)
        if measure and (measure != "supplied_on_time" or _was_supply_kept(state, record, period)):
            counts[record.provider, measure] += 1
    for number in range(1, record.corrections + 1):
        correction = load_correction(state, record.id, number)
        if (
            correction is not None
            and correction.outcome in (CORRECTED, PASSED_ON)
            and period.holds(correction.answered_ms)
        ):
            counts[record.consumer, "errors_reported"] += 1
    for received_ms in _received(state, record):
        if period.holds(received_ms):
            counts[record.provider, "delivered"] += 1
    return counts


def count_reviews(reviews: Iterable[tuple[str, ReviewRecord]], period: Period) -> Counts:
    """Return what quality reviews give and take, each with the code of the department whose resource it is of."""
    counts: Counts = Counter()
    for provider, review in reviews:
        if not period.holds(review.reviewed_ms):
            continue
        if review.score >= GOOD_REVIEW_SCORE:
            counts[provider, "reviewed_well"] += 1
        elif review.score < POOR_REVIEW_SCORE:
            counts[provider, "reviewed_poorly"] += 1
    return counts


def count_product(state: Reader, record: ProductRecord, period: Period) -> Counts:
    """Return what the transactions of one product give; one that was replaced by a later one counts no more."""
    counts: Counts = Counter()
    for number in range(1, record.facts + 1):
        fact = load_fact(state, record.code, number)
        if (
            fact is not None
            and fact.terms.kind == TRANSACTION
            and fact.state == CONFIRMED
            and period.holds(fact.answered_ms)
        ):
            counts[record.department, "traded"] += 1
    return counts


def _was_kept(state: Reader, record: RequestRecord, number: int, period: Period) -> bool:
    """Return whether the grant of a place in a request's history counts: one that a governor restored counted when it was given."""
    return record.history[number - 1].state == WAITING and _was_more_than_words(state, record, number, period)


def _was_supply_kept(state: Reader, record: RequestRecord, period: Period) -> bool:
    """Return whether any grant under a request was supplied for more than a moment: that it began is the provider's word alone."""
    granted = (number for number, interval in enumerate(record.history) if interval.state == GRANTED)
    return any(_was_more_than_words(state, record, number, period) for number in granted)


def _was_more_than_words(state: Reader, record: RequestRecord, number: int, period: Period) -> bool:
    """Return whether the grant of a place in a request's history holds, or ended after it was supplied, or not by its provider.

    One that its provider ended, or whose time ran out, was supplied for MIN_SUPPLY_MS, or its consumer received a delivery.
    """
    granted, is_last = record.history[number], number + 1 == len(record.history)
    ended_ms = record.to_ms if is_last else record.history[number + 1].from_ms
    if period.now_ms <= ended_ms if is_last else not was_ended_by_provider(record, number):
        return True
    if not 0 < record.supplied_ms <= ended_ms:
        return False
    began_ms = max(record.supplied_ms, granted.from_ms, record.from_ms)
    return ended_ms - began_ms >= MIN_SUPPLY_MS or any(_received(state, record))


def _received(state: Reader, record: RequestRecord) -> Iterator[int]:
    """Yield when each delivery under a request was acknowledged that its consumer received."""
    head = load_head(state, record.id)
    for number in range(1, (0 if head is None else head.count) + 1):
        delivery = load_delivery(state, record.id, number)
        if delivery is not None and delivery.answer == RECEIVED:
            yield delivery.answered_ms


def _measure(deadline: Deadline, period: Period) -> str:
    """Return what a deadline of the provider's is counted as in a period, empty for nothing.

    What was done in time counts when it was done, what was not when its time ran out: each once, in one period.
    """
    name = _NAMES.get(deadline.kind)
    if name is None:
        return ""
    if not deadline.done_ms or deadline.done_ms > deadline.due_ms:
        has_lapsed = 0 < deadline.lapses_ms < deadline.due_ms
        return f"{name}_late" if period.is_missed(deadline.due_ms) and not has_lapsed else ""
    return f"{name}_on_time" if period.holds(deadline.done_ms) and not deadline.fell_away else ""


_NAMES: Final = {
    REPLY_CONDITIONAL: "replied",
    REPLY_UNCONDITIONAL: "replied",
    SUPPLY: "supplied",
    CORRECTION: "corrected",
}
