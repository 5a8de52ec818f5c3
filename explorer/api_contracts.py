"""REST: the EVM contracts on the chain, who deployed each, and which are frozen."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from contracts.accounts import load_account
from contracts.deployments import DeploymentRecord, load_deployment
from contracts.evm_state import code_key
from explorer import schemas
from explorer.index_queries import count_transactions, find_contracts
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem
from explorer.responses import json_response
from explorer.services import Services, hex_parameter, hex_schema, services_of
from node.http.json_form import to_json

ADDRESS_BYTES: Final = 20

ROUTER = APIRouter(prefix="/api/v1", tags=["EVM 合约 EVM contracts"])


@ROUTER.get("/contracts", summary="EVM 合约列表 / EVM contracts", response_model=schemas.Page[schemas.Contract])
async def contracts(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    department: Annotated[
        str | None, Query(max_length=18, description="部署部门代码 / code of the deploying department")
    ] = None,
) -> Response:
    """新的在前，含由其他合约创建的。 / Newest first, those that another contract created included."""
    services = services_of(request)
    page = await list_contracts(services, decode_number_cursor(cursor), limit, department=department)
    return json_response(request, page, cacheable=True)


@ROUTER.get("/contracts/{address}", summary="一个 EVM 合约 / One EVM contract", response_model=schemas.Contract)
async def contract(
    request: Request,
    address: Annotated[
        str, Path(description="合约地址，20 字节 / the contract's address", json_schema_extra=hex_schema(ADDRESS_BYTES))
    ],
) -> Response:
    """由谁、何时部署，是否冻结及原因。 / Who deployed it and when, whether it is frozen, and why."""
    return json_response(request, await find_contract(services_of(request), address), cacheable=True)


async def list_contracts(
    services: Services, before: int | None, limit: int, *, department: str | None
) -> dict[str, Any]:
    """Return a page of contracts below sequence `before`, newest first."""
    rows = await services.query(find_contracts, before, limit, department=department)
    state = services.state()
    items = []
    for row in rows:
        record = load_deployment(state, row.address)
        assert record is not None, "a deployment is in state: records are never removed"
        items.append(show_contract(services, record, row.transaction_count))
    return {"items": items, "next_cursor": encode_cursor(rows[-1].sequence) if len(rows) == limit else None}


async def find_contract(services: Services, text: str) -> dict[str, Any]:
    """Return the contract at an address in hex; raise Problem where there is none."""
    address = hex_parameter("address", text, ADDRESS_BYTES)
    record = load_deployment(services.state(), address)
    if record is None:
        raise Problem("NOT_FOUND", found=text)
    count = await services.query(count_transactions, address) if services.is_served else None
    return show_contract(services, record, count)


def show_contract(services: Services, record: DeploymentRecord, transaction_count: int | None) -> dict[str, Any]:
    """Return a contract with its deployer's and department's names and the size of its code."""
    state = services.state()
    account = load_account(state, record.deployer)
    code = state.get(code_key(record.code_hash))
    is_whole = record.height > services.view.ledger.base_height
    return {
        **to_json(record),
        "deployer_name": None if account is None else account.name,
        "department_name": services.department_name(record.department),
        "code_size": 0 if code is None else len(code),
        "is_frozen": record.frozen_ms > 0,
        "transaction_count": transaction_count if is_whole else None,
    }
