"""Data products of a data exchange: registration with a claim of rights, valuations and transactions that both parties confirm."""

from __future__ import annotations

import re
from functools import partial
from typing import Final

import msgspec

from contracts.accounts import APPROVER, GOVERNOR, PUBLISHER, REQUESTER, is_active_department
from contracts.data_sharing import catalogue, sharing
from contracts.data_sharing.contribution import FormulaRecord, FormulaRow, check_formula_rows
from contracts.data_sharing.numbered_versions import number_for
from contracts.data_sharing.product_records import (
    CONFIRMED,
    DECLINED,
    DISMISSED,
    FACTS,
    FORMS,
    FORMULA_COUNT,
    FORMULA_COUNT_KEY,
    FORMULAS,
    KINDS,
    OBJECTIONS,
    OPEN,
    PRODUCTS,
    PROPOSED,
    REGISTERED,
    REJECTED,
    REPLACED,
    RIGHTS,
    TAKEN_BACK,
    TRANSACTION,
    UPHELD,
    WITHDRAWN,
    Claim,
    FactRecord,
    FormulaCount,
    ObjectionRecord,
    ProductRecord,
    Source,
    Terms,
    formula_count,
    formula_for,
    load_formula,
    number_key,
    numbered_key,
)
from contracts.fields import (
    Bytes32,
    TimeMs,
    Uint64,
    check_choice,
    check_digest,
    check_list,
    check_text,
    check_time,
)
from contracts.frame import Context, SystemContract
from contracts.refusals import Refused

MAX_NUMBER_LENGTH: Final = 32
MAX_NAME_LENGTH: Final = 128
MAX_SUMMARY_LENGTH: Final = 1_000
MAX_BASIS_LENGTH: Final = 500
MAX_REASON_LENGTH: Final = 500
MAX_SOURCES: Final = 64
MAX_AMOUNT_FEN: Final = 10**15
"""Ten trillion yuan: more is a slip of the pen."""

_NO_DIGEST: Final = bytes(32)
_NUMBER_FORM: Final = re.compile(rf"[0-9A-Z]{{1,{MAX_NUMBER_LENGTH}}}")


CONTRACT: Final = SystemContract("products")
PRODUCT_REGISTERED: Final = CONTRACT.event("ProductRegistered", product="string", department="string", name="string")
PRODUCT_ENDED: Final = CONTRACT.event("ProductEnded", product="string", state="string", reason="string")
FACT_PROPOSED: Final = CONTRACT.event(
    "FactProposed", product="string", number="uint64", kind="string", proposer="string", counterparty="string"
)
FACT_ANSWERED: Final = CONTRACT.event("FactAnswered", product="string", number="uint64", state="string")
OBJECTION_RAISED: Final = CONTRACT.event("ObjectionRaised", product="string", number="uint64", department="string")
OBJECTION_DECIDED: Final = CONTRACT.event("ObjectionDecided", product="string", number="uint64", state="string")
FORMULA_SET: Final = CONTRACT.event("FormulaSet", number="uint64", from_ms="int64")


@CONTRACT.write(PUBLISHER)
def register(ctx: Context, number: str, name: str, kind: str, summary: str, sources: list[Source], claim: Claim) -> str:
    """Register a data product of the caller's department, with the rights it claims; return its code: department, slash, number."""
    if _NUMBER_FORM.fullmatch(number) is None:
        raise Refused("PRODUCT_NUMBER_MALFORMED", found=number)
    check_text("name", name, MAX_NAME_LENGTH)
    check_choice("kind", kind, tuple(KINDS))
    check_text("summary", summary, MAX_SUMMARY_LENGTH)
    _check_claim(claim)
    department = ctx.account.department
    _check_sources(ctx, department, sources)
    code = f"{department}/{number}"
    if PRODUCTS.has(ctx, code.encode()):
        raise Refused("PRODUCT_EXISTS", found=code)
    record = ProductRecord(
        code,
        department,
        name,
        kind,
        summary,
        tuple(sources),
        claim,
        ctx.time_ms,
        ctx.sender,
        REGISTERED,
        ctx.time_ms,
        "",
        0,
        0,
    )
    PRODUCTS.save(ctx, code.encode(), record)
    ctx.emit(PRODUCT_REGISTERED, code, department, name)
    return code


