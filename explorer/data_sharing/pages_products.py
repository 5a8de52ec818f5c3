"""The web pages of data products, of one with its valuations and transactions, and of the contribution scores."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from contracts.data_sharing.contribution import MEASURES
from contracts.data_sharing.product_records import PRODUCT_STATES
from explorer.data_sharing.api_products import (
    list_facts,
    list_objections,
    list_products,
    period_of,
    require_product,
    show_contribution,
    show_product,
    shown_points,
)
from explorer.data_sharing.parameters import DepartmentFilter
from explorer.pages import list_departments, render
from explorer.problems import Problem, Text
from explorer.services import Services, services_of
from verification.days import show_day, show_moment

PRODUCTS_A_PAGE: Final = 50
FACTS_A_PAGE: Final = 100
ROUTER = APIRouter(include_in_schema=False)

Cursor = Annotated[str | None, Query(max_length=400)]


@ROUTER.get("/products")
async def products(
    request: Request,
    department: DepartmentFilter = "",
    state: Annotated[str, Query(max_length=18)] = "",
    q: Annotated[str, Query(max_length=100)] = "",
    cursor: Cursor = None,
) -> Response:
    """Show registered data products, newest first."""
    services = services_of(request)
    if state and state not in PRODUCT_STATES:
        expected = Text("、".join(PRODUCT_STATES), ", ".join(PRODUCT_STATES))
        raise Problem("PARAMETER_INVALID", field="state", expected=expected, found=state)
    filters = {"text": q.strip() or None, "department": department.strip() or None, "state": state or None}
    page = await list_products(services, cursor, PRODUCTS_A_PAGE, **filters)
    next_url = None
    if page["next_cursor"]:
        query = {"department": department, "state": state, "q": q, "cursor": page["next_cursor"]}
        next_url = "/products?" + urlencode({name: value for name, value in query.items() if value})
    return render(
        request,
        "products.html",
        Text("数据产品", "Data products"),
        products=[one | {"registered": show_day(one["registered_ms"])} for one in page["items"]],
        departments=list_departments(services),
        department_code=department,
        states={name: Text(*words) for name, words in PRODUCT_STATES.items()},
        state=state,
        text=q,
        next_url=next_url,
    )


@ROUTER.get("/products/{department}/{number}")
async def product(request: Request, department: str, number: str, cursor: Cursor = None) -> Response:
    """Show one product: what is claimed, who objected, its valuations and transactions."""
    services = services_of(request)
    record = require_product(services, f"{department}/{number}")
    page = await list_facts(services, cursor, FACTS_A_PAGE, product=record.code, party=None, kind=None, state=None)
    next_url = f"/products/{record.code}?cursor={page['next_cursor']}" if page["next_cursor"] else None
    return render(
        request,
        "product.html",
        Text(record.name, record.name),
        product=show_product(services, record) | {"registered": show_moment(record.registered_ms)},
        objections=[one | {"raised": show_day(one["raised_ms"])} for one in list_objections(services, record)],
        facts=[_shown_fact(one) for one in page["items"]],
        no_digest="0x" + bytes(32).hex(),
        next_url=next_url,
    )


@ROUTER.get("/contribution")
async def contribution(
    request: Request,
    from_day: Annotated[str, Query(alias="from", max_length=10)] = "",
    to_day: Annotated[str, Query(alias="to", max_length=10)] = "",
) -> Response:
    """Show the contribution scores of a period, this year's so far where none is given, and the formula."""
    services = services_of(request)
    first, last = _days(services, from_day, to_day)
    shown = await show_contribution(request, period_of(services, first, last))
    formula = shown["formula"]
    rows = [
        row | {"points": shown_points(row["hundredths"]), "limit": shown_points(row["limit_hundredths"])}
        for row in formula["rows"]
    ]
    departments = [
        one
        | {
            "points": shown_points(one["hundredths"]),
            "lines": [line | {"points": shown_points(line["hundredths"])} for line in one["lines"]],
        }
        for one in shown["departments"]
    ]
    return render(
        request,
        "contribution.html",
        Text("贡献评分", "Contribution scores"),
        first=first,
        last=last,
        rows=rows,
        formula=formula | {"since": show_moment(formula["from_ms"]) if formula["number"] else ""},
        departments=departments,
        measures={name: Text(*words) for name, words in MEASURES.items()},
        left_out=shown["left_out"],
        as_of=show_moment(shown["as_of_ms"]),
    )


def _days(services: Services, first: str, last: str) -> tuple[str, str]:
    """Return the days asked for; of those that are not given, the first of the ledger's year and its newest day."""
    today = show_day(services.view.ledger.head_time_ms)
    return first or date.fromisoformat(today).replace(month=1, day=1).isoformat(), last or today


def _shown_fact(fact: dict[str, Any]) -> dict[str, Any]:
    terms = fact["terms"]
    amount = f"{terms['amount_fen'] // 100:,}.{terms['amount_fen'] % 100:02d}" if terms["amount_fen"] else ""
    return fact | {
        "amount": amount,
        "dated": show_day(terms["dated_ms"]),
        "until": show_day(terms["until_ms"]) if terms["until_ms"] else "",
        "answered": show_day(fact["answered_ms"]) if fact["answered_ms"] else "",
    }
