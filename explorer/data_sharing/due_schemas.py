"""The forms of what REST answers about deadlines and calendars."""

from __future__ import annotations

from pydantic import BaseModel

from explorer.schemas import Words


class Deadline(BaseModel):
    """What somebody owes under a request, and until when; `department` is empty where the data authority has to act.

    `done_ms` is when it was done, or, with `fell_away`, since when nobody has to do it any more, though nobody did.
    """

    kind: str
    kind_text: Words
    number: int
    department: str
    department_name: str
    start_ms: int
    working_days: int
    due_ms: int
    done_ms: int | None
    fell_away: bool
    is_open: bool
    is_overdue: bool
    days_left: int
    days_late: int
    is_provisional: bool


class DueItem(Deadline):
    """An open item with the request that it is under."""

    request: str
    resource: str
    provider: str
    provider_name: str
    consumer: str
    consumer_name: str


class DuePage(BaseModel):
    """A page of open items, and whose they are: `all`, or a department's code.

    `is_cut` is whether more are open than the list looks at, which are of each consumer in turn those that began first: with `department`
    or `kind` it has others.
    """

    items: list[DueItem]
    next_cursor: str | None
    scope: str
    is_cut: bool
    as_of_ms: int


class RequestDeadline(Deadline):
    """A deadline with the rule that its term comes from: the one in force when what it belongs to began."""

    source: str


class Deadlines(BaseModel):
    """The deadlines of one request as of the latest block."""

    items: list[RequestDeadline]
    as_of_ms: int


class CalendarDay(BaseModel):
    """A day that the calendar names."""

    day: str
    is_working: bool
    name: str


class Calendar(BaseModel):
    """The calendar of a year as a governor recorded it."""

    year: int
    source: str
    days: list[CalendarDay]
    version: int
    recorded_ms: int
    operator: str


class RegionTerm(BaseModel):
    """A kind of term in working days, null where no limit applies."""

    kind: str
    kind_text: Words
    working_days: int | None


class RegionTerms(BaseModel):
    """The terms that hold in a region for what begins now."""

    region: str
    source: str
    from_ms: int
    terms: list[RegionTerm]
