"""The web pages about EVM contracts, and the page of one transaction of any kind."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from contracts import registry
from contracts.frame import SystemContract
from explorer.api_chain import show_transactions
from explorer.api_contracts import ADDRESS_BYTES, find_contract, list_contracts
from explorer.index_queries import find_freezes, find_transactions, read_counters
from explorer.pages import render, show_operation
from explorer.paging import decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.services import Services, hex_parameter, services_of
from node.chain.transaction import decode_transaction
from node.http.presentation import FinalTransactions, find_final
from verification.days import show_moment

CONTRACTS_A_PAGE: Final = 20
TRANSACTIONS_A_PAGE: Final = 20
MAX_SHOWN_EVENTS: Final = 100
MAX_SHOWN_FREEZES: Final = 50
MAX_SHOWN_LENGTH: Final = 4_000
"""Characters of one value on a page; JSON has all of it."""

ROUTER = APIRouter(include_in_schema=False)

PageCursor = Annotated[str | None, Query(max_length=400)]


@ROUTER.get("/contracts")
async def contracts(request: Request, cursor: PageCursor = None) -> Response:
    """Show the deployed contracts, newest first."""
    services = services_of(request)
    page = await list_contracts(services, decode_number_cursor(cursor), CONTRACTS_A_PAGE, department=None)
    counters = await services.query(read_counters)
    following = page["next_cursor"]
    return render(
        request,
        "contracts.html",
        Text("合约", "Contracts"),
        contracts=[{**shown, "time": show_moment(shown["deployed_ms"])} for shown in page["items"]],
        total=counters.get("contracts", 0),
        next_url=None if following is None else f"/contracts?cursor={following}",
    )


@ROUTER.get("/contracts/{address}")
async def contract(
    request: Request, address: Annotated[str, Path(max_length=100)], cursor: PageCursor = None
) -> Response:
    """Show one contract and the transactions that called or created it, newest first."""
    services = services_of(request)
    system = registry.BY_ADDRESS.get(hex_parameter("address", address, ADDRESS_BYTES))
    if system is not None:
        return render(
            request, "system_contract.html", Text("系统合约", "System contract"), contract=_show_system_contract(system)
        )
    shown = await find_contract(services, address)
    before = decode_number_cursor(cursor)
    rows = await services.query(
        find_transactions, before, TRANSACTIONS_A_PAGE, department=None, contract=shown["address"]
    )
    transactions = await run_in_threadpool(show_transactions, services, rows)
    freezes = await services.query(find_freezes, bytes.fromhex(shown["address"][2:]), MAX_SHOWN_FREEZES)
    decisions = await run_in_threadpool(show_transactions, services, freezes)
    following = encode_cursor(rows[-1].position) if len(rows) == TRANSACTIONS_A_PAGE else None
    return render(
        request,
        "contract.html",
        Text("合约", "Contract"),
        contract=shown,
        time=show_moment(shown["deployed_ms"]),
        frozen_time=show_moment(shown["frozen_ms"]),
        transactions=[show_operation(services, transaction) for transaction in transactions],
        freezes=[show_operation(services, transaction) for transaction in decisions],
        missing=None if shown["transaction_count"] is not None else services.view.ledger.missing_history,
        next_url=None if following is None else f"/contracts/{shown['address']}?cursor={following}",
    )


@ROUTER.get("/transactions/{transaction_id}")
async def transaction(request: Request, transaction_id: Annotated[str, Path(max_length=100)]) -> Response:
    """Show one final transaction: who sent it, what it called, what became of it, and its events."""
    services = services_of(request)
    place = find_final(services.view, hex_parameter("transaction_id", transaction_id, 32))
    if place is None:
        raise Problem("NOT_FOUND", found=transaction_id)
    values = await run_in_threadpool(_show_transaction, services, place)
    return render(request, "transaction.html", Text("交易", "Transaction"), **values)


def _show_system_contract(system: SystemContract) -> dict[str, Any]:
    """Return what the page of a system contract shows: name, address, and its methods."""
    methods = [
        {"name": name, "inputs": ", ".join(method.inputs.names), "is_view": method.is_view}
        for name, method in system.methods.items()
    ]
    return {"name": system.name, "address": "0x" + system.address.hex(), "methods": methods}


def _show_transaction(services: Services, place: tuple[int, int]) -> dict[str, Any]:
    """Return what the page of a transaction shows; of a call of an audit that it is one."""
    shown = FinalTransactions(services.view.ledger).show_transaction(*place, may_see_restricted=False)
    values: dict[str, Any] = {
        "transaction": show_operation(services, shown),
        "fields": [],
        "data": "",
        "data_size": 0,
        "output": "",
        "events": [],
        "event_count": 0,
    }
    if shown["is_restricted"]:
        return values
    data = decode_transaction(bytes.fromhex(shown["raw"][2:])).body.data
    is_deployment = shown["to"] is None
    return values | {
        "fields": _show_fields(shown["arguments"] or {}),
        "data": _cut(_in_words(data) if shown["selector"] else "0x" + data.hex()) if data else "",
        "data_size": len(data),
        # Of a refusal the text is shown already; a deployment's output is the contract's address.
        "output": "" if shown["refusal"] or is_deployment or len(shown["output"]) <= 2 else _cut(shown["output"]),
        "events": [_show_event(event) for event in shown["events"][:MAX_SHOWN_EVENTS]],
        "event_count": len(shown["events"]),
    }


def _show_event(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with its fields as rows of the page; topics and data where nothing tells what they mean."""
    if event["fields"] is not None:
        return {**event, "shown": _show_fields(event["fields"])}
    raw = {f"topic {number}": topic for number, topic in enumerate(event["topics"]) if number}
    return {**event, "shown": _show_fields(raw | ({"data": event["data"]} if len(event["data"]) > 2 else {}))}


def _show_fields(fields: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, _cut(value if isinstance(value, str) else str(value))) for name, value in fields.items()]


def _in_words(data: bytes) -> str:
    """Return call data with the selector and each word of the arguments on a line of its own."""
    starts = range(4, len(data), 32)
    return "\n".join(["0x" + data[:4].hex(), *(data[start : start + 32].hex() for start in starts)])


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_LENGTH else text[: MAX_SHOWN_LENGTH - 1] + "…"
