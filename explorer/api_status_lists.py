"""REST: status lists, to download whole and ask offline; made for departments, published by the issuer of what they are about."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from explorer.problems import Problem, Text
from explorer.responses import json_response, read_body
from explorer.schemas import Page
from explorer.services import services_of
from explorer.status_lists import PublishedList
from node.http.json_form import to_json
from verification.errors import InputError
from verification.status_list import (
    MAX_STATUS_LIST_FILE_BYTES,
    Scope,
    StatusListFile,
    encode_status_list,
    parse_scope,
)

ScopeName = Annotated[
    str,
    Path(
        pattern=r"^[0-9A-Z]{21}\.[0-9A-Z]{6,18}(\.[0-9A-Z]{1,64})?$",
        description="类型代码.颁发机构代码，或批次名称 / type and issuer code with a dot between, or the name of a batch",
    ),
]
AtHeight = Annotated[
    int | None,
    Query(ge=1, le=2**62, description="清单截至该高度，缺省为最新 / as of this height, the latest by default"),
]

ROUTER = APIRouter(prefix="/api/v1", tags=["状态清单 Status lists"])


class Published(BaseModel):
    """A status list that this node keeps for download."""

    scope: str
    height: int
    time_ms: int
    digest: str
    size_bytes: int


class ListSeal(BaseModel):
    """A department's signature over a list."""

    department: str
    signed_ms: int
    signature: str
    chain: list[str]


class StatusListFileModel(BaseModel):
    """A status list (docs/spec/status-list.md), to be checked with `govnode cert status-list check`; bytes are hex without 0x."""

    format: str
    genesis_hash: str
    scope: str
    height: int
    block_id: str
    time_ms: int
    batch_count: int
    batch_root: str | None
    changed_count: int
    entries: int
    bits: str = Field(description="zlib 压缩后的 base64 / base64 of a zlib stream")
    signatures: list[ListSeal]
    anchors: list[str]


@ROUTER.get("/status-lists", summary="本节点保存的状态清单 / Status lists kept here", response_model=Page[Published])
async def status_lists(request: Request) -> Response:
    """按范围排序；整份下载后离线查，无人知道查的是哪一份。 / By scope; who downloads one whole tells nobody what for."""
    kept = await services_of(request).status_lists.published()
    return json_response(request, {"items": [_show(one) for one in kept], "next_cursor": None})


@ROUTER.get(
    "/status-lists/{scope}", summary="下载状态清单 / Download a status list", response_model=StatusListFileModel
)
async def status_list(request: Request, scope: ScopeName) -> Response:
    """颁发机构最近发布的一份。 / The one that its issuer published last."""
    path = await services_of(request).status_lists.path(_scope(scope))
    return FileResponse(path, media_type="application/json", headers={"cache-control": "no-cache"})


@ROUTER.get(
    "/status-lists/{scope}/content",
    summary="制作状态清单（须签名请求） / Make a status list; signed requests only",
    response_model=StatusListFileModel,
)
async def make_status_list(request: Request, scope: ScopeName, height: AtHeight = None) -> Response:
    """由账本制作，未经签名，可与已发布的核对。 / Made from the ledger, unsigned: to sign, or to compare a published one with."""
    services = services_of(request)
    services.identify(request)
    content = await services.status_lists.make(_scope(scope), height)
    raw = await run_in_threadpool(encode_status_list, StatusListFile(content))
    return Response(raw, media_type="application/json", headers={"cache-control": "no-store"})


@ROUTER.post(
    "/status-lists/{scope}",
    summary="发布状态清单（须签名请求） / Publish a status list; signed requests only",
    response_model=Published,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/StatusListFileModel"}}},
        }
    },
)
async def publish_status_list(request: Request, scope: ScopeName) -> Response:
    """正文为颁发机构已锚定的清单；节点先与账本核对。 / The body is a list that its issuer has anchored; compared with the ledger first."""
    services = services_of(request)
    async with read_body(request, MAX_STATUS_LIST_FILE_BYTES) as raw:
        caller = services.identify(request, raw)
        kept = await services.status_lists.publish(_scope(scope), raw, caller)
    return json_response(request, _show(kept))


def _scope(name: str) -> Scope:
    try:
        return parse_scope(name)
    except InputError as error:
        raise Problem("PARAMETER_INVALID", field="scope", reason=Text(error.zh, error.en), found=name) from None


def _show(kept: PublishedList) -> dict[str, Any]:
    shown: dict[str, Any] = to_json(kept)
    return shown
