"""The forms of what REST answers about returned data."""

from __future__ import annotations

from pydantic import BaseModel

from explorer.schemas import Words


class Arrival(BaseModel):
    """A recorded arrival; one that no longer stands has `ended_ms`, and `corrected_by` where another stands in its place."""

    resource: str
    number: int
    provider: str
    version: int
    from_ms: int
    to_ms: int
    rows: int
    digest: str
    batch: str
    arrived_ms: int
    recorder: str
    recorded_ms: int
    corrects: int
    ended_ms: int
    ended_by: str
    reason: str
    corrected_by: int


class ReturnedResource(BaseModel):
    """A returned resource; `due_ms` is the end of the day by which data comes again, null where its cycle has no length."""

    resource: str
    resource_name: str
    provider: str
    provider_name: str
    source_level: str
    source_text: Words
    source_body: str
    update_cycle: int
    cycle_text: Words
    since_ms: int
    last_arrival: Arrival | None
    due_ms: int | None
    state: str
    state_text: Words


class ReturnedPage(BaseModel):
    """A page of returned resources, as of a block's time."""

    items: list[ReturnedResource]
    next_cursor: str | None
    as_of_ms: int
