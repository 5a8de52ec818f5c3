"""The shape of a REST answer about a list of certificates, for the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class ListFinding(BaseModel):
    """Something to know of a certificate of a list beside its verdict."""

    code: str
    mood: Literal["good", "warn", "bad"]
    zh: str
    en: str


class ListedVerdict(BaseModel):
    """What one certificate of a list was found to be; `line` is its place in the list, from 1."""

    line: int
    subject: str
    document_digest: str | None
    verdict: str
    is_valid: bool
    mood: Literal["good", "warn", "bad"]
    zh: str
    en: str
    findings: list[ListFinding]
    height: int | None
    time_ms: int | None


class ListReport(BaseModel):
    """What this node says of a list of certificates, all as of one final block."""

    basis: Literal["node", "files"]
    network_name: str
    genesis_hash: str
    height: int
    block_time_ms: int
    at_ms: int
    day: str
    signers: list[str]
    validator_count: int
    items: list[ListedVerdict]
    is_all_valid: bool
