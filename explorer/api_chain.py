"""REST: the chain itself: status, validators, blocks, transactions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from explorer import schemas
from explorer.auth import Caller, is_signed
from explorer.index import MAX_POSITIONS
from explorer.index_queries import find_blocks, find_transactions
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response, read_body
from explorer.services import Services, hex_parameter, hex_schema, is_auditor, services_of
from node.chain.transaction import MAX_TRANSACTION_BYTES
from node.http.presentation import FinalTransactions, find_final, show_block, show_header, show_status, show_submitted

MAX_WAIT_MS: Final = 60_000
MAX_LISTED_EVENTS: Final = 5_000
"""In one page of transactions: each of them may have tens of thousands, of a kilobyte each in memory."""
ADDRESS_BYTES: Final = 20

_HEIGHT = re.compile(r"0|[1-9][0-9]{0,18}")

ROUTER = APIRouter(prefix="/api/v1", tags=["链 Chain"])


@ROUTER.get("/status", summary="节点与链的状态 / Status of node and chain", response_model=schemas.Status)
async def status(request: Request) -> Response:
    """链标识、创世哈希、最新区块、对等节点。 / Chain id, genesis hash, latest block, peers."""
    services = services_of(request)
    return json_response(request, show_status(services.view))


@ROUTER.get("/validators", summary="共识节点 / Validators", response_model=schemas.Page[schemas.Validator])
async def validators(request: Request) -> Response:
    """下一高度的共识节点，按投票次序。 / The validators of the next height, in voting order."""
    services = services_of(request)
    return json_response(request, {"items": show_validators(services), "next_cursor": None}, cacheable=True)


@ROUTER.get("/blocks", summary="区块列表 / Blocks", response_model=schemas.ChainPage[schemas.BlockHeader])
async def blocks(request: Request, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """区块头，新的在前。 / Headers, newest first."""
    services = services_of(request)
    rows = await services.query(find_blocks, decode_number_cursor(cursor), limit)
    following = encode_cursor(rows[-1].height) if len(rows) == limit else None
    items = [show_row(services, row) for row in rows]
    page = {"items": items, "next_cursor": following, **show_extent(services)}
    return json_response(request, page, cacheable=True)


@ROUTER.get("/blocks/{height}", summary="一个区块 / One block", response_model=schemas.Block)
async def block(
    request: Request, height: Annotated[str, Path(description="高度或 latest / height or latest")]
) -> Response:
    """区块头、提交证书与交易标识。 / Header, commit certificate and transaction ids."""
    ledger = services_of(request).view.ledger
    if height == "latest":
        number = ledger.height
    elif _HEIGHT.fullmatch(height):
        number = int(height)
    else:
        expected = Text("高度或 latest", "a height or latest")
        raise Problem("PARAMETER_INVALID", field="height", expected=expected, found=height)
    if not 1 <= number <= ledger.height:
        raise Problem("NOT_FOUND", expected=Text(f"1 至 {ledger.height}", f"1 to {ledger.height}"), found=height)
    return json_response(request, show_block(ledger.sealed_block(number)), cacheable=True)


@ROUTER.get("/transactions", summary="交易列表 / Transactions", response_model=schemas.ChainPage[schemas.Transaction])
async def transactions(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    department: Annotated[
        str | None, Query(max_length=18, description="发起部门代码 / code of the sending department")
    ] = None,
    contract: Annotated[
        str | None,
        Query(
            max_length=42,
            description="系统合约名或 EVM 合约地址 / name of a system contract, or address of an EVM contract",
        ),
    ] = None,
) -> Response:
    """解码后的交易，新的在前；不含原始字节与审计事项的内容。 / Decoded, newest first, without raw bytes and content of audits."""
    services = services_of(request)
    before = decode_number_cursor(cursor)
    if contract is not None and contract[:2] in ("0x", "0X"):
        contract = "0x" + hex_parameter("contract", contract, ADDRESS_BYTES).hex()
    rows = await services.query(find_transactions, before, limit, department=department, contract=contract)
    items = await run_in_threadpool(show_transactions, services, rows)
    following = encode_cursor(rows[-1].position) if len(rows) == limit else None
    page = {"items": items, "next_cursor": following, **show_extent(services)}
    return json_response(request, page, cacheable=True)


@ROUTER.get("/transactions/{transaction_id}", summary="一笔交易 / One transaction", response_model=schemas.Transaction)
async def transaction(
    request: Request, transaction_id: Annotated[str, Path(json_schema_extra=hex_schema(32))]
) -> Response:
    """解码后的交易与回执；审计事项的内容须由审计方或当事部门签名请求。 / Decoded; audits need a signed request."""
    services = services_of(request)
    final = FinalTransactions(services.view.ledger)
    caller = services.identify(request) if is_signed(request.scope) else None
    place = find_final(services.view, hex_parameter("transaction_id", transaction_id, 32))
    if place is None:
        raise Problem("NOT_FOUND", found=transaction_id)
    # Not on the event loop: a transaction may have tens of thousands of events.
    show = final.show_transaction
    shown = await run_in_threadpool(show, *place, may_see_restricted=caller is not None)
    if caller is None:
        return json_response(request, shown, cacheable=True)
    if shown["contract"] == "audits" and not _may_see(caller, shown):
        shown = await run_in_threadpool(show, *place, may_see_restricted=False)
    return json_response(request, shown)


@ROUTER.post(
    "/transactions",
    summary="提交一笔已签名交易 / Submit a signed transaction",
    response_model=schemas.Submitted,
    status_code=202,
    responses={200: {"model": schemas.Receipt, "description": "已最终确认（给出 wait_ms 时） / final (with wait_ms)"}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def submit(
    request: Request,
    wait_ms: Annotated[
        int, Query(ge=0, le=MAX_WAIT_MS, description="等待最终确认的毫秒数 / wait for finality, in ms")
    ] = 0,
) -> Response:
    """正文为交易的规范编码字节。 / The body is the canonical bytes of the transaction."""
    services = services_of(request)
    async with read_body(request, MAX_TRANSACTION_BYTES) as raw:
        if not raw:
            raise Problem(
                "BODY_INVALID", expected=Text("交易的编码字节", "the bytes of a transaction"), found="0 bytes"
            )
        result = show_submitted((await services.view.submit([raw]))[0])
    rejection = result["rejection"]
    if rejection is not None:
        code = "POOL_FULL" if rejection["code"] in {"POOL_FULL", "SENDER_SHARE_FULL", "BUSY"} else "VALUE_REFUSED"
        reason = Text(f"{rejection['code']}：{rejection['zh']}", f"{rejection['code']}: {rejection['en']}")
        raise Problem(code, reason=reason)
    if wait_ms:
        identifier = bytes.fromhex(result["id"][2:])
        await services.view.wait_receipt(identifier, wait_ms)
        place = services.view.ledger.find_transaction(identifier)
        if place is not None:
            return json_response(
                request, FinalTransactions(services.view.ledger).show_receipt(*place, may_see_restricted=True)
            )
    return json_response(request, result, status=202)


def show_extent(services: Services) -> dict[str, Any]:
    """Return from which height on this node lists blocks and transactions, and in words where that is not the first."""
    ledger = services.view.ledger
    missing = ledger.missing_history
    notice = None if missing is None else {"zh": missing.zh, "en": missing.en}
    return {"from_height": ledger.base_height + 1, "notice": notice}


def show_validators(services: Services) -> list[dict[str, Any]]:
    """Return the validators of the next height in voting order, with name and department."""
    records = services.validators()
    shown = []
    for index, member in enumerate(services.view.ledger.validators().members):
        record = records.get(member.address)
        shown.append(
            {
                "index": index,
                "address": "0x" + member.address.hex(),
                "public_key": "0x" + member.public_key.hex(),
                "name": None if record is None else record.name,
                "department": None if record is None else record.department,
                "department_name": None if record is None else services.department_name(record.department),
            }
        )
    return shown


def show_row(services: Services, row: Any) -> dict[str, Any]:
    """Return the header of a row of blocks, with its number of transactions."""
    ledger = services.view.ledger
    shown = show_header(ledger.header(row.height), ledger.certificate(row.height))
    return {**shown, "transaction_count": row.transaction_count}


def show_transactions(services: Services, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the transactions of index rows, decoded, without raw bytes and the content of audits."""
    return show_places(services, [divmod(row.position, MAX_POSITIONS) for row in rows])


def show_places(services: Services, places: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """Return the transactions at (height, index), decoded, without raw bytes and the content of audits.

    Events come to at most MAX_LISTED_EVENTS: of a transaction with more than the earlier ones have left, `events` is null.
    """
    final = FinalTransactions(services.view.ledger)
    room = MAX_LISTED_EVENTS
    shown = []
    for place in places:
        count = final.count_logs(*place)
        transaction = final.show_transaction(*place, may_see_restricted=False, has_events=count <= room)
        room -= count if count <= room else 0
        del transaction["raw"]
        shown.append(transaction)
    return shown


def _may_see(caller: Caller, shown: dict[str, Any]) -> bool:
    """Return whether a caller is an auditor, of the sender's department, or of the one that a finding is about."""
    if is_auditor(caller) or caller.department == shown["department"]:
        return True
    subject = (shown["arguments"] or {}).get("subject")
    return isinstance(subject, dict) and subject.get("department") == caller.department