@CONTRACT.write(PUBLISHER)
def withdraw(ctx: Context, product: str, reason: str) -> None:
    """Withdraw a product of the caller's department; it takes no more facts, and those there are stay."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    record = _load_registered(ctx, product)
    if record.department != ctx.account.department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=record.department)
    _end(ctx, record, WITHDRAWN, reason)


@CONTRACT.write(APPROVER, REQUESTER)
def propose(ctx: Context, product: str, counterparty: str, terms: Terms) -> Uint64:
    """Propose a valuation or transaction of a product to the other party, and return its number; it is none until that confirms.

    One of both is the product's department: the other values it, or buys it.
    """
    record = _load_registered(ctx, product)
    department = ctx.account.department
    _check_parties(ctx, record, department, counterparty)
    _check_terms(ctx, record, department, counterparty, terms)
    number = record.facts + 1
    fact = FactRecord(
        product, number, terms, department, counterparty, ctx.time_ms, ctx.sender, PROPOSED, 0, bytes(20), ""
    )
    FACTS.save(ctx, numbered_key(product, number), fact)
    PRODUCTS.save(ctx, product.encode(), msgspec.structs.replace(record, facts=number))
    ctx.emit(FACT_PROPOSED, product, number, terms.kind, department, counterparty)
    return number


@CONTRACT.write(APPROVER, REQUESTER)
def confirm(ctx: Context, product: str, number: Uint64, document: Bytes32) -> None:
    """Confirm what the other party proposed, naming the digest of one's own copy of the document; what it replaces ends.

    A transaction is refused where data of others may not, or no longer, be passed on to its buyer.
    """
    record = _load_registered(ctx, product)
    fact = _load_proposed(ctx, product, number)
    _check_is(ctx, fact.counterparty)
    if fact.terms.kind == TRANSACTION:
        _check_passing_on(ctx, record, fact.counterparty if fact.proposer == record.department else fact.proposer)
    if document != fact.terms.document:
        raise Refused("DOCUMENT_DIFFERS", found=document, expected=fact.terms.document)
    if fact.terms.replaces:
        earlier = ctx.require(FACTS, numbered_key(product, fact.terms.replaces), "FACT_UNKNOWN", fact.terms.replaces)
        if earlier.state != CONFIRMED:
            # Two corrections of one fact were proposed: the first to be confirmed has ended it.
            raise Refused("FACT_STATE", found=earlier.state, expected=CONFIRMED)
        _answer(ctx, earlier, REPLACED, "")
    _answer(ctx, fact, CONFIRMED, "")


@CONTRACT.write(APPROVER, REQUESTER)
def decline(ctx: Context, product: str, number: Uint64, reason: str) -> None:
    """Decline what the other party proposed, with the reason."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    fact = _load_proposed(ctx, product, number)
    _check_is(ctx, fact.counterparty)
    _answer(ctx, fact, DECLINED, reason)


@CONTRACT.write(APPROVER, REQUESTER)
def take_back(ctx: Context, product: str, number: Uint64, reason: str) -> None:
    """Take back what one's own department proposed and the other party has not answered."""
    check_text("reason", reason, MAX_REASON_LENGTH)
    fact = _load_proposed(ctx, product, number)
    _check_is(ctx, fact.proposer)
    _answer(ctx, fact, TAKEN_BACK, reason)


@CONTRACT.write(PUBLISHER, APPROVER)
def raise_objection(ctx: Context, product: str, ground: str, evidence: Bytes32) -> Uint64:
    """Object to another department's claim to a product, and return the objection's number."""
    check_text("ground", ground, MAX_REASON_LENGTH)
    record = _load_registered(ctx, product)
    department = ctx.account.department
    if department == record.department:
        raise Refused("OWN_PRODUCT", found=product)
    number = record.objections + 1
    objection = ObjectionRecord(product, number, department, ground, evidence, ctx.time_ms, "", 0, OPEN, "", 0)
    OBJECTIONS.save(ctx, numbered_key(product, number), objection)
    PRODUCTS.save(ctx, product.encode(), msgspec.structs.replace(record, objections=number))
    ctx.emit(OBJECTION_RAISED, product, number, department)
    return number


@CONTRACT.write(PUBLISHER, APPROVER)
def answer_objection(ctx: Context, product: str, number: Uint64, answer: str) -> None:
    """Answer an open objection to a product of the caller's department; a later answer takes the place of the one before."""
    check_text("answer", answer, MAX_REASON_LENGTH)
    record = _load_product(ctx, product)
    _check_is(ctx, record.department)
    objection = _load_open(ctx, product, number)
    answered = msgspec.structs.replace(objection, answer=answer, answered_ms=ctx.time_ms)
    OBJECTIONS.save(ctx, numbered_key(product, number), answered)


