"""REST: the catalogue of certificate types, who may issue them, and the tables of codes that they use."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from contracts.accounts import load_department
from contracts.certificate_types import (
    CLASSES,
    HOLDER_CATEGORIES,
    PERMISSIONS,
    TYPES,
    CertificateType,
    load_type,
    permission_name,
)
from contracts.code_tables import ENDED, HELD, IN_FORCE, CodeTable, load_code_table
from contracts.identifiers import TYPE_CODE_LENGTH
from contracts.members import LEVELS
from contracts.refusals import Refused
from explorer import certificate_schemas, schemas
from explorer.api_members import list_records
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_text_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.services import Services, services_of
from node.http.json_form import to_json

EFFECT_TEXTS: Final = {
    IN_FORCE: Text("有效", "in force"),
    HELD: Text("暂时无效", "not in force for now"),
    ENDED: Text("终止", "ended"),
}
"""What a status means for force."""

ROUTER = APIRouter(prefix="/api/v1", tags=["部门与证照类型 Departments and types"])


@ROUTER.get(
    "/certificate-types",
    summary="证照类型 / Certificate types",
    response_model=schemas.Page[certificate_schemas.CertificateType],
)
async def certificate_types(request: Request, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """按类型代码排序。 / In the order of their codes."""
    return json_response(request, list_records(request, TYPES, show_type, cursor, limit), cacheable=True)


@ROUTER.get(
    "/certificate-types/{type_code}",
    summary="一个证照类型 / One type of certificate",
    response_model=certificate_schemas.CertificateType,
)
async def certificate_type(request: Request, type_code: str) -> Response:
    """目录项：定义机构、持证者类别、有效期限范围、颁发机构级别、类别、代码表。 / Its entry in the catalogue."""
    return json_response(request, show_type(find_type(services_of(request), type_code)), cacheable=True)


@ROUTER.get(
    "/certificate-types/{type_code}/issuers",
    summary="可颁发该类型的部门 / Departments that may issue a type",
    response_model=schemas.Page[certificate_schemas.TypeIssuer],
)
async def issuers(request: Request, type_code: str, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """按统一社会信用代码排序。 / In the order of their unified social credit codes."""
    services = services_of(request)
    found = find_type(services, type_code)
    return json_response(request, list_issuers(services, found.code, decode_text_cursor(cursor), limit), cacheable=True)


@ROUTER.get(
    "/code-tables/{name}",
    summary="状态与操作代码表 / A table of status and operation codes",
    response_model=certificate_schemas.CodeTable,
)
async def code_table(request: Request, name: str) -> Response:
    """状态、其对效力的含义，操作、从哪些状态到哪些状态。 / Statuses and what they mean for force; operations, from where to where."""
    return json_response(request, show_codes(name, find_codes(services_of(request), name)), cacheable=True)


def find_type(services: Services, code: str) -> CertificateType:
    """Return a type of certificate; raise Problem."""
    found = load_type(services.state(), code) if len(code) == TYPE_CODE_LENGTH else None
    if found is None:
        raise Problem("NOT_FOUND", found=code)
    return found


def find_codes(services: Services, name: str) -> CodeTable:
    """Return a table of codes; raise Problem."""
    try:
        return load_code_table(services.state(), name)
    except Refused:
        raise Problem("NOT_FOUND", found=name) from None


def show_type(found: CertificateType) -> dict[str, Any]:
    """Return a type with what its codes mean in words."""
    return {
        **to_json(found),
        "defining_level_text": _text(LEVELS, found.defining_level),
        "holder_category_text": _text(HOLDER_CATEGORIES, found.holder_category),
        "issuing_level_text": _text(LEVELS, found.issuing_level),
        "certificate_class_text": _text(CLASSES, found.certificate_class),
    }


def list_issuers(services: Services, type_code: str, after: str | None, limit: int) -> dict[str, Any]:
    """Return a page of the departments that may issue a type, in the order of their codes."""
    state = services.state()
    prefix = PERMISSIONS.prefix + permission_name(type_code, "")
    start = b"" if after is None else after.encode() + b"\0"
    items: list[dict[str, Any]] = []
    following = None
    for _, value in state.iterate(prefix, start):
        if len(items) == limit:
            following = encode_cursor(items[-1]["department"])
            break
        right = PERMISSIONS.decode(value)
        department = load_department(state, right.department)
        items.append(
            {
                "department": right.department,
                "department_name": "" if department is None else department.name,
                "is_active": department is not None and not department.suspended_ms,
                "granted_ms": right.granted_ms,
                "has_batches": right.has_batches,
            }
        )
    return {"items": items, "next_cursor": following}


def show_codes(name: str, table: CodeTable) -> dict[str, Any]:
    """Return a table of codes with what each status means for force in words."""
    return {
        "name": name,
        "statuses": [
            {
                "code": one.code,
                "text": {"zh": one.name, "en": one.english},
                "effect": one.effect,
                "effect_text": EFFECT_TEXTS[one.effect]._asdict(),
            }
            for one in table.statuses
        ],
        "operations": [
            {
                "code": one.code,
                "text": {"zh": one.name, "en": one.english},
                "action": one.action,
                "from_statuses": list(one.from_statuses),
                "to_statuses": list(one.to_statuses),
                "predecessor_status": one.predecessor_status,
            }
            for one in table.operations
        ],
    }


def _text(names: dict[str, tuple[str, str]], value: str) -> dict[str, str]:
    return Text(*names.get(value, (value, value)))._asdict()
