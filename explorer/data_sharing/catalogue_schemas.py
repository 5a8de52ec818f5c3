"""The forms of what REST answers about the data catalogue, its directories and open data."""

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
    """A version of a resource that is or was in force; reviews count for this version."""

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


class Proposal(ResourceDescription):
    """A version that waits for approval; `replaces` is the version in force, 0 for none, `needed` the roles still to approve."""

    provider: str
    provider_name: str
    digest: str
    replaces: int
    proposer: str
    proposed_ms: int
    needed: list[str]
    approvals: list[Approval]


class FieldChange(BaseModel):
    """A field that differs; of a list, what was taken out and what was added."""

    field: str
    field_text: Words
    before: Words
    after: Words


class ResourceChanges(BaseModel):
    """What differs between two versions of a resource; `to_version` is 0 for the version that waits for approval."""

    resource: str
    from_version: int
    to_version: int
    changes: list[FieldChange]


class Count(BaseModel):
    """How many resources have a value; `text` is what it stands for."""

    value: str
    text: Words
    count: int


class CatalogueSummary(BaseModel):
    """How many resources there are that are not withdrawn, by each way to look through them."""

    total: int
    department: list[Count]
    sharing_type: list[Count]
    data_class: list[Count]
    is_open: list[Count]
    library: list[Count]
    source_level: list[Count]


class Review(BaseModel):
    """What a department found of a version of a resource, and what its provider answered."""

    resource: str
    version: int
    department: str
    department_name: str
    reviewer: str
    score: int
    finding: str
    reviewed_ms: int
    reply: str
    replied_ms: int


class Duty(BaseModel):
    """A duty in a department's directory."""

    department: str
    department_name: str
    code: str
    name: str
    basis: str
    unit: str
    tasks: list[str]
    version: int
    entered_ms: int
    ended_ms: int
    reason: str


class DutyInFull(Duty):
    """A duty, and the codes of the department's systems and resources that name it, 200 each at most."""

    of_systems: list[str]
    of_resources: list[str]


class InformationSystem(BaseModel):
    """A system in a department's directory."""

    department: str
    department_name: str
    code: str
    name: str
    summary: str
    network: int
    network_text: Words
    duties: list[str]
    version: int
    entered_ms: int
    ended_ms: int
    reason: str


class InformationSystemInFull(InformationSystem):
    """A system, and the codes of the department's resources that name it, 200 at most."""

    of_resources: list[str]


class DatasetStep(BaseModel):
    """From when a dataset was in a state, by whom, and why."""

    state: str
    state_text: Words
    from_ms: int
    reason: str
    operator: str


class Release(BaseModel):
    """What was put where for the public, number 0 before any."""

    number: int
    place: str
    digest: str
    size_bytes: int
    rows: int
    released_ms: int


class Dataset(BaseModel):
    """A dataset that is or was proposed to be open."""

    resource: str
    resource_name: str
    resource_version: int
    provider: str
    provider_name: str
    items: list[str]
    format: str
    terms: str
    state: str
    state_text: Words
    history: list[DatasetStep]
    release: Release
    downloads: int
    report_count: int
    reported_to_ms: int


class DownloadReport(BaseModel):
    """How often a dataset was downloaded in a period."""

    resource: str
    number: int
    from_ms: int
    to_ms: int
    downloads: int
    reporter: str
    reported_ms: int
