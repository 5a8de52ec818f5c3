"""The shapes of REST answers about holders' authorisations, for the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from explorer.schemas import Words


class Authorisation(BaseModel):
    """One department may fetch one certificate until a time; id, statement and purpose are commitments."""

    id: str
    issuer: str
    issuer_name: str
    recipient: str
    recipient_name: str
    statement: str = Field(description="持证人声明的摘要 / digest of the holder's statement")
    purpose: str = Field(description="用途的承诺值 / commitment to the purpose")
    code: str = Field(
        description="一次性授权码的带密钥摘要，没有则为零 / keyed digest of a one-time code, zeros without one"
    )
    from_ms: int
    to_ms: int
    max_fetches: int
    fetch_count: int
    authorised_ms: int
    operator: str
    withdrawn_ms: int = Field(description="未撤回为 0 / 0 while it is not withdrawn")
    withdrawal: str
    state: Literal["open", "not-begun", "withdrawn", "expired", "used-up"]
    state_text: Words


class Fetch(BaseModel):
    """One fetch: which account asked, and the digests of its request and of the file handed out."""

    authorisation: str
    issuer: str
    number: int
    requester: str
    request: str
    result: str
    fetched_ms: int
    operator: str
