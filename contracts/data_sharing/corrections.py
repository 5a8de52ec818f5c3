"""Corrections (校核纠错): a consumer says what is wrong with data that it was supplied, and the provider answers for it."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.accounts import APPROVER, PUBLISHER, RECORDER, REQUESTER
from contracts.data_sharing import sharing
from contracts.data_sharing.case_records import (
    MAX_ANSWER_LENGTH,
    MAX_CLAIM_LENGTH,
    case_name,
    next_number,
    require_case,
)
from contracts.data_sharing.working_days import DAY_MS
from contracts.fields import Address, Bytes32, TimeMs, Uint8, Uint64, check_choice, check_optional_text, check_text
from contracts.frame import Context
from contracts.records import Reader, Table
from contracts.refusals import Refused

MAX_CORRECTIONS: Final = 256
"""Under one request."""
MAX_OPEN_CORRECTIONS: Final = 32
"""One more waits until the one asked for so many before it is answered."""
MAX_CORRECTION_AGE_MS: Final = 365 * DAY_MS
"""How long after its grant has ended what was supplied under it may be corrected."""

OPEN: Final = 0
CORRECTED: Final = 1
CONFIRMED: Final = 2
PASSED_ON: Final = 3
OUTCOMES: Final[dict[int, tuple[str, str]]] = {
    OPEN: ("待核实", "not answered yet"),
    CORRECTED: ("已更正", "corrected"),
    CONFIRMED: ("经核实无误", "looked into and found right"),
    PASSED_ON: ("已转数源部门", "passed on to the department that the data is from"),
}
"""What came of a correction, in Chinese and English."""


class CorrectionRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is said to be wrong, when it was asked and by whom, and what came of it."""

    request: Bytes32
    number: Uint64
    item: str
    """Name of the item that is wrong; empty when it is not one item."""
    claim: str
    evidence: Bytes32
    """Digest of what shows it, which both parties have; zeros for none."""
    asked_ms: TimeMs
    asked_by: Address
    outcome: Uint8
    answer: str
    answered_ms: TimeMs
    """0 while it is not answered."""
    answered_by: Address


CORRECTIONS: Final = Table("sharing", 5, CorrectionRecord)
CONTRACT: Final = sharing.CONTRACT
CORRECTION_ASKED: Final = CONTRACT.event(
    "CorrectionAsked", ["request"], request="bytes32", number="uint64", item="string"
)
CORRECTION_ANSWERED: Final = CONTRACT.event(
    "CorrectionAnswered", ["request"], request="bytes32", number="uint64", outcome="uint8"
)


@CONTRACT.write(REQUESTER, RECORDER)
def ask_correction(ctx: Context, request: Bytes32, item: str, claim: str, evidence: Bytes32) -> Uint64:
    """Say that data supplied to the caller's department under a grant is wrong, and return the correction's number.

    While the grant is in force, or within a year of its end where supply under it had begun.
    """
    check_text("claim", claim, MAX_CLAIM_LENGTH)
    record = sharing.load_for_consumer(ctx, request)
    if not record.granted_ms:
        raise Refused("REQUEST_STATE", found=record.state, expected=sharing.GRANTED)
    ended_ms = record.to_ms if record.state == sharing.GRANTED else record.history[-1].from_ms
    is_recent = record.supplied_ms and ctx.time_ms <= ended_ms + MAX_CORRECTION_AGE_MS
    if not is_recent and not sharing.is_in_force(record, ctx.time_ms):
        raise Refused("GRANT_NOT_IN_FORCE", found=request)
    # What a grant allows of all items is kept as its columns, so one of both names what was supplied.
    if item and item not in (record.conditions.columns or record.items):
        raise Refused("COLUMN_NOT_GRANTED", found=item)
    number = next_number(record.corrections, MAX_CORRECTIONS, "corrections")
    earlier = load_correction(ctx, request, number - MAX_OPEN_CORRECTIONS) if number > MAX_OPEN_CORRECTIONS else None
    if earlier is not None and earlier.outcome == OPEN:
        raise Refused("CASES_FULL", field="unanswered corrections", limit=MAX_OPEN_CORRECTIONS)
    asked = CorrectionRecord(request, number, item, claim, evidence, ctx.time_ms, ctx.sender, OPEN, "", 0, bytes(20))
    CORRECTIONS.save(ctx, case_name(request, number), asked)
    sharing.REQUESTS.save(ctx, request, msgspec.structs.replace(record, corrections=number))
    ctx.emit(CORRECTION_ASKED, request, number, item)
    return number


@CONTRACT.write(APPROVER, PUBLISHER)
def answer_correction(ctx: Context, request: Bytes32, number: Uint64, outcome: Uint8, answer: str) -> None:
    """Say what came of a correction of the caller's department's data: corrected, found right, or passed on to its source."""
    check_choice("outcome", outcome, (CORRECTED, CONFIRMED, PASSED_ON))
    check_optional_text("answer", answer, MAX_ANSWER_LENGTH)
    sharing.load_for_provider(ctx, request)
    asked = require_case(ctx, CORRECTIONS, request, number)
    if asked.outcome != OPEN:
        raise Refused("ANSWERED_ALREADY", found=number)
    answered = msgspec.structs.replace(
        asked, outcome=outcome, answer=answer, answered_ms=ctx.time_ms, answered_by=ctx.sender
    )
    CORRECTIONS.save(ctx, case_name(request, number), answered)
    ctx.emit(CORRECTION_ANSWERED, request, number, outcome)


@CONTRACT.view()
def correction(ctx: Context, request: Bytes32, number: Uint64) -> CorrectionRecord:
    """Return a correction by its number under a request."""
    return require_case(ctx, CORRECTIONS, request, number)


def load_correction(state: Reader, request_id: bytes, number: int) -> CorrectionRecord | None:
    """Return a correction by its number under a request, or None."""
    return CORRECTIONS.load(state, case_name(request_id, number))


def correction_key(request_id: bytes, number: int) -> bytes:
    """Return the key in state of a correction."""
    return CORRECTIONS.key(case_name(request_id, number))
