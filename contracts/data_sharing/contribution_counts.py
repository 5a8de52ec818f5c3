"""What a contribution score counts, off the ledger's records: anybody who has them comes to the same numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from contracts.data_sharing.contribution import GOOD_REVIEW_SCORE, POOR_REVIEW_SCORE
from contracts.data_sharing.corrections import CORRECTED, PASSED_ON, CorrectionRecord
from contracts.data_sharing.deadlines import CORRECTION, REPLY_CONDITIONAL, REPLY_UNCONDITIONAL, SUPPLY, load_calendar
from contracts.data_sharing.deliveries import RECEIVED, DeliveryRecord, load_head
from contracts.data_sharing.due import Deadline, Obligation, load_correction_deadline, load_own_deadlines
from contracts.data_sharing.product_records import CONFIRMED, TRANSACTION, FactRecord
from contracts.data_sharing.quality_reviews import ReviewRecord
from contracts.data_sharing.sharing import GRANTED, WAITING, RequestRecord, load_request, was_ended_by_provider
from contracts.data_sharing.working_days import BEIJING_OFFSET_MS, DAY_MS, MAX_TERM_DAYS, day_of
from contracts.records import Reader

MIN_SUPPLY_MS: Final = 7 * DAY_MS
"""A grant that ends sooner after supply began, by its provider or its time, counts only if its consumer received a delivery."""
_LONGEST_TERM_MS: Final = 366 * DAY_MS
"""MAX_TERM_DAYS reach no further back than into the year before."""

Counts = Counter[tuple[str, str, str]]
"""How many things were counted, by the code of the department that they count for, measure, and the other department's code."""


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


class Reach(msgspec.Struct, frozen=True):
    """When a request can touch a score.

    Nothing of it counts in a period that ends before `first_ms`, nor in one that begins after `last_ms`, unless something that is
    owed since `owed_ms` at the latest (0 = nothing) runs out in it.
    """

    first_ms: int
    last_ms: int
    owed_ms: int


def reach_of(record: RequestRecord, obligations: Iterable[Obligation]) -> Reach:
    """Return when a request with these obligations can touch a score: corrections under it do so by themselves."""
    last_ms, owed_ms = record.history[-1].from_ms, 0
    for owed in obligations:
        if owed.kind not in _NAMES or owed.kind == CORRECTION:
            continue
        last_ms = max(last_ms, owed.done_ms)
        if owed.working_days and not owed.done_ms:
            owed_ms = max(owed_ms, owed.start_ms)
    return Reach(record.requested_ms, last_ms, owed_ms)


def first_owed_ms(state: Reader, period: Period) -> int:
    """Return the time before which nothing has begun that can fall due in a period or later: the longest term before it."""
    if period.from_ms < _LONGEST_TERM_MS:
        return 0
    calendar = load_calendar(state, period.from_ms - _LONGEST_TERM_MS, period.from_ms)
    day, working_days = day_of(period.from_ms), 0
    while working_days < MAX_TERM_DAYS:
        day -= 1
        working_days += calendar.is_working_day(day)
    return day * DAY_MS - BEIJING_OFFSET_MS


def count_request(state: Reader, record: RequestRecord, period: Period) -> Counts:
    """Return what one request and its grant give and take: grants, replies and supply."""
    counts: Counts = Counter()
    provider, consumer = record.provider, record.consumer
    for number, interval in enumerate(record.history):
        if interval.state == GRANTED and period.holds(interval.from_ms) and _was_kept(state, record, number, period):
            counts[provider, "granted", consumer] += 1
    for deadline in load_own_deadlines(state, record):
        measure = _measure(deadline, period)
        if measure and (measure != "supplied_on_time" or _was_supply_kept(state, record, period)):
            counts[provider, measure, consumer] += 1
    return counts


def count_corrections(state: Reader, corrections: Iterable[CorrectionRecord], period: Period) -> Counts:
    """Return what corrections give and take of what had been supplied: to who answers them, and to who was right."""
    counts: Counts = Counter()
    for correction in corrections:
        record = load_request(state, correction.request)
        if record is None or not 0 < record.supplied_ms <= correction.asked_ms:
            # Nothing that was said to be wrong had been supplied.
            continue
        deadline = load_correction_deadline(state, record, correction)
        measure = "" if deadline is None else _measure(deadline, period)
        if measure:
            counts[record.provider, measure, record.consumer] += 1
        if correction.outcome in (CORRECTED, PASSED_ON) and period.holds(correction.answered_ms):
            counts[record.consumer, "errors_reported", record.provider] += 1
    return counts


def count_deliveries(deliveries: Iterable[DeliveryRecord], period: Period) -> Counts:
    """Return what deliveries give that their consumers received."""
    counts: Counts = Counter()
    for delivery in deliveries:
        if delivery.answer == RECEIVED and period.holds(delivery.answered_ms):
            counts[delivery.provider, "delivered", delivery.consumer] += 1
    return counts


def count_reviews(reviews: Iterable[tuple[str, ReviewRecord]], period: Period) -> Counts:
    """Return what quality reviews give and take, each with the code of the department whose resource it is of."""
    counts: Counts = Counter()
    for provider, review in reviews:
        if not period.holds(review.reviewed_ms):
            continue
        if review.score >= GOOD_REVIEW_SCORE:
            counts[provider, "reviewed_well", review.department] += 1
        elif review.score < POOR_REVIEW_SCORE:
            counts[provider, "reviewed_poorly", review.department] += 1
    return counts


def count_trades(facts: Iterable[tuple[str, FactRecord]], period: Period) -> Counts:
    """Return what transactions give, each with the code of the product's department; a replaced one counts no more."""
    counts: Counts = Counter()
    for department, fact in facts:
        if fact.terms.kind == TRANSACTION and fact.state == CONFIRMED and period.holds(fact.answered_ms):
            other = next(party for party in fact.parties if party != department)
            counts[department, "traded", other] += 1
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
    if ended_ms - began_ms >= MIN_SUPPLY_MS:
        return True
    head = load_head(state, record.id)
    return head is not None and head.received > 0


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