@CONTRACT.write(GOVERNOR)
def decide_objection(ctx: Context, product: str, number: Uint64, is_upheld: bool, finding: str) -> None:
    """Decide an open objection; one that is upheld ends the product's registration."""
    check_text("finding", finding, MAX_REASON_LENGTH)
    record = _load_product(ctx, product)
    objection = _load_open(ctx, product, number)
    if ctx.account.department in (record.department, objection.department):
        raise Refused("OWN_CASE", found=ctx.account.department)
    state = UPHELD if is_upheld else DISMISSED
    decided = msgspec.structs.replace(objection, state=state, finding=finding, decided_ms=ctx.time_ms)
    OBJECTIONS.save(ctx, numbered_key(product, number), decided)
    ctx.emit(OBJECTION_DECIDED, product, number, state)
    if is_upheld and record.state == REGISTERED:
        _end(ctx, record, REJECTED, finding)


@CONTRACT.write(GOVERNOR)
def set_formula(ctx: Context, rows: list[FormulaRow], basis: str, from_ms: TimeMs) -> Uint64:
    """Publish the formula by which contribution is scored in periods that begin at a coming time or later; return its number."""
    check_formula_rows(rows)
    check_text("basis", basis, MAX_BASIS_LENGTH)
    check_time("from_ms", from_ms)
    # What has begun is scored by what was published when it began.
    if from_ms <= ctx.time_ms:
        raise Refused("FORMULA_NOT_AHEAD", found=from_ms, limit=ctx.time_ms)
    # One that was to begin at this time or later has not begun, and is replaced: a slip far ahead binds nobody.
    count = formula_count(ctx)
    number = number_for(partial(load_formula, ctx), count, from_ms, ctx.time_ms)
    for replaced in range(number + 1, count + 1):
        FORMULAS.remove(ctx, number_key(replaced))
    FORMULAS.save(ctx, number_key(number), FormulaRecord(number, tuple(rows), basis, from_ms, ctx.time_ms, ctx.sender))
    FORMULA_COUNT.save(ctx, FORMULA_COUNT_KEY, FormulaCount(number))
    ctx.emit(FORMULA_SET, number, from_ms)
    return number


@CONTRACT.view()
def product(ctx: Context, code: str) -> ProductRecord:
    """Return the record of a product, ended ones included."""
    return _load_product(ctx, code)


@CONTRACT.view()
def fact(ctx: Context, product: str, number: Uint64) -> FactRecord:
    """Return a valuation or transaction of a product, whatever became of it."""
    return ctx.require(FACTS, numbered_key(product, number), "FACT_UNKNOWN", number)


@CONTRACT.view()
def objection(ctx: Context, product: str, number: Uint64) -> ObjectionRecord:
    """Return an objection to a product's claim."""
    return ctx.require(OBJECTIONS, numbered_key(product, number), "OBJECTION_UNKNOWN", number)


@CONTRACT.view()
def formula(ctx: Context, period_begins_ms: TimeMs) -> FormulaRecord:
    """Return the formula for a period that begins at a time."""
    return formula_for(ctx, period_begins_ms)


def _load_product(ctx: Context, code: str) -> ProductRecord:
    return ctx.require(PRODUCTS, code.encode(), "PRODUCT_UNKNOWN", code)


def _load_registered(ctx: Context, code: str) -> ProductRecord:
    record = _load_product(ctx, code)
    if record.state != REGISTERED:
        raise Refused("PRODUCT_ENDED", found=code, state=record.state)
    return record


def _load_proposed(ctx: Context, product: str, number: int) -> FactRecord:
    found = ctx.require(FACTS, numbered_key(product, number), "FACT_UNKNOWN", number)
    if found.state != PROPOSED:
        raise Refused("FACT_STATE", found=found.state, expected=PROPOSED)
    return found


def _load_open(ctx: Context, product: str, number: int) -> ObjectionRecord:
    found = ctx.require(OBJECTIONS, numbered_key(product, number), "OBJECTION_UNKNOWN", number)
    if found.state != OPEN:
        raise Refused("OBJECTION_STATE", found=found.state, expected=OPEN)
    return found


def _check_is(ctx: Context, department: str) -> None:
    if ctx.account.department != department:
        raise Refused("OTHER_DEPARTMENT", found=ctx.account.department, expected=department)


def _check_claim(claim: Claim) -> None:
    if not claim.rights:
        raise Refused("LIST_EMPTY", field="rights")
    check_list("rights", claim.rights, len(RIGHTS))
    for right in claim.rights:
        check_choice("right", right, tuple(RIGHTS))
    check_text("basis", claim.basis, MAX_BASIS_LENGTH)
    check_digest("evidence", claim.evidence)


