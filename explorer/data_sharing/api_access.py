"""REST: streams and batches of access records, and their sealed copies that recorders leave at this node."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from contracts.accounts import RECORDER
from contracts.data_sharing.access import (
    OUTAGE_POLICIES,
    BatchRecord,
    StreamRecord,
    is_late,
    load_batch,
    load_stream,
    load_stream_count,
    load_stream_name,
)
from contracts.data_sharing.audits import MAX_QUERY_AGE_MS, load_query
from explorer.auth import Caller
from explorer.data_sharing import access_schemas
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response, read_body
from explorer.schemas import Page
from explorer.services import Services, hex_parameter, hex_schema, is_auditor, services_of
from node.http.json_form import to_json
from node.logs import Log
from verification.access.query_scope import MAX_SCOPE_TEXT, parse_scope
from verification.access.sealed_batches import MAX_SEALED_BODIES_BYTES

MAX_REQUEST_BYTES: Final = MAX_SEALED_BODIES_BYTES * 4 // 3 + 1_024
MAX_DEPARTMENT_LENGTH: Final = 18

Department = Annotated[
    str, Path(max_length=MAX_DEPARTMENT_LENGTH, description="部门代码 / code of the recording department")
]
Recorder = Annotated[
    str, Path(description="记录账户地址 / address of the recording account", json_schema_extra=hex_schema(20))
]
BatchNumber = Annotated[int, Path(ge=1, le=2**63 - 1, description="批次序号 / number of the batch")]
AuditQuery = Annotated[
    int,
    Query(
        ge=1, le=2**63 - 1, description="账本上本账户所登记查询的序号 / number of the query that the account recorded"
    ),
]
AuditScope = Annotated[
    str,
    Query(
        max_length=MAX_SCOPE_TEXT,
        description="该查询的范围，见 docs/spec/access-trace.md / what the query says of itself, docs/spec/access-trace.md",
    ),
]
_LOG: Final = Log("sealed_bodies")

ROUTER = APIRouter(prefix="/api/v1", tags=["访问记录 Access records"])


class _SealedRequest(msgspec.Struct, forbid_unknown_fields=True):
    batch_number: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    sealed: str


@ROUTER.get(
    "/access-streams",
    summary="全部访问记录流 / All streams of access records",
    response_model=Page[access_schemas.AccessStream],
)
async def access_streams(request: Request, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """按声明先后；账本上只有摘要与计数，无须签名。 / In the order of declaration; digests and counts only, so no signature."""
    services = services_of(request)
    first = decode_number_cursor(cursor) or 0
    count = load_stream_count(services.state())
    streams = [show_stream(services, one) for one in read_streams(services, first, min(count, first + limit))]
    following = encode_cursor(first + limit) if first + limit < count else None
    return json_response(request, {"items": streams, "next_cursor": following}, cacheable=True)


@ROUTER.get(
    "/access-streams/{department}/{recorder}",
    summary="一个访问记录流 / One stream",
    response_model=access_schemas.AccessStream,
)
async def access_stream(request: Request, department: Department, recorder: Recorder) -> Response:
    """流的末端、记录策略，以及是否逾期。 / Where it stands, how its recorder records, and whether it is late."""
    services = services_of(request)
    return json_response(request, show_stream(services, find_stream(services, department, recorder)), cacheable=True)


@ROUTER.get(
    "/access-streams/{department}/{recorder}/batches",
    summary="流的批次 / Batches of a stream",
    response_model=Page[access_schemas.AccessBatch],
)
async def access_batches(
    request: Request, department: Department, recorder: Recorder, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """新的在前；count 为 0 的是心跳。 / Newest first; a count of 0 is a heartbeat."""
    services = services_of(request)
    stream = find_stream(services, department, recorder)
    before = decode_number_cursor(cursor)
    batches = read_batches(services, stream, before, limit)
    following = encode_cursor(batches[-1].batch_number) if batches and batches[-1].batch_number > 1 else None
    return json_response(
        request, {"items": [to_json(batch) for batch in batches], "next_cursor": following}, cacheable=True
    )


@ROUTER.get(
    "/access-streams/{department}/{recorder}/batches/{batch_number}",
    summary="一个批次 / One batch",
    response_model=access_schemas.AccessBatch,
)
async def access_batch(
    request: Request, department: Department, recorder: Recorder, batch_number: BatchNumber
) -> Response:
    """根、首末摘要、时间与计数；读取本身在记录方。 / Root, digests, times and counts; the reads themselves lie with the recorder."""
    services = services_of(request)
    found = find_batch(services, department, hex_parameter("recorder", recorder, 20), batch_number)
    return json_response(request, to_json(found), cacheable=True)


@ROUTER.post(
    "/sealed-bodies",
    summary="存放密封副本（须签名请求） / Leave a sealed copy; signed requests only",
    response_model=access_schemas.KeptSealedBodies,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": access_schemas.SealedBodiesRequest.model_json_schema()}},
        }
    },
)
async def keep_sealed_bodies(request: Request) -> Response:
    """记录账户为自己已上链的批次存放，先到者留存。 / By the recorder, of its own batch on the ledger; the first copy stays."""
    services = services_of(request)
    async with read_body(request, MAX_REQUEST_BYTES) as raw:
        caller = services.identify(request, raw)
        if RECORDER not in caller.roles:
            raise Problem("ROLE_REQUIRED")
        try:
            asked = msgspec.json.decode(raw, type=_SealedRequest)
            sealed = base64.b64decode(asked.sealed, validate=True)
        except (msgspec.DecodeError, binascii.Error, ValueError):
            expected = Text(
                '{"batch_number": 序号, "sealed": base64}', '{"batch_number": its number, "sealed": base64}'
            )
            raise Problem("BODY_INVALID", expected=expected) from None
        batch = find_batch(services, caller.department, caller.address, asked.batch_number)
        kept = await services.sealed_bodies.keep(
            caller.department, caller.address, batch.batch_number, batch.count, sealed
        )
    return json_response(
        request,
        {
            "department": caller.department,
            "recorder": to_json(caller.address),
            "batch_number": batch.batch_number,
            "size_bytes": kept.size_bytes,
            "sm3": to_json(kept.digest),
            "is_new": kept.is_new,
        },
    )


@ROUTER.get(
    "/sealed-bodies/{department}/{recorder}/{batch_number}",
    summary="取密封副本（须签名请求） / Fetch a sealed copy; signed requests only",
    response_model=access_schemas.SealedBodies,
)
async def sealed_bodies(
    request: Request,
    department: Department,
    recorder: Recorder,
    batch_number: BatchNumber,
    query: AuditQuery,
    scope: AuditScope,
) -> Response:
    """仅审计方，且已登记查询；只有审计机关的密钥能打开。 / Auditors with a recorded query; only the authority's key opens it."""
    services = services_of(request)
    caller = services.identify(request)
    if not is_auditor(caller):
        raise Problem("ROLE_REQUIRED")
    address = hex_parameter("recorder", recorder, 20)
    batch = find_batch(services, department, address, batch_number)
    _check_query(services, caller, query, scope, batch)
    _LOG.info("sealed_copy_shown", department=department, recorder=recorder, batch=batch_number, query=query)
    sealed = await services.sealed_bodies.find(batch.department, batch.recorder, batch.batch_number)
    return json_response(
        request,
        {
            "department": department,
            "recorder": to_json(address),
            "batch_number": batch_number,
            "sealed": base64.b64encode(sealed).decode("ascii"),
        },
    )


