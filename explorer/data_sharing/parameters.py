"""Parameters that several routes of data sharing take: codes of departments and resources, and ids of requests."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from fastapi import Path, Query

from contracts.data_sharing.sharing import RequestRecord, load_request
from explorer.problems import Problem
from explorer.services import Services, hex_parameter, hex_schema

MAX_DEPARTMENT_LENGTH: Final = 18
"""Characters of a department's code."""
MAX_RESOURCE_LENGTH: Final = 64

DepartmentCode: TypeAlias = Annotated[
    str | None, Query(max_length=MAX_DEPARTMENT_LENGTH, description="部门代码 / code of a department")
]
ResourceCode: TypeAlias = Annotated[
    str | None, Query(max_length=MAX_RESOURCE_LENGTH, description="资源代码 / code of a resource")
]
DepartmentFilter: TypeAlias = Annotated[str, Query(max_length=MAX_DEPARTMENT_LENGTH)]
"""Of a page: empty for any department."""
RequestId: TypeAlias = Annotated[str, Path(json_schema_extra=hex_schema(32))]


def find_request(services: Services, request_id: str) -> RequestRecord:
    """Return the request with this id, 64 hex digits; raise Problem."""
    record = load_request(services.state(), hex_parameter("request_id", request_id, 32))
    if record is None:
        raise Problem("NOT_FOUND", found=request_id)
    return record
