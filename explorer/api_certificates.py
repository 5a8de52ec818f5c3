"""REST: certificates by identifier, their histories, and their verification by identifier, by document, or by both."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from contracts.certificate_records import (
    HISTORY_PAGES,
    PAGE_INTERVALS,
    CertificateRecord,
    StatusInterval,
    history_page_name,
    load_certificate,
)
from contracts.certificate_types import load_type
from contracts.fields import MAX_TIME_MS, MIN_TIME_MS
from contracts.identifiers import parse_identifier
from explorer import certificate_schemas, schemas
from explorer.index_queries import find_identifiers
from explorer.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number_cursor, encode_cursor
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.services import Services, hex_parameter, hex_schema, identifier_parameter, services_of
from explorer.statements import VERDICTS, status_name, validity_text
from explorer.verification import NOW, Question, Verification, unknown_document, verify_certificate
from node.http.json_form import to_json
from verification.days import day_start_ms

DocumentDigest = Annotated[
    str | None,
    Query(
        max_length=66,
        description="文件的 SM3 摘要，64 位十六进制 / SM3 of the document, 64 hex digits",
        json_schema_extra=hex_schema(32),
    ),
]
AtTime = Annotated[
    int | None,
    Query(
        ge=MIN_TIME_MS,
        le=MAX_TIME_MS,
        description="查该时刻（毫秒）的状态，缺省为最新区块时间 / status at this time in ms",
    ),
]
OnDay = Annotated[
    str | None,
    Query(
        max_length=10,
        description="查某日（北京时间）是否有效，不与 at_ms 同用 / was it in force on this day, China time; not with at_ms",
        json_schema_extra={"pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    ),
]

ROUTER = APIRouter(prefix="/api/v1", tags=["证照 Certificates"])


@ROUTER.get("/certificates/{identifier}", summary="一份证照 / One certificate", response_model=schemas.Certificate)
async def certificate(request: Request, identifier: str) -> Response:
    """账本上的记录：摘要、有效期、状态历史；可省略前缀 1.2.156.3005.2。 / The record on the ledger; the root may be left out."""
    services = services_of(request)
    parsed = identifier_parameter(identifier)
    record = load_certificate(services.state(), parsed.text)
    if record is None:
        raise Problem("NOT_FOUND", found=identifier)
    return json_response(request, show_certificate(services, record), cacheable=True)


@ROUTER.get(
    "/certificates/{identifier}/history",
    summary="证照的状态历史 / History of a certificate",
    response_model=schemas.Page[certificate_schemas.HistoryInterval],
)
async def history(request: Request, identifier: str, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """全部状态，最近的在前，含已移入历史页的。 / Every status, the latest first, those in pages of its history too."""
    services = services_of(request)
    record = load_certificate(services.state(), identifier_parameter(identifier).text)
    if record is None:
        raise Problem("NOT_FOUND", found=identifier)
    return json_response(request, show_history(services, record, decode_number_cursor(cursor), limit), cacheable=True)


@ROUTER.get(
    "/certificates/{identifier}/verification",
    summary="核验证照 / Verify a certificate",
    response_model=certificate_schemas.Verification,
)
async def verification(
    request: Request,
    identifier: str,
    document_digest: DocumentDigest = None,
    at_ms: AtTime = None,
    day: OnDay = None,
) -> Response:
    """逐项结论与依据，现在、某时或某日；有文件摘要则一并核对。 / Statement by statement, now, at a time or on a day; of a document too."""
    services = services_of(request)
    digest = None if document_digest is None else hex_parameter("document_digest", document_digest, 32)
    question = question_of(at_ms, day, digest)
    parsed, as_of = identifier_parameter(identifier), services.as_of()
    result = verify_certificate(services.state(), parsed, as_of, question, services.manifests.find)
    # Where a manifest is being read, the next answer may know more without a new block.
    return json_response(request, show_verification(services, result), cacheable=result.verdict != "IN_BATCH")


@ROUTER.get(
    "/verification",
    summary="按文件摘要核验 / Verify by a document's digest",
    response_model=schemas.Page[certificate_schemas.Verification],
)
async def verification_by_document(
    request: Request,
    document_digest: Annotated[
        str, Query(max_length=66, description="文件的 SM3 摘要 / SM3 of the document", json_schema_extra=hex_schema(32))
    ],
    at_ms: AtTime = None,
    day: OnDay = None,
) -> Response:
    """登记了该文件的每份证照各一个结果。 / One result for each certificate that carries this document."""
    services = services_of(request)
    question = question_of(at_ms, day)
    results = await verify_document(services, hex_parameter("document_digest", document_digest, 32), question)
    return json_response(
        request,
        {"items": [show_verification(services, result) for result in results], "next_cursor": None},
        cacheable=True,
    )


def question_of(at_ms: int | None, day: str | None, document_digest: bytes | None = None) -> Question:
    """Return what a request asks of a certificate; raise Problem on a day that is none, and on a day and a time."""
    if day is not None and at_ms is not None:
        expected = Text(" day 与 at_ms 二选一", "one of day and at_ms")
        raise Problem("PARAMETER_INVALID", field="day", expected=expected, found=day)
    if day is not None:
        try:
            day_start_ms(day)
        except (ValueError, OverflowError):
            expected = Text(" YYYY-MM-DD 格式的日期", "a date as YYYY-MM-DD")
            raise Problem("PARAMETER_INVALID", field="day", expected=expected, found=day) from None
    return Question(document_digest, at_ms, day or "")


async def verify_document(services: Services, digest: bytes, question: Question = NOW) -> list[Verification]:
    """Return the outcome for every certificate that carries a document's digest, one of NOT_ON_LEDGER when none does."""
    identifiers = await services.query(find_identifiers, digest)
    state, as_of = services.state(), services.as_of()
    question = Question(digest, question.at_ms, question.day)
    found = [verify_certificate(state, parse_identifier(text), as_of, question) for text in identifiers]
    return found or [unknown_document(as_of)]


