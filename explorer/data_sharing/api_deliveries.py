"""REST: deliveries under a grant, and the keys that departments are sealed to with."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from contracts.data_sharing.deliveries import ANSWERS, DeliveryRecord, load_delivery, load_head
from contracts.data_sharing.encryption_keys import load_encryption_key
from explorer import schemas
from explorer.data_sharing import delivery_schemas
from explorer.data_sharing.parameters import MAX_DEPARTMENT_LENGTH, RequestId, find_request
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.services import Services, services_of
from node.http.json_form import to_json

ROUTER = APIRouter(prefix="/api/v1", tags=["数据共享 Data sharing"])


@ROUTER.get(
    "/requests/{request_id}/deliveries",
    summary="交付 / Deliveries",
    response_model=schemas.Page[delivery_schemas.Delivery],
)
async def deliveries(
    request: Request,
    request_id: RequestId,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """一项授权下的交付与签收，新的在前；账本上只有摘要。 / Deliveries under a grant, the newest first: digests, and both sides' word."""
    services = services_of(request)
    items = list_deliveries(services, find_request(services, request_id).id, decode_number_cursor(cursor), limit)
    last = items[-1]["number"] if items else 1
    following = encode_cursor(last) if last > 1 else None
    return json_response(request, {"items": items, "next_cursor": following}, cacheable=True)


@ROUTER.get(
    "/departments/{code}/encryption-key",
    summary="部门的加密密钥 / Encryption key",
    response_model=delivery_schemas.EncryptionKey,
)
async def encryption_key(request: Request, code: str) -> Response:
    """封装给该部门时所用的公钥。 / The public key to seal to a department with."""
    record = load_encryption_key(services_of(request).state(), code) if len(code) <= MAX_DEPARTMENT_LENGTH else None
    if record is None:
        raise Problem("NOT_FOUND", found=code)
    return json_response(request, to_json(record), cacheable=True)


def list_deliveries(services: Services, grant: bytes, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return at most `limit` deliveries under a grant, the newest first, from below the number `before`."""
    state = services.state()
    head = load_head(state, grant)
    latest = 0 if head is None else head.count
    first = latest if before is None else min(latest, before - 1)
    found = [load_delivery(state, grant, number) for number in range(first, max(0, first - limit), -1)]
    return [show_delivery(services, record) for record in found if record is not None]


def show_delivery(services: Services, record: DeliveryRecord) -> dict[str, Any]:
    """Return a delivery with its departments' names and its answer in words."""
    shown: dict[str, Any] = to_json(record)
    return shown | {
        "provider_name": services.department_name(record.provider),
        "consumer_name": services.department_name(record.consumer),
        "answer_text": Text(*ANSWERS[record.answer])._asdict(),
    }
