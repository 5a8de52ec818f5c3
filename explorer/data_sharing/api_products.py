"""REST: data products with their valuations and transactions, the formulas of the contribution score, and the scores."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from contracts.data_sharing.contribution import FIRST_FORMULA, MEASURES, FormulaRecord
from contracts.data_sharing.contribution_counts import Period
from contracts.data_sharing.product_records import (
    FACT_KINDS,
    FACT_STATES,
    FORMS,
    KINDS,
    OBJECTION_STATES,
    PRODUCT_STATES,
    RIGHTS,
    FactRecord,
    ProductRecord,
    formula_count,
    load_fact,
    load_formula,
    load_objection,
    load_product,
)
from contracts.data_sharing.working_days import DAY_MS
from explorer.data_sharing import product_schemas
from explorer.data_sharing.contribution_scores import Scores, score_period
from explorer.data_sharing.parameters import MAX_DEPARTMENT_LENGTH, DepartmentCode
from explorer.data_sharing.product_index import find_facts, find_products
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.schemas import Page
from explorer.services import Services, services_of
from explorer.turns import client_of
from node.http.json_form import to_json
from verification.days import day_start_ms

MATTER_KINDS: Final = {
    "requests": Text("申请", "requests"),
    "corrections": Text("校核纠错", "corrections"),
    "deliveries": Text("签收的交付", "deliveries received"),
    "reviews": Text("质量评价", "quality reviews"),
    "trades": Text("购买的数据产品", "purchases of data products"),
}
"""What can be too much to be counted."""

ROUTER = APIRouter(prefix="/api/v1", tags=["数据产品与贡献 Data products and contribution"])

MAX_PRODUCT_CODE_LENGTH: Final = 64
MAX_SHOWN_OBJECTIONS: Final = 50
MAX_PERIOD_DAYS: Final = 3_660

ProductCode = Annotated[str, Query(max_length=MAX_PRODUCT_CODE_LENGTH, description="产品代码 / code of a product")]
FactKind = Annotated[Literal["valuation", "transaction"] | None, Query(description="评估或交易 / which kind")]
FactState = Annotated[
    Literal["proposed", "confirmed", "declined", "taken_back", "replaced"] | None, Query(description="现状 / state")
]
ProductState = Annotated[Literal["registered", "withdrawn", "rejected"] | None, Query(description="现状 / state")]
Day = Annotated[str, Query(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="日期 YYYY-MM-DD / a day")]


@ROUTER.get("/products", summary="数据产品 / Data products", response_model=Page[product_schemas.Product])
async def products(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    q: Annotated[str | None, Query(max_length=100, description="名称或代码的一部分 / part of name or code")] = None,
    department: DepartmentCode = None,
    state: ProductState = None,
) -> Response:
    """登记的数据产品，新的在前。 / Registered data products, newest first."""
    services = services_of(request)
    page = await list_products(services, cursor, limit, text=q, department=department, state=state)
    return json_response(request, page, cacheable=True)


@ROUTER.get("/product", summary="一个数据产品 / One data product", response_model=product_schemas.ProductInFull)
async def product(request: Request, code: ProductCode) -> Response:
    """含对其权利主张的异议，新的在前。 / With the objections to its claim, newest first."""
    services = services_of(request)
    record = require_product(services, code)
    shown = show_product(services, record) | {"objections_raised": list_objections(services, record)}
    return json_response(request, shown, cacheable=True)


@ROUTER.get(
    "/product-facts", summary="评估与交易 / Valuations and transactions", response_model=Page[product_schemas.Fact]
)
async def facts(
    request: Request,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    product: Annotated[
        str | None, Query(max_length=MAX_PRODUCT_CODE_LENGTH, description="产品代码 / a product")
    ] = None,
    department: DepartmentCode = None,
    kind: FactKind = None,
    state: FactState = None,
) -> Response:
    """部门为任一当事方，新的在前；confirmed 才是双方都认可的。 / Department is either party; both stand behind confirmed ones only."""
    services = services_of(request)
    page = await list_facts(services, cursor, limit, product=product, party=department, kind=kind, state=state)
    return json_response(request, page, cacheable=True)


@ROUTER.get("/contribution-formulas", summary="贡献评分公式 / Formulas", response_model=Page[product_schemas.Formula])
async def formulas(request: Request, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """治理方公布的各版公式，新的在前，最后是未公布时适用的。 / Published formulas, newest first; last the table that applies before any."""
    services = services_of(request)
    state = services.state()
    before = decode_number_cursor(cursor)
    top = formula_count(state) if before is None else min(before - 1, formula_count(state))
    numbers = range(top, -1, -1)[:limit]
    found = [FIRST_FORMULA if number == 0 else load_formula(state, number) for number in numbers]
    items = [show_formula(record) for record in found if record is not None]
    following = encode_cursor(numbers[-1]) if len(numbers) == limit and numbers[-1] > 0 else None
    return json_response(request, {"items": items, "next_cursor": following}, cacheable=True)


@ROUTER.get("/contribution", summary="贡献评分 / Contribution scores", response_model=product_schemas.Contribution)
async def contribution(
    request: Request,
    from_day: Annotated[Day, Query(alias="from")],
    to_day: Annotated[Day, Query(alias="to")],
) -> Response:
    """各部门在一段日期（含首尾）内的得分，按期初已公布的公式逐项列出。 / Scores of the departments for days, line by line."""
    services = services_of(request)
    shown = await show_contribution(request, period_of(services, from_day, to_day))
    return json_response(request, shown, cacheable=True)


@ROUTER.get(
    "/contribution/{department}", summary="一个部门的得分 / One department", response_model=product_schemas.Contribution
)
async def department_contribution(
    request: Request,
    department: Annotated[str, Path(max_length=MAX_DEPARTMENT_LENGTH)],
    from_day: Annotated[Day, Query(alias="from")],
    to_day: Annotated[Day, Query(alias="to")],
) -> Response:
    """只列该部门；没有可计的事项时为空。 / That department only; empty where nothing is counted for it."""
    services = services_of(request)
    shown = await show_contribution(request, period_of(services, from_day, to_day))
    own = [one for one in shown["departments"] if one["department"] == department]
    return json_response(request, shown | {"departments": own}, cacheable=True)


async def list_products(services: Services, cursor: str | None, limit: int, **filters: Any) -> dict[str, Any]:
    """Return a page of products; the filters are those of find_products."""
    rows = await services.query(find_products, decode_number_cursor(cursor), limit, **filters)
    state = services.state()
    records = [load_product(state, row.code) for row in rows]
    items = [show_product(services, record) for record in records if record is not None]
    return {"items": items, "next_cursor": encode_cursor(rows[-1].sequence) if len(rows) == limit else None}


async def list_facts(services: Services, cursor: str | None, limit: int, **filters: Any) -> dict[str, Any]:
    """Return a page of valuations and transactions; the filters are those of find_facts."""
    rows = await services.query(find_facts, decode_number_cursor(cursor), limit, **filters)
    state = services.state()
    records = [load_fact(state, row.product, row.number) for row in rows]
    items = [show_fact(services, record) for record in records if record is not None]
    return {"items": items, "next_cursor": encode_cursor(rows[-1].sequence) if len(rows) == limit else None}


def require_product(services: Services, code: str) -> ProductRecord:
    """Return a product; raise Problem where there is none."""
    record = load_product(services.state(), code) if len(code.encode()) <= MAX_PRODUCT_CODE_LENGTH else None
    if record is None:
        raise Problem("NOT_FOUND", found=code)
    return record


def show_product(services: Services, record: ProductRecord) -> dict[str, Any]:
    """Return a product with the words behind its codes."""
    shown: dict[str, Any] = to_json(record)
    return shown | {
        "department_name": services.department_name(record.department),
        "kind_text": Text(*KINDS[record.kind])._asdict(),
        "state_text": Text(*PRODUCT_STATES[record.state])._asdict(),
        "rights_text": [Text(*RIGHTS[right])._asdict() for right in record.claim.rights],
    }


def show_fact(services: Services, record: FactRecord) -> dict[str, Any]:
    """Return a valuation or transaction with the words behind its codes."""
    shown: dict[str, Any] = to_json(record)
    return shown | {
        "kind_text": Text(*FACT_KINDS[record.terms.kind])._asdict(),
        "form_text": Text(*FORMS[record.terms.kind][record.terms.form])._asdict(),
        "state_text": Text(*FACT_STATES[record.state])._asdict(),
        "proposer_name": services.department_name(record.proposer),
        "counterparty_name": services.department_name(record.counterparty),
    }


def list_objections(services: Services, record: ProductRecord) -> list[dict[str, Any]]:
    """Return the newest objections to a product's claim, newest first."""
    numbers = range(record.objections, 0, -1)[:MAX_SHOWN_OBJECTIONS]
    found = [load_objection(services.state(), record.code, number) for number in numbers]
    return [
        to_json(objection)
        | {
            "department_name": services.department_name(objection.department),
            "state_text": Text(*OBJECTION_STATES[objection.state])._asdict(),
        }
        for objection in found
        if objection is not None
    ]


