"""REST: batches of certificates, and those of their certificates that have a record of their own."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from contracts.batches import BATCHES, POSITIONS, BatchRecord, load_batch, position_prefix
from contracts.certificate_records import load_certificate, load_status
from contracts.certificate_types import load_type
from explorer import certificate_schemas, schemas
from explorer.paging import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    cursor_problem,
    decode_number_cursor,
    decode_text_cursor,
    encode_cursor,
)
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.services import Services, services_of
from explorer.statements import VERDICTS, status_name
from node.http.json_form import to_json

_NAME: Final = re.compile(r"[0-9A-Z.]{1,128}")
_CODE: Final = re.compile(r"[0-9A-Z]{1,21}")

ROUTER = APIRouter(prefix="/api/v1", tags=["证照 Certificates"])


@ROUTER.get("/batches", summary="批次列表 / Batches", response_model=schemas.Page[certificate_schemas.Batch])
async def batches(
    request: Request,
    type_code: Annotated[str | None, Query(max_length=21, description="只列此类型 / of this type only")] = None,
    issuer: Annotated[
        str | None, Query(max_length=18, description="只列此机构，须同时给出类型 / of this issuer only; with a type")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """按类型代码、颁发机构、首个流水号排序。 / In the order of type, issuer and first serial."""
    services = services_of(request)
    page = list_batches(services, decode_text_cursor(cursor), limit, type_code=type_code, issuer=issuer)
    return json_response(request, page, cacheable=True)


@ROUTER.get("/batches/{name}", summary="一个批次 / One batch", response_model=certificate_schemas.Batch)
async def batch(request: Request, name: str) -> Response:
    """批次名为类型代码.颁发机构代码.首个流水号。 / Its name is type code, issuer code and first serial, with dots between."""
    services = services_of(request)
    return json_response(request, show_batch(services, find_batch(services, name)), cacheable=True)


@ROUTER.get(
    "/batches/{name}/members",
    summary="批次中有单独记录的证照 / Certificates of a batch with a record of their own",
    response_model=schemas.Page[certificate_schemas.Member],
)
async def members(request: Request, name: str, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """状态变更过的才有；其余自颁发起有效。按位置排序。 / Only those whose status changed; by position."""
    services = services_of(request)
    found = find_batch(services, name)
    return json_response(request, list_members(services, found, decode_number_cursor(cursor), limit), cacheable=True)


def list_batches(
    services: Services, after: str | None, limit: int, *, type_code: str | None = None, issuer: str | None = None
) -> dict[str, Any]:
    """Return a page of batches after the one of this name, of a type and of an issuer where they are given."""
    prefix = _filter(type_code, issuer)
    if after is not None and (_NAME.fullmatch(after) is None or not after.startswith(prefix)):
        raise cursor_problem(after)
    start = b"" if after is None else after.removeprefix(prefix).encode() + b"\0"
    items: list[dict[str, Any]] = []
    following = None
    for _, value in services.state().iterate(BATCHES.prefix + prefix.encode(), start):
        if len(items) == limit:
            following = encode_cursor(items[-1]["name"])
            break
        items.append(show_batch(services, BATCHES.decode(value)))
    return {"items": items, "next_cursor": following}


def find_batch(services: Services, name: str) -> BatchRecord:
    """Return a batch by its name; raise Problem where there is none."""
    found = load_batch(services.state(), name) if _NAME.fullmatch(name) else None
    if found is None:
        raise Problem("NOT_FOUND", found=name)
    return found


def show_batch(services: Services, record: BatchRecord) -> dict[str, Any]:
    """Return a batch with the names of type and issuer, and the status that each of its certificates began with."""
    kind = load_type(services.state(), record.type_code)
    shown: dict[str, Any] = to_json(record)
    issued = shown.pop("issued")
    return shown | {
        "type_name": None if kind is None else kind.name,
        "issuer_name": services.department_name(record.issuer),
        "issued_ms": record.issued.from_ms,
        "operator": issued["operator"],
        "status": record.issued.status,
        "status_text": status_name(services.state(), record.type_code, record.issued.status)._asdict(),
    }


def list_members(services: Services, batch: BatchRecord, after: int | None, limit: int) -> dict[str, Any]:
    """Return a page of a batch's certificates with records of their own, after a position, with what each is now."""
    state, now_ms = services.state(), services.view.ledger.head_time_ms
    prefix = position_prefix(batch.name)
    start = b"" if after is None else (after + 1).to_bytes(8, "big")
    items: list[dict[str, Any]] = []
    following = None
    for key, value in state.iterate(prefix, start):
        if len(items) == limit:
            following = encode_cursor(items[-1]["position"])
            break
        identifier = POSITIONS.decode(value).identifier
        record = load_certificate(state, identifier)
        assert record is not None, "a position names a record, and records are never removed"
        status = load_status(state, record, now_ms)
        items.append(
            {
                "position": int.from_bytes(key[len(prefix) :], "big"),
                "identifier": identifier,
                "verdict": status.verdict,
                "mood": VERDICTS[status.verdict][0],
                "since_ms": status.since_ms,
                "status": status.status,
                "status_text": status_name(state, record.type_code, status.status)._asdict(),
            }
        )
    return {"items": items, "next_cursor": following}


def _filter(type_code: str | None, issuer: str | None) -> str:
    """Return what the names of the batches asked for begin with; raise Problem on codes that are none."""
    if type_code is None and issuer is not None:
        expected = Text("与 type_code 一并给出", "it together with type_code")
        raise Problem("PARAMETER_INVALID", field="issuer", expected=expected, found=issuer)
    prefix = ""
    for field, code in (("type_code", type_code), ("issuer", issuer)):
        if code is not None:
            if _CODE.fullmatch(code) is None:
                expected = Text("数字与大写字母", "digits and capital letters")
                raise Problem("PARAMETER_INVALID", field=field, expected=expected, found=code)
            prefix += f"{code}."
    return prefix
