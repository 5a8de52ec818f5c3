"""REST's models of the auditing authority, auditors' queries and findings."""

from __future__ import annotations

from pydantic import BaseModel, Field

from explorer.schemas import Words


class AuthorityInterval(BaseModel):
    """A department that was the auditing authority, since when, and which governor named it."""

    department: str
    department_name: str
    from_ms: int
    operator: str


class Authority(BaseModel):
    """The auditing authority, empty when none has been named; and how many queries and findings there are on the ledger."""

    department: str
    department_name: str
    history: list[AuthorityInterval]
    queries: int = Field(description="审计方登记的查询数 / queries that auditors have recorded")
    findings: int = Field(description="提出的审计发现数 / findings that were raised")


class FigureRow(BaseModel):
    """A figure of the audit's rules, and the value that a table gives it."""

    figure: str
    text: Words
    value: int


class FigureTable(BaseModel):
    """A published table: reads from `from_ms` on are judged by it; the department is empty for all that have none of their own."""

    number: int
    department: str
    department_name: str
    rows: list[FigureRow]
    basis: str = Field(description="依据 / by which rule")
    from_ms: int
    set_ms: int
    set_by: str


class AuditQuery(BaseModel):
    """That an auditor asked, before the answer; the query itself is a digest."""

    number: int
    department: str
    department_name: str
    account: str
    kind: str
    kind_text: Words
    digest: str
    basis: str = Field(description="审计依据的文号 / number of the mandate")
    recorded_ms: int


class FindingSubject(BaseModel):
    """What a finding is about; recorder and grant are zeros, numbers 0 and departments empty where there is none."""

    rule: str
    department: str = Field(description="须作说明的部门 / who has to explain")
    other: str
    stream: str
    recorder: str
    first_number: int
    last_number: int
    grant: str
    from_ms: int
    to_ms: int


class FindingStep(BaseModel):
    """A state of a finding: the number of a letter, and the digest of what it says."""

    state: str
    from_ms: int
    reference: str
    digest: str
    operator: str


class Finding(BaseModel):
    """A finding with every state it had, the oldest first."""

    number: int
    id: str
    raised_by: str
    raised_by_name: str
    department_name: str
    other_name: str = Field(description="对方名称 / name of the department on the other side")
    rule_text: Words
    subject: FindingSubject
    state: str
    state_text: Words
    history: list[FindingStep]
