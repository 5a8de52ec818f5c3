"""When what data sharing owes is due: computed from a request's records, the provider's region's terms and the calendar, kept nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from contracts.accounts import load_department
from contracts.data_sharing import deadlines
from contracts.data_sharing.corrections import CorrectionRecord, load_correction
from contracts.data_sharing.deadlines import (
    COMPLIANCE_CHECK,
    CORRECTION,
    DISPUTE,
    RECALL,
    REPLY_CONDITIONAL,
    REPLY_UNCONDITIONAL,
    SUPPLY,
    RegionTerms,
    TermVersion,
    load_calendar,
)
from contracts.data_sharing.disputes import SETTLED, WITHDRAWN, load_dispute
from contracts.data_sharing.recalls import load_recall
from contracts.data_sharing.refusal_reasons import NOT_COMPLIANT
from contracts.data_sharing.sharing import (
    GRANTED,
    REFUSED,
    STOPPED,
    WAITING,
    RequestInterval,
    RequestRecord,
    load_request,
)
from contracts.data_sharing.working_days import DAY_MS, Calendar, add_working_days, day_of
from contracts.fields import Bytes32, TimeMs, Uint64
from contracts.frame import Context
from contracts.records import Reader
from contracts.refusals import Refused

CONTRACT: Final = deadlines.CONTRACT
DATA_AUTHORITY: Final = ""
"""In place of a department's code: the data authority, for which governors act."""

MAX_SUPPLY_AHEAD_MS: Final = 365 * DAY_MS
MAX_LISTED_DEADLINES: Final = 64


class Obligation(msgspec.Struct, frozen=True, gc=False):
    """What somebody owes under a request since a time: `working_days` is its term, 0 where none applies.

    `done_ms` is when it was done, or fell away by what somebody else did, 0 while it is owed; `lapses_ms` is when it falls away by
    itself, 0 for never.
    """

    kind: str
    number: int
    """Which correction, dispute or recall of the request; 0 for what there is once."""
    department: str
    start_ms: int
    working_days: int
    done_ms: int = 0
    lapses_ms: int = 0
    fell_away: bool = False
    """Whether nobody did it, and from `done_ms` on nobody has to."""
    source: str = ""
    """The rule that its term comes from: of the terms in force when what it belongs to began, whatever was recorded since."""
    follows_calendar: bool = False
    """Whether its start and its term are themselves chosen by the calendar: by whether the check before it was in time."""

    def is_open(self, now_ms: int) -> bool:
        """Return whether it is still owed at a time."""
        return not self.done_ms and not 0 < self.lapses_ms < now_ms


