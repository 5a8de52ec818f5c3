"""REST: deposits, sealed presentations that departments leave at a node; whoever has the link of one opens it."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from explorer.deposits import Deposit, SealedDeposit
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response, read_body
from explorer.schemas import Page
from explorer.services import services_of
from verification.deposits import MAX_DEPOSIT_BYTES

MAX_REQUEST_BYTES: Final = MAX_DEPOSIT_BYTES * 4 // 3 + 1_024

DepositId = Annotated[
    str,
    Path(
        pattern=r"^[A-Z2-7]{16}$",
        description="寄存编号：链接中 /P/ 之后的 16 位 / the 16 characters behind /P/ in the link",
    ),
]

ROUTER = APIRouter(prefix="/api/v1", tags=["寄存 Deposits"])


class DepositRequest(BaseModel):
    """What a department leaves: bytes that only the key in the link opens."""

    sealed: str = Field(description="密文，base64 / the sealed bytes in base64")
    expires_ms: int


class DepositModel(BaseModel):
    """A deposit as the department sees it that made it."""

    id: str
    department: str
    made_ms: int
    expires_ms: int
    size_bytes: int


class SealedDepositModel(BaseModel):
    """A deposit as everybody sees it."""

    id: str
    expires_ms: int
    sealed: str = Field(description="密文，base64 / the sealed bytes in base64")


class Withdrawn(BaseModel):
    """The id of a deposit that is gone."""

    id: str


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    sealed: str
    expires_ms: int


@ROUTER.post(
    "/deposits",
    summary="寄存（须签名请求） / Deposit; signed requests only",
    response_model=DepositModel,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": DepositRequest.model_json_schema()}},
        }
    },
)
async def deposit(request: Request) -> Response:
    """任一部门的账户可为持证人寄存；本节点只有密文，密钥只在链接里。 / Any department's account; the node has no key to what it keeps."""
    services = services_of(request)
    async with read_body(request, MAX_REQUEST_BYTES) as raw:
        caller = services.identify(request, raw)
        try:
            asked = msgspec.json.decode(raw, type=_Request)
            sealed = base64.b64decode(asked.sealed, validate=True)
        except (msgspec.DecodeError, binascii.Error, ValueError):
            expected = Text('{"sealed": base64, "expires_ms": 毫秒}', '{"sealed": base64, "expires_ms": ms}')
            raise Problem("BODY_INVALID", expected=expected) from None
        kept = await services.deposits.keep(caller.department, sealed, asked.expires_ms)
    return json_response(request, _show(kept))


@ROUTER.get(
    "/deposits",
    summary="本部门的寄存件（须签名请求） / A department's own deposits; signed requests only",
    response_model=Page[DepositModel],
)
async def deposits(request: Request, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """新的在前；不含密文。 / Newest first, without the sealed bytes."""
    services = services_of(request)
    caller = services.identify(request)
    kept = await services.deposits.of_department(caller.department, decode_number_cursor(cursor), limit + 1)
    page = kept[:limit]
    following = encode_cursor(page[-1].number) if len(kept) > limit else None
    return json_response(request, {"items": [_show(one) for one in page], "next_cursor": following})


@ROUTER.get("/deposits/{deposit_id}", summary="取寄存件 / Fetch a deposit", response_model=SealedDepositModel)
async def fetch_deposit(request: Request, deposit_id: DepositId) -> Response:
    """密文；打开它的密钥在链接的 # 之后，不要发给节点。 / Sealed; its key stands behind the # of the link and stays with the reader."""
    return json_response(request, _show_sealed(await services_of(request).deposits.find(deposit_id)))


@ROUTER.post(
    "/deposits/{deposit_id}/withdrawal",
    summary="撤回寄存件（须签名请求） / Withdraw a deposit; signed requests only",
    response_model=Withdrawn,
)
async def withdraw_deposit(request: Request, deposit_id: DepositId) -> Response:
    """由寄存它的部门撤回；随即删除。 / By the department that made it; deleted at once."""
    services = services_of(request)
    async with read_body(request, MAX_REQUEST_BYTES) as raw:
        caller = services.identify(request, raw)
    await services.deposits.withdraw(deposit_id, caller.department)
    return json_response(request, {"id": deposit_id})


def _show(kept: Deposit) -> dict[str, Any]:
    shown = msgspec.structs.asdict(kept)
    del shown["number"]
    return shown


def _show_sealed(kept: SealedDeposit) -> dict[str, Any]:
    return {**msgspec.structs.asdict(kept), "sealed": base64.b64encode(kept.sealed).decode("ascii")}
