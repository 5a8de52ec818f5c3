"""REST: requests and grants for what is in the data catalogue."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from contracts.data_sharing import corrections, disputes, recalls
from contracts.data_sharing.refusal_reasons import load_reasons
from contracts.data_sharing.sharing import STATES, RequestRecord, is_in_force, load_request
from explorer import schemas
from explorer.data_sharing.parameters import DepartmentCode, RequestId, ResourceCode, find_request
from explorer.data_sharing.sharing_schemas import ReasonTable, RequestCases
from explorer.index_queries import find_requests
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Text
from explorer.responses import json_response
from explorer.services import Services, services_of
from node.http.json_form import to_json

ROUTER = APIRouter(prefix="/api/v1", tags=["数据共享 Data sharing"])


@ROUTER.get("/requests", summary="数据申请 / Requests", response_model=schemas.Page[schemas.DataRequest])
async def requests(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    resource: ResourceCode = None,
    department: DepartmentCode = None,
    state: Annotated[
        Literal["waiting", "returned", "granted", "refused", "stopped", "recalled"] | None,
        Query(description="现状 / state"),
    ] = None,
) -> Response:
    """申请及其全部状态，新的在前；部门为提供方或使用方。 / Requests with every state they had; department is either party."""
    filters = {"resource": resource, "department": department, "state": state, "only_granted": False}
    return await _list_requests(request, cursor, limit, filters)


@ROUTER.get("/grants", summary="授权 / Grants", response_model=schemas.Page[schemas.DataRequest])
async def grants(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    resource: ResourceCode = None,
    department: DepartmentCode = None,
) -> Response:
    """曾获授权的申请，含已停止的；is_in_force 表示最新区块时是否有效。 / Requests that were granted, stopped ones included."""
    filters = {"resource": resource, "department": department, "state": None, "only_granted": True}
    return await _list_requests(request, cursor, limit, filters)


@ROUTER.get("/requests/{request_id}", summary="一项申请 / One request", response_model=schemas.DataRequest)
async def data_request(request: Request, request_id: RequestId) -> Response:
    """申请标识即提交申请的交易标识。 / A request is named by the id of the transaction that made it."""
    services = services_of(request)
    return json_response(request, show_request(services, find_request(services, request_id)), cacheable=True)


@ROUTER.get(
    "/requests/{request_id}/cases", summary="校核、异议与召回 / Cases of a request", response_model=RequestCases
)
async def request_cases(request: Request, request_id: RequestId) -> Response:
    """该申请名下的校核纠错、异议与召回，按序号。 / Corrections, disputes and recalls of a request, by number."""
    services = services_of(request)
    return json_response(request, show_cases(services, find_request(services, request_id)), cacheable=True)


@ROUTER.get("/refusal-reasons", summary="拒绝理由表 / Reasons for refusal", response_model=ReasonTable)
async def refusal_reasons(request: Request) -> Response:
    """答复申请时可用的拒绝理由，由治理账户维护。 / The reasons for which a request may be refused, kept by governors."""
    return json_response(request, to_json(load_reasons(services_of(request).state())), cacheable=True)


def show_cases(services: Services, record: RequestRecord) -> dict[str, Any]:
    """Return the corrections, disputes and recalls of a request, with their codes in words."""
    state, name = services.state(), record.id
    found_corrections = [corrections.load_correction(state, name, n + 1) for n in range(record.corrections)]
    found_disputes = [disputes.load_dispute(state, name, n + 1) for n in range(record.disputes)]
    found_recalls = [recalls.load_recall(state, name, n + 1) for n in range(record.recalls)]
    return {
        "corrections": [
            to_json(one) | {"outcome_text": Text(*corrections.OUTCOMES[one.outcome])._asdict()}
            for one in found_corrections
            if one is not None
        ],
        "disputes": [
            to_json(one)
            | {
                "raiser_name": services.department_name(one.raiser),
                "kind_text": Text(*disputes.KINDS[one.kind])._asdict(),
                "outcome_text": Text(*disputes.OUTCOMES[one.outcome])._asdict(),
                "order_text": Text(*disputes.ORDERS[one.order])._asdict(),
            }
            for one in found_disputes
            if one is not None
        ],
        "recalls": [
            to_json(one) | {"outcome_text": Text(*recalls.OUTCOMES[bool(one.confirmed_ms)])._asdict()}
            for one in found_recalls
            if one is not None
        ],
    }


def show_request(services: Services, record: RequestRecord) -> dict[str, Any]:
    """Return a request with its state in words, and whether it is a grant in force at the latest block."""
    shown: dict[str, Any] = to_json(record)
    return shown | {
        "provider_name": services.department_name(record.provider),
        "consumer_name": services.department_name(record.consumer),
        "state": record.state,
        "state_text": Text(*STATES[record.state])._asdict(),
        "requested_ms": record.requested_ms,
        "checked_ms": record.checked_ms,
        "is_in_force": is_in_force(record, services.view.ledger.head_time_ms),
    }


async def _list_requests(request: Request, cursor: str | None, limit: int, filters: dict[str, Any]) -> Response:
    services = services_of(request)
    rows = await services.query(find_requests, decode_number_cursor(cursor), limit, **filters)
    state = services.state()
    records = [load_request(state, row.id) for row in rows]
    items = [show_request(services, record) for record in records if record is not None]
    following = encode_cursor(rows[-1].sequence) if len(rows) == limit else None
    return json_response(request, {"items": items, "next_cursor": following}, cacheable=True)
