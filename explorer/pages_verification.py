"""The page that verifies a certificate: by identifier, by the digest of its file, or by a file that is sent; and histories."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from contracts.batches import find_batch_name, load_batch
from contracts.certificate_records import load_certificate
from contracts.identifiers import CertificateIdentifier
from explorer.api_certificates import question_of, show_certificate, show_history, verify_document
from explorer.api_verification import Recipient, show_file_verification
from explorer.pages import head_age_ms, render
from explorer.paging import decode_number_cursor
from explorer.problems import Problem, Text
from explorer.responses import read_body
from explorer.services import Services, hex_parameter, identifier_parameter, services_of
from explorer.turns import client_of
from explorer.uploaded_files import (
    MAX_UPLOAD_BYTES,
    FileVerification,
    expect_certificate,
    verify_link,
    verify_upload,
)
from explorer.verification import Question, Verification, verify_certificate
from verification.certificate_files import file_verification
from verification.certificate_files.field_names import FIELD_NAMES
from verification.codes import LINK_MARK, MAX_CODE_CHARACTERS, VerificationLink, read_link
from verification.days import show_age, show_day, show_moment
from verification.errors import InputError
from verification.proof_verdicts import BATCH_STEPS

STATUSES_A_PAGE: Final = 20
TITLE: Final = Text("证照核验", "Verify a certificate")

KINDS: Final[dict[str, Text]] = {
    "document": Text("证照文件", "Certificate document"),
    "presentation": Text("证照出示件", "Presentation"),
    "annotated-copy": Text("证照加注件", "Annotated copy"),
    "proof": Text("证明文件", "Proof file"),
    "batch-proof": Text("批次证照的证明文件", "Proof of a certificate of a batch"),
    "code": Text("二维码", "Code"),
    "other": Text("其他文件（按摘要核验）", "Another file, by its digest"),
}
_FIELD_TEXTS: Final = {name: Text(*words) for name, words in FIELD_NAMES.items()}
_STEP_NAMES: Final = {**BATCH_STEPS, **file_verification.STEPS}
_MARKS: Final = {"held": "good", "broken": "bad"}

ROUTER = APIRouter(include_in_schema=False)

Day = Annotated[str, Query(max_length=10)]
Identifier = Annotated[str, Query(max_length=MAX_CODE_CHARACTERS)]


@ROUTER.get("/verify")
async def verify(
    request: Request,
    identifier: Identifier = "",
    document_digest: Annotated[str, Query(max_length=66)] = "",
    day: Day = "",
) -> Response:
    """Show the verification form, and what the ledger says of the identifier or document in it."""
    services = services_of(request)
    identifier, document_digest, day = identifier.strip(), document_digest.strip(), day.strip()
    results: list[Verification] = []
    problem = None
    try:
        digest = hex_parameter("document_digest", document_digest, 32) if document_digest else None
        question = question_of(None, day or None, digest)
        if LINK_MARK in identifier:
            link = _link_parameter(identifier)
            results = [verify_link(services, link, question)]
            identifier = link.identifier
        elif identifier:
            parsed = identifier_parameter(identifier)
            results = [
                verify_certificate(services.state(), parsed, services.as_of(), question, services.manifests.find)
            ]
        elif digest is not None:
            results = await verify_document(services, digest, question)
    except Problem as error:
        problem = error.text()
    return verification_page(
        request, results, problem=problem, identifier=identifier, document_digest=document_digest, day=day
    )


@ROUTER.post("/verify")
async def verify_file(
    request: Request, identifier: Identifier = "", day: Day = "", recipient: Recipient = None
) -> Response:
    """Show what a file that is the body shows, and what the ledger says of its certificate; nothing of it is kept.

    With an identifier the file must be of that certificate.
    """
    services = services_of(request)
    try:
        question: Question = question_of(None, day.strip() or None)
        expected, question = _read_identifier(identifier.strip(), question)
        async with read_body(request, MAX_UPLOAD_BYTES) as raw:
            if not raw:
                raise Problem("BODY_INVALID", expected=Text("文件的内容", "the bytes of a file"), found="0 bytes")
            found = await verify_upload(services, client_of(request), raw, question, recipient or None)
        if expected is not None:
            found = expect_certificate(services, found, expected, question)
    except Problem as error:
        return verification_page(request, [], problem=error.text(), day=day)
    return verification_page(request, list(found.certificates), file=found, day=day)


@ROUTER.get("/certificates/{identifier}/history")
async def history(
    request: Request,
    identifier: Annotated[str, Path(max_length=200)],
    cursor: Annotated[str | None, Query(max_length=400)] = None,
) -> Response:
    """Show every status that a certificate has had, the latest first."""
    services = services_of(request)
    record = load_certificate(services.state(), identifier_parameter(identifier).text)
    if record is None:
        raise Problem("NOT_FOUND", found=identifier)
    page = show_history(services, record, decode_number_cursor(cursor), STATUSES_A_PAGE)
    following = page["next_cursor"]
    return render(
        request,
        "history.html",
        Text("状态历史", "Status history"),
        identifier=record.identifier,
        intervals=[_with_times(shown) for shown in page["items"]],
        next_url=None if following is None else f"/certificates/{record.identifier}/history?cursor={following}",
    )


def verification_page(
    request: Request,
    results: list[Verification],
    *,
    file: FileVerification | None = None,
    problem: Text | None = None,
    identifier: str = "",
    document_digest: str = "",
    day: str = "",
    is_linked: bool = False,
) -> Response:
    """Return the verification form with results beneath it: of a file, and of the certificates that were found.

    Results come first; for whoever came by the link in a code, the form is folded beneath them.
    """
    services = services_of(request)
    return render(
        request,
        "verify.html",
        TITLE,
        identifier=identifier,
        document_digest=document_digest,
        day=day,
        is_linked=is_linked,
        max_upload_bytes=MAX_UPLOAD_BYTES,
        **show_results(services, results, file, problem),
    )


def show_results(
    services: Services,
    results: list[Verification],
    file: FileVerification | None,
    problem: Text | None,
    problem_code: str = "",
) -> dict[str, Any]:
    """Return what verify_results.html shows: of a file, of certificates, or why nothing could be verified."""
    return {
        "problem": problem,
        "problem_code": problem_code,
        "field_names": _FIELD_TEXTS,
        "file": None if file is None else _show_file(services, file),
        "results": [_show_result(services, result) for result in results],
    }


def _read_identifier(text: str, question: Question) -> tuple[CertificateIdentifier | None, Question]:
    """Return the certificate that was typed beside a file, None where none was, and the question with what a link asks besides."""
    if LINK_MARK not in text:
        return identifier_parameter(text) if text else None, question
    link = _link_parameter(text)
    prefix = bytes.fromhex(link.digest_prefix) or None
    return identifier_parameter(link.identifier), msgspec.structs.replace(question, document_digest=prefix)


def _link_parameter(text: str) -> VerificationLink:
    """Return the link that a scanner typed; raise Problem where it is none of ours."""
    try:
        return read_link(text)
    except InputError as error:
        raise Problem("PARAMETER_INVALID", field="identifier", reason=Text(error.zh, error.en)) from None


def _show_file(services: Services, found: FileVerification) -> dict[str, Any]:
    shown = show_file_verification(services, found)
    finding: dict[str, Any] | None = shown["file"]
    if finding is not None:
        for step in finding["steps"]:
            step["mood"] = _MARKS.get(step["state"], "none")
            step["name"] = Text(*_STEP_NAMES.get(step["step"], (step["step"], step["step"])))
        for name in ("expires_ms", "proven_ms"):
            finding[name.replace("_ms", "")] = None if finding[name] is None else show_moment(finding[name])
        if finding["proven_ms"] is not None:
            finding["proven_age"] = Text(*show_age(max(0, found.now_ms - finding["proven_ms"])))
    age = Text(*show_age(found.age_ms))
    return {**shown, "age": age, "kind_text": KINDS[found.kind], "time": show_moment(found.as_of.time_ms)}


def _show_result(services: Services, result: Verification) -> dict[str, Any]:
    certificate = None
    if result.record is not None:
        certificate = show_certificate(services, result.record)
        certificate["history"] = [_with_times(interval) for interval in reversed(certificate["history"])]
        links = (("前一份", "Predecessor", "predecessor"), ("接替者", "Successor", "successor"))
        certificate["links"] = [
            {"zh": zh, "en": en, "identifier": certificate[name]} for zh, en, name in links if certificate[name]
        ]
        certificate["proof"] = _proof_address(services, result.record.identifier)
    now_ms = services.view.ledger.head_time_ms
    return {
        "result": result,
        "time": show_moment(result.as_of.time_ms),
        "age": Text(*show_age(head_age_ms(services))),
        "asked": show_day(result.at_ms)
        if result.day
        else None
        if result.at_ms == now_ms
        else show_moment(result.at_ms),
        "certificate": certificate,
    }


def _proof_address(services: Services, identifier: str) -> str | None:
    """Return where the proof of a certificate is to be had; None for one of a batch whose manifest is not here."""
    state = services.state()
    if load_certificate(state, identifier) is not None:
        return f"/api/v1/proofs/certificates/{identifier}"
    batch = load_batch(state, find_batch_name(state, identifier))
    listing = None if batch is None else services.manifests.find(batch, identifier)
    return None if listing is None or listing.member is None else f"/api/v1/proofs/members/{identifier}"


def _with_times(interval: dict[str, Any]) -> dict[str, Any]:
    return {**interval, "time": show_moment(interval["from_ms"])}