def show_formula(record: FormulaRecord) -> dict[str, Any]:
    """Return a formula with what its rows count, in words."""
    shown: dict[str, Any] = to_json(record)
    rows = [to_json(row) | {"measure_text": Text(*MEASURES[row.measure])._asdict()} for row in record.rows]
    return shown | {"rows": rows}


def period_of(services: Services, from_day: str, to_day: str) -> Period:
    """Return the period of two days, both in it; raise Problem where they are no days, reversed or years apart."""
    try:
        begin_ms, end_ms = day_start_ms(from_day), day_start_ms(to_day) + DAY_MS
    except ValueError:
        expected = Text("两个日期 YYYY-MM-DD", "two days as YYYY-MM-DD")
        raise Problem("PARAMETER_INVALID", field="from, to", expected=expected, found=f"{from_day}, {to_day}") from None
    if not begin_ms < end_ms <= begin_ms + MAX_PERIOD_DAYS * DAY_MS:
        expected = Text(
            f"首日不晚于末日，且至多 {MAX_PERIOD_DAYS} 天",
            f"a first day not after the last, {MAX_PERIOD_DAYS} days at most",
        )
        raise Problem("PARAMETER_INVALID", field="from, to", expected=expected, found=f"{from_day}, {to_day}")
    return Period(begin_ms, end_ms, services.view.ledger.head_time_ms)


async def show_contribution(request: Request, period: Period) -> dict[str, Any]:
    """Return the scores of a period, the highest first, with the formula that they are by; raise Problem when too many wait for some."""
    services = services_of(request)
    # Counting looks at all that can touch the period.
    async with services.report_turns.take(client_of(request)):
        scores: Scores = await services.query(score_period, services.state(), period)
    departments = [
        {
            "department": score.department,
            "department_name": services.department_name(score.department),
            "hundredths": score.hundredths,
            "lines": [msgspec.structs.asdict(line) for line in score.lines],
        }
        for score in scores.departments
    ]
    left_out = [
        one._asdict()
        | {"kind_text": MATTER_KINDS[one.kind]._asdict(), "department_name": services.department_name(one.department)}
        for one in scores.left_out
    ]
    return {
        "from_ms": period.from_ms,
        "to_ms": period.to_ms,
        "as_of_ms": period.now_ms,
        "formula": show_formula(scores.formula),
        "departments": departments,
        "left_out": left_out,
    }


def shown_points(hundredths: int) -> str:
    """Return hundredths of a point as points with two digits."""
    sign = "-" if hundredths < 0 else ""
    return f"{sign}{abs(hundredths) // 100}.{abs(hundredths) % 100:02d}"