class Deadline(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An obligation with a term, by whom and until when: `due_ms` is the last millisecond of its last working day in Beijing."""

    kind: str
    number: Uint64
    department: str
    """Who has to act; empty for the data authority."""
    start_ms: TimeMs
    working_days: Uint64
    due_ms: TimeMs
    done_ms: TimeMs
    lapses_ms: TimeMs
    fell_away: bool
    """Whether nobody did it: a request was taken back or answered unchecked, a grant ended, parties settled; since `done_ms`."""
    is_provisional: bool
    """Whether the calendar of a year that it runs through is not recorded: holidays there may still move it."""


@CONTRACT.view()
def deadlines_of(ctx: Context, request: Bytes32) -> tuple[Deadline, ...]:
    """Return the newest deadlines of a request, at most 64, in the order in which they began, those met and missed included."""
    record = load_request(ctx, request)
    if record is None:
        raise Refused("REQUEST_UNKNOWN", found=request)
    return load_deadlines(ctx, record)[-MAX_LISTED_DEADLINES:]


def load_deadlines(state: Reader, record: RequestRecord) -> tuple[Deadline, ...]:
    """Return the deadlines of a request, in the order in which they began; what no term applies to has none."""
    return _deadlines(state, load_obligations(state, record))


def load_sources(state: Reader, record: RequestRecord) -> tuple[str, ...]:
    """Return the rule that each of the deadlines of load_deadlines() comes from, in the same order."""
    return tuple(one.source for one in load_obligations(state, record) if one.working_days)


def load_asking_source(state: Reader, record: RequestRecord) -> str:
    """Return the rule whose terms were in force when a request was asked: what a request without any deadline has none by."""
    return _terms_of(state, record).at(record.requested_ms).source


def load_own_deadlines(state: Reader, record: RequestRecord) -> tuple[Deadline, ...]:
    """Return the deadlines of a request but for those of the cases under it, none of which is read."""
    return _deadlines(state, load_own_obligations(state, record))


def load_correction_deadline(state: Reader, record: RequestRecord, correction: CorrectionRecord) -> Deadline | None:
    """Return by when a correction under a request is or was to be answered, None where no term applies."""
    days = _terms_of(state, record).at(correction.asked_ms).working_days(CORRECTION)
    times = (correction.asked_ms, days, correction.answered_ms)
    owed = Obligation(CORRECTION, correction.number, record.provider, *times)
    return next(iter(_deadlines(state, [owed])), None)


def _deadlines(state: Reader, obligations: Iterable[Obligation]) -> tuple[Deadline, ...]:
    owed = [one for one in obligations if one.working_days]
    if not owed:
        return ()
    calendar = load_calendar(state, owed[0].start_ms, owed[-1].start_ms)
    return tuple(deadline_of(one, calendar) for one in owed)


def deadline_of(obligation: Obligation, calendar: Calendar) -> Deadline:
    """Return when an obligation with a term is due, by a calendar that holds the year it begins in and the next."""
    due_ms = add_working_days(calendar, obligation.start_ms, obligation.working_days)
    return Deadline(
        obligation.kind,
        obligation.number,
        obligation.department,
        obligation.start_ms,
        obligation.working_days,
        due_ms,
        obligation.done_ms,
        obligation.lapses_ms,
        obligation.fell_away,
        not (calendar.is_recorded(day_of(obligation.start_ms)) and calendar.is_recorded(day_of(due_ms))),
    )


def load_obligations(state: Reader, record: RequestRecord) -> list[Obligation]:
    """Return what was and is owed under a request, in the order in which it began."""
    terms = _terms_of(state, record)
    found = [*_replies(state, record, terms), *_supply(record, terms), *_cases(state, record, terms)]
    return _in_order(found)


def load_own_obligations(state: Reader, record: RequestRecord) -> list[Obligation]:
    """Return what was and is owed under a request but for the cases under it, none of which is read."""
    terms = _terms_of(state, record)
    return _in_order([*_replies(state, record, terms), *_supply(record, terms)])


def _in_order(found: list[Obligation]) -> list[Obligation]:
    return sorted(found, key=lambda one: (one.start_ms, one.kind, one.number))


def _terms_of(state: Reader, record: RequestRecord) -> RegionTerms:
    provider = load_department(state, record.provider)
    return RegionTerms(state, "" if provider is None else provider.region)


def _replies(state: Reader, record: RequestRecord, region_terms: RegionTerms) -> Iterator[Obligation]:
    """Yield the compliance check and the reply of each time that the request waited.

    A check in time begins the term of the reply; one that is late moves nothing: the reply stays due when both terms have run out,
    one after the other, since the request waits.
    """
    for number, interval in enumerate(record.history):
        if interval.state != WAITING:
            continue
        following = record.history[number + 1] if number + 1 < len(record.history) else None
        start_ms, done_ms = interval.from_ms, 0 if following is None else following.from_ms
        terms = region_terms.at(start_ms)
        if following is not None and _is_granted_by_request(interval, following):
            yield _obligation(terms, REPLY_UNCONDITIONAL, record.provider, start_ms, done_ms)
            continue
        check_days, reply_days = terms.working_days(COMPLIANCE_CHECK), terms.working_days(REPLY_CONDITIONAL)
        if check_days:
            # A request that its provider answered or its consumer took back is not checked any more: nobody did it.
            fell_away = bool(done_ms) and not (interval.checked_ms or _is_failed_check(following))
            check = Obligation(
                COMPLIANCE_CHECK, 0, DATA_AUTHORITY, start_ms, check_days, interval.checked_ms or done_ms
            )
            yield msgspec.structs.replace(check, fell_away=fell_away, source=terms.source)
            if interval.checked_ms and interval.checked_ms <= deadline_of(check, load_calendar(state, start_ms)).due_ms:
                start_ms = interval.checked_ms
            elif reply_days:
                reply_days += check_days
        taken_back = following is not None and following.state == STOPPED
        follows_calendar = bool(check_days and interval.checked_ms)
        times = (start_ms, reply_days, done_ms, 0)
        yield Obligation(REPLY_CONDITIONAL, 0, record.provider, *times, taken_back, terms.source, follows_calendar)


def _is_failed_check(answer: RequestInterval | None) -> bool:
    """Return whether a request was refused by its compliance check."""
    return answer is not None and (answer.state, answer.reason_code) == (REFUSED, NOT_COMPLIANT)


def _is_granted_by_request(asked: RequestInterval, following: RequestInterval) -> bool:
    """Return whether the call that asked granted too: no account of the consumer's ever answers in the provider's place."""
    return following.state == GRANTED and (following.from_ms, following.department) == (asked.from_ms, asked.department)


def _supply(record: RequestRecord, terms: RegionTerms) -> Iterator[Obligation]:
    """Yield the supply that a grant is owed, unless it had begun before: under the grant that it renews, or before it was restored."""
    supplied_ms = record.supplied_ms
    for number, interval in enumerate(record.history):
        granted_ms = interval.from_ms
        if interval.state != GRANTED or 0 < supplied_ms < granted_ms:
            continue
        ended_ms = record.history[number + 1].from_ms if number + 1 < len(record.history) else 0
        fell_away = bool(ended_ms) and not 0 < supplied_ms <= ended_ms
        # A grant for a time to come is supplied when that begins; one for years ahead is settled before.
        start_ms = min(max(granted_ms, record.from_ms), granted_ms + MAX_SUPPLY_AHEAD_MS)
        in_force = terms.at(granted_ms)
        days, done_ms = in_force.working_days(SUPPLY), ended_ms if fell_away else supplied_ms
        times = (start_ms, days, done_ms, record.to_ms)
        yield Obligation(SUPPLY, 0, record.provider, *times, fell_away, in_force.source)


def _cases(state: Reader, record: RequestRecord, terms: RegionTerms) -> Iterator[Obligation]:
    """Yield the answers to corrections, the decisions of disputes and the confirmations of recalls."""
    found: list[tuple[str, int, str, int, int]] = []
    settled: set[int] = set()
    for number in range(1, record.corrections + 1):
        if (correction := load_correction(state, record.id, number)) is not None:
            found.append((CORRECTION, number, record.provider, correction.asked_ms, correction.answered_ms))
    for number in range(1, record.disputes + 1):
        if (dispute := load_dispute(state, record.id, number)) is not None:
            # Until a governor takes it up it is nobody's in particular.
            found.append((DISPUTE, number, dispute.handler or DATA_AUTHORITY, dispute.raised_ms, dispute.ended_ms))
            if dispute.outcome in (SETTLED, WITHDRAWN):
                settled.add(number)
    for number in range(1, record.recalls + 1):
        if (recall := load_recall(state, record.id, number)) is not None:
            found.append((RECALL, number, record.consumer, recall.begun_ms, recall.confirmed_ms))
    for kind, number, department, start_ms, done_ms in found:
        in_force = terms.at(start_ms)
        times = (start_ms, in_force.working_days(kind), done_ms, 0)
        fell_away = kind == DISPUTE and number in settled
        yield Obligation(kind, number, department, *times, fell_away, in_force.source)


def _obligation(terms: TermVersion, kind: str, department: str, start_ms: int, done_ms: int) -> Obligation:
    return Obligation(kind, 0, department, start_ms, terms.working_days(kind), done_ms, source=terms.source)
