"""REST: access records, for auditors and parties who sign their requests."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from contracts.data_sharing.access import OUTCOMES, AccessRecord, load_access_record, load_stream_head
from explorer import schemas
from explorer.auth import Caller
from explorer.data_sharing.api_sharing import DepartmentCode, ResourceCode
from explorer.index_queries import find_access_records
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.services import Services, hex_parameter, hex_schema, is_auditor, services_of
from node.http.json_form import to_json

Recorder = Annotated[
    str, Path(description="记录账户地址 / address of the recording account", json_schema_extra=hex_schema(20))
]

ROUTER = APIRouter(prefix="/api/v1", tags=["访问记录 Access records"])


@ROUTER.get(
    "/access-records", summary="访问记录（须签名） / Access records (signed)", response_model=schemas.AccessPage
)
async def access_records(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    resource: ResourceCode = None,
    department: DepartmentCode = None,
    grant: Annotated[
        str | None, Query(max_length=66, description="授权标识 / id of a grant", json_schema_extra=hex_schema(32))
    ] = None,
    person: Annotated[
        str | None,
        Query(max_length=66, description="人员承诺值 / commitment to a person", json_schema_extra=hex_schema(32)),
    ] = None,
) -> Response:
    """审计方可见全部；当事部门可见本部门作为提供方或使用方的记录；新的在前。 / Auditors see all, parties their own; newest first."""
    services = services_of(request)
    caller = services.identify(request)
    rows = await services.query(
        find_access_records,
        decode_number_cursor(cursor),
        limit,
        resource=resource,
        department=department,
        grant_id=None if grant is None else hex_parameter("grant", grant, 32),
        person=None if person is None else hex_parameter("person", person, 32),
        party=None if is_auditor(caller) else caller.department,
    )
    state = services.state()
    records = [load_access_record(state, row.department, row.recorder, row.number) for row in rows]
    return json_response(
        request,
        {
            "items": [show_access_record(services, record) for record in records if record is not None],
            "next_cursor": encode_cursor(rows[-1].sequence) if len(rows) == limit else None,
            "scope": "all" if is_auditor(caller) else caller.department,
        },
    )


@ROUTER.get(
    "/access-records/{department}/{recorder}/{number}",
    summary="一条访问记录（须签名） / One access record (signed)",
    response_model=schemas.AccessRecord,
)
async def access_record(
    request: Request, department: str, recorder: Recorder, number: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> Response:
    """按流（部门与记录账户）和序号查找。 / By stream (department and recording account) and number."""
    services = services_of(request)
    caller = services.identify(request)
    address = hex_parameter("recorder", recorder, 20)
    record = load_access_record(services.state(), department, address, number) if len(department) <= 18 else None
    if record is None:
        raise Problem("NOT_FOUND", found=f"{department}/{recorder}/{number}")
    if not _is_visible(caller, record):
        raise Problem("ROLE_REQUIRED")
    return json_response(request, show_access_record(services, record))


@ROUTER.get(
    "/access-streams/{department}/{recorder}",
    summary="访问记录流的末端 / Head of a stream",
    response_model=schemas.StreamHead,
)
async def access_stream(request: Request, department: str, recorder: Recorder) -> Response:
    """末条序号与摘要，下一条从这里接续；不含内容，无须签名。 / Last number and digest; no content, so no signature."""
    address = hex_parameter("recorder", recorder, 20)
    if len(department) > 18:
        raise Problem(
            "PARAMETER_INVALID", field="department", expected=Text("18 位代码", "18 characters"), found=department
        )
    head = load_stream_head(services_of(request).state(), department, address)
    return json_response(
        request, {"department": department, "recorder": to_json(address), **to_json(head)}, cacheable=True
    )


def show_access_record(services: Services, record: AccessRecord) -> dict[str, Any]:
    """Return an access record, its stated part and the ledger's side by side, with names."""
    shown: dict[str, Any] = to_json(record)
    body = shown.pop("body")
    return {
        **body,
        **shown,
        "department_name": services.department_name(record.body.department),
        "provider_name": services.department_name(record.provider),
        "consumer_name": services.department_name(record.consumer),
        "outcome_text": Text(*OUTCOMES[record.body.outcome])._asdict(),
    }


def _is_visible(caller: Caller, record: AccessRecord) -> bool:
    return is_auditor(caller) or caller.department in {record.provider, record.consumer}
