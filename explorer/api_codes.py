"""Codes and short links: what is printed on a certificate or beside it, and the page that it opens."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from contracts.certificate_types import load_type
from contracts.identifiers import CertificateIdentifier
from explorer.pages_verification import verification_page
from explorer.problems import Problem, Text
from explorer.services import identifier_parameter, services_of
from explorer.statements import validity_text
from explorer.turns import client_of
from explorer.uploaded_files import verify_link
from explorer.verification import NOW, Verification, verify_certificate
from verification.code_image import code_svg
from verification.codes import LINK_MARK, VerificationLink, make_link, read_link
from verification.errors import InputError
from verification.slip import Slip, encode_slip

SVG_MEDIA_TYPE: Final = "image/svg+xml"
PDF_MEDIA_TYPE: Final = "application/pdf"

ROUTER = APIRouter(prefix="/api/v1", tags=["证照 Certificates"])
PAGES = APIRouter(include_in_schema=False)


@ROUTER.get(
    "/certificates/{identifier}/code",
    summary="证照的核验二维码 / Code of a certificate",
    response_class=Response,
    responses={200: {"content": {SVG_MEDIA_TYPE: {}}, "description": "SVG"}},
)
async def code(request: Request, identifier: str) -> Response:
    """链接到本节点核验页的二维码（SVG），含登记的文件摘要开头。 / A code that links to this node, with the beginning of the digest."""
    services = services_of(request)
    parsed = identifier_parameter(identifier)
    _, link = _find(request, parsed)
    async with services.turns.take(client_of(request)):
        drawn = await run_in_threadpool(code_svg, link.text)
    return Response(drawn, media_type=SVG_MEDIA_TYPE, headers={"cache-control": "no-store"})


@ROUTER.get(
    "/certificates/{identifier}/slip",
    summary="证照的核验单 / Verification slip",
    response_class=Response,
    responses={200: {"content": {PDF_MEDIA_TYPE: {}}, "description": "PDF"}},
)
async def slip(request: Request, identifier: str) -> Response:
    """可打印的核验单（PDF，A5）：二维码、类型、机构与有效期，没有个人信息。 / A page to print and verify by; nothing personal is on it."""
    services = services_of(request)
    parsed = identifier_parameter(identifier)
    found, link = _find(request, parsed)
    kind = load_type(services.state(), parsed.type_code)
    facts = [
        ("证照标识", "Identifier", parsed.text),
        ("证照类型", "Type", f"{'' if kind is None else kind.name} {parsed.type_code}".strip()),
        ("颁发机构", "Issuer", f"{services.department_name(parsed.issuer_code)} {parsed.issuer_code}"),
    ]
    if found.record is not None:
        facts.append(("有效期", "Validity", str(validity_text(found.record))))
    facts.append(("核验地址", "Verify at", link.base.lower()))
    async with services.turns.take(client_of(request)):
        drawn = await run_in_threadpool(encode_slip, Slip(link.text, tuple(facts)))
    return Response(drawn, media_type=PDF_MEDIA_TYPE, headers={"cache-control": "no-store"})


@PAGES.get("/V/{identifier}")
@PAGES.get("/V/{identifier}/{digest_prefix}")
async def short_link(request: Request, identifier: str, digest_prefix: str = "") -> Response:
    """Show what the ledger says of the certificate that a code is of; the address is the one that codes on paper carry."""
    results: list[Verification] = []
    problem = None
    try:
        link = _link(identifier, digest_prefix)
        identifier = link.identifier
        results = [verify_link(services_of(request), link, NOW)]
    except InputError as error:
        problem = Text(error.zh, error.en)
    except Problem as error:
        problem = error.text()
    return verification_page(request, results, problem=problem, identifier=identifier, is_linked=True)


def _link(identifier: str, digest_prefix: str) -> VerificationLink:
    """Return the link whose address was asked for, wherever this node is reached; raise InputError where it is none."""
    tail = f"/{digest_prefix}" if digest_prefix else ""
    return read_link(f"HTTPS://LINK{LINK_MARK}{identifier}{tail}")


def _find(request: Request, identifier: CertificateIdentifier) -> tuple[Verification, VerificationLink]:
    """Return what is known of a certificate, and the link to it at this node.

    Raises Problem NOT_FOUND where it is neither on the ledger nor perhaps of a batch, LINK_BASE_UNSET where codes cannot carry the
    node's address.
    """
    services = services_of(request)
    found = verify_certificate(services.state(), identifier, services.as_of(), NOW, services.manifests.find)
    if found.record is None and not found.batch:
        raise Problem("NOT_FOUND", found=identifier.text)
    try:
        digest = None if found.record is None else found.record.document_digest
        return found, make_link(_base(request), identifier.text, digest)
    except InputError as error:
        raise Problem("LINK_BASE_UNSET", reason=Text(error.zh, error.en)) from None


def _base(request: Request) -> str:
    """Return where links lead: to the address that the operator named, else to the one that this connection came in on."""
    configured = services_of(request).link_base
    if configured:
        return configured
    host, port = request.scope.get("server") or ("", None)
    return f"http://{host}:{port}"
