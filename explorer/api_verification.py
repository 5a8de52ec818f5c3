"""REST: verification of a file that is sent: what it shows by itself, and what the ledger says of its certificate."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from explorer import certificate_schemas
from explorer.api_certificates import AtTime, OnDay, question_of, show_verification
from explorer.problems import Problem, Text
from explorer.responses import json_response, read_body
from explorer.services import Services, services_of
from explorer.turns import client_of
from explorer.uploaded_files import MAX_UPLOAD_BYTES, FileVerification, verify_upload
from verification.certificate_files.document import MAX_NAME

Recipient = Annotated[
    str | None,
    Query(
        max_length=MAX_NAME,
        description="谁在核验：出示件或加注件须是给其的 / who asks: presentations and annotated copies must be made out to them",
    ),
]

ROUTER = APIRouter(prefix="/api/v1", tags=["证照 Certificates"])


@ROUTER.post(
    "/verification/file",
    summary="核验文件 / Verify a file",
    response_model=certificate_schemas.FileVerification,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def verify_sent_file(
    request: Request, at_ms: AtTime = None, day: OnDay = None, recipient: Recipient = None
) -> Response:
    """正文为文件；证照文件与证明逐项核验，其他按摘要。 / The body is a file: ours are verified in steps, others by digest."""
    services = services_of(request)
    question = question_of(at_ms, day)
    async with read_body(request, MAX_UPLOAD_BYTES) as raw:
        if not raw:
            raise Problem("BODY_INVALID", expected=Text("文件的内容", "the bytes of a file"), found="0 bytes")
        found = await verify_upload(services, client_of(request), raw, question, recipient)
    return json_response(request, show_file_verification(services, found))


def show_file_verification(services: Services, found: FileVerification) -> dict[str, Any]:
    """Return the outcome for a file: its own finding, and the certificates that it is about."""
    finding = found.finding
    shown = None
    if finding is not None:
        shown = {
            "is_accepted": finding.is_accepted,
            "code": finding.code,
            **finding.text._asdict(),
            "steps": [
                {"step": one.step, "state": one.state, "code": one.code, **one.text._asdict()} for one in finding.steps
            ],
            "values": finding.values,
            "hidden": list(finding.hidden),
            "signer": finding.signer,
            "recipient": finding.recipient,
            "purpose": finding.purpose,
            "expires_ms": finding.expires_ms,
            "proven_height": finding.proven_height,
            "proven_ms": finding.proven_ms,
        }
    return {
        "kind": found.kind,
        "file_digest": "0x" + found.file_digest.hex(),
        "verdict": found.verdict,
        "is_valid": found.verdict == "IN_FORCE",
        "mood": found.mood,
        **found.text._asdict(),
        "height": found.as_of.height,
        "block_time_ms": found.as_of.time_ms,
        "age_ms": found.age_ms,
        "file": shown,
        "certificates": [show_verification(services, one) for one in found.certificates],
    }
