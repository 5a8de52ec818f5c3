"""Codes and short links: the picture that is printed on a certificate, and the page that it opens."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from contracts.batches import find_batch_name
from contracts.certificate_records import CERTIFICATES
from explorer.pages_verification import verification_page
from explorer.problems import Problem, Text
from explorer.services import identifier_parameter, services_of
from explorer.uploaded_files import verify_link
from explorer.verification import NOW, Verification
from verification.code_image import code_svg
from verification.codes import LINK_MARK, VerificationLink, make_link, read_link
from verification.errors import InputError

SVG_MEDIA_TYPE = "image/svg+xml"

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
    state = services.state()
    record = CERTIFICATES.load(state, parsed.text.encode())
    if record is None and not find_batch_name(state, parsed.text):
        raise Problem("NOT_FOUND", found=identifier)
    try:
        link = make_link(_base(request), parsed.text, None if record is None else record.document_digest)
    except InputError as error:
        raise Problem("LINK_BASE_UNSET", reason=Text(error.zh, error.en)) from None
    async with services.turns.take():
        drawn = await run_in_threadpool(code_svg, link.text)
    return Response(drawn, media_type=SVG_MEDIA_TYPE, headers={"cache-control": "no-store"})


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
    return verification_page(request, results, problem=problem, identifier=identifier)


def _link(identifier: str, digest_prefix: str) -> VerificationLink:
    """Return the link whose address was asked for, wherever this node is reached; raise InputError where it is none."""
    tail = f"/{digest_prefix}" if digest_prefix else ""
    return read_link(f"HTTPS://LINK{LINK_MARK}{identifier}{tail}")


def _base(request: Request) -> str:
    """Return where links lead: to the address that the operator named, else to the one that this connection came in on."""
    configured = services_of(request).link_base
    if configured:
        return configured
    host, port = request.scope.get("server") or ("", None)
    return f"http://{host}:{port}"
