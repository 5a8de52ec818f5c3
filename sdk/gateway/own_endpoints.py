"""What the gateway answers itself, below /gov/: tokens, the records that it keeps, how it stands, metrics."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.accounts import RECORDER, REQUESTER
from explorer.auth import Authenticator, Caller
from explorer.problems import PROBLEM_MEDIA_TYPE, Problem
from explorer.responses import read_body
from explorer.services import is_auditor
from sdk.access_recording.read_store import RecordingFailed
from sdk.gateway.denials import Denied, problem_body
from sdk.gateway.drafts import NOBODY, Outcome, ReadRequest, make_draft
from sdk.gateway.read_headers import ReadHeaders
from sdk.gateway.tokens import (
    MAX_TOKEN_REQUEST_BYTES,
    IssuedToken,
    TokenClaims,
    TokenRequest,
    decode_token_request,
    make_token,
)
from verification.access.reads import MAX_NUMBER, NO_DIGEST, decode_read, read_id

if TYPE_CHECKING:
    from sdk.gateway.parts import GatewayParts

TOKEN_PATH: Final = "/gov/token"  # noqa: S105 - a path
RECORDS_PATH: Final = "/gov/records"
STATUS_PATH: Final = "/gov/status"
METRICS_PATH: Final = "/gov/metrics"
QUERY_HEADER: Final = "Gov-Audit-Query"
MAX_IN_HAND: Final = 64
"""Signed requests that are checked at a time."""
MAX_RECORDS: Final = 1_000
"""Of one answer; records are read in their order, so the next one begins behind the last."""
MAX_SCANNED: Final = 5_000
"""Reads that are looked at for one answer."""
MAX_RECORDS_BYTES: Final = 8 * 1024 * 1024
MAX_DIGITS: Final = 19


class RecordFilter(NamedTuple):
    """Which reads are asked for."""

    first: int
    last: int | None
    grant: bytes | None
    person: bytes | None
    case_number: str | None
    from_ms: int | None
    to_ms: int | None
    limit: int


def make_own_endpoints(parts: GatewayParts, chain_id: int) -> Starlette:
    """Return the application behind /gov/; it takes signed requests from now on."""
    endpoints = _Endpoints(parts, chain_id)
    app = Starlette(
        routes=[
            Route(TOKEN_PATH, endpoints.issue_token, methods=["POST"]),
            Route(RECORDS_PATH, endpoints.show_records, methods=["GET"]),
            Route(STATUS_PATH, endpoints.show_status, methods=["GET"]),
            Route(METRICS_PATH, endpoints.show_metrics, methods=["GET"]),
        ],
        exception_handlers={Denied: _on_denied, Problem: _on_problem, HTTPException: _on_http_exception},
    )
    app.router.redirect_slashes = False
    return app


class _Endpoints:
    def __init__(self, parts: GatewayParts, chain_id: int) -> None:
        self._parts = parts
        names = frozenset(parts.config.http_names)
        self._authenticator = Authenticator(chain_id, parts.book.find_caller, names, time.time_ns() // 1_000_000)
        # The authenticator's memory of nonces is for one thread at a time.
        self._lock = threading.Lock()
        self._in_hand = 0

    async def issue_token(self, request: Request) -> Response:
        """Exchange a signed request for a token."""
        async with read_body(request, MAX_TOKEN_REQUEST_BYTES) as body:
            issued: IssuedToken = await self._run(self._issue, request, body)
        return _json({"token": issued.token, "life_ms": issued.life_ms})

    async def show_records(self, request: Request) -> Response:
        """Show reads to auditors, and to parties those that they took part in."""
        return _json(await self._run(self._records, request))

    async def show_status(self, request: Request) -> Response:
        """Show how the gateway stands; nothing of any read."""
        parts, sight = self._parts, self._parts.book.sight
        return _json(
            {
                "department": parts.department,
                "recorder": "0x" + parts.recorder.store.recorder.hex(),
                "number": parts.recorder.number,
                "unplanned": parts.recorder.unplanned,
                "anchored_ms": parts.recorder.anchored_ms,
                "is_open": parts.recorder.is_open_for_reads(),
                "node_height": sight.height,
                "node_reason": sight.reason,
                "policy": parts.config.policy.on_outage,
                "stop_after_s": parts.config.policy.stop_after_s,
            }
        )

    async def show_metrics(self, request: Request) -> Response:
        """Show Prometheus' text."""
        return Response(self._parts.metrics.text(), media_type="text/plain; version=0.0.4")

    def _identify(self, request: Request, body: bytes) -> Caller:
        with self._lock:
            return self._authenticator.identify(request, body)

    def _issue(self, request: Request, body: bytes) -> IssuedToken:
        parts = self._parts
        caller = self._identify(request, body)
        asked = decode_token_request(body)
        if not {REQUESTER, RECORDER} & caller.roles:
            raise Denied("ROLE_MISSING")
        parts.check_open()
        life_ms = 1000 * parts.config.limits.token_s
        expires_ms = parts.now_ms() + life_ms
        claims = TokenClaims(
            caller.address, caller.department, bytes.fromhex(asked.grant), asked.purpose, asked.system, expires_ms
        )
        try:
            grant = parts.book.grant(claims.grant)
            if (grant.consumer, grant.provider) != (caller.department, parts.department):
                raise Denied("NOT_THE_CONSUMER")
        except Denied as denied:
            if denied.code != "CHAIN_UNREACHABLE":
                self._record_denial(request, body, claims, asked, denied)
            raise
        return IssuedToken(make_token(parts.token_key, claims), life_ms)

    def _record_denial(
        self, request: Request, body: bytes, claims: TokenClaims, asked: TokenRequest, denied: Denied
    ) -> None:
        """Record that a known account tried to read under a grant that is none of its own."""
        parts = self._parts
        # Two threads may count at a time: the pace is then off by one, no more.
        parts.pace.check(claims.department)
        parts.pace.count(claims.department)
        nonce = bytes.fromhex(request.headers["gov-nonce"])
        headers = ReadHeaders(b"", nonce, "", "", NO_DIGEST)
        name = read_id(claims.grant, claims.account, nonce)
        now_ms = parts.now_ms()
        read = ReadRequest(headers, claims, name, "POST", TOKEN_PATH.encode("ascii"), body, now_ms)
        outcome = Outcome(denied.status, (), b"", f"POST {TOKEN_PATH}", "", NOBODY, refusal=denied.code)
        try:
            parts.recorder.record(make_draft(parts.department, now_ms, read, outcome))
        except RecordingFailed as error:
            raise Denied("RECORDING_STOPPED", error.code) from None

    def _records(self, request: Request) -> dict[str, Any]:
        parts = self._parts
        caller = self._identify(request, b"")
        wanted = parse_record_filter(dict(request.query_params))
        if is_auditor(caller):
            self._check_query(caller, request.headers.get(QUERY_HEADER, ""))
        store = parts.recorder.store
        found = store.find_reads(
            first=wanted.first,
            last=wanted.last,
            grant=wanted.grant,
            person=wanted.person,
            case_number=wanted.case_number,
            from_ms=wanted.from_ms,
            to_ms=wanted.to_ms,
            limit=MAX_SCANNED,
        )
        shown: list[str] = []
        size, following = 0, None
        for raw in found:
            read = decode_read(raw)
            if len(shown) >= wanted.limit or size > MAX_RECORDS_BYTES:
                following = read.number
                break
            if is_auditor(caller) or caller.department in (parts.department, read.sharing.consumer):
                shown.append(base64.b64encode(raw).decode("ascii"))
                size += len(raw)
        else:
            if len(found) == MAX_SCANNED:
                following = decode_read(found[-1]).number + 1
        return {
            "department": parts.department,
            "recorder": "0x" + store.recorder.hex(),
            "last_number": parts.recorder.number,
            "reads": shown,
            "next": following,
        }

    def _check_query(self, caller: Caller, text: str) -> None:
        """Return if an auditor has put on the ledger that it asks; raise Denied QUERY_NOT_RECORDED."""
        if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS:
            raise Denied("QUERY_NOT_RECORDED")
        self._parts.book.check_audit_query(int(text), caller.address)

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if self._in_hand >= MAX_IN_HAND:
            raise Denied("TOO_MANY_READS")
        self._in_hand += 1
        try:
            return await run_in_threadpool(work, *arguments)
        finally:
            self._in_hand -= 1