def show_history(services: Services, record: CertificateRecord, before: int | None, limit: int) -> dict[str, Any]:
    """Return a page of a certificate's statuses below the one numbered `before`, the latest first; the first is number 0."""
    state = services.state()
    in_pages = record.page_count * PAGE_INTERVALS
    count = in_pages + len(record.history)
    end = count if before is None else min(before, count)
    start = max(0, end - limit)
    known: dict[int, tuple[StatusInterval, ...]] = {}

    def interval(number: int) -> StatusInterval:
        if number >= in_pages:
            return record.history[number - in_pages]
        page = number // PAGE_INTERVALS
        if page not in known:
            found = HISTORY_PAGES.load(state, history_page_name(record.identifier, page))
            assert found is not None, "a record counts the pages that were saved"
            known[page] = found.intervals
        return known[page][number % PAGE_INTERVALS]

    items = []
    until_ms = interval(end).from_ms if end < count else None
    for number in range(end - 1, start - 1, -1):
        found = interval(number)
        shown = to_json(found)
        text = status_name(state, record.type_code, found.status)._asdict()
        items.append({**shown, "number": number, "until_ms": until_ms, "status_text": text})
        until_ms = found.from_ms
    return {"items": items, "next_cursor": encode_cursor(start) if start else None}


def show_certificate(services: Services, record: CertificateRecord) -> dict[str, Any]:
    """Return a certificate's record with the names of type, issuer and statuses."""
    kind = load_type(services.state(), record.type_code)
    shown: dict[str, Any] = to_json(record)
    for interval in shown["history"]:
        interval["status_text"] = status_name(services.state(), record.type_code, interval["status"])._asdict()
    return shown | {
        "type_name": None if kind is None else kind.name,
        "issuer_name": services.department_name(record.issuer),
        "status": record.status,
        "issued_ms": record.issued_ms,
        "validity_text": validity_text(record)._asdict(),
    }


def show_verification(services: Services, result: Verification) -> dict[str, Any]:
    """Return the outcome of a verification: verdict, statements with their proof, and the record."""
    return {
        "verdict": result.verdict,
        "is_valid": result.verdict == "IN_FORCE",
        "mood": result.mood,
        **result.text._asdict(),
        "height": result.as_of.height,
        "block_time_ms": result.as_of.time_ms,
        "signers": list(result.as_of.signers),
        "validator_count": result.as_of.validator_count,
        "at_ms": result.at_ms,
        "day": result.day or None,
        "batch": result.batch or None,
        "statements": [
            {
                "code": statement.code,
                "mood": statement.mood,
                **statement.text._asdict(),
                "proven_by": statement.proven_by._asdict(),
                "since_ms": statement.since_ms,
                "successor": statement.successor or None,
            }
            for statement in result.statements
        ],
        "spans": [
            {
                "from_ms": span.from_ms,
                "to_ms": span.to_ms,
                "verdict": span.status.verdict,
                "is_valid": span.status.is_valid,
                **VERDICTS[span.status.verdict][1]._asdict(),
            }
            for span in result.spans
        ],
        "certificate": None if result.record is None else show_certificate(services, result.record),
    }