def _check_sources(ctx: Context, department: str, sources: list[Source]) -> None:
    """Refuse sources that are neither the department's own resources nor ones that it has under a grant in force."""
    if not sources:
        raise Refused("LIST_EMPTY", field="sources")
    check_list("sources", [source.resource for source in sources], MAX_SOURCES)
    for source in sources:
        offered = catalogue.load_offered(ctx, source.resource)
        if offered.provider == department:
            if source.grant != _NO_DIGEST:
                raise Refused("OWN_RESOURCE", found=source.resource)
            continue
        grant = ctx.require(sharing.REQUESTS, source.grant, "REQUEST_UNKNOWN", source.grant)
        is_its_own = (grant.consumer, grant.resource) == (department, source.resource)
        if not is_its_own or not sharing.is_in_force(grant, ctx.time_ms):
            raise Refused("SOURCE_NOT_GRANTED", found=source.resource)


def _check_parties(ctx: Context, record: ProductRecord, department: str, counterparty: str) -> None:
    if counterparty == department:
        raise Refused("PARTIES_SAME", found=counterparty)
    if record.department not in (department, counterparty):
        raise Refused("NOT_A_PARTY", found=department)
    if not is_active_department(ctx, counterparty):
        raise Refused("COUNTERPARTY_UNKNOWN", found=counterparty)


def _check_terms(ctx: Context, record: ProductRecord, department: str, counterparty: str, terms: Terms) -> None:
    check_choice("kind", terms.kind, tuple(FORMS))
    check_choice("form", terms.form, tuple(FORMS[terms.kind]))
    if terms.amount_fen > MAX_AMOUNT_FEN:
        raise Refused("AMOUNT_OUT_OF_RANGE", found=terms.amount_fen, limit=MAX_AMOUNT_FEN)
    check_digest("document", terms.document)
    check_time("dated_ms", terms.dated_ms)
    if terms.dated_ms > ctx.time_ms:
        raise Refused("FACT_IN_FUTURE", found=terms.dated_ms, limit=ctx.time_ms)
    check_time("until_ms", terms.until_ms)
    if terms.until_ms and terms.until_ms < terms.dated_ms:
        raise Refused("DATES_REVERSED", start=terms.dated_ms, end=terms.until_ms)
    buyer = counterparty if department == record.department else department
    if terms.kind == TRANSACTION:
        _check_passing_on(ctx, record, buyer)
    if terms.grant != _NO_DIGEST:
        grant = ctx.require(sharing.REQUESTS, terms.grant, "REQUEST_UNKNOWN", terms.grant)
        if terms.kind != TRANSACTION or (grant.provider, grant.consumer) != (record.department, buyer):
            raise Refused("GRANT_OF_OTHERS", found=terms.grant)
    if terms.replaces:
        earlier = ctx.require(FACTS, numbered_key(record.code, terms.replaces), "FACT_UNKNOWN", terms.replaces)
        if earlier.state != CONFIRMED:
            raise Refused("FACT_STATE", found=earlier.state, expected=CONFIRMED)
        if {department, counterparty} != set(earlier.parties) or earlier.terms.kind != terms.kind:
            raise Refused("FACT_OF_OTHERS", found=terms.replaces)


def _check_passing_on(ctx: Context, record: ProductRecord, buyer: str) -> None:
    """Refuse a transaction of a product with data of another department in it, unless that agrees to its being passed on to the buyer.

    A grant that was stopped or recalled lets nothing be passed on; one whose period has ended still does what it said.
    """
    for source in record.sources:
        if source.grant == _NO_DIGEST:
            continue
        grant = ctx.require(sharing.REQUESTS, source.grant, "REQUEST_UNKNOWN", source.grant)
        if grant.state != sharing.GRANTED:
            raise Refused("SOURCE_NOT_GRANTED", found=source.resource)
        if buyer != grant.provider and buyer not in grant.conditions.passing_on_to:
            raise Refused("PASSING_ON_NOT_ALLOWED", found=buyer, resource=source.resource)


def _answer(ctx: Context, record: FactRecord, state: str, reason: str) -> None:
    answered = msgspec.structs.replace(
        record, state=state, answered_ms=ctx.time_ms, answered_by=ctx.sender, reason=reason
    )
    FACTS.save(ctx, numbered_key(record.product, record.number), answered)
    ctx.emit(FACT_ANSWERED, record.product, record.number, state)


def _end(ctx: Context, record: ProductRecord, state: str, reason: str) -> None:
    ended = msgspec.structs.replace(record, state=state, state_ms=ctx.time_ms, reason=reason)
    PRODUCTS.save(ctx, record.code.encode(), ended)
    ctx.emit(PRODUCT_ENDED, record.code, state, reason)
