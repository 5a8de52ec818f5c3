"""The forms of what REST answers about the data catalogue."""

from __future__ import annotations

from pydantic import BaseModel

from explorer.schemas import Words


class ResourceItem(BaseModel):
    """One data item of a resource."""

    name: str
    type: str


class Approval(BaseModel):
    """One account's approval of a version, and in which role."""

    role: str
    account: str
    department: str
    approved_ms: int


class ResourceDescription(BaseModel):
    """What a department states about a resource, and what its codes stand for; null where a field is empty."""

    code: str
    name: str
    summary: str
    format: str
    items: list[ResourceItem]
    sharing_type: int
    sharing_text: Words
    sharing_basis: str
    sharing_method: str
    update_cycle: int
    cycle_text: Words
    data_class: int
    class_text: Words
    is_open: bool
    open_condition: str
    is_secret: bool
    level: str
    level_text: Words | None
    categories: list[str]
    category_text: Words | None
    library: str
    library_text: Words | None
    source_level: str
    source_text: Words | None
    source_body: str
    source_code: str
    related: list[str]
    duties: list[str]
    systems: list[str]


class Resource(ResourceDescription):
    """A version of a resource that is or was in force."""

    provider: str
    provider_name: str
    version: int
    published_ms: int
    publisher: str
    approvals: list[Approval]
    withdrawn_ms: int
    withdrawn_reason: str
    is_withdrawn: bool
    review_count: int
    score_total: int