def parse_record_filter(given: dict[str, str]) -> RecordFilter:
    """Return which reads a query string asks for; raise Denied PARAMETER_INVALID."""
    known = {"first", "last", "grant", "person", "case", "from_ms", "to_ms", "limit"}
    for name in given:
        if name not in known:
            raise Denied("PARAMETER_INVALID", name[:40])
    limit = _number(given, "limit")
    return RecordFilter(
        _number(given, "first") or 1,
        _number(given, "last"),
        _digest(given, "grant"),
        _digest(given, "person"),
        given.get("case"),
        _number(given, "from_ms"),
        _number(given, "to_ms"),
        MAX_RECORDS if limit is None else min(limit, MAX_RECORDS),
    )


def _number(given: dict[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS or int(text) > MAX_NUMBER:
        raise Denied("PARAMETER_INVALID", name)
    return int(text)


def _digest(given: dict[str, str], name: str) -> bytes | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise Denied("PARAMETER_INVALID", name)
    return found


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), headers={"cache-control": "no-store"}, media_type="application/json")


async def _on_denied(request: Request, error: Exception) -> Response:
    assert isinstance(error, Denied), "registered for it alone"
    body = problem_body(error.code, error.status, error.zh, error.en)
    return Response(body, error.status, headers={"cache-control": "no-store"}, media_type=PROBLEM_MEDIA_TYPE)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem), "registered for Problem alone"
    return error.response()


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for it alone"
    return Problem(
        "METHOD_NOT_ALLOWED" if error.status_code == 405 else "PATH_UNKNOWN", found=request.url.path
    ).response()
