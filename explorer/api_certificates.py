"""REST: certificates by identifier, and their verification by identifier, by document, or by both."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from contracts.certificate_records import CertificateRecord, load_certificate
from contracts.certificate_types import load_type
from contracts.fields import MAX_TIME_MS, MIN_TIME_MS
from contracts.identifiers import parse_identifier
from explorer import schemas
from explorer.index_queries import find_identifiers
from explorer.problems import Problem, Text
from explorer.responses import json_response
from explorer.services import Services, hex_parameter, hex_schema, identifier_parameter, services_of
from explorer.verification import Verification, status_name, unknown_document, validity_text, verify_certificate
from node.http.json_form import to_json

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
    "/certificates/{identifier}/verification",
    summary="核验证照 / Verify a certificate",
    response_model=schemas.Verification,
)
async def verification(
    request: Request, identifier: str, document_digest: DocumentDigest = None, at_ms: AtTime = None
) -> Response:
    """逐项结论与依据；给出文件摘要则一并核对文件。 / Statement by statement; with a digest, the document too."""
    services = services_of(request)
    digest = None if document_digest is None else hex_parameter("document_digest", document_digest, 32)
    result = verify_certificate(services.state(), identifier_parameter(identifier), digest, services.as_of(), at_ms)
    return json_response(request, show_verification(services, result), cacheable=True)


@ROUTER.get(
    "/verification", summary="按文件核验 / Verify by document", response_model=schemas.Page[schemas.Verification]
)
async def verification_by_document(
    request: Request,
    document_digest: Annotated[
        str, Query(max_length=66, description="文件的 SM3 摘要 / SM3 of the document", json_schema_extra=hex_schema(32))
    ],
    at_ms: AtTime = None,
) -> Response:
    """登记了该文件的每份证照各一个结果。 / One result for each certificate that carries this document."""
    services = services_of(request)
    results = await verify_document(services, hex_parameter("document_digest", document_digest, 32), at_ms)
    return json_response(
        request,
        {"items": [show_verification(services, result) for result in results], "next_cursor": None},
        cacheable=True,
    )


async def verify_document(services: Services, digest: bytes, at_ms: int | None = None) -> list[Verification]:
    """Return the outcome for every certificate that carries a document's digest, one of NOT_ON_LEDGER when none does."""
    identifiers = await services.query(find_identifiers, digest)
    state, as_of = services.state(), services.as_of()
    found = [verify_certificate(state, parse_identifier(text), digest, as_of, at_ms) for text in identifiers]
    return found or [unknown_document(as_of)]


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
        "zh": result.text.zh,
        "en": result.text.en,
        "height": result.as_of.height,
        "block_time_ms": result.as_of.time_ms,
        "signers": list(result.as_of.signers),
        "validator_count": result.as_of.validator_count,
        "at_ms": result.at_ms,
        "statements": [
            {
                "code": statement.code,
                "mood": statement.mood,
                "zh": statement.text.zh,
                "en": statement.text.en,
                "proven_by": Text(*statement.proven_by)._asdict(),
            }
            for statement in result.statements
        ],
        "certificate": None if result.record is None else show_certificate(services, result.record),
    }
