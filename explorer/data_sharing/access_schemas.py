"""REST's models of streams, batches and sealed copies of access records."""

from __future__ import annotations

from pydantic import BaseModel, Field

from explorer.schemas import Words


class AccessStream(BaseModel):
    """A stream: where it stands on the ledger, and what its recorder has declared of how it records."""

    department: str
    department_name: str
    recorder: str
    number: int = Field(description="已上链的读取条数 / reads on the ledger")
    digest: str
    batch_number: int
    covered_ms: int = Field(
        description="账本所载读取截至何时 / until when the ledger has every read; 0 before the first batch"
    )
    recorded_ms: int
    heartbeat_s: int
    max_batch_records: int
    on_outage: int
    on_outage_text: Words
    stop_after_s: int
    bodies_at: str
    second_place: str
    declared_ms: int
    first_declared_ms: int = Field(
        description="首次登记的区块时间，自此起须无间断 / since when batches cover every moment"
    )
    due_ms: int = Field(description="下一批最迟何时 / by when the next batch was promised")
    ended_ms: int
    is_late: bool = Field(description="截至最新区块已逾期 / overdue as of the latest block")


class AccessBatch(BaseModel):
    """Consecutive reads of a stream under one root: numbers, digests and counts, never what was read."""

    department: str
    recorder: str
    batch_number: int
    first_number: int
    count: int
    previous_digest: str
    last_digest: str
    root: str
    from_ms: int
    to_ms: int
    served: int
    denied: int
    irregular: int
    rows: int
    due_ms: int = Field(description="承诺最迟何时上链 / by when it was promised")
    recorded_ms: int


class SealedBodiesRequest(BaseModel):
    """A batch's reads as their recorder seals them to the auditing authority."""

    batch_number: int
    sealed: str = Field(description="密文，base64 / the sealed bytes in base64")


class KeptSealedBodies(BaseModel):
    """A sealed batch that this node keeps; `is_new` is false where one was kept before, which stays."""

    department: str
    recorder: str
    batch_number: int
    size_bytes: int
    sm3: str
    is_new: bool


class SealedBodies(BaseModel):
    """A sealed batch, for auditors."""

    department: str
    recorder: str
    batch_number: int
    sealed: str