def _check_query(services: Services, caller: Caller, number: int, text: str, batch: BatchRecord) -> None:
    """Return if the caller has lately recorded the query of this number, which this batch is part of; raise Problem QUERY_NOT_RECORDED."""
    scope, asked = parse_scope(text), load_query(services.state(), number)
    if scope is None or asked is None or (asked.account, asked.digest) != (caller.address, scope.digest()):
        raise Problem("QUERY_NOT_RECORDED")
    is_late = services.view.ledger.head_time_ms - asked.recorded_ms > MAX_QUERY_AGE_MS
    if is_late or not scope.has_stream(batch.department) or not scope.has_batch(batch):
        raise Problem("QUERY_NOT_RECORDED")


def read_streams(services: Services, first: int, last: int) -> Iterator[StreamRecord]:
    """Yield the streams at these places of the list of all, the last one left out."""
    state = services.state()
    for place in range(first, last):
        name = load_stream_name(state, place)
        stream = None if name is None else load_stream(state, name.department, name.recorder)
        if stream is not None:
            yield stream


def read_batches(services: Services, stream: StreamRecord, before: int | None, limit: int) -> list[BatchRecord]:
    """Return batches of a stream numbered below `before`, newest first."""
    state = services.state()
    last = stream.batch_number if before is None else min(stream.batch_number, before - 1)
    found = (load_batch(state, stream.department, stream.recorder, n) for n in range(last, max(0, last - limit), -1))
    return [batch for batch in found if batch is not None]


def find_stream(services: Services, department: str, recorder: str) -> StreamRecord:
    """Return a stream by department and address in hex; raise Problem NOT_FOUND."""
    stream = load_stream(services.state(), department, hex_parameter("recorder", recorder, 20))
    if stream is None:
        raise Problem("NOT_FOUND", found=f"{department}/{recorder}")
    return stream


def find_batch(services: Services, department: str, recorder: bytes, batch_number: int) -> BatchRecord:
    """Return a batch of a stream; raise Problem NOT_FOUND."""
    batch = load_batch(services.state(), department, recorder, batch_number)
    if batch is None:
        raise Problem("NOT_FOUND", found=f"{department}/0x{recorder.hex()}/{batch_number}")
    return batch


def show_stream(services: Services, stream: StreamRecord) -> dict[str, Any]:
    """Return a stream with names, and whether it is late as of the latest block."""
    shown: dict[str, Any] = to_json(stream)
    return shown | {
        "department_name": services.department_name(stream.department),
        "on_outage_text": Text(*OUTAGE_POLICIES[stream.on_outage])._asdict(),
        "is_late": is_late(stream, services.view.ledger.head_time_ms),
    }
