"""Issuing, presenting and verifying over plain HTTP: what a department's systems in other languages call on their own machine.

docs/integration.md shows every request. The service holds the key of one account; whoever has its token acts with that account.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.identifiers import FIRST_VERSION
from node.config import read_password_file
from node.http.proof_file import unambiguous_object
from sdk.errors import CallRefused, NodeUnreachable, RequestRefused
from sdk.holder import present_certificate
from sdk.issuer import NOBODY, Issuer
from sdk.proofs import fetch_document_proof
from sdk.secret_files import SECRET_MODE
from verification.certificate_files.document import (
    MAX_ATTACHMENTS,
    MAX_DOCUMENT_FILE_BYTES,
    MAX_FIELDS,
    WITHOUT_END,
    Attachment,
)
from verification.errors import GovnodeError, InputError
from verification.holders import Holder
from verification.proofs import GivenDocument, verify_proof
from verification.reasons import decoding_reason, system_reason
from verification.trust import TrustFile

MIN_TOKEN_LENGTH: Final = 32
_SCHEME: Final = "Bearer "

Fields = Annotated[dict[str, str], msgspec.Meta(max_length=MAX_FIELDS)]
Now = Callable[[], int]
Work = Callable[[bytes, QueryParams], bytes]


class IssueRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate to issue, as Issuer.issue takes it; `holder_key` is x || y in hex, days are YYYY-MM-DD."""

    type_code: str
    serial: str
    valid_from: str
    valid_to: str = WITHOUT_END
    number: str = ""
    holder: Holder = NOBODY
    fields: Fields = {}
    attachments: Annotated[tuple[Attachment, ...], msgspec.Meta(max_length=MAX_ATTACHMENTS)] = ()
    holder_key: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{128})?$(?!\n)")] = ""
    version: str = FIRST_VERSION
    issued_on: str | None = None
    predecessor: str = ""
    reason: str = ""


class IssuingService:
    """The answers: each takes body and query of a request and returns a file or a verdict, as JSON."""

    def __init__(self, issuer: Issuer, trust: TrustFile, now: Now) -> None:
        """Issue with `issuer` and verify by `trust`, as of the ms that `now` tells."""
        self._issuer = issuer
        self._trust = trust
        self._now = now

    def issue(self, raw: bytes, query: QueryParams) -> bytes:
        """Return the document of a certificate that is on the ledger now, for an IssueRequest."""
        try:
            asked = msgspec.json.decode(raw, type=IssueRequest)
            json.loads(raw, object_pairs_hook=unambiguous_object)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            zh, en = decoding_reason(error)
            raise InputError(
                "BODY_INVALID", f"请求不是所需的 JSON：{zh}", f"the request is not the JSON expected: {en}"
            ) from None
        return self._issuer.issue(
            asked.type_code,
            asked.serial,
            valid_from=asked.valid_from,
            valid_to=asked.valid_to,
            number=asked.number,
            holder=asked.holder,
            fields=asked.fields,
            attachments=asked.attachments,
            holder_key=bytes.fromhex(asked.holder_key),
            version=asked.version,
            issued_on=asked.issued_on,
            predecessor=asked.predecessor,
            reason=asked.reason,
        ).document

    def prove(self, raw: bytes, query: QueryParams) -> bytes:
        """Return a proof file, as of now, of the certificate that a document, presentation or annotated copy is of."""
        return fetch_document_proof(self._issuer.client, raw)[1]

    def present(self, raw: bytes, query: QueryParams) -> bytes:
        """Return a presentation of a document that names no holder's key, with every field of `show` and file of `attachment`."""
        return present_certificate(raw, query.getlist("show"), attachments=query.getlist("attachment"))

    def verify(self, raw: bytes, query: QueryParams) -> bytes:
        """Return the verdict on a document, presentation or annotated copy by a proof of now; `recipient` is who asks.

        The proof is verified from the trust file: the node that gives it need not be trusted.
        """
        proof = self.prove(raw, query)
        given = GivenDocument(raw, self._trust.roots(), query.get("recipient"))
        return msgspec.json.encode(verify_proof(proof, given, self._trust, self._now()))


def load_token(path: Path) -> str:
    """Return the token in a file that only its owner can read, a new one where there is no file; raise InputError otherwise."""
    try:
        with open(path, "x", encoding="ascii", opener=partial(os.open, mode=SECRET_MODE)) as file:
            token = secrets.token_urlsafe(MIN_TOKEN_LENGTH)
            file.write(token + "\n")
        return token
    except FileExistsError:
        return read_password_file(path).decode("ascii", "replace")
    except OSError as error:
        raise InputError(
            "FILE_UNWRITABLE",
            f"文件 {path} 无法写入（{system_reason(error)[0]}），请检查路径与权限",
            f"cannot write {path} ({system_reason(error)[1]}): check path and permissions",
        ) from None


def make_app(service: IssuingService, token: str) -> Starlette:
    """Return the ASGI application; requests must carry the token, MIN_TOKEN_LENGTH characters at least."""
    if len(token) < MIN_TOKEN_LENGTH:
        raise InputError(
            "TOKEN_TOO_SHORT",
            f"访问令牌至少 {MIN_TOKEN_LENGTH} 个字符",
            f"expected a token of at least {MIN_TOKEN_LENGTH} characters",
        )
    works: dict[str, Work] = {
        "/issue": service.issue,
        "/proof": service.prove,
        "/present": service.present,
        "/verify": service.verify,
    }
    return Starlette(routes=[Route(path, _endpoint(work, token), methods=["POST"]) for path, work in works.items()])


def _endpoint(work: Work, token: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"{_SCHEME}{token}".encode()):
            return _problem(
                401,
                "TOKEN_WRONG",
                "请在 Authorization: Bearer 中给出令牌文件里的令牌",
                "send the token of the token file as Authorization: Bearer",
            )
        raw = bytearray()
        async for part in request.stream():
            raw += part
            if len(raw) > MAX_DOCUMENT_FILE_BYTES:
                return _problem(
                    413,
                    "BODY_TOO_LARGE",
                    f"请求至多 {MAX_DOCUMENT_FILE_BYTES} 字节",
                    f"expected at most {MAX_DOCUMENT_FILE_BYTES} bytes",
                )
        try:
            found = await run_in_threadpool(work, bytes(raw), request.query_params)
        except GovnodeError as error:
            return _problem(_status(error), error.code, error.zh, error.en)
        return Response(found, media_type="application/json", headers={"cache-control": "no-store"})

    return answer


def _status(error: GovnodeError) -> int:
    if isinstance(error, CallRefused):
        return 409
    if isinstance(error, InputError):
        return 422
    return 502 if isinstance(error, NodeUnreachable | RequestRefused) else 500


def _problem(status: int, code: str, zh: str, en: str) -> Response:
    content = msgspec.json.encode({"status": status, "code": code, "zh": zh, "en": en})
    return Response(content, status, media_type="application/problem+json", headers={"cache-control": "no-store"})
