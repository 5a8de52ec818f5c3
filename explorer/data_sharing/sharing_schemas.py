"""The shapes of what REST says of requests beyond the requests themselves: their cases, and the table of reasons for refusal."""

from __future__ import annotations

from pydantic import BaseModel

from explorer.schemas import Words


class Correction(BaseModel):
    """What a consumer said is wrong, and what came of it; `answered_ms` is 0 until then."""

    number: int
    item: str
    claim: str
    evidence: str
    asked_ms: int
    asked_by: str
    outcome: int
    outcome_text: Words
    answer: str
    answered_ms: int
    answered_by: str


class Dispute(BaseModel):
    """What one party said of the other, and how it went on; a time is 0 while its step was not taken."""

    number: int
    kind: str
    kind_text: Words
    raiser: str
    raiser_name: str
    claim: str
    evidence: str
    raised_ms: int
    raised_by: str
    answer: str
    answered_ms: int
    answered_by: str
    handler: str
    taken_ms: int
    taken_by: str
    outcome: int
    outcome_text: Words
    order: int
    order_text: Words
    decision: str
    ended_ms: int
    ended_by: str


class Recall(BaseModel):
    """Which data was recalled, and when its destruction was confirmed; 0 until then."""

    number: int
    from_ms: int
    to_ms: int
    ends_grant: bool
    reason: str
    begun_ms: int
    begun_by: str
    statement: str
    note: str
    confirmed_ms: int
    confirmed_by: str
    outcome_text: Words


class RequestCases(BaseModel):
    """All corrections, disputes and recalls of a request, each in the order of their numbers."""

    corrections: list[Correction]
    disputes: list[Dispute]
    recalls: list[Recall]


class RefusalReason(BaseModel):
    """A reason for which a request may be refused; with `needs_text`, more must be said."""

    code: str
    text: str
    english: str
    needs_text: bool


class ReasonTable(BaseModel):
    """The reasons for refusal, and since when; 0 for the default table."""

    reasons: list[RefusalReason]
    set_ms: int
