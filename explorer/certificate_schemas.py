"""The shapes of REST answers about verification and histories of certificates, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from explorer.schemas import Certificate, StatusInterval, Words

Mood = Literal["good", "warn", "bad"]


class CertificateType(BaseModel):
    """A registered type of certificate, with what its codes mean in words."""

    code: str
    name: str
    defining_body: str
    defining_level: str
    defining_level_text: Words
    holder_category: str
    holder_category_text: Words
    validity_range: str
    issuing_level: str
    issuing_level_text: Words
    certificate_class: str
    certificate_class_text: Words
    code_table: str
    registered_ms: int


class TypeIssuer(BaseModel):
    """A department that may issue a type; `is_active` is false while the department is suspended."""

    department: str
    department_name: str
    is_active: bool
    granted_ms: int
    has_batches: bool


class TableStatus(BaseModel):
    """A status of a table; `effect` is 1 in force, 2 held, 3 ended."""

    code: str
    text: Words
    effect: int
    effect_text: Words


class TableOperation(BaseModel):
    """An operation of a table: the action it stands for, from which statuses to which, and what a predecessor gets."""

    code: str
    text: Words
    action: str
    from_statuses: list[str]
    to_statuses: list[str]
    predecessor_status: str


class CodeTable(BaseModel):
    """A table of status and operation codes."""

    name: str
    statuses: list[TableStatus]
    operations: list[TableOperation]


class HistoryInterval(StatusInterval):
    """A status of a certificate; `number` counts from 0, the first; `until_ms` is when the next began, null for the latest."""

    number: int
    until_ms: int | None


class Statement(BaseModel):
    """One step of a verification, and who proves it."""

    code: str
    mood: Mood
    zh: str
    en: str
    proven_by: Words
    since_ms: int | None = Field(description="所述情形自何时起 / since when what it says holds")
    successor: str | None = Field(description="接替的证照标识 / the certificate that took its place")


class Span(BaseModel):
    """What a certificate was for a part of the day that was asked for."""

    from_ms: int
    to_ms: int
    verdict: str
    is_valid: bool
    zh: str
    en: str


class Verification(BaseModel):
    """What this node says of a certificate as of its latest block; the proof file says it without any node.

    It is as old as `block_time_ms` is, by the asker's clock. Asked for a `day`, `spans` says what the certificate was in the course of it.
    """

    verdict: str
    is_valid: bool
    mood: Mood
    zh: str
    en: str
    height: int
    block_time_ms: int
    signers: list[str]
    validator_count: int
    at_ms: int
    day: str | None
    batch: str | None = Field(
        description="仅由批次登记、尚无单独记录时的批次名 / the batch whose serials it is among, while it has no record of its own"
    )
    statements: list[Statement]
    spans: list[Span]
    certificate: Certificate | None


class BatchProofFile(BaseModel):
    """A proof of a certificate of a batch (docs/spec/batch-proof.md), to be checked with `govnode verify`; bytes are hex without 0x."""

    format: str
    version: int
    member: dict[str, Any]
    batch_record: dict[str, Any]
    own_record: dict[str, Any]
    header: dict[str, Any]
    certificate: dict[str, Any]
    validators: list[dict[str, Any]]
    walk: list[dict[str, Any]]


class FileStep(BaseModel):
    """One step of what a file itself shows; `code` names why it broke, and is empty elsewhere."""

    step: str
    state: Literal["held", "broken", "not-reached", "not-asked"]
    code: str
    zh: str
    en: str


class FileFinding(BaseModel):
    """What a file itself shows; values and what follows where it holds and says so."""

    is_accepted: bool
    code: str
    zh: str
    en: str
    steps: list[FileStep]
    values: dict[str, str] | None = Field(description="所出示的字段 / the fields shown")
    hidden: list[str] = Field(description="未出示的字段名 / names of the fields that are not shown")
    signer: str | None
    recipient: str | None
    purpose: str | None
    expires_ms: int | None
    proven_height: int | None = Field(description="证明文件所截至的区块 / the block that a proof speaks of")
    proven_ms: int | None


class FileVerification(BaseModel):
    """The outcome for a file: `file` is what it shows by itself, null where only its digest counts; then its certificates on the ledger."""

    kind: Literal["document", "presentation", "annotated-copy", "proof", "batch-proof", "code", "other"]
    file_digest: str = Field(description="文件的 SM3 / SM3 of the bytes of the file")
    verdict: str
    is_valid: bool
    mood: Mood
    zh: str
    en: str
    height: int
    block_time_ms: int
    age_ms: int = Field(description="所截至的区块距核验时的毫秒数 / how old the block was when the file was verified")
    file: FileFinding | None
    certificates: list[Verification]


class Batch(BaseModel):
    """A batch: one Merkle root over `count` certificates, each in force since it was issued unless it has a record of its own."""

    name: str
    type_code: str
    type_name: str | None
    issuer: str
    issuer_name: str
    first: str = Field(description="首个流水号 / first serial")
    last: str
    count: int
    root: str
    manifest_digest: str
    issued_ms: int
    operator: str
    status: str
    status_text: Words


class Member(BaseModel):
    """A certificate of a batch that has a record of its own; `verdict` is what it is as of the latest block, `position` counts from 0."""

    position: int
    identifier: str
    verdict: str
    mood: Mood
    since_ms: int
    status: str
    status_text: Words
